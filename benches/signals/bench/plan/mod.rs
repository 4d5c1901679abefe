//! What is measured with whom, and how often.

use super::Asked;
use crate::common::sys;

/// Contenders that do the same, in turns.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) title: String,
    pub(crate) work: String,
    pub(crate) total: u64,
    pub(crate) rounds: usize,
    /// Which number of a reading counts, and what it says.
    pub(crate) key: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) contenders: Vec<String>,
}

pub(crate) const DEPTHS: [u64; 5] = [1, 16, 64, 512, 4096];

const DRAIN: &[&str] = &[
    "raw/read64",
    "crate/wait-batch",
    "raw/epoll",
    "crate/epoll",
    "raw/epoll-first",
    "crate/epoll-first",
    "raw/ring-poll",
    "crate/source",
    "raw/ring-multishot",
    "crate/read-source",
    "raw/ring-read",
    "raw/read1",
    "raw/sigwaitinfo",
];
const SELF: &[&str] = &[
    "raw/read1",
    "crate/wait",
    "crate/future",
    "raw/read64",
    "crate/wait-batch",
    "raw/epoll-first",
    "crate/epoll-first",
    "raw/ring-multishot",
    "crate/read-source",
    "raw/sigwaitinfo",
    "crate/own-ring-poll",
    "crate/own-ring-read",
    "raw/handler",
];
const ROUND_TRIP: &[&str] = &[
    "raw/read64",
    "crate/wait-batch",
    "raw/epoll",
    "crate/epoll",
    "raw/epoll-first",
    "crate/epoll-first",
    "raw/ring-poll",
    "crate/source",
    "raw/ring-multishot",
    "crate/read-source",
    "raw/ring-read",
    "raw/sigwaitinfo",
    "crate/own-ring-poll",
    "crate/own-ring-read",
    "raw/handler",
];
const SPIN: &[&str] = &["raw/read64", "crate/wait-batch", "crate/spin"];
const FLOOD: &[&str] = &[
    "raw/read64",
    "crate/wait-batch",
    "crate/epoll-first",
    "crate/source",
    "crate/read-source",
    "raw/sigwaitinfo",
];
const OPEN: &[&str] =
    &["raw/open", "raw/open-masked", "crate/open", "crate/open-checked"];
const CHECK: &[&str] = &["crate/check-64"];
const MODERATED: &[&str] = &[
    "crate/wait-timeout",
    "moderated/read64",
    "crate/moderated",
    "crate/own-ring-moderated",
];
const PACED: &[&str] = &[
    "raw/read64",
    "crate/wait-batch",
    "moderated/read64",
    "crate/moderated",
    "crate/own-ring-moderated",
    "crate/epoll-first",
    "crate/source",
    "crate/read-source",
    "raw/sigwaitinfo",
];
const IDLE: &[&str] = &[
    "raw/read64",
    "crate/wait-batch",
    "crate/moderated",
    "crate/epoll",
    "crate/read-source",
    "raw/handler",
    "crate/spin",
];
/// A queued signal; one without a record; one that is pending already; one for a thread;
/// with the descriptor in an epoll; with 64 threads that block it.
const SEND: &[&str] = &[
    "send-queue",
    "send-kill",
    "send-coalesced",
    "send-thread",
    "send-epoll",
    "send-threads",
];
/// Of so many numbers, one of each in turn; or one number after the other.
const NUMBERS: &[&str] = &[
    "numbers-1",
    "numbers-2",
    "numbers-8",
    "numbers-29",
    "numbers-29-ascending",
];
/// So many other threads.
const HERD: &[&str] = &["herd-0", "herd-1", "herd-4", "herd-16"];

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Amount {
    rounds: usize,
    /// For 100 in a full run.
    percent: u64,
}

impl Amount {
    pub(crate) const fn of(asked: &Asked) -> Self {
        if asked.quick {
            return Self { rounds: 2, percent: 10 };
        }
        Self { rounds: 11, percent: 100 }
    }

    /// A group in which the CPU time of the receiver counts.
    fn cpu(self, title: &str, work: &str, total: u64) -> Group {
        Group { key: "cpu", ..self.group(title, work, total, PACED) }
    }

    pub(crate) fn group(
        self,
        title: &str,
        work: &str,
        total: u64,
        contenders: &[&str],
    ) -> Group {
        Group {
            title: title.into(),
            work: work.into(),
            total: total * self.percent / 100,
            rounds: self.rounds,
            key: "ns",
            unit: "ns",
            contenders: contenders.iter().map(|&name| name.into()).collect(),
        }
    }
}

const PEERS: &[&str] = &[
    "peer/nix",
    "peer/signal-hook-forever",
    "peer/signal-hook-wait",
    "peer/signal-hook-origin",
    "peer/calloop",
    "peer/async-signal",
    "peer/tokio",
];

