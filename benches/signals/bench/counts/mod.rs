//! What can be counted, and is the same in every run: allocations, system calls,
//! instructions, and the signals that arrive.

mod alloc;
mod trace;

use signalfd::{Backend, Hub, Kind, Options, Receiver, block_on};

use super::contenders::{SPIN, is_on_ring, measure, moderated};
use super::{bars, others, own, raw, run};
use crate::common::reading::Reading;
use crate::common::sys::{self, Sender};
use crate::common::take::{Seen, Take, take_once};

/// A number with the name of its bar.
pub(crate) type Counted = (String, f64);

/// How many real-time signals are to arrive in order.
const QUEUED: u64 = 100_000;
/// How many bursts are counted.
const BURSTS: u64 = 100;
/// How many signals the fewer of two runs receive.
const STEPS: u64 = 200;

/// System calls for each signal: the bar, who, and how many at once.
const SYSCALLS: &[(&str, &str, u64)] = &[
    ("syscalls_per_signal_blocking", "crate/wait-batch", 64),
    ("syscalls_per_signal_epoll", "crate/epoll", 64),
    ("syscalls_per_signal_multishot", "crate/read-source", 64),
    ("syscalls_per_signal_caller_ring", "crate/read-source", 512),
    ("syscalls_lone_blocking", "crate/wait-batch", 1),
    ("syscalls_lone_epoll", "crate/epoll", 1),
    ("syscalls_lone_ring", "crate/read-source", 1),
    ("syscalls_lone_timeout", "crate/wait-timeout", 1),
    // No bars, but good to know. `block_on` asks which thread it is, each time.
    ("syscalls_lone_block_on", "crate/block-on", 1),
    ("syscalls_lone_epoll_future", "crate/turns", 1),
    ("syscalls_lone_source", "crate/source", 1),
    ("syscalls_per_signal_own_ring", "crate/own-ring-read", 64),
    ("syscalls_lone_own_ring", "crate/own-ring-read", 1),
    ("syscalls_per_signal_raw_blocking", "raw/read32", 64),
    ("syscalls_per_signal_raw_epoll", "raw/epoll", 64),
    ("syscalls_per_signal_raw_multishot", "raw/ring-multishot", 64),
];

/// User instructions for a signal that is sent and received: the bar, and who.
const INSTRUCTIONS: &[(&str, &str)] = &[
    ("instructions_blocking", "crate/wait"),
    ("instructions_future", "crate/future"),
    // No bars, but good to know.
    ("instructions_batch", "crate/wait-batch"),
    ("instructions_raw_read", "raw/read1"),
    ("instructions_raw_batch", "raw/read32"),
];

/// What the crate takes more than raw system calls.
const OVER_RAW: &[(&str, &str, &str)] = &[
    (
        "instructions_over_raw_blocking",
        "instructions_blocking",
        "instructions_raw_read",
    ),
    (
        "instructions_over_raw_future",
        "instructions_future",
        "instructions_raw_read",
    ),
    (
        "instructions_over_raw_batch",
        "instructions_batch",
        "instructions_raw_batch",
    ),
];

/// Ways to receive signals in order.
const ORDER: &[&str] = &[
    "crate/wait",
    "crate/wait-batch",
    "crate/wait-timeout",
    "crate/moderated",
    "crate/spin",
    "crate/iter",
    "crate/epoll",
    "crate/epoll-first",
    "crate/turns",
    "crate/turns-moderated",
    "crate/future",
    "crate/block-on",
    "crate/block-on-moderated",
    "crate/hub",
    "crate/source",
    "crate/source-moderated",
    "crate/read-source",
    "crate/read-source-min-wait",
    "crate/own-ring-poll",
    "crate/own-ring-read",
    "crate/own-ring-moderated",
    "crate/own-ring-shown-moderated",
];

/// Counts everything, and says so as it goes.
pub(crate) fn all(
    has_rings: bool,
    is_quick: bool,
) -> Result<Vec<Counted>, String> {
    let can = |who: &str| has_rings || !is_on_ring(who);
    let mut counted = allocations(can)?;
    counted.extend(arrivals(can)?);
    match trace::permitted() {
        Ok(()) => {
            counted.extend(system_calls(can)?);
            counted.extend(instructions(is_quick)?);
        }
        Err(error) => println!(
            "skipped: system calls and instructions: this process may not \
             trace its own children (ptrace(2)): {error}"
        ),
    }
    Ok(counted)
}

