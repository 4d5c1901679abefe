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
