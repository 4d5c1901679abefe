//! Signal masks: of the calling thread, and of all threads.
//!
//! A mask belongs to one thread. Linux has none for the process: a new thread inherits
//! the mask of the thread that starts it, and from then on the two are independent.

use core::fmt;
use core::marker::PhantomData;

pub use super::every::{EveryThread, block_every_thread};
use super::held::Held;
pub use super::threads::check_threads;
use super::{Birth, Claim, claim};
use crate::error::Error;
use crate::signal::{Signal, SignalSet};
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
    let held = Held::new(set, saved);
    let claim = Claim::new(set);
    Ok(MaskGuard { saved, held, claim, not_send: PhantomData })
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

/// Unblocks those of the set that the thread blocks, though no guard and no receiver of the
/// process has them, and returns them.
pub(crate) fn lift_unclaimed(set: SignalSet, birth: Birth) -> SignalSet {
    let is_unclaimed = |&signal: &Signal| !claim::is_claimed(signal, birth);
    let unclaimed: SignalSet = set.signals().filter(is_unclaimed).collect();
    match sys::sigprocmask(Some((How::Unblock, unclaimed))) {
        Ok(before) => before & unclaimed,
        Err(_) => SignalSet::empty(),
    }
}

/// Blocks again what was unblocked.
pub(crate) fn block_again(lifted: SignalSet) {
    if !lifted.is_empty() {
        // It fails where a sandbox has come since.
        let _blocked = sys::sigprocmask(Some((How::Block, lifted)));
    }
}

/// Restores the calling thread's signal mask when it is dropped.
///
/// The previous mask is restored exactly: a signal that was blocked before stays blocked,
/// and what other code has done to the mask meanwhile is undone. Guards nest. If only
/// guards change the mask, they may be dropped in any order: what another guard of the
/// thread still holds stays blocked until that one is dropped too.
///
/// Without the feature `std` a guard unblocks only what was not blocked before it, and
/// leaves alone what other code has done. Guards that have signals in common must then be
/// dropped in the reverse order, and must not be changed ([`Signals::insert`] and its
/// like) while a younger one exists. Note that the fields of a struct are dropped in the
/// order of their declaration, and that an assignment drops the old value last.
///
/// A mask belongs to a thread, so the guard cannot leave the one that made it:
///
/// ```compile_fail,E0277
/// let guard = signalfd::block(signalfd::Signal::TERM).unwrap();
/// std::thread::spawn(move || drop(guard));
/// ```
///
/// Signals that are pending when the mask is restored reach an outer receiver if one
/// blocks them, else their handler or default action, which for most is the end of the
/// process.
///
/// A guard that is forgotten leaves its signals blocked for good.
///
/// [`Signals::insert`]: crate::Signals::insert
#[must_use = "the mask is restored as soon as the guard is dropped"]
pub struct MaskGuard {
    saved: SignalSet,
    held: Held,
    claim: Claim,
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
        self.claim.insert(set);
        Ok(self.held.insert(set, found))
    }

    /// Unblocks signals that the guard has blocked; all of them or none.
    pub(crate) fn remove(&self, set: SignalSet) -> Result<(), Error> {
        let unblock = self.held.to_unblock(set);
        // While they are blocked still: an action may come back.
        let gone = self.claim.remove(set);
        if !unblock.is_empty() {
            sys::sigprocmask(Some((How::Unblock, unblock)))
                .inspect_err(|_| self.claim.insert(gone))?;
        }
        self.held.remove(set);
        Ok(())
    }
}

impl Drop for MaskGuard {
    fn drop(&mut self) {
        let mask = self.held.leave();
        // While they are blocked still: an action may come back.
        self.claim.change(SignalSet::empty());
        // It worked when the guard was made, with the same kind of arguments.
        // Should a sandbox have come into force since, the signals stay blocked.
        let _old = sys::sigprocmask(Some(mask));
    }
}

