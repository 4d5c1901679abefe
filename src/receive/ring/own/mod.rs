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
//! Only a thread that waits uses the ring, with a request of one shot each time, and it
//! keeps its turn while it sleeps; a second one polls the signalfd instead. Completions
//! mean nothing but that it is time to read.
//!
//! # For completions
//!
//! What a thread pushes into the submission queue it submits in its turn. One that is about
//! to sleep does so afterwards, in the call that it sleeps in, which is a system call less.
//! Meanwhile another thread may have its turn. It submits what it finds there, before
//! anything else, since the first one may be long in coming. That one then finds less than
//! it had pushed. The kernel does not wait in that case, and says how many entries it took.
//! Or that one, being late, takes what somebody else has pushed since, who then finds
//! less. So if the kernel took all that a thread pushed, the request is that thread's, or
//! another one's that has taken it over; and who finds less makes it again.
//!
//! A completion stays in the queue until the last record of its buffer was taken.
//! So the ring's descriptor is readable for as long as there is something to take.
//! Sleeping needs no turn. Who submits nothing in the call that it sleeps in polls the
//! descriptor: the request that it waits for is another thread's to make, and may be
//! refused.
//!
//! As long as nobody has asked for that descriptor and no other thread sleeps, a thread
//! that waits makes a request of one shot when it is about to sleep, and none before. (The
//! first request is made when the receiver is opened, to see whether it may be; and who does
//! not wait leaves one behind, since nobody else would make it.) What it finds pending it
//! reads itself, in its turn. So while signals come faster than it takes them nothing is on
//! the kernel's wait queue, where it would cost every sender something. From when the
//! descriptor has been asked for, the request *stands*: it is of many shots, and in the ring
//! whenever the receiver has been left alone.
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
//! they do not come, the memory stays mapped, and if the ring does not forget it
//! either, it is left as it is (`left.rs`). A ring for readiness has its poll cancelled, and
//! waits for nothing. In a forked child the ring is the parent's too, so the child only lets
//! go of it.

#[cfg(any(test, fuzzing))]
#[path = "../../../fuzz/own_ring/mod.rs"]
pub(crate) mod fuzz;
mod linux;
mod queues;
mod sleep;
mod sleepers;
mod take;

use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;

use io_uring::IoUring;
use rustix::event::epoll::EventFlags;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd};
use rustix::io::Errno;

use self::linux::{Completion, LinuxRing, Queues, Ring, Submission};
use self::queues::{ASIDE, Inner};
use self::sleepers::Sleepers;
use super::register::descriptor;
use super::turn::Turns;
use super::{BUFFERS, Buffers, Request, Unannounced, errno};
use crate::error::{Error, Op};
use crate::process::{self, Birth};
use crate::receive::{Kind, SignalFd};
use crate::sys::{Deadline, wait};

/// See the head of this file.
pub(crate) struct OwnRing<R: Ring = LinuxRing> {
    turns: Turns<Inner<R::Queues>>,
    ring: R,
    kind: Kind,
    /// Somebody has asked for the descriptor, and may be waiting there.
    is_shown: AtomicBool,
    sleepers: Sleepers,
    /// Whether signals were taken out of the set, and what was read of them is still to go
    /// back.
    is_narrowed: AtomicBool,
    unannounced: Unannounced,
    /// Why the ring is not used any more; 0 while it is.
    failure: AtomicU64,
    birth: Birth,
}

/// The ring has one group of buffers. See [`super::begins_anew`].
const GROUP: u16 = 64;
const ENTRIES: u32 = 4;
/// Room for one completion for each buffer, and then some.
const COMPLETIONS: u32 = 2 * BUFFERS as u32;
/// How long a drop waits for last completions, which are a matter of the
/// scheduler.
const PATIENCE: Duration = Duration::from_secs(1);

impl OwnRing {
    /// Makes a ring, and sees that it may be used.
    ///
    /// # Errors
    ///
    /// [`Error::Os`], which tells what failed.
    pub(crate) fn new(kind: Kind, signalfd: &SignalFd) -> Result<Self, Error> {
        let birth = Birth::here();
        let queues = IoUring::builder()
            .setup_cqsize(COMPLETIONS)
            .build(ENTRIES)
            .map_err(|error| Error::os(Op::UringSetup, errno(&error)))?;
        // Waiting with a timeout (Linux 5.11).
        if !queues.params().is_feature_ext_arg() {
            return Err(Error::os(Op::UringSetup, Errno::INVAL));
        }
        let mut request = Request::new(kind);
        let mut ring = LinuxRing::new(queues.as_raw_fd());
        let mut buffers = None;
        if kind == Kind::Completion {
            let fd = descriptor(&queues);
            let failed = |errno| Error::os(Op::UringRegister, errno);
            let probe = super::probe(&queues).map_err(failed)?;
            request = Request::reading(&probe);
            // Whether it can be stopped is known before it is begun.
            super::can_cancel(fd, &probe).map_err(failed)?;
            let epoll = wait::epoll_create()?;
            epoll_add(epoll.as_fd(), fd)?;
            ring.readable = Some(epoll);
            buffers = Some(Buffers::new(&mut ring.kernel(birth), GROUP)?);
        }
        let inner = Inner::new(request, buffers, queues);
        let own = Self::with(kind, ring, inner, birth);
        own.try_out(signalfd);
        // Dropped on failure, which stops it.
        own.failure().map_or(Ok(own), Err)
    }

