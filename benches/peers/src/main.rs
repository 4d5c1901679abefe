//! The peers, each as its documentation shows it, and the crate in loops of others. The
//! benchmarks of the crate start
//! this program once for each measurement: `--child peer/tokio self 10000`.

mod adapters;
#[path = "../../common/mod.rs"]
mod common;
mod receivers;
mod work;

use std::env;
use std::process::ExitCode;

use common::sys;
use receivers::{
    AsyncSignal, Calloop, Forever, Nix, Tokio, WithOrigin, drive_async_io,
    drive_nothing, drive_tokio,
};

fn main() -> ExitCode {
    let arguments = env::args().skip(1).collect::<Vec<_>>();
    let [_child, name, work, total] = arguments.as_slice() else {
        println!("start it with `cargo bench -- peers` in the crate's folder");
        return ExitCode::FAILURE;
    };
    sys::give_up_after(120);
    let total = total.parse().expect("the parent says how much");
    match name.as_str() {
        "peer/nix" => drive_nothing(work::run::<Nix>(work, total)),
        "peer/signal-hook-forever" => {
            drive_nothing(work::run::<Forever>(work, total));
        }
        "peer/signal-hook-wait" => {
            drive_nothing(work::run::<receivers::Wait>(work, total));
        }
        "peer/signal-hook-origin" => {
            drive_nothing(work::run::<WithOrigin>(work, total));
        }
        "peer/calloop" => drive_nothing(work::run::<Calloop>(work, total)),
        "peer/async-signal" => {
            drive_async_io(work::run::<AsyncSignal>(work, total));
        }
        #[cfg(feature = "a10")]
        "peer/a10" => drive_nothing(work::run::<receivers::A10>(work, total)),
        #[cfg(feature = "compio")]
        "peer/compio" => {
            use receivers::{Compio, drive_compio};
            drive_compio(work::run::<Compio>(work, total));
        }
        "peer/tokio" => drive_tokio(work::run::<Tokio>(work, total)),
        _ => {
            let is_known = match name.strip_suffix("-moderated") {
                Some(name) => adapter::<true>(name, work, total),
                None => adapter::<false>(name, work, total),
            };
            if !is_known {
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

/// Runs the crate in a loop of others, and tells whether there is such.
fn adapter<const MODERATED: bool>(name: &str, work: &str, total: u64) -> bool {
    use adapters::{AsyncIo, Calloop, Mio, Tokio};
    match name {
        "adapter/tokio" => {
            drive_tokio(work::run::<Tokio<MODERATED>>(work, total));
        }
        "adapter/async-io" => {
            drive_async_io(work::run::<AsyncIo<MODERATED>>(work, total));
        }
        "adapter/mio" => {
            drive_nothing(work::run::<Mio<MODERATED>>(work, total));
        }
        "adapter/calloop" => {
            drive_nothing(work::run::<Calloop<MODERATED>>(work, total));
        }
        _ => return false,
    }
    true
}
