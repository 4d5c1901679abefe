//! WHO: which threads block the signals, and which process a receiver belongs
//! to.

mod fork;
pub mod mask;
mod nesting;
mod status;
mod threads;

pub(crate) use fork::{AtomicBirth, Birth};
