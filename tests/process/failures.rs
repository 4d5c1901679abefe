//! What is missing: descriptors, `/proc`, system calls. An error says so, and
//! everything is as it was.

use std::fs::File;
use std::future::{pending, poll_fn};
use std::os::fd::AsRawFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{TryRecvError, channel};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use signalfd::{
    Epoll, Error, Hub, Op, Options, Receiver, Signal, SignalFd, SignalSet,
    block, block_on, mask, open,
};

use crate::common::{
    HeldCalls, check, forbid, kill, open_descriptors, pid, raise, set_limit,
    set_mask, tid, uid, wait_until_asleep,
};
use crate::harness::{cases, skip};

cases! {
    no_descriptor_left,
    proc_is_not_there,
    proc_cannot_be_read,
    system_calls_forbidden,
    a_wait_falls_back_to_polling,
    waiting_is_forbidden,
    more_threads_in_block_on_than_there_is_room_for,
    late_wakes_take_no_room,
    what_was_awaited_before_takes_no_room,
    nothing_is_left_open,
    a_late_wake_touches_no_descriptor,
    a_task_is_woken_though_a_call_is_refused,
    a_subscriber_is_woken_though_a_call_is_refused,
    a_change_that_fails_at_its_end_changes_nothing,
    a_change_that_failed_does_not_come_back_later,
}

/// Lets no more descriptors be opened, and returns the limit of before.
fn no_more_descriptors() -> libc::rlim_t {
    let next = File::open("/dev/null").unwrap().as_raw_fd();
    set_limit(libc::RLIMIT_NOFILE, next as libc::rlim_t)
}

fn no_descriptor_left() {
    let guard = block(Signal::TERM).unwrap();
    let before = mask::current().unwrap();
    let full = |op| Error::Os { op, errno: libc::EMFILE };
    let receiver = Receiver::new(Signal::TERM).unwrap();
    let limit = no_more_descriptors();
    let unchecked = Options::new().check_threads(false);

    assert_eq!(open(Signal::HUP).unwrap_err(), full(Op::ThreadCheck));
    assert_eq!(unchecked.open(Signal::HUP).unwrap_err(), full(Op::Signalfd));
    let error = unchecked.receiver(Signal::TERM).unwrap_err();
    assert_eq!(error, full(Op::Signalfd));
    assert_eq!(SignalFd::new(Signal::TERM).unwrap_err(), full(Op::Signalfd));
    assert_eq!(Epoll::new([&receiver]).unwrap_err(), full(Op::EpollCreate));
    assert_eq!(block_on(pending::<()>()), Err(full(Op::Eventfd)));
    assert_eq!(block_on(async { 1 }), Ok(1), "it never has to sleep");
    let text = full(Op::Signalfd).to_string();
    assert!(text.contains("RLIMIT_NOFILE"), "{text}");
    assert_eq!(mask::current().unwrap(), before);

    // What is open goes on working.
    kill(pid(), Signal::TERM);
    assert_eq!(receiver.wait().unwrap().signal(), Signal::TERM);
    set_limit(libc::RLIMIT_NOFILE, limit);
    assert!(open(Signal::HUP).is_ok());
    drop(guard);
}

