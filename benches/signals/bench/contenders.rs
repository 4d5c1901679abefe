//! Who takes part, by name, and what each is asked to do.

use signalfd::{Backend, Kind, Options};
use std::time::Duration;

use super::plan::who::ON_RINGS;
use super::{counts, own, raw, special};
use crate::common::reading::Reading;
use crate::common::sys;
use crate::common::take::Take;
use crate::common::work::{self, From, GATHER_US, each};

/// As `raw/spin` does.
pub(crate) const SPIN: Duration = Duration::from_nanos(raw::SPIN_NS);

/// How moderated receivers let signals gather, as `moderated/read64` does.
const GATHER: Duration = Duration::from_micros(GATHER_US as u64);

pub(crate) const fn moderated() -> Options {
    Options::new().moderate(GATHER, 64)
}

/// Does what the name of a workload says: `drain:64`, `burst:64`, `self`, `rtt:same`, `rtt:two`,
/// `rtt:peers`,
/// `throughput`, `throughput:thread`, `paced:500` (thousands a second), `idle`, `flood`.
fn run<T: Take>(work: &str, total: u64, open: fn(i32) -> T) -> Reading {
    let cpus = sys::cpus();
    let (first, last) = (cpus[0], cpus[cpus.len() - 1]);
    if let Some(depth) = work.strip_prefix("drain:") {
        sys::pin(first);
        return work::drain(open, depth.parse().expect("a depth"), total);
    }
    if let Some(depth) = work.strip_prefix("burst:") {
        let depth = depth.parse().expect("a depth");
        return counts::bursts(open(sys::queued()), depth, total);
    }
    if let Some(from) = From::paced(work) {
        return work::throughput(open, from, [first, last], total);
    }
    match work {
        "self" => {
            sys::pin(first);
            work::own(open, total)
        }
        "rtt:same" => work::round_trip(open, open, [first; 2], total),
        "rtt:peers" => work::answered(open, first, total),
        "rtt:two" => work::round_trip(open, open, [first, last], total),
        "throughput" => {
            work::throughput(open, From::Process, [first, last], total)
        }
        "throughput:thread" => {
            work::throughput(open, From::Thread, [first, last], total)
        }
        "idle" => work::idle(open, [first, last], total),
        "flood" => work::flood(open, [first, last], total),
        _ => panic!("there is no workload {work}"),
    }
}

