//! What `/proc/PID/task/TID/status` says about a thread.

use crate::signal::SignalSet;

/// Reads the lines of a status file as they come, in pieces of any size.
///
/// Only a few lines matter, and their beginnings fit in a small buffer; the
/// rest of a long line (`Groups:` may have thousands of entries) is skipped.
pub(super) struct StatusReader {
    line: [u8; 80],
    len: usize,
    status: Status,
}

/// What the thread check wants to know about a thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Status {
    name: [u8; 16],
    name_len: usize,
    /// The thread has ended, and takes no more signals.
    pub(super) ended: bool,
    /// What it blocks; `None` if the file did not say.
    pub(super) blocked: Option<SignalSet>,
    /// Its id in the innermost PID namespace, its own; `None` if the file did not say
    /// (before Linux 4.1).
    pub(super) tid: Option<u32>,
    /// What is pending for the thread alone.
    pub(super) pending: SignalSet,
    /// It runs, or would if a CPU were free, or waits for memory.
    pub(super) is_running: bool,
    /// How much room the user has for signals with records.
    pub(super) queue: Queue,
}

/// How full the user's queue of signals is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Queue {
    /// There is more room than is taken.
    Open,
    Crowded,
    /// Not another one has room.
    Full,
}

impl Status {
    pub(super) fn name(&self) -> &[u8] {
        self.name.get(..self.name_len).unwrap_or_default()
    }

    /// Whether it blocks all signals that there are, but for those that nobody can block.
    pub(super) fn blocks_all(&self) -> bool {
        let cannot_be = 1 << (libc::SIGKILL - 1) | 1 << (libc::SIGSTOP - 1);
        self.blocked.is_some_and(|it| it.bits() | cannot_be == u64::MAX)
    }

    /// Whether it is one of the kernel's own that serves the process.
    pub(super) fn is_kernels(&self) -> bool {
        let names: [&[u8]; 3] = [b"iou-wrk-", b"iou-sqp-", b"vhost-"];
        names.iter().any(|name| self.name().starts_with(name))
    }
}

impl StatusReader {
    pub(super) const fn new() -> Self {
        Self {
            line: [0; 80],
            len: 0,
            status: Status {
                name: [0; 16],
                name_len: 0,
                ended: false,
                blocked: None,
                tid: None,
                pending: SignalSet::empty(),
                is_running: false,
                queue: Queue::Crowded,
            },
        }
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' {
                self.end_line();
            } else if let Some(room) = self.line.get_mut(self.len) {
                *room = byte;
                self.len += 1;
            }
        }
    }

    /// Returns what was read; what follows the last end of line does not count.
    pub(super) const fn finish(self) -> Status {
        self.status
    }

    fn end_line(&mut self) {
        let line = self.line.get(..self.len).unwrap_or_default();
        if let Some(name) = line.strip_prefix(b"Name:\t") {
            self.status.set_name(name);
        } else if let Some(state) = line.strip_prefix(b"State:\t") {
            self.status.ended |= matches!(state, [b'Z' | b'X', ..]);
            self.status.is_running = matches!(state, [b'R' | b'D', ..]);
        } else if line == b"Threads:\t0" {
            // What the kernel counts, and with it the masks, is already gone:
            // it prints zeros (`task_sig()` in `fs/proc/array.c`).
            self.status.ended = true;
        } else if let Some(mask) = line.strip_prefix(b"SigBlk:\t") {
            self.status.blocked = hexadecimal(mask);
        } else if let Some(ids) = line.strip_prefix(b"NSpid:\t") {
            self.status.tid = last_number(ids);
        } else if let Some(mask) = line.strip_prefix(b"SigPnd:\t") {
            let pending = hexadecimal(mask);
            self.status.pending = pending.unwrap_or(SignalSet::empty());
        } else if let Some(queue) = line.strip_prefix(b"SigQ:\t") {
            self.status.queue = fill(queue).unwrap_or(Queue::Crowded);
        }
        self.len = 0;
    }
}

impl Status {
    /// Undoes the escapes of the kernel (`\n` and `\\`).
    fn set_name(&mut self, escaped: &[u8]) {
        self.name_len = 0;
        let mut rest = escaped;
        while let [byte, tail @ ..] = rest {
            let (byte, tail) = match (byte, tail) {
                (b'\\', [b'n', tail @ ..]) => (b'\n', tail),
                (b'\\', [b'\\', tail @ ..]) => (b'\\', tail),
                _ => (*byte, tail),
            };
            let Some(room) = self.name.get_mut(self.name_len) else { return };
            *room = byte;
            self.name_len += 1;
            rest = tail;
        }
    }
}

/// Reads a mask as the kernel prints it: sixteen hexadecimal digits.
fn hexadecimal(text: &[u8]) -> Option<SignalSet> {
    let text = core::str::from_utf8(text).ok()?;
    let digits = text.bytes().all(|b| b.is_ascii_hexdigit());
    let bits = digits.then(|| u64::from_str_radix(text, 16).ok())??;
    Some(SignalSet::from_bits_retain(bits))
}

/// Reads the last of some numbers: `4711\t1`.
fn last_number(text: &[u8]) -> Option<u32> {
    let last = text.rsplit(|&byte| byte == b'\t').next()?;
    decimal(core::str::from_utf8(last).ok()?)?.try_into().ok()
}

