//! Ending the process, and stopping it.

use core::ffi::c_int;

use rustix::io::Errno;
use rustix::process::getpid;

use super::action::{Action, set_action, set_handler, tgkill_self};
use super::{How, check, sigprocmask};
use crate::error::Error;
use crate::signal::{Signal, SignalSet};

/// No handler, no flags, an empty mask.
const fn action_of(handler: usize) -> Action {
    let mask = SignalSet::empty();
    Action { handler, flags: 0, mask, restorer: 0 }
}

/// What a signal does that nobody has said anything of.
pub(crate) const fn default_action() -> Action {
    action_of(libc::SIG_DFL)
}

/// The action that a signal had.
#[derive(Debug)]
pub(crate) struct Found(Action);

/// Lets a signal take its default action, and returns what it did before.
pub(crate) fn set_default(signal: Signal) -> Result<Found, Error> {
    // SAFETY: SIG_DFL is no handler.
    unsafe { set_action(signal, &default_action()) }.map(Found)
}

/// Ignores a signal, also one that is pending and blocked, and returns what it did
/// before.
pub(crate) fn set_ignored(signal: Signal) -> Result<Found, Error> {
    // SAFETY: SIG_IGN is no handler.
    unsafe { set_action(signal, &action_of(libc::SIG_IGN)) }.map(Found)
}

/// Restores the action that a signal had.
pub(crate) fn restore(signal: Signal, found: &Found) -> Result<(), Error> {
    // SAFETY: the handler was there, with these flags.
    unsafe { set_action(signal, &found.0) }.map(drop)
}

/// Has a handler end the process when the signal comes, with the exit status that
/// a shell makes of it. Returns the action that it had.
pub(crate) fn end_by(signal: Signal) -> Result<Action, Error> {
    // What a handler returns to may be another with this flag, and is kept for others that
    // have it (`set_handler`).
    let flags = libc::SA_SIGINFO;
    // SAFETY: the handler takes the number of the signal and no more, and makes calls that
    // a handler may make.
    unsafe { set_handler(signal, end_handler(), flags, SignalSet::empty()) }
}

/// Tells whether an action is what [`end_by`] has set.
pub(crate) fn is_end(action: &Action) -> bool {
    action.handler == end_handler()
}

/// The handler of [`end_by`].
pub(crate) fn end_handler() -> usize {
    let handler: extern "C" fn(c_int) = end;
    handler as usize
}

// It is known by its address: a function that is inlined may have several.
#[inline(never)]
extern "C" fn end(number: c_int) {
    if let (false, Ok(signal)) = (is_pid_1(), Signal::try_from(number)) {
        // A child of PID 1's can die by it. At once: the thread may have another mask when
        // the handler returns (`ppoll(2)`).
        if set_default(signal).is_ok() {
            let _sent = take_at_once(signal);
        }
    }
    exit_as_by(number);
}

/// Has the calling thread take a signal while it is sent: it is unblocked first.
pub(crate) fn take_at_once(signal: Signal) -> Result<(), Errno> {
    let _mask = sigprocmask(Some((How::Unblock, signal.into())));
    tgkill_self(signal)
}

/// Ends the process at once, with the status that a shell makes of a signal.
pub(crate) fn exit_as_by(number: c_int) -> ! {
    // SAFETY: has no preconditions (_exit(2)), and may be called in a signal
    // handler (signal-safety(7)).
    unsafe { libc::_exit(128_i32.saturating_add(number)) }
}

/// Whether this process is the first of its PID namespace, which no default action ends.
pub(crate) fn is_pid_1() -> bool {
    getpid().as_raw_pid() == 1
}

/// Sends a signal to this process. Unlike to a thread, that goes also where the
/// user has no room for another queued signal: there the record is lost, and no
/// more (`__send_signal_locked()` in `kernel/signal.c`).
pub(crate) fn send_to_process(signal: Signal) -> Result<(), Errno> {
    // SAFETY: kill(2) takes two numbers.
    let result = unsafe { libc::kill(getpid().as_raw_pid(), signal.as_raw()) };
    check(result.into()).map(drop)
}
