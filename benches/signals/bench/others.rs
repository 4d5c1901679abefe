//! Programs of others: the peers in Rust, which have a package of their own, and
//! Python.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::plan::who::{ON_RINGS, PEERS};

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
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--release", "--locked", "--quiet"]);
    build.args(features).arg("--manifest-path");
    build.arg(Path::new(FOLDER).join("peers/Cargo.toml"));
    build.arg("--target-dir").arg(peers_target());
    build.status().is_ok_and(|status| status.success())
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
