//! Stopping, and going on.

#![allow(unsafe_code, reason = "process groups, actions and waitpid(2)")]

use std::cell::RefCell;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicI32, Ordering};

use signalfd::{Error, Op, Signal, SignalSet, Signals, mask, suspend};

use crate::common::{
    Child, End, check, forbid, kernel_action, kill, open, pid,
};
use crate::harness::{cases, racing_rounds};

cases! {
    the_parent_sees_that_it_stopped_and_continued,
    mask_and_action_come_back,
    a_receiver_stops_by_the_record_and_receives_the_continuation,
    one_that_is_pending_is_part_of_the_stop,
    it_is_never_ignored,
    what_stops_and_is_not_fatal_ends_when_it_is_continued,
    an_orphaned_process_group_goes_on_at_once,
    pid_1_goes_on_at_once,
    what_is_refused_changes_nothing,
}

/// Forks a child that can be stopped: in a process group of its own, with its
/// parent in another one of the session.
fn fork_in_group(run: impl FnOnce() -> i32) -> Child {
    Child::fork(|| {
        // SAFETY: takes numbers.
        check(unsafe { libc::setpgid(0, 0) }).unwrap();
        run()
    })
}

/// What waitpid(2) tells of a child.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Change {
    StoppedBy(i32),
    Continued,
    Ended(End),
}

fn next_change(child: &Child) -> Change {
    let mut status = 0;
    let options = libc::WUNTRACED | libc::WCONTINUED;
    // SAFETY: writes an int at the pointer, which lives past the call.
    let result = unsafe { libc::waitpid(child.pid, &raw mut status, options) };
    check(result).unwrap();
    if libc::WIFSTOPPED(status) {
        Change::StoppedBy(libc::WSTOPSIG(status))
    } else if libc::WIFCONTINUED(status) {
        Change::Continued
    } else if libc::WIFEXITED(status) {
        Change::Ended(End::Exited(libc::WEXITSTATUS(status)))
    } else {
        Change::Ended(End::Killed(libc::WTERMSIG(status)))
    }
}

/// Sees the child stop, and continues it. That it has been continued is not told
/// once it has stopped again or ended.
fn assert_stops(child: &Child, signal: Signal) {
    let change = match next_change(child) {
        Change::Continued => next_change(child),
        change => change,
    };
    assert_eq!(change, Change::StoppedBy(signal.as_raw()));
    kill(child.pid, Signal::CONT);
}

fn assert_ends(child: &Child, status: i32) {
    let change = match next_change(child) {
        Change::Continued => next_change(child),
        change => change,
    };
    assert_eq!(change, Change::Ended(End::Exited(status)));
}

fn assert_stops_once_and_succeeds(child: &Child) {
    assert_stops(child, Signal::TSTP);
    assert_ends(child, 0);
}

/// Suspends, and says which of the two ran, in their order.
fn suspend_and_say() -> (Result<(), Error>, String) {
    let ran = RefCell::new(String::new());
    let result = suspend(
        || ran.borrow_mut().push_str("before "),
        || ran.borrow_mut().push_str("after"),
    );
    (result, ran.into_inner())
}

fn suspends_well() -> bool {
    suspend_and_say() == (Ok(()), "before after".into())
}

/// The same in a scope: a ring that reads ahead must not have the signal.
fn suspends_well_inside(signals: &Signals) -> bool {
    if !crate::battery().reads_ahead() {
        return suspends_well();
    }
    signals.remove(Signal::TSTP).unwrap();
    let well = suspends_well();
    signals.insert(Signal::TSTP).unwrap();
    well
}

fn the_parent_sees_that_it_stopped_and_continued() {
    let (mut parents, childs) = UnixStream::pair().unwrap();
    let child = fork_in_group(|| {
        let say = |word: &[u8]| (&childs).write_all(word).unwrap();
        suspend(|| say(b"before"), || say(b"after")).unwrap();
        // It stays until the parent has seen it go on.
        (&childs).read_exact(&mut [0]).unwrap();
        0
    });
    assert_eq!(next_change(&child), Change::StoppedBy(libc::SIGTSTP));
    let mut said = [0; 64];
    let length = parents.read(&mut said).unwrap();
    assert_eq!(&said[..length], b"before");
    kill(child.pid, Signal::CONT);
    assert_eq!(next_change(&child), Change::Continued);
    let length = parents.read(&mut said).unwrap();
    assert_eq!(&said[..length], b"after");
    parents.write_all(&[0]).unwrap();
    assert_ends(&child, 0);
}

