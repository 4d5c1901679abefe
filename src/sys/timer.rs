//! A timer that sends the process a signal.

use core::ffi::{c_int, c_long};
use core::mem::{self, size_of};
use core::ptr;
use core::time::Duration;

use super::check;
use crate::error::{Error, Op};
use crate::signal::Signal;

/// A POSIX timer of this process, by its number. A forked child has no such timer,
/// or another one under the number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timer(c_int);

/// The integers of the kernel's `struct __kernel_old_itimerspec`.
#[cfg(any(target_pointer_width = "64", target_arch = "x86_64"))]
type Word = i64;
#[cfg(not(any(target_pointer_width = "64", target_arch = "x86_64")))]
type Word = i32;

/// A number that is too large to count is as large as can be.
fn word(number: u64) -> Word {
    Word::try_from(number).unwrap_or(Word::MAX)
}

const _: () = assert!(size_of::<libc::sigevent>() == 64);

impl Timer {
    /// Makes a timer that is not running. What it sends has this value.
    pub(crate) fn new(signal: Signal, value: usize) -> Result<Self, Error> {
        // SAFETY: an all-zero `sigevent` is allowed: it is made of integers, and of
        // a pointer or a number.
        let mut event: libc::sigevent = unsafe { mem::zeroed() };
        event.sigev_notify = libc::SIGEV_SIGNAL;
        event.sigev_signo = signal.as_raw();
        event.sigev_value.sival_ptr = ptr::without_provenance_mut(value);
        let mut number = 0;
        // SAFETY: timer_create(2) reads a `sigevent` of 64 bytes at one pointer and
        // writes the kernel's `timer_t`, an int, at the other; both live past the
        // call.
        let result = unsafe {
            libc::syscall(
                libc::SYS_timer_create,
                c_long::from(libc::CLOCK_MONOTONIC),
                &raw const event,
                &raw mut number,
            )
        };
        check(result).map_err(|errno| Error::os(Op::TimerCreate, errno))?;
        Ok(Self(number))
    }

    /// The one with this number, if it can be one's.
    pub(crate) fn numbered(number: u32) -> Option<Self> {
        c_int::try_from(number).ok().map(Self)
    }

    /// Its number, which is none below 0.
    pub(crate) const fn number(self) -> u32 {
        self.0.unsigned_abs()
    }

    /// Has it expire once, this long from now, and not when it was to before.
    pub(crate) fn start(self, after: Duration) -> Result<(), Error> {
        // No time at all would stop it.
        self.set(after.max(Duration::from_nanos(1)))
    }

    /// Stops it. What it has sent is pending still, or is not (Linux 6.13).
    pub(crate) fn stop(self) -> Result<(), Error> {
        self.set(Duration::ZERO)
    }

    fn set(self, after: Duration) -> Result<(), Error> {
        let nanoseconds = after.subsec_nanos().into();
        // The interval, which is none, and the time until it expires.
        let time = [0, 0, after.as_secs(), nanoseconds].map(word);
        let (flags, old) = (c_long::from(0), ptr::null_mut::<Word>());
        // SAFETY: timer_settime(2) reads two times of two words each at the
        // pointer, which live past the call, and writes nothing.
        let result = unsafe {
            libc::syscall(
                libc::SYS_timer_settime,
                c_long::from(self.0),
                flags,
                &raw const time,
                old,
            )
        };
        check(result)
            .map(drop)
            .map_err(|errno| Error::os(Op::TimerSettime, errno))
    }

    /// Deletes it, whether it is running or not.
    pub(crate) fn delete(self) {
        // SAFETY: timer_delete(2) takes a number. It fails for one that there is
        // not.
        let _deleted = unsafe {
            libc::syscall(libc::SYS_timer_delete, c_long::from(self.0))
        };
    }
}
