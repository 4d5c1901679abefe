//! The record of one received signal.

use core::fmt;
use core::mem::{offset_of, size_of};

use super::{Cause, Layout, Sender, Signal};
use crate::Error;

/// What the kernel tells about one received signal: `signalfd_siginfo`, 128
/// bytes, as `read(2)` fills it.
///
/// Which fields mean something depends on why the signal came, so the getters
/// return `None` where the cause does not define the field; [`cause`] decodes
/// them together. [`sender`] says who sent the signal and whether the kernel
/// vouches for that.
///
/// Its `Display` is one line for a log:
/// `SIGRTMIN+1 cause=queue pid=4711 uid=1000 sender=claimed value=42`.
///
/// # Invariants
///
/// The signal number is one from 1 to 64. (The kernel declares it unsigned.)
///
/// # References
///
/// [signalfd(2)](https://man7.org/linux/man-pages/man2/signalfd.2.html),
/// `include/uapi/linux/signalfd.h`, `signalfd_copyinfo()` in `fs/signalfd.c`
///
/// [`cause`]: SigInfo::cause
/// [`sender`]: SigInfo::sender
#[doc(alias = "signalfd_siginfo")]
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct SigInfo {
    pub(crate) signo: i32,
    pub(crate) errno: i32,
    pub(crate) code: i32,
    pub(crate) pid: u32,
    pub(crate) uid: u32,
    pub(crate) fd: i32,
    pub(crate) tid: u32,
    pub(crate) band: u32,
    pub(crate) overrun: u32,
    pub(crate) trapno: u32,
    pub(crate) status: i32,
    pub(crate) int: i32,
    pub(crate) ptr: u64,
    pub(crate) utime: u64,
    pub(crate) stime: u64,
    pub(crate) addr: u64,
    pub(crate) addr_lsb: u16,
    pub(crate) pad2: u16,
    pub(crate) syscall: i32,
    pub(crate) call_addr: u64,
    pub(crate) arch: u32,
    pub(crate) pad: [u8; 27],
    /// Padding that the kernel leaves zero; [`RESTORED`] in a record that was
    /// put back under the private code.
    pub(crate) mark: u8,
}

/// The value of [`SigInfo::mark`] in a record that has been put back and undone.
pub(super) const RESTORED: u8 = 1;

const _: () = {
    use libc::signalfd_siginfo as Kernel;
    assert!(size_of::<SigInfo>() == 128);
    assert!(size_of::<SigInfo>() == size_of::<Kernel>());
    assert!(align_of::<SigInfo>() == align_of::<Kernel>());
    assert!(offset_of!(SigInfo, signo) == offset_of!(Kernel, ssi_signo));
    assert!(offset_of!(SigInfo, errno) == offset_of!(Kernel, ssi_errno));
    assert!(offset_of!(SigInfo, code) == offset_of!(Kernel, ssi_code));
    assert!(offset_of!(SigInfo, pid) == offset_of!(Kernel, ssi_pid));
    assert!(offset_of!(SigInfo, uid) == offset_of!(Kernel, ssi_uid));
    assert!(offset_of!(SigInfo, fd) == offset_of!(Kernel, ssi_fd));
    assert!(offset_of!(SigInfo, tid) == offset_of!(Kernel, ssi_tid));
    assert!(offset_of!(SigInfo, band) == offset_of!(Kernel, ssi_band));
    assert!(offset_of!(SigInfo, overrun) == offset_of!(Kernel, ssi_overrun));
    assert!(offset_of!(SigInfo, trapno) == offset_of!(Kernel, ssi_trapno));
    assert!(offset_of!(SigInfo, status) == offset_of!(Kernel, ssi_status));
    assert!(offset_of!(SigInfo, int) == offset_of!(Kernel, ssi_int));
    assert!(offset_of!(SigInfo, ptr) == offset_of!(Kernel, ssi_ptr));
    assert!(offset_of!(SigInfo, utime) == offset_of!(Kernel, ssi_utime));
    assert!(offset_of!(SigInfo, stime) == offset_of!(Kernel, ssi_stime));
    assert!(offset_of!(SigInfo, addr) == offset_of!(Kernel, ssi_addr));
    assert!(offset_of!(SigInfo, addr_lsb) == offset_of!(Kernel, ssi_addr_lsb));
    assert!(offset_of!(SigInfo, syscall) == offset_of!(Kernel, ssi_syscall));
    assert!(
        offset_of!(SigInfo, call_addr) == offset_of!(Kernel, ssi_call_addr)
    );
    assert!(offset_of!(SigInfo, arch) == offset_of!(Kernel, ssi_arch));
};

