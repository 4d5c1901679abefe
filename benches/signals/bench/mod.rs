//! The program, where the crate has everything that is measured.

mod bars;
mod contenders;
mod counts;
mod others;
mod own;
mod plan;
mod raw;
mod report;
mod run;
mod special;
mod svg;

use std::env;
use std::process::ExitCode;

use crate::common::sys;

/// Comes first in a process that is to measure one thing.
pub(crate) const CHILD: &str = "--child";
/// How long such a process may take.
const PATIENCE: u32 = 120;

/// What is asked for on the command line.
#[derive(Clone, Default, Debug)]
pub(crate) struct Asked {
    pub(crate) quick: bool,
    pub(crate) record: bool,
    pub(crate) gate: bool,
    /// Which modules; all if none is named.
    modules: Vec<String>,
}

impl Asked {
    /// Reads the arguments, or says which it does not know.
    fn of(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut asked = Self::default();
        for argument in arguments {
            match argument.as_str() {
                // Cargo says so.
                "--bench" => {}
                "--quick" => asked.quick = true,
                "--record" => asked.record = true,
                "--gate" => asked.gate = true,
                "raw" | "peers" | "python" | "counts" => {
                    asked.modules.push(argument);
                }
                _ => return Err(argument),
            }
        }
        Ok(asked)
    }

    pub(crate) fn wants(&self, module: &str) -> bool {
        self.modules.is_empty() || self.modules.iter().any(|one| one == module)
    }
}

pub(crate) fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    if env::args().nth(1).as_deref() == Some(CHILD) {
        arguments.next();
        return child(&arguments.collect::<Vec<_>>());
    }
    match Asked::of(arguments) {
        Ok(asked) => run::main(&asked),
        Err(unknown) => {
            eprintln!(
                "{unknown}: not one of --quick, --record, --gate, raw, peers, \
                 python, counts"
            );
            ExitCode::FAILURE
        }
    }
}

/// Measures one thing and prints a line of numbers: contender, workload, how much.
fn child(arguments: &[String]) -> ExitCode {
    let [contender, work, total] = arguments else {
        return ExitCode::FAILURE;
    };
    sys::give_up_after(PATIENCE);
    let total = total.parse().expect("the parent says how much");
    let reading = match work.strip_prefix("count:") {
        Some(what) => counts::child(contender, what, total),
        None => contenders::measure(contender, work, total),
    };
    println!("{reading}");
    ExitCode::SUCCESS
}
