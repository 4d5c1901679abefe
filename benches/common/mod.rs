//! What every contender is measured with, the crate's and those of its peers.

#![allow(
    dead_code,
    reason = "the program of the peers has a part of the workloads"
)]

pub(crate) mod alloc;
pub(crate) mod reading;
pub(crate) mod sys;
pub(crate) mod take;
pub(crate) mod work;
