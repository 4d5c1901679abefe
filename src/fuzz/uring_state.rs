//! Any completions for a read in the caller's ring and its buffers, against what a kernel
//! does.
//!
//! What is pushed is submitted later, perhaps only after its source was dropped and another
//! one was made. By then its file is another, which has something to read, and nobody ever
//! sees that: either no read is left to come when the number of the buffers is free again,
//! or it finds none.
//!
//! In half of the inputs nothing is said but what that kernel has said, and in order.
//! Then each record comes once and in order, the read is in the ring when it thinks
//! that it is, all buffers are the kernel's again at the end, and they are kept only from
//! a source whose read may still come. Of many records that come at once the kernel
//! overlooks the last, and it still comes. In the other half completions are also given
//! twice, invented, and given to the source after: each record still comes once. In both a
//! read that has not failed can be armed at the end.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a panic is what a fuzzer looks for"
)]

extern crate std;

use core::cell::Cell;
use std::collections::VecDeque;
use std::sync::LazyLock;
use std::vec::Vec;

use io_uring::{opcode, squeue};
use rustix::io::Errno;

use super::{
    BUFFERS, Buffers, Inbox, Kernel, Look, Outcome, RECORDS, Reading, Request,
    Target,
};
use crate::fuzz::Input;
use crate::receive::SignalFd;
use crate::signal::{SigInfo, Signal};
use crate::{Error, Kind, Op};

/// `IORING_CQE_F_MORE` and `IORING_CQE_F_BUFFER`.
const MORE: u32 = 2;
const BUFFER: u32 = 1;

/// How much is taken at once.
const ROOM: usize = 100;

/// What is read of a file that is not the source's.
const FOREIGN: u64 = u64::MAX;

/// It is not read: what is said to come from it is invented.
static SIGNALFD: LazyLock<SignalFd> =
    LazyLock::new(|| SignalFd::new(Signal::HUP).unwrap());

std::thread_local! {
    /// A mapping that a run has left, for the next: to map and to unmap one takes longer
    /// than the run.
    static MAPPED: Cell<Option<Buffers>> = const { Cell::new(None) };
}

/// A request that was pushed.
#[derive(Debug)]
struct Asked {
    opcode: u8,
    user_data: u64,
    group: u16,
    /// The number of the source, which stands for its file.
    source: i32,
    has_filled: bool,
    is_cancelled: bool,
}

impl Asked {
    const fn reads(&self) -> bool {
        self.opcode != Look::OPCODE
    }
}

/// What it has said: a `user_data`, a result and flags.
type Said = (u64, i32, u32);

/// What is asked of a kernel and what it says: it takes buffers in order, fills them,
/// and says so.
#[derive(Default)]
struct Model {
    /// What is in the submission queue, and what was submitted.
    queue: VecDeque<Asked>,
    ring: Vec<Asked>,
    /// What nobody was told yet.
    said: VecDeque<Said>,
    /// Which groups of buffers it knows; that of the source is `group`.
    groups: Vec<u16>,
    group: u16,
    /// The number of the source.
    source: i32,
    /// Whether a read of this source has ended, and nothing tells that it was submitted.
    has_strayed: bool,
    /// Which read was over a moment ago and is found none the less.
    lingers: Option<u64>,
    /// How many records it has overlooked.
    unread: usize,
    /// How many buffers it has taken, and how many records it has written.
    head: u16,
    written: u64,
    /// How many of those it has taken for nothing.
    used_up: u16,
    /// What it was given back, by number.
    given_back: Vec<u64>,
    /// A thread of its own submits whatever is there.
    polls: bool,
    /// What is cancelled ends when the next thing is looked for.
    defers: bool,
    /// What is asked of it that it refuses.
    refuses: Refuses,
}

/// What a kernel refuses while something is heard.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Refuses {
    #[default]
    Nothing,
    /// It has no memory.
    ToRegister,
    /// A sandbox forbids it.
    ToCancel,
    ToForget,
    /// Its queue is full.
    ToTakeBack,
}

