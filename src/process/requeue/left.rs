//! What could not be put back.
//!
//! A ring that reads ahead makes room in the kernel's queue, and others may fill it
//! (`RLIMIT_SIGPENDING`). When the ring goes, its real-time signals then do not go
//! back. They are not lost: they are left here, and whichever receiver of the
//! process reads next, of those that receive the signal, takes them before what is
//! pending. One that sleeps already is woken if every thread blocks the signal
//! (`wake.rs`), and else notices with the next signal: with no handler there, what wakes
//! could take the action of the signal.
//!
//! So does the memory of a ring that cannot be told to forget it, because a sandbox
//! has come to forbid that. The kernel may go on to read signals into it, and here
//! they are found. What a completion says is not heard here, so a thread that looks
//! while the kernel is copying may find a record with its number and not yet its value.
//!
//! It is a chain of mappings, which only ever grows: there is one that records are
//! left in, another if that is full, and one for each request that went on. Where
//! there is no memory for the first, it is that of the ring that goes. Each place is
//! taken or filled by one thread at a time (`records.rs`), and nobody waits.
//!
//! In a forked child the chain is a copy of the parent's. Signals are not inherited,
//! and neither are these: the child passes over mappings that it did not make.

#![expect(unsafe_code, reason = "a chain of mappings")]

use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use rustix::io::Errno;

use super::records::{BUFFERS, HEAD_ROOM, RECORDS, Records, TAKEN, signal_of};
use super::wake;
use crate::process::fork::{look_for_less, look_for_more};
use crate::process::{Birth, probe};
use crate::signal::{SigInfo, SignalSet};

static FIRST: AtomicPtr<Shelf> = AtomicPtr::new(ptr::null_mut());

/// A mapping of the chain says this of itself.
struct Shelf {
    records: Records,
    /// The one that was there before; null for none. It does not change.
    next: *mut Self,
    birth: Birth,
    /// How many records are in it; [`ANY`] if the kernel fills it.
    count: AtomicUsize,
}

const ANY: usize = usize::MAX;

/// How many there is room for.
const PLACES: usize = BUFFERS as usize * RECORDS;

const _: () = assert!(size_of::<Shelf>() <= HEAD_ROOM);

/// Leaves a record here. It fails only if there is no memory.
#[cold]
pub(super) fn leave(info: &SigInfo, birth: Birth) -> bool {
    let is_put = |shelf: &Shelf| shelf.put(info);
    if shelves(birth).any(is_put) {
        return true;
    }
    let Ok(records) = Records::map() else { return false };
    look_for_more();
    // Nobody has seen it, so there is room.
    let is_put = records.offer(0, 0, info);
    hang(records, 1, birth);
    is_put
}

/// Maps memory for what may be left later, if there is none.
pub(super) fn make_room(birth: Birth) -> Result<(), Errno> {
    let is_ours = |shelf: &Shelf| shelf.count.load(Ordering::Relaxed) != ANY;
    if !shelves(birth).any(is_ours) {
        hang(Records::map()?, 0, birth);
    }
    Ok(())
}

/// Leaves memory here, with so many records in it; `None` if the kernel may go on
/// to fill it.
pub(crate) fn keep(records: Records, count: Option<usize>, birth: Birth) {
    // What the kernel may still fill is looked for from now on.
    (0..count.unwrap_or(1)).for_each(|_| look_for_more());
    hang(records, count.unwrap_or(ANY), birth);
}

/// Adds a mapping to the chain.
fn hang(records: Records, count: usize, birth: Birth) {
    let label = records.label().cast::<Shelf>();
    let mut next = FIRST.load(Ordering::Relaxed);
    loop {
        let count = AtomicUsize::new(count);
        let shelf = Shelf { records, next, birth, count };
        // SAFETY: there is room in the mapping, aligned as a page, and nobody else
        // has seen it yet.
        unsafe { label.write(shelf) };
        // Release: shows the mapping.
        let (set, seen) = (Ordering::Release, Ordering::Relaxed);
        match FIRST.compare_exchange_weak(next, label.as_ptr(), set, seen) {
            Ok(_) => return,
            Err(other) => next = other,
        }
    }
}

