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
//! Other code may have unblocked what older guards hold, a child after a fork for
//! one. A guard notes what it found so. If it goes in its turn, the youngest first,
//! it leaves these unblocked, unless an older one has been told since to block
//! them. Out of turn it cannot know whether a younger guard needs them: then they
//! stay blocked.
//!
//! Without the standard library there are no thread-local variables to count in:
//! a guard then unblocks what it has blocked itself and was not before. In the
//! reverse order that is the mask it found, if nothing else has changed it. In any
//! other it is right as long as the guards have no signal in common.

pub(super) use imp::Held;

#[cfg(feature = "std")]
mod imp {
    use core::cell::Cell;

    use crate::signal::{PerSignal, Signal, SignalSet};
    use crate::sys::How;

    /// What one guard holds.
    #[derive(Debug)]
    pub(crate) struct Held {
        set: Cell<SignalSet>,
        /// What was blocked when the guard was made, other than by guards.
        others: SignalSet,
        /// What older guards held then, and yet was not blocked.
        lifted: SignalSet,
        /// Greater than that of every older guard of the thread.
        number: u64,
    }

    impl Held {
        /// Notes that a new guard has blocked a set, where `found` was blocked.
        pub(crate) fn new(set: SignalSet, found: SignalSet) -> Self {
            THREAD.with(|thread| {
                let others = found - thread.ours.get();
                let lifted = thread.held.get() - found;
                thread.late.set(thread.late.get() - lifted);
                let number = thread.youngest.get() + 1;
                thread.youngest.set(number);
                thread.hold(set, found);
                Self { set: Cell::new(set), others, lifted, number }
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
            THREAD.with(|thread| {
                if thread.youngest.get() != self.number {
                    thread.late.set(thread.late.get() | set);
                }
                thread.hold(new, found);
            });
            new
        }

        /// Returns those that have to be unblocked before these signals are given up.
        pub(crate) fn to_unblock(&self, set: SignalSet) -> SignalSet {
            let gone = set & self.set.get();
            THREAD.with(|thread| {
                thread.freed(gone) | gone & self.still_lifted(thread)
            })
        }

        /// Gives signals up.
        pub(crate) fn remove(&self, set: SignalSet) {
            let gone = set & self.set.get();
            self.set.set(self.set.get() - gone);
            THREAD.with(|thread| thread.release(gone));
        }

        /// Gives all signals up, and returns how to restore the mask.
        pub(crate) fn leave(&self) -> (How, SignalSet) {
            THREAD.with(|thread| {
                let lifted = self.still_lifted(thread);
                thread.release(self.set.get());
                if thread.youngest.get() == self.number {
                    thread.youngest.set(self.number - 1);
                }
                let held = thread.held.get() - lifted;
                (How::Set, self.others | held)
            })
        }

        /// What was found unblocked, if nobody has blocked it since but this
        /// guard and those that are gone.
        fn still_lifted(&self, thread: &Thread) -> SignalSet {
            if thread.youngest.get() == self.number {
                self.lifted - thread.late.get()
            } else {
                SignalSet::empty()
            }
        }
    }

    /// What the guards of a thread hold together.
    struct Thread {
        /// How many of them hold each signal, by its bit.
        guards: PerSignal<Cell<u32>>,
        /// What at least one of them holds.
        held: Cell<SignalSet>,
        /// What of that was not blocked before.
        ours: Cell<SignalSet>,
        /// What a guard was told to block when there were younger ones, and has
        /// not been found unblocked since.
        late: Cell<SignalSet>,
        /// The number of the youngest guard, or of one that went out of turn.
        youngest: Cell<u64>,
    }

    std::thread_local! {
        static THREAD: Thread = const {
            Thread {
                guards: PerSignal::new([const { Cell::new(0) }; 64]),
                held: Cell::new(SignalSet::empty()),
                ours: Cell::new(SignalSet::empty()),
                late: Cell::new(SignalSet::empty()),
                youngest: Cell::new(0),
            }
        };
    }

    impl Thread {
        fn hold(&self, set: SignalSet, found: SignalSet) {
            let first = set - self.held.get();
            self.ours.set(self.ours.get() | (first - found));
            self.held.set(self.held.get() | set);
            for signal in set.signals() {
                let count = self.guards.of(signal);
                count.set(count.get() + 1);
            }
        }

        /// What no guard holds once one has given these up, and was not blocked before.
        fn freed(&self, set: SignalSet) -> SignalSet {
            let is_last = |&signal: &Signal| self.guards.of(signal).get() == 1;
            let freed = set.signals().filter(is_last).collect::<SignalSet>();
            freed & self.ours.get()
        }

        fn release(&self, set: SignalSet) {
            let mut free = SignalSet::empty();
            for signal in set.signals() {
                let count = self.guards.of(signal);
                count.set(count.get() - 1);
                if count.get() == 0 {
                    free |= signal;
                }
            }
            self.held.set(self.held.get() - free);
            self.ours.set(self.ours.get() - free);
        }
    }
}

#[cfg(not(feature = "std"))]
mod imp {
    use core::cell::Cell;

    use crate::signal::SignalSet;
    use crate::sys::How;

    /// What one guard has blocked that was not blocked before.
    #[derive(Debug)]
    pub(crate) struct Held(Cell<SignalSet>);

    impl Held {
        pub(crate) const fn new(set: SignalSet, found: SignalSet) -> Self {
            Self(Cell::new(set.difference(found)))
        }

        pub(crate) fn insert(
            &self,
            set: SignalSet,
            found: SignalSet,
        ) -> SignalSet {
            let new = set - found;
            self.0.set(self.0.get() | new);
            new
        }

        pub(crate) fn to_unblock(&self, set: SignalSet) -> SignalSet {
            set & self.0.get()
        }

        pub(crate) fn remove(&self, set: SignalSet) {
            self.0.set(self.0.get() - set);
        }

        pub(crate) fn leave(&self) -> (How, SignalSet) {
            (How::Unblock, self.0.get())
        }
    }
}
