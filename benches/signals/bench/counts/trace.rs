//! Counting what a child does, with ptrace(2), which needs no privilege for that.
//!
//! The child says where to begin and where to end: it sends itself a `SIGSTOP`, which
//! whoever traces it sees and withholds.

#![allow(unsafe_code, reason = "ptrace, for which there is nothing safe")]

use std::env;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::ptr;
use std::sync::OnceLock;

use libc::{c_int, c_long};

use crate::bench::CHILD;
use crate::common::sys::{self, check};

/// Sends are not counted.
const SENDS: &[c_long] =
    &[libc::SYS_kill, libc::SYS_rt_sigqueueinfo, libc::SYS_tgkill];
/// A stop at a system call, with `PTRACE_O_TRACESYSGOOD`.
const AT_SYSCALL: c_int = libc::SIGTRAP | 0x80;
/// From linux/ptrace.h.
const GET_SYSCALL_INFO: c_long = 0x420e;
const ENTRY: u8 = 1;

/// Says to whoever traces this process that what is counted begins, or ends.
pub(super) fn mark() {
    sys::kill(sys::pid(), libc::SIGSTOP);
}

/// Says whether children may be traced.
pub(super) fn permitted() -> Result<(), String> {
    static PERMITTED: OnceLock<Result<(), String>> = OnceLock::new();
    let ask = || system_calls("crate/wait-batch", "burst32:1", 1).map(drop);
    PERMITTED.get_or_init(ask).clone()
}

/// How many system calls the child makes, without the sends.
pub(super) fn system_calls(
    who: &str,
    what: &str,
    total: u64,
) -> Result<u64, String> {
    let traced = Traced::start(who, what, total)?;
    let mut calls = 0;
    let mut stop = Stop::Mark;
    loop {
        stop = traced.go_on(libc::PTRACE_SYSCALL.into(), stop)?;
        match stop {
            Stop::Trap(AT_SYSCALL) if traced.enters()? => calls += 1,
            Stop::Trap(_) | Stop::Signal(_) => {}
            Stop::Mark => break,
        }
    }
    // The end is told with `getpid` and `kill`, and the beginning was left.
    traced.finish()?;
    Ok(calls - 1)
}

/// How many instructions it executes, of its own and its libraries'.
pub(super) fn instructions(
    who: &str,
    what: &str,
    total: u64,
) -> Result<u64, String> {
    let traced = Traced::start(who, what, total)?;
    let mut steps = 0;
    let step = libc::PTRACE_SINGLESTEP.into();
    loop {
        match traced.go_on(step, Stop::Mark)? {
            Stop::Trap(_) => steps += 1,
            Stop::Mark => break,
            Stop::Signal(signal) => return Err(format!("signal {signal}")),
        }
    }
    traced.finish()?;
    Ok(steps)
}

#[derive(Clone, Copy)]
enum Stop {
    /// A system call, or a step.
    Trap(c_int),
    /// A signal is about to be delivered.
    Signal(c_int),
    /// The child says that it begins or ends.
    Mark,
}

/// A child that has just begun.
struct Traced {
    child: Child,
    pid: i32,
}

impl Traced {
    fn start(who: &str, what: &str, total: u64) -> Result<Self, String> {
        let program = env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command.args([CHILD, who, &format!("count:{what}")]);
        command.arg(total.to_string()).stdout(Stdio::null());
        // SAFETY: the closure makes one system call.
        unsafe { command.pre_exec(trace_me) };
        let child = command.spawn().map_err(|error| error.to_string())?;
        let pid = child.id().try_into().expect("a pid is positive");
        let traced = Self { child, pid };
        // The stop at exec.
        traced.wait()?;
        traced.set_options()?;
        let mut stop = Stop::Trap(0);
        while !matches!(stop, Stop::Mark) {
            stop = traced.go_on(libc::PTRACE_CONT.into(), stop)?;
        }
        Ok(traced)
    }

    fn set_options(&self) -> Result<(), String> {
        let options = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_EXITKILL;
        let set = libc::PTRACE_SETOPTIONS.into();
        self.request(set, 0, options.into()).map(drop)
    }

    /// Lets it run from one stop to the next. A signal is delivered.
    fn go_on(&self, how: c_long, from: Stop) -> Result<Stop, String> {
        let signal = match from {
            Stop::Signal(signal) => signal,
            Stop::Trap(_) | Stop::Mark => 0,
        };
        self.request(how, 0, signal.into())?;
        Ok(match self.wait()? {
            libc::SIGSTOP => Stop::Mark,
            signal if signal & !0x80 == libc::SIGTRAP => Stop::Trap(signal),
            signal => Stop::Signal(signal),
        })
    }

    /// Whether it stands before a system call that counts.
    fn enters(&self) -> Result<bool, String> {
        /// The beginning of `struct ptrace_syscall_info`, and room for the rest.
        #[repr(C)]
        struct Info {
            op: u8,
            pad: [u8; 3],
            arch: u32,
            places: [u64; 2],
            number: u64,
            rest: [u64; 8],
        }
        // SAFETY: an all-zero value is allowed: it is made of integers.
        let mut info: Info = unsafe { std::mem::zeroed() };
        let size = size_of::<Info>().try_into().expect("it is small");
        let place = (&raw mut info).expose_provenance();
        let place = place.try_into().map_err(|_| "an address")?;
        self.request(GET_SYSCALL_INFO, size, place)?;
        let number = c_long::try_from(info.number).unwrap_or(-1);
        Ok(info.op == ENTRY && !SENDS.contains(&number))
    }

    fn request(
        &self,
        request: c_long,
        address: c_long,
        data: c_long,
    ) -> Result<c_long, String> {
        let pid = c_long::from(self.pid);
        // SAFETY: the one request that writes here has room of the size it is told.
        let result = unsafe {
            libc::syscall(libc::SYS_ptrace, request, pid, address, data)
        };
        if result == -1 {
            return Err(format!("ptrace: {}", io::Error::last_os_error()));
        }
        Ok(result)
    }

    /// Waits until it stops, and returns by which signal.
    fn wait(&self) -> Result<c_int, String> {
        let mut status = 0;
        // SAFETY: writes an int, which lives past the call.
        let result = unsafe { libc::waitpid(self.pid, &raw mut status, 0) };
        check(result, "waitpid");
        if libc::WIFSTOPPED(status) {
            return Ok(libc::WSTOPSIG(status));
        }
        Err(format!("the child ended: status {status:#x}"))
    }

    /// Lets it run to its end, which is to be a good one.
    fn finish(mut self) -> Result<(), String> {
        self.request(libc::PTRACE_DETACH.into(), 0, 0)?;
        let status = self.child.wait().map_err(|error| error.to_string())?;
        if status.success() { Ok(()) } else { Err(status.to_string()) }
    }
}

fn trace_me() -> io::Result<()> {
    let request = c_long::from(libc::PTRACE_TRACEME);
    let none = ptr::null_mut::<u8>();
    // SAFETY: takes numbers.
    let result = unsafe {
        libc::syscall(libc::SYS_ptrace, request, 0_usize, none, none)
    };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