/// poll(2) refuses to look at more descriptors than there may be.
fn what_was_awaited_before_takes_no_room() {
    let _guard = block(Signal::HUP | Signal::TERM).unwrap();
    let receiver = Receiver::new(Signal::TERM).unwrap();
    let mut others: Vec<_> =
        (0..25).map(|_| Receiver::new(Signal::HUP).unwrap()).collect();
    block_on(poll_fn(|cx| {
        if others.is_empty() {
            return Poll::Ready(());
        }
        for receiver in others.drain(..) {
            assert!(receiver.poll_recv(cx).is_pending());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }))
    .unwrap();
    let next = File::open("/dev/null").unwrap().as_raw_fd();
    let limit = set_limit(libc::RLIMIT_NOFILE, next as libc::rlim_t + 3);
    assert!(next < 20, "what is open is less than was watched");
    let sleeper = tid();
    thread::spawn(move || {
        wait_until_asleep(sleeper);
        kill(pid(), Signal::TERM);
    });
    let info = block_on(receiver.recv()).unwrap().unwrap();
    assert_eq!(info.signal(), Signal::TERM);

    // A wait with a timeout needs room for one.
    set_limit(libc::RLIMIT_NOFILE, 0);
    let error = receiver.wait_timeout(Duration::from_millis(1)).unwrap_err();
    assert_eq!(error, Error::Os { op: Op::Poll, errno: libc::EINVAL });
    assert!(error.to_string().contains("RLIMIT_NOFILE"), "{error}");
    set_limit(libc::RLIMIT_NOFILE, limit);
}

/// Becomes a process without `/proc`, or without any file at all.
#[expect(unsafe_code, reason = "changes the root directory")]
fn leave_proc() {
    if uid() != 0 {
        // SAFETY: takes a number.
        if check(unsafe { libc::unshare(libc::CLONE_NEWUSER) }).is_err() {
            skip("neither root nor allowed to be root of a user namespace");
        }
    }
    let empty = std::env::temp_dir().join(format!("signalfd-{}", pid()));
    std::fs::create_dir(&empty).unwrap();
    let path = std::ffi::CString::new(empty.to_str().unwrap()).unwrap();
    // Its working directory keeps it, nobody else can find it.
    std::env::set_current_dir(&empty).unwrap();
    // SAFETY: reads the path.
    check(unsafe { libc::chroot(path.as_ptr()) }).unwrap();
}

fn proc_is_not_there() {
    leave_proc();
    let error = open(Signal::TERM).unwrap_err();
    assert_eq!(error, Error::Os { op: Op::ThreadCheck, errno: libc::ENOENT });
    let text = error.to_string();
    assert!(text.contains("/proc is not mounted"), "{text}");
    assert!(text.contains("check_threads(false)"), "{text}");
    assert!(mask::current().unwrap().is_empty());

    let signals =
        Options::new().check_threads(false).open(Signal::TERM).unwrap();
    kill(pid(), Signal::TERM);
    assert_eq!(signals.wait().unwrap().signal(), Signal::TERM);
}

fn proc_cannot_be_read() {
    forbid(libc::SYS_getdents64, libc::EACCES);
    let error = open(Signal::TERM).unwrap_err();
    assert_eq!(error, Error::Os { op: Op::ThreadCheck, errno: libc::EACCES });
    assert!(error.to_string().contains("check_threads(false)"), "{error}");
    assert!(mask::current().unwrap().is_empty());
}

fn system_calls_forbidden() {
    let forbidden = |op| Error::Os { op, errno: libc::EPERM };
    let unchecked = Options::new().check_threads(false);
    let guard = block(Signal::USR1).unwrap();
    let signals = unchecked.open(Signal::TERM).unwrap();
    forbid(libc::SYS_signalfd4, libc::EPERM);
    let error = unchecked.open(Signal::HUP).unwrap_err();
    assert_eq!(error, forbidden(Op::Signalfd));
    assert!(error.to_string().contains("seccomp"), "{error}");
    let both = Signal::USR1 | Signal::TERM;
    assert_eq!(mask::current().unwrap(), both);
    let error = signals.insert(Signal::HUP).unwrap_err();
    assert_eq!(error, forbidden(Op::Signalfd));
    assert_eq!(mask::current().unwrap(), both);
    assert_eq!(signals.signals(), Signal::TERM.into());
    forbid(libc::SYS_rt_sigqueueinfo, libc::EPERM);
    forbid(libc::SYS_pidfd_send_signal, libc::EPERM);
    kill(pid(), Signal::TERM);
    let info = signals.wait().unwrap();
    let error = signals.put_back(&info).unwrap_err();
    assert_eq!(error, forbidden(Op::Sigqueueinfo));
    forbid(libc::SYS_read, libc::EPERM);
    assert_eq!(signals.try_recv().unwrap_err(), forbidden(Op::Read));
    drop(signals);
    assert_eq!(mask::current().unwrap(), Signal::USR1.into());
    drop(guard);
    forbid(libc::SYS_rt_sigprocmask, libc::EPERM);
    assert_eq!(block(Signal::HUP).unwrap_err(), forbidden(Op::Sigprocmask));
    let error = unchecked.open(Signal::HUP).unwrap_err();
    assert_eq!(error, forbidden(Op::Sigprocmask));
}

/// Where a second descriptor cannot be made, a wait polls.
fn a_wait_falls_back_to_polling() {
    let signals = open(Signal::TERM).unwrap();
    forbid(libc::SYS_signalfd4, libc::EPERM);
    let to = pid();
    let sender = std::thread::spawn(move || {
        wait_until_asleep(to);
        kill(to, Signal::TERM);
    });
    assert_eq!(signals.wait().unwrap().signal(), Signal::TERM);
    sender.join().unwrap();
}

fn waiting_is_forbidden() {
    let signals = open(Signal::TERM).unwrap();
    let epoll = Epoll::new([&signals]).unwrap();
    let second = std::time::Duration::from_secs(1);
    for syscall in [
        libc::SYS_ppoll,
        libc::SYS_epoll_pwait,
        libc::SYS_epoll_pwait2,
        #[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
        libc::SYS_epoll_wait,
        // `ppoll_time64`, which libc does not have everywhere.
        #[cfg(target_pointer_width = "32")]
        414,
    ] {
        forbid(syscall, libc::EACCES);
    }
    let forbidden = |op| Error::Os { op, errno: libc::EACCES };
    let error = signals.wait_timeout(second).unwrap_err();
    assert_eq!(error, forbidden(Op::Poll));
    let error = block_on(signals.recv()).unwrap_err();
    assert_eq!(error, forbidden(Op::Poll));
    assert_eq!(epoll.turn(None).unwrap_err(), forbidden(Op::EpollWait));
    kill(pid(), Signal::TERM);
    assert_eq!(signals.try_recv().unwrap().unwrap().signal(), Signal::TERM);
}

fn more_threads_in_block_on_than_there_is_room_for() {
    let barrier = std::sync::Barrier::new(65);
    let full = std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                block_on(async {
                    barrier.wait();
                    barrier.wait();
                })
                .unwrap();
            });
        }
        barrier.wait();
        let full = block_on(async {});
        barrier.wait();
        full
    });
    assert_eq!(full, Err(Error::TooManyBlockOn));
    assert_eq!(block_on(async {}), Ok(()));
}

