//! The handler for threads that do not block what is received.
//!
//! Linux has no mask for the process. What it has is a handler: it runs in the
//! thread that takes a signal, and may change the mask that this thread gets back.
//! So there is one for all signals that are to be blocked in every thread, and it
//! does two things, both safe at any point of any program: it makes system calls and
//! looks at atomic numbers.
//!
//! - It blocks them all in the thread, from when it returns.
//! - It sends the record on to the process, where the receiver finds it. If the
//!   user's queue is full the record is left to the next read (`requeue/left.rs`).
//!
//! Threads that exist are made to run it by a record of ours, the *probe*, which is
//! not sent on (`every.rs`). After that no signal passes through it. It stays for
//! threads that come to unblock the signals later.
//!
//! # What it finds
//!
//! - **The signal is to be blocked in every thread here.** The above.
//! - **It is not, or this is a forked child.** The handler may run a moment after it
//!   was taken away, a child inherits it, and other code may install it again that
//!   has found it. Then the previous action comes back, and the record is sent to the
//!   thread again, to take it when the handler returns.
//! - **A probe.** Counted, and gone.
//!
//! # Who changes what
//!
//! `ACTIVE` is what the handler looks at. It grows before the handler is installed
//! and shrinks after it was taken away. All else is changed in turns (`Turn`), by who
//! opens and who leaves. The handler may bring the previous action back while
//! somebody opens. It looks at `ACTIVE` again afterwards; so either it sees that, and
//! installs itself again, or that one installs it after.

#![expect(unsafe_code, reason = "a signal handler")]

use core::ffi::{c_int, c_void};
use core::ptr;
use core::sync::atomic::{
    AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};

use rustix::io::Errno;
use rustix::thread::futex;

use super::{AtomicBirth, Birth, requeue};
use crate::error::{Error, Op};
use crate::signal::{PROBE, SigInfo, Signal, SignalSet};
use crate::sys::action::{self, Action, Handler};
use crate::sys::turn::Turn;
use crate::sys::{self, Deadline};

static TURN: Turn = Turn::new();
/// The process that the rest is about.
static BIRTH: AtomicBirth = AtomicBirth::new();
/// What every thread is to block.
static ACTIVE: AtomicU64 = AtomicU64::new(0);
/// How many want that, of each signal.
static COUNTS: [AtomicU32; 64] = [const { AtomicU32::new(0) }; 64];
/// The action of each signal before ours.
static PREVIOUS: [Previous; 64] = [const { Previous::new() }; 64];
/// How many probes were sent, and how many of them have come to the handler.
static SENT: AtomicU32 = AtomicU32::new(0);
static HANDLED: AtomicU32 = AtomicU32::new(0);
/// How many signals the handler has sent on.
static CAUGHT: AtomicU64 = AtomicU64::new(0);

/// An action in atomic pieces, since a handler may read it at any time.
struct Previous {
    handler: AtomicUsize,
    flags: AtomicI32,
    mask: AtomicU64,
}

impl Previous {
    const fn new() -> Self {
        Self {
            handler: AtomicUsize::new(libc::SIG_DFL),
            flags: AtomicI32::new(0),
            mask: AtomicU64::new(0),
        }
    }

    fn store(&self, action: Action) {
        self.mask.store(action.mask.bits(), Ordering::Relaxed);
        self.flags.store(action.flags, Ordering::Relaxed);
        self.handler.store(action.handler, Ordering::Release);
    }

    fn load(&self) -> Action {
        Action {
            handler: self.handler.load(Ordering::Acquire),
            flags: self.flags.load(Ordering::Relaxed),
            mask: SignalSet::from_bits_retain(
                self.mask.load(Ordering::Relaxed),
            ),
        }
    }
}

/// Does something while no other thread changes anything here.
pub(super) fn in_turn<R>(birth: Birth, f: impl FnOnce() -> R) -> R {
    TURN.take(birth.number(), || {
        if BIRTH.load() != birth {
            begin_afresh(birth);
        }
        f()
    })
}

