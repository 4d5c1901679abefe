//! Waiting in the call that takes.

use std::os::fd::{AsRawFd, OwnedFd};

use super::{Room, count, read, room, signalfd};
use crate::common::sys;
use crate::common::take::{Seen, Take};
use crate::common::work::GATHER_US;

/// A blocking read of up to `N` records.
pub(crate) struct Read<const N: usize> {
    fd: OwnedFd,
    room: Room<N>,
}

impl<const N: usize> Read<N> {
    pub(crate) fn open(signal: i32) -> Self {
        Self { fd: signalfd(signal, 0), room: room() }
    }
}

impl<const N: usize> Take for Read<N> {
    #[inline]
    fn take(&mut self, seen: &mut Seen) {
        count(seen, read(&self.fd, &mut self.room));
    }
}

/// A blocking read that lets signals gather after a batch that was not full: less CPU
/// time for each at a high rate, and a longer wait for one alone.
pub(crate) struct Moderated<const N: usize> {
    fd: OwnedFd,
    room: Room<N>,
}

/// How long they gather.
static GATHER: libc::timespec =
    libc::timespec { tv_sec: 0, tv_nsec: 1000 * GATHER_US as i64 };

impl<const N: usize> Moderated<N> {
    pub(crate) fn open(signal: i32) -> Self {
        Self { fd: signalfd(signal, 0), room: room() }
    }
}

impl<const N: usize> Take for Moderated<N> {
    #[inline]
    fn take(&mut self, seen: &mut Seen) {
        let records = read(&self.fd, &mut self.room);
        count(seen, records);
        if records.len() < N {
            let (time, left) = (&raw const GATHER, std::ptr::null_mut());
            // SAFETY: reads a timespec, which lives past the call.
            let result = unsafe {
                libc::clock_nanosleep(libc::CLOCK_MONOTONIC, 0, time, left)
            };
            assert_eq!(result, 0, "clock_nanosleep");
        }
    }
}

/// Reads that do not block, one after the other, until there is something or the budget
/// is used up; then it sleeps.
pub(crate) struct Spin<const N: usize> {
    fd: OwnedFd,
    room: Room<N>,
}

/// Long enough for the other end of a round trip.
pub(crate) const SPIN_NS: u64 = 200_000;

impl<const N: usize> Spin<N> {
    pub(crate) fn open(signal: i32) -> Self {
        Self { fd: signalfd(signal, libc::SFD_NONBLOCK), room: room() }
    }

    /// Waits until there is something to read.
    fn sleep(&self) {
        let fd = self.fd.as_raw_fd();
        let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        // SAFETY: reads and writes one entry, which lives past the call.
        let result = unsafe { libc::poll(&raw mut poll, 1, -1) };
        sys::check(result, "poll");
    }
}

impl<const N: usize> Take for Spin<N> {
    #[inline]
    fn take(&mut self, seen: &mut Seen) {
        let end = sys::now() + SPIN_NS;
        loop {
            let records = read(&self.fd, &mut self.room);
            if !records.is_empty() {
                return count(seen, records);
            }
            if sys::now() > end {
                self.sleep();
            }
            std::hint::spin_loop();
        }
    }
}

/// `sigwaitinfo(2)`, without a descriptor.
pub(crate) struct SigWaitInfo {
    set: libc::sigset_t,
}

impl SigWaitInfo {
    pub(crate) fn open(signal: i32) -> Self {
        sys::block(signal);
        Self { set: sys::set_of(signal) }
    }
}

impl Take for SigWaitInfo {
    #[inline]
    fn take(&mut self, seen: &mut Seen) {
        // SAFETY: an all-zero value is allowed: it is made of integers.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // SAFETY: reads a set and writes a siginfo_t, which live past the call.
        let result =
            unsafe { libc::sigwaitinfo(&raw const self.set, &raw mut info) };
        sys::check(result, "sigwaitinfo");
        seen.add(value(&info));
    }
}

/// The number that came with a signal.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "the number is in the lower half of the pointer"
)]
pub(super) fn value(info: &libc::siginfo_t) -> i32 {
    // SAFETY: it is of `kill`, where the bytes are zero, or of `sigqueue`.
    let value = unsafe { info.si_value() };
    value.sival_ptr.addr() as i32
}
