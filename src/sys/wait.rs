//! Waiting, and ending a wait.

use core::mem::MaybeUninit;
use core::ptr;
use core::time::Duration;

use libc::pollfd;
use rustix::event::epoll::{CreateFlags, Event, EventData, EventFlags};
use rustix::event::{self, EventfdFlags, PollFd, PollFlags, Timespec};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use rustix::io::Errno;

use super::check;
use crate::error::{Error, Op};

/// A point in time to wait until, or none.
#[derive(Clone, Copy)]
pub(crate) struct Deadline(Option<Duration>);

impl Deadline {
    pub(crate) const NEVER: Self = Self(None);
    /// Over already.
    pub(crate) const PAST: Self = Self(Some(Duration::ZERO));

    /// A deadline from now; one too far away to count is none.
    pub(crate) fn after(timeout: Option<Duration>) -> Self {
        Self(timeout.and_then(|timeout| now().checked_add(timeout)))
    }

    /// When the monotonic clock shows this.
    pub(crate) const fn at(time: Duration) -> Self {
        Self(Some(time))
    }

    /// The time of the monotonic clock, in nanoseconds; `None` for never.
    pub(crate) fn as_nanos(self) -> Option<u64> {
        u64::try_from(self.0?.as_nanos()).ok()
    }

    /// The earlier of the two.
    pub(crate) fn earlier(self, other: Self) -> Self {
        match (self.0, other.0) {
            (Some(this), Some(other)) => Self(Some(this.min(other))),
            (this, other) => Self(this.or(other)),
        }
    }

    /// What is left of the time; `None` is for ever.
    pub(crate) fn left(self) -> Option<Duration> {
        self.0.map(|end| end.saturating_sub(now()))
    }

    pub(crate) const fn is_never(self) -> bool {
        self.0.is_none()
    }

    pub(crate) fn is_over(self) -> bool {
        self.left().is_some_and(|left| left.is_zero())
    }

    /// What is left, as the C library takes it, and at most a day of it.
    fn timeout(self) -> Option<libc::timespec> {
        let left = self.left()?.min(LONGEST);
        Some(libc::timespec {
            tv_sec: left.as_secs().try_into().unwrap_or(0),
            tv_nsec: u64::from(left.subsec_nanos()).try_into().unwrap_or(0),
        })
    }

    /// What is left, as the kernel takes it, and at most a day of it: before
    /// Linux 5.11 `epoll_wait` counts milliseconds in an `int`.
    pub(crate) fn timespec(self) -> Option<Timespec> {
        let left = self.left()?.min(LONGEST);
        Timespec::try_from(left).ok()
    }
}

/// How long one wait may be, before another one goes on: a day, but in tests.
const LONGEST: Duration = if cfg!(test) {
    Duration::from_millis(1)
} else {
    Duration::from_secs(24 * 60 * 60)
};

