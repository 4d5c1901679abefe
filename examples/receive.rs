//! Receives signals and prints what the kernel tells about each: its name, its
//! cause, who sent it and whether the kernel vouches for that, and the value,
//! overrun or status that came along.
//!
//! ```text
//! cargo run --example receive               # then signal it from elsewhere
//! cargo run --example receive -- --demo     # it signals itself
//! ```
//!
//! SIGHUP reloads; SIGINT (Ctrl-C) and SIGTERM end it with status 0.
//!
//! The demonstration sends a SIGHUP and a SIGRTMIN+1 with the value 42 from a
//! child process, which then exits with 7; lets a timer expire ten times before
//! it is looked at; and ends with a SIGTERM.

use std::error::Error;
use std::process::{Child, Command, ExitCode};

use signalfd::{Cause, SigInfo, Signal};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => receive(None),
        ["--demo"] => receive(Some(Demo::default())),
        ["--send-to", pid] => Ok(send_to(pid.parse()?)),
        _ => Err("usage: receive [--demo]".into()),
    }
}

fn receive(mut demo: Option<Demo>) -> Result<ExitCode, Box<dyn Error>> {
    let custom = Signal::rt(1).ok_or("there is no SIGRTMIN+1")?;
    let ending = Signal::INT | Signal::TERM;
    let others = Signal::HUP | Signal::USR1 | Signal::USR2 | Signal::ALRM;
    // Before any other thread is started: they inherit the mask.
    let signals = signalfd::open(ending | others | Signal::CHLD | custom)?;

    let pid = std::process::id();
    println!("pid {pid} receives {}", signals.signals());
    println!("try: kill -HUP {pid}");
    println!("     env kill -q 42 -s RTMIN+1 {pid}");
    println!("     kill -TERM {pid}, or Ctrl-C, to end it");
    if let Some(demo) = &mut demo {
        demo.begin()?;
    }

    for info in &signals {
        let info = info?;
        println!("{info}");
        match info.signal() {
            Signal::HUP => println!("  reloading the configuration"),
            signal if ending.contains(signal.into()) => {
                println!("  ending");
                break;
            }
            _ => {}
        }
        if let Some(demo) = &mut demo {
            demo.go_on(&info)?;
        }
    }
    // Lower numbers come first, so others may be pending still. At the end of the
    // scope they would take their default action, and that is not status 0.
    while let Some(info) = signals.try_recv()? {
        println!("{info}");
    }
    Ok(ExitCode::SUCCESS)
}

/// The demonstration: each step begins when the one before has been received.
#[derive(Default)]
struct Demo {
    child: Option<Child>,
    queued: bool,
    timer: Option<timer::Timer>,
}

impl Demo {
    /// Starts a child that sends two signals and exits with 7.
    fn begin(&mut self) -> Result<(), Box<dyn Error>> {
        // Whoever started this may have left it ignored, and then the kernel
        // sends none.
        send::reset(Signal::CHLD);
        let program = std::env::current_exe()?;
        let pid = std::process::id().to_string();
        let child = Command::new(program).args(["--send-to", &pid]).spawn()?;
        self.child = Some(child);
        Ok(())
    }

    fn go_on(&mut self, info: &SigInfo) -> Result<(), Box<dyn Error>> {
        match info.cause() {
            Cause::Queue { .. } => self.queued = true,
            // SIGCHLD only says that there is something to wait for.
            Cause::Child { .. } => {
                self.child.take().map(|mut child| child.wait()).transpose()?;
            }
            Cause::Timer { .. } => {
                if let Some(timer) = self.timer.take() {
                    timer.stop();
                    send::kill(std::process::id(), Signal::TERM)?;
                    return Ok(());
                }
            }
            _ => {}
        }
        if self.queued && self.child.is_none() {
            self.queued = false;
            self.timer = Some(timer::Timer::start(Signal::ALRM)?);
        }
        Ok(())
    }
}

/// What the child process does.
fn send_to(parent: u32) -> ExitCode {
    let custom = Signal::rt(1).map(|signal| send::queue(parent, signal, 42));
    match (send::kill(parent, Signal::HUP), custom) {
        (Ok(()), Some(Ok(()))) => ExitCode::from(7),
        _ => ExitCode::FAILURE,
    }
}

/// Sending signals is not what the crate is for.
mod send {
    #![expect(unsafe_code, reason = "system calls")]

    use std::io;

    use signalfd::Signal;

    pub(super) fn kill(pid: u32, signal: Signal) -> io::Result<()> {
        let pid = pid.try_into().map_err(io::Error::other)?;
        // SAFETY: takes two numbers.
        check(unsafe { libc::kill(pid, signal.as_raw()) })
    }

    pub(super) fn queue(
        pid: u32,
        signal: Signal,
        value: usize,
    ) -> io::Result<()> {
        let pid = pid.try_into().map_err(io::Error::other)?;
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

    pub(super) fn check(result: libc::c_int) -> io::Result<()> {
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

/// A POSIX timer that sends a signal every millisecond.
mod timer {
    #![expect(unsafe_code, reason = "system calls")]

    use std::time::{Duration, Instant};
    use std::{io, mem, ptr};

    use signalfd::Signal;

    use super::send::check;

    pub(super) struct Timer(libc::timer_t);

    impl Timer {
        /// Returns when it has expired ten times, of which nobody has been told.
        pub(super) fn start(signal: Signal) -> io::Result<Self> {
            // SAFETY: all zeros are a sigevent.
            let mut event: libc::sigevent = unsafe { mem::zeroed() };
            event.sigev_notify = libc::SIGEV_SIGNAL;
            event.sigev_signo = signal.as_raw();
            let mut timer = ptr::null_mut();
            let clock = libc::CLOCK_MONOTONIC;
            // SAFETY: reads the event and writes the timer; both live past it.
            check(unsafe {
                libc::timer_create(clock, &raw mut event, &raw mut timer)
            })?;
            let often = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 };
            let period =
                libc::itimerspec { it_interval: often, it_value: often };
            let none = ptr::null_mut();
            let start = Instant::now();
            // SAFETY: reads the times, which live past the call.
            check(unsafe {
                libc::timer_settime(timer, 0, &raw const period, none)
            })?;
            while start.elapsed() < Duration::from_millis(11) {
                std::thread::yield_now();
            }
            Ok(Self(timer))
        }

        pub(super) fn stop(self) {
            // SAFETY: the timer was made by `start` and is deleted once.
            unsafe { libc::timer_delete(self.0) };
        }
    }
}
