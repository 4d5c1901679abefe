//! Signal masks: what the calling thread blocks, and every other.
//!
//! A mask belongs to one thread. Linux has none for the process: a new thread
//! inherits the mask of the one that starts it, and from then on they part.

use core::fmt;
use core::marker::PhantomData;

use super::held::Held;
pub use super::threads::check_threads;
use crate::error::Error;
use crate::signal::SignalSet;
use crate::sys::{self, How};

/// Blocks signals in the calling thread until the guard is dropped.
///
/// Threads started from now on inherit the mask, so the place for this is the
/// top of `main`, before any other thread runs; [`Receiver::new`] may then be
/// called anywhere. [`open`](crate::open) does both at once.
///
/// A blocked signal is not ignored: it stays pending until something receives
/// it or it is unblocked. Children inherit the mask too, through `fork`, `exec`
/// and `std::process::Command`.
///
/// # Errors
///
/// [`Error::EmptySet`], [`Error::Unblockable`], [`Error::Synchronous`] or
/// [`Error::Reserved`] for a set that no receiver can take; [`Error::Os`] if a
/// sandbox forbids `rt_sigprocmask(2)`. The mask is then as it was.
///
/// # Examples
///
/// ```
/// use signalfd::{Receiver, Signal};
///
/// let guard = signalfd::block(Signal::HUP | Signal::TERM)?;
/// let worker = std::thread::spawn(|| {
///     // Threads inherit the mask, so a receiver can be made in any of them.
///     let receiver = Receiver::new(Signal::HUP | Signal::TERM)?;
///     receiver.try_recv()
/// });
/// assert_eq!(worker.join().unwrap()?, None);
/// drop(guard);
/// # Ok::<(), signalfd::Error>(())
/// ```
///
/// # References
///
/// [sigprocmask(2)](https://man7.org/linux/man-pages/man2/sigprocmask.2.html)
///
/// [`Receiver::new`]: crate::Receiver::new
#[doc(alias = "sigprocmask")]
#[doc(alias = "pthread_sigmask")]
pub fn block(set: impl Into<SignalSet>) -> Result<MaskGuard, Error> {
    let set = set.into().check_receivable()?;
    let saved = sys::sigprocmask(Some((How::Block, set)))?;
    Ok(MaskGuard { saved, held: Held::new(set, saved), not_send: PhantomData })
}

/// Returns the set of signals that the calling thread blocks.
///
/// # Errors
///
/// [`Error::Os`] if a sandbox forbids `rt_sigprocmask(2)`.
#[doc(alias = "sigprocmask")]
pub fn current() -> Result<SignalSet, Error> {
    sys::sigprocmask(None)
}

/// Restores the calling thread's signal mask when it is dropped.
///
/// The previous mask comes back, exactly: a signal that was blocked already stays
/// blocked. Guards nest, and they may be dropped in any order: what another guard
/// of the thread still holds stays blocked until that one goes too. (Without the
/// feature `std` they must be dropped in the reverse order. Note that the fields
/// of a struct are dropped in the order of their declaration, and that an
/// assignment drops the old value last.)
///
/// A mask belongs to a thread, so the guard cannot leave the one that made it:
///
/// ```compile_fail,E0277
/// let guard = signalfd::block(signalfd::Signal::TERM).unwrap();
/// std::thread::spawn(move || drop(guard));
/// ```
///
/// Signals that are pending when the mask is restored take their course: they
/// reach an outer receiver if one blocks them, else their handler or default
/// action, which for most is the end of the process.
///
/// A guard that is forgotten leaves its signals blocked for good.
#[must_use = "the mask is restored as soon as the guard is dropped"]
pub struct MaskGuard {
    saved: SignalSet,
    held: Held,
    not_send: PhantomData<*const ()>,
}

impl MaskGuard {
    /// Returns the mask that the guard found.
    #[must_use]
    pub const fn saved(&self) -> SignalSet {
        self.saved
    }

    /// Blocks more signals for as long as the guard lives, and returns those that
    /// it did not block already.
    pub(crate) fn insert(&self, set: SignalSet) -> Result<SignalSet, Error> {
        let found = sys::sigprocmask(Some((How::Block, set)))?;
        Ok(self.held.insert(set, found))
    }

    /// Unblocks signals that the guard has blocked.
    pub(crate) fn remove(&self, set: SignalSet) -> Result<(), Error> {
        let unblock = self.held.remove(set);
        sys::sigprocmask(Some((How::Unblock, unblock))).map(drop)
    }
}

impl Drop for MaskGuard {
    fn drop(&mut self) {
        // It worked when the guard was made, with the same kind of arguments.
        // Should a sandbox have come into force since, the signals stay blocked.
        let _old = sys::sigprocmask(Some((How::Set, self.held.leave())));
    }
}

impl fmt::Debug for MaskGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MaskGuard")
            .field("saved", &self.saved)
            .finish_non_exhaustive()
    }
}
