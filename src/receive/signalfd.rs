//! The descriptor.

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use rustix::io::Errno;

use super::Batch;
use super::scope::Scope;
use crate::error::{Error, Op};
use crate::process::{self, Birth, Claim, Quick};
use crate::signal::{self, SigInfo, SignalSet};
use crate::sys::{self, LateFd};

/// A signalfd: a descriptor that signals can be read from.
///
/// This is the bare descriptor, for code that takes care of the masks itself.
/// [`Receiver`](crate::Receiver) adds the checks, the waiting and the futures.
///
/// It is non-blocking and close-on-exec. A read takes signals that are pending for the
/// reading thread or for its process; which process that is, the kernel decides at the
/// read. In a forked child, methods that read or change it fail with [`Error::Forked`],
/// since a change there would be the parent's.
///
/// # References
///
/// [signalfd(2)](https://man7.org/linux/man-pages/man2/signalfd.2.html)
pub struct SignalFd {
    // The order counts: a scope has its place for no longer than its descriptors.
    scope: Option<Scope>,
    fd: OwnedFd,
    /// A second signalfd with the same set, which blocks. A blocking read is
    /// one system call where a poll and a read are two, but whether a read
    /// blocks is a property of the descriptor, and everyone else needs one that
    /// does not. It is made when a thread first waits, and never for a signalfd from
    /// elsewhere, whose set others may change.
    blocking: LateFd,
    /// Others may have changed the set of one from elsewhere.
    pub(super) is_ours: bool,
    set: AtomicU64,
    claim: Claim,
    birth: Birth,
}

impl SignalFd {
    /// Makes a signalfd for a set of signals.
    ///
    /// It changes no mask and checks none: a signal that is not blocked goes to
    /// its handler or its default action instead.
    ///
    /// # Errors
    ///
    /// - [`Error::EmptySet`], [`Error::Unblockable`], [`Error::Synchronous`],
    ///   [`Error::Reserved`]: the set cannot be received.
    /// - [`Error::Os`]: `EMFILE` or `ENFILE` if no descriptor is left, `ENOMEM`,
    ///   `ENODEV`, or another error if a sandbox refuses the call.
    pub fn new(set: impl Into<SignalSet>) -> Result<Self, Error> {
        let set = set.into().check_receivable()?;
        let fd = sys::signalfd(set, true)?;
        Ok(Self::with(fd, true, set))
    }

    /// Takes over a signalfd that was made elsewhere, gives it this set, and makes it
    /// non-blocking and close-on-exec.
    ///
    /// Other descriptors of the same open file description (`dup(2)`, `SCM_RIGHTS`) share
    /// the set and `O_NONBLOCK`. If the set is changed through one of them, this one
    /// receives the new set, though [`signals`](Self::signals) still returns the old one.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new), and [`Error::NotSignalFd`] for any other kind of
    /// descriptor. On an error the descriptor is closed.
    pub fn from_fd(
        fd: OwnedFd,
        set: impl Into<SignalSet>,
    ) -> Result<Self, Error> {
        let set = set.into().check_receivable()?;
        sys::signalfd_set(fd.as_fd(), set)?;
        sys::set_flags(fd.as_fd())?;
        Ok(Self::with(fd, false, set))
    }

    fn with(fd: OwnedFd, is_ours: bool, set: SignalSet) -> Self {
        Self {
            scope: None,
            fd,
            blocking: LateFd::new(),
            is_ours,
            set: AtomicU64::new(set.bits()),
            claim: Claim::new(set),
            birth: Birth::here(),
        }
    }

    /// Makes a signalfd for a scope inside all others of the thread.
    pub(super) fn in_scope(set: SignalSet) -> Result<Self, Error> {
        let mut signalfd = Self::new(set)?;
        signalfd.scope = Some(Scope::enter(signalfd.as_fd(), set)?);
        Ok(signalfd)
    }

    /// Makes one for the same set, and in the same scope if it is in one.
    pub(super) fn again(&self) -> Result<Self, Error> {
        let set = self.signals();
        let mut signalfd = Self::new(set)?;
        if let Some(scope) = &self.scope {
            signalfd.scope = Some(scope.again(signalfd.as_fd(), set)?);
        }
        Ok(signalfd)
    }

    pub(super) const fn scope(&self) -> Option<&Scope> {
        self.scope.as_ref()
    }

    /// Returns the signals it receives.
    #[must_use]
    pub fn signals(&self) -> SignalSet {
        SignalSet::from_bits_retain(self.set.load(Ordering::SeqCst))
    }

    /// Receives this set from now on. What is pending stays pending.
    ///
    /// Threads that are waiting on the descriptor notice at once.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new) for the set; [`Error::Forked`] in a child.
    /// The set is then as it was.
    pub fn replace(&self, set: impl Into<SignalSet>) -> Result<(), Error> {
        let set = set.into();
        self.update(|_| set)
    }

