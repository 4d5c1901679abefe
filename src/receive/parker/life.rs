//! Who uses a place in a static table, and since when it is another's.
//!
//! The word holds a generation and a number of holders:
//!
//! - *free*: no holders. [`Life::acquire`] makes one of it: the owner.
//! - *in use*: at least one holder. Whoever has the generation becomes a holder
//!   with [`Life::hold`], for a moment. The owner leaves when it is done, the
//!   others whenever they are.
//! - *closing*: [`CLOSING`] stands in for the holders. The last one to leave sets
//!   it and counts the generation up. Nobody can hold or acquire the place, so
//!   that thread is alone: it clears up, and sets the place free.
//!
//! It is a reference count whose weak references are numbers. Nobody waits for
//! anybody, however long a holder is held up.
//!
//! The generation comes round in the end: after 2^40 uses, or 2^16 on a 32-bit
//! machine. A number that old may fit again. Its holder then holds a place that
//! is in use, as with any fitting number: that is safe, and wakes a thread for no
//! reason.

use core::sync::atomic::Ordering;

use crate::primitive::AtomicUsize;

/// Bits for the holders: for more than there can be threads, which is 2^22 on a
/// 64-bit machine (`PID_MAX_LIMIT`); a 32-bit process has no room for 2^16 stacks.
const HOLDERS: u32 = if usize::BITS == 64 { 24 } else { 16 };
const ONE_GENERATION: usize = 1 << HOLDERS;
/// What stands in for the number of holders while the last one clears up.
const CLOSING: usize = ONE_GENERATION - 1;

pub(super) struct Life(AtomicUsize);

const fn holders(word: usize) -> usize {
    word % ONE_GENERATION
}

const fn generation(word: usize) -> usize {
    word / ONE_GENERATION
}

/// Tells whether the place is in use, in this generation.
fn is_in_use(word: usize, wanted: usize) -> bool {
    generation(word) == wanted && (1..CLOSING).contains(&holders(word))
}

impl Life {
    #[cfg(not(loom))]
    pub(super) const fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    #[cfg(loom)]
    pub(super) fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    /// Takes a free place, and returns its generation.
    pub(super) fn acquire(&self) -> Option<usize> {
        let word = self.0.load(Ordering::Relaxed);
        if holders(word) != 0 {
            return None;
        }
        // Acquire: sees the place as the last holder left it.
        let (taken, seen) = (Ordering::Acquire, Ordering::Relaxed);
        self.0
            .compare_exchange(word, word + 1, taken, seen)
            .ok()
            .map(generation)
    }

    /// Becomes a holder, if the place is in use in this generation.
    pub(super) fn hold(&self, wanted: usize) -> bool {
        let mut word = self.0.load(Ordering::Relaxed);
        while is_in_use(word, wanted) {
            // Acquire: sees the place as the last clearing up left it.
            let (held, seen) = (Ordering::Acquire, Ordering::Relaxed);
            match self.0.compare_exchange_weak(word, word + 1, held, seen) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    /// Stops being a holder. The last one clears up before the place is free.
    pub(super) fn leave(&self, clear_up: impl FnOnce()) {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let is_last = holders(word) == 1;
            let free = (generation(word) + 1).wrapping_mul(ONE_GENERATION);
            let next = if is_last { free | CLOSING } else { word - 1 };
            // Release: what this holder did comes before the clearing up.
            // Acquire: what the others did, too, if it is this one's turn.
            let (left, seen) = (Ordering::AcqRel, Ordering::Relaxed);
            match self.0.compare_exchange_weak(word, next, left, seen) {
                Ok(_) if is_last => {
                    clear_up();
                    // Release: shows the place to the next owner.
                    self.0.store(free, Ordering::Release);
                    return;
                }
                Ok(_) => return,
                Err(now) => word = now,
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_one_owner_at_a_time_and_dead_numbers_stay_dead() {
        let life = Life::new();
        assert!(!life.hold(0), "nobody owns it yet");
        let first = life.acquire().unwrap();
        assert!(life.acquire().is_none());
        assert!(life.hold(first));
        life.leave(|| unreachable!("the owner is still there"));
        let mut cleared = false;
        life.leave(|| cleared = true);
        assert!(cleared);
        assert!(!life.hold(first));
        let second = life.acquire().unwrap();
        assert_ne!(first, second);
        assert!(!life.hold(first));
        assert!(life.hold(second));
    }

    #[test]
    fn whoever_leaves_last_clears_up() {
        let life = Life::new();
        let number = life.acquire().unwrap();
        assert!(life.hold(number));
        life.leave(|| unreachable!("the owner leaves, a holder stays"));
        assert!(life.acquire().is_none());
        let mut cleared = false;
        life.leave(|| cleared = true);
        assert!(cleared);
        assert!(life.acquire().is_some());
    }

    #[test]
    fn the_generation_wraps_without_spilling() {
        let life = Life::new();
        life.0.store(
            usize::MAX / ONE_GENERATION * ONE_GENERATION,
            Ordering::Relaxed,
        );
        let last = life.acquire().unwrap();
        life.leave(|| ());
        assert!(!life.hold(last));
        assert_eq!(life.acquire(), Some(0));
    }

    #[test]
    fn nobody_holds_a_place_that_is_closing_not_even_with_a_fitting_number() {
        let life = Life::new();
        let number = life.acquire().unwrap();
        life.leave(|| {
            assert!(!life.hold(number));
            assert!(!life.hold(number + 1));
            assert!(life.acquire().is_none());
        });
        assert_eq!(life.acquire(), Some(number + 1));
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicUsize;
    use loom::thread;

    use super::*;

    /// Stands for what a place holds: using it is a read, clearing it up a
    /// write, and loom fails if they are not in an order.
    struct Place {
        life: Life,
        content: UnsafeCell<()>,
        cleared: AtomicUsize,
    }

    impl Place {
        fn use_it(&self) {
            self.content.with(|_| ());
        }

        fn leave(&self) {
            self.life.leave(|| {
                self.content.with_mut(|_| ());
                self.cleared.fetch_add(1, Ordering::Relaxed);
            });
        }
    }

    /// Proves: what a place holds is never cleared up while a holder uses it,
    /// and is cleared up once, before the next owner takes it. Bound: three
    /// threads, five preemptions.
    #[test]
    fn nobody_uses_what_is_cleared_up() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(5);
        model.check(|| {
            let place = Arc::new(Place {
                life: Life::new(),
                content: UnsafeCell::new(()),
                cleared: AtomicUsize::new(0),
            });
            let number = place.life.acquire().unwrap();
            let threads: [_; 2] = core::array::from_fn(|_| {
                let place = Arc::clone(&place);
                thread::spawn(move || {
                    if place.life.hold(number) {
                        place.use_it();
                        place.leave();
                    }
                    // The next owner writes to it.
                    if place.life.acquire().is_some() {
                        assert_eq!(place.cleared.load(Ordering::Relaxed), 1);
                        place.content.with_mut(|_| ());
                    }
                })
            });
            place.leave();
            for thread in threads {
                thread.join().unwrap();
            }
            assert_eq!(place.cleared.load(Ordering::Relaxed), 1);
            assert!(!place.life.hold(number));
        });
    }
}
