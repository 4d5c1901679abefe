//! The place where a thread in [`block_on`](crate::block_on) sleeps, and is
//! found by those who wake it.
//!
//! A waker may be kept for ever and used by any thread, so what it points to
//! must be there for ever, and must not be on the heap. So the places are in a
//! static table, and a waker is no pointer at all but a *token*: the number of
//! the place and its generation, which counts how often the place was used
//! ([`life`]). A token of an earlier generation is dead: waking it does nothing.
//!
//! # Sleeping
//!
//! The thread sleeps in `poll(2)`, on an eventfd and on the descriptors it watches
//! ([`watch`]), and says so before and after it ([`rest`]). Who wakes it writes to the
//! eventfd if it finds it asleep.
//!
//! The eventfd is made before the first sleep and closed by the last holder of
//! the place, so a late wake never writes to a descriptor that is something else
//! by now.
//!
//! # Watching
//!
//! A task that runs under a waker of its own (`FuturesUnordered` has such) is
//! polled again only if that waker is used, so its descriptor has to be watched
//! whatever else happens. A thread that is woken again and again, by other tasks
//! that are never done, does not sleep; so it looks at the descriptors every
//! [`LOOK_EVERY`] times that it does not. And when `block_on` returns, everyone
//! it watched for is woken, to be found by the next one.

#![expect(unsafe_code, reason = "a waker that is a token, and its eventfd")]

mod life;
mod rest;
mod watch;

use core::cell::Cell;
use core::marker::PhantomData;
use core::ptr;
use core::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use core::task::{RawWaker, RawWakerVTable, Waker};

use rustix::fd::{AsRawFd, RawFd};

use self::life::Life;
use self::rest::Rest;
use self::watch::{WATCHES, Watched, Watches};
use super::receiver::Registered;
use super::wake_each;
use crate::error::Error;
use crate::process::{AtomicBirth, Birth};
use crate::sys::{self, Deadline, LateFd};

/// How many threads can be in `block_on` at the same time.
const PARKERS: usize = 64;

/// Twice as many places: a thread that has left its place to a late wake takes
/// another one.
const PLACES: usize = 2 * PARKERS;

static TABLE: [Place; PLACES] = [const { Place::new() }; PLACES];

/// A thread that never sleeps looks at the descriptors this often.
const LOOK_EVERY: u32 = 32;

/// How many threads are in `block_on`.
static IN_USE: AtomicUsize = AtomicUsize::new(0);

/// Counts the places as they are taken: the latest is the innermost.
static ORDER: AtomicUsize = AtomicUsize::new(0);

struct Place {
    life: Life,
    rest: Rest,
    eventfd: LateFd,
    watches: Watches,
    /// The thread that uses the place; 0 if none does.
    thread: AtomicI32,
    order: AtomicUsize,
    birth: AtomicBirth,
}

impl Place {
    const fn new() -> Self {
        Self {
            life: Life::new(),
            rest: Rest::new(),
            eventfd: LateFd::new(),
            watches: Watches::new(),
            thread: AtomicI32::new(0),
            order: AtomicUsize::new(0),
            birth: AtomicBirth::new(),
        }
    }

    /// The innermost place of the calling thread.
    fn of_this_thread() -> Option<&'static Self> {
        if IN_USE.load(Ordering::Relaxed) == 0 {
            return None;
        }
        // Relaxed: a place of this thread was filled in by this thread, and no
        // other can look like one.
        let (this, here) = (sys::thread_id(), Birth::here());
        let now = ORDER.load(Ordering::Relaxed);
        TABLE
            .iter()
            .filter(|place| place.thread.load(Ordering::Relaxed) == this)
            .filter(|place| place.birth.load() == here)
            // From the youngest back, in case the count has come round.
            .max_by_key(|place| {
                place.order.load(Ordering::Relaxed).wrapping_sub(now)
            })
    }

    fn leave(&self) {
        self.life.leave(|| {
            // SAFETY: the place is closing, so this thread alone uses it: every
            // borrow of the eventfd was made by a holder, and all have left.
            drop(unsafe { self.eventfd.take() });
        });
    }
}

