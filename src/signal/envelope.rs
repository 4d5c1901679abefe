//! How a record travels through the kernel under a code of our own.
//!
//! Only the main thread may queue a record whose `si_code` the kernel reserves
//! to itself (`si_code >= 0`, and `SI_TKILL`), unless the kernel has a newer call
//! (`sys::pidfd_send_signal`). From any other thread such a record is *sealed*: sent
//! under a private negative code that carries the real one, and *opened* again when
//! it is read. For a negative code the kernel returns four fields, `pid`, `uid`, the
//! value and `errno`, so what the record holds is moved into these:
//!
//! | layout | `pid` | `uid` | value | `errno` | in the code |
//! |---|---|---|---|---|---|
//! | kill, tgkill | pid | uid | value | errno | code |
//! | child | pid | uid | times | times | code, status |
//! | poll | band | fd | | errno | code |
//! | fault | `addr_lsb` | trapno | addr | errno | code |
//! | syscall | syscall | arch | `call_addr` | errno | code |
//!
//! Anyone may send the private code, so an unsealed record is marked, and its
//! sender is never verified.

use super::info::RESTORED;
use super::{Layout, SigInfo};

/// The upper half of the private code; negative, and used by nothing we know.
/// The lower half is the status (8 bits) and the real code (8 bits).
const PRIVATE: i16 = -0x4F3B;

/// The code of a record that the crate sends to a thread, to have its handler run
/// there. It is none of ours for [`unseal`].
pub(crate) const PROBE: i32 = private([0xF0, 0xFF]);

/// The private code with this lower half.
const fn private([code, status]: [u8; 2]) -> i32 {
    let [low, high] = PRIVATE.to_le_bytes();
    i32::from_le_bytes([code, status, low, high])
}

/// Whether a code is one of ours: of a sealed record, or of a probe.
#[inline]
const fn is_private(code: i32) -> bool {
    let [.., a, b] = code.to_le_bytes();
    i16::from_le_bytes([a, b]) == PRIVATE
}

/// Seals a record, or returns `None` if it is none that the kernel makes.
pub(crate) fn seal(info: &SigInfo) -> Option<SigInfo> {
    let code = match info.code {
        libc::SI_TKILL => libc::SI_TKILL.to_le_bytes()[0],
        code @ 0..=libc::SI_KERNEL => u8::try_from(code).ok()?,
        _ => return None,
    };
    let mut sealed =
        SigInfo { signo: info.signo, errno: info.errno, ..SigInfo::EMPTY };
    let mut status = 0;
    match info.layout() {
        Layout::Kill | Layout::Queue => {
            sealed.pid = info.pid;
            sealed.uid = info.uid;
            sealed.set_sigval(info.sigval());
        }
        Layout::Child => {
            status = u8::try_from(info.status).ok()?;
            if info.errno != 0 {
                return None;
            }
            sealed.pid = info.pid;
            sealed.uid = info.uid;
            let (ptr, errno) = pack(info.utime, info.stime)?;
            sealed.set_sigval(ptr);
            sealed.errno = signed(errno);
        }
        Layout::Poll => {
            sealed.pid = info.band;
            sealed.uid = unsigned(info.fd);
        }
        Layout::Fault | Layout::MemoryError => {
            sealed.pid = u32::from(info.addr_lsb);
            sealed.uid = info.trapno;
            sealed.set_sigval(info.addr);
        }
        Layout::Syscall => {
            sealed.pid = unsigned(info.syscall);
            sealed.uid = info.arch;
            sealed.set_sigval(info.call_addr);
        }
        Layout::Timer => return None,
    }
    sealed.code = private([code, status]);
    Some(sealed)
}

/// Unseals a record if it is sealed; any other is left as it is.
#[inline]
pub(crate) fn unseal(info: &mut SigInfo) {
    if is_private(info.code) {
        unseal_private(info);
    }
}

