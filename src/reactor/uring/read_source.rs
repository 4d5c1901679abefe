//! A source that reads.

use core::fmt;
use core::marker::PhantomData;

use io_uring::{IoUring, cqueue, squeue};
use rustix::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd};

use crate::error::{Error, Op};
use crate::process;
use crate::receive::ring::{self, Calls, Inbox, Reading, Request};
use crate::receive::{Batch, Receiver};
use crate::signal::SigInfo;

/// Signals in the caller's ring, which reads them ahead: no system call for each.
///
/// The request is a read (`IORING_OP_READ_MULTISHOT`, or `IORING_OP_READ` where the
/// kernel does not have that) into a group of 64 buffers, which the source
/// registers with the ring. Each has room for 64 records.
///
/// Of 512 signals that come at once, that is one `io_uring_enter(2)`, or 0.002 for
/// each signal, in a ring with `IORING_SETUP_DEFER_TASKRUN`; in others 0.004, with the
/// `io_uring_register(2)` that is spoken of below (with `IORING_SETUP_SQPOLL` it is more if
/// this thread is faster than the kernel's). It takes a loop that looks for completions
/// before it waits, as [the module](crate::uring)'s does, and room for more
/// completions than there are buffers (`IORING_SETUP_CQSIZE`, 128). Unless a ring has
/// `IORING_SETUP_DEFER_TASKRUN`, signals are read as they come and fill a buffer each,
/// and the request ends when there is no room: with the 16 completions of a ring of 8
/// it is 0.006, and 0.008 if the loop waits first. That is with one `io_uring_register(2)`
/// for each such end, which asks whether it is true. Without requests that last it is
/// 0.016.
///
/// A read that stands may overlook a signal at the end of 128 or more. So then the source
/// asks to be armed once more, and what it hands out is a *look*, a poll of one shot
/// (`IORING_OP_POLL_ADD`), which goes along with the loop's next wait and tells whether
/// something was overlooked. Where it was, and in a ring that refuses polls, that costs one
/// `signalfd4(2)`. Signals for others leave nothing to count: after a hundred or more of them
/// that came at once, the kernel may tell of the very next one only together with another.
///
/// What the ring has read is no longer pending. A signal that some thread does not
/// block is taken away from its handler or default action if the ring looks first, as
/// the default kind does, where a [`Source`](super::Source) leaves it alone.
///
/// # Dropping
///
/// Dropping it cancels the request, and puts back what was read and not taken
/// ([`Receiver::put_back`]). The order is then not kept; to keep it,
/// [`stop`](Self::stop) the source and take what is left. Where others have filled
/// the queue of signals meanwhile (`RLIMIT_SIGPENDING`), real-time signals do not
/// go back; the receiver of these signals that reads next gets them, and nobody does if a
/// program is executed before that.
///
/// The kernel writes to memory that the source has mapped. It is unmapped when the
/// request is cancelled and the ring has forgotten the buffers. If a sandbox has come
/// to forbid that, it stays for good, and what comes there is found by whatever
/// receiver of these signals reads next. So a source may be forgotten, the ring may be
/// dropped first, and a forked child may still have it.
///
/// A request that is still in the submission queue cannot be cancelled. When it comes
/// it ends with `ENOBUFS`, and has read nothing: the group of buffers stays, and there
/// is none in it. So do its number and the memory, for good; submit before you drop,
/// and nothing stays. (They stay as well where a request of the source's has ended by itself
/// before it had read: that it was submitted is known from what it reads.) If the ring
/// cannot be told that, as a sandbox has come to forbid it, the number of the descriptor
/// stays with the signalfd. (A source that is *forgotten* leaves its buffers and its
/// descriptors.)
///
/// A look that is still in the submission queue is not cancelled. It takes nothing; it
/// waits for the next signal, or for the file that has the number of the source's descriptor
/// by then.
///
/// Completions of a source that is gone may still come. Give a new one another
/// `user_data` and another group of buffers, to tell them apart.
///
/// The ring has to be one that this process has made: the kernel takes the addresses
/// for those of whichever process submits.
///
/// # Threads
///
/// A ring with `IORING_SETUP_SINGLE_ISSUER` takes instructions from one thread
/// only. Dropping the source is one, so the source stays on its thread.
///
/// ```compile_fail,E0277
/// fn is_send<T: Send>() {}
/// is_send::<signalfd::uring::ReadSource<&signalfd::Receiver>>();
/// ```
///
/// # Examples
///
/// ```
/// use io_uring::IoUring;
/// use signalfd::{Batch, Signal, uring::ReadSource};
/// # use signalfd::Error;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let Ok(ring) = IoUring::new(8) else { return Ok(()) };
/// # drop(ring);
/// let signals = signalfd::open(Signal::HUP)?;
/// let mut ring = IoUring::new(8)?;
/// // 7 is the number of a buffer group: any that the ring does not have yet.
/// let mut source = ReadSource::new(&signals, &ring, 7)?;
/// source.push(&mut ring.submission(), 1)?;
/// # unsafe { libc::kill(libc::getpid(), libc::SIGHUP) };
/// ring.submit_and_wait(1)?;
/// for completion in ring.completion() {
///     source.complete(completion)?;
/// }
/// let mut batch = Batch::<16>::new();
/// assert_eq!(source.take(&mut batch)?.len(), 1);
/// # Ok(())
/// # }
/// ```
pub struct ReadSource<R: AsRef<Receiver>> {
    receiver: R,
    reading: Reading,
    /// The caller's ring, which stays for as long as the source.
    ring: OwnedFd,
    /// What the request reads. If the source is forgotten its number is no other
    /// file's, whenever the request comes.
    signalfd: Option<OwnedFd>,
    _stays_on_its_thread: PhantomData<*const ()>,
}

