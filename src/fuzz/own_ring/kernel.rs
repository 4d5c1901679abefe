//! The kernel.

use std::collections::VecDeque;
use std::vec::Vec;

use io_uring::opcode;
use rustix::io::Errno;

use super::{
    ASIDE, Buffers, COMPLETIONS, Completion, Input, RECORDS, SigInfo, Signal,
    SignalSet, Submission,
};

/// `IORING_CQE_F_MORE` and `IORING_CQE_F_BUFFER`.
pub(super) const MORE: u32 = 2;
pub(super) const BUFFER: u32 = 1;

/// More than any step asks the kernel for.
pub(super) const MOST: usize = 20_000;

/// A signal that nobody has read.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) signal: Signal,
    /// The thread that it is directed at, if it is not the process.
    pub(super) to: Option<u32>,
}

/// A request in the ring.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) number: u64,
    pub(super) opcode: u8,
    /// Who has entered with it.
    pub(super) thread: u32,
    pub(super) is_cancelled: bool,
}

impl Asked {
    pub(super) const fn reads(&self) -> bool {
        self.opcode != opcode::PollAdd::CODE
    }
}

/// What has become of a record that was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    Read(Signal),
    Taken,
    GivenBack,
}

/// What the kernel knows, and what there is to know.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Model<'d> {
    pub(super) input: Input<'d>,
    pub(super) lies: bool,
    /// Others come while a thread has its turn, and the kernel does not do all at once.
    pub(super) is_busy: bool,
    pub(super) knows_many: bool,
    /// What is cancelled ends later.
    pub(super) defers: bool,
    /// It cannot cancel all.
    pub(super) is_old: bool,
    /// Each request ends at once.
    pub(super) is_spoiled: bool,
    /// At the end a thread takes all that there is.
    pub(super) takes_all: bool,
    /// So few more than one are taken where no more is read of the input.
    pub(super) few: usize,
    /// So many completions have room.
    pub(super) room: usize,
    pub(super) queue: VecDeque<Submission>,
    /// The number of the request that was pushed last.
    pub(super) newest: u64,
    pub(super) ring: Vec<Asked>,
    pub(super) said: VecDeque<Completion>,
    /// What had no room there.
    pub(super) kept: VecDeque<Completion>,
    /// How many were ever there.
    pub(super) tail: u64,
    pub(super) pending: Vec<Pending>,
    /// Its side of the buffers, and how many of them it has taken.
    pub(super) buffers: Option<Buffers>,
    pub(super) head: u16,
    pub(super) has_group: bool,
    /// What was read, by number.
    pub(super) fates: Vec<Fate>,
    /// The number of the record that was taken last.
    pub(super) last: Option<usize>,
    /// The thread that runs.
    pub(super) current: u32,
    pub(super) refused: Vec<u32>,
    /// Whether there is a reason for the ring to fail.
    pub(super) has_refused: bool,
    /// How many requests have ended with nothing.
    pub(super) in_vain: usize,
    /// The signalfd was added to what others wait for.
    pub(super) is_added: bool,
    /// What others wait for has had an edge, or they were told.
    pub(super) has_edge: bool,
    /// What was asked for in this step.
    pub(super) calls: usize,
    /// Steps inside of this step.
    pub(super) depth: usize,
    /// Whether who enters is there until a completion comes. Those that do so after their
    /// turn go on in a step of their own.
    pub(super) waits: bool,
    /// The end has begun.
    pub(super) is_over: bool,
}

impl Fate {
    /// Which signal was read, if nothing has become of it.
    pub(super) const fn read(self) -> Option<Signal> {
        match self {
            Self::Read(signal) => Some(signal),
            Self::Taken | Self::GivenBack => None,
        }
    }
}

pub(super) const fn record(signal: Signal, number: usize) -> SigInfo {
    let signo = signal.as_raw();
    SigInfo { signo, ptr: number as u64, ..SigInfo::EMPTY }
}

impl<'d> Model<'d> {
    pub(super) fn new(mut input: Input<'d>) -> Self {
        let [how, more, rest] = input.take();
        let lies = how % 2 == 1;
        Self {
            input,
            lies,
            is_busy: how / 2 % 2 == 1,
            knows_many: how / 4 % 4 != 3,
            defers: how / 16 % 2 == 1,
            is_old: more % 32 == 31,
            is_spoiled: false,
            takes_all: rest % 4 > 0,
            few: usize::from(rest / 4 % 4),
            room: [COMPLETIONS as usize, 2, 5, 128][usize::from(how / 32 % 4)],
            queue: VecDeque::new(),
            newest: 0,
            ring: Vec::new(),
            said: VecDeque::new(),
            kept: VecDeque::new(),
            tail: 0,
            pending: Vec::new(),
            buffers: None,
            head: 0,
            has_group: false,
            fates: Vec::new(),
            last: None,
            current: 0,
            refused: Vec::new(),
            has_refused: false,
            in_vain: 0,
            is_added: false,
            has_edge: false,
            calls: 0,
            depth: 0,
            waits: false,
            is_over: false,
        }
    }

