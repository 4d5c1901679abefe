//! How long a receiver spins before it sleeps, and how often it hands out batches.
//!
//! What is noted here are hints. Several threads may wait at once and mix them up; the
//! worst that comes of it is a spin too many or too few, or a batch a moment earlier or
//! later. So all of it is `Relaxed`.

use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use core::time::Duration;

use crate::error::Error;
use crate::sys::{self, Deadline};

/// Spinning, for as long as it pays.
///
/// A spin in vain costs its whole budget, and the sleep comes all the same. So after
/// each of these in a row the next waits sleep at once: one of them, then three, seven,
/// and at most 63. A spin that is not in vain makes every wait spin again.
#[derive(Debug)]
pub(super) struct Spin {
    budget: Duration,
    /// How many were in vain in a row, up to [`MOST`].
    vain: AtomicU32,
    /// How many waits are to go without.
    skip: AtomicU32,
}

const MOST: u32 = 6;

impl Spin {
    pub(super) const fn new(budget: Duration) -> Self {
        let (vain, skip) = (AtomicU32::new(0), AtomicU32::new(0));
        Self { budget, vain, skip }
    }

    /// How long to spin this time.
    pub(super) fn budget(&self) -> Duration {
        match self.skip.load(Ordering::Relaxed) {
            0 => self.budget,
            left => {
                self.skip.store(left - 1, Ordering::Relaxed);
                Duration::ZERO
            }
        }
    }

    /// Notes whether a signal came while it was spinning.
    pub(super) fn note(&self, has_paid: bool) {
        let vain = if has_paid {
            0
        } else {
            MOST.min(self.vain.load(Ordering::Relaxed) + 1)
        };
        self.vain.store(vain, Ordering::Relaxed);
        self.skip.store((1 << vain) - 1, Ordering::Relaxed);
    }
}

/// Letting signals gather, as a network card moderates its interrupts.
///
/// A batch is handed out no sooner than a delay after the one before, unless that one
/// was as large as is asked for: then there is most likely more already. So a signal
/// that comes when none has come for that long is handed out at once.
///
/// How many are pending cannot be asked without reading them. Where they are not read
/// before they are handed out, they are expected to come as fast as they last did, from
/// one batch that left nothing to the next.
#[derive(Debug)]
pub(super) struct Moderation {
    delay: Duration,
    count: usize,
    /// When a batch was handed out last that left nothing, in nanoseconds; 0 if none was.
    last: AtomicU64,
    /// How many were handed out since in batches as large as is asked for.
    since: AtomicUsize,
    /// The nanoseconds that a signal took to come before that.
    each: AtomicU64,
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// How long to wait before it is seen whether enough has gathered. Shorter sleeps cost
/// more than they bring: the kernel adds 50 us to each (`PR_SET_TIMERSLACK`).
pub(super) const SLICE: Duration = Duration::from_micros(200);

impl Moderation {
    pub(super) const fn new(delay: Duration, count: usize) -> Self {
        Self {
            delay,
            count,
            last: AtomicU64::new(0),
            since: AtomicUsize::new(0),
            each: AtomicU64::new(u64::MAX),
        }
    }

    #[inline]
    pub(super) const fn is_off(&self) -> bool {
        self.delay.is_zero() || self.count <= 1
    }

    /// How many records are enough, where there is room for so many.
    pub(super) fn enough(&self, room: usize) -> usize {
        self.count.min(room).max(1)
    }

    /// Until when signals are to gather, where it is seen how many there are; `None` if
    /// they are to be taken at once.
    #[inline]
    pub(super) fn until(&self, room: usize) -> Option<Deadline> {
        if self.is_off() { None } else { self.ends(self.delay, room) }
    }

    /// The same where that is not seen: until enough are expected to have come.
    #[inline]
    pub(super) fn expected(&self, room: usize) -> Option<Deadline> {
        if self.is_off() { None } else { self.ends(self.time(room), room) }
    }

    /// How long enough of them take to come, and no longer than the delay.
    pub(super) fn time(&self, room: usize) -> Duration {
        let enough = u32::try_from(self.enough(room)).unwrap_or(u32::MAX);
        self.delay.min(self.each().saturating_mul(enough))
    }

    /// How long a signal takes to come, as far as it is known.
    pub(super) fn each(&self) -> Duration {
        Duration::from_nanos(self.each.load(Ordering::Relaxed))
    }

    fn ends(&self, delay: Duration, room: usize) -> Option<Deadline> {
        // One has nobody to wait for.
        if self.enough(room) == 1 || self.since.load(Ordering::Relaxed) > 0 {
            return None;
        }
        let last = Duration::from_nanos(self.last.load(Ordering::Relaxed));
        let until = Deadline::at(last.saturating_add(delay));
        (!last.is_zero() && !until.is_over()).then_some(until)
    }

    /// Notes that so many records are handed out.
    #[inline]
    pub(super) fn note(&self, taken: usize, room: usize) {
        // A wait that was over before anything came has handed out no batch, and who takes
        // one signal takes none.
        if !self.is_off() && taken > 0 && room > 1 {
            self.handed_out(taken, room, sys::now);
        }
    }

