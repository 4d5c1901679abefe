//! A receiver as a scope.

use core::fmt;
use core::ops::Deref;

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use super::scope::Scope;
use super::{Options, Receiver};
use crate::error::Error;
use crate::process::mask::MaskGuard;
use crate::signal::SignalSet;

/// Opens a receiver for signals: blocks them in this thread, checks that all
/// other threads block them, and makes the descriptor.
///
/// Call it before other threads are started: they inherit the mask. It is all or
/// nothing: if any step fails, the mask is as it was.
///
/// # Errors
///
/// - [`Error::EmptySet`], [`Error::Unblockable`], [`Error::Synchronous`],
///   [`Error::Reserved`]: the set cannot be received.
/// - [`Error::UnblockedThread`]: a thread was started too early; it is named.
/// - [`Error::TooManyScopes`]: 256 are open in the process.
/// - [`Error::Os`]: `EMFILE` or `ENFILE` if no descriptor is left, `ENOENT` if
///   `/proc` is not mounted ([`Options::check_threads`] turns that check off),
///   another one of [`check_threads`](crate::mask::check_threads) or
///   [`SignalFd::new`](crate::SignalFd::new), or another error if a sandbox refuses the call.
///
/// # Examples
///
/// ```
/// use signalfd::Signal;
///
/// let signals = signalfd::open(Signal::HUP | Signal::TERM)?;
/// # unsafe { libc::kill(libc::getpid(), libc::SIGHUP) };
/// # unsafe { libc::kill(libc::getpid(), libc::SIGTERM) };
/// for info in &signals {
///     match info?.signal() {
///         Signal::HUP => println!("reload"),
///         _ => break,
///     }
/// }
/// # Ok::<(), signalfd::Error>(())
/// ```
///
/// # References
///
/// [signalfd(2)](https://man7.org/linux/man-pages/man2/signalfd.2.html)
#[doc(alias = "signalfd")]
pub fn open(set: impl Into<SignalSet>) -> Result<Signals, Error> {
    Options::new().open(set)
}

/// A receiver together with the guard of the mask: a *scope* in which signals are
/// received. Made by [`open`].
///
/// It can do all that a [`Receiver`] can, and when it is dropped the previous mask
/// is restored, exactly. Signals that were not taken then reach an outer scope, if
/// there is one that receives them, or take their handler's or default action.
///
/// # Nesting
///
/// A scope *shadows* those that were opened before it in the same thread: while it is
/// open they receive none of its signals, not even if another thread waits on one of
/// them. When it is dropped they receive them again, and what it has left wakes their
/// waiters. What the ring of an outer scope had read ahead
/// ([`Kind::Completion`](crate::Kind::Completion)) before the inner one was opened stays
/// with the outer one.
///
/// ```
/// use signalfd::Signal;
///
/// let outer = signalfd::open(Signal::HUP | Signal::TERM)?;
/// {
///     let inner = signalfd::open(Signal::TERM)?;
/// #   unsafe { libc::kill(libc::getpid(), libc::SIGTERM) };
/// #   unsafe { libc::kill(libc::getpid(), libc::SIGHUP) };
///     assert_eq!(outer.wait()?.signal(), Signal::HUP);
///     assert_eq!(outer.try_recv()?, None);
///     // Nobody takes the SIGTERM here.
/// #   drop(inner);
/// }
/// assert_eq!(outer.wait()?.signal(), Signal::TERM);
/// # Ok::<(), signalfd::Error>(())
/// ```
///
/// A scope shadows the signals that it has blocked, by [`open`] and by its own
/// [`insert`](Self::insert), [`remove`](Self::remove) and [`replace`](Self::replace).
/// Scopes of different threads do not shadow each other, and a [`Receiver`] without a
/// scope neither shadows nor is shadowed: of two that receive a signal, whoever reads
/// first gets it. A scope that is forgotten ([`core::mem::forget`]) goes on shadowing.
///
/// # Threads
///
/// A mask belongs to a thread, so this cannot leave the thread that opened it. The
/// receiver in it can be shared:
///
/// ```
/// use signalfd::{Receiver, Signal};
///
/// let signals = signalfd::open(Signal::HUP)?;
/// # unsafe { libc::kill(libc::getpid(), libc::SIGHUP) };
/// let receiver: &Receiver = &signals;
/// std::thread::scope(|scope| {
///     scope.spawn(|| receiver.wait());
/// });
/// # assert_eq!(signals.try_recv()?, None);
/// # Ok::<(), signalfd::Error>(())
/// ```
///
/// A future that holds this across an `await` is not `Send`. In a task that may
/// move between threads use [`block`](crate::block) and [`Receiver::new`].
///
/// ```compile_fail,E0277
/// let signals = signalfd::open(signalfd::Signal::TERM).unwrap();
/// std::thread::spawn(move || drop(signals));
/// ```
#[must_use = "the signals are received only while this exists"]
pub struct Signals {
    // The order counts: the descriptor is closed before the mask is restored.
    receiver: Receiver,
    guard: MaskGuard,
}

