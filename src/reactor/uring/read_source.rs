//! A source that reads.

use core::fmt;
use core::marker::PhantomData;

use io_uring::{IoUring, cqueue, squeue};
use rustix::fd::{AsRawFd, IntoRawFd, OwnedFd};
use rustix::io::Errno;

use crate::error::{Error, Op};
use crate::process;
use crate::receive::ring::{self, Calls, Inbox, Reading, Request, TheirRing};
use crate::receive::{Batch, Receiver};
use crate::signal::SigInfo;

/// Signals in the caller's ring, which reads them ahead: no system call for each.
///
/// The request is a read (`IORING_OP_READ_MULTISHOT`, or `IORING_OP_READ` where the
/// kernel does not have that) into a group of 64 buffers, which the source registers with
/// the ring. Each has room for 64 records (512 KiB in all).
///
/// For 512 signals that come at once, that is one `io_uring_enter(2)`, or 0.002 calls for
/// each signal, in a ring with `IORING_SETUP_DEFER_TASKRUN`; in others 0.004, with the
/// `io_uring_register(2)` described below (more with `IORING_SETUP_SQPOLL`, if this
/// thread is faster than the kernel's). It takes a loop that looks for completions before
/// it waits, as [the module](crate::uring)'s does, and room for more completions than
/// there are buffers (`IORING_SETUP_CQSIZE`, 128). Without `IORING_SETUP_DEFER_TASKRUN`,
/// signals are read as they come and fill a buffer each, and the request ends when there
/// is no room: with the 16 completions of a ring of 8 that makes 0.006, and 0.008 if the
/// loop waits first. Each such end costs one `io_uring_register(2)`, to ask the kernel
/// whether the request has really ended. Without multishot reads it is 0.016.
///
/// A multishot read may overlook the last of 128 signals or more that come at once. So
/// after so many the source asks to be armed once more, and hands out a *look*: a
/// single-shot poll (`IORING_OP_POLL_ADD`), which goes along with the loop's next wait
/// and tells whether something was overlooked. If it was, and in a ring that refuses
/// polls, that costs one `signalfd4(2)`. Signals for others cannot be counted: after a
/// burst of a hundred or more of them, the kernel may announce the very next signal only
/// together with another.
///
/// What the ring has read is no longer pending. A signal that some thread does not block
/// is taken away from its handler or default action if the ring reads first, as rings of
/// the default kind do; a [`Source`](super::Source) leaves it alone.
///
/// # Dropping
///
/// Dropping it cancels the request, and puts back what was read and not taken
/// ([`Receiver::put_back`]). The order is then not kept; to keep it, [`stop`](Self::stop)
/// the source and take what is left. If the queue of signals was filled meanwhile
/// (`RLIMIT_SIGPENDING`), real-time signals do not go back; the receiver of these signals
/// that reads next gets them, and nobody does if the process executes another program
/// before that.
///
/// The kernel writes to memory that the source has mapped. It is unmapped once the
/// request is cancelled and the buffers are unregistered. If a sandbox has come to forbid
/// that, the mapping stays for good, and what the kernel writes there goes to whichever
/// receiver of these signals reads next. So it is sound to forget a source, to drop the
/// ring first, and to fork while there is one.
///
/// A request that is still in the submission queue cannot be cancelled. When it is
/// submitted later, it ends with `ENOBUFS` and has read nothing: its group stays
/// registered, without a buffer. The number of the group and the memory then stay in use
/// for good; submit before you drop, and nothing stays. (They stay as well if a request
/// of the source has ended by itself before it had read: only what it reads shows that it
/// was submitted.) If a sandbox has come to forbid registering the empty group, the
/// signalfd stays open, so that no other file gets its number. (A source that is
/// *forgotten* leaves its buffers and its descriptors.)
///
/// A look that is still in the submission queue is not cancelled. It takes nothing; it
/// waits for the next signal, or for the file that has the number of the source's descriptor
/// by then.
///
/// Completions of a source that is gone may still come. Give a new one another
/// `user_data` and another group of buffers, to tell them apart.
///
/// The ring has to be one that this process has made: the kernel takes the addresses of
/// buffers to be those of the process that submits.
///
/// # Threads
///
/// It reads the signals for the process, and those directed at the thread that has submitted
/// the request ([the module](crate::uring#whose-signals) says more).
///
/// A ring with `IORING_SETUP_SINGLE_ISSUER` accepts `io_uring_register(2)` from one
/// thread only. Dropping the source calls it, so the source stays on its thread.
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
/// // 100 is the number of a buffer group: any from 64 on that the ring does not have yet.
/// let mut source = ReadSource::new(&signals, &ring, 100)?;
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
    ring: TheirRing,
    /// What the request reads. If the source is forgotten its number is no other
    /// file's, whenever the request comes.
    signalfd: Option<OwnedFd>,
    _stays_on_its_thread: PhantomData<*const ()>,
}

