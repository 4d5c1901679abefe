//! The receiver: taking signals, waiting for them, changing which.

use core::fmt;
use core::slice;
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use super::engine::{Engine, Next};
use super::in_loops::ModeratedFd;
use super::kept::Kept;
use super::pace::{Moderation, Spin};
use super::waker::WakerCell;
use super::{ActiveBackend, Batch, Options, Parker, Recv, RecvBatch, SignalFd};
use crate::error::Error;
use crate::process::Quick;
use crate::process::mask::EveryThread;
use crate::signal::{SigInfo, SignalSet};
use crate::sys::Deadline;

/// Receives signals. It can be sent to and shared between threads.
///
/// A receiver takes what is pending for its process, and what is pending for the thread
/// that reads. It holds no record itself: what has not been handed to the caller is still
/// in the kernel's queue, so dropping a receiver, a future or an iterator loses nothing.
/// (A ring that reads ahead, which has to be asked for, does hold records; dropping the
/// receiver puts them back: [`Kind::Completion`]. The counts of system calls below are
/// for receivers without a ring.)
///
/// There are four ways to take signals, all on the same descriptor:
///
/// | | one signal | many at once |
/// |---|---|---|
/// | if there is one | [`try_recv`] | [`try_recv_batch`] |
/// | wait | [`wait`], [`wait_timeout`] | [`wait_batch`], [`wait_batch_timeout`] |
/// | await | [`recv`] | [`recv_batch`] |
/// | one after the other | [`iter`] | |
///
/// Signals come in the kernel's order: those for the thread before those for the
/// process, then by number, and real-time signals of one number in the order
/// sent. Two receivers of one signal do not both get it: whoever reads first
/// does.
///
/// # Cancel safety
///
/// [`Recv`] and [`RecvBatch`] take a record only when they complete with it.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use signalfd::{Receiver, Signal};
///
/// // Before any other thread is started:
/// let _guard = signalfd::block(Signal::HUP)?;
///
/// let receiver = Receiver::new(Signal::HUP)?;
/// assert_eq!(receiver.try_recv()?, None);
/// assert_eq!(receiver.wait_timeout(Duration::from_millis(1))?, None);
/// # unsafe { libc::kill(libc::getpid(), libc::SIGHUP) };
/// assert_eq!(receiver.wait()?.signal(), Signal::HUP);
/// # Ok::<(), signalfd::Error>(())
/// ```
///
/// [`Kind::Completion`]: crate::Kind::Completion
/// [`try_recv`]: Self::try_recv
/// [`try_recv_batch`]: Self::try_recv_batch
/// [`wait`]: Self::wait
/// [`wait_timeout`]: Self::wait_timeout
/// [`wait_batch`]: Self::wait_batch
/// [`wait_batch_timeout`]: Self::wait_batch_timeout
/// [`recv`]: Self::recv
/// [`recv_batch`]: Self::recv_batch
/// [`iter`]: Self::iter
pub struct Receiver {
    // The order counts: what the engine puts back is blocked in every thread still.
    engine: Engine,
    pub(super) every: Option<EveryThread>,
    waker: WakerCell,
    options: Options,
    spin: Spin,
    pub(super) moderation: Moderation,
    /// What loops watch that signals are to gather for.
    pub(super) moderated_fd: ModeratedFd,
    /// Whether a read of the signalfd does to take a signal.
    can_read: Quick,
    /// Whether a read of its blocking twin does to wait for one.
    can_wait: Quick,
}

/// Making a receiver.
impl Receiver {
    /// Makes a receiver for signals that every thread of the process blocks.
    ///
    /// [`mask::block`](crate::mask::block) at the top of `main` sees to that;
    /// [`open`](crate::open) blocks the signals and makes the receiver in one call.
    ///
    /// # Errors
    ///
    /// - [`Error::EmptySet`], [`Error::Unblockable`], [`Error::Synchronous`],
    ///   [`Error::Reserved`]: the set cannot be received.
    /// - [`Error::NotBlocked`]: the calling thread does not block the set.
    /// - [`Error::UnblockedThread`]: another thread does not; it is named.
    /// - [`Error::Os`]: `EMFILE` or `ENFILE` if no descriptor is left, `ENOENT`
    ///   if `/proc` is not mounted ([`Options::check_threads`] turns that check
    ///   off), another one of [`check_threads`](crate::mask::check_threads) or
    ///   [`SignalFd::new`], or another error if a sandbox refuses the call.
    pub fn new(set: impl Into<SignalSet>) -> Result<Self, Error> {
        Options::new().receiver(set)
    }

