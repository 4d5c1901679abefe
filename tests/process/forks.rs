//! Receivers in a forked child.

use std::future::{Future, pending, poll_fn};
use std::os::fd::AsRawFd;
use std::pin::pin;
use std::sync::atomic::{AtomicI32, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rustix::event::epoll::EventFlags;
use signalfd::{
    Batch, Epoll, Error, Op, Receiver, Signal, SignalFd, SignalSet, Signals,
    block_on, mask,
};

use crate::common::{
    Child, DEADLINE, OwnEpoll, WakeCount, forbid, forbid_on_pain_of_death,
    fork_in_a_sleep, have_a_handler_fork, kill, open, open_descriptors,
    options, pid, set_limit, set_mask, sigqueue, wait_until,
};
use crate::harness::{cases, racing_rounds};

cases! {
    every_path_says_that_it_was_forked,
    every_path_says_so_where_the_kernel_cannot_wipe_a_page,
    a_page_that_cannot_be_given_back_does_no_harm,
    receiving_asks_for_no_process_id,
    the_parent_notices_nothing,
    a_child_can_open_its_own,
    a_grandchild_is_told_apart_too,
    a_child_inside_block_on_is_told,
    a_child_inside_block_on_wakes_no_executor_of_the_parents,
    a_handler_that_forks_leaves_the_parents_sleep_alone,
    a_child_that_a_handler_forks_in_a_wait_leaves_that_to_its_parent,
    a_wait_that_the_kernel_begins_anew_goes_on_in_the_child,
    a_child_that_a_handler_forks_in_a_turn_leaves_that_to_its_parent,
    a_waker_of_the_parent_does_nothing_in_the_child,
    the_childs_block_on_is_its_own,
    a_child_that_resets_its_mask_gets_back_what_it_set,
    every_path_of_a_child_that_has_reopened_works,
    every_path_works_where_the_kernel_cannot_wipe_a_page,
    what_was_sent_to_a_child_before_it_reopened_is_received,
    what_is_pending_in_the_parent_stays_there,
    parent_and_child_wait_side_by_side,
    a_grandchild_can_reopen_too,
    a_reopened_scope_restores_the_mask,
    reopening_in_the_same_process_loses_nothing,
    reopening_leaves_nothing_open,
    a_task_that_waits_finds_the_new_descriptor,
    a_task_of_the_parents_is_not_woken_in_the_child,
    a_reopen_that_the_mask_refuses_changes_nothing,
    a_reopen_that_a_thread_refuses_changes_nothing,
    a_reopen_that_finds_no_descriptor_changes_nothing,
    a_descriptor_from_elsewhere_becomes_an_ordinary_one,
    every_thread_of_a_child_that_has_reopened_blocks_the_signals,
}

/// What the kernel has as the sets of all signalfds of this process.
fn sets_of_signalfds() -> Vec<String> {
    let mut sets = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fdinfo").unwrap() {
        // The directory's own is gone.
        let info = std::fs::read_to_string(entry.unwrap().path());
        let info = info.unwrap_or_default();
        let set = info.lines().find(|line| line.starts_with("sigmask:"));
        sets.extend(set.map(String::from));
    }
    sets
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
    let sets = sets_of_signalfds();
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
        let poll = receiver.poll_recv(&mut cx);
        assert_eq!(poll.map_ok(drop), Poll::Ready(forked));
        let poll = receiver.poll_recv_batch(&mut cx, &mut batch);
        assert_eq!(poll.map_ok(drop), Poll::Ready(forked));
        let poll = pin!(receiver.until(pending::<()>())).poll(&mut cx);
        assert_eq!(poll.map_ok(drop), Poll::Ready(forked));
        assert_eq!(receiver.poll_ready(&mut cx), Poll::Ready(forked));
        // Whoever says so wakes a task, and no more.
        receiver.on_readable();
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
    assert_eq!(sets_of_signalfds(), sets);
    assert_eq!(receiver.signals(), Signal::USR1.into());
    assert_eq!(bare.signals(), Signal::USR1.into());
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

/// It would be a system call for each signal.
fn receiving_asks_for_no_process_id() {
    let (signals, me) = (open(Signal::USR1).unwrap(), pid());
    forbid_on_pain_of_death(libc::SYS_getpid);
    let send = || kill(me, Signal::USR1);
    let mut batch = Batch::<4>::new();
    for _ in 0..3 {
        send();
        assert!(signals.wait().is_ok());
        send();
        wait_until("it is there", || signals.try_recv().unwrap().is_some());
        send();
        assert!(signals.wait_timeout(DEADLINE).unwrap().is_some());
        send();
        assert_eq!(signals.wait_batch(&mut batch).unwrap().len(), 1);
        send();
        assert!(block_on(signals.recv()).unwrap().is_ok());
    }
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

/// A waker of some executor's may write to what the parent has in common with the child.
fn a_child_inside_block_on_wakes_no_executor_of_the_parents() {
    let signals = open(Signal::USR1).unwrap();
    let (count, waker) = WakeCount::new();
    let child = block_on(poll_fn(|_| {
        let mut cx = Context::from_waker(&waker);
        assert!(signals.poll_recv(&mut cx).is_pending());
        // SAFETY: the process has one thread.
        #[expect(unsafe_code, reason = "a fork that returns")]
        Poll::Ready(unsafe { libc::fork() })
    }));
    let pid = child.unwrap();
    if pid == 0 {
        std::process::exit(i32::from(count.get() != 0));
    }
    Child { pid }.wait_for_success();
    assert_eq!(count.get(), 1, "the parent's task has to look for itself");
}

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

type Wait = fn(&Signals) -> Result<Signal, Error>;

const WAITS: [Wait; 3] = [
    |signals| signals.wait().map(|info| info.signal()),
    |signals| {
        let info = signals.wait_timeout(DEADLINE)?;
        Ok(info.expect("it comes before the time is over").signal())
    },
    |signals| {
        let mut batch = Batch::<4>::new();
        let infos = signals.wait_batch(&mut batch)?;
        assert_eq!(infos.len(), 1);
        Ok(infos[0].signal())
    },
];

/// What the ring has to say, and what is pending, is the parent's, though the child comes
/// first.
fn a_child_that_a_handler_forks_in_a_wait_leaves_that_to_its_parent() {
    have_a_handler_fork(0);
    for wait in WAITS {
        let signals = open(Signal::USR1).unwrap();
        for _ in 0..2 {
            let received = fork_in_a_sleep(
                || wait(&signals),
                |received| *received == Err(Error::Forked),
            );
            assert_eq!(received, [Ok(Signal::USR1); 2]);
        }
    }
}

/// Where it is one system call that blocks, and the handler's action has `SA_RESTART`.
fn a_wait_that_the_kernel_begins_anew_goes_on_in_the_child() {
    have_a_handler_fork(libc::SA_RESTART);
    for wait in WAITS {
        let signals = open(Signal::USR1).unwrap();
        let received = fork_in_a_sleep(
            || wait(&signals),
            |received| match received {
                Ok(_) => signals.try_recv() == Err(Error::Forked),
                Err(error) => *error == Error::Forked,
            },
        );
        assert_eq!(received, [Ok(Signal::USR1); 2]);
    }
}

/// The epoll is the parent's, and so is the task's waker.
fn a_child_that_a_handler_forks_in_a_turn_leaves_that_to_its_parent() {
    have_a_handler_fork(0);
    let signals = open(Signal::USR1).unwrap();
    let epoll = Epoll::new([&signals]).unwrap();
    let (count, waker) = WakeCount::new();
    let mut cx = Context::from_waker(&waker);
    let turns = fork_in_a_sleep(
        || {
            while signals.poll_recv(&mut cx).is_ready() {}
            epoll.turn(None)
        },
        |turned| *turned == Err(Error::Forked) && count.get() == 0,
    );
    assert_eq!(turns, [Ok(1); 2]);
    assert_eq!(count.get(), 2);
    assert_eq!(signals.try_recv().unwrap().unwrap().signal(), Signal::USR1);
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

/// Takes a signal of each kind of path, in this process.
fn use_every_path(signals: &Signals) {
    let send = || kill(pid(), Signal::USR1);
    let mut batch = Batch::<4>::new();
    let second = Duration::from_secs(1);
    assert!(crate::battery().is_run_by(signals));
    assert_eq!(signals.try_recv(), Ok(None));
    assert_eq!(signals.wait_timeout(Duration::from_millis(1)), Ok(None));
    send();
    assert!(signals.try_recv().unwrap().is_some());
    send();
    assert_eq!(signals.try_recv_batch(&mut batch).unwrap().len(), 1);
    send();
    let info = signals.wait().unwrap();
    assert_eq!((info.signal(), info.pid()), (Signal::USR1, Some(pid() as u32)));
    signals.put_back(&info).unwrap();
    assert!(signals.wait_timeout(second).unwrap().is_some());
    send();
    assert_eq!(signals.wait_batch(&mut batch).unwrap().len(), 1);
    send();
    let infos = signals.wait_batch_timeout(&mut batch, second).unwrap();
    assert_eq!(infos.len(), 1);
    send();
    assert!(signals.iter().next().unwrap().is_ok());
    send();
    block_on(signals.recv()).unwrap().unwrap();
    send();
    let infos = block_on(signals.recv_batch(&mut batch)).unwrap();
    assert_eq!(infos.unwrap().len(), 1);
    be_woken(signals);
    use_epolls(signals);
    change(signals);
    assert_eq!(signals.try_recv(), Ok(None));
}

/// Sleeps in a wait and in `block_on`, and is woken by a signal.
fn be_woken(signals: &Signals) {
    let to = pid();
    let send_later = move || {
        crate::common::wait_until_asleep(to);
        kill(to, Signal::USR1);
    };
    let sender = std::thread::spawn(send_later);
    signals.wait().unwrap();
    sender.join().unwrap();
    let sender = std::thread::spawn(send_later);
    block_on(signals.recv()).unwrap().unwrap();
    sender.join().unwrap();
    wait_until_alone();
}

/// Waits until the threads that were joined are gone for the kernel, too: they
/// need not block what comes to be blocked.
fn wait_until_alone() {
    crate::common::wait_until("there is one thread", || {
        std::fs::read_dir("/proc/self/task").unwrap().count() == 1
    });
}

fn use_epolls(signals: &Signals) {
    let epoll = Epoll::new([signals]).unwrap();
    let (count, waker) = WakeCount::new();
    let mut cx = Context::from_waker(&waker);
    assert!(signals.poll_ready(&mut cx).is_pending());
    kill(pid(), Signal::USR1);
    assert_eq!(epoll.turn(None), Ok(1));
    assert_eq!(count.get(), 1);
    assert!(signals.poll_recv(&mut cx).is_ready());
    assert_eq!(signals.try_recv(), Ok(None));

    let own = OwnEpoll::of(signals, EventFlags::empty());
    assert!(!own.is_ready());
    kill(pid(), Signal::USR1);
    assert!(own.is_ready());
    assert!(signals.try_recv().unwrap().is_some());
}

fn change(signals: &Signals) {
    let set = signals.signals();
    signals.insert(Signal::USR2).unwrap();
    kill(pid(), Signal::USR2);
    assert_eq!(signals.wait().unwrap().signal(), Signal::USR2);
    signals.remove(Signal::USR2).unwrap();
    assert_eq!(signals.signals(), set);
    signals.replace(Signal::USR2).unwrap();
    kill(pid(), Signal::USR2);
    assert_eq!(signals.wait().unwrap().signal(), Signal::USR2);
    signals.replace(set).unwrap();
    assert_eq!(mask::current(), Ok(set));
}

fn every_path_of_a_child_that_has_reopened_works() {
    let mut signals = open(Signal::USR1).unwrap();
    kill(pid(), Signal::USR1);
    // The first wait makes the second descriptor.
    signals.wait().unwrap();
    let sets = sets_of_signalfds();
    for _ in 0..3 {
        Child::fork(|| {
            assert_eq!(signals.try_recv(), Err(Error::Forked));
            signals.reopen().unwrap();
            use_every_path(&signals);
            signals.reopen().unwrap();
            use_every_path(&signals);
            signals.replace(Signal::HUP).unwrap();
            0
        })
        .wait_for_success();
        assert_eq!(sets_of_signalfds(), sets);
        assert_eq!(signals.signals(), Signal::USR1.into());
        use_every_path(&signals);
    }
}

fn every_path_works_where_the_kernel_cannot_wipe_a_page() {
    forbid(libc::SYS_madvise, libc::EINVAL);
    every_path_of_a_child_that_has_reopened_works();
}

fn what_was_sent_to_a_child_before_it_reopened_is_received() {
    let mut signals = open(Signal::USR1).unwrap();
    let parent = pid();
    Child::fork(|| {
        kill(pid(), Signal::USR1);
        signals.reopen().unwrap();
        let info = signals.try_recv().unwrap().unwrap();
        assert_eq!(info.pid(), Some(pid() as u32));
        assert_ne!(parent, pid());
        0
    })
    .wait_for_success();
    assert_eq!(signals.try_recv(), Ok(None));
}

/// Pending in the kernel's queue, or in what a ring has read.
fn what_is_pending_in_the_parent_stays_there() {
    let rt = Signal::rt(1).unwrap();
    let mut signals = open(rt).unwrap();
    for value in 0..3 {
        sigqueue(pid(), rt, value).unwrap();
    }
    assert_eq!(signals.try_recv().unwrap().unwrap().value(), Some(0));
    Child::fork(|| {
        signals.reopen().unwrap();
        assert_eq!(signals.try_recv(), Ok(None));
        sigqueue(pid(), rt, 7).unwrap();
        assert_eq!(signals.wait().unwrap().value(), Some(7));
        assert_eq!(signals.try_recv(), Ok(None));
        0
    })
    .wait_for_success();
    for value in 1..3 {
        assert_eq!(signals.wait().unwrap().value(), Some(value));
    }
    assert_eq!(signals.try_recv(), Ok(None));
}

fn parent_and_child_wait_side_by_side() {
    let mut signals = open(Signal::USR1).unwrap();
    let parent = pid();
    let child = Child::fork(|| {
        signals.reopen().unwrap();
        for _ in 0..racing_rounds() {
            assert_eq!(signals.wait().unwrap().pid(), Some(parent as u32));
            kill(parent, Signal::USR1);
        }
        0
    });
    for _ in 0..racing_rounds() {
        kill(child.pid, Signal::USR1);
        let info = signals.wait().unwrap();
        assert_eq!(info.pid(), Some(child.pid as u32));
    }
    child.wait_for_success();
}

fn a_grandchild_can_reopen_too() {
    let mut signals = open(Signal::USR1).unwrap();
    Child::fork(|| {
        signals.reopen().unwrap();
        Child::fork(|| {
            assert_eq!(signals.try_recv(), Err(Error::Forked));
            signals.reopen().unwrap();
            use_every_path(&signals);
            0
        })
        .wait_for_success();
        use_every_path(&signals);
        0
    })
    .wait_for_success();
    use_every_path(&signals);
}

fn a_reopened_scope_restores_the_mask() {
    let before = signalfd::block(Signal::HUP).unwrap();
    let mut signals = open(Signal::TERM).unwrap();
    Child::fork(|| {
        signals.reopen().unwrap();
        // SAFETY: the original is not used again in this process.
        #[expect(unsafe_code, reason = "drops what it has by reference")]
        drop(unsafe { std::ptr::read(&raw const signals) });
        assert_eq!(mask::current(), Ok(Signal::HUP.into()));
        0
    })
    .wait_for_success();
    assert_eq!(mask::current(), Ok(Signal::HUP | Signal::TERM));
    drop((signals, before));
}

fn reopening_in_the_same_process_loses_nothing() {
    let rt = Signal::rt(1).unwrap();
    let mut signals = open(rt | Signal::USR1).unwrap();
    let mut values = Vec::new();
    let mut take = |signals: &Signals| match signals.try_recv().unwrap() {
        Some(info) if info.signal() == rt => values.push(info.value().unwrap()),
        other => panic!("{other:?}"),
    };
    for round in 0..100 {
        // More than fit into one buffer of a ring, and part of it is taken.
        for value in 0..20 {
            sigqueue(pid(), rt, round * 20 + value).unwrap();
        }
        (0..15).for_each(|_| take(&signals));
        signals.reopen().unwrap();
        assert!(crate::battery().is_run_by(&signals));
    }
    (0..500).for_each(|_| take(&signals));
    assert_eq!(signals.try_recv(), Ok(None));
    if !crate::battery().reads_ahead() {
        assert!(values.iter().copied().eq(0..2000));
    }
    values.sort_unstable();
    assert!(values.into_iter().eq(0..2000));
    kill(pid(), Signal::USR1);
    signals.reopen().unwrap();
    assert_eq!(signals.wait().unwrap().signal(), Signal::USR1);
}

fn reopening_leaves_nothing_open() {
    let mut signals = open(Signal::USR1).unwrap();
    let before = open_descriptors();
    for _ in 0..20 {
        kill(pid(), Signal::USR1);
        signals.wait().unwrap();
        signals.reopen().unwrap();
    }
    assert_eq!(open_descriptors(), before);
    Child::fork(|| {
        for _ in 0..20 {
            signals.reopen().unwrap();
        }
        assert_eq!(open_descriptors(), before);
        0
    })
    .wait_for_success();
}

fn a_task_that_waits_finds_the_new_descriptor() {
    let mut signals = open(Signal::USR1).unwrap();
    let (count, waker) = WakeCount::new();
    let mut cx = Context::from_waker(&waker);
    assert!(signals.poll_recv(&mut cx).is_pending());
    signals.reopen().unwrap();
    assert_eq!(count.get(), 1);

    // Inside block_on, which sleeps until the descriptor is readable.
    let mut polls = 0;
    let info = block_on(poll_fn(|cx| {
        polls += 1;
        let poll = signals.poll_recv(cx);
        match polls {
            1 => signals.reopen().unwrap(),
            2 => kill(pid(), Signal::USR1),
            _ => {}
        }
        poll
    }));
    assert_eq!(info.unwrap().unwrap().signal(), Signal::USR1);
    assert_eq!(polls, 3);
}

fn a_task_of_the_parents_is_not_woken_in_the_child() {
    let mut signals = open(Signal::USR1).unwrap();
    let (count, waker) = WakeCount::new();
    let mut cx = Context::from_waker(&waker);
    assert!(signals.poll_recv(&mut cx).is_pending());
    let held = std::sync::Arc::strong_count(&count);
    Child::fork(|| {
        signals.reopen().unwrap();
        let epoll = Epoll::new([&signals]).unwrap();
        kill(pid(), Signal::USR1);
        assert_eq!(epoll.turn(None), Ok(1));
        signals.on_readable();
        assert_eq!(count.get(), 0);
        assert_eq!(std::sync::Arc::strong_count(&count), held - 1);
        0
    })
    .wait_for_success();
    assert_eq!(std::sync::Arc::strong_count(&count), held);
    signals.on_readable();
    assert_eq!(count.get(), 1);
}

fn a_reopen_that_the_mask_refuses_changes_nothing() {
    let try_without = |signals: &mut Signals| {
        set_mask(SignalSet::empty());
        let refused = Err(Error::NotBlocked(Signal::USR1.into()));
        assert_eq!(signals.reopen(), refused);
        set_mask(Signal::USR1.into());
    };
    let mut signals = open(Signal::USR1).unwrap();
    try_without(&mut signals);
    Child::fork(|| {
        try_without(&mut signals);
        assert_eq!(signals.try_recv(), Err(Error::Forked));
        signals.reopen().unwrap();
        use_every_path(&signals);
        0
    })
    .wait_for_success();
    use_every_path(&signals);
}

fn a_reopen_that_a_thread_refuses_changes_nothing() {
    let mut signals = open(Signal::USR1).unwrap();
    let raw = signals.as_raw_fd();
    let (ready, is_ready) = std::sync::mpsc::channel();
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        set_mask(SignalSet::empty());
        ready.send(()).unwrap();
        assert!(is_done.recv().is_err());
    });
    is_ready.recv().unwrap();
    let error = signals.reopen().unwrap_err();
    assert!(matches!(error, Error::UnblockedThread(_)), "{error}");
    assert_eq!(signals.as_raw_fd(), raw);
    drop(done);
    thread.join().unwrap();
    wait_until_alone();
    use_every_path(&signals);
}

fn a_reopen_that_finds_no_descriptor_changes_nothing() {
    let _guard = signalfd::block(Signal::USR1).unwrap();
    // The check of the threads needs one itself.
    let unchecked = options().check_threads(false);
    let mut receiver = unchecked.receiver(Signal::USR1).unwrap();
    let raw = receiver.as_raw_fd();
    let try_without = |receiver: &mut Receiver| {
        let before = set_limit(libc::RLIMIT_NOFILE, 0);
        let none = Error::Os { op: Op::Signalfd, errno: libc::EMFILE };
        assert_eq!(receiver.reopen(), Err(none));
        set_limit(libc::RLIMIT_NOFILE, before);
        assert_eq!(receiver.as_raw_fd(), raw);
    };
    try_without(&mut receiver);
    assert!(crate::battery().is_run_by(&receiver));
    Child::fork(|| {
        try_without(&mut receiver);
        assert_eq!(receiver.try_recv(), Err(Error::Forked));
        receiver.reopen().unwrap();
        kill(pid(), Signal::USR1);
        assert!(receiver.try_recv().unwrap().is_some());
        0
    })
    .wait_for_success();
    kill(pid(), Signal::USR1);
    assert!(receiver.try_recv().unwrap().is_some());
}

fn a_descriptor_from_elsewhere_becomes_an_ordinary_one() {
    let _guard = signalfd::block(Signal::USR1 | Signal::USR2).unwrap();
    let fd = SignalFd::new(Signal::USR2).unwrap();
    let copy = rustix::io::dup(&fd).unwrap();
    let copy = SignalFd::from_fd(copy, Signal::USR1).unwrap();
    let mut receiver = options().receiver_from(copy).unwrap();
    receiver.reopen().unwrap();
    // What shared it has no part in it any more.
    receiver.insert(Signal::USR2).unwrap();
    fd.replace(Signal::USR2).unwrap();
    for signal in [Signal::USR1, Signal::USR2] {
        kill(pid(), signal);
        assert_eq!(receiver.wait().unwrap().signal(), signal);
    }
    // A wait is one read, with a second descriptor, unless a ring does it.
    let own = if receiver.backend().kind().is_none() { 2 } else { 1 };
    assert_eq!(sets_of_signalfds().len(), 1 + own);
}

fn every_thread_of_a_child_that_has_reopened_blocks_the_signals() {
    let every = options().every_thread(true);
    let mut receiver = every.receiver(Signal::USR1).unwrap();
    let reopen = |receiver: &mut Receiver| {
        let (ready, is_ready) = std::sync::mpsc::channel();
        let (done, is_done) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            set_mask(SignalSet::empty());
            ready.send(()).unwrap();
            assert!(is_done.recv().is_err());
            mask::current()
        });
        is_ready.recv().unwrap();
        receiver.reopen().unwrap();
        let every = receiver.every_thread().unwrap();
        assert_eq!(every.signals(), Signal::USR1.into());
        assert_eq!((every.healed(), every.late()), (1, Ok(None)));
        kill(pid(), Signal::USR1);
        assert_eq!(receiver.wait().unwrap().signal(), Signal::USR1);
        drop(done);
        assert_eq!(thread.join().unwrap(), Ok(Signal::USR1.into()));
    };
    reopen(&mut receiver);
    Child::fork(|| {
        reopen(&mut receiver);
        0
    })
    .wait_for_success();
    reopen(&mut receiver);
}
