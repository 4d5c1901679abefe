//! The tests of one thread once more, on a ring of the receiver's own, for completions.

#![cfg(target_os = "linux")]
#![expect(clippy::cast_sign_loss, reason = "pids and values are small")]

mod common;

use common::Battery;

/// It stands: waits that do not need it to are tested in `process`.
const fn battery() -> Battery {
    Battery::STANDING
}

#[path = "thread/futures.rs"]
mod futures;
#[path = "thread/live.rs"]
mod live;
#[path = "thread/reactors.rs"]
mod reactors;
#[path = "thread/reading.rs"]
mod reading;
#[path = "thread/waiting.rs"]
mod waiting;

#[test]
fn the_receiver_runs_on_what_it_is_to_run_on() {
    let signals = common::open_in_thread(signalfd::Signal::HUP);
    assert!(battery().is_run_by(&signals), "{}", signals.backend());
}
