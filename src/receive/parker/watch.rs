//! The descriptors that a sleeping thread watches for those it runs.
//!
//! An entry is put in when a receiver is polled and finds nothing, and taken out
//! when its descriptor is readable, to wake the task. It is not taken out when
//! the future is dropped. At worst such an entry causes one poll of the future
//! for nothing, also where the number of the descriptor is another's by then;
//! a closed descriptor is found by `POLLNVAL`.
//!
//! An entry is `FREE`, `TAKEN` or a descriptor. Only who has made it `TAKEN`
//! touches its waker, so that any thread may put one in.

use core::array;
use core::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use core::task::Waker;

use rustix::fd::RawFd;

use super::super::waker::WakerCell;
use crate::error::Error;

/// How many descriptors one thread can watch at the same time.
pub(crate) const WATCHES: usize = 16;

pub(super) struct Watches {
    entries: [Watch; WATCHES],
    /// No entry from here on has been used.
    used: AtomicUsize,
}

struct Watch {
    fd: AtomicI32,
    waker: WakerCell,
}

const FREE: i32 = -1;
const TAKEN: i32 = -2;

impl Watch {
    const fn new() -> Self {
        Self { fd: AtomicI32::new(FREE), waker: WakerCell::new() }
    }

    fn get(&self) -> Option<RawFd> {
        // SeqCst: see `Watches::add`.
        Some(self.fd.load(Ordering::SeqCst)).filter(|&fd| fd >= 0)
    }

    /// Takes the entry from one value to another by way of `TAKEN`, if it has
    /// the first one.
    fn change<R>(
        &self,
        from: i32,
        to: i32,
        f: impl FnOnce() -> R,
    ) -> Option<R> {
        // Acquire: sees the waker as the one before left it.
        let (taken, seen) = (Ordering::Acquire, Ordering::Relaxed);
        self.fd.compare_exchange(from, TAKEN, taken, seen).ok()?;
        let result = f();
        // Release: shows the waker to the next one. SeqCst: see `Watches::add`.
        self.fd.store(to, Ordering::SeqCst);
        Some(result)
    }

    fn put(&self, from: i32, fd: RawFd, waker: &Waker) -> bool {
        self.change(from, fd, || self.waker.register(waker)).is_some()
    }

    fn take(&self, fd: RawFd) -> Option<Waker> {
        self.change(fd, FREE, || self.waker.take()).flatten()
    }
}

impl Watches {
    pub(super) const fn new() -> Self {
        Self {
            entries: [const { Watch::new() }; WATCHES],
            used: AtomicUsize::new(0),
        }
    }

    /// Watches a descriptor, and keeps the waker to wake.
    ///
    /// Another thread may be about to sleep. It says so, then looks at the
    /// entries; this puts the entry in, and its caller looks whether the thread
    /// has said so. All four are `SeqCst`, so one of the two sees the other.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyReceivers`] if all entries are in use.
    pub(super) fn add(&self, fd: RawFd, waker: &Waker) -> Result<(), Error> {
        let used = self.in_use();
        let again = used.iter().any(|entry| entry.put(fd, fd, waker));
        if again || used.iter().any(|entry| entry.put(FREE, fd, waker)) {
            return Ok(());
        }
        for (index, entry) in self.entries.iter().enumerate().skip(used.len()) {
            self.used.fetch_max(index + 1, Ordering::SeqCst);
            if entry.put(FREE, fd, waker) {
                return Ok(());
            }
        }
        Err(Error::TooManyReceivers)
    }

    /// Returns the number of entries from the start that may be in use.
    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::SeqCst)
    }

    /// Returns the watched descriptors, each at its place in the table.
    pub(super) fn all(&self) -> [Option<RawFd>; WATCHES] {
        let used = self.in_use();
        array::from_fn(|index| used.get(index).and_then(Watch::get))
    }

    /// Wakes the tasks whose descriptors are ready.
    pub(super) fn wake(&self, ready: &[Option<RawFd>; WATCHES]) {
        for (entry, fd) in self.in_use().iter().zip(ready) {
            if let Some(waker) = fd.and_then(|fd| entry.take(fd)) {
                waker.wake();
            }
        }
    }

    /// Forgets all entries.
    pub(super) fn clear(&self) {
        for entry in &self.entries {
            drop(entry.get().and_then(|fd| entry.take(fd)));
        }
        self.used.store(0, Ordering::SeqCst);
    }

    fn in_use(&self) -> &[Watch] {
        self.entries.get(..self.used()).unwrap_or_default()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn watched(watches: &Watches) -> impl Iterator<Item = RawFd> {
        watches.all().into_iter().flatten()
    }

    #[test]
    fn a_descriptor_is_watched_once() {
        let watches = Watches::new();
        for _ in 0..3 {
            watches.add(7, Waker::noop()).unwrap();
        }
        assert!(watched(&watches).eq([7]));
        assert_eq!(watches.used(), 1);
    }

    #[test]
    fn a_full_table_says_so_and_has_room_again_when_one_is_ready() {
        let watches = Watches::new();
        for fd in 0..16 {
            watches.add(fd, Waker::noop()).unwrap();
        }
        assert_eq!(
            watches.add(16, Waker::noop()),
            Err(Error::TooManyReceivers)
        );
        watches.add(5, Waker::noop()).unwrap();
        let mut ready = [None; WATCHES];
        ready[3] = Some(3);
        watches.wake(&ready);
        watches.add(16, Waker::noop()).unwrap();
        assert_eq!(watches.all()[3], Some(16));
    }

    #[test]
    fn what_was_replaced_since_is_not_taken_out() {
        let watches = Watches::new();
        watches.add(7, Waker::noop()).unwrap();
        let mut ready = [None; WATCHES];
        ready[0] = Some(8);
        watches.wake(&ready);
        assert!(watched(&watches).eq([7]));
        watches.clear();
        assert!(watched(&watches).eq([]));
    }
}
