//! Any 128 bytes as a record, against a decoder of their own.
//!
//! It is written from `include/uapi/linux/signalfd.h` (where a field is),
//! `siginfo_layout()` in `kernel/signal.c` and `signalfd_copyinfo()` in `fs/signalfd.c`
//! (which of them is filled in), and from the table at the head of `envelope.rs`.

extern crate std;

use std::format;
use std::string::ToString;
use std::vec::Vec;

use crate::signal::{KernelSigInfo, Layout, seal, unseal};
use crate::{Cause, ChildState, Error, Sender, SigInfo, SignalSet};

/// `SIL_*` of the kernel. The `SIL_FAULT_*` that a signalfd does not tell apart are one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Union {
    Kill,
    Timer,
    Poll,
    Fault,
    MemoryError,
    Child,
    Queue,
    Syscall,
}

/// `sig_sicodes`: up to which code a signal has members of its own, and which.
const CODES: [(i32, i32, Union); 8] = [
    (4, 11, Union::Fault),   // SIGILL
    (8, 15, Union::Fault),   // SIGFPE
    (11, 10, Union::Fault),  // SIGSEGV
    (7, 5, Union::Fault),    // SIGBUS
    (5, 6, Union::Fault),    // SIGTRAP
    (17, 6, Union::Child),   // SIGCHLD
    (29, 6, Union::Poll),    // SIGPOLL
    (31, 2, Union::Syscall), // SIGSYS
];

fn union_of(signo: i32, code: i32) -> Union {
    if code > 0 && code < 0x80 {
        let own = CODES.iter().find(|row| row.0 == signo && code <= row.1);
        return match own {
            Some(_) if signo == 7 && (code == 4 || code == 5) => {
                Union::MemoryError
            }
            Some(row) => row.2,
            None if code <= 6 => Union::Poll,
            None => Union::Kill,
        };
    }
    match code {
        -2 => Union::Timer,
        -5 => Union::Poll,
        _ if code < 0 => Union::Queue,
        _ => Union::Kill,
    }
}

/// A record as bytes.
#[derive(Clone)]
struct Bytes([u8; 128]);

impl Bytes {
    fn get<const N: usize>(&self, at: usize) -> [u8; N] {
        core::array::from_fn(|i| self.0[at + i])
    }

    fn set<const N: usize>(&mut self, at: usize, value: [u8; N]) {
        self.0[at..at + N].copy_from_slice(&value);
    }

    fn short(&self, at: usize) -> u16 {
        u16::from_ne_bytes(self.get(at))
    }

    fn number(&self, at: usize) -> u32 {
        u32::from_ne_bytes(self.get(at))
    }

    fn signed(&self, at: usize) -> i32 {
        i32::from_ne_bytes(self.get(at))
    }

    fn long(&self, at: usize) -> u64 {
        u64::from_ne_bytes(self.get(at))
    }

    fn union(&self) -> Union {
        union_of(self.signed(0), self.signed(8))
    }

    const fn is_restored(&self) -> bool {
        self.0[127] == 1
    }

    /// The value that came along, as the word that a process of this width has.
    fn sigval(&self) -> u64 {
        if cfg!(target_pointer_width = "32") {
            self.number(44).into()
        } else {
            self.long(48)
        }
    }

    /// The record that was sent under the private code, or the record itself.
    fn opened(&self) -> Self {
        let [code, status, high, higher] = self.signed(8).to_le_bytes();
        let real = match code {
            0..=0x80 => i32::from(code),
            0xFA => -6,
            _ => return self.clone(),
        };
        if i16::from_le_bytes([high, higher]) != -0x4F3B {
            return self.clone();
        }
        let mut open = Self([0; 128]);
        open.set::<8>(0, self.get(0));
        open.set(8, real.to_ne_bytes());
        open.0[127] = 1;
        let (sigval, errno) = (self.sigval(), u64::from(self.number(4)));
        match open.union() {
            Union::Kill => open.set::<8>(12, self.get(12)),
            Union::Queue | Union::Timer => {
                open.set::<8>(12, self.get(12));
                open.set::<12>(44, self.get(44));
            }
            Union::Child => {
                open.set(4, [0; 4]);
                open.set::<8>(12, self.get(12));
                open.set(40, i32::from(status).to_ne_bytes());
                let (utime, stime) = if cfg!(target_pointer_width = "32") {
                    (sigval, errno)
                } else {
                    (sigval << 16 >> 16, sigval >> 48 | errno << 16)
                };
                open.set(56, utime.to_ne_bytes());
                open.set(64, stime.to_ne_bytes());
            }
            Union::Poll => {
                open.set::<4>(28, self.get(12));
                open.set::<4>(20, self.get(16));
            }
            Union::Fault | Union::MemoryError => {
                let [low, high, ..] = self.number(12).to_le_bytes();
                let lsb = u16::from_le_bytes([low, high]);
                open.set(80, lsb.to_ne_bytes());
                open.set::<4>(36, self.get(16));
                open.set(72, sigval.to_ne_bytes());
            }
            Union::Syscall => {
                open.set::<4>(84, self.get(12));
                open.set::<4>(96, self.get(16));
                open.set(88, sigval.to_ne_bytes());
            }
        }
        open
    }

