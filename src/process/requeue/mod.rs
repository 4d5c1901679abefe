//! Giving records back to the kernel.

mod left;
mod notes;
mod records;
mod wake;

use core::slice;
use core::sync::atomic::{Ordering, fence};

use rustix::io::Errno;

use super::{Birth, backstop, probe};
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
            Err(Errno::PERM) if goes_from_any_thread(info) => return Ok(()),
            Err(Errno::PERM) => {}
            done => return done,
        }
    }
    sys::sigqueueinfo(&signal::seal(info).ok_or(Errno::PERM)?)
}

/// Queues a record with a code of the kernel's as it is, where the kernel lets any thread.
fn goes_from_any_thread(info: &SigInfo) -> bool {
    // Android's sandbox ends a process that makes a call which is newer than the system.
    const MAY_ASK: bool = cfg!(not(target_os = "android"));
    // Not of `tgkill(2)`, whose code is negative: it would not arrive as that.
    let is_kernels = info.code() >= libc::SI_USER;
    MAY_ASK && is_kernels && sys::pidfd_send_signal(info).is_ok()
}

/// Puts a record back, or leaves it to the next receiver. It fails only if there is
/// no memory. What was not for a receiver, but for the handler, has come. In a forked
/// child it is the parent's, which has it, too.
pub(crate) fn give_back(info: &SigInfo, birth: Birth) -> bool {
    if birth.check().is_err() {
        return true;
    }
    if probe::is_probe(info) {
        probe::has_come();
        return true;
    }
    if wake::is_wake(info) {
        wake_again(info.signal());
        return true;
    }
    return_record(info).is_ok() || leave(info, birth)
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
        leave_in_handler(info, birth);
    }
}

#[cold]
fn leave_in_handler(info: &SigInfo, birth: Birth) {
    let signal = info.signal();
    if !wake::is_this_process() {
        // A child that has its parent's memory leaves nothing there. What it has to take
        // is pending for it without the record.
        let _sent = sys::send_to_process(signal);
        return;
    }
    if !leave(info, birth) {
        insist(info, birth);
    }
    // See the head of `wake.rs`.
    fence(Ordering::SeqCst);
    if !backstop::active().has(signal) {
        give_back_left::<1>(signal, birth);
    }
}

/// Leaves a record to the next receiver, and wakes one. It fails only if there is no
/// memory.
#[cold]
fn leave(info: &SigInfo, birth: Birth) -> bool {
    let is_left = left::leave(info, birth);
    if is_left {
        wake::wake(info.signal());
    }
    is_left
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
fn insist(info: &SigInfo, birth: Birth) {
    while return_record(info).is_err() && !leave(info, birth) {
        rustix::thread::sched_yield();
    }
}

/// Makes room for what is left of these signals, so that a handler need not.
pub(super) fn make_room(set: SignalSet, birth: Birth) -> Result<(), Error> {
    set.signals().for_each(wake::prepare);
    left::make_room(birth).map_err(|errno| Error::os(Op::Mmap, errno))
}

/// Says that nobody who sleeps is to be woken any more, since the handler is about to go,
/// and tells whether nobody is about to do so. In turn.
pub(super) fn no_wake_comes(set: SignalSet) -> bool {
    set.signals().filter(|&signal| !wake::is_over(signal)).count() == 0
}

/// Lets those be woken again who wait for these signals, since the handler stays for them.
pub(super) fn let_wake(set: SignalSet) {
    for signal in set.signals() {
        wake::allow(signal);
        wake_again(signal);
    }
}

/// Whether a wake of this signal may still come.
pub(super) fn may_wake(signal: Signal) -> bool {
    wake::may_come(signal)
}

/// How many records of a real-time signal are taken out of the queue at most before its
/// action changes, so that who goes on sending does not hold that up for good. A user may
/// have about as many pending on a machine with 16 GiB (`RLIMIT_SIGPENDING`, which is half
/// of `threads-max` by default). They need 8 MiB.
const MOST: usize = 65_536;

/// Takes out of the queue what would be lost when a signal is given another action, or
/// would take that: to ignore a signal makes the kernel drop what is pending of it
/// (`do_sigaction()` in `kernel/signal.c`), and a wake would take any action. Otherwise
/// what is pending is left alone, since not all of what it says, and for whom it is, would
/// come back. Fails if there is more of it than can be taken. In turn.
pub(super) fn take_out(signal: Signal, ignores: bool, birth: Birth) -> bool {
    if !ignores && !wake::may_be_pending(signal) {
        return true;
    }
    wake::stop(signal);
    // One that was not taken may be another thread's that has not looked at it yet.
    let is_out = take_records(signal, ignores, birth)
        && (ignores || wake::was_the_last(signal));
    if is_out {
        // None is pending any more, whoever has taken it.
        wake::forget(signal);
    }
    is_out
}

fn take_records(signal: Signal, ignores: bool, birth: Birth) -> bool {
    let is_realtime = signal.is_realtime();
    // Of a standard signal there is the thread's and the process's. What comes then would
    // be one with these.
    let most = if is_realtime { MOST } else { 2 };
    for _ in 0..most {
        let Some(info) = sys::action::take_pending(signal) else { return true };
        if wake::is_wake(&info) {
            // It would take the action that comes back.
            if !ignores && wake::was_the_last(signal) {
                return true;
            }
        } else if !left::leave(&info, birth) {
            // There is room: it has just been taken.
            insist(&info, birth);
            return false;
        }
    }
    !is_realtime
}

/// Gives what was left of a signal back to the kernel, where the handler is not to block
/// it any more; so many at once. What finds no room there is left again, and wakes who
/// sleeps if the handler is there again.
pub(super) fn give_back_left<const N: usize>(signal: Signal, birth: Birth) {
    let mut room = [SigInfo::EMPTY; N];
    loop {
        let taken = left::take(&mut room, || signal.into());
        let mut is_done = taken == 0;
        for info in room.iter().take(taken) {
            if return_record(info).is_err() {
                is_done = true;
                if !leave(info, birth) {
                    insist(info, birth);
                }
            }
        }
        if is_done {
            return;
        }
    }
}

/// Whether a record that was read is for the caller. One that is the crate's own is
/// not, or is replaced by one that was left.
#[inline]
pub(crate) fn admit(record: &mut SigInfo) -> bool {
    if probe::is_probe(record) {
        probe::has_come();
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
