//! Which process something was made in.
//!
//! A signalfd, an epoll and an eventfd are shared with a forked child: what the
//! child changes, the parent feels. So a receiver remembers where it was made
//! and refuses to work elsewhere.
//!
//! Asking `getpid(2)` at every read would cost a system call for each signal.
//! Instead there is one word on a page that the kernel wipes in a forked child
//! (`MADV_WIPEONFORK`). The first receiver writes a number into it and all
//! receivers remember that number. In a child the word is zero, which is no
//! receiver's number; when the child makes a receiver of its own it writes the
//! next number, which is not its parent's. Where the kernel cannot wipe the
//! page, the process id is the number, and is asked for each time.

use core::sync::atomic::{AtomicU32, Ordering};

use crate::error::Error;
use crate::sys;

/// The process in which something was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Birth(u32);

/// The number last given out; a child goes on from its parent's.
static LAST: AtomicU32 = AtomicU32::new(0);

impl Birth {
    /// This process.
    pub(crate) fn here() -> Self {
        let Some(word) = sys::wiped_on_fork() else {
            return Self(sys::process_id());
        };
        // Relaxed throughout: the number itself is all that is passed on.
        let number = word.load(Ordering::Relaxed);
        if number != 0 {
            return Self(number);
        }
        let next = LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1).max(1);
        let relaxed = Ordering::Relaxed;
        match word.compare_exchange(0, next, relaxed, relaxed) {
            Ok(_) => Self(next),
            Err(first) => Self(first),
        }
    }

    /// The number of the process.
    pub(crate) const fn number(self) -> u32 {
        self.0
    }

    /// Fails with [`Error::Forked`] in another process.
    pub(crate) fn check(self) -> Result<(), Error> {
        let here = match sys::wiped_on_fork() {
            Some(word) => word.load(Ordering::Relaxed),
            None => sys::process_id(),
        };
        if here == self.0 { Ok(()) } else { Err(Error::Forked) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_itself() {
        let here = Birth::here();
        assert_eq!(here, Birth::here());
        assert_eq!(here.check(), Ok(()));
        assert_eq!(Birth(here.0 + 1).check(), Err(Error::Forked));
        assert_eq!(Birth(0).check(), Err(Error::Forked));
    }
}
