//! Words that are read whole, though a handler may look at them at any time.
//!
//! The handler may have interrupted the thread that changes them, so it can neither wait
//! for that nor be told a half of one and a half of another.
//!
//! There are two places, and a number says which of them is to be read: it counts the
//! changes. Who makes one, which one thread at a time does, writes to the other place, and
//! then counts the number up. So what is read stays until the number has changed and the
//! next change has begun. Who reads looks at the number afterwards, and begins again if it is
//! another. That is so only if another thread has come to the end of a change meanwhile, so
//! nobody waits for anybody.

#[cfg(loom)]
use core::array;
use core::sync::atomic::Ordering;

use crate::primitive::{AtomicU32, AtomicU64, fence};

pub(super) struct Whole<const N: usize> {
    changes: AtomicU32,
    places: [[AtomicU64; N]; 2],
}

impl<const N: usize> Whole<N> {
    /// All zero.
    #[cfg(not(loom))]
    pub(super) const fn new() -> Self {
        let places = [const { [const { AtomicU64::new(0) }; N] }; 2];
        Self { changes: AtomicU32::new(0), places }
    }

    #[cfg(loom)]
    pub(super) fn new() -> Self {
        let places = array::from_fn(|_| array::from_fn(|_| AtomicU64::new(0)));
        Self { changes: AtomicU32::new(0), places }
    }

    /// Changes them. One thread at a time.
    pub(super) fn store(&self, words: [u64; N]) {
        let changes = self.changes.load(Ordering::Relaxed).wrapping_add(1);
        // Who reads what is written now, instead of what was there, sees the number of the
        // last change.
        fence(Ordering::Release);
        for (to, word) in self.place(changes).iter().zip(words) {
            to.store(word, Ordering::Relaxed);
        }
        // Release: they are written.
        self.changes.store(changes, Ordering::Release);
    }

    pub(super) fn load(&self) -> [u64; N] {
        loop {
            // Acquire: they are written.
            let changes = self.changes.load(Ordering::Acquire);
            let place = self.place(changes);
            let words = place.each_ref().map(|it| it.load(Ordering::Relaxed));
            // See `store`.
            fence(Ordering::Acquire);
            if self.changes.load(Ordering::Relaxed) == changes {
                return words;
            }
        }
    }

    const fn place(&self, changes: u32) -> &[AtomicU64; N] {
        let [even, odd] = &self.places;
        if changes % 2 == 0 { even } else { odd }
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    /// Whoever reads two words while they change twice is told no halves, and nothing
    /// that is older than what he was told before. All interleavings.
    #[test]
    fn words_are_read_whole() {
        loom::model(|| {
            let words = Arc::new(Whole::new());
            words.store([1, 1]);
            let writer = {
                let words = Arc::clone(&words);
                thread::spawn(move || {
                    words.store([2, 2]);
                    words.store([3, 3]);
                })
            };
            let [one, other] = words.load();
            assert_eq!(one, other);
            let [again, other] = words.load();
            assert_eq!(again, other);
            assert!((1..=3).contains(&one) && one <= again);
            writer.join().unwrap();
            assert_eq!(words.load(), [3, 3]);
        });
    }
}
