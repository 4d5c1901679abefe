//! Stopping as `SIGTSTP` would have.

use super::{Birth, backstop};
use crate::error::{Error, Op};
use crate::signal::{Signal, SignalSet};
use crate::sys::{self, How};

const TSTP: Signal = Signal::TSTP;

/// Stops the process as `SIGTSTP` would have if it had not been received, until
/// `SIGCONT` continues it.
///
/// For programs that change the terminal. They receive `SIGTSTP`, which Ctrl-Z sends,
/// restore the terminal in `before`, stop, and set it up again in `after`. `after` runs
/// whenever `before` did, also if the process could not be stopped.
///
/// In between, the default action is installed, and the signal is sent to the calling thread
/// and unblocked there. Once the process is continued, mask and action are restored exactly.
/// The shell sees a process that `SIGTSTP` has stopped.
///
/// - All threads stop. Others that change signal actions wait until this is done
///   ([`mask::block_every_thread`](crate::mask::block_every_thread)).
/// - A `SIGTSTP` that is pending already is part of this stop, and one that comes
///   before the action is restored stops the process too. A child that another thread forks
///   before that has the default action.
/// - Stopping removes a pending `SIGCONT`, and continuing a pending `SIGTSTP`, also where
///   they are blocked. The `SIGCONT` that ends the stop can be received afterwards. A
///   `SIGCONT` that comes after the `SIGTSTP` was received, but before this is called,
///   does not prevent the stop.
/// - The kernel does not stop a process of an orphaned process group, since nobody is
///   there to continue it, nor PID 1. Then this returns at once.
/// - If a ring of the calling thread reads `SIGTSTP` ahead ([`Kind::Completion`],
///   `uring::ReadSource`), it takes the signal before that can stop anything: this
///   returns at once, and the ring has one more record. Remove the signal from the
///   receiver before, and insert it again afterwards.
///
/// # Errors
///
/// [`Error::Os`] if a sandbox refuses `rt_sigprocmask(2)`, `sigaction(2)` or
/// `tgkill(2)`. Mask and action are then as they were, as far as it lets them.
///
/// # Examples
///
/// ```no_run
/// use signalfd::{Signal, suspend};
///
/// let signals = signalfd::open(Signal::TSTP | Signal::CONT | Signal::TERM)?;
/// for info in &signals {
///     match info?.signal() {
///         Signal::TSTP => suspend(
///             || print!("\x1b[?1049l"), // leave the alternate screen
///             || print!("\x1b[?1049h"), // and go back to it
///         )?,
///         Signal::CONT => println!("draw everything again"),
///         _ => break,
///     }
/// }
/// # Ok::<(), signalfd::Error>(())
/// ```
///
/// # References
///
/// [signal(7)](https://man7.org/linux/man-pages/man7/signal.7.html),
/// [setpgid(2)](https://man7.org/linux/man-pages/man2/setpgid.2.html) about
/// orphaned process groups
///
/// [`Kind::Completion`]: crate::Kind::Completion
#[doc(alias = "SIGTSTP")]
pub fn suspend(
    before: impl FnOnce(),
    after: impl FnOnce(),
) -> Result<(), Error> {
    before();
    // Whoever else changes actions waits: this puts back what it finds.
    let stopped = backstop::in_turn(Birth::here(), stop);
    after();
    stopped
}

/// Stops with the default action, and puts back the one that was there.
fn stop() -> Result<(), Error> {
    let blocked = sys::sigprocmask(None)? & SignalSet::TSTP;
    let action = sys::set_default(TSTP)?;
    let stopped = stop_by_default(blocked);
    // The mask is as it was by now: the old action sees nothing that it was
    // blocked from.
    let restored = sys::restore(TSTP, &action);
    stopped.and(restored)
}

/// Sends the signal, and then unblocks it if it is blocked. So what is pending already is part
/// of the same stop: the continuation removes whatever would stop (`prepare_signal()`).
fn stop_by_default(blocked: SignalSet) -> Result<(), Error> {
    sys::action::tgkill_self(TSTP)
        .map_err(|errno| Error::os(Op::Tgkill, errno))?;
    let stopped = sys::sigprocmask(Some((How::Unblock, blocked)));
    if stopped.is_err() {
        // It is not to be left behind.
        let _ignored = sys::set_ignored(TSTP);
    }
    let restored = sys::sigprocmask(Some((How::Block, blocked)));
    stopped.and(restored).map(drop)
}
