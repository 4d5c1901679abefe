//! A receiver in the loops of others: what they watch, and when it tells them.

mod moderated_fd;
mod phase;

use core::time::Duration;

use rustix::fd::{AsFd, BorrowedFd};

use super::Receiver;
use super::pace::Moderation;
use crate::error::Error;
use crate::process;
use crate::sys;

pub(super) use moderated_fd::ModeratedFd;

/// How many signals have to be expected in the delay for a loop to let them gather.
const NUMBERS: u32 = 8;

impl Receiver {
    /// Checks that a loop may watch it: in the process that made it, and from a thread
    /// that blocks its signals, or they would never come.
    pub(crate) fn check_watched(&self) -> Result<(), Error> {
        self.check_process()?;
        let open = self.signals() - process::mask::current()?;
        // One that has every thread block them catches them in this one, too.
        if self.every.is_none() && !open.is_empty() {
            return Err(Error::NotBlocked(open));
        }
        Ok(())
    }

    /// What a loop is to watch: the descriptor, or one that tells of signals once they have
    /// gathered. It is the same from the first call on, until the receiver is opened again.
    pub(crate) fn watched(&self) -> BorrowedFd<'_> {
        let this = self.as_fd();
        if self.moderation.is_off() {
            return this;
        }
        self.moderated_fd.of(this).unwrap_or(this)
    }

    /// Whether a task that has so much room is to wait until a loop tells that signals have
    /// gathered, if it was not told yet or was told too early.
    pub(crate) fn is_gathering(&self, room: usize, is_told: bool) -> bool {
        self.moderation.enough(room) > 1
            && self.moderated_fd.is_there()
            && self.check_process().is_ok()
            && self.moderated_fd.is_gathering(self.as_fd(), is_told)
    }

    /// Has the loops that watch it let signals gather, or not.
    pub(super) fn pace_loops(&self, taken: usize, room: usize) {
        // The descriptor of a ring would stand from when it is asked for. And a child that a
        // handler has forked in a wait has the epoll of its parent.
        if !self.moderated_fd.is_there() || self.check_process().is_err() {
            return;
        }
        match self.moderation.in_loop(taken, room) {
            Some(until) => self.moderated_fd.gather(self.as_fd(), until),
            // There may be more, which is taken before a loop waits.
            None if taken == room => {}
            // It was told too early, if it was told.
            None if self.is_gathering(room, true) => {}
            None => self.moderated_fd.watch(self.as_fd()),
        }
    }
}

impl Moderation {
    /// Until when a loop is to let them gather after such a batch; `None` if it is to be told
    /// of the next one at once, or there may be more already. A timer costs as much as some
    /// wakes, so it has to save more of them.
    fn in_loop(&self, taken: usize, room: usize) -> Option<Duration> {
        let time = self.time(room);
        let comes_in_numbers = self.each().saturating_mul(NUMBERS) <= time;
        let is_all = (1..room).contains(&taken);
        (is_all && comes_in_numbers).then(|| sys::now().saturating_add(time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receive::pace::tests::after;

    #[test]
    fn a_loop_lets_gather_what_comes_in_numbers() {
        let second = Duration::from_secs(1);
        let moderation = Moderation::new(second, 16);
        moderation.note(1, 64);
        assert_eq!(moderation.in_loop(1, 64), None, "it came by itself");
        after(&moderation, second, &[7]);
        assert_eq!(moderation.in_loop(7, 64), None, "it saves too little");
        after(&moderation, second / 2, &[8]);
        let now = sys::now();
        let until = moderation.in_loop(8, 64).unwrap();
        assert!(until >= now + second, "16 at that pace");
        assert!(moderation.in_loop(30, 64).is_some(), "it may save as many");
        assert_eq!(moderation.in_loop(9, 9), None, "there may be more");
        assert_eq!(moderation.in_loop(1, 7), None, "there is room for few");
        assert_eq!(moderation.in_loop(0, 64), None, "none came");
        let few = Moderation::new(second, 7);
        after(&few, second / 100, &[1]);
        assert_eq!(few.in_loop(1, 64), None, "it saves too little");
        assert!(Moderation::new(second, 1).is_off());
        assert!(Moderation::new(Duration::ZERO, 16).is_off());
    }
}