    fn handed_out(
        &self,
        taken: usize,
        room: usize,
        now: impl FnOnce() -> Duration,
    ) {
        if taken >= self.enough(room) {
            self.since.fetch_add(taken, Ordering::Relaxed);
            return;
        }
        let now = nanoseconds(now());
        let last = self.last.swap(now, Ordering::Relaxed);
        let all = self.since.swap(0, Ordering::Relaxed).saturating_add(taken);
        let all = u64::try_from(all).unwrap_or(u64::MAX);
        // The first has come after nothing.
        let each =
            if last == 0 { u64::MAX } else { now.saturating_sub(last) / all };
        self.each.store(each, Ordering::Relaxed);
    }

    /// Lets signals gather, and returns how many there are when that is enough, or
    /// the time is over. `next` waits a while and takes more.
    pub(super) fn gather(
        &self,
        until: Deadline,
        room: usize,
        mut next: impl FnMut() -> Result<usize, Error>,
    ) -> Result<usize, Error> {
        let mut taken = 0;
        loop {
            taken += match next() {
                // It comes again, and what was taken is not to be lost by it.
                Err(_) if taken > 0 => return Ok(taken),
                more => more?,
            };
            if taken >= self.enough(room) || until.is_over() {
                return Ok(taken);
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::*;

    #[test]
    fn spinning_stops_where_it_does_not_pay_and_is_tried_again() {
        let budget = Duration::from_micros(20);
        let spin = Spin::new(budget);
        let mut skipped = Vec::new();
        for _ in 0..8 {
            assert_eq!(spin.budget(), budget);
            spin.note(false);
            let mut count = 0;
            while spin.skip.load(Ordering::Relaxed) > 0 {
                assert_eq!(spin.budget(), Duration::ZERO);
                count += 1;
            }
            skipped.push(count);
        }
        assert_eq!(skipped, [1, 3, 7, 15, 31, 63, 63, 63]);
        spin.note(true);
        for _ in 0..3 {
            assert_eq!(spin.budget(), budget);
        }
        spin.note(false);
        assert_eq!(spin.budget(), Duration::ZERO);
        assert_eq!(spin.budget(), budget);
    }

    #[test]
    fn a_signal_alone_is_not_delayed() {
        let hour = Duration::from_secs(3600);
        let moderation = Moderation::new(hour, 16);
        assert!(moderation.until(64).is_none(), "it is the first");
        moderation.note(1, 64);
        assert!(moderation.until(64).is_some());
        assert!(moderation.until(1).is_none(), "there is no room for more");
        moderation.note(16, 64);
        assert!(moderation.until(64).is_none(), "that was enough");
        moderation.note(15, 64);
        assert!(moderation.until(64).is_some());

        moderation.note(64, 64);
        assert!(
            moderation.until(64).is_none(),
            "and so was that, which was all"
        );

        let moment = Moderation::new(Duration::from_nanos(1), 16);
        moment.note(1, 64);
        assert!(moment.until(64).is_none(), "that was long ago");
        let off = Moderation::new(Duration::ZERO, 16);
        off.note(1, 64);
        assert!(off.until(64).is_none());
    }

    /// One was handed out by itself, and these so much later.
    pub(in crate::receive) fn after(
        moderation: &Moderation,
        time: Duration,
        batches: &[usize],
    ) {
        let begin = Duration::from_secs(10);
        moderation.handed_out(1, 64, || begin);
        for taken in batches {
            moderation.handed_out(*taken, 64, || begin + time);
        }
    }

    #[test]
    fn enough_are_expected_to_come_as_fast_as_they_last_did() {
        let (second, hour) =
            (Duration::from_secs(1), Duration::from_secs(3600));
        let moderation = Moderation::new(hour, 16);
        assert_eq!(moderation.time(64), hour, "nothing is known yet");
        moderation.note(1, 64);
        assert_eq!(moderation.time(64), hour, "one says nothing");
        after(&moderation, second, &[1]);
        assert_eq!(moderation.time(64), second * 16);
        assert_eq!(moderation.time(8), second * 8);
        // Those of full batches count.
        after(&moderation, 84 * second, &[64, 16, 4]);
        assert_eq!(moderation.time(64), second * 16);
        after(&moderation, hour, &[3]);
        assert_eq!(moderation.time(64), hour, "the delay is the longest");
        moderation.note(1, 64);
        assert!(moderation.until(64).is_some());
        // It is over for who does not see how many there are.
        moderation.each.store(1, Ordering::Relaxed);
        while moderation.expected(2).is_some() {}
        assert!(moderation.until(2).is_some());
    }

    #[test]
    fn who_takes_one_signal_takes_no_batch() {
        let moderation = Moderation::new(Duration::from_secs(3600), 16);
        moderation.note(3, 64);
        moderation.note(1, 1);
        assert!(moderation.until(64).is_some());
    }

    #[test]
    fn gathering_ends_with_enough_or_with_the_time() {
        let moderation = Moderation::new(Duration::from_secs(3600), 16);
        let far = Deadline::after(Some(Duration::from_secs(3600)));
        let mut calls = 0;
        let taken = moderation.gather(far, 64, || {
            calls += 1;
            Ok(6)
        });
        assert_eq!((taken, calls), (Ok(18), 3));
        let past = Deadline::PAST;
        assert_eq!(moderation.gather(past, 64, || Ok(2)), Ok(2));
        assert_eq!(moderation.gather(past, 64, || Ok(0)), Ok(0));

        // An error is told if nothing would be lost by it.
        let failed = Err(Error::Forked);
        let mut answers = [Ok(3), failed].into_iter();
        let next = || answers.next().unwrap();
        assert_eq!(moderation.gather(far, 64, next), Ok(3));
        assert_eq!(moderation.gather(far, 64, || failed), failed);
    }
}
