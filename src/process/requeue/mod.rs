//! Giving records back to the kernel.

mod left;
mod records;

use rustix::io::Errno;

use super::Birth;
use crate::signal::{self, SigInfo, SignalSet};
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
/// no memory.
pub(crate) fn give_back(info: &SigInfo, birth: Birth) -> bool {
    return_record(info).is_ok() || left::leave(info, birth)
}

/// Sends a record on to the process that has reached one of its threads. A handler
/// does, perhaps on a small stack.
pub(super) fn send_on(info: &SigInfo, birth: Birth, set: SignalSet) {
    if return_record(info).is_err() {
        leave(info, birth, set);
    }
}

/// Leaves a record to the next receiver.
///
/// That is because the queue is full, and receivers look here before they read. But
/// all that was in the queue may have been read by the time it is here, by a receiver
/// that sleeps again. So once it is here, it is tried again: if the queue is still
/// full, there is something to read.
#[cold]
fn leave(info: &SigInfo, birth: Birth, set: SignalSet) {
    if !left::leave(info, birth) {
        insist(info);
        return;
    }
    let mut room = [SigInfo::EMPTY];
    while left::take(&mut room, set) > 0 {
        let [info] = &room;
        if return_record(info).is_err() {
            if !left::leave(info, birth) {
                insist(info);
            }
            return;
        }
    }
}

/// Sends a record on for which there is no memory either. It is not lost while there
/// is hope.
fn insist(info: &SigInfo) {
    while return_record(info).is_err() {
        rustix::thread::sched_yield();
    }
}

/// Makes room for what is left, so that a handler need not.
pub(super) fn make_room(birth: Birth) {
    left::make_room(birth);
}
