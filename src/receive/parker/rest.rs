//! Whether the thread of a place is up, asleep, or to get up.
//!
//! - *awake*: it polls its future, or is about to look whether it may sleep.
//! - *asleep*: it sleeps, or is about to, and has to be roused.
//! - *woken*: somebody wants its future polled, and it does not sleep before that.
//!
//! [`Rest::begin`] goes awake → asleep, [`Rest::end`] asleep → awake, [`Rest::awake`] any
//! → awake, and [`Rest::wake`] any → woken: who finds it asleep rouses it. It may be up by
//! then; then it is roused from its next sleep, sees that nobody woke it, and sleeps again.

use crate::primitive::{AtomicU8, Ordering, fence};

const AWAKE: u8 = 0;
const ASLEEP: u8 = 1;
const WOKEN: u8 = 2;

pub(super) struct Rest(AtomicU8);

impl Rest {
    #[cfg(not(loom))]
    pub(super) const fn new() -> Self {
        Self(AtomicU8::new(AWAKE))
    }

    #[cfg(loom)]
    pub(super) fn new() -> Self {
        Self(AtomicU8::new(AWAKE))
    }

    /// Says that the future is about to be polled: wakes count from here.
    pub(super) fn awake(&self) {
        // Acquire: sees what came before the wakes that this poll answers.
        self.0.swap(AWAKE, Ordering::AcqRel);
    }

    /// Goes to sleep, unless somebody has woken it. After this, who puts in a watch sees
    /// that it sleeps, or it sees the watch (`Watches::add`).
    pub(super) fn begin(&self) -> bool {
        // Release: shows what it is roused by to whoever finds it asleep.
        let (set, woken) = (Ordering::Release, Ordering::Acquire);
        if self.0.compare_exchange(AWAKE, ASLEEP, set, woken).is_err() {
            return false;
        }
        fence(Ordering::SeqCst);
        true
    }

    /// Gets up. A wake in the meantime stays.
    pub(super) fn end(&self) {
        let (up, woken) = (Ordering::AcqRel, Ordering::Acquire);
        let _woken = self.0.compare_exchange(ASLEEP, AWAKE, up, woken);
    }

    /// Wakes it, and tells whether it has to be roused.
    pub(super) fn wake(&self) -> bool {
        // AcqRel: releases what came before the wake to the thread that goes on with
        // its future; acquires what that is roused by.
        self.0.swap(WOKEN, Ordering::AcqRel) == ASLEEP
    }

    /// Whether it sleeps, for who has put in a watch.
    pub(super) fn is_asleep(&self) -> bool {
        self.0.load(Ordering::Relaxed) == ASLEEP
    }
}
