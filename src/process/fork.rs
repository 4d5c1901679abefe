//! Which process something was made in.
//!
//! A signalfd, an epoll and an eventfd are shared with a forked child: what the
//! child changes, the parent feels. So a receiver remembers where it was made
//! and refuses to work elsewhere.
//!
//! Asking `getpid(2)` at every read would cost a system call for each signal.
//! Instead there is one word on a page that the kernel wipes in a forked child
//! (`MADV_WIPEONFORK`). The first receiver writes a number into its lower half and all
//! receivers remember that number. In a child the word is zero, which is no
//! receiver's number; when the child makes a receiver of its own it writes the
//! next number, which is not its parent's. Where the kernel cannot wipe the
//! page, the process id is the number, and is asked for each time.
//!
//! # The upper half
//!
//! A reader has to look for more than the kernel has in its queue if a record was left
//! (`requeue/left.rs`) or a wake is on its way that cannot be told from a signal
//! (`requeue/wake.rs`). Both are rare. The upper half of the word counts them: each is
//! added before it can be found, and taken away after it was. So one comparison tells a
//! reader that this is its process and that there is nothing but the queue ([`Quick`]).

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::error::Error;
use crate::sys;

/// The process in which something was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Birth(u32);

/// The number last given out; a child goes on from its parent's.
static LAST: AtomicU32 = AtomicU32::new(0);

/// One thing more to look for, in the word.
const ONE_MORE: u64 = 1 << 32;

/// The lower half of the word.
const fn number_in(word: u64) -> u32 {
    let [a, b, c, d, ..] = word.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

impl Birth {
    /// This process.
    pub(crate) fn here() -> Self {
        let Some(word) = sys::wiped_on_fork() else {
            return Self(sys::process_id());
        };
        // Relaxed throughout: the number itself is all that is passed on.
        let number = number_in(word.load(Ordering::Relaxed));
        if number != 0 {
            return Self(number);
        }
        let next = LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1).max(1);
        let relaxed = Ordering::Relaxed;
        match word.compare_exchange(0, next.into(), relaxed, relaxed) {
            Ok(_) => Self(next),
            Err(first) => Self(number_in(first)),
        }
    }

    /// The number of the process.
    pub(crate) const fn number(self) -> u32 {
        self.0
    }

    /// Fails with [`Error::Forked`] in another process.
    pub(crate) fn check(self) -> Result<(), Error> {
        let here = match sys::wiped_on_fork() {
            Some(word) => number_in(word.load(Ordering::Relaxed)),
            None => sys::process_id(),
        };
        if here == self.0 { Ok(()) } else { Err(Error::Forked) }
    }

    /// Tells at once whether nothing is out of the ordinary here.
    pub(crate) fn quick(self) -> Quick {
        match sys::wiped_on_fork() {
            Some(word) => Quick { word, ordinary: self.0.into() },
            None => Quick::never(),
        }
    }
}

/// Says that there is something more to look for, before it can be found. Whoever does
/// has something that was made in this process.
pub(super) fn look_for_more() {
    if let Some(word) = sys::wiped_on_fork() {
        word.fetch_add(ONE_MORE, Ordering::Relaxed);
    }
}

/// Says that one of these has been found, or never came.
pub(super) fn look_for_less() {
    if let Some(word) = sys::wiped_on_fork() {
        word.fetch_sub(ONE_MORE, Ordering::Relaxed);
    }
}

/// Knows how the word reads where a receiver was made, and nothing has to be looked for
/// but in the kernel's queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quick {
    word: &'static AtomicU64,
    ordinary: u64,
}

impl Quick {
    /// Always has to look.
    // No constant: to refer in one to what can change takes a newer Rust.
    pub(crate) fn never() -> Self {
        static ZERO: AtomicU64 = AtomicU64::new(0);
        Self { word: &ZERO, ordinary: u64::MAX }
    }

    /// Whether this is the process, and there is nothing but the kernel's queue.
    #[inline]
    pub(crate) fn is_ordinary(&self) -> bool {
        // Relaxed: it says no more than where to look, and what is found there is
        // acquired there. What was left before the reader was told of it, it sees.
        self.word.load(Ordering::Relaxed) == self.ordinary
    }
}

/// A [`Birth`] in a static.
#[derive(Debug)]
pub(crate) struct AtomicBirth(AtomicU32);

impl AtomicBirth {
    /// No process at all.
    pub(crate) const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    pub(crate) fn store(&self, birth: Birth) {
        self.0.store(birth.0, Ordering::Relaxed);
    }

    pub(crate) fn load(&self) -> Birth {
        Birth(self.0.load(Ordering::Relaxed))
    }
}

/// A number in a static that is about one process: in its upper half is which. To any
/// other it is 0, to a forked child for one.
#[derive(Debug)]
pub(super) struct OfProcess(AtomicU64);

impl OfProcess {
    pub(super) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// The number, for this process. `SeqCst`.
    pub(super) fn load(&self, birth: Birth) -> u32 {
        of(self.0.load(Ordering::SeqCst), birth)
    }

    /// Changes the number for this process, and returns what it was. It is a change
    /// also where it stays the same: who comes later sees what was done before.
    pub(super) fn update(
        &self,
        birth: Birth,
        change: impl Fn(u32) -> u32,
    ) -> u32 {
        let (set, seen) = (Ordering::SeqCst, Ordering::SeqCst);
        let change = |word| {
            let new = change(of(word, birth));
            Some(u64::from(birth.0) << 32 | u64::from(new))
        };
        let (Ok(before) | Err(before)) = self.0.fetch_update(set, seen, change);
        of(before, birth)
    }
}

/// What such a word says to a process.
const fn of(word: u64, birth: Birth) -> u32 {
    if word >> 32 == birth.0 as u64 { number_in(word) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_one_process_is_none_to_others() {
        let (number, one, other) = (OfProcess::new(), Birth(1), Birth(2));
        assert_eq!(number.update(one, |it| it + 7), 0);
        assert_eq!(number.update(one, |it| it + 1), 7);
        assert_eq!((number.load(one), number.load(other)), (8, 0));
        assert_eq!(number.update(other, |it| it), 0);
        assert_eq!((number.load(one), number.load(other)), (0, 0));
    }

    #[test]
    fn a_process_is_itself() {
        let here = Birth::here();
        assert_eq!(here, Birth::here());
        assert_eq!(here.check(), Ok(()));
        assert_eq!(Birth(here.0 + 1).check(), Err(Error::Forked));
        assert_eq!(Birth(0).check(), Err(Error::Forked));
    }
}
