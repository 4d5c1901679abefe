//! Programs of others: the peers in Rust and the loops of others, which have a package of
//! their own, and Python.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::plan::who::{ON_RINGS, PEERS};
use super::report::first_line;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches");

/// Whether this program measures it.
pub(crate) fn is_own(contender: &str) -> bool {
    !["peer/", "adapter/", "python/"].iter().any(|it| contender.starts_with(it))
}

/// The program that measures a contender, without its arguments.
pub(crate) fn program(contender: &str) -> Result<Command, String> {
    if contender.starts_with("peer/") || contender.starts_with("adapter/") {
        return Ok(Command::new(target_of("peers").join("release/peers")));
    }
    if contender.starts_with("python/") {
        let mut python = Command::new("python3");
        python.arg(Path::new(FOLDER).join("python/receive.py"));
        return Ok(python);
    }
    let own = env::current_exe().map_err(|error| error.to_string())?;
    Ok(Command::new(own))
}

/// Where a package beside this one is built.
fn target_of(package: &str) -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    target.unwrap_or(beside).join(package)
}

/// What callgrind counts in this program for each signal, of a thousand, through gungraun:
/// the names of what is counted, and how much it is. Nothing where it cannot; says why.
pub(crate) fn callgrind() -> Result<Vec<(String, f64)>, String> {
    let skipped = |why: &str| {
        println!("skipped: callgrind: {why}");
        Ok(Vec::new())
    };
    if first_line("valgrind", &["--version"]).is_none() {
        return skipped("there is no valgrind");
    }
    let package = include_str!("../../instructions/Cargo.toml");
    let version = |line: &'static str| line.strip_prefix("gungraun = \"=");
    let version = package.lines().find_map(version).unwrap_or_default();
    let version = version.trim_end_matches('"');
    let runner = format!("gungraun-runner {version}");
    if first_line("gungraun-runner", &["--version"]) != Some(runner) {
        return skipped(&format!(
            "cargo install gungraun-runner --version {version} brings what runs it"
        ));
    }
    let fetched = cargo("fetch", "instructions").arg("--quiet").status();
    if !fetched.is_ok_and(|status| status.success()) {
        return skipped("what it needs could not be fetched");
    }
    let own = env::current_exe().map_err(|error| error.to_string())?;
    let mut bench = cargo("bench", "instructions");
    bench.arg("--quiet").env("SIGNALS_PROGRAM", own);
    bench.env("GUNGRAUN_HOME", target_of("instructions").join("gungraun"));
    let output = bench.output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(format!("benches/instructions: {said}{why}"));
    }
    let lines = said.lines().collect::<Vec<_>>();
    Ok(lines
        .windows(2)
        .filter_map(|two| instructions(two[0], two[1]))
        .collect())
}

/// Reads two lines of gungraun's: `... NAME:(...) ...` and `Instructions: NUMBER|...`.
fn instructions(of: &str, what: &str) -> Option<(String, f64)> {
    let name = of.split_once(":(")?.0.rsplit(' ').next()?;
    let number =
        what.trim().strip_prefix("Instructions:")?.split('|').next()?;
    let number = number.trim().parse::<f64>().ok()?;
    Some((name.into(), number / 1_000.0))
}

/// Builds the peers, and returns which are there. Says what is skipped.
pub(crate) fn peers() -> Vec<&'static str> {
    if is_built(&[]) {
        return PEERS.to_vec();
    }
    println!(
        "skipped: {}: they could not be built; a10 takes Rust 1.95",
        ON_RINGS.join(", ")
    );
    if is_built(&["--no-default-features"]) {
        let mut peers = PEERS.to_vec();
        peers.retain(|peer| !ON_RINGS.contains(peer));
        return peers;
    }
    println!(
        "skipped: peers: they could not be built; `cargo fetch` in \
         benches/peers brings what they need"
    );
    Vec::new()
}

fn is_built(features: &[&str]) -> bool {
    let mut build = cargo("build", "peers");
    build.args(["--release", "--quiet"]).args(features);
    build.status().is_ok_and(|status| status.success())
}

/// Cargo, which does something with a package beside this one.
fn cargo(what: &str, package: &str) -> Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args([what, "--locked", "--manifest-path"]);
    command.arg(Path::new(FOLDER).join(package).join("Cargo.toml"));
    if what != "fetch" {
        command.arg("--target-dir").arg(target_of(package));
    }
    command
}

/// Python on what it can run on here.
pub(crate) fn anyio() -> Vec<&'static str> {
    if !imports("anyio") {
        println!(
            "skipped: python: AnyIO is not installed: \
             python3 -m pip install anyio trio"
        );
        return Vec::new();
    }
    let mut names = vec!["python/anyio-asyncio"];
    if imports("trio") {
        names.push("python/anyio-trio");
    } else {
        println!("skipped: AnyIO on trio: python3 -m pip install trio");
    }
    names
}

fn imports(module: &str) -> bool {
    let mut python = Command::new("python3");
    python.args(["-c", &format!("import {module}")]);
    python.stderr(Stdio::null()).stdout(Stdio::null());
    python.status().is_ok_and(|status| status.success())
}
