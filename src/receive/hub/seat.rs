//! The places of subscribers: who has them, and who is woken.
//!
//! # States
//!
//! One word says whose a place is: the process, a generation, which counts how often
//! the place was taken, and
//!
//! | state | the place belongs to |
//! |---|---|
//! | free | nobody |
//! | busy | the thread that is joining, or leaving, which is alone with it |
//! | owned | a subscriber |
//!
//! Process and generation together are the *key* of a subscription. Joining goes free →
//! busy → owned, with a new key; leaving goes owned → busy → free. A place that another
//! process has left behind in memory, in whatever state, is as good as free: after a fork
//! there is nobody here to come back to it.
//!
//! The subscriber owns its end of the ring. The dispatcher comes to a place that is owned
//! at any time, and asks nobody. It works for the key that it has seen, and looks at the
//! word again when it has put a record in:
//!
//! - The key is the same: the subscriber was there, so it takes the record, or finds it
//!   when it leaves.
//! - The subscriber has left meanwhile. It may have emptied the ring before the record
//!   was put in, so the dispatcher takes it out again, unless the subscriber got it: it
//!   has taken it and left, or found it when it left. One of the two does, since an entry
//!   comes out once.
//!
//! The next subscriber of the place must not take a record that was meant for the one
//! before. So it leaves the ring alone until the dispatcher has *opened* it for its key:
//! the dispatcher finds a key for which it has not, numbers anew from 0, and says so.
//! What it began for the one before it has ended by then, since there is one dispatcher.
//!
//! So nobody waits for anybody, and a place that was left can be taken at once, though
//! the dispatcher may be in the midst of it.
//!
//! The generation comes round after 2^28 subscriptions. For one of them to be taken for
//! another, the dispatcher has to stand still for as long as that many come and go, in
//! the midst of one record. Then that record may reach who did not ask for it.
//!
//! # Waking
//!
//! The word has two bits more, for one who waits: *asleep*, a thread of the subscriber's
//! sleeps on the bell; *awaited*, its task has left a waker. Who is about to wait sets
//! its bit, looks at the ring once more, and waits. The dispatcher puts a record in, then
//! clears both bits, and wakes who had set them. Either operation is a read-modify-write
//! of the one word, so they come one after the other. If the bit was set first, the
//! dispatcher sees it. If not, the other reads from the dispatcher's operation, acquires
//! what was put in before it, and finds the record. Leaving is such an operation, too.
//!
//! A bit may be found that is another's by now. Then that one is woken for nothing.
//!
//! If a thread was at the waker's cell when the process was forked, the cell is held for
//! ever in the child. Then a task that waits there is woken each time it is polled
//! (`waker.rs`): it costs CPU, and loses nothing.
//!
//! # Memory ordering
//!
//! Every operation that changes the word, or tells of a record, is a read-modify-write:
//! they come one after the other, and each releases what came before it, and acquires
//! what came before those that it follows.
//! `opened` is released when the ring is ready, and acquired before it is used.

use core::task::Waker;

use super::cells::{Cells, Words};
use super::ring::Ring;
use super::waker::WakerCell;
use crate::primitive::{AtomicU32, AtomicU64, Ordering};

const FREE: u64 = 0;
const BUSY: u64 = 1;
const OWNED: u64 = 2;
const STATES: u64 = 3;

const ASLEEP: u64 = 1 << 2;
const AWAITED: u64 = 1 << 3;

const ONE_GENERATION: u64 = 1 << 4;
const PROCESS: u32 = 32;
const KEY: u64 = !(ONE_GENERATION - 1);

/// A subscription: who has a place, and since when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Key(u64);

impl Key {
    /// No subscription: no process has the number 0.
    const NONE: Self = Self(0);

    const fn of(state: u64) -> Self {
        Self(state & KEY)
    }

    const fn is_of(self, process: u32) -> bool {
        self.0 >> PROCESS == process as u64
    }

    /// The key of the next subscription of this place.
    const fn next(self, process: u32) -> Self {
        let generation = self.0.wrapping_add(ONE_GENERATION) & KEY;
        let generation = generation & !(u64::MAX << PROCESS);
        Self((process as u64) << PROCESS | generation)
    }
}