/// A wake may still be at the place that its thread has left: the thread comes
/// back before the wake is done.
fn late_wakes_take_no_room() {
    const ROUNDS: usize = 500;
    let wakers: [Mutex<Option<Waker>>; 64] = [const { Mutex::new(None) }; 64];
    let running = AtomicUsize::new(64);
    std::thread::scope(|scope| {
        for slot in &wakers {
            let running = &running;
            scope.spawn(move || {
                for _ in 0..ROUNDS {
                    let mut polls = 0;
                    block_on(poll_fn(|cx| {
                        polls += 1;
                        *slot.lock().unwrap() = Some(cx.waker().clone());
                        if polls > 1 { Poll::Ready(()) } else { Poll::Pending }
                    }))
                    .unwrap();
                }
                running.fetch_sub(1, Ordering::Relaxed);
            });
        }
        while running.load(Ordering::Relaxed) > 0 {
            for slot in &wakers {
                let waker = slot.lock().unwrap().take();
                waker.into_iter().for_each(Waker::wake);
            }
        }
    });
}

fn nothing_is_left_open() {
    let before = open_descriptors();
    for _ in 0..3 {
        let signals = open(Signal::USR1 | Signal::TERM).unwrap();
        let epoll = Epoll::new([&signals]).unwrap();
        kill(pid(), Signal::USR1);
        signals.wait().unwrap();
        let to = pid();
        let sender = std::thread::spawn(move || {
            wait_until_asleep(to);
            kill(to, Signal::USR1);
        });
        block_on(signals.recv()).unwrap().unwrap();
        sender.join().unwrap();
        drop(epoll);
        drop(signals);
        assert_eq!(open_descriptors(), before);
    }
}

/// A waker that is used after `block_on` has returned must not write to what
/// has become of the number of its descriptor.
fn a_late_wake_touches_no_descriptor() {
    let mut wakers = Vec::new();
    for _ in 0..10 {
        let mut polls = 0;
        block_on(poll_fn(|cx| {
            wakers.push(cx.waker().clone());
            polls += 1;
            let waker = cx.waker().clone();
            let sleeper = tid();
            if polls == 1 {
                std::thread::spawn(move || {
                    wait_until_asleep(sleeper);
                    waker.wake();
                });
                return Poll::Pending;
            }
            Poll::Ready(())
        }))
        .unwrap();
    }
    // Eventfds would take what is written to them, and show it.
    let flags = rustix::event::EventfdFlags::NONBLOCK;
    let others: Vec<_> =
        (0..20).map(|_| rustix::event::eventfd(0, flags).unwrap()).collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for waker in wakers.iter().cycle().take(10_000) {
                    waker.wake_by_ref();
                }
            });
        }
    });
    for other in &others {
        let error = rustix::io::read(other, &mut [0; 8]).unwrap_err();
        assert_eq!(error, rustix::io::Errno::AGAIN);
    }
}

