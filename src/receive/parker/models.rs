//! What loom proves of a thread that sleeps in `block_on` and of those who wake it. What
//! each model proves stands above it, and its bound.
//!
//! Who is up, and what is watched, is the crate's. What the thread does with them is said
//! again here, in fewer words than in `mod.rs`. The eventfd is a [`Notify`], which keeps
//! what comes early, and a descriptor that is watched is readable all the time.

extern crate std;

use std::task::{Wake, Waker};

use loom::sync::Notify;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;

use super::rest::Rest;
use super::watch::Watches;

fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

struct Place {
    rest: Rest,
    watches: Watches,
    eventfd: Notify,
    is_made: AtomicU32,
    /// What its future waits for.
    done: AtomicU32,
}

impl Place {
    fn new() -> std::sync::Arc<Self> {
        std::sync::Arc::new(Self {
            rest: Rest::new(),
            watches: Watches::new(),
            eventfd: Notify::new(),
            is_made: AtomicU32::new(0),
            done: AtomicU32::new(0),
        })
    }

    /// What `block_on` does until so much is done.
    fn block_on(&self, all: u32) {
        loop {
            self.rest.awake();
            if self.done.load(Ordering::Relaxed) == all {
                return;
            }
            self.is_made.store(1, Ordering::Relaxed);
            while self.rest.begin() {
                let watched = self.watches.all();
                let ready = watched.map(|watched| Some(watched?.fd));
                if ready == [None; 2] {
                    self.eventfd.wait();
                }
                self.rest.end();
                self.watches.wake(&ready);
            }
        }
    }
}

/// The waker of a place.
impl Wake for Place {
    fn wake(self: std::sync::Arc<Self>) {
        if self.rest.wake() {
            assert_eq!(self.is_made.load(Ordering::Relaxed), 1);
            self.eventfd.notify();
        }
    }
}

/// A task of another executor, which runs in the thread of a place.
struct Task(std::sync::Arc<Place>);

impl Wake for Task {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.done.fetch_add(1, Ordering::Relaxed);
        self.0.clone().wake();
    }
}

/// Proves: a thread that sleeps is roused by every wake that comes after it has looked,
/// and sees what was done before; and whoever is to rouse it sees its eventfd. Bound: two
/// that wake it, three preemptions.
#[test]
fn no_wake_is_slept_through() {
    check(3, || {
        let place = Place::new();
        let others: [_; 2] = core::array::from_fn(|_| {
            let place = place.clone();
            thread::spawn(move || {
                place.done.fetch_add(1, Ordering::Relaxed);
                place.wake();
            })
        });
        place.block_on(2);
        for other in others {
            other.join().unwrap();
        }
    });
}

/// Proves: a descriptor that another thread has watched is seen before the thread sleeps,
/// or the thread is roused and looks again. Bound: one descriptor, one other thread, five
/// preemptions.
#[test]
fn what_is_watched_is_seen_or_rouses() {
    check(5, || {
        let place = Place::new();
        let other = place.clone();
        let other = thread::spawn(move || {
            let task = Waker::from(std::sync::Arc::new(Task(other.clone())));
            let waker = Waker::from(other.clone());
            // `Parker::watch`
            other.watches.add(7, 0, &task);
            if other.rest.is_asleep() {
                waker.wake();
            }
        });
        place.block_on(1);
        other.join().unwrap();
    });
}
