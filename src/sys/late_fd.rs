//! A descriptor behind a shared reference.

use core::sync::atomic::{AtomicI32, Ordering};

use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};

/// A descriptor that comes later, and is shared from then on.
#[derive(Debug)]
pub(crate) struct LateFd(AtomicI32);

impl LateFd {
    const NONE: i32 = -1;

    pub(crate) const fn new() -> Self {
        Self(AtomicI32::new(Self::NONE))
    }

    #[inline]
    pub(crate) fn get(&self) -> Option<BorrowedFd<'_>> {
        // SeqCst: see `SignalFd::update`. Acquire: sees the descriptor made.
        let raw = self.0.load(Ordering::SeqCst);
        if raw < 0 {
            return None;
        }
        // SAFETY: `raw` is not negative. `self` owns it, and gives it up only in
        // `take`, whose caller promises that no borrow is left.
        Some(unsafe { BorrowedFd::borrow_raw(raw) })
    }

    /// Takes a descriptor over; gives it back if there is one already.
    pub(crate) fn set(&self, fd: OwnedFd) -> Result<(), OwnedFd> {
        let raw = fd.as_raw_fd();
        // SeqCst: see `SignalFd::update`. Release: shows the descriptor.
        let (set, seen) = (Ordering::SeqCst, Ordering::Relaxed);
        match self.0.compare_exchange(Self::NONE, raw, set, seen) {
            Ok(_) => {
                // INVARIANT: `self` owns `raw` now, so `fd` must not close it.
                let _owned_by_self = fd.into_raw_fd();
                Ok(())
            }
            Err(_) => Err(fd),
        }
    }

    /// Gives the descriptor up.
    ///
    /// # Safety
    ///
    /// No borrow that [`get`](Self::get) returned is alive, and none is made
    /// until this returns.
    pub(crate) unsafe fn take(&self) -> Option<OwnedFd> {
        let raw = self.0.swap(Self::NONE, Ordering::AcqRel);
        if raw < 0 {
            return None;
        }
        // SAFETY: `self` owned `raw`, and the swap took it away, so nothing else
        // owns it now; by this function's contract nothing borrows it.
        Some(unsafe { OwnedFd::from_raw_fd(raw) })
    }
}

/// What only loops of others need.
#[cfg(any(
    feature = "tokio",
    feature = "async-io",
    feature = "mio",
    feature = "calloop"
))]
impl LateFd {
    /// There will be none.
    const NEVER: i32 = -2;

    /// Decides that there will be none, if there is none yet.
    pub(crate) fn refuse(&self) {
        let (set, seen) = (Ordering::SeqCst, Ordering::Relaxed);
        let _is_refused =
            self.0.compare_exchange(Self::NONE, Self::NEVER, set, seen);
    }

    /// Whether there is one, or will be none.
    pub(crate) fn is_settled(&self) -> bool {
        self.0.load(Ordering::SeqCst) != Self::NONE
    }
}

impl Drop for LateFd {
    fn drop(&mut self) {
        // SAFETY: `self` is borrowed mutably, so no borrow of it is alive.
        drop(unsafe { self.take() });
    }
}
