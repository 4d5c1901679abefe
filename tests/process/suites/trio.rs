//! trio: `src/trio/_tests/test_signals.py` at 60d0c2f8.
//!
//! Its suite has no case for receivers inside one another; what trio documents of
//! them, and what follows from the handlers that it restores, is tested here as well.
//!
//! Not here, or otherwise:
//!
//! | case | why |
//! |---|---|
//! | `test_open_signal_receiver`: to iterate after the scope is a `RuntimeError` | the iterator borrows the receiver: it does not compile |
//! | the same: `SIGILL` is received | a real fault would end the process: `Error::Synchronous`, tested with others |
//! | `test_catch_signals_wrong_thread`: only the main thread may open | any thread may, if all others block the signals; one that does not is named |
//! | `test_open_signal_receiver_conflict`: the second who waits gets an error | two may wait, and share what comes |
//! | `test_open_signal_receiver_no_starvation`: one by one, they take turns | the kernel gives the lower number first, always; a batch has both |
//! | `test_catch_signals_race_condition_on_exit`: handlers that raise exceptions, which are chained | a handler of C has no exceptions |

use std::future::pending;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use rustix::event::epoll::EventFlags;
use signalfd::{
    Batch, Error, Receiver, SigInfo, Signal, SignalSet, Signals, Until, block,
    block_on, mask,
};

use super::{handle, handled, look, rt, take_all, wait};
use crate::battery;
use crate::common::{
    Child, DEADLINE, OwnEpoll, action, kill, open, open_descriptors, pid,
    raise, received_by_two_that_sleep, set_action, sigqueue, tid, wait_until,
    wait_until_asleep,
};
use crate::harness::{cases, racing_rounds};

cases! {
    what_is_raised_again_before_it_is_read_is_received_once,
    a_bad_signal_beside_a_good_one_changes_nothing,
    no_signal_at_all_is_refused,
    a_signal_that_is_named_twice_is_one,
    a_thread_beside_one_that_blocks_nothing_is_refused,
    of_two_that_wait_at_once_each_gets_one,
    of_two_that_keep_coming_none_is_starved,
    what_was_not_read_reaches_its_handler,
    what_was_not_read_and_is_ignored_is_gone,
    what_races_with_the_end_is_received_or_handled,

    an_inner_scope_takes_over_and_gives_back,
    what_the_inner_scope_leaves_goes_outwards_scope_by_scope,
    what_the_inner_scope_removes_is_the_outer_ones_again,
    what_no_scope_has_read_reaches_its_handler,
    a_panic_inside_the_inner_scope_gives_back_what_it_left,

    what_the_inner_scope_is_for_does_not_reach_those_around_it,
    a_thread_that_waits_for_the_outer_scope_is_passed_over,
    a_task_that_awaits_the_outer_scope_is_passed_over,
    an_event_loop_that_has_the_outer_scope_is_passed_over,
    a_signal_beside_the_inner_scope_reaches_who_waits_for_the_outer,
}

// trio: test_open_signal_receiver
fn what_is_raised_again_before_it_is_read_is_received_once() {
    let before = action(Signal::USR1);
    let signals = open(Signal::USR1).unwrap();
    for _ in 0..3 {
        raise(Signal::USR1);
    }
    assert_eq!(wait(&signals), Signal::USR1);
    let rest = take_all(&signals);
    assert!(rest.is_empty() || battery().reads_ahead(), "{rest}");
    raise(Signal::USR1);
    let next = signals.iter().next().unwrap().unwrap();
    assert_eq!(next.signal(), Signal::USR1);
    assert_eq!(look(&signals), None);
    drop(signals);
    assert_eq!(action(Signal::USR1), before);
    assert_eq!(mask::current(), Ok(SignalSet::empty()));
}

// trio: test_open_signal_receiver_restore_handler_after_one_bad_signal
fn a_bad_signal_beside_a_good_one_changes_nothing() {
    let state = || {
        let mask = mask::current().unwrap();
        (mask, action(Signal::USR1), open_descriptors())
    };
    // What this maps once is there from now on.
    drop(open(Signal::USR1).unwrap());
    let before = state();
    let number = Signal::try_from(1_234_567);
    assert_eq!(number, Err(Error::InvalidNumber(1_234_567)));
    // 32 is the C library's own.
    let reserved = SignalSet::from_bits_retain(1 << (32 - 1));
    let bad: [SignalSet; 4] = [
        Signal::KILL.into(),
        Signal::STOP.into(),
        Signal::ILL.into(),
        reserved,
    ];
    for bad in bad {
        let error = open(Signal::USR1 | bad).unwrap_err();
        let expected = match bad {
            _ if bad == reserved => Error::Reserved(bad),
            _ if bad == Signal::ILL.into() => Error::Synchronous(bad),
            _ => Error::Unblockable(bad),
        };
        assert_eq!(error, expected);
        assert_eq!(state(), before, "{bad}");
    }
}