/// Does something in a thread that blocks nothing, while all others do. When that says so
/// with a number, so many calls of this system call go well and the next one fails.
pub(crate) fn where_one_call_fails(
    syscall: libc::c_long,
    errno: libc::c_int,
    work: impl FnOnce(&dyn Fn(usize)) + Send,
) {
    let all = Signal::HUP | Signal::TERM | Signal::USR1;
    let _guard = block(all).unwrap();
    std::thread::scope(|scope| {
        let (tell, told) = channel();
        let worker = scope.spawn(move || {
            set_mask(SignalSet::empty());
            work(&|number| {
                let held = HeldCalls::of_this_thread(&[syscall]);
                tell.send((number, held)).unwrap();
            });
        });
        // Without sleeping, for to be woken could take a call that is held.
        let (number, held) = loop {
            match told.try_recv() {
                Err(TryRecvError::Empty) => std::thread::yield_now(),
                told => break told.unwrap(),
            }
        };
        let Ok(held) = held else {
            skip("seccomp cannot hold system calls here");
        };
        for _ in 0..number {
            held.before_the_next(|_| ());
        }
        held.fail_the_next(errno);
        while held.before_the_next(|_| ()) {}
        worker.join().unwrap();
    });
}

/// Once. Where it is refused for good nobody can be woken.
fn a_task_is_woken_though_a_call_is_refused() {
    for errno in [libc::EPERM, libc::ENOSYS] {
        let (tell, told) = channel();
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(move || {
                let mut polls = 0;
                block_on(poll_fn(|cx| {
                    polls += 1;
                    if polls > 1 {
                        return Poll::Ready(());
                    }
                    tell.send((tid(), cx.waker().clone())).unwrap();
                    Poll::Pending
                }))
            });
            let (thread, waker) = told.recv().unwrap();
            where_one_call_fails(libc::SYS_write, errno, |fail| {
                wait_until_asleep(thread);
                fail(0);
                waker.wake();
            });
            assert_eq!(sleeper.join().unwrap(), Ok(()));
        });
    }
}

fn a_subscriber_is_woken_though_a_call_is_refused() {
    let signals = open(Signal::USR2).unwrap();
    raise(Signal::USR2);
    let info = signals.wait().unwrap();
    for errno in [libc::EPERM, libc::ENOSYS] {
        let hub = Hub::<2, 4>::new();
        let mut subscriber = hub.subscribe(Signal::USR2).unwrap();
        let mut dispatcher = hub.dispatcher().unwrap();
        let (tell, told) = channel();
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(move || {
                tell.send(tid()).unwrap();
                subscriber.wait()
            });
            let thread = told.recv().unwrap();
            where_one_call_fails(libc::SYS_futex, errno, |fail| {
                wait_until_asleep(thread);
                fail(0);
                assert_eq!(dispatcher.dispatch(&info), Ok(1));
            });
            let got = sleeper.join().unwrap();
            assert_eq!(got.map(|it| it.signal()), Ok(Signal::USR2));
        });
    }
}

fn is_received(signals: &signalfd::Signals, signal: Signal) -> bool {
    raise(signal);
    let info = signals.try_recv().unwrap();
    info.is_some_and(|info| info.signal() == signal)
}

/// It is to be undone when the signals may not be unblocked.
fn a_change_that_fails_at_its_end_changes_nothing() {
    let set = Signal::HUP | Signal::TERM;
    let refused = Error::Os { op: Op::Sigprocmask, errno: libc::EPERM };
    let (call, errno) = (libc::SYS_rt_sigprocmask, libc::EPERM);
    where_one_call_fails(call, errno, |fail| {
        let signals = open(set).unwrap();
        fail(0);
        assert_eq!(signals.remove(Signal::HUP), Err(refused));
        assert_eq!(signals.signals(), set);
        assert_eq!(mask::current(), Ok(set));
        assert!(is_received(&signals, Signal::HUP));
        drop(signals);
        assert_eq!(mask::current(), Ok(SignalSet::empty()));
    });
    where_one_call_fails(call, errno, |fail| {
        let outer = open(set).unwrap();
        let inner = open(Signal::USR1).unwrap();
        // One blocks what is new, and one looks whether it is.
        fail(2);
        assert_eq!(inner.replace(Signal::HUP), Err(refused));
        assert_eq!(inner.signals(), Signal::USR1.into());
        assert_eq!(mask::current(), Ok(set | Signal::USR1));
        assert!(is_received(&inner, Signal::USR1));
        assert!(is_received(&outer, Signal::HUP));
        drop((inner, outer));
        assert_eq!(mask::current(), Ok(SignalSet::empty()));
    });
}

/// When an inner scope comes and goes, an outer one is given its set once more.
fn a_change_that_failed_does_not_come_back_later() {
    let refused = Error::Os { op: Op::Signalfd, errno: libc::ENOMEM };
    where_one_call_fails(libc::SYS_signalfd4, libc::ENOMEM, |fail| {
        let outer = open(Signal::HUP | Signal::TERM).unwrap();
        fail(0);
        assert_eq!(outer.remove(Signal::HUP), Err(refused));
        assert!(is_received(&outer, Signal::HUP));
        drop(open(Signal::USR1).unwrap());
        assert!(is_received(&outer, Signal::HUP));
    });
}
