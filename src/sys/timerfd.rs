//! A timer that a descriptor tells of.

use core::time::Duration;

use rustix::event::Timespec;
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags,
    timerfd_create, timerfd_settime,
};

/// Makes one; it is stopped.
pub(crate) fn timerfd() -> Result<OwnedFd, Errno> {
    let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
    timerfd_create(TimerfdClockId::Monotonic, flags)
}

/// Has it expire once the monotonic clock shows this; or stops it, at zero. Tells
/// whether it has.
pub(crate) fn set(timer: BorrowedFd<'_>, at: Duration) -> bool {
    let never = Timespec { tv_sec: 0, tv_nsec: 0 };
    let Ok(it_value) = Timespec::try_from(at) else { return false };
    let time = Itimerspec { it_interval: never, it_value };
    timerfd_settime(timer, TimerfdTimerFlags::ABSTIME, &time).is_ok()
}

/// Forgets that it has expired.
pub(crate) fn clear(timer: BorrowedFd<'_>) {
    let mut count = [0_u8; 8];
    let _expired = rustix::io::read(timer, &mut count);
}