/// In a forked child nobody wants anything yet.
fn begin_afresh(birth: Birth) {
    ACTIVE.store(0, Ordering::SeqCst);
    for count in &COUNTS {
        count.store(0, Ordering::Relaxed);
    }
    SENT.store(HANDLED.load(Ordering::Relaxed), Ordering::Relaxed);
    BIRTH.store(birth);
}

/// What every thread of this process is to block.
fn active() -> SignalSet {
    let bits = ACTIVE.load(Ordering::SeqCst);
    if bits == 0 || BIRTH.load().check().is_err() {
        return SignalSet::empty();
    }
    SignalSet::from_bits_retain(bits)
}

/// Installs the handler for these signals; all of them or none. In turn.
pub(super) fn install(set: SignalSet) -> Result<(), Error> {
    if !action::KNOWS_CONTEXT {
        return Err(Error::os(Op::Sigaction, Errno::NOSYS));
    }
    requeue::make_room(BIRTH.load());
    ACTIVE.fetch_or(set.bits(), Ordering::SeqCst);
    let mut installed = SignalSet::empty();
    for signal in set.signals() {
        if let Err(error) = install_one(signal) {
            uninstall(installed);
            (set - installed).signals().for_each(uninstall_unwanted);
            return Err(error);
        }
        installed |= signal;
    }
    Ok(())
}

fn install_one(signal: Signal) -> Result<(), Error> {
    let found = action::action(signal)?;
    // Also where others want it already: other code may have changed it since.
    if !is_ours(&found) {
        previous(signal).store(found);
        put_handler(signal)?;
    }
    count(signal).fetch_add(1, Ordering::Relaxed);
    Ok(())
}

/// Takes the handler away, where nobody else wants it. In turn.
pub(super) fn uninstall(set: SignalSet) {
    for signal in set.signals() {
        count(signal).fetch_sub(1, Ordering::Relaxed);
        uninstall_unwanted(signal);
    }
}

fn uninstall_unwanted(signal: Signal) {
    if count(signal).load(Ordering::Relaxed) > 0 {
        return;
    }
    // A probe that is still pending would take the previous action, which for
    // most signals is the end.
    if is_quiet() && action::action(signal).is_ok_and(|found| is_ours(&found)) {
        let _restored = put_previous(signal);
    }
    ACTIVE.fetch_and(!SignalSet::from(signal).bits(), Ordering::SeqCst);
}

/// Whether all probes have come to the handler.
pub(super) fn is_quiet() -> bool {
    SENT.load(Ordering::Relaxed) == HANDLED.load(Ordering::Acquire)
}

fn count(signal: Signal) -> &'static AtomicU32 {
    let [first, ..] = &COUNTS;
    COUNTS.get(usize::from(signal.bit())).unwrap_or(first)
}

fn previous(signal: Signal) -> &'static Previous {
    let [first, ..] = &PREVIOUS;
    PREVIOUS.get(usize::from(signal.bit())).unwrap_or(first)
}

/// Which signals were ignored before the handler was installed; also in a forked
/// child, which has inherited it.
#[cfg(feature = "std")]
pub(super) fn ignored_before() -> SignalSet {
    let was_ignored =
        |&signal: &Signal| previous(signal).load().handler == libc::SIG_IGN;
    let installed = ACTIVE.load(Ordering::SeqCst);
    let installed = SignalSet::from_bits_retain(installed).signals();
    installed.filter(was_ignored).collect()
}

fn is_ours(action: &Action) -> bool {
    action.handler == address()
}

fn address() -> usize {
    let handler: Handler = handle;
    handler as usize
}

/// Installs the handler for a signal.
fn put_handler(signal: Signal) -> Result<Action, Error> {
    let mut flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
    if signal == Signal::CHLD {
        // Children that nobody has to wait for are none afterwards either. The
        // kernel then sends the signal all the same (`do_notify_parent()`).
        let previous = previous(signal).load();
        flags |= previous.flags & (libc::SA_NOCLDSTOP | libc::SA_NOCLDWAIT);
        if previous.handler == libc::SIG_IGN {
            flags |= libc::SA_NOCLDWAIT;
        }
    }
    let mask = SignalSet::from_bits_retain(ACTIVE.load(Ordering::SeqCst));
    let ours = Action { handler: address(), flags, mask };
    // SAFETY: the handler makes system calls and uses atomic numbers, and keeps
    // `errno`; it was given `SA_SIGINFO`, for its three arguments.
    unsafe { action::set_action(signal, &ours) }
}

