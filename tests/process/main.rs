//! What concerns a whole process: each case in a process of its own, on its main
//! and only thread.
//!
//! libtest cannot do this: it runs tests on threads next to a main thread that
//! blocks nothing. Here the parent lists, filters, spawns and judges, and the
//! case is a fresh process that has emptied its mask and reset all dispositions.
//!
//! It takes the arguments of libtest that cargo and nextest use. A case may skip
//! itself with a reason; `REQUIRE_ALL=1` makes that a failure.

#![cfg(any(target_os = "linux", target_os = "android"))]
#![expect(clippy::cast_sign_loss, reason = "pids and values are small")]

#[path = "../common/mod.rs"]
mod common;

mod allocations;
mod causes;
mod children;
mod delivery;
mod documents;
mod edges;
mod every;
mod examples;
mod exit;
mod failures;
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod faults;
mod forks;
mod full;
mod harness;
mod hub;
mod kernel;
mod late;
mod live;
mod loops;
mod nested;
mod pace;
mod put_back;
mod reap;
#[cfg(all(
    feature = "io-uring",
    target_os = "linux",
    target_pointer_width = "64",
    any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "riscv64",
        target_arch = "loongarch64",
        target_arch = "powerpc64",
    )
))]
mod rings;
mod scopes;
mod shutdown;
mod sleepers;
#[cfg(all(
    feature = "io-uring",
    target_os = "linux",
    target_pointer_width = "64",
    any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "riscv64",
        target_arch = "loongarch64",
        target_arch = "powerpc64",
    )
))]
mod sources;
mod suites;
mod suspend;
mod threads;
mod trust;

use common::Battery;
use harness::battery;

const EPOLL: &[Battery] = &[Battery::EPOLL];
#[cfg(feature = "io-uring")]
const ALL: &[Battery] = &[
    Battery::EPOLL,
    Battery::READINESS,
    Battery::COMPLETION,
    Battery::STANDING,
    Battery::EPERM,
    Battery::ENOSYS,
];
#[cfg(not(feature = "io-uring"))]
const ALL: &[Battery] = EPOLL;
/// All that a receiver runs on.
#[cfg(feature = "io-uring")]
const KINDS: &[Battery] = &[
    Battery::EPOLL,
    Battery::READINESS,
    Battery::COMPLETION,
    Battery::STANDING,
];
#[cfg(not(feature = "io-uring"))]
const KINDS: &[Battery] = EPOLL;
/// Those of which one makes every system call that any of them makes, but for waiting, and
/// for the end of a ring that reads nothing, whose failure is of no consequence.
#[cfg(all(feature = "io-uring", target_pointer_width = "64"))]
const TWO_KINDS: &[Battery] = &[Battery::EPOLL, Battery::COMPLETION];
#[cfg(all(not(feature = "io-uring"), target_pointer_width = "64"))]
const TWO_KINDS: &[Battery] = EPOLL;

const ADAPTERS: &[Battery] = &[
    #[cfg(feature = "tokio")]
    Battery::TOKIO,
    #[cfg(all(feature = "tokio", feature = "io-uring"))]
    Battery::TOKIO_COMPLETION,
    #[cfg(feature = "async-io")]
    Battery::ASYNC_IO,
    #[cfg(all(feature = "async-io", feature = "io-uring"))]
    Battery::ASYNC_IO_COMPLETION,
];

fn main() -> std::process::ExitCode {
    let mut modules = vec![
        (allocations::CASES, ALL),
        (causes::CASES, EPOLL),
        (children::CASES, EPOLL),
        (delivery::CASES, ALL),
        (documents::CASES, EPOLL),
        (edges::CASES, ALL),
        (every::CASES, ALL),
        (examples::CASES, EPOLL),
        (exit::CASES, ALL),
        (failures::CASES, EPOLL),
        #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
        (faults::CASES, KINDS),
        #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
        (faults::changing::CASES, TWO_KINDS),
        #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
        (faults::ending::CASES, EPOLL),
        #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
        (faults::limits::CASES, TWO_KINDS),
        #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
        (faults::opening::CASES, TWO_KINDS),
        #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
        (faults::receiving::CASES, KINDS),
        #[cfg(all(
            feature = "io-uring",
            target_os = "linux",
            target_pointer_width = "64",
            any(
                target_arch = "x86_64",
                target_arch = "aarch64",
                target_arch = "riscv64",
                target_arch = "loongarch64",
                target_arch = "powerpc64",
            )
        ))]
        (faults::sources::CASES, EPOLL),
        #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
        (faults::threads::CASES, EPOLL),
        (forks::CASES, ALL),
        (full::CASES, ALL),
        (hub::CASES, ALL),
        (kernel::CASES, EPOLL),
        (late::CASES, EPOLL),
        (live::CASES, ALL),
        (nested::CASES, ALL),
        (pace::CASES, ALL),
        (put_back::CASES, ALL),
        (reap::CASES, ALL),
        #[cfg(all(
            feature = "io-uring",
            target_os = "linux",
            target_pointer_width = "64",
            any(
                target_arch = "x86_64",
                target_arch = "aarch64",
                target_arch = "riscv64",
                target_arch = "loongarch64",
                target_arch = "powerpc64",
            )
        ))]
        (rings::CASES, EPOLL),
        (scopes::CASES, ALL),
        (shutdown::CASES, ALL),
        (sleepers::CASES, EPOLL),
        #[cfg(all(
            feature = "io-uring",
            target_os = "linux",
            target_pointer_width = "64",
            any(
                target_arch = "x86_64",
                target_arch = "aarch64",
                target_arch = "riscv64",
                target_arch = "loongarch64",
                target_arch = "powerpc64",
            )
        ))]
        (sources::CASES, EPOLL),
        (suites::anyio::CASES, ALL),
        (suites::async_signal::CASES, ALL),
        (suites::go::CASES, ALL),
        (suites::signal_hook::CASES, ALL),
        (suites::systemd::CASES, ALL),
        (suites::tokio::CASES, ALL),
        (suites::trio::CASES, ALL),
        (suspend::CASES, ALL),
        (threads::CASES, EPOLL),
        (trust::CASES, ALL),
    ];
    // What async-signal and tokio test of themselves is asked of the adapters, too.
    for cases in [suites::async_signal::CASES, suites::tokio::CASES] {
        modules.push((cases, ADAPTERS));
    }
    modules.extend(loops::cases());
    harness::main(&modules)
}
