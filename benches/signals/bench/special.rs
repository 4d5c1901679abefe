//! Opening and dropping, looking at the threads, and what makes signals dearer.

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;

use signalfd::{Batch, Options, SignalSet, Signals, mask};

use super::own::{self, signal};
use super::raw;
use crate::common::reading::{Reading, median};
use crate::common::sys::{self, Sender};
use crate::common::take::Seen;
use crate::common::work::each;

/// How many threads are looked at.
const THREADS: u64 = 64;

pub(crate) fn measure(contender: &str, work: &str, total: u64) -> Reading {
    let cpus = sys::cpus();
    let (first, last) = (cpus[0], cpus[cpus.len() - 1]);
    sys::pin(first);
    if let Some(what) = contender.strip_prefix("send-") {
        return send(what, total);
    }
    if let Some((_, count)) = contender.split_once('-') {
        let count = count.split('-').next().and_then(|it| it.parse().ok());
        let is_ascending = contender.ends_with("-ascending");
        match count {
            Some(count) if contender.starts_with("numbers") => {
                let depth = work.strip_prefix("numbers:");
                let depth = depth.and_then(|depth| depth.parse().ok());
                let depth = depth.expect("a depth");
                return numbers(count, is_ascending, depth, total);
            }
            Some(count) if contender.starts_with("herd") => {
                return herd(count, last, total);
            }
            _ => {}
        }
    }
    match contender {
        "raw/open" => repeat(total, open_raw),
        "raw/open-masked" => repeat(total, open_raw_masked),
        "crate/open" => repeat(total, open),
        "crate/open-checked" => repeat(total, open_checked),
        "crate/check-64" => check_threads(total),
        _ => panic!("there is no contender {contender}"),
    }
}

/// The time that one takes.
fn repeat(total: u64, one: fn()) -> Reading {
    let run = |count| {
        let begin = sys::now();
        (0..count).for_each(|_| one());
        each(sys::now() - begin, count)
    };
    run(total / 10 + 1);
    Reading::new("ns", median((0..5).map(|_| run(total / 5 + 1)).collect()))
}

fn open_raw() {
    raw::close(black_box(raw::open(libc::SIGUSR1, libc::SFD_NONBLOCK)));
}

fn open_raw_masked() {
    let fd = raw::signalfd(libc::SIGUSR1, libc::SFD_NONBLOCK);
    raw::close(black_box(fd));
    sys::unblock(libc::SIGUSR1);
}

fn open() {
    let options = Options::new().check_threads(false);
    drop(black_box(options.open(signal(libc::SIGUSR1))).expect("a receiver"));
}

fn open_checked() {
    let signals = signalfd::open(signal(libc::SIGUSR1));
    drop(black_box(signals).expect("a receiver"));
}

/// What each thread more adds to a look at all of them.
fn check_threads(total: u64) -> Reading {
    let set = SignalSet::from(signal(libc::SIGUSR1));
    let _guard = signalfd::block(set).expect("a mask");
    let look = |times| {
        let begin = sys::now();
        for _ in 0..times {
            mask::check_threads(set).expect("they block it");
        }
        each(sys::now() - begin, times)
    };
    let alone = look(total / 10 + 1);
    let (ready, done) =
        (Barrier::new(threads() + 1), Barrier::new(threads() + 1));
    let together = thread::scope(|scope| {
        for _ in 0..threads() {
            scope.spawn(|| {
                ready.wait();
                done.wait();
            });
        }
        ready.wait();
        let time = look(total / 100 + 1);
        done.wait();
        time
    });
    Reading::new("ns", (together - alone) * each(1, THREADS))
}

fn threads() -> usize {
    THREADS.try_into().expect("it is small")
}

/// How many signals are sent before they are taken.
const SENT: i32 = 512;

