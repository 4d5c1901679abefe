//! WHO: which threads block the signals, which process a receiver belongs to,
//! which children belong to a process, and how it ends or stops.

mod action;
mod backstop;
#[cfg(feature = "std")]
mod command;
mod every;
mod exit;
mod fork;
mod held;
pub mod mask;
mod reap;
mod requeue;
mod status;
mod suspend;
mod threads;

pub(crate) use action::{Ending, ignored};
pub(crate) use backstop::{is_probe, probe_was_read};
#[cfg(feature = "std")]
pub use command::CommandExt;
pub(crate) use fork::{AtomicBirth, Birth};
pub use reap::{Exit, Reaper};
pub(crate) use requeue::*;
pub use suspend::suspend;
