//! A source that waits.

use core::{fmt, mem};

use io_uring::{IoUring, cqueue, opcode, squeue};
use rustix::fd::AsRawFd;

use crate::error::Error;
use crate::receive::ring::{self, Request, Slot};
use crate::receive::{Batch, Kind, Receiver};
use crate::signal::SigInfo;

/// Signals in the caller's ring, which says when there is something to read.
///
/// The request is a single-shot poll (`IORING_OP_POLL_ADD`), so it is armed before each
/// wait; that takes no system call besides the one that waits. (A multishot poll can
/// overlook a signal under a flood, seen on Linux 6.18.) It names no memory, and takes no
/// signal: [`take`](Self::take) does, with a read of its own. So the source can be
/// dropped, moved, forgotten or forked at any time, and works in a ring of any kind but
/// `IORING_SETUP_IOPOLL`.
///
/// Dropping it leaves the request in the ring, and completions may still come; to prevent
/// that, [`cancel`](Self::cancel) it before. They do no harm: the request takes nothing,
/// even if the number of the descriptor is another file's by then. But a request that is
/// submitted only then keeps that file open, as it would the signalfd: submit or cancel
/// it before the receiver is dropped.
///
/// Before Linux 5.7, and before 5.12 with `IORING_SETUP_SQPOLL`, a thread of the kernel looks
/// for signals, and finds only its own: the request does not complete for what comes after it
/// was submitted. [`submit_and_wait`](Self::submit_and_wait) refuses such a ring; a wait of
/// the loop's own would never end.
///
/// See [the module](crate::uring) for a loop.
pub struct Source<R> {
    receiver: R,
    slot: Slot,
    is_readable: bool,
    /// The last batch left nothing, but some may have come since it was handed out.
    has_handed_out: bool,
    /// How often in a row some had.
    found: u32,
}

/// How often in a row, before what else is in the ring has its turn.
const IN_A_ROW: u32 = 64;

impl<R: AsRef<Receiver>> Source<R> {
    /// Makes a source of a receiver: `&Receiver`, `&Signals`, `Arc<Receiver>`, or
    /// anything else that has one.
    pub const fn new(receiver: R) -> Self {
        Self {
            receiver,
            slot: Slot::new(Request::new(Kind::Readiness)),
            // Nothing has said so, but looking once costs little.
            is_readable: true,
            has_handed_out: false,
            found: 0,
        }
    }

    /// Lets the request name the receiver's descriptor by an index into the ring's
    /// registered files, where the caller has registered it. That saves a little
    /// for each submission.
    #[must_use]
    pub const fn registered(mut self, index: u32) -> Self {
        self.slot.file = Some(index);
        self
    }

    /// Returns the receiver.
    pub fn receiver(&self) -> &Receiver {
        self.receiver.as_ref()
    }

    /// Says whether the request has to be put into the ring: at first, and
    /// whenever it has ended.
    #[must_use]
    pub const fn needs_arming(&self) -> bool {
        self.slot.request.is_idle()
    }

    /// Puts the request into a submission queue, with this `user_data`, which no
    /// other request in the ring may have.
    ///
    /// # Errors
    ///
    /// - [`Error::QueueFull`]: submit first; nothing has changed, and the next call makes the
    ///   same submission.
    /// - [`Error::AlreadyArmed`]: the request is in the ring.
    /// - [`Error::Os`]: the request has failed for good.
    /// - [`Error::Forked`]: in a forked child.
    #[inline]
    pub fn push<E: squeue::EntryMarker>(
        &mut self,
        queue: &mut squeue::SubmissionQueue<'_, E>,
        user_data: u64,
    ) -> Result<(), Error> {
        let before = self.slot.clone();
        let entry = self.arm(user_data)?;
        ring::push(queue, entry).inspect_err(|_| self.slot = before)
    }

    /// Returns the submission, for a ring that [`push`](Self::push) cannot reach. The
    /// source counts as armed from now on: if the queue is full, keep the entry and push
    /// it later.
    ///
    /// # Safety of pushing it
    ///
    /// [`SubmissionQueue::push`](squeue::SubmissionQueue::push) is unsafe because of the
    /// memory that an entry may name. This one names none, so any queue may have it at any
    /// time.
    ///
    /// # Errors
    ///
    /// Those of [`push`](Self::push), except [`Error::QueueFull`].
    #[inline]
    pub fn arm(&mut self, user_data: u64) -> Result<squeue::Entry, Error> {
        let receiver = self.receiver.as_ref();
        receiver.check_process()?;
        // It asks for no buffer, so for none of any group.
        self.slot.arm(receiver.as_raw_fd(), 0, user_data)
    }

    /// Takes a completion that carries the `user_data`.
    ///
    /// # Errors
    ///
    /// - [`Error::ForeignCompletion`], without effect: it carries another
    ///   `user_data`, or nothing is in the ring.
    /// - [`Error::Os`]: the ring cannot wait for signals; the error says why. The
    ///   source is not armed again, and [`take`](Self::take) goes on working.
    /// - [`Error::Forked`]: in a forked child.
    #[inline]
    pub fn complete(
        &mut self,
        completion: impl Into<cqueue::Entry>,
    ) -> Result<(), Error> {
        self.receiver.as_ref().check_process()?;
        let completion = completion.into();
        self.slot.check(completion.user_data())?;
        let (result, flags) = (completion.result(), completion.flags());
        // Whatever it says, even that the request is cancelled: it is worth a
        // look, since a completion may have been lost.
        self.slot.request.look(result, flags)?;
        self.is_readable = true;
        self.found = 0;
        self.slot.request.complete(result, flags).map(drop)
    }

