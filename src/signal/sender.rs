//! Who sent a signal.

use core::fmt;

use super::SigInfo;

/// Who sent a signal, and whether the kernel vouches for it.
///
/// A program that decides by the sender matches [`Sender::Verified`] and
/// nothing else. `docs/TRUST.md` in the repository says what it has to know.
///
/// # Examples
///
/// ```
/// use signalfd::{Sender, SigInfo};
///
/// /// Root may ask for a reload, and so may we.
/// fn may_reload(info: &SigInfo, own_uid: u32) -> bool {
///     matches!(info.sender(), Sender::Verified { uid, .. } if uid == 0 || uid == own_uid)
/// }
/// ```
///
/// # References
///
/// `do_rt_sigqueueinfo()` in `kernel/signal.c`: the codes that user space may
/// not send. `collect_signal()` there: what is made up when the queue is full.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Sender {
    /// A process that the kernel itself named: `kill(2)`, `tgkill(2)`.
    ///
    /// The uid is vouched for; the pid is a hint. The process may have ended since, and its id
    /// may have been reused. One in a PID namespace of its own that sends to its whole process
    /// group (`kill(0, ..)`) is named by its number there. And the signal that a process has
    /// asked for when its parent ends (`PR_SET_PDEATHSIG`) names the parent. A process can
    /// forge such a record for itself, but for no other. Pending signals are kept by
    /// `execve(2)`, so what a program finds pending at its start may be forged by whoever
    /// started it: a program with more rights than that must not believe it.
    ///
    /// Before Linux 4.14 anyone who may signal the process can imitate it: of the code that a
    /// process sends, the kernel hands out the lower half (seen on Linux 4.4).
    Verified {
        /// The sender's process id, in the receiver's PID namespace but for what is said above.
        pid: u32,
        /// The sender's real user id in the receiver's user namespace; 65534
        /// where it has none there.
        uid: u32,
    },
    /// Only what the record says: any process that may signal this one can make it up.
    ///
    /// `sigqueue(3)`, timers, message queues and asynchronous I/O cannot be told from an
    /// imitation. Nor can a record that came back under the crate's private code
    /// ([`Receiver::put_back`](crate::Receiver::put_back)). Where the record names
    /// nobody, as for a timer, both numbers are 0 and [`SigInfo::pid`] is `None`.
    Claimed {
        /// The process id that the record gives.
        pid: u32,
        /// The user id that the record gives. 0 is also what a timer's record
        /// has, and does not mean root.
        uid: u32,
    },
    /// The kernel: a child, a descriptor, a fault, or the terminal's Ctrl-C.
    ///
    /// That is true, but another process of the user may have caused it, with a
    /// descriptor of its own (`F_SETSIG` in `fcntl(2)`).
    Kernel,
    /// There is no sender to name: a process outside the receiver's PID
    /// namespace, or a full queue (`RLIMIT_SIGPENDING`), where the kernel makes
    /// up a record with pid 0 and uid 0. It does not mean root.
    Unknown,
}

impl Sender {
    pub(super) const fn of(info: &SigInfo) -> Self {
        let SigInfo { code, pid, uid, .. } = *info;
        match code {
            libc::SI_USER | libc::SI_TKILL if pid == 0 => Self::Unknown,
            _ if info.is_restored() => Self::Claimed { pid, uid },
            libc::SI_USER | libc::SI_TKILL => Self::Verified { pid, uid },
            1.. => Self::Kernel,
            ..=-1 => Self::Claimed { pid, uid },
        }
    }
}

impl fmt::Display for Sender {
    /// Writes `verified`, `claimed`, `kernel` or `unknown`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Verified { .. } => "verified",
            Self::Claimed { .. } => "claimed",
            Self::Kernel => "kernel",
            Self::Unknown => "unknown",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::info::RESTORED;

    fn sender(code: i32, pid: u32, mark: u8) -> Sender {
        SigInfo { signo: 15, code, pid, uid: 9, mark, ..SigInfo::EMPTY }
            .sender()
    }

    #[test]
    fn only_codes_that_user_space_may_not_send_are_verified() {
        let verified = Sender::Verified { pid: 7, uid: 9 };
        let claimed = Sender::Claimed { pid: 7, uid: 9 };
        assert_eq!(sender(libc::SI_USER, 7, 0), verified);
        assert_eq!(sender(libc::SI_TKILL, 7, 0), verified);
        for code in [-1, -2, -3, -4, -5, -7, -60, i32::MIN] {
            assert_eq!(sender(code, 7, 0), claimed, "{code}");
        }
        for code in [1, 6, libc::SI_KERNEL, i32::MAX] {
            assert_eq!(sender(code, 7, 0), Sender::Kernel, "{code}");
        }
    }

    #[test]
    fn pid_zero_is_nobody() {
        assert_eq!(sender(libc::SI_USER, 0, 0), Sender::Unknown);
        assert_eq!(sender(libc::SI_TKILL, 0, 0), Sender::Unknown);
        assert_eq!(sender(libc::SI_USER, 0, RESTORED), Sender::Unknown);
    }

    #[test]
    fn a_restored_record_is_only_claimed() {
        let claimed = Sender::Claimed { pid: 7, uid: 9 };
        for code in [libc::SI_USER, libc::SI_TKILL, 1, libc::SI_KERNEL, -1] {
            assert_eq!(sender(code, 7, RESTORED), claimed, "{code}");
        }
    }
}
