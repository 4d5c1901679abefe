//! Runs each case in a process of its own.

#![allow(unsafe_code, reason = "resets what a process inherits")]

use std::env;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{self, Command, ExitCode, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, kill_process};

use signalfd::{Kind, Signal, SignalSet};

use crate::common::{
    Battery, Child, SKIPPED, check, kernel_is_from, options, set_mask,
    storm_size,
};

/// A test in a process of its own.
pub(crate) struct Case {
    name: &'static str,
    run: fn(),
    /// The signal that the process is expected to die by; 0 for none.
    dies_by: i32,
}

impl Case {
    pub(crate) const fn new(name: &'static str, run: fn()) -> Self {
        Self { name, run, dies_by: 0 }
    }

    pub(crate) const fn dies_by(mut self, signal: i32) -> Self {
        self.dies_by = signal;
        self
    }
}

/// Makes the list of a module's cases out of the names of its functions.
macro_rules! cases {
    ($($(#[$cfg:meta])* $name:ident $(=> $signal:expr)?),* $(,)?) => {
        pub(crate) const CASES: &[$crate::harness::Case] = &[
            $($(#[$cfg])* $crate::harness::Case::new(
                concat!(module_path!(), "::", stringify!($name)),
                $name,
            )$(.dies_by($signal))?,)*
        ];
    };
}
pub(crate) use cases;

/// Says to the process which case it is to run.
const VARIABLE: &str = "SIGNALFD_TEST_CASE";
/// How long a case may take, before it is killed for hanging.
const LIMIT: Duration = Duration::from_secs(120);

/// What a case says that is expected to die, when it has come to where it is to.
const TO_DIE: &str = "this is where it is to die";

/// Says that the process is to die by what comes next. A signal that ends it before is none
/// of those that it is expected to die by.
pub(crate) fn to_die_here() {
    println!("{TO_DIE}");
}

/// Ends the case, saying why it cannot run here.
pub(crate) fn skip(reason: &str) -> ! {
    println!("skipped: {reason}");
    process::exit(SKIPPED);
}

/// The first version of the kernel that a ring of the receiver's own of this kind runs on.
pub(crate) fn since(kind: Kind) -> (u32, u32) {
    if kind == Kind::Readiness { (5, 11) } else { (6, 0) }
}

/// What the receivers of this case run on.
static BATTERY: OnceLock<Battery> = OnceLock::new();

pub(crate) fn battery() -> Battery {
    *BATTERY.get().expect("this is a case")
}

/// How often something is to be raced with: a thousand times, unless an emulator is in
/// the way.
pub(crate) fn racing_rounds() -> i32 {
    if storm_size() >= 100_000 { 1000 } else { 50 }
}

/// As often, for races that make a receiver in each round. One on a ring that reads
/// takes the kernel several milliseconds to take down, so there are fewer of these, unless
/// all are asked for (`ALL_ROUNDS=1`).
pub(crate) fn rounds_with_receivers() -> i32 {
    let are_few = battery().reads_ahead() && !all_rounds();
    racing_rounds() / if are_few { 10 } else { 1 }
}

/// Ten thousand signals, unless an emulator is in the way.
pub(crate) fn up_to_ten_thousand() -> i32 {
    storm_size().min(10_000)
}

/// How many signals are to be received by each of many ways: ten thousand, and ten times as
/// many if all are asked for.
pub(crate) fn many() -> i32 {
    if all_rounds() { storm_size() } else { up_to_ten_thousand() }
}

/// Whether no race is to be run less often, and no storm is to be shorter.
pub(crate) fn all_rounds() -> bool {
    env::var_os("ALL_ROUNDS").is_some()
}

/// A case on a battery.
#[derive(Clone, Copy)]
struct Run {
    case: &'static Case,
    battery: Battery,
}

impl Run {
    /// The name, without that of the test's crate, and with the battery's unless
    /// it is the usual one.
    fn name(&self) -> String {
        let name = self.case.name;
        let name = name.split_once("::").map_or(name, |(_, name)| name);
        if self.battery == Battery::EPOLL {
            return name.into();
        }
        format!("{name}::{}", self.battery.name)
    }

    fn go(&self) {
        BATTERY.set(self.battery).expect("it is the only one");
        self.battery.begin();
        // In a child, so that it leaves no trace: cases count what there is.
        Child::fork(|| {
            let options = options().check_threads(false);
            let signals = options.open(Signal::HUP).unwrap();
            let running = signals.backend();
            let is_run = self.battery.is_run_by(&signals);
            if !is_run && !kernel_is_from(since(self.battery.kind)) {
                skip(&running.to_string());
            }
            assert!(is_run, "{running}");
            0
        })
        .wait_for_success();
        (self.case.run)();
    }
}

pub(crate) fn main(
    modules: &[(&'static [Case], &'static [Battery])],
) -> ExitCode {
    let mut runs = Vec::new();
    for &(cases, batteries) in modules {
        for &battery in batteries {
            runs.extend(cases.iter().map(|case| Run { case, battery }));
        }
    }
    if let Ok(name) = env::var(VARIABLE) {
        let run = runs.iter().find(|run| run.name() == name);
        start_afresh();
        run.expect("the parent names a case").go();
        return ExitCode::SUCCESS;
    }

    let arguments = Arguments::parse();
    let chosen: Vec<_> =
        runs.iter().filter(|run| arguments.choose(&run.name())).collect();
    if arguments.list {
        for run in chosen {
            println!("{}: test", run.name());
        }
        return ExitCode::SUCCESS;
    }

    println!("\nrunning {} tests", chosen.len());
    let (mut failed, mut passed, mut skipped) = (Vec::new(), 0, 0);
    let require_all = env::var_os("REQUIRE_ALL").is_some();
    let fail_fast = env::var_os("FAIL_FAST").is_some();
    for run in &chosen {
        let name = run.name();
        match judge(run, &arguments) {
            Ok(None) => {
                passed += 1;
                println!("test {name} ... ok");
            }
            Ok(Some(reason)) if !require_all => {
                skipped += 1;
                println!("test {name} ... ignored, {reason}");
            }
            Ok(Some(reason)) | Err(reason) => {
                println!("test {name} ... FAILED\n{reason}");
                failed.push(name);
                if fail_fast {
                    break;
                }
            }
        }
    }
    let word = if failed.is_empty() { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {word}. {passed} passed; {} failed; {skipped} ignored",
        failed.len()
    );
    for name in &failed {
        println!("    {name}");
    }
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What libtest takes, as far as cargo and nextest use it. `CASES` names those to run where
/// no argument does, for a command that runs other tests, too.
#[expect(clippy::struct_excessive_bools, reason = "they are flags")]
#[derive(Default)]
struct Arguments {
    filters: Vec<String>,
    skips: Vec<String>,
    exact: bool,
    list: bool,
    ignored: bool,
    show_output: bool,
}

impl Arguments {
    fn parse() -> Self {
        let mut all = Self::default();
        let mut rest = env::args().skip(1);
        while let Some(argument) = rest.next() {
            match argument.as_str() {
                "--exact" => all.exact = true,
                "--list" => all.list = true,
                "--ignored" => all.ignored = true,
                "--nocapture" | "--no-capture" | "--show-output" => {
                    all.show_output = true;
                }
                "--skip" => all.skips.extend(rest.next()),
                "--format" | "--test-threads" | "--color" | "-Z" => {
                    rest.next();
                }
                other if other.starts_with('-') => {}
                _ => all.filters.push(argument),
            }
        }
        if all.filters.is_empty() {
            let cases = env::var("CASES").unwrap_or_default();
            all.filters = cases.split_whitespace().map(Into::into).collect();
        }
        all
    }

    fn choose(&self, name: &str) -> bool {
        let fits = |filter: &String| {
            name == filter || !self.exact && name.contains(filter.as_str())
        };
        // No case is marked as ignored.
        !self.ignored
            && (self.filters.is_empty() || self.filters.iter().any(fits))
            && !self.skips.iter().any(fits)
    }
}

/// This program, as it was started: `TEST_RUNNER` may say that an emulator runs it.
fn this_program() -> Command {
    let program = env::current_exe().unwrap();
    let runner = env::var("TEST_RUNNER").unwrap_or_default();
    let mut words = runner.split_whitespace();
    match words.next() {
        None => Command::new(program),
        Some(first) => {
            let mut command = Command::new(first);
            command.args(words).arg(program);
            command
        }
    }
}

/// Runs a case. Gives the reason if it was skipped, and an account if it failed.
fn judge(run: &Run, arguments: &Arguments) -> Result<Option<String>, String> {
    let case = run.case;
    let mut child = this_program()
        .env(VARIABLE, run.name())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let said = all_of(child.stdout.take().unwrap());
    let complained = all_of(child.stderr.take().unwrap());
    let status = wait(&mut child);
    let [said, complained] = [said, complained].map(|text| {
        let text = text.recv_timeout(PATIENCE);
        text.unwrap_or("a process that it has left behind goes on\n".into())
    });
    if arguments.show_output {
        println!("{said}{complained}");
    }
    let account = |what: String| format!("{what}\n{said}{complained}");
    let status =
        status.ok_or_else(|| account("it hung and was killed".into()))?;
    match (status.code(), status.signal()) {
        (Some(SKIPPED), _) => {
            let reason = said.lines().last().unwrap_or_default();
            Ok(Some(reason.trim_start_matches("skipped: ").into()))
        }
        (Some(0), _) if case.dies_by == 0 => Ok(None),
        (_, Some(signal)) if signal == case.dies_by => {
            if said.lines().any(|line| line == TO_DIE) {
                return Ok(None);
            }
            Err(account(format!("{status}, before it was to")))
        }
        _ if case.dies_by != 0 => Err(account(format!(
            "{status}, where signal {} should have ended it",
            case.dies_by
        ))),
        _ => Err(account(status.to_string())),
    }
}

/// How long the output may go on when the case has ended.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads to the end, which comes when nobody has it open any more.
fn all_of(mut output: impl Read + Send + 'static) -> Receiver<String> {
    let (send, text) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _all = output.read_to_end(&mut bytes);
        send.send(String::from_utf8_lossy(&bytes).into())
    });
    text
}

/// Waits for a child; kills one that hangs, and returns `None`.
fn wait(child: &mut process::Child) -> Option<ExitStatus> {
    let pid = Pid::from_child(child);
    let (send, ended) = channel();
    thread::scope(|scope| {
        scope.spawn(move || send.send(child.wait().unwrap()));
        ended.recv_timeout(LIMIT).ok().or_else(|| {
            let _gone = kill_process(pid, rustix::process::Signal::KILL);
            None
        })
    })
}

/// Makes the process one that has just been started by an ordinary parent: what
/// the harness, cargo or the terminal blocks or ignores is nobody's business.
fn start_afresh() {
    for signal in 1..=64 {
        // It fails for KILL, STOP and the C library's own numbers.
        // SAFETY: sets a default action.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    set_mask(SignalSet::empty());
    die_with_the_parent();
}

/// A case that is left behind by its parent must not stay.
pub(crate) fn die_with_the_parent() {
    // SAFETY: takes numbers.
    let result = unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong)
    };
    check(result).unwrap();
}