impl Kernel for Model {
    fn cancel(
        &mut self,
        opcode: u8,
        user_data: u64,
        target: Target,
    ) -> Result<bool, Error> {
        if self.refuses == Refuses::ToCancel {
            self.has_strayed = true;
            return Err(FORBIDDEN);
        }
        let is_meant = |it: &Asked| {
            let is_of_file =
                matches!(target, Target::Descriptor(raw) if raw == it.source);
            // As older kernels do, which have only these.
            let is_any = opcode == opcode::Read::CODE;
            let is_the_one = is_of_file && it.opcode == opcode;
            it.user_data == user_data && (is_any || is_the_one)
        };
        let reads = opcode != Look::OPCODE;
        let lingers = self.lingers.take_if(|it| reads && *it == user_data);
        let mut found = lingers.is_some();
        for asked in self.ring.iter_mut().filter(|it| is_meant(it)) {
            asked.is_cancelled = true;
            found = true;
        }
        if !self.defers {
            self.end_cancelled();
        }
        if self.polls {
            // It comes round to it now.
            self.ring.extend(self.queue.drain(..));
        }
        Ok(found)
    }

    fn register_buffers(
        &mut self,
        _address: usize,
        group: u16,
    ) -> Result<(), Errno> {
        assert!(!self.groups.contains(&group));
        if self.refuses == Refuses::ToRegister {
            return Err(Errno::NOMEM);
        }
        self.groups.push(group);
        Ok(())
    }

    fn forget_buffers(&mut self, group: u16) -> Result<(), Errno> {
        if self.refuses == Refuses::ToForget {
            return Err(Errno::ACCESS);
        }
        let at = self.groups.iter().position(|&it| it == group).unwrap();
        self.groups.swap_remove(at);
        self.head = 0;
        self.used_up = 0;
        Ok(())
    }

    fn give_back(&mut self, info: &SigInfo) -> bool {
        assert_eq!(*info, record(info.ptr));
        if self.refuses == Refuses::ToTakeBack {
            return false;
        }
        self.given_back.push(info.ptr);
        true
    }
}

impl Model {
    /// Whether it knows the group of the source.
    fn has_group(&self) -> bool {
        self.groups.contains(&self.group)
    }

    fn say(&mut self, at: usize, result: i32, flags: u32) {
        let asked = &mut self.ring[at];
        asked.has_filled |= result > 0 && flags & BUFFER != 0;
        self.said.push_back((asked.user_data, result, flags));
        if flags & MORE == 0 {
            let ended = self.ring.remove(at);
            let is_known = ended.has_filled || ended.is_cancelled;
            let is_ours = ended.source == self.source && ended.reads();
            self.has_strayed |= is_ours && !is_known;
        }
    }

    fn end_cancelled(&mut self) {
        while let Some(at) = self.ring.iter().position(|it| it.is_cancelled) {
            self.say(at, -libc::ECANCELED, 0);
        }
    }

    /// One of the requests in the ring that have not been cancelled, if there is one.
    fn some(&self, reads: bool, which: usize) -> Option<usize> {
        let is_meant = |at: &usize| {
            self.ring[*at].reads() == reads && !self.ring[*at].is_cancelled
        };
        let all = || (0..self.ring.len()).filter(is_meant);
        all().nth(which).or_else(|| all().next())
    }

    fn say_of_look(&mut self, result: i32) {
        if let Some(at) = self.some(false, 0) {
            self.say(at, result, 0);
        }
    }

    /// Fills a buffer, if there is one.
    fn fill(
        &mut self,
        at: usize,
        inbox: &mut Inbox,
        records: usize,
        more: bool,
    ) {
        let asked = &self.ring[at];
        let is_ours = asked.group == self.group && self.has_group();
        if !is_ours || inbox.buffers.tail() == self.head {
            return self.say(at, -libc::ENOBUFS, 0);
        }
        let more = more && asked.opcode == opcode::ReadMulti::CODE;
        let is_foreign = asked.source != self.source;
        let buffer = inbox.buffers.slot(self.head);
        self.head = self.head.wrapping_add(1);
        for place in 0..records {
            let number = if is_foreign { FOREIGN } else { self.written };
            inbox.buffers.write(buffer, place, &record(number));
            self.written += u64::from(!is_foreign);
        }
        let bytes = records * size_of::<SigInfo>();
        let more = if more { MORE } else { 0 };
        let flags = more | BUFFER | u32::from(buffer) << 16;
        self.say(at, bytes.try_into().unwrap(), flags);
    }

