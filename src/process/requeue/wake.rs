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
//! difference: what is counted comes. Only that several which had no room are one, so
//! some may be left on the count. Then a real-time signal that the process sends to
//! itself with `kill(2)` is taken for a wake.

use core::sync::atomic::{AtomicU32, Ordering};

use crate::signal::{PerSignal, SigInfo, Signal};
use crate::sys;

/// How many are on their way, of each signal.
static WAKES: PerSignal<AtomicU32> =
    PerSignal::new([const { AtomicU32::new(0) }; 64]);

/// Wakes who sleeps until this signal comes.
pub(super) fn wake(signal: Signal) {
    if signal.is_realtime() {
        WAKES.of(signal).fetch_add(1, Ordering::SeqCst);
        let _sent = sys::send_to_process(signal);
    }
}

/// Whether a record that was read is one of these.
pub(super) fn is_wake(record: &SigInfo) -> bool {
    record.code() == libc::SI_USER
        && record.signal().is_realtime()
        && WAKES.of(record.signal()).load(Ordering::SeqCst) > 0
        && was_on_its_way(record)
}

#[cold]
fn was_on_its_way(record: &SigInfo) -> bool {
    let is_ours =
        record.has_lost_its_record() || record.pid() == Some(sys::process_id());
    let (set, seen) = (Ordering::SeqCst, Ordering::SeqCst);
    let take_one = |wakes: u32| wakes.checked_sub(1);
    let wakes = WAKES.of(record.signal());
    is_ours && wakes.fetch_update(set, seen, take_one).is_ok()
}
