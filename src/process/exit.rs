//! Ending by a signal.

use crate::signal::Signal;
use crate::sys;

impl Signal {
    /// Ends the process by this signal, as its default action would have.
    ///
    /// For a program that has been told to end, has cleaned up, and wants its
    /// parent to see why it went: `WIFSIGNALED` and not an exit status. A shell
    /// stops its script after Ctrl-C then, and a supervisor knows that its
    /// `SIGTERM` was obeyed. Where the default action is to dump core, it dumps
    /// core.
    ///
    /// It restores the default action, unblocks the signal in the calling thread, and
    /// sends it to this thread. It may be called from any thread and inside any scope;
    /// what other threads block, and who else receives the signal, does not matter.
    ///
    /// If that does not end the process, it exits with the status that a shell reports
    /// for a signal, 128 plus its number. This is the case
    ///
    /// - for PID 1 of a system or a container, to which the kernel delivers no
    ///   signal that would take the default action;
    /// - for a signal whose default action is not to end the process, but to ignore the
    ///   signal (`SIGCHLD`, `SIGWINCH`, `SIGURG`, `SIGCONT`), or to stop the process,
    ///   which then exits when it is continued;
    /// - where a sandbox refuses one of the calls, or another thread sets an action of its
    ///   own for the signal at that moment (as [`Options::every_thread`] does);
    /// - for a signal that dumps core, while a ring of the calling thread reads it ahead
    ///   ([`Kind::Completion`]): drop that receiver first.
    ///
    /// Neither way runs destructors or what `atexit(3)` was given, or flushes what
    /// is buffered: clean up first.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use signalfd::Signal;
    ///
    /// let signals = signalfd::open(Signal::INT | Signal::TERM)?;
    /// let info = signals.wait()?;
    /// // Clean up, then:
    /// info.signal().die();
    /// # #[expect(unreachable_code)]
    /// # Ok::<(), signalfd::Error>(())
    /// ```
    ///
    /// # References
    ///
    /// [signal(7)](https://man7.org/linux/man-pages/man7/signal.7.html),
    /// [sigaction(2)](https://man7.org/linux/man-pages/man2/sigaction.2.html),
    /// [tgkill(2)](https://man7.org/linux/man-pages/man2/tgkill.2.html),
    /// [_exit(2)](https://man7.org/linux/man-pages/man2/_exit.2.html),
    /// [pid_namespaces(7)](https://man7.org/linux/man-pages/man7/pid_namespaces.7.html)
    ///
    /// [`Kind::Completion`]: crate::Kind::Completion
    /// [`Options::every_thread`]: crate::Options::every_thread
    #[doc(alias = "raise")]
    pub fn die(self) -> ! {
        // Where one step fails the next may do, and the last one does not fail.
        let _found = sys::set_default(self);
        // Unblocked first, so that the kernel ends the process while it sends. Only
        // then a ring that reads ahead has no chance to take the signal.
        if sys::take_at_once(self).is_err() {
            let _sent = sys::send_to_process(self);
        }
        sys::exit_as_by(self.as_raw())
    }
}
