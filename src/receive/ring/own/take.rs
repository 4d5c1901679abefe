//! Taking what the ring has read.

use core::mem;
use core::ops::ControlFlow;
use core::sync::atomic::Ordering;

use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::Errno;

use super::{Inner, OwnRing, Queues, Ring};
use crate::error::{Error, Op};
use crate::receive::SignalFd;
use crate::receive::engine::Next;
use crate::receive::ring::turn::Done;
use crate::receive::ring::{Kernel, RECORDS, Shots, hand_out};
use crate::signal::SigInfo;

/// How often a request is made in a row that ends each time without a record.
const ATTEMPTS: u32 = 8;

impl<R: Ring> OwnRing<R> {
    /// Takes records, when the ring reads. Records that are not wanted go back to the
    /// kernel.
    ///
    /// Afterwards there is something to take or a request in the ring, and if something
    /// came, but less than there is room for, one on behalf of this thread; unless the caller
    /// takes care of that. Or else another thread has its turn; that one then hears of it,
    /// and tells when it is done. If the ring does not read, or not any more, the caller may
    /// go on to read the signalfd (`Continue`).
    ///
    /// # Errors
    ///
    /// Those of reading the signalfd.
    pub(crate) fn take(
        &self,
        room: &mut [SigInfo],
        signalfd: &SignalFd,
        next: Next,
        tell: &dyn Fn(),
    ) -> Result<ControlFlow<usize, usize>, Error> {
        if !self.reads() {
            return Ok(ControlFlow::Continue(0));
        }
        let taken = self.turn(tell, signalfd, |inner| {
            let taken = self.fill(inner, room, next, signalfd)?;
            let room: &[SigInfo] = room;
            let records = room.get(..taken).unwrap_or_default();
            Ok(Taken { own: self, records })
        });
        let taken = taken.transpose()?;
        let Some(taken) = taken.map(Taken::count) else {
            return Ok(ControlFlow::Break(0));
        };
        // A batch that is not full is the end, also of what is pending now.
        Ok(if self.failure().is_some() {
            ControlFlow::Continue(taken)
        } else {
            ControlFlow::Break(taken)
        })
    }

    /// Takes the turn, unless another thread has it. Those who came in vain meanwhile are
    /// told.
    pub(super) fn turn<T>(
        &self,
        tell: &dyn Fn(),
        signalfd: &SignalFd,
        f: impl FnOnce(&mut Inner<R::Queues>) -> T,
    ) -> Option<T> {
        let Done { result, was_noted } = self.turns.take(|inner| {
            self.catch_up(inner, signalfd.as_fd());
            f(inner)
        })?;
        let mut others = Others { own: self, signalfd, was_noted };
        while others.are_seen_to() {
            tell();
        }
        Some(result)
    }

    fn fill(
        &self,
        inner: &mut Inner<R::Queues>,
        room: &mut [SigInfo],
        next: Next,
        signalfd: &SignalFd,
    ) -> Result<usize, Error> {
        let mut taken = 0;
        let mut patience = ATTEMPTS;
        loop {
            let before = taken;
            let rest = room.get_mut(taken..).unwrap_or_default();
            let mut kernel = self.ring.kernel(self.birth);
            taken += hand_out(
                rest,
                signalfd,
                |info| kernel.give_back(info),
                |place| self.next(inner, place, signalfd.as_fd()),
            );
            // Who got all it asked for may wait for the descriptor as well as ask
            // for more, and who got less will wait.
            let is_full = taken == room.len();
            let is_in_flight = inner.request.is_in_flight();
            let is_of_another = is_in_flight && !self.is_armed_here(inner);
            let is_empty = taken == 0 && !is_full;
            if is_empty && is_of_another && !self.ring.is_pending(signalfd) {
                // That thread would wake if it were taken over, find nothing, and take
                // it over in its turn. What is pending could be read here as well, but
                // not in order, since the ring may be at it.
                return Ok(0);
            }
            // What is pending may be for this thread, and is not seen by that one; and who
            // waits for no time does not sleep, which would take it over.
            let takes_over = is_empty && is_of_another;
            if next != Next::Go && !self.is_awaited() && !takes_over {
                // A buffer with room left is the end, as a short read is, if it was filled
                // since this thread has begun to wait.
                let is_end =
                    next == Next::WaitOn && taken > 0 && !inner.was_filled;
                if is_full || is_end || is_in_flight {
                    return Ok(taken);
                }
                // In the turn: another thread's request might read what comes first.
                return self.ring.read(signalfd, room, taken);
            }
            let is_armed = if is_full {
                self.peek(inner, signalfd.as_fd()).is_some() || is_in_flight
            } else {
                self.is_armed_here(inner)
            };
            if taken > before {
                patience = ATTEMPTS;
            }
            if is_armed
                || !self.arm_patiently(inner, &mut patience, signalfd.as_fd())
                || is_full
            {
                return Ok(taken);
            }
        }
    }

