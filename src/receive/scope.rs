//! Scopes of a thread, one inside the other.
//!
//! While an inner scope is open, the outer ones of its thread receive none of its
//! signals, whoever waits on them: it *shadows* them. The kernel has one queue and
//! gives a record to whoever reads first, so what an outer one must not read is taken
//! out of the set of its descriptor, and comes back when the inner one goes.
//!
//! A scope may be moved, so what inner ones have to find of it is in a static table.
//! The place of a scope says whose it is, a thread of a process, and in which order the
//! scopes of a thread were opened. What a scope *covers* are the signals that it has
//! blocked. The shadow on a scope is all that the later ones of its thread cover.
//!
//! # Who changes what
//!
//! Only the thread of a scope, which cannot leave it, looks for the places of its
//! scopes, fills them in, and frees them: whatever it finds there is alive. A place of
//! another process is free, since a forked child has no part in the scopes of its
//! parent, and takes them anew if they are reopened.
//!
//! Other threads may have the receiver of a scope, and change its set. So the kernel is
//! handed the set without the shadow by two: by who has changed the set, and by the
//! thread of the scope when the shadow has changed. Each first stores its part, then
//! hands both over until what it has handed over is still what stands there. The last
//! hand-over of all is so followed by a look that found nothing newer. The same goes
//! for the second descriptor, which whoever first waits makes and shows here. All these
//! accesses are `SeqCst`: of two that store and then look, one sees the other.

#![expect(unsafe_code, reason = "descriptors of other scopes, by number")]

use core::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};

use rustix::fd::{AsRawFd, BorrowedFd, RawFd};

use crate::error::Error;
use crate::process::Birth;
use crate::signal::SignalSet;
use crate::sys;

/// How many scopes can be open in a process at the same time.
const SCOPES: usize = 256;

static PLACES: [Place; SCOPES] = [const { Place::new() }; SCOPES];

/// No place from here on has been used.
static USED: AtomicU32 = AtomicU32::new(0);

/// Counts the scopes as they are opened.
static LAST: AtomicU64 = AtomicU64::new(0);

struct Place {
    owner: AtomicU64,
    order: AtomicU64,
    /// What the scope takes from outer ones.
    covers: AtomicU64,
    /// What the descriptors are to receive, were it not for inner scopes.
    set: AtomicU64,
    shadow: AtomicU64,
    /// The descriptor, and its twin that blocks, once there is one.
    fds: [AtomicI32; 2],
}

const NONE: RawFd = -1;

/// A thread of a process; 0 is none.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Owner(u64);

impl Owner {
    fn here(birth: Birth) -> Self {
        let [process, thread] =
            [birth.number(), sys::thread_number()].map(u64::from);
        Self(process << 32 | thread)
    }

    const fn is_of(self, birth: Birth) -> bool {
        self.0 >> 32 == birth.number() as u64
    }
}

impl Place {
    const fn new() -> Self {
        Self {
            owner: AtomicU64::new(0),
            order: AtomicU64::new(0),
            covers: AtomicU64::new(0),
            set: AtomicU64::new(0),
            shadow: AtomicU64::new(0),
            fds: [const { AtomicI32::new(NONE) }; 2],
        }
    }

    fn owner(&self) -> Owner {
        Owner(self.owner.load(Ordering::Relaxed))
    }

    fn order(&self) -> u64 {
        self.order.load(Ordering::Relaxed)
    }

    /// Takes the place, if it is free. What is in it nobody looks at before the owner
    /// has filled it in.
    fn acquire(&self, owner: Owner, birth: Birth) -> bool {
        let found = self.owner();
        let is_free = !found.is_of(birth);
        // Acquire: what the owner before has stored comes before what is stored now.
        let (set, seen) = (Ordering::Acquire, Ordering::Relaxed);
        is_free
            && self.owner.compare_exchange(found.0, owner.0, set, seen).is_ok()
    }

    /// Has the kernel receive the set without the shadow.
    fn hand_over(&self) -> Result<(), Error> {
        let words = || [&self.set, &self.shadow].map(load);
        loop {
            let [set, shadow] = words();
            for fd in &self.fds {
                let raw = fd.load(Ordering::SeqCst);
                if raw == NONE {
                    continue;
                }
                // SAFETY: not -1. The scope is open: this is called by its thread, or
                // through a reference to its descriptor. And it has its place for no
                // longer than its descriptors.
                let fd = unsafe { BorrowedFd::borrow_raw(raw) };
                sys::signalfd_set(fd, set - shadow)?;
            }
            if words() == [set, shadow] {
                return Ok(());
            }
        }
    }
}

fn load(word: &AtomicU64) -> SignalSet {
    SignalSet::from_bits_retain(word.load(Ordering::SeqCst))
}

