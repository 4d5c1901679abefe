//! Blocking signals in every thread.

use core::fmt;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use core::time::Duration;

use rustix::io::Errno;

use super::status::Queue;
use super::threads::{PATIENCE, Starting, check_threads, for_each_thread};
use super::{Birth, backstop, probe};
use crate::error::{Error, Op, UnblockedThread};
use crate::signal::{Signal, SignalSet};
use crate::sys::{self, Deadline, How};

/// Blocks signals in every thread of the process: at once in the threads that exist, and
/// in a later thread that does not block them as soon as a signal reaches it.
///
/// Linux has no such call. Where threads exist before `main` has a say (`#[tokio::main]`,
/// a library's pool), this lets a receiver see every signal all the same.
/// [`Options::every_thread`](crate::Options::every_thread) does it for a receiver.
///
/// # How
///
/// A handler is installed for the signals, and each thread that does not block them is
/// sent one of them, marked as the crate's own. The handler blocks the whole set in the
/// thread it runs in. When this returns, all threads that were found block the set, and
/// no signal passes through the handler any more: real-time signals stay in order.
/// (Except where a thread does not come to run it, which [`late`](EveryThread::late)
/// reports: the thread is stuck, or the user's queue of signals is so full that nothing
/// can be sent to it.) The handler stays installed. If a thread later unblocks a signal
/// and takes it, the handler blocks the set there again, and sends the signal on to the
/// process, with its record, behind those that are pending.
///
/// The handler takes no lock and allocates nothing on the heap. If there is no room in
/// the queue for thousands of signals that it sends on, it maps memory.
///
/// To wake receivers that sleep while the queue is full, there is a timer for each
/// real-time signal of the set. It takes up one place in the queue (`RLIMIT_SIGPENDING`)
/// and stays until the process ends, even if this call fails after it was made.
///
/// Signal actions belong to the process, so threads that call this or
/// [`heal`](EveryThread::heal), or drop such a guard, at the same time take turns: one
/// waits for the other.
///
/// A thread that is just being started blocks everything for that moment, since the C
/// library does so. With glibc this can be detected, and the thread is waited for, a
/// second at most (but not if it is started with a CPU affinity or scheduling policy of
/// its own). Elsewhere it is passed over, as is a thread that is in a handler, or in a
/// call that replaces its mask meanwhile (`ppoll(2)`). Such a thread is made to block the
/// set when it takes a signal of it; or call [`heal`](EveryThread::heal) when all threads
/// have begun.
///
/// # What others notice
///
/// - A thread that sleeps in the kernel is interrupted, once. Calls that can be
///   restarted are (`SA_RESTART`); those that cannot fail with `EINTR`: `epoll_wait`,
///   `poll`, `select`, `nanosleep`, and others that signal(7) lists.
/// - Threads keep blocking the set when the guard is dropped, and so do the threads they
///   start: to unblock it a signal would have to reach them, but those of the set do not
///   any more, and any other is the program's. So what comes then, or at that moment,
///   stays pending for the next receiver. The calling thread keeps blocking it, too; for
///   a scope there, make a [`MaskGuard`](crate::MaskGuard) first, as
///   [`open`](crate::Options::open) does. But a guard or scope of another set that a
///   thread opened before this call restores the mask from then, in which this set is not
///   blocked.
/// - A handler that the program had for a signal does not run while the guard exists, and
///   neither does the default action. A handler that the program installs meanwhile runs
///   in threads that unblock the signal; if it calls the handler that it replaced, it
///   must be installed with `SA_SIGINFO`, as that one is, and pass on what it was given,
///   on the same stack. Otherwise the signal may come to it again and again.
/// - If other code installs the crate's handler again without `SA_SIGINFO` (`signal(3)`)
///   while threads are being made to run it, a signal may be received that nobody sent.
/// - A signal directed at a thread that did not block it becomes process-directed. What
///   was pending for that thread already stays with it.
/// - A thread that waits in `sigwaitinfo(2)` for one of the signals gets a record that is
///   the crate's own.
/// - If the set has nothing but stop signals and `SIGCONT`, one of them is sent, and the
///   kernel then drops pending ones of the opposite kind, as it always does.
/// - If children did not have to be waited for (`SIG_IGN` or `SA_NOCLDWAIT` on
///   `SIGCHLD`), they still need not be, and `SIGCHLD` comes for each.
/// - `execve(2)` resets handlers, so an executed program finds the default action where a
///   signal was ignored, unless `RestoreSignals::restore_signals` starts it.
///
/// # Errors
///
/// On an error the actions are restored, as when the guard is dropped.
///
/// - [`Error::EmptySet`], [`Error::Unblockable`], [`Error::Synchronous`] or
///   [`Error::Reserved`] for a set that no receiver can take.
/// - [`Error::Os`]: `ENOENT` if `/proc` is not mounted, `ENOSYS` on a machine of
///   which the crate does not know the signal context, `ENOMEM` if nothing can be
///   mapped, or another error if a sandbox refuses a call. Some threads may then block the set already.
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

