//! Who takes part in which group.

pub(super) const DRAIN: &[&str] = &[
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
    "raw/ring-poll-first",
    "crate/own-ring-poll",
    "raw/ring-read-first",
    "crate/own-ring-read",
    "raw/ring-read",
    "raw/read1",
    "raw/sigwaitinfo",
];

pub(super) const SELF: &[&str] = &[
    "raw/read1",
    "crate/wait",
    "crate/future",
    "raw/read64",
    "crate/wait-batch",
    "raw/epoll-first",
    "crate/epoll-first",
    "raw/ring-multishot",
    "crate/read-source",
    "raw/ring-poll-first",
    "crate/own-ring-poll",
    "raw/ring-read-first",
    "crate/own-ring-read",
    "raw/sigwaitinfo",
    "raw/handler",
];

pub(super) const ROUND_TRIP: &[&str] = &[
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
    "raw/ring-poll-first",
    "raw/shared-ring-poll",
    "crate/own-ring-poll",
    "raw/ring-read-first",
    "raw/shared-ring-read",
    "crate/own-ring-read",
    "raw/ring-read",
    "raw/sigwaitinfo",
    "raw/handler",
];

pub(super) const TWO_CPUS: &[&str] = &[
    "raw/read64",
    "crate/wait-batch",
    "raw/epoll",
    "crate/epoll",
    "raw/ring-poll-first",
    "crate/source",
    "raw/ring-multishot",
    "crate/read-source",
    "raw/ring-read",
    "raw/sigwaitinfo",
    "raw/spin",
    "crate/spin",
];

/// Those that go on for as long as signals come.
pub(super) const FLOOD: &[&str] = &[
    "raw/read64",
    "crate/wait-batch",
    "raw/epoll-first",
    "crate/epoll-first",
    "raw/ring-poll",
    "crate/source",
    "raw/ring-multishot",
    "crate/read-source",
    "raw/ring-read-first",
    "crate/own-ring-read",
    "raw/sigwaitinfo",
];

pub(super) const OPEN: &[&str] =
    &["raw/open", "raw/open-masked", "crate/open", "crate/open-checked"];

pub(super) const CHECK: &[&str] = &["crate/check-64"];

pub(super) const MODERATED: &[&str] = &[
    "crate/wait-timeout",
    "moderated/read64",
    "crate/moderated",
    "crate/own-ring-moderated",
    "moderated/ring-min-wait",
    "crate/read-source-min-wait",
    "crate/own-ring-shown-moderated",
];

pub(super) const PACED: &[&str] = &[
    "raw/read64",
    "crate/wait-batch",
    "moderated/read64",
    "crate/moderated",
    "crate/own-ring-moderated",
    "moderated/ring-min-wait",
    "crate/read-source-min-wait",
    "crate/own-ring-shown-moderated",
    "crate/block-on",
    "crate/block-on-moderated",
    "crate/turns",
    "crate/turns-moderated",
    "raw/epoll-first",
    "crate/epoll-first",
    "raw/ring-poll-first",
    "crate/source",
    "crate/source-moderated",
    "raw/ring-multishot",
    "crate/read-source",
    "raw/ring-read",
    "raw/sigwaitinfo",
];

pub(super) const IDLE: &[&str] = &[
    "raw/read64",
    "crate/wait-batch",
    "crate/moderated",
    "raw/epoll",
    "crate/epoll",
    "raw/epoll-first",
    "crate/epoll-first",
    "raw/ring-poll-first",
    "crate/source",
    "raw/ring-multishot",
    "crate/read-source",
    "raw/ring-read",
    "raw/sigwaitinfo",
    "raw/handler",
    "raw/spin",
    "crate/spin",
];

/// A queued signal; one without a record; one that is pending already; one for a thread;
/// with the descriptor in an epoll; with 64 threads that block it.
pub(super) const SEND: &[&str] = &[
    "send-queue",
    "send-kill",
    "send-coalesced",
    "send-thread",
    "send-epoll",
    "send-threads",
];

/// Of so many numbers, one of each in turn; or one number after the other.
pub(super) const NUMBERS: &[&str] = &[
    "numbers-1",
    "numbers-2",
    "numbers-8",
    "numbers-29",
    "numbers-29-ascending",
];

/// So many other threads.
pub(super) const HERD: &[&str] = &["herd-0", "herd-1", "herd-4", "herd-16"];

pub(crate) const PEERS: &[&str] = &[
    "peer/nix",
    "peer/signal-hook-forever",
    "peer/signal-hook-wait",
    "peer/signal-hook-origin",
    "peer/calloop",
    "peer/async-signal",
    "peer/tokio",
    "peer/compio",
    "peer/a10",
];

/// The crate in loops of others, without a delay and with one.
pub(super) const IN_LOOPS: &[&str] = &[
    "adapter/mio",
    "adapter/mio-moderated",
    "adapter/tokio",
    "adapter/tokio-moderated",
    "adapter/async-io",
    "adapter/async-io-moderated",
    "adapter/calloop",
    "adapter/calloop-moderated",
];

/// Those whose loop is on `io_uring`.
pub(crate) const ON_RINGS: &[&str] = &["peer/compio", "peer/a10"];

/// Those that a flood does not end.
pub(super) const FLOODED: &[&str] = &[
    "peer/nix",
    "peer/signal-hook-forever",
    "peer/signal-hook-wait",
    "peer/signal-hook-origin",
    "peer/calloop",
    "peer/async-signal",
    "peer/tokio",
    "peer/a10",
];

/// Who is left out of what, and why.
pub(crate) const LEFT_OUT: &[(&str, &str)] = &[
    (
        "flood",
        "compio: between two signals it restores the default action, which ends \
         the process",
    ),
    (
        "queued",
        "async-signal, calloop, compio, a10: their types have no real-time signals",
    ),
    ("open", "signal-hook's forever: it is never closed"),
];

/// Those that drain a queue.
pub(super) const DRAINED: &[&str] = &["peer/nix"];

/// Those that can be asked for a real-time signal.
pub(super) const QUEUE: &[&str] = &[
    "peer/nix",
    "peer/signal-hook-forever",
    "peer/signal-hook-wait",
    "peer/signal-hook-origin",
    "peer/tokio",
];

/// Those that can be closed.
pub(super) const CLOSE: &[&str] = &[
    "peer/nix",
    "peer/signal-hook-wait",
    "peer/calloop",
    "peer/async-signal",
    "peer/tokio",
    "peer/compio",
    "peer/a10",
];
