//! What the suites of others test, tested here from outside.
//!
//! Whoever has received signals for long has learned something each time it went
//! wrong, and keeps it as a test. Each file here takes one suite, case by case, and
//! asks the same of this crate. Nothing is copied: a case is written anew for what is
//! promised here. The comment above it names the case that it comes from, and the
//! table at the head of the file has those that cannot or should not hold here, with
//! the reason. So every case of the suite is either a test or in the table.
//!
//! Three differences are everywhere, and no table repeats them:
//!
//! - No handler runs. A signal is pending until somebody reads it, and a standard one
//!   that is pending already is not queued again.
//! - A signal is for one receiver, and not for all that there are.
//! - A scope gives back what it found, where a handler would stay.

use std::future::Future;
use std::pin::Pin;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};

use libc::c_int;
use signalfd::{Receiver, SigInfo, Signal, SignalSet, block_on};

use crate::battery;
use crate::common::{Awaits, set_action};

pub(crate) mod anyio;
pub(crate) mod async_signal;
pub(crate) mod go;
pub(crate) mod signal_hook;
pub(crate) mod systemd;
pub(crate) mod tokio;
pub(crate) mod trio;

fn rt(n: u8) -> Signal {
    Signal::rt(n).unwrap()
}

/// Awaits a signal: in `block_on`, or through the adapter of another's runtime.
fn receive(receiver: &Receiver) -> SigInfo {
    let info = match battery().awaits {
        Awaits::BlockOn => block_on(receiver.recv()).unwrap(),
        #[cfg(feature = "tokio")]
        Awaits::Tokio => ::tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .unwrap()
            .block_on(async {
                let watched = signalfd::tokio::AsyncReceiver::new(receiver)?;
                watched.recv().await
            }),
        #[cfg(feature = "async-io")]
        Awaits::AsyncIo => ::async_io::block_on(async {
            let watched = signalfd::async_io::AsyncReceiver::new(receiver)?;
            watched.recv().await
        }),
        #[cfg(not(all(feature = "tokio", feature = "async-io")))]
        other => unreachable!("{other:?} is not built in"),
    };
    info.unwrap()
}

/// Waits for a signal, and says which.
fn wait(receiver: &Receiver) -> Signal {
    receiver.wait().unwrap().signal()
}

/// Takes a signal if there is one, and says which.
fn look(receiver: &Receiver) -> Option<Signal> {
    receiver.try_recv().unwrap().map(|info| info.signal())
}

/// Takes all there are. A ring may be told of one after the other.
fn take_all(receiver: &Receiver) -> SignalSet {
    let mut all = SignalSet::empty();
    while let Some(signal) = look(receiver) {
        all |= signal;
    }
    all
}

/// Polls a future as a task that nobody wakes.
fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// How often the handler ran for each number.
static HANDLED: [AtomicU32; 65] = [const { AtomicU32::new(0) }; 65];

extern "C" fn count(signal: c_int) {
    HANDLED[signal as usize].fetch_add(1, Ordering::Relaxed);
}

/// Installs a handler that counts.
fn handle(signal: Signal) {
    set_action(signal, count as extern "C" fn(c_int) as usize, 0);
}

fn handled(signal: Signal) -> u32 {
    HANDLED[signal.as_raw() as usize].load(Ordering::Relaxed)
}

/// The signals that a program started from here ignores.
fn ignored_by_a_child() -> SignalSet {
    let mut command = Command::new("cat");
    let output = command.arg("/proc/self/status").output().unwrap();
    let status = String::from_utf8(output.stdout).unwrap();
    let bits = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let bits = u64::from_str_radix(bits.unwrap().trim(), 16).unwrap();
    SignalSet::from_bits_retain(bits)
}