    pub(super) fn count(&mut self) {
        self.calls += 1;
        assert!(self.calls < MOST, "it does not come to an end");
    }

    /// How much room a thread has that takes little.
    pub(super) fn little(&mut self) -> usize {
        1 + (self.few + self.input.below(4)) % 4
    }

    /// Whether it does something out of the ordinary: one in so many times.
    pub(super) fn is_odd(&mut self, one_in: usize) -> bool {
        self.is_busy && !self.is_over && self.input.below(one_in) == 1
    }

    pub(super) fn say(&mut self, user_data: u64, result: i32, flags: u32) {
        let completion = Completion { user_data, result, flags };
        if self.kept.is_empty() && self.said.len() < self.room {
            self.said.push_back(completion);
            self.tail += 1;
        } else {
            self.kept.push_back(completion);
        }
        self.has_edge = true;
        let is_real = self.room == COMPLETIONS as usize;
        assert!(self.lies || !is_real || self.kept.is_empty());
    }

    /// Brings what had no room.
    pub(super) fn flush(&mut self) {
        while self.said.len() < self.room {
            let Some(completion) = self.kept.pop_front() else { return };
            self.said.push_back(completion);
            self.tail += 1;
            self.has_edge = true;
        }
    }

    /// How many were ever taken.
    pub(super) fn begin(&self) -> u64 {
        self.tail - self.said.len() as u64
    }

    pub(super) fn is_room(&self) -> bool {
        self.kept.is_empty() && self.said.len() < self.room
    }

    /// A request's last completion.
    pub(super) fn end(&mut self, at: usize, result: i32) {
        let asked = self.ring.remove(at);
        self.in_vain += usize::from(result < 0);
        self.say(asked.number, result, 0);
    }

    pub(super) fn end_cancelled(&mut self) {
        while let Some(at) = self.ring.iter().position(|it| it.is_cancelled) {
            self.end(at, -libc::ECANCELED);
        }
    }

    pub(super) fn cancel(&mut self, is_meant: impl Fn(&Asked) -> bool) -> bool {
        let mut was_there = false;
        for asked in self.ring.iter_mut().filter(|it| is_meant(it)) {
            was_there |= !asked.is_cancelled;
            asked.is_cancelled = true;
        }
        if !self.defers {
            self.end_cancelled();
        }
        was_there
    }

    /// Whether a thread finds something to read.
    pub(super) fn has_pending(&self, thread: u32, set: SignalSet) -> bool {
        self.first_pending(thread, set).is_some()
    }

    /// Its own come first.
    pub(super) fn first_pending(
        &self,
        thread: u32,
        set: SignalSet,
    ) -> Option<usize> {
        let find = |to: Option<u32>| {
            let is_meant = |it: &Pending| it.to == to && set.has(it.signal);
            self.pending.iter().position(is_meant)
        };
        find(Some(thread)).or_else(|| find(None))
    }

    /// Takes a signal out of the thread's queue.
    pub(super) fn read(
        &mut self,
        thread: u32,
        set: SignalSet,
    ) -> Option<SigInfo> {
        let at = self.first_pending(thread, set)?;
        let signal = self.pending.remove(at).signal;
        self.fates.push(Fate::Read(signal));
        Some(record(signal, self.fates.len() - 1))
    }

    /// A request in the ring does what it can.
    pub(super) fn look(&mut self, at: usize, set: SignalSet) {
        let (asked, reads) = (&self.ring[at], self.ring[at].reads());
        if asked.is_cancelled {
            return self.end(at, -libc::ECANCELED);
        }
        let (number, thread) = (asked.number, asked.thread);
        if !reads {
            if self.has_pending(thread, set) {
                self.end(at, libc::POLLIN.into());
            }
            return;
        }
        let tail = self.buffers.as_ref().unwrap().tail();
        if tail == self.head {
            return self.end(at, -libc::ENOBUFS);
        }
        if !self.has_pending(thread, set) {
            return;
        }
        let is_of_many = self.ring[at].opcode == opcode::ReadMulti::CODE;
        let buffer = self.buffers.as_ref().unwrap().slot(self.head);
        self.head = self.head.wrapping_add(1);
        let mut records = 0;
        while records < RECORDS {
            let Some(info) = self.read(thread, set) else { break };
            let buffers = self.buffers.as_mut().unwrap();
            if self.lies {
                // It may have been given a buffer twice.
                buffers.clear(buffer, records);
            }
            buffers.write(buffer, records, &info);
            records += 1;
        }
        let bytes = i32::try_from(records * size_of::<SigInfo>()).unwrap();
        let flags = BUFFER | u32::from(buffer) << 16;
        // `io_req_post_cqe()`
        if is_of_many && self.is_room() {
            self.say(number, bytes, flags | MORE);
        } else {
            self.ring.remove(at);
            self.say(number, bytes, flags);
        }
    }

