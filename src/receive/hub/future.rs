//! The futures of a subscriber.

use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::slice;
use core::task::{Context, Poll};

use super::Subscriber;
use crate::error::Error;
use crate::receive::until::poll_until;
use crate::receive::{Batch, Until};
use crate::signal::SigInfo;

/// Awaiting. A task is woken by the thread that dispatches, whatever executor it
/// runs on; [`block_on`](crate::block_on) is one.
impl<'h> Subscriber<'h> {
    /// Returns a future that takes one record.
    ///
    /// # Errors
    ///
    /// The future completes with [`Error::Forked`] in a forked child.
    ///
    /// # Cancel safety
    ///
    /// Nothing is taken before the future completes: dropping it at any time loses no
    /// record.
    pub const fn recv(&mut self) -> Recv<'_, 'h> {
        Recv::new(self)
    }

    /// Returns a future that takes all records there are, at least one, up to the size of
    /// the batch.
    ///
    /// # Errors
    ///
    /// [`Error::EmptyBatch`], and those of [`recv`](Self::recv).
    ///
    /// # Cancel safety
    ///
    /// As for [`recv`](Self::recv).
    pub const fn recv_batch<'s, 'b, const N: usize>(
        &'s mut self,
        batch: &'b mut Batch<N>,
    ) -> RecvBatch<'s, 'h, 'b, N> {
        RecvBatch::new(self, batch)
    }

    /// Takes one record, or has the task woken when there is one: what
    /// [`recv`](Self::recv) does when it is polled.
    ///
    /// The last task to poll is the one that is woken.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Self::recv).
    pub fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<SigInfo, Error>> {
        let mut info = SigInfo::EMPTY;
        self.poll_read(cx, slice::from_mut(&mut info)).map_ok(|_one| info)
    }

    /// Takes all records there are, or has the task woken when there is one: what
    /// [`recv_batch`](Self::recv_batch) does when it is polled.
    ///
    /// # Errors
    ///
    /// Those of [`recv_batch`](Self::recv_batch).
    pub fn poll_recv_batch<'b, const N: usize>(
        &mut self,
        cx: &mut Context<'_>,
        batch: &'b mut Batch<N>,
    ) -> Poll<Result<&'b [SigInfo], Error>> {
        self.poll_read(cx, batch.room()?).map_ok(|taken| batch.filled(taken))
    }

    /// Runs a future until it is done or a record comes, as
    /// [`Receiver::until`](crate::Receiver::until) does: a record cancels the future.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Self::recv). The future has then been dropped.
    ///
    /// # Cancel safety
    ///
    /// Nothing is taken before this completes: dropping it at any time drops the future
    /// that it runs, and loses no record. (If a destructor of the cancelled future
    /// panics, the record is lost.)
    pub async fn until<F: Future>(
        &mut self,
        future: F,
    ) -> Result<Until<F::Output>, Error> {
        let mut future = pin!(future);
        poll_fn(|cx| poll_until(cx, future.as_mut(), |cx| self.poll_recv(cx)))
            .await
    }
}

/// A future that takes one record: [`Subscriber::recv`].
///
/// It runs on any executor. Polled again after it has completed, it takes the next
/// record.
///
/// # Errors
///
/// Completes with [`Error::Forked`] in a forked child.
///
/// # Cancel safety
///
/// It holds no record: dropping it at any time loses none.
#[derive(Debug)]
#[must_use = "futures do nothing unless they are polled or awaited"]
pub struct Recv<'s, 'h> {
    subscriber: &'s mut Subscriber<'h>,
}

impl<'s, 'h> Recv<'s, 'h> {
    pub(super) const fn new(subscriber: &'s mut Subscriber<'h>) -> Self {
        Self { subscriber }
    }
}

impl Future for Recv<'_, '_> {
    type Output = Result<SigInfo, Error>;

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Self::Output> {
        self.subscriber.poll_recv(cx)
    }
}

/// A future that takes all records there are: [`Subscriber::recv_batch`].
///
/// The slice it completes with holds at least one record. Polled again after it has
/// completed, it returns an empty one: the batch is gone.
///
/// # Errors
///
/// Those of [`Recv`], and [`Error::EmptyBatch`].
///
/// # Cancel safety
///
/// It takes records only when it completes: dropping it at any time loses none.
#[derive(Debug)]
#[must_use = "futures do nothing unless they are polled or awaited"]
pub struct RecvBatch<'s, 'h, 'b, const N: usize> {
    subscriber: &'s mut Subscriber<'h>,
    batch: Option<&'b mut Batch<N>>,
}

impl<'s, 'h, 'b, const N: usize> RecvBatch<'s, 'h, 'b, N> {
    pub(super) const fn new(
        subscriber: &'s mut Subscriber<'h>,
        batch: &'b mut Batch<N>,
    ) -> Self {
        Self { subscriber, batch: Some(batch) }
    }
}

impl<'b, const N: usize> Future for RecvBatch<'_, '_, 'b, N> {
    type Output = Result<&'b [SigInfo], Error>;

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Self::Output> {
        let Some(batch) = self.batch.take() else {
            return Poll::Ready(Ok(&[]));
        };
        match self.subscriber.poll_read(cx, batch.room()?) {
            Poll::Ready(taken) => {
                Poll::Ready(taken.map(|taken| batch.filled(taken)))
            }
            Poll::Pending => {
                self.batch = Some(batch);
                Poll::Pending
            }
        }
    }
}
