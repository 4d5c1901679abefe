//! The record as the kernel takes it.

use super::{Layout, SigInfo};

/// The kernel's `siginfo_t`: three numbers and a union.
#[repr(C)]
pub(crate) struct KernelSigInfo {
    signo: i32,
    errno: i32,
    code: i32,
    #[cfg(target_pointer_width = "64")]
    pad: i32,
    union: [u8; UNION],
}

const WORD: usize = size_of::<usize>();
const UNION: usize = 128 - if WORD == 8 { 16 } else { 12 };
const _: () = assert!(size_of::<KernelSigInfo>() == 128);

impl KernelSigInfo {
    /// Does the reverse of `signalfd_copyinfo()` in `fs/signalfd.c`. The members
    /// of the union are laid out as in `include/uapi/asm-generic/siginfo.h`.
    pub(crate) fn new(info: &SigInfo) -> Self {
        let mut record = Self {
            signo: info.signo,
            errno: info.errno,
            code: info.code,
            #[cfg(target_pointer_width = "64")]
            pad: 0,
            union: [0; UNION],
        };
        match info.layout() {
            Layout::Kill | Layout::Queue => {
                record.put(0, info.pid.to_ne_bytes());
                record.put(4, info.uid.to_ne_bytes());
                record.put(8, word(info.sigval()));
            }
            Layout::Timer => {
                record.put(0, info.tid.to_ne_bytes());
                record.put(4, info.overrun.to_ne_bytes());
                record.put(8, word(info.sigval()));
            }
            Layout::Child => {
                // `clock_t` is aligned to its own size, after three numbers.
                let utime = 12_usize.next_multiple_of(WORD);
                record.put(0, info.pid.to_ne_bytes());
                record.put(4, info.uid.to_ne_bytes());
                record.put(8, info.status.to_ne_bytes());
                record.put(utime, word(info.utime));
                record.put(utime + WORD, word(info.stime));
            }
            Layout::Poll => {
                record.put(0, word(info.band.into()));
                record.put(WORD, info.fd.to_ne_bytes());
            }
            Layout::Fault => {
                record.put(0, word(info.addr));
                record.put(WORD, info.trapno.to_ne_bytes());
            }
            Layout::MemoryError => {
                record.put(0, word(info.addr));
                record.put(WORD, info.addr_lsb.to_ne_bytes());
            }
            Layout::Syscall => {
                record.put(0, word(info.call_addr));
                record.put(WORD, info.syscall.to_ne_bytes());
                record.put(WORD + 4, info.arch.to_ne_bytes());
            }
        }
        record
    }

    /// Does what `signalfd_copyinfo()` does.
    pub(crate) fn record(&self) -> SigInfo {
        let mut info = SigInfo {
            signo: self.signo,
            errno: self.errno,
            code: self.code,
            ..SigInfo::EMPTY
        };
        let number = |offset| u32::from_ne_bytes(self.get(offset));
        let signed = |offset| i32::from_ne_bytes(self.get(offset));
        let word = |offset| widen(self.get(offset));
        match info.layout() {
            Layout::Kill => {
                info.pid = number(0);
                info.uid = number(4);
            }
            Layout::Queue => {
                info.pid = number(0);
                info.uid = number(4);
                info.int = signed(8);
                info.ptr = word(8);
            }
            Layout::Timer => {
                info.tid = number(0);
                info.overrun = number(4);
                info.int = signed(8);
                info.ptr = word(8);
            }
            Layout::Child => {
                let utime = 12_usize.next_multiple_of(WORD);
                info.pid = number(0);
                info.uid = number(4);
                info.status = signed(8);
                info.utime = word(utime);
                info.stime = word(utime + WORD);
            }
            Layout::Poll => {
                // The union has a word, of which a record shows the lower half.
                let [a, b, c, d, ..] = word(0).to_le_bytes();
                info.band = u32::from_le_bytes([a, b, c, d]);
                info.fd = signed(WORD);
            }
            Layout::Fault => {
                info.addr = word(0);
                info.trapno = number(WORD);
            }
            Layout::MemoryError => {
                info.addr = word(0);
                info.addr_lsb = u16::from_ne_bytes(self.get(WORD));
            }
            Layout::Syscall => {
                info.call_addr = word(0);
                info.syscall = signed(WORD);
                info.arch = number(WORD + 4);
            }
        }
        info
    }

    fn get<const N: usize>(&self, offset: usize) -> [u8; N] {
        let bytes = self.union.get(offset..).unwrap_or_default();
        bytes.first_chunk().copied().unwrap_or([0; N])
    }

    fn put<const N: usize>(&mut self, offset: usize, bytes: [u8; N]) {
        if let Some(room) = self.union.get_mut(offset..offset + N) {
            room.copy_from_slice(&bytes);
        }
    }
}

/// A word of this machine, which the kernel has widened to 64 bits.
#[expect(clippy::cast_possible_truncation, reason = "undoes the widening")]
const fn word(value: u64) -> [u8; WORD] {
    (value as usize).to_ne_bytes()
}

/// The reverse of [`word`], as the kernel does it.
#[expect(clippy::cast_sign_loss, reason = "keeps the bits")]
const fn widen(bytes: [u8; WORD]) -> u64 {
    isize::from_ne_bytes(bytes) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a record of each layout, all that the layout has is kept.
    #[test]
    fn a_record_comes_back_as_it_was() {
        let records = [
            (libc::SIGTERM, libc::SI_USER),
            (libc::SIGTERM, libc::SI_QUEUE),
            (libc::SIGTERM, libc::SI_TIMER),
            (libc::SIGCHLD, libc::CLD_EXITED),
            (libc::SIGIO, 1),
            (libc::SIGSEGV, 1),
            (libc::SIGBUS, 4),
            (libc::SIGSYS, 1),
        ];
        for (signo, code) in records {
            let mut union = [0; UNION];
            for (byte, at) in union.iter_mut().zip(1..) {
                *byte = at;
            }
            let mut kernel =
                KernelSigInfo::new(&SigInfo { signo, code, ..SigInfo::EMPTY });
            kernel.union = union;
            let info = kernel.record();
            assert_eq!(KernelSigInfo::new(&info).record(), info);
            let has_value = matches!(code, libc::SI_QUEUE | libc::SI_TIMER);
            assert_eq!(info.value().is_some_and(|value| value != 0), has_value);
            assert_ne!(info, SigInfo { signo, code, ..SigInfo::EMPTY });
        }
    }
}