    #[inline]
    pub(super) fn with(
        fd: SignalFd,
        every: Option<EveryThread>,
        options: Options,
    ) -> Self {
        let engine = Engine::new(fd, options);
        let [can_read, can_wait] = what_will_do(&engine, options);
        Self {
            engine,
            every,
            waker: WakerCell::new(),
            options,
            spin: Spin::new(options.spin),
            moderation: Moderation::new(options.delay, options.count),
            moderated_fd: ModeratedFd::new(),
            can_read,
            can_wait,
        }
    }

    /// Returns what keeps the signals blocked in every thread, if
    /// [`Options::every_thread`] asked for that.
    #[must_use]
    pub const fn every_thread(&self) -> Option<&EveryThread> {
        self.every.as_ref()
    }

    /// Makes a fresh descriptor for the same signals, in this process: in a forked
    /// child the receiver then works again.
    ///
    /// The receiver keeps its options, and gets a ring of its own again if it had one
    /// ([`backend`](Self::backend) tells). The parent notices nothing. Signals are not
    /// inherited (fork(2)), so the child gets neither what is pending in the parent nor
    /// what a ring has read ahead there. It receives what was sent to it since the fork.
    ///
    /// In the process that made the receiver nothing is lost either. What is pending
    /// stays pending. What a ring has read ahead is put back before the new ring is made,
    /// behind what arrived meanwhile, as when a receiver is dropped
    /// ([`Kind::Completion`](crate::Kind::Completion)). A task that awaits the receiver
    /// is woken, and uses the new descriptor. In a child that task is the parent's, and
    /// its waker is dropped unused.
    ///
    /// With [`Options::every_thread`] the signals are blocked in every thread of this
    /// process, and the counters of [`every_thread`](Self::every_thread) begin anew.
    ///
    /// An event loop that had the old descriptor has to be given the new one. A
    /// descriptor from elsewhere ([`SignalFd::from_fd`]) is replaced by a new one, which
    /// nothing else shares, for the set that [`signals`](Self::signals) returns.
    ///
    /// It allocates nothing. [`Signals`](crate::Signals) has a
    /// method of the same name.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new), for the masks and the descriptor. The receiver is
    /// then as it was. It is no error if only the ring cannot be made: the receiver does
    /// without.
    ///
    /// # Examples
    ///
    /// ```
    /// use signalfd::{Error, Receiver, Signal};
    ///
    /// let _guard = signalfd::block(Signal::HUP)?;
    /// let mut receiver = Receiver::new(Signal::HUP)?;
    /// # let child = unsafe { libc::fork() };
    /// # if child == 0 {
    /// // In a child that fork(2) has made:
    /// assert_eq!(receiver.try_recv(), Err(Error::Forked));
    /// receiver.reopen()?;
    /// # unsafe { libc::kill(libc::getpid(), libc::SIGHUP) };
    /// assert_eq!(receiver.wait()?.signal(), Signal::HUP);
    /// # unsafe { libc::_exit(0) };
    /// # }
    /// # let mut status = 0;
    /// # assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    /// # assert_eq!(status, 0);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # References
    ///
    /// [fork(2)](https://man7.org/linux/man-pages/man2/fork.2.html),
    /// [signalfd(2)](https://man7.org/linux/man-pages/man2/signalfd.2.html)
    pub fn reopen(&mut self) -> Result<(), Error> {
        let set = self.signals();
        // What every thread blocks is so for the new one before the old one goes.
        let every = self.options.secure(set)?;
        let signalfd = self.signalfd().again()?;
        let was_forked = self.check_process().is_err();
        self.engine.reopen(signalfd, self.options);
        self.moderated_fd = ModeratedFd::new();
        [self.can_read, self.can_wait] =
            what_will_do(&self.engine, self.options);
        self.every = every;
        // A waker of the parent's may write to what is the parent's.
        let waker = self.take_waker();
        if let Some(waker) = waker.filter(|_| !was_forked) {
            waker.wake();
        }
        Ok(())
    }

    /// Tells which backend it runs on, and why.
    ///
    /// The answer may change: a ring that fails later is replaced by plain
    /// reads.
    #[must_use]
    pub fn backend(&self) -> ActiveBackend {
        self.engine.active()
    }
}