/// What it costs to send a signal that is blocked, as the name says.
fn send(what: &str, total: u64) -> Reading {
    let number = sys::queued();
    let receiver = own::signal(number) | own::signal(libc::SIGUSR1);
    let signals = Options::new().check_threads(false).open(receiver);
    let signals = signals.expect("a receiver");
    let _edges = (what == "epoll").then(|| raw::Edges::of(&*signals));
    let idle = if what == "threads" { 64 } else { 0 };
    let (ready, done) = (Barrier::new(idle + 1), Barrier::new(idle + 1));
    thread::scope(|scope| {
        for _ in 0..idle {
            scope.spawn(|| {
                ready.wait();
                done.wait();
            });
        }
        ready.wait();
        let mut sender = Sender::new(sys::pid(), number);
        let mut batch = Batch::<64>::new();
        let (pid, tid) = (sys::pid(), sys::tid());
        let mut run = || {
            let begin = sys::now();
            for value in 1..=SENT {
                match what {
                    "kill" => sys::kill(pid, number),
                    "coalesced" => sys::kill(pid, libc::SIGUSR1),
                    "thread" => sender.send_to_thread(tid, value),
                    _ => sender.send(value),
                }
            }
            let time = sys::now() - begin;
            let mut seen = Seen::default();
            loop {
                let infos = signals.try_recv_batch(&mut batch);
                let infos = infos.expect("a read");
                own::count(&mut seen, infos);
                if infos.len() < 64 {
                    break;
                }
            }
            let sent = SENT.unsigned_abs().into();
            match what {
                "kill" => seen.expect_bare(sent),
                "coalesced" => seen.expect_bare(1),
                _ => seen.expect(sent),
            }
            each(time, sent)
        };
        run();
        let runs = (total / u64::from(SENT.unsigned_abs())).max(5);
        let times = (0..runs).map(|_| run()).collect();
        done.wait();
        Reading::new("ns", median(times))
    })
}

/// So many signals of several numbers are queued, one of each in turn or one number after
/// the other, then received.
fn numbers(count: i32, is_ascending: bool, depth: i32, total: u64) -> Reading {
    let all = depth.unsigned_abs().into();
    let first = sys::queued();
    let set: SignalSet = (first..first + count).map(signal).collect();
    let signals = Options::new().open(set).expect("a receiver");
    let mut senders: Vec<_> = (first..first + count)
        .map(|number| Sender::new(sys::pid(), number))
        .collect();
    let mut batch = Batch::<64>::new();
    let mut run = |signals: &Signals| {
        for at in 0..depth {
            let sender =
                if is_ascending { at * count / depth } else { at % count };
            let sender = usize::try_from(sender).expect("it is small");
            senders[sender].send(at + 1);
        }
        let mut seen = Seen::default();
        let begin = sys::now();
        while seen.count < all {
            own::count(
                &mut seen,
                signals.wait_batch(&mut batch).expect("a wait"),
            );
        }
        let time = sys::now() - begin;
        seen.expect(all);
        each(time, all)
    };
    let runs = (total / all).max(5);
    run(&signals);
    Reading::new("ns", median((0..runs).map(|_| run(&signals)).collect()))
}

/// A process sends itself a signal and receives it, while so many other threads wait
/// for other signals, on that CPU.
fn herd(others: i32, cpu: usize, total: u64) -> Reading {
    let end = signal(sys::queued());
    let set = signal(libc::SIGUSR1) | end;
    let _guard = signalfd::block(set).expect("a mask");
    let mine = Options::new().open(signal(libc::SIGUSR1)).expect("a receiver");
    let count = usize::try_from(others).expect("it is small");
    let ready = Barrier::new(count + 1);
    let (time, cpu) = thread::scope(|scope| {
        let wait = || {
            sys::pin(cpu);
            let other = signalfd::Receiver::new(end).expect("a receiver");
            ready.wait();
            other.wait().expect("a wait")
        };
        let waiting: Vec<_> = (0..count).map(|_| scope.spawn(wait)).collect();
        ready.wait();
        let mut seen = Seen::default();
        let (begin, begin_cpu) = (sys::now(), sys::cpu_time());
        for _ in 0..total {
            sys::kill(sys::pid(), libc::SIGUSR1);
            own::count(&mut seen, &[mine.wait().expect("a wait")]);
        }
        let times = (sys::now() - begin, sys::cpu_time() - begin_cpu);
        seen.expect_bare(total);
        // One for each.
        let mut sender = Sender::new(sys::pid(), sys::queued());
        (1..=others).for_each(|number| sender.send(number));
        let mut seen = Seen::default();
        for thread in waiting {
            own::count(&mut seen, &[thread.join().expect("it has waited")]);
        }
        seen.expect(others.unsigned_abs().into());
        times
    });
    Reading::new("ns", each(time, total)).and("cpu", each(cpu, total))
}
