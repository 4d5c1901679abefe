//! What goes through the two queues.

use io_uring::cqueue;
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::Errno;

use super::{Completion, GROUP, OwnRing, Queues, Ring, Submission};
use crate::error::{Error, Op};
use crate::receive::ring::{
    self, BUFFERS, Buffers, Outcome, Request, Shots, Target,
};
use crate::sys::Deadline;

/// What is for one thread at a time: the ring's two queues, and what goes with them.
pub(super) struct Inner<Q> {
    pub(super) request: Request,
    /// The number of the submission that `request` is.
    pub(super) last: u64,
    /// The thread that made it, as far as that is known.
    thread: u32,
    /// How many earlier submissions have not ended.
    pub(super) earlier: u32,
    /// Present when the ring reads.
    pub(super) buffers: Option<Buffers>,
    /// How much was taken of the buffer that the first completion names.
    pub(super) taken: usize,
    /// Whether the last buffer that all was taken of had no room left: there may have
    /// been more to read.
    pub(super) was_filled: bool,
    pub(super) queues: Q,
}

/// The `user_data` of what is submitted besides requests, and not looked at.
pub(super) const ASIDE: u64 = 0;
/// No thread has this number.
const NOBODY: u32 = 0;

impl<R: Ring> OwnRing<R> {
    /// Puts the request into the queue, on behalf of this thread, which is then to
    /// submit what is there: so many entries.
    pub(super) fn push_request(
        &self,
        inner: &mut Inner<R::Queues>,
        shots: Shots,
        signalfd: BorrowedFd<'_>,
    ) -> Option<usize> {
        if self.failure().is_some() {
            return None;
        }
        if inner.request.is_in_flight() {
            self.push(inner, &Submission::Cancel(inner.last), signalfd)?;
            inner.earlier += 1;
            inner.request.disarm();
        }
        if let Err(error) = inner.request.arm() {
            self.fail(error, signalfd);
            return None;
        }
        inner.last += 1;
        inner.thread = self.ring.thread();
        let target = Target::Descriptor(signalfd.as_raw_fd());
        let entry = inner.request.entry(target, GROUP, shots);
        let request = Submission::Request(entry.user_data(inner.last));
        self.push(inner, &request, signalfd)
    }

    /// Has the request made, on behalf of this thread.
    pub(super) fn arm(
        &self,
        inner: &mut Inner<R::Queues>,
        shots: Shots,
        signalfd: BorrowedFd<'_>,
    ) -> bool {
        let Some(queued) = self.push_request(inner, shots, signalfd) else {
            return false;
        };
        let submitted = self.submit_all(inner, queued, signalfd);
        if submitted == Some(false) {
            inner.disown();
        }
        submitted.is_some()
    }

    /// Submits what another thread has pushed and not submitted. That one may be long in
    /// coming, and when it does it hears that less was there.
    pub(super) fn catch_up(
        &self,
        inner: &mut Inner<R::Queues>,
        signalfd: BorrowedFd<'_>,
    ) {
        let queued = inner.queues.unsubmitted();
        if queued > 0 && self.failure().is_none() {
            inner.disown();
            let _submitted = self.submit_all(inner, queued, signalfd);
        }
    }

    pub(super) fn submit(
        &self,
        inner: &mut Inner<R::Queues>,
        submission: &Submission,
        signalfd: BorrowedFd<'_>,
    ) {
        if let Some(queued) = self.push(inner, submission, signalfd) {
            let _submitted = self.submit_all(inner, queued, signalfd);
        }
    }

    /// Tells how many are in the queue with this.
    fn push(
        &self,
        inner: &mut Inner<R::Queues>,
        submission: &Submission,
        signalfd: BorrowedFd<'_>,
    ) -> Option<usize> {
        let queued = inner.queues.push(submission);
        if queued.is_none() {
            // There are more places than are ever in use.
            self.fail(Error::os(Op::UringEnter, Errno::BUSY), signalfd);
        }
        queued
    }

    /// Submits all that is in the queue, and tells whether it was this thread that did, as
    /// far as it was so many entries. `None` if the ring has failed.
    fn submit_all(
        &self,
        inner: &mut Inner<R::Queues>,
        queued: usize,
        signalfd: BorrowedFd<'_>,
    ) -> Option<bool> {
        let result = loop {
            match inner.queues.submit() {
                Ok(count) if inner.queues.unsubmitted() == 0 => {
                    break Ok(count == queued);
                }
                // If memory is short the kernel takes a part of it.
                Ok(0) => break Err(Errno::AGAIN),
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => break Err(errno),
            }
        };
        result
            .inspect_err(|&errno| {
                self.fail(Error::os(Op::UringEnter, errno), signalfd);
            })
            .ok()
    }