// trio: test_open_signal_receiver_empty_fail
fn no_signal_at_all_is_refused() {
    assert_eq!(open(SignalSet::empty()).unwrap_err(), Error::EmptySet);
    assert_eq!(mask::current(), Ok(SignalSet::empty()));
}

// trio: test_open_signal_receiver_restore_handler_after_duplicate_signal
fn a_signal_that_is_named_twice_is_one() {
    let before = action(Signal::USR1);
    let twice: SignalSet = [Signal::USR1; 2].into_iter().collect();
    let signals = open(twice).unwrap();
    assert_eq!(signals.signals(), Signal::USR1.into());
    kill(pid(), Signal::USR1);
    assert_eq!(wait(&signals), Signal::USR1);
    assert_eq!(look(&signals), None);
    drop(signals);
    assert_eq!(action(Signal::USR1), before);
    assert_eq!(mask::current(), Ok(SignalSet::empty()));
}

// trio: test_catch_signals_wrong_thread
fn a_thread_beside_one_that_blocks_nothing_is_refused() {
    let main = tid();
    let (tell, told) = mpsc::channel();
    let naughty = thread::spawn(move || {
        // Who starts a thread blocks everything for a moment.
        told.recv().unwrap();
        let error = open(Signal::INT).unwrap_err();
        let Error::UnblockedThread(thread) = error else { panic!("{error}") };
        assert_eq!(thread.tid(), main as u32);
        assert_eq!(mask::current(), Ok(SignalSet::empty()));
    });
    tell.send(()).unwrap();
    naughty.join().unwrap();
    let _guard = block(Signal::INT).unwrap();
    let decent = thread::spawn(|| {
        let signals = open(Signal::INT).unwrap();
        kill(pid(), Signal::INT);
        wait(&signals)
    });
    assert_eq!(decent.join().unwrap(), Signal::INT);
}

// trio: test_open_signal_receiver_conflict
fn of_two_that_wait_at_once_each_gets_one() {
    let signals = open(rt(0)).unwrap();
    let mut values = received_by_two_that_sleep(&signals, || {
        for value in 0..2 {
            sigqueue(pid(), rt(0), value).unwrap();
        }
    });
    values.sort_unstable();
    assert_eq!(values, [0, 1]);
    assert_eq!(look(&signals), None);
}

// trio: test_open_signal_receiver_no_starvation
fn of_two_that_keep_coming_none_is_starved() {
    let both = Signal::USR1 | Signal::USR2;
    let signals = open(both).unwrap();
    let mut batch = Batch::<2>::new();
    for _ in 0..10 {
        kill(pid(), Signal::USR1);
        kill(pid(), Signal::USR2);
        let mut seen = SignalSet::empty();
        for info in signals.wait_batch(&mut batch).unwrap() {
            seen |= info.signal();
        }
        if battery().reads_ahead() {
            seen |= take_all(&signals);
        }
        assert_eq!(seen, both);
    }
    assert_eq!(look(&signals), None);
}

// trio: test_catch_signals_race_condition_on_exit (1 and 2)
fn what_was_not_read_reaches_its_handler() {
    let both = Signal::USR1 | Signal::USR2;
    both.signals().for_each(handle);
    for round in 0..10 {
        let signals = open(both).unwrap();
        both.signals().for_each(raise);
        if round % 2 == 1 {
            // It has been seen that there is something.
            let mut cx = Context::from_waker(Waker::noop());
            assert!(signals.poll_ready(&mut cx).is_ready());
        }
        let ran = [Signal::USR1, Signal::USR2].map(handled);
        assert_eq!(ran, [round; 2], "none ran inside");
        drop(signals);
        let ran = [Signal::USR1, Signal::USR2].map(handled);
        assert_eq!(ran, [round + 1; 2]);
    }
}

// trio: test_catch_signals_race_condition_on_exit (3 and 4)
fn what_was_not_read_and_is_ignored_is_gone() {
    set_action(Signal::TERM, libc::SIG_IGN, 0);
    for has_looked in [false, true] {
        let signals = open(Signal::TERM).unwrap();
        raise(Signal::TERM);
        if has_looked {
            let mut cx = Context::from_waker(Waker::noop());
            assert!(signals.poll_ready(&mut cx).is_ready());
        }
        drop(signals);
        assert_eq!(look(&open(Signal::TERM).unwrap()), None);
    }
}

