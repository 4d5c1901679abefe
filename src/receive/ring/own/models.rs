//! What loom proves of threads at one ring. What each model proves stands above it, and its
//! bound.
//!
//! The turn and the count of sleepers are the crate's. What a thread does with them is said
//! again here, in fewer words than in `take.rs` and `sleep.rs`, which a fuzzer runs one step
//! at a time (`src/fuzz/own_ring/`). The kernel has what it has behind a lock.

extern crate std;

use std::vec::Vec;

use loom::sync::{Arc, Mutex};
use loom::thread;

use super::sleepers::Sleepers;
use super::turn::{Done, Turns};

fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 10_000;
    builder.check(model);
}

/// Requests are of one shot, and have numbers.
#[derive(Default)]
struct Kernel {
    /// What was pushed and not submitted.
    pushed: Vec<u32>,
    armed: Option<u32>,
    /// Completions: of which request, and whether it has read a signal.
    said: Vec<(u32, bool)>,
    pending: u32,
    /// Who has entered with a request, which reads on behalf of that one, too.
    entered: Vec<u32>,
}

impl Kernel {
    fn look(&mut self) {
        if self.pending > 0 {
            if let Some(number) = self.armed.take() {
                self.pending -= 1;
                self.said.push((number, true));
            }
        }
    }

    /// Takes so many entries at most. Each is a request, which cancels the one before.
    fn enter(&mut self, entries: usize, thread: u32) -> usize {
        let count = entries.min(self.pushed.len());
        self.entered.extend([thread].iter().take(count));
        for number in self.pushed.drain(..count).collect::<Vec<_>>() {
            if let Some(before) = self.armed.replace(number) {
                self.said.push((before, false));
            }
            self.look();
        }
        count
    }
}

/// What is for the thread that has the turn.
#[derive(Default)]
struct Inner {
    last: u32,
    is_in_flight: bool,
    /// 0 for nobody.
    thread: u32,
}

struct Ring {
    turns: Turns<Inner>,
    sleepers: Sleepers,
    kernel: Mutex<Kernel>,
}

impl Ring {
    fn new(inner: Inner, kernel: Kernel) -> Arc<Self> {
        let (turns, kernel) = (Turns::new(inner), Mutex::new(kernel));
        Arc::new(Self { turns, sleepers: Sleepers::new(), kernel })
    }

    fn kernel<T>(&self, f: impl FnOnce(&mut Kernel) -> T) -> T {
        f(&mut self.kernel.lock().unwrap())
    }

    fn signal(&self) {
        self.kernel(|kernel| {
            kernel.pending += 1;
            kernel.look();
        });
    }

    fn let_go(&self, inner: &mut Inner) {
        let (number, _) = self.kernel(|kernel| kernel.said.remove(0));
        inner.is_in_flight &= number != inner.last;
    }

    /// Whether there is a signal to take; what comes before it is let go of.
    fn is_there(&self, inner: &mut Inner) -> bool {
        loop {
            match self.kernel(|kernel| kernel.said.first().copied()) {
                None => return false,
                Some((_, true)) => return true,
                Some((_, false)) => self.let_go(inner),
            }
        }
    }

    fn push(&self, inner: &mut Inner, thread: u32) -> usize {
        inner.last += 1;
        (inner.is_in_flight, inner.thread) = (true, thread);
        self.kernel(|kernel| {
            kernel.pushed.push(inner.last);
            kernel.pushed.len()
        })
    }

    fn submit(&self, inner: &mut Inner, queued: usize, thread: u32) {
        let count = self.kernel(|kernel| kernel.enter(usize::MAX, thread));
        if count != queued {
            inner.thread = 0;
        }
    }

    fn catch_up(&self, inner: &mut Inner, thread: u32) {
        let queued = self.kernel(|kernel| kernel.pushed.len());
        if queued > 0 {
            inner.thread = 0;
            self.submit(inner, queued, thread);
        }
    }

    fn get_ready(&self, inner: &mut Inner, thread: u32) {
        while !self.is_there(inner) && !inner.is_in_flight {
            let queued = self.push(inner, thread);
            self.submit(inner, queued, thread);
        }
    }

    fn turn<T>(
        &self,
        thread: u32,
        f: impl FnOnce(&mut Inner) -> T,
    ) -> Option<T> {
        let Done { result, mut was_noted } = self.turns.take(|inner| {
            self.catch_up(inner, thread);
            f(inner)
        })?;
        while was_noted {
            let done = self.turns.take(|inner| {
                self.catch_up(inner, thread);
                self.get_ready(inner, thread);
            });
            was_noted = done.is_some_and(|it| it.was_noted);
        }
        Some(result)
    }