impl<R: AsRef<Receiver>> ReadSource<R> {
    /// Makes a source of a receiver, and registers its buffers with the ring under
    /// a number that no other buffer group of the ring has.
    ///
    /// It keeps a duplicate of the ring's descriptor, and one of the receiver's.
    ///
    /// # Errors
    ///
    /// - [`Error::Forked`]: in a forked child.
    /// - [`Error::ReadsAlready`]: the receiver is on a ring of its own that reads
    ///   ([`Kind::Completion`](crate::Kind::Completion)), which would take some of the
    ///   signals; or it was, until the ring failed.
    /// - [`Error::Os`]: `EINVAL` before Linux 6.0, which cannot cancel
    ///   at once; `EEXIST` if the number is taken, or the ring is for another
    ///   thread (`IORING_SETUP_SINGLE_ISSUER`); `ENOMEM`; `EMFILE`; or another error
    ///   if a sandbox refuses the call.
    pub fn new<S, C>(
        receiver: R,
        ring: &IoUring<S, C>,
        group: u16,
    ) -> Result<Self, Error>
    where
        S: squeue::EntryMarker,
        C: cqueue::EntryMarker,
    {
        receiver.as_ref().check_process()?;
        if receiver.as_ref().reads_ahead() {
            return Err(Error::ReadsAlready);
        }
        let request = Request::reading(ring);
        let signalfd = ring::duplicate(receiver.as_ref().signalfd())?;
        let ring = ring::duplicate(ring::descriptor(ring))?;
        // Whether it can be stopped is known before it is begun.
        ring::can_cancel(ring.as_fd())
            .map_err(|errno| Error::os(Op::UringRegister, errno))?;
        let inbox = Inbox::new(&mut calls(&ring, &receiver), group)?;
        let raw = signalfd.as_raw_fd();
        Ok(Self {
            receiver,
            reading: Reading::new(request, inbox, raw, group),
            ring,
            signalfd: Some(signalfd),
            _stays_on_its_thread: PhantomData,
        })
    }

    /// Lets the request name the receiver's descriptor by an index into the ring's
    /// registered files, as [`Source::registered`](super::Source::registered)
    /// does.
    ///
    /// If another file has that index, what it says is taken for records, and what
    /// they say of their sender for certain. It is no more than that, since any
    /// bytes are a record, and nobody but this program registers files with its
    /// ring. So it is not unsafe, but wrong.
    #[must_use]
    pub const fn registered(mut self, index: u32) -> Self {
        self.reading.slot.file = Some(index);
        self
    }

    /// Returns the receiver.
    pub fn receiver(&self) -> &Receiver {
        self.receiver.as_ref()
    }

    /// Says whether something has to be put into the ring: the request, at first, and
    /// whenever it has ended and there is room to read into; and a look at the end of
    /// many signals. Ask each time before the loop waits.
    #[must_use]
    pub const fn needs_arming(&self) -> bool {
        self.reading.needs_arming()
    }

    /// Puts the request into a submission queue of the ring, with this
    /// `user_data`, which no other request in the ring may have for as long as there
    /// is the source: it would be cancelled with it. A look has that of the request
    /// which is in the ring, whatever is given here; so give it the same each time, or the
    /// completion of a look may be refused, as it carries the one from before.
    ///
    /// If another source of the same receiver has it (before Linux 6.7, any request), that
    /// one may be taken for this source's when this is dropped. Then a request of this one's
    /// that is still in the queue is not expected any more. If its descriptor's number is
    /// another file's when it is submitted, and yet another source has been given the same
    /// number of buffers and the same `user_data`, that one takes what it reads for records.
    /// So does a source in another ring, if the queue is that ring's.
    ///
    /// # Errors
    ///
    /// Those of [`Source::push`](super::Source::push).
    pub fn push<E: squeue::EntryMarker>(
        &mut self,
        queue: &mut squeue::SubmissionQueue<'_, E>,
        user_data: u64,
    ) -> Result<(), Error> {
        self.receiver.as_ref().check_process()?;
        self.reading.push(user_data, |entry| ring::push(queue, entry))
    }

