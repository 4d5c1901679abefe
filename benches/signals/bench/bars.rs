//! The bars: one `key=value` for each, at the end of a run.

use super::contenders::PAIRS;
use super::counts::Counted;
use super::plan::DEPTHS;
use super::run::Result;

/// What is counted may be so much at most. No noise can change it.
struct Most {
    key: &'static str,
    bar: f64,
}

impl Most {
    const fn new(key: &'static str, bar: f64) -> Self {
        Self { key, bar }
    }
}

const MOST: &[Most] = &[
    Most::new("allocs_per_signal", 0.0),
    Most::new("allocs_at_open", 0.0),
    Most::new("syscalls_per_signal_blocking", 0.032),
    Most::new("syscalls_per_signal_epoll", 0.063),
    Most::new("syscalls_per_signal_multishot", 0.016),
    Most::new("syscalls_per_signal_caller_ring", 0.003),
    Most::new("syscalls_lone_blocking", 1.0),
    Most::new("syscalls_lone_epoll", 2.0),
    Most::new("syscalls_lone_ring", 1.0),
    // On x86-64; another compiler may make a few more or less of them.
    Most::new("instructions_blocking", 60.0),
    Most::new("instructions_future", 150.0),
];

/// Which time is divided by which: the bar, the workload, and the two.
const RATIOS: &[(&str, &str, &str, &str)] = &[
    ("drain64_vs_one_per_read", "drain:64", "crate/wait-batch", "raw/read1"),
    ("handler_vs_drain64", "drain:64", "raw/handler", "crate/wait-batch"),
    ("rtt_epoll_vs_blocking", "rtt:same", "crate/epoll", "raw/read64"),
    // The kind that is the default, and the one that reads.
    ("rtt_ring_vs_blocking", "rtt:same", "crate/source", "raw/read64"),
    ("rtt_reading_vs_blocking", "rtt:same", "crate/read-source", "raw/read64"),
    // Throughput is the inverse of time.
    (
        "throughput_epoll_vs_blocking",
        "throughput",
        "raw/read64",
        "crate/wait-timeout",
    ),
    (
        "throughput_ring_vs_blocking",
        "throughput",
        "raw/read64",
        "crate/own-ring-read",
    ),
    ("throughput_vs_handler", "throughput", "raw/handler", "crate/wait-batch"),
    // Raw system calls that do the same, and those for the descriptor alone.
    ("open_vs_raw", "open", "crate/open", "raw/open-masked"),
    ("open_vs_raw_descriptor", "open", "crate/open", "raw/open"),
    (
        "self_vs_signal_hook_forever",
        "self",
        "crate/wait",
        "peer/signal-hook-forever",
    ),
    ("self_vs_signal_hook_wait", "self", "crate/wait", "peer/signal-hook-wait"),
    ("self_vs_tokio", "self", "crate/future", "peer/tokio"),
    ("self_vs_async_signal", "self", "crate/future", "peer/async-signal"),
    ("self_vs_calloop", "self", "crate/future", "peer/calloop"),
    ("self_vs_anyio", "self", "crate/future", "python/anyio-asyncio"),
    ("flood_vs_tokio", "flood", "crate/wait-batch", "peer/tokio"),
    ("spin_vs_parked", "rtt:two", "crate/spin", "crate/wait-batch"),
];

fn find<'r>(results: &'r [Result], work: &str) -> Option<&'r Result> {
    results.iter().find(|result| result.group.work == work)
}

/// The path on which a ring reads: records are copied out of its memory, where raw
/// system calls look at them.
const READING: &str = "crate/read-source";

/// The most that any other path takes, of what the same path takes in raw system calls.
fn worst(result: &Result) -> Option<f64> {
    let paths = PAIRS.iter().filter(|(own, _)| *own != READING);
    let ratios = paths.map(|(own, raw)| result.ratio(own, raw));
    ratios.flatten().max_by(f64::total_cmp)
}

/// What that one takes.
fn reading(result: &Result) -> Option<f64> {
    let path = PAIRS.iter().find(|(own, _)| *own == READING);
    path.and_then(|(own, raw)| result.ratio(own, raw))
}

/// The least of a ratio of any path to a blocking read.
fn best(result: &Result) -> Option<f64> {
    let ratios = PAIRS.iter().map(|(own, _)| result.ratio(own, "raw/read64"));
    ratios.flatten().min_by(f64::total_cmp)
}

/// All there are of this run.
pub(crate) fn lines(results: &[Result], counted: &[Counted]) -> Vec<String> {
    let mut all = counted.to_vec();
    let mut add = |key: String, value: Option<f64>| {
        all.extend(value.map(|value| (key, value)));
    };
    for (key, work) in [
        ("moderated_cpu_vs_plain", "throughput"),
        ("moderated_cpu_vs_plain_500k", "paced:500"),
    ] {
        let result = find(results, work);
        let ratio = |result: &Result| {
            result.ratio_of("cpu", "crate/moderated", "crate/wait-batch")
        };
        add(key.into(), result.and_then(ratio));
    }
    for depth in DEPTHS {
        let Some(result) = find(results, &format!("drain:{depth}")) else {
            continue;
        };
        add(format!("drain{depth}_vs_raw"), worst(result));
        add(format!("drain{depth}_reading_vs_raw"), reading(result));
        if depth >= 512 {
            add(format!("best{depth}_vs_read64"), best(result));
        }
    }
    if let Some(result) = find(results, "rtt:same") {
        add("rtt_vs_raw".into(), worst(result));
        add("rtt_reading_vs_raw".into(), reading(result));
    }
    if let Some(result) = find(results, "throughput") {
        add("throughput_vs_raw".into(), worst(result).map(f64::recip));
        let reading = reading(result).map(f64::recip);
        add("throughput_reading_vs_raw".into(), reading);
    }
    for &(key, work, one, other) in RATIOS {
        let mut results = results.iter().filter(|it| it.group.work == work);
        let ratio = results.find_map(|result| result.ratio(one, other));
        add(key.into(), ratio);
    }
    if let Some(result) = find(results, "check") {
        let ns = result.median("crate/check-64", "ns");
        add("thread_check_us".into(), ns.map(|ns| ns / 1000.0));
    }
    all.iter().map(|(key, value)| format!("{key}={value:.4}")).collect()
}

/// Says whether what was counted is within its bars, and what is not.
pub(crate) fn hold(counted: &[Counted]) -> bool {
    let mut all = true;
    let mut fail = |text: String| {
        println!("over the bar: {text}");
        all = false;
    };
    for Most { key, bar } in MOST {
        if key.starts_with("instructions") && !cfg!(target_arch = "x86_64") {
            println!("skipped: {key}: the bar is for x86-64");
            continue;
        }
        let Some(value) = value(counted, key) else {
            println!("skipped: {key}");
            continue;
        };
        if value <= *bar {
            continue;
        }
        fail(format!("{key} is {value}, and the bar is {bar}"));
    }
    if value(counted, "rt_received") != value(counted, "rt_sent") {
        fail("real-time signals were lost, or came out of order".into());
    }
    all
}

fn value(counted: &[Counted], key: &str) -> Option<f64> {
    counted.iter().find(|(name, _)| name == key).map(|&(_, value)| value)
}
