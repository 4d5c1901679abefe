//! The futures.

use core::future::Future;
use core::pin::Pin;
use core::slice;
use core::task::{Context, Poll};

use super::{Batch, Receiver};
use crate::error::Error;
use crate::signal::SigInfo;

/// A future that takes one signal: [`Receiver::recv`].
///
/// It needs no executor of any kind, only somebody who wakes: see
/// [`Receiver`]. Polled again after it has completed, it takes the next signal.
///
/// # Errors
///
/// Completes with [`Error::Forked`] in a forked child, and with
/// [`Error::TooManyReceivers`] if one [`block_on`](crate::block_on) awaits more
/// than 16 receivers.
///
/// # Cancel safety
///
/// It holds no record: dropping it at any time loses no signal.
#[derive(Debug)]
#[must_use = "futures do nothing unless they are polled or awaited"]
pub struct Recv<'r> {
    receiver: &'r Receiver,
}

impl<'r> Recv<'r> {
    pub(super) const fn new(receiver: &'r Receiver) -> Self {
        Self { receiver }
    }
}

impl Future for Recv<'_> {
    type Output = Result<SigInfo, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut info = SigInfo::EMPTY;
        self.receiver
            .poll_read(cx, slice::from_mut(&mut info))
            .map_ok(|_one| info)
    }
}

/// A future that takes all signals there are: [`Receiver::recv_batch`].
///
/// The slice it completes with holds at least one record. Polled again after
/// it has completed, it returns an empty one: the batch is gone.
///
/// # Errors
///
/// Those of [`Recv`], and [`Error::EmptyBatch`].
///
/// # Cancel safety
///
/// It reads into the batch only when it completes: dropping it at any time
/// loses no signal.
#[derive(Debug)]
#[must_use = "futures do nothing unless they are polled or awaited"]
pub struct RecvBatch<'a, const N: usize> {
    receiver: &'a Receiver,
    batch: Option<&'a mut Batch<N>>,
}

impl<'a, const N: usize> RecvBatch<'a, N> {
    pub(super) const fn new(
        receiver: &'a Receiver,
        batch: &'a mut Batch<N>,
    ) -> Self {
        Self { receiver, batch: Some(batch) }
    }
}

impl<'a, const N: usize> Future for RecvBatch<'a, N> {
    type Output = Result<&'a [SigInfo], Error>;

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Self::Output> {
        let Some(batch) = self.batch.take() else {
            return Poll::Ready(Ok(&[]));
        };
        match self.receiver.poll_read(cx, batch.room()?) {
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
