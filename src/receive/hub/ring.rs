//! The ring of a subscriber: the numbers of cells, in the order of dispatch.
//!
//! The dispatcher puts in, the subscriber takes out, and neither waits for the other.
//! If the ring is full, what is put in takes the place of the oldest.
//!
//! # Entries
//!
//! Records are numbered from 0, for each subscription anew; `next` is the number of the
//! next one. Number `n` has the entry `n % DEPTH`, which is one word: 0 if there is nothing to take, else the number and
//! the cell of the record. Putting in is one `swap`; what it gets out is nothing, or the
//! record of `DEPTH` numbers before, which is lost to this subscriber. Taking out is one
//! `compare_exchange` to 0. So each entry that was put in comes out once, to one of the
//! two.
//!
//! # Taking
//!
//! The subscriber knows which number it wants, and that all before `next - DEPTH` are
//! gone. So it knows which one may be the oldest. It finds in the entry of that one
//!
//! - nothing, or an older number, which it has passed over: there is nothing to take,
//!   since the dispatcher fills the entries in order.
//! - that number: it takes it.
//! - a newer number, or it becomes one before it is taken. It looks again which may be
//!   the oldest.
//!
//! The last happens because the dispatcher has put in another one meanwhile, and that may
//! go on for ever. So after some tries the subscriber takes whatever the entry has, with
//! a `swap`. What is older than that and still in the ring it passes over; that counts as
//! missed, and the dispatcher gets it out as it comes round. So taking is bounded,
//! whatever the dispatcher does. Putting in is a `swap` in any case.
//!
//! The order is kept, since the subscriber never goes back. The numbers tell how many
//! were lost: those up to the one taken that were not taken themselves.
//!
//! # Memory ordering
//!
//! Putting in releases the record in the cell, and taking out acquires it. What is got
//! out because it was overwritten is not read. Of `next` an old value does no harm: what
//! it says is gone is gone, and an entry with a newer number says what else is.

use crate::primitive::{AtomicU64, Ordering};

/// Set in an entry with a record.
const FULL: u64 = 1 << 63;
const INDEX_BITS: u32 = 24;
const INDEX: u64 = (1 << INDEX_BITS) - 1;
/// What an entry keeps of the number of a record. It comes round after 2^39 records;
/// one that is taken for another would have to be older by that many.
const NUMBER: u64 = (1 << (63 - INDEX_BITS)) - 1;

/// How many cells can be told apart.
#[cfg(not(loom))]
pub(super) const CELLS_MAX: usize = 1 << INDEX_BITS;

/// How often a subscriber looks for the oldest record before it takes what there is.
const TRIES: u32 = if cfg!(loom) { 2 } else { 8 };

const fn pack(number: u64, index: usize) -> u64 {
    FULL | (number & NUMBER) << INDEX_BITS | index as u64 & INDEX
}

/// The cell that an entry names.
fn cell(entry: u64) -> Option<usize> {
    let index = usize::try_from(entry & INDEX).ok();
    index.filter(|_| entry & FULL != 0)
}

/// The number of the record that an entry has, if it is none before this one.
const fn number_from(entry: u64, first: u64) -> Option<u64> {
    let ahead = (entry >> INDEX_BITS).wrapping_sub(first) & NUMBER;
    if entry & FULL == 0 || ahead > NUMBER / 2 {
        return None;
    }
    Some(first.wrapping_add(ahead))
}

/// See the head of this file.
#[derive(Clone, Copy)]
pub(super) struct Ring<'h> {
    entries: &'h [AtomicU64],
    next: &'h AtomicU64,
}

/// What was taken out of a ring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Taken {
    pub(super) number: u64,
    /// The cell, which whoever took this holds.
    pub(super) index: usize,
}

impl<'h> Ring<'h> {
    pub(super) const fn new(
        entries: &'h [AtomicU64],
        next: &'h AtomicU64,
    ) -> Self {
        Self { entries, next }
    }

    const fn depth(self) -> u64 {
        self.entries.len() as u64
    }

