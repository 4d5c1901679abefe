//! A hub that tests look into: places, rings and cells, and what the dispatcher does.
//!
//! A record is a number and its complement, so a torn one shows. Models are checked by
//! loom (`models.rs`), and sequences compared with plain queues (`src/fuzz/hub.rs`).

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "it is for tests and fuzzers"
)]

extern crate std;

use std::vec::Vec;

#[cfg(loom)]
use loom::sync::Arc;
#[cfg(not(loom))]
use std::sync::Arc;

use super::cells::{Cell, Cells, Words};
use super::seat::{Key, Place, Seat};
use crate::primitive::{AtomicU64, AtomicUsize, Ordering};

pub(super) const PROCESS: u32 = 1;
/// Two signals.
#[cfg(test)]
pub(super) const ONE: u64 = 1;
#[cfg(test)]
pub(super) const TWO: u64 = 2;

/// A hub.
pub(super) struct Model {
    pub(super) seats: Vec<Seat>,
    entries: Vec<AtomicU64>,
    cells: Vec<Cell>,
    steps: AtomicUsize,
}

/// A record that was dispatched to nobody.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Unclaimed;

impl Model {
    pub(super) fn new(seats: usize, depth: usize) -> Arc<Self> {
        let entries = seats * depth;
        Arc::new(Self {
            seats: (0..seats).map(|_| Seat::new()).collect(),
            entries: (0..entries).map(|_| AtomicU64::new(0)).collect(),
            cells: (0..=entries + seats).map(|_| Cell::new()).collect(),
            steps: AtomicUsize::new(0),
        })
    }

    pub(super) fn cells(&self) -> Cells<'_> {
        Cells::new([&self.cells, &[], &[]])
    }

    pub(super) fn place(&self, index: usize) -> Place<'_> {
        let depth = self.entries.len() / self.seats.len();
        let entries = &self.entries[index * depth..][..depth];
        Place::new(&self.seats[index], entries, self.cells())
    }

    /// Makes loom try both orders of what follows here and elsewhere: it remembers of a
    /// word only who was there last.
    pub(super) fn step(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// What the dispatcher does with a record.
    pub(super) fn dispatch(
        &self,
        signal: u64,
        number: u64,
    ) -> Result<(), Unclaimed> {
        self.step();
        let cells = self.cells();
        let index = cells.fill(0, &record(number)).expect("one is free");
        let mut count = 0;
        for index_of_seat in 0..self.seats.len() {
            let place = self.place(index_of_seat);
            let offered = place.offer(PROCESS, signal, index);
            count += usize::from(offered.has_got_it);
            if offered.is_asleep {
                place.seat.ring();
            }
            if offered.is_awaited {
                place.seat.waker().wake();
            }
        }
        let is_unclaimed = cells.get(index).unwrap().leave();
        // That there are some to whom it came says the same.
        if is_unclaimed || count == 0 { Err(Unclaimed) } else { Ok(()) }
    }
}

/// A record: a number in the first word and its complement in the others.
fn record(number: u64) -> Words {
    let mut words = Words::default().map(|_| !number);
    words[0] = number;
    words
}

/// The number in a record, which is whole.
fn number_of(words: Words) -> u64 {
    assert_eq!(words, record(words[0]), "it is torn");
    words[0]
}

/// A subscriber.
pub(super) struct Member {
    pub(super) model: Arc<Model>,
    pub(super) index: usize,
    pub(super) key: Key,
    pub(super) first: u64,
    pub(super) taken: u64,
}

impl Member {
    pub(super) fn join(
        model: &Arc<Model>,
        index: usize,
        signals: u64,
    ) -> Option<Self> {
        model.step();
        let (key, _) = model.place(index).join(PROCESS, signals)?;
        let model = Arc::clone(model);
        Some(Self { model, index, key, first: 0, taken: 0 })
    }

    pub(super) fn place(&self) -> Place<'_> {
        self.model.place(self.index)
    }

    pub(super) fn has_some(&self) -> bool {
        self.model.step();
        self.place().is_open(self.key) && self.place().has(self.first)
    }

    /// Takes a record, which is whole, and tells its number.
    pub(super) fn take(&mut self) -> Option<u64> {
        self.model.step();
        if !self.place().is_open(self.key) {
            return None;
        }
        let (number, words) = self.place().take(self.first)?;
        self.first = number + 1;
        self.taken += 1;
        Some(number_of(words))
    }

    pub(super) fn missed(&self) -> u64 {
        self.place().oldest(self.key, self.first) - self.taken
    }

    /// Leaves, and tells what is given back.
    pub(super) fn leave(self) -> Vec<u64> {
        self.model.step();
        let mut given_back = Vec::new();
        let back = |words| given_back.push(number_of(words));
        drop(self.place().leave(self.key, self.first, back));
        given_back
    }
}
