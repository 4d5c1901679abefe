//! Giving records back to the kernel.

mod left;
mod records;
mod wake;

use core::slice;

use rustix::io::Errno;

use super::{Birth, backstop};
use crate::error::{Error, Op};
use crate::signal::{self, SigInfo, Signal, SignalSet};
use crate::sys;

pub(crate) use left::{has as has_left, take as take_left};
pub(crate) use {
    left::keep,
    records::{BUFFER_BYTES, BUFFERS, HEAD_ROOM, RECORDS, Records, TAKEN},
};

/// Queues the record as it is if the kernel lets us, and sealed if not.
pub(crate) fn return_record(info: &SigInfo) -> Result<(), Errno> {
    // What came sealed goes back sealed: queued as it is by the main thread, it
    // would come back as if the kernel vouched for it. And of a real-time signal
    // with SI_USER the kernel does not say when it has no room for the record
    // (`__send_signal_locked()`), but of a sealed one it does.
    let is_silent = info.code() == libc::SI_USER && info.signal().is_realtime();
    if !info.is_restored() && !is_silent {
        match sys::sigqueueinfo(info) {
            Err(Errno::PERM) => {}
            done => return done,
        }
    }
    sys::sigqueueinfo(&signal::seal(info).ok_or(Errno::PERM)?)
}

/// Puts a record back, or leaves it to the next receiver. It fails only if there is
/// no memory. What was not for a receiver, but for the handler, has come.
pub(crate) fn give_back(info: &SigInfo, birth: Birth) -> bool {
    if backstop::is_probe(info) {
        backstop::probe_has_come();
        return true;
    }
    if wake::is_wake(info) {
        wake_again(info.signal());
        return true;
    }
    return_record(info).is_ok() || left::leave(info, birth)
}

/// Whether what has reached a thread is no signal, but was to wake one. If the thread
/// will block it, the wake goes on to another.
pub(super) fn was_wake(info: &SigInfo, goes_on: bool) -> bool {
    let is_wake = wake::is_wake(info);
    if is_wake && goes_on {
        wake_again(info.signal());
    }
    is_wake
}

/// Sends a record on to the process that has reached one of its threads. A handler
/// does, perhaps on a small stack.
pub(super) fn send_on(info: &SigInfo, birth: Birth) {
    if return_record(info).is_err() {
        leave(info, birth);
    }
}

/// Leaves a record to the next receiver, and wakes one.
#[cold]
fn leave(info: &SigInfo, birth: Birth) {
    if left::leave(info, birth) {
        wake::wake(info.signal());
    } else {
        insist(info);
    }
}

/// Wakes one with a wake that has not come to anyone, unless somebody was faster.
#[cold]
fn wake_again(signal: Signal) {
    if left::has(signal.into()) {
        wake::wake(signal);
    }
}

/// Sends a record on for which there is no memory either. It is not lost while there
/// is hope.
fn insist(info: &SigInfo) {
    while return_record(info).is_err() {
        rustix::thread::sched_yield();
    }
}

/// Makes room for what is left of these signals, so that a handler need not.
pub(super) fn make_room(set: SignalSet, birth: Birth) -> Result<(), Error> {
    set.signals().for_each(wake::prepare);
    left::make_room(birth).map_err(|errno| Error::os(Op::Mmap, errno))
}

/// Gives a signal another action, and keeps what is pending of it.
///
/// To ignore a signal makes the kernel drop that (`do_sigaction()` in
/// `kernel/signal.c`), and a wake would take any action. Otherwise it is left alone,
/// since not all of what it says, and for whom it is, would come back.
pub(super) fn keeping_pending(
    signal: Signal,
    ignores: bool,
    birth: Birth,
    f: impl FnOnce(),
) {
    // What it was for goes back below, unless somebody has read it.
    let mut is_some = wake::may_be_pending(signal);
    if !ignores && !is_some {
        return f();
    }
    wake::stop(signal);
    while let Some(info) = sys::action::take_pending(signal) {
        is_some = true;
        if wake::is_wake(&info) {
            // It would take the action that comes back.
            if !ignores && wake::was_the_last(signal) {
                break;
            }
            continue;
        }
        if !left::leave(&info, birth) {
            // What cannot be kept is better dropped with the others, or it would be
            // taken again and again.
            break;
        }
    }
    // None is pending any more, whoever has taken it.
    wake::forget(signal);
    f();
    let mut room = [SigInfo::EMPTY];
    while is_some && left::take(&mut room, || signal.into()) > 0 {
        let [info] = &room;
        if return_record(info).is_err() {
            // Nobody is woken, since a wake would take the action that is back.
            if !left::leave(info, birth) {
                insist(info);
            }
            return;
        }
    }
}

/// Whether a record that was read is for the caller. One that is the crate's own is
/// not, or is replaced by one that was left.
#[inline]
pub(crate) fn admit(record: &mut SigInfo) -> bool {
    if backstop::is_probe(record) {
        backstop::probe_has_come();
        return false;
    }
    if wake::is_wake(record) {
        let signal = record.signal();
        let is_some = left::take(slice::from_mut(record), || signal.into()) > 0;
        if is_some {
            wake_again(signal);
        }
        return is_some;
    }
    true
}