#[cold]
fn unseal_private(info: &mut SigInfo) {
    let [code, status, ..] = info.code.to_le_bytes();
    let code = match code {
        0..=0x80 => i32::from(code),
        _ if code == libc::SI_TKILL.to_le_bytes()[0] => libc::SI_TKILL,
        _ => return,
    };
    let sealed = *info;
    *info = SigInfo {
        signo: sealed.signo,
        errno: sealed.errno,
        code,
        mark: RESTORED,
        ..SigInfo::EMPTY
    };
    match info.layout() {
        Layout::Kill => {
            info.pid = sealed.pid;
            info.uid = sealed.uid;
        }
        Layout::Queue | Layout::Timer => {
            info.pid = sealed.pid;
            info.uid = sealed.uid;
            info.int = sealed.int;
            info.ptr = sealed.ptr;
        }
        Layout::Child => {
            info.errno = 0;
            info.pid = sealed.pid;
            info.uid = sealed.uid;
            info.status = i32::from(status);
            let errno = unsigned(sealed.errno);
            (info.utime, info.stime) = unpack(sealed.sigval(), errno);
        }
        Layout::Poll => {
            info.band = sealed.pid;
            info.fd = signed(sealed.uid);
        }
        Layout::Fault | Layout::MemoryError => {
            let [low, high, ..] = sealed.pid.to_le_bytes();
            info.addr_lsb = u16::from_le_bytes([low, high]);
            info.trapno = sealed.uid;
            info.addr = sealed.sigval();
        }
        Layout::Syscall => {
            info.syscall = signed(sealed.pid);
            info.arch = sealed.uid;
            info.call_addr = sealed.sigval();
        }
    }
}

const fn signed(number: u32) -> i32 {
    i32::from_ne_bytes(number.to_ne_bytes())
}

const fn unsigned(number: i32) -> u32 {
    u32::from_ne_bytes(number.to_ne_bytes())
}

/// Packs the two CPU times of a child into a pointer and 32 bits, if they fit:
/// 48 bits each, which at 100 ticks to the second is 89,000 years.
#[cfg(target_pointer_width = "64")]
use wide::{pack, unpack};

/// As above: 32 bits each, which is what `clock_t` has there.
#[cfg(target_pointer_width = "32")]
use narrow::{pack, unpack};

#[cfg(any(test, target_pointer_width = "64"))]
mod wide {
    pub(super) fn pack(utime: u64, stime: u64) -> Option<(u64, u32)> {
        let fits = (utime | stime) >> 48 == 0;
        let high = u32::try_from(stime >> 16).ok()?;
        fits.then_some((utime | stime << 48, high))
    }

    pub(super) const fn unpack(ptr: u64, errno: u32) -> (u64, u64) {
        let utime = ptr & ((1 << 48) - 1);
        let stime = ptr >> 48 | (errno as u64) << 16;
        (utime, stime)
    }
}

#[cfg(any(test, target_pointer_width = "32"))]
mod narrow {
    pub(super) fn pack(utime: u64, stime: u64) -> Option<(u64, u32)> {
        let utime = u32::try_from(utime).ok()?;
        Some((u64::from(utime), u32::try_from(stime).ok()?))
    }