    /// Submits so many entries, which are in the queue, and waits for a completion. Tells
    /// how many this thread has submitted. Fails if a handler has forked meanwhile, and this
    /// is the child, which has the queues in common with its parent.
    pub(super) fn enter(
        &self,
        entries: usize,
        deadline: Deadline,
        signalfd: BorrowedFd<'_>,
    ) -> Result<usize, Error> {
        let entered = self.ring.enter(entries, deadline);
        self.birth.check()?;
        Ok(match entered {
            Ok(count) => count.min(entries),
            // There was nothing to submit.
            Err(Errno::INTR | Errno::TIME) => entries,
            Err(errno) => {
                self.fail(Error::os(Op::UringEnter, errno), signalfd);
                0
            }
        })
    }

    /// Whether the request is in the ring on behalf of this thread.
    pub(super) fn is_armed_here(&self, inner: &Inner<R::Queues>) -> bool {
        inner.request.is_in_flight() && inner.thread == self.ring.thread()
    }

    /// The first completion, which stays there.
    pub(super) fn peek(
        &self,
        inner: &mut Inner<R::Queues>,
        signalfd: BorrowedFd<'_>,
    ) -> Option<Completion> {
        inner.queues.first().or_else(|| {
            if !inner.queues.has_overflown() {
                return None;
            }
            // The kernel keeps completions that the queue had no room for, and
            // brings them when it is entered.
            match inner.queues.submit() {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => {
                    self.fail(Error::os(Op::UringEnter, errno), signalfd);
                }
            }
            inner.queues.first()
        })
    }

    /// Lets go of the first completion, which has filled no buffer. All that were filled
    /// before it are the kernel's again, so one that it has used up comes behind them.
    pub(super) fn pass_over(
        &self,
        inner: &mut Inner<R::Queues>,
        completion: Completion,
        signalfd: BorrowedFd<'_>,
    ) {
        if let (Some(buffer), Some(buffers)) =
            (completion.used_up(), &mut inner.buffers)
        {
            buffers.put(buffer);
        }
        self.let_go(inner, signalfd);
    }

    /// Lets go of the first completion, and takes note of what it says.
    pub(super) fn let_go(
        &self,
        inner: &mut Inner<R::Queues>,
        signalfd: BorrowedFd<'_>,
    ) {
        let Some(completion) = inner.queues.let_go() else { return };
        if let Err(error) = inner.note(completion) {
            self.fail(error, signalfd);
        }
    }

    /// Lets go of all completions, and tells whether there was one.
    pub(super) fn note_all(
        &self,
        inner: &mut Inner<R::Queues>,
        signalfd: BorrowedFd<'_>,
    ) -> bool {
        let mut was_there = false;
        while self.peek(inner, signalfd).is_some() {
            was_there = true;
            self.let_go(inner, signalfd);
        }
        was_there
    }
}

impl<Q: Queues> Inner<Q> {
    pub(super) const fn new(
        request: Request,
        buffers: Option<Buffers>,
        queues: Q,
    ) -> Self {
        Self {
            request,
            last: ASIDE,
            thread: NOBODY,
            earlier: 0,
            buffers,
            taken: 0,
            was_filled: false,
            queues,
        }
    }

    /// Another thread may have submitted it.
    pub(super) const fn disown(&mut self) {
        self.thread = NOBODY;
    }

    pub(super) const fn is_quiet(&self) -> bool {
        self.earlier == 0 && !self.request.is_in_flight()
    }

    /// Takes note of what a completion says of its request.
    fn note(&mut self, completion: Completion) -> Result<(), Error> {
        let Completion { user_data, result, flags } = completion;
        if user_data == self.last {
            return self.request.complete(result, flags).map(drop);
        }
        if user_data != ASIDE && !cqueue::more(flags) {
            self.earlier = self.earlier.saturating_sub(1);
        }
        Ok(())
    }
}

impl Completion {
    /// Which buffer it had, though it has read nothing. Where a worker of the kernel's has
    /// executed the read and that has failed, it has one that it does not give back
    /// (`io_req_complete_failed()`, seen on Linux 6.1). One that it has given back is not
    /// named any more (`io_kbuf_recycle()`), unless the error is one that ends the ring.
    fn used_up(self) -> Option<u16> {
        let has_failed = self.result < 0 && self.user_data != ASIDE;
        cqueue::buffer_select(self.flags)
            .filter(|&buffer| has_failed && buffer < BUFFERS)
    }

    /// Which buffer it says was filled, and with how many records.
    pub(super) fn filled(self) -> Option<(u16, usize)> {
        let bytes = usize::try_from(self.result).ok()?;
        if self.user_data == ASIDE {
            return None;
        }
        match ring::filled(bytes, self.flags) {
            Ok(Outcome::Filled { buffer, records }) => Some((buffer, records)),
            _ => None,
        }
    }
}
