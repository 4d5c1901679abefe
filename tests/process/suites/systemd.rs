//! systemd: `src/libsystemd/sd-event/test-event.c` as it is with
//! `child_autoreap_ebusy`, `src/test/test-signal-util.c` at 6cdd10c1, and what
//! `src/test/test-process-util.c` says about signals and children.
//!
//! A source of signals is a receiver here, and a source for a child is a place of a
//! `Reaper`. In which order sources are looked at is the caller's decision.
//!
//! Not here, or otherwise:
//!
//! | case | why |
//! |---|---|
//! | `basic`: sources for descriptors, timers, what is deferred, what comes last; a signal without a handler ends the loop | there is no event loop |
//! | `basic`, `pidfd`, `child_pidfd_wnowait`: children by their pidfd | a `Reaper` asks by number, and needs none |
//! | `pidfd`: the child that is owned is killed with its source | a `Reaper` kills nobody |
//! | `child_wnowait`: the source is told of one end five times | an end is reported once; a child that is not given stays to be waited for |
//! | `child_autoreap_ebusy`: an error when the child is added | when it is asked for, since the action may change meanwhile |
//! | `fork`: references become `NULL` | `Error::Forked` |
//! | `sd_event_now`, `inotify*`, `ratelimit`, `leave_ratelimit`, `sd_event_source_set_io_fd`, `defer_*`, `exit_on_idle*` | nothing about signals |
//! | `signal_from_string`: `hup` in lower case is refused | names are taken in any case |
//! | the same: `+5` and blanks before it are a number, `-2` and `10000` out of range | digits only; the number is in the error |
//! | `pop_pending_signal` where the signal is not blocked | a receiver is not made there: `Error::NotBlocked` |
//! | `safe_fork`: closing descriptors, dying with the parent, standard streams, detaching | nothing about receiving |
//! | `pid_is_unwaited`, `pid_is_alive`, `getpid_cached`, and the rest of `test-process-util.c` | names, limits and numbers of processes; that a fork is noticed is tested in `forks.rs` |

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use signalfd::{
    Cause, ChildState, Error, Reaper, Receiver, RestoreSignals, Signal,
    SignalSet, block, mask,
};

use super::{look, rt, wait};
use crate::battery;
use crate::common::{
    Child, End, kill, open, pid, raise, receiver_for, set_action, sigqueue, uid,
};
use crate::harness::cases;

cases! {
    a_signal_starts_a_child_which_is_sent_one_and_ends,
    the_order_of_receivers_is_the_callers,
    of_two_children_the_one_that_ended_is_reported,
    a_wait_is_never_shorter_than_its_timeout,
    a_forked_child_is_told,
    a_child_that_is_given_to_nobody_stays_to_be_waited_for,
    children_that_the_kernel_reaps_are_reported_as_none,

    there_are_enough_real_time_signals,
    names_and_numbers_are_read,
    names_that_are_none_are_refused,
    what_a_guard_blocks_is_blocked_as_long,
    what_is_ignored_does_no_harm,
    pending_ones_are_taken_one_by_one,
    a_child_begins_with_nothing_blocked,
}

/// The child receives a value, and ends with a status; its end is received.
// systemd: test-event.c: basic
fn a_signal_starts_a_child_which_is_sent_one_and_ends() {
    let signals = open(Signal::USR1).unwrap();
    raise(Signal::USR1);
    assert_eq!(wait(&signals), Signal::USR1);
    signals.insert(Signal::CHLD | Signal::USR2).unwrap();
    let child = Child::fork(|| {
        // It is blocked here, too, and may have been sent already.
        let receiver = receiver_for(Signal::USR2).unwrap();
        let info = receiver.wait().unwrap();
        assert_eq!(info.cause(), Cause::Queue { value: 4711 });
        78
    });
    let mut reaper = Reaper::<1>::new();
    reaper.add(child.pid as u32).unwrap();
    sigqueue(child.pid, Signal::USR2, 4711).unwrap();
    let info = signals.wait().unwrap();
    assert_eq!(info.signal(), Signal::CHLD);
    assert_eq!(info.uid(), Some(uid()));
    let Cause::Child { state, pid, status, .. } = info.cause() else {
        panic!("{info}");
    };
    assert_eq!((state, pid), (ChildState::Exited, child.pid as u32));
    assert_eq!(status, 78);
    let exit = reaper.reap().next().unwrap().unwrap();
    assert_eq!((exit.state(), exit.status()), (ChildState::Exited, 78));
}