/// How many system calls a contender makes to receive a signal of so many that are there,
/// if that can be counted here.
pub(crate) fn calls(who: &str, depth: u64) -> Result<Option<f64>, String> {
    if trace::permitted().is_err() {
        return Ok(None);
    }
    let bursts = (1024 / depth).clamp(1, 8);
    let calls = trace::system_calls(who, &format!("burst:{depth}"), bursts)?;
    Ok(Some(sys_float(calls) / sys_float(bursts * depth)))
}

fn child_reading(who: &str, what: &str, total: u64) -> Result<Reading, String> {
    run::start(who, &format!("count:{what}"), total)
}

fn get(reading: &Reading, key: &str) -> Result<f64, String> {
    reading.get(key).ok_or_else(|| format!("no {key} in {reading}"))
}

fn say(who: &str, key: &str, value: f64) -> Counted {
    println!("{key:40} {value:10.4}  {who}");
    (key.into(), value)
}

fn allocations(can: impl Fn(&str) -> bool) -> Result<Vec<Counted>, String> {
    let (mut at_open, mut per_signal) = (0.0_f64, 0.0_f64);
    for who in alloc::WAYS.iter().filter(|who| can(who)) {
        let reading = child_reading(who, "allocations", 10_000)?;
        at_open = at_open.max(get(&reading, "open")?);
        per_signal = per_signal.max(get(&reading, "signal")?);
    }
    let who = "the most of every way to receive";
    Ok(vec![
        say(who, "allocs_per_signal", per_signal),
        say(who, "allocs_at_open", at_open),
    ])
}

fn arrivals(can: impl Fn(&str) -> bool) -> Result<Vec<Counted>, String> {
    let mut fewest = f64::INFINITY;
    for who in ORDER.iter().filter(|who| can(who)) {
        let reading = child_reading(who, "order", QUEUED)?;
        fewest = fewest.min(get(&reading, "received")?);
    }
    let sent = sys_float(QUEUED);
    let who = "the fewest, in order, of every way to receive";
    Ok(vec![say("", "rt_sent", sent), say(who, "rt_received", fewest)])
}

fn system_calls(can: impl Fn(&str) -> bool) -> Result<Vec<Counted>, String> {
    let count = |&(key, who, depth): &(&str, &str, u64)| -> Result<_, String> {
        let calls =
            trace::system_calls(who, &format!("burst32:{depth}"), BURSTS)?;
        Ok(say(who, key, sys_float(calls) / sys_float(BURSTS * depth)))
    };
    let counted = SYSCALLS.iter().filter(|(_, who, _)| can(who)).map(count);
    let mut counted = counted.collect::<Result<Vec<_>, String>>()?;
    // Inside one `block_on`.
    let who = "crate/future";
    let few = trace::system_calls(who, "signals", STEPS)?;
    let many = trace::system_calls(who, "signals", 2 * STEPS)?;
    let each = sys_float(many - few) / sys_float(STEPS);
    counted.push(say(who, "syscalls_lone_future", each));
    Ok(counted)
}

fn instructions(is_quick: bool) -> Result<Vec<Counted>, String> {
    // It says the same once more, and takes its time.
    let callgrind = if is_quick { Vec::new() } else { others::callgrind()? };
    let mut counted = Vec::new();
    for &(key, who) in INSTRUCTIONS {
        let few = trace::instructions(who, "signals", STEPS)?;
        let many = trace::instructions(who, "signals", 2 * STEPS)?;
        let each = sys_float(many - few) / sys_float(STEPS);
        counted.push(say(who, key, each));
        let other = callgrind.iter().find(|(name, _)| name == key);
        if let Some(&(_, other)) = other {
            counted.push(say(who, &format!("{key}_callgrind"), other));
            // It counts the beginning as well, and the end.
            if (each - other).abs() > 1.0 {
                return Err(format!("{who}: {each} stepped, {other} there"));
            }
        }
    }
    for &(key, own, raw) in OVER_RAW {
        let [own, raw] = [own, raw].map(|key| bars::value(&counted, key));
        let over = own.zip(raw).map(|(own, raw)| own - raw);
        counted.extend(over.map(|over| say("", key, over)));
    }
    Ok(counted)
}

