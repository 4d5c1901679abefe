//! Which fields of a record mean something.

use libc::c_int;

/// The kernel's `siginfo_layout`: which members of the `siginfo_t` union a
/// record was filled from. All other fields of the record are zero.
///
/// Source: `siginfo_layout()` in `kernel/signal.c` and `signalfd_copyinfo()` in
/// `fs/signalfd.c`, Linux 6.18.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Layout {
    /// `pid`, `uid`.
    Kill,
    /// `tid`, `overrun`, `int`, `ptr`.
    Timer,
    /// `band`, `fd`.
    Poll,
    /// `addr`; `trapno` where the architecture has one.
    Fault,
    /// `addr`, `addr_lsb`.
    MemoryError,
    /// `pid`, `uid`, `status`, `utime`, `stime`.
    Child,
    /// `pid`, `uid`, `int`, `ptr`.
    Queue,
    /// `call_addr`, `syscall`, `arch`.
    Syscall,
}

/// The highest `POLL_*` code, the kernel's `NSIGPOLL`.
const LAST_POLL: i32 = 6;

impl Layout {
    /// Finds the layout of a record with this signal number and `si_code`.
    pub(crate) const fn of(signo: i32, code: i32) -> Self {
        match code {
            libc::SI_TIMER => Self::Timer,
            libc::SI_SIGIO => Self::Poll,
            ..0 => Self::Queue,
            libc::SI_USER | libc::SI_KERNEL.. => Self::Kill,
            1.. => Self::of_positive(signo, code),
        }
    }

    /// Codes between `SI_USER` and `SI_KERNEL` mean something else for each
    /// signal: the kernel's table `sig_sicodes`.
    const fn of_positive(signo: i32, code: i32) -> Self {
        let (last, layout) = match signo {
            libc::SIGBUS if matches!(code, BUS_MCEERR_AR | BUS_MCEERR_AO) => {
                (BUS_MCEERR_AO, Self::MemoryError)
            }
            libc::SIGILL => (11, Self::Fault),
            libc::SIGFPE => (15, Self::Fault),
            libc::SIGSEGV => (10, Self::Fault),
            libc::SIGBUS => (5, Self::Fault),
            libc::SIGTRAP => (6, Self::Fault),
            libc::SIGCHLD => (6, Self::Child),
            libc::SIGSYS => (2, Self::Syscall),
            _ => (LAST_POLL, Self::Poll),
        };
        if code <= last {
            layout
        } else if code <= LAST_POLL {
            Self::Poll
        } else {
            Self::Kill
        }
    }
}

/// Hardware memory error consumed: action required.
const BUS_MCEERR_AR: c_int = 4;
/// Hardware memory error detected, not consumed: action optional.
const BUS_MCEERR_AO: c_int = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn of(signal: c_int, code: i32) -> Layout {
        Layout::of(signal, code)
    }

    #[test]
    fn codes_that_hold_for_every_signal() {
        for signal in [libc::SIGTERM, libc::SIGCHLD, libc::SIGBUS, 40] {
            assert_eq!(of(signal, libc::SI_USER), Layout::Kill);
            assert_eq!(of(signal, libc::SI_KERNEL), Layout::Kill);
            assert_eq!(of(signal, i32::MAX), Layout::Kill);
            assert_eq!(of(signal, libc::SI_TIMER), Layout::Timer);
            assert_eq!(of(signal, libc::SI_SIGIO), Layout::Poll);
            for code in [libc::SI_QUEUE, libc::SI_TKILL, -60, i32::MIN] {
                assert_eq!(of(signal, code), Layout::Queue);
            }
        }
    }

    #[test]
    fn positive_codes_depend_on_the_signal() {
        assert_eq!(of(libc::SIGCHLD, libc::CLD_EXITED), Layout::Child);
        assert_eq!(of(libc::SIGCHLD, libc::CLD_CONTINUED), Layout::Child);
        assert_eq!(of(libc::SIGCHLD, 7), Layout::Kill);
        assert_eq!(of(libc::SIGIO, 1), Layout::Poll);
        assert_eq!(of(libc::SIGIO, 6), Layout::Poll);
        assert_eq!(of(libc::SIGIO, 7), Layout::Kill);
        assert_eq!(of(40, 3), Layout::Poll);
        assert_eq!(of(libc::SIGSYS, 2), Layout::Syscall);
        assert_eq!(of(libc::SIGSYS, 3), Layout::Poll);
        assert_eq!(of(libc::SIGSEGV, 10), Layout::Fault);
        assert_eq!(of(libc::SIGSEGV, 11), Layout::Kill);
        assert_eq!(of(libc::SIGBUS, 3), Layout::Fault);
        assert_eq!(of(libc::SIGBUS, 4), Layout::MemoryError);
        assert_eq!(of(libc::SIGBUS, 5), Layout::MemoryError);
        assert_eq!(of(libc::SIGBUS, 6), Layout::Poll);
    }
}
