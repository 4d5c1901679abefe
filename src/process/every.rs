//! Blocking signals in every thread.

use core::fmt;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use core::time::Duration;

use rustix::io::Errno;

use super::status::Queue;
use super::threads::{PATIENCE, Starting, check_threads, for_each_thread};
use super::{Birth, backstop};
use crate::error::{Error, Op, UnblockedThread};
use crate::signal::{Signal, SignalSet};
use crate::sys::{self, Deadline, How};

/// Blocks signals in every thread of the process: in those that exist, now, and
/// in those that come without blocking them, as soon as a signal reaches them.
///
/// Linux has no such call. Where threads exist before `main` has a say
/// (`#[tokio::main]`, a library's pool) this is what makes a receiver see every
/// signal. [`Options::every_thread`](crate::Options::every_thread) does it for a
/// receiver.
///
/// # How
///
/// A handler is installed for the signals, and each thread that does not block them
/// is sent one of them, marked as the crate's own. The handler blocks the whole set
/// in the thread it runs in. When this returns, all threads that were found block the
/// set, and no signal passes through the handler any more: real-time signals stay in
/// order. (Unless one does not come to it, as [`late`](EveryThread::late) tells: it is
/// stuck, or the user's queue of signals is so full that nothing can be sent to it.) The
/// handler stays. A thread that unblocks a signal later and takes one runs it, and so blocks
/// them again; and the signal is sent on to the process, with its
/// record, behind those that are pending.
///
/// The handler takes no lock and allocates nothing on the heap. If there is no room in
/// the queue for thousands of signals that it sends on, it maps memory.
///
/// For who sleeps while the queue is full there is a timer for each real-time signal of
/// the set. It takes up one place in the queue (`RLIMIT_SIGPENDING`), and stays for as long
/// as the process lives, also if this fails after it was made.
///
/// The actions of signals are the process's, so threads that do this at the same time, or
/// [`heal`](EveryThread::heal), or drop such a guard, take turns: one waits for the other.
///
/// A thread that is just being started blocks everything for that moment, since the C
/// library does so. With glibc that can be seen, and is waited for, a second at most (but not
/// where a thread is started with a CPU or a scheduling policy of its own).
/// Elsewhere it is passed over, as is one in a handler, or in a call that has a mask
/// for the time it takes (`ppoll`). Such a thread is taken care of when it takes a
/// signal; or call [`heal`](EveryThread::heal) when all threads have begun.
///
/// # What others notice
///
/// - A thread that sleeps in the kernel is interrupted, once. Calls that can be
///   restarted are (`SA_RESTART`); those that cannot fail with `EINTR`: `epoll_wait`,
///   `poll`, `select`, `nanosleep`, and others that signal(7) lists.
/// - Threads stay as they are when the guard is dropped: they go on blocking the
///   set, since no signal of it would reach them any more and another one would be the
///   program's; and so do the threads they start. So what comes then, or comes in the
///   moment, stays pending for the next receiver. The calling thread goes on blocking it,
///   too; for a scope there, make a [`MaskGuard`](crate::MaskGuard) first, as
///   [`open`](crate::Options::open) does. But a guard or scope of another set that a thread
///   had before gives it back the mask from before, with this set open.
/// - A handler that the program had for a signal does not run while the guard
///   exists, and neither does the default action. One that it installs meanwhile runs
///   in threads that unblock the signal; if it calls the one that it has found, it must have
///   `SA_SIGINFO`, as that one has.
/// - A signal directed at a thread that did not block it becomes the process's. Others
///   that are pending for that thread stay with it.
/// - A thread that sleeps in `sigwaitinfo(2)` for one of the signals gets one that is
///   the crate's own.
/// - Where a set has nothing but signals that stop the process and `SIGCONT`, one of them is
///   sent, and the kernel then drops pending ones of the other sort, as it always does.
/// - Where children were not waited for (`SIG_IGN` or `SA_NOCLDWAIT` on `SIGCHLD`),
///   they need not be, and the signal comes for each.
/// - A program that is executed is not told of handlers, so it finds the default
///   action where a signal was ignored, unless `RestoreSignals::restore_signals` starts
///   it.
///
/// # Errors
///
/// No action is changed then.
///
/// - [`Error::EmptySet`], [`Error::Unblockable`], [`Error::Synchronous`] or
///   [`Error::Reserved`] for a set that no receiver can take.
/// - [`Error::Os`]: `ENOENT` if `/proc` is not mounted, `ENOSYS` on a machine of
///   which the crate does not know the signal context, or another error if a sandbox
///   refuses a call. Some threads may then block the set already.
///
/// # Examples
///
/// ```
/// use std::sync::mpsc::channel;
/// use signalfd::{Receiver, Signal, mask};
///
/// let (done, wait) = channel::<()>();
/// let (begun, told) = channel();
/// let thread = std::thread::spawn(move || {
///     begun.send(()).unwrap();
///     wait.recv()
/// });
/// told.recv()?;
///
/// let every = mask::block_every_thread(Signal::TERM)?;
/// assert_eq!(every.late()?, None);
/// let receiver = Receiver::new(Signal::TERM)?; // which checks the threads
/// # drop((receiver, done));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn block_every_thread(
    set: impl Into<SignalSet>,
) -> Result<EveryThread, Error> {
    let set = set.into().check_receivable()?;
    let every = EveryThread {
        set: AtomicU64::new(0),
        healed: AtomicU32::new(0),
        caught_before: backstop::caught(),
        birth: Birth::here(),
    };
    every.insert(set)?;
    Ok(every)
}

