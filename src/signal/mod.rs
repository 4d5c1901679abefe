//! WHAT: signals, sets of them, and the record that says why one came.
//!
//! Nothing in this room calls the kernel and nothing in it is unsafe, so it can
//! be fuzzed and tested on any 128 bytes.

mod cause;
mod envelope;
mod info;
mod layout;
mod name;
mod number;
mod raw;
mod sender;
mod set;
mod table;
mod words;

pub use cause::{Cause, ChildState};
pub(crate) use envelope::{PROBE, seal, unseal};
pub use info::SigInfo;
pub(crate) use layout::Layout;
pub use number::Signal;
pub(crate) use raw::KernelSigInfo;
pub use sender::Sender;
pub use set::SignalSet;
pub(crate) use table::PerSignal;
pub(crate) use words::WORDS;
