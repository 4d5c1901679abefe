//! Entering a ring, to submit and to wait.

#![expect(unsafe_code, reason = "waits with a timeout")]

use core::ffi::{c_long, c_uint, c_void};
use core::ptr;
use core::time::Duration;

use io_uring::Submitter;
use io_uring::types::Timespec;
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::Errno;

use crate::sys::{self, Deadline};

// include/uapi/linux/io_uring.h
const IORING_ENTER_GETEVENTS: u32 = 1 << 0;
const IORING_ENTER_EXT_ARG: u32 = 1 << 3;
const FLAGS: u32 = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;

/// How long a thread is in the ring that waits for completions.
pub(crate) struct Stay {
    timeout: Option<Timespec>,
    /// Microseconds.
    minimum: u32,
}

/// `struct io_uring_getevents_arg` of `include/uapi/linux/io_uring.h`. That of the
/// io-uring crate has no minimum.
#[repr(C)]
struct GeteventsArg {
    sigmask: u64,
    sigmask_sz: u32,
    min_wait_usec: u32,
    ts: *const Timespec,
}

impl Stay {
    /// Until the deadline is over, if it is not enough before.
    pub(crate) fn until(deadline: Deadline) -> Self {
        let timeout = deadline.left().map(|left| {
            Timespec::new().sec(left.as_secs()).nsec(left.subsec_nanos())
        });
        Self { timeout, minimum: 0 }
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
    /// Tells how many it has submitted; if that is less, the kernel has not waited. Needs
    /// Linux 5.11.
    ///
    /// # Errors
    ///
    /// `EINTR` and `ETIME` if it has waited and there are no completions; there was nothing
    /// to submit, or all was submitted.
    pub(crate) fn enter(
        &self,
        submitter: &Submitter<'_>,
        entries: usize,
        completions: u32,
        more_flags: u32,
    ) -> Result<usize, Errno> {
        let flags = FLAGS | more_flags;
        let to_submit = entries.try_into().unwrap_or(u32::MAX);
        let arg = self.argument();
        // SAFETY: the argument is what the flag promises, with a timeout that lives past
        // the call (io_uring_enter(2)). What is submitted was pushed by somebody who has
        // answered for it (`SubmissionQueue::push`).
        let result = unsafe {
            submitter.enter(to_submit, completions, flags, Some(&arg))
        };
        result.map_err(|error| super::errno(&error))
    }

    /// The same, by the ring's descriptor, and waits for one completion.
    pub(crate) fn enter_by(
        &self,
        ring: BorrowedFd<'_>,
        entries: usize,
    ) -> Result<usize, Errno> {
        let to_submit = c_uint::try_from(entries).unwrap_or(c_uint::MAX);
        let arg = self.argument();
        // SAFETY: as in `enter`; the argument is of this size.
        let result = unsafe {
            libc::syscall(
                libc::SYS_io_uring_enter,
                c_long::from(ring.as_raw_fd()),
                to_submit,
                1 as c_uint,
                FLAGS,
                ptr::from_ref(&arg).cast::<c_void>(),
                size_of::<GeteventsArg>(),
            )
        };
        sys::check(result).map(|count| count.try_into().unwrap_or(0))
    }

    /// It points to this, for as long as that lives.
    fn argument(&self) -> GeteventsArg {
        GeteventsArg {
            sigmask: 0,
            sigmask_sz: 0,
            min_wait_usec: self.minimum,
            ts: self.timeout.as_ref().map_or(ptr::null(), ptr::from_ref),
        }
    }
}
