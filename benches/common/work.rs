//! The workloads. Each checks what it has received.

use std::hint;
use std::sync::atomic::Ordering;

use super::reading::{Reading, median};
use super::sys::{self, Child, Sender, Shared};
use super::take::{Seen, Take, take_once};

/// How many signals a sender may be ahead.
const AHEAD: u64 = 1024;

#[expect(clippy::cast_precision_loss, reason = "counts and times are small")]
const fn float(number: u64) -> f64 {
    number as f64
}

/// Time for each of so many.
pub(crate) fn each(ns: u64, count: u64) -> f64 {
    float(ns) / float(count)
}

fn value(number: u64) -> i32 {
    number.try_into().expect("there are fewer signals than that")
}

/// Signals are queued, then received; only the receiving is timed.
pub(crate) fn drain<T: Take>(
    open: impl FnOnce(i32) -> T,
    depth: u64,
    total: u64,
) -> Reading {
    let signal = sys::queued();
    let mut receiver = open(signal);
    let mut sender = Sender::new(sys::pid(), signal);
    let runs = (total / depth).max(5);
    // The first ones bring memory and caches into the state they stay in.
    let warm = runs / 10 + 1;
    let mut times = Vec::new();
    for run in 0..warm + runs {
        receiver.hold();
        (1..=depth).for_each(|number| sender.send(value(number)));
        let mut seen = Seen::default();
        let begin = sys::now();
        receiver.release();
        while seen.count < depth {
            take_once(&mut receiver, &mut seen);
        }
        let time = sys::now() - begin;
        seen.expect(depth);
        if run >= warm {
            times.push(each(time, depth));
        }
    }
    Reading::new("ns", median(times))
}

/// A process sends itself a signal and receives it.
pub(crate) fn own<T: Take>(open: impl FnOnce(i32) -> T, total: u64) -> Reading {
    let signal = libc::SIGUSR1;
    let mut receiver = open(signal);
    receiver.release();
    let pid = sys::pid();
    let mut run = |count| {
        let mut seen = Seen::default();
        let begin = sys::now();
        while seen.count < count {
            sys::kill(pid, signal);
            take_once(&mut receiver, &mut seen);
        }
        let time = sys::now() - begin;
        seen.expect_bare(count);
        each(time, count)
    };
    run(total / 10 + 1);
    Reading::new("ns", median((0..5).map(|_| run(total / 5 + 1)).collect()))
}

/// Two processes answer each other, each on its CPU.
pub(crate) fn round_trip<T: Take, U: Take>(
    open: impl FnOnce(i32) -> T,
    other: impl FnOnce(i32) -> U,
    cpus: [usize; 2],
    total: u64,
) -> Reading {
    let signal = sys::queued();
    let warm = total / 10 + 1;
    // What comes before the other process is ready stays pending.
    sys::block(signal);
    sys::pin(cpus[0]);
    let parent = sys::pid();
    let child = Child::fork(|| {
        sys::pin(cpus[1]);
        let mut receiver = other(signal);
        receiver.release();
        let mut sender = Sender::new(parent, signal);
        let mut seen = Seen::default();
        for number in 1..=warm + total {
            while seen.count < number {
                take_once(&mut receiver, &mut seen);
            }
            sender.send(value(number));
        }
        seen.expect(warm + total);
    });
    let mut receiver = open(signal);
    receiver.release();
    let mut sender = Sender::new(child.pid, signal);
    let mut seen = Seen::default();
    let mut times = Vec::new();
    for number in 1..=warm + total {
        let begin = sys::now();
        sender.send(value(number));
        while seen.count < number {
            take_once(&mut receiver, &mut seen);
        }
        let time = sys::now() - begin;
        if number > warm {
            times.push(float(time));
        }
    }
    seen.expect(warm + total);
    child.join();
    Reading::new("ns", median(times))
}

/// A process sends a standard signal to one on the same CPU, which answers it with raw
/// system calls.
pub(crate) fn answered<T: Take>(
    open: impl FnOnce(i32) -> T,
    cpu: usize,
    total: u64,
) -> Reading {
    sys::pin(cpu);
    let warm = total / 10 + 1;
    let child = sys::answer(cpu, warm + total);
    let mut receiver = open(libc::SIGUSR1);
    receiver.release();
    let mut seen = Seen::default();
    let mut times = Vec::new();
    for number in 1..=warm + total {
        let begin = sys::now();
        sys::kill(child.pid, libc::SIGUSR1);
        while seen.count < number {
            take_once(&mut receiver, &mut seen);
        }
        times.push(float(sys::now() - begin));
    }
    seen.expect_bare(warm + total);
    child.join();
    let warm = usize::try_from(warm).expect("it is small");
    Reading::new("ns", median(times.split_off(warm)))
}

/// How long signals gather where they are moderated, in microseconds.
pub(crate) const GATHER_US: u32 = 50;

/// Who sends to whom, and how fast.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum From {
    Process,
    Thread,
    /// A process, which sends one every so many nanoseconds.
    Paced(u64),
}

impl From {
    /// A workload's: `paced:500`, in thousands a second.
    pub(crate) fn paced(work: &str) -> Option<Self> {
        let rate = work.strip_prefix("paced:")?;
        let rate: u64 = rate.parse().expect("a rate");
        Some(Self::Paced(1_000_000 / rate))
    }
}