fn mask_and_action_come_back() {
    const extern "C" fn handler(_: libc::c_int) {}
    let handler: extern "C" fn(libc::c_int) = handler;
    let handlers =
        [libc::SIG_DFL, libc::SIG_IGN, handler as libc::sighandler_t];
    for handler in handlers {
        for set in [SignalSet::empty(), SignalSet::TSTP | SignalSet::CONT] {
            let child = fork_in_group(|| {
                // SAFETY: an all-zero value is allowed.
                let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
                action.sa_sigaction = handler;
                action.sa_flags = libc::SA_RESTART | libc::SA_NODEFER;
                // SAFETY: adds to a set.
                unsafe { libc::sigaddset(&raw mut action.sa_mask, 10) };
                let none = std::ptr::null_mut();
                // SAFETY: sets the action.
                let result = unsafe {
                    libc::sigaction(libc::SIGTSTP, &raw const action, none)
                };
                check(result).unwrap();
                crate::common::set_mask(set | Signal::HUP);
                let before = kernel_action(libc::SIGTSTP);
                assert!(suspends_well());
                assert_eq!(kernel_action(libc::SIGTSTP), before);
                assert_eq!(mask::current(), Ok(set | Signal::HUP));
                0
            });
            assert_stops_once_and_succeeds(&child);
        }
    }
}

fn a_receiver_stops_by_the_record_and_receives_the_continuation() {
    let child = fork_in_group(|| {
        let signals = open(Signal::TSTP | Signal::CONT).unwrap();
        for _ in 0..2 {
            kill(pid(), Signal::TSTP);
            let info = signals.wait().unwrap();
            assert_eq!(info.signal(), Signal::TSTP);
            assert!(suspends_well_inside(&signals));
            let info = signals.wait().unwrap();
            assert_eq!(info.signal(), Signal::CONT);
            assert_eq!(signals.try_recv(), Ok(None));
        }
        0
    });
    assert_stops(&child, Signal::TSTP);
    assert_stops_once_and_succeeds(&child);
}

fn one_that_is_pending_is_part_of_the_stop() {
    if crate::battery().reads_ahead() {
        // The ring has it, and no stop takes it from there.
        return;
    }
    let child = fork_in_group(|| {
        let signals = open(Signal::TSTP).unwrap();
        kill(pid(), Signal::TSTP);
        assert!(suspends_well());
        assert_eq!(signals.try_recv(), Ok(None));
        0
    });
    assert_stops_once_and_succeeds(&child);
}

/// What another thread finds, a child that it starts would inherit.
fn it_is_never_ignored() {
    let rounds = racing_rounds();
    let child = fork_in_group(|| {
        let signals = open(Signal::TSTP | Signal::HUP).unwrap();
        let stopped = AtomicI32::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while stopped.load(Ordering::Relaxed) < rounds {
                    let action = kernel_action(libc::SIGTSTP);
                    assert_ne!(action[0], libc::SIG_IGN);
                }
            });
            for _ in 0..rounds {
                assert!(suspends_well_inside(&signals));
                stopped.fetch_add(1, Ordering::Relaxed);
            }
        });
        0
    });
    for _ in 0..rounds {
        assert_stops(&child, Signal::TSTP);
    }
    assert_ends(&child, 0);
}

fn what_stops_and_is_not_fatal_ends_when_it_is_continued() {
    let signals = [Signal::TSTP, Signal::TTIN, Signal::TTOU, Signal::STOP];
    for signal in signals {
        let child = fork_in_group(|| signal.die());
        assert_stops(&child, signal);
        assert_ends(&child, 128 + signal.as_raw());
    }
}

fn an_orphaned_process_group_goes_on_at_once() {
    let child = Child::fork(|| {
        // SAFETY: has no preconditions.
        check(unsafe { libc::setsid() }).unwrap();
        let signals = open(Signal::TSTP | Signal::CONT).unwrap();
        assert!(suspends_well_inside(&signals));
        assert_eq!(signals.try_recv(), Ok(None));
        assert_eq!(mask::current(), Ok(Signal::TSTP | Signal::CONT));
        0
    });
    assert_ends(&child, 0);
}

fn pid_1_goes_on_at_once() {
    let child = super::exit::fork_pid_1(|| {
        let signals = open(Signal::TSTP | Signal::CONT).unwrap();
        assert!(suspends_well_inside(&signals));
        assert_eq!(signals.try_recv(), Ok(None));
        0
    });
    assert_ends(&child, 0);
}

fn what_is_refused_changes_nothing() {
    let _signals = open(Signal::TSTP).unwrap();
    let before = kernel_action(libc::SIGTSTP);
    for (call, op) in [
        (libc::SYS_tgkill, Op::Tgkill),
        (libc::SYS_rt_sigaction, Op::Sigaction),
    ] {
        let child = fork_in_group(|| {
            forbid(call, libc::EPERM);
            let error = Error::Os { op, errno: libc::EPERM };
            let said = suspend_and_say();
            assert_eq!(said, (Err(error), "before after".into()));
            assert!(error.to_string().contains("seccomp"), "{error}");
            assert_eq!(mask::current(), Ok(Signal::TSTP.into()));
            if op == Op::Tgkill {
                assert_eq!(kernel_action(libc::SIGTSTP), before);
            }
            0
        });
        child.wait_for_success();
    }
}
