//! Which way a receiver takes signals, and why that one.

use core::fmt;

use crate::error::Error;

/// How a receiver learns of signals: [`Options::backend`].
///
/// A receiver can do the same with each; they differ in cost. For one receiver on its own
/// thread plain reads are the fastest way there is: a blocking read is one system call
/// for up to a whole batch, and nothing stays on the kernel's wait queue, where it would
/// cost every sender something. No ring of the receiver's own was measured to be faster.
/// A ring that reads ahead ([`Kind::Completion`]) saves system calls where signals come
/// in numbers, but no time. If you have a ring already, do not open another one: put a
/// `uring::Source` into yours.
///
/// [`Options::backend`]: crate::Options::backend
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
#[non_exhaustive]
pub enum Backend {
    /// What is fastest for a receiver on its own; that is [`Epoll`](Self::Epoll)
    /// where it was measured (Linux 6.18).
    #[default]
    Auto,
    /// Plain system calls: `read(2)`, `poll(2)`, and the descriptor in whatever
    /// epoll it is added to.
    Epoll,
    /// An io_uring of the receiver's own, in the way that
    /// [`Options::kind`](crate::Options::kind) says. Where io_uring is not available,
    /// [`Epoll`](Self::Epoll) takes over, at opening or later, and
    /// [`Receiver::backend`](crate::Receiver::backend) says why. If `epoll_ctl(2)` fails
    /// as well at that moment, threads that are asleep already, and loops that wait for
    /// the descriptor, are woken only for what the ring still reads.
    ///
    /// Any thread may use the receiver, drop it, or take it over from a thread that has
    /// ended. A ring works on behalf of one thread: the last that began to wait or, for
    /// [`Kind::Completion`], the last that began to wait or took something. A signal
    /// directed at another thread (`pthread_kill(3)`) stays pending until that thread
    /// does so. (For [`Kind::Completion`], a task that awaits and finds nothing leaves
    /// the ring to the thread that has it.) If the thread that has the ring calls
    /// `epoll_wait(2)`, that may end with `EINTR` when a signal comes, though no handler
    /// ran. So may the next one after the receiver is dropped or reopened, when the kernel
    /// takes the ring down.
    ///
    /// A ring takes one descriptor, two for [`Kind::Completion`], and with some
    /// kernels locked memory (`RLIMIT_MEMLOCK`).
    Uring,
}

/// What a ring does for a receiver.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
#[non_exhaustive]
pub enum Kind {
    /// The ring says that there is something to read, and the receiver reads it.
    ///
    /// The kernel holds no memory of the process and takes no signal before the
    /// caller does. Since Linux 5.11.
    #[default]
    Readiness,
    /// The ring reads the signals ahead, into memory of its own: no system call
    /// for each.
    ///
    /// It reads continuously once the descriptor of the receiver has been asked for
    /// ([`AsFd`](crate::Receiver#impl-AsFd-for-Receiver)) or a task has awaited it. Until
    /// then it reads up to 64 signals at a time: when the receiver is opened, and
    /// whenever a thread takes without waiting or goes to sleep. A receiver that only
    /// waits reads what is pending itself, which costs less where signals come in
    /// numbers.
    ///
    /// What it has read is no longer pending. Dropping the receiver puts it back
    /// ([`Receiver::put_back`](crate::Receiver::put_back) says how), and loses no signal:
    /// where the user's queue is full, the next receiver of the process gets it (but
    /// nobody does if the process executes another program before that). Reading ahead
    /// has a price:
    ///
    /// - Signals come in the order in which they were read, and not by number, and a
    ///   standard signal that is sent again after it was read ahead is received once
    ///   more.
    /// - Another receiver of the same signals finds nothing.
    /// - After a drop or a change of the set, the order is not kept.
    /// - A signal that some thread does *not* block is taken away from its handler,
    ///   where the other ways leave it alone.
    /// - While one thread takes, another that tries to at that moment finds nothing. It
    ///   is notified again: by its waker, or by an edge of the descriptor.
    /// - After a burst of a hundred or more signals that are not in the set, the kernel
    ///   may announce the next signal of the set only together with another.
    ///
    /// The ring reads into a mapping of 512 KiB, which takes up memory only as it is
    /// filled.
    ///
    /// Since Linux 6.0, with multishot reads since 6.8 (6.7 is not tested); before 6.0 the
    /// kernel cannot cancel a read and say at once that it is gone, so the receiver falls back
    /// to [`Readiness`](Self::Readiness).
    Completion,
}

/// Which backend a receiver runs on, and why: [`Receiver::backend`].
///
/// Its `Display` says both, and what could be done about it.
///
/// # Examples
///
/// ```
/// use signalfd::{Backend, Options, Signal};
///
/// let signals = Options::new().backend(Backend::Uring).open(Signal::HUP)?;
/// let active = signals.backend();
/// println!("{active}");
/// match active.fallback() {
///     None => assert_eq!(active.backend(), Backend::Uring),
///     Some(reason) => println!("not as asked, because {reason}"),
/// }
/// # Ok::<(), signalfd::Error>(())
/// ```
///
/// [`Receiver::backend`]: crate::Receiver::backend
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ActiveBackend {
    backend: Backend,
    kind: Option<Kind>,
    reason: Reason,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reason {
    Asked,
    Fastest,
    FellBack(Error),
}

impl ActiveBackend {
    /// What was asked for runs, or what is fastest if nothing was.
    pub(crate) const fn plain(asked: Backend) -> Self {
        let reason = match asked {
            Backend::Epoll => Reason::Asked,
            Backend::Auto | Backend::Uring => Reason::Fastest,
        };
        Self { backend: Backend::Epoll, kind: None, reason }
    }

    pub(crate) const fn ring(kind: Kind) -> Self {
        let reason = Reason::Asked;
        Self { backend: Backend::Uring, kind: Some(kind), reason }
    }

    pub(crate) const fn because(mut self, error: Error) -> Self {
        self.reason = Reason::FellBack(error);
        self
    }

    /// Returns the backend that runs: [`Backend::Epoll`] or [`Backend::Uring`].
    #[must_use]
    pub const fn backend(&self) -> Backend {
        self.backend
    }

    /// Returns what the ring does, if there is one.
    #[must_use]
    pub const fn kind(&self) -> Option<Kind> {
        self.kind
    }

    /// Returns why the backend or the kind that [`Options`](crate::Options) asked for does
    /// not run, if it does not.
    ///
    /// [`Error::Os`] names the system call that failed, and
    /// [`Error::NoUring`] says that the crate was built without io_uring.
    #[must_use]
    pub const fn fallback(&self) -> Option<Error> {
        match self.reason {
            Reason::FellBack(error) => Some(error),
            Reason::Asked | Reason::Fastest => None,
        }
    }
}

impl fmt::Display for ActiveBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            None => "epoll",
            Some(Kind::Readiness) => "io_uring, for readiness",
            Some(Kind::Completion) => "io_uring, for completions",
        })?;
        match self.reason {
            Reason::Asked => f.write_str(": as asked for"),
            Reason::Fastest => f.write_str(
                ": nothing is faster for a receiver on its own; \
                 Backend::Uring asks for a ring",
            ),
            Reason::FellBack(error) => write!(f, ": {error}"),
        }
    }
}