/// What a contender says of a workload.
pub(crate) fn measure(contender: &str, work: &str, total: u64) -> Reading {
    // What is counted for the gate is shown beside the peers.
    match work {
        "queued" => {
            let reading = counts::child(contender, "order", total);
            let received = reading.get("received");
            assert_eq!(received, Some(each(total, 1)), "received in order");
            return reading;
        }
        "allocations" => {
            return counts::child(contender, "allocations", total);
        }
        _ => {}
    }
    match contender {
        "raw/read1" => run(work, total, raw::Read::<1>::open),
        "raw/read64" => run(work, total, raw::Read::<64>::open),
        "moderated/read64" => run(work, total, raw::Moderated::<64>::open),
        "raw/sigwaitinfo" => run(work, total, raw::SigWaitInfo::open),
        "raw/epoll" => run(work, total, raw::ShortStop::<64>::open),
        "raw/epoll-first" => run(work, total, raw::ReadFirst::<64>::open),
        "raw/ring-read" => run(work, total, raw::RingRead::<64>::open),
        "raw/ring-poll" => run(work, total, raw::Poll::<64>::open),
        "raw/ring-poll-first" => run(work, total, raw::PollLast::<64>::open),
        "raw/ring-read-first" => run(work, total, raw::ReadLast::<64>::open),
        "raw/shared-ring-poll" => run(work, total, raw::PollLast::<64>::shared),
        "raw/shared-ring-read" => run(work, total, raw::ReadLast::<64>::shared),
        "raw/ring-multishot" => run(work, total, raw::Multishot::open),
        "raw/spin" => run(work, total, raw::Spin::<64>::open),
        "raw/handler" => run(work, total, raw::Handler::open),
        "crate/wait" => run(work, total, own::Wait::open),
        "crate/wait-batch" => run(work, total, own::WaitBatch::<64>::open),
        "crate/epoll" => run(work, total, own::ShortStop::<64>::open),
        "crate/epoll-first" => run(work, total, own::ReadFirst::<64>::open),
        "crate/source" => run(work, total, own::Polls::<64>::open),
        "crate/read-source" => run(work, total, own::Reads::<64>::open),
        "crate/own-ring-poll" => run(work, total, |signal| {
            own::WaitBatch::<64>::on_ring(signal, Kind::Readiness)
        }),
        "crate/own-ring-read" => run(work, total, |signal| {
            own::WaitBatch::<64>::on_ring(signal, Kind::Completion)
        }),
        "crate/moderated" => run(work, total, |signal| {
            own::WaitBatch::<64>::with(signal, moderated())
        }),
        "crate/own-ring-moderated" => run(work, total, |signal| {
            let ring = moderated().backend(Backend::Uring);
            own::WaitBatch::<64>::with(signal, ring.kind(Kind::Completion))
        }),
        "moderated/ring-min-wait" => run(work, total, raw::MinWait::open),
        "crate/read-source-min-wait" => run(work, total, |signal| {
            own::Reads::<64>::with(signal, moderated())
        }),
        "crate/own-ring-shown-moderated" => run(work, total, |signal| {
            let ring = moderated().backend(Backend::Uring);
            let ring = ring.kind(Kind::Completion);
            own::WaitBatch::<64>::with(signal, ring).shown()
        }),
        "crate/source-moderated" => run(work, total, |signal| {
            own::Polls::<64>::with(signal, moderated())
        }),
        "crate/block-on" => run(work, total, own::BlockOn::<64>::open),
        "crate/block-on-moderated" => run(work, total, |signal| {
            own::BlockOn::<64>::with(signal, moderated())
        }),
        "crate/turns" => run(work, total, |signal| {
            own::Turns::<64>::with(signal, Options::new())
        }),
        "crate/turns-moderated" => run(work, total, |signal| {
            own::Turns::<64>::with(signal, moderated())
        }),
        "crate/wait-timeout" => run(work, total, own::WaitTimeout::<64>::open),
        "crate/spin" => run(work, total, |signal| {
            own::WaitBatch::<64>::with(signal, Options::new().spin(SPIN))
        }),
        "crate/future" => {
            let cpu = sys::cpus()[0];
            sys::pin(cpu);
            match work {
                "self" => own::future(total),
                "rtt:peers" => own::future_answered(cpu, total),
                _ => panic!("a future is not asked for {work}"),
            }
        }
        _ => special::measure(contender, work, total),
    }
}

/// Whether it is a way through a ring.
pub(crate) fn is_on_ring(contender: &str) -> bool {
    contender.contains("ring")
        || contender.contains("source")
        || ON_RINGS.contains(&contender)
}

/// A path of the crate, and the same in raw system calls.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) own: &'static str,
    pub(crate) raw: &'static str,
    /// What it goes by in the names of bars: nothing, if it is to be as good as raw
    /// system calls.
    pub(crate) class: &'static str,
}

impl Pair {
    const fn new(
        own: &'static str,
        raw: &'static str,
        class: &'static str,
    ) -> Self {
        Self { own, raw, class }
    }
}

pub(crate) const PAIRS: &[Pair] = &[
    Pair::new("crate/wait-batch", "raw/read64", ""),
    Pair::new("crate/epoll", "raw/epoll", ""),
    Pair::new("crate/epoll-first", "raw/epoll-first", ""),
    Pair::new("crate/source", "raw/ring-poll-first", ""),
    // Records are copied out of the ring's memory, where raw system calls look at them.
    Pair::new("crate/read-source", "raw/ring-multishot", "reading_"),
    // Its ring may go from thread to thread, which raw system calls do without.
    Pair::new("crate/own-ring-poll", "raw/ring-poll-first", "own_ring_"),
    Pair::new("crate/own-ring-read", "raw/ring-read-first", "own_ring_"),
    // The same with such a ring.
    Pair::new("crate/own-ring-poll", "raw/shared-ring-poll", "shared_ring_"),
    Pair::new("crate/own-ring-read", "raw/shared-ring-read", "shared_ring_"),
    Pair::new("crate/spin", "raw/spin", "spin_"),
    Pair::new("crate/moderated", "moderated/read64", "moderated_"),
    Pair::new(
        "crate/read-source-min-wait",
        "moderated/ring-min-wait",
        "min_wait_",
    ),
];
