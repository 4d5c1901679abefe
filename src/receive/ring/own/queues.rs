//! The two queues, and what goes with them. Everything here is called by the thread
//! that has the turn.

#![expect(unsafe_code, reason = "the queues of a ring shared between threads")]

use core::mem::ManuallyDrop;

use io_uring::{cqueue, opcode, squeue};
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::Errno;

use super::{GROUP, OwnRing};
use crate::error::{Error, Op};
use crate::receive::ring::{
    self, Buffers, Outcome, Request, Shots, Target, errno,
};
use crate::sys;

/// What is for one thread at a time, together with the ring's two queues.
pub(super) struct Inner {
    pub(super) request: Request,
    /// The number of the submission that `request` is.
    pub(super) last: u64,
    /// The thread that made it, as far as that is known.
    thread: u32,
    /// How many earlier submissions have not ended.
    earlier: u32,
    /// Present when the ring reads.
    pub(super) buffers: Option<Buffers>,
    /// How much was taken of the buffer that the first completion names.
    pub(super) taken: usize,
    /// Whether the last buffer that all was taken of had no room left: there may have
    /// been more to read.
    pub(super) was_filled: bool,
}

/// The `user_data` of what is submitted besides requests, and not looked at.
const ASIDE: u64 = 0;
/// No thread has this number.
const NOBODY: u32 = 0;

impl OwnRing {
    /// Puts the request into the queue, on behalf of this thread, which is then to
    /// submit what is there: so many entries.
    pub(super) fn push_request(
        &self,
        inner: &mut Inner,
        shots: Shots,
        signalfd: BorrowedFd<'_>,
    ) -> Option<usize> {
        if self.failure().is_some() {
            return None;
        }
        let cancel = inner.cancel();
        let was_in_flight = inner.request.is_in_flight();
        if was_in_flight {
            inner.earlier += 1;
            inner.request.disarm();
        }
        if let Err(error) = inner.request.arm() {
            self.fail(error, signalfd);
            return None;
        }
        inner.last += 1;
        inner.thread = sys::thread_number();
        let target = Target::Descriptor(signalfd.as_raw_fd());
        let entry = inner.request.entry(target, GROUP, shots);
        let both = [cancel, entry.user_data(inner.last)];
        let entries = if was_in_flight { &both[..] } else { &both[1..] };
        self.push(entries, signalfd)
    }

    /// Has the request made, on behalf of this thread.
    pub(super) fn arm(
        &self,
        inner: &mut Inner,
        shots: Shots,
        signalfd: BorrowedFd<'_>,
    ) -> bool {
        let Some(queued) = self.push_request(inner, shots, signalfd) else {
            return false;
        };
        let submitted = self.submit_all(queued, signalfd);
        if submitted == Some(false) {
            inner.disown();
        }
        submitted.is_some()
    }

    /// Submits what another thread has pushed and not submitted. That one may be long in
    /// coming, and when it does it hears that less was there.
    pub(super) fn catch_up(&self, inner: &mut Inner, signalfd: BorrowedFd<'_>) {
        let queued = self.unsubmitted();
        if queued > 0 && self.failure().is_none() {
            inner.disown();
            let _submitted = self.submit_all(queued, signalfd);
        }
    }

    pub(super) fn submit(
        &self,
        entries: &[squeue::Entry],
        signalfd: BorrowedFd<'_>,
    ) {
        if let Some(queued) = self.push(entries, signalfd) {
            let _submitted = self.submit_all(queued, signalfd);
        }
    }

    /// Tells how many are in the queue with these.
    fn push(
        &self,
        entries: &[squeue::Entry],
        signalfd: BorrowedFd<'_>,
    ) -> Option<usize> {
        // SAFETY: this thread has the turn, so there is no other value of this
        // type, and it ends with the statement.
        let mut queue = unsafe { self.ring.submission_shared() };
        // SAFETY: a request names no memory but, by its group, the buffers, which
        // stay mapped until it has ended (`drop`); the others name none at all.
        let pushed = unsafe { queue.push_multiple(entries) };
        let queued = queue.len();
        drop(queue);
        if pushed.is_err() {
            // There are more places than are ever in use.
            self.fail(Error::os(Op::UringEnter, Errno::BUSY), signalfd);
        }
        pushed.is_ok().then_some(queued)
    }

