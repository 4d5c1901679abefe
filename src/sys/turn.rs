//! One thread at a time, for what is set up and taken down.
//!
//! Which actions the signals of the process have is the process's, and changing it
//! takes several steps. Who comes meanwhile sleeps, on a futex: a lock, in other words.
//! These take a turn:
//!
//! - what blocks signals in every thread, when it is opened, told to heal, given another
//!   set, or dropped, and when a receiver of that kind is reopened;
//! - `suspend`, for as long as the process is stopped;
//! - as PID 1, a `Shutdown` that has its first signal, and one that is dropped;
//! - a receiver or guard that comes to have a signal, or has it no longer, whose action is
//!   about to come back and would drop what is pending (`process/claim.rs`).
//!
//! Nothing else waits here: nothing that receives a signal (but a `Shutdown` that has its
//! first one closes its scope), no handler, and nothing between fork and exec. A forked child
//! does not wait for its parent: it finds the word with its parent's number in it, and takes
//! it over. As long as it has one thread there
//! is nobody else to wait for.

use core::sync::atomic::{AtomicU32, Ordering};

use rustix::thread::futex;

/// Whose turn it is: 0, or a number of the process.
pub(crate) struct Turn(AtomicU32);

impl Turn {
    pub(crate) const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Does something while no other thread of this process, whose number is this,
    /// does anything here.
    pub(crate) fn take<R>(&self, process: u32, f: impl FnOnce() -> R) -> R {
        let ended = TurnEnds { turn: self, process };
        ended.begin();
        f()
    }
}

/// Gives the turn back, also when there is a panic.
struct TurnEnds<'t> {
    turn: &'t Turn,
    process: u32,
}

impl TurnEnds<'_> {
    fn begin(&self) {
        let word = &self.turn.0;
        // Acquire: what the one before has done.
        let (set, seen) = (Ordering::Acquire, Ordering::Relaxed);
        let mut free = 0;
        while let Err(other) =
            word.compare_exchange(free, self.process, set, seen)
        {
            free = 0;
            if other == self.process {
                // It returns at once if the word has changed, and may for no
                // reason (futex(2)).
                let flags = futex::Flags::PRIVATE;
                let _woken = futex::wait(word, flags, other, None);
            } else {
                // The parent's.
                free = other;
            }
        }
    }
}

impl Drop for TurnEnds<'_> {
    fn drop(&mut self) {
        // Release: what was done.
        self.turn.0.store(0, Ordering::Release);
        super::futex_wake(&self.turn.0);
    }
}