/// Another process sends one whenever it is told to.
// trio: test_catch_signals_race_condition_on_exit, with a race
fn what_races_with_the_end_is_received_or_handled() {
    handle(rt(0));
    let rounds = racing_rounds();
    let (mut ours, mut theirs) = UnixStream::pair().unwrap();
    let parent = pid();
    let sender = Child::fork(|| {
        for value in 0..rounds {
            theirs.read_exact(&mut [0]).unwrap();
            sigqueue(parent, rt(0), value).unwrap();
        }
        0
    });
    let mut received = 0;
    for round in 0..rounds {
        let signals = open(rt(0)).unwrap();
        ours.write_all(&[0]).unwrap();
        for _ in 0..round % 40 {
            received += u32::from(look(&signals).is_some());
        }
        drop(signals);
        let count = (round + 1) as u32;
        wait_until("it has come", || received + handled(rt(0)) >= count);
        assert_eq!(received + handled(rt(0)), count, "round {round}");
    }
    sender.wait_for_success();
    assert_eq!(received + handled(rt(0)), rounds as u32);
    println!("{received} received of {rounds}");
}

// trio: what it documents of receivers inside one another
fn an_inner_scope_takes_over_and_gives_back() {
    let outer = open(Signal::HUP | Signal::TERM).unwrap();
    for _ in 0..100 {
        kill(pid(), Signal::HUP);
        assert_eq!(wait(&outer), Signal::HUP);
        let inner = open(Signal::HUP | Signal::USR1).unwrap();
        for signal in [Signal::HUP, Signal::USR1, Signal::TERM] {
            kill(pid(), signal);
        }
        assert_eq!(wait(&inner), Signal::HUP);
        assert_eq!(wait(&inner), Signal::USR1);
        assert_eq!(look(&inner), None);
        // What only the outer one is for reaches it meanwhile.
        assert_eq!(wait(&outer), Signal::TERM);
        drop(inner);
        assert_eq!(look(&outer), None);
        assert_eq!(mask::current(), Ok(Signal::HUP | Signal::TERM));
    }
}

fn what_the_inner_scope_leaves_goes_outwards_scope_by_scope() {
    let scopes: Vec<_> = (0..3).map(|_| open(rt(0)).unwrap()).collect();
    for value in 0..3 {
        sigqueue(pid(), rt(0), value).unwrap();
    }
    for (value, scope) in (0..).zip(scopes.into_iter().rev()) {
        assert_eq!(scope.wait().unwrap().value(), Some(value));
        assert_eq!(mask::current(), Ok(rt(0).into()));
    }
    assert_eq!(mask::current(), Ok(SignalSet::empty()));
}

fn what_the_inner_scope_removes_is_the_outer_ones_again() {
    let outer = open(rt(0)).unwrap();
    let inner = open(rt(0) | Signal::USR1).unwrap();
    for value in 0..3 {
        sigqueue(pid(), rt(0), value).unwrap();
    }
    assert_eq!(inner.wait().unwrap().value(), Some(0));
    inner.remove(rt(0)).unwrap();
    assert_eq!(look(&inner), None);
    assert_eq!(outer.wait().unwrap().value(), Some(1));
    inner.insert(rt(0)).unwrap();
    wait_until("it comes", || {
        // A ring may have read it ahead for the outer one.
        let scopes = if battery().reads_ahead() {
            &[&inner, &outer][..]
        } else {
            &[&inner]
        };
        let mut taken = scopes.iter().filter_map(|it| it.try_recv().unwrap());
        taken.next().is_some_and(|info| info.value() == Some(2))
    });
}

fn what_no_scope_has_read_reaches_its_handler() {
    handle(rt(0));
    let outer = open(rt(0)).unwrap();
    let middle = open(rt(0) | Signal::HUP).unwrap();
    let inner = open(rt(0)).unwrap();
    for value in 0..10 {
        sigqueue(pid(), rt(0), value).unwrap();
    }
    drop(inner);
    drop(middle);
    assert_eq!(handled(rt(0)), 0);
    drop(outer);
    assert_eq!(handled(rt(0)), 10);
}

// trio: an exception that leaves the scope
fn a_panic_inside_the_inner_scope_gives_back_what_it_left() {
    let outer = open(rt(0)).unwrap();
    let inside = AssertUnwindSafe(|| {
        let _inner = open(rt(0)).unwrap();
        sigqueue(pid(), rt(0), 7).unwrap();
        panic!("inside");
    });
    assert!(catch_unwind(inside).is_err());
    assert_eq!(mask::current(), Ok(rt(0).into()));
    assert_eq!(outer.wait().unwrap().value(), Some(7));
}