/// The time on the monotonic clock.
///
/// Not rustix's: to find the vDSO it allocates, once, before Linux 6.4.
pub(crate) fn now() -> Duration {
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: clock_gettime(2) writes a timespec at the pointer, which lives past
    // the call. It fails only for a clock that there is not.
    let result = unsafe {
        libc::clock_gettime(libc::CLOCK_MONOTONIC, time.as_mut_ptr())
    };
    if result != 0 {
        return Duration::ZERO;
    }
    // SAFETY: the call did not fail, so it wrote the timespec.
    let time = unsafe { time.assume_init() };
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Tells whether the descriptor is readable.
pub(crate) fn is_readable(fd: BorrowedFd<'_>) -> Result<bool, Error> {
    poll([fd], Deadline::PAST, || Ok(()))
}

/// Waits until one of the descriptors is readable or the deadline is over, and tells
/// whether one is. Whenever the kernel has returned it is asked whether to go on: a handler
/// may have run and forked, and the child is in the wait of its parent.
pub(crate) fn poll<const N: usize>(
    fds: [BorrowedFd<'_>; N],
    deadline: Deadline,
    goes_on: impl Fn() -> Result<(), Error>,
) -> Result<bool, Error> {
    loop {
        let mut fds = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        let polled = event::poll(&mut fds, deadline.timespec().as_ref());
        goes_on()?;
        match polled {
            Ok(0) if !deadline.is_over() => {}
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::os(Op::Poll, errno)),
        }
    }
}

/// Waits until the deadline is over, as [`poll`] does.
pub(crate) fn sleep(
    deadline: Deadline,
    goes_on: impl Fn() -> Result<(), Error>,
) -> Result<(), Error> {
    if deadline.is_over() {
        return Ok(());
    }
    poll([], deadline, goes_on).map(drop)
}

/// A descriptor for [`poll_numbers`].
pub(crate) const fn readable(raw: RawFd) -> pollfd {
    pollfd { fd: raw, events: libc::POLLIN, revents: 0 }
}

/// Waits until one of these descriptors is readable or the deadline is over, and notes which
/// are. They are given by number: one that has been closed since, or is another by now,
/// does no harm, for the kernel reports it as an event. Negative ones are passed over. If a
/// handler runs meanwhile, it returns, and none is reported.
pub(crate) fn poll_numbers(
    fds: &mut [pollfd],
    deadline: Deadline,
) -> Result<(), Error> {
    let count = fds.len().try_into().unwrap_or(libc::nfds_t::MAX);
    let timeout = deadline.timeout();
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: ppoll(2) reads and writes `count` elements at the pointer, which are
    // the slice's; a slice longer than `nfds_t` can count would be refused with
    // EINVAL. It only looks at the descriptors, whosever they are. The time is null, or
    // lives past the call, and the mask is null, and stays as it is.
    let result =
        unsafe { libc::ppoll(fds.as_mut_ptr(), count, timeout, ptr::null()) };
    match check(result.into()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(Error::os(Op::Poll, errno)),
    }
}

/// Makes an epoll that reports these descriptors, edge-triggered, each by its
/// place in the order.
pub(crate) fn epoll(fds: impl Iterator<Item: AsFd>) -> Result<OwnedFd, Error> {
    let epoll = epoll_create()?;
    for (index, fd) in (0..).zip(fds) {
        let interest = EventFlags::IN | EventFlags::ET;
        epoll_add(epoll.as_fd(), fd.as_fd(), index, interest)?;
    }
    Ok(epoll)
}

/// Makes an epoll.
pub(crate) fn epoll_create() -> Result<OwnedFd, Error> {
    event::epoll::create(CreateFlags::CLOEXEC)
        .map_err(|errno| Error::os(Op::EpollCreate, errno))
}

/// Adds a descriptor to an epoll.
pub(crate) fn epoll_add(
    epoll: BorrowedFd<'_>,
    fd: BorrowedFd<'_>,
    index: u64,
    interest: EventFlags,
) -> Result<(), Error> {
    event::epoll::add(epoll, fd, EventData::new_u64(index), interest)
        .map_err(|errno| Error::os(Op::EpollCtl, errno))
}

/// Takes a descriptor out of an epoll.
#[cfg(any(
    feature = "tokio",
    feature = "async-io",
    feature = "mio",
    feature = "calloop"
))]
pub(crate) fn epoll_delete(
    epoll: BorrowedFd<'_>,
    fd: BorrowedFd<'_>,
) -> Result<(), Errno> {
    event::epoll::delete(epoll, fd)
}

/// Waits like [`poll`], on an epoll, and tells how many events there are.
pub(crate) fn epoll_wait(
    epoll: BorrowedFd<'_>,
    events: &mut [Event],
    deadline: Deadline,
    goes_on: impl Fn() -> Result<(), Error>,
) -> Result<usize, Error> {
    loop {
        let timeout = deadline.timespec();
        let waited = event::epoll::wait(epoll, &mut *events, timeout.as_ref());
        goes_on()?;
        match waited {
            Ok(0) if !deadline.is_over() => {}
            Ok(ready) => return Ok(ready),
            // Also without a handler: a dropped io_uring interrupts it.
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::os(Op::EpollWait, errno)),
        }
    }
}

/// Makes an eventfd that does not block.
pub(crate) fn eventfd() -> Result<OwnedFd, Error> {
    event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
        .map_err(|errno| Error::os(Op::Eventfd, errno))
}

/// Makes an eventfd readable.
pub(crate) fn notify(eventfd: BorrowedFd<'_>) {
    let add = || rustix::io::write(eventfd, &1_u64.to_ne_bytes());
    match add() {
        // If the counter is full, it is readable already.
        Ok(_) | Err(Errno::AGAIN) => {}
        // Whoever sleeps would go on to, so it is tried once more.
        Err(_) => drop(add()),
    }
}

/// Makes an eventfd unreadable.
pub(crate) fn clear(eventfd: BorrowedFd<'_>) {
    // It fails only if the counter is zero, and then it is unreadable already.
    let _read = rustix::io::read(eventfd, &mut [0; 8]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_goes_on_until_the_deadline() {
        let never = eventfd().unwrap();
        let goes_on = || Ok(());
        let deadline = || Deadline::after(Some(10 * LONGEST));
        let end = deadline();
        assert_eq!(poll([never.as_fd()], end, goes_on), Ok(false));
        assert!(end.is_over());

        let waiting = epoll([&never].into_iter()).unwrap();
        let none =
            Event { flags: EventFlags::empty(), data: EventData::new_u64(0) };
        let end = deadline();
        assert_eq!(sleep(end, goes_on), Ok(()));
        assert!(end.is_over());

        let end = deadline();
        let ready = epoll_wait(waiting.as_fd(), &mut [none], end, goes_on);
        assert_eq!(ready, Ok(0));
        assert!(end.is_over());

        notify(never.as_fd());
        let ready = poll([never.as_fd()], Deadline::NEVER, goes_on);
        assert_eq!(ready, Ok(true));
        assert_eq!(is_readable(never.as_fd()), Ok(true));
    }
}
