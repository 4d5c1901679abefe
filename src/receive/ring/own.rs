//! A ring of the receiver's own.
//!
//! # Who does what
//!
//! The two queues, the request and the buffers are for one thread at a time: for
//! the one whose turn it is (`turn.rs`). A ring of the default kind, without
//! `IORING_SETUP_SINGLE_ISSUER`, may be submitted to by any thread, so a receiver
//! may move.
//!
//! A request belongs to the thread that submitted it: the kernel looks for signals
//! on behalf of that thread, so it sees those directed at it and at the process,
//! and it is over when that thread ends. So each submission has a number, its
//! `user_data`, and the ring remembers which thread made the last one. When another
//! thread is about to wait, it has that one cancelled and submits its own.
//! Completions of the old one may still come. They are like those of the new one,
//! but for the last.
//!
//! # For readiness
//!
//! Only a thread that waits uses the ring, and it keeps its turn while it sleeps;
//! a second one polls the signalfd instead. Completions mean nothing but that it
//! is time to read.
//!
//! # For completions
//!
//! A completion stays in the queue until the last record of its buffer was taken.
//! So the ring's descriptor is readable for as long as there is something to take.
//! Sleeping needs no turn.
//!
//! # Falling back
//!
//! A ring can fail later: a sandbox may come to forbid it. Then the reason is
//! noted, and from there on the receiver reads the signalfd itself. What the
//! ring has read, or still reads where it cannot be stopped, is taken first. The
//! descriptor that others wait for is for that reason an epoll, which has the
//! ring in it, and from then on the signalfd too.
//!
//! # The end
//!
//! Dropping cancels the requests, waits for their last completions, and puts back
//! what is in the buffers (`buffers.rs` says why no completion has to say so). If
//! they do not come the memory is leaked. In a
//! forked child the ring is the parent's too, so the child only lets go of it.

#![expect(unsafe_code, reason = "the queues of a ring shared between threads")]

use core::cell::Cell;
use core::fmt;
use core::mem::ManuallyDrop;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use io_uring::types::{SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;

use super::register::descriptor;
use super::turn::{Done, Turns};
use super::{BUFFERS, Buffers, Cancel, Outcome, Request, Target};
use crate::error::{Error, Op};
use crate::process::Birth;
use crate::receive::put_back::return_record;
use crate::receive::{Kind, SignalFd};
use crate::signal::{SigInfo, SignalSet};
use crate::sys::{self, Deadline};

/// See the head of this file.
pub(crate) struct OwnRing {
    turns: Turns<Inner>,
    ring: IoUring,
    kind: Kind,
    /// What others wait for, when the ring reads.
    readable: Option<OwnedFd>,
    /// Why the ring is not used any more; 0 while it is.
    failure: AtomicU64,
    birth: Birth,
}

/// What is for one thread at a time, together with the ring's two queues.
struct Inner {
    request: Request,
    /// The number of the submission that `request` is.
    last: u64,
    /// The thread that made it.
    thread: u64,
    /// How many earlier submissions have not ended.
    earlier: u32,
    /// Present when the ring reads.
    buffers: Option<Buffers>,
    /// How much was taken of the buffer that the first completion names.
    taken: usize,
}

/// The `user_data` of what is submitted besides requests, and not looked at.
const ASIDE: u64 = 0;
/// The ring has one group of buffers.
const GROUP: u16 = 0;
const ENTRIES: u32 = 4;
/// Room for one completion for each buffer, and then some.
const COMPLETIONS: u32 = 2 * BUFFERS as u32;
/// How often a request is made in a row that ends each time without a record.
const ATTEMPTS: u32 = 8;
/// How long a drop waits for last completions, which are a matter of the
/// scheduler.
const PATIENCE: Duration = Duration::from_secs(1);

impl OwnRing {
    /// Makes a ring, and sees that it can do what it is for.
    ///
    /// # Errors
    ///
    /// [`Error::Os`], which tells what failed.
    pub(crate) fn new(kind: Kind, signalfd: &SignalFd) -> Result<Self, Error> {
        let (birth, wanted) = (signalfd.birth(), signalfd.signals());
        let signalfd = signalfd.as_fd();
        let ring = IoUring::builder()
            .setup_cqsize(COMPLETIONS)
            .build(ENTRIES)
            .map_err(|error| Error::os(Op::UringSetup, errno(&error)))?;
        // Waiting with a timeout (Linux 5.11).
        if !ring.params().is_feature_ext_arg() {
            return Err(Error::os(Op::UringSetup, Errno::INVAL));
        }
        let mut inner = Inner {
            request: Request::new(kind),
            last: ASIDE,
            thread: 0,
            earlier: 0,
            buffers: None,
            taken: 0,
        };
        let mut readable = None;
        if kind == Kind::Completion {
            let fd = descriptor(&ring);
            // Whether it can be stopped is known before it is begun.
            super::cancel(fd, Cancel::Any)
                .map_err(|errno| Error::os(Op::UringRegister, errno))?;
            let buffers = Buffers::new()?;
            buffers.register(fd, GROUP)?;
            inner.buffers = Some(buffers);
            readable = Some(epoll_of(fd)?);
        }
        let failure = AtomicU64::new(0);
        let turns = Turns::new(inner);
        let own = Self { turns, ring, kind, readable, failure, birth };
        own.try_out(signalfd, wanted);
        // Dropped on failure, which stops it.
        own.failure().map_or(Ok(own), Err)
    }

    /// Submits something, since being allowed to make a ring is not yet being
    /// allowed to use it.
    fn try_out(&self, signalfd: BorrowedFd<'_>, wanted: SignalSet) {
        let _alone = self.turns.take(|inner| match self.kind {
            Kind::Readiness => {
                let nop = opcode::Nop::new().build().user_data(ASIDE);
                self.submit(&[nop], signalfd);
                self.note_all(inner, signalfd);
            }
            // What was left because the queue is full comes before more of it.
            Kind::Completion if super::has_left(wanted) => {}
            Kind::Completion => self.get_ready(inner, signalfd),
        });
    }

    /// Why the ring is not used any more, if it is not.
    pub(crate) fn failure(&self) -> Option<Error> {
        unpack(self.failure.load(Ordering::Relaxed))
    }

    /// What to wait for besides the signalfd, when the ring reads it.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.readable.as_ref().map(AsFd::as_fd)
    }

    fn reads(&self) -> bool {
        self.kind == Kind::Completion
    }

    fn fail(&self, error: Error, signalfd: BorrowedFd<'_>) {
        if let Error::Os { op, errno } = error {
            self.failure.store(pack(op, errno), Ordering::Relaxed);
            if let Some(readable) = &self.readable {
                // If there is no memory even for that, those who wait on the
                // descriptor see only what the ring still reads.
                let _added = epoll_add(readable.as_fd(), signalfd);
            }
        }
    }
}

