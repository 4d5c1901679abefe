//! Programs of others: the peers in Rust, which have a package of their own, and
//! Python.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches");

/// The program that measures a contender, without its arguments.
pub(crate) fn program(contender: &str) -> Result<Command, String> {
    if contender.starts_with("peer/") {
        return Ok(Command::new(peers_target().join("release/peers")));
    }
    if contender.starts_with("python/") {
        let mut python = Command::new("python3");
        python.arg(Path::new(FOLDER).join("python/receive.py"));
        return Ok(python);
    }
    let own = env::current_exe().map_err(|error| error.to_string())?;
    Ok(Command::new(own))
}

/// Where the peers are built: beside the crate.
fn peers_target() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    target.unwrap_or(beside).join("peers")
}

/// Builds the peers, or says why it cannot.
pub(crate) fn peers_are_there() -> bool {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--release", "--locked", "--quiet"]);
    build.arg("--manifest-path");
    build.arg(Path::new(FOLDER).join("peers/Cargo.toml"));
    build.arg("--target-dir").arg(peers_target());
    let is_built = build.status().is_ok_and(|status| status.success());
    if !is_built {
        println!(
            "skipped: peers: they could not be built; `cargo fetch` in \
             benches/peers brings what they need"
        );
    }
    is_built
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
