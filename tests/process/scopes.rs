//! What happens to signals when a scope ends.

use std::future::{Future, pending};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::pin::{Pin, pin};
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use signalfd::{Error, Signal, Signals, block, block_on, mask};

use crate::common::{
    Child, DEADLINE, End, SharedCount, kill, open, pid, receiver_for, sigqueue,
    wait_until,
};
use crate::harness::{cases, racing_rounds, to_die_here};

cases! {
    open_blocks_receives_and_restores,
    a_mask_that_was_partly_blocked_comes_back_as_it_was,
    an_unread_signal_reaches_the_outer_receiver,
    what_the_inner_scope_receives_the_outer_does_not,
    the_outer_scope_has_what_comes_after_the_inner,
    a_cancelled_consumer_loses_nothing,
    a_thousand_ends_lose_no_signal_and_double_none,
    an_unread_signal_takes_its_default_action => libc::SIGTERM,
    an_unread_real_time_signal_takes_its_default_action => 40,
    a_removed_signal_takes_its_default_action => libc::SIGUSR1,
    a_signal_put_back_ends_the_process_by_itself => libc::SIGTERM,
    an_ignored_signal_is_received_while_it_is_blocked,
    signals_that_are_ignored_by_default_are_received,
    ignored_children_send_nothing,
    kill_still_kills => libc::SIGKILL,
    a_failed_open_leaves_no_trace,
    a_receiver_can_go_to_another_thread_and_outlive_the_scope_there,
    children_see_nothing_of_the_descriptor,
}

fn open_blocks_receives_and_restores() {
    let before = mask::current().unwrap();
    assert!(before.is_empty());
    let signals = open(Signal::HUP | Signal::TERM).unwrap();
    assert_eq!(mask::current().unwrap(), Signal::HUP | Signal::TERM);
    kill(pid(), Signal::HUP);
    kill(pid(), Signal::TERM);
    assert_eq!(signals.wait().unwrap().signal(), Signal::HUP);
    assert_eq!(signals.wait().unwrap().signal(), Signal::TERM);
    assert_eq!(signals.try_recv().unwrap(), None);
    drop(signals);
    assert_eq!(mask::current().unwrap(), before);
}

fn a_mask_that_was_partly_blocked_comes_back_as_it_was() {
    let _outer = block(Signal::HUP).unwrap();
    for _ in 0..3 {
        let signals = open(Signal::HUP | Signal::TERM).unwrap();
        let inner = open(Signal::TERM | Signal::USR1).unwrap();
        drop(inner);
        assert_eq!(mask::current().unwrap(), Signal::HUP | Signal::TERM);
        drop(signals);
        assert_eq!(mask::current().unwrap(), Signal::HUP.into());
    }
}

fn an_unread_signal_reaches_the_outer_receiver() {
    let rt = Signal::rt(1).unwrap();
    let outer = open(Signal::TERM | rt).unwrap();
    let inner = open(Signal::TERM | rt).unwrap();
    kill(pid(), Signal::TERM);
    for value in 0..3 {
        sigqueue(pid(), rt, value).unwrap();
    }
    if crate::battery().reads_ahead() {
        // The ring of the inner one has read them all, and the rest goes back.
        assert_eq!(inner.wait().unwrap().signal(), Signal::TERM);
        drop(inner);
        let rest = std::iter::from_fn(|| outer.try_recv().unwrap()).count();
        assert_eq!(rest, 3);
        return;
    }
    assert_eq!(inner.wait().unwrap().signal(), Signal::TERM);
    assert_eq!(inner.wait().unwrap().value(), Some(0));
    drop(inner);
    assert_eq!(outer.wait().unwrap().value(), Some(1));
    assert_eq!(outer.wait().unwrap().value(), Some(2));
}

fn what_the_inner_scope_receives_the_outer_does_not() {
    let outer = open(Signal::INT | Signal::TERM).unwrap();
    for _ in 0..100 {
        let inner = open(Signal::TERM).unwrap();
        kill(pid(), Signal::INT);
        kill(pid(), Signal::TERM);
        assert_eq!(inner.wait().unwrap().signal(), Signal::TERM);
        assert_eq!(inner.try_recv().unwrap(), None, "it is not of its set");
        drop(inner);
        assert_eq!(outer.wait().unwrap().signal(), Signal::INT);
        assert_eq!(outer.try_recv().unwrap(), None);
    }
}

fn the_outer_scope_has_what_comes_after_the_inner() {
    let rt = Signal::rt(1).unwrap();
    let outer = open(rt).unwrap();
    for value in 0..100 {
        drop(open(rt).unwrap());
        assert_eq!(mask::current().unwrap(), rt.into());
        sigqueue(pid(), rt, value).unwrap();
        assert_eq!(outer.wait().unwrap().value(), Some(value));
    }
    assert_eq!(outer.try_recv().unwrap(), None);
}

