//! Signals in a tokio runtime.
//!
//! tokio watches the receiver's descriptor and wakes the tasks; this crate reads. No thread is
//! started, and no handler is installed, unless `every_thread` is asked for, or a `Shutdown`
//! runs as PID 1.
//!
//! # Where to open the receiver
//!
//! The worker threads of a runtime have to block the signals, and `#[tokio::main]` starts
//! them before your code runs. So block first and build the runtime then, or let
//! [`Options::every_thread`](crate::Options::every_thread) block the signals in all
//! threads that exist.
//!
//! ```
//! use signalfd::tokio::AsyncReceiver;
//! use signalfd::{Receiver, Signal};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let _guard = signalfd::block(Signal::HUP | Signal::TERM)?;
//!     let runtime = tokio::runtime::Builder::new_multi_thread()
//!         .enable_io()
//!         .build()?;
//! #   for signal in [libc::SIGHUP, libc::SIGTERM] {
//! #       unsafe { libc::kill(libc::getpid(), signal) };
//! #   }
//!     runtime.block_on(async {
//!         let receiver = Receiver::new(Signal::HUP | Signal::TERM)?;
//!         let signals = AsyncReceiver::new(receiver)?;
//!         while signals.recv().await?.signal() != Signal::TERM {
//!             println!("reload");
//!         }
//!         Ok(())
//!     })
//! }
//! ```
//!
//! Signals directed at one thread (`pthread_kill(3)`) are received only when that thread
//! reads, and tasks move between threads: use signals sent to the process.

#![expect(unsafe_code, reason = "the constructor of an `AsyncFd`")]

use core::fmt;
use core::future::{Future, pending};
use core::panic::AssertUnwindSafe;
#[cfg(feature = "futures-core")]
use core::pin::Pin;
use core::pin::pin;
use core::slice;
use core::task::{Context, Poll, Waker, ready};
use std::io;
use std::panic::catch_unwind;

use ::tokio::io::Interest;
use ::tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};
use ::tokio::runtime::Handle;
use ::tokio::task::coop;

use super::watched::{InItsProcess, Registered, Watched, refusal, until};
use crate::error::Error;
use crate::receive::{Batch, Receiver, Shutdown, Until};
use crate::signal::SigInfo;

/// A receiver that tokio watches.
///
/// It is made of a [`Receiver`], of [`Signals`](crate::Signals), of a reference to one,
/// of an `Arc<Receiver>`, or of anything else that has one.
///
/// Several tasks may await it; each signal goes to one of them. With the feature
/// `futures-core` it is a stream, which ends after an error.
///
/// It reads before it waits: what is pending costs one read, and tokio is not involved. A
/// task that receives without end yields to others, as with tokio's own sockets.
///
/// # Cancel safety
///
/// Futures hold no record: dropping one at any time loses no signal.
///
/// # Examples
///
/// ```
/// use signalfd::{Batch, Signal, tokio::AsyncReceiver};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let signals = signalfd::open(Signal::USR1 | Signal::USR2)?;
/// # for signal in [libc::SIGUSR1, libc::SIGUSR2] {
/// #     unsafe { libc::kill(libc::getpid(), signal) };
/// # }
/// let runtime =
///     tokio::runtime::Builder::new_current_thread().enable_io().build()?;
/// runtime.block_on(async {
///     let receiver = AsyncReceiver::new(&signals)?;
///     let mut batch = Batch::<16>::new();
///     let infos = receiver.recv_batch(&mut batch).await?;
///     assert_eq!(infos.len(), 2);
///     Ok(())
/// })
/// # }
/// ```
pub struct AsyncReceiver<R: AsRef<Receiver> = Receiver> {
    fd: InItsProcess<AsyncFd<Watched<R>>>,
    #[cfg(feature = "futures-core")]
    has_failed: bool,
}

impl<R: AsRef<Receiver>> AsyncReceiver<R> {
    /// Registers the receiver with the runtime that this is called in.
    ///
    /// # Errors
    ///
    /// On an error the receiver is dropped; to keep it, pass a reference.
    ///
    /// - [`Error::NoRuntime`]: not called inside a runtime (async code, or
    ///   `Runtime::enter`), or it is being shut down, or it was built without
    ///   `enable_io`. The last shows only as a panic of tokio's, which is caught; with
    ///   `panic = "abort"` the process aborts.
    /// - [`Error::Forked`]: the receiver is of the process that this one was forked from.
    /// - [`Error::NotBlocked`]: the calling thread does not block its signals (any more).
    /// - [`Error::Os`]: `EEXIST` if the runtime watches the receiver already, `ENOMEM`,
    ///   or `ENOSPC` for too many watches (`/proc/sys/fs/epoll/max_user_watches`).
    pub fn new(receiver: R) -> Result<Self, Error> {
        receiver.as_ref().check_watched()?;
        let watched = Watched::new(receiver);
        let _runtime = Handle::try_current().map_err(|_| Error::NoRuntime)?;
        let fd = catch_unwind(AssertUnwindSafe(|| register(watched)));
        let fd = fd.map_err(|_| Error::NoRuntime)?;
        let fd = fd.map_err(|error| gone(&error))?;
        Ok(Self {
            fd: InItsProcess::new(fd),
            #[cfg(feature = "futures-core")]
            has_failed: false,
        })
    }

