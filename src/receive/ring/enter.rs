//! Entering a ring, to submit and to wait.

#![expect(unsafe_code, reason = "what is submitted is not looked at")]

use core::ffi::c_void;
use core::ptr;
use core::time::Duration;

use rustix::event::Timespec;
use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use rustix::io_uring::{
    IoringEnterFlags, io_uring_enter, io_uring_enter_arg,
    io_uring_getevents_arg,
};

use crate::sys::Deadline;

/// How long a thread is in the ring that waits for completions.
pub(crate) struct Stay {
    timeout: Option<Timespec>,
    /// Microseconds.
    minimum: u32,
}

impl Stay {
    /// For as long as it takes.
    pub(crate) const ENDLESS: Self = Self { timeout: None, minimum: 0 };

    /// Until the deadline is over, if it is not enough before, or for a day. Needs Linux 5.11.
    pub(crate) fn until(deadline: Deadline) -> Self {
        Self { timeout: deadline.timespec(), minimum: 0 }
    }

    /// For so long, if it is not enough before; afterwards one is enough (Linux 6.12). This
    /// is of account only where there is a deadline, too.
    pub(crate) fn at_least(self, time: Duration) -> Self {
        // None at all would be no minimum.
        let minimum = time.as_micros() + 1;
        let minimum = u32::try_from(minimum).unwrap_or(u32::MAX);
        Self { minimum, ..self }
    }

    /// Submits so many entries, which are in the queue, and waits for so many completions.
    /// Tells how many it has submitted; if that is less, the kernel has not waited.
    ///
    /// # Errors
    ///
    /// `EINTR` and `ETIME` if it has waited, there are no completions, and there was nothing
    /// to submit. If there was, it tells how many it has submitted.
    #[inline]
    pub(crate) fn enter(
        &self,
        ring: BorrowedFd<'_>,
        entries: usize,
        completions: u32,
        more_flags: IoringEnterFlags,
    ) -> Result<usize, Errno> {
        let entries = entries.try_into().unwrap_or(u32::MAX);
        let flags = IoringEnterFlags::GETEVENTS | more_flags;
        let Some(timeout) = &self.timeout else {
            // SAFETY: what is submitted was pushed by somebody who has answered for it
            // (`SubmissionQueue::push`).
            let count =
                unsafe { io_uring_enter(ring, entries, completions, flags) }?;
            return Ok(count.try_into().unwrap_or(0));
        };
        let flags = flags | IoringEnterFlags::EXT_ARG;
        let arg = io_uring_getevents_arg {
            min_wait_usec: self.minimum,
            ts: ptr::from_ref(timeout).cast_mut().cast::<c_void>().into(),
            ..Default::default()
        };
        // SAFETY: as above. The argument points to the timeout, a `__kernel_timespec` that
        // lives past the call, and to no mask.
        let count = unsafe {
            io_uring_enter_arg(ring, entries, completions, flags, Some(&arg))
        }?;
        Ok(count.try_into().unwrap_or(0))
    }
}
