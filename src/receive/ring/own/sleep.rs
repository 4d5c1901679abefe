//! Sleeping until there is something to take.

use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::Errno;

use super::OwnRing;
use super::queues::Inner;
use crate::error::{Error, Op};
use crate::receive::SignalFd;
use crate::receive::ring::{Shots, Stay};
use crate::sys::{self, Deadline, wait};

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
                let count = self.enter(pushed, deadline, fd);
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
                    is_in_doubt = self.enter(pushed, deadline, fd) < pushed;
                    has_begun = !is_in_doubt;
                }
                Some(Some(0)) => {
                    (has_begun, is_in_doubt) = (true, false);
                    sys::poll(readable, deadline)?;
                }
                // Who has it leaves completions in the queue for as long as they bring
                // something, and they end the wait.
                None => {
                    wait::poll_any([readable, fd], deadline)?;
                }
            }
            if deadline.is_over() {
                return Ok(());
            }
        }
    }

    /// Takes the request out of the ring, if it stands there: each signal would wake the
    /// thread that lets them gather. Who takes next puts it there again.
    pub(crate) fn withdraw(&self, signalfd: &SignalFd, tell: &dyn Fn()) {
        if self.stands() && self.failure().is_none() {
            let cancel = |inner: &mut Inner| {
                if inner.request.is_in_flight() {
                    self.submit(&[inner.cancel()], signalfd.as_fd());
                }
            };
            let _done = self.turn(tell, signalfd, cancel);
        }
    }

    /// Waits for a completion.
    pub(super) fn wait(&self, signalfd: BorrowedFd<'_>, deadline: Deadline) {
        self.enter(0, deadline, signalfd);
    }

    /// Submits so many entries, which are in the queue, and waits for a completion. Tells
    /// how many it has submitted; if that is less, the kernel has not waited.
    fn enter(
        &self,
        entries: usize,
        deadline: Deadline,
        signalfd: BorrowedFd<'_>,
    ) -> usize {
        let stay = Stay::until(deadline);
        match stay.enter(&self.ring.submitter(), entries, 1, 0) {
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
