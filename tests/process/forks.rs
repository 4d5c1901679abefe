//! Receivers in a forked child.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicI32, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use signalfd::{
    Batch, Epoll, Error, Receiver, Signal, SignalFd, SignalSet, block_on, mask,
};

use crate::common::{
    Child, forbid, forbid_on_pain_of_death, kill, open, pid, set_mask,
};
use crate::harness::cases;

cases! {
    every_path_says_that_it_was_forked,
    every_path_says_so_where_the_kernel_cannot_wipe_a_page,
    a_page_that_cannot_be_given_back_does_no_harm,
    the_parent_notices_nothing,
    a_child_can_open_its_own,
    a_grandchild_is_told_apart_too,
    a_child_inside_block_on_is_told,
    a_handler_that_forks_leaves_the_parents_sleep_alone,
    a_waker_of_the_parent_does_nothing_in_the_child,
    the_childs_block_on_is_its_own,
    a_child_that_resets_its_mask_gets_back_what_it_set,
}

fn every_path_says_that_it_was_forked() {
    let signals = open(Signal::USR1).unwrap();
    let receiver: &Receiver = &signals;
    let bare = SignalFd::new(Signal::USR1).unwrap();
    let epoll = Epoll::new([receiver]).unwrap();
    kill(pid(), Signal::USR1);
    let info = receiver.wait().unwrap();
    // Both descriptors exist now, and something is pending here and there.
    kill(pid(), Signal::USR1);
    Child::fork(|| {
        kill(pid(), Signal::USR1);
        let mut batch = Batch::<4>::new();
        let second = Duration::from_secs(1);
        let forked = Err(Error::Forked);
        assert_eq!(receiver.try_recv().map(drop), forked);
        assert_eq!(receiver.try_recv_batch(&mut batch).map(drop), forked);
        assert_eq!(receiver.wait().map(drop), forked);
        assert_eq!(receiver.wait_timeout(second).map(drop), forked);
        assert_eq!(receiver.wait_batch(&mut batch).map(drop), forked);
        let result = receiver.wait_batch_timeout(&mut batch, second);
        assert_eq!(result.map(drop), forked);
        let mut infos = receiver.iter();
        assert_eq!(infos.next().unwrap().map(drop), forked);
        assert_eq!(infos.next(), None, "it is not told for ever");
        let mut cx = Context::from_waker(Waker::noop());
        let poll = pin!(receiver.recv()).poll(&mut cx);
        assert_eq!(poll.map_ok(drop), Poll::Ready(forked));
        let poll = pin!(receiver.recv_batch(&mut batch)).poll(&mut cx);
        assert_eq!(poll.map_ok(drop), Poll::Ready(forked));
        assert_eq!(receiver.poll_ready(&mut cx), Poll::Ready(forked));
        assert_eq!(receiver.put_back(&info), forked);
        assert_eq!(receiver.insert(Signal::USR1), forked);
        assert_eq!(receiver.remove(Signal::USR2), forked);
        assert_eq!(receiver.replace(Signal::USR1), forked);
        assert_eq!(signals.insert(Signal::USR2), forked);
        assert_eq!(signals.remove(Signal::USR2), forked);
        assert_eq!(signals.replace(Signal::USR2), forked);
        assert_eq!(mask::current(), Ok(Signal::USR1.into()));
        assert_eq!(bare.try_recv_batch(&mut batch).map(drop), forked);
        assert_eq!(bare.replace(Signal::USR2), forked);
        assert_eq!(epoll.turn(None).map(drop), forked);
        assert_eq!(Epoll::new([receiver]).map(drop), forked);
        0
    })
    .wait_for_success();
    assert_eq!(receiver.wait().unwrap().signal(), Signal::USR1);
}

/// Before Linux 4.14, and in some sandboxes.
fn every_path_says_so_where_the_kernel_cannot_wipe_a_page() {
    forbid(libc::SYS_madvise, libc::EINVAL);
    every_path_says_that_it_was_forked();
    a_grandchild_is_told_apart_too();
}