    /// Returns what it was made of.
    pub fn get_ref(&self) -> &R {
        self.fd.get_ref().get_ref()
    }

    /// Deregisters the receiver, and returns what this was made of.
    pub fn into_inner(self) -> R {
        self.fd.end(|fd| fd.into_inner().into_inner(), |receiver| receiver)
    }

    /// Takes one signal, and waits for it if there is none.
    ///
    /// # Errors
    ///
    /// - [`Error::NoRuntime`]: the runtime has been shut down. The receiver is as it was:
    ///   get it by [`into_inner`](Self::into_inner), for another runtime.
    /// - [`Error::Forked`] in a forked child; [`Error::Os`] if a sandbox refuses the read.
    ///
    /// # Cancel safety
    ///
    /// Nothing is taken before the future completes: dropping it at any time loses no
    /// signal.
    pub async fn recv(&self) -> Result<SigInfo, Error> {
        let mut info = SigInfo::EMPTY;
        self.read(slice::from_mut(&mut info)).await?;
        Ok(info)
    }

    /// Takes all signals there are, at least one, up to the size of the batch.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Self::recv), and [`Error::EmptyBatch`].
    ///
    /// # Cancel safety
    ///
    /// As for [`recv`](Self::recv).
    pub async fn recv_batch<'b, const N: usize>(
        &self,
        batch: &'b mut Batch<N>,
    ) -> Result<&'b [SigInfo], Error> {
        let taken = self.read(batch.room()?).await?;
        Ok(batch.filled(taken))
    }

    /// Runs a future until it is done or a signal comes, as [`Receiver::until`] does: the
    /// signal cancels the future, and if both are ready, the output of the future is
    /// returned.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Self::recv). The future has then been dropped.
    ///
    /// # Cancel safety
    ///
    /// As for [`recv`](Self::recv).
    pub async fn until<F: Future>(
        &self,
        future: F,
    ) -> Result<Until<F::Output>, Error> {
        until(self.get_ref().as_ref(), future, self.recv()).await
    }

    /// Takes one signal, or has the task woken when there is one, for futures and streams
    /// written by hand.
    ///
    /// One task at a time: of those that poll, the last is woken. Tasks that await
    /// [`recv`](Self::recv) are woken as well.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Self::recv).
    pub fn poll_recv(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<SigInfo, Error>> {
        let watched = self.fd.get_ref();
        watched.receiver().check_process()?;
        let mut info = SigInfo::EMPTY;
        let room = slice::from_mut(&mut info);
        let mut has_read = false;
        loop {
            let taken = match self.fd.poll_read_ready(cx) {
                Poll::Ready(guard) => take(guard.map_err(|e| gone(&e))?, room)?,
                Poll::Pending if has_read => return Poll::Pending,
                Poll::Pending => {
                    let turn = ready!(coop::poll_proceed(cx));
                    if watched.take(room)? == 0 {
                        return Poll::Pending;
                    }
                    turn.made_progress();
                    return Poll::Ready(Ok(info));
                }
            };
            if taken > 0 {
                return Poll::Ready(Ok(info));
            }
            has_read = true;
        }
    }

    async fn read(&self, room: &mut [SigInfo]) -> Result<usize, Error> {
        self.fd.get_ref().receiver().check_process()?;
        // From where something is taken to the return nothing is awaited.
        coop::consume_budget().await;
        let mut taken = 0;
        if !self.fd.get_ref().is_gathering(room, false) {
            taken = self.take_first(room)?;
        }
        while taken == 0 {
            let guard = self.fd.readable().await.map_err(|e| gone(&e))?;
            taken = take(guard, room)?;
        }
        Ok(taken)
    }

    /// Takes what is there, whether there was a notice or not.
    fn take_first(&self, room: &mut [SigInfo]) -> Result<usize, Error> {
        let watched = self.fd.get_ref();
        let mut nobody = Context::from_waker(Waker::noop());
        match pin!(self.fd.readable()).poll(&mut nobody) {
            Poll::Ready(guard) => take(guard.map_err(|e| gone(&e))?, room),
            Poll::Pending => watched.take(room),
        }
    }
}

