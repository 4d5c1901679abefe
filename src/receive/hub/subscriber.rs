//! Who gets the records.

use core::fmt;
use core::slice;
use core::sync::atomic::Ordering;
use core::task::{Context, Poll};
use core::time::Duration;

use super::Desk;
use super::seat::{Key, Place};
use crate::error::Error;
use crate::process::{self, Birth};
use crate::receive::Batch;
use crate::signal::{SigInfo, SignalSet};
use crate::sys::{self, Deadline};

/// Gets every record of its signals that is dispatched to a [`Hub`](crate::Hub): made by
/// [`Hub::subscribe`](crate::Hub::subscribe).
///
/// It has the methods of a [`Receiver`](crate::Receiver). The difference is that its
/// records are its own, in a ring of this process:
///
/// - Nothing here reads from the kernel. A record comes when it is dispatched; while
///   nobody dispatches, waiting does not end.
/// - There is no descriptor to poll. A thread sleeps on a futex, and a task is woken by
///   its waker, whatever executor it runs on.
/// - If it does not keep up it loses records, its oldest, and [`missed`](Self::missed)
///   counts them.
/// - One thread at a time takes records, which is why it is borrowed mutably. It may be
///   sent to another thread.
///
/// When it is dropped, what it leaves unread is passed on or goes back:
/// [what a subscriber leaves unread](crate::hub#what-a-subscriber-leaves-unread).
///
/// # Cancel safety
///
/// [`Recv`](super::Recv) and [`RecvBatch`](super::RecvBatch) take a record only when they
/// complete with it.
///
/// # Examples
///
/// ```
/// use signalfd::{Hub, Signal};
///
/// static HUB: Hub<2, 16> = Hub::new();
///
/// let signals = signalfd::open(Signal::USR1)?;
/// let mut dispatcher = HUB.dispatcher()?;
/// let mut subscriber = HUB.subscribe(Signal::USR1)?;
/// let thread = std::thread::spawn(move || subscriber.wait());
/// # unsafe { libc::kill(libc::getpid(), libc::SIGUSR1) };
/// dispatcher.dispatch(&signals.wait()?)?;
/// assert_eq!(thread.join().unwrap()?.signal(), Signal::USR1);
/// # Ok::<(), signalfd::Error>(())
/// ```
///
/// # References
///
/// [futex(2)](https://man7.org/linux/man-pages/man2/futex.2.html)
#[must_use = "it gets records only while it exists"]
pub struct Subscriber<'h> {
    desk: &'h Desk,
    place: Place<'h>,
    key: Key,
    birth: Birth,
    /// Whether the ring was found open.
    is_open: bool,
    /// The number of the first record that was neither taken nor passed over.
    first: u64,
    taken: u64,
}

impl<'h> Subscriber<'h> {
    /// Takes the place, if it is free.
    pub(super) fn join(
        desk: &'h Desk,
        place: Place<'h>,
        birth: Birth,
        set: SignalSet,
    ) -> Option<Self> {
        let (key, left) = place.join(birth.number(), set.bits())?;
        let is_open = false;
        let subscriber =
            Self { desk, place, key, birth, is_open, first: 0, taken: 0 };
        // Foreign code, which may panic: the place is left then.
        drop(left);
        Some(subscriber)
    }

    /// Returns how many of the records that were dispatched to it were lost, the oldest
    /// each time, because its ring was full.
    ///
    /// It counts from the beginning of the subscription, and is exact at any time: what
    /// was dispatched to it is what it has taken, what it has missed, and what it has
    /// yet to take.
    #[must_use]
    pub fn missed(&self) -> u64 {
        // In a forked child the place may be another's, by another key.
        self.place.oldest(self.key, self.first) - self.taken
    }
}

/// Taking what is there. Nothing here waits, and nothing makes a system call.
impl Subscriber<'_> {
    /// Takes one record if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::Forked`] in a forked child.
    pub fn try_recv(&mut self) -> Result<Option<SigInfo>, Error> {
        let mut info = SigInfo::EMPTY;
        let taken = self.read(slice::from_mut(&mut info))?;
        Ok((taken > 0).then_some(info))
    }

    /// Takes the records there are, up to the size of the batch.
    ///
    /// # Errors
    ///
    /// [`Error::EmptyBatch`], [`Error::Forked`].
    pub fn try_recv_batch<'b, const N: usize>(
        &mut self,
        batch: &'b mut Batch<N>,
    ) -> Result<&'b [SigInfo], Error> {
        let taken = self.read(batch.room()?)?;
        Ok(batch.filled(taken))
    }

    fn read(&mut self, room: &mut [SigInfo]) -> Result<usize, Error> {
        self.birth.check()?;
        if !self.has_opened() {
            return Ok(0);
        }
        let mut used = 0;
        for info in room {
            let Some((number, words)) = self.place.take(self.first) else {
                break;
            };
            *info = SigInfo::from_words(words);
            self.first = number + 1;
            self.taken += 1;
            used += 1;
        }
        Ok(used)
    }

    /// Takes what there is, or arranges for the task to be woken.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        room: &mut [SigInfo],
    ) -> Poll<Result<usize, Error>> {
        let mut taken = self.read(room)?;
        if taken == 0 {
            let seat = self.place.seat;
            seat.waker().register(cx.waker());
            seat.await_waker();
            taken = self.read(room)?;
        }
        if taken > 0 { Poll::Ready(Ok(taken)) } else { Poll::Pending }
    }

    fn has_opened(&mut self) -> bool {
        self.is_open = self.is_open || self.place.is_open(self.key);
        self.is_open
    }

    fn has_some(&mut self) -> bool {
        self.has_opened() && self.place.has(self.first)
    }
}

