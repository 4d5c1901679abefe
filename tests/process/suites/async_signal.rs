//! async-signal: `tests/unix_signals.rs` at 59b58c73.
//!
//! Not here, or otherwise:
//!
//! | case | why |
//! |---|---|
//! | `distanced`: a thousand of `SIGALRM`, each received | a standard one coalesces with one that is pending: those are sent one by one, and a thousand real-time ones as fast as they can |
//! | the same: `raise` in another thread | that is for that thread, and nobody reads there: it is for the process |

use std::pin::{Pin, pin};
use std::task::Poll;
use std::thread;

use signalfd::Signal;

use super::{look, poll_once, receive, rt};
use crate::common::{kill, open, pid, raise, sigqueue, storm_size, wait_until};
use crate::harness::cases;

cases! {
    each_of_a_hundred_thousand_is_there_at_once,
    a_thousand_at_distances_are_received,
    a_thousand_standard_ones_sent_one_by_one_are_received,
}

// async-signal: endurance
fn each_of_a_hundred_thousand_is_there_at_once() {
    let two = [Signal::USR1, Signal::USR2];
    let signals = open(two[0] | two[1]).unwrap();
    for &signal in two.iter().cycle().take(storm_size() as usize) {
        let mut next = signals.recv();
        assert!(poll_once(Pin::new(&mut next)).is_pending());
        raise(signal);
        let Poll::Ready(info) = poll_once(Pin::new(&mut next)) else {
            panic!("{signal} is not there");
        };
        assert_eq!(info.unwrap().signal(), signal);
    }
    assert_eq!(look(&signals), None);
}

// async-signal: distanced
fn a_thousand_at_distances_are_received() {
    let signals = open(rt(0)).unwrap();
    let sender = thread::spawn(|| {
        for value in 0..1_000 {
            wait_until("there is room in the queue", || {
                sigqueue(pid(), rt(0), value).is_ok()
            });
            // Now at once, now later, in an order that repeats itself late.
            let distance = (value as u32).wrapping_mul(2_654_435_769) >> 26;
            (0..distance).for_each(|_| thread::yield_now());
        }
    });
    for value in 0..1_000 {
        assert_eq!(receive(&signals).value(), Some(value));
    }
    assert!(poll_once(pin!(signals.recv())).is_pending());
    sender.join().unwrap();
}

// async-signal: distanced, with its own signal
fn a_thousand_standard_ones_sent_one_by_one_are_received() {
    let signals = open(Signal::ALRM).unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let sender = thread::spawn(move || {
        for () in told {
            kill(pid(), Signal::ALRM);
        }
    });
    for _ in 0..1_000 {
        tell.send(()).unwrap();
        assert_eq!(receive(&signals).signal(), Signal::ALRM);
    }
    assert!(poll_once(pin!(signals.recv())).is_pending());
    drop(tell);
    sender.join().unwrap();
}