impl SigInfo {
    /// A record of nothing, to be filled by the kernel.
    ///
    /// It is never shown to a caller, so its number need not be a signal's.
    pub(crate) const EMPTY: Self = Self {
        signo: 0,
        errno: 0,
        code: 0,
        pid: 0,
        uid: 0,
        fd: 0,
        tid: 0,
        band: 0,
        overrun: 0,
        trapno: 0,
        status: 0,
        int: 0,
        ptr: 0,
        utime: 0,
        stime: 0,
        addr: 0,
        addr_lsb: 0,
        pad2: 0,
        syscall: 0,
        call_addr: 0,
        arch: 0,
        pad: [0; 27],
        mark: 0,
    };

    /// Reads a record from the bytes that `read(2)` on a signalfd returned.
    ///
    /// For programs that read the descriptor in a way of their own. Give it only what
    /// `read(2)` returned: made-up bytes would be believed, sender included. (A record
    /// that was put back under the private code is known by its bytes, and its sender is
    /// not believed.)
    ///
    /// With [`Options::every_thread`](crate::Options::every_thread) the crate sends signals of
    /// its own to the process, and may have records that the kernel had no room for. Only its
    /// own receivers know the former and have the latter: do not read the descriptor yourself
    /// then.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidNumber`] or [`Error::Reserved`] if the bytes do not begin
    /// with the number of a signal.
    pub fn from_bytes(bytes: [u8; 128]) -> Result<Self, Error> {
        let mut record = Self::decode(bytes);
        Signal::try_from(record.signo)?;
        super::unseal(&mut record);
        Ok(record)
    }

    /// Reads a record from its bytes, whatever they are.
    pub(super) fn decode(bytes: [u8; 128]) -> Self {
        let mut rest = bytes.as_slice();
        Self {
            signo: i32::from_ne_bytes(take(&mut rest)),
            errno: i32::from_ne_bytes(take(&mut rest)),
            code: i32::from_ne_bytes(take(&mut rest)),
            pid: u32::from_ne_bytes(take(&mut rest)),
            uid: u32::from_ne_bytes(take(&mut rest)),
            fd: i32::from_ne_bytes(take(&mut rest)),
            tid: u32::from_ne_bytes(take(&mut rest)),
            band: u32::from_ne_bytes(take(&mut rest)),
            overrun: u32::from_ne_bytes(take(&mut rest)),
            trapno: u32::from_ne_bytes(take(&mut rest)),
            status: i32::from_ne_bytes(take(&mut rest)),
            int: i32::from_ne_bytes(take(&mut rest)),
            ptr: u64::from_ne_bytes(take(&mut rest)),
            utime: u64::from_ne_bytes(take(&mut rest)),
            stime: u64::from_ne_bytes(take(&mut rest)),
            addr: u64::from_ne_bytes(take(&mut rest)),
            addr_lsb: u16::from_ne_bytes(take(&mut rest)),
            pad2: u16::from_ne_bytes(take(&mut rest)),
            syscall: i32::from_ne_bytes(take(&mut rest)),
            call_addr: u64::from_ne_bytes(take(&mut rest)),
            arch: u32::from_ne_bytes(take(&mut rest)),
            pad: take(&mut rest),
            mark: u8::from_ne_bytes(take(&mut rest)),
        }
    }

    /// Returns the signal.
    #[must_use]
    pub const fn signal(&self) -> Signal {
        let [bit, ..] = self.signo.wrapping_sub(1).to_le_bytes();
        Signal::at(bit)
    }

    /// Returns the raw `si_code`, which says why the signal came.
    ///
    /// [`cause`](Self::cause) decodes it.
    #[doc(alias = "si_code")]
    #[doc(alias = "ssi_code")]
    #[must_use]
    pub const fn code(&self) -> i32 {
        self.code
    }

    /// Returns `si_errno`: zero, but for signals queued with a value chosen by the sender
    /// (`rt_sigqueueinfo(2)`), and for seccomp's data in a `SIGSYS`.
    #[doc(alias = "si_errno")]
    #[doc(alias = "ssi_errno")]
    #[must_use]
    pub const fn errno(&self) -> i32 {
        self.errno
    }

