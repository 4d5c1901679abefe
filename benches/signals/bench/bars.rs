//! The bars: one `key=value` for each, at the end of a run.

use std::collections::BTreeSet;
use std::{env, fmt};

use super::contenders::PAIRS;
use super::counts::Counted;
use super::plan::DEPTHS;
use super::run::Result;

/// What has to hold.
#[derive(Clone, Copy, Debug)]
enum Bar {
    AtMost(f64),
    AtLeast(f64),
}

use Bar::{AtLeast, AtMost};

impl Bar {
    fn holds(self, value: f64) -> bool {
        match self {
            AtMost(bar) => value <= bar,
            AtLeast(bar) => value >= bar,
        }
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AtMost(bar) => write!(f, "at most {bar}"),
            AtLeast(bar) => write!(f, "at least {bar}"),
        }
    }
}

/// What is counted: no noise can change it, so the gate holds it.
const COUNTS: &[(&str, Bar)] = &[
    ("allocs_per_signal", AtMost(0.0)),
    ("allocs_at_open", AtMost(0.0)),
    ("rt_received", AtLeast(100_000.0)),
    ("syscalls_per_signal_blocking", AtMost(0.032)),
    ("syscalls_per_signal_epoll", AtMost(0.063)),
    ("syscalls_per_signal_multishot", AtMost(0.016)),
    ("syscalls_per_signal_caller_ring", AtMost(0.003)),
    ("syscalls_lone_blocking", AtMost(1.0)),
    ("syscalls_lone_epoll", AtMost(2.0)),
    ("syscalls_lone_ring", AtMost(1.0)),
    // They read before they wait.
    ("syscalls_lone_future", AtMost(1.0)),
    ("syscalls_lone_timeout", AtMost(1.0)),
    // On x86-64; another compiler may make a few more or less of them.
    ("instructions_blocking", AtMost(60.0)),
    ("instructions_future", AtMost(150.0)),
    ("instructions_over_raw_blocking", AtMost(12.0)),
    ("instructions_over_raw_future", AtMost(24.0)),
    ("instructions_over_raw_batch", AtMost(30.0)),
];

/// What is measured: a busy machine can miss it.
const TIMES: &[(&str, Bar)] = &[
    ("drain1_vs_raw", AtMost(1.05)),
    ("drain16_vs_raw", AtMost(1.03)),
    ("drain64_vs_raw", AtMost(1.02)),
    ("drain512_vs_raw", AtMost(1.02)),
    ("drain4096_vs_raw", AtMost(1.02)),
    ("drain1_reading_vs_raw", AtMost(1.05)),
    ("drain16_reading_vs_raw", AtMost(1.03)),
    ("drain64_reading_vs_raw", AtMost(1.02)),
    ("drain512_reading_vs_raw", AtMost(1.02)),
    ("drain4096_reading_vs_raw", AtMost(1.02)),
    ("drain1_own_ring_vs_raw", AtMost(1.05)),
    ("drain16_own_ring_vs_raw", AtMost(1.03)),
    ("drain64_own_ring_vs_raw", AtMost(1.02)),
    ("drain512_own_ring_vs_raw", AtMost(1.02)),
    ("drain4096_own_ring_vs_raw", AtMost(1.02)),
    ("best512_vs_read64", AtMost(1.03)),
    ("best4096_vs_read64", AtMost(1.03)),
    ("drain64_vs_one_per_read", AtMost(0.45)),
    ("drain64_vs_nix", AtMost(0.45)),
    ("handler_vs_drain64", AtLeast(10.0)),
    ("rtt_vs_raw", AtMost(1.02)),
    ("rtt_reading_vs_raw", AtMost(1.02)),
    ("rtt_own_ring_vs_raw", AtMost(1.02)),
    ("rtt_epoll_vs_blocking", AtMost(1.25)),
    ("rtt_ring_vs_blocking", AtMost(1.28)),
    ("throughput_vs_raw", AtLeast(0.95)),
    ("throughput_reading_vs_raw", AtLeast(0.95)),
    ("throughput_own_ring_vs_raw", AtLeast(0.95)),
    ("throughput_moderated_vs_raw", AtLeast(0.95)),
    ("throughput_epoll_vs_blocking", AtLeast(0.95)),
    ("throughput_ring_vs_blocking", AtLeast(0.95)),
    ("throughput_vs_handler", AtLeast(4.0)),
    ("open_vs_raw", AtMost(1.3)),
    ("thread_check_us", AtMost(25.0)),
    ("spin_vs_parked", AtMost(0.15)),
    ("moderated_cpu_vs_plain", AtMost(0.62)),
    ("moderated_cpu_vs_plain_500k", AtMost(0.75)),
    ("self_vs_signal_hook_forever", AtMost(0.57)),
    ("self_vs_signal_hook_wait", AtMost(0.32)),
    ("self_vs_tokio", AtMost(0.42)),
    ("self_vs_async_signal", AtMost(0.54)),
    ("self_vs_calloop", AtMost(0.68)),
    ("self_vs_anyio", AtMost(0.10)),
    ("flood_vs_tokio", AtLeast(1000.0)),
    ("flood_vs_signal_hook", AtLeast(1000.0)),
];

