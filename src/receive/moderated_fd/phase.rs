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
//! [`gather`](Phase::gather) goes watching → gathering, after a batch that left
//! nothing. If another one follows when the timer has expired, only the timer is started
//! again. [`watch`](Phase::watch) goes gathering → watching, after a read that found
//! nothing.
//!
//! Several threads may do so at once. What must never be is that the descriptor is out, and
//! nobody will come to put it in:
//!
//! - `gather` takes the descriptor out first, and starts the timer then. So the timer expires
//!   after that, and whoever is told reads, finds nothing in the end, and calls `watch`.
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

    fn stop(&self);

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
        if self.is_gathering.load(Ordering::Acquire) == WATCHING {
            if !kernel.take_out() {
                return;
            }
            self.says(GATHERING);
        }
        self.start(kernel, until);
    }

    /// Tells of the next signal at once.
    pub(super) fn watch(&self, kernel: &impl Kernel) {
        if self.is_gathering.load(Ordering::Acquire) == WATCHING {
            return;
        }
        self.says(WATCHING);
        kernel.stop();
        if !kernel.put_in() {
            kernel.start_soon();
            self.says(GATHERING);
        }
    }

    /// Whether signals gather still. Then the epoll will be readable when that is over; or
    /// before, and who was told that it is readable asks again.
    pub(super) fn is_gathering(
        &self,
        kernel: &impl Kernel,
        is_told: bool,
    ) -> bool {
        if self.is_gathering.load(Ordering::Acquire) == WATCHING {
            return false;
        }
        let until = Duration::from_nanos(self.until.load(Ordering::Acquire));
        if kernel.is_over(until) {
            return false;
        }
        // It may have been started last for another thread's end, which was this one's.
        !is_told || self.start(kernel, until)
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
    // The kernel is two cells, which it changes one call after the other, as it does under the
    // lock of an epoll and of a timer. Who is told that the timer has expired has seen that.

    extern crate std;

    use std::sync::Arc;
    use std::time::Duration;

    use loom::sync::atomic::{AtomicBool, Ordering};
    use loom::thread;

    use super::{AtomicU8, AtomicU64, Kernel, Phase};

    #[derive(Debug)]
    struct Model {
        phase: Phase,
        is_in: AtomicBool,
        is_running: AtomicBool,
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

        fn start(&self, _: Duration) -> bool {
            self.is_running.swap(true, Ordering::AcqRel);
            true
        }

        fn start_soon(&self) {
            unreachable!("it can be put in");
        }

        fn is_over(&self, _: Duration) -> bool {
            false
        }

        fn stop(&self) {
            self.is_running.swap(false, Ordering::AcqRel);
        }
    }

    impl Model {
        /// Takes a batch, and has signals gather.
        fn gather(&self) {
            self.phase.gather(self, Duration::from_nanos(1));
        }

        /// Is told that the timer has expired, which is told once, and finds nothing.
        fn expire(&self) {
            if self.is_running.swap(false, Ordering::AcqRel) {
                self.phase.watch(self);
            }
        }

        /// Is told too early.
        fn ask(&self) {
            self.phase.is_gathering(self, true);
        }

        /// Reads, and finds nothing.
        fn watch(&self) {
            self.phase.watch(self);
        }
    }

    /// Whatever two threads do, in whatever order: if the descriptor is out in the end, the
    /// timer is running, and who is told of that can put the descriptor in. Two threads with
    /// two steps, from either phase, and up to four preemptions. (loom knows the last seven
    /// stores of a cell, and these are no more.)
    #[test]
    fn nobody_is_left_untold() {
        let steps: [[fn(&Model); 2]; 5] = [
            [Model::gather, Model::watch],
            [Model::watch, Model::gather],
            [Model::ask, Model::watch],
            [Model::watch, Model::ask],
            [Model::expire, Model::expire],
        ];
        let pairs = steps.map(|one| steps.map(|other| [one, other]));
        for [one, other] in pairs.into_iter().flatten() {
            for is_gathering in [false, true] {
                let mut builder = loom::model::Builder::new();
                builder.preemption_bound = Some(4);
                builder.check(move || two(is_gathering, one, other));
            }
        }
    }

    fn two(is_gathering: bool, one: [fn(&Model); 2], other: [fn(&Model); 2]) {
        let model = Arc::new(Model {
            phase: Phase {
                is_gathering: AtomicU8::new(is_gathering.into()),
                until: AtomicU64::new(0),
            },
            is_in: AtomicBool::new(!is_gathering),
            is_running: AtomicBool::new(is_gathering),
        });
        let shared = Arc::clone(&model);
        let thread = thread::spawn(move || {
            one.iter().for_each(|step| step(&shared));
        });
        other.iter().for_each(|step| step(&model));
        thread.join().unwrap();
        let is_in = model.is_in.load(Ordering::Acquire);
        let is_running = model.is_running.load(Ordering::Acquire);
        assert!(is_in || is_running, "it would never be told again");
        model.watch();
        assert!(model.is_in.load(Ordering::Acquire));
        assert!(!model.is_running.load(Ordering::Acquire));
    }
}
