//! tokio: `tokio/tests/signal_*.rs` and `tokio/tests/process_*.rs` at ea91b33c, the
//! unit tests of `tokio/src/signal` and `tokio/src/process/unix`, and
//! `tests-integration/src/bin/test-process-signal.rs`.
//!
//! Not here, or otherwise:
//!
//! | case | why |
//! |---|---|
//! | `signal_drop_recv`: one that comes between two receivers is received | it takes its action, unless a guard keeps it blocked |
//! | `signal_notify_both`, `signal_multi_rt`, `signal_drop_rt`: one signal for all of them | a signal is for one receiver; as many are sent as are to be received |
//! | `signal_no_rt` panics | no runtime is needed |
//! | `signal_panic` panics and names the caller | an error, and no panic |
//! | `signal_info` | Linux has no `SIGINFO` |
//! | `signal/windows` | Linux only |
//! | `signal/registry.rs`: `register_panics_on_invalid_input`, `record_invalid_event_does_nothing`, `broadcast_returns_if_at_least_one_event_fired` | of the table behind the handler, which is not there |
//! | `signal/reusable_box.rs` | nothing is boxed |
//! | `process/unix/reap.rs`: `reaper`, `kill`, `drop_enqueues_orphan_if_wait_fails` | futures for children, and orphans that others reap later; a `Reaper` is asked, and what it was not asked for stays the caller's |
//! | `process/unix/pidfd_reaper.rs` | a `Reaper` needs no pidfd |
//! | `process/unix/orphan.rs`: `no_reap_if_signal_lock_held`, `does_not_register_signal_if_queue_empty`, `does_nothing_if_signal_could_not_be_registered` | of that queue's lock and of its registration |
//! | `process_arg0`, `process_issue_2174`, `process_change_of_runtime`, `process_raw_handle` | of pipes, names, runtimes and Windows |
//! | `process_kill_on_drop`, `process/mod.rs`: `kills_on_drop_if_specified`, `no_kill_*` | dropping a `Reaper` kills nobody |
//! | `process_kill_after_wait` | a number that was waited for may be another process's: see `Reaper` |
//! | `process_issue_7144` | needs strace(1); `reap.rs` has a traced child |

use std::future::pending;
use std::pin::pin;
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::thread;

use rustix::process::{Pid, WaitOptions, waitpid};
use signalfd::{
    ChildState, Error, Reaper, Receiver, Signal, SignalSet, Until, block,
    block_on,
};

use super::{look, poll_once, receive, rt, take_all, wait};
use crate::battery;
use crate::common::{
    Child, End, kill, open, open_descriptors, pid, receiver_for, sigqueue,
};
use crate::harness::{
    cases, racing_rounds, rounds_with_receivers, to_die_here,
};

cases! {
    control_c_is_received_by_a_task,
    what_comes_between_two_scopes_takes_its_action => libc::SIGUSR1,
    what_comes_between_two_receivers_under_a_guard_is_received,
    the_second_receiver_goes_on_without_the_first,
    the_one_that_stays_goes_on_without_those_around_it,
    four_loops_in_four_threads_each_receive_one,
    a_future_needs_no_runtime,
    of_two_receivers_one_has_it_and_the_other_the_next,
    a_number_that_is_no_signal_is_an_error,
    a_signal_that_cannot_be_received_is_an_error,
    every_real_time_signal_has_a_receiver_of_its_own,
    one_after_the_other_is_received,
    two_of_one_number_coalesce_and_others_do_not,
    numbers_convert,
    a_thousand_receivers_leave_nothing,

    batches_of_children_do_not_starve_each_other,
    a_child_is_reported_with_its_exit_status,
    each_turn_reports_the_children_that_have_ended,
    children_are_found_without_a_signal,
    a_reaper_that_goes_leaves_the_children,
}

// tokio: signal_ctrl_c.rs
fn control_c_is_received_by_a_task() {
    let signals = open(Signal::INT).unwrap();
    let sender = thread::spawn(|| kill(pid(), Signal::INT));
    assert_eq!(receive(&signals).signal(), Signal::INT);
    sender.join().unwrap();
}