impl TryFrom<SignalFd> for Receiver {
    type Error = Error;

    /// Makes a receiver from a signalfd, whose set every thread has to block.
    ///
    /// # Errors
    ///
    /// Those of [`Receiver::new`], and [`Error::Forked`] in a forked child.
    fn try_from(fd: SignalFd) -> Result<Self, Error> {
        Options::new().receiver_from(fd)
    }
}

/// Taking what is there. Nothing here waits.
impl Receiver {
    /// Takes one signal if one is pending. One system call.
    ///
    /// # Errors
    ///
    /// [`Error::Forked`] in a forked child; [`Error::Os`] if a sandbox refuses
    /// the read.
    #[inline]
    pub fn try_recv(&self) -> Result<Option<SigInfo>, Error> {
        let mut info = SigInfo::EMPTY;
        let taken = self.read(slice::from_mut(&mut info))?;
        Ok((taken > 0).then_some(info))
    }

    /// Takes what is pending, up to the size of the batch. One system call.
    ///
    /// The slice is empty if nothing is pending. A slice shorter than the batch
    /// means that the queue is empty: there is no need to call again before the
    /// next wake-up.
    ///
    /// # Errors
    ///
    /// [`Error::EmptyBatch`], and those of [`try_recv`](Self::try_recv).
    #[inline]
    pub fn try_recv_batch<'b, const N: usize>(
        &self,
        batch: &'b mut Batch<N>,
    ) -> Result<&'b [SigInfo], Error> {
        let taken = self.read(batch.room()?)?;
        Ok(batch.filled(taken))
    }

    /// Takes what there is, as much as there is room for; less means that there is no
    /// more.
    #[inline]
    pub(crate) fn read(&self, room: &mut [SigInfo]) -> Result<usize, Error> {
        match self.signalfd().read_quick(room, &self.can_read) {
            Some(taken) => Ok(taken),
            None => self.read_thoroughly(room),
        }
    }

    #[cold]
    #[inline(never)]
    fn read_thoroughly(&self, room: &mut [SigInfo]) -> Result<usize, Error> {
        let taken = self.read_to_wait(room, Next::Go)?;
        self.hand_out(taken, room.len());
        Ok(taken)
    }

    /// Notes what was read, and paces those who read by it.
    fn hand_out(&self, taken: usize, room: usize) {
        self.note_batch(taken, room);
        self.pace_loops(taken, room);
    }

    /// Takes what there is, in a thread that waits if that is nothing.
    fn read_to_wait(
        &self,
        room: &mut [SigInfo],
        next: Next,
    ) -> Result<usize, Error> {
        self.engine.read(room, next, &|| self.waker.wake())
    }

    /// Whether signals are read before anybody takes them.
    #[cfg(all(
        feature = "io-uring",
        target_os = "linux",
        target_pointer_width = "64",
        any(
            target_arch = "x86_64",
            target_arch = "aarch64",
            target_arch = "riscv64",
            target_arch = "loongarch64",
            target_arch = "powerpc64",
        )
    ))]
    pub(crate) fn reads_ahead(&self) -> bool {
        self.engine.reads_ahead()
    }
}