    /// Each looks for as long as it can.
    pub(super) fn look_all(&mut self, set: SignalSet) -> bool {
        let before = (self.tail, self.kept.len(), self.ring.len());
        self.end_cancelled();
        let mut at = 0;
        while at < self.ring.len() {
            let (said, number) = (self.tail, self.ring[at].number);
            self.look(at, set);
            let is_there =
                self.ring.get(at).is_some_and(|it| it.number == number);
            at += usize::from(is_there && self.tail == said);
        }
        before != (self.tail, self.kept.len(), self.ring.len())
    }

    /// Takes so many of what was pushed. Each looks when it is made.
    pub(super) fn issue(&mut self, count: usize, set: SignalSet) {
        for _ in 0..count {
            match self.queue.pop_front().unwrap() {
                Submission::Nothing => self.say(ASIDE, 0, 0),
                Submission::Cancel(number) => {
                    let found = self.cancel(|it| it.number == number);
                    let result = if found { 0 } else { -libc::ENOENT };
                    self.say(ASIDE, result, 0);
                }
                Submission::Request(entry) => {
                    let number = entry.get_user_data();
                    let opcode = entry.get_opcode().try_into().unwrap();
                    let thread = self.current;
                    if opcode == opcode::ReadMulti::CODE && !self.knows_many {
                        self.in_vain += 1;
                        self.say(number, -libc::EINVAL, 0);
                        continue;
                    }
                    if self.is_spoiled {
                        let reads = opcode != opcode::PollAdd::CODE;
                        let errno =
                            if reads { libc::EAGAIN } else { libc::ECANCELED };
                        self.in_vain += 1;
                        self.say(number, -errno, 0);
                        continue;
                    }
                    let is_cancelled = false;
                    self.ring.push(Asked {
                        number,
                        opcode,
                        thread,
                        is_cancelled,
                    });
                    self.look(self.ring.len() - 1, set);
                }
            }
        }
        self.flush();
    }

    /// How much it takes of so many entries.
    pub(super) fn accept(&mut self, count: usize) -> Result<usize, Errno> {
        self.count();
        if self.refused.contains(&self.current) {
            self.has_refused = true;
            return Err(Errno::PERM);
        }
        let mut count = count.min(self.queue.len());
        if count > 0 && self.is_odd(16) {
            // Memory is short.
            count -= 1 + self.input.below(count);
            self.in_vain += 1;
            // Who sleeps in its turn takes that for a failure.
            self.has_refused |= count == 0 || self.waits;
            if count == 0 {
                return Err(Errno::AGAIN);
            }
        }
        Ok(count)
    }

    /// How many requests may still complete, as far as anybody knows.
    pub(super) fn in_flight(&self) -> usize {
        let is_request =
            |it: &&Submission| matches!(it, Submission::Request(_));
        let said = self.said.iter().chain(&self.kept);
        let last =
            said.filter(|it| it.user_data != ASIDE && it.flags & MORE == 0);
        self.queue.iter().filter(is_request).count()
            + self.ring.len()
            + last.count()
    }

    pub(super) fn has_filled(&self) -> bool {
        let mut said = self.said.iter().chain(&self.kept);
        said.any(|it| it.filled().is_some())
    }

    /// A record was handed out, with this number.
    pub(super) fn take(
        &mut self,
        info: &SigInfo,
        set: SignalSet,
        in_order: bool,
    ) {
        let number = usize::try_from(info.ptr).unwrap();
        let signal = self.fates[number].read();
        assert!(signal.is_some(), "it comes twice");
        let signal = signal.unwrap();
        assert_eq!(*info, record(signal, number));
        assert!(set.has(signal), "it is not wanted any more");
        self.fates[number] = Fate::Taken;
        if in_order {
            assert!(self.last < Some(number), "it is out of order");
        }
        self.last = self.last.max(Some(number));
    }
}