/// The mappings of this process.
fn shelves(birth: Birth) -> impl Iterator<Item = &'static Shelf> {
    // Acquire: sees what `hang` shows.
    let first = FIRST.load(Ordering::Acquire);
    // SAFETY: null, or what `hang` has written, which is never unmapped, and of
    // which nothing changes but what is atomic.
    let first = unsafe { first.as_ref() };
    core::iter::successors(first, |shelf| {
        // SAFETY: as above.
        unsafe { shelf.next.as_ref() }
    })
    .filter(move |shelf| shelf.birth == birth)
}

impl Shelf {
    fn put(&self, info: &SigInfo) -> bool {
        // If it is full, or the kernel's.
        if self.count.load(Ordering::Relaxed) >= PLACES {
            return false;
        }
        // Before it can be taken, so that it is never less than there are.
        look_for_more();
        let count = self.count.fetch_add(1, Ordering::Release);
        let is_put = places_from(count)
            .any(|(buffer, at)| self.records.offer(buffer, at, info));
        if !is_put {
            self.count.fetch_sub(1, Ordering::Relaxed);
            look_for_less();
        }
        is_put
    }

    fn take(
        &self,
        buffer: u16,
        at: usize,
        wanted: SignalSet,
    ) -> Option<SigInfo> {
        let is_ours = self.count.load(Ordering::Relaxed) != ANY;
        let instead = if is_ours { 0 } else { TAKEN };
        let info = self.records.claim(buffer, at, wanted, instead)?;
        if is_ours {
            self.count.fetch_sub(1, Ordering::Relaxed);
            look_for_less();
        }
        Some(info)
    }

    /// The places that may be filled. The kernel fills a buffer from its beginning,
    /// and no place is emptied again.
    fn filled(&self) -> impl Iterator<Item = (u16, usize)> {
        let count = self.count.load(Ordering::Acquire);
        let buffers = if count == 0 { 0 } else { BUFFERS };
        (0..buffers).flat_map(move |buffer| {
            (0..RECORDS).map(move |at| (buffer, at)).take_while(
                move |&(buffer, at)| {
                    count != ANY || self.records.number_of(buffer, at) != 0
                },
            )
        })
    }
}

/// All places, first those that are free where this many are filled, one after another.
fn places_from(count: usize) -> impl Iterator<Item = (u16, usize)> {
    let first = u16::try_from(count / RECORDS).map_or(0, |it| it.min(BUFFERS));
    let buffers = (first..BUFFERS).chain(0..first);
    buffers.flat_map(|buffer| (0..RECORDS).map(move |at| (buffer, at)))
}

/// Takes records of these signals that were left.
pub(crate) fn take(
    room: &mut [SigInfo],
    wanted: impl FnOnce() -> SignalSet,
) -> usize {
    if FIRST.load(Ordering::Relaxed).is_null() {
        return 0;
    }
    let wanted = wanted();
    let mut room = room.iter_mut();
    let mut taken = 0;
    // The room first: a record that is claimed has to go somewhere.
    let Some(mut place) = room.next() else { return 0 };
    for shelf in shelves(Birth::here()) {
        for (buffer, at) in shelf.filled() {
            let Some(info) = shelf.take(buffer, at, wanted) else { continue };
            if probe::is_probe(&info) {
                // A ring has read it for a receiver, and it was for the handler.
                probe::has_come();
                continue;
            }
            if wake::is_wake(&info) {
                // So it has, for a receiver that looks here anyway.
                continue;
            }
            *place = info;
            taken += 1;
            match room.next() {
                Some(next) => place = next,
                None => return taken,
            }
        }
    }
    taken
}

/// Whether a record of these signals was left.
pub(crate) fn has(wanted: SignalSet) -> bool {
    if FIRST.load(Ordering::Relaxed).is_null() {
        return false;
    }
    shelves(Birth::here()).any(|shelf| {
        shelf.filled().any(|(buffer, at)| {
            let number = shelf.records.number_of(buffer, at);
            number > 0 && wanted.has(signal_of(number))
        })
    })
}
