//! WHO: which threads block the signals, and which process a receiver belongs
//! to.

mod fork;
mod held;
pub mod mask;
mod status;
mod threads;

pub(crate) use fork::{AtomicBirth, Birth};