/// A holder of a place, which leaves it when dropped.
struct Leave(&'static Place);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// The number of a place and a generation, which fit in a pointer.
#[derive(Clone, Copy)]
struct Token(usize);

impl Token {
    const fn new(index: usize, generation: usize) -> Self {
        Self(generation * PLACES + index)
    }

    fn place(self) -> Option<&'static Place> {
        TABLE.get(self.0 % PLACES)
    }

    const fn generation(self) -> usize {
        self.0 / PLACES
    }

    /// The token in a waker, if it is one of ours.
    fn of(waker: &Waker) -> Option<Self> {
        ptr::eq(waker.vtable(), &raw const VTABLE)
            .then(|| Self(waker.data().addr()))
    }

    /// Runs the function while the place cannot be given to someone else, unless
    /// it has been already, and tells whether it did.
    fn hold(self, f: impl FnOnce(&'static Place)) -> bool {
        let Some(place) = self.place() else { return false };
        if !place.life.hold(self.generation()) {
            return false;
        }
        let held = Leave(place);
        f(held.0);
        true
    }

    fn wake(self) {
        self.hold(|place| {
            // In a forked child the eventfd is the parent's.
            if place.birth.load().check().is_err() {
                return;
            }
            if place.rest.wake() {
                if let Some(eventfd) = place.eventfd.get() {
                    sys::notify(eventfd);
                }
            }
        });
    }
}

/// The functions of a waker whose data is a token. Nothing is owned or pointed
/// to, so there is nothing to count and nothing to drop.
static VTABLE: RawWakerVTable = RawWakerVTable::new(
    |data| RawWaker::new(data, &VTABLE),
    |data| Token(data.addr()).wake(),
    |data| Token(data.addr()).wake(),
    |_| (),
);

/// A place in use by the calling thread.
pub(crate) struct Parker {
    place: &'static Place,
    token: Token,
    birth: Birth,
    /// How often in a row it did not sleep.
    awake: Cell<u32>,
    not_send: PhantomData<*const ()>,
}

impl Parker {
    /// Takes a free place for the calling thread.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyBlockOn`] if there is none.
    pub(crate) fn new() -> Result<Self, Error> {
        let full = |_| Error::TooManyBlockOn;
        let count = Ordering::Relaxed;
        IN_USE
            .fetch_update(count, count, |n| (n < PARKERS).then_some(n + 1))
            .map_err(full)?;
        let Some((index, place, generation)) = Self::find_place() else {
            IN_USE.fetch_sub(1, count);
            return Err(Error::TooManyBlockOn);
        };
        let order = ORDER.fetch_add(1, Ordering::Relaxed);
        place.order.store(order, Ordering::Relaxed);
        place.birth.store(Birth::here());
        place.thread.store(sys::thread_id(), Ordering::Relaxed);
        Ok(Self {
            place,
            token: Token::new(index, generation),
            birth: Birth::here(),
            awake: Cell::new(0),
            not_send: PhantomData,
        })
    }

    fn find_place() -> Option<(usize, &'static Place, usize)> {
        TABLE.iter().enumerate().find_map(|(index, place)| {
            Some((index, place, place.life.acquire()?))
        })
    }

    /// Makes the waker that ends a sleep in this place.
    pub(crate) fn waker(&self) -> Waker {
        let data = ptr::without_provenance(self.token.0);
        let raw = RawWaker::new(data, &VTABLE);
        // SAFETY: the functions of `VTABLE` keep the contract of
        // `RawWakerVTable`: they may be called from any thread, with any data,
        // any number of times, for they take the data for a number.
        unsafe { Waker::from_raw(raw) }
    }

    /// Says that the future is about to be polled: wakes count from here.
    pub(crate) fn awake(&self) {
        self.place.rest.awake();
    }

    /// Sleeps until somebody has used the waker since [`awake`](Self::awake).
    ///
    /// # Errors
    ///
    /// [`Error::Forked`] in a forked child; [`Error::Os`] if the eventfd cannot
    /// be made or the thread cannot sleep.
    pub(crate) fn sleep(&self) -> Result<(), Error> {
        let place = self.place;
        loop {
            self.birth.check()?;
            if place.eventfd.get().is_none() {
                // Nobody else sets it, so it is not set yet.
                drop(place.eventfd.set(sys::eventfd()?));
            }
            if !place.rest.begin() {
                return self.look_now_and_then();
            }
            let result = self.poll(Deadline::NEVER);
            // The next round sees whether it was woken.
            place.rest.end();
            self.awake.set(0);
            place.watches.wake(&result?);
        }
    }

    /// Looks at the descriptors if that has not been done for long.
    fn look_now_and_then(&self) -> Result<(), Error> {
        self.awake.set((self.awake.get() + 1) % LOOK_EVERY);
        if self.awake.get() == 0 && self.place.watches.used() > 0 {
            self.place.watches.wake(&self.poll(Deadline::PAST)?);
        }
        Ok(())
    }

    /// Looks at the eventfd and at what is watched, and returns the watched
    /// descriptors that are ready, or paused no longer, each at its place in the table.
    fn poll(
        &self,
        deadline: Deadline,
    ) -> Result<[Option<RawFd>; WATCHES], Error> {
        let place = self.place;
        let eventfd = place.eventfd.get().map_or(-1, |fd| fd.as_raw_fd());
        let watched = place.watches.all();
        let mut deadline = deadline;
        for until in watched.iter().flatten().filter_map(|it| it.until) {
            deadline = deadline.earlier(Deadline::at(until));
        }
        // No more of them than there are: the kernel refuses more than the process may
        // have descriptors (`RLIMIT_NOFILE`).
        let mut fds = [sys::readable(eventfd); WATCHES + 1];
        let mut used = 1;
        for Watched { fd, until } in watched.iter().flatten() {
            if let (None, Some(entry)) = (until, fds.get_mut(used)) {
                *entry = sys::readable(*fd);
                used += 1;
            }
        }
        sys::poll_numbers(fds.get_mut(..used).unwrap_or_default(), deadline)?;
        // A handler may have forked; then the eventfd is the parent's.
        self.birth.check()?;
        let [first, rest @ ..] = fds;
        if first.revents != 0 {
            if let Some(eventfd) = place.eventfd.get() {
                sys::clear(eventfd);
            }
        }
        let mut entries = rest.into_iter();
        Ok(watched.map(|watched| {
            let Watched { fd, until } = watched?;
            let is_ready = match until {
                Some(until) => Deadline::at(until).is_over(),
                None => entries.next().is_some_and(|it| it.revents != 0),
            };
            is_ready.then_some(fd)
        }))
    }

    /// Leaves a receiver's descriptor and its task's waker with the `block_on`
    /// that will wake the task: the one whose waker it is, or else the innermost
    /// of this thread, under which some executor of its own waker may be running.
    pub(super) fn watch(fd: RawFd, waker: &Waker) -> Registered {
        let watched = Token::of(waker).is_some_and(|token| {
            token.hold(|place| {
                place.watches.add(fd, 0, waker);
                // If its thread is not seen asleep here, it goes to sleep later and
                // sees the watch.
                if place.rest.is_asleep() {
                    waker.wake_by_ref();
                }
            })
        });
        if watched {
            return Registered::WillBeSeen;
        }
        if let Some(place) = Place::of_this_thread() {
            place.watches.add(fd, 0, waker);
        }
        Registered::LookAgain
    }

    /// Has the task woken then, and its descriptor not looked at before. Tells whether this
    /// is its thread, which sleeps when it has polled the task: under an executor of its
    /// own nobody may.
    pub(super) fn pause(fd: RawFd, waker: &Waker, until: Deadline) -> bool {
        let (Some(here), Some(token), Some(until)) =
            (Place::of_this_thread(), Token::of(waker), until.as_nanos())
        else {
            return false;
        };
        let mut is_here = false;
        token.hold(|place| {
            is_here = ptr::eq(place, here);
            if is_here {
                place.watches.add(fd, until, waker);
            }
        });
        is_here
    }
}

impl Drop for Parker {
    fn drop(&mut self) {
        // Leaves the place, also if a waker panics.
        let leave = Leave(self.place);
        IN_USE.fetch_sub(1, Ordering::Relaxed);
        self.place.thread.store(0, Ordering::Relaxed);
        if self.birth.check().is_ok() {
            self.place.watches.wake_all();
        } else {
            // A waker of the parent's may write to what is the parent's.
            self.place.watches.forget_all();
        }
        drop(leave);
    }
}