impl<R: AsRef<Receiver>> ReadSource<R> {
    /// Makes a source of a receiver, and registers its buffers with the ring under
    /// a number, of 64 or more, that no other buffer group of the ring has.
    ///
    /// It keeps a duplicate of the ring's descriptor, and one of the receiver's.
    ///
    /// # Errors
    ///
    /// - [`Error::Forked`]: in a forked child.
    /// - [`Error::ReadsAlready`]: the receiver is on a ring of its own that reads
    ///   ([`Kind::Completion`](crate::Kind::Completion)), which would take some of the
    ///   signals; or it was, until the ring failed.
    /// - [`Error::Os`]: `EINVAL` before Linux 6.0, which cannot cancel synchronously
    ///   (`IORING_REGISTER_SYNC_CANCEL`); `EACCES` if the ring's restrictions do not allow
    ///   that, `IORING_REGISTER_PROBE` and `IORING_REGISTER_PBUF_RING` (let them also allow
    ///   `IORING_UNREGISTER_PBUF_RING`, for the drop, and to register the buffers anew);
    ///   `EDOM` before Linux 6.9 if the number of the group is less than 64, for then the
    ///   kernel takes the buffers for those of an earlier group of that number, and may lose
    ///   signals; `EEXIST` if the number is taken, or the ring is for another thread
    ///   (`IORING_SETUP_SINGLE_ISSUER`); `ENOMEM`; `EMFILE`; or another error if a sandbox
    ///   refuses a call.
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
        let failed = |errno| Error::os(Op::UringRegister, errno);
        let probe = ring::probe(ring).map_err(failed)?;
        // Whether it can be stopped is known before it is begun.
        ring::can_cancel(ring::descriptor(ring), &probe).map_err(failed)?;
        if !ring::begins_anew(group, &probe) {
            return Err(failed(Errno::DOM));
        }
        let request = Request::reading(&probe);
        let signalfd = ring::duplicate(receiver.as_ref().signalfd())?;
        let ring = TheirRing::of(ring)?;
        let mut calls = calls(&ring, &receiver);
        let inbox = Inbox::new(&mut calls, group)?;
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
    /// If another file has that index, its bytes are taken for records, and what they say
    /// of the sender is believed. That is wrong, but not unsafe: any bytes are a record,
    /// and nobody but this program registers files with its ring.
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
    /// whenever it has ended and there is room to read into; or a look, after many
    /// signals. Ask each time before the loop waits.
    #[must_use]
    pub const fn needs_arming(&self) -> bool {
        self.reading.needs_arming()
    }

    /// Puts the request into a submission queue of the ring, with this `user_data`, which
    /// no other request in the ring may have while the source exists: it would be
    /// cancelled with this one. A look carries the `user_data` of the request that is in
    /// the ring, whatever is given here. So give the same each time, or the completion of
    /// a look, which carries the earlier one, may be refused.
    ///
    /// If another source of the same receiver has the same `user_data` (before Linux 6.12, a
    /// source of any receiver; before 6.7, any request), its request may be taken for this
    /// source's when this one is dropped, and a request of this one that is still in the
    /// queue is then overlooked. If that is submitted when the number of its descriptor is
    /// another file's, and a third source has been given the same group and `user_data`, the
    /// third one takes what is read for records. So does a source in another ring, if the
    /// request is in that ring's queue.
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

