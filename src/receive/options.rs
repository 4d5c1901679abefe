//! How a receiver is made.

use core::time::Duration;

use super::{Backend, Kind, Receiver, Shutdown, SignalFd, Signals};
use crate::error::Error;
use crate::process::mask::{self, EveryThread};
use crate::signal::SignalSet;

/// How to open a receiver, where the defaults do not fit.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use signalfd::{Options, Signal};
///
/// let signals = Options::new()
///     .spin(Duration::from_micros(20))
///     .open(Signal::HUP | Signal::TERM)?;
/// # assert_eq!(signals.signals(), Signal::HUP | Signal::TERM);
/// # Ok::<(), signalfd::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "options do nothing until a receiver is opened with them"]
pub struct Options {
    pub(super) spin: Duration,
    pub(super) delay: Duration,
    pub(super) count: usize,
    pub(super) check_threads: bool,
    pub(super) every_thread: bool,
    pub(super) backend: Backend,
    pub(super) kind: Kind,
}

impl Options {
    /// The defaults: every thread is checked, waiting does not spin, batches are not
    /// moderated, and the backend is the fastest one.
    pub const fn new() -> Self {
        Self {
            spin: Duration::ZERO,
            delay: Duration::ZERO,
            count: 0,
            check_threads: true,
            every_thread: false,
            backend: Backend::Auto,
            kind: Kind::Readiness,
        }
    }

    /// Lets the blocking waits spin for this long before they put the thread to
    /// sleep.
    ///
    /// A signal that comes in this time is received without the cost of waking
    /// a sleeping thread, which between two CPUs is most of the latency. The
    /// price is one CPU, fully used while it spins.
    ///
    /// Spinning stops where it does not pay: after one spin in vain the next wait sleeps
    /// at once, after further ones in a row the next 3, 7 and so on, up to 63 waits. A
    /// spin in which a signal comes makes every wait spin again.
    pub const fn spin(mut self, budget: Duration) -> Self {
        self.spin = budget;
        self
    }

    /// Lets signals gather when they come in numbers, as a network card moderates its
    /// interrupts: the next batch is handed out once `delay` has passed since the one
    /// before, or once there are `count` signals. After a batch that was full, or had
    /// `count` signals, nothing gathers: there are most likely more already.
    ///
    /// The receiver then sleeps less often, and leaves the kernel's queue alone
    /// meanwhile. At some hundred thousand signals a second this saves a third or more of
    /// its CPU time, and at the highest rate a sixth to a half. On an io_uring of the
    /// caller's it saves less, since the request stays on the kernel's wait queue, and a
    /// `uring::ReadSource` still reads at each signal. The price is latency: up to
    /// `delay`, and the 50 us that the kernel may add to a sleep (`PR_SET_TIMERSLACK`). A
    /// signal that comes when no batch was handed out for that long is not delayed.
    ///
    /// It applies to [`wait_batch`](Receiver::wait_batch) and
    /// [`wait_batch_timeout`](Receiver::wait_batch_timeout), to
    /// [`recv_batch`](Receiver::recv_batch) inside [`block_on`](crate::block_on), to an
    /// [`Epoll`](crate::Epoll) whose receivers are all moderated, to a loop on an
    /// io_uring that lets its source wait (`uring::Source::submit_and_wait`), and to the
    /// adapters for the loops of others. Methods that take one signal, or do not wait, are
    /// never delayed; and a loop that watches the receiver's own descriptor is told at once.
    ///
    /// # The count
    ///
    /// How many signals are pending is seen only by reading them. A blocking wait does: it
    /// looks every 200 us, and when `count` can be expected to have come, as fast as they last
    /// did. With `block_on`, `Epoll`, `submit_and_wait` and the adapters nobody
    /// looks: signals gather until `count` can be expected, or `delay` is over.
    ///
    /// # In the loops of others
    ///
    /// The adapters have the loop watch another descriptor, an epoll of the receiver's, which
    /// becomes readable when signals have gathered. While they do, they wake nobody. It takes
    /// a timer, which costs as much as some wakes, so they gather only where at least 8 are
    /// expected meanwhile. Take batches: `recv_batch` of tokio's and async-io's adapter; with
    /// mio `try_recv_batch`, as always until a batch is short. If one task takes batches and
    /// another single signals of the same receiver, the loop is told for both. The epoll and
    /// the timer are two descriptors. Where they cannot be made, the loop is told at once.
    ///
    /// # Exceptions
    ///
    /// With `block_on` something else that wakes the task ends the gathering. Inside
    /// `block_on` nothing gathers for a future that is polled by an executor of its own (such
    /// as `FuturesUnordered`). While signals gather for a blocking wait, a receiver whose own
    /// ring reads ahead ([`Kind::Completion`]) notifies nobody else of them.
    ///
    /// A `delay` of zero turns it off, and so does a `count` of 0 or 1.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use signalfd::{Batch, Options, Signal};
    ///
    /// let signals = Options::new()
    ///     .moderate(Duration::from_micros(50), 64)
    ///     .open(Signal::rt(0).unwrap())?;
    /// let mut batch = Batch::<64>::new();
    /// # unsafe { libc::kill(libc::getpid(), libc::SIGRTMIN()) };
    /// for info in signals.wait_batch(&mut batch)? {
    ///     println!("{info}");
    /// }
    /// # Ok::<(), signalfd::Error>(())
    /// ```
    #[doc(alias = "coalesce")]
    pub const fn moderate(mut self, delay: Duration, count: usize) -> Self {
        self.delay = delay;
        self.count = count;
        self
    }