// tokio: signal_drop_recv.rs
fn what_comes_between_two_scopes_takes_its_action() {
    drop(open(Signal::USR1).unwrap());
    to_die_here();
    kill(pid(), Signal::USR1);
    receive(&open(Signal::USR1).unwrap());
}

// tokio: signal_drop_recv.rs, with the signal blocked all the time
fn what_comes_between_two_receivers_under_a_guard_is_received() {
    let _guard = block(Signal::USR1).unwrap();
    drop(receiver_for(Signal::USR1).unwrap());
    kill(pid(), Signal::USR1);
    let next = receiver_for(Signal::USR1).unwrap();
    assert_eq!(receive(&next).signal(), Signal::USR1);
}

// tokio: signal_drop_rt.rs
fn the_second_receiver_goes_on_without_the_first() {
    let _guard = block(rt(0)).unwrap();
    let first = receiver_for(rt(0)).unwrap();
    let second = receiver_for(rt(0)).unwrap();
    sigqueue(pid(), rt(0), 1).unwrap();
    sigqueue(pid(), rt(0), 2).unwrap();
    let mut values = Vec::new();
    if battery().reads_ahead() {
        // The ring of either may have it.
        values.extend(first.try_recv().unwrap());
    } else {
        values.push(receive(&first));
    }
    drop(first);
    while values.len() < 2 {
        values.push(receive(&second));
    }
    let mut values = [0, 1].map(|at| values[at].value().unwrap());
    values.sort_unstable();
    assert_eq!(values, [1, 2]);
    sigqueue(pid(), rt(0), 3).unwrap();
    let info = receive(&second);
    assert_eq!(info.value(), Some(3));
}

// tokio: signal_drop_signal.rs
fn the_one_that_stays_goes_on_without_those_around_it() {
    let _guard = block(Signal::USR1).unwrap();
    for sent_before in [false, true] {
        let [first, second, third] =
            [(); 3].map(|()| receiver_for(Signal::USR1).unwrap());
        if sent_before {
            kill(pid(), Signal::USR1);
        }
        drop(first);
        drop(third);
        if !sent_before {
            kill(pid(), Signal::USR1);
        }
        assert_eq!(receive(&second).signal(), Signal::USR1);
        assert_eq!(look(&second), None);
    }
}

// tokio: signal_multi_rt.rs
fn four_loops_in_four_threads_each_receive_one() {
    let _guard = block(rt(0)).unwrap();
    for _ in 0..rounds_with_receivers() {
        let all_are_there = Barrier::new(5);
        thread::scope(|scope| {
            let threads = [(); 4].map(|()| {
                scope.spawn(|| {
                    let receiver = receiver_for(rt(0)).unwrap();
                    all_are_there.wait();
                    let info = receive(&receiver);
                    info.value().unwrap()
                })
            });
            all_are_there.wait();
            for value in 0..4 {
                sigqueue(pid(), rt(0), value).unwrap();
            }
            let mut values = threads.map(|thread| thread.join().unwrap());
            values.sort_unstable();
            assert_eq!(values, [0, 1, 2, 3]);
        });
    }
}

// tokio: signal_no_rt.rs
fn a_future_needs_no_runtime() {
    let signals = open(Signal::HUP).unwrap();
    let mut recv = pin!(signals.recv());
    assert!(poll_once(recv.as_mut()).is_pending());
    kill(pid(), Signal::HUP);
    assert!(poll_once(recv).is_ready());
}

// tokio: signal_notify_both.rs
fn of_two_receivers_one_has_it_and_the_other_the_next() {
    let _guard = block(Signal::USR2).unwrap();
    let two = [(); 2].map(|()| receiver_for(Signal::USR2).unwrap());
    for _ in 0..2 {
        kill(pid(), Signal::USR2);
        let both = two.each_ref().map(look);
        let count = both.iter().flatten().count();
        assert_eq!(count, 1, "{both:?}");
    }
    if battery().reads_ahead() {
        // Whoever waits may wait for what the ring of the other one has.
        return;
    }
    for receiver in &two {
        kill(pid(), Signal::USR2);
        assert_eq!(receive(receiver).signal(), Signal::USR2);
    }
}

