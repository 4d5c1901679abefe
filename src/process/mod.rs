//! WHO: which threads block the signals, which process a receiver belongs to,
//! which children belong to a process, and how it ends or stops.

mod action;
mod backstop;
mod claim;
#[cfg(feature = "std")]
mod command;
mod every;
mod exit;
mod fork;
mod found;
#[cfg(any(test, fuzzing))]
#[path = "../fuzz/proc_status.rs"]
pub(crate) mod fuzz;
mod held;
pub mod mask;
mod probe;
mod reap;
#[cfg_attr(
    not(all(
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
    )),
    expect(dead_code, unused_imports, reason = "some of it is for rings")
)]
mod requeue;
mod status;
mod suspend;
mod threads;
mod whole;

pub(crate) use action::{Ending, ignored};
pub(crate) use claim::Claim;
#[cfg(feature = "std")]
pub use command::RestoreSignals;
pub(crate) use fork::{AtomicBirth, Birth, Quick};
pub use reap::{Exit, Reaper};
pub(crate) use requeue::*;
pub use suspend::suspend;
