//! Work in progress that SIGINT or SIGTERM cancels: it is cleaned up, and the
//! program leaves honestly, by the very signal that ended it.
//!
//! ```text
//! cargo run --example graceful_shutdown             # press Ctrl-C
//! cargo run --example graceful_shutdown -- --demo   # a second process does it
//! ```
//!
//! Why by the signal, and not with a status of its own? The parent can then see
//! what happened: a shell stops its script after Ctrl-C, a supervisor knows that
//! its SIGTERM was obeyed. A program that cleans up and calls `exit(0)` says that
//! it was done.

use std::error::Error;
use std::fs::{self, File};
use std::future::poll_fn;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::task::Poll;

use signalfd::{Signal, Until, block_on, open};

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().any(|argument| argument == "--demo") {
        return demo();
    }
    let signals = open(Signal::INT | Signal::TERM)?;
    println!("pid {} works until SIGINT or SIGTERM", std::process::id());

    match block_on(signals.until(work()))?? {
        Until::Done(steps) => println!("all {} steps are done", steps?),
        // The work has been dropped by now, and has cleaned up after itself.
        Until::Signal(info) => {
            println!("cancelled by {info}");
            info.signal().die();
        }
    }
    Ok(())
}

/// Writes a report that nobody must see half written. It takes about a minute.
async fn work() -> Result<u32, std::io::Error> {
    const STEPS: u32 = 100_000_000;
    let mut draft = Draft::create()?;
    for step in 1..=STEPS {
        if step.is_power_of_two() {
            writeln!(draft.file, "step {step}")?;
            println!("step {step}");
        }
        // Let others have their turn: the signal, here.
        let mut passed = false;
        poll_fn(|cx| {
            cx.waker().wake_by_ref();
            if std::mem::replace(&mut passed, true) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
    draft.publish()?;
    Ok(STEPS)
}

/// A file that is removed again unless it is published.
struct Draft {
    file: File,
    path: PathBuf,
    published: bool,
}

impl Draft {
    fn create() -> std::io::Result<Self> {
        let name = format!("report-{}.draft", std::process::id());
        let path = std::env::temp_dir().join(name);
        println!("writing {}", path.display());
        Ok(Self { file: File::create(&path)?, path, published: false })
    }

    fn publish(&mut self) -> std::io::Result<()> {
        fs::rename(&self.path, self.path.with_extension("txt"))?;
        self.published = true;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.published {
            let removed = fs::remove_file(&self.path);
            println!("removed the draft: {removed:?}");
        }
    }
}

/// Starts the program, sends it SIGTERM while it works, and tells how it ended.
fn demo() -> Result<(), Box<dyn Error>> {
    let mut child = Command::new(std::env::current_exe()?)
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child.stdout.take().ok_or("it was piped")?;
    let mut sent = false;
    for line in BufReader::new(output).lines() {
        let line = line?;
        println!("| {line}");
        if line == "step 1024" && !sent {
            let pid = rustix::process::Pid::from_child(&child);
            let term = rustix::process::Signal::TERM;
            rustix::process::kill_process(pid, term)?;
            sent = true;
        }
    }
    println!("it ended with: {}", child.wait()?);
    Ok(())
}
