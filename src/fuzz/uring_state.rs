//! Any completions for a request and its buffers, against what a kernel does.
//!
//! In half of the inputs nothing is said but what that kernel has said, and in order.
//! Then each record comes once and in order, the request is in the ring when it thinks
//! that it is, and all buffers are the kernel's again at the end. Of many records that come
//! at once the kernel overlooks the last, and it still comes. In the other half
//! completions are also given twice, invented, and given for other buffers: each record
//! still comes once. In both a request that has not failed can be armed at the end.

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

use super::{
    BUFFERS, Buffers, Inbox, Look, Outcome, RECORDS, Request, Target, Whose,
};
use crate::fuzz::Input;
use crate::receive::SignalFd;
use crate::signal::{SigInfo, Signal};
use crate::{Error, Kind};

/// `IORING_CQE_F_MORE` and `IORING_CQE_F_BUFFER`.
const MORE: u32 = 2;
const BUFFER: u32 = 1;

/// How much is taken at once.
const ROOM: usize = 100;

/// It is not read: what is said to come from it is invented.
static SIGNALFD: LazyLock<SignalFd> =
    LazyLock::new(|| SignalFd::new(Signal::HUP).unwrap());

std::thread_local! {
    /// A mapping that a run has left, for the next: to map and to unmap one takes longer
    /// than the run.
    static MAPPED: Cell<Option<Buffers>> = const { Cell::new(None) };
}

/// What is asked of a kernel and what it says: it takes buffers in order, fills them,
/// and says so.
struct Kernel {
    /// Whether the request is there.
    is_armed: bool,
    /// Whether a look is there.
    looks: bool,
    /// How many records it has overlooked.
    unread: usize,
    /// How many buffers it has taken, and how many records it has written.
    head: u16,
    written: u64,
    /// What it has said and nobody was told yet: a result and flags.
    said: VecDeque<(i32, u32)>,
}

struct State {
    kind: Kind,
    lies: bool,
    request: Request,
    look: Look,
    /// Where there is one: a poll needs none.
    inbox: Option<Inbox>,
    kernel: Kernel,
    /// What was told.
    heard: Vec<(i32, u32)>,
    room: [SigInfo; ROOM],
    /// What was taken, by number.
    seen: Vec<u64>,
    failure: Option<Error>,
    /// Whether it was stopped, and not armed since.
    is_stopped: bool,
    /// Whether a request of many shots was refused.
    is_of_one_shot: bool,
}

const fn record(number: u64) -> SigInfo {
    let signo = Signal::HUP.as_raw();
    SigInfo { signo, ptr: number, ..SigInfo::EMPTY }
}

/// Buffers as new.
fn mapped() -> Buffers {
    let Some(mut buffers) = MAPPED.take() else {
        return Buffers::unregistered().unwrap();
    };
    buffers.begin_again();
    buffers
}

impl Kernel {
    fn say(&mut self, result: i32, flags: u32) {
        self.is_armed = flags & MORE != 0;
        self.said.push_back((result, flags));
    }

    fn say_of_look(&mut self, result: i32) {
        if self.looks {
            self.looks = false;
            self.said.push_back((result, 0));
        }
    }

    /// Fills a buffer, if the request is there to do it.
    fn fill(&mut self, inbox: &mut Inbox, records: usize, more: bool) {
        if inbox.buffers.tail() == self.head {
            return self.say(-libc::ENOBUFS, 0);
        }
        let buffer = inbox.buffers.slot(self.head);
        self.head = self.head.wrapping_add(1);
        for at in 0..records {
            inbox.buffers.write(buffer, at, &record(self.written));
            self.written += 1;
        }
        let bytes = records * size_of::<SigInfo>();
        let more = if more { MORE } else { 0 };
        let flags = more | BUFFER | u32::from(buffer) << 16;
        self.say(bytes.try_into().unwrap(), flags);
    }
}