/// Waiting. The calling thread sleeps, after spinning for
/// [`Options::spin`](Options::spin) if that is set.
///
/// A signal handler that runs meanwhile does not end the wait. Only a signal of the set
/// does, or the timeout. To end a thread that waits, send the process a signal of the
/// set, or wait with a timeout and check a flag.
///
/// A child that a signal handler forks while its thread is asleep is in that wait, too, and the
/// wait answers [`Error::Forked`] there. Only one that is a single system call, without a
/// timeout, is begun anew by the kernel if the handler's action has `SA_RESTART`
/// (sigaction(2)): then the child goes on to wait for signals of its own, and the next call
/// answers so. (Between two system calls of a wait nothing can be asked that would be so still
/// at the next. Whoever forks in a handler there has a child that returns to what its parent
/// was doing, as with any other library.)
///
/// Where a process may have no descriptors at all (`RLIMIT_NOFILE` is 0), a wait that has
/// no second descriptor yet fails with `EINVAL`, as poll(2) does, and so does each with a
/// timeout.
///
/// A timeout is measured by `CLOCK_MONOTONIC`, which stands still while the machine is
/// suspended. A timeout of zero does not sleep: it takes what is pending, as
/// [`try_recv`](Receiver::try_recv) does. One that is longer than the clock can count
/// ([`Duration::MAX`]) never ends. A wait is over a little late, and never early: the kernel
/// adds the timer slack of the thread, 50 us unless it was changed (`PR_SET_TIMERSLACK`).
///
/// The first wait without a timeout makes a second signalfd for the same set, a blocking
/// one (three system calls, once). If that fails, and for a descriptor from elsewhere
/// ([`SignalFd::from_fd`]), a wait is a read, and if nothing is pending a poll and
/// another read. If a strict seccomp filter is installed later, let it allow
/// `signalfd4(2)`, or wait once before.
impl Receiver {
    /// Waits for one signal. One system call, unless it spins or has no second
    /// descriptor.
    ///
    /// # Errors
    ///
    /// [`Error::Forked`] in a forked child; [`Error::Os`] if a sandbox refuses
    /// to read or to wait.
    #[doc(alias = "sigwaitinfo")]
    #[inline]
    pub fn wait(&self) -> Result<SigInfo, Error> {
        let mut info = SigInfo::EMPTY;
        self.wait_into(slice::from_mut(&mut info))?;
        Ok(info)
    }

    /// Waits for one signal, for at most this long; `None` if none came.
    ///
    /// # Errors
    ///
    /// Those of [`wait`](Self::wait).
    #[doc(alias = "sigtimedwait")]
    pub fn wait_timeout(
        &self,
        timeout: Duration,
    ) -> Result<Option<SigInfo>, Error> {
        let mut info = SigInfo::EMPTY;
        let taken = self.wait_into_for(slice::from_mut(&mut info), timeout)?;
        Ok((taken > 0).then_some(info))
    }

    /// Waits until at least one signal is pending and takes all there are, up
    /// to the size of the batch. One system call, as for [`wait`](Self::wait).
    ///
    /// # Errors
    ///
    /// [`Error::EmptyBatch`], and those of [`wait`](Self::wait).
    #[inline]
    pub fn wait_batch<'b, const N: usize>(
        &self,
        batch: &'b mut Batch<N>,
    ) -> Result<&'b [SigInfo], Error> {
        let taken = self.wait_into(batch.room()?)?;
        Ok(batch.filled(taken))
    }

    /// Waits like [`wait_batch`](Self::wait_batch), for at most this long; the
    /// slice is empty if no signal came.
    ///
    /// # Errors
    ///
    /// [`Error::EmptyBatch`], and those of [`wait`](Self::wait).
    pub fn wait_batch_timeout<'b, const N: usize>(
        &self,
        batch: &'b mut Batch<N>,
        timeout: Duration,
    ) -> Result<&'b [SigInfo], Error> {
        let taken = self.wait_into_for(batch.room()?, timeout)?;
        Ok(batch.filled(taken))
    }

    #[inline]
    fn wait_into(&self, room: &mut [SigInfo]) -> Result<usize, Error> {
        match self.signalfd().wait_quick(room, &self.can_wait) {
            Some(taken) => Ok(taken),
            None => self.wait_until(room, Deadline::NEVER),
        }
    }

    /// Asks for the time only if there is nothing yet.
    fn wait_into_for(
        &self,
        room: &mut [SigInfo],
        timeout: Duration,
    ) -> Result<usize, Error> {
        let looked = self.signalfd().read_quick(room, &self.can_wait);
        match looked {
            Some(taken @ 1..) => Ok(taken),
            Some(_none) => {
                let deadline = Deadline::after(Some(timeout));
                if deadline.is_over() {
                    return Ok(0);
                }
                self.engine.sleep(deadline, &|| self.waker.wake())?;
                self.wait_until(room, deadline)
            }
            None => self.wait_until(room, Deadline::after(Some(timeout))),
        }
    }

    #[cold]
    #[inline(never)]
    fn wait_until(
        &self,
        room: &mut [SigInfo],
        deadline: Deadline,
    ) -> Result<usize, Error> {
        let mut taken = self.gather(room, deadline)?;
        if taken == 0 {
            taken = self.wait_for_some(room, deadline)?;
        }
        self.hand_out(taken, room.len());
        Ok(taken)
    }

    /// Lets signals gather, if that is asked for and they come in numbers.
    fn gather(
        &self,
        room: &mut [SigInfo],
        deadline: Deadline,
    ) -> Result<usize, Error> {
        let size = room.len();
        let Some(until) = self.moderation.until(size) else { return Ok(0) };
        let until = until.earlier(deadline);
        let mut look = self.moderation.expected(size).unwrap_or(Deadline::PAST);
        let mut kept = Kept::new(room, self.signalfd().birth());
        self.moderation.gather(until, size, || {
            self.engine.rest(until.earlier(look), &|| self.waker.wake())?;
            if look.is_over() {
                look = Deadline::NEVER;
            }
            let more = self.read_to_wait(kept.rest(), Next::Wait)?;
            kept.add(more);
            Ok(more)
        })?;
        Ok(kept.hand_over())
    }

    fn wait_for_some(
        &self,
        room: &mut [SigInfo],
        deadline: Deadline,
    ) -> Result<usize, Error> {
        let budget = self.spin.budget();
        if !budget.is_zero() {
            let taken = self.spin_into(room, budget, deadline)?;
            if taken > 0 || deadline.is_over() {
                return Ok(taken);
            }
        }
        if deadline.is_never() {
            let taken = self.engine.read_blocking(room)?;
            if taken > 0 {
                return Ok(taken);
            }
        }
        let mut next = Next::Wait;
        loop {
            let taken = self.read_to_wait(room, next)?;
            if taken > 0 || deadline.is_over() {
                return Ok(taken);
            }
            self.engine.sleep(deadline, &|| self.waker.wake())?;
            next = Next::WaitOn;
        }
    }

    fn spin_into(
        &self,
        room: &mut [SigInfo],
        budget: Duration,
        deadline: Deadline,
    ) -> Result<usize, Error> {
        let budget = Deadline::after(Some(budget));
        loop {
            let taken = self.read_to_wait(room, Next::Go)?;
            let is_over = budget.is_over();
            if taken > 0 || is_over {
                self.spin.note(taken > 0);
                return Ok(taken);
            }
            // It says nothing of the budget if there was no time to use it up.
            if deadline.is_over() {
                return Ok(0);
            }
            core::hint::spin_loop();
        }
    }
}

