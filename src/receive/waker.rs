//! The cell that holds the waker of whoever awaits a receiver.
//!
//! # States
//!
//! Two bits: `REGISTERING`, a task is putting its waker in, and `WAKING`, someone
//! is taking it out. The cell behind them belongs to whoever set the one bit that
//! was set while the other was clear:
//!
//! | state | the cell belongs to |
//! |---|---|
//! | 0 | nobody |
//! | `REGISTERING` | the thread that set it, in `register` |
//! | `WAKING` | the thread that set it, in `take` |
//! | both | the thread that set `REGISTERING`, which came first |
//!
//! `register` goes 0 → `REGISTERING` → 0. If it finds `WAKING` when it wants to
//! leave, a wake came in between that could not take the waker; then it takes
//! the waker out again and wakes it itself. If it cannot enter, because a wake is
//! under way or another task is registering at this moment, it wakes its own
//! task at once: the task looks again and comes back.
//!
//! `take` sets `WAKING`. If the state was 0 the cell is its own until it clears
//! the bit. If it was `REGISTERING`, the registering thread sees the bit and does
//! the waking. If it was `WAKING`, another wake is under way and has not yet
//! woken anyone, so it serves for this one too.
//!
//! So a wake that follows a registration wakes that task, or the registration
//! that replaced it, and nobody waits for anybody. (A task that cannot enter looks
//! again until the other has left, which takes a few instructions; it is polled
//! meanwhile, and takes what there is.) Wakers are foreign code: they
//! are cloned, called and dropped only while the cell is not held, so they may
//! call back or panic.
//!
//! # Memory ordering
//!
//! Entering acquires and leaving releases, so each owner of the cell sees what
//! the one before did to it. What happened before a `wake` happens before the
//! woken task runs. If that wake took the waker, the waker carries it. If it was
//! served by another wake or by a registration, these acquire what its
//! `fetch_or` released when they leave, before they wake the task.

#![expect(unsafe_code, reason = "the cell is shared between threads")]

use core::fmt;
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::task::Waker;

#[cfg(not(loom))]
use core::sync::atomic::Ordering;
#[cfg(loom)]
use loom::sync::atomic::Ordering;

use crate::primitive::{AtomicU8, UnsafeCell};

const REGISTERING: u8 = 0b01;
const WAKING: u8 = 0b10;

/// A waker, or none, shared between threads without a lock.
///
/// One task at a time: the last to register is the one that is woken.
pub(crate) struct WakerCell {
    state: AtomicU8,
    waker: UnsafeCell<Option<Waker>>,
}

// SAFETY: the state lets one thread at a time at the waker (see above), and a
// waker may be used by any thread in turn, since it is `Send`.
unsafe impl Sync for WakerCell {}

// The cell is not held while a waker is used, so a panic there leaves it whole.
impl UnwindSafe for WakerCell {}
impl RefUnwindSafe for WakerCell {}

impl WakerCell {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        Self { state: AtomicU8::new(0), waker: UnsafeCell::new(None) }
    }

    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        Self { state: AtomicU8::new(0), waker: UnsafeCell::new(None) }
    }

    /// Makes this the waker to wake, in place of any before.
    pub(crate) fn register(&self, waker: &Waker) {
        let mut replaced = Some(waker.clone());
        // Acquire: sees what the last owner left in the cell.
        let (enter, busy) = (Ordering::Acquire, Ordering::Acquire);
        if self.state.compare_exchange(0, REGISTERING, enter, busy).is_err() {
            waker.wake_by_ref();
            return;
        }
        self.swap(&mut replaced);
        // AcqRel: shows the waker to the next owner; and if a wake came
        // meanwhile, sees what came before it.
        let (leave, woken) = (Ordering::AcqRel, Ordering::Acquire);
        let mut to_wake = None;
        if self.state.compare_exchange(REGISTERING, 0, leave, woken).is_err() {
            self.swap(&mut to_wake);
            self.state.swap(0, Ordering::AcqRel);
        }
        if let Some(waker) = to_wake {
            waker.wake();
        }
        drop(replaced);
    }

    /// Wakes the registered task, if there is one.
    pub(crate) fn wake(&self) {
        if let Some(waker) = self.take() {
            waker.wake();
        }
    }

    /// Takes the registered waker, unless someone else is about to wake it.
    pub(crate) fn take(&self) -> Option<Waker> {
        // AcqRel: acquires the waker that a registration released; releases
        // what came before to a registration that has to do the waking.
        if self.state.fetch_or(WAKING, Ordering::AcqRel) != 0 {
            return None;
        }
        let mut waker = None;
        self.swap(&mut waker);
        // Release: shows the empty cell to the next owner. Acquire: sees what
        // came before the wakes that this one serves.
        self.state.fetch_and(!WAKING, Ordering::AcqRel);
        waker
    }

    fn swap(&self, waker: &mut Option<Waker>) {
        self.waker.with_mut(|cell| {
            // SAFETY: only the owner of the cell gets here (see the states
            // above), and nothing foreign is called that could come back here.
            core::mem::swap(unsafe { &mut *cell }, waker);
        });
    }
}

