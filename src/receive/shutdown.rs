//! The way out of a program, in three steps.

use core::future::poll_fn;
use core::task::{Context, Poll};
use core::time::Duration;

use super::{Options, Receiver, Signals};
use crate::error::Error;
use crate::process::{self, Birth, Ending, mask};
use crate::signal::{SigInfo, SignalSet};
use crate::sys::{self, Deadline, Timer};

/// Receives one signal that asks the program to end, and leaves the next one to the
/// kernel.
///
/// It is a ladder of three steps:
///
/// 1. The **first** signal is received, with its record. The program cleans up.
/// 2. The **second** signal takes its default action: it ends the process, if the
///    clean-up hangs or the user has no patience. The kernel does that, on whatever
///    thread, and nothing of this process has to run for it.
/// 3. A [`deadline`](Self::deadline) does the same when nobody sends a second one.
///
/// When the first signal is received, the scope ([`Signals`]) is closed, so the previous
/// mask is restored. From then on a signal of the set does what it did before: it reaches
/// an outer scope if one blocks it, else its handler if the program has one, else it
/// takes its default action. So a `Shutdown` can be nested in others and in scopes: the
/// innermost receives one signal, and the next goes to the outer one. A second signal
/// that is pending already ends the process at once, before the first one is returned.
/// Standard signals coalesce: two `SIGINT` before the program has received one are one.
///
/// **What is ignored stays ignored.** Signals whose action is `SIG_IGN` when this is
/// opened, as `nohup(1)` leaves `SIGHUP` and a shell `SIGINT` for what runs in the
/// background, are not received, and [`ignored`](Self::ignored) tells which they
/// are. If that is all of them, there is nothing to receive: the waits wait until
/// their timeout or for ever.
///
/// **As PID 1** of a container a process is never ended by a default action. There this
/// installs a handler, when the first signal is received, for those of the set whose
/// default action would end the process. The handler only calls `_exit(2)`, with the
/// status 128 plus the number of the signal; dropping the `Shutdown` removes it. In any
/// other process the `Shutdown` itself changes no action.
///
/// **What was blocked before**, by the parent of the process or by other code, is unblocked in
/// this thread when the first signal has been received, or neither the second nor the deadline
/// would do anything; dropping the `Shutdown` blocks it again. But what a guard
/// ([`mask::block`], [`mask::block_every_thread`]) or another receiver of the process has stays
/// blocked, and the second signal goes there, or stays pending.
///
/// **In every thread** ([`Options::every_thread`]) it works the same.
///
/// A mask belongs to a thread, so this cannot leave the thread that opened it:
///
/// ```compile_fail,E0277
/// let shutdown = signalfd::Shutdown::open(signalfd::Signal::TERM).unwrap();
/// std::thread::spawn(move || drop(shutdown));
/// ```
///
/// Keep it until the program ends. Dropping it restores what it has changed, and deletes
/// the deadline. If no signal has come, dropping it closes the scope, as for [`Signals`].
///
/// # Cancel safety
///
/// [`recv`](Self::recv) takes a signal only when it completes, and then
/// [`first`](Self::first) has it too.
///
/// # Examples
///
/// ```no_run
/// use core::time::Duration;
/// use signalfd::{Shutdown, Signal};
///
/// let mut shutdown =
///     Shutdown::open(Signal::HUP | Signal::INT | Signal::TERM)?;
/// // Start the threads that do the work, then:
/// let info = shutdown.wait()?;
/// println!("{info}: cleaning up");
/// shutdown.deadline(Duration::from_secs(10))?;
/// // Clean up, then:
/// shutdown.die();
/// # Ok::<(), signalfd::Error>(())
/// ```
///
/// # References
///
/// [signal(7)](https://man7.org/linux/man-pages/man7/signal.7.html),
/// [timer_create(2)](https://man7.org/linux/man-pages/man2/timer_create.2.html),
/// [pid_namespaces(7)](https://man7.org/linux/man-pages/man7/pid_namespaces.7.html)
#[derive(Debug)]
#[must_use = "the signals are received only while this exists"]
pub struct Shutdown {
    /// Open until the first signal; none if all are ignored.
    signals: Option<Signals>,
    first: Option<SigInfo>,
    set: SignalSet,
    ignored: SignalSet,
    saved: SignalSet,
    timer: Option<Timer>,
    ending: Option<Ending>,
    /// What was blocked before, and is not any more.
    lifted: SignalSet,
    birth: Birth,
}

