//! What the receivers and the guards of the process count on.
//!
//! An action that ignores a signal makes the kernel drop what is pending of it, in the
//! moment when it is set (`do_sigaction()` in `kernel/signal.c`). So the backstop does
//! not bring such an action back while a receiver or a guard of any thread has the
//! signal. It does so when the last of them goes. Nor does it bring any action back while
//! something is left for them that they may have to be woken for.
//!
//! Each of them holds a [`Claim`], and here the claims are counted.
//!
//! # Who sees what
//!
//! Who claims counts first, and then looks whether an action is about to come back
//! (`LEAVING` in `backstop.rs`). Who brings one back first says so there, and then looks
//! at the count. All four are `SeqCst`, so one sees the other: either the action stays
//! away, or who claims waits until it has come back. What is sent after that is not
//! dropped. The same goes for who lets go and who leaves the action to the last one.
//!
//! A count is about one process. In a forked child nothing is claimed yet, and what has
//! come from the parent claims nothing.

use core::sync::atomic::{AtomicU64, Ordering};

use super::fork::OfProcess;
use super::{Birth, backstop};
use crate::signal::{PerSignal, Signal, SignalSet};

/// How many claim each signal.
static CLAIMS: PerSignal<OfProcess> =
    PerSignal::new([const { OfProcess::new() }; 64]);

/// Signals that somebody counts on.
#[derive(Debug)]
pub(crate) struct Claim {
    set: AtomicU64,
    birth: Birth,
}

impl Claim {
    pub(crate) fn new(set: SignalSet) -> Self {
        let claim = Self { set: AtomicU64::new(0), birth: Birth::here() };
        claim.change(set);
        claim
    }

    pub(super) fn insert(&self, set: SignalSet) {
        self.change(self.set() | set);
    }

    /// Claims these no longer, and returns those that it did.
    pub(super) fn remove(&self, set: SignalSet) -> SignalSet {
        let old = self.set();
        self.change(old - set);
        old & set
    }

    fn set(&self) -> SignalSet {
        SignalSet::from_bits_retain(self.set.load(Ordering::Relaxed))
    }

    /// Claims another set from now on. Of several threads that do so at once, the last
    /// one counts.
    pub(crate) fn change(&self, new: SignalSet) {
        let old = self.set.swap(new.bits(), Ordering::SeqCst);
        let old = SignalSet::from_bits_retain(old);
        if old == new || self.birth.check().is_err() {
            return;
        }
        (new - old).signals().for_each(|signal| self.count(signal, 1));
        (old - new).signals().for_each(|signal| self.count(signal, -1));
        backstop::claims_have_changed(old ^ new, self.birth);
    }

    /// Where two change it at once, what one takes away may be added later.
    fn count(&self, signal: Signal, by: i32) {
        let add = |count: u32| count.wrapping_add_signed(by);
        let _old = CLAIMS.of(signal).update(self.birth, add);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.change(SignalSet::empty());
    }
}

/// Whether somebody in this process counts on a signal.
pub(super) fn is_claimed(signal: Signal, birth: Birth) -> bool {
    CLAIMS.of(signal).load(birth) > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No other unit test has these signals.
    fn three() -> [Signal; 3] {
        [24, 25, 26].map(|n| Signal::rt(n).unwrap())
    }

    fn claimed() -> [bool; 3] {
        three().map(|signal| is_claimed(signal, Birth::here()))
    }

    #[test]
    fn all_that_is_held_is_claimed_and_nothing_else() {
        let [first, second, third] = three();
        let claim = Claim::new(first.into());
        assert_eq!(claimed(), [true, false, false]);
        claim.insert(first | second);
        assert_eq!(claimed(), [true, true, false]);
        let other = Claim::new(second | third);
        assert_eq!(claim.remove(second | third), second.into());
        assert_eq!(claimed(), [true, true, true]);
        drop(other);
        assert_eq!(claimed(), [true, false, false]);
        claim.change(third.into());
        assert_eq!(claimed(), [false, false, true]);
        drop(claim);
        assert_eq!(claimed(), [false; 3]);
    }
}
