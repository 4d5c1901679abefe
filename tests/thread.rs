//! What can be tested inside one thread: its mask is its own, and so are the
//! signals directed at it. These run in parallel, next to threads that block
//! nothing.
//!
//! `process.rs` tests what concerns the whole process.

#![cfg(any(target_os = "linux", target_os = "android"))]
#![expect(clippy::cast_sign_loss, reason = "pids and values are small")]

mod common;

use common::Battery;

const fn battery() -> Battery {
    Battery::EPOLL
}

#[path = "thread/futures.rs"]
mod futures;
#[path = "thread/live.rs"]
mod live;
#[path = "thread/masks.rs"]
mod masks;
#[path = "thread/reactors.rs"]
mod reactors;
#[path = "thread/reading.rs"]
mod reading;
#[path = "thread/refusals.rs"]
mod refusals;
#[path = "thread/waiting.rs"]
mod waiting;
