//! Sleeping until there is something to take.

#![expect(unsafe_code, reason = "waits with a timeout")]

use core::ptr;

use io_uring::types::Timespec;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::Errno;

use super::{BUFFERS, OwnRing, PATIENCE, errno};
use crate::error::{Error, Op};
use crate::receive::SignalFd;
use crate::receive::ring::Shots;
use crate::sys::{self, Deadline};

impl OwnRing {
    /// Sleeps until the ring has something to say or the deadline is over; or for
    /// no reason. The caller has found nothing to take.
    pub(crate) fn sleep(
        &self,
        signalfd: &SignalFd,
        deadline: Deadline,
        tell: &dyn Fn(),
    ) -> Result<(), Error> {
        let fd = signalfd.as_fd();
        if self.failure().is_some() {
            let readable = self.readable.as_ref().map(AsFd::as_fd);
            return sys::poll(readable.unwrap_or(fd), deadline).map(drop);
        }
        if self.reads() {
            // Before the request is looked at: see `Sleepers`.
            let _asleep = self.sleepers.add_one();
            return self.sleep_until_filled(signalfd, deadline, tell);
        }
        let turn = self.turns.take(|inner| {
            // What is there came before the caller looked, or after: it has to
            // look again.
            if self.note_all(inner, fd) {
                return;
            }
            let is_armed = inner.is_armed_here()
                || self.push_request(inner, Shots::One, fd).is_some();
            if is_armed {
                // Also what an earlier call should have submitted and did not: it was
                // interrupted, or memory was short.
                let pushed = self.unsubmitted();
                let count =
                    self.enter(pushed, 1, &Arguments::new(deadline), fd);
                if count < pushed && self.failure().is_none() {
                    // What is left in the queue nobody would submit.
                    self.fail(Error::os(Op::UringEnter, Errno::AGAIN), fd);
                }
                self.note_all(inner, fd);
            }
        });
        match turn {
            Some(_) => Ok(()),
            None => sys::poll(fd, deadline).map(drop),
        }
    }

    /// Sleeps until a completion brings records, or the deadline is over.
    ///
    /// What it pushes it submits in the call that it sleeps in, after its turn. If another
    /// thread has submitted that meanwhile, with something of its own perhaps, the kernel
    /// takes less here, and does not wait: then the request is made again, and submitted
    /// in the turn.
    ///
    /// Otherwise the request is taken over once. If all who sleep did that whenever they
    /// wake, they would wake each other for ever.
    ///
    /// What it does not submit itself may be refused to whoever does, and then no
    /// completion ever comes. So it sleeps in a poll of what has the signalfd in it from
    /// then on. While it has had no turn nothing reads on its behalf, so it looks for
    /// signals of its own as well.
    fn sleep_until_filled(
        &self,
        signalfd: &SignalFd,
        deadline: Deadline,
        tell: &dyn Fn(),
    ) -> Result<(), Error> {
        let fd = signalfd.as_fd();
        let readable = self.readable.as_ref().map_or(fd, AsFd::as_fd);
        let (mut has_begun, mut is_in_doubt) = (false, false);
        loop {
            // Where another thread has its turn, that one gets ready.
            let turn = self.turn(tell, signalfd, |inner| {
                if has_begun {
                    self.get_ready(inner, fd);
                } else if is_in_doubt {
                    inner.disown();
                    self.take_over(inner, fd);
                } else {
                    return self.push_last(inner, fd);
                }
                self.peek().is_none().then_some(0)
            });
            if self.failure().is_some() {
                return Ok(());
            }
            match turn {
                // There is something.
                Some(None) => return Ok(()),
                Some(Some(pushed @ 1..)) => {
                    let args = Arguments::new(deadline);
                    is_in_doubt = self.enter(pushed, 1, &args, fd) < pushed;
                    has_begun = !is_in_doubt;
                }
                Some(Some(0)) => {
                    (has_begun, is_in_doubt) = (true, false);
                    sys::poll(readable, deadline)?;
                }
                // Who has it leaves completions in the queue for as long as they bring
                // something, and they end the wait.
                None => {
                    sys::poll_any([readable, fd], deadline)?;
                }
            }
            if deadline.is_over() {
                return Ok(());
            }
        }
    }

