//! AnyIO: `tests/test_signals.py` at 660a06d5, and what it documents.
//!
//! Not here, or otherwise:
//!
//! | case | why |
//! |---|---|
//! | `test_receive_signals`: what is iterated is a `signal.Signals` | it is a `SigInfo`, which the compiler checks |
//! | `test_task_group_cancellation_*`: an exception says that the task was cancelled | a future is cancelled by dropping it, and nothing of it runs afterwards |

use std::cell::Cell;
use std::future::pending;
use std::pin::pin;
use std::thread;

use signalfd::{Receiver, Signal, SignalSet, Until, block_on, mask};

use super::{look, poll_once, rt, wait};
use crate::common::{DEADLINE, kill, open, open_descriptors, pid, sigqueue};
use crate::harness::cases;

cases! {
    what_another_thread_sends_is_received_in_order,
    a_task_that_is_cancelled_inside_its_scope_leaves_nothing,
    a_task_that_is_cancelled_with_a_signal_unread_leaves_it_to_the_outer_scope,
    a_consumer_that_is_cancelled_leaves_the_scope_open,
    a_signal_cancels_the_work_beside_it,
    a_scope_inside_a_task_has_its_own,
}

// anyio: test_receive_signals
fn what_another_thread_sends_is_received_in_order() {
    let both = [Signal::USR1, Signal::USR2];
    let signals = open(both[0] | both[1]).unwrap();
    for signal in both {
        thread::spawn(move || kill(pid(), signal)).join().unwrap();
    }
    for signal in both {
        let info = signals.wait_timeout(DEADLINE).unwrap().unwrap();
        assert_eq!(info.signal(), signal);
        assert_eq!(info.pid(), Some(std::process::id()));
    }
    assert_eq!(look(&signals), None);
}

async fn receive_none() {
    let signals = open(Signal::USR1).unwrap();
    let info = signals.recv().await;
    panic!("none was sent: {info:?}");
}

// anyio: test_task_group_cancellation_open
fn a_task_that_is_cancelled_inside_its_scope_leaves_nothing() {
    // What is made once is there from now on.
    block_on(async { assert!(poll_once(pin!(receive_none())).is_pending()) })
        .unwrap();
    let before = open_descriptors();
    for _ in 0..10 {
        let mut task = Box::pin(receive_none());
        assert!(poll_once(task.as_mut()).is_pending());
        assert_eq!(mask::current(), Ok(Signal::USR1.into()));
        drop(task);
        assert_eq!(mask::current(), Ok(SignalSet::empty()));
    }
    assert_eq!(open_descriptors(), before);
}

fn a_task_that_is_cancelled_with_a_signal_unread_leaves_it_to_the_outer_scope()
{
    let outer = open(Signal::USR1).unwrap();
    let mut task = Box::pin(receive_none());
    assert!(poll_once(task.as_mut()).is_pending());
    kill(pid(), Signal::USR1);
    drop(task);
    assert_eq!(mask::current(), Ok(Signal::USR1.into()));
    assert_eq!(wait(&outer), Signal::USR1);
}

// anyio: test_task_group_cancellation_consume
fn a_consumer_that_is_cancelled_leaves_the_scope_open() {
    async fn consume(receiver: &Receiver) {
        let info = receiver.recv().await;
        panic!("none was sent: {info:?}");
    }
    let signals = open(Signal::USR1).unwrap();
    for _ in 0..10 {
        let mut consumer = Box::pin(consume(&signals));
        assert!(poll_once(consumer.as_mut()).is_pending());
        drop(consumer);
        assert_eq!(mask::current(), Ok(Signal::USR1.into()));
        kill(pid(), Signal::USR1);
        let info = block_on(signals.recv()).unwrap().unwrap();
        assert_eq!(info.signal(), Signal::USR1);
    }
}

// anyio: the handler of its documentation, which cancels the scope of the task group
fn a_signal_cancels_the_work_beside_it() {
    struct Work<'w>(&'w Cell<bool>);
    impl Drop for Work<'_> {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    let was_cancelled = Cell::new(false);
    let signals = open(Signal::INT | Signal::TERM).unwrap();
    kill(pid(), Signal::TERM);
    let until = block_on(signals.until(async {
        let _work = Work(&was_cancelled);
        pending::<()>().await;
    }));
    let Ok(Until::Signal(info)) = until.unwrap() else {
        panic!("the work is never done");
    };
    assert_eq!(info.signal(), Signal::TERM);
    assert!(was_cancelled.get());
}

// anyio: open_signal_receiver in a task, inside that of another
fn a_scope_inside_a_task_has_its_own() {
    let outer = open(rt(0) | Signal::TERM).unwrap();
    let task = async {
        let inner = open(rt(1)).unwrap();
        for value in 0..10 {
            sigqueue(pid(), rt(1), value).unwrap();
            assert_eq!(inner.recv().await.unwrap().value(), Some(value));
        }
        // The outer one waits beside it, and has what is its own.
        sigqueue(pid(), rt(0), 10).unwrap();
        inner.recv().await
    };
    let until = block_on(outer.until(task)).unwrap().unwrap();
    let Until::Signal(info) = until else { panic!("{until:?}") };
    assert_eq!(info.value(), Some(10));
    assert_eq!(mask::current(), Ok(rt(0) | Signal::TERM));
    assert!(poll_once(pin!(outer.recv())).is_pending());
}