    /// Submits what was pushed first. Each looks when it is made.
    fn submit(&mut self, inbox: &mut Inbox) {
        let Some(asked) = self.queue.pop_front() else { return };
        let is_foreign = asked.source != self.source;
        let reads = asked.reads();
        let at = self.ring.len();
        self.ring.push(asked);
        if is_foreign || self.unread > 0 {
            if !reads {
                self.say(at, libc::POLLIN.into(), 0);
            } else if is_foreign {
                self.fill(at, inbox, 1, true);
            } else {
                self.fill_with_unread(at, inbox);
            }
        }
    }

    fn fill_with_unread(&mut self, at: usize, inbox: &mut Inbox) {
        let is_room = inbox.buffers.tail() != self.head;
        let records =
            if is_room { core::mem::take(&mut self.unread) } else { 1 };
        self.fill(at, inbox, records, true);
    }
}

struct State {
    lies: bool,
    reading: Reading,
    kernel: Model,
    /// What was told.
    heard: Vec<Said>,
    room: [SigInfo; ROOM],
    /// What was taken, by number.
    seen: Vec<u64>,
    failure: Option<Error>,
    /// Whether it was stopped, and not armed since.
    is_stopped: bool,
    /// Whether a request of many shots was refused.
    is_of_one_shot: bool,
}

const NO_MEMORY: Error =
    Error::Os { op: Op::UringRegister, errno: libc::ENOMEM };

const FORBIDDEN: Error =
    Error::Os { op: Op::UringRegister, errno: libc::EACCES };

const fn record(number: u64) -> SigInfo {
    let signo = Signal::HUP.as_raw();
    SigInfo { signo, ptr: number, ..SigInfo::EMPTY }
}

impl State {
    fn new(lies: bool, mut kernel: Model) -> Self {
        kernel.head = 0;
        kernel.used_up = 0;
        kernel.has_strayed = false;
        let group =
            (0..=u16::MAX).find(|it| !kernel.groups.contains(it)).unwrap();
        kernel.group = group;
        let buffers = match MAPPED.take() {
            None => Buffers::new(&mut kernel, group).unwrap(),
            Some(mut buffers) => {
                buffers.begin_again(&mut kernel, group);
                buffers
            }
        };
        let reading = Reading::new(
            Request::new(Kind::Completion),
            Inbox::of(buffers),
            kernel.source,
            group,
        );
        Self {
            lies,
            reading,
            kernel,
            heard: Vec::new(),
            room: [SigInfo::EMPTY; ROOM],
            seen: Vec::new(),
            failure: None,
            is_stopped: false,
            is_of_one_shot: false,
        }
    }

    /// The source is dropped, and another one is made.
    fn make_anew(mut self) -> Self {
        let is_closed = self.reading.close(&mut self.kernel, SIGNALFD.birth());
        assert!(is_closed);
        let kernel = &mut self.kernel;
        let may_come = |asked: &Asked| {
            let is_ours = asked.source == kernel.source && asked.reads();
            is_ours && !asked.is_cancelled
        };
        let is_left = kernel.queue.iter().chain(&kernel.ring).any(may_come);
        let is_kept = kernel.groups.contains(&kernel.group);
        assert!(is_kept || !is_left, "it may read another file");
        if !self.lies {
            assert_eq!(is_kept, is_left || kernel.has_strayed);
        }
        self.seen.append(&mut kernel.given_back);
        // What has a group with no buffer is still in the ring, and does nothing.
        let source = kernel.source;
        kernel.ring.retain(|it| it.source != source || it.is_cancelled);
        kernel.source += 1;
        let lies = self.lies;
        let (heard, seen) = (self.heard, self.seen);
        leave(self.reading);
        Self { heard, seen, ..Self::new(lies, self.kernel) }
    }