impl State {
    fn new(kind: Kind, lies: bool) -> Self {
        let inbox = (kind == Kind::Completion).then(|| Inbox::of(mapped()));
        Self {
            kind,
            lies,
            request: Request::new(kind),
            inbox,
            look: Look::new(),
            kernel: Kernel {
                is_armed: false,
                looks: false,
                unread: 0,
                head: 0,
                written: 0,
                said: VecDeque::new(),
            },
            heard: Vec::new(),
            room: [SigInfo::EMPTY; ROOM],
            seen: Vec::new(),
            failure: None,
            is_stopped: false,
            is_of_one_shot: false,
        }
    }

    /// Something has come, and what was overlooked is found.
    fn answer(&mut self, records: usize, more: bool) {
        self.kernel.say_of_look(libc::POLLIN.into());
        // Who is lied to may have armed it and not know, and the other way round.
        if !self.kernel.is_armed && !self.lies {
            return;
        }
        let more = more && !self.is_of_one_shot;
        let unread = core::mem::take(&mut self.kernel.unread);
        match &mut self.inbox {
            Some(inbox) => {
                if unread > 0 && more {
                    self.kernel.fill(inbox, unread, true);
                }
                if self.kernel.is_armed || self.lies {
                    self.kernel.fill(inbox, records, more);
                }
            }
            None => self.kernel.say(libc::POLLIN.into(), 0),
        }
    }

    /// So much has come before the kernel looked that it overlooks the last.
    fn overlook(&mut self) {
        let stands = self.inbox.is_some() && !self.is_of_one_shot;
        if !self.lies && stands {
            self.answer(RECORDS, true);
            self.answer(RECORDS, true);
            self.kernel.unread += usize::from(self.kernel.is_armed);
        }
    }

    /// What a look would have told is told.
    fn announce(&mut self) {
        if self.kernel.unread > 0 {
            self.answer(1, true);
        }
    }

    /// The request ends with an error.
    fn fail(&mut self, errno: i32) {
        if self.kernel.is_armed {
            self.kernel.say(-errno, 0);
        }
    }

    /// Both end, the one first or the other.
    fn cancel(&mut self, look_first: bool) {
        if look_first {
            self.kernel.say_of_look(-libc::ECANCELED);
        }
        self.fail(libc::ECANCELED);
        self.kernel.say_of_look(-libc::ECANCELED);
    }

    fn arm(&mut self) {
        if self.request.is_armed() && self.look.is_due() {
            let _entry = self.look.arm(Target::Descriptor(-1));
            self.kernel.looks = true;
            if self.kernel.unread > 0 {
                self.kernel.say_of_look(libc::POLLIN.into());
            }
            return;
        }
        let was_in_flight = self.request.is_in_flight();
        match self.request.arm() {
            Ok(()) => {
                assert!(!was_in_flight && self.failure.is_none());
                self.look.read_is_armed();
                self.kernel.is_armed = true;
                self.is_stopped = false;
                self.announce();
            }
            Err(Error::AlreadyArmed) => assert!(was_in_flight),
            Err(error) => assert_eq!(self.failure, Some(error)),
        }
    }

    /// Asks for its cancellation. The kernel answers, if it is there.
    fn stop(&mut self, look_first: bool) {
        let was_in_flight = self.request.is_in_flight();
        assert_eq!(self.request.stop(), was_in_flight);
        self.is_stopped = true;
        assert_eq!(self.request.is_stopping(), was_in_flight);
        self.cancel(look_first);
    }

    /// The next thing that the kernel has said.
    fn hear(&mut self) {
        let Some((result, flags)) = self.kernel.said.pop_front() else {
            return;
        };
        self.heard.push((result, flags));
        let looked = self.look.is_in_flight();
        let told = self.tell(result, flags);
        if self.lies {
            return;
        }
        if looked && !self.look.is_in_flight() {
            assert_eq!(told, Ok(()), "whatever it was");
            return;
        }
        let fails = match result.wrapping_neg() {
            libc::ECANCELED | libc::ENOBUFS | libc::EINTR => false,
            libc::EAGAIN => self.kind == Kind::Readiness,
            libc::EINVAL => self.kind == Kind::Readiness || self.is_of_one_shot,
            errno => errno > 0,
        };
        self.is_of_one_shot |= result == -libc::EINVAL;
        assert_eq!(told.is_err(), fails, "{result}");
        assert_ne!(told, Err(Error::ForeignCompletion));
    }

