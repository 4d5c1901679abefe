//! What the adapters share: a receiver that somebody else's loop watches.
//!
//! An adapter reads before it waits, and when it is told that the descriptor is readable.
//! It waits to be told again only after a read that brought less than there was room for,
//! so that nothing was left; and what it gives up then is the very notice that it had
//! before that read. What comes later makes another one. So it never sleeps with a record
//! unread. Where the loop looks at the descriptor anew each time it is asked, there is no
//! notice to keep.
//!
//! A forked child has the loop's epoll too, and it is the same: what the child took out
//! of it would be gone for the parent, which then sleeps for ever. So what an adapter
//! does when it goes it does in its own process only.

#![expect(unsafe_code, reason = "what is in a loop is taken apart in a child")]

use core::fmt;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::ptr;

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use crate::error::Error;
use crate::receive::Receiver;
use crate::signal::SigInfo;

/// A receiver, or what has one, and the number of its descriptor.
pub(super) struct Watched<R> {
    receiver: R,
    /// What the loop has, whatever `as_ref` returns later.
    fd: RawFd,
}

impl<R: AsRef<Receiver>> Watched<R> {
    pub(super) fn new(receiver: R) -> Self {
        let fd = receiver.as_ref().watched().as_raw_fd();
        Self { receiver, fd }
    }

    pub(super) fn receiver(&self) -> &Receiver {
        self.receiver.as_ref()
    }

    pub(super) const fn get_ref(&self) -> &R {
        &self.receiver
    }

    pub(super) fn into_inner(self) -> R {
        self.receiver
    }

    /// Takes what there is. It needs no notice; without one it may be for nothing.
    pub(super) fn take(&self, room: &mut [SigInfo]) -> Result<usize, Error> {
        self.receiver().read(room)
    }

    /// The same once signals have gathered; nothing before, and there will be a notice.
    #[cfg(any(feature = "tokio", feature = "async-io"))]
    pub(super) fn take_gathered(
        &self,
        room: &mut [SigInfo],
        is_told: bool,
    ) -> Result<usize, Error> {
        if self.is_gathering(room, is_told) { Ok(0) } else { self.take(room) }
    }

    /// Whether signals are to gather before they are taken. There will be a notice when that
    /// is over.
    #[cfg(any(feature = "tokio", feature = "async-io"))]
    pub(super) fn is_gathering(&self, room: &[SigInfo], is_told: bool) -> bool {
        self.receiver().is_gathering(room.len(), is_told)
    }
}

/// What the library of a loop makes of what it watches, and takes out of the loop when it
/// is dropped.
pub(super) trait Registered: Sized {
    type Receiver: AsRef<Receiver>;

    fn watched(&self) -> &Watched<Self::Receiver>;
}

/// The same, which a forked child leaves where it is.
pub(super) struct InItsProcess<T: Registered>(ManuallyDrop<T>);

impl<T: Registered> InItsProcess<T> {
    pub(super) const fn new(registered: T) -> Self {
        Self(ManuallyDrop::new(registered))
    }

    /// Takes it out of its loop with this, or, in a forked child, leaves the loop alone.
    pub(super) fn end<O>(
        self,
        end: impl FnOnce(T) -> O,
        forked: impl FnOnce(T::Receiver) -> O,
    ) -> O {
        let mut this = ManuallyDrop::new(self);
        if this.watched().receiver().check_process().is_ok() {
            // SAFETY: `this` is not used again, nor dropped.
            return end(unsafe { ManuallyDrop::take(&mut this.0) });
        }
        // SAFETY: a reference, so valid and aligned. What it is read out of is neither
        // used again nor dropped.
        forked(unsafe { ptr::read(&raw const this.watched().receiver) })
    }
}

impl<T: Registered> Drop for InItsProcess<T> {
    fn drop(&mut self) {
        // SAFETY: a reference. The original is not used again, and what is in it is
        // not dropped by itself.
        let this = Self(unsafe { ptr::read(&raw const self.0) });
        this.end(drop, drop);
    }
}

impl<T: Registered> Deref for InItsProcess<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Registered> DerefMut for InItsProcess<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<R: AsRef<Receiver>> AsFd for Watched<R> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.receiver().watched()
    }
}

impl<R> AsRawFd for Watched<R> {
    fn as_raw_fd(&self) -> RawFd {
        self.fd
    }
}

impl<R: AsRef<Receiver>> fmt::Debug for Watched<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.receiver().fmt(f)
    }
}

/// What the futures of the adapters share.
#[cfg(any(feature = "tokio", feature = "async-io"))]
mod futures {
    use core::future::Future;
    use core::pin::pin;

    use crate::error::{Error, Op};
    use crate::receive::{Receiver, Until};
    use crate::signal::SigInfo;

    /// Runs a future until it is done or another one has taken a signal of the receiver, as
    /// [`Receiver::until`] does.
    pub(in crate::reactor) async fn until<F: Future>(
        receiver: &Receiver,
        future: F,
        recv: impl Future<Output = Result<SigInfo, Error>>,
    ) -> Result<Until<F::Output>, Error> {
        let mut recv = pin!(recv);
        receiver.until_taken(future, |cx| recv.as_mut().poll(cx)).await
    }

    /// What a loop says of a descriptor that it does not watch; `without_number` if it
    /// is not the kernel that said so.
    pub(in crate::reactor) fn refusal(
        error: &std::io::Error,
        without_number: Error,
    ) -> Error {
        match error.raw_os_error() {
            Some(errno) => Error::Os { op: Op::EpollCtl, errno },
            None => without_number,
        }
    }
}

#[cfg(any(feature = "tokio", feature = "async-io"))]
pub(super) use futures::{refusal, until};