    pub(super) const fn unpack(ptr: u64, errno: u32) -> (u64, u64) {
        (ptr & 0xFFFF_FFFF, errno as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a sealed record looks like when the kernel has carried it: of a
    /// negative code, only these fields are reported.
    fn through_the_kernel(sealed: &SigInfo) -> SigInfo {
        assert_eq!(sealed.layout(), Layout::Queue);
        let ptr = usize::try_from(sealed.sigval()).unwrap();
        let [a, b, c, d, ..] = ptr.to_ne_bytes();
        SigInfo {
            signo: sealed.signo,
            errno: sealed.errno,
            code: sealed.code,
            pid: sealed.pid,
            uid: sealed.uid,
            int: i32::from_ne_bytes([a, b, c, d]),
            ptr: sign_extended(ptr),
            ..SigInfo::EMPTY
        }
    }

    /// How the kernel widens a pointer to the record's 64 bits.
    fn sign_extended(ptr: usize) -> u64 {
        let ptr = isize::from_ne_bytes(ptr.to_ne_bytes());
        u64::from_ne_bytes(i64::try_from(ptr).unwrap().to_ne_bytes())
    }

    fn record(signal: i32, code: i32) -> SigInfo {
        SigInfo { signo: signal, code, ..SigInfo::EMPTY }
    }

    #[test]
    fn a_sealed_record_unseals_to_what_it_was() {
        let ids = |info| SigInfo { pid: u32::MAX, uid: 65534, ..info };
        let child = |state, status, utime, stime| SigInfo {
            status,
            utime,
            stime,
            ..ids(record(libc::SIGCHLD, state))
        };
        let longest = if cfg!(target_pointer_width = "64") {
            (1 << 48) - 1
        } else {
            u64::from(u32::MAX)
        };
        let records = [
            ids(record(libc::SIGTERM, libc::SI_USER)),
            ids(record(64, libc::SI_TKILL)),
            record(libc::SIGINT, libc::SI_KERNEL),
            child(libc::CLD_EXITED, 255, 0, 0),
            child(libc::CLD_KILLED, 9, 123, 456),
            child(libc::CLD_CONTINUED, 18, longest, longest),
            SigInfo { band: 0x41, fd: -1, ..record(libc::SIGIO, 1) },
            SigInfo { band: u32::MAX, fd: i32::MAX, ..record(40, 6) },
            SigInfo { addr: 0x1234_5678, errno: 3, ..record(libc::SIGTRAP, 1) },
            SigInfo { addr: 0x1000, addr_lsb: 12, ..record(libc::SIGBUS, 5) },
            SigInfo {
                syscall: -1,
                arch: u32::MAX,
                call_addr: 0x1000,
                errno: -7,
                ..record(libc::SIGSYS, 1)
            },
        ];
        for info in records {
            let mut back = through_the_kernel(&seal(&info).unwrap());
            unseal(&mut back);
            assert_eq!(back.mark, RESTORED);
            back.mark = 0;
            assert_eq!(back, info);
        }
    }

    #[test]
    fn cpu_times_are_carried_as_far_as_they_fit() {
        let longest = (1 << 48) - 1;
        for (utime, stime) in
            [(0, 0), (1, 0), (0, 1), (0x1_2345, 0x6_789A), (longest, longest)]
        {
            let (ptr, errno) = wide::pack(utime, stime).unwrap();
            assert_eq!(wide::unpack(ptr, errno), (utime, stime));
        }
        assert_eq!(wide::pack(longest + 1, 0), None);
        assert_eq!(wide::pack(0, longest + 1), None);
        assert_eq!(wide::pack(longest + 1, longest + 1), None);

        let longest = u64::from(u32::MAX);
        for (utime, stime) in
            [(0, 0), (1, 0), (0, 1), (0x1_2345, 0x6_789A), (longest, longest)]
        {
            let (ptr, errno) = narrow::pack(utime, stime).unwrap();
            assert_eq!(u32::try_from(ptr).map(u64::from), Ok(utime));
            // As the kernel widens it.
            for ptr in [ptr, ptr | 0xFFFF_FFFF_0000_0000] {
                assert_eq!(narrow::unpack(ptr, errno), (utime, stime));
            }
        }
        assert_eq!(narrow::pack(longest + 1, 0), None);
        assert_eq!(narrow::pack(0, longest + 1), None);
    }

    #[test]
    fn what_cannot_be_carried_is_not_sealed() {
        let child = record(libc::SIGCHLD, libc::CLD_EXITED);
        for info in [
            record(libc::SIGTERM, libc::SI_QUEUE),
            record(libc::SIGTERM, libc::SI_TIMER),
            record(libc::SIGTERM, i32::MAX),
            SigInfo { status: 256, ..child },
            SigInfo { status: -1, ..child },
            SigInfo { utime: 1 << 48, ..child },
            SigInfo { stime: 1 << 48, ..child },
            SigInfo { errno: 1, ..child },
        ] {
            assert_eq!(seal(&info), None, "{}", info.code);
        }
    }

    #[test]
    fn other_codes_are_left_alone() {
        assert!(is_private(PROBE));
        let private = i32::from(PRIVATE) << 16;
        for code in [
            libc::SI_USER,
            libc::SI_QUEUE,
            libc::SI_TIMER,
            i32::MIN,
            private - 1,
            private + 0x1_0000,
            private + 0x81,
            private + 0xFF,
            PROBE,
        ] {
            let info = record(libc::SIGTERM, code);
            let mut opened = info;
            unseal(&mut opened);
            assert_eq!(opened, info, "{code:#x}");
        }
    }
}