    /// Takes a completion as a source does.
    fn tell(&mut self, result: i32, flags: u32) -> Result<(), Error> {
        let was_in_flight = self.request.is_in_flight();
        let was_stopping = self.request.is_stopping();
        let result = match self.look.complete(result, flags, was_in_flight) {
            Whose::Read(result) => result,
            Whose::Look => return Ok(()),
            Whose::Either => {
                self.cancel(true);
                return Ok(());
            }
        };
        let told = self.take_completion(result, flags);
        match told {
            Ok(()) => assert!(was_in_flight),
            Err(Error::ForeignCompletion) => {
                assert_eq!(self.request.is_in_flight(), was_in_flight);
                assert_eq!(self.request.is_stopping(), was_stopping);
            }
            Err(error) => {
                assert!(was_in_flight && self.request.has_failed());
                assert_eq!(error.raw_os_error(), Some(result.saturating_neg()));
                self.failure = Some(error);
            }
        }
        told
    }

    fn take_completion(
        &mut self,
        result: i32,
        flags: u32,
    ) -> Result<(), Error> {
        let outcome = self.request.look(result, flags)?;
        assert!(self.request.is_in_flight());
        match (outcome, &mut self.inbox) {
            (Outcome::Filled { buffer, records }, Some(inbox)) => {
                assert!(buffer < BUFFERS && records <= RECORDS);
                let is_new = inbox.push(buffer, records);
                if !is_new && !self.request.is_stopping() {
                    return Err(Error::ForeignCompletion);
                }
            }
            (Outcome::Readable, None) => assert!(result >= 0),
            (Outcome::Nothing, _) => assert!(result < 0),
            outcome => unreachable!("{outcome:?}"),
        }
        let completed = self.request.complete(result, flags)?;
        assert_eq!(completed, outcome);
        Ok(())
    }