/// One after the other gives up while it waits, in every way there is to wait.
fn a_cancelled_consumer_loses_nothing() {
    let rt = Signal::rt(1).unwrap();
    let signals = open(rt).unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    let mut received = Vec::new();
    for value in 0..300 {
        let taken = match value % 3 {
            0 => {
                let mut recv = signals.recv();
                assert!(Pin::new(&mut recv).poll(&mut cx).is_pending());
                sigqueue(pid(), rt, value).unwrap();
                drop(recv);
                signals.wait().unwrap()
            }
            1 => {
                {
                    let mut until = pin!(signals.until(pending::<()>()));
                    assert!(until.as_mut().poll(&mut cx).is_pending());
                    sigqueue(pid(), rt, value).unwrap();
                }
                block_on(signals.recv()).unwrap().unwrap()
            }
            _ => {
                let moment = Duration::from_millis(1);
                assert_eq!(signals.wait_timeout(moment).unwrap(), None);
                sigqueue(pid(), rt, value).unwrap();
                signals.wait_timeout(DEADLINE).unwrap().unwrap()
            }
        };
        received.push(taken.value().unwrap());
    }
    assert!(received.into_iter().eq(0..300));
    assert_eq!(signals.try_recv().unwrap(), None);
}

/// When a signal comes that races with the end of a scope.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Comes {
    BeforeItLooks,
    /// And it does not look.
    BeforeItEnds,
    /// Now earlier, now later.
    Meanwhile,
    AfterItHasEnded,
}

impl Comes {
    /// So many rounds of a race, and first each end that it can have.
    pub(crate) fn in_rounds(races: i32) -> impl Iterator<Item = (i32, Self)> {
        let ends =
            [Self::BeforeItLooks, Self::BeforeItEnds, Self::AfterItHasEnded];
        (0..).zip(ends).chain((0..races).map(|round| (round, Self::Meanwhile)))
    }

    /// Whether the scope may have received it, or may not.
    pub(crate) const fn allows(self, is_received: bool) -> bool {
        match self {
            Self::BeforeItLooks => is_received,
            Self::Meanwhile => true,
            Self::BeforeItEnds | Self::AfterItHasEnded => !is_received,
        }
    }
}

/// A signal comes while a scope ends. Either the scope has received it, or it takes
/// its default action; never neither, and never both. `open` makes something besides
/// the scope, and `close` ends that; then nothing of the signal is on its way.
pub(crate) fn race_with_the_end<T>(
    open: impl Fn() -> (Signals, T),
    close: impl Fn(T),
) {
    const RECEIVED: i32 = 7;
    const LOST: i32 = 8;
    let (sent, mut sent_before) = (SharedCount::new(), 0);
    for (round, comes) in Comes::in_rounds(racing_rounds()) {
        let (mut parents, mut childs) = UnixStream::pair().unwrap();
        let child = Child::fork(|| {
            let (signals, rest) = open();
            childs.write_all(b"o").unwrap();
            let wait_for_it = || {
                wait_until("it is sent", || sent.get() > sent_before);
            };
            let look = || signals.try_recv().unwrap().is_some();
            let received = match comes {
                Comes::BeforeItLooks => {
                    wait_for_it();
                    signals.wait_timeout(DEADLINE).unwrap().is_some()
                }
                Comes::BeforeItEnds => {
                    wait_for_it();
                    false
                }
                Comes::Meanwhile if round % 2 == 0 => {
                    (0..round % 40).any(|_| look())
                }
                Comes::Meanwhile => {
                    (0..round % 50).for_each(|_| thread::yield_now());
                    look()
                }
                Comes::AfterItHasEnded => false,
            };
            if received {
                childs.write_all(b"r").unwrap();
            }
            drop(signals);
            if comes == Comes::AfterItHasEnded {
                childs.write_all(b"e").unwrap();
            }
            wait_for_it();
            close(rest);
            // If it is there, this ends the process.
            thread::yield_now();
            if received { RECEIVED } else { LOST }
        });
        drop(childs);
        parents.read_exact(&mut [0]).unwrap();
        if comes == Comes::AfterItHasEnded {
            parents.read_exact(&mut [0]).unwrap();
        }
        kill(child.pid, Signal::TERM);
        sent.add_one();
        sent_before += 1;
        let end = child.wait();
        let mut said = Vec::new();
        parents.read_to_end(&mut said).unwrap();
        let received = said == b"r";
        let expected = if received {
            End::Exited(RECEIVED)
        } else {
            End::Killed(libc::SIGTERM)
        };
        assert_eq!(end, expected, "{comes:?}, round {round}");
        assert!(comes.allows(received), "{comes:?}: {received}");
    }
}

