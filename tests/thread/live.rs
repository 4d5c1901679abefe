//! Changing the signals of a receiver that is open.

use signalfd::{Error, Signal, block, mask};

use crate::common::{open_in_thread, raise};

#[test]
fn insert_blocks_and_receives() {
    let before = mask::current().unwrap();
    let signals = open_in_thread(Signal::USR1);
    signals.insert(Signal::USR2 | Signal::HUP).unwrap();
    let all = Signal::USR1 | Signal::USR2 | Signal::HUP;
    assert_eq!(signals.signals(), all);
    assert_eq!(mask::current().unwrap(), before | all);
    raise(Signal::USR2);
    assert_eq!(signals.wait().unwrap().signal(), Signal::USR2);
    drop(signals);
    assert_eq!(mask::current().unwrap(), before);
}

#[test]
fn remove_unblocks_only_what_the_scope_blocked() {
    let _outer = block(Signal::WINCH | Signal::HUP).unwrap();
    let before = mask::current().unwrap();
    let signals = open_in_thread(Signal::USR1 | Signal::USR2 | Signal::WINCH);
    // HUP is none of its signals, and WINCH was blocked before.
    signals.remove(Signal::USR2 | Signal::WINCH | Signal::HUP).unwrap();
    assert_eq!(signals.signals(), Signal::USR1.into());
    assert_eq!(mask::current().unwrap(), before | Signal::USR1);
    drop(signals);
    assert_eq!(mask::current().unwrap(), before);
}

#[test]
fn remove_unblocks() {
    let before = mask::current().unwrap();
    let signals = open_in_thread(Signal::USR1 | Signal::USR2);
    signals.remove(Signal::USR2).unwrap();
    assert_eq!(mask::current().unwrap(), before | Signal::USR1);
}

#[test]
fn replace_sets_the_mask_to_match() {
    let _outer = block(Signal::WINCH).unwrap();
    let before = mask::current().unwrap();
    let signals = open_in_thread(Signal::USR1 | Signal::WINCH);
    signals.replace(Signal::USR2 | Signal::HUP).unwrap();
    assert_eq!(signals.signals(), Signal::USR2 | Signal::HUP);
    let mask = mask::current().unwrap();
    assert_eq!(mask, before | Signal::USR2 | Signal::HUP);
    drop(signals);
    assert_eq!(mask::current().unwrap(), before);
}

#[test]
fn what_stays_in_the_set_stays_pending() {
    let signals = open_in_thread(Signal::USR1 | Signal::USR2);
    raise(Signal::USR1);
    signals.replace(Signal::USR1 | Signal::HUP).unwrap();
    signals.insert(Signal::USR2).unwrap();
    signals.remove(Signal::HUP).unwrap();
    assert_eq!(signals.wait().unwrap().signal(), Signal::USR1);
}

#[test]
fn a_receiver_without_a_guard_needs_the_signals_blocked() {
    let signals = open_in_thread(Signal::USR1);
    let receiver: &signalfd::Receiver = &signals;
    let error = receiver.insert(Signal::USR1 | Signal::USR2);
    assert_eq!(error, Err(Error::NotBlocked(Signal::USR2.into())));
    let error = receiver.replace(Signal::USR2);
    assert_eq!(error, Err(Error::NotBlocked(Signal::USR2.into())));
    assert_eq!(receiver.signals(), Signal::USR1.into());
    let _guard = block(Signal::USR2).unwrap();
    receiver.insert(Signal::USR2).unwrap();
    assert_eq!(receiver.signals(), Signal::USR1 | Signal::USR2);
    receiver.remove(Signal::USR1).unwrap();
    assert_eq!(receiver.signals(), Signal::USR2.into());
    let mask = mask::current().unwrap();
    assert!(mask.contains(Signal::USR1 | Signal::USR2), "it changes no mask");
}

/// What the outer scope changes while the inner one is open stays when that one
/// goes, and what the inner one needs stays blocked.
#[test]
fn an_outer_scope_can_be_changed() {
    let before = mask::current().unwrap();
    let outer = open_in_thread(Signal::USR1 | Signal::TERM);
    let inner = open_in_thread(Signal::USR1 | Signal::HUP);
    outer.insert(Signal::USR2).unwrap();
    outer.remove(Signal::USR1).unwrap();
    let all = Signal::USR1 | Signal::USR2 | Signal::TERM | Signal::HUP;
    assert_eq!(mask::current().unwrap(), before | all);
    drop(inner);
    let left = Signal::USR2 | Signal::TERM;
    assert_eq!(mask::current().unwrap(), before | left);
    assert_eq!(outer.signals(), left);
    drop(outer);
    assert_eq!(mask::current().unwrap(), before);
}

#[test]
fn scopes_side_by_side_can_be_changed() {
    let before = mask::current().unwrap();
    let stopping = open_in_thread(Signal::INT | Signal::TERM);
    let reloading = open_in_thread(Signal::HUP);
    stopping.remove(Signal::INT).unwrap();
    let left = Signal::TERM | Signal::HUP;
    assert_eq!(mask::current().unwrap(), before | left);
    reloading.insert(Signal::USR1).unwrap();
    drop(stopping);
    let left = Signal::USR1 | Signal::HUP;
    assert_eq!(mask::current().unwrap(), before | left);
    drop(reloading);
    assert_eq!(mask::current().unwrap(), before);
}

#[test]
fn a_failed_insert_leaves_blocked_what_was_blocked() {
    let signals = open_in_thread(Signal::USR1);
    let before = mask::current().unwrap();
    let bad = Signal::USR2 | Signal::KILL;
    assert!(signals.insert(bad).is_err());
    assert_eq!(mask::current().unwrap(), before);
}

/// Threads change the set at once; when all are done, what the kernel has is
/// what the receiver says.
#[test]
fn changes_from_many_threads_end_in_agreement() {
    let all = Signal::HUP | Signal::INT | Signal::USR1 | Signal::USR2;
    let signals = open_in_thread(all);
    let receiver: &signalfd::Receiver = &signals;
    for _ in 0..200 {
        std::thread::scope(|scope| {
            for signal in [Signal::INT, Signal::USR1, Signal::USR2] {
                scope.spawn(move || {
                    receiver.remove(signal).unwrap();
                    receiver.insert(signal).unwrap();
                    receiver.remove(signal).unwrap();
                });
            }
        });
        assert_eq!(receiver.signals(), Signal::HUP.into());
        assert_eq!(kernels_set(receiver), Signal::HUP.into());
        receiver.replace(all).unwrap();
        assert_eq!(kernels_set(receiver), all);
    }
}

/// The set of a signalfd, as the kernel tells it.
fn kernels_set(receiver: &signalfd::Receiver) -> signalfd::SignalSet {
    use std::os::fd::{AsFd, AsRawFd};
    let fd = receiver.as_fd().as_raw_fd();
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}"));
    let text = text.unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("sigmask:\t"));
    let Some(line) = line else {
        // The descriptor is the ring's, and the signalfd is not to be seen.
        assert!(crate::battery().reads_ahead());
        return receiver.signals();
    };
    let bits = u64::from_str_radix(line.trim(), 16).unwrap();
    signalfd::SignalSet::from_bits_retain(bits)
}
