//! Work that a signal cancels.

use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::{Context, Poll};

use super::Receiver;
use super::kept::Kept;
use crate::error::Error;
use crate::signal::SigInfo;

/// How [`Receiver::until`] ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "the record of a signal is in it, and nowhere else any more"]
pub enum Until<T> {
    /// The future was done first.
    Done(T),
    /// A signal came first, and the future has been dropped.
    Signal(SigInfo),
}

impl Receiver {
    /// Runs a future until it is done or a signal comes.
    ///
    /// A signal cancels the future: the future is dropped, destructors and all, before
    /// this completes with the record. If both are ready, the output of the future is
    /// returned and the signal stays pending: each time the future is polled first, and
    /// the receiver only if the future is pending, with one system call in
    /// [`block_on`](crate::block_on), and two elsewhere if no signal is there.
    ///
    /// One task at a time, as for [`recv`](Self::recv), woken by the same:
    /// [`block_on`](crate::block_on), an [`Epoll`](crate::Epoll), or
    /// [`on_readable`](Self::on_readable).
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Self::recv). The future has then been dropped.
    ///
    /// # Cancel safety
    ///
    /// Nothing is taken before this completes: dropping it at any time drops the future
    /// that it runs, and loses no signal. If a destructor of the cancelled future
    /// panics, the record is put back ([`put_back`](Self::put_back)).
    ///
    /// # Examples
    ///
    /// ```
    /// use core::future::{pending, ready};
    /// use signalfd::{Signal, Until, block_on, open};
    ///
    /// let signals = open(Signal::INT | Signal::TERM)?;
    /// block_on(async {
    ///     let work = ready(42);
    ///     assert_eq!(signals.until(work).await?, Until::Done(42));
    ///
    /// #   unsafe { libc::kill(libc::getpid(), libc::SIGTERM) };
    ///     let work = pending::<u32>();
    ///     match signals.until(work).await? {
    ///         Until::Done(number) => println!("{number}"),
    ///         Until::Signal(info) => println!("cancelled by {info}"),
    ///     }
    ///     Ok::<_, signalfd::Error>(())
    /// })??;
    /// # Ok::<(), signalfd::Error>(())
    /// ```
    pub async fn until<F: Future>(
        &self,
        future: F,
    ) -> Result<Until<F::Output>, Error> {
        self.until_taken(future, |cx| self.poll_recv(cx)).await
    }

    /// Runs a future until it is done or somebody has taken a signal of this receiver.
    pub(crate) async fn until_taken<F: Future>(
        &self,
        future: F,
        mut poll_recv: impl FnMut(&mut Context<'_>) -> Poll<Result<SigInfo, Error>>,
    ) -> Result<Until<F::Output>, Error> {
        let mut future = pin!(Some(future));
        let until = poll_fn(|cx| match future.as_mut().as_pin_mut() {
            Some(future) => poll_until(cx, future, &mut poll_recv),
            None => Poll::Pending,
        })
        .await?;
        if let Until::Signal(info) = &until {
            let mut room = [*info];
            let mut kept = Kept::new(&mut room, self.signalfd().birth());
            kept.add(1);
            future.set(None);
            let _one = kept.hand_over();
        }
        Ok(until)
    }
}

/// Polls the future, and if it is not done whoever brings a record.
pub(super) fn poll_until<F: Future>(
    cx: &mut Context<'_>,
    future: Pin<&mut F>,
    poll_recv: impl FnOnce(&mut Context<'_>) -> Poll<Result<SigInfo, Error>>,
) -> Poll<Result<Until<F::Output>, Error>> {
    match future.poll(cx) {
        Poll::Ready(output) => Poll::Ready(Ok(Until::Done(output))),
        Poll::Pending => poll_recv(cx).map_ok(Until::Signal),
    }
}