    /// Takes what is pending now, up to the size of the batch, in one system
    /// call. The slice is empty if nothing is.
    ///
    /// Fewer records than the batch has room for mean that nothing is left, so
    /// there is no need to read again.
    ///
    /// # Errors
    ///
    /// [`Error::EmptyBatch`], [`Error::Forked`]; [`Error::Os`] if a sandbox refuses the
    /// read.
    pub fn try_recv_batch<'b, const N: usize>(
        &self,
        batch: &'b mut Batch<N>,
    ) -> Result<&'b [SigInfo], Error> {
        let taken = self.read(batch.room()?)?;
        Ok(batch.filled(taken))
    }

    pub(crate) const fn birth(&self) -> Birth {
        self.birth
    }

    /// Takes what is pending now, if nothing has to be looked at but the kernel's queue.
    /// `None` if there is more to it.
    #[inline]
    pub(super) fn read_quick(
        &self,
        room: &mut [SigInfo],
        quick: &Quick,
    ) -> Option<usize> {
        if !quick.is_ordinary() {
            return None;
        }
        self.read_ordinary(self.fd.as_fd(), room, quick)
    }

    /// Takes what is pending, as [`read_quick`](Self::read_quick) does, and waits for it
    /// if nothing is.
    #[inline]
    pub(super) fn wait_quick(
        &self,
        room: &mut [SigInfo],
        quick: &Quick,
    ) -> Option<usize> {
        if !quick.is_ordinary() {
            return None;
        }
        self.read_ordinary(self.blocking.get()?, room, quick)
            .filter(|&taken| taken > 0)
    }

    /// Reads once from one of the two descriptors, where nothing has to be looked for but
    /// what the kernel has queued. `None` if that was not all there is to it.
    ///
    /// What the crate sends itself has a code of its own, or a timer's, or is counted before
    /// it is sent (`process/fork.rs`). Who reads it sees that it was: the kernel sends and
    /// reads under one lock.
    #[inline]
    fn read_ordinary(
        &self,
        fd: BorrowedFd<'_>,
        room: &mut [SigInfo],
        quick: &Quick,
    ) -> Option<usize> {
        let taken = match sys::read_once(fd, room) {
            Ok(taken) => taken,
            Err(errno) => return (errno == Errno::AGAIN).then_some(0),
        };
        let mut records = room.get(..taken)?.iter();
        if records.any(SigInfo::may_be_ours) || !quick.is_ordinary() {
            return self.admit_all(room, taken);
        }
        Some(taken)
    }

    /// None in a forked child, whose parent has them.
    #[cold]
    fn admit_all(&self, room: &mut [SigInfo], taken: usize) -> Option<usize> {
        self.birth.check().ok()?;
        Some(self.finish(room, taken)).filter(|&used| used > 0)
    }

    /// Admits so many records that were read, and reads more where that is due: without
    /// waiting, whichever of the two descriptors they came from.
    fn finish(&self, room: &mut [SigInfo], taken: usize) -> usize {
        let mut used = admit(room, taken);
        // Where all that fits was read and not all of it counts, there may be more.
        let mut was_full = taken == room.len();
        while was_full {
            let Some(rest @ [_, ..]) = room.get_mut(used..) else { break };
            let taken = sys::read(self.fd.as_fd(), rest).unwrap_or(0);
            was_full = taken == rest.len();
            used += admit(rest, taken);
        }
        used
    }

    /// Takes what is pending now; zero records if nothing is.
    pub(super) fn read(&self, room: &mut [SigInfo]) -> Result<usize, Error> {
        self.birth.check()?;
        let left = process::take_left(room, || self.unshadowed());
        self.read_more(room, left)
    }

    /// What it receives but for what inner scopes have.
    pub(crate) fn unshadowed(&self) -> SignalSet {
        let scope = self.scope.as_ref();
        let shadow = scope.map_or(SignalSet::empty(), Scope::shadow);
        self.signals() - shadow
    }

    /// Takes what is pending into the rest of the room, of which so much is used,
    /// and tells how much is used then.
    pub(crate) fn read_more(
        &self,
        room: &mut [SigInfo],
        used: usize,
    ) -> Result<usize, Error> {
        match room.get_mut(used..) {
            Some(rest) if !rest.is_empty() => {
                match sys::read(self.fd.as_fd(), rest) {
                    Err(_) if used > 0 => Ok(used),
                    taken => Ok(used + self.finish(rest, taken?)),
                }
            }
            _ => Ok(used),
        }
    }

    /// Takes what is pending, and waits for it if nothing is. Zero if it could
    /// not wait that way: there may be no descriptor left to make another one.
    pub(super) fn read_blocking(
        &self,
        room: &mut [SigInfo],
    ) -> Result<usize, Error> {
        self.birth.check()?;
        let left = process::take_left(room, || self.unshadowed());
        if left > 0 {
            return self.read_more(room, left);
        }
        if !self.is_ours {
            return Ok(0);
        }
        let fd = self.blocking.get().or_else(|| self.make_blocking().ok());
        fd.map_or(Ok(0), |fd| read_some(fd, room, self.birth))
    }

    #[cold]
    fn make_blocking(&self) -> Result<BorrowedFd<'_>, Error> {
        let fd = sys::signalfd(self.unshadowed(), false)?;
        // Another thread may have been faster; then that one's is used and this
        // one is closed.
        drop(self.blocking.set(fd));
        let fd = self.blocking.get().ok_or(Error::Forked)?;
        if let Some(scope) = &self.scope {
            scope.show_twin(fd);
        }
        // The set may have changed since it was looked at. What is claimed is for who
        // changes it: that may have to wait for others.
        self.hand_over()?;
        Ok(fd)
    }

    /// Changes the set, for this descriptor and its blocking twin.
    ///
    /// Several threads may do this at once. Each changes the word, then hands it
    /// to the kernel until what it handed over is still the word. The last
    /// hand-over of all is so followed by a look that found no newer word; until
    /// then the kernel may for a moment have an older one.
    ///
    /// A thread that makes the blocking descriptor shows it, then looks at the
    /// word; one that changes the word does so, then looks for the descriptor.
    /// All four are `SeqCst`, so one of the two sees what the other did.
    pub(super) fn update(
        &self,
        change: impl Fn(SignalSet) -> SignalSet,
    ) -> Result<(), Error> {
        self.birth.check()?;
        let mut old = self.signals();
        loop {
            let new = change(old).check_receivable()?;
            match self.exchange(old, new) {
                Ok(()) => {
                    return self.apply().inspect_err(|_| {
                        // Best effort: another thread's change stays.
                        let _unchanged = self.exchange(new, old);
                        // One of the two descriptors may have the new set.
                        let _applied = self.apply();
                    });
                }
                Err(seen) => old = seen,
            }
        }
    }

    fn exchange(
        &self,
        old: SignalSet,
        new: SignalSet,
    ) -> Result<(), SignalSet> {
        let (set, seen) = (Ordering::SeqCst, Ordering::SeqCst);
        self.set
            .compare_exchange(old.bits(), new.bits(), set, seen)
            .map(drop)
            .map_err(SignalSet::from_bits_retain)
    }

    /// Counts on what the set has now, and hands it to the kernel.
    fn apply(&self) -> Result<(), Error> {
        loop {
            let set = self.signals();
            self.claim.change(set);
            self.hand_over()?;
            if self.signals() == set {
                return Ok(());
            }
        }
    }

    /// Hands the set to the kernel.
    fn hand_over(&self) -> Result<(), Error> {
        loop {
            let set = self.signals();
            match &self.scope {
                Some(scope) => scope.receive(set)?,
                None => self.receive(set)?,
            }
            if self.signals() == set {
                return Ok(());
            }
        }
    }

    /// Wakes whoever waits for a signalfd of this process, as a signal does: that comes
    /// of setting any one's set (`do_signalfd4()`).
    pub(crate) fn announce(&self) {
        // Best effort: it makes good what the kernel has overlooked, if it has.
        let _announced = if self.is_ours {
            self.hand_over()
        } else {
            // Others may have changed the set of this one.
            sys::signalfd(SignalSet::empty(), true).and_then(|fd| {
                sys::signalfd_set(fd.as_fd(), SignalSet::empty())
            })
        };
    }

    fn receive(&self, set: SignalSet) -> Result<(), Error> {
        sys::signalfd_set(self.fd.as_fd(), set)?;
        match self.blocking.get() {
            Some(blocking) => sys::signalfd_set(blocking, set),
            None => Ok(()),
        }
    }
}