/// Those that can be asked for a real-time signal.
const QUEUE: &[&str] = &[
    "peer/nix",
    "peer/signal-hook-forever",
    "peer/signal-hook-wait",
    "peer/signal-hook-origin",
    "peer/tokio",
];

/// Those that can be closed.
const CLOSE: &[&str] = &[
    "peer/nix",
    "peer/signal-hook-wait",
    "peer/calloop",
    "peer/async-signal",
    "peer/tokio",
];

fn among(own: &[&'static str], peers: &[&'static str]) -> Vec<&'static str> {
    [own, peers].concat()
}

/// The crate against its peers.
pub(crate) fn peers(amount: Amount) -> Vec<Group> {
    let own = ["raw/read1", "crate/wait", "crate/future"];
    let opened = ["raw/open", "crate/open", "crate/open-checked"];
    let flooded = ["raw/read64", "crate/wait-batch"];
    let once = |key, group| Group { rounds: 1, key, unit: "", ..group };
    let mut groups = vec![
        amount.group(
            "kill and receive, among peers: ns",
            "self",
            50_000,
            &among(&own, PEERS),
        ),
        amount.group(
            "open and drop, among peers: ns",
            "open",
            10_000,
            &among(&opened, CLOSE),
        ),
        once(
            "signal",
            amount.group(
                "allocations for each signal",
                "allocations",
                50_000,
                PEERS,
            ),
        ),
        once(
            "open",
            amount.group("allocations to open", "allocations", 100, PEERS),
        ),
    ];
    if sys::cpus().len() < 2 {
        return groups;
    }
    groups.extend([
        Group {
            key: "events",
            unit: "events/s",
            ..amount.group(
                "a flood of one standard signal, among peers: events/s",
                "flood",
                1,
                &among(&flooded, PEERS),
            )
        },
        Group {
            // As many in a quick run.
            total: 100_000,
            ..once(
                "received",
                amount.group(
                    "100000 queued real-time signals: how many arrive",
                    "queued",
                    100_000,
                    QUEUE,
                ),
            )
        },
    ]);
    groups
}

/// The crate against Python, with what of it is there.
pub(crate) fn python(amount: Amount, anyio: &[&'static str]) -> Vec<Group> {
    let own = ["raw/read1", "crate/future"];
    vec![amount.group(
        "kill and receive, against Python: ns",
        "self",
        20_000,
        &among(&own, anyio),
    )]
}

/// The crate against raw system calls.
pub(crate) fn raw(amount: Amount) -> Vec<Group> {
    let mut groups = Vec::new();
    for depth in DEPTHS {
        let with_handler = [DRAIN, &["raw/handler"]].concat();
        let who = if depth == 64 { &with_handler } else { DRAIN };
        groups.push(amount.group(
            &format!("drain of {depth}: ns for each signal"),
            &format!("drain:{depth}"),
            100_000,
            who,
        ));
    }
    groups.extend([
        amount.group("kill and receive: ns", "self", 100_000, SELF),
        amount.group("round trip, one CPU: ns", "rtt:same", 20_000, ROUND_TRIP),
        amount.group("open and drop: ns", "open", 50_000, OPEN),
        amount.group("look at a thread: ns", "check", 2_000, CHECK),
        amount.group("send what is blocked: ns", "send", 50_000, SEND),
        amount.group(
            "drain of 512 with several numbers: ns for each signal",
            "numbers",
            20_000,
            NUMBERS,
        ),
        amount.group(
            "kill and receive while other threads wait for other signals: ns",
            "herd",
            20_000,
            HERD,
        ),
    ]);
    if sys::cpus().len() < 2 {
        println!("skipped: what needs two CPUs");
        return groups;
    }
    groups.extend([
        amount.group("round trip, two CPUs: ns", "rtt:two", 4_000, SPIN),
        amount.group(
            "another process sends: ns for each signal",
            "throughput",
            300_000,
            &among(ROUND_TRIP, MODERATED),
        ),
        amount.group(
            "another thread sends: ns for each signal",
            "throughput:thread",
            300_000,
            FLOOD,
        ),
        amount.cpu(
            "500,000 a second: ns of CPU for each signal",
            "paced:500",
            100_000,
        ),
        amount.cpu(
            "100,000 a second: ns of CPU for each signal",
            "paced:100",
            30_000,
        ),
        amount.group(
            "idle for 1 ms, then a signal: ns from sending to receiving",
            "idle",
            300,
            IDLE,
        ),
        Group {
            key: "events",
            unit: "events/s",
            ..amount.group(
                "a flood of one standard signal: events/s",
                "flood",
                1,
                FLOOD,
            )
        },
    ]);
    groups
}