/// Keeps signals blocked in every thread. Made by [`block_every_thread`], or with a
/// receiver by [`Options::every_thread`](crate::Options::every_thread).
///
/// When it is dropped, the previous action of each signal that no other such guard has is
/// restored, unless other code has changed the action since. The exceptions:
///
/// - If a thread was sent a record of the crate's and has not run the handler yet, or is
///   stopped in it while about to wake a receiver, the handler stays, and drops the
///   crate's own records. For any other signal it calls the previous handler, until the
///   next such guard has been dropped; a previous action that is no handler is restored
///   with that signal, unless it ignores the signal. The handler also stays where more
///   than 65,536 real-time signals of a number would have to be kept from the action,
///   because others go on sending.
/// - Restoring an action that ignores the signal (`SIG_IGN`, or the default one of
///   `SIGCHLD`, `SIGCONT`, `SIGURG` and `SIGWINCH`) would drop what is pending. It is
///   restored only when the last receiver and the last [`MaskGuard`](crate::MaskGuard) of
///   the process that have the signal are dropped, in whatever thread. Until then threads
///   that unblock it are caught as before. The same goes for any action while signals
///   that found no room in the queue are still to be received.
///
/// If a receiver was ever woken for a real-time signal that found no room in the queue,
/// what is pending of that signal is sent anew: it comes after what is sent meanwhile,
/// and its sender is only [`Claimed`](crate::Sender::Claimed).
///
/// If there is still no room when the last of these receivers and guards is dropped, such
/// a signal waits for the next receiver that has it.
///
/// In a forked child dropping it does nothing: there the first signal that runs the
/// handler restores the previous action. An action that ignores the signal is not
/// restored that way, since a thread might have begun to receive meanwhile: the handler
/// then does nothing, and is removed when a receiver or guard that the child has made for
/// the signal is dropped. Until then the signal interrupts threads of the child that do
/// not block it.
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
    /// Returns the signals that it keeps blocked.
    #[must_use]
    pub fn signals(&self) -> SignalSet {
        SignalSet::from_bits_retain(self.set.load(Ordering::Relaxed))
    }

    /// Returns how many threads did not block the signals and were made to; one that
    /// unblocked them again meanwhile counts each time.
    #[must_use]
    pub fn healed(&self) -> u32 {
        self.healed.load(Ordering::Relaxed)
    }

    /// Returns how many signals reached a thread that did not block them, and were sent
    /// on to the process, since this was made. All such guards of the process count
    /// together.
    #[must_use]
    pub fn caught(&self) -> u64 {
        backstop::caught() - self.caught_before
    }

    /// Returns a thread that does not block the signals yet.
    ///
    /// A thread that is stuck in the kernel, or stopped by a debugger, runs the handler
    /// only when it goes on; [`heal`](Self::heal) and the like wait for it for a second
    /// or so, and longer where there are hundreds of threads. No signal is lost by that. But if
    /// a debugger holds it just where it is to run the handler, and the receiver is dropped
    /// meanwhile, the record that it was sent takes the previous action.
    ///
    /// # Errors
    ///
    /// [`Error::Forked`] in a forked child, and [`Error::Os`] as for
    /// [`check_threads`](super::mask::check_threads).
    pub fn late(&self) -> Result<Option<UnblockedThread>, Error> {
        self.birth.check()?;
        match check_threads(self.signals()) {
            Ok(()) => Ok(None),
            Err(Error::UnblockedThread(thread)) => Ok(Some(thread)),
            Err(error) => Err(error),
        }
    }

    /// Looks for threads that do not block the signals, and makes them block them.
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
        let before = probe::handled();
        heal_others(set).inspect_err(|_| {
            // The error that counts is the first one.
            let _unblocked = sys::sigprocmask(Some((How::Unblock, opened)));
        })?;
        let others = probe::handled().wrapping_sub(before);
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
            probe::wait_for_all(Deadline::after(Some(ROUND)));
            // Who has run the handler and is unblocked again does that itself.
            let is_done = probe::is_quiet() || end.is_over();
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
    let takes_probes = backstop::take_probes(set)?;
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
        let Some(signal) = choose(open & takes_probes, status.queue) else {
            return Ok(());
        };
        match probe::send(tid, signal, status.queue) {
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
