//! The records by which threads are made to run the handler (`backstop.rs`), called probes:
//! who was sent one, and whether it has come.
//!
//! They are counted when they are sent, and when the handler is given one or a reader has
//! found it. If the counts are equal, none is on its way. If they are not for long, a thread
//! has ended with its probe, or has not run yet; then the pending signals of all threads tell
//! (`/proc`). Who sends probes, and who waits for them, is in turn.

use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use core::time::Duration;

use rustix::io::Errno;
use rustix::thread::futex;

use super::status::Queue;
use super::threads::for_each_thread;
use crate::signal::{PROBE, SigInfo, Signal, SignalSet};
use crate::sys::{self, Deadline};

/// Those of which probes were sent that may not have come yet.
static PROBES: AtomicU64 = AtomicU64::new(0);
/// How many probes were sent, and how many of them have come to the handler.
static SENT: AtomicU32 = AtomicU32::new(0);
static HANDLED: AtomicU32 = AtomicU32::new(0);
/// Whether one was ever counted as sent and handled that may have been neither.
static WAS_GUESSED: AtomicBool = AtomicBool::new(false);
/// What is on its way and may come without its record: the thread in the upper half, and
/// the signal; 0 for none.
static PROBED: AtomicU64 = AtomicU64::new(0);
/// What was taken for one that had lost its record, in the same form.
static MISTAKEN: AtomicU64 = AtomicU64::new(0);
/// How long that is waited for alone.
const MOMENT: Duration = Duration::from_millis(10);

/// In a forked child none is on its way.
pub(super) fn begin_afresh() {
    SENT.store(HANDLED.load(Ordering::Relaxed), Ordering::Relaxed);
    PROBES.store(0, Ordering::Relaxed);
    PROBED.store(0, Ordering::Relaxed);
    MISTAKEN.store(0, Ordering::Relaxed);
    WAS_GUESSED.store(false, Ordering::Relaxed);
}

/// Makes a thread run the handler. In turn.
///
/// If the queue is full the kernel refuses a real-time signal, and delivers a standard
/// one without its record, which could be anyone's: it looks as one does that comes from
/// outside the PID namespace. So where it may fill up by then, a standard one is the only
/// one on its way, and the thread knows that it is for it. One that looks the same, and comes
/// to the same thread in that moment, is taken for it, and sent on if the probe comes after
/// it.
pub(super) fn send(
    tid: u32,
    signal: Signal,
    queue: Queue,
) -> Result<(), Errno> {
    let tid = i32::try_from(tid).map_err(|_| Errno::SRCH)?;
    // There is none on its way to this thread (`every.rs`).
    let this = probed(tid, signal);
    let _mistaken = took(&MISTAKEN, this);
    if signal.is_realtime() || queue == Queue::Open {
        return send_probe(tid, signal);
    }
    PROBED.store(this, Ordering::SeqCst);
    let sent = send_probe(tid, signal);
    if sent.is_ok() {
        wait_for_all(Deadline::after(Some(MOMENT)));
    }
    PROBED.store(0, Ordering::SeqCst);
    sent
}

fn probed(tid: i32, signal: Signal) -> u64 {
    let [tid, signal] = [tid, signal.as_raw()].map(i32::unsigned_abs);
    u64::from(tid) << 32 | u64::from(signal)
}

/// Whether this thread was sent a probe that is this signal. It comes once.
pub(super) fn is_expected(signal: Signal, is_bare: bool) -> bool {
    let this = probed(sys::thread_id(), signal);
    let is_it = took(&PROBED, this);
    if is_it && is_bare {
        MISTAKEN.store(this, Ordering::SeqCst);
    }
    is_it
}

/// Whether this thread has taken another signal for a probe, which has come now.
pub(super) fn was_mistaken(signal: Signal) -> bool {
    took(&MISTAKEN, probed(sys::thread_id(), signal))
}

/// Whether that was there, and is not any more.
fn took(word: &AtomicU64, this: u64) -> bool {
    let order = Ordering::SeqCst;
    word.compare_exchange(this, 0, order, order).is_ok()
}

fn send_probe(tid: i32, signal: Signal) -> Result<(), Errno> {
    // Before, so that there are never more handled than sent.
    SENT.fetch_add(1, Ordering::Relaxed);
    PROBES.fetch_or(SignalSet::from(signal).bits(), Ordering::Relaxed);
    sys::action::tgsigqueueinfo(tid, &probe_of(signal)).inspect_err(|_| {
        SENT.fetch_sub(1, Ordering::Relaxed);
    })
}

fn probe_of(signal: Signal) -> SigInfo {
    let mut info =
        SigInfo { signo: signal.as_raw(), code: PROBE, ..SigInfo::EMPTY };
    info.set_sigval(secret());
    info
}

/// Whether this process has sent the record to itself. Others do not know the
/// secret, so none of theirs is taken for one.
#[inline]
pub(super) fn is_probe(info: &SigInfo) -> bool {
    info.code() == PROBE && info.sigval() == secret()
}

/// What others cannot guess: where something of ours is, which not every program has the
/// kernel choose, and a number that was given at random. As much as a pointer has room for.
pub(super) fn secret() -> u64 {
    let [number, _] = sys::random().map(|it| it as usize);
    let address = ptr::from_ref(&SENT).addr();
    (address ^ number ^ number.rotate_left(usize::BITS / 2)) as u64
}

/// A probe has come to the handler, or was read and does not come there any more.
pub(super) fn has_come() {
    HANDLED.fetch_add(1, Ordering::Release);
    let _woken = futex::wake(&HANDLED, futex::Flags::PRIVATE, 1);
}

/// Waits until all probes have come to the handler, or the deadline is over.
pub(super) fn wait_for_all(deadline: Deadline) {
    loop {
        let handled = handled();
        let left = deadline.left().unwrap_or_default();
        let Ok(timeout) = left.try_into() else { return };
        if handled == SENT.load(Ordering::Relaxed) || left.is_zero() {
            return;
        }
        let flags = futex::Flags::PRIVATE;
        let _woken = futex::wait(&HANDLED, flags, handled, Some(&timeout));
    }
}

/// How many probes have come to the handler, in all.
pub(super) fn handled() -> u32 {
    HANDLED.load(Ordering::Acquire)
}

/// Whether there may be one that has not come.
pub(super) fn may_come() -> bool {
    handled() != SENT.load(Ordering::Relaxed)
}

/// Whether all probes have come to the handler, or are gone with the thread that was
/// sent one. In turn.
pub(super) fn is_quiet() -> bool {
    let handled = handled();
    let is_exact = !WAS_GUESSED.load(Ordering::Relaxed);
    if is_exact && SENT.load(Ordering::Relaxed) == handled {
        PROBES.store(0, Ordering::Relaxed);
        return true;
    }
    let mut is_pending = false;
    let probes = PROBES.load(Ordering::Relaxed);
    let looked = for_each_thread(|_, status| {
        is_pending |= status.pending.bits() & probes != 0;
        Ok(())
    });
    if is_pending || looked.is_err() {
        return false;
    }
    // One may be on its way into the handler still. Then they differ later by that one, and
    // that they are equal says nothing any more.
    WAS_GUESSED.store(true, Ordering::Relaxed);
    SENT.store(handled, Ordering::Relaxed);
    PROBES.store(0, Ordering::Relaxed);
    true
}
