//! A value for one thread at a time, that nobody waits for.
//!
//! The queues of a ring are for one thread at a time. Who does not get its turn goes
//! away, and leaves a note. Whoever has the turn finds the note when it leaves, and
//! tells those who may have missed something.
//!
//! - **Free.** The next to come gets the turn: taken.
//! - **Taken.** The next to come leaves a note: noted. The one inside leaves: free.
//! - **Noted.** There is nothing more to note. The one inside leaves: free, and
//!   hears of the note.

#![expect(unsafe_code, reason = "shared by taking turns")]

use core::panic::{RefUnwindSafe, UnwindSafe};
use core::sync::atomic::Ordering;

use crate::primitive::{AtomicU8, UnsafeCell};

const FREE: u8 = 0;
const TAKEN: u8 = 1;
const NOTED: u8 = 2;

/// See the head of this file.
pub(super) struct Turns<T> {
    state: AtomicU8,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached by one thread at a time, and what one did there
// happens before what the next one does (see `take`). So sharing this is no more
// than sending the value from thread to thread.
unsafe impl<T: Send> Sync for Turns<T> {}

// A panic inside keeps the turn for ever, so nobody sees a half-changed value.
impl<T> UnwindSafe for Turns<T> {}
impl<T> RefUnwindSafe for Turns<T> {}

/// What came of a turn.
pub(super) struct Done<R> {
    pub(super) result: R,
    /// Whether somebody wanted the turn meanwhile.
    pub(super) was_noted: bool,
}

impl<T> Turns<T> {
    #[cfg(not(loom))]
    pub(super) const fn new(value: T) -> Self {
        Self { state: AtomicU8::new(FREE), value: UnsafeCell::new(value) }
    }

    #[cfg(loom)]
    pub(super) fn new(value: T) -> Self {
        Self { state: AtomicU8::new(FREE), value: UnsafeCell::new(value) }
    }

    /// Does something with the value, unless another thread has the turn.
    ///
    /// If `f` panics, nobody ever gets the turn again.
    pub(super) fn take<R>(
        &self,
        f: impl FnOnce(&mut T) -> R,
    ) -> Option<Done<R>> {
        if !self.enter() {
            return None;
        }
        let result = self.value.with_mut(|value| {
            // SAFETY: `enter` has let this thread in, and lets no other in before
            // `leave`. `f` cannot come here again: it would not be let in.
            f(unsafe { &mut *value })
        });
        Some(Done { result, was_noted: self.leave() })
    }

    /// Takes the turn, or leaves a note.
    fn enter(&self) -> bool {
        // Acquire: what the last one inside did. Whoever leaves a note gains
        // nothing by it but that the one inside sees what was done before, hence
        // Release as well: it wakes a waker that was left before the note.
        let (set, seen) = (Ordering::AcqRel, Ordering::Relaxed);
        let mut state = FREE;
        loop {
            let next = if state == FREE { TAKEN } else { NOTED };
            match self.state.compare_exchange(state, next, set, seen) {
                Ok(_) => return state == FREE,
                Err(other) => state = other,
            }
        }
    }

    /// Gives the turn back, and tells whether there was a note.
    fn leave(&self) -> bool {
        // Release: what was done inside. Acquire: what was done before the note.
        self.state.swap(FREE, Ordering::AcqRel) == NOTED
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use loom::thread;

    use super::*;

    /// Proves: two threads are never inside at once (loom's cell would notice), and
    /// the one that comes later sees what the other did there; of two that come,
    /// one gets in at least; and afterwards the turn is free. Bound: two threads,
    /// each comes once; no bound on preemptions.
    #[test]
    fn one_thread_at_a_time() {
        loom::model(|| {
            let turns = Arc::new(Turns::new(0));
            let add = |turns: &Turns<usize>| {
                usize::from(turns.take(|value| *value += 1).is_some())
            };
            let other = {
                let turns = Arc::clone(&turns);
                thread::spawn(move || add(&turns))
            };
            let done = add(&turns) + other.join().unwrap();
            assert!(done >= 1);
            assert_eq!(turns.take(|value| *value).unwrap().result, done);
        });
    }

    /// Proves: a thread that leaves something and then comes gets in, or the one
    /// inside finds a note; and whoever finds a note sees what was left. Bound: two
    /// threads, each comes once; no bound on preemptions.
    #[test]
    fn a_note_shows_what_was_left() {
        loom::model(|| {
            let turns = Arc::new(Turns::new(()));
            let left = Arc::new(AtomicBool::new(false));
            let told = Arc::new(AtomicUsize::new(0));
            let other = {
                let (turns, left) = (Arc::clone(&turns), Arc::clone(&left));
                thread::spawn(move || {
                    left.store(true, Ordering::Relaxed);
                    turns.take(|()| ()).is_some()
                })
            };
            if let Some(done) = turns.take(|()| ()) {
                if done.was_noted {
                    assert!(left.load(Ordering::Relaxed));
                    told.fetch_add(1, Ordering::Relaxed);
                }
            }
            let got_in = other.join().unwrap();
            assert!(got_in || told.load(Ordering::Relaxed) == 1);
        });
    }
}