// tokio: signal_panic.rs, and signal/unix.rs: signal_enable_error_on_invalid_input
fn a_number_that_is_no_signal_is_an_error() {
    for number in [-1, 0, 65, i32::MIN, i32::MAX] {
        let error = Error::InvalidNumber(number);
        assert_eq!(Signal::try_from(number), Err(error));
    }
}

// tokio: signal/unix.rs: signal_enable_error_on_forbidden_input
fn a_signal_that_cannot_be_received_is_an_error() {
    let forbidden =
        [Signal::KILL, Signal::STOP, Signal::ILL, Signal::FPE, Signal::SEGV];
    for signal in forbidden {
        let error = open(signal).unwrap_err();
        let set = SignalSet::from(signal);
        let expected = [Error::Unblockable(set), Error::Synchronous(set)];
        assert!(expected.contains(&error), "{error}");
    }
}

// tokio: signal_realtime.rs
fn every_real_time_signal_has_a_receiver_of_its_own() {
    let all: Vec<_> = (0..).map_while(Signal::rt).collect();
    assert!(all.len() >= 28);
    let set: SignalSet = all.iter().copied().collect();
    let _guard = block(set).unwrap();
    let receivers: Vec<_> =
        all.iter().map(|&signal| receiver_for(signal).unwrap()).collect();
    for &signal in &all {
        kill(pid(), signal);
    }
    for (&signal, receiver) in all.iter().zip(&receivers) {
        assert_eq!(receive(receiver).signal(), signal);
        assert_eq!(look(receiver), None);
    }
}

// tokio: signal_twice.rs, signal_usr1.rs
fn one_after_the_other_is_received() {
    let signals = open(Signal::USR1).unwrap();
    for _ in 0..2 {
        kill(pid(), Signal::USR1);
        assert_eq!(receive(&signals).signal(), Signal::USR1);
    }
}

// tokio: signal/registry.rs: smoke
fn two_of_one_number_coalesce_and_others_do_not() {
    let (first, second) = (Signal::USR1, Signal::USR2);
    let _guard = block(first | second | Signal::HUP).unwrap();
    let receivers =
        [first, second, Signal::HUP].map(|one| receiver_for(one).unwrap());
    for signal in [first, first, second, second] {
        kill(pid(), signal);
    }
    for (receiver, signal) in receivers.iter().zip([first, second]) {
        assert_eq!(receive(receiver).signal(), signal);
        let rest = take_all(receiver);
        assert!(rest.is_empty() || battery().reads_ahead(), "{rest}");
    }
    // What comes afterwards is another one.
    kill(pid(), first);
    assert_eq!(receive(&receivers[0]).signal(), first);
    for receiver in &receivers {
        assert_eq!(look(receiver), None);
    }
}

// tokio: signal/unix.rs: from_c_int, into_c_int
fn numbers_convert() {
    assert_eq!(Signal::try_from(2), Ok(Signal::INT));
    assert_eq!(i32::from(Signal::INT), libc::SIGINT);
}

// tokio: tests-integration, test-process-signal.rs
fn a_thousand_receivers_leave_nothing() {
    let open_and_drop = || {
        let signals = open(Signal::CHLD | Signal::USR1).unwrap();
        let until = block_on(async {
            kill(pid(), Signal::USR1);
            signals.until(pending::<()>()).await
        });
        assert!(matches!(until, Ok(Ok(Until::Signal(_)))), "{until:?}");
    };
    // What is made once is there from now on.
    open_and_drop();
    let before = open_descriptors();
    for _ in 0..racing_rounds() {
        open_and_drop();
    }
    assert_eq!(open_descriptors(), before);
}

/// Waits for children until there is none left, and hands over how each ended.
fn reap_all<const N: usize>(
    signals: &Receiver,
    reapers: &mut [Reaper<N>],
    mut see: impl FnMut(usize, signalfd::Exit),
) {
    loop {
        for (at, reaper) in reapers.iter_mut().enumerate() {
            reaper.reap().for_each(|exit| see(at, exit.unwrap()));
        }
        if reapers.iter().all(Reaper::is_empty) {
            return;
        }
        assert_eq!(wait(signals), Signal::CHLD);
    }
}