/// Taking what the ring has read.
impl OwnRing {
    /// Takes records, when the ring reads; `None` where the signalfd has to be
    /// read instead. Records that are not wanted go back to the kernel.
    ///
    /// Afterwards there is something to take or a request in the ring, and if less
    /// came than there is room for, one on behalf of this thread. Or else another
    /// thread has its turn; that one then hears of it, calls `tell`, and lets the
    /// descriptor tell, when it is done.
    pub(crate) fn take(
        &self,
        room: &mut [SigInfo],
        wanted: SignalSet,
        signalfd: BorrowedFd<'_>,
        tell: impl FnOnce(),
    ) -> Option<usize> {
        if !self.reads() {
            return None;
        }
        let turn =
            self.turns.take(|inner| self.fill(inner, room, wanted, signalfd));
        let Some(Done { result: taken, was_noted }) = turn else {
            return Some(0);
        };
        if was_noted {
            tell();
            self.show_again();
        }
        let is_over = taken == 0 && self.failure().is_some();
        (!is_over).then_some(taken)
    }

    /// Tells those who wait for an edge of the descriptor once more: one who came
    /// in vain may wait for it, with something left to take.
    fn show_again(&self) {
        if let Some(readable) = &self.readable {
            let (data, interest) = (EventData::new_u64(0), EventFlags::IN);
            let ring = descriptor(&self.ring);
            // It needs no memory, and fails for nothing else.
            let _shown = epoll::modify(readable, ring, data, interest);
        }
    }

