//! signal-hook: `tests/` at 2413101f, its unit tests (`flag`, `low_level`), those of
//! signal-hook-registry, and the tests of the adapters for mio, tokio and async-std.
//!
//! Not here, or otherwise:
//!
//! | case | why |
//! |---|---|
//! | `iterator.rs`: `wait_doesnt_block_when_closed`, `wait_unblocks_when_closed`, `forever_doesnt_block_when_closed`, `is_closed_*`; `close_signal_stream` of the adapters | there is no handle that closes: a future is dropped, and a thread that waits is sent one of its signals |
//! | `iterator.rs`: receivers for no signal at all, that are given some later | `Error::EmptySet`; others are added to those that have one |
//! | `default.rs`: `sig_dfl_static` | of a constant on Windows |
//! | `low_level/channel.rs`: `new_empty`, `pass_value`, `multiple`, `overflow`, `multi_thread` | the kernel's queue takes that place; of its order and its limit see `delivery.rs` and `causes.rs` |
//! | `low_level/pipe.rs`: a byte in a socket, a datagram, a pipe | the descriptor of the receiver is readable |
//! | registry: `forbidden_raw` | what cannot be received is refused by every way |
//! | registry: `vec_map.rs` | of its table of handlers |
//! | registry: `register_unregister` tells whether it was there | to remove a signal that is not there changes nothing |

#![allow(unsafe_code, reason = "errno")]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::event::epoll::EventFlags;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signalfd::{Batch, Error, Receiver, Sender, Signal, SignalSet, block_on};

use super::{handle, handled, look, poll_once, rt, take_all, wait};
use crate::battery;
use crate::common::{
    Child, DEADLINE, End, OwnEpoll, action, kill, open, options, pid, raise,
    set_limit, set_mask, sigqueue, tid, uid, wait_until, wait_until_asleep,
};
use crate::harness::cases;

cases! {
    opening_and_leaving_change_no_action,
    a_thread_that_iterates_is_ended_by_a_signal,
    a_wait_sleeps_though_an_event_loop_has_the_descriptor,
    to_look_does_not_wait,
    a_wait_and_an_iterator_return_what_has_come,
    what_is_added_later_is_received,
    what_comes_while_others_are_taken_is_received_too,
    a_future_that_is_dropped_receives_no_more,

    the_first_does_no_harm_and_the_second_ends_the_process,
    what_was_received_first_ends_the_process_afterwards,
    after_the_scope_its_handler_runs_again,
    the_descriptor_becomes_readable,
    names_are_those_of_the_system,

    a_fault_is_refused,
    who_raises_a_signal_is_known,
    what_is_taken_out_leaves_the_others_and_can_come_back,
    errno_is_left_alone,

    an_event_loop_is_woken_and_then_rests,
    an_event_loop_takes_all_there_are_at_once,
    an_event_loop_and_a_sender_run_side_by_side,
    a_task_has_what_came_before_it_asked,
    a_task_sleeps_until_a_signal_comes,
}

// signal-hook: default.rs: sig_dfl
fn opening_and_leaving_change_no_action() {
    let before = action(Signal::TERM);
    assert_eq!(before.0, libc::SIG_DFL);
    let signals = open(Signal::TERM).unwrap();
    assert_eq!(action(Signal::TERM), before);
    drop(signals);
    assert_eq!(action(Signal::TERM), before);
}

// signal-hook: iterator.rs: forever_terminates_when_closed
fn a_thread_that_iterates_is_ended_by_a_signal() {
    let signals = open(rt(0) | rt(1)).unwrap();
    let receiver: &Receiver = &signals;
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        let thread = scope.spawn(move || {
            tell.send(tid()).unwrap();
            let is_no_end = |info: &signalfd::SigInfo| info.signal() != rt(1);
            receiver.iter().map(Result::unwrap).take_while(is_no_end).count()
        });
        wait_until_asleep(told.recv().unwrap());
        assert!(!thread.is_finished());
        for signal in [rt(0), rt(0), rt(0), rt(1)] {
            kill(pid(), signal);
        }
        assert_eq!(thread.join().unwrap(), 3);
    });
}