    /// How much was pushed and not submitted.
    pub(super) fn unsubmitted(&self) -> usize {
        // SAFETY: this thread has the turn, so there is no other value of this type,
        // and it ends with the statement.
        unsafe { self.ring.submission_shared() }.len()
    }

    /// Submits all that is in the queue, and tells whether it was this thread that did, as
    /// far as it was so many entries. `None` if the ring has failed.
    fn submit_all(
        &self,
        queued: usize,
        signalfd: BorrowedFd<'_>,
    ) -> Option<bool> {
        let result = loop {
            match self.ring.submit().map_err(|error| errno(&error)) {
                Ok(count) if self.unsubmitted() == 0 => {
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

    /// The first completion, which stays there.
    pub(super) fn peek(&self) -> Option<cqueue::Entry> {
        self.first().or_else(|| {
            // SAFETY: this thread has the turn, so there is no other value of this
            // type, and it ends with the statement.
            let queue = unsafe { self.ring.submission_shared() };
            if !queue.cq_overflow() {
                return None;
            }
            drop(queue);
            // The kernel keeps completions that the queue had no room for, and
            // brings them when it is entered.
            let _flushed = self.ring.submit();
            self.first()
        })
    }

    fn first(&self) -> Option<cqueue::Entry> {
        // SAFETY: this thread has the turn, so there is no other value of this
        // type. Not being dropped it lets go of nothing.
        let queue = unsafe { self.ring.completion_shared() };
        ManuallyDrop::new(queue).next()
    }

    /// Lets go of the first completion, and takes note of what it says.
    pub(super) fn let_go(&self, inner: &mut Inner, signalfd: BorrowedFd<'_>) {
        // SAFETY: this thread has the turn, so there is no other value of this
        // type, and it ends with the statement.
        let entry = unsafe { self.ring.completion_shared() }.next();
        if let Some(Err(error)) = entry.map(|entry| inner.note(&entry)) {
            self.fail(error, signalfd);
        }
    }

    /// Lets go of all completions, and tells whether there was one.
    pub(super) fn note_all(
        &self,
        inner: &mut Inner,
        signalfd: BorrowedFd<'_>,
    ) -> bool {
        let mut was_there = false;
        while self.peek().is_some() {
            was_there = true;
            self.let_go(inner, signalfd);
        }
        was_there
    }
}

impl Inner {
    pub(super) const fn new(request: Request) -> Self {
        Self {
            request,
            last: ASIDE,
            thread: NOBODY,
            earlier: 0,
            buffers: None,
            taken: 0,
            was_filled: false,
        }
    }

    /// The submission that cancels the request.
    pub(super) fn cancel(&self) -> squeue::Entry {
        opcode::AsyncCancel::new(self.last).build().user_data(ASIDE)
    }

    /// Whether the request is in the ring on behalf of this thread.
    pub(super) fn is_armed_here(&self) -> bool {
        self.request.is_in_flight() && self.thread == sys::thread_number()
    }

    /// Another thread may have submitted it.
    pub(super) const fn disown(&mut self) {
        self.thread = NOBODY;
    }

    pub(super) const fn is_quiet(&self) -> bool {
        self.earlier == 0 && !self.request.is_in_flight()
    }

    /// Takes note of what a completion says of its request.
    pub(super) fn note(&mut self, entry: &cqueue::Entry) -> Result<(), Error> {
        if entry.user_data() == self.last {
            let result = self.request.complete(entry.result(), entry.flags());
            return result.map(drop);
        }
        if entry.user_data() != ASIDE && !cqueue::more(entry.flags()) {
            self.earlier = self.earlier.saturating_sub(1);
        }
        Ok(())
    }
}

/// A submission that does nothing but complete.
pub(super) fn nothing() -> squeue::Entry {
    opcode::Nop::new().build().user_data(ASIDE)
}

/// Which buffer a completion says was filled, and with how many records.
pub(super) fn filled(entry: &cqueue::Entry) -> Option<(u16, usize)> {
    let bytes = usize::try_from(entry.result()).ok()?;
    if entry.user_data() == ASIDE {
        return None;
    }
    match ring::filled(bytes, entry.flags()) {
        Ok(Outcome::Filled { buffer, records }) => Some((buffer, records)),
        _ => None,
    }
}