/// Signals that every thread blocks. Made by [`block_every_thread`], or with a
/// receiver by [`Options::every_thread`](crate::Options::every_thread).
///
/// When it is dropped, each signal that no other such guard has gets its previous
/// action back, unless other code has changed it since. There are these exceptions:
///
/// - If a thread is there that was sent a record of the crate's and has not run the
///   handler, or that is stopped in it when it is about to wake a receiver, the handler
///   stays, and does nothing for what is the crate's. It calls the handler that there was
///   before for any other signal, until the next such guard has gone; another action comes
///   back with that signal, unless that ignores it. It stays so, too, where more than 65,536
///   real-time signals of a number would have to be kept from the action, because others go
///   on sending.
/// - An action that ignores the signal (`SIG_IGN`, or the default one of `SIGCHLD`,
///   `SIGCONT`, `SIGURG` and `SIGWINCH`) would drop what is pending. It does not come
///   back before the last receiver and the last [`MaskGuard`](crate::MaskGuard) of the
///   process go that have the signal, in whatever thread. Until then threads that
///   unblock it are caught as before. So it is with any action while there are signals to
///   be received that found no room in the queue.
///
/// If receivers were ever woken for signals that found no room in the queue, what is pending
/// of these real-time signals is sent anew: it comes after what is sent meanwhile, and its
/// sender is only claimed.
///
/// If there is no room still when the last of them goes, such a signal waits for the next
/// receiver that has it.
///
/// In a forked child it does nothing: there the first signal that runs the handler
/// brings the previous action back. One that ignores the signal does not come back so, since
/// a thread might have begun to receive meanwhile: the handler does nothing then, and goes
/// when a receiver or guard goes that the child has made for the signal. Until then a thread
/// of the child that does not block it is interrupted by it.
#[must_use = "the handler is taken away as soon as this is dropped"]
pub struct EveryThread {
    set: AtomicU64,
    /// How many threads were found unblocked and block the set now.
    healed: AtomicU32,
    caught_before: u64,
    birth: Birth,
}

/// How often threads are looked at in any case.
const ROUNDS: u32 = 5;
/// How long all may take, before the threads are looked at again.
const ROUND: Duration = Duration::from_millis(100);

impl EveryThread {
    /// Returns the signals.
    #[must_use]
    pub fn signals(&self) -> SignalSet {
        SignalSet::from_bits_retain(self.set.load(Ordering::Relaxed))
    }

    /// Returns how many threads did not block the signals and were made to.
    #[must_use]
    pub fn healed(&self) -> u32 {
        self.healed.load(Ordering::Relaxed)
    }

    /// Returns how many signals reached a thread that did not block them, and were
    /// sent on to the process, since this was made. It counts those of all such
    /// guards of the process.
    #[must_use]
    pub fn caught(&self) -> u64 {
        backstop::caught() - self.caught_before
    }

    /// Returns a thread that does not block the signals yet.
    ///
    /// A thread that is stuck in the kernel, or stopped by a debugger, does not run
    /// its handler before it is let go. It is waited for a second or so.
    /// Nothing is lost by it: it does so when it comes back.
    ///
    /// # Errors
    ///
    /// [`Error::Forked`] in a forked child, and those of
    /// [`check_threads`](super::mask::check_threads).
    pub fn late(&self) -> Result<Option<UnblockedThread>, Error> {
        self.birth.check()?;
        match check_threads(self.signals()) {
            Ok(()) => Ok(None),
            Err(Error::UnblockedThread(thread)) => Ok(Some(thread)),
            Err(error) => Err(error),
        }
    }

    /// Looks for threads that do not block the signals, and makes them.
    ///
    /// For programs that know when such threads come, so that no signal has to pass
    /// through the handler.
    ///
    /// # Errors
    ///
    /// [`Error::Forked`] in a forked child, and those of [`block_every_thread`].
    pub fn heal(&self) -> Result<(), Error> {
        self.birth.check()?;
        let set = self.signals();
        backstop::in_turn(self.birth, || self.heal_all(set))
    }