    /// Says whether to check that every thread of the process blocks the
    /// signals ([`mask::check_threads`]).
    ///
    /// Without the check, a thread that does not block the signals takes them unnoticed.
    /// Turn it off where `/proc` is not mounted, or where no such thread can matter: when
    /// signals are sent only to the receiving thread itself.
    pub const fn check_threads(mut self, check: bool) -> Self {
        self.check_threads = check;
        self
    }

    /// Says whether to block the signals in every thread of the process, and keep
    /// them blocked for as long as the receiver exists
    /// ([`mask::block_every_thread`], which says what that means for the program).
    ///
    /// This is for programs whose threads exist before the receiver. It replaces the
    /// check ([`check_threads`](Self::check_threads)), and its errors: what makes the receiver,
    /// or changes its set, then fails as [`mask::block_every_thread`] does instead of with
    /// [`Error::NotBlocked`] or [`Error::UnblockedThread`].
    pub const fn every_thread(mut self, every: bool) -> Self {
        self.every_thread = every;
        self
    }

    /// Says how the receiver learns of signals.
    ///
    /// This never fails: where io_uring is not available the receiver does without it,
    /// and [`Receiver::backend`] says why.
    pub const fn backend(mut self, backend: Backend) -> Self {
        self.backend = backend;
        self
    }

    /// Says what a ring of the receiver's own does ([`Backend::Uring`]); other backends
    /// ignore it.
    pub const fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// Opens a receiver as [`open`](crate::open) does.
    ///
    /// # Errors
    ///
    /// Those of [`open`](crate::open).
    pub fn open(self, set: impl Into<SignalSet>) -> Result<Signals, Error> {
        let set = set.into();
        let guard = mask::block(set)?;
        let every = self.secure_others(set)?;
        let receiver = Receiver::with(SignalFd::in_scope(set)?, every, self);
        Ok(Signals::new(receiver, guard))
    }

    /// Opens a [`Shutdown`] as [`Shutdown::open`] does.
    ///
    /// # Errors
    ///
    /// Those of [`Shutdown::open`].
    pub fn shutdown(
        self,
        set: impl Into<SignalSet>,
    ) -> Result<Shutdown, Error> {
        Shutdown::with(set.into(), self)
    }

    /// Makes a receiver as [`Receiver::new`] does.
    ///
    /// # Errors
    ///
    /// Those of [`Receiver::new`].
    pub fn receiver(
        self,
        set: impl Into<SignalSet>,
    ) -> Result<Receiver, Error> {
        let set = set.into().check_receivable()?;
        let every = self.secure(set)?;
        Ok(Receiver::with(SignalFd::new(set)?, every, self))
    }

    /// Makes a receiver from a signalfd, as `Receiver::try_from` does.
    ///
    /// # Errors
    ///
    /// Those of [`Receiver::new`], and [`Error::Forked`] in a forked child.
    pub fn receiver_from(self, signalfd: SignalFd) -> Result<Receiver, Error> {
        signalfd.birth().check()?;
        let every = self.secure(signalfd.signals())?;
        Ok(Receiver::with(signalfd, every, self))
    }

    /// Sees to it that every thread blocks the signals, or says which does not.
    pub(super) fn secure(
        self,
        set: SignalSet,
    ) -> Result<Option<EveryThread>, Error> {
        if !self.every_thread {
            let open = set - mask::current()?;
            if !open.is_empty() {
                return Err(Error::NotBlocked(open));
            }
        }
        self.secure_others(set)
    }

    /// Sees to it that the other threads block the signals, as the calling one does.
    fn secure_others(
        self,
        set: SignalSet,
    ) -> Result<Option<EveryThread>, Error> {
        if self.every_thread {
            return mask::block_every_thread(set).map(Some);
        }
        if self.check_threads {
            mask::check_threads(set)?;
        }
        Ok(None)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}