    /// Hands out the submission, as [`Source::arm`](super::Source::arm) does. It
    /// is for the ring that the source was made with; in another one it finds no
    /// buffers, or those of somebody else.
    ///
    /// # Errors
    ///
    /// Those of [`Source::arm`](super::Source::arm).
    pub fn arm(&mut self, user_data: u64) -> Result<squeue::Entry, Error> {
        self.receiver.as_ref().check_process()?;
        self.reading.arm(user_data)
    }

    /// Takes a completion that carries the `user_data`. No system call, but for one where
    /// a request that lasts has ended: whether it has is for the kernel to say. So a
    /// completion that is given twice or invented brings no record, neither here nor to a
    /// source that comes after.
    ///
    /// # Errors
    ///
    /// - [`Error::ForeignCompletion`], without effect: it carries another
    ///   `user_data`, or nothing is in the ring, or it names a buffer that nothing
    ///   was read into.
    /// - [`Error::ForeignCompletion`], too, where it says that the request has ended, and
    ///   the kernel still has it. Nobody can ask without cancelling it; so it ends, and then
    ///   the source asks to be armed again.
    /// - [`Error::Os`]: the ring cannot read signals; the error says why. The
    ///   source is not armed again, and [`take`](Self::take) yields what is left.
    /// - [`Error::Forked`]: in a forked child.
    pub fn complete(
        &mut self,
        completion: impl Into<cqueue::Entry>,
    ) -> Result<(), Error> {
        self.receiver.as_ref().check_process()?;
        let it = completion.into();
        let calls = &mut calls(&self.ring, &self.receiver);
        self.reading.complete(it.user_data(), it.result(), it.flags(), calls)
    }

    /// Takes signals, up to the size of the batch; the slice is empty when there
    /// are none left. No system call, but for what goes back, and one where a read that
    /// stands has overlooked something.
    ///
    /// Call it until the slice is shorter than the batch: a request that has ended for
    /// want of room asks to be armed again only when there is some.
    ///
    /// The buffers they were in can be read into again. A signal that the receiver
    /// does not receive any more is put back.
    ///
    /// # Errors
    ///
    /// [`Error::EmptyBatch`], [`Error::Forked`].
    pub fn take<'b, const N: usize>(
        &mut self,
        batch: &'b mut Batch<N>,
    ) -> Result<&'b [SigInfo], Error> {
        let receiver = self.receiver.as_ref();
        receiver.check_process()?;
        let room = batch.room()?;
        let signalfd = receiver.signalfd();
        let mut taken = 0;
        if !receiver.is_ordinary() {
            taken = process::take_left(room, || signalfd.unshadowed());
        }
        if let Some(rest) = room.get_mut(taken..) {
            let announce = || signalfd.announce();
            taken += self.reading.take(rest, signalfd, announce);
        }
        receiver.note_batch(taken, N);
        Ok(batch.filled(taken))
    }

    /// Submits and waits as [`Source::submit_and_wait`](super::Source::submit_and_wait)
    /// does, for the ring that the source was made with.
    ///
    /// # Errors
    ///
    /// Those of [`Source::submit_and_wait`](super::Source::submit_and_wait).
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

    /// Cancels the request, at once. Afterwards [`take`](Self::take) yields all
    /// that it has read, in order, and what it has not is pending. But one that is
    /// still in the submission queue is cancelled when its first completion comes,
    /// and may read until then. And once a request of the source's has ended by itself
    /// before it had read, nothing tells that no other one is at it: then what was read
    /// comes, in order, as its completions are given to the source.
    ///
    /// Completions may still come, and are to be given to the source. After the
    /// last of them it does not ask to be armed again, but can be.
    ///
    /// # Errors
    ///
    /// [`Error::Forked`] in a forked child; [`Error::Os`] if a sandbox forbids
    /// `io_uring_register(2)`: then it goes on.
    pub fn stop(&mut self) -> Result<(), Error> {
        self.receiver.as_ref().check_process()?;
        self.reading.stop(&mut calls(&self.ring, &self.receiver))
    }
}

fn calls<'r>(ring: &'r OwnedFd, receiver: &impl AsRef<Receiver>) -> Calls<'r> {
    Calls::new(ring.as_fd(), receiver.as_ref().signalfd().birth())
}

impl<R: AsRef<Receiver>> Drop for ReadSource<R> {
    fn drop(&mut self) {
        // In a forked child the ring is the parent's too, but the memory is not.
        let birth = self.receiver.as_ref().signalfd().birth();
        if birth.check().is_ok() {
            let calls = &mut calls(&self.ring, &self.receiver);
            if !self.reading.close(calls, birth) {
                // A request that comes reads what it was to read, and no other file.
                let _stays = self.signalfd.take().map(IntoRawFd::into_raw_fd);
            }
        }
    }
}

impl<R: AsRef<Receiver>> fmt::Debug for ReadSource<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadSource")
            .field("request", &self.reading.slot.request)
            .field("user_data", &self.reading.slot.user_data)
            .field("group", &self.reading.group)
            .finish_non_exhaustive()
    }
}