/// Somebody sends, as fast as can be unless it is paced, and is never far ahead.
pub(crate) fn throughput<T: Take>(
    open: impl FnOnce(i32) -> T,
    from: From,
    cpus: [usize; 2],
    total: u64,
) -> Reading {
    let shared = Shared::map();
    let receiver = sys::pid();
    // A thread inherits the mask.
    sys::block(sys::queued());
    let send = || send(shared, receiver, from, cpus[1], total);
    if from == From::Thread {
        return std::thread::scope(|scope| {
            scope.spawn(send);
            receive(open, shared, cpus[0], total)
        });
    }
    let child = Child::fork(send);
    let reading = receive(open, shared, cpus[0], total);
    child.join();
    reading
}

/// Sends so many, with values from 1 up, once the receiver has begun.
pub(crate) fn send(
    shared: &Shared,
    receiver: i32,
    from: From,
    cpu: usize,
    total: u64,
) {
    sys::pin(cpu);
    while !shared.has_begun.0.load(Ordering::Acquire) {
        hint::spin_loop();
    }
    let mut sender = Sender::new(receiver, sys::queued());
    let mut next = sys::now();
    for number in 1..=total {
        while number > AHEAD + shared.received.0.load(Ordering::Relaxed) {
            hint::spin_loop();
        }
        if let From::Paced(pause) = from {
            while sys::now() < next {
                hint::spin_loop();
            }
            next += pause;
        }
        sender.send(value(number));
    }
    shared.sent.0.store(sys::thread_time(), Ordering::Relaxed);
}

fn receive<T: Take>(
    open: impl FnOnce(i32) -> T,
    shared: &Shared,
    cpu: usize,
    total: u64,
) -> Reading {
    sys::pin(cpu);
    let mut receiver = open(sys::queued());
    receiver.release();
    let mut seen = Seen::default();
    let mut takes = 0;
    let (begin, begin_cpu) = (sys::now(), sys::thread_time());
    shared.has_begun.0.store(true, Ordering::Release);
    while seen.count < total {
        take_once(&mut receiver, &mut seen);
        shared.received.0.store(seen.count, Ordering::Relaxed);
        takes += 1;
    }
    let (time, cpu) = (sys::now() - begin, sys::thread_time() - begin_cpu);
    seen.expect(total);
    Reading::new("ns", each(time, total))
        .and("cpu", each(cpu, total))
        .and("takes", each(takes, total))
}

/// How long the receiver has had nothing to do, before a signal comes.
const IDLE_NS: u64 = 1_000_000;

/// Another process sends a signal now and then; how long until it is received.
pub(crate) fn idle<T: Take>(
    open: impl FnOnce(i32) -> T,
    cpus: [usize; 2],
    total: u64,
) -> Reading {
    let signal = sys::queued();
    let shared = Shared::map();
    let parent = sys::pid();
    sys::block(signal);
    let child = Child::fork(|| {
        sys::pin(cpus[1]);
        let mut sender = Sender::new(parent, signal);
        for number in 1..=total {
            while shared.received.0.load(Ordering::Acquire) + 1 < number {
                hint::spin_loop();
            }
            let end = sys::now() + IDLE_NS;
            while sys::now() < end {
                hint::spin_loop();
            }
            shared.sent.0.store(sys::now(), Ordering::Release);
            sender.send(value(number));
        }
    });
    sys::pin(cpus[0]);
    let mut receiver = open(signal);
    receiver.release();
    let mut seen = Seen::default();
    let mut times = Vec::new();
    for number in 1..=total {
        while seen.count < number {
            take_once(&mut receiver, &mut seen);
        }
        let sent = shared.sent.0.load(Ordering::Acquire);
        times.push(float(sys::now() - sent));
        shared.received.0.store(number, Ordering::Release);
    }
    seen.expect(total);
    child.join();
    Reading::new("ns", median(times))
}

/// Another process sends one standard signal without a pause for so many milliseconds;
/// those that are pending already are not queued again. Counts events.
pub(crate) fn flood<T: Take>(
    open: impl FnOnce(i32) -> T,
    cpus: [usize; 2],
    total: u64,
) -> Reading {
    let signal = libc::SIGUSR1;
    let shared = Shared::map();
    let parent = sys::pid();
    sys::block(signal);
    let child = Child::fork(|| {
        sys::pin(cpus[1]);
        while !shared.has_begun.0.load(Ordering::Acquire) {
            hint::spin_loop();
        }
        let end = sys::now() + total * 1_000_000;
        let mut sent = 1;
        while sys::now() < end {
            (0..64).for_each(|_| sys::kill(parent, signal));
            sent += 64;
        }
        shared.sent.0.store(sent, Ordering::Relaxed);
        shared.is_over.0.store(true, Ordering::Release);
        // Whoever waits now hears of the end.
        sys::kill(parent, signal);
    });
    sys::pin(cpus[0]);
    let mut receiver = open(signal);
    receiver.release();
    let mut seen = Seen::default();
    let (begin, begin_cpu) = (sys::now(), sys::cpu_time());
    shared.has_begun.0.store(true, Ordering::Release);
    // On a busy machine it may have come to nothing before the end, and that is told.
    while seen.count == 0 || !shared.is_over.0.load(Ordering::Acquire) {
        take_once(&mut receiver, &mut seen);
    }
    let (time, cpu) = (sys::now() - begin, sys::cpu_time() - begin_cpu);
    let sent = shared.sent.0.load(Ordering::Relaxed);
    assert!(seen.count >= 1 && seen.count <= sent, "{seen:?} of {sent}");
    assert_eq!(seen.sum, 0, "signals that nobody has sent");
    child.join();
    Reading::new("events", float(seen.count) * 1e9 / float(time))
        .and("cpu", each(cpu, seen.count))
        .and("ns", each(time, seen.count))
}