    /// Takes one signal, and goes away. Tells whether there was one.
    fn take(&self, thread: u32) -> bool {
        let taken = self.turn(thread, |inner| {
            let is_there = self.is_there(inner);
            if is_there {
                self.let_go(inner);
            }
            if self.sleepers.are_some() {
                self.get_ready(inner, thread);
            }
            is_there
        });
        taken == Some(true)
    }

    /// Goes to sleep. Tells whether it is asleep.
    ///
    /// Then it has entered with a request itself, if it was not refused its turn, and there
    /// is one in the ring, if nobody takes what that brings. The other thread need not do
    /// anything more for that, though it may have pushed something.
    fn sleep(&self, thread: u32, nobody_takes: bool) -> bool {
        // It is not counted out: what happens until it wakes is what counts.
        core::mem::forget(self.sleepers.add_one());
        let pushed = self.turn(thread, |inner| {
            if self.is_there(inner) {
                return None;
            }
            let is_here = inner.is_in_flight && inner.thread == thread;
            Some(if is_here { 0 } else { self.push(inner, thread) })
        });
        let is_asleep = match pushed {
            // It waits for whoever has the turn.
            None => return true,
            Some(None) => false,
            Some(Some(0)) => true,
            Some(Some(pushed)) => {
                let count = self.kernel(|kernel| kernel.enter(pushed, thread));
                if count == pushed {
                    true
                } else {
                    match self.make_it_again(thread) {
                        None => return true,
                        Some(is_there) => !is_there,
                    }
                }
            }
        };
        self.kernel(|kernel| {
            assert!(!is_asleep || kernel.entered.contains(&thread));
        });
        if nobody_takes {
            self.check(is_asleep);
        }
        is_asleep
    }

    /// Another one may have submitted its request.
    fn make_it_again(&self, thread: u32) -> Option<bool> {
        self.turn(thread, |inner| {
            if !self.is_there(inner) {
                let queued = self.push(inner, thread);
                self.submit(inner, queued, thread);
            }
            self.is_there(inner)
        })
    }

    /// Nobody sleeps who is not woken by the next signal, or by one that has come.
    fn check(&self, is_asleep: bool) {
        self.kernel(|kernel| {
            if is_asleep {
                let is_told = kernel.said.iter().any(|it| it.1);
                assert!(is_told || kernel.armed.is_some());
                assert!(is_told || kernel.pending == 0);
            }
        });
    }
}

/// Proves: of two threads that go to sleep while a signal comes, none sleeps without a
/// request in the ring or the signal read, and each has entered with a request itself, or was
/// refused its turn. That is so though each submits after its turn, and may submit what the
/// other one has pushed. Bound: three preemptions.
#[test]
fn of_two_that_go_to_sleep_none_is_forgotten() {
    check(3, || {
        let ring = Ring::new(Inner::default(), Kernel::default());
        let other = Arc::clone(&ring);
        let sleeper = thread::spawn(move || other.sleep(2, true));
        let other = Arc::clone(&ring);
        let sender = thread::spawn(move || other.signal());
        let is_asleep = ring.sleep(1, true);
        let is_other_asleep = sleeper.join().unwrap();
        sender.join().unwrap();
        ring.check(is_asleep || is_other_asleep);
        ring.kernel(|kernel| assert!(kernel.pushed.is_empty()));
    });
}

/// Proves: a thread that takes a signal, while another one goes to sleep, and goes away,
/// leaves nobody asleep without a request in the ring. Either it sees the sleeper, or the
/// sleeper finds no request and makes one, or it is told that the sleeper was refused its
/// turn. Bound: the signal was read, or comes meanwhile; three preemptions.
#[test]
fn who_takes_sees_the_sleeper_or_the_sleeper_makes_a_request() {
    check(3, || {
        let inner = Inner { last: 1, is_in_flight: true, thread: 1 };
        let said = Vec::from([(1, true)]);
        let ring = Ring::new(inner, Kernel { said, ..Kernel::default() });
        let other = Arc::clone(&ring);
        let sleeper = thread::spawn(move || other.sleep(2, false));
        ring.take(1);
        ring.check(sleeper.join().unwrap());
    });
    check(3, || {
        let ring = Ring::new(Inner::default(), Kernel::default());
        let other = Arc::clone(&ring);
        let sleeper = thread::spawn(move || other.sleep(2, false));
        let other = Arc::clone(&ring);
        let sender = thread::spawn(move || other.signal());
        ring.take(1);
        sender.join().unwrap();
        ring.check(sleeper.join().unwrap());
    });
}