    /// Something has come, and what was overlooked is found.
    fn answer(&mut self, records: usize, more: bool, which: usize) {
        self.kernel.say_of_look(libc::POLLIN.into());
        let inbox = &mut self.reading.inbox;
        let unread = self.kernel.unread;
        if let Some(at) = self.kernel.some(true, which) {
            if unread > 0 && more {
                self.kernel.fill_with_unread(at, inbox);
            }
        }
        if let Some(at) = self.kernel.some(true, which) {
            self.kernel.fill(at, inbox, records, more);
        }
    }

    /// So much has come before the kernel looked that it overlooks the last.
    fn overlook(&mut self) {
        if !self.lies && self.reading.slot.request.stands() {
            self.answer(RECORDS, true, 0);
            self.answer(RECORDS, true, 0);
            let is_there = self.kernel.some(true, 0).is_some();
            self.kernel.unread += usize::from(is_there);
        }
    }

    /// What a look would have told is told.
    fn announce(&mut self) {
        if let Some(at) = self.kernel.some(true, 0) {
            if self.kernel.unread > 0 {
                self.kernel.fill_with_unread(at, &mut self.reading.inbox);
            }
        }
    }

    /// The read ends with an error, and may have had a buffer.
    fn fail(&mut self, errno: i32, has_buffer: bool) {
        if let Some(at) = self.kernel.some(true, 0) {
            // What has read once is no request that there is not.
            let has_read = self.kernel.ring[at].has_filled;
            // And it finds no buffer only if there is none.
            let can_be = match errno {
                libc::EINVAL => !has_read,
                libc::ENOBUFS => has_read,
                _ => true,
            };
            if self.lies || can_be {
                let buffers = &self.reading.inbox.buffers;
                let is_ours = self.kernel.ring[at].group == self.kernel.group;
                let has_one = is_ours && buffers.tail() != self.kernel.head;
                let mut flags = 0;
                if has_buffer && has_one && errno != libc::ENOBUFS {
                    let buffer = buffers.slot(self.kernel.head);
                    self.kernel.head = self.kernel.head.wrapping_add(1);
                    self.kernel.used_up += 1;
                    flags = BUFFER | u32::from(buffer) << 16;
                }
                let asked = &mut self.kernel.ring[at];
                let is_of_one_shot = asked.opcode == opcode::Read::CODE;
                if has_buffer && is_of_one_shot && errno == libc::EAGAIN {
                    self.kernel.lingers = Some(asked.user_data);
                    // It is found.
                    asked.is_cancelled = true;
                }
                self.kernel.say(at, -errno, flags);
            }
        }
    }

    /// The thread that has submitted them ends, or somebody else cancels both, the one
    /// first or the other.
    fn cancel(&mut self, look_first: bool) {
        if look_first {
            self.kernel.say_of_look(-libc::ECANCELED);
        }
        self.fail(libc::ECANCELED, false);
        self.kernel.say_of_look(-libc::ECANCELED);
    }

    /// Each source has its own, as it ought to, unless it lies.
    fn user_data(&self) -> u64 {
        if self.lies { 0 } else { self.kernel.source.unsigned_abs().into() }
    }

    fn arm(&mut self, user_data: u64, is_full: bool) {
        let request = &self.reading.slot.request;
        let was_in_flight = request.is_in_flight();
        let was_due = self.reading.needs_arming();
        let is_look = was_in_flight && was_due;
        let Model { queue, group, source, .. } = &mut self.kernel;
        let put = |entry: squeue::Entry| {
            if is_full {
                return Err(Error::QueueFull);
            }
            queue.push_back(Asked {
                opcode: entry.get_opcode().try_into().unwrap(),
                user_data: entry.get_user_data(),
                group: *group,
                source: *source,
                has_filled: false,
                is_cancelled: false,
            });
            Ok(())
        };
        match self.reading.push(user_data, put) {
            Ok(()) => {
                assert!(!was_in_flight || is_look);
                assert_eq!(self.failure, None);
                self.is_stopped &= is_look;
            }
            Err(Error::QueueFull) => {
                assert_eq!(self.reading.needs_arming(), was_due);
            }
            Err(Error::AlreadyArmed) => assert!(was_in_flight && !was_due),
            Err(error) => assert_eq!(self.failure, Some(error)),
        }
    }

