//! Buffers that the kernel says it has filled, in the order in which it said so.

use rustix::io::Errno;

use super::{BUFFERS, Buffers, Kernel, RECORDS, hand_out};
use crate::error::Error;
use crate::process::give_back;
use crate::receive::SignalFd;
use crate::signal::SigInfo;

const _: () = assert!(BUFFERS as u32 <= u64::BITS);

/// The buffers of a ring, and a queue of those that are filled.
///
/// A buffer is in the queue at most once. The first one may have been taken from
/// already.
#[derive(Debug)]
pub(crate) struct Inbox {
    pub(super) buffers: Buffers,
    queue: [Filled; BUFFERS as usize],
    /// Which are in the queue, a bit for each.
    queued: u64,
    begin: usize,
    length: usize,
    /// How much was taken of the first.
    taken: usize,
}

#[derive(Clone, Copy, Debug)]
struct Filled {
    buffer: u16,
    records: usize,
}

/// That of a buffer in `queued`.
const fn bit(buffer: u16) -> u64 {
    1 << (buffer % BUFFERS)
}

impl Inbox {
    /// Registers its buffers with a ring, under a number of the caller's.
    pub(crate) fn new(
        kernel: &mut impl Kernel,
        group: u16,
    ) -> Result<Self, Error> {
        Buffers::new(kernel, group).map(Self::of)
    }

    pub(super) const fn of(buffers: Buffers) -> Self {
        Self {
            buffers,
            queue: [Filled { buffer: 0, records: 0 }; BUFFERS as usize],
            queued: 0,
            begin: 0,
            length: 0,
            taken: 0,
        }
    }

    /// Whether the kernel has a buffer left.
    pub(crate) const fn has_room(&self) -> bool {
        self.length < self.queue.len()
    }

    /// Queues a filled buffer, unless it is there already or holds nothing at its
    /// beginning, from where the kernel fills it.
    #[inline]
    pub(crate) fn push(&mut self, buffer: u16, records: usize) -> bool {
        let is_there = self.queued & bit(buffer) != 0;
        if is_there || records == 0 || !self.buffers.is_begun(buffer) {
            return false;
        }
        let end = (self.begin + self.length) % self.queue.len();
        let Some(place) = self.queue.get_mut(end) else { return false };
        *place = Filled { buffer, records };
        self.length += 1;
        self.queued |= bit(buffer);
        true
    }

    /// Whether a buffer holds something that nothing was said of.
    pub(crate) fn has_more(&self) -> bool {
        (0..BUFFERS).any(|buffer| {
            let is_there = self.queued & bit(buffer) != 0;
            !is_there && self.buffers.is_begun(buffer)
        })
    }

    /// Queues every buffer that holds something, whatever was said of it. Only
    /// when the kernel fills none any more.
    pub(crate) fn push_all(&mut self) {
        for buffer in self.buffers.oldest_first() {
            self.push(buffer, RECORDS);
        }
    }

    /// Has a ring know of the buffers that are not in the queue. Only when it knows of none.
    #[cold]
    pub(super) fn put_in_rest(
        &mut self,
        kernel: &mut impl Kernel,
        group: u16,
    ) -> Result<(), Errno> {
        let rest = (0..BUFFERS).filter(|&it| self.queued & bit(it) == 0);
        let queue = self.queue.iter().cycle().skip(self.begin);
        let queue = queue.take(self.length).map(|filled| filled.buffer);
        self.buffers.put_in(kernel, group, rest, queue)
    }

    /// Takes records. Those that are not wanted go back to the kernel.
    #[inline]
    pub(crate) fn take(
        &mut self,
        room: &mut [SigInfo],
        signalfd: &SignalFd,
    ) -> usize {
        let give_back = |info: &_| give_back(info, signalfd.birth());
        hand_out(room, signalfd, give_back, |place| self.next(place))
    }

    /// Takes the next record. A buffer with no more of them goes to the kernel.
    #[inline]
    fn next(&mut self, place: &mut SigInfo) -> bool {
        while self.length > 0 {
            let Some(&first) = self.queue.get(self.begin) else { break };
            let Filled { buffer, records } = first;
            let is_there = self.buffers.take(buffer, self.taken, place);
            self.taken += 1;
            // An old completion, given once more, may have said too little.
            let buffers = &mut self.buffers;
            if self.taken >= records && !buffers.is_filled(buffer, self.taken) {
                buffers.put(buffer);
                self.taken = 0;
                self.begin = (self.begin + 1) % self.queue.len();
                self.length -= 1;
                self.queued &= !bit(buffer);
            }
            if is_there {
                return true;
            }
        }
        false
    }
}
