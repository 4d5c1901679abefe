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
//! If room has come meanwhile, the signal has a record, from this process. Neither can be
//! told from others that are sent with `kill(2)`. So of each signal one wake is on its
//! way at a time, there is a note of it, and the next record that reads like one is taken
//! for it. Which of several that is makes no difference: what is noted comes. It comes
//! once at most, since the kernel keeps one signal of a number that has no record: were
//! there a count, some would be left on it, and real signals be taken for these. It does
//! not come at all where it meets a record of its number, the last of which takes it along
//! (`collect_signal()`): then the note stays for the next one. And a signal without a
//! record that another one sends meanwhile is one with the wake, as it would have been with the record that was left, were that in the
//! queue.
//!
//! One is enough: who leaves a record sees the note, and who reads the wake takes the
//! note away before it looks at what is left. If there is more than it takes, it wakes the
//! next one.
//!
//! Other code of the program may take a wake as it may take any signal (`sigwait(3)`).
//! Then the note goes when the handler does.
//!
//! In a forked child there is none: notes are another process's there.

use crate::process::Birth;
use crate::process::fork::{OfProcess, look_for_less, look_for_more};
use crate::signal::{PerSignal, SigInfo, Signal};
use crate::sys;

/// Whether one is on its way, of each signal.
static WAKES: PerSignal<OfProcess> =
    PerSignal::new([const { OfProcess::new() }; 64]);

const ON_ITS_WAY: u32 = 1;

/// Changes a note, and tells whether there was one. It is a change also where there is
/// one already, so that who takes it away sees what was left before.
fn change(signal: Signal, to: u32) -> bool {
    WAKES.of(signal).update(Birth::here(), |_| to) != 0
}

/// Wakes who sleeps until this signal comes.
pub(super) fn wake(signal: Signal) {
    if !signal.is_realtime() {
        return;
    }
    // Before it can be found.
    look_for_more();
    if change(signal, ON_ITS_WAY) {
        look_for_less();
    } else if sys::send_to_process(signal).is_err() {
        forget(signal);
    }
}

/// Takes the note away, and tells whether there was one.
pub(super) fn forget(signal: Signal) -> bool {
    let was_noted = change(signal, 0);
    if was_noted {
        look_for_less();
    }
    was_noted
}

/// Whether a record that was read is one of these.
#[inline]
pub(super) fn is_wake(record: &SigInfo) -> bool {
    record.code() == libc::SI_USER
        && record.signal().is_realtime()
        && was_on_its_way(record)
}

/// Whether one may be pending.
pub(super) fn is_on_its_way(signal: Signal) -> bool {
    WAKES.of(signal).load(Birth::here()) != 0
}

#[cold]
fn was_on_its_way(record: &SigInfo) -> bool {
    let is_ours =
        record.has_lost_its_record() || record.pid() == Some(sys::process_id());
    is_ours && forget(record.signal())
}