/// Opening.
impl Shutdown {
    /// Opens a scope for those of the signals that are not ignored.
    ///
    /// Call it before other threads are started: they inherit the mask. It is all or
    /// nothing: if any step fails, the mask is as it was. Where threads exist already, or
    /// for any other options, there is [`Options::shutdown`].
    ///
    /// # Errors
    ///
    /// - [`Error::EmptySet`], [`Error::Unblockable`], [`Error::Synchronous`],
    ///   [`Error::Reserved`]: the set cannot be received.
    /// - [`Error::UnblockedThread`]: a thread was started too early; it is named.
    /// - [`Error::TooManyScopes`]: 256 are open in the process.
    /// - [`Error::Os`]: those of [`open`](crate::open), and another error if a sandbox
    ///   forbids `sigaction(2)`.
    ///
    /// # Examples
    ///
    /// ```
    /// use signalfd::{Shutdown, Signal};
    ///
    /// let mut shutdown = Shutdown::open(Signal::INT | Signal::TERM)?;
    /// assert_eq!(shutdown.try_recv()?, None);
    /// # unsafe { libc::kill(libc::getpid(), libc::SIGTERM) };
    /// assert_eq!(shutdown.wait()?.signal(), Signal::TERM);
    /// # Ok::<(), signalfd::Error>(())
    /// ```
    pub fn open(set: impl Into<SignalSet>) -> Result<Self, Error> {
        Options::new().shutdown(set)
    }

    pub(super) fn with(
        set: SignalSet,
        options: Options,
    ) -> Result<Self, Error> {
        let all = set.check_receivable()?;
        let ignored = process::ignored(all)?;
        let set = all - ignored;
        let signals =
            if set.is_empty() { None } else { Some(options.open(set)?) };
        let saved = match &signals {
            Some(signals) => signals.guard().saved(),
            None => mask::current()?,
        };
        Ok(Self {
            signals,
            first: None,
            set,
            ignored,
            saved,
            timer: None,
            ending: None,
            lifted: SignalSet::empty(),
            birth: Birth::here(),
        })
    }

    /// Returns those of the signals that were ignored when this was opened, and are
    /// left alone.
    #[must_use]
    pub const fn ignored(&self) -> SignalSet {
        self.ignored
    }

    /// Returns the mask that the calling thread had before this was opened: the one to
    /// start children with (`RestoreSignals`).
    #[must_use]
    pub const fn saved(&self) -> SignalSet {
        self.saved
    }

    /// Returns the receiver, for the descriptor of an event loop and its
    /// [`on_readable`](Receiver::on_readable); none once the first signal has been
    /// received, or if all are ignored.
    ///
    /// What is taken from it directly is not the first signal, and closes nothing.
    #[must_use]
    pub fn receiver(&self) -> Option<&Receiver> {
        self.signals.as_deref()
    }
}

/// The first signal. Once it has been received, all of these return its record
/// again, at once.
impl Shutdown {
    /// Waits for the first signal.
    ///
    /// # Errors
    ///
    /// [`Error::Forked`] in a forked child; [`Error::Os`] if a sandbox refuses to
    /// read or to wait, or with `EINVAL` if the process may have no descriptor
    /// (`RLIMIT_NOFILE` of 0).
    pub fn wait(&mut self) -> Result<SigInfo, Error> {
        loop {
            // The end of time does not come, but the types do not know that.
            if let Some(first) = self.wait_timeout(Duration::MAX)? {
                return Ok(first);
            }
        }
    }

    /// Waits for the first signal, for at most this long; `None` if none came.
    ///
    /// # Errors
    ///
    /// Those of [`wait`](Self::wait).
    pub fn wait_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<Option<SigInfo>, Error> {
        let birth = self.birth;
        self.first_or(|signals| {
            let Some(signals) = signals else {
                let deadline = Deadline::after(Some(timeout));
                let goes_on = || birth.check();
                return sys::sleep(deadline, goes_on).map(|()| None);
            };
            signals.wait_timeout(timeout)
        })
    }

    /// Takes the first signal if one is pending.
    ///
    /// # Errors
    ///
    /// [`Error::Forked`] in a forked child; [`Error::Os`] if a sandbox refuses the
    /// read.
    pub fn try_recv(&mut self) -> Result<Option<SigInfo>, Error> {
        self.first_or(|signals| {
            signals.map_or(Ok(None), |signals| signals.try_recv())
        })
    }

    /// Awaits the first signal. If all signals are ignored, it never completes.
    ///
    /// It is woken by what wakes a [`Receiver`]: [`block_on`](crate::block_on), or an
    /// event loop that calls [`on_readable`](Receiver::on_readable) of the
    /// [`receiver`](Self::receiver).
    ///
    /// # Errors
    ///
    /// Those of [`try_recv`](Self::try_recv).
    ///
    /// # Cancel safety
    ///
    /// Nothing is taken before the future completes: dropping it at any time loses
    /// no signal.
    ///
    /// # Examples
    ///
    /// ```
    /// use signalfd::{Shutdown, Signal, block_on};
    ///
    /// let mut shutdown = Shutdown::open(Signal::INT | Signal::TERM)?;
    /// # unsafe { libc::kill(libc::getpid(), libc::SIGTERM) };
    /// let info = block_on(shutdown.recv())??;
    /// assert_eq!(info.signal(), Signal::TERM);
    /// assert_eq!(shutdown.first(), Some(&info));
    /// # Ok::<(), signalfd::Error>(())
    /// ```
    pub async fn recv(&mut self) -> Result<SigInfo, Error> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Takes the first signal, or has the task woken when there is one: what
    /// [`recv`](Self::recv) does when it is polled, for futures written by hand.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Self::recv).
    pub fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<SigInfo, Error>> {
        let poll = |signals: &Signals| match signals.poll_recv(cx) {
            Poll::Ready(taken) => taken.map(Some),
            Poll::Pending => Ok(None),
        };
        self.first_or(|signals| signals.map_or(Ok(None), poll))
            .transpose()
            .map_or(Poll::Pending, Poll::Ready)
    }