/// Awaiting, and telling others when there is something to take.
///
/// A task that awaits a receiver is woken by whoever knows that the descriptor
/// is readable: [`block_on`](crate::block_on) by itself, an
/// [`Epoll`](crate::Epoll) that serves the receiver, or an event loop that calls
/// [`on_readable`](Self::on_readable). Under an executor that has none of these
/// the task sleeps for ever.
///
/// One task at a time: the last to poll is the one that is woken.
///
/// The futures are `Send`, so a task may hold a `Receiver` or a reference to one, and move to
/// another thread. One that holds [`Signals`](crate::Signals) or a
/// [`Shutdown`](crate::Shutdown) stays in its thread, whose mask that restores.
impl Receiver {
    /// Returns a future that takes one signal.
    ///
    /// One task at a time: of two that await a receiver, the one that was polled last is
    /// woken, and the other sleeps on. A future that is polled once and then dropped
    /// counts, too: to look without waiting, use [`try_recv`](Self::try_recv).
    ///
    /// # Errors
    ///
    /// The future completes with [`Error::Forked`] in a forked child, and with
    /// [`Error::Os`] if a sandbox refuses the read.
    ///
    /// # Cancel safety
    ///
    /// Nothing is taken before the future completes: dropping it at any time
    /// loses no signal.
    pub const fn recv(&self) -> Recv<'_> {
        Recv::new(self)
    }

    /// Returns a future that takes all signals there are, at least one, up to
    /// the size of the batch.
    ///
    /// One task at a time, as for [`recv`](Self::recv).
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Self::recv), and [`Error::EmptyBatch`].
    ///
    /// # Cancel safety
    ///
    /// As for [`recv`](Self::recv).
    pub const fn recv_batch<'r, 'b, const N: usize>(
        &'r self,
        batch: &'b mut Batch<N>,
    ) -> RecvBatch<'r, 'b, N> {
        RecvBatch::new(self, batch)
    }

    /// Takes one signal, or has the task woken when there is one: what
    /// [`recv`](Self::recv) does when it is polled, for futures and streams
    /// written by hand.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Self::recv).
    #[inline]
    pub fn poll_recv(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<SigInfo, Error>> {
        let mut info = SigInfo::EMPTY;
        self.poll_read(cx, slice::from_mut(&mut info)).map_ok(|_one| info)
    }

    /// Takes all signals there are, or has the task woken when there is one: what
    /// [`recv_batch`](Self::recv_batch) does when it is polled, but that nothing gathers
    /// inside [`block_on`](crate::block_on) ([`Options::moderate`]).
    ///
    /// # Errors
    ///
    /// Those of [`recv_batch`](Self::recv_batch).
    #[inline]
    pub fn poll_recv_batch<'b, const N: usize>(
        &self,
        cx: &mut Context<'_>,
        batch: &'b mut Batch<N>,
    ) -> Poll<Result<&'b [SigInfo], Error>> {
        self.poll_read(cx, batch.room()?).map_ok(|taken| batch.filled(taken))
    }

    /// Tells whether there is a signal to take; if not, the task is woken when
    /// there is.
    ///
    /// Ready does not promise that a following [`try_recv`](Self::try_recv)
    /// finds the signal: another thread may have been faster. One task at a time,
    /// as for [`recv`](Self::recv).
    ///
    /// # Errors
    ///
    /// [`Error::Forked`]; [`Error::Os`] if a sandbox refuses `poll(2)`, or `EINVAL` if the
    /// process may have no descriptor (`RLIMIT_NOFILE` of 0).
    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.check_process()?;
        let tell = || self.waker.wake();
        if self.engine.is_readable(&tell)?
            || (self.register(cx).must_look_again()
                && self.engine.is_readable(&tell)?)
        {
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }

    /// Wakes the task that awaits this receiver.
    ///
    /// To be called by the owner of an event loop when the descriptor ([`AsFd`]) is
    /// readable. It may be called from any thread, at any time, and without cause; it
    /// takes no lock and makes no system call of its own.
    pub fn on_readable(&self) {
        self.waker.wake();
    }

    /// The signalfd itself, where the descriptor may be that of a ring.
    #[inline]
    pub(crate) const fn signalfd(&self) -> &SignalFd {
        self.engine.signalfd()
    }

    pub(crate) fn take_waker(&self) -> Option<Waker> {
        self.waker.take()
    }

    /// Takes what is pending, or arranges for the task to be woken.
    #[inline]
    pub(super) fn poll_read(
        &self,
        cx: &Context<'_>,
        room: &mut [SigInfo],
    ) -> Poll<Result<usize, Error>> {
        match self.read(room)? {
            0 => self.register_and_look_again(cx, room),
            taken => Poll::Ready(Ok(taken)),
        }
    }

    #[cold]
    #[inline(never)]
    fn register_and_look_again(
        &self,
        cx: &Context<'_>,
        room: &mut [SigInfo],
    ) -> Poll<Result<usize, Error>> {
        if self.register(cx).must_look_again() {
            let taken = self.read(room)?;
            if taken > 0 {
                return Poll::Ready(Ok(taken));
            }
        }
        Poll::Pending
    }

    /// Until when signals are to gather for this receiver, if they come in numbers.
    #[inline]
    pub(crate) fn gathers_until(&self) -> Option<Deadline> {
        self.moderation.expected(usize::MAX)
    }

    /// Has the task woken when enough has gathered, where it is
    /// [`block_on`](crate::block_on) that polls it.
    pub(super) fn pause(&self, cx: &Context<'_>, room: usize) -> bool {
        let Some(until) = self.moderation.expected(room) else { return false };
        Parker::pause(self.as_raw_fd(), cx.waker(), until)
    }

    /// Notes that a batch is handed out that was not read here.
    #[inline]
    pub(crate) fn note_batch(&self, taken: usize, room: usize) {
        self.moderation.note(taken, room);
    }

    /// Leaves the task's waker with all who may learn that there is a signal.
    fn register(&self, cx: &Context<'_>) -> Registered {
        self.waker.register(cx.waker());
        Parker::watch(self.as_raw_fd(), cx.waker())
    }
}