// signal-hook: iterator.rs: signals_block_wait
fn a_wait_sleeps_though_an_event_loop_has_the_descriptor() {
    let signals = open(Signal::USR2).unwrap();
    let receiver: &Receiver = &signals;
    let event_loop = OwnEpoll::of(receiver, EventFlags::ET);
    assert!(!event_loop.is_ready());
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        let waiter = scope.spawn(move || {
            tell.send(tid()).unwrap();
            wait(receiver)
        });
        wait_until_asleep(told.recv().unwrap());
        assert!(!waiter.is_finished());
        kill(pid(), Signal::USR2);
        assert_eq!(waiter.join().unwrap(), Signal::USR2);
    });
}

// signal-hook: iterator.rs: pending_doesnt_block
fn to_look_does_not_wait() {
    let signals = open(Signal::USR2).unwrap();
    assert_eq!(look(&signals), None);
    let mut batch = Batch::<4>::new();
    assert!(signals.try_recv_batch(&mut batch).unwrap().is_empty());
    assert!(poll_once(pin!(signals.recv())).is_pending());
}

// signal-hook: iterator.rs: wait_returns_recieved_signals,
// forever_returns_recieved_signals
fn a_wait_and_an_iterator_return_what_has_come() {
    let signals = open(Signal::USR2).unwrap();
    raise(Signal::USR2);
    assert_eq!(wait(&signals), Signal::USR2);
    raise(Signal::USR2);
    let taken: Vec<_> = signals.iter().take(1).map(Result::unwrap).collect();
    assert_eq!(taken[0].signal(), Signal::USR2);
    assert_eq!(look(&signals), None);
}

// signal-hook: iterator.rs: add_signal_after_creation
fn what_is_added_later_is_received() {
    let signals = open(Signal::USR2).unwrap();
    signals.insert(Signal::USR1).unwrap();
    raise(Signal::USR1);
    assert_eq!(look(&signals), Some(Signal::USR1));
}

// signal-hook: iterator.rs: delayed_signal_consumed
fn what_comes_while_others_are_taken_is_received_too() {
    let signals = open(Signal::USR2).unwrap();
    signals.insert(Signal::USR1).unwrap();
    raise(Signal::USR1);
    let mut iter = signals.iter();
    raise(Signal::USR2);
    let two = [(); 2].map(|()| iter.next().unwrap().unwrap().signal());
    assert_eq!(two, [Signal::USR1, Signal::USR2]);
    // And no wake-up is left that is for nothing.
    assert_eq!(signals.wait_timeout(Duration::from_millis(1)), Ok(None));
}

// signal-hook: close_signal_stream of the adapters, which is otherwise
fn a_future_that_is_dropped_receives_no_more() {
    let signals = open(Signal::USR1).unwrap();
    let mut future = Box::pin(signals.recv());
    assert!(poll_once(future.as_mut()).is_pending());
    drop(future);
    raise(Signal::USR1);
    assert_eq!(look(&signals), Some(Signal::USR1));
}

/// A child that goes on in vain after the first of a signal: the second ends it.
fn ends_by_the_second(after_the_first: impl FnOnce(&mut UnixStream)) {
    let (mut ours, mut theirs) = UnixStream::pair().unwrap();
    let child = Child::fork(|| {
        after_the_first(&mut theirs);
        0
    });
    ours.read_exact(&mut [0]).unwrap();
    kill(child.pid, Signal::TERM);
    // It is there still when it says that it has received the first.
    ours.read_exact(&mut [0]).unwrap();
    kill(child.pid, Signal::TERM);
    assert_eq!(child.wait(), End::Killed(libc::SIGTERM));
}

// signal-hook: shutdown.rs: cleanup_inside_signal
fn the_first_does_no_harm_and_the_second_ends_the_process() {
    ends_by_the_second(|parent| {
        let mut shutdown = options().shutdown(Signal::TERM).unwrap();
        parent.write_all(b"o").unwrap();
        shutdown.wait().unwrap();
        parent.write_all(b"r").unwrap();
        loop {
            std::hint::spin_loop();
        }
    });
}

