//! What is shown: a table on the terminal, and what the figures depend on.

use std::fmt::Write as _;
use std::process::Command;
use std::{env, fs};

use super::contenders::PAIRS;
use super::run::Result;

/// What the columns of a table say.
pub(crate) const LEGEND: &[&str] = &[
    "x      times the best raw path of the group: the median of the rounds' ratios",
    "cpu    ns that the receiver was running, for each signal",
    "takes  how often the receiver was asked, for each signal: 1 is one at a time, 0.02 is",
    "       50 at once; more than 1 is in vain now and then (reads first, finds nothing)",
    "calls  system calls to receive a signal, counted with ptrace(2)",
];

/// Shows who needed how long, against the best raw path.
pub(crate) fn table(result: &Result) {
    for row in table_of(result) {
        println!("{row}");
    }
}

pub(crate) fn table_of(result: &Result) -> Vec<String> {
    let (key, best) = (result.group.key, result.best_raw());
    let mut rows = Vec::new();
    for name in &result.group.contenders {
        let Some(median) = result.median(name, key) else {
            rows.push(format!("  {name:32} skipped"));
            continue;
        };
        let mut row =
            format!("  {name:32} {median:12.1} {}", result.group.unit);
        if let Some(ratio) = best.and_then(|best| result.ratio(name, best)) {
            let _infallible = write!(row, "  x {ratio:5.3}");
        }
        for more in ["cpu", "takes", "calls"] {
            let value = result.median(name, more).filter(|_| more != key);
            if let Some(value) = value {
                let _infallible = write!(row, "  {more} {value:.4}");
            }
        }
        rows.push(row);
    }
    for pair in PAIRS {
        if let Some(ratio) = result.ratio(pair.own, pair.raw) {
            rows.push(format!("  {} / {} = {ratio:.3}", pair.own, pair.raw));
        }
    }
    rows
}

pub(crate) fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    said.lines().next().map(Into::into)
}

fn contents(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

pub(crate) fn kernel() -> String {
    contents("/proc/sys/kernel/osrelease").unwrap_or_else(|| "unknown".into())
}

pub(crate) fn date() -> String {
    let date = first_line("date", &["-u", "+%Y-%m-%d"]);
    date.unwrap_or_else(|| "undated".into())
}

/// What the figures depend on.
pub(crate) fn machine() -> Vec<String> {
    let cpu = contents("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name"));
    let cpu = cpu.map(|name| name.trim_start_matches([' ', '\t', ':']));
    let cpus = std::thread::available_parallelism();
    let cpus = cpus.map_or(0, std::num::NonZero::get);
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let load = contents("/proc/loadavg").unwrap_or_default();
    let unknown = || String::from("unknown");
    vec![
        format!("cpu         {} x {cpus}", cpu.unwrap_or("unknown")),
        format!("kernel      {}", kernel()),
        format!("mitigations {}", mitigations()),
        format!(
            "rustc       {}",
            first_line(&rustc, &["--version"]).unwrap_or_else(unknown)
        ),
        format!("command     {}", command()),
        format!("load        {load}"),
    ]
}

/// The command line, as one would type it.
fn command() -> String {
    let mut words = vec![String::from("cargo bench --")];
    words.extend(env::args().skip(1).filter(|word| word != "--bench"));
    words.join(" ")
}

/// What the kernel does against the faults of the CPU.
fn mitigations() -> String {
    let folder = fs::read_dir("/sys/devices/system/cpu/vulnerabilities");
    let mut all = Vec::new();
    for entry in folder.into_iter().flatten().flatten() {
        let what = fs::read_to_string(entry.path()).unwrap_or_default();
        if let Some(how) = what.trim().strip_prefix("Mitigation: ") {
            let name = entry.file_name().to_string_lossy().into_owned();
            all.push(format!("{name} ({how})"));
        }
    }
    all.sort();
    if all.is_empty() { "none are said".into() } else { all.join(", ") }
}