    /// Arms the request, but not for ever if it ends each time at once.
    fn arm_patiently(
        &self,
        inner: &mut Inner<R::Queues>,
        patience: &mut u32,
        signalfd: BorrowedFd<'_>,
    ) -> bool {
        if *patience == 0 {
            self.fail(Error::os(Op::UringRead, Errno::AGAIN), signalfd);
            return false;
        }
        *patience -= 1;
        self.arm(inner, self.shots(), signalfd)
    }

    fn shots(&self) -> Shots {
        if self.stands() { Shots::Many } else { Shots::One }
    }

    /// Takes the next record, and lets go of the completions before it.
    fn next(
        &self,
        inner: &mut Inner<R::Queues>,
        place: &mut SigInfo,
        signalfd: BorrowedFd<'_>,
    ) -> bool {
        while let Some(completion) = self.peek(inner, signalfd) {
            let Some((buffer, records)) = completion.filled() else {
                self.pass_over(inner, completion, signalfd);
                continue;
            };
            let Some(buffers) = &mut inner.buffers else { break };
            let is_there = buffers.take(buffer, inner.taken, place);
            inner.taken += 1;
            if inner.taken >= records {
                buffers.put(buffer);
                inner.taken = 0;
                inner.was_filled = records == RECORDS;
                self.let_go(inner, signalfd);
            }
            if is_there {
                return true;
            }
        }
        false
    }

    /// Makes sure that a signal will make the descriptor readable.
    pub(crate) fn prepare(&self, signalfd: &SignalFd, tell: &dyn Fn()) {
        if !self.reads() || self.failure().is_some() {
            return;
        }
        // Where another thread has its turn, that one does.
        let take_over = |inner: &mut _| self.take_over(inner, signalfd.as_fd());
        let _done = self.turn(tell, signalfd, take_over);
    }

    /// Arms the request, unless it is in the ring or there is something to take.
    pub(super) fn get_ready(
        &self,
        inner: &mut Inner<R::Queues>,
        signalfd: BorrowedFd<'_>,
    ) {
        self.arm_unless(inner, signalfd, |it| it.request.is_in_flight());
    }

    /// Arms the request on behalf of this thread, unless there is something to take.
    pub(super) fn take_over(
        &self,
        inner: &mut Inner<R::Queues>,
        signalfd: BorrowedFd<'_>,
    ) {
        self.arm_unless(inner, signalfd, |it| self.is_armed_here(it));
    }

    /// Puts the request into the queue on behalf of this thread, unless it is in the ring
    /// or there is something to take. Tells how many entries are to be submitted; `None`
    /// if there is something, or the ring has failed.
    pub(super) fn push_last(
        &self,
        inner: &mut Inner<R::Queues>,
        signalfd: BorrowedFd<'_>,
    ) -> Option<usize> {
        while let Some(completion) = self.peek(inner, signalfd) {
            if completion.filled().is_some() {
                return None;
            }
            self.pass_over(inner, completion, signalfd);
        }
        if self.is_armed_here(inner) {
            return Some(0);
        }
        self.push_request(inner, self.shots(), signalfd)
    }