/// In a sandbox that has neither `madvise(2)` nor `munmap(2)`.
fn a_page_that_cannot_be_given_back_does_no_harm() {
    forbid(libc::SYS_madvise, libc::EPERM);
    forbid(libc::SYS_munmap, libc::EPERM);
    let signals = open(Signal::USR1).unwrap();
    kill(pid(), Signal::USR1);
    assert_eq!(signals.wait().unwrap().signal(), Signal::USR1);
}

fn the_parent_notices_nothing() {
    let signals = open(Signal::USR1 | Signal::USR2).unwrap();
    let epoll = Epoll::new([&signals]).unwrap();
    for _ in 0..20 {
        let child = Child::fork(|| {
            assert_eq!(signals.replace(Signal::HUP), Err(Error::Forked));
            assert_eq!(epoll.turn(None), Err(Error::Forked));
            // Whatever the child's copies do when they go, they do to the child.
            0
        });
        child.wait_for_success();
        let copy = Child::fork(|| {
            // SAFETY: reads the receiver's bytes into another place; the
            // original is not used again in this process.
            #[expect(unsafe_code, reason = "drops what it has by reference")]
            drop(unsafe { std::ptr::read(&raw const signals) });
            0
        });
        copy.wait_for_success();
        assert_eq!(signals.signals(), Signal::USR1 | Signal::USR2);
        kill(pid(), Signal::USR2);
        assert_eq!(epoll.turn(None).unwrap(), 1);
        assert_eq!(signals.wait().unwrap().signal(), Signal::USR2);
        kill(pid(), Signal::USR1);
        assert_eq!(epoll.turn(None).unwrap(), 1);
        assert_eq!(
            block_on(signals.recv()).unwrap().unwrap().signal(),
            Signal::USR1
        );
    }
}

fn a_child_can_open_its_own() {
    let signals = open(Signal::USR1).unwrap();
    Child::fork(|| {
        let own = open(Signal::USR1 | Signal::USR2).unwrap();
        for signal in [Signal::USR1, Signal::USR2] {
            kill(pid(), signal);
            assert_eq!(own.wait().unwrap().signal(), signal);
        }
        assert_eq!(signals.try_recv(), Err(Error::Forked));
        0
    })
    .wait_for_success();
    assert_eq!(signals.try_recv(), Ok(None));
}

fn a_grandchild_is_told_apart_too() {
    let first = open(Signal::USR1).unwrap();
    Child::fork(|| {
        let second = open(Signal::USR1).unwrap();
        Child::fork(|| {
            let third = open(Signal::USR1).unwrap();
            assert_eq!(first.try_recv(), Err(Error::Forked));
            assert_eq!(second.try_recv(), Err(Error::Forked));
            assert_eq!(third.try_recv(), Ok(None));
            0
        })
        .wait_for_success();
        assert_eq!(first.try_recv(), Err(Error::Forked));
        assert_eq!(second.try_recv(), Ok(None));
        0
    })
    .wait_for_success();
    assert_eq!(first.try_recv(), Ok(None));
}

fn a_child_inside_block_on_is_told() {
    let signals = open(Signal::USR1).unwrap();
    let mut forked = false;
    let mut child = None;
    let result = block_on(poll_fn(|cx| {
        if !forked {
            forked = true;
            // SAFETY: the process has one thread.
            #[expect(unsafe_code, reason = "a fork that returns")]
            let pid = unsafe { libc::fork() };
            child = Some(pid);
            if pid > 0 {
                // Wake ourselves, or there is nothing to sleep for.
                cx.waker().wake_by_ref();
            }
            return Poll::Pending;
        }
        assert!(signals.try_recv().is_ok());
        Poll::Ready(())
    }));
    match child.unwrap() {
        0 => {
            assert_eq!(result, Err(Error::Forked));
            std::process::exit(0);
        }
        pid => {
            assert_eq!(result, Ok(()));
            Child { pid }.wait_for_success();
        }
    }
}

static FORKED: AtomicI32 = AtomicI32::new(-1);