/// Which time is divided by which: the bar, the workload, and the two.
const RATIOS: &[(&str, &str, &str, &str)] = &[
    ("drain64_vs_one_per_read", "drain:64", "crate/wait-batch", "raw/read1"),
    ("drain64_vs_nix", "drain:64", "crate/wait-batch", "peer/nix"),
    ("handler_vs_drain64", "drain:64", "raw/handler", "crate/wait-batch"),
    ("rtt_epoll_vs_blocking", "rtt:same", "crate/epoll", "raw/read64"),
    // The kind that is the default, and the one that reads.
    ("rtt_ring_vs_blocking", "rtt:same", "crate/source", "raw/read64"),
    ("rtt_reading_vs_blocking", "rtt:same", "crate/read-source", "raw/read64"),
    // Throughput is the inverse of time.
    // The backend of that name, which polls; with the descriptor in an epoll, below.
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
    (
        "throughput_registered_vs_blocking",
        "throughput",
        "raw/read64",
        "crate/epoll-first",
    ),
    ("throughput_vs_handler", "throughput", "raw/handler", "crate/wait-batch"),
    // The descriptor alone in raw system calls; and with the two of the mask.
    ("open_vs_raw", "open", "crate/open", "raw/open"),
    ("open_vs_raw_masked", "open", "crate/open", "raw/open-masked"),
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
    ("rtt_vs_tokio", "rtt:peers", "crate/future", "peer/tokio"),
    (
        "rtt_vs_signal_hook_wait",
        "rtt:peers",
        "crate/wait",
        "peer/signal-hook-wait",
    ),
    ("flood_vs_tokio", "flood", "crate/wait-batch", "peer/tokio"),
    (
        "flood_vs_signal_hook",
        "flood",
        "crate/wait-batch",
        "peer/signal-hook-forever",
    ),
    ("flood_vs_async_signal", "flood", "crate/wait-batch", "peer/async-signal"),
    ("flood_vs_calloop", "flood", "crate/wait-batch", "peer/calloop"),
    ("spin_vs_parked", "rtt:two", "crate/spin", "crate/wait-batch"),
];

fn find<'r>(results: &'r [Result], work: &str) -> Option<&'r Result> {
    results.iter().find(|result| result.group.work == work)
}

/// The most that a path takes of what the same path takes in raw system calls, among
/// those of a class.
fn worst(result: &Result, class: &str) -> Option<f64> {
    let paths = PAIRS.iter().filter(|pair| pair.class == class);
    let ratios = paths.map(|pair| result.ratio(pair.own, pair.raw));
    ratios.flatten().max_by(f64::total_cmp)
}

/// The least of a ratio of any path to a blocking read.
fn best(result: &Result) -> Option<f64> {
    let ratios = PAIRS.iter().map(|it| result.ratio(it.own, "raw/read64"));
    ratios.flatten().min_by(f64::total_cmp)
}

/// What paths go by in the names of bars.
fn classes() -> BTreeSet<&'static str> {
    PAIRS.iter().map(|pair| pair.class).collect()
}

/// The numbers of this run that have a name.
pub(crate) fn values(results: &[Result], counted: &[Counted]) -> Vec<Counted> {
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
        let raw = |result: &Result| {
            result.ratio_of("cpu", "moderated/read64", "raw/read64")
        };
        add(format!("raw_{key}"), result.and_then(raw));
    }
    for depth in DEPTHS {
        let Some(result) = find(results, &format!("drain:{depth}")) else {
            continue;
        };
        for class in classes() {
            let key = format!("drain{depth}_{class}vs_raw");
            add(key, worst(result, class));
        }
        if depth >= 512 {
            add(format!("best{depth}_vs_read64"), best(result));
        }
    }
    for class in classes() {
        for (name, work) in [
            ("rtt", "rtt:same"),
            ("rtt_two", "rtt:two"),
            ("idle", "idle"),
            ("paced500_cpu", "paced:500"),
        ] {
            let result = find(results, work);
            let ratio = result.and_then(|result| worst(result, class));
            add(format!("{name}_{class}vs_raw"), ratio);
        }
        let result = find(results, "throughput");
        let ratio = result.and_then(|result| worst(result, class));
        let key = format!("throughput_{class}vs_raw");
        add(key, ratio.map(f64::recip));
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
    all
}

/// One line for each.
pub(crate) fn lines(values: &[Counted]) -> Vec<String> {
    values.iter().map(|(key, value)| format!("{key}={value:.4}")).collect()
}

/// Which bars are missed, and if everything was asked for, which cannot be told.
pub(crate) fn missed(values: &[Counted], is_all: bool) -> Vec<String> {
    let bars = COUNTS.iter().chain(TIMES);
    let told = bars.filter_map(|(key, bar)| match value(values, key) {
        Some(value) if bar.holds(value) => None,
        Some(value) => Some(format!("missed: {key}={value:.4}: {bar}")),
        None => is_all.then(|| format!("skipped: {key}")),
    });
    told.collect()
}

/// Says whether what was counted is within its bars, and what is not. With `REQUIRE_ALL`
/// in the environment, whatever could not be counted is not.
pub(crate) fn hold(counted: &[Counted]) -> bool {
    let requires_all = env::var_os("REQUIRE_ALL").is_some();
    let mut all = true;
    for (key, bar) in COUNTS {
        if key.starts_with("instructions") && !cfg!(target_arch = "x86_64") {
            println!("skipped: {key}: the bar is for x86-64");
            continue;
        }
        match value(counted, key) {
            Some(value) if bar.holds(value) => {}
            Some(value) => {
                println!("over the bar: {key} is {value}, and is to be {bar}");
                all = false;
            }
            None if requires_all => {
                println!("over the bar: {key} could not be counted");
                all = false;
            }
            None => println!("skipped: {key}"),
        }
    }
    all
}

pub(super) fn value(counted: &[Counted], key: &str) -> Option<f64> {
    counted.iter().find(|(name, _)| name == key).map(|&(_, value)| value)
}