    /// Returns why the signal came, with all that goes with it.
    #[must_use]
    pub const fn cause(&self) -> Cause {
        Cause::of(self)
    }

    /// Returns who sent the signal, and whether the kernel vouches for it.
    #[must_use]
    pub const fn sender(&self) -> Sender {
        Sender::of(self)
    }

    /// Returns the process id of the sender, or of the child for `SIGCHLD`.
    ///
    /// It is the id in the receiver's PID namespace, 0 for a process outside it (but see
    /// [`Sender::Verified`]). The process may have ended since, and the id may have been reused.
    /// [`sender`](Self::sender) tells whether it can be trusted.
    #[doc(alias = "si_pid")]
    #[doc(alias = "ssi_pid")]
    #[must_use]
    pub const fn pid(&self) -> Option<u32> {
        match self.layout() {
            Layout::Kill if self.code == libc::SI_KERNEL => None,
            Layout::Kill | Layout::Queue | Layout::Child => Some(self.pid),
            _ => None,
        }
    }

    /// Returns the real user id of the sender, or of the child for `SIGCHLD`.
    #[doc(alias = "si_uid")]
    #[doc(alias = "ssi_uid")]
    #[must_use]
    pub const fn uid(&self) -> Option<u32> {
        match self.layout() {
            Layout::Kill if self.code == libc::SI_KERNEL => None,
            Layout::Kill | Layout::Queue | Layout::Child => Some(self.uid),
            _ => None,
        }
    }

    /// Returns the exit code of a child that exited, or the number of the signal
    /// that ended, stopped or continued it.
    #[doc(alias = "si_status")]
    #[doc(alias = "ssi_status")]
    #[must_use]
    pub const fn status(&self) -> Option<i32> {
        match self.layout() {
            Layout::Child => Some(self.status),
            _ => None,
        }
    }

    /// Returns the user CPU time of a child, in clock ticks (`sysconf(_SC_CLK_TCK)` per
    /// second, nearly always 100).
    #[doc(alias = "si_utime")]
    #[doc(alias = "ssi_utime")]
    #[must_use]
    pub const fn utime(&self) -> Option<u64> {
        match self.layout() {
            Layout::Child => Some(self.utime),
            _ => None,
        }
    }

    /// Returns the system CPU time of a child, in clock ticks.
    #[doc(alias = "si_stime")]
    #[doc(alias = "ssi_stime")]
    #[must_use]
    pub const fn stime(&self) -> Option<u64> {
        match self.layout() {
            Layout::Child => Some(self.stime),
            _ => None,
        }
    }

    /// Returns the value that came along, as an integer (`sival_int`): of
    /// `sigqueue(3)`, a POSIX timer, a message queue or asynchronous I/O.
    ///
    /// `None` too for a signal that a thread sent with `tgkill(2)`, which
    /// carries no value.
    #[doc(alias = "si_int")]
    #[doc(alias = "ssi_int")]
    #[must_use]
    #[inline]
    pub const fn value(&self) -> Option<i32> {
        if self.has_value() { Some(self.int) } else { None }
    }

    /// Returns the value that came along, as a pointer-sized number
    /// (`sival_ptr`). Both views are of one C union.
    #[doc(alias = "si_ptr")]
    #[doc(alias = "ssi_ptr")]
    #[must_use]
    pub const fn pointer(&self) -> Option<u64> {
        if self.has_value() { Some(self.ptr) } else { None }
    }

    #[inline]
    const fn has_value(&self) -> bool {
        // Of the layouts, those of a queued signal and of a timer.
        self.code < 0
            && self.code != libc::SI_TKILL
            && self.code != libc::SI_SIGIO
    }

    /// Returns the kernel's id of the POSIX timer that expired.
    #[doc(alias = "si_timerid")]
    #[doc(alias = "ssi_tid")]
    #[must_use]
    pub const fn timer_id(&self) -> Option<u32> {
        match self.layout() {
            Layout::Timer => Some(self.tid),
            _ => None,
        }
    }

    /// Returns how many more times the timer expired before this signal was
    /// received.
    #[doc(alias = "si_overrun")]
    #[doc(alias = "ssi_overrun")]
    #[must_use]
    pub const fn overrun(&self) -> Option<u32> {
        match self.layout() {
            Layout::Timer => Some(self.overrun),
            _ => None,
        }
    }

