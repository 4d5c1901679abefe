//! Why a signal came.

use core::fmt;

use super::{Layout, SigInfo};

/// Why a signal came: the kernel's `si_code`, decoded.
///
/// A cause is what the record says. Whether that can be believed is a question
/// of its own: [`SigInfo::sender`] answers it.
///
/// # References
///
/// [sigaction(2)](https://man7.org/linux/man-pages/man2/sigaction.2.html),
/// `include/uapi/asm-generic/siginfo.h`
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Cause {
    /// `SI_USER`: `kill(2)`, or `pidfd_send_signal(2)` without a record.
    Kill,
    /// `SI_TKILL`: `tgkill(2)`, and so `raise(3)` and `pthread_kill(3)`.
    Tgkill,
    /// `SI_QUEUE`: `sigqueue(3)`.
    Queue {
        /// The value sent along, as an integer; [`SigInfo::pointer`] has it whole.
        value: i32,
    },
    /// `SI_TIMER`: a POSIX timer expired.
    #[non_exhaustive]
    Timer {
        /// The kernel's id of the timer.
        id: u32,
        /// How many more times it expired before the signal was received.
        overrun: u32,
        /// The value given to `timer_create(2)`, as an integer.
        value: i32,
    },
    /// `SI_MESGQ`: a message arrived on an empty POSIX message queue.
    MessageQueue {
        /// The value given to `mq_notify(3)`, as an integer.
        value: i32,
    },
    /// `SI_ASYNCIO`: an asynchronous I/O request completed.
    AsyncIo {
        /// The value of the request, as an integer.
        value: i32,
    },
    /// A descriptor became ready (`O_ASYNC`): `POLL_IN` to `POLL_HUP`, and the
    /// old `SI_SIGIO`.
    #[non_exhaustive]
    Io {
        /// The descriptor.
        fd: i32,
        /// What it is ready for: the events of `poll(2)`.
        band: u32,
    },
    /// `CLD_EXITED` to `CLD_CONTINUED`: a child changed its state.
    ///
    /// `SIGCHLD` coalesces: one signal may stand for many children. Wait for
    /// all that have ended, not for this one; [`Reaper`](crate::Reaper) does.
    #[non_exhaustive]
    Child {
        /// What happened.
        state: ChildState,
        /// The child's process id.
        pid: u32,
        /// The child's real user id.
        uid: u32,
        /// Its exit code if it exited, else the number of a signal.
        status: i32,
        /// Its user CPU time, in clock ticks.
        utime: u64,
        /// Its system CPU time, in clock ticks.
        stime: u64,
    },
    /// A fault or trap. A real one cannot be received: it ends a process that blocks the
    /// signal; a `SIGTRAP` that
    /// something else raised may look like this.
    #[non_exhaustive]
    Fault {
        /// The address it happened at.
        addr: u64,
    },
    /// A system call was caught by seccomp or by user dispatch. A real one cannot be received
    /// either. Before Linux 4.18 all three are 0.
    #[non_exhaustive]
    Syscall {
        /// Its number.
        syscall: i32,
        /// The address of the instruction.
        call_addr: u64,
        /// The `AUDIT_ARCH_*` it was made for.
        arch: u32,
    },
    /// `SI_KERNEL`: the kernel itself, as for Ctrl-C at the terminal.
    Kernel,
    /// A code that this crate does not know, kept as it came.
    Other {
        /// The `si_code`.
        code: i32,
    },
}

/// What happened to a child: the `CLD_*` codes. Its `Display` is one word.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ChildState {
    /// `CLD_EXITED`: it exited; the status is its exit code.
    Exited,
    /// `CLD_KILLED`: a signal ended it; the status is the signal's number.
    Killed,
    /// `CLD_DUMPED`: a signal ended it, and it dumped core.
    Dumped,
    /// `CLD_TRAPPED`: it is being traced and has trapped.
    Trapped,
    /// `CLD_STOPPED`: a signal stopped it.
    Stopped,
    /// `CLD_CONTINUED`: it continued.
    Continued,
}

impl Cause {
    pub(super) const fn of(info: &SigInfo) -> Self {
        let SigInfo { code, int: value, .. } = *info;
        match info.layout() {
            Layout::Timer => {
                Self::Timer { id: info.tid, overrun: info.overrun, value }
            }
            Layout::Poll => Self::Io { fd: info.fd, band: info.band },
            Layout::Child => match ChildState::of(code) {
                Some(state) => Self::Child {
                    state,
                    pid: info.pid,
                    uid: info.uid,
                    status: info.status,
                    utime: info.utime,
                    stime: info.stime,
                },
                None => Self::Other { code },
            },
            Layout::Fault | Layout::MemoryError => {
                Self::Fault { addr: info.addr }
            }
            Layout::Syscall => Self::Syscall {
                syscall: info.syscall,
                call_addr: info.call_addr,
                arch: info.arch,
            },
            Layout::Kill | Layout::Queue => match code {
                libc::SI_USER => Self::Kill,
                libc::SI_KERNEL => Self::Kernel,
                libc::SI_TKILL => Self::Tgkill,
                libc::SI_QUEUE => Self::Queue { value },
                libc::SI_MESGQ => Self::MessageQueue { value },
                libc::SI_ASYNCIO => Self::AsyncIo { value },
                _ => Self::Other { code },
            },
        }
    }
}