    fn sender(&self) -> Sender {
        let (pid, uid) = (self.number(12), self.number(16));
        match self.signed(8) {
            0 | -6 if pid == 0 => Sender::Unknown,
            0 | -6 if !self.is_restored() => Sender::Verified { pid, uid },
            code if code > 0 && !self.is_restored() => Sender::Kernel,
            _ => Sender::Claimed { pid, uid },
        }
    }

    fn cause(&self) -> Cause {
        use ChildState as State;
        let (code, value) = (self.signed(8), self.signed(44));
        match self.union() {
            Union::Timer => Cause::Timer {
                id: self.number(24),
                overrun: self.number(32),
                value,
            },
            Union::Poll => {
                Cause::Io { fd: self.signed(20), band: self.number(28) }
            }
            Union::Fault | Union::MemoryError => {
                Cause::Fault { addr: self.long(72) }
            }
            Union::Syscall => Cause::Syscall {
                syscall: self.signed(84),
                call_addr: self.long(88),
                arch: self.number(96),
            },
            Union::Child => Cause::Child {
                state: match code {
                    1 => State::Exited,
                    2 => State::Killed,
                    3 => State::Dumped,
                    4 => State::Trapped,
                    5 => State::Stopped,
                    _ => State::Continued,
                },
                pid: self.number(12),
                uid: self.number(16),
                status: self.signed(40),
                utime: self.long(56),
                stime: self.long(64),
            },
            Union::Kill | Union::Queue => match code {
                0 => Cause::Kill,
                0x80 => Cause::Kernel,
                -1 => Cause::Queue { value },
                -3 => Cause::MessageQueue { value },
                -4 => Cause::AsyncIo { value },
                -6 => Cause::Tgkill,
                _ => Cause::Other { code },
            },
        }
    }
}

pub(super) fn run(data: &[u8]) {
    let mut bytes = Bytes([0; 128]);
    for (byte, given) in bytes.0.iter_mut().zip(data) {
        *byte = *given;
    }
    let signo = bytes.number(0);
    let reserved = u32::try_from(libc::SIGRTMIN()).unwrap();
    let info = match SigInfo::from_bytes(bytes.0) {
        Ok(info) => info,
        Err(Error::InvalidNumber(number)) => {
            assert!(signo == 0 || signo > 64, "{signo}");
            assert_eq!(number, bytes.signed(0));
            return;
        }
        Err(error) => {
            assert!((32..reserved).contains(&signo), "{signo}");
            let set = SignalSet::from_bits_retain(1 << (signo - 1));
            assert_eq!(error, Error::Reserved(set));
            return;
        }
    };
    assert!((1..32).contains(&signo) || (reserved..=64).contains(&signo));
    let opened = bytes.opened();
    assert_eq!(info.to_words().map(u64::to_ne_bytes).concat(), opened.0);
    assert_eq!(SigInfo::from_words(info.to_words()), info);
    compare(&info, &opened);
    print(&info);
    carry(&info);
}