    /// Takes signals, up to the size of the batch; the slice is empty when there are none
    /// left. At most one system call, and none before a completion says that there is
    /// something, unless the request has failed, it is the first time, or as is said below.
    ///
    /// Call it until the slice is empty: a completion announces signals only once.
    ///
    /// After the last batch it reads once more, unless signals are to gather, for what has
    /// come while that was handled: then the loop need not wait. After 64 such batches in a
    /// row the ring has its turn.
    ///
    /// # Errors
    ///
    /// Those of [`Receiver::try_recv_batch`].
    #[inline]
    pub fn take<'b, const N: usize>(
        &mut self,
        batch: &'b mut Batch<N>,
    ) -> Result<&'b [SigInfo], Error> {
        if !self.is_readable && !self.looks_first() {
            self.receiver.as_ref().check_process()?;
            batch.room()?;
            return Ok(&[]);
        }
        let infos = self.receiver.as_ref().try_recv_batch(batch)?;
        // Nobody will say so any more if the request has failed.
        self.is_readable = infos.len() == N || self.slot.request.has_failed();
        self.has_handed_out = !self.is_readable && !infos.is_empty();
        self.found += u32::from(self.has_handed_out);
        Ok(infos)
    }

    /// Whether to read although nothing has said that there is something: the loop comes back
    /// from what it has done with a batch, and is about to wait.
    #[inline]
    fn looks_first(&mut self) -> bool {
        mem::take(&mut self.has_handed_out)
            && self.slot.request.is_idle()
            && self.found < IN_A_ROW
            && self.receiver.as_ref().gathers_until().is_none()
    }

    /// Submits what is in the queue of the ring and waits for a completion, as
    /// `submit_and_wait(1)` of the ring does. With
    /// [`Options::moderate`](crate::Options::moderate) it waits until signals have
    /// gathered.
    ///
    /// Other completions are held up as well, for the delay at most, and not once half of
    /// the completion queue is filled. How many signals are pending is not known before they
    /// are read: they gather until as many as [`moderate`](crate::Options::moderate) asks for
    /// are expected. Where the kernel has a minimum wait (`min_wait_usec`, Linux 6.12)
    /// this is one system call; before, it may be two. Before Linux 5.11 nothing gathers.
    ///
    /// In a ring with `IORING_SETUP_DEFER_TASKRUN` the thread sleeps on when signals come
    /// meanwhile. In others each completion of its request wakes it.
    ///
    /// If there are completions that were not looked at, it does not wait; with nothing
    /// to submit either, it makes no system call.
    ///
    /// It may return when nothing has completed: when the process was stopped and
    /// continued, or a handler has run. What completes is in the ring's queue.
    ///
    /// # Errors
    ///
    /// - [`Error::Os`]: `io_uring_enter(2)` has failed, for instance with `EBUSY` when
    ///   there is no room for completions: take some, and go on.
    /// - [`Error::Os`] with `EINVAL`: the kernel is older than 5.7, or 5.12 for a ring with
    ///   `IORING_SETUP_SQPOLL`.
    /// - [`Error::Forked`]: in a forked child.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    ///
    /// use io_uring::IoUring;
    /// use signalfd::{Batch, Options, Signal, uring::Source};
    /// # use signalfd::Error;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let Ok(ring) = IoUring::new(8) else { return Ok(()) };
    /// # drop(ring);
    /// let options = Options::new().moderate(Duration::from_micros(50), 64);
    /// let signals = options.open(Signal::HUP)?;
    /// let mut ring = IoUring::new(8)?;
    /// let mut source = Source::new(&signals);
    /// source.push(&mut ring.submission(), 1)?;
    /// # unsafe { libc::kill(libc::getpid(), libc::SIGHUP) };
    /// source.submit_and_wait(&mut ring)?;
    /// for completion in ring.completion() {
    ///     source.complete(completion)?;
    /// }
    /// assert_eq!(source.take(&mut Batch::<64>::new())?.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn submit_and_wait<S, C>(
        &self,
        ring: &mut IoUring<S, C>,
    ) -> Result<(), Error>
    where
        S: squeue::EntryMarker,
        C: cqueue::EntryMarker,
    {
        super::wait::submit_and_wait(ring, self.receiver.as_ref())
    }

    /// Returns a submission that cancels the request, with a `user_data` of its own;
    /// `None` if nothing is in the ring, or in a forked child, where the request is the
    /// parent's. The last completion of the request comes after that; from then on the
    /// source does not ask to be armed. Like the one of [`arm`](Self::arm) it names no
    /// memory, so it may be pushed to any queue.
    #[must_use = "it cancels nothing until it is submitted"]
    pub fn cancel(&mut self, user_data: u64) -> Option<squeue::Entry> {
        self.receiver.as_ref().check_process().ok()?;
        let was_in_flight = self.slot.request.stop();
        let cancel = opcode::AsyncCancel::new(self.slot.user_data?);
        was_in_flight.then(|| cancel.build().user_data(user_data))
    }
}

impl<R> fmt::Debug for Source<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("request", &self.slot.request)
            .field("user_data", &self.slot.user_data)
            .finish_non_exhaustive()
    }
}