    fn fill(
        &self,
        inner: &mut Inner,
        room: &mut [SigInfo],
        wanted: SignalSet,
        signalfd: BorrowedFd<'_>,
    ) -> usize {
        let mut taken = 0;
        let mut patience = ATTEMPTS;
        loop {
            let before = taken;
            while let Some(place) = room.get_mut(taken) {
                let Some(info) = self.next(inner, signalfd) else { break };
                // What cannot go back is handed out rather than lost.
                if wanted.has(info.signal()) || return_record(&info).is_err() {
                    *place = info;
                    taken += 1;
                }
            }
            // Who got all it asked for may wait for the descriptor as well as ask
            // for more, and who got less will wait.
            let is_full = taken == room.len();
            let is_armed = if is_full {
                self.peek().is_some() || inner.request.is_in_flight()
            } else {
                inner.is_armed_here()
            };
            if taken > before {
                patience = ATTEMPTS;
            }
            if is_armed
                || !self.arm_patiently(inner, &mut patience, signalfd)
                || is_full
            {
                return taken;
            }
        }
    }

    /// Arms the request, but not for ever if it ends each time at once.
    fn arm_patiently(
        &self,
        inner: &mut Inner,
        patience: &mut u32,
        signalfd: BorrowedFd<'_>,
    ) -> bool {
        if *patience == 0 {
            self.fail(Error::os(Op::UringRead, Errno::AGAIN), signalfd);
            return false;
        }
        *patience -= 1;
        self.arm(inner, signalfd)
    }

    /// Takes the next record, and lets go of the completions before it.
    fn next(
        &self,
        inner: &mut Inner,
        signalfd: BorrowedFd<'_>,
    ) -> Option<SigInfo> {
        loop {
            let entry = self.peek()?;
            let Some((buffer, records)) = filled(&entry) else {
                self.let_go(inner, signalfd);
                continue;
            };
            let buffers = inner.buffers.as_mut()?;
            let info = buffers.take(buffer, inner.taken);
            inner.taken += 1;
            if inner.taken >= records {
                buffers.put(buffer);
                inner.taken = 0;
                self.let_go(inner, signalfd);
            }
            if info.is_some() {
                return info;
            }
        }
    }

    /// Makes sure that a signal will make the descriptor readable.
    pub(crate) fn prepare(&self, signalfd: BorrowedFd<'_>) {
        if !self.reads() || self.failure().is_some() {
            return;
        }
        // Where another thread has its turn, that one does.
        let _done = self.turns.take(|inner| self.get_ready(inner, signalfd));
    }

    /// Arms the request, unless there is something to take.
    fn get_ready(&self, inner: &mut Inner, signalfd: BorrowedFd<'_>) {
        let mut patience = ATTEMPTS;
        loop {
            match self.peek() {
                Some(entry) if filled(&entry).is_some() => return,
                Some(_) => self.let_go(inner, signalfd),
                None if inner.is_armed_here() => return,
                None => {
                    if !self.arm_patiently(inner, &mut patience, signalfd) {
                        return;
                    }
                }
            }
        }
    }

    /// Puts back what the ring has read and is not wanted any more.
    pub(crate) fn unwant(&self, wanted: SignalSet) {
        if !self.reads() {
            return;
        }
        let is_unwanted = |info: &SigInfo| !wanted.has(info.signal());
        // Where another thread has its turn, that one sorts them out.
        let _done = self.turns.take(|inner| {
            let Some(buffers) = &mut inner.buffers else { return };
            // SAFETY: this thread has the turn, so there is no other value of
            // this type. Not being dropped it lets go of nothing.
            let queue = unsafe { self.ring.completion_shared() };
            let mut queue = ManuallyDrop::new(queue);
            let mut begin = inner.taken;
            for entry in queue.by_ref() {
                let Some((buffer, records)) = filled(&entry) else { continue };
                for at in begin..records {
                    let put_back = |info: &SigInfo| return_record(info).is_ok();
                    buffers.take_if(buffer, at, |info| {
                        is_unwanted(info) && put_back(info)
                    });
                }
                begin = 0;
            }
        });
    }
}

/// Sleeping until there is something to take.
impl OwnRing {
    /// Sleeps until the ring has something to say or the deadline is over; or for
    /// no reason. The caller has found nothing to take.
    pub(crate) fn sleep(
        &self,
        signalfd: BorrowedFd<'_>,
        deadline: Deadline,
    ) -> Result<(), Error> {
        if self.failure().is_some() {
            let fd = self.descriptor().unwrap_or(signalfd);
            return sys::poll(fd, deadline).map(drop);
        }
        if self.reads() {
            // No turn: who has it leaves completions in the queue for as long as
            // they bring something, and they end the wait.
            self.wait(signalfd, deadline);
            return Ok(());
        }
        let turn = self.turns.take(|inner| {
            // What is there came before the caller looked, or after: it has to
            // look again.
            let is_ready = self.note_all(inner, signalfd)
                || !inner.is_armed_here() && !self.arm(inner, signalfd);
            if !is_ready {
                self.wait(signalfd, deadline);
                self.note_all(inner, signalfd);
            }
        });
        match turn {
            Some(_) => Ok(()),
            None => sys::poll(signalfd, deadline).map(drop),
        }
    }

