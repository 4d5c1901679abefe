//! Several parts of a program that each want signals, and know nothing of each other.
//!
//! ```text
//! cargo run --example hub               # then signal it from elsewhere
//! cargo run --example hub -- --demo     # it signals itself
//! ```
//!
//! The main thread receives, and hands every record to the hub. There are three
//! subscribers: one reloads the configuration on `SIGHUP`, one counts everything, and
//! one cancels the work on `SIGTERM` or `SIGINT`. Two of them wait in threads, and the
//! third awaits. Any of them might be in a library.
//!
//! The demonstration ends with the account of what was sent and what came:
//!
//! ```text
//! sent=9 reloads=5 metrics=9 missed=0
//! ```

use std::error::Error;
use std::future::pending;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use signalfd::{Hub, Signal, SignalSet, Signals, Subscriber, Until, block_on};

/// Up to eight subscribers, each with room for 64 records.
static HUB: Hub<8, 64> = Hub::new();

const STOPPING: SignalSet = SignalSet::INT.union(SignalSet::TERM);

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let is_demo = match arguments[..] {
        [] => false,
        ["--demo"] => true,
        _ => return Err("usage: hub [--demo]".into()),
    };
    // First of all, before there are threads.
    let signals = signalfd::open(STOPPING | Signal::HUP | Signal::USR1)?;

    // Who subscribes first hears everything; the others could come at any time.
    let reloader = HUB.subscribe(STOPPING | Signal::HUP)?;
    let metrics = HUB.subscribe(HUB.signals() | Signal::USR1)?;
    let shutdown = HUB.subscribe(STOPPING)?;
    let reloader = thread::spawn(|| reload(reloader));
    let metrics = thread::spawn(|| count(metrics));
    let worker = thread::spawn(|| work(shutdown));

    println!("pid {} receives {}", std::process::id(), signals.signals());
    let demo = is_demo.then(|| thread::spawn(demonstrate));
    dispatch(&signals)?;

    let died = |_| "a thread has panicked";
    worker.join().map_err(died)??;
    let (reloads, missed_reloads) = reloader.join().map_err(died)??;
    let (counted, missed) = metrics.join().map_err(died)??;
    let missed = missed + missed_reloads;
    let Some(demo) = demo else { return Ok(ExitCode::SUCCESS) };
    let sent = demo.join().map_err(died)??;
    println!("sent={sent} reloads={reloads} metrics={counted} missed={missed}");
    let is_right = counted == sent && missed == 0;
    Ok(if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Receives signals and hands them out, until one of them is to stop the program.
fn dispatch(signals: &Signals) -> Result<(), signalfd::Error> {
    let mut dispatcher = HUB.dispatcher()?;
    let unheard = HUB.signals() - signals.signals();
    if !unheard.is_empty() {
        println!("somebody wants {unheard}, which is not received");
    }
    for info in signals {
        let info = info?;
        if dispatcher.dispatch(&info)? == 0 {
            println!("nobody wants {info}");
        }
        if STOPPING.has(info.signal()) {
            break;
        }
    }
    Ok(())
}

/// Reloads on `SIGHUP`, and tells how often, and what it has missed.
fn reload(
    mut subscriber: Subscriber<'_>,
) -> Result<(u64, u64), signalfd::Error> {
    let mut reloads = 0;
    for info in &mut subscriber {
        if STOPPING.has(info?.signal()) {
            break;
        }
        reloads += 1;
        println!("  reloading the configuration");
    }
    Ok((reloads, subscriber.missed()))
}

/// How many signals have been counted.
static COUNTED: AtomicU64 = AtomicU64::new(0);

/// Counts everything, and tells how much it was, and what it has missed.
fn count(
    mut subscriber: Subscriber<'_>,
) -> Result<(u64, u64), signalfd::Error> {
    loop {
        let info = subscriber.wait()?;
        println!("{info}");
        let before = COUNTED.fetch_add(1, Ordering::Relaxed);
        if STOPPING.has(info.signal()) {
            return Ok((before + 1, subscriber.missed()));
        }
    }
}

/// Works until a signal says to stop.
fn work(mut subscriber: Subscriber<'_>) -> Result<(), signalfd::Error> {
    match block_on(subscriber.until(pending::<()>()))?? {
        Until::Done(()) => println!("  done"),
        Until::Signal(info) => println!("  cancelled by {}", info.signal()),
    }
    Ok(())
}

/// Sends this process signals, and tells how many.
fn demonstrate() -> rustix::io::Result<u64> {
    use rustix::process::{Signal, getpid, kill_process};
    let mut sent = 0;
    let reloads = [Signal::HUP; 5];
    let others = [Signal::USR1; 3];
    for signal in reloads.into_iter().chain(others).chain([Signal::TERM]) {
        kill_process(getpid(), signal)?;
        sent += 1;
        // Standard signals coalesce: the next one once this one has come.
        while COUNTED.load(Ordering::Relaxed) < sent {
            thread::yield_now();
        }
    }
    Ok(sent)
}