/// Whoever asks them, and as often as they are asked.
fn what_the_inner_scope_is_for_does_not_reach_those_around_it() {
    let outer = open(rt(0) | Signal::TERM).unwrap();
    let middle = open(rt(0) | Signal::HUP).unwrap();
    for value in 0..100 {
        let inner = open(rt(0) | Signal::INT).unwrap();
        sigqueue(pid(), rt(0), 2 * value).unwrap();
        sigqueue(pid(), rt(0), 2 * value + 1).unwrap();
        let moment = Duration::from_millis(1);
        for around in [&outer, &middle] {
            assert_eq!(around.try_recv(), Ok(None));
            assert_eq!(around.wait_timeout(moment), Ok(None));
        }
        assert_eq!(inner.wait().unwrap().value(), Some(2 * value));
        drop(inner);
        // What was not read goes one scope outwards, and no further.
        assert_eq!(outer.try_recv(), Ok(None));
        assert_eq!(middle.wait().unwrap().value(), Some(2 * value + 1));
    }
    drop(middle);
    sigqueue(pid(), rt(0), -1).unwrap();
    assert_eq!(outer.wait().unwrap().value(), Some(-1));
}

/// A scope for which a thread waits that outlives the case, also if that fails.
fn open_and_wait_in_a_thread(
    set: SignalSet,
) -> (&'static Signals, i32, thread::JoinHandle<SigInfo>) {
    let outer: &'static Signals = Box::leak(Box::new(open(set).unwrap()));
    let receiver: &'static Receiver = outer;
    let (tell, told) = mpsc::channel();
    let waiter = thread::spawn(move || {
        tell.send(tid()).unwrap();
        receiver.wait().unwrap()
    });
    let waiter_tid = told.recv().unwrap();
    wait_until_asleep(waiter_tid);
    (outer, waiter_tid, waiter)
}

fn a_thread_that_waits_for_the_outer_scope_is_passed_over() {
    let (_outer, waiter_tid, waiter) = open_and_wait_in_a_thread(rt(0).into());
    let rounds = racing_rounds();
    for value in 0..rounds {
        let inner = open(rt(0)).unwrap();
        sigqueue(pid(), rt(0), value).unwrap();
        let info = inner.wait_timeout(DEADLINE).unwrap();
        assert_eq!(info.and_then(|info| info.value()), Some(value));
    }
    wait_until_asleep(waiter_tid);
    assert!(!waiter.is_finished());
    // What the inner one leaves reaches it at once.
    let inner = open(rt(0)).unwrap();
    sigqueue(pid(), rt(0), rounds).unwrap();
    drop(inner);
    assert_eq!(waiter.join().unwrap().value(), Some(rounds));
}

fn a_task_that_awaits_the_outer_scope_is_passed_over() {
    let outer = open(rt(0)).unwrap();
    let task = async {
        for value in 0..100 {
            let inner = open(rt(0)).unwrap();
            sigqueue(pid(), rt(0), value).unwrap();
            assert_eq!(inner.recv().await.unwrap().value(), Some(value));
        }
        let inner = open(rt(0)).unwrap();
        sigqueue(pid(), rt(0), 100).unwrap();
        drop(inner);
        pending::<()>().await;
    };
    let until = block_on(outer.until(task)).unwrap().unwrap();
    let Until::Signal(info) = until else { panic!("{until:?}") };
    assert_eq!(info.value(), Some(100));
}

/// It may be told for nothing, and does not go on being told.
fn an_event_loop_that_has_the_outer_scope_is_passed_over() {
    let outer = open(rt(0)).unwrap();
    let event_loop = OwnEpoll::of(&outer, EventFlags::empty());
    for value in 0..10 {
        let inner = open(rt(0)).unwrap();
        sigqueue(pid(), rt(0), value).unwrap();
        wait_until("it rests", || {
            let is_told = event_loop.is_ready();
            assert_eq!(outer.try_recv(), Ok(None));
            !is_told
        });
        drop(inner);
        wait_until("it is told", || event_loop.is_ready());
        assert_eq!(outer.try_recv().unwrap().unwrap().value(), Some(value));
    }
}

fn a_signal_beside_the_inner_scope_reaches_who_waits_for_the_outer() {
    let both = rt(0) | Signal::TERM;
    let (_outer, waiter_tid, waiter) = open_and_wait_in_a_thread(both);
    let inner = open(rt(0)).unwrap();
    sigqueue(pid(), rt(0), 7).unwrap();
    wait_until_asleep(waiter_tid);
    kill(pid(), Signal::TERM);
    assert_eq!(waiter.join().unwrap().signal(), Signal::TERM);
    let info = inner.wait_timeout(DEADLINE).unwrap();
    assert_eq!(info.and_then(|info| info.value()), Some(7));
}