/// See the head of this file.
pub(super) struct Seat {
    state: AtomicU64,
    /// The signals that the subscriber wants, as the bits of a set.
    signals: AtomicU64,
    /// The subscription that the ring was opened for.
    opened: AtomicU64,
    /// The number that the next record gets. The dispatcher writes it.
    next: AtomicU64,
    /// What a thread of the subscriber's sleeps on.
    bell: AtomicU32,
    waker: WakerCell,
}

impl Seat {
    #[cfg(not(loom))]
    pub(super) const fn new() -> Self {
        Self {
            state: AtomicU64::new(FREE),
            signals: AtomicU64::new(0),
            opened: AtomicU64::new(0),
            next: AtomicU64::new(0),
            bell: AtomicU32::new(0),
            waker: WakerCell::new(),
        }
    }

    #[cfg(loom)]
    pub(super) fn new() -> Self {
        Self {
            state: AtomicU64::new(FREE),
            signals: AtomicU64::new(0),
            opened: AtomicU64::new(0),
            next: AtomicU64::new(0),
            bell: AtomicU32::new(0),
            waker: WakerCell::new(),
        }
    }

    /// What a subscriber of this process wants, if there is one.
    pub(super) fn wanted(&self, process: u32) -> Option<u64> {
        let state = self.state.load(Ordering::Acquire);
        let is_owned = state & STATES == OWNED && Key::of(state).is_of(process);
        is_owned.then(|| self.signals.load(Ordering::Acquire))
    }

    #[cfg(not(loom))]
    pub(super) const fn signals(&self) -> &AtomicU64 {
        &self.signals
    }

    pub(super) const fn waker(&self) -> &WakerCell {
        &self.waker
    }

    pub(super) const fn bell(&self) -> &AtomicU32 {
        &self.bell
    }

    /// Says that a thread is about to sleep, and returns what the bell says until it is
    /// rung. Afterwards the thread looks at the ring before it sleeps.
    pub(super) fn fall_asleep(&self) -> u32 {
        let unrung = self.bell.load(Ordering::Relaxed);
        // Release: the bell was read before, so it is rung after.
        self.state.fetch_or(ASLEEP, Ordering::AcqRel);
        unrung
    }

    /// Says that the thread does not sleep.
    pub(super) fn wake_up(&self) {
        self.state.fetch_and(!ASLEEP, Ordering::AcqRel);
    }

    /// Says that a task has left its waker. Afterwards it looks at the ring.
    pub(super) fn await_waker(&self) {
        self.state.fetch_or(AWAITED, Ordering::AcqRel);
    }

    /// Ends the sleep of who sleeps on the bell, once it is woken.
    pub(super) fn ring(&self) {
        self.bell.fetch_add(1, Ordering::Release);
    }
}

/// A seat with its ring, and the cells of the hub.
#[derive(Clone, Copy)]
pub(super) struct Place<'h> {
    pub(super) seat: &'h Seat,
    entries: &'h [AtomicU64],
    cells: Cells<'h>,
}

impl<'h> Place<'h> {
    pub(super) const fn new(
        seat: &'h Seat,
        entries: &'h [AtomicU64],
        cells: Cells<'h>,
    ) -> Self {
        Self { seat, entries, cells }
    }

