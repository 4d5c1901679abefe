//! How many user instructions a signal takes that is sent and received, counted by
//! callgrind through gungraun. It counts what `cargo bench -- counts` does, in the same
//! program, which starts it, and says in `SIGNALS_PROGRAM` where it is.
//!
//! What takes more than its bar fails.

use std::env;

use gungraun::prelude::*;
use gungraun::{Callgrind, Command, EventKind};

/// How many signals each sends and receives, one at a time.
const COUNT: u64 = 1000;

/// Counts what the program asks to be counted; no more than so much for a signal.
fn config(most: Option<u64>) -> BinaryBenchmarkConfig {
    let mut callgrind = Callgrind::with_args(["toggle-collect=*::counted*"]);
    if let Some(most) = most {
        callgrind.hard_limits([(EventKind::Ir, most * COUNT)]);
    }
    let mut config = BinaryBenchmarkConfig::default();
    config.tool(callgrind);
    config
}

#[binary_benchmark]
#[bench::instructions_blocking(args = ("crate/wait"), config = config(Some(60)))]
#[bench::instructions_future(args = ("crate/future"), config = config(Some(150)))]
#[bench::instructions_batch(args = ("crate/wait-batch"), config = config(None))]
#[bench::instructions_raw_read(args = ("raw/read1"), config = config(None))]
#[bench::instructions_raw_batch(args = ("raw/read32"), config = config(None))]
fn signal(contender: &str) -> Command {
    let program = env::var_os("SIGNALS_PROGRAM").unwrap_or_default();
    Command::new(program)
        .args(["--child", contender, "count:plain", &COUNT.to_string()])
        .build()
}

binary_benchmark_group!(name = instructions, benchmarks = signal);
main!(binary_benchmark_groups = instructions);
