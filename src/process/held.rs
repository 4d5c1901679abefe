//! What the guards of a thread hold blocked.
//!
//! Guards need not go in the reverse order in which they came: a variable that is
//! assigned a new scope drops the old one last, and the fields of a struct are
//! dropped in the order they stand in. A guard that simply restored the mask it
//! found would then unblock what another one still needs, and the next signal
//! would end the process.
//!
//! So a thread counts, for each signal, the guards that hold it, and notes which
//! of the signals were not blocked before the first of them. What a guard restores
//! is the mask it found, without what guards had blocked of it, and with what
//! guards still hold. In the reverse order, that is the mask it found.
//!
//! Without the standard library there are no thread-local variables to count in:
//! a guard then restores the mask it found, and the order is up to the caller.

pub(super) use imp::Held;

#[cfg(feature = "std")]
mod imp {
    use core::cell::Cell;

    use crate::signal::{Signal, SignalSet};

    /// What one guard holds.
    #[derive(Debug)]
    pub(crate) struct Held {
        set: Cell<SignalSet>,
        /// What was blocked when the guard was made, other than by guards.
        others: SignalSet,
    }

    impl Held {
        /// Notes that a new guard has blocked a set, where `found` was blocked.
        pub(crate) fn new(set: SignalSet, found: SignalSet) -> Self {
            THREAD.with(|thread| {
                let others = found - thread.ours.get();
                thread.hold(set, found);
                Self { set: Cell::new(set), others }
            })
        }

        /// Notes that the guard has blocked more, where `found` was blocked, and
        /// returns what it did not hold already.
        pub(crate) fn insert(
            &self,
            set: SignalSet,
            found: SignalSet,
        ) -> SignalSet {
            let new = set - self.set.get();
            self.set.set(self.set.get() | new);
            THREAD.with(|thread| thread.hold(new, found));
            new
        }

        /// Gives signals up, and returns those that have to be unblocked.
        pub(crate) fn remove(&self, set: SignalSet) -> SignalSet {
            let gone = set & self.set.get();
            self.set.set(self.set.get() - gone);
            THREAD.with(|thread| thread.release(gone))
        }

        /// Gives all signals up, and returns the mask to restore.
        pub(crate) fn leave(&self) -> SignalSet {
            self.remove(self.set.get());
            THREAD.with(|thread| self.others | thread.held.get())
        }
    }

    /// What the guards of a thread hold together.
    struct Thread {
        /// How many of them hold each signal, by its bit.
        guards: [Cell<u32>; 64],
        /// What at least one of them holds.
        held: Cell<SignalSet>,
        /// What of that was not blocked before.
        ours: Cell<SignalSet>,
    }

    std::thread_local! {
        static THREAD: Thread = const {
            Thread {
                guards: [const { Cell::new(0) }; 64],
                held: Cell::new(SignalSet::empty()),
                ours: Cell::new(SignalSet::empty()),
            }
        };
    }

    impl Thread {
        fn hold(&self, set: SignalSet, found: SignalSet) {
            let first = set - self.held.get();
            self.ours.set(self.ours.get() | (first - found));
            self.held.set(self.held.get() | set);
            for (count, _) in self.counts(set) {
                count.set(count.get() + 1);
            }
        }

        /// Returns what no guard holds any longer and was not blocked before.
        fn release(&self, set: SignalSet) -> SignalSet {
            let mut free = SignalSet::empty();
            for (count, signal) in self.counts(set) {
                count.set(count.get() - 1);
                if count.get() == 0 {
                    free |= signal;
                }
            }
            let unblock = free & self.ours.get();
            self.held.set(self.held.get() - free);
            self.ours.set(self.ours.get() - free);
            unblock
        }

        fn counts(
            &self,
            set: SignalSet,
        ) -> impl Iterator<Item = (&Cell<u32>, Signal)> {
            let all = (0_u8..).zip(&self.guards);
            all.map(|(bit, count)| (count, Signal::at(bit)))
                .filter(move |&(_, signal)| set.has(signal))
        }
    }
}

#[cfg(not(feature = "std"))]
mod imp {
    use crate::signal::SignalSet;

    /// The mask that a guard found.
    #[derive(Debug)]
    pub(crate) struct Held(SignalSet);

    impl Held {
        pub(crate) const fn new(_: SignalSet, found: SignalSet) -> Self {
            Self(found)
        }

        #[expect(clippy::unused_self, reason = "as with the standard library")]
        pub(crate) const fn insert(
            &self,
            set: SignalSet,
            found: SignalSet,
        ) -> SignalSet {
            set.difference(found)
        }

        pub(crate) const fn remove(&self, set: SignalSet) -> SignalSet {
            set.difference(self.0)
        }

        pub(crate) const fn leave(&self) -> SignalSet {
            self.0
        }
    }
}