    /// Returns the descriptor that became ready, by the number it had when `O_ASYNC` was
    /// set (with `F_SETSIG`, `fcntl(2)`).
    #[doc(alias = "si_fd")]
    #[doc(alias = "ssi_fd")]
    #[must_use]
    pub const fn fd(&self) -> Option<i32> {
        match self.layout() {
            Layout::Poll => Some(self.fd),
            _ => None,
        }
    }

    /// Returns what the descriptor is ready for: the events of `poll(2)`.
    #[doc(alias = "si_band")]
    #[doc(alias = "ssi_band")]
    #[must_use]
    pub const fn band(&self) -> Option<u32> {
        match self.layout() {
            Layout::Poll => Some(self.band),
            _ => None,
        }
    }

    /// Returns the address at which a fault happened.
    #[doc(alias = "si_addr")]
    #[doc(alias = "ssi_addr")]
    #[must_use]
    pub const fn addr(&self) -> Option<u64> {
        match self.layout() {
            Layout::Fault | Layout::MemoryError => Some(self.addr),
            _ => None,
        }
    }

    /// Returns the least significant bit of the corrupted address, for a
    /// hardware memory error (`BUS_MCEERR_*`). Filled in since Linux 2.6.37.
    #[doc(alias = "si_addr_lsb")]
    #[doc(alias = "ssi_addr_lsb")]
    #[must_use]
    pub const fn addr_lsb(&self) -> Option<u16> {
        match self.layout() {
            Layout::MemoryError => Some(self.addr_lsb),
            _ => None,
        }
    }

    /// Returns the trap number of a fault. Only Alpha and SPARC have one, so it
    /// is `None` wherever this crate builds today.
    #[doc(alias = "si_trapno")]
    #[doc(alias = "ssi_trapno")]
    #[must_use]
    pub const fn trapno(&self) -> Option<u32> {
        match self.layout() {
            Layout::Fault if self.trapno != 0 => Some(self.trapno),
            _ => None,
        }
    }

    /// Returns the number of the system call that raised `SIGSYS`.
    ///
    /// Like [`call_addr`](Self::call_addr) and [`arch`](Self::arch) it is filled
    /// in since Linux 4.18; before, it is 0.
    #[doc(alias = "si_syscall")]
    #[doc(alias = "ssi_syscall")]
    #[must_use]
    pub const fn syscall(&self) -> Option<i32> {
        match self.layout() {
            Layout::Syscall => Some(self.syscall),
            _ => None,
        }
    }

    /// Returns the address of the system call instruction.
    #[doc(alias = "si_call_addr")]
    #[doc(alias = "ssi_call_addr")]
    #[must_use]
    pub const fn call_addr(&self) -> Option<u64> {
        match self.layout() {
            Layout::Syscall => Some(self.call_addr),
            _ => None,
        }
    }

    /// Returns the `AUDIT_ARCH_*` of the system call.
    #[doc(alias = "si_arch")]
    #[doc(alias = "ssi_arch")]
    #[must_use]
    pub const fn arch(&self) -> Option<u32> {
        match self.layout() {
            Layout::Syscall => Some(self.arch),
            _ => None,
        }
    }

    /// The value that came along, as the word that it is: a 32-bit process of a
    /// 64-bit big-endian kernel sees it whole only in `int`.
    pub(crate) const fn sigval(&self) -> u64 {
        if usize::BITS == 32 {
            u32::from_ne_bytes(self.int.to_ne_bytes()) as u64
        } else {
            self.ptr
        }
    }

    pub(crate) const fn set_sigval(&mut self, word: u64) {
        if usize::BITS == 32 {
            let [a, b, c, d, ..] = word.to_le_bytes();
            self.int = i32::from_le_bytes([a, b, c, d]);
        } else {
            self.ptr = word;
        }
    }

    /// Tells whether the record may be one that the crate has sent, going by its code:
    /// one of its own, or that of a timer. Below that of `sigqueue(3)` there are few
    /// others.
    #[inline]
    pub(crate) const fn may_be_ours(&self) -> bool {
        self.code < libc::SI_QUEUE
    }