// systemd: test-event.c: rtqueue
fn the_order_of_receivers_is_the_callers() {
    let _guard = block(rt(2) | rt(3) | Signal::USR2).unwrap();
    let [low, high, standard] = [rt(2), rt(3), Signal::USR2]
        .map(|signal| receiver_for(signal).unwrap());
    let sent = [
        (rt(2), 1),
        (rt(3), 2),
        (Signal::USR2, 3),
        (rt(3), 4),
        (Signal::USR2, 5),
    ];
    for (signal, value) in sent {
        sigqueue(pid(), signal, value).unwrap();
    }
    let next = |receiver: &Receiver| {
        receiver.try_recv().unwrap().map(|info| info.value().unwrap())
    };
    assert_eq!([next(&high), next(&high)], [Some(2), Some(4)]);
    assert_eq!(next(&standard), Some(3));
    assert_eq!(next(&low), Some(1));
    // The other one came while the first was pending, unless a ring has taken that.
    let other = next(&standard);
    let expected = if battery().reads_ahead() { other } else { None };
    assert_eq!(other, expected);
    assert!(other.is_none_or(|value| value == 5));
    for receiver in [&high, &standard, &low] {
        assert_eq!(next(receiver), None);
    }
}

/// A child that lives until its input ends.
fn living() -> std::process::Child {
    Command::new("cat").stdin(Stdio::piped()).spawn().unwrap()
}

// systemd: test-event.c: pidfd
fn of_two_children_the_one_that_ended_is_reported() {
    let signals = open(Signal::CHLD).unwrap();
    let (ends, mut lives) = (Child::fork(|| 66), living());
    {
        let mut reaper = Reaper::<2>::new();
        reaper.add(ends.pid as u32).unwrap();
        reaper.add(lives.id()).unwrap();
        let info = signals.wait().unwrap();
        assert_eq!(info.status(), Some(66));
        let exits: Vec<_> = reaper.reap().map(Result::unwrap).collect();
        let [exit] = exits[..] else { panic!("{exits:?}") };
        assert_eq!((exit.pid(), exit.status()), (ends.pid as u32, 66));
    }
    // The other one is alive, and stays so when it is of no interest any more.
    assert!(lives.try_wait().unwrap().is_none());
    assert!(lives.wait().unwrap().success());
}

// systemd: test-event.c: simple_timeout
fn a_wait_is_never_shorter_than_its_timeout() {
    let signals = open(Signal::USR1).unwrap();
    for micros in [0, 1, 999, 1_000, 1_001, 20_000] {
        let timeout = Duration::from_micros(micros);
        let begin = Instant::now();
        assert_eq!(signals.wait_timeout(timeout), Ok(None));
        assert!(begin.elapsed() >= timeout, "{timeout:?}");
    }
}

// systemd: test-event.c: fork
fn a_forked_child_is_told() {
    let signals = open(Signal::USR1).unwrap();
    let child = Child::fork(|| {
        assert_eq!(signals.try_recv(), Err(Error::Forked));
        0
    });
    child.wait_for_success();
    raise(Signal::USR1);
    assert_eq!(look(&signals), Some(Signal::USR1));
}

// systemd: test-event.c: child_wnowait
fn a_child_that_is_given_to_nobody_stays_to_be_waited_for() {
    let signals = open(Signal::CHLD).unwrap();
    let (given, kept) = (Child::fork(|| 41), Child::fork(|| 42));
    let mut reaper = Reaper::<1>::new();
    reaper.add(given.pid as u32).unwrap();
    while !reaper.is_empty() {
        assert_eq!(wait(&signals), Signal::CHLD);
        for exit in reaper.reap() {
            assert_eq!(exit.unwrap().status(), 41);
        }
    }
    for _ in 0..5 {
        assert_eq!(reaper.reap().count(), 0);
    }
    assert_eq!(kept.wait(), End::Exited(42));
}

// systemd: test-event.c: child_autoreap_ebusy
fn children_that_the_kernel_reaps_are_reported_as_none() {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    set_action(Signal::CHLD, libc::SIG_IGN, 0);
    let child = Child::fork(|| {
        (&theirs).read_exact(&mut [0]).unwrap();
        0
    });
    let id = child.pid as u32;
    let mut reaper = Reaper::<1>::new();
    reaper.add(id).unwrap();
    assert_eq!(reaper.reap().count(), 0, "it is alive");
    ours.write_all(&[0]).unwrap();
    let mut last = None;
    crate::common::wait_until("the kernel has reaped it", || {
        last = reaper.reap().next();
        last.is_some()
    });
    assert_eq!(last, Some(Err(Error::NoSuchChild(id))));
    assert!(reaper.is_empty());
}

// systemd: test-signal-util.c: rt_signals
fn there_are_enough_real_time_signals() {
    let count = (0..).map_while(Signal::rt).count();
    let least = if cfg!(target_env = "gnu") { 31 } else { 30 };
    assert!(count >= least, "{count}");
}

// systemd: test-signal-util.c: signal_from_string
fn names_and_numbers_are_read() {
    let last = libc::SIGRTMAX() - libc::SIGRTMIN();
    let top = Signal::try_from(libc::SIGRTMAX()).unwrap();
    let below = Signal::try_from(libc::SIGRTMAX() - 4).unwrap();
    for signal in [Signal::HUP, Signal::TERM, rt(0), rt(3), below] {
        let name = signal.to_string();
        assert_eq!(name.parse(), Ok(signal));
        assert_eq!(name.strip_prefix("SIG").unwrap().parse(), Ok(signal));
    }
    for (text, signal) in [
        ("RTMIN".into(), rt(0)),
        ("RTMAX".into(), top),
        (format!("RTMIN+{last}"), top),
        (format!("RTMAX-{last}"), rt(0)),
        ("3".into(), Signal::QUIT),
    ] {
        assert_eq!(text.parse(), Ok(signal), "{text}");
    }
}

