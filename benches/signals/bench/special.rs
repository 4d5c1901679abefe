//! Opening and dropping, and looking at the threads.

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;

use signalfd::{Options, SignalSet, mask};

use super::own::signal;
use super::raw;
use crate::common::reading::{Reading, median};
use crate::common::sys;
use crate::common::work::each;

/// How many threads are looked at.
const THREADS: u64 = 64;

pub(crate) fn measure(contender: &str, total: u64) -> Reading {
    sys::pin(sys::cpus()[0]);
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