/// Every getter.
fn compare(info: &SigInfo, bytes: &Bytes) {
    let (union, code) = (bytes.union(), bytes.signed(8));
    let of = |unions: &[Union]| unions.contains(&union).then_some(());
    let number = |at| bytes.number(at);
    let signed = |at| bytes.signed(at);
    let long = |at| bytes.long(at);

    assert_eq!(info.signal().as_raw(), signed(0));
    assert_eq!(info.errno(), signed(4));
    assert_eq!(info.code(), code);
    let process = of(&[Union::Kill, Union::Queue, Union::Child]);
    let process = process.filter(|()| code != 0x80);
    assert_eq!(info.pid(), process.map(|()| number(12)));
    assert_eq!(info.uid(), process.map(|()| number(16)));
    let poll = of(&[Union::Poll]);
    assert_eq!(info.fd(), poll.map(|()| signed(20)));
    assert_eq!(info.band(), poll.map(|()| number(28)));
    let timer = of(&[Union::Timer]);
    assert_eq!(info.timer_id(), timer.map(|()| number(24)));
    assert_eq!(info.overrun(), timer.map(|()| number(32)));
    let trapno = of(&[Union::Fault]).map(|()| number(36));
    assert_eq!(info.trapno(), trapno.filter(|&number| number != 0));
    let child = of(&[Union::Child]);
    assert_eq!(info.status(), child.map(|()| signed(40)));
    assert_eq!(info.utime(), child.map(|()| long(56)));
    assert_eq!(info.stime(), child.map(|()| long(64)));
    let value = of(&[Union::Queue, Union::Timer]).filter(|()| code != -6);
    assert_eq!(info.value(), value.map(|()| signed(44)));
    assert_eq!(info.pointer(), value.map(|()| long(48)));
    let fault = of(&[Union::Fault, Union::MemoryError]);
    assert_eq!(info.addr(), fault.map(|()| long(72)));
    let lsb = of(&[Union::MemoryError]).map(|()| bytes.short(80));
    assert_eq!(info.addr_lsb(), lsb);
    let syscall = of(&[Union::Syscall]);
    assert_eq!(info.syscall(), syscall.map(|()| signed(84)));
    assert_eq!(info.call_addr(), syscall.map(|()| long(88)));
    assert_eq!(info.arch(), syscall.map(|()| number(96)));
    assert_eq!(info.sender(), bytes.sender());
    assert_eq!(info.cause(), bytes.cause());
}

/// It is one line, with every getter that the line has.
fn print(info: &SigInfo) {
    let line = info.to_string();
    let mut words = Vec::new();
    words.push(info.signal().to_string());
    words.push(format!("cause={}", info.cause()));
    if let (Some(pid), Some(uid)) = (info.pid(), info.uid()) {
        words.push(format!("pid={pid}"));
        words.push(format!("uid={uid}"));
    }
    words.push(format!("sender={}", info.sender()));
    words.extend(info.value().map(|value| format!("value={value}")));
    words.extend(info.overrun().map(|overrun| format!("overrun={overrun}")));
    words.extend(info.status().map(|status| format!("status={status}")));
    if let (Some(fd), Some(band)) = (info.fd(), info.band()) {
        words.push(format!("fd={fd}"));
        words.push(format!("band={band:#x}"));
    }
    assert_eq!(line, words.join(" "));
    assert!(!format!("{info:?}").is_empty());
}

/// The way back through the kernel, as it is and sealed.
fn carry(info: &SigInfo) {
    // What the record would be if the kernel had made it.
    let once = KernelSigInfo::new(info).record();
    assert_eq!(KernelSigInfo::new(&once).record(), once);
    assert_eq!(once.signal(), info.signal());
    assert_eq!((once.code, once.errno), (info.code, info.errno));
    assert_eq!((once.pid(), once.uid()), (info.pid(), info.uid()));
    assert_eq!((once.fd(), once.band()), (info.fd(), info.band()));
    assert_eq!(once.timer_id(), info.timer_id());
    assert_eq!(once.overrun(), info.overrun());
    assert_eq!(once.trapno(), info.trapno());
    assert_eq!(once.status(), info.status());
    assert_eq!(once.addr_lsb(), info.addr_lsb());
    assert_eq!((once.syscall(), once.arch()), (info.syscall(), info.arch()));
    if cfg!(target_pointer_width = "64") {
        assert_eq!(once.pointer(), info.pointer());
        assert_eq!((once.utime(), once.stime()), (info.utime(), info.stime()));
        assert_eq!(
            (once.addr(), once.call_addr()),
            (info.addr(), info.call_addr())
        );
    }
    let Some(sealed) = seal(&once) else {
        // Codes that anyone may send need no seal, and a child's record may have more
        // than the kernel puts into one.
        let is_ours = (0..=0x80).contains(&once.code) || once.code == -6;
        assert!(!is_ours || once.layout() == Layout::Child);
        return;
    };
    assert!(sealed.may_be_ours());
    let mut back = KernelSigInfo::new(&sealed).record();
    unseal(&mut back);
    assert!(back.is_restored());
    assert!(!matches!(back.sender(), Sender::Verified { .. }));
    back.mark = 0;
    assert_eq!(back, once);
}