// systemd: test-signal-util.c: signal_from_string
fn names_that_are_none_are_refused() {
    let far = i32::MAX;
    let names = format!(
        "|HOGEHOGE|SIG3|RTMIN+{far}|RTMIN-5|RTMIN-    5|RTMIN    -5|RTMIN+    5|\
         RTMIN    +5|RTMIN+100|RTMIN+-3|RTMIN++3|RTMIN+HUP|RTMIN3|\
         RTMAX-{far}|RTMAX+5|RTMAX+    5|RTMAX    +5|RTMAX-    5|RTMAX    -5|\
         RTMAX-100|RTMAX-+3|RTMAX--3|RTMAX-HUP"
    );
    for name in names.split('|') {
        for name in [name.to_owned(), format!("SIG{name}")] {
            let read = name.parse::<Signal>();
            assert_eq!(read, Err(Error::UnknownName), "{name:?}");
        }
    }
    for number in [10_000, -2, 0] {
        let read = number.to_string().parse::<Signal>();
        assert_eq!(read, Err(Error::InvalidNumber(number)));
    }
}

// systemd: test-signal-util.c: block_signals
fn what_a_guard_blocks_is_blocked_as_long() {
    assert_eq!(mask::current(), Ok(SignalSet::empty()));
    let guard = block(Signal::USR1 | Signal::VTALRM).unwrap();
    assert_eq!(mask::current(), Ok(Signal::USR1 | Signal::VTALRM));
    drop(guard);
    assert_eq!(mask::current(), Ok(SignalSet::empty()));
}

// systemd: test-signal-util.c: ignore_signals
fn what_is_ignored_does_no_harm() {
    let ignored =
        Signal::INT | Signal::USR1 | Signal::USR2 | Signal::TERM | Signal::PIPE;
    for signal in ignored.signals() {
        set_action(signal, libc::SIG_IGN, 0);
        kill(pid(), signal);
    }
    let signals = open(ignored).unwrap();
    assert_eq!(look(&signals), None);
    for signal in ignored.signals() {
        kill(pid(), signal);
        assert_eq!(wait(&signals), signal);
    }
    ignored.signals().for_each(|signal| kill(pid(), signal));
    // What is pending still is ignored again.
    drop(signals);
    assert_eq!(look(&open(ignored).unwrap()), None);
    for signal in ignored.signals() {
        kill(pid(), signal);
        set_action(signal, libc::SIG_DFL, 0);
    }
}

// systemd: test-signal-util.c: pop_pending_signal
fn pending_ones_are_taken_one_by_one() {
    let both = Signal::USR1 | Signal::USR2;
    assert_eq!(receiver_for(both).unwrap_err(), Error::NotBlocked(both));
    let guard = block(both).unwrap();
    let [first, second] =
        [Signal::USR1, Signal::USR2].map(|one| receiver_for(one).unwrap());
    raise(Signal::USR1);
    assert_eq!(look(&second), None);
    assert_eq!(look(&first), Some(Signal::USR1));
    assert_eq!(look(&first), None);
    drop((first, second));
    let receiver = receiver_for(both).unwrap();
    assert_eq!(look(&receiver), None);
    raise(Signal::USR1);
    raise(Signal::USR2);
    assert_eq!(look(&receiver), Some(Signal::USR1));
    assert_eq!(look(&receiver), Some(Signal::USR2));
    assert_eq!(look(&receiver), None);
    drop(guard);
    assert_eq!(mask::current(), Ok(SignalSet::empty()));
    assert_eq!(receiver_for(both).unwrap_err(), Error::NotBlocked(both));
}

/// What runs there may be ended by a signal that its parent receives.
// systemd: test-process-util.c: safe_fork, with its signals reset
fn a_child_begins_with_nothing_blocked() {
    let signals = open(Signal::CHLD | Signal::TERM).unwrap();
    set_action(Signal::USR1, libc::SIG_IGN, 0);
    let mut command = Command::new("cat");
    command.stdin(Stdio::piped()).process_group(0);
    command.restore_signals(signals.guard().saved());
    let mut child = command.spawn().unwrap();
    kill(pid(), Signal::TERM);
    assert_eq!(wait(&signals), Signal::TERM);
    assert!(child.try_wait().unwrap().is_none(), "it is not for the child");
    kill(i32::try_from(child.id()).unwrap(), Signal::TERM);
    let info = signals.wait().unwrap();
    let Cause::Child { state, pid, status, .. } = info.cause() else {
        panic!("{info}");
    };
    assert_eq!((state, pid), (ChildState::Killed, child.id()));
    assert_eq!(status, libc::SIGTERM);
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGTERM));
}
