//! A descriptor that tells of signals once they have gathered, for the loops of others.
//!
//! Such a loop serves others, too, so it cannot sleep for a receiver. What it watches is an
//! epoll, in which are the receiver's descriptor and a timer:
//!
//! - *watching*: the epoll is readable when the descriptor is. The timer is stopped.
//! - *gathering*: the descriptor is not in the epoll, so signals wake nobody. (It is taken
//!   out: if nothing were asked of it, it would still be reported, since the kernel always
//!   asks for errors and is told of signals without saying what happened.) The timer is
//!   running, and the epoll is readable when it has expired.
//!
//! [`gather`](ModeratedFd::gather) goes watching → gathering, after a batch that left
//! nothing. If another one follows when the timer has expired, only the timer is started
//! again. [`watch`](ModeratedFd::watch) goes gathering → watching, after a read that found
//! nothing.
//!
//! Several threads may do so at once. What must never be is that the descriptor is out, and
//! nobody will come to put it in:
//!
//! - `gather` takes the descriptor out first, and starts the timer then. So the timer expires
//!   after that, and whoever is told reads, finds nothing in the end, and calls `watch`.
//! - `watch` stops the timer first, and puts the descriptor in then. So a timer that was
//!   stopped when another thread had started it is missed by nobody. If the descriptor cannot
//!   be put in, the timer is started for another try.
//! - `watch` does nothing unless `is_gathering` says so. It takes that back before it does
//!   anything, and `gather` says so after each of its two steps. So it is said whenever the
//!   descriptor is out or the timer is running, but for a moment in which one of the two is
//!   about to be changed. It may be said though neither is so: then `watch` is for nothing.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;

use rustix::event::epoll::EventFlags;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;

use crate::error::Error;
use crate::sys::{self, Deadline, LateFd, wait};

/// The epoll, and what is in it besides the receiver's descriptor. Both are made when a loop
/// wants them.
#[derive(Debug)]
pub(super) struct ModeratedFd {
    epoll: LateFd,
    timer: LateFd,
    /// The descriptor may be out, and the timer running.
    is_gathering: AtomicBool,
    /// When that is to be over, in nanoseconds of the monotonic clock.
    until: AtomicU64,
}

impl ModeratedFd {
    pub(super) const fn new() -> Self {
        Self {
            epoll: LateFd::new(),
            timer: LateFd::new(),
            is_gathering: AtomicBool::new(false),
            until: AtomicU64::new(0),
        }
    }

    /// Returns the epoll for the descriptor of a receiver, which is given to all these
    /// functions. If it cannot be made the first time, there will be none: no descriptors
    /// are left, or a sandbox forbids one of the calls.
    pub(super) fn of(
        &self,
        receiver: BorrowedFd<'_>,
    ) -> Option<BorrowedFd<'_>> {
        if !self.epoll.is_settled() {
            match self.make(receiver) {
                // Or another thread was faster.
                Some(epoll) => drop(self.epoll.set(epoll)),
                None => self.epoll.refuse(),
            }
        }
        self.epoll.get()
    }

    fn make(&self, receiver: BorrowedFd<'_>) -> Option<OwnedFd> {
        if self.timer.get().is_none() {
            drop(self.timer.set(wait::timerfd().ok()?));
        }
        let epoll = wait::epoll_create().ok()?;
        for fd in [receiver, self.timer.get()?] {
            wait::epoll_add(epoll.as_fd(), fd, 0, EventFlags::IN).ok()?;
        }
        Some(epoll)
    }

    /// Whether a loop has it.
    pub(super) fn is_there(&self) -> bool {
        self.epoll.get().is_some()
    }

    /// Lets signals gather until then.
    pub(super) fn gather(&self, receiver: BorrowedFd<'_>, until: Duration) {
        let nanos = u64::try_from(until.as_nanos()).unwrap_or(u64::MAX);
        self.until.store(nanos, Ordering::SeqCst);
        if !self.is_gathering.load(Ordering::SeqCst) {
            let Some(epoll) = self.epoll.get() else { return };
            match wait::epoll_delete(epoll, receiver) {
                // It is out, and another thread was faster.
                Ok(()) | Err(Errno::NOENT) => {}
                Err(_) => return,
            }
            self.is_gathering.store(true, Ordering::SeqCst);
        }
        self.start(receiver, until);
    }

    /// Tells of the next signal at once.
    pub(super) fn watch(&self, receiver: BorrowedFd<'_>) {
        if !self.is_gathering.load(Ordering::SeqCst) {
            return;
        }
        self.is_gathering.store(false, Ordering::SeqCst);
        let _is_stopped = self.set(Duration::ZERO);
        if !self.put_in(receiver) {
            let later = sys::now().saturating_add(RETRY);
            // If this fails too, a sandbox has come that forbids what every loop does.
            let _is_started = self.set(later);
            self.is_gathering.store(true, Ordering::SeqCst);
        }
    }

    /// Whether the descriptor is in the epoll now.
    fn put_in(&self, receiver: BorrowedFd<'_>) -> bool {
        let Some(epoll) = self.epoll.get() else { return false };
        match wait::epoll_add(epoll, receiver, 0, EventFlags::IN) {
            Ok(()) => true,
            // Another thread was faster.
            Err(Error::Os { errno, .. }) => errno == libc::EEXIST,
            Err(_) => false,
        }
    }

    /// Whether signals gather still. Then the epoll will be readable when that is over; or
    /// before, and who was told that it is readable asks again.
    pub(super) fn is_gathering(
        &self,
        receiver: BorrowedFd<'_>,
        is_told: bool,
    ) -> bool {
        if !self.is_gathering.load(Ordering::SeqCst) {
            return false;
        }
        let until = Duration::from_nanos(self.until.load(Ordering::SeqCst));
        if Deadline::at(until).is_over() {
            return false;
        }
        // It may have been started last for another thread's end, which was this one's.
        !is_told || self.start(receiver, until)
    }

    /// Starts the timer, or has nothing gather if it cannot be started.
    fn start(&self, receiver: BorrowedFd<'_>, until: Duration) -> bool {
        let is_started = self.set(until);
        self.is_gathering.store(true, Ordering::SeqCst);
        if !is_started {
            self.watch(receiver);
        }
        is_started
    }

    /// Has the timer expire then, or stops it.
    fn set(&self, at: Duration) -> bool {
        self.timer.get().is_some_and(|timer| wait::timerfd_set(timer, at))
    }
}

/// How long until it is tried again to put the descriptor in.
const RETRY: Duration = Duration::from_millis(1);