#[expect(clippy::cast_precision_loss, reason = "counts are small")]
const fn sys_float(number: u64) -> f64 {
    number as f64
}

// ---------------------------------------------------------------------------
// In the process that is counted

pub(crate) fn child(who: &str, what: &str, total: u64) -> Reading {
    if let Some(depth) = what.strip_prefix("burst32:") {
        let depth = depth.parse().expect("the parent says how many");
        return bursts_of(who, depth, total);
    }
    match what {
        burst if burst.starts_with("burst:") => measure(who, burst, total),
        "allocations" => alloc::child(who, total),
        "order" => Reading::new("received", sys_float(order(who, total))),
        "signals" => signals_of(who, total, trace::mark),
        "plain" => signals_of(who, total, || {}),
        _ => panic!("nothing is called {what}"),
    }
}

/// Receives bursts with batches of 32.
fn bursts_of(who: &str, depth: u64, total: u64) -> Reading {
    let number = sys::queued();
    match who {
        "raw/read32" => bursts(raw::Read::<32>::open(number), depth, total),
        "raw/epoll" => bursts(raw::ShortStop::<32>::open(number), depth, total),
        "raw/ring-multishot" => {
            bursts(raw::Multishot::open(number), depth, total)
        }
        "crate/wait-batch" => {
            bursts(own::WaitBatch::<32>::open(number), depth, total)
        }
        "crate/epoll" => {
            bursts(own::ShortStop::<32>::open(number), depth, total)
        }
        "crate/read-source" => {
            bursts(own::Reads::<32>::open(number), depth, total)
        }
        "crate/own-ring-read" => {
            let ring = own::WaitBatch::<32>::on_ring(number, Kind::Completion);
            bursts(ring, depth, total)
        }
        "crate/wait-timeout" => {
            bursts(own::WaitTimeout::<32>::open(number), depth, total)
        }
        "crate/source" => bursts(own::Polls::<32>::open(number), depth, total),
        "crate/turns" => {
            let turns = own::Turns::<32>::with(number, Options::new());
            bursts(turns, depth, total)
        }
        "crate/block-on" => {
            bursts(own::BlockOn::<32>::open(number), depth, total)
        }
        _ => panic!("there is no contender {who}"),
    }
}

pub(crate) fn bursts(
    mut receiver: impl Take,
    depth: u64,
    total: u64,
) -> Reading {
    let mut sender = Sender::new(sys::pid(), sys::queued());
    let mut run = |count| {
        for _ in 0..count {
            receiver.hold();
            for number in 1..=depth {
                sender.send(number.try_into().expect("it is small"));
            }
            receiver.release();
            let mut seen = Seen::default();
            while seen.count < depth {
                take_once(&mut receiver, &mut seen);
            }
            receiver.settle();
            seen.expect(depth);
        }
    };
    // The first one makes what is made once.
    run(1);
    trace::mark();
    run(total);
    trace::mark();
    Reading::new("received", sys_float(depth * total))
}

/// Sends and receives one signal at a time.
fn signals_of(who: &str, total: u64, mark: fn()) -> Reading {
    let number = libc::SIGUSR1;
    match who {
        "raw/read1" => one_by_one(raw::Read::<1>::open(number), total, mark),
        "raw/read32" => one_by_one(raw::Read::<32>::open(number), total, mark),
        "crate/wait-batch" => {
            one_by_one(own::WaitBatch::<32>::open(number), total, mark)
        }
        "crate/wait" => one_by_one(own::Wait::open(number), total, mark),
        "crate/future" => {
            let options = Options::new();
            let signals = options.open(own::signal(number));
            let signals = signals.expect("a receiver");
            let mut run = |count| {
                let mut seen = Seen::default();
                let recv = Receiver::recv;
                let future =
                    own::send_and_await(&signals, count, &mut seen, recv);
                block_on(future).expect("a sleep");
                seen.expect_bare(count);
            };
            run(1);
            counted(mark, total, &mut run);
            Reading::new("received", sys_float(total))
        }
        _ => panic!("there is no contender {who}"),
    }
}

/// Does what is counted: callgrind collects what is in here.
#[inline(never)]
fn counted(mark: fn(), total: u64, run: &mut dyn FnMut(u64)) {
    mark();
    run(total);
    mark();
}