impl Signals {
    #[inline]
    pub(super) const fn new(receiver: Receiver, guard: MaskGuard) -> Self {
        Self { receiver, guard }
    }

    /// Returns the guard of the mask.
    pub const fn guard(&self) -> &MaskGuard {
        &self.guard
    }

    /// Blocks and receives these signals too.
    ///
    /// # Errors
    ///
    /// Those of [`open`] for these signals, and [`Error::Forked`]. Mask and
    /// receiver are then as they were.
    pub fn insert(&self, set: impl Into<SignalSet>) -> Result<(), Error> {
        let set = set.into().check_receivable()?;
        let none = SignalSet::empty();
        self.change(set, none, |receiver| receiver.insert(set))
    }

    /// Receives these signals no longer, and unblocks those that were not
    /// blocked before the scope.
    ///
    /// A pending one reaches an outer scope, its handler or its default action, as when
    /// the scope ends.
    ///
    /// # Errors
    ///
    /// [`Error::EmptySet`] if no signal would be left, [`Error::Forked`], [`Error::Os`] if
    /// the kernel has no memory (`ENOMEM`) or a sandbox refuses `signalfd4(2)` or
    /// `rt_sigprocmask(2)`. Mask and receiver are then as they were.
    pub fn remove(&self, set: impl Into<SignalSet>) -> Result<(), Error> {
        let (none, set) = (SignalSet::empty(), set.into());
        self.change(none, set, |receiver| receiver.remove(set))
    }

    /// Receives these signals instead, and sets the mask to match.
    ///
    /// A signal of both the old and the new set is blocked all the time.
    ///
    /// # Errors
    ///
    /// Those of [`insert`](Self::insert).
    pub fn replace(&self, set: impl Into<SignalSet>) -> Result<(), Error> {
        let set = set.into().check_receivable()?;
        let others = SignalSet::all() - set;
        self.change(set, others, |receiver| receiver.replace(set))
    }

    /// Makes a fresh descriptor for the same signals, in this process: in a forked
    /// child the scope then works again. [`Receiver::reopen`] says what happens.
    ///
    /// The child has inherited the mask, and the guard restores it there, too, when the
    /// scope ends. This does not change the mask: a child that has unblocked the signals
    /// has to block them first, or to open a scope of its own.
    ///
    /// # Errors
    ///
    /// Those of [`Receiver::reopen`], and [`Error::TooManyScopes`] if 256 are open: for a
    /// moment it needs a second place. The scope is then as it was.
    ///
    /// # Examples
    ///
    /// ```
    /// use signalfd::Signal;
    ///
    /// let mut signals = signalfd::open(Signal::HUP)?;
    /// # unsafe { libc::kill(libc::getpid(), libc::SIGHUP) };
    /// // Most often in a child; anywhere else nothing is lost:
    /// signals.reopen()?;
    /// assert_eq!(signals.wait()?.signal(), Signal::HUP);
    /// # Ok::<(), signalfd::Error>(())
    /// ```
    pub fn reopen(&mut self) -> Result<(), Error> {
        self.receiver.reopen()
    }

    /// Ends the scope, and does something when nothing of the receiver is left, but
    /// the signals are still blocked.
    pub(super) fn close(self, last: impl FnOnce()) {
        let Self { receiver, guard } = self;
        drop(receiver);
        last();
        drop(guard);
    }

    /// What outer scopes do not receive meanwhile.
    fn covers(&self) -> SignalSet {
        let scope = self.receiver.signalfd().scope();
        scope.map_or(SignalSet::empty(), Scope::covers)
    }

    fn cover(&self, set: SignalSet) -> Result<(), Error> {
        let scope = self.receiver.signalfd().scope();
        scope.map_or(Ok(()), |scope| scope.cover(set))
    }