    fn submit(&mut self) {
        self.kernel.submit(&mut self.reading.inbox);
    }

    fn stop(&mut self) {
        let was_in_flight = self.reading.slot.request.is_in_flight();
        assert_eq!(self.reading.stop(&mut self.kernel), Ok(()));
        self.is_stopped = true;
        assert_eq!(self.reading.slot.request.is_stopping(), was_in_flight);
    }

    /// The next thing that the kernel has said.
    fn hear(&mut self) {
        self.kernel.end_cancelled();
        let Some(said) = self.kernel.said.pop_front() else { return };
        self.heard.push(said);
        let looked = self.reading.look.is_in_flight();
        let is_ours = self.reading.slot.user_data == Some(said.0);
        let told = self.tell(said);
        if self.lies {
            return;
        }
        if !is_ours {
            assert_eq!(told, Err(Error::ForeignCompletion));
            return;
        }
        if looked && !self.reading.look.is_in_flight() {
            assert_eq!(told, Ok(()), "whatever it was");
            return;
        }
        let errno = said.1.wrapping_neg();
        let fails = match errno {
            libc::ECANCELED | libc::ENOBUFS | libc::EINTR | libc::EAGAIN => {
                false
            }
            libc::EINVAL => self.is_of_one_shot,
            errno => errno > 0,
        };
        self.is_of_one_shot |= errno == libc::EINVAL;
        let fails = fails || told == Err(NO_MEMORY);
        assert_eq!(told.is_err(), fails, "{errno}");
        assert_ne!(told, Err(Error::ForeignCompletion));
    }

    /// The same, of a kernel that refuses something.
    fn hear_refused(&mut self, refuses: Refuses) {
        self.kernel.refuses = refuses;
        self.hear();
        self.kernel.refuses = Refuses::Nothing;
    }

    /// Takes a completion as a source does.
    fn tell(&mut self, (user_data, result, flags): Said) -> Result<(), Error> {
        let was_in_flight = self.reading.slot.request.is_in_flight();
        let was_stopping = self.reading.slot.request.is_stopping();
        let look = self.reading.look.clone();
        let kernel = &mut self.kernel;
        let told = self.reading.complete(user_data, result, flags, kernel);
        let request = &self.reading.slot.request;
        match told {
            Ok(()) => {}
            Err(Error::ForeignCompletion) => {
                assert_eq!(request.is_in_flight(), was_in_flight);
                assert_eq!(request.is_stopping(), was_stopping);
                assert_eq!(self.reading.look, look);
            }
            // It was submitted only after it was stopped, and goes on.
            Err(FORBIDDEN) if was_stopping && !request.has_failed() => {
                assert!(kernel.refuses == Refuses::ToCancel);
            }
            Err(error) => {
                assert!(was_in_flight && request.has_failed());
                let errno = match result {
                    // No record at all.
                    0..128 => libc::EBADF,
                    _ => result.saturating_neg(),
                };
                let refused = match kernel.refuses {
                    Refuses::Nothing | Refuses::ToTakeBack => None,
                    Refuses::ToRegister => Some(NO_MEMORY),
                    Refuses::ToCancel | Refuses::ToForget => Some(FORBIDDEN),
                };
                assert!(
                    error.raw_os_error() == Some(errno)
                        || errno == libc::ENOBUFS && refused == Some(error)
                );
                let has_more = self.reading.inbox.has_more();
                assert!(errno != libc::ENOBUFS || !has_more, "it is there");
                self.failure = Some(error);
            }
        }
        told
    }

    /// A completion that the kernel has not said, or has said before.
    fn lie(&mut self, input: &mut Input<'_>) {
        let user_data = self.reading.slot.user_data.unwrap_or(0);
        let result = match input.below(5) {
            0 if !self.heard.is_empty() => {
                let said = self.heard[input.below(self.heard.len())];
                let _refused = self.tell(said);
                return;
            }
            0 | 1 => -i32::from(input.byte()),
            2 => i32::from(input.byte() % 70) * 128,
            3 => {
                let likely = [libc::ECANCELED, libc::ENOBUFS, libc::EINVAL];
                -likely[input.below(3)]
            }
            _ => i32::from_le_bytes(input.take()),
        };
        let flags = match input.below(3) {
            0 => u32::from(input.byte() % 70) << 16 | BUFFER | MORE,
            1 => {
                u32::from(input.byte() % 70) << 16 | u32::from(input.byte() % 4)
            }
            _ => u32::from_le_bytes(input.take()),
        };
        let _refused = self.tell((user_data, result, flags));
    }

