//! Waking who sleeps, when a record was left for them.
//!
//! A receiver looks at what is left before it sleeps, and then it sleeps on the kernel's
//! queue. What wakes it has to be in that queue, and that has no room, or the record
//! would be there itself. But there is always room for a signal without a record: of a
//! real-time signal that is sent with `kill(2)` the kernel then keeps that it was sent,
//! and no more (`__send_signal_locked()`). Whoever reads it looks at what is left again.
//!
//! Of a standard signal the kernel drops the record and not the signal, so none is left
//! for want of room.
//!
//! If room has come meanwhile, the signal has a record, from this process. So the wakes
//! that are on their way are counted, and that many of these are taken for one. They
//! cannot be told from others that the process sends to itself, which makes no
//! difference: what is counted comes.

use core::sync::atomic::{AtomicU32, Ordering};

use crate::signal::{SigInfo, Signal};
use crate::sys;

/// How many are on their way, of each signal.
static WAKES: [AtomicU32; 64] = [const { AtomicU32::new(0) }; 64];

fn wakes(signal: Signal) -> &'static AtomicU32 {
    let [first, ..] = &WAKES;
    WAKES.get(usize::from(signal.bit())).unwrap_or(first)
}

/// Wakes who sleeps until this signal comes.
pub(super) fn wake(signal: Signal) {
    if signal.is_realtime() {
        wakes(signal).fetch_add(1, Ordering::SeqCst);
        let _sent = sys::send_to_process(signal);
    }
}

/// Whether a record that was read is one of these.
pub(super) fn is_wake(record: &SigInfo) -> bool {
    record.code() == libc::SI_USER
        && record.signal().is_realtime()
        && wakes(record.signal()).load(Ordering::SeqCst) > 0
        && was_on_its_way(record)
}

#[cold]
fn was_on_its_way(record: &SigInfo) -> bool {
    let wakes = wakes(record.signal());
    let (pid, uid) = (record.pid(), record.uid());
    if (pid, uid) == (Some(0), Some(0)) {
        // All that had no room are one.
        return wakes.swap(0, Ordering::SeqCst) > 0;
    }
    let (set, seen) = (Ordering::SeqCst, Ordering::SeqCst);
    pid == Some(sys::process_id())
        && wakes.fetch_update(set, seen, |wakes| wakes.checked_sub(1)).is_ok()
}
