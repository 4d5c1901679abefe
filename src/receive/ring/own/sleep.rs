//! Sleeping until there is something to take.

use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::Errno;

use super::{Inner, OwnRing, Queues, Ring, Submission};
use crate::error::{Error, Op};
use crate::receive::SignalFd;
use crate::receive::ring::Shots;
use crate::sys::{self, Deadline};

/// What a thread has come to that sleeps until the ring has filled a buffer.
///
/// What it pushes it submits in the call that it sleeps in, after its turn. If another
/// thread has submitted that meanwhile, with something of its own perhaps, the kernel
/// takes less here, and does not wait: then the request is made again, and submitted
/// in the turn.
///
/// Otherwise the request is taken over once. If all who sleep did that whenever they
/// wake, they would wake each other for ever.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sleeper {
    /// It is to make the request, unless that is in the ring on its behalf.
    Begins,
    /// Another thread may have submitted its request.
    IsInDoubt,
    /// The request was made.
    HasBegun,
}

/// How a thread sleeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Bed {
    /// Not at all: there is something, or the ring has failed.
    None,
    /// In the call that submits so many entries.
    Ring(usize),
    /// In a poll of what others wait for.
    ///
    /// What it does not submit itself may be refused to whoever does, and then no
    /// completion ever comes. So it sleeps in a poll of what has the signalfd in it from
    /// then on.
    Readable,
    /// In a poll of that and the signalfd: while it has had no turn nothing reads on its
    /// behalf, so it looks for signals of its own as well.
    Both,
}

impl<R: Ring> OwnRing<R> {
    /// Sees to it that the request is in the ring, and tells how to sleep.
    pub(super) fn lie_down(
        &self,
        sleeper: &mut Sleeper,
        signalfd: &SignalFd,
        tell: &dyn Fn(),
    ) -> Bed {
        let fd = signalfd.as_fd();
        // Where another thread has its turn, that one gets ready.
        let turn = self.turn(tell, signalfd, |inner| {
            match sleeper {
                Sleeper::Begins => return self.push_last(inner, fd),
                Sleeper::IsInDoubt => {
                    inner.disown();
                    self.take_over(inner, fd);
                }
                Sleeper::HasBegun => self.get_ready(inner, fd),
            }
            self.peek(inner, fd).is_none().then_some(0)
        });
        match turn {
            _ if self.failure().is_some() => Bed::None,
            // There is something.
            Some(None) => Bed::None,
            Some(Some(pushed @ 1..)) => Bed::Ring(pushed),
            Some(Some(0)) => {
                *sleeper = Sleeper::HasBegun;
                Bed::Readable
            }
            // Who has it leaves completions in the queue for as long as they bring
            // something, and they end the wait.
            None => Bed::Both,
        }
    }

    /// Sleeps in the call that submits what it has pushed. Tells whether the thread may go
    /// away if its time is over: what is left in the queue nobody else might submit.
    pub(super) fn sleep_in_ring(
        &self,
        sleeper: &mut Sleeper,
        pushed: usize,
        deadline: Deadline,
        signalfd: BorrowedFd<'_>,
    ) -> Result<bool, Error> {
        let count = self.enter(pushed, deadline, signalfd)?;
        let is_submitted = count == pushed;
        *sleeper =
            if is_submitted { Sleeper::HasBegun } else { Sleeper::IsInDoubt };
        Ok(is_submitted)
    }

    /// Sleeps in its turn, until the signalfd is readable. The caller has found nothing
    /// to take.
    pub(super) fn sleep_in_turn(
        &self,
        inner: &mut Inner<R::Queues>,
        deadline: Deadline,
        signalfd: BorrowedFd<'_>,
    ) -> Result<(), Error> {
        // What is there came before the caller looked, or after: it has to look again.
        if self.note_all(inner, signalfd) {
            return Ok(());
        }
        let is_armed = self.is_armed_here(inner)
            || self.push_request(inner, Shots::One, signalfd).is_some();
        if is_armed {
            // Also what an earlier call should have submitted and did not: it was
            // interrupted, or memory was short.
            let pushed = inner.queues.unsubmitted();
            let count = self.enter(pushed, deadline, signalfd)?;
            if count < pushed && self.failure().is_none() {
                // What is left in the queue nobody would submit.
                let error = Error::os(Op::UringEnter, Errno::AGAIN);
                self.fail(error, signalfd);
            }
            self.note_all(inner, signalfd);
        }
        Ok(())
    }

    /// Takes the request out of the ring, if it stands there: each signal would wake the
    /// thread that lets them gather. Who takes next puts it there again.
    pub(crate) fn withdraw(&self, signalfd: &SignalFd, tell: &dyn Fn()) {
        if self.stands() && self.failure().is_none() {
            let fd = signalfd.as_fd();
            let _done =
                self.turn(tell, signalfd, |inner| self.cancel(inner, fd));
        }
    }

    /// Asks for the request to be cancelled, if there is one.
    pub(super) fn cancel(
        &self,
        inner: &mut Inner<R::Queues>,
        signalfd: BorrowedFd<'_>,
    ) {
        if inner.request.is_in_flight() {
            self.submit(inner, &Submission::Cancel(inner.last), signalfd);
        }
    }
}

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
            // The signalfd as well: it may be that it could not be added to what others
            // wait for.
            let both = [self.readable(fd), fd];
            return self.poll(both, deadline);
        }
        if self.reads() {
            // Before the request is looked at: see `Sleepers`.
            let _asleep = self.sleepers.add_one();
            return self.sleep_until_filled(signalfd, deadline, tell);
        }
        let turn =
            self.turns.take(|inner| self.sleep_in_turn(inner, deadline, fd));
        match turn {
            Some(turn) => turn.result,
            None => self.poll([fd], deadline),
        }
    }

    /// Sleeps until a completion brings records, or the deadline is over.
    fn sleep_until_filled(
        &self,
        signalfd: &SignalFd,
        deadline: Deadline,
        tell: &dyn Fn(),
    ) -> Result<(), Error> {
        let fd = signalfd.as_fd();
        let readable = self.readable(fd);
        let mut sleeper = Sleeper::Begins;
        loop {
            match self.lie_down(&mut sleeper, signalfd, tell) {
                Bed::None => return Ok(()),
                Bed::Ring(pushed) => {
                    if !self.sleep_in_ring(
                        &mut sleeper,
                        pushed,
                        deadline,
                        fd,
                    )? {
                        continue;
                    }
                }
                Bed::Readable => self.poll([readable], deadline)?,
                Bed::Both => self.poll([readable, fd], deadline)?,
            }
            if deadline.is_over() {
                return Ok(());
            }
        }
    }

    /// Sleeps until one of these is readable, the deadline is over, or a handler has forked
    /// and this is the child.
    fn poll<const N: usize>(
        &self,
        fds: [BorrowedFd<'_>; N],
        deadline: Deadline,
    ) -> Result<(), Error> {
        sys::poll(fds, deadline, || self.birth.check()).map(drop)
    }

    /// What others wait for; if there is none, the signalfd.
    fn readable<'f>(&'f self, signalfd: BorrowedFd<'f>) -> BorrowedFd<'f> {
        self.ring.readable.as_ref().map_or(signalfd, AsFd::as_fd)
    }
}