    fn take(&mut self, room: usize) -> usize {
        let mut is_announced = false;
        let taken =
            self.reading.take(&mut self.room[..room], &SIGNALFD, || {
                is_announced = true;
            });
        for info in &self.room[..taken] {
            assert_ne!(info.ptr, FOREIGN, "of another file");
            assert_eq!(*info, record(info.ptr));
            self.seen.push(info.ptr);
        }
        if is_announced {
            self.announce();
        }
        taken
    }

    fn check(&mut self) {
        let Reading { slot, look, inbox, .. } = &self.reading;
        let request = &slot.request;
        let wants_nothing =
            request.is_in_flight() || self.is_stopped || self.failure.is_some();
        assert_eq!(request.is_idle(), !wants_nothing);
        assert_eq!(request.has_failed(), self.failure.is_some());
        if let Some(error) = self.failure {
            assert_eq!(request.clone().arm(), Err(error), "it stays so");
        }
        let free = inbox.buffers.tail().wrapping_sub(self.kernel.head);
        let has_group = self.kernel.has_group();
        assert!(free <= BUFFERS || !has_group, "more than there are");
        if self.lies {
            return;
        }
        let kernel = &self.kernel;
        let said =
            || kernel.said.iter().filter(|it| Some(it.0) == slot.user_data);
        let last = said().filter(|(_, _, flags)| flags & MORE == 0).count();
        let all = kernel.queue.iter().chain(&kernel.ring);
        let there = all.filter(|it| it.source == kernel.source).count();
        let expected = [request.is_in_flight(), look.is_in_flight()];
        let expected = expected.map(usize::from).iter().sum::<usize>();
        assert_eq!(expected, there + last);
        if !self.is_stopped {
            let is_unsaid = said()
                .any(|&(_, result, flags)| result > 0 && flags & BUFFER != 0);
            assert_eq!(inbox.has_more(), is_unsaid);
        }
    }

    /// Nothing more comes, and a loop goes on for as long as it has something to do. That is
    /// not long: what was put into the queue late ends, and so does what finds no buffer.
    fn go_to_sleep(&mut self) {
        for turn in 0.. {
            assert!(turn < 300, "it spins");
            while !self.kernel.queue.is_empty() {
                self.submit();
            }
            self.kernel.end_cancelled();
            while !self.kernel.said.is_empty() {
                self.hear();
                self.check();
            }
            while self.take(ROOM) > 0 {}
            if self.reading.needs_arming() {
                self.arm(self.user_data(), false);
            }
            if self.kernel.queue.is_empty() && self.kernel.said.is_empty() {
                break;
            }
        }
        // It is pending, unless somebody waits for it.
        let is_armed = self.reading.slot.request.is_armed();
        assert!(self.lies || self.kernel.unread == 0 || !is_armed);
    }

    fn end(mut self) {
        self.go_to_sleep();
        self.stop();
        self.kernel.end_cancelled();
        while !self.kernel.said.is_empty() {
            self.hear();
            self.check();
            self.kernel.end_cancelled();
        }
        // Who was lied to may have been told nothing of its end. The first time it may be
        // taken for that of a look, and then it may still be there.
        for _ in 0..4 {
            if let Some(user_data) = self.reading.slot.user_data {
                if self.lies && self.reading.slot.request.is_in_flight() {
                    let _ = self.tell((user_data, -libc::ECANCELED, 0));
                    self.kernel.end_cancelled();
                }
            }
        }
        assert!(!self.reading.slot.request.is_in_flight());
        self.reading.inbox.push_all();
        while self.take(ROOM) > 0 {}
        let inbox = &self.reading.inbox;
        assert!(inbox.has_room() && !inbox.has_more());
        let free = inbox.buffers.tail().wrapping_sub(self.kernel.head);
        let all = BUFFERS - self.kernel.used_up;
        let has_group = self.kernel.has_group();
        assert!(free == all || !has_group, "the kernel has all of them");
        self.go_on();
        if self.lies {
            self.seen.sort_unstable();
        }
        let all = 0..self.kernel.written;
        assert!(self.seen.drain(..).eq(all), "none is lost or doubled");
        leave(self.make_anew().reading);
    }