    /// What to wait for besides the signalfd, when the ring reads it. From now on it
    /// becomes readable by itself.
    pub(crate) fn descriptor(
        &self,
        signalfd: &SignalFd,
    ) -> Option<BorrowedFd<'_>> {
        let readable = self.ring.readable.as_ref()?;
        if self.birth.check().is_ok() {
            self.show(signalfd);
        }
        Some(readable.as_fd())
    }
}

impl<R: Ring> OwnRing<R> {
    const fn with(
        kind: Kind,
        ring: R,
        inner: Inner<R::Queues>,
        birth: Birth,
    ) -> Self {
        Self {
            turns: Turns::new(inner),
            ring,
            kind,
            is_shown: AtomicBool::new(false),
            sleepers: Sleepers::new(),
            is_narrowed: AtomicBool::new(false),
            unannounced: Unannounced::new(),
            failure: AtomicU64::new(0),
            birth,
        }
    }

    /// Submits something, since being allowed to make a ring is not yet being
    /// allowed to use it.
    fn try_out(&self, signalfd: &SignalFd) {
        let fd = signalfd.as_fd();
        let _alone = self.turns.take(|inner| match self.kind {
            Kind::Readiness => {
                self.submit(inner, &Submission::Nothing, fd);
                self.note_all(inner, fd);
            }
            // What was left because the queue is full comes before more of it. The
            // completion stays, so that the descriptor is readable.
            Kind::Completion if process::has_left(signalfd.signals()) => {
                self.submit(inner, &Submission::Nothing, fd);
            }
            Kind::Completion => self.get_ready(inner, fd),
        });
    }

    /// Why the ring is not used any more, if it is not.
    pub(crate) fn failure(&self) -> Option<Error> {
        unpack(self.failure.load(Ordering::Relaxed))
    }

    /// Somebody is about to wait for the descriptor: the request stands from now on.
    fn show(&self, signalfd: &SignalFd) {
        if !self.is_shown.swap(true, Ordering::SeqCst) {
            self.prepare(signalfd, &|| ());
        }
    }

    /// Whether somebody may wait for the descriptor.
    fn stands(&self) -> bool {
        self.reads() && self.is_shown.load(Ordering::SeqCst)
    }

    /// Whether somebody may wait for signals other than the caller.
    fn is_awaited(&self) -> bool {
        self.stands() || self.sleepers.are_some()
    }

    /// Whether the signalfd is to be announced, now that so much was taken of what there
    /// was room for: a request that stands may have overlooked a signal (`request.rs`).
    pub(crate) fn may_have_overlooked(
        &self,
        taken: usize,
        room: usize,
    ) -> bool {
        self.stands() && self.unannounced.is_due(taken, room)
    }

    fn reads(&self) -> bool {
        self.kind == Kind::Completion
    }

    fn fail(&self, error: Error, signalfd: BorrowedFd<'_>) {
        if let Error::Os { op, errno } = error {
            self.failure.store(pack(op, errno), Ordering::Relaxed);
            self.ring.add(signalfd);
        }
    }

    /// The end.
    fn end(&self) {
        let fd = self.ring.fd();
        if !self.reads() {
            // A poll writes nowhere, but stays in the ring of a forked child. Not as below:
            // before Linux 5.18 the kernel does not know that call, and would wait for the
            // poll's end.
            let _done = self.turns.take(|inner| self.cancel(inner, fd));
            return;
        }
        let cancelled = self.ring.cancel_all();
        let _done = self.turns.take(|inner| {
            inner.request.stop();
            if cancelled.is_err() {
                self.submit(inner, &Submission::Cancel(inner.last), fd);
            }
            if self.wait_for_the_end(inner, fd).is_err() {
                return;
            }
            let is_quiet = inner.is_quiet();
            let Some(buffers) = &mut inner.buffers else { return };
            let mut kernel = self.ring.kernel(self.birth);
            buffers.close(&mut kernel, GROUP, is_quiet, self.birth);
        });
    }

    /// Waits for the last completions, in the process that it is of.
    fn wait_for_the_end(
        &self,
        inner: &mut Inner<R::Queues>,
        fd: BorrowedFd<'_>,
    ) -> Result<(), Error> {
        let deadline = Deadline::after(Some(PATIENCE));
        loop {
            self.note_all(inner, fd);
            let is_over = deadline.is_over() || self.failure().is_some();
            if inner.is_quiet() || is_over {
                return Ok(());
            }
            self.enter(0, deadline, fd)?;
        }
    }
}

impl<R: Ring> Drop for OwnRing<R> {
    fn drop(&mut self) {
        if self.birth.check().is_ok() {
            self.end();
        }
    }
}

/// Makes an epoll readable while this descriptor is, too.
fn epoll_add(epoll: BorrowedFd<'_>, fd: BorrowedFd<'_>) -> Result<(), Error> {
    wait::epoll_add(epoll, fd, 0, EventFlags::IN)
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

impl fmt::Debug for OwnRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnRing")
            .field("fd", &self.ring.fd())
            .field("kind", &self.kind)
            .field("failure", &self.failure())
            .finish_non_exhaustive()
    }
}