/// The places that may be in use.
fn used() -> &'static [Place] {
    let used = USED.load(Ordering::Relaxed).try_into().unwrap_or(SCOPES);
    PLACES.get(..used).unwrap_or(&PLACES)
}

/// A scope's place among those of its thread. What is made of it stays with the
/// scope, in its thread, and goes before the descriptors do.
pub(super) struct Scope {
    place: &'static Place,
    order: u64,
    /// In a forked child the place may be another's, so this is kept here, too.
    covers: AtomicU64,
    owner: Owner,
    birth: Birth,
}

impl Scope {
    /// Enters a scope, inside all others of the thread.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyScopes`]; [`Error::Os`] if a sandbox refuses to change the set
    /// of an outer one.
    pub(super) fn enter(
        fd: BorrowedFd<'_>,
        set: SignalSet,
    ) -> Result<Self, Error> {
        let order = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        Self::take(fd, set, set, order)
    }

    /// The same scope with a new descriptor, perhaps in a forked child. The old one
    /// still has its place.
    pub(super) fn again(
        &self,
        fd: BorrowedFd<'_>,
        set: SignalSet,
    ) -> Result<Self, Error> {
        Self::take(fd, set, self.covers(), self.order)
    }

    fn take(
        fd: BorrowedFd<'_>,
        set: SignalSet,
        covers: SignalSet,
        order: u64,
    ) -> Result<Self, Error> {
        let birth = Birth::here();
        let owner = Owner::here(birth);
        let place = find(owner, birth)?;
        // Relaxed: no other thread has the receiver yet.
        let now = Ordering::Relaxed;
        place.order.store(order, now);
        place.covers.store(covers.bits(), now);
        place.set.store(set.bits(), now);
        place.shadow.store(0, now);
        let [first, twin] = &place.fds;
        first.store(fd.as_raw_fd(), now);
        twin.store(NONE, now);
        let covers = AtomicU64::new(covers.bits());
        let scope = Self { place, order, covers, owner, birth };
        // On failure it is dropped, which brings back what it has taken.
        scope.settle()?;
        Ok(scope)
    }

    /// Covers another set from now on.
    pub(super) fn cover(&self, set: SignalSet) -> Result<(), Error> {
        let old = self.covers();
        self.show(set);
        self.settle().inspect_err(|_| {
            self.show(old);
            // The error that counts is the first one.
            let _settled = self.settle();
        })
    }

    /// Shows to the others what it covers.
    fn show(&self, covers: SignalSet) {
        self.covers.store(covers.bits(), Ordering::Relaxed);
        self.place.covers.store(covers.bits(), Ordering::SeqCst);
    }

    /// What the scope covers.
    pub(super) fn covers(&self) -> SignalSet {
        load(&self.covers)
    }

    /// What inner scopes have taken from this one.
    pub(super) fn shadow(&self) -> SignalSet {
        load(&self.place.shadow)
    }

    /// Has the descriptors receive this set, but for what inner scopes have.
    pub(super) fn receive(&self, set: SignalSet) -> Result<(), Error> {
        self.place.set.store(set.bits(), Ordering::SeqCst);
        self.place.hand_over()
    }

    /// Makes the second descriptor known. The caller then hands the set over.
    pub(super) fn show_twin(&self, fd: BorrowedFd<'_>) {
        let [_, twin] = &self.place.fds;
        twin.store(fd.as_raw_fd(), Ordering::SeqCst);
    }

    /// Gives every scope of the thread the shadow that is on it.
    fn settle(&self) -> Result<(), Error> {
        let is_mine = |place: &&Place| place.owner() == self.owner;
        let mine = || used().iter().filter(is_mine);
        for place in mine() {
            let shadow = mine()
                .filter(|inner| inner.order() > place.order())
                .fold(SignalSet::empty(), |all, inner| {
                    all | load(&inner.covers)
                });
            if load(&place.shadow) != shadow {
                place.shadow.store(shadow.bits(), Ordering::SeqCst);
                place.hand_over()?;
            }
        }
        Ok(())
    }
}

fn find(owner: Owner, birth: Birth) -> Result<&'static Place, Error> {
    let places = PLACES.iter().zip(1_u32..);
    let mut free = places.filter(|(place, _)| place.acquire(owner, birth));
    let (place, used) = free.next().ok_or(Error::TooManyScopes)?;
    // Only this thread looks for what it has stored here.
    USED.fetch_max(used, Ordering::Relaxed);
    Ok(place)
}

impl Drop for Scope {
    /// Outer ones receive again what this one has taken from them.
    fn drop(&mut self) {
        // In a forked child the place may be another's, and the descriptors are the
        // parent's.
        if self.birth.check().is_err() {
            return;
        }
        // Release: what was stored here comes before what the next one stores.
        self.place.owner.store(0, Ordering::Release);
        // It worked when this one was entered. Should a sandbox have come into force
        // since, the outer ones stay as they are.
        let _settled = self.settle();
    }
}