    /// It goes on from here, unless it has failed.
    fn go_on(&mut self) {
        let first = self.kernel.written;
        self.arm(self.user_data(), false);
        let is_armed = self.reading.slot.request.is_in_flight();
        assert_eq!(is_armed, self.failure.is_none());
        if !is_armed || self.lies {
            return;
        }
        loop {
            self.submit();
            self.answer(1, false, 0);
            while !self.kernel.said.is_empty() {
                self.hear();
            }
            assert!(self.reading.slot.request.is_idle());
            self.take(ROOM);
            if self.kernel.written > first {
                return;
            }
            // If all buffers are used up, the next one has some.
            assert!(self.kernel.used_up == 0);
            self.arm(self.user_data(), false);
        }
    }
}

/// Leaves the buffers for the next one.
fn leave(reading: Reading) {
    let mut buffers = reading.inbox.buffers;
    buffers.release();
    MAPPED.set(Some(buffers));
}

/// Any completions for a poll, which is a request alone.
fn polls(input: &mut Input<'_>, lies: bool) {
    let mut request = Request::new(Kind::Readiness);
    let (mut is_there, mut is_stopped, mut failure) = (false, false, None);
    while !input.is_empty() {
        let was_in_flight = request.is_in_flight();
        let result = match input.below(6) {
            0 => {
                match request.arm() {
                    Ok(()) => {
                        assert!(!was_in_flight && failure.is_none());
                        (is_there, is_stopped) = (true, false);
                    }
                    Err(Error::AlreadyArmed) => assert!(was_in_flight),
                    Err(error) => assert_eq!(failure, Some(error)),
                }
                continue;
            }
            1 => {
                assert_eq!(request.stop(), was_in_flight);
                assert_eq!(request.is_stopping(), was_in_flight);
                is_stopped = true;
                -libc::ECANCELED
            }
            2 => {
                let likely = [libc::EINTR, libc::EAGAIN, libc::EINVAL];
                -likely[input.below(3).min(input.below(3))]
            }
            3 if lies => i32::from_le_bytes(input.take()),
            _ => libc::POLLIN.into(),
        };
        if !is_there && !lies {
            continue;
        }
        is_there = false;
        match request.complete(result, 0) {
            Ok(Outcome::Readable) => assert!(was_in_flight && result >= 0),
            Ok(outcome) => {
                assert!(was_in_flight && result < 0);
                assert_eq!(outcome, Outcome::Nothing);
            }
            Err(Error::ForeignCompletion) => assert!(!was_in_flight),
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(result.saturating_neg()));
                failure = Some(error);
            }
        }
        assert!(!request.is_in_flight());
        assert_eq!(request.has_failed(), failure.is_some());
        assert_eq!(request.is_idle(), !is_stopped && failure.is_none());
    }
}

pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let kind = input.below(16);
    let lies = input.below(2) == 1;
    if kind == 0 {
        return polls(&mut input, lies);
    }
    let (polls, defers) = (kind % 4 == 1, kind % 4 == 2);
    let kernel = Model { polls, defers, ..Model::default() };
    let mut state = State::new(lies, kernel);
    while !input.is_empty() {
        match input.below(14) {
            0..3 => {
                // Most often few, which is quicker.
                let byte = input.byte();
                let most = if byte < 240 { 4 } else { RECORDS };
                let records = 1 + usize::from(byte) % most;
                let rest = input.below(32);
                state.answer(records, rest % 8 > 0, rest / 8);
            }
            3..5 => state.hear(),
            5 if input.below(8) == 0 => state.stop(),
            5 if input.below(8) == 0 => state.cancel(input.below(2) == 1),
            5 if input.below(8) == 0 => {
                state.kernel.say_of_look(-libc::EACCES);
            }
            5 if input.below(8) == 0 => {
                state.hear_refused(Refuses::ToRegister);
            }
            5 if input.below(8) == 0 && state.lies => {
                let what = [Refuses::ToCancel, Refuses::ToForget];
                state.hear_refused(what[input.below(2)]);
            }
            5 if input.below(4) == 0 => state.overlook(),
            5 | 6 => {
                let byte = input.below(64);
                let other = u64::from(state.lies && byte / 8 == 1);
                state.arm(state.user_data() + other, byte % 8 == 1);
            }
            7 => {
                let likely = [
                    libc::ECANCELED,
                    libc::ENOBUFS,
                    libc::EINTR,
                    libc::EAGAIN,
                    libc::EINVAL,
                    libc::EBADF,
                ];
                let errno = likely[input.below(6).min(input.below(6))];
                state.fail(errno, input.below(2) == 1);
            }
            8 | 9 if state.lies => state.lie(&mut input),
            10 if input.below(4) == 0 => state = state.make_anew(),
            10 | 11 => state.submit(),
            _ => {
                state.take(1 + input.below(ROOM));
            }
        }
        state.check();
    }
    state.end();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It was invented, or is that of a request before.
    #[test]
    fn an_end_that_is_heard_first_strands_nothing() {
        let mut state = State::new(true, Model::default());
        let user_data = state.user_data();
        state.arm(user_data, false);
        state.submit();
        for _ in 0..=BUFFERS {
            state.answer(1, true, 0);
        }
        assert_eq!(state.tell((user_data, -libc::ECANCELED, 0)), Ok(()));
        assert_eq!(state.take(ROOM), usize::from(BUFFERS));
        state.end();
    }

    /// A worker has said so, and lets go of it only now; or it was invented.
    #[test]
    fn an_end_of_a_read_that_is_found_is_believed_of_one_shot() {
        for lies in [false, true] {
            let mut state = State::new(lies, Model::default());
            let user_data = state.user_data();
            state.arm(user_data, false);
            state.submit();
            state.fail(libc::EINVAL, false);
            state.hear();
            state.arm(user_data, false);
            state.submit();
            if lies {
                let end = (user_data, -libc::EAGAIN, 0);
                assert_eq!(state.tell(end), Ok(()));
            } else {
                state.fail(libc::EAGAIN, true);
                state.hear();
            }
            // The end of what was cancelled comes, and another one.
            for _ in 0..if lies { 3 } else { 1 } {
                state.check();
                state.arm(user_data, false);
                state.submit();
                state.hear();
            }
            assert!(state.kernel.said.is_empty());
            state.answer(1, false, 0);
            state.hear();
            assert_eq!(state.take(ROOM), 1);
            state.end();
        }
    }

    /// They are the oldest, and come in the order in which they were filled.
    #[test]
    fn what_is_kept_comes_before_what_is_put_in() {
        let mut state = State::new(true, Model::default());
        let (group, kernel) = (state.kernel.group, &mut state.kernel);
        let buffers = &mut state.reading.inbox.buffers;
        buffers.forget(kernel, group).unwrap();
        let kept = [5, 3, 4, 0, 2, 1];
        buffers.put_in(kernel, group, 6..BUFFERS, kept.into_iter()).unwrap();
        let order = buffers.oldest_first().take(usize::from(BUFFERS));
        assert!(order.eq(kept.into_iter().chain(6..BUFFERS)));
        assert_eq!(buffers.tail(), BUFFERS - 6);
    }

    /// It is what is undone when it has gone back.
    #[test]
    fn what_does_not_go_back_is_counted_once() {
        let mut state = State::new(true, Model::default());
        state.arm(state.user_data(), false);
        state.submit();
        (0..3).for_each(|_| state.answer(5, true, 0));
        state.kernel.refuses = Refuses::ToTakeBack;
        let buffers = &mut state.reading.inbox.buffers;
        assert_eq!(buffers.put_back_all(&mut state.kernel), 3 * 5);
        state.kernel.refuses = Refuses::Nothing;
        state.end();
    }
}
