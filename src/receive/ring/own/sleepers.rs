//! Counts the threads that sleep until the ring has something to say.
//!
//! A thread says that it is about to sleep, then sees to it that the request is in the
//! ring. One that takes what the request has brought, and has no need of another, looks
//! whether somebody sleeps after it has taken. So either that one sees the sleeper, or
//! the sleeper finds no request, and makes one.

use crate::primitive::{AtomicU32, Ordering};

/// See the head of this file.
pub(super) struct Sleepers(AtomicU32);

impl Sleepers {
    #[cfg(not(loom))]
    pub(super) const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    #[cfg(loom)]
    pub(super) fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    pub(super) fn add_one(&self) -> Asleep<'_> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Asleep(self)
    }

    pub(super) fn remove_one(&self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }

    pub(super) fn are_some(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }
}

pub(super) struct Asleep<'s>(&'s Sleepers);

impl Drop for Asleep<'_> {
    fn drop(&mut self) {
        self.0.remove_one();
    }
}