/// Waiting. The calling thread sleeps.
///
/// A signal handler that runs meanwhile does not end the wait. Only a record does, or
/// the timeout.
impl Subscriber<'_> {
    /// Waits for one record.
    ///
    /// # Errors
    ///
    /// [`Error::Forked`] in a forked child; [`Error::Os`] if a sandbox refuses to wait.
    pub fn wait(&mut self) -> Result<SigInfo, Error> {
        let mut info = SigInfo::EMPTY;
        self.wait_into(slice::from_mut(&mut info), Deadline::NEVER)?;
        Ok(info)
    }

    /// Waits for one record, for at most this long; `None` if none came.
    ///
    /// # Errors
    ///
    /// Those of [`wait`](Self::wait).
    pub fn wait_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<Option<SigInfo>, Error> {
        let mut info = SigInfo::EMPTY;
        let deadline = Deadline::after(Some(timeout));
        let taken = self.wait_into(slice::from_mut(&mut info), deadline)?;
        Ok((taken > 0).then_some(info))
    }

    /// Waits until there is at least one record and takes all there are, up to the size
    /// of the batch.
    ///
    /// # Errors
    ///
    /// [`Error::EmptyBatch`], and those of [`wait`](Self::wait).
    pub fn wait_batch<'b, const N: usize>(
        &mut self,
        batch: &'b mut Batch<N>,
    ) -> Result<&'b [SigInfo], Error> {
        let taken = self.wait_into(batch.room()?, Deadline::NEVER)?;
        Ok(batch.filled(taken))
    }

    /// Waits like [`wait_batch`](Self::wait_batch), for at most this long; the slice is
    /// empty if no record came.
    ///
    /// # Errors
    ///
    /// [`Error::EmptyBatch`], and those of [`wait`](Self::wait).
    pub fn wait_batch_timeout<'b, const N: usize>(
        &mut self,
        batch: &'b mut Batch<N>,
        timeout: Duration,
    ) -> Result<&'b [SigInfo], Error> {
        let deadline = Deadline::after(Some(timeout));
        let taken = self.wait_into(batch.room()?, deadline)?;
        Ok(batch.filled(taken))
    }

    fn wait_into(
        &mut self,
        room: &mut [SigInfo],
        deadline: Deadline,
    ) -> Result<usize, Error> {
        loop {
            let taken = self.read(room)?;
            if taken > 0 || deadline.is_over() {
                return Ok(taken);
            }
            let seat = self.place.seat;
            let unrung = seat.fall_asleep();
            let slept = if self.has_some() {
                Ok(())
            } else {
                sys::futex_wait(seat.bell(), unrung, deadline)
            };
            seat.wake_up();
            slept?;
        }
    }
}

/// Changing the signals.
///
/// This affects which records come from now on. What is in its ring already can still be
/// taken.
impl Subscriber<'_> {
    /// Returns the signals that it gets.
    #[must_use]
    pub fn signals(&self) -> SignalSet {
        match self.birth.check() {
            Ok(()) => SignalSet::from_bits_retain(
                self.place.seat.signals().load(Ordering::Acquire),
            ),
            // It gets none, and its place may be another's.
            Err(_) => SignalSet::empty(),
        }
    }

    /// Gets these signals too.
    ///
    /// # Errors
    ///
    /// Those of [`Hub::subscribe`](crate::Hub::subscribe) for these signals, and
    /// [`Error::Forked`]. The set is then as it was.
    pub fn insert(&self, set: impl Into<SignalSet>) -> Result<(), Error> {
        let set = set.into().check_receivable()?;
        self.update(|old| old | set)
    }

    /// Gets these signals no longer.
    ///
    /// # Errors
    ///
    /// [`Error::EmptySet`] if no signal would be left, [`Error::Forked`]. The set is then
    /// as it was.
    pub fn remove(&self, set: impl Into<SignalSet>) -> Result<(), Error> {
        let set = set.into();
        self.update(|old| old - set)
    }

    /// Gets these signals instead.
    ///
    /// # Errors
    ///
    /// Those of [`insert`](Self::insert).
    pub fn replace(&self, set: impl Into<SignalSet>) -> Result<(), Error> {
        let set = set.into().check_receivable()?;
        self.update(|_| set)
    }

    fn update(
        &self,
        change: impl Fn(SignalSet) -> SignalSet,
    ) -> Result<(), Error> {
        self.birth.check()?;
        let (set, seen) = (Ordering::AcqRel, Ordering::Acquire);
        let not_empty = |bits| {
            let new = change(SignalSet::from_bits_retain(bits));
            (!new.is_empty()).then(|| new.bits())
        };
        let signals = self.place.seat.signals();
        let updated = signals.fetch_update(set, seen, not_empty);
        updated.map(drop).map_err(|_empty| Error::EmptySet)
    }
}

impl Drop for Subscriber<'_> {
    fn drop(&mut self) {
        // In a forked child the place may be another's, and what is in it was the
        // parent's.
        if self.birth.check().is_err() {
            return;
        }
        let left = self.place.leave(self.key, self.first, |words| {
            // It fails only if there is no memory either.
            let info = SigInfo::from_words(words);
            let _is_back = process::give_back(&info, self.birth);
        });
        // Release: the place is free, for one who has found none.
        self.desk.departures.fetch_add(1, Ordering::Release);
        drop(left);
    }
}

impl fmt::Debug for Subscriber<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber")
            .field("signals", &self.signals())
            .field("missed", &self.missed())
            .finish_non_exhaustive()
    }
}
