//! A look whether the end of many signals was the end.
//!
//! A read that stands may overlook a signal after [`NOTED`] wakes or more, and then nobody
//! hears of it (`request.rs`). So at the end of many a poll of one shot goes into the ring,
//! along with the next wait: where something is pending it completes at once, else with the
//! next signal, as the read does. It carries the same `user_data` as the read, since the
//! caller has given no other, and it is told apart by what it brings:
//!
//! - **Not due.** Nothing is in the ring.
//! - **Due.** It is to be put into the ring. Where the read has ended, arming that one
//!   looks as well.
//! - **In the ring.** An event, where a read would name a buffer, is its completion.
//! - **Fired.** It says that something was pending. If the read brings something after
//!   that, it was awake. If the end comes first, the read may still be at it, where the
//!   kernel runs it beside this thread. So another look is due; if the end comes before the
//!   read once more, it has overlooked a signal, and the signalfd is announced to it.
//! - **Either.** Both were in the ring and one has ended with an error. That may be the
//!   one's or the other's, so what there is of the two is cancelled. The next last
//!   completion is taken for the read's, whose it may be.
//!
//! A look that ends with another error than `ECANCELED` was refused. There is none any more:
//! the signalfd is announced at the end of many instead. So it is where *either* lasts, since
//! the read had yet to be submitted when it was to be cancelled.

use io_uring::{cqueue, opcode, squeue};

use super::request::{NOTED, POLLIN, Target};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    NotDue,
    Due,
    InRing,
    Fired,
    Either,
}

/// Of what a completion tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Whose {
    /// Of the read: this is the result.
    Read(i32),
    /// Of the look.
    Look,
    /// Of one of them. The other one is to be cancelled.
    Either,
}

/// See the head of this file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Look {
    phase: Phase,
    /// How many were taken since the last time.
    taken: usize,
    /// Whether the last one has fired, and the read brought nothing.
    is_second: bool,
    is_refused: bool,
}

impl Look {
    pub(super) const OPCODE: u8 = opcode::PollAdd::CODE;

    pub(super) const fn new() -> Self {
        Self {
            phase: Phase::NotDue,
            taken: 0,
            is_second: false,
            is_refused: false,
        }
    }

    /// Whether it is to be put into the ring.
    pub(super) const fn is_due(&self) -> bool {
        matches!(self.phase, Phase::Due)
    }

    /// So much was taken of what there was room for, of what a read has read that stands.
    /// Tells whether the signalfd is to be announced to it.
    pub(super) fn take(&mut self, taken: usize, room: usize) -> bool {
        self.taken = self.taken.saturating_add(taken);
        if taken == room {
            return false;
        }
        if self.phase == Phase::Fired {
            let has_overlooked = self.is_second;
            self.phase =
                if has_overlooked { Phase::NotDue } else { Phase::Due };
            self.is_second = !has_overlooked;
            return has_overlooked;
        }
        if self.taken < NOTED {
            return false;
        }
        match self.phase {
            Phase::NotDue if !self.is_refused => {
                self.phase = Phase::Due;
                self.taken = 0;
                false
            }
            Phase::NotDue | Phase::Either => {
                self.taken = 0;
                true
            }
            Phase::Due | Phase::InRing | Phase::Fired => false,
        }
    }

    /// The caller puts the read into the ring, which looks as well.
    pub(super) const fn read_is_armed(&mut self) {
        if self.is_due() {
            self.forget();
        }
    }

    /// The submission: the caller puts it into the ring.
    pub(super) fn arm(&mut self, target: Target) -> squeue::Entry {
        self.phase = Phase::InRing;
        let (fd, flags) = target.fd();
        opcode::PollAdd::new(fd, POLLIN).build().flags(flags)
    }

    /// Forgets the one in the ring: its completion is no longer looked for.
    pub(super) const fn forget(&mut self) {
        self.phase = Phase::NotDue;
        self.is_second = false;
    }

    /// Looks at a completion, where the read is in the ring or not.
    pub(super) fn complete(
        &mut self,
        result: i32,
        flags: u32,
        is_reading: bool,
    ) -> Whose {
        let names_buffer = cqueue::buffer_select(flags).is_some();
        let is_last = !cqueue::more(flags);
        match self.phase {
            Phase::InRing if result > 0 && !names_buffer && is_last => {
                self.phase = Phase::Fired;
                Whose::Look
            }
            Phase::InRing
                if is_last && !names_buffer && may_be_of_look(result) =>
            {
                self.is_refused |= result != -libc::ECANCELED;
                self.is_second = false;
                self.phase =
                    if is_reading { Phase::Either } else { Phase::NotDue };
                if is_reading { Whose::Either } else { Whose::Look }
            }
            Phase::Either if is_last => {
                self.phase = Phase::NotDue;
                let is_event = result >= 0 && !names_buffer;
                Whose::Read(if is_event { -libc::ECANCELED } else { result })
            }
            phase if result > 0 && names_buffer => {
                let was_asked = phase == Phase::Due && self.is_second;
                if was_asked || phase == Phase::Fired {
                    self.phase = Phase::NotDue;
                }
                self.is_second = false;
                Whose::Read(result)
            }
            _ => Whose::Read(result),
        }
    }

    /// Whether it has yet to bring a completion, or another one that is taken for the
    /// read's.
    pub(super) const fn may_be_in_ring(&self) -> bool {
        matches!(self.phase, Phase::InRing | Phase::Either)
    }

    /// Whether it has yet to bring a completion.
    #[cfg(any(test, fuzzing))]
    pub(super) fn is_in_flight(&self) -> bool {
        self.phase == Phase::InRing
    }
}

/// Whether a look may end with this error, and not the read alone.
const fn may_be_of_look(result: i32) -> bool {
    let errno = result.saturating_neg();
    let is_the_reads =
        matches!(errno, libc::ENOBUFS | libc::EINTR | libc::EAGAIN);
    errno > 0 && !is_the_reads
}