fn put_previous(signal: Signal) -> Result<Action, Error> {
    // SAFETY: the action that the signal had before; whoever installed it has
    // answered for it.
    unsafe { action::set_action(signal, &previous(signal).load()) }
}

/// See the head of this file.
unsafe extern "C" fn handle(
    _number: c_int,
    info: *mut libc::siginfo_t,
    context: *mut c_void,
) {
    sys::action::keeping_errno(|| {
        // SAFETY: the second argument of this handler, which has `SA_SIGINFO`.
        let info = unsafe { action::record(info) };
        let active = active();
        if active.has(info.signal()) {
            // SAFETY: the third argument.
            unsafe { action::block_on_return(context, active) };
        }
        if is_probe(&info) {
            HANDLED.fetch_add(1, Ordering::Release);
            let _woken = futex::wake(&HANDLED, futex::Flags::PRIVATE, 1);
        } else if active.has(info.signal()) {
            CAUGHT.fetch_add(1, Ordering::Relaxed);
            requeue::send_on(&info, BIRTH.load(), active);
        } else {
            let_take_its_course(&info);
        }
    });
}

/// Lets the thread take a signal again, with the previous action.
fn let_take_its_course(info: &SigInfo) {
    let signal = info.signal();
    let _restored = put_previous(signal);
    if active().has(signal) {
        // Somebody has opened meanwhile.
        let _installed = put_handler(signal);
    }
    if sys::action::tgsigqueueinfo(sys::thread_id(), info).is_err() {
        // Without the record, if there is no room for one.
        let _sent = sys::action::tgkill_self(signal);
    }
}

/// How many signals the handler has sent on, in all.
pub(super) fn caught() -> u64 {
    CAUGHT.load(Ordering::Relaxed)
}

/// Makes a thread run the handler. In turn.
pub(super) fn probe(tid: u32, signal: Signal) -> Result<(), Errno> {
    let tid = i32::try_from(tid).map_err(|_| Errno::SRCH)?;
    // Before, so that there are never more handled than sent.
    SENT.fetch_add(1, Ordering::Relaxed);
    sys::action::tgsigqueueinfo(tid, &probe_of(signal)).inspect_err(|_| {
        SENT.fetch_sub(1, Ordering::Relaxed);
    })
}

fn probe_of(signal: Signal) -> SigInfo {
    let mut info =
        SigInfo { signo: signal.as_raw(), code: PROBE, ..SigInfo::EMPTY };
    info.set_sigval(secret());
    info
}

/// Whether this process has sent the record to itself. Others do not know the
/// secret, so none of theirs is taken for one.
pub(crate) fn is_probe(info: &SigInfo) -> bool {
    info.code() == PROBE && info.sigval() == secret()
}

/// Where something of ours is: the kernel's secret.
fn secret() -> u64 {
    ptr::from_ref(&ACTIVE).addr() as u64
}

/// A probe was read, so it does not come to the handler any more.
pub(crate) fn probe_was_read() {
    HANDLED.fetch_add(1, Ordering::Release);
}

/// Waits until all probes have come to the handler, or the deadline is over.
pub(super) fn wait_for_probes(deadline: Deadline) {
    loop {
        let handled = HANDLED.load(Ordering::Acquire);
        let left = deadline.left().unwrap_or_default();
        let Ok(timeout) = left.try_into() else { return };
        if handled == SENT.load(Ordering::Relaxed) || left.is_zero() {
            return;
        }
        let flags = futex::Flags::PRIVATE;
        let _woken = futex::wait(&HANDLED, flags, handled, Some(&timeout));
    }
}

/// How many probes have come to the handler, in all.
pub(super) fn handled() -> u32 {
    HANDLED.load(Ordering::Acquire)
}