    /// Returns the record of the first signal, if it has been received.
    #[must_use]
    pub const fn first(&self) -> Option<&SigInfo> {
        self.first.as_ref()
    }

    /// Returns the first signal if it has come, or looks for it.
    fn first_or(
        &mut self,
        take: impl FnOnce(Option<&Signals>) -> Result<Option<SigInfo>, Error>,
    ) -> Result<Option<SigInfo>, Error> {
        self.birth.check()?;
        if self.first.is_none() {
            self.first = take(self.signals.as_ref())?;
            if self.first.is_some() {
                self.close();
            }
        }
        Ok(self.first)
    }

    /// Leaves the next signal to the kernel.
    fn close(&mut self) {
        if let Some(signals) = self.signals.take() {
            // The handlers of PID 1 come before the signals are unblocked: what is
            // pending is to find them.
            signals.close(|| self.ending = Some(Ending::by(self.set)));
            self.lifted = mask::lift_unclaimed(self.set, self.birth);
        }
    }
}

/// After the first signal.
impl Shutdown {
    /// Has the kernel end the process by the first signal if the process still exists
    /// after this time, counted from this call (`CLOCK_MONOTONIC`).
    ///
    /// A timer sends the signal to the process, which does what a second one would do. No
    /// thread has to run for that. Calling this again starts the time anew. Dropping the
    /// `Shutdown` deletes the timer; it is inherited neither by a forked child nor
    /// through `execve(2)`.
    ///
    /// # Errors
    ///
    /// - [`Error::NoSignal`]: the first signal has not been received yet.
    /// - [`Error::Forked`] in a forked child.
    /// - [`Error::Os`] with `EAGAIN`: the user has no room for another queued signal
    ///   (`RLIMIT_SIGPENDING`), which a timer takes up; with `ENOSYS`: the kernel was
    ///   built without `CONFIG_POSIX_TIMERS`; with another error number if a sandbox
    ///   refuses the call.
    ///
    /// # References
    ///
    /// [timer_create(2)](https://man7.org/linux/man-pages/man2/timer_create.2.html),
    /// [timer_settime(2)](https://man7.org/linux/man-pages/man2/timer_settime.2.html)
    #[doc(alias = "timer_create")]
    pub fn deadline(&mut self, after: Duration) -> Result<(), Error> {
        self.birth.check()?;
        let first = self.first.ok_or(Error::NoSignal)?;
        let timer = match self.timer {
            Some(timer) => timer,
            None => *self.timer.insert(Timer::new(first.signal(), 0)?),
        };
        timer.start(after)
    }

    /// Ends the process by the first signal ([`Signal::die`]). If none was received, the
    /// `Shutdown` is dropped and this returns.
    ///
    /// So the end of `main` is the same whether the work was done or a signal came.
    ///
    /// Neither destructors nor what `atexit(3)` was given run: clean up first.
    ///
    /// [`Signal::die`]: crate::Signal::die
    pub fn die(self) {
        let first = self.first;
        drop(self);
        if let Some(first) = first {
            first.signal().die();
        }
    }
}

impl Drop for Shutdown {
    fn drop(&mut self) {
        // In a forked child the number is that of no timer, or of another one.
        if let (Some(timer), Ok(())) = (self.timer, self.birth.check()) {
            timer.delete();
        }
        mask::block_again(self.lifted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::Signal;

    /// The tests in `tests/` need `std`; this one runs without it, among threads
    /// that block nothing.
    #[test]
    fn the_first_signal_closes_the_scope() {
        let before = mask::current().unwrap();
        let unchecked = Options::new().check_threads(false);
        let mut shutdown =
            unchecked.shutdown(Signal::USR1 | Signal::USR2).unwrap();
        assert_eq!(shutdown.try_recv(), Ok(None));
        assert_eq!(
            shutdown.deadline(Duration::from_secs(1)),
            Err(Error::NoSignal)
        );
        sys::action::tgkill_self(Signal::USR2).unwrap();
        let first = shutdown.wait().unwrap();
        assert_eq!(first.signal(), Signal::USR2);
        assert_eq!(mask::current(), Ok(before));
        assert!(shutdown.receiver().is_none());
        assert_eq!(shutdown.wait(), Ok(first));
        assert_eq!(shutdown.deadline(Duration::MAX), Ok(()));
    }
}