    /// Waits for a completion.
    fn wait(&self, signalfd: BorrowedFd<'_>, deadline: Deadline) {
        // include/uapi/linux/io_uring.h
        const IORING_ENTER_GETEVENTS: u32 = 1 << 0;
        const IORING_ENTER_EXT_ARG: u32 = 1 << 3;
        const FLAGS: u32 = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
        let timeout = deadline.left().map(|left| {
            Timespec::new().sec(left.as_secs()).nsec(left.subsec_nanos())
        });
        let args = SubmitArgs::new();
        let args = match &timeout {
            Some(timeout) => args.timespec(timeout),
            None => args,
        };
        let submitter = self.ring.submitter();
        // SAFETY: nothing is submitted, and the argument is the
        // `io_uring_getevents_arg` that the flag promises, with a timeout that
        // lives past the call (io_uring_enter(2)).
        let result = unsafe { submitter.enter(0, 1, FLAGS, Some(&args)) };
        if let Err(error) = result {
            match errno(&error) {
                Errno::INTR | Errno::TIME => {}
                errno => self.fail(Error::os(Op::UringEnter, errno), signalfd),
            }
        }
    }
}

/// The two queues. Everything here is called by the thread that has the turn.
impl OwnRing {
    /// Puts the request into the ring, on behalf of this thread.
    fn arm(&self, inner: &mut Inner, signalfd: BorrowedFd<'_>) -> bool {
        if self.failure().is_some() {
            return false;
        }
        let cancel = opcode::AsyncCancel::new(inner.last);
        let cancel = cancel.build().user_data(ASIDE);
        let was_in_flight = inner.request.is_in_flight();
        if was_in_flight {
            inner.earlier += 1;
            inner.request.disarm();
        }
        if let Err(error) = inner.request.arm() {
            self.fail(error, signalfd);
            return false;
        }
        inner.last += 1;
        inner.thread = this_thread();
        let target = Target::Descriptor(signalfd.as_raw_fd());
        let entry = inner.request.entry(target, GROUP).user_data(inner.last);
        let both = [cancel, entry];
        let entries = if was_in_flight { &both[..] } else { &both[1..] };
        self.submit(entries, signalfd)
    }

    fn submit(
        &self,
        entries: &[squeue::Entry],
        signalfd: BorrowedFd<'_>,
    ) -> bool {
        // SAFETY: this thread has the turn, so there is no other value of this
        // type, and it ends with the statement.
        let mut queue = unsafe { self.ring.submission_shared() };
        // SAFETY: a request names no memory but, by its group, the buffers, which
        // stay mapped until it has ended (`drop`); the others name none at all.
        let pushed = unsafe { queue.push_multiple(entries) };
        drop(queue);
        let submitted = match pushed {
            // There are more places than are ever in use.
            Err(_full) => Err(Errno::BUSY),
            Ok(()) => loop {
                match self.ring.submit().map_err(|error| errno(&error)) {
                    Err(Errno::INTR) => {}
                    done => break done,
                }
            },
        };
        if let Err(errno) = submitted {
            self.fail(Error::os(Op::UringEnter, errno), signalfd);
        }
        submitted.is_ok()
    }

    /// The first completion, which stays there.
    fn peek(&self) -> Option<cqueue::Entry> {
        // SAFETY: this thread has the turn, so there is no other value of this
        // type. Not being dropped it lets go of nothing.
        let queue = unsafe { self.ring.completion_shared() };
        ManuallyDrop::new(queue).next()
    }

    /// Lets go of the first completion, and takes note of what it says.
    fn let_go(&self, inner: &mut Inner, signalfd: BorrowedFd<'_>) {
        // SAFETY: this thread has the turn, so there is no other value of this
        // type, and it ends with the statement.
        let entry = unsafe { self.ring.completion_shared() }.next();
        if let Some(Err(error)) = entry.map(|entry| inner.note(&entry)) {
            self.fail(error, signalfd);
        }
    }

    /// Lets go of all completions, and tells whether there was one.
    fn note_all(&self, inner: &mut Inner, signalfd: BorrowedFd<'_>) -> bool {
        let mut was_there = false;
        while self.peek().is_some() {
            was_there = true;
            self.let_go(inner, signalfd);
        }
        was_there
    }
}

