//! Heap allocations, which the allocator of this program counts.

use io_uring::IoUring;
use signalfd::uring::{ReadSource, Source};
use signalfd::{
    Backend, Batch, Epoll, Kind, Options, Receiver, Signals, block_on,
};

use super::sys_float;
use crate::bench::contenders::{SPIN, moderated};
use crate::bench::own::{LONG, signal};
use crate::bench::raw::builder;
use crate::common::alloc::allocations;
use crate::common::reading::Reading;
use crate::common::sys::{self, Sender};
use crate::common::take::Seen;

/// Every way to receive.
pub(super) const WAYS: &[&str] = &[
    "wait",
    "wait-batch",
    "wait-timeout",
    "moderated",
    "spin",
    "try-recv-batch",
    "iter",
    "future",
    "epoll-future",
    "source",
    "read-source",
    "own-ring-poll",
    "own-ring-read",
];

pub(super) fn child(way: &str, total: u64) -> Reading {
    // So that it is known to count.
    let before = allocations();
    drop(std::hint::black_box(Box::new(total)));
    assert_eq!(allocations(), before + 1, "the allocator counts");
    let way = way.strip_prefix("crate/").unwrap_or(way);
    match way {
        "source" => source(total),
        "read-source" => read_source(total),
        "own-ring-poll" => plain(way, ring(Kind::Readiness), total),
        "own-ring-read" => plain(way, ring(Kind::Completion), total),
        "moderated" => plain(way, moderated(), total),
        "spin" => plain(way, Options::new().spin(SPIN), total),
        _ => plain(way, Options::new(), total),
    }
}

const fn ring(kind: Kind) -> Options {
    Options::new().backend(Backend::Uring).kind(kind)
}

fn receive(seen: &mut Seen, infos: &[signalfd::SigInfo]) {
    for info in infos {
        seen.add(info.value().unwrap_or(0));
    }
}

fn plain(way: &str, options: Options, total: u64) -> Reading {
    let before = allocations();
    let signals = options.open(signal(sys::queued())).expect("a receiver");
    let at_open = allocations() - before;
    assert_eq!(signals.backend().fallback(), None, "{}", signals.backend());
    count(at_open, total, |seen| one(way, &signals, seen))
}

/// Takes what there is, in a way that has a name.
fn one(way: &str, signals: &Signals, seen: &mut Seen) {
    let mut batch = Batch::<32>::new();
    match way {
        "wait" => receive(seen, &[signals.wait().expect("a wait")]),
        "wait-timeout" => {
            let infos = signals.wait_batch_timeout(&mut batch, LONG);
            receive(seen, infos.expect("a wait"));
        }
        "try-recv-batch" => {
            let infos = signals.try_recv_batch(&mut batch).expect("a read");
            receive(seen, infos);
        }
        "iter" => {
            let info = signals.iter().next().expect("it never ends");
            receive(seen, &[info.expect("a wait")]);
        }
        "future" => {
            let info = block_on(signals.recv()).expect("a sleep");
            receive(seen, &[info.expect("a read")]);
        }
        "epoll-future" => {
            let receiver: &Receiver = signals;
            let epoll = Epoll::new([receiver]).expect("an epoll");
            epoll.turn(None).expect("a turn");
            let infos = signals.try_recv_batch(&mut batch).expect("a read");
            receive(seen, infos);
        }
        _ => {
            let infos = signals.wait_batch(&mut batch).expect("a wait");
            receive(seen, infos);
        }
    }
}

/// Sends to itself and receives, a hundred at a time.
fn count(at_open: u64, total: u64, mut take: impl FnMut(&mut Seen)) -> Reading {
    let mut sender = Sender::new(sys::pid(), sys::queued());
    let before = allocations();
    let rounds = total / 100;
    for _ in 0..rounds {
        (1..=100).for_each(|number| sender.send(number));
        let mut seen = Seen::default();
        while seen.count < 100 {
            take(&mut seen);
        }
        seen.expect(100);
    }
    let per_signal =
        sys_float(allocations() - before) / sys_float(rounds * 100);
    Reading::new("open", sys_float(at_open)).and("signal", per_signal)
}

fn caller_ring() -> IoUring {
    builder().build(8).expect("io_uring")
}

/// The ring is the caller's, and so is what making it takes.
fn source(total: u64) -> Reading {
    let mut ring = caller_ring();
    let before = allocations();
    let signals = signalfd::open(signal(sys::queued())).expect("a receiver");
    let mut source = Source::new(&signals);
    let at_open = allocations() - before;
    let mut batch = Batch::<32>::new();
    count(at_open, total, |seen| {
        if source.needs_arming() {
            let pushed = source.push(&mut ring.submission(), 1);
            pushed.expect("the queue has room");
        }
        ring.submit_and_wait(1).expect("io_uring_enter");
        for completion in ring.completion() {
            source.complete(completion).expect("it is ours");
        }
        loop {
            let infos = source.take(&mut batch).expect("a read");
            receive(seen, infos);
            if infos.is_empty() {
                break;
            }
        }
    })
}

fn read_source(total: u64) -> Reading {
    let mut ring = caller_ring();
    let before = allocations();
    let signals = signalfd::open(signal(sys::queued())).expect("a receiver");
    let source = ReadSource::new(&signals, &ring, 64);
    let at_open = allocations() - before;
    let mut source = source.expect("buffers in the ring");
    let mut batch = Batch::<32>::new();
    count(at_open, total, |seen| {
        if source.needs_arming() {
            let pushed = source.push(&mut ring.submission(), 1);
            pushed.expect("the queue has room");
        }
        ring.submit_and_wait(1).expect("io_uring_enter");
        for completion in ring.completion() {
            source.complete(completion).expect("it is ours");
        }
        loop {
            let infos = source.take(&mut batch).expect("records");
            receive(seen, infos);
            if infos.is_empty() {
                break;
            }
        }
    })
}
