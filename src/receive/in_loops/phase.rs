//! Whether a loop is told of signals as they come, or once they have gathered.
//!
//! What the loop watches is an epoll, in which are a descriptor and a timer:
//!
//! - *watching*: the epoll is readable when the descriptor is. The timer is stopped.
//! - *gathering*: the descriptor is not in the epoll, so signals wake nobody. (It is taken
//!   out: if nothing were asked of it, it would still be reported, since the kernel always
//!   asks for errors and is told of signals without saying what happened.) The timer is
//!   running, and the epoll is readable when it has expired.
//!
//! [`gather`](Phase::gather) goes watching → gathering, after a batch that left nothing,
//! and goes on with it after the next one, when the timer has expired.
//! [`watch`](Phase::watch) goes gathering → watching, after a read that found nothing.
//!
//! Several threads may do so at once. What must never be is that the descriptor is out, and
//! nobody will come to put it in:
//!
//! - `gather` takes the descriptor out first, and starts the timer then. So the timer expires
//!   after that, and whoever is told reads, finds nothing in the end, and calls `watch`; or,
//!   if it was too early, because another thread had set the timer for its own end, starts it
//!   again ([`is_gathering`](Phase::is_gathering)).
//! - `watch` stops the timer first, and puts the descriptor in then. So a timer that was
//!   stopped when another thread had started it is missed by nobody. If the descriptor cannot
//!   be put in, the timer is started for another try.
//! - `watch` does nothing unless `is_gathering` says so. It takes that back before it does
//!   anything, and `gather` says so after each of its two steps. So it is said whenever the
//!   descriptor is out or the timer is running, but for a moment in which one of the two is
//!   about to be changed. It may be said though neither is so: then `watch` is for nothing.

use core::time::Duration;

use crate::primitive::{AtomicU8, AtomicU64, Ordering};

/// What the kernel does for it.
pub(super) trait Kernel {
    /// Takes the descriptor out of the epoll. Tells whether it is out.
    fn take_out(&self) -> bool;

    /// Puts the descriptor in. Tells whether it is in.
    fn put_in(&self) -> bool;

    /// Has the timer expire when the monotonic clock shows this. Tells whether it will.
    fn start(&self, at: Duration) -> bool;

    /// Has it expire soon, for another try.
    fn start_soon(&self);

    /// Stops it, or, if that cannot be, forgets that it has expired. Tells whether it will
    /// not expire.
    fn stop(&self) -> bool;

    /// Whether the clock shows this, or more.
    fn is_over(&self, time: Duration) -> bool;
}

const WATCHING: u8 = 0;
const GATHERING: u8 = 1;

#[derive(Debug)]
pub(super) struct Phase {
    /// The descriptor may be out, and the timer running.
    is_gathering: AtomicU8,
    /// When that is to be over, in nanoseconds of the monotonic clock.
    until: AtomicU64,
}

impl Phase {
    #[cfg(not(loom))]
    pub(super) const fn new() -> Self {
        Self { is_gathering: AtomicU8::new(WATCHING), until: AtomicU64::new(0) }
    }

    /// Lets signals gather until then.
    pub(super) fn gather(&self, kernel: &impl Kernel, until: Duration) {
        let nanos = u64::try_from(until.as_nanos()).unwrap_or(u64::MAX);
        self.until.store(nanos, Ordering::Release);
        // Also if it gathers already: another thread may have put the descriptor in since.
        if self.take_out(kernel) {
            self.start(kernel, until);
        }
    }

    /// Tells of the next signal at once.
    pub(super) fn watch(&self, kernel: &impl Kernel) {
        if self.is_watching() {
            return;
        }
        self.says(WATCHING);
        let is_stopped = kernel.stop();
        let is_in = kernel.put_in();
        if is_stopped && is_in {
            return;
        }
        // Whoever is told next tries again.
        self.until.store(0, Ordering::Release);
        if !is_in {
            kernel.start_soon();
        }
        self.says(GATHERING);
    }

    /// Whether signals gather still. Then the epoll will be readable when that is over; or
    /// before, and who was told that it is readable asks again.
    pub(super) fn is_gathering(
        &self,
        kernel: &impl Kernel,
        is_told: bool,
    ) -> bool {
        if self.is_watching() {
            return false;
        }
        let until = Duration::from_nanos(self.until.load(Ordering::Acquire));
        if kernel.is_over(until) {
            return false;
        }
        // It was told too early: for an end that was another thread's, or of a signal,
        // because another thread has put the descriptor in.
        !is_told || self.take_out(kernel) && self.start(kernel, until)
    }

    fn is_watching(&self) -> bool {
        self.is_gathering.load(Ordering::Acquire) == WATCHING
    }