// tokio: process_issue_42.rs
fn batches_of_children_do_not_starve_each_other() {
    let signals = open(Signal::CHLD).unwrap();
    let mut reapers = [(); 10].map(|()| Reaper::<10>::new());
    for (batch, reaper) in (0..).zip(&mut reapers) {
        for number in 0..10 {
            let child = Child::fork(|| 10 * batch + number);
            reaper.add(child.pid as u32).unwrap();
        }
    }
    let mut statuses = Vec::new();
    reap_all(&signals, &mut reapers, |batch, exit| {
        assert_eq!(exit.state(), ChildState::Exited);
        assert_eq!(exit.status() as usize / 10, batch);
        statuses.push(exit.status());
    });
    statuses.sort_unstable();
    assert!(statuses.into_iter().eq(0..100));
}

// tokio: process_smoke.rs
fn a_child_is_reported_with_its_exit_status() {
    let signals = open(Signal::CHLD).unwrap();
    let child = Child::fork(|| 2);
    let mut reapers = [Reaper::<1>::new()];
    reapers[0].add(child.pid as u32).unwrap();
    let mut exits = Vec::new();
    reap_all(&signals, &mut reapers, |_, exit| exits.push(exit));
    let [exit] = exits[..] else { panic!("{exits:?}") };
    assert_eq!((exit.pid(), exit.status()), (child.pid as u32, 2));
    // It is reported once.
    assert_eq!(reapers[0].reap().count(), 0);
}

/// A child that lives until it is told to end.
fn living() -> std::process::Child {
    Command::new("cat").stdin(Stdio::piped()).spawn().unwrap()
}

// tokio: process/unix/orphan.rs: drain_attempts_a_single_reap_of_all_queued_orphans
fn each_turn_reports_the_children_that_have_ended() {
    let signals = open(Signal::CHLD).unwrap();
    let mut children = [(); 3].map(|()| Some(living()));
    let mut reaper = Reaper::<4>::new();
    for child in children.iter().flatten() {
        reaper.add(child.id()).unwrap();
    }
    // One that is no child has no end to report.
    reaper.add(std::process::id()).unwrap();
    let none = Error::NoSuchChild(std::process::id());
    assert!(reaper.reap().eq([Err(none)]));
    for at in [1, 0, 2] {
        let child = children[at].take().unwrap();
        let id = child.id();
        assert_eq!(reaper.reap().count(), 0);
        // Its input ends.
        drop(child);
        assert_eq!(wait(&signals), Signal::CHLD);
        let pids: Vec<_> =
            reaper.reap().map(|exit| exit.unwrap().pid()).collect();
        assert_eq!(pids, [id]);
    }
    // There is nothing to do, and that is no error.
    assert!(reaper.is_empty());
    assert_eq!(reaper.reap().count(), 0);
}

// tokio: process/unix/orphan.rs: no_reap_if_no_signal_received, which is otherwise
fn children_are_found_without_a_signal() {
    let child = Child::fork(|| 5);
    let mut reaper = Reaper::<1>::new();
    reaper.add(child.pid as u32).unwrap();
    crate::common::wait_until("it has ended", || {
        reaper.reap().any(|exit| exit.unwrap().status() == 5)
    });
}

// tokio: process/unix/reap.rs: drop_reaps_if_possible, which is otherwise
fn a_reaper_that_goes_leaves_the_children() {
    let signals = open(Signal::CHLD).unwrap();
    let (ended, alive) = (Child::fork(|| 6), living());
    {
        let mut reaper = Reaper::<2>::new();
        reaper.add(ended.pid as u32).unwrap();
        reaper.add(alive.id()).unwrap();
        assert_eq!(wait(&signals), Signal::CHLD);
    }
    assert_eq!(ended.wait(), End::Exited(6));
    let pid = Pid::from_child(&alive);
    assert!(waitpid(Some(pid), WaitOptions::NOHANG).unwrap().is_none());
    assert!({ alive }.wait().unwrap().success());
}
