//! Blocking signals in every thread.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc;
use std::thread;

use signalfd::{Error, Op, Signal, SignalSet, mask};

use super::changing::change;
use super::opening::OPENS;
use super::trial::{Signals, Trial, both, kept};
use super::{Operations, inject, operations};
use crate::common::{
    options, set_mask, sigqueue_to_thread, tgkill, tid, wait_until,
};
use crate::harness::cases;

cases! {
    every_thread,
}

const EVERY: &[Op] = &[
    Op::Sigprocmask,
    Op::ThreadCheck,
    Op::Signalfd,
    Op::Sigaction,
    Op::Mmap,
    Op::Tgsigqueueinfo,
];

pub(super) const EVERY_THREAD: Operations = operations![
    a_guard_of_every_thread,
    threads_that_exist,
    healing,
    the_handler_sends_on,
    the_handler_sends_on_a_real_time_signal,
    the_handler_sends_on_a_standard_signal,
    leaving_the_threads,
    changing_what_they_block,
];

fn every_thread() {
    inject(EVERY_THREAD);
}

/// A thread that blocks nothing until it is made to. Nothing may be pending.
struct Other {
    end: mpsc::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl Other {
    fn new() -> Self {
        let (end, ended) = mpsc::channel();
        let (tell, told) = mpsc::channel();
        let thread = thread::spawn(move || {
            set_mask(SignalSet::empty());
            tell.send(()).unwrap();
            assert!(ended.recv().is_err());
        });
        told.recv().unwrap();
        Self { end, thread }
    }

    fn end(self) {
        drop(self.end);
        self.thread.join().unwrap();
        wait_until_alone();
    }
}

/// For the kernel, too.
fn wait_until_alone() {
    wait_until("there is one thread", || {
        std::fs::read_dir("/proc/self/task").unwrap().count() == 1
    });
}

fn every() -> Result<signalfd::Signals, Error> {
    options().every_thread(true).open(both())
}

fn a_guard_of_every_thread(trial: &Trial<'_>, signals: &mut Signals) {
    drop(signals.drained());
    let other = Other::new();
    let block = || mask::block_every_thread(Signal::HUP);
    let made = trial.all_or_nothing(EVERY, block);
    trial.does(|| drop(made));
    // This thread is one of them.
    set_mask(kept().into());
    other.end();
}

/// There is room already for what the handler cannot send on.
fn threads_that_exist(trial: &Trial<'_>, signals: &mut Signals) {
    drop(signals.drained());
    drop(every());
    let other = Other::new();
    let tells = EVERY.iter().filter(|&&op| op != Op::Mmap).copied();
    let tells = tells.collect::<Vec<_>>();
    let made = trial.all_or_nothing(&tells, every);
    if let Ok(receiver) = made {
        trial.goes_on(signals, &receiver);
    }
    other.end();
}

fn healing(trial: &Trial<'_>, signals: &mut Signals) {
    drop(signals.drained());
    let receiver = every().unwrap();
    let other = Other::new();
    let every = receiver.every_thread().unwrap();
    let _late = trial.call(&[Op::ThreadCheck], || every.late());
    let _healed = trial.all_or_nothing(EVERY, || every.heal());
    trial.goes_on(signals, &receiver);
    other.end();
}

/// Lets a thread that does not block it take a signal, and looks at what the handler
/// does there.
fn through_the_handler(
    trial: &Trial<'_>,
    receiver: &signalfd::Signals,
    send: impl FnOnce(i32),
) {
    let every = receiver.every_thread().unwrap();
    let before = every.caught();
    let there = AtomicI32::new(0);
    thread::scope(|scope| {
        let taking = scope.spawn(|| {
            set_mask(SignalSet::empty());
            let tid = tid();
            // Without a system call of its own.
            trial.does(|| {
                there.store(tid, Ordering::SeqCst);
                while every.caught() == before {
                    std::hint::spin_loop();
                }
            });
        });
        wait_until("it is there", || there.load(Ordering::SeqCst) != 0);
        send(there.load(Ordering::SeqCst));
        taking.join().unwrap();
    });
    wait_until_alone();
}

fn the_handler_sends_on(trial: &Trial<'_>, signals: &mut Signals) {
    drop(signals.drained());
    let receiver = every().unwrap();
    signals.send_by(|value| {
        through_the_handler(trial, &receiver, |thread| {
            sigqueue_to_thread(thread, kept(), value);
        });
    });
    signals.got([receiver.wait().unwrap()]);
    trial.goes_on(signals, &receiver);
}

/// What the kernel has made goes on sealed.
fn sends_on_sealed(trial: &Trial<'_>, signals: &mut Signals, signal: Signal) {
    drop(signals.drained());
    let receiver = every().unwrap();
    through_the_handler(trial, &receiver, |thread| tgkill(thread, signal));
    let info = receiver.wait().unwrap();
    assert_eq!((info.signal(), info.code()), (signal, libc::SI_TKILL));
    trial.goes_on(signals, &receiver);
}

fn the_handler_sends_on_a_real_time_signal(
    trial: &Trial<'_>,
    signals: &mut Signals,
) {
    sends_on_sealed(trial, signals, kept());
}

fn the_handler_sends_on_a_standard_signal(
    trial: &Trial<'_>,
    signals: &mut Signals,
) {
    sends_on_sealed(trial, signals, Signal::HUP);
}

fn leaving_the_threads(trial: &Trial<'_>, signals: &mut Signals) {
    let receiver = every().unwrap();
    signals.got([receiver.wait().unwrap()]);
    trial.does(|| drop(receiver));
}

fn changing_what_they_block(trial: &Trial<'_>, signals: &mut Signals) {
    let receiver = every().unwrap();
    let to = both() | Signal::TERM;
    change(trial, signals, &receiver, EVERY, to, || {
        receiver.insert(Signal::TERM)
    });
    let (gone, to) = (to - kept(), kept().into());
    change(trial, signals, &receiver, OPENS, to, || receiver.remove(gone));
}