    fn take_out(&self, kernel: &impl Kernel) -> bool {
        let is_out = kernel.take_out();
        if is_out {
            self.says(GATHERING);
        }
        is_out
    }

    fn says(&self, what: u8) {
        self.is_gathering.swap(what, Ordering::AcqRel);
    }

    /// Starts the timer, or has nothing gather if it cannot be started.
    fn start(&self, kernel: &impl Kernel, until: Duration) -> bool {
        let is_started = kernel.start(until);
        self.says(GATHERING);
        if !is_started {
            self.watch(kernel);
        }
        is_started
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    // The kernel is two cells, which it changes one call after the other, as it does under
    // the lock of an epoll and of a timer. Who is told that the timer has expired has seen
    // that, and the clock shows the time that the timer was set for.

    extern crate std;

    use std::sync::Arc;
    use std::time::Duration;

    use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use loom::thread;

    use super::{AtomicU8, Kernel, Phase};

    #[derive(Debug)]
    struct Model {
        phase: Phase,
        is_in: AtomicBool,
        /// When it expires; 0 if it is stopped, or was told of.
        timer: AtomicU64,
        clock: AtomicU64,
    }

    fn nanos(time: Duration) -> u64 {
        u64::try_from(time.as_nanos()).unwrap()
    }

    impl Kernel for Model {
        fn take_out(&self) -> bool {
            self.is_in.swap(false, Ordering::AcqRel);
            true
        }

        fn put_in(&self) -> bool {
            self.is_in.swap(true, Ordering::AcqRel);
            true
        }

        fn start(&self, at: Duration) -> bool {
            self.timer.swap(nanos(at), Ordering::AcqRel);
            true
        }

        fn start_soon(&self) {
            unreachable!("it can be put in");
        }

        fn is_over(&self, time: Duration) -> bool {
            // A clock is the same for all.
            self.clock.fetch_add(0, Ordering::AcqRel) >= nanos(time)
        }

        fn stop(&self) -> bool {
            self.timer.swap(0, Ordering::AcqRel);
            true
        }
    }

    impl Model {
        /// Takes a batch, and has signals gather.
        fn gather(&self) {
            self.phase.gather(self, Duration::from_nanos(1));
        }

        /// The same, for longer.
        fn gather_longer(&self) {
            self.phase.gather(self, Duration::from_nanos(2));
        }

        /// Wants the next signal at once.
        fn watch(&self) {
            self.phase.watch(self);
        }

        /// Is told that the timer has expired, which is told once, and finds nothing.
        fn expire(&self) {
            let at = self.timer.swap(0, Ordering::AcqRel);
            if at > 0 {
                self.clock.fetch_max(at, Ordering::AcqRel);
                if !self.phase.is_gathering(self, true) {
                    self.phase.watch(self);
                }
            }
        }
    }

    /// Whatever two threads do, in whatever order: if the descriptor is out in the end, the
    /// timer is running, and who is told of that as often as it expires puts the descriptor
    /// in. Two threads with two steps, from either phase, and up to three preemptions. (loom
    /// knows the last seven stores of a cell, and these are no more.)
    #[test]
    fn nobody_is_left_untold() {
        let steps: [[fn(&Model); 2]; 5] = [
            [Model::gather, Model::watch],
            [Model::watch, Model::gather],
            [Model::gather_longer, Model::expire],
            [Model::expire, Model::expire],
            [Model::expire, Model::gather_longer],
        ];
        let pairs = steps.map(|one| steps.map(|other| [one, other]));
        for [one, other] in pairs.into_iter().flatten() {
            for is_gathering in [false, true] {
                let mut builder = loom::model::Builder::new();
                builder.preemption_bound = Some(3);
                builder.check(move || two(is_gathering, one, other));
            }
        }
    }

    fn two(is_gathering: bool, one: [fn(&Model); 2], other: [fn(&Model); 2]) {
        let until = u64::from(is_gathering);
        let model = Arc::new(Model {
            phase: Phase {
                is_gathering: AtomicU8::new(is_gathering.into()),
                until: AtomicU64::new(until),
            },
            is_in: AtomicBool::new(!is_gathering),
            timer: AtomicU64::new(until),
            clock: AtomicU64::new(0),
        });
        let shared = Arc::clone(&model);
        let thread = thread::spawn(move || {
            one.iter().for_each(|step| step(&shared));
        });
        other.iter().for_each(|step| step(&model));
        thread.join().unwrap();
        while model.timer.load(Ordering::Acquire) > 0 {
            model.expire();
        }
        assert!(model.is_in.load(Ordering::Acquire), "nobody is told again");
    }
}
