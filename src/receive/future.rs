//! The futures.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use super::{Batch, Receiver};
use crate::error::Error;
use crate::signal::SigInfo;

/// A future that takes one signal: [`Receiver::recv`].
///
/// It runs on any executor; [`Receiver::recv`] says what wakes the task. Polled again
/// after it has completed, it takes the next signal.
///
/// # Errors
///
/// Completes with [`Error::Forked`] in a forked child, and with [`Error::Os`] if
/// a sandbox refuses the read.
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

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.receiver.poll_recv(cx)
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
pub struct RecvBatch<'r, 'b, const N: usize> {
    receiver: &'r Receiver,
    batch: Option<&'b mut Batch<N>>,
    /// Signals have been let gather.
    has_paused: bool,
}

impl<'r, 'b, const N: usize> RecvBatch<'r, 'b, N> {
    pub(super) const fn new(
        receiver: &'r Receiver,
        batch: &'b mut Batch<N>,
    ) -> Self {
        Self { receiver, batch: Some(batch), has_paused: false }
    }
}

impl<'b, const N: usize> Future for RecvBatch<'_, 'b, N> {
    type Output = Result<&'b [SigInfo], Error>;

    #[inline]
    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Self::Output> {
        if !self.has_paused && self.receiver.pause(cx, N) {
            self.has_paused = true;
            return Poll::Pending;
        }
        let Some(batch) = self.batch.take() else {
            return Poll::Ready(Ok(&[]));
        };
        match self.receiver.poll_read(cx, batch.room()?) {
            Poll::Ready(taken) => Poll::Ready(Ok(batch.filled(taken?))),
            Poll::Pending => {
                self.batch = Some(batch);
                Poll::Pending
            }
        }
    }
}