impl fmt::Debug for WakerCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WakerCell")
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    extern crate std;
    use core::sync::atomic::AtomicUsize;
    use std::sync::Arc;
    use std::task::Wake;
    use std::thread;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counting() -> (Arc<Count>, Waker) {
        let count = Arc::<Count>::default();
        (Arc::clone(&count), count.into())
    }

    #[test]
    fn a_registration_is_woken_once() {
        let (count, waker) = counting();
        let cell = WakerCell::new();
        cell.wake();
        cell.register(&waker);
        cell.register(&waker);
        cell.wake();
        cell.wake();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn the_last_to_register_is_woken_and_the_one_before_dropped() {
        let (first, waker) = counting();
        let (second, other) = counting();
        let cell = WakerCell::new();
        cell.register(&waker);
        drop(waker);
        assert_eq!(Arc::strong_count(&first), 2);
        cell.register(&other);
        assert_eq!(Arc::strong_count(&first), 1);
        cell.wake();
        assert_eq!(first.0.load(Ordering::Relaxed), 0);
        assert_eq!(second.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn dropping_the_cell_drops_the_waker() {
        let (count, waker) = counting();
        let cell = WakerCell::new();
        cell.register(&waker);
        drop((waker, cell));
        assert_eq!(Arc::strong_count(&count), 1);
    }

    /// Every registration that looks and finds nothing is woken by the thread
    /// that changes what it looks at.
    #[test]
    fn no_wake_is_lost_between_two_threads() {
        const ROUNDS: usize = 20_000;
        let shared = Arc::new((WakerCell::new(), AtomicUsize::new(0)));
        let (cell, sent) = &*shared;
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    sent.fetch_add(1, Ordering::Release);
                    cell.wake();
                }
            });
            let mut seen = 0;
            while seen < ROUNDS {
                let (count, waker) = counting();
                cell.register(&waker);
                let now = sent.load(Ordering::Acquire);
                if now == seen {
                    // Nothing yet, so the next one sent must wake us.
                    while count.0.load(Ordering::Acquire) == 0 {
                        core::hint::spin_loop();
                    }
                }
                seen = sent.load(Ordering::Acquire);
            }
        });
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    extern crate std;
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicUsize;
    use loom::thread;

    use super::*;

    /// A waker that counts its wakes, made of loom's parts.
    fn counting() -> (std::sync::Arc<Count>, Waker) {
        let count = std::sync::Arc::new(Count(AtomicUsize::new(0)));
        (std::sync::Arc::clone(&count), count.into())
    }

    struct Count(AtomicUsize);

    impl std::task::Wake for Count {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.fetch_add(1, Ordering::Release);
        }
    }

    /// Proves: a task that registers and then finds nothing is woken by the
    /// thread that brings something, and sees it. Unbounded.
    #[test]
    fn register_then_look_again_loses_no_wake() {
        loom::model(|| {
            let shared = Arc::new((WakerCell::new(), AtomicUsize::new(0)));
            let other = Arc::clone(&shared);
            let sender = thread::spawn(move || {
                other.1.store(1, Ordering::Relaxed);
                other.0.wake();
            });
            let (count, waker) = counting();
            shared.0.register(&waker);
            let found = shared.1.load(Ordering::Relaxed) == 1;
            sender.join().unwrap();
            let woken = count.0.load(Ordering::Relaxed) > 0;
            assert!(found || woken);
        });
    }

    /// Proves: of two wakers registered in turn, a wake at the same time as the
    /// second wakes one of them, and after another wake the second has been
    /// woken. Unbounded.
    #[test]
    fn replacing_a_waker_loses_no_wake() {
        loom::model(|| {
            let shared = Arc::new(WakerCell::new());
            let (first, waker) = counting();
            shared.register(&waker);
            let other = Arc::clone(&shared);
            let sender = thread::spawn(move || other.wake());
            let (second, replacement) = counting();
            shared.register(&replacement);
            sender.join().unwrap();
            let woken = first.0.load(Ordering::Relaxed)
                + second.0.load(Ordering::Relaxed);
            assert!(woken >= 1);
            shared.wake();
            assert!(second.0.load(Ordering::Relaxed) >= 1);
        });
    }

    /// Proves: two wakes and a registration, all at once, leave the cell usable
    /// and wake the task. Unbounded.
    #[test]
    fn two_wakes_and_a_registration_at_once() {
        loom::model(|| {
            let shared = Arc::new((WakerCell::new(), AtomicUsize::new(0)));
            let wakers: std::vec::Vec<_> = (0..2)
                .map(|_| {
                    let other = Arc::clone(&shared);
                    thread::spawn(move || {
                        other.1.fetch_add(1, Ordering::Relaxed);
                        other.0.wake();
                    })
                })
                .collect();
            let (count, waker) = counting();
            shared.0.register(&waker);
            let found = shared.1.load(Ordering::Relaxed);
            for thread in wakers {
                thread.join().unwrap();
            }
            assert!(found == 2 || count.0.load(Ordering::Relaxed) > 0);
            let (last, waker) = counting();
            shared.0.register(&waker);
            shared.0.wake();
            assert_eq!(last.0.load(Ordering::Relaxed), 1);
        });
    }

    /// Proves: a task woken by one wake that served another sees what came before
    /// the other. Unbounded.
    #[test]
    fn a_wake_that_serves_another_passes_on_what_came_before() {
        loom::model(|| {
            let shared = Arc::new((WakerCell::new(), AtomicUsize::new(0)));
            let (count, waker) = counting();
            shared.0.register(&waker);
            let one = Arc::clone(&shared);
            let one = thread::spawn(move || one.0.wake());
            let two = Arc::clone(&shared);
            let two = thread::spawn(move || {
                two.1.store(1, Ordering::Relaxed);
                // The first step of `take`, to know whether it was served.
                let before = two.0.state.fetch_or(WAKING, Ordering::AcqRel);
                if before == 0 {
                    two.0.state.fetch_and(!WAKING, Ordering::AcqRel);
                }
                before == WAKING
            });
            let woken = count.0.load(Ordering::Acquire) == 1;
            let seen = shared.1.load(Ordering::Relaxed) == 1;
            one.join().unwrap();
            let served = two.join().unwrap();
            assert!(seen || !woken || !served);
        });
    }

    /// Proves: two tasks that register at once are not both forgotten: the one
    /// whose waker is not in the cell has been woken. Unbounded.
    #[test]
    fn two_registrations_at_once_forget_neither() {
        loom::model(|| {
            let shared = Arc::new(WakerCell::new());
            let other = Arc::clone(&shared);
            let thread = thread::spawn(move || {
                let (count, waker) = counting();
                other.register(&waker);
                count
            });
            let (count, waker) = counting();
            shared.register(&waker);
            let their_count = thread.join().unwrap();
            shared.wake();
            let woken = count.0.load(Ordering::Relaxed)
                + their_count.0.load(Ordering::Relaxed);
            assert!(woken >= 1);
        });
    }
}
