//! Giving a record back to the kernel.

use super::Receiver;
use crate::error::{Error, Op};
use crate::process::return_record;
use crate::signal::SigInfo;

impl Receiver {
    /// Puts a record back into the process's queue, as if it had not been
    /// received.
    ///
    /// Whoever receives the signal next gets it: this receiver, an outer one, or, once
    /// the signal is no longer blocked, its handler or default action. So a program that
    /// has cleaned up after `SIGTERM` can end by that very signal: it puts the record
    /// back and drops the receiver.
    ///
    /// The order and the direction are not kept. The record goes behind those
    /// of the same number that came meanwhile; a standard signal that is pending
    /// again absorbs it; one that was directed at a thread becomes process-directed.
    /// `SIGCONT` removes pending stop signals, and they remove it, as when they
    /// are sent.
    ///
    /// From the main thread the record comes back byte for byte; on newer kernels from any
    /// thread (those with `PIDFD_SELF_THREAD`, as Linux 6.18 is), except where `tgkill(2)`
    /// has sent it. From any other thread the kernel refuses codes that only it may send, so
    /// the record travels under a private code; so does, from any thread, a real-time signal
    /// that was sent by `kill(2)`. The crate undoes this on receipt, but since anyone could
    /// send that code, the sender is then never [`Verified`](crate::Sender::Verified). Other
    /// code that reads the signal sees the private code.
    ///
    /// # Errors
    ///
    /// - [`Error::Forked`] in a forked child.
    /// - [`Error::Os`] with `EAGAIN`: the user has no room for another queued
    ///   signal (`RLIMIT_SIGPENDING`). A real-time signal is then not put back.
    ///   A standard signal always is, but it may come back with nothing but its
    ///   number, unless `kill(2)` or the kernel has sent it and it comes back byte for
    ///   byte.
    /// - [`Error::Os`] with `EPERM`: the kernel could not have made this record,
    ///   and neither is this the main thread, nor the kernel one of the newer ones; with
    ///   another number: a sandbox refuses the call.
    ///
    /// # Examples
    ///
    /// ```
    /// use signalfd::Signal;
    ///
    /// let signals = signalfd::open(Signal::HUP)?;
    /// # unsafe { libc::kill(libc::getpid(), libc::SIGHUP) };
    /// let info = signals.wait()?;
    /// signals.put_back(&info)?;
    /// assert_eq!(signals.wait()?.signal(), Signal::HUP);
    /// # Ok::<(), signalfd::Error>(())
    /// ```
    ///
    /// # References
    ///
    /// [rt_sigqueueinfo(2)](https://man7.org/linux/man-pages/man2/rt_sigqueueinfo.2.html),
    /// [pidfd_send_signal(2)](https://man7.org/linux/man-pages/man2/pidfd_send_signal.2.html),
    /// `do_rt_sigqueueinfo()` and `do_pidfd_send_signal()` in `kernel/signal.c`
    #[doc(alias = "rt_sigqueueinfo")]
    pub fn put_back(&self, info: &SigInfo) -> Result<(), Error> {
        self.check_process()?;
        return_record(info).map_err(|errno| Error::os(Op::Sigqueueinfo, errno))
    }
}