    fn entry(self, number: u64) -> Option<&'h AtomicU64> {
        let at = number.checked_rem(self.depth())?;
        self.entries.get(usize::try_from(at).ok()?)
    }

    /// The number of the oldest record that may be there, of this one and later ones.
    pub(super) fn oldest(self, first: u64) -> u64 {
        let next = self.next.load(Ordering::Acquire);
        first.max(next.saturating_sub(self.depth()))
    }

    /// Whether there is a record to take, of this number or a later one.
    pub(super) fn has(self, first: u64) -> bool {
        // Relaxed: taking it acquires.
        self.entry(first).is_some_and(|entry| {
            number_from(entry.load(Ordering::Relaxed), first).is_some()
        })
    }

    /// Takes the oldest record that there is, of this number or a later one.
    pub(super) fn take(self, first: u64) -> Option<Taken> {
        let mut first = first;
        for _ in 0..TRIES {
            first = self.oldest(first);
            let entry = self.entry(first)?;
            let found = entry.load(Ordering::Relaxed);
            let mut number = number_from(found, first)?;
            if number == first {
                // Acquire: the record. Release: the cells left before (`put`). Relaxed: a
                // newer one is not read yet.
                let (taken, newer) = (Ordering::AcqRel, Ordering::Relaxed);
                match entry.compare_exchange(found, 0, taken, newer) {
                    Ok(_) => {
                        return Some(Taken { number, index: cell(found)? });
                    }
                    Err(now) => number = number_from(now, first)?,
                }
            }
            // Perhaps `next` does not say so yet.
            first = (number + 1).saturating_sub(self.depth());
        }
        // Acquire: the record. Release: the cells left before.
        let found = self.entry(first)?.swap(0, Ordering::AcqRel);
        let number = number_from(found, first)?;
        Some(Taken { number, index: cell(found)? })
    }

    /// Takes all that is left, where this is the first number that was not taken. Gives
    /// the cells, the oldest first, and whether the record was not passed over.
    pub(super) fn take_rest(
        self,
        first: u64,
    ) -> impl Iterator<Item = (usize, bool)> + 'h {
        let oldest = self.oldest(first);
        (0..self.depth()).filter_map(move |ahead| {
            let entry = self.entry(oldest.wrapping_add(ahead))?;
            // Acquire: the record. Release: the cells left before.
            let found = entry.swap(0, Ordering::AcqRel);
            Some((cell(found)?, number_from(found, first).is_some()))
        })
    }
}

/// What the dispatcher does.
impl Ring<'_> {
    /// Empties the ring, whose entries nobody has put in, and numbers anew.
    pub(super) fn wipe(self) {
        for entry in self.entries {
            entry.store(0, Ordering::Relaxed);
        }
        self.next.store(0, Ordering::Relaxed);
    }

    /// Puts a record in. Returns its number, and the cell of the one whose place it
    /// takes.
    pub(super) fn put(self, index: usize) -> (u64, Option<usize>) {
        // Relaxed: nobody else writes it.
        let number = self.next.load(Ordering::Relaxed);
        let new = pack(number, index);
        // Release: the record. The one that comes out is not read. Acquire: whoever has taken
        // one out here has left its cells before, and these are seen to be free.
        let old = self
            .entry(number)
            .and_then(|entry| cell(entry.swap(new, Ordering::AcqRel)));
        self.next.store(number + 1, Ordering::Release);
        (number, old)
    }

    /// Takes out again what was put in, unless somebody else has.
    pub(super) fn undo(self, number: u64, index: usize) -> bool {
        // Relaxed: what is in the cell is this thread's.
        let relaxed = Ordering::Relaxed;
        self.entry(number).is_some_and(|entry| {
            let put = pack(number, index);
            entry.compare_exchange(put, 0, relaxed, relaxed).is_ok()
        })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_entry_keeps_its_cell_and_tells_older_from_newer() {
        let last = CELLS_MAX - 1;
        // Also where what is kept of a number comes round.
        for first in [0, 1, NUMBER, NUMBER + 1, 3 * NUMBER, 1 << 40] {
            let entry = pack(first, last);
            assert_eq!(cell(entry), Some(last));
            assert_eq!(number_from(entry, first), Some(first));
            for ahead in [1, 2, 1 << 20, NUMBER / 2] {
                let newer = pack(first + ahead, 7);
                assert_eq!(cell(newer), Some(7));
                assert_eq!(number_from(newer, first), Some(first + ahead));
                assert_eq!(number_from(entry, first + ahead), None);
            }
        }
        assert_eq!((cell(0), number_from(0, 0)), (None, None));
    }

    /// In every entry there is one that is newer by many rounds.
    #[test]
    fn the_oldest_is_found_at_once() {
        let entries = [const { AtomicU64::new(0) }; 100];
        let next = AtomicU64::new(0);
        let ring = Ring::new(&entries, &next);
        for index in 0..12_345 {
            assert_eq!(ring.put(index).1, index.checked_sub(100));
        }
        let mut first = 17;
        for number in 12_245..12_345 {
            let index = usize::try_from(number).unwrap();
            assert!(ring.has(first));
            assert_eq!(ring.take(first), Some(Taken { number, index }));
            first = number + 1;
        }
        assert_eq!(ring.take(12_345), None);
    }
}