    /// A completion that the kernel has not said, or has said before.
    fn lie(&mut self, input: &mut Input<'_>) {
        let result = match input.below(5) {
            0 if !self.heard.is_empty() => {
                let (result, flags) = self.heard[input.below(self.heard.len())];
                let _refused = self.tell(result, flags);
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
        let _refused = self.tell(result, flags);
    }

    /// Tells the inbox alone.
    fn lie_of_buffers(&mut self, buffer: u16, records: usize) {
        if let Some(inbox) = &mut self.inbox {
            inbox.push(buffer, records);
        }
    }

    fn take(&mut self, room: usize) -> usize {
        let Some(inbox) = &mut self.inbox else { return 0 };
        let taken = inbox.take(&mut self.room[..room], &SIGNALFD);
        for info in &self.room[..taken] {
            assert_eq!(*info, record(info.ptr));
            self.seen.push(info.ptr);
        }
        if self.request.stands() && self.look.take(taken, room) {
            self.announce();
        }
        taken
    }

    fn check(&mut self) {
        let wants_nothing = self.request.is_in_flight()
            || self.is_stopped
            || self.failure.is_some();
        assert_eq!(self.request.is_idle(), !wants_nothing);
        assert_eq!(self.request.has_failed(), self.failure.is_some());
        if let Some(error) = self.failure {
            assert_eq!(self.request.clone().arm(), Err(error), "it stays so");
        }
        if let Some(inbox) = &self.inbox {
            let free = inbox.buffers.tail().wrapping_sub(self.kernel.head);
            assert!(free <= BUFFERS, "more than there are");
        }
        if self.lies {
            return;
        }
        let is_last = |&&(_, flags): &&(i32, u32)| flags & MORE == 0;
        let last = self.kernel.said.iter().filter(is_last).count();
        let expected = [self.request.is_in_flight(), self.look.is_in_flight()];
        let there = [self.kernel.is_armed, self.kernel.looks];
        let count = |all: [bool; 2]| all.map(usize::from).iter().sum::<usize>();
        assert_eq!(count(expected), count(there) + last);
        if let Some(inbox) = &self.inbox {
            let is_filled = |&(_, flags): &(i32, u32)| flags & BUFFER != 0;
            let is_unsaid = self.kernel.said.iter().any(is_filled);
            assert_eq!(inbox.has_more(), is_unsaid);
        }
    }

    /// Nothing more comes, and a loop goes on for as long as it has something to do.
    fn go_to_sleep(&mut self) {
        loop {
            while !self.kernel.said.is_empty() {
                self.hear();
                self.check();
            }
            while self.take(100) > 0 {}
            let needs_arming = match &self.inbox {
                _ if self.request.is_armed() => self.look.is_due(),
                Some(inbox) => self.request.is_idle() && inbox.has_room(),
                None => self.request.is_idle(),
            };
            if needs_arming {
                self.arm();
            }
            if self.kernel.said.is_empty() {
                break;
            }
        }
        // It is pending, unless somebody waits for it.
        assert!(self.kernel.unread == 0 || !self.request.is_armed());
    }

    fn end(mut self, look_first: bool) {
        if !self.lies {
            self.go_to_sleep();
        }
        self.stop(look_first);
        while !self.kernel.said.is_empty() {
            self.hear();
            self.check();
        }
        if self.lies {
            // It may have been told nothing of its end.
            if self.request.is_in_flight() {
                let _refused = self.tell(-libc::ECANCELED, 0);
            }
            if let Some(inbox) = &mut self.inbox {
                inbox.push_all();
            }
        }
        assert!(!self.request.is_in_flight());
        while self.take(ROOM) > 0 {}
        if self.lies {
            self.seen.sort_unstable();
        }
        let all = 0..self.kernel.written;
        assert!(self.seen.drain(..).eq(all), "none is lost or doubled");
        if let Some(inbox) = &self.inbox {
            assert!(inbox.has_room() && !inbox.has_more());
            let free = inbox.buffers.tail().wrapping_sub(self.kernel.head);
            assert_eq!(free, BUFFERS, "the kernel has all of them");
        }
        self.go_on();
        if let Some(mut inbox) = self.inbox {
            inbox.buffers.release();
            MAPPED.set(Some(inbox.buffers));
        }
    }

    /// It goes on from here, unless it has failed.
    fn go_on(&mut self) {
        let first = self.kernel.written;
        self.arm();
        assert_eq!(self.request.is_in_flight(), self.failure.is_none());
        if self.failure.is_none() {
            self.lies = false;
            self.answer(1, false);
            while !self.kernel.said.is_empty() {
                self.hear();
            }
            assert!(self.request.is_idle());
            self.take(100);
            let is_read = self.kernel.written > first;
            assert_eq!(is_read, self.inbox.is_some());
            assert!(self.seen.drain(..).eq(first..self.kernel.written));
        }
    }
}

pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    // Most inputs are of reads, which have more to go wrong.
    let kind = match input.below(4) {
        0 => Kind::Readiness,
        _ => Kind::Completion,
    };
    let mut state = State::new(kind, input.below(2) == 1);
    while !input.is_empty() {
        match input.below(12) {
            0..3 => {
                // Most often few, which is quicker.
                let byte = input.byte();
                let most = if byte < 240 { 4 } else { RECORDS };
                let records = 1 + usize::from(byte) % most;
                state.answer(records, input.below(8) > 0);
            }
            3..5 => state.hear(),
            5 if input.below(8) == 0 => state.stop(input.below(2) == 1),
            5 if input.below(8) == 0 => state.cancel(input.below(2) == 1),
            5 if input.below(8) == 0 => {
                state.kernel.say_of_look(-libc::EACCES);
            }
            5 if input.below(4) == 0 => state.overlook(),
            5 | 6 => state.arm(),
            7 => {
                let likely = [
                    libc::ECANCELED,
                    libc::ENOBUFS,
                    libc::EINTR,
                    libc::EAGAIN,
                    libc::EINVAL,
                    libc::EBADF,
                ];
                state.fail(likely[input.below(6).min(input.below(6))]);
            }
            8 if state.lies => state.lie(&mut input),
            9 if state.lies => {
                let [low, high, records] = input.take();
                let buffer = u16::from_le_bytes([low, high % 2]);
                state.lie_of_buffers(buffer, records.into());
            }
            _ => {
                state.take(1 + input.below(ROOM));
            }
        }
        state.check();
    }
    state.end(data.len() % 2 == 1);
}