    /// Tells whether this is what the kernel makes up where the queue has no room for
    /// a record.
    pub(crate) const fn has_lost_its_record(&self) -> bool {
        self.code == libc::SI_USER && self.pid == 0 && self.uid == 0
    }

    /// Tells whether the record was put back under the private code.
    pub(crate) const fn is_restored(&self) -> bool {
        self.mark == RESTORED
    }

    pub(crate) const fn layout(&self) -> Layout {
        Layout::of(self.signo, self.code)
    }
}

/// Takes the next `N` bytes; zeros past the end, which the callers never reach.
pub(super) fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    match rest.split_first_chunk() {
        Some((&head, tail)) => {
            *rest = tail;
            head
        }
        None => [0; N],
    }
}

impl fmt::Display for SigInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cause={}", self.signal(), self.cause())?;
        if let (Some(pid), Some(uid)) = (self.pid(), self.uid()) {
            write!(f, " pid={pid} uid={uid}")?;
        }
        write!(f, " sender={}", self.sender())?;
        if let Some(value) = self.value() {
            write!(f, " value={value}")?;
        }
        if let Some(overrun) = self.overrun() {
            write!(f, " overrun={overrun}")?;
        }
        if let Some(status) = self.status() {
            write!(f, " status={status}")?;
        }
        if let (Some(fd), Some(band)) = (self.fd(), self.band()) {
            write!(f, " fd={fd} band={band:#x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for SigInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigInfo")
            .field("signal", &self.signal())
            .field("code", &self.code)
            .field("cause", &self.cause())
            .field("sender", &self.sender())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;

    use super::*;

    fn record(signal: i32, code: i32) -> SigInfo {
        SigInfo {
            signo: signal,
            errno: 1,
            code,
            pid: 2,
            uid: 3,
            fd: 4,
            tid: 5,
            band: 6,
            overrun: 7,
            trapno: 8,
            status: 9,
            int: 10,
            ptr: 11,
            utime: 12,
            stime: 13,
            addr: 14,
            addr_lsb: 15,
            syscall: 16,
            call_addr: 17,
            arch: 18,
            ..SigInfo::EMPTY
        }
    }

    /// Every getter as one row, in the order of the kernel's record.
    fn row(info: &SigInfo) -> [Option<u64>; 17] {
        [
            info.pid().map(u64::from),
            info.uid().map(u64::from),
            info.fd().map(|n| u64::try_from(n).unwrap()),
            info.timer_id().map(u64::from),
            info.band().map(u64::from),
            info.overrun().map(u64::from),
            info.trapno().map(u64::from),
            info.status().map(|n| u64::try_from(n).unwrap()),
            info.value().map(|n| u64::try_from(n).unwrap()),
            info.pointer(),
            info.utime(),
            info.stime(),
            info.addr(),
            info.addr_lsb().map(u64::from),
            info.syscall().map(|n| u64::try_from(n).unwrap()),
            info.call_addr(),
            info.arch().map(u64::from),
        ]
    }

    /// The values of [`record`] at the places of [`row`], where `fields` says.
    fn only(fields: &[u64]) -> [Option<u64>; 17] {
        core::array::from_fn(|i| {
            let value = i as u64 + 2;
            fields.contains(&value).then_some(value)
        })
    }

    #[test]
    fn getters_show_what_the_cause_defines_and_nothing_else() {
        let rows = [
            (libc::SIGTERM, libc::SI_USER, &[2, 3][..]),
            (libc::SIGTERM, libc::SI_KERNEL, &[]),
            (libc::SIGTERM, i32::MAX, &[2, 3]),
            (libc::SIGTERM, libc::SI_TKILL, &[2, 3]),
            (libc::SIGTERM, libc::SI_QUEUE, &[2, 3, 10, 11]),
            (libc::SIGTERM, libc::SI_MESGQ, &[2, 3, 10, 11]),
            (libc::SIGTERM, libc::SI_TIMER, &[5, 7, 10, 11]),
            (libc::SIGTERM, libc::SI_SIGIO, &[4, 6]),
            (libc::SIGIO, 1, &[4, 6]),
            (libc::SIGCHLD, libc::CLD_EXITED, &[2, 3, 9, 12, 13]),
            (libc::SIGSEGV, 1, &[8, 14]),
            (libc::SIGBUS, 4, &[14, 15]),
            (libc::SIGSYS, 1, &[16, 17, 18]),
        ];
        for (signal, code, fields) in rows {
            let info = record(signal, code);
            assert_eq!(row(&info), only(fields), "{signal} {code}");
            assert_eq!(info.errno(), 1);
            assert_eq!(info.code(), code);
            assert_eq!(info.signal().as_raw(), signal);
        }
    }

    #[test]
    fn bytes_are_read_in_the_order_of_the_header() {
        let mut bytes = [0; 128];
        bytes[0..4].copy_from_slice(&15_u32.to_ne_bytes());
        bytes[8..12].copy_from_slice(&libc::SI_QUEUE.to_ne_bytes());
        bytes[12..16].copy_from_slice(&4711_u32.to_ne_bytes());
        bytes[16..20].copy_from_slice(&1000_u32.to_ne_bytes());
        bytes[44..48].copy_from_slice(&(-42_i32).to_ne_bytes());
        bytes[48..56].copy_from_slice(&u64::MAX.to_ne_bytes());
        let info = SigInfo::from_bytes(bytes).unwrap();
        assert_eq!(info.signal(), Signal::TERM);
        assert_eq!(info.pid(), Some(4711));
        assert_eq!(info.uid(), Some(1000));
        assert_eq!(info.value(), Some(-42));
        assert_eq!(info.pointer(), Some(u64::MAX));
    }

    /// The bytes may be those of a record that has been put back and read.
    #[test]
    fn bytes_keep_the_mark_of_what_was_put_back() {
        let mut bytes = [0; 128];
        bytes[0..4].copy_from_slice(&15_u32.to_ne_bytes());
        bytes[12..16].copy_from_slice(&4711_u32.to_ne_bytes());
        let verified = Sender::Verified { pid: 4711, uid: 0 };
        assert_eq!(SigInfo::from_bytes(bytes).unwrap().sender(), verified);
        bytes[127] = RESTORED;
        let claimed = Sender::Claimed { pid: 4711, uid: 0 };
        assert_eq!(SigInfo::from_bytes(bytes).unwrap().sender(), claimed);
    }

    #[test]
    fn only_codes_below_that_of_sigqueue_may_be_ours() {
        let of = |code| SigInfo { code, ..SigInfo::EMPTY };
        for code in [i32::MIN, -100, libc::SI_TIMER] {
            assert!(of(code).may_be_ours(), "{code}");
        }
        for code in [libc::SI_QUEUE, libc::SI_USER, libc::SI_KERNEL, i32::MAX] {
            assert!(!of(code).may_be_ours(), "{code}");
        }
    }

    #[test]
    fn a_record_that_was_lost_is_of_nobody() {
        let lost = SigInfo { code: libc::SI_USER, ..SigInfo::EMPTY };
        assert!(lost.has_lost_its_record());
        for other in [
            SigInfo { code: libc::SI_QUEUE, ..lost },
            SigInfo { pid: 1, ..lost },
            SigInfo { uid: 1, ..lost },
        ] {
            assert!(!other.has_lost_its_record());
        }
    }

    #[test]
    fn bytes_without_a_signal_are_refused() {
        for signo in [0_u32, 65, u32::MAX, 32] {
            let mut bytes = [0; 128];
            bytes[0..4].copy_from_slice(&signo.to_ne_bytes());
            assert!(SigInfo::from_bytes(bytes).is_err(), "{signo}");
        }
    }

    #[test]
    fn display_is_one_line_with_what_there_is() {
        let line = |signal, code| record(signal, code).to_string();
        assert_eq!(
            line(libc::SIGHUP, libc::SI_USER),
            "SIGHUP cause=kill pid=2 uid=3 sender=verified"
        );
        assert_eq!(
            line(libc::SIGCHLD, libc::CLD_EXITED),
            "SIGCHLD cause=exited pid=2 uid=3 sender=kernel status=9"
        );
        assert_eq!(
            line(libc::SIGALRM, libc::SI_TIMER),
            "SIGALRM cause=timer sender=claimed value=10 overrun=7"
        );
        assert_eq!(
            line(libc::SIGUSR1, libc::SI_QUEUE),
            "SIGUSR1 cause=queue pid=2 uid=3 sender=claimed value=10"
        );
        assert_eq!(
            line(libc::SIGIO, 1),
            "SIGIO cause=io sender=kernel fd=4 band=0x6"
        );
    }
}