/// Whether a read of the signalfd does, to take and to wait.
fn what_will_do(engine: &Engine, options: Options) -> [Quick; 2] {
    if engine.has_ring() {
        return [Quick::never(); 2];
    }
    // What is read is noted.
    if !Moderation::new(options.delay, options.count).is_off() {
        return [Quick::never(); 2];
    }
    let quick = engine.signalfd().birth().quick();
    [quick, if options.spin.is_zero() { quick } else { Quick::never() }]
}

/// What is known once a waker is registered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Registered {
    /// Whoever wakes may have looked before the waker was there.
    LookAgain,
    /// Whoever wakes will look at the descriptor itself before it sleeps.
    WillBeSeen,
}

impl Registered {
    const fn must_look_again(self) -> bool {
        matches!(self, Self::LookAgain)
    }
}

/// Changing the signals while it runs.
///
/// These change the descriptor and no mask; those of [`Signals`](crate::Signals)
/// do both.
impl Receiver {
    /// Returns the signals it receives.
    #[must_use]
    pub fn signals(&self) -> SignalSet {
        self.signalfd().signals()
    }

    /// Receives these signals too. Every thread has to block them already; with
    /// [`Options::every_thread`] they are blocked first.
    ///
    /// A thread that is waiting notices at once, and also gets what is pending already.
    /// (What an earlier receiver could not put back, as the queue was full, a thread that
    /// sleeps gets with the next signal; a task is woken for it.)
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new) for these signals, and [`Error::Forked`]. The
    /// receiver is then as it was.
    pub fn insert(&self, set: impl Into<SignalSet>) -> Result<(), Error> {
        let set = self.check(set.into())?;
        self.update(|old| old | set)
    }

    /// Receives these signals no longer. What is pending stays pending.
    ///
    /// # Errors
    ///
    /// [`Error::EmptySet`] if no signal would be left, [`Error::Forked`], [`Error::Os`] if
    /// the kernel has no memory (`ENOMEM`) or a sandbox refuses `signalfd4(2)`. The
    /// receiver is then as it was.
    pub fn remove(&self, set: impl Into<SignalSet>) -> Result<(), Error> {
        let set = set.into();
        self.update(|old| old - set)
    }

    /// Receives these signals instead. As for [`insert`](Self::insert), every thread has
    /// to block them already.
    ///
    /// # Errors
    ///
    /// Those of [`insert`](Self::insert).
    pub fn replace(&self, set: impl Into<SignalSet>) -> Result<(), Error> {
        let set = self.check(set.into())?;
        self.update(|_| set)
    }

    /// Undoes a change from one set to another; what others have changed since stays.
    pub(super) fn undo(
        &self,
        before: SignalSet,
        after: SignalSet,
    ) -> Result<(), Error> {
        let (lost, gained) = (before - after, after - before);
        let every = self.every.as_ref();
        let blocked = every.map_or(Ok(()), |every| every.insert(lost));
        self.update(|now| (now - gained) | lost).and(blocked)
    }

    fn update(
        &self,
        change: impl Fn(SignalSet) -> SignalSet,
    ) -> Result<(), Error> {
        let result = self.signalfd().update(change);
        if let Some(every) = &self.every {
            every.follow(|| self.signals());
        }
        self.engine.set_changed(&|| self.waker.wake());
        result
    }

    fn check(&self, set: SignalSet) -> Result<SignalSet, Error> {
        self.check_process()?;
        let set = set.check_receivable()?;
        match &self.every {
            Some(every) => every.insert(set)?,
            None => drop(self.options.secure(set)?),
        }
        Ok(set)
    }

    /// Fails in a forked child.
    #[inline]
    pub(crate) fn check_process(&self) -> Result<(), Error> {
        if self.is_ordinary() {
            return Ok(());
        }
        self.signalfd().birth().check()
    }

    /// Whether it is known at once that this is the process that made it, and that
    /// nothing was left for it.
    #[inline]
    pub(crate) fn is_ordinary(&self) -> bool {
        self.can_read.is_ordinary()
    }
}

impl AsFd for Receiver {
    /// Returns the descriptor, to wait on in an event loop: it is readable when
    /// a signal is pending.
    ///
    /// Level-triggered or edge-triggered, read with
    /// [`try_recv_batch`](Receiver::try_recv_batch) until the batch comes back
    /// short.
    #[inline]
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.engine.descriptor()
    }
}

impl AsRawFd for Receiver {
    /// Returns the number of the descriptor, for loops that take nothing else.
    #[inline]
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl AsRef<Self> for Receiver {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            // The descriptor of a ring would stand from when it is shown.
            .field("signalfd", &self.signalfd().as_raw_fd())
            .field("signals", &self.signals())
            .field("backend", &self.backend())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