    /// Makes a change of the receiver for which some signals are to be blocked before,
    /// and others no longer afterwards. If a step fails, those before it are undone.
    fn change(
        &self,
        new: SignalSet,
        old: SignalSet,
        change: impl FnOnce(&Receiver) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.receiver.check_process()?;
        let (received, covered) = (self.receiver.signals(), self.covers());
        let added =
            if new.is_empty() { new } else { self.guard.insert(new)? };
        let changed =
            self.cover(covered | added).and_then(|()| change(&self.receiver));
        // What the guard is to give up is not only what the descriptor had: the
        // receiver alone may have been told before. The guard knows what it holds.
        let left = changed.and_then(|()| {
            self.cover((covered | added) - old)
                .and_then(|()| self.guard.remove(old))
                .inspect_err(|_| {
                    let now = (received | new) - old;
                    let _undone = self.receiver.undo(received, now);
                })
        });
        left.inspect_err(|_| {
            // The error that counts is the first one.
            let _uncovered = self.cover(covered);
            let _unblocked = self.guard.remove(added);
        })
    }
}

impl Deref for Signals {
    type Target = Receiver;

    fn deref(&self) -> &Receiver {
        &self.receiver
    }
}

impl AsRef<Receiver> for Signals {
    fn as_ref(&self) -> &Receiver {
        &self.receiver
    }
}

impl AsFd for Signals {
    /// Returns the descriptor, as [`Receiver`] does.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.receiver.as_fd()
    }
}

impl AsRawFd for Signals {
    fn as_raw_fd(&self) -> RawFd {
        self.receiver.as_raw_fd()
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signals")
            .field("receiver", &self.receiver)
            .field("guard", &self.guard)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::mask;
    use crate::signal::Signal;

    /// The tests of scopes in `tests/` need `std`; these run without it. Here are
    /// threads that block nothing.
    fn open(set: impl Into<SignalSet>) -> Signals {
        Options::new().check_threads(false).open(set).unwrap()
    }

    #[test]
    fn an_outer_scope_can_be_changed() {
        let before = mask::current().unwrap();
        let outer = open(Signal::HUP | Signal::INT);
        let inner = open(Signal::TERM);
        outer.insert(Signal::USR1).unwrap();
        outer.remove(Signal::INT).unwrap();
        let all = Signal::HUP | Signal::USR1 | Signal::TERM;
        assert_eq!(mask::current(), Ok(before | all));
        outer.replace(Signal::USR1 | Signal::USR2).unwrap();
        drop(inner);
        let left = Signal::USR1 | Signal::USR2;
        assert_eq!(mask::current(), Ok(before | left));
        drop(outer);
        assert_eq!(mask::current(), Ok(before));
    }

    #[test]
    fn an_inner_scope_can_be_changed() {
        let before = mask::current().unwrap();
        let outer = open(Signal::HUP);
        let inner = open(Signal::HUP | Signal::TERM);
        inner.replace(Signal::USR1 | Signal::TERM).unwrap();
        inner.remove(Signal::TERM).unwrap();
        inner.insert(Signal::USR2).unwrap();
        let all = Signal::HUP | Signal::USR1 | Signal::USR2;
        assert_eq!(mask::current(), Ok(before | all));
        drop(inner);
        assert_eq!(mask::current(), Ok(before | Signal::HUP));
        drop(outer);
        assert_eq!(mask::current(), Ok(before));
    }

    #[test]
    fn a_failed_change_changes_nothing() {
        let signals = open(Signal::HUP);
        let before = mask::current();
        assert!(signals.insert(Signal::TERM | Signal::KILL).is_err());
        assert_eq!(signals.remove(Signal::HUP), Err(Error::EmptySet));
        assert_eq!(signals.signals(), Signal::HUP.into());
        assert_eq!(mask::current(), before);
    }

    /// The receiver's own methods change no mask; the scope still knows what it
    /// has blocked.
    #[test]
    fn what_the_receiver_has_removed_can_be_unblocked() {
        let before = mask::current().unwrap();
        let all = Signal::HUP | Signal::USR1 | Signal::USR2;
        let signals = open(all);
        signals.receiver.remove(Signal::USR1 | Signal::USR2).unwrap();
        assert_eq!(mask::current(), Ok(before | all));
        signals.remove(Signal::USR1).unwrap();
        assert_eq!(mask::current(), Ok(before | Signal::HUP | Signal::USR2));
        signals.replace(Signal::HUP).unwrap();
        assert_eq!(mask::current(), Ok(before | Signal::HUP));
    }
}