/// Reads a number that is nothing but digits.
fn decimal(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

/// Reads how many signals are queued, and how many may be: `0/95`.
fn fill(text: &[u8]) -> Option<Queue> {
    let (queued, limit) = core::str::from_utf8(text).ok()?.split_once('/')?;
    let (queued, limit) = (decimal(queued)?, decimal(limit)?);
    Some(if queued >= limit {
        Queue::Full
    } else if queued >= limit / 2 {
        Queue::Crowded
    } else {
        Queue::Open
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::Signal;

    fn read(text: &[u8], piece: usize) -> Status {
        let mut reader = StatusReader::new();
        for bytes in text.chunks(piece) {
            reader.feed(bytes);
        }
        reader.finish()
    }

    const STATUS: &[u8] =
        b"Name:\tworker\nUmask:\t0022\nState:\tS (sleeping)\n\
        Groups:\t0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 \
        24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 \n\
        SigQ:\t0/95\nSigPnd:\t0000000000000002\nShdPnd:\t0000000000000000\nSigBlk:\t0000000000004001\n\
        SigIgn:\tffffffffffffffff\n";

    #[test]
    fn a_status_is_read_in_pieces_of_any_size() {
        for piece in 1..STATUS.len() {
            let status = read(STATUS, piece);
            assert_eq!(status.name(), b"worker");
            assert!(!status.ended);
            assert_eq!(status.blocked, Some(Signal::HUP | Signal::TERM));
            assert_eq!(status.pending, Signal::INT.into());
            assert_eq!(status.queue, Queue::Open);
        }
    }

    #[test]
    fn ended_threads_are_seen() {
        assert!(read(b"State:\tZ (zombie)\n", 3).ended);
        assert!(read(b"State:\tX (dead)\n", 3).ended);
        assert!(!read(b"State:\tt (tracing stop)\n", 3).ended);
        assert!(read(b"State:\tR (running)\nThreads:\t0\n", 3).ended);
        assert!(!read(b"State:\tR (running)\nThreads:\t10\n", 3).ended);
    }

    #[test]
    fn the_innermost_id_counts() {
        assert_eq!(read(b"NSpid:\t4711\n", 2).tid, Some(4711));
        assert_eq!(read(b"NSpid:\t4711\t12\t1\n", 2).tid, Some(1));
        assert_eq!(read(b"NSpid:\t\n", 2).tid, None);
        assert_eq!(read(b"NSpid:\t4711\tx\n", 2).tid, None);
        assert_eq!(read(b"NSpid:\t+1\n", 2).tid, None);
        assert_eq!(read(b"NSpid:\t4294967296\n", 2).tid, None);
    }

    #[test]
    fn how_full_the_queue_is_is_seen() {
        for (text, queue) in [
            (&b"SigQ:\t95/95\n"[..], Queue::Full),
            (b"SigQ:\t96/95\n", Queue::Full),
            (b"SigQ:\t0/0\n", Queue::Full),
            (b"SigQ:\t94/95\n", Queue::Crowded),
            (b"SigQ:\t47/95\n", Queue::Crowded),
            (b"SigQ:\t0/1\n", Queue::Crowded),
            (b"SigQ:\t46/95\n", Queue::Open),
            (b"SigQ:\t\n", Queue::Crowded),
            (b"SigQ:\t1\n", Queue::Crowded),
            (b"SigQ:\t+2/1\n", Queue::Crowded),
        ] {
            assert_eq!(read(text, 2).queue, queue);
        }
    }

    #[test]
    fn who_has_yet_to_begin_is_told_from_others() {
        let all = |text| read(text, 7).blocks_all();
        assert!(all(b"SigBlk:\tfffffffffffbfeff\n"));
        assert!(all(b"SigBlk:\tffffffffffffffff\n"));
        // `sigfillset(3)` leaves two to the C library.
        assert!(!all(b"SigBlk:\tfffffffe7ffbfeff\n"));
        assert!(!all(b"State:\tR (running)\n"));
        assert!(read(b"State:\tR (running)\n", 7).is_running);
        assert!(read(b"State:\tD (disk sleep)\n", 7).is_running);
        assert!(!read(b"State:\tS (sleeping)\n", 7).is_running);
        assert!(read(b"Name:\tiou-sqp-4711\n", 7).is_kernels());
        assert!(read(b"Name:\tiou-wrk-1\n", 7).is_kernels());
        assert!(read(b"Name:\tvhost-4711\n", 7).is_kernels());
        assert!(!read(b"Name:\tiou-1\n", 7).is_kernels());
    }

    #[test]
    fn names_are_unescaped() {
        let name = |text| read(text, 4);
        assert_eq!(name(b"Name:\ta\\nb\\\\c\n").name(), b"a\nb\\c");
        assert_eq!(name(b"Name:\t\\\n").name(), b"\\");
        assert_eq!(name(b"Name:\t0123456789abcdefg\n").name().len(), 16);
        assert_eq!(name(b"Name:\t\n").name(), b"");
    }

    #[test]
    fn what_is_not_a_mask_is_none() {
        for text in [
            &b""[..],
            b"SigBlk:\t0000000000004001",
            b"SigBlk:\t\n",
            b"SigBlk:\t+1\n",
            b"SigBlk:\t00000000000000001\n",
            b"SigBlk:\txyz\n",
            b"SigBlk:\t\xFF\n",
            b"SigBlk: 0000000000004001\n",
        ] {
            let long = text.len() > 24;
            assert!(long || read(text, 5).blocked.is_none(), "{text:?}");
        }
    }
}