/// Reads at least one, from a descriptor that blocks, in the process that it is of: a
/// handler may have forked.
fn read_some(
    fd: BorrowedFd<'_>,
    room: &mut [SigInfo],
    birth: Birth,
) -> Result<usize, Error> {
    loop {
        let read = sys::read_once(fd, room);
        birth.check()?;
        let taken = match read {
            Ok(taken) => taken,
            Err(Errno::INTR) => continue,
            Err(Errno::AGAIN) => 0,
            Err(errno) => return Err(Error::os(Op::Read, errno)),
        };
        let used = admit(room, taken);
        if used > 0 || taken == 0 {
            return Ok(used);
        }
    }
}

/// Opens what came sealed and removes the crate's own, of so many records at the
/// front, and tells how many are left there.
fn admit(room: &mut [SigInfo], taken: usize) -> usize {
    let mut kept = 0;
    for at in 0..taken {
        let Some(record) = room.get_mut(at) else { break };
        signal::unseal(record);
        if process::admit(record) {
            if kept != at {
                room.swap(kept, at);
            }
            kept += 1;
        }
    }
    kept
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for SignalFd {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl fmt::Debug for SignalFd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignalFd")
            .field("fd", &self.as_raw_fd())
            .field("signals", &self.signals())
            .finish_non_exhaustive()
    }
}

impl From<SignalFd> for OwnedFd {
    fn from(signalfd: SignalFd) -> Self {
        signalfd.fd
    }
}