impl ChildState {
    pub(crate) const fn of(code: i32) -> Option<Self> {
        Some(match code {
            libc::CLD_EXITED => Self::Exited,
            libc::CLD_KILLED => Self::Killed,
            libc::CLD_DUMPED => Self::Dumped,
            libc::CLD_TRAPPED => Self::Trapped,
            libc::CLD_STOPPED => Self::Stopped,
            libc::CLD_CONTINUED => Self::Continued,
            _ => return None,
        })
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Exited => "exited",
            Self::Killed => "killed",
            Self::Dumped => "dumped",
            Self::Trapped => "trapped",
            Self::Stopped => "stopped",
            Self::Continued => "continued",
        }
    }
}

impl fmt::Display for ChildState {
    /// Writes one lower-case word.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl fmt::Display for Cause {
    /// Writes one lower-case word, or `code:-60` for a code without a name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Kill => "kill",
            Self::Tgkill => "tgkill",
            Self::Queue { .. } => "queue",
            Self::Timer { .. } => "timer",
            Self::MessageQueue { .. } => "mesgq",
            Self::AsyncIo { .. } => "asyncio",
            Self::Io { .. } => "io",
            Self::Child { state, .. } => state.word(),
            Self::Fault { .. } => "fault",
            Self::Syscall { .. } => "syscall",
            Self::Kernel => "kernel",
            Self::Other { code } => return write!(f, "code:{code}"),
        })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;

    use super::*;

    fn cause(signal: i32, code: i32) -> Cause {
        SigInfo {
            signo: signal,
            code,
            pid: 1,
            uid: 2,
            fd: 3,
            band: 4,
            tid: 5,
            overrun: 6,
            int: 7,
            status: 8,
            utime: 9,
            stime: 10,
            addr: 11,
            syscall: 12,
            call_addr: 13,
            arch: 14,
            ..SigInfo::EMPTY
        }
        .cause()
    }

    #[test]
    fn every_code_has_its_cause_and_its_word() {
        let child = |state| Cause::Child {
            state,
            pid: 1,
            uid: 2,
            status: 8,
            utime: 9,
            stime: 10,
        };
        let rows = [
            (libc::SIGTERM, libc::SI_USER, Cause::Kill, "kill"),
            (libc::SIGTERM, libc::SI_TKILL, Cause::Tgkill, "tgkill"),
            (libc::SIGTERM, libc::SI_QUEUE, Cause::Queue { value: 7 }, "queue"),
            (
                libc::SIGTERM,
                libc::SI_TIMER,
                Cause::Timer { id: 5, overrun: 6, value: 7 },
                "timer",
            ),
            (
                libc::SIGTERM,
                libc::SI_MESGQ,
                Cause::MessageQueue { value: 7 },
                "mesgq",
            ),
            (
                libc::SIGTERM,
                libc::SI_ASYNCIO,
                Cause::AsyncIo { value: 7 },
                "asyncio",
            ),
            (libc::SIGTERM, libc::SI_SIGIO, Cause::Io { fd: 3, band: 4 }, "io"),
            (libc::SIGIO, 6, Cause::Io { fd: 3, band: 4 }, "io"),
            (libc::SIGCHLD, 1, child(ChildState::Exited), "exited"),
            (libc::SIGCHLD, 2, child(ChildState::Killed), "killed"),
            (libc::SIGCHLD, 3, child(ChildState::Dumped), "dumped"),
            (libc::SIGCHLD, 4, child(ChildState::Trapped), "trapped"),
            (libc::SIGCHLD, 5, child(ChildState::Stopped), "stopped"),
            (libc::SIGCHLD, 6, child(ChildState::Continued), "continued"),
            (libc::SIGTRAP, 1, Cause::Fault { addr: 11 }, "fault"),
            (
                libc::SIGSYS,
                1,
                Cause::Syscall { syscall: 12, call_addr: 13, arch: 14 },
                "syscall",
            ),
            (libc::SIGTERM, libc::SI_KERNEL, Cause::Kernel, "kernel"),
            (libc::SIGTERM, -60, Cause::Other { code: -60 }, "code:-60"),
            (libc::SIGTERM, 129, Cause::Other { code: 129 }, "code:129"),
            (libc::SIGCHLD, 7, Cause::Other { code: 7 }, "code:7"),
        ];
        for (signal, code, expected, word) in rows {
            assert_eq!(cause(signal, code), expected, "{signal} {code}");
            assert_eq!(expected.to_string(), word);
        }
    }
}