// signal-hook: shutdown.rs: cleanup_after_signal
fn what_was_received_first_ends_the_process_afterwards() {
    ends_by_the_second(|parent| {
        let signals = open(Signal::TERM).unwrap();
        parent.write_all(b"o").unwrap();
        assert_eq!(wait(&signals), Signal::TERM);
        drop(signals);
        parent.write_all(b"r").unwrap();
        loop {
            thread::park();
        }
    });
}

// signal-hook: flag: register_unregister
fn after_the_scope_its_handler_runs_again() {
    handle(Signal::USR1);
    for round in 1..=3 {
        let signals = open(Signal::USR1).unwrap();
        kill(pid(), Signal::USR1);
        assert_eq!(wait(&signals), Signal::USR1);
        assert_eq!(handled(Signal::USR1), round - 1);
        drop(signals);
        kill(pid(), Signal::USR1);
        assert_eq!(handled(Signal::USR1), round);
    }
}

// signal-hook: low_level: pipe: register_with_socket, register_dgram_socket,
// register_with_pipe
fn the_descriptor_becomes_readable() {
    let signals = open(Signal::USR1).unwrap();
    let readable_within = |timeout| {
        let mut fds = [PollFd::new(&signals, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec::try_from(timeout).unwrap())).unwrap()
    };
    assert_eq!(readable_within(Duration::ZERO), 0);
    raise(Signal::USR1);
    assert_eq!(readable_within(DEADLINE), 1);
    assert_eq!(look(&signals), Some(Signal::USR1));
    assert_eq!(readable_within(Duration::ZERO), 0);
}

// signal-hook: low_level: signal_details: existing, unknown
fn names_are_those_of_the_system() {
    assert_eq!(Signal::TERM.to_string(), "SIGTERM");
    assert_eq!(Signal::try_from(128), Err(Error::InvalidNumber(128)));
    assert_eq!("128".parse::<Signal>(), Err(Error::InvalidNumber(128)));
}

// signal-hook-registry: panic_forbidden
fn a_fault_is_refused() {
    let set = SignalSet::from(Signal::ILL);
    assert_eq!(open(set).unwrap_err(), Error::Synchronous(set));
}

// signal-hook-registry: signal_without_pid, signal_with_pid
fn who_raises_a_signal_is_known() {
    let signals = open(Signal::USR2).unwrap();
    raise(Signal::USR2);
    let info = signals.wait().unwrap();
    assert_eq!(info.signal(), Signal::USR2);
    let pid = std::process::id();
    assert_eq!(info.pid(), Some(pid));
    assert_eq!(info.sender(), Sender::Verified { pid, uid: uid() });
}

// signal-hook-registry: register_unregister, and that of unregister_signal.rs
fn what_is_taken_out_leaves_the_others_and_can_come_back() {
    let signals = open(Signal::TERM | Signal::INT).unwrap();
    let send_and_take = || {
        handle(Signal::TERM);
        kill(pid(), Signal::TERM);
        kill(pid(), Signal::INT);
        take_all(&signals)
    };
    assert_eq!(send_and_take(), Signal::TERM | Signal::INT);
    for _ in 0..2 {
        // The second time it is not there, and nothing changes.
        signals.remove(Signal::TERM).unwrap();
        assert_eq!(send_and_take(), Signal::INT.into());
    }
    assert_eq!(handled(Signal::TERM), 2);
    signals.insert(Signal::TERM).unwrap();
    assert_eq!(send_and_take(), Signal::TERM | Signal::INT);
    assert_eq!(handled(Signal::TERM), 2);
}

