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
//! Whoever looks at what is left by himself leaves the wake where it is. It is no signal:
//! before the action that was there comes back it is taken out of the queue, so that it
//! does not take that.
//!
//! If room has come meanwhile, the signal has a record, from this process. So the wakes
//! that are on their way are counted, and that many of these are taken for one. They
//! cannot be told from others that the process sends to itself, which makes no
//! difference: what is counted comes. Only that several which had no room are one, so
//! some may be left on the count. Then a real-time signal that the process sends to
//! itself with `kill(2)` is taken for a wake.

//! In a forked child none is: the count begins anew there.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::process::Birth;
use crate::process::fork::{look_for_less, look_for_more};
use crate::signal::{PerSignal, SigInfo, Signal};
use crate::sys;

/// How many are on their way, of each signal: in the lower half, with the process in
/// the upper one.
static WAKES: PerSignal<AtomicU64> =
    PerSignal::new([const { AtomicU64::new(0) }; 64]);

/// What is counted for this process: none yet, if it is another's count.
fn counted(wakes: u64) -> u64 {
    let none = u64::from(Birth::here().number()) << 32;
    if wakes >> 32 == none >> 32 { wakes } else { none }
}

/// Wakes who sleeps until this signal comes.
pub(super) fn wake(signal: Signal) {
    if signal.is_realtime() {
        look_for_more();
        let (set, seen) = (Ordering::SeqCst, Ordering::SeqCst);
        let add_one = |wakes| Some(counted(wakes) + 1);
        let _added = WAKES.of(signal).fetch_update(set, seen, add_one);
        let _sent = sys::send_to_process(signal);
    }
}

/// Whether a record that was read is one of these.
#[inline]
pub(super) fn is_wake(record: &SigInfo) -> bool {
    record.code() == libc::SI_USER
        && record.signal().is_realtime()
        && WAKES.of(record.signal()).load(Ordering::SeqCst) > 0
        && was_on_its_way(record)
}

/// Whether one may be pending.
pub(super) fn is_on_its_way(signal: Signal) -> bool {
    let wakes = WAKES.of(signal).load(Ordering::SeqCst);
    counted(wakes) & u64::from(u32::MAX) > 0
}

#[cold]
fn was_on_its_way(record: &SigInfo) -> bool {
    let is_ours =
        record.has_lost_its_record() || record.pid() == Some(sys::process_id());
    let (set, seen) = (Ordering::SeqCst, Ordering::SeqCst);
    let take_one = |wakes| {
        let wakes = counted(wakes);
        (wakes & u64::from(u32::MAX) > 0).then(|| wakes - 1)
    };
    let wakes = WAKES.of(record.signal());
    let was_one = is_ours && wakes.fetch_update(set, seen, take_one).is_ok();
    if was_one {
        look_for_less();
    }
    was_one
}
