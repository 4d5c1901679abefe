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
//! that waits makes a request of one shot when it is about to sleep, and none before.
//! What it finds pending it reads itself. So while signals come faster than it takes
//! them nothing is on the kernel's wait queue, where it would cost every sender
//! something. From when the descriptor has been asked for, the request *stands*: it is
//! of many shots, and in the ring whenever the receiver has been left alone.
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
//! either, it is left as it is (`left.rs`). In a forked child the ring is the
//! parent's too, so the child only lets go of it.

mod queues;
mod sleep;
mod take;

use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use core::time::Duration;

use io_uring::IoUring;
use rustix::event::epoll::EventFlags;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;

use self::queues::{Inner, nothing};
use super::register::{Calls, descriptor};
use super::turn::Turns;
use super::{BUFFERS, Buffers, Request, Unannounced, errno};
use crate::error::{Error, Op};
use crate::process::{self, Birth};
use crate::receive::{Kind, SignalFd};
use crate::sys::{Deadline, wait};

/// See the head of this file.
pub(crate) struct OwnRing {
    turns: Turns<Inner>,
    ring: IoUring,
    kind: Kind,
    /// What others wait for, when the ring reads.
    readable: Option<OwnedFd>,
    /// Somebody has asked for it, and may be waiting there.
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

/// The ring has one group of buffers.
const GROUP: u16 = 0;
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
        let ring = IoUring::builder()
            .setup_cqsize(COMPLETIONS)
            .build(ENTRIES)
            .map_err(|error| Error::os(Op::UringSetup, errno(&error)))?;
        // Waiting with a timeout (Linux 5.11).
        if !ring.params().is_feature_ext_arg() {
            return Err(Error::os(Op::UringSetup, Errno::INVAL));
        }
        let mut inner = Inner::new(match kind {
            Kind::Readiness => Request::new(kind),
            Kind::Completion => Request::reading(&ring),
        });
        let mut readable = None;
        if kind == Kind::Completion {
            let fd = descriptor(&ring);
            // Whether it can be stopped is known before it is begun.
            super::can_cancel(fd)
                .map_err(|errno| Error::os(Op::UringRegister, errno))?;
            let epoll = wait::epoll_create()?;
            epoll_add(epoll.as_fd(), fd)?;
            readable = Some(epoll);
            let mut calls = Calls::new(fd, birth);
            inner.buffers = Some(Buffers::new(&mut calls, GROUP)?);
        }
        let failure = AtomicU64::new(0);
        let turns = Turns::new(inner);
        let own = Self {
            turns,
            ring,
            kind,
            readable,
            is_shown: AtomicBool::new(false),
            sleepers: Sleepers::new(),
            is_narrowed: AtomicBool::new(false),
            unannounced: Unannounced::new(),
            failure,
            birth,
        };
        own.try_out(signalfd);
        // Dropped on failure, which stops it.
        own.failure().map_or(Ok(own), Err)
    }

    /// Submits something, since being allowed to make a ring is not yet being
    /// allowed to use it.
    fn try_out(&self, signalfd: &SignalFd) {
        let _alone = self.turns.take(|inner| match self.kind {
            Kind::Readiness => {
                self.submit(&[nothing()], signalfd.as_fd());
                self.note_all(inner, signalfd.as_fd());
            }
            // What was left because the queue is full comes before more of it. The
            // completion stays, so that the descriptor is readable.
            Kind::Completion if process::has_left(signalfd.signals()) => {
                self.submit(&[nothing()], signalfd.as_fd());
            }
            Kind::Completion => self.get_ready(inner, signalfd.as_fd()),
        });
    }

    /// Why the ring is not used any more, if it is not.
    pub(crate) fn failure(&self) -> Option<Error> {
        unpack(self.failure.load(Ordering::Relaxed))
    }

    /// What to wait for besides the signalfd, when the ring reads it. From now on it
    /// becomes readable by itself.
    pub(crate) fn descriptor(
        &self,
        signalfd: &SignalFd,
    ) -> Option<BorrowedFd<'_>> {
        let readable = self.readable.as_ref()?;
        let is_here = self.birth.check().is_ok();
        if is_here && !self.is_shown.swap(true, Ordering::SeqCst) {
            self.prepare(signalfd, &|| ());
        }
        Some(readable.as_fd())
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
            if let Some(readable) = &self.readable {
                // If there is no memory even for that, those who wait on the
                // descriptor see only what the ring still reads.
                let _added = epoll_add(readable.as_fd(), signalfd);
            }
        }
    }
}

impl Drop for OwnRing {
    fn drop(&mut self) {
        if self.birth.check().is_err() {
            return;
        }
        let fd = descriptor(&self.ring);
        let cancelled = super::cancel_all(fd);
        if !self.reads() {
            return;
        }
        let _done = self.turns.take(|inner| {
            inner.request.stop();
            if cancelled.is_err() {
                self.submit(&[inner.cancel()], fd);
            }
            self.wait_for_the_end(inner);
            let is_quiet = inner.is_quiet();
            let Some(buffers) = &mut inner.buffers else { return };
            let mut calls = Calls::new(fd, self.birth);
            buffers.close(&mut calls, GROUP, is_quiet, self.birth);
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

/// Counts the threads that sleep until the ring has something to say.
///
/// A thread says that it is about to sleep, then sees to it that the request is in the
/// ring. One that takes what the request has brought, and has no need of another, looks
/// whether somebody sleeps after it has taken. So either that one sees the sleeper, or
/// the sleeper finds no request, and makes one.
struct Sleepers(AtomicU32);

impl Sleepers {
    const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    fn add_one(&self) -> Asleep<'_> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Asleep(self)
    }

    fn are_some(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }
}

struct Asleep<'s>(&'s Sleepers);

impl Drop for Asleep<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
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
            .field("fd", &self.ring.as_raw_fd())
            .field("kind", &self.kind)
            .field("failure", &self.failure())
            .finish_non_exhaustive()
    }
}
