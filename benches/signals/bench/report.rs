//! What is shown: a table on the terminal, and a record for later.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::{env, fs, io};

use super::contenders::PAIRS;
use super::run::Result;
use super::svg;

/// Shows who needed how long, against the best raw path.
pub(crate) fn table(result: &Result) {
    print!("{}", table_of(result));
}

fn table_of(result: &Result) -> String {
    let (key, best) = (result.group.key, result.best_raw());
    let mut text = String::new();
    for name in &result.group.contenders {
        let Some(median) = result.median(name, key) else {
            line(&mut text, &format!("  {name:24} skipped"));
            continue;
        };
        let mut row =
            format!("  {name:24} {median:12.1} {}", result.group.unit);
        if let Some(ratio) = best.and_then(|best| result.ratio(name, best)) {
            let _infallible = write!(row, "  x {ratio:5.3}");
        }
        for more in ["cpu", "takes"] {
            let value = result.median(name, more).filter(|_| more != key);
            if let Some(value) = value {
                let _infallible = write!(row, "  {more} {value:.3}");
            }
        }
        line(&mut text, &row);
    }
    for (own, raw) in PAIRS {
        if let Some(ratio) = result.ratio(own, raw) {
            line(&mut text, &format!("  {own} / {raw} = {ratio:.3}"));
        }
    }
    text
}

fn line(text: &mut String, row: &str) {
    text.push_str(row);
    text.push('\n');
}

fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    said.lines().next().map(Into::into)
}

fn contents(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn kernel() -> Option<String> {
    contents("/proc/sys/kernel/osrelease")
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
        format!("kernel      {}", kernel().unwrap_or_else(unknown)),
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

/// Writes all there is to `benches/record/`.
pub(crate) fn record(
    machine: &[String],
    results: &[Result],
    lines: &[String],
) -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/record");
    fs::create_dir_all(&folder)?;
    let date = first_line("date", &["-u", "+%Y-%m-%d"]).unwrap_or_default();
    let name = format!("{date}-{}", kernel().unwrap_or_default());
    let mut text = String::new();
    for row in machine {
        line(&mut text, row);
    }
    for result in results {
        line(&mut text, &format!("\n{}", result.group.title));
        text.push_str(&table_of(result));
    }
    text.push('\n');
    for row in lines {
        line(&mut text, row);
    }
    write(&folder.join(format!("{name}.txt")), &text)?;
    let picture = svg::draw(machine, results);
    write(&folder.join(format!("{name}.svg")), &picture)
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    println!("written: {}", path.display());
    fs::write(path, text)
}
