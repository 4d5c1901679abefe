//! The records of a hub, each of them once, and how many may still take it.
//!
//! A record that is dispatched is written into a *cell*, and the rings of the
//! subscribers that want it have the number of that cell. So a record is copied once,
//! however many there are. Each cell counts two things in one word:
//!
//! - **holders**: the rings that have its number, whoever has taken the number out of a
//!   ring and is reading the record, and the dispatcher while it hands it out. A cell
//!   without holders is free.
//! - **seen**: how many subscribers have taken it.
//!
//! Only the dispatcher fills a cell, and only a free one; nobody else makes a first
//! holder. So while a holder reads, the record does not change, and there is no torn
//! read to detect. Who takes the record counts it as seen and stops holding it in one
//! step. Whoever is the last to hold it knows from that very step whether anybody has
//! seen it; if not, the record has been seen by nobody and never will be, and it is for
//! this one to give it back.
//!
//! # Memory ordering
//!
//! The words of a record are atomic, and relaxed. They are written before the number of
//! the cell is shown in a ring (Release, `ring.rs`), and read after the number was taken
//! out (Acquire). A holder that has read them stops holding with Release, and the
//! dispatcher finds the cell free with Acquire before it writes the next record: all
//! reads happen before that. (What several holders do is one release sequence, since
//! all of them are read-modify-write operations.)

use crate::primitive::{AtomicU32, AtomicU64, Ordering};

#[cfg(not(loom))]
use crate::signal::WORDS;

/// How many words a record has in a model.
#[cfg(loom)]
const WORDS: usize = 2;

/// A record.
pub(super) type Words = [u64; WORDS];

/// One subscriber that has seen it; what is below counts the holders.
const SEEN: u32 = 1 << 16;

/// How many holders can be counted.
#[cfg(not(loom))]
pub(super) const HOLDERS_MAX: usize = SEEN as usize - 1;

const fn holders(count: u32) -> u32 {
    count % SEEN
}

const fn seen(count: u32) -> u32 {
    count / SEEN
}

/// See the head of this file.
pub(super) struct Cell {
    count: AtomicU32,
    words: [AtomicU64; WORDS],
    /// Read and written with the words, so that loom sees if these are in no order.
    #[cfg(loom)]
    order: loom::cell::UnsafeCell<()>,
}

impl Cell {
    #[cfg(not(loom))]
    pub(super) const fn new() -> Self {
        Self {
            count: AtomicU32::new(0),
            words: [const { AtomicU64::new(0) }; WORDS],
        }
    }

    #[cfg(loom)]
    pub(super) fn new() -> Self {
        Self {
            count: AtomicU32::new(0),
            words: core::array::from_fn(|_| AtomicU64::new(0)),
            order: loom::cell::UnsafeCell::new(()),
        }
    }

    pub(super) fn is_free(&self) -> bool {
        // Acquire: the last holders have read what was there.
        holders(self.count.load(Ordering::Acquire)) == 0
    }

    /// Writes a record into a free cell, which the dispatcher then holds.
    fn fill(&self, words: &Words) {
        #[cfg(loom)]
        self.order.with_mut(|_| ());
        for (place, word) in self.words.iter().zip(words) {
            place.store(*word, Ordering::Relaxed);
        }
        self.count.store(1, Ordering::Relaxed);
    }

    /// The record, for a holder.
    pub(super) fn read(&self) -> Words {
        #[cfg(loom)]
        self.order.with(|_| ());
        let mut words = [0; WORDS];
        for (word, place) in words.iter_mut().zip(&self.words) {
            *word = place.load(Ordering::Relaxed);
        }
        words
    }

    /// One more holds it. The dispatcher does so, which is one of them.
    pub(super) fn hold(&self) {
        // Relaxed: what shows the number in a ring comes after.
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// A holder has read the record, and hands it to its caller.
    pub(super) fn see(&self) {
        // Release: it has been read.
        self.count.fetch_add(SEEN - 1, Ordering::Release);
    }

    /// A holder goes without having handed the record to anybody. Tells whether it
    /// was the last one, and nobody has.
    pub(super) fn leave(&self) -> bool {
        // Release: it has been read.
        let before = self.count.fetch_sub(1, Ordering::Release);
        holders(before) == 1 && seen(before) == 0
    }

    /// Forgets who holds it: they were of another process.
    #[cfg(not(loom))]
    fn forget(&self) {
        self.count.store(0, Ordering::Relaxed);
    }
}

/// All cells of a hub.
#[derive(Clone, Copy)]
pub(super) struct Cells<'h> {
    /// As many as the rings have entries, one for each subscriber that is taking a
    /// record out, and one for the dispatcher. So one is always free for it.
    parts: [&'h [Cell]; 3],
}

impl<'h> Cells<'h> {
    pub(super) const fn new(parts: [&'h [Cell]; 3]) -> Self {
        Self { parts }
    }

    fn len(self) -> usize {
        self.parts.iter().map(|part| part.len()).sum()
    }

    pub(super) fn get(self, index: usize) -> Option<&'h Cell> {
        let mut index = index;
        for part in self.parts {
            match part.get(index) {
                Some(cell) => return Some(cell),
                None => index -= part.len(),
            }
        }
        None
    }

    /// Writes a record into a free cell, which the dispatcher then holds. It looks for
    /// one from here on.
    pub(super) fn fill(self, from: usize, words: &Words) -> Option<usize> {
        let mut all = (from..self.len()).chain(0..from);
        all.find(|&index| {
            let free = self.get(index).filter(|cell| cell.is_free());
            free.inspect(|cell| cell.fill(words)).is_some()
        })
    }

    /// Empties all of them, in a process where nobody holds any.
    #[cfg(not(loom))]
    pub(super) fn forget(self) {
        self.parts.into_iter().flatten().for_each(Cell::forget);
    }

    #[cfg(any(test, fuzzing))]
    pub(super) fn are_free(self) -> bool {
        self.parts.into_iter().flatten().all(Cell::is_free)
    }
}
