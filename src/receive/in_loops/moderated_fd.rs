//! A descriptor that tells of signals once they have gathered, for the loops of others.
//!
//! Such a loop serves others, too, so it cannot sleep for a receiver. What it watches is an
//! epoll, in which are the receiver's descriptor and a timer. Which of the two it tells of is
//! the [`Phase`].

use core::time::Duration;

use rustix::event::epoll::EventFlags;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;

use super::phase::{Kernel, Phase};
use crate::error::Error;
use crate::sys::{self, Deadline, LateFd, timerfd, wait};

/// The epoll, and what is in it besides the receiver's descriptor. Both are made when a loop
/// wants them.
#[derive(Debug)]
pub(in crate::receive) struct ModeratedFd {
    epoll: LateFd,
    timer: LateFd,
    phase: Phase,
}

impl ModeratedFd {
    pub(in crate::receive) const fn new() -> Self {
        Self { epoll: LateFd::new(), timer: LateFd::new(), phase: Phase::new() }
    }

    /// Returns the epoll for the descriptor of a receiver. If it cannot be made the first
    /// time, there will be none: no descriptors are left, or a sandbox forbids one of the
    /// calls.
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
            drop(self.timer.set(timerfd::timerfd().ok()?));
        }
        let epoll = wait::epoll_create().ok()?;
        for fd in [receiver, self.timer.get()?] {
            wait::epoll_add(epoll.as_fd(), fd, 0, EventFlags::IN).ok()?;
        }
        Some(epoll)
    }

    /// Whether a loop has the epoll.
    pub(super) fn is_there(&self) -> bool {
        self.epoll.get().is_some()
    }

    /// Lets signals gather until then, before the loop is told of them.
    pub(super) fn gather(&self, receiver: BorrowedFd<'_>, until: Duration) {
        if let Some(fds) = self.fds(receiver) {
            self.phase.gather(&fds, until);
        }
    }

    /// Has the loop told of the next signal at once.
    pub(super) fn watch(&self, receiver: BorrowedFd<'_>) {
        if let Some(fds) = self.fds(receiver) {
            self.phase.watch(&fds);
        }
    }

    /// Whether signals gather still. The loop is told when that is over; or before, and then
    /// this is asked again, by who was told.
    pub(super) fn is_gathering(
        &self,
        receiver: BorrowedFd<'_>,
        is_told: bool,
    ) -> bool {
        self.fds(receiver)
            .is_some_and(|fds| self.phase.is_gathering(&fds, is_told))
    }

    /// What the kernel has for it, if a loop has the epoll.
    fn fds<'f>(&'f self, receiver: BorrowedFd<'f>) -> Option<Fds<'f>> {
        let (epoll, timer) = (self.epoll.get()?, self.timer.get()?);
        Some(Fds { epoll, timer, receiver })
    }
}

/// How long until it is tried again to put the descriptor in.
const SOON: Duration = Duration::from_millis(1);

/// The epoll, and what is in it.
struct Fds<'f> {
    epoll: BorrowedFd<'f>,
    timer: BorrowedFd<'f>,
    receiver: BorrowedFd<'f>,
}

impl Kernel for Fds<'_> {
    fn take_out(&self) -> bool {
        match wait::epoll_delete(self.epoll, self.receiver) {
            // Or another thread was faster.
            Ok(()) | Err(Errno::NOENT) => true,
            Err(_) => false,
        }
    }

    fn put_in(&self) -> bool {
        match wait::epoll_add(self.epoll, self.receiver, 0, EventFlags::IN) {
            Ok(()) => true,
            // Another thread was faster.
            Err(Error::Os { errno, .. }) => errno == libc::EEXIST,
            Err(_) => false,
        }
    }

    fn start(&self, at: Duration) -> bool {
        timerfd::set(self.timer, at)
    }

    fn start_soon(&self) {
        // If this fails too, a sandbox has come that forbids what every loop does.
        self.start(sys::now().saturating_add(SOON));
    }

    fn is_over(&self, time: Duration) -> bool {
        Deadline::at(time).is_over()
    }

    fn stop(&self) -> bool {
        let is_stopped = timerfd::set(self.timer, Duration::ZERO);
        if !is_stopped {
            timerfd::clear(self.timer);
        }
        is_stopped
    }
}