/// The handler of this crate, which runs where a thread has unblocked the signal, and
/// sends it on.
// signal-hook-registry: save_restore_errno
fn errno_is_left_alone() {
    const MAGIC: i32 = 123_456;
    // SAFETY: has no preconditions.
    let errno = unsafe { libc::__errno_location() };
    let signals = options().every_thread(true).open(rt(0)).unwrap();
    let caught = || signals.every_thread().unwrap().caught();
    for is_full in [false, true] {
        if is_full {
            // The system call of the handler fails.
            set_limit(libc::RLIMIT_SIGPENDING, 0);
        }
        let before = caught();
        set_mask(SignalSet::empty());
        // SAFETY: it is this thread's.
        unsafe { *errno = MAGIC };
        kill(pid(), rt(0));
        // SAFETY: as above.
        assert_eq!(unsafe { *errno }, MAGIC);
        // A ring that reads ahead may be faster than the handler.
        assert!(caught() > before || battery().reads_ahead());
        assert_eq!(take_all(&signals), rt(0).into());
    }
}

// signal-hook-mio: mio_wakeup
fn an_event_loop_is_woken_and_then_rests() {
    for flags in [EventFlags::empty(), EventFlags::ET] {
        let signals = open(Signal::USR1).unwrap();
        let event_loop = OwnEpoll::of(&signals, flags);
        assert!(!event_loop.is_ready());
        raise(Signal::USR1);
        wait_until("it is told", || event_loop.is_ready());
        assert_eq!(look(&signals), Some(Signal::USR1));
        assert_eq!(look(&signals), None);
        if !battery().reads_ahead() {
            assert!(!event_loop.is_ready());
        }
    }
}

// signal-hook-mio: mio_multiple_signals
fn an_event_loop_takes_all_there_are_at_once() {
    let both = Signal::USR1 | Signal::USR2;
    for flags in [EventFlags::empty(), EventFlags::ET] {
        let signals = open(both).unwrap();
        let event_loop = OwnEpoll::of(&signals, flags);
        both.signals().for_each(raise);
        wait_until("it is told", || event_loop.is_ready());
        let mut batch = Batch::<8>::new();
        let taken = signals.try_recv_batch(&mut batch).unwrap();
        assert_eq!(taken.len(), 2);
        assert!(taken.iter().all(|info| both.has(info.signal())));
        assert_eq!(look(&signals), None);
    }
}

// signal-hook-mio: mio_parallel_multiple
fn an_event_loop_and_a_sender_run_side_by_side() {
    for flags in [EventFlags::empty(), EventFlags::ET] {
        let signals = open(rt(0)).unwrap();
        let event_loop = OwnEpoll::of(&signals, flags);
        let sender = thread::spawn(|| {
            for value in 0..100 {
                sigqueue(pid(), rt(0), value).unwrap();
                thread::yield_now();
            }
        });
        let mut values = Vec::new();
        let mut batch = Batch::<8>::new();
        while values.len() < 100 {
            wait_until("it is told", || event_loop.is_ready());
            // Until a batch comes back short.
            loop {
                let taken = signals.try_recv_batch(&mut batch).unwrap();
                values.extend(taken.iter().map(|info| info.value().unwrap()));
                if taken.len() < 8 {
                    break;
                }
            }
        }
        assert!(values.into_iter().eq(0..100));
        sender.join().unwrap();
    }
}

// signal-hook-tokio, signal-hook-async-std: next_returns_recieved_signal
fn a_task_has_what_came_before_it_asked() {
    let signals = open(Signal::USR1).unwrap();
    raise(Signal::USR1);
    let info = block_on(signals.recv()).unwrap().unwrap();
    assert_eq!(info.signal(), Signal::USR1);
}

// signal-hook-tokio, signal-hook-async-std: delayed
fn a_task_sleeps_until_a_signal_comes() {
    let signals = open(Signal::USR1).unwrap();
    let receiver: &Receiver = &signals;
    let is_done = AtomicBool::new(false);
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        let task = scope.spawn(|| {
            tell.send(tid()).unwrap();
            block_on(receiver.recv()).unwrap().unwrap();
            is_done.store(true, Ordering::SeqCst);
        });
        wait_until_asleep(told.recv().unwrap());
        assert!(!is_done.load(Ordering::SeqCst));
        kill(pid(), Signal::USR1);
        task.join().unwrap();
    });
    assert!(is_done.load(Ordering::SeqCst));
}
