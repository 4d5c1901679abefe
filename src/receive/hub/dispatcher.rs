//! Who hands out the records.

use core::fmt;
use core::sync::atomic::Ordering;

use super::Floor;
use super::cells::Cell;
use super::seat::Offered;
use crate::error::Error;
use crate::process::Birth;
use crate::receive::wake_each;
use crate::signal::SigInfo;
use crate::sys;

/// Gives records to the subscribers of a [`Hub`](crate::Hub). There is one at a time.
///
/// It can be sent to another thread, and once it is dropped, anyone may get another from
/// the hub. Subscribers do not notice; what is in their rings stays. (If it is never
/// dropped, by [`core::mem::forget`], the hub gets no other.)
///
/// In a forked child it fails with [`Error::Forked`], and the hub has no dispatcher.
pub struct Dispatcher<'h> {
    floor: Floor<'h>,
    birth: Birth,
    /// The cell from which to look for a free one.
    cursor: usize,
}

impl<'h> Dispatcher<'h> {
    pub(super) fn begin(floor: Floor<'h>) -> Result<Self, Error> {
        let birth = Birth::here();
        let here = birth.number();
        let desk = floor.desk;
        let held = desk.dispatching.load(Ordering::Relaxed);
        // Acquire: what the last dispatcher did. If the number is another process's, that
        // one is not here.
        let (set, seen) = (Ordering::Acquire, Ordering::Relaxed);
        if held == here
            || desk.dispatching.compare_exchange(held, here, set, seen).is_err()
        {
            return Err(Error::AlreadyDispatching);
        }
        // The first in this process finds what another has counted, whose threads are
        // not here. Nobody here holds a cell yet, since only a dispatcher hands them out.
        if desk.dispatched.load(Ordering::Relaxed) != here {
            floor.cells.forget();
            desk.dispatched.store(here, Ordering::Relaxed);
        }
        Ok(Self { floor, birth, cursor: 0 })
    }

    /// Gives a record to every subscriber that wants its signal, and returns how many
    /// have got it.
    ///
    /// On 0 the record is nowhere else, and it is for the caller to act on it. The
    /// [module](crate::hub#what-is-received-at-all) says why.
    ///
    /// It never waits. A subscriber whose ring is full loses its oldest record, and
    /// counts it as [`missed`](super::Subscriber::missed). A subscriber that waits is
    /// woken, at most once for each record: a thread by one system call, a task by its
    /// waker.
    ///
    /// The record may come from anywhere: a [`Receiver`](crate::Receiver), a source in
    /// the caller's ring, or [`SigInfo::from_bytes`].
    ///
    /// # Errors
    ///
    /// [`Error::Forked`] in a forked child: nobody has got it.
    pub fn dispatch(&mut self, info: &SigInfo) -> Result<usize, Error> {
        self.birth.check()?;
        let process = self.birth.number();
        let signal = 1 << info.signal().bit();
        let Floor { cells, .. } = self.floor;
        // There is always one free (see `Cells`).
        let free = cells.fill(self.cursor, &info.to_words());
        let Some(index) = free else { return Ok(0) };
        let held = Held { cell: cells.get(index) };
        self.cursor = index + 1;
        let mut count = 0;
        let mut wakers = self.floor.places().filter_map(|place| {
            let offered = place.offer(process, signal, index);
            let Offered { has_got_it, is_asleep, is_awaited, left } = offered;
            count += usize::from(has_got_it);
            self.cursor = left.unwrap_or(self.cursor);
            if is_asleep {
                place.seat.ring();
                sys::futex_wake(place.seat.bell());
            }
            if is_awaited { place.seat.waker().take() } else { None }
        });
        // All of them get it, even if a waker panics.
        wake_each(&mut wakers);
        // If all who got it have left by now without seeing it, this holds it alone.
        Ok(if held.end() { 0 } else { count })
    }
}

/// A record while it is handed out. It is held no longer afterwards, also if there was
/// a panic.
struct Held<'h> {
    cell: Option<&'h Cell>,
}

impl Held<'_> {
    /// Ends it, and tells whether nobody has seen the record, or will.
    fn end(mut self) -> bool {
        self.cell.take().is_none_or(Cell::leave)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.cell.take().map(Cell::leave);
    }
}

impl Drop for Dispatcher<'_> {
    fn drop(&mut self) {
        if self.birth.check().is_ok() {
            // Release: what was done.
            self.floor.desk.dispatching.store(0, Ordering::Release);
        }
    }
}

impl fmt::Debug for Dispatcher<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dispatcher").finish_non_exhaustive()
    }
}