impl Inner {
    /// Whether the request is in the ring on behalf of this thread.
    fn is_armed_here(&self) -> bool {
        self.request.is_in_flight() && self.thread == this_thread()
    }

    const fn is_quiet(&self) -> bool {
        self.earlier == 0 && !self.request.is_in_flight()
    }

    /// Takes note of what a completion says of its request.
    fn note(&mut self, entry: &cqueue::Entry) -> Result<(), Error> {
        if entry.user_data() == self.last {
            let result = self.request.complete(entry.result(), entry.flags());
            return result.map(drop);
        }
        if entry.user_data() != ASIDE && !cqueue::more(entry.flags()) {
            self.earlier = self.earlier.saturating_sub(1);
        }
        Ok(())
    }
}

impl Drop for OwnRing {
    fn drop(&mut self) {
        if self.birth.check().is_err() {
            return;
        }
        let fd = descriptor(&self.ring);
        let cancelled = super::cancel(fd, Cancel::Any);
        if !self.reads() {
            return;
        }
        let _done = self.turns.take(|inner| {
            inner.request.stop();
            if cancelled.is_err() {
                let cancel = opcode::AsyncCancel::new(inner.last);
                self.submit(&[cancel.build().user_data(ASIDE)], fd);
            }
            self.wait_for_the_end(inner);
            let is_quiet = inner.is_quiet();
            let Some(buffers) = &mut inner.buffers else { return };
            let forgotten = super::forget_buffers(fd, GROUP);
            let is_over = is_quiet && forgotten.is_ok();
            super::put_back_all(buffers, is_over, self.birth);
        });
    }
}

impl OwnRing {
    /// Waits for the last completions.
    fn wait_for_the_end(&self, inner: &mut Inner) {
        let deadline = Deadline::after(Some(PATIENCE));
        let ring = descriptor(&self.ring);
        loop {
            self.note_all(inner, ring);
            let is_over = deadline.is_over() || self.failure().is_some();
            if inner.is_quiet() || is_over {
                return;
            }
            self.wait(ring, deadline);
        }
    }
}

/// Makes an epoll that is readable while this descriptor is.
fn epoll_of(fd: BorrowedFd<'_>) -> Result<OwnedFd, Error> {
    let epoll = epoll::create(CreateFlags::CLOEXEC)
        .map_err(|errno| Error::os(Op::EpollCreate, errno))?;
    epoll_add(epoll.as_fd(), fd)?;
    Ok(epoll)
}

/// Makes an epoll readable while this descriptor is, too.
fn epoll_add(epoll: BorrowedFd<'_>, fd: BorrowedFd<'_>) -> Result<(), Error> {
    let data = EventData::new_u64(0);
    epoll::add(epoll, fd, data, EventFlags::IN)
        .map_err(|errno| Error::os(Op::EpollCtl, errno))
}

/// Which buffer a completion says was filled, and with how many records.
fn filled(entry: &cqueue::Entry) -> Option<(u16, usize)> {
    let bytes = usize::try_from(entry.result()).ok()?;
    if entry.user_data() == ASIDE {
        return None;
    }
    match super::filled(bytes, entry.flags()) {
        Ok(Outcome::Filled { buffer, records }) => Some((buffer, records)),
        _ => None,
    }
}

/// A failure as a number that is not 0.
const fn pack(op: Op, errno: i32) -> u64 {
    ((op as u64) << 32) | errno.unsigned_abs() as u64
}

fn unpack(packed: u64) -> Option<Error> {
    let errno = i32::try_from(packed & 0xFFFF_FFFF).ok()?;
    [Op::UringEnter, Op::UringPoll, Op::UringRead]
        .into_iter()
        .find(|&op| op as u64 == packed >> 32)
        .map(|op| Error::Os { op, errno })
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// A number for the calling thread, which no other thread of the process gets.
fn this_thread() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    std::thread_local! {
        static NUMBER: Cell<u64> = const { Cell::new(0) };
    }
    NUMBER.with(|number| {
        if number.get() == 0 {
            number.set(LAST.fetch_add(1, Ordering::Relaxed) + 1);
        }
        number.get()
    })
}

impl fmt::Debug for OwnRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnRing")
            .field("fd", &self.ring.as_raw_fd())
            .field("kind", &self.kind)
            .field("failure", &self.failure())
            .finish_non_exhaustive()
    }
}