    fn arm_unless(
        &self,
        inner: &mut Inner<R::Queues>,
        signalfd: BorrowedFd<'_>,
        is_armed: impl Fn(&Inner<R::Queues>) -> bool,
    ) {
        let mut patience = ATTEMPTS;
        loop {
            match self.peek(inner, signalfd) {
                Some(completion) if completion.filled().is_some() => return,
                Some(completion) => self.pass_over(inner, completion, signalfd),
                None if is_armed(inner) => return,
                None => {
                    if !self.arm_patiently(inner, &mut patience, signalfd) {
                        return;
                    }
                }
            }
        }
    }

    /// The set has changed: what the ring has read and is not in it any more goes back.
    pub(crate) fn unwant(&self, signalfd: &SignalFd, tell: &dyn Fn()) {
        if self.reads() {
            self.is_narrowed.store(true, Ordering::SeqCst);
            // Where another thread has its turn, that one does it when it leaves.
            let _done = self.turn(tell, signalfd, |inner| {
                self.put_back_unwanted(inner, signalfd);
            });
        }
    }

    fn put_back_unwanted(
        &self,
        inner: &mut Inner<R::Queues>,
        signalfd: &SignalFd,
    ) {
        if !self.is_narrowed.swap(false, Ordering::SeqCst) {
            return;
        }
        // Once: of a descriptor from elsewhere others may have widened the set, and what goes
        // back comes again.
        let wanted = signalfd.signals();
        let Some(buffers) = &mut inner.buffers else { return };
        let mut begin = inner.taken;
        inner.queues.for_each(|completion| {
            let Some((buffer, records)) = completion.filled() else { return };
            for at in begin..records {
                buffers.take_if(buffer, at, |info| {
                    let mut kernel = self.ring.kernel(self.birth);
                    !wanted.has(info.signal()) && kernel.give_back(info)
                });
            }
            begin = 0;
        });
    }
}

/// What has been taken, before the caller has it. If a waker panics, it goes back.
struct Taken<'t, R: Ring> {
    own: &'t OwnRing<R>,
    records: &'t [SigInfo],
}

impl<R: Ring> Taken<'_, R> {
    fn count(self) -> usize {
        mem::ManuallyDrop::new(self).records.len()
    }
}

impl<R: Ring> Drop for Taken<'_, R> {
    fn drop(&mut self) {
        let mut kernel = self.own.ring.kernel(self.own.birth);
        for info in self.records {
            // It fails only where there is no memory to keep it in.
            let _is_back = kernel.give_back(info);
        }
    }
}

/// Those who came in vain while a thread had its turn. They may wait for the waker or for
/// an edge of the descriptor. If the waker panics, they have the edge.
struct Others<'t, R: Ring> {
    own: &'t OwnRing<R>,
    signalfd: &'t SignalFd,
    was_noted: bool,
}

impl<R: Ring> Others<'_, R> {
    /// Sees to it that there is something to take, or a request in the ring. Tells whether
    /// somebody has to be told.
    fn are_seen_to(&mut self) -> bool {
        if !self.was_noted {
            return false;
        }
        let Self { own, signalfd, .. } = *self;
        // Somebody may be about to sleep. If yet another one has the turn by now,
        // that one does this.
        let see_to_all = |inner: &mut _| {
            own.catch_up(inner, signalfd.as_fd());
            own.put_back_unwanted(inner, signalfd);
            own.get_ready(inner, signalfd.as_fd());
        };
        self.was_noted =
            own.turns.take(see_to_all).is_some_and(|it| it.was_noted);
        own.ring.show_again();
        true
    }
}

impl<R: Ring> Drop for Others<'_, R> {
    fn drop(&mut self) {
        while self.are_seen_to() {}
    }
}
