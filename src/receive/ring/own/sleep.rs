//! Sleeping until there is something to take.

#![expect(unsafe_code, reason = "waits with a timeout")]

use io_uring::types::{SubmitArgs, Timespec};
use rustix::fd::BorrowedFd;
use rustix::io::Errno;

use super::{OwnRing, errno};
use crate::error::{Error, Op};
use crate::sys::{self, Deadline};

impl OwnRing {
    /// Sleeps until the ring has something to say or the deadline is over; or for
    /// no reason. The caller has found nothing to take.
    pub(crate) fn sleep(
        &self,
        signalfd: BorrowedFd<'_>,
        deadline: Deadline,
    ) -> Result<(), Error> {
        if self.failure().is_some() {
            let fd = self.descriptor().unwrap_or(signalfd);
            return sys::poll(fd, deadline).map(drop);
        }
        if self.reads() {
            // No turn: who has it leaves completions in the queue for as long as
            // they bring something, and they end the wait.
            self.wait(signalfd, deadline);
            return Ok(());
        }
        let turn = self.turns.take(|inner| {
            // What is there came before the caller looked, or after: it has to
            // look again.
            let is_ready = self.note_all(inner, signalfd)
                || !inner.is_armed_here() && !self.arm(inner, signalfd);
            if !is_ready {
                self.wait(signalfd, deadline);
                self.note_all(inner, signalfd);
            }
        });
        match turn {
            Some(_) => Ok(()),
            None => sys::poll(signalfd, deadline).map(drop),
        }
    }

    /// Waits for a completion.
    pub(super) fn wait(&self, signalfd: BorrowedFd<'_>, deadline: Deadline) {
        // include/uapi/linux/io_uring.h
        const IORING_ENTER_GETEVENTS: u32 = 1 << 0;
        const IORING_ENTER_EXT_ARG: u32 = 1 << 3;
        const FLAGS: u32 = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
        let timeout = deadline.left().map(|left| {
            Timespec::new().sec(left.as_secs()).nsec(left.subsec_nanos())
        });
        let args = SubmitArgs::new();
        let args = match &timeout {
            Some(timeout) => args.timespec(timeout),
            None => args,
        };
        let submitter = self.ring.submitter();
        // SAFETY: nothing is submitted, and the argument is the
        // `io_uring_getevents_arg` that the flag promises, with a timeout that
        // lives past the call (io_uring_enter(2)).
        let result = unsafe { submitter.enter(0, 1, FLAGS, Some(&args)) };
        if let Err(error) = result {
            match errno(&error) {
                Errno::INTR | Errno::TIME => {}
                errno => self.fail(Error::os(Op::UringEnter, errno), signalfd),
            }
        }
    }
}
