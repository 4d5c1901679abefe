//! Event loops of others, each with every record accounted for.
//!
//! `shared.rs` has what holds for all of them, and `awaiting.rs` what holds for those that
//! are awaited. `raw.rs` has those that the kernel has, and each adapter has a file with
//! the ways to take signals through it, and with what is its own. `hub.rs` dispatches
//! from them.

use signalfd::{Receiver, SigInfo, Signal};

#[cfg(feature = "async-io")]
mod async_io;
#[cfg(any(feature = "tokio", feature = "async-io"))]
mod awaiting;
#[cfg(feature = "calloop")]
mod calloop;
mod hub;
#[cfg(feature = "mio")]
mod mio;
mod raw;
mod shared;
#[cfg(feature = "futures-core")]
mod stream;
#[cfg(feature = "tokio")]
mod tokio;

use crate::common::Battery;
use crate::harness::Case;

/// A way to take signals in an event loop.
pub(crate) trait Way {
    /// Whether its thread sleeps while there is nothing.
    const SLEEPS: bool = true;

    /// Makes a loop, and takes signals in it until there are enough. The loop is gone
    /// when this returns.
    fn take(
        receiver: &Receiver,
        taken: &mut Vec<SigInfo>,
        enough: &dyn Fn(&[SigInfo]) -> bool,
    );
}

/// Makes the cases of `shared.rs` for each of these ways.
macro_rules! ways {
    ($($module:ident: $way:ty),* $(,)?) => {
        $(mod $module {
            use super::*;
            use $crate::loops::shared;

            $crate::harness::cases! {
                ten_thousand_from_another_process,
                what_is_there_before_the_loop,
                standard_signals_of_four_senders,
                loops_made_again_and_again_around_one_receiver,
                a_loop_for_each_of_two_threads,
                two_loops_in_two_threads_share_a_signal,
                a_signal_that_is_added_while_the_loop_sleeps,
            }

            fn ten_thousand_from_another_process() {
                shared::ten_thousand::<$way>();
            }

            fn what_is_there_before_the_loop() {
                shared::what_is_there_before_the_loop::<$way>();
            }

            fn standard_signals_of_four_senders() {
                shared::standard_signals_of_four_senders::<$way>();
            }

            fn loops_made_again_and_again_around_one_receiver() {
                shared::loops_made_again_and_again::<$way>();
            }

            fn a_loop_for_each_of_two_threads() {
                shared::a_loop_for_each_of_two_threads::<$way>();
            }

            fn two_loops_in_two_threads_share_a_signal() {
                shared::two_loops_share_a_signal::<$way>();
            }

            fn a_signal_that_is_added_while_the_loop_sleeps() {
                shared::a_signal_is_added_while_the_loop_sleeps::<$way>();
            }
        })*

        /// The cases of all ways.
        pub(crate) const WAYS: &[&[$crate::harness::Case]] =
            &[$($module::CASES),*];
    };
}
use ways;

/// A loop asks for the descriptor, so a ring that reads then stands anyway; and where
/// io_uring is forbidden there is nothing for a loop to notice.
#[cfg(feature = "io-uring")]
const BATTERIES: &[Battery] = &[
    Battery::EPOLL,
    Battery::MODERATED,
    Battery::READINESS,
    Battery::COMPLETION,
];
#[cfg(not(feature = "io-uring"))]
const BATTERIES: &[Battery] = &[Battery::EPOLL, Battery::MODERATED];

/// All cases of the adapters that there are, and on what they run.
pub(crate) fn cases()
-> impl Iterator<Item = (&'static [Case], &'static [Battery])> {
    let mut all: Vec<&[Case]> = Vec::new();
    all.extend(raw::WAYS);
    all.push(raw::CASES);
    all.push(hub::CASES);
    #[cfg(feature = "tokio")]
    {
        all.extend(tokio::WAYS);
        all.push(tokio::adapter::CASES);
        all.push(tokio::CASES);
    }
    #[cfg(feature = "async-io")]
    {
        all.extend(async_io::WAYS);
        all.push(async_io::adapter::CASES);
        all.push(async_io::CASES);
    }
    #[cfg(all(feature = "tokio", feature = "futures-core"))]
    all.extend(tokio::streaming::WAYS);
    #[cfg(all(feature = "async-io", feature = "futures-core"))]
    all.extend(async_io::streaming::WAYS);
    #[cfg(feature = "mio")]
    {
        all.extend(mio::WAYS);
        all.push(mio::CASES);
    }
    #[cfg(feature = "calloop")]
    {
        all.extend(calloop::WAYS);
        all.push(calloop::CASES);
    }
    #[cfg(feature = "futures-core")]
    {
        all.extend(stream::WAYS);
        all.push(stream::CASES);
    }
    all.into_iter().map(|cases| (cases, BATTERIES))
}

fn rt() -> Signal {
    Signal::rt(1).unwrap()
}