    /// Returns the submission, as [`Source::arm`](super::Source::arm) does. It is for the
    /// ring that the source was made with; in another one it finds no buffers, or those
    /// of somebody else.
    ///
    /// # Safety of pushing it
    ///
    /// It names no memory but a group of buffers, by its number. The kernel writes to those
    /// that the ring has under that number: the source's own, which stay mapped for as long
    /// as the kernel may write to them.
    ///
    /// # Errors
    ///
    /// Those of [`Source::arm`](super::Source::arm).
    pub fn arm(&mut self, user_data: u64) -> Result<squeue::Entry, Error> {
        self.receiver.as_ref().check_process()?;
        self.reading.arm(user_data)
    }

    /// Takes a completion that carries the `user_data`. No system call, but one (or a few) when
    /// a completion says that the request has ended, to ask the kernel whether that is so
    /// (unless it was a single-shot one, and has brought signals). So a completion that is
    /// given twice or invented brings no record, neither here nor to a later source. And
    /// some more when the request has found no buffer though there should be some, to
    /// register them anew: Linux 6.1 uses buffers up for nothing, all of them after some 8,000
    /// signals for others.
    ///
    /// One that is given twice in the very moment in which another thread (the kernel's, with
    /// `IORING_SETUP_SQPOLL` or `IOSQE_ASYNC`) reads into the same buffer again may bring a
    /// signal of which only the number is new, or lose one. Memory stays safe.
    ///
    /// # Errors
    ///
    /// - [`Error::ForeignCompletion`], without effect: it carries another
    ///   `user_data`, or nothing is in the ring, or it names a buffer that nothing
    ///   was read into.
    /// - [`Error::ForeignCompletion`], too, if it says that the request has ended, but
    ///   the kernel still has the request. Asking the kernel cancels it; so it ends, and
    ///   then the source asks to be armed again.
    /// - [`Error::Os`]: the ring cannot read signals; the error says why. The
    ///   source is not armed again, and [`take`](Self::take) yields what is left. Among others
    ///   `ENOBUFS` if the ring does not have the source's group of buffers: it has been told to
    ///   forget it, or is another ring than the source was made with (then the first request
    ///   that ends so may only have found none left, and the second one fails); `EBADF` if
    ///   the read has ended with less than a record, so that another file was
    ///   [`registered`](Self::registered). Or the buffers could not be registered anew:
    ///   `EACCES` if the ring's restrictions do not allow `IORING_UNREGISTER_PBUF_RING`;
    ///   `ENOMEM`; `ETIME` if the kernel has not cancelled within a second.
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

    /// Takes signals, up to the size of the batch; the slice is empty when there are none
    /// left. No system call, except to put records back, and one if a multishot read may
    /// have overlooked a signal.
    ///
    /// Call it until the slice is shorter than the batch: a request that has ended for
    /// lack of buffers asks to be armed again only when one is free.
    ///
    /// Buffers that were emptied are read into again. A signal that the receiver does not
    /// receive any more is put back.
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

    /// Cancels the request, before it returns. Afterwards [`take`](Self::take) yields all
    /// that was read, in order, and what was not read is pending. But a request that is
    /// still in the submission queue is cancelled only when its first completion comes,
    /// and may read until then. And once a request of the source has ended by itself
    /// before it had read, it is not certain that no other one is reading: then what was
    /// read comes, in order, as its completions are given to the source.
    ///
    /// Completions may still come, and are to be given to the source. After the
    /// last of them it does not ask to be armed again, but can be.
    ///
    /// # Errors
    ///
    /// [`Error::Forked`] in a forked child; [`Error::Os`] if a sandbox forbids
    /// `io_uring_register(2)`, or with `ETIME` if the kernel has not cancelled within a
    /// second: then the request may go on.
    pub fn stop(&mut self) -> Result<(), Error> {
        self.receiver.as_ref().check_process()?;
        self.reading.stop(&mut calls(&self.ring, &self.receiver))
    }
}

fn calls<'r>(
    ring: &'r TheirRing,
    receiver: &impl AsRef<Receiver>,
) -> Calls<'r> {
    ring.calls(receiver.as_ref().signalfd().birth())
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
