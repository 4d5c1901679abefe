//! Every system call that the crate makes fails, once for each error that it may have,
//! in every operation that makes it.
//!
//! An operation is run in a child (`supervisor.rs`), first without a fault, to see what
//! it calls. Then it is run again for each of these calls and each error of the table
//! (`table.rs`), once with that call failing, and, for the errors of a sandbox, once
//! with all the calls of its kind failing from there on. What is to come of it is in the
//! table, and whether an operation tells the error or does without is said where it is
//! made. Whatever comes, nothing may be lost, left open or left blocked, and nothing may
//! panic or hang (`trial.rs`).
//!
//! The same operations are run where there is little of what a process is limited in
//! (`limits.rs`).

mod supervisor;
mod table;
mod trial;

pub(crate) mod changing;
pub(crate) mod ending;
pub(crate) mod limits;
pub(crate) mod opening;
pub(crate) mod receiving;
#[cfg(all(
    feature = "io-uring",
    any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "riscv64",
        target_arch = "loongarch64",
        target_arch = "powerpc64",
    )
))]
pub(crate) mod sources;
pub(crate) mod threads;

use std::fmt::Write as _;

use self::supervisor::{Fault, Made, Supervisor};
use self::table::SANDBOX;
use self::trial::{Adversity, Signals, Trial};
use crate::common::End;
use crate::harness::cases;

cases! {
    every_call_that_is_made_is_in_the_table,
    every_call_and_operation_of_the_sources_is_in_the_table,
}

/// Something that the crate does. It is given what was sent.
type Operation = fn(&Trial<'_>, &mut Signals);

/// Operations with their names.
type Operations = &'static [(&'static str, Operation)];

macro_rules! operations {
    ($($name:ident),* $(,)?) => {
        &[$((stringify!($name), $name as $crate::faults::Operation),)*]
    };
}
use operations;

/// All that the crate does.
const ALL: &[Operations] = &[
    opening::OPENING,
    receiving::TAKING,
    receiving::WAITING,
    receiving::AWAITING,
    receiving::SERVING_AN_EPOLL,
    receiving::MODERATING_A_LOOP,
    receiving::HANDING_OUT,
    changing::CHANGING,
    changing::SCOPES_INSIDE_EACH_OTHER,
    changing::PUTTING_BACK,
    changing::LEAVING,
    changing::REOPENING,
    threads::EVERY_THREAD,
    ending::SHUTTING_DOWN,
    ending::REAPING,
    ending::SUSPENDING,
];

/// Lets each call of these operations fail with each of its errors.
fn inject(operations: Operations) {
    inject_into_an_end(operations, |end| end == End::Exited(0));
}

/// The same, where the process is to end like this.
fn inject_into_an_end(operations: Operations, is_good: impl Fn(End) -> bool) {
    let supervisor = Supervisor::new();
    let mut failures = String::new();
    for &(name, operation) in operations {
        let try_it = |fault: Option<Fault>| {
            let adversity = fault.map_or(Adversity::None, Adversity::Fault);
            let trial = Trial::new(&supervisor, adversity);
            supervisor.run(fault, || trial.run(operation))
        };
        let (made, end) = try_it(None);
        assert!(is_good(end), "{name}: {end:?} after {made:?}");
        for fault in made.into_iter().flat_map(faults_of) {
            let (_, end) = try_it(Some(fault));
            let has_begun = supervisor.board.has_begun();
            // Whether, and how often, somebody waits may depend on the time.
            let is_timed = ["moderated", "in_vain"].map(|it| name.contains(it));
            let is_certain = fault.made.is_certain() && is_timed == [false; 2];
            // Where a thread was slow to run the handler, all were looked at once more.
            let is_made = || try_it(None).0.contains(&fault.made);
            let never_begins = || {
                (0..3).all(|_| {
                    try_it(Some(fault));
                    !supervisor.board.has_begun()
                })
            };
            if !is_good(end)
                || !has_begun && is_certain && is_made() && never_begins()
            {
                writeln!(failures, "{name}: {fault}: {end:?}").unwrap();
            }
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
}

/// Each error, of the first call of its kind in an operation. Those after it take turns
/// with them: where the error comes from makes no difference there, but where it hits, and
/// whether it lasts.
fn faults_of(made: Made) -> Vec<Fault> {
    let mut faults = Vec::new();
    for row in table::lines(made.call, made.on) {
        let fault = |&errno, lasts| Fault { made, errno, lasts };
        let single = row.errnos.iter().map(|it| fault(it, false));
        let lasting = row.errnos.iter().filter(|it| SANDBOX.contains(it));
        let lasting = lasting.map(|it| fault(it, true));
        match made.nth {
            0 => faults.extend(single.chain(lasting)),
            nth => {
                faults.extend(single.cycle().nth(nth));
                faults.extend(lasting.cycle().nth(nth));
            }
        }
    }
    faults
}

fn every_call_that_is_made_is_in_the_table() {
    have_every_call_in_the_table(ALL);
    have_every_call_in_the_table(&[ending::DYING]);
}

/// Or it would never be made to fail.
fn have_every_call_in_the_table(all: &[Operations]) {
    let supervisor = Supervisor::new();
    for &(name, operation) in all.iter().copied().flatten() {
        let trial = Trial::new(&supervisor, Adversity::None);
        let (made, end) = supervisor.run(None, || trial.run(operation));
        assert_ne!(end, End::Exited(101), "{name}");
        // A system call only where the clock cannot be read without one, and one that
        // cannot fail.
        let is_a_look_at_the_clock =
            |made: &Made| made.call == libc::SYS_clock_gettime;
        for made in made.into_iter().filter(|it| !is_a_look_at_the_clock(it)) {
            let mut lines = table::lines(made.call, made.on);
            assert!(lines.next().is_some(), "{name} calls {made}");
        }
    }
}

/// Those that are made by number, and those that an error can name. A completion is no
/// call.
fn every_call_and_operation_of_the_sources_is_in_the_table() {
    const TABLE: &str = include_str!("table.rs");
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    if !folder.exists() {
        crate::harness::skip("the sources are not here");
    }
    let sources = text_of(&folder);
    let calls = words_after(&sources, "libc::SYS_");
    assert!(calls.len() > 8, "{calls:?}");
    for call in calls {
        let name = format!("libc::SYS_{call},");
        assert!(TABLE.contains(&name), "{call} is not in the table");
    }
    let operations = words_after(&sources, "Op::");
    assert!(operations.len() > 20, "{operations:?}");
    for operation in operations {
        let is_completion = matches!(operation, "UringPoll" | "UringRead");
        let name = format!("Op::{operation})");
        assert!(is_completion || TABLE.contains(&name), "{operation}");
    }
}

/// What all files of a folder hold.
fn text_of(folder: &std::path::Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        text += &if path.is_dir() {
            text_of(&path)
        } else {
            std::fs::read_to_string(path).unwrap()
        };
    }
    text
}

/// The words that follow this, each once.
fn words_after<'t>(text: &'t str, prefix: &str) -> Vec<&'t str> {
    let is_end = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    let first = |rest: &'t str| rest.split(is_end).next();
    let mut words: Vec<_> =
        text.split(prefix).skip(1).filter_map(first).collect();
    words.sort_unstable();
    words.dedup();
    words
}
