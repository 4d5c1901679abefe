//! What is noted of the wakes of a signal (`wake.rs`), in one word.
//!
//! Who wakes counts itself in ([`begins`]), which nobody may any more once it was said that
//! the handler goes ([`is_over`]), and out ([`ends`]). Everything is a change of the one word,
//! also where the word stays as it is: so all who change it come one after another, and each
//! sees what those before have done.

/// One is on its way that has to be known by this.
pub(super) const ON_ITS_WAY: u32 = 1;
/// One of the timer's may be.
pub(super) const STARTED: u32 = 2;
/// The handler is about to go, or is not there: nobody is to wake.
const GOING: u32 = 4;
/// One more is about to wake. The bits above count them.
const ONE_MORE: u32 = 8;

/// Where they are noted.
pub(super) trait Word {
    fn load(&self) -> u32;
    /// Changes it, and returns what it was. It is a change also where it stays the same.
    /// `SeqCst`.
    fn update(&self, change: impl Fn(u32) -> u32) -> u32;
}

/// Lets wakes be sent. One thread at a time does this, or [`is_over`].
pub(super) fn allow(word: &impl Word) {
    word.update(|it| it & !GOING);
}

/// Counts one in that is about to wake, unless nobody is to.
pub(super) fn begins(word: &impl Word) -> bool {
    let one_more = |it: u32| match it & GOING {
        0 => it.wrapping_add(ONE_MORE),
        _ => it,
    };
    word.update(one_more) & GOING == 0
}

/// Counts it out.
pub(super) fn ends(word: &impl Word) {
    word.update(|it| it.checked_sub(ONE_MORE).unwrap_or(it));
}

/// Says that nobody is to wake any more, and tells whether nobody is about to.
pub(super) fn is_over(word: &impl Word) -> bool {
    word.update(|it| it | GOING) < ONE_MORE
}

/// Takes down that one is sent, and tells whether one was already.
pub(super) fn note(word: &impl Word, what: u32) -> bool {
    word.update(|it| it | what) & what != 0
}

/// Takes such notes away, and tells whether one was on its way.
pub(super) fn remove(word: &impl Word, what: u32) -> bool {
    word.update(|it| it & !what) & what & ON_ITS_WAY != 0
}

/// Whether one may be pending.
pub(super) fn may_be_pending(word: &impl Word) -> bool {
    word.load() & (ON_ITS_WAY | STARTED) != 0
}

/// Whether one may be pending, or somebody is about to send one.
pub(super) fn may_come(word: &impl Word) -> bool {
    word.load() & !GOING != 0
}

/// Whether one is on its way that has to be known by this.
pub(super) fn is_on_its_way(word: &impl Word) -> bool {
    word.load() & ON_ITS_WAY != 0
}

/// What loom proves of it. What each model proves stands above it, and its bound.
#[cfg(all(test, loom))]
mod loom_tests {
    use loom::sync::atomic::{AtomicU32, Ordering, fence};
    use loom::sync::{Arc, Mutex};
    use loom::thread;

    use super::*;

    impl Word for AtomicU32 {
        fn load(&self) -> u32 {
            self.load(Ordering::SeqCst)
        }

        fn update(&self, change: impl Fn(u32) -> u32) -> u32 {
            let (set, seen) = (Ordering::SeqCst, Ordering::SeqCst);
            self.fetch_update(set, seen, |it| Some(change(it))).unwrap()
        }
    }

    /// What the kernel has of a signal.
    #[derive(Default)]
    struct Kernel {
        /// The action from before is back.
        is_back: bool,
        wakes: u32,
        /// Records that were given back to it.
        given_back: u32,
    }

    #[derive(Default)]
    struct Model {
        word: AtomicU32,
        /// `ACTIVE` in `backstop.rs`, the other way round.
        is_inactive: AtomicU32,
        /// How many records are left (`left.rs`).
        left: AtomicU32,
        kernel: Mutex<Kernel>,
    }

    impl Model {
        fn is_active(&self) -> bool {
            self.is_inactive.load(Ordering::SeqCst) == 0
        }

        fn take(&self) -> bool {
            let (set, seen) = (Ordering::AcqRel, Ordering::Relaxed);
            let one = |it: u32| it.checked_sub(1);
            self.left.fetch_update(set, seen, one).is_ok()
        }

        /// `wake::wake` and `wake::send`, by a timer or by a note.
        fn wake(&self, what: u32) {
            if begins(&self.word) {
                if self.is_active()
                    && (!note(&self.word, what) || what == STARTED)
                {
                    let mut kernel = self.kernel.lock().unwrap();
                    assert!(
                        !kernel.is_back,
                        "it takes the action that is back"
                    );
                    kernel.wakes = 1;
                }
                ends(&self.word);
            }
        }

