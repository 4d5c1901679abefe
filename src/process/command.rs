//! The mask of the children that are to run another program.

use std::process::Command;

use super::backstop;
use crate::signal::SignalSet;
use crate::sys;

/// What [`std::process::Command`] needs for children of a program that blocks
/// signals.
///
/// A child inherits the signal mask, through `fork` and through `exec`; the
/// standard library hands it on since Rust 1.66. A program that was not written for
/// it then never sees `SIGTERM`, and has to be killed.
///
/// The trait is sealed: only `Command` has it.
///
/// # Examples
///
/// ```
/// use std::process::Command;
/// use signalfd::{RestoreSignals, Signal};
///
/// let signals = signalfd::open(Signal::INT | Signal::TERM)?;
/// let mut child = Command::new("cat")
///     .stdin(std::process::Stdio::piped())
///     .restore_signals(signals.guard().saved())
///     .spawn()?;
/// # use std::os::unix::process::ExitStatusExt as _;
/// # unsafe { libc::kill(child.id().try_into()?, libc::SIGTERM) };
/// // SIGTERM ends it, as it would any other `cat`.
/// let status = child.wait()?;
/// # assert_eq!(status.signal(), Some(libc::SIGTERM));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait RestoreSignals: sealed::Sealed {
    /// Lets the children start with exactly this mask: most often
    /// [`MaskGuard::saved`], the one from before the receiver.
    ///
    /// With nested scopes, the mask that an inner one has saved holds the signals of the
    /// outer ones; the outermost has saved the mask that the program was started with.
    /// The set is taken by value, so a thread other than the one that opened the scope
    /// can start children with it.
    ///
    /// A signal that was ignored before it was blocked in every thread
    /// ([`Options::every_thread`](crate::Options::every_thread)) is ignored in the
    /// child, as it would have been (`nohup`).
    ///
    /// It applies to every child that the command starts from now on; of several calls
    /// the last one counts. The mask of the calling thread stays as it is. `SIGKILL` and
    /// `SIGSTOP` are passed over.
    ///
    /// No signal of the parent's is pending in the child (fork(2)), so none that
    /// the mask lets through was meant for the parent.
    ///
    /// # Cost
    ///
    /// In the child, one system call for the mask, one for each signal that is ignored
    /// again, and one for each that ever had the handler of
    /// [`Options::every_thread`](crate::Options::every_thread). And the standard library
    /// then calls `fork(2)` and `execve(2)`, where it could have called `posix_spawn(3)`,
    /// which does not copy the page tables of a large parent.
    ///
    /// # Errors
    ///
    /// None here. Starting the child fails with the error number of
    /// `rt_sigprocmask(2)` or `sigaction(2)` if a sandbox forbids them.
    ///
    /// # Without a child
    ///
    /// `exec`, of the standard library's `CommandExt`, replaces the process itself. The
    /// mask is set then too, before the program is executed. What is pending stays
    /// pending, or takes its action if the mask lets it through; if the program cannot be
    /// executed, the mask stays as it was set. A signal that is ignored again for the
    /// program, after it was blocked in every thread, stays ignored, and what was pending
    /// of it is dropped.
    ///
    /// # References
    ///
    /// [sigprocmask(2)](https://man7.org/linux/man-pages/man2/sigprocmask.2.html),
    /// [fork(2)](https://man7.org/linux/man-pages/man2/fork.2.html),
    /// [signal(7)](https://man7.org/linux/man-pages/man7/signal.7.html)
    ///
    /// [`MaskGuard::saved`]: crate::MaskGuard::saved
    fn restore_signals(&mut self, mask: SignalSet) -> &mut Self;
}

impl RestoreSignals for Command {
    fn restore_signals(&mut self, mask: SignalSet) -> &mut Self {
        sys::restore_before_exec(self, mask, backstop::ignored_behind);
        self
    }
}

mod sealed {
    #[expect(unnameable_types, reason = "it seals the other trait")]
    pub trait Sealed {}

    impl Sealed for std::process::Command {}
}
