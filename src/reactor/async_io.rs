//! Signals in smol and async-std, and wherever else async-io is the reactor.
//!
//! async-io watches the receiver's descriptor and wakes the tasks; this crate reads. No
//! handler is installed, unless `every_thread` is asked for, or a `Shutdown` runs as PID 1.
//!
//! # Where to open the receiver
//!
//! async-io has a thread of its own, which it starts when it is first used, and executors
//! have more. They have to block the signals: open the receiver, or
//! [`block`](crate::block) the signals, at the top of `main`.
//! [`Options::every_thread`](crate::Options::every_thread) blocks them in threads that
//! exist already.
//!
//! ```
//! use async_io::block_on;
//! use signalfd::Signal;
//! use signalfd::async_io::AsyncReceiver;
//!
//! fn main() -> Result<(), signalfd::Error> {
//!     let signals = signalfd::open(Signal::HUP | Signal::TERM)?;
//! #   for signal in [libc::SIGHUP, libc::SIGTERM] {
//! #       unsafe { libc::kill(libc::getpid(), signal) };
//! #   }
//!     block_on(async {
//!         let signals = AsyncReceiver::new(signals)?;
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

use core::fmt;
use core::future::{Future, pending};
#[cfg(feature = "futures-core")]
use core::pin::Pin;
use core::slice;
use core::task::{Context, Poll, ready};
use std::io;

use ::async_io::Async;
use rustix::io::Errno;

use super::watched::{InItsProcess, Registered, Watched, refusal, until};
use crate::error::{Error, Op};
use crate::receive::{Batch, Receiver, Shutdown, Until};
use crate::signal::SigInfo;

/// A receiver that async-io watches.
///
/// It is made of a [`Receiver`], of [`Signals`](crate::Signals), of a reference to one,
/// of an `Arc<Receiver>`, or of anything else that has one.
///
/// Several tasks may await it; each signal goes to one of them. With the feature
/// `futures-core` it is a stream, which ends after an error.
///
/// It reads before it waits: what is pending costs one read, and async-io is not
/// involved.
///
/// # Cancel safety
///
/// Futures hold no record: dropping one at any time loses no signal.
///
/// # Examples
///
/// ```
/// use signalfd::{Batch, Signal, async_io::AsyncReceiver};
///
/// let signals = signalfd::open(Signal::USR1 | Signal::USR2)?;
/// # for signal in [libc::SIGUSR1, libc::SIGUSR2] {
/// #     unsafe { libc::kill(libc::getpid(), signal) };
/// # }
/// async_io::block_on(async {
///     let receiver = AsyncReceiver::new(&signals)?;
///     let mut batch = Batch::<16>::new();
///     let infos = receiver.recv_batch(&mut batch).await?;
///     assert_eq!(infos.len(), 2);
///     Ok::<_, signalfd::Error>(())
/// })?;
/// # Ok::<(), signalfd::Error>(())
/// ```
pub struct AsyncReceiver<R: AsRef<Receiver> = Receiver> {
    io: InItsProcess<Async<Watched<R>>>,
    #[cfg(feature = "futures-core")]
    has_failed: bool,
}

impl<R: AsRef<Receiver>> AsyncReceiver<R> {
    /// Registers the receiver with async-io.
    ///
    /// # Errors
    ///
    /// On an error the receiver is dropped; to keep it, pass a reference.
    ///
    /// - [`Error::Forked`]: the receiver is of the process that this one was forked from.
    /// - [`Error::NotBlocked`]: the calling thread does not block its signals (any more).
    /// - [`Error::Os`]: `EEXIST` if async-io watches the receiver already, `ENOMEM`, or
    ///   `ENOSPC` for too many watches (`/proc/sys/fs/epoll/max_user_watches`).
    ///
    /// # Panics
    ///
    /// async-io panics, at its first use in the process, if it can make no epoll or no thread.
    pub fn new(receiver: R) -> Result<Self, Error> {
        receiver.as_ref().check_watched()?;
        let watched = Watched::new(receiver);
        // The signalfd is non-blocking, and nobody reads what stands for a ring.
        let io = Async::new_nonblocking(watched).map_err(|e| refused(&e))?;
        Ok(Self {
            io: InItsProcess::new(io),
            #[cfg(feature = "futures-core")]
            has_failed: false,
        })
    }

    /// Returns what it was made of.
    pub fn get_ref(&self) -> &R {
        self.io.get_ref().get_ref()
    }

    /// Deregisters the receiver, and returns what this was made of.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] if a sandbox forbids `epoll_ctl(2)`. What it was made of is then
    /// dropped.
    pub fn into_inner(self) -> Result<R, Error> {
        let end = |io: Async<Watched<R>>| {
            let watched = io.into_inner().map_err(|e| refused(&e))?;
            Ok(watched.into_inner())
        };
        self.io.end(end, Ok)
    }

    /// Takes one signal, and waits for it if there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Forked`] in a forked child; [`Error::Os`] if a sandbox refuses to read or
    /// to wait.
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
    /// One task at a time: two that poll keep waking each other. Any number may await
    /// [`recv`](Self::recv) as well.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Self::recv).
    pub fn poll_recv(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<SigInfo, Error>> {
        let mut info = SigInfo::EMPTY;
        while self.io.get_ref().take(slice::from_mut(&mut info))? == 0 {
            ready!(self.io.poll_readable(cx)).map_err(|e| refused(&e))?;
        }
        Poll::Ready(Ok(info))
    }

    async fn read(&self, room: &mut [SigInfo]) -> Result<usize, Error> {
        let mut is_told = false;
        loop {
            let taken = self.io.get_ref().take_gathered(room, is_told)?;
            if taken > 0 {
                return Ok(taken);
            }
            // async-io asks the kernel anew each time, which looks whether there is
            // something by now.
            self.io.readable().await.map_err(|e| refused(&e))?;
            is_told = true;
        }
    }
}

impl<R: AsRef<Receiver>> Registered for Async<Watched<R>> {
    type Receiver = R;

    fn watched(&self) -> &Watched<R> {
        self.get_ref()
    }
}

fn refused(error: &io::Error) -> Error {
    refusal(error, Error::os(Op::EpollCtl, Errno::IO))
}

/// Awaits the first signal of a [`Shutdown`], whose receiver async-io watches meanwhile.
/// If all its signals are ignored, this never completes.
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
/// use signalfd::{Shutdown, Signal, async_io::recv_first};
///
/// let mut shutdown = Shutdown::open(Signal::INT | Signal::TERM)?;
/// async_io::block_on(async {
/// #   unsafe { libc::kill(libc::getpid(), libc::SIGTERM) };
///     // Spawn the tasks that do the work, then:
///     let info = recv_first(&mut shutdown).await?;
///     println!("{info}: cleaning up");
/// #   assert_eq!(info.signal(), Signal::TERM);
///     Ok::<_, signalfd::Error>(())
/// })?;
/// # Ok::<(), signalfd::Error>(())
/// ```
pub async fn recv_first(shutdown: &mut Shutdown) -> Result<SigInfo, Error> {
    loop {
        if let Some(info) = shutdown.try_recv()? {
            return Ok(info);
        }
        let Some(receiver) = shutdown.receiver() else {
            return pending().await;
        };
        let watched = AsyncReceiver::new(receiver)?;
        watched.io.readable().await.map_err(|e| refused(&e))?;
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
            .field("receiver", self.io.get_ref())
            .finish_non_exhaustive()
    }
}
