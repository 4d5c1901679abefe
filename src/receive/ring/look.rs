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
//!   that, it was awake. If the end comes first, it has overlooked a signal, and the
//!   signalfd is announced to it.
//! - **Either.** Both were in the ring and there came an `ECANCELED`, which may be the
//!   one's or the other's. What is left of the two is cancelled. The next last completion
//!   is taken for the read's, whose it may be.
//!
//! The completions come in the order of events. So a read that is told of after the look
//! has fired has read after that, and was not asleep.

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
pub(crate) enum Whose {
    /// Of the read: this is the result.
    Read(i32),
    /// Of the look.
    Look,
    /// Of one of them. The other one is to be cancelled.
    Either,
}

/// See the head of this file.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    phase: Phase,
    /// How many were taken since the last time.
    taken: usize,
}

impl Look {
    pub(crate) const fn new() -> Self {
        Self { phase: Phase::NotDue, taken: 0 }
    }

    /// Whether it is to be put into the ring.
    pub(crate) const fn is_due(&self) -> bool {
        matches!(self.phase, Phase::Due)
    }

    /// So much was taken of what there was room for, of what a read has read that stands.
    /// Tells whether the signalfd is to be announced to it.
    pub(crate) fn take(&mut self, taken: usize, room: usize) -> bool {
        self.taken = self.taken.saturating_add(taken);
        if taken == room {
            return false;
        }
        let has_fired = self.phase == Phase::Fired;
        if has_fired {
            self.phase = Phase::NotDue;
        }
        if self.phase == Phase::NotDue && self.taken >= NOTED {
            self.phase = Phase::Due;
            self.taken = 0;
        }
        has_fired
    }

    /// The caller puts the read into the ring, which looks as well.
    pub(crate) const fn read_is_armed(&mut self) {
        if self.is_due() {
            self.phase = Phase::NotDue;
        }
    }

    /// The submission: the caller puts it into the ring.
    pub(crate) fn arm(&mut self, target: Target) -> squeue::Entry {
        self.phase = Phase::InRing;
        let (fd, flags) = target.fd();
        opcode::PollAdd::new(fd, POLLIN).build().flags(flags)
    }

    /// Forgets the one in the ring: its completion is no longer looked for.
    pub(crate) const fn forget(&mut self) {
        self.phase = Phase::NotDue;
    }

    /// Looks at a completion, where the read is in the ring or not.
    pub(crate) fn complete(
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
            Phase::InRing if result == -libc::ECANCELED && is_reading => {
                self.phase = Phase::Either;
                Whose::Either
            }
            Phase::InRing if result == -libc::ECANCELED => {
                self.phase = Phase::NotDue;
                Whose::Look
            }
            Phase::Either if is_last => {
                self.phase = Phase::NotDue;
                let is_event = result >= 0 && !names_buffer;
                Whose::Read(if is_event { -libc::ECANCELED } else { result })
            }
            Phase::Fired if result > 0 && names_buffer => {
                self.phase = Phase::NotDue;
                Whose::Read(result)
            }
            _ => Whose::Read(result),
        }
    }

    /// Whether it has yet to bring a completion.
    #[cfg(any(test, fuzzing))]
    pub(super) fn is_in_flight(&self) -> bool {
        self.phase == Phase::InRing
    }
}
