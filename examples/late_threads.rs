//! Opens a receiver when threads exist already, and loses nothing.
//!
//! ```text
//! cargo run --example late_threads               # then signal it from elsewhere
//! cargo run --example late_threads -- --demo     # it signals itself
//! ```
//!
//! Sixty-four threads are there first, as in a program whose runtime or whose
//! libraries have started them. None of them blocks any signal, so each could take one
//! from the receiver, and end the process by it. `Options::every_thread` blocks the
//! signals in all of them.
//!
//! The demonstration starts four child processes. Each sends real-time signals with
//! `sigqueue(3)`, with numbers from 0 up, and others with `kill(2)`, then exits. It
//! ends with the account of what was sent and what came:
//!
//! ```text
//! sent=40004 received=40004 out_of_order=0 threads=64 healed=64 caught=0
//! ```
//!
//! Of the threads, `healed` were found not to block the signals, and no signal was
//! `caught` in one of them afterwards.

use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::process::{Child, Command, ExitCode};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use signalfd::{Batch, Options, Reaper, SigInfo, Signal, Signals};

const THREADS: usize = 64;
const SENDERS: usize = 4;
/// How many signals each sends in each of two ways.
const EACH: i32 = 5000;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => receive(),
        ["--demo"] => demo(),
        ["--send-to", pid] => send_to(pid.parse()?),
        _ => Err("usage: late_threads [--demo]".into()),
    }
}

/// Threads that were there first. They end when the values are dropped.
fn start_threads() -> Vec<Sender<()>> {
    let start = |_| {
        let (end, ended) = channel();
        let (begin, has_begun) = channel();
        thread::spawn(move || {
            drop(begin);
            ended.recv()
        });
        // With other C libraries than glibc one that has yet to begin is passed over.
        let _hung_up: Result<(), _> = has_begun.recv();
        end
    };
    (0..THREADS).map(start).collect()
}

fn receive() -> Result<ExitCode, Box<dyn Error>> {
    let _threads = start_threads();
    let signals = Options::new()
        .every_thread(true)
        .open(Signal::HUP | Signal::INT | Signal::TERM)?;
    println!("pid {} receives {}", std::process::id(), signals.signals());
    for info in &signals {
        let info = info?;
        println!("{info}");
        if info.signal() != Signal::HUP {
            break;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn queued() -> Result<Signal, &'static str> {
    Signal::rt(1).ok_or("there is no SIGRTMIN+1")
}

fn killed() -> Result<Signal, &'static str> {
    Signal::rt(2).ok_or("there is no SIGRTMIN+2")
}

fn demo() -> Result<ExitCode, Box<dyn Error>> {
    // Whoever started this may have left it ignored: no child could be waited for.
    send::reset(Signal::CHLD);
    let _threads = start_threads();
    let signals = Options::new()
        .every_thread(true)
        .open(queued()? | killed()? | Signal::CHLD)?;

    let mut account = Account::default();
    for _ in 0..SENDERS {
        account.children.add(start_sender()?.id())?;
    }
    account.receive(&signals)?;

    let sent = SENDERS * (2 * usize::try_from(EACH)? + 1);
    let Account { received, out_of_order, .. } = account;
    let every = signals.every_thread().ok_or("every thread was asked for")?;
    let (healed, caught) = (every.healed(), every.caught());
    println!(
        "sent={sent} received={received} out_of_order={out_of_order} \
         threads={THREADS} healed={healed} caught={caught}"
    );
    let is_right = received == sent && out_of_order == 0;
    Ok(if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What has come so far.
#[derive(Default)]
struct Account {
    received: usize,
    out_of_order: usize,
    /// The number that each sender comes to next.
    next: HashMap<u32, i32>,
    children: Reaper<SENDERS>,
}

impl Account {
    /// Receives until all senders have exited and what they sent has come.
    fn receive(&mut self, signals: &Signals) -> Result<(), Box<dyn Error>> {
        let mut batch = Batch::<64>::new();
        loop {
            // Signals come by number, so the last SIGCHLD comes before others.
            let infos = if self.children.is_empty() {
                signals.try_recv_batch(&mut batch)?
            } else {
                signals.wait_batch(&mut batch)?
            };
            if infos.is_empty() {
                return Ok(());
            }
            for info in infos {
                self.enter(info);
            }
            // SIGCHLD may stand for several children: they are what counts.
            for exit in self.children.reap() {
                exit?;
                self.received += 1;
            }
        }
    }

    fn enter(&mut self, info: &SigInfo) {
        if info.signal() == Signal::CHLD {
            return;
        }
        self.received += 1;
        if let (Some(value), Some(sender)) = (info.value(), info.pid()) {
            let next = self.next.entry(sender).or_default();
            self.out_of_order += usize::from(value != *next);
            *next = value + 1;
        }
    }
}

fn start_sender() -> io::Result<Child> {
    let program = std::env::current_exe()?;
    let pid = std::process::id().to_string();
    Command::new(program).args(["--send-to", &pid]).spawn()
}

/// What a child process does.
fn send_to(receiver: i32) -> Result<ExitCode, Box<dyn Error>> {
    for number in 0..EACH {
        // Of a signal sent with kill(2), the kernel drops the record without a word
        // if there is no room for it. So room is seen to.
        while number % 50 == 0 && is_half_full()? {
            thread::yield_now();
        }
        while let Err(error) = send::queue(receiver, queued()?, number) {
            if error.kind() != io::ErrorKind::WouldBlock {
                return Err(error.into());
            }
            thread::yield_now();
        }
        send::kill(receiver, killed()?)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether the user has half as many signals queued as may be.
fn is_half_full() -> Result<bool, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let queue = status.lines().find_map(|line| line.strip_prefix("SigQ:\t"));
    let numbers = queue.and_then(|numbers| numbers.split_once('/'));
    let (queued, limit) = numbers.ok_or("there is no SigQ")?;
    Ok(2 * queued.parse::<u64>()? > limit.parse()?)
}

/// Sending signals is not what the crate is for.
mod send {
    #![expect(unsafe_code, reason = "system calls")]

    use std::io;

    use signalfd::Signal;

    pub(super) fn kill(pid: i32, signal: Signal) -> io::Result<()> {
        // SAFETY: takes two numbers.
        check(unsafe { libc::kill(pid, signal.as_raw()) })
    }

    pub(super) fn queue(
        pid: i32,
        signal: Signal,
        value: i32,
    ) -> io::Result<()> {
        let value = value.try_into().map_err(io::Error::other)?;
        let sival_ptr = std::ptr::without_provenance_mut(value);
        let value = libc::sigval { sival_ptr };
        // SAFETY: takes three numbers; the pointer is one.
        check(unsafe { libc::sigqueue(pid, signal.as_raw(), value) })
    }

    /// Gives a signal its default action.
    pub(super) fn reset(signal: Signal) {
        // SAFETY: takes a number, and no handler.
        unsafe { libc::signal(signal.as_raw(), libc::SIG_DFL) };
    }

    fn check(result: libc::c_int) -> io::Result<()> {
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}
