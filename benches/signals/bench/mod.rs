//! The program, where the crate has everything that is measured.

mod bars;
mod contenders;
mod counts;
mod others;
mod own;
mod plan;
mod raw;
mod record;
mod report;
mod run;
mod special;
mod svg;

use std::env;
use std::process::ExitCode;

use plan::Group;

use crate::common::sys;

/// Comes first in a process that is to measure one thing.
pub(crate) const CHILD: &str = "--child";
/// How long such a process may take.
const PATIENCE: u32 = 120;

/// What is measured, or counted.
pub(crate) const MODULES: [&str; 4] = ["raw", "peers", "python", "counts"];

/// What is asked for on the command line.
#[derive(Clone, Default, Debug)]
pub(crate) struct Asked {
    pub(crate) quick: bool,
    pub(crate) record: bool,
    pub(crate) gate: bool,
    /// Which modules; all that have such groups if none is named.
    modules: Vec<String>,
    /// Which groups, by what they do; all if none is named.
    groups: Vec<String>,
}

impl Asked {
    /// Reads the arguments, or says which it does not know.
    fn of(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut asked = Self::default();
        let works = plan::works();
        for argument in arguments {
            match argument.as_str() {
                // Cargo says so.
                "--bench" => {}
                "--quick" => asked.quick = true,
                "--record" => asked.record = true,
                "--gate" => asked.gate = true,
                module if MODULES.contains(&module) => {
                    asked.modules.push(argument);
                }
                group if works.iter().any(|work| is_of(work, group)) => {
                    asked.groups.push(argument);
                }
                _ => return Err(argument),
            }
        }
        Ok(asked)
    }

    /// Whether all there is was asked for.
    pub(crate) fn wants_all(&self) -> bool {
        self.modules.is_empty() && self.groups.is_empty()
    }

    /// Whether a record is to be kept: of all there is, at its full length, or if it is asked
    /// for.
    pub(crate) fn keeps_record(&self) -> bool {
        self.record || self.wants_all() && !self.quick
    }

    pub(crate) fn wants_counts(&self) -> bool {
        self.wants_all() || self.modules.iter().any(|one| one == "counts")
    }

    pub(crate) fn wants(&self, group: &Group) -> bool {
        let mut modules = self.modules.iter().filter(|one| *one != "counts");
        let has_module = if modules.clone().next().is_some() {
            modules.any(|one| one == group.module)
        } else {
            self.modules.is_empty() || !self.groups.is_empty()
        };
        let mut groups = self.groups.iter();
        let is_named = groups.any(|one| is_of(&group.work, one));
        has_module && (self.groups.is_empty() || is_named)
    }
}

/// Whether a workload is the one that is named, or one of those: `rtt:same` is of `rtt`.
fn is_of(work: &str, named: &str) -> bool {
    work == named || work.split(':').next() == Some(named)
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
                "{unknown}: not one of --quick, --record, --gate, {}, {}",
                MODULES.join(", "),
                plan::works().join(", ")
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