fn a_thousand_ends_lose_no_signal_and_double_none() {
    race_with_the_end(|| (open(Signal::TERM).unwrap(), ()), drop);
}

fn an_unread_signal_takes_its_default_action() {
    let signals = open(Signal::TERM).unwrap();
    kill(pid(), Signal::TERM);
    to_die_here();
    drop(signals);
}

fn an_unread_real_time_signal_takes_its_default_action() {
    let signal = Signal::try_from(40).unwrap();
    let signals = open(signal).unwrap();
    sigqueue(pid(), signal, 1).unwrap();
    to_die_here();
    drop(signals);
}

fn a_removed_signal_takes_its_default_action() {
    let signals = open(Signal::USR1 | Signal::USR2).unwrap();
    kill(pid(), Signal::USR1);
    signals.remove(Signal::USR2).unwrap();
    signals.insert(Signal::USR2).unwrap();
    to_die_here();
    signals.remove(Signal::USR1).unwrap();
}

fn a_signal_put_back_ends_the_process_by_itself() {
    let signals = open(Signal::TERM).unwrap();
    kill(pid(), Signal::TERM);
    let info = signals.wait().unwrap();
    signals.put_back(&info).unwrap();
    to_die_here();
    drop(signals);
}

fn an_ignored_signal_is_received_while_it_is_blocked() {
    // SAFETY: sets the action to ignore the signal.
    #[expect(unsafe_code, reason = "as nohup(1) does")]
    unsafe {
        libc::signal(libc::SIGHUP, libc::SIG_IGN)
    };
    let signals = open(Signal::HUP).unwrap();
    kill(pid(), Signal::HUP);
    assert_eq!(signals.wait().unwrap().signal(), Signal::HUP);
}

fn signals_that_are_ignored_by_default_are_received() {
    let set = Signal::CHLD | Signal::WINCH | Signal::URG | Signal::CONT;
    let signals = open(set).unwrap();
    for signal in set.signals() {
        kill(pid(), signal);
        assert_eq!(signals.wait().unwrap().signal(), signal);
    }
}

/// With `SIG_IGN` for `SIGCHLD` the kernel reaps the children and says nothing.
fn ignored_children_send_nothing() {
    // SAFETY: sets the action to ignore the signal.
    #[expect(unsafe_code, reason = "as some parents leave it")]
    unsafe {
        libc::signal(libc::SIGCHLD, libc::SIG_IGN)
    };
    let signals = open(Signal::CHLD).unwrap();
    let child = Child::fork(|| 0);
    let gone = || {
        // SAFETY: takes numbers, and sends nothing.
        #[expect(unsafe_code, reason = "asks whether a process is there")]
        let result = unsafe { libc::kill(child.pid, 0) };
        result == -1
    };
    wait_until("the child has been reaped", gone);
    assert_eq!(signals.try_recv(), Ok(None));
}

fn kill_still_kills() {
    let _signals = open(signalfd::SignalSet::all()).unwrap();
    to_die_here();
    kill(pid(), Signal::KILL);
}

fn a_failed_open_leaves_no_trace() {
    let before = crate::common::open_descriptors();
    let set = Signal::KILL | Signal::TERM;
    assert_eq!(open(set).unwrap_err(), Error::Unblockable(Signal::KILL.into()));
    assert!(mask::current().unwrap().is_empty());
    assert_eq!(crate::common::open_descriptors(), before);
    drop(open(Signal::TERM).unwrap());
    assert_eq!(crate::common::open_descriptors(), before);
}

fn a_receiver_can_go_to_another_thread_and_outlive_the_scope_there() {
    let _guard = block(Signal::TERM).unwrap();
    let receiver = receiver_for(Signal::TERM).unwrap();
    let thread = thread::spawn(move || receiver.wait().unwrap());
    kill(pid(), Signal::TERM);
    assert_eq!(thread.join().unwrap().signal(), Signal::TERM);
}

fn children_see_nothing_of_the_descriptor() {
    let signals = open(Signal::USR1).unwrap();
    kill(pid(), Signal::USR1);
    // The first wait makes the second descriptor.
    signals.wait().unwrap();
    let listing = std::process::Command::new("ls")
        .args(["-l", "/proc/self/fd"])
        .output()
        .unwrap();
    let listing = String::from_utf8(listing.stdout).unwrap();
    assert!(!listing.contains("signalfd"), "{listing}");
    // A forked child has them, and its end leaves the parent's alone.
    let end = Child::fork(|| 3).wait();
    assert_eq!(end, End::Exited(3));
    kill(pid(), Signal::USR1);
    assert_eq!(signals.wait().unwrap().signal(), Signal::USR1);
}