fn one_by_one(mut receiver: impl Take, total: u64, mark: fn()) -> Reading {
    let pid = sys::pid();
    let mut run = |count| {
        let mut seen = Seen::default();
        while seen.count < count {
            sys::kill(pid, libc::SIGUSR1);
            receiver.take(&mut seen);
        }
        seen.expect_bare(count);
    };
    run(1);
    counted(mark, total, &mut run);
    Reading::new("received", sys_float(total))
}

/// How many of so many arrive in their turn.
fn order(who: &str, total: u64) -> u64 {
    use own::{BlockOn, Polls, Reads, Turns, WaitBatch, batches_in_order};
    let number = sys::queued();
    let is_moderated = who.ends_with("moderated") || who.ends_with("min-wait");
    let options = match who {
        "crate/spin" => Options::new().spin(SPIN),
        _ if is_moderated => moderated(),
        _ => Options::new(),
    };
    let on_ring = options.backend(Backend::Uring).kind(Kind::Completion);
    match who {
        "crate/wait" => each_in_order(own::Wait::open(number), total),
        "crate/wait-batch" | "crate/moderated" | "crate/spin" => {
            batches_in_order(WaitBatch::<64>::with(number, options), total)
        }
        "crate/own-ring-moderated" => {
            batches_in_order(WaitBatch::<64>::with(number, on_ring), total)
        }
        "crate/own-ring-shown-moderated" => {
            let ring = WaitBatch::<64>::with(number, on_ring).shown();
            batches_in_order(ring, total)
        }
        "crate/wait-timeout" => {
            each_in_order(own::WaitTimeout::<1>::open(number), total)
        }
        "crate/epoll" => {
            each_in_order(own::ShortStop::<1>::open(number), total)
        }
        "crate/epoll-first" => {
            each_in_order(own::ReadFirst::<1>::open(number), total)
        }
        "crate/turns" | "crate/turns-moderated" => {
            batches_in_order(Turns::<64>::with(number, options), total)
        }
        "crate/block-on" | "crate/block-on-moderated" => {
            batches_in_order(BlockOn::<64>::with(number, options), total)
        }
        "crate/source" | "crate/source-moderated" => {
            batches_in_order(Polls::<64>::with(number, options), total)
        }
        "crate/read-source" | "crate/read-source-min-wait" => {
            batches_in_order(Reads::<64>::with(number, options), total)
        }
        "crate/own-ring-poll" => each_in_order(
            WaitBatch::<1>::on_ring(number, Kind::Readiness),
            total,
        ),
        "crate/own-ring-read" => each_in_order(
            WaitBatch::<1>::on_ring(number, Kind::Completion),
            total,
        ),
        _ => one_by_one_in_order(who, total),
    }
}

/// Of a receiver that takes one at a time, the sums say what came.
fn each_in_order(mut receiver: impl Take, total: u64) -> u64 {
    own::in_order(total, |got| {
        let mut seen = Seen::default();
        receiver.take(&mut seen);
        if seen.count == 1 {
            got(seen.sum.try_into().unwrap_or(-1));
        }
        assert!(seen.count < 2, "one at a time");
    })
}

/// In ways that measure no time.
fn one_by_one_in_order(who: &str, total: u64) -> u64 {
    let signal = own::signal(sys::queued());
    let signals = signalfd::open(signal).expect("a receiver");
    match who {
        "crate/iter" => {
            let mut infos = signals.iter();
            own::in_order(total, |got| {
                let info = infos.next().expect("it never ends");
                got(info.expect("a wait").value().unwrap_or(-1));
            })
        }
        "crate/future" => own::in_order(total, |got| {
            let info = block_on(signals.recv()).expect("a sleep");
            got(info.expect("a read").value().unwrap_or(-1));
        }),
        "crate/hub" => {
            let hub = Hub::<1, 4>::new();
            let mut subscriber = hub.subscribe(signal).expect("a place");
            let mut dispatcher = hub.dispatcher().expect("the first one");
            own::in_order(total, |got| {
                let info = signals.wait().expect("a wait");
                dispatcher.dispatch(&info).expect("a place in the ring");
                let info = subscriber.wait().expect("it is there");
                got(info.value().unwrap_or(-1));
            })
        }
        _ => panic!("there is no contender {who}"),
    }
}