impl fmt::Debug for MaskGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MaskGuard")
            .field("saved", &self.saved)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::format;

    use super::*;
    use crate::signal::Signal;

    /// The tests of guards in `tests/` need `std`; these run without it.
    #[test]
    fn guards_nest() {
        let before = current().unwrap();
        let outer = block(Signal::HUP | Signal::TERM).unwrap();
        let inner = block(Signal::TERM | Signal::USR1).unwrap();
        let all = Signal::HUP | Signal::TERM | Signal::USR1;
        assert_eq!(current(), Ok(before | all));
        assert_eq!(inner.saved(), before | Signal::HUP | Signal::TERM);
        drop(inner);
        assert_eq!(current(), Ok(before | Signal::HUP | Signal::TERM));
        drop(outer);
        assert_eq!(current(), Ok(before));
    }

    #[test]
    fn guards_without_a_common_signal_go_in_any_order() {
        let before = current().unwrap();
        let first = block(Signal::HUP).unwrap();
        let second = block(Signal::TERM).unwrap();
        drop(first);
        assert_eq!(current(), Ok(before | Signal::TERM));
        drop(second);
        assert_eq!(current(), Ok(before));
    }

    #[test]
    fn an_older_guard_can_be_changed() {
        let before = current().unwrap();
        let outer = block(Signal::HUP | Signal::INT).unwrap();
        let inner = block(Signal::TERM).unwrap();
        outer.remove(Signal::INT.into()).unwrap();
        outer.insert(Signal::USR1.into()).unwrap();
        let all = Signal::HUP | Signal::USR1 | Signal::TERM;
        assert_eq!(current(), Ok(before | all));
        drop(inner);
        assert_eq!(current(), Ok(before | Signal::HUP | Signal::USR1));
        drop(outer);
        assert_eq!(current(), Ok(before));
    }

    #[cfg(feature = "std")]
    fn unblock(set: impl Into<SignalSet>) {
        sys::sigprocmask(Some((How::Unblock, set.into()))).unwrap();
    }

    /// Other code had unblocked it, and then the older guard went.
    #[cfg(feature = "std")]
    #[test]
    fn what_only_this_one_holds_is_unblocked() {
        let before = current().unwrap();
        let older = block(Signal::HUP).unwrap();
        unblock(Signal::HUP);
        let younger = block(Signal::HUP | Signal::TERM).unwrap();
        drop(older);
        assert_eq!(current(), Ok(before | Signal::HUP | Signal::TERM));
        younger.remove(Signal::HUP.into()).unwrap();
        assert_eq!(current(), Ok(before | Signal::TERM));
        drop(younger);
        assert_eq!(current(), Ok(before));
    }

    #[cfg(feature = "std")]
    #[test]
    fn what_an_older_one_was_told_since_stays_blocked() {
        let before = current().unwrap();
        let older = block(Signal::HUP).unwrap();
        unblock(Signal::HUP);
        let younger = block(Signal::HUP).unwrap();
        older.insert(Signal::HUP.into()).unwrap();
        older.insert(Signal::HUP.into()).unwrap();
        drop(younger);
        assert_eq!(current(), Ok(before | Signal::HUP));
        drop(older);
        assert_eq!(current(), Ok(before));
    }

    #[test]
    fn it_prints_the_mask_it_found() {
        let outer = block(Signal::HUP).unwrap();
        let inner = block(Signal::TERM).unwrap();
        let saved = format!("saved: {:?}", inner.saved());
        let text = format!("{inner:?}");
        assert!(text.contains("MaskGuard") && text.contains(&saved), "{text}");
        drop((inner, outer));
    }

    #[test]
    fn what_was_blocked_before_stays_blocked() {
        let outer = block(Signal::HUP).unwrap();
        let before = current().unwrap();
        let inner = block(Signal::HUP | Signal::TERM).unwrap();
        inner.remove(Signal::HUP.into()).unwrap();
        assert_eq!(current(), Ok(before | Signal::TERM));
        inner.insert(Signal::HUP.into()).unwrap();
        drop(inner);
        assert_eq!(current(), Ok(before));
        drop(outer);
    }
}