/// The child returns from the handler into the parent's sleep.
fn a_handler_that_forks_leaves_the_parents_sleep_alone() {
    #[expect(unsafe_code, reason = "forks in a handler")]
    extern "C" fn fork(_: libc::c_int) {
        // SAFETY: fork(2) may be called in a handler; the process has one thread
        // besides, which holds nothing that the child uses.
        FORKED.store(unsafe { libc::fork() }, Ordering::SeqCst);
    }
    let handler = fork as extern "C" fn(libc::c_int);
    // SAFETY: installs the handler.
    #[expect(unsafe_code, reason = "a handler")]
    unsafe {
        libc::signal(libc::SIGALRM, handler as libc::sighandler_t)
    };
    let sleeper = pid();
    let mut polls = 0;
    let result = block_on(poll_fn(|cx| {
        polls += 1;
        if polls > 1 {
            return Poll::Ready(());
        }
        let waker = cx.waker().clone();
        std::thread::spawn(move || {
            crate::common::wait_until_asleep(sleeper);
            kill(sleeper, Signal::ALRM);
            crate::common::wait_until("it has forked", || {
                FORKED.load(Ordering::SeqCst) > 0
            });
            let child = Child { pid: FORKED.load(Ordering::SeqCst) };
            child.wait_for_success();
            crate::common::wait_until_asleep(sleeper);
            waker.wake();
        });
        Poll::Pending
    }));
    if FORKED.load(Ordering::SeqCst) == 0 {
        let told = result == Err(Error::Forked);
        std::process::exit(i32::from(!told));
    }
    assert_eq!((result, polls), (Ok(()), 2));
}

fn a_waker_of_the_parent_does_nothing_in_the_child() {
    let mut polls = 0;
    block_on(poll_fn(|cx| {
        polls += 1;
        if polls > 1 {
            return Poll::Ready(());
        }
        // Have it make its eventfd and sleep: a child wakes in vain, then a
        // thread in earnest.
        let waker = cx.waker().clone();
        let sleeper = crate::common::tid();
        std::thread::spawn(move || {
            crate::common::wait_until_asleep(sleeper);
            let child = Child::fork(|| {
                // The eventfd is the parent's, too.
                forbid_on_pain_of_death(libc::SYS_write);
                (0..100).for_each(|_| waker.wake_by_ref());
                0
            });
            child.wait_for_success();
            crate::common::wait_until_asleep(sleeper);
            waker.wake();
        });
        Poll::Pending
    }))
    .unwrap();
    assert_eq!(polls, 2);
}

fn the_childs_block_on_is_its_own() {
    let signals = open(Signal::USR1).unwrap();
    block_on(async {
        let mut recv = pin!(signals.recv());
        poll_fn(|cx| {
            assert!(recv.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        let child = Child::fork(|| {
            let own = open(Signal::USR1).unwrap();
            let to = pid();
            let sender = std::thread::spawn(move || {
                crate::common::wait_until_asleep(to);
                kill(to, Signal::USR1);
            });
            let info = block_on(own.recv()).unwrap().unwrap();
            assert_eq!(info.signal(), Signal::USR1);
            sender.join().unwrap();
            0
        });
        child.wait_for_success();
        kill(pid(), Signal::USR1);
        recv.await.unwrap();
    })
    .unwrap();
}

fn a_child_that_resets_its_mask_gets_back_what_it_set() {
    let signals = open(Signal::TERM).unwrap();
    let child = Child::fork(|| {
        set_mask(SignalSet::empty());
        drop(open(Signal::HUP).unwrap());
        assert_eq!(mask::current(), Ok(SignalSet::empty()));
        drop(open(Signal::HUP | Signal::TERM).unwrap());
        assert_eq!(mask::current(), Ok(SignalSet::empty()));
        0
    });
    child.wait_for_success();
    assert_eq!(mask::current(), Ok(Signal::TERM.into()));
    drop(signals);
    assert_eq!(mask::current(), Ok(SignalSet::empty()));
}
