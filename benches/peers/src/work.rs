//! The workloads, for those that wait and those that await.

use std::hint;
use std::mem;
use std::sync::atomic::Ordering;

use crate::common::alloc::allocations;
use crate::common::reading::{Reading, median};
use crate::common::sys::{self, Child, Sender, Shared};
use crate::common::take::Seen;
use crate::common::work::{From, each, send};
use crate::receivers::Take;

/// Does what is asked for and prints a line of numbers.
pub(crate) async fn run<T: Take>(work: &str, total: u64) {
    let cpus = sys::cpus();
    let two = [cpus[0], cpus[cpus.len() - 1]];
    sys::pin(two[0]);
    if let Some(from) = From::paced(work) {
        println!("{}", paced::<T>(from, two, total).await);
        return;
    }
    let reading = match work {
        "drain:64" => drain::<T>(64, total).await,
        "self" => own::<T>(total).await,
        "rtt:peers" => answered::<T>(two[0], total).await,
        "allocations" => allocate::<T>(total).await,
        "open" => open::<T>(total),
        "flood" => flood::<T>(two, total).await,
        "queued" => queued::<T>(two, total).await,
        _ => panic!("there is no workload {work}"),
    };
    println!("{reading}");
}

/// Signals are queued, then received; only the receiving is timed.
async fn drain<T: Take>(depth: u64, total: u64) -> Reading {
    assert!(T::LOSES_NONE, "it loses what is queued");
    let signal = sys::queued();
    let mut receiver = T::open(signal);
    let mut sender = Sender::new(sys::pid(), signal);
    let runs = total / depth;
    let warm = runs / 10 + 1;
    let mut times = Vec::new();
    for run in 0..warm + runs {
        for number in 1..=depth {
            sender.send(i32::try_from(number).expect("it is small"));
        }
        let mut seen = Seen::default();
        let begin = sys::now();
        while seen.count < depth {
            receiver.take(&mut seen).await;
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
async fn one_by_one<T: Take>(receiver: &mut T, count: u64) -> f64 {
    let pid = sys::pid();
    let mut seen = Seen::default();
    let begin = sys::now();
    while seen.count < count {
        sys::kill(pid, libc::SIGUSR1);
        receiver.take(&mut seen).await;
    }
    let time = sys::now() - begin;
    seen.expect_bare(count);
    each(time, count)
}

async fn own<T: Take>(total: u64) -> Reading {
    let mut receiver = T::open(libc::SIGUSR1);
    one_by_one(&mut receiver, total / 10 + 1).await;
    let mut times = Vec::new();
    for _ in 0..5 {
        times.push(one_by_one(&mut receiver, total / 5 + 1).await);
    }
    Reading::new("ns", median(times))
}

/// A process sends one to another on the same CPU, which answers.
async fn answered<T: Take>(cpu: usize, total: u64) -> Reading {
    let warm = total / 10 + 1;
    let child = sys::answer(cpu, warm + total);
    let mut receiver = T::open(libc::SIGUSR1);
    let mut seen = Seen::default();
    let mut times = Vec::new();
    for number in 1..=warm + total {
        let begin = sys::now();
        sys::kill(child.pid, libc::SIGUSR1);
        while seen.count < number {
            receiver.take(&mut seen).await;
        }
        times.push(each(sys::now() - begin, 1));
    }
    seen.expect_bare(warm + total);
    child.join();
    let warm = usize::try_from(warm).expect("it is small");
    Reading::new("ns", median(times.split_off(warm)))
}

async fn allocate<T: Take>(total: u64) -> Reading {
    let before = allocations();
    let mut receiver = T::open(libc::SIGUSR1);
    let opened = allocations();
    one_by_one(&mut receiver, total).await;
    let at_end = allocations();
    Reading::new("open", each(opened - before, 1))
        .and("signal", each(at_end - opened, total))
}

/// Opens it and drops it, time after time.
fn open<T: Take>(total: u64) -> Reading {
    let run = |count| {
        let begin = sys::now();
        (0..count).for_each(|_| drop(T::open(libc::SIGUSR1)));
        each(sys::now() - begin, count)
    };
    run(total / 10 + 1);
    Reading::new("ns", median((0..5).map(|_| run(total / 5 + 1)).collect()))
}

/// Another process sends one standard signal without a pause for so many milliseconds.
async fn flood<T: Take>(cpus: [usize; 2], total: u64) -> Reading {
    let signal = libc::SIGUSR1;
    let shared = Shared::map();
    let parent = sys::pid();
    let child = Child::fork(|| {
        sys::pin(cpus[1]);
        wait_for_the_beginning(shared);
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
    let mut receiver = T::open(signal);
    let mut seen = Seen::default();
    let begin = sys::now();
    shared.has_begun.0.store(true, Ordering::Release);
    while seen.count == 0 || !shared.is_over.0.load(Ordering::Acquire) {
        receiver.take(&mut seen).await;
    }
    let time = sys::now() - begin;
    let sent = shared.sent.0.load(Ordering::Relaxed);
    assert!(seen.count >= 1 && seen.count <= sent, "{seen:?} of {sent}");
    assert_eq!(seen.sum, 0, "signals that nobody has sent");
    child.join();
    // One may be pending, and would end the process if it were unblocked.
    mem::forget(receiver);
    Reading::new("events", each(seen.count * 1_000_000_000, time))
}

/// Another process sends one every so many nanoseconds.
async fn paced<T: Take>(from: From, cpus: [usize; 2], total: u64) -> Reading {
    let shared = Shared::map();
    let parent = sys::pid();
    sys::block(sys::queued());
    let child = Child::fork(|| send(shared, parent, from, cpus[1], total));
    let mut receiver = T::open(sys::queued());
    let mut seen = Seen::default();
    let mut takes = 0;
    let (begin, begin_cpu) = (sys::now(), sys::cpu_time());
    shared.has_begun.0.store(true, Ordering::Release);
    while seen.count < total {
        receiver.take(&mut seen).await;
        shared.received.0.store(seen.count, Ordering::Relaxed);
        takes += 1;
    }
    let (time, cpu) = (sys::now() - begin, sys::cpu_time() - begin_cpu);
    seen.expect(total);
    child.join();
    Reading::new("ns", each(time, total))
        .and("cpu", each(cpu, total))
        .and("takes", each(takes, total))
}

/// Another process queues real-time signals back to back; how many arrive.
async fn queued<T: Take>(cpus: [usize; 2], total: u64) -> Reading {
    assert!(T::TAKES_QUEUED, "it has no real-time signals");
    let signal = sys::queued();
    let shared = Shared::map();
    let parent = sys::pid();
    let child = Child::fork(|| {
        sys::pin(cpus[1]);
        wait_for_the_beginning(shared);
        let mut sender = Sender::new(parent, signal);
        let total = i32::try_from(total).expect("it is small");
        for number in (1..=total).chain([0]) {
            if number == 0 {
                shared.is_over.0.store(true, Ordering::Release);
            }
            while !sender.offer(number) {
                std::thread::yield_now();
            }
        }
    });
    let mut receiver = T::open(signal);
    let mut seen = Seen::default();
    shared.has_begun.0.store(true, Ordering::Release);
    let is_over = |seen: &Seen| {
        shared.is_over.0.load(Ordering::Acquire)
            && (!T::LOSES_NONE || seen.count > total)
    };
    while !is_over(&seen) {
        receiver.take(&mut seen).await;
    }
    child.join();
    mem::forget(receiver);
    // The last one only says that it is over.
    if T::LOSES_NONE {
        let sum = total * (total + 1) / 2;
        assert_eq!(seen, Seen { count: total + 1, sum }, "what was received");
    }
    assert!(seen.count <= total + 1, "{seen:?} of {total}");
    Reading::new("received", each(seen.count.min(total), 1))
}

fn wait_for_the_beginning(shared: &Shared) {
    while !shared.has_begun.0.load(Ordering::Acquire) {
        hint::spin_loop();
    }
}
