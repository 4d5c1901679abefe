//! Starts children, waits for them, and ends them when it is told to end.
//!
//! ```text
//! cargo run --example supervisor               # then kill -TERM it, or Ctrl-C
//! cargo run --example supervisor -- --demo     # it tells itself
//! ```
//!
//! There are three children: one that exits with 3, one that ends by `SIGTERM`, and
//! one that ignores it. Each starts with the signal mask that was there before the
//! receiver (`child_sigblk=0000000000000000`), or none of them could be told anything.
//!
//! Told to end, the supervisor hands `SIGTERM` on. Who is still there when the deadline
//! is over, or when it is told again, is sent `SIGKILL`. When all have been waited for,
//! it ends by the signal that it was sent itself, so that its own parent sees why.

use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, kill_process};
use signalfd::{Reaper, RestoreSignals, SigInfo, Signal, SignalSet, Signals};

/// How long children have between `SIGTERM` and `SIGKILL`.
const PATIENCE: Duration = Duration::from_secs(1);

/// What they are called and what a shell is to do; each says when it has begun.
const CHILDREN: [(&str, &str); 3] = [
    ("brief", "echo begun; exit 3"),
    ("obedient", "echo begun; exec sleep 1000"),
    ("stubborn", "trap '' TERM; echo begun; exec sleep 1000"),
];

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let is_demo = match arguments[..] {
        [] => false,
        ["--demo"] => true,
        _ => return Err("usage: supervisor [--demo]".into()),
    };
    reset_sigchld();
    // Before any child or thread is started.
    let signals = signalfd::open(Signal::INT | Signal::TERM | Signal::CHLD)?;
    println!("pid {} supervises", std::process::id());

    let mut children = Children::default();
    for (name, script) in CHILDREN {
        children.start(name, script, signals.guard().saved())?;
    }
    if is_demo {
        send(std::process::id(), Signal::TERM)?;
    }
    match children.supervise(&signals)? {
        Some(info) => {
            println!("dying by {}", info.signal());
            info.signal().die()
        }
        None => Ok(ExitCode::SUCCESS),
    }
}

#[derive(Default)]
struct Children {
    running: Vec<u32>,
    reaper: Reaper<{ CHILDREN.len() }>,
}

impl Children {
    fn start(
        &mut self,
        name: &str,
        script: &str,
        mask: SignalSet,
    ) -> Result<(), Box<dyn Error>> {
        let mut child = Command::new("sh")
            .args(["-c", script])
            .stdout(Stdio::piped())
            .restore_signals(mask)
            .spawn()?;
        let pid = child.id();
        let blocked = blocked_by(pid)?;
        self.reaper.add(pid)?;
        self.running.push(pid);
        let output = child.stdout.take().ok_or("it has no output")?;
        BufReader::new(output).read_line(&mut String::new())?;
        println!("child={pid} name={name} child_sigblk={blocked}");
        Ok(())
    }

    /// Waits until all have ended, and returns why it ended them, if it did.
    fn supervise(
        &mut self,
        signals: &Signals,
    ) -> Result<Option<SigInfo>, Box<dyn Error>> {
        let mut told: Option<SigInfo> = None;
        let mut deadline = None;
        loop {
            self.reap()?;
            if self.running.is_empty() {
                return Ok(told);
            }
            let Some(info) = wait_until(signals, deadline)? else {
                println!("the deadline is over");
                self.send(Signal::KILL)?;
                deadline = None;
                continue;
            };
            match (info.signal(), told) {
                (Signal::CHLD, _) => {}
                (_, None) => {
                    println!("told to end: {info}");
                    self.send(Signal::TERM)?;
                    told = Some(info);
                    deadline = Some(Instant::now() + PATIENCE);
                }
                (_, Some(_)) => {
                    println!("told again: {info}");
                    self.send(Signal::KILL)?;
                }
            }
        }
    }

    /// One SIGCHLD may stand for several children.
    fn reap(&mut self) -> Result<(), Box<dyn Error>> {
        for exit in self.reaper.reap() {
            let exit = exit?;
            println!("{exit}");
            self.running.retain(|&pid| pid != exit.pid());
        }
        Ok(())
    }

    /// Nobody else waits for them, so the numbers are still theirs.
    fn send(&self, signal: Signal) -> Result<(), Box<dyn Error>> {
        println!("sending {signal} to {}", self.running.len());
        for &pid in &self.running {
            send(pid, signal)?;
        }
        Ok(())
    }
}

fn send(pid: u32, signal: Signal) -> Result<(), Box<dyn Error>> {
    let pid = Pid::from_raw(pid.try_into()?).ok_or("no pid")?;
    let signal = rustix::process::Signal::from_named_raw(signal.as_raw());
    Ok(kill_process(pid, signal.ok_or("no signal")?)?)
}

/// Whoever started this may have left it ignored: no child could be waited for.
fn reset_sigchld() {
    #[expect(unsafe_code, reason = "a system call")]
    // SAFETY: takes a number, and no handler.
    unsafe {
        libc::signal(libc::SIGCHLD, libc::SIG_DFL)
    };
}

fn wait_until(
    signals: &Signals,
    deadline: Option<Instant>,
) -> Result<Option<SigInfo>, signalfd::Error> {
    let Some(deadline) = deadline else { return signals.wait().map(Some) };
    signals.wait_timeout(deadline.saturating_duration_since(Instant::now()))
}

/// What a process blocks, as the kernel writes it.
fn blocked_by(pid: u32) -> Result<String, Box<dyn Error>> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("SigBlk:\t"));
    Ok(line.ok_or("there is no SigBlk")?.into())
}