        /// `leave_in_handler`.
        fn leave(&self, what: u32) {
            self.left.fetch_add(1, Ordering::Release);
            self.wake(what);
            fence(Ordering::SeqCst);
            if !self.is_active() {
                self.give_back();
            }
        }

        /// `give_back_left`.
        fn give_back(&self) {
            while self.take() {
                self.kernel.lock().unwrap().given_back += 1;
            }
        }

        /// `uninstall_unwanted`, which stays where somebody is about to wake.
        fn goes(&self) {
            if is_over(&self.word) {
                if may_be_pending(&self.word) {
                    self.kernel.lock().unwrap().wakes = 0;
                    remove(&self.word, ON_ITS_WAY | STARTED);
                }
                let mut kernel = self.kernel.lock().unwrap();
                assert_eq!(
                    kernel.wakes, 0,
                    "it takes the action that comes back"
                );
                kernel.is_back = true;
            }
            self.is_inactive.store(1, Ordering::SeqCst);
            fence(Ordering::SeqCst);
            self.give_back();
        }

        /// `admit`, by whoever reads: a wake is no record, but one that was left is.
        fn read(&self, what: u32) -> u32 {
            let was_there = {
                let mut kernel = self.kernel.lock().unwrap();
                core::mem::take(&mut kernel.wakes) > 0
            };
            if !was_there {
                return 0;
            }
            if what == ON_ITS_WAY {
                assert!(
                    remove(&self.word, ON_ITS_WAY),
                    "it is taken for a signal"
                );
            }
            if !self.take() {
                return 0;
            }
            if self.left.load(Ordering::Acquire) > 0 {
                self.wake(what);
            }
            1
        }
    }

    fn goes_while_some_are_left(what: u32) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(move || {
            let model = Arc::new(Model::default());
            let handlers = [(); 2].map(|()| {
                let model = Arc::clone(&model);
                thread::spawn(move || model.leave(what))
            });
            model.goes();
            handlers.into_iter().for_each(|it| it.join().unwrap());
            assert_eq!(model.left.load(Ordering::Relaxed), 0);
            let kernel = model.kernel.lock().unwrap();
            assert_eq!(kernel.given_back, 2);
            assert!(!kernel.is_back || kernel.wakes == 0);
            assert!(kernel.wakes == 0 || may_come(&model.word));
        });
    }

    /// Two handlers find no room in the queue while the handler is taken away: either
    /// record is given back once, by one of the three, and no wake is sent when the action
    /// from before is back. Up to three preemptions.
    #[test]
    fn no_wake_comes_when_the_handler_has_gone() {
        goes_while_some_are_left(STARTED);
    }

    /// The same where there is no timer.
    #[test]
    fn no_wake_without_a_timer_comes_when_the_handler_has_gone() {
        goes_while_some_are_left(ON_ITS_WAY);
    }

    fn are_read(what: u32) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(move || {
            let model = Arc::new(Model::default());
            let handlers = [(); 2].map(|()| {
                let model = Arc::clone(&model);
                thread::spawn(move || model.leave(what))
            });
            // Who sleeps reads when it is woken.
            let mut read = model.read(what) + model.read(what);
            handlers.into_iter().for_each(|it| it.join().unwrap());
            while model.kernel.lock().unwrap().wakes > 0 {
                read += model.read(what);
            }
            assert_eq!(read, 2, "nobody is woken for what is left");
            assert_eq!(model.left.load(Ordering::Relaxed), 0);
            assert!(!is_on_its_way(&model.word));
        });
    }

    /// While two handlers leave a record each, whoever is woken and reads one, and again if
    /// he is, has both in the end. Up to three preemptions.
    #[test]
    fn what_is_left_is_read_by_who_is_woken() {
        are_read(STARTED);
    }

    /// The same where there is no timer, and no wake is taken for a signal.
    #[test]
    fn what_is_left_is_read_by_who_is_woken_without_a_timer() {
        are_read(ON_ITS_WAY);
    }

    /// Where the handler stays after all, wakes are sent again, and for what was left
    /// meanwhile too (`let_wake`). Up to three preemptions.
    #[test]
    fn who_stays_wakes_for_what_was_left_meanwhile() {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(|| {
            let model = Arc::new(Model::default());
            let handler = {
                let model = Arc::clone(&model);
                thread::spawn(move || model.leave(STARTED))
            };
            if is_over(&model.word) {
                allow(&model.word);
                if model.left.load(Ordering::Acquire) > 0 {
                    model.wake(STARTED);
                }
            } else {
                allow(&model.word);
            }
            handler.join().unwrap();
            assert_eq!(model.read(STARTED), 1);
        });
    }
}