impl<R: AsRef<Receiver>> Registered for AsyncFd<Watched<R>> {
    type Receiver = R;

    fn watched(&self) -> &Watched<R> {
        self.get_ref()
    }
}

fn register<R: AsRef<Receiver>>(
    watched: Watched<R>,
) -> io::Result<AsyncFd<Watched<R>>> {
    // SAFETY: `as_raw_fd` of `watched` returns the same number each time, that of the
    // descriptor of the receiver that `R` has. It stays open, and the same file: a
    // receiver closes its descriptor, or gets another one (`reopen`), only through
    // ownership or `&mut`. `R` has shown it by `&Receiver`, which lasts for as long
    // as `R` is neither moved by its owner nor borrowed mutably; and from here on
    // `R` is lent out as `&R` only, until `into_inner` or the drop of the `AsyncFd`,
    // which end the registration first.
    let fd =
        unsafe { AsyncFd::register_with_interest(watched, Interest::READABLE) };
    fd.map_err(Into::into)
}

/// Reads after a notice, and gives it up if that was all.
///
/// A signal that comes after the read makes tokio note a newer one, which this leaves
/// alone.
fn take<R: AsRef<Receiver>>(
    mut guard: AsyncFdReadyGuard<'_, Watched<R>>,
    room: &mut [SigInfo],
) -> Result<usize, Error> {
    let taken = guard.get_inner().take_gathered(room, true)?;
    if taken < room.len() {
        guard.clear_ready();
    }
    Ok(taken)
}

/// tokio says without a number that its driver is gone.
fn gone(error: &io::Error) -> Error {
    refusal(error, Error::NoRuntime)
}

/// Awaits the first signal of a [`Shutdown`] in a tokio runtime, which watches its
/// receiver meanwhile. If all its signals are ignored, this never completes.
///
/// The future is not `Send`, as a [`Shutdown`] is not: give it to `Runtime::block_on`, or await
/// it in `main`, and spawn the other tasks.
///
/// # Errors
///
/// Those of [`AsyncReceiver::new`] and [`AsyncReceiver::recv`].
///
/// # Cancel safety
///
/// Nothing is taken before the future completes, and then [`Shutdown::first`] has it too:
/// dropping the future at any time loses no signal.
///
/// # Examples
///
/// ```
/// use signalfd::{Shutdown, Signal, tokio::recv_first};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut shutdown = Shutdown::open(Signal::INT | Signal::TERM)?;
/// let runtime =
///     tokio::runtime::Builder::new_multi_thread().enable_io().build()?;
/// runtime.block_on(async {
/// #   unsafe { libc::kill(libc::getpid(), libc::SIGTERM) };
///     // Spawn the tasks that do the work, then:
///     let info = recv_first(&mut shutdown).await?;
///     println!("{info}: cleaning up");
/// #   assert_eq!(info.signal(), Signal::TERM);
///     Ok(())
/// })
/// # }
/// ```
pub async fn recv_first(shutdown: &mut Shutdown) -> Result<SigInfo, Error> {
    loop {
        if let Some(info) = shutdown.try_recv()? {
            return Ok(info);
        }
        let Some(receiver) = shutdown.receiver() else {
            return pending().await;
        };
        // What came meanwhile is noticed when it is registered.
        let watched = AsyncReceiver::new(receiver)?;
        let _guard = watched.fd.readable().await.map_err(|e| gone(&e))?;
    }
}

#[cfg(feature = "futures-core")]
impl<R: AsRef<Receiver>> futures_core::Stream for AsyncReceiver<R> {
    type Item = Result<SigInfo, Error>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Self::Item>> {
        if self.has_failed {
            return Poll::Ready(None);
        }
        let info = ready!(self.poll_recv(cx));
        self.has_failed = info.is_err();
        Poll::Ready(Some(info))
    }
}

#[cfg(feature = "futures-core")]
impl<R: AsRef<Receiver>> futures_core::FusedStream for AsyncReceiver<R> {
    fn is_terminated(&self) -> bool {
        self.has_failed
    }
}

// It is not pinned for the sake of what it is made of.
impl<R: AsRef<Receiver>> Unpin for AsyncReceiver<R> {}

impl<R: AsRef<Receiver>> fmt::Debug for AsyncReceiver<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncReceiver")
            .field("receiver", self.fd.get_ref())
            .finish_non_exhaustive()
    }
}