    /// Blocks these signals too.
    pub(crate) fn insert(&self, set: SignalSet) -> Result<(), Error> {
        self.birth.check()?;
        backstop::in_turn(self.birth, || {
            let new = set - self.signals();
            backstop::install(new)?;
            self.set.fetch_or(new.bits(), Ordering::Relaxed);
            self.heal_all(self.signals()).inspect_err(|_| {
                backstop::uninstall(new);
                self.set.fetch_and(!new.bits(), Ordering::Relaxed);
            })
        })
    }

    /// Lets go of all but what the receiver has now, and of nothing that it has:
    /// several threads may change its set at once, and the last to come here sees what
    /// all have done.
    pub(crate) fn follow(&self, receiver: impl FnOnce() -> SignalSet) {
        if self.birth.check().is_err() {
            return;
        }
        backstop::in_turn(self.birth, || {
            let (old, new) = (self.signals(), receiver());
            backstop::uninstall(old - new);
            // Who inserted these has installed the handler before, and had its errors.
            let kept = match backstop::install(new - old) {
                Ok(()) => new,
                Err(_) => new & old,
            };
            self.set.store(kept.bits(), Ordering::Relaxed);
        });
    }

    fn heal_all(&self, set: SignalSet) -> Result<(), Error> {
        // This thread needs no probe.
        let found = sys::sigprocmask(Some((How::Block, set)))?;
        let opened = set - found;
        let before = backstop::handled();
        heal_others(set).inspect_err(|_| {
            // The error that counts is the first one.
            let _unblocked = sys::sigprocmask(Some((How::Unblock, opened)));
        })?;
        let others = backstop::handled().wrapping_sub(before);
        let healed = others + u32::from(!opened.is_empty());
        self.healed.fetch_add(healed, Ordering::Relaxed);
        Ok(())
    }
}

fn heal_others(set: SignalSet) -> Result<(), Error> {
    let end = Deadline::after(Some(PATIENCE));
    let mut rounds = 0;
    let mut starting = Starting::new();
    loop {
        let found = probe_all(set, &mut starting)?;
        if found {
            rounds += 1;
            backstop::wait_for_probes(Deadline::after(Some(ROUND)));
            // Who has run the handler and is unblocked again does that itself.
            let is_done = backstop::is_quiet() || end.is_over();
            if rounds >= ROUNDS && is_done && !starting.must_look_again() {
                return Ok(());
            }
            starting.await_any();
        } else if !starting.must_look_again() {
            return Ok(());
        }
    }
}

/// Sends a probe to each thread that does not block the set, and tells whether there
/// is one.
fn probe_all(set: SignalSet, starting: &mut Starting) -> Result<bool, Error> {
    let mut is_one = false;
    starting.begin_look();
    for_each_thread(|tid, status| {
        starting.note(tid, status);
        let Some(thread) = status.unblocked(tid, set)? else { return Ok(()) };
        is_one = true;
        let open = thread.signals();
        let has_probe = !(open & status.pending).is_empty();
        if has_probe {
            return Ok(());
        }
        let Some(signal) = choose(open, status.queue) else { return Ok(()) };
        match backstop::probe(tid, signal, status.queue) {
            // It has ended, or it gets one when there is room.
            Ok(()) | Err(Errno::SRCH | Errno::AGAIN) => Ok(()),
            Err(errno) => Err(Error::os(Op::Tgsigqueueinfo, errno)),
        }
    })?;
    Ok(is_one)
}

/// Chooses a signal to send to a thread: best one that the kernel queues or refuses,
/// and one of those that stop or continue the process last, since sending one removes
/// others from the queue.
///
/// A standard signal that finds the queue full comes without its record, and would be
/// taken for a real one.
fn choose(open: SignalSet, queue: Queue) -> Option<Signal> {
    let stops = Signal::CONT | Signal::TSTP | Signal::TTIN | Signal::TTOU;
    let first = |set: SignalSet| set.signals().next();
    let realtime = open.signals().find(|signal| signal.is_realtime());
    if queue == Queue::Full {
        return realtime;
    }
    realtime.or_else(|| first(open - stops)).or_else(|| first(open))
}

impl Drop for EveryThread {
    fn drop(&mut self) {
        self.follow(SignalSet::empty);
    }
}

impl fmt::Debug for EveryThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EveryThread")
            .field("signals", &self.signals())
            .field("healed", &self.healed())
            .field("caught", &self.caught())
            .finish_non_exhaustive()
    }
}