    /// Lets signals gather, if the ring reads them meanwhile: sleeps until then, or until there
    /// are so many completions. Tells whether it did.
    ///
    /// Where the kernel has a minimum to wait (Linux 6.12) and there is a deadline, it goes
    /// on for as long as there is none.
    pub(crate) fn rest(
        &self,
        signalfd: &SignalFd,
        until: Deadline,
        missing: usize,
        deadline: Deadline,
    ) -> bool {
        if !self.stands() || self.failure().is_some() {
            return false;
        }
        // Signals that come one by one fill a buffer each, and when there is none left
        // no more of them come.
        let most = u32::from(BUFFERS / 2);
        let missing = u32::try_from(missing).map_or(most, |it| it.min(most));
        let minimum = until.left().unwrap_or_default().as_micros();
        let args = match u32::try_from(minimum) {
            Ok(minimum) if self.ring.params().is_feature_min_timeout() => {
                // Not for ever, since another thread may be refused the next request.
                let end = deadline.earlier(Deadline::after(Some(PATIENCE)));
                Arguments::new(end).minimum(minimum)
            }
            _ => Arguments::new(until),
        };
        self.enter(0, missing, &args, signalfd.as_fd());
        true
    }

    /// Waits for a completion.
    pub(super) fn wait(&self, signalfd: BorrowedFd<'_>, deadline: Deadline) {
        self.enter(0, 1, &Arguments::new(deadline), signalfd);
    }

    /// Submits so many entries, which are in the queue, and waits for so many
    /// completions. Tells how many it has submitted; if that is less, the kernel has not
    /// waited.
    fn enter(
        &self,
        entries: usize,
        completions: u32,
        args: &Arguments,
        signalfd: BorrowedFd<'_>,
    ) -> usize {
        // include/uapi/linux/io_uring.h
        const IORING_ENTER_GETEVENTS: u32 = 1 << 0;
        const IORING_ENTER_EXT_ARG: u32 = 1 << 3;
        const FLAGS: u32 = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
        let to_submit = entries.try_into().unwrap_or(u32::MAX);
        let args = args.for_the_kernel();
        let submitter = self.ring.submitter();
        // SAFETY: the argument is the `io_uring_getevents_arg` that the flag promises,
        // with a timeout that lives past the call (io_uring_enter(2)). What is submitted
        // was pushed by `push`, which answers for it.
        let result = unsafe {
            submitter.enter(to_submit, completions, FLAGS, Some(&args))
        };
        match result.map_err(|error| errno(&error)) {
            Ok(count) => count.min(entries),
            // It has submitted all, or there was nothing to submit.
            Err(Errno::INTR | Errno::TIME) => entries,
            Err(errno) => {
                self.fail(Error::os(Op::UringEnter, errno), signalfd);
                0
            }
        }
    }
}

/// How long a wait is.
struct Arguments {
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

impl Arguments {
    fn new(deadline: Deadline) -> Self {
        let timeout = deadline.left().map(|left| {
            Timespec::new().sec(left.as_secs()).nsec(left.subsec_nanos())
        });
        Self { timeout, minimum: 0 }
    }

    const fn minimum(self, microseconds: u32) -> Self {
        Self { minimum: microseconds, ..self }
    }

    /// It points to this, for as long as that lives.
    fn for_the_kernel(&self) -> GeteventsArg {
        GeteventsArg {
            sigmask: 0,
            sigmask_sz: 0,
            min_wait_usec: self.minimum,
            ts: self.timeout.as_ref().map_or(ptr::null(), ptr::from_ref),
        }
    }
}
