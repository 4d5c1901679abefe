//! Signals one after the other, for those who await them.

use core::pin::Pin;
use core::task::{Context, Poll, ready};

use futures_core::{FusedStream, Stream};

use crate::error::Error;
use crate::receive::Receiver;
use crate::signal::SigInfo;

/// A stream that takes one signal after the other, and ends only after an error:
/// [`Receiver::stream`].
///
/// An error is the last item, since what makes a read fail does not pass: a fork
/// ([`Error::Forked`]), a sandbox.
///
/// # Cancel safety
///
/// It holds no record: dropping it at any time loses no signal.
#[derive(Clone, Debug)]
#[must_use = "streams do nothing unless they are polled"]
pub struct RecvStream<'r> {
    /// `None` after an error.
    receiver: Option<&'r Receiver>,
}

impl Receiver {
    /// Returns a stream that takes each signal in turn, as [`recv`](Self::recv) does.
    ///
    /// One task at a time, as for [`recv`](Self::recv), woken by the same:
    /// [`block_on`](crate::block_on), an [`Epoll`](crate::Epoll), or
    /// [`on_readable`](Self::on_readable). In a tokio runtime, or where async-io is the
    /// reactor, use the adapter of that name, which is a stream itself.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures::StreamExt;
    /// use signalfd::{Signal, block_on, open};
    ///
    /// let signals = open(Signal::HUP | Signal::TERM)?;
    /// # unsafe { libc::kill(libc::getpid(), libc::SIGHUP) };
    /// # unsafe { libc::kill(libc::getpid(), libc::SIGTERM) };
    /// block_on(async {
    ///     let mut stream = signals.stream();
    ///     while let Some(info) = stream.next().await {
    ///         match info?.signal() {
    ///             Signal::HUP => println!("reload"),
    ///             _ => break,
    ///         }
    ///     }
    ///     Ok::<_, signalfd::Error>(())
    /// })??;
    /// # Ok::<(), signalfd::Error>(())
    /// ```
    pub const fn stream(&self) -> RecvStream<'_> {
        RecvStream { receiver: Some(self) }
    }
}

impl Stream for RecvStream<'_> {
    type Item = Result<SigInfo, Error>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Self::Item>> {
        let Some(receiver) = self.receiver else { return Poll::Ready(None) };
        let info = ready!(receiver.poll_recv(cx));
        if info.is_err() {
            self.receiver = None;
        }
        Poll::Ready(Some(info))
    }
}

impl FusedStream for RecvStream<'_> {
    fn is_terminated(&self) -> bool {
        self.receiver.is_none()
    }
}