    const fn ring(self) -> Ring<'h> {
        Ring::new(self.entries, &self.seat.next)
    }

    /// Takes the place for a subscriber that wants these signals, if it is free. The
    /// waker is what another process has left here.
    pub(super) fn join(
        self,
        process: u32,
        signals: u64,
    ) -> Option<(Key, Option<Waker>)> {
        let seat = self.seat;
        // Acquire: what the caller looks at afterwards is not older.
        let old = seat.state.load(Ordering::Acquire);
        if old & STATES != FREE && Key::of(old).is_of(process) {
            return None;
        }
        let key = Key::of(old).next(process);
        // Acquire: the place as it was left.
        let (taken, lost) = (Ordering::Acquire, Ordering::Relaxed);
        let busy = key.0 | BUSY;
        seat.state.compare_exchange(old, busy, taken, lost).ok()?;
        seat.signals.store(signals, Ordering::Relaxed);
        // Release: the ring as it was left, for the dispatcher.
        seat.opened.store(Key::NONE.0, Ordering::Release);
        let left = seat.waker.take();
        // Release: what was stored.
        seat.state.swap(key.0 | OWNED, Ordering::AcqRel);
        Some((key, left))
    }

    /// Whether the dispatcher has opened the ring for this subscription.
    pub(super) fn is_open(self, key: Key) -> bool {
        self.seat.opened.load(Ordering::Acquire) == key.0
    }

    /// The number of the oldest record that may be left in the ring, where this is the
    /// first that was not taken: those before it are gone.
    pub(super) fn oldest(self, key: Key, first: u64) -> u64 {
        if self.is_open(key) { self.ring().oldest(first) } else { first }
    }

    /// Whether there is a record to take from a ring that is open.
    pub(super) fn has(self, first: u64) -> bool {
        self.ring().has(first)
    }

    /// Takes the oldest record of this number or a later one from a ring that is open,
    /// for the caller to see, and tells its number.
    pub(super) fn take(self, first: u64) -> Option<(u64, Words)> {
        let taken = self.ring().take(first)?;
        let cell = self.cells.get(taken.index)?;
        let words = cell.read();
        cell.see();
        Some((taken.number, words))
    }

    /// Gives the place up, where this is the first number that was not taken. What is
    /// left in the ring and was seen by nobody is given back. The waker is that of a
    /// task that has awaited a record.
    pub(super) fn leave(
        self,
        key: Key,
        first: u64,
        mut give_back: impl FnMut(Words),
    ) -> Option<Waker> {
        let seat = self.seat;
        // Acquire: what the dispatcher has put in. Release: so that it sees this if it
        // puts in more.
        seat.state.swap(key.0 | BUSY, Ordering::AcqRel);
        if self.is_open(key) {
            for (index, counts) in self.ring().take_rest(first) {
                let Some(cell) = self.cells.get(index) else { continue };
                let words = cell.read();
                if cell.leave() && counts {
                    give_back(words);
                }
            }
        }
        let left = seat.waker.take();
        // Release: the place as it is left.
        seat.state.swap(key.0 | FREE, Ordering::AcqRel);
        left
    }
}

/// What came of an offer.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Offered {
    /// Whether the subscriber has got the record.
    pub(super) has_got_it: bool,
    /// Whether a thread is to be woken.
    pub(super) is_asleep: bool,
    /// Whether a task is to be woken.
    pub(super) is_awaited: bool,
    /// A cell that another record has left, and nobody else has.
    pub(super) left: Option<usize>,
}

/// What the dispatcher does.
impl Place<'_> {
    /// Gives the subscriber a record, which the dispatcher holds, if it wants it.
    pub(super) fn offer(
        self,
        process: u32,
        signal: u64,
        index: usize,
    ) -> Offered {
        let seat = self.seat;
        let before = seat.state.load(Ordering::Acquire);
        let key = Key::of(before);
        if before & STATES != OWNED
            || !key.is_of(process)
            || seat.signals.load(Ordering::Acquire) & signal == 0
        {
            return Offered::default();
        }
        let Some(cell) = self.cells.get(index) else {
            return Offered::default();
        };
        // Acquire: what the subscriber before has taken out.
        if seat.opened.load(Ordering::Acquire) != key.0 {
            // What is in there is of another process, and so are its cells: the
            // subscriber before has left nothing, and neither has the dispatcher.
            self.ring().wipe();
            // Release: the ring as it is now.
            seat.opened.store(key.0, Ordering::Release);
        }
        cell.hold();
        let (number, left) = self.ring().put(index);
        let left = left.and_then(|index| {
            let cell = self.cells.get(index)?;
            cell.leave();
            cell.is_free().then_some(index)
        });
        // Release: the record is in. Acquire: whoever waits has said so; whoever has
        // left has taken out what was there.
        let waiting = ASLEEP | AWAITED;
        let after = seat.state.fetch_and(!waiting, Ordering::AcqRel);
        let is_there = after & STATES == OWNED && Key::of(after) == key;
        let is_undone = !is_there && self.ring().undo(number, index);
        if is_undone {
            cell.leave();
        }
        Offered {
            has_got_it: !is_undone,
            is_asleep: after & ASLEEP != 0,
            is_awaited: after & AWAITED != 0,
            left,
        }
    }
}
