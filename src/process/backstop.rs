//! The handler for threads that do not block what is received.
//!
//! Linux has no mask for the process. What it has is a handler: it runs in the
//! thread that takes a signal, and may change the mask that this thread gets back.
//! So there is one for all signals that are to be blocked in every thread, and it
//! does two things, both safe at any point of any program: it makes system calls, looks at
//! atomic numbers, and changes what the kernel has put on its stack.
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
//!   thread again, to take it when the handler returns. If the mask that the thread gets
//!   back blocks the signal (`ppoll(2)`), it is not left until then: a handler is called, and
//!   for a default action the signal is unblocked in here. If that would ignore it, nothing
//!   is done; and if there is no room for the record, the handler from before is called, or
//!   the signal goes without. But where another handler is installed, it may have handed on
//!   to this one, which then hands on to the previous. That
//!   may be the very handler that has handed on, if it was installed over this one and
//!   found by a later receiver: then it is the one before that (`found.rs`).
//! - **A probe.** Counted, and gone.
//! - **No record.** Other code has brought the handler back without `SA_SIGINFO`, or had when
//!   the kernel called it; or another handler has called this one without what it was given.
//!   If the signal is to be blocked here it goes on as one of nobody's, also what was a probe
//!   or a wake, and the handler is installed again as it was, where it still is, so that the
//!   next one is as above. If not, it takes its course as above; but where another handler is
//!   installed, that one counts as the one that has called, and nothing is done. (It cannot
//!   be told from being late.)
//! - **What was to wake a sleeper** (`requeue/wake.rs`). It is no signal. The above is
//!   done, and if somebody has to be woken still, it is sent again.
//!
//! # Who changes what
//!
//! `ACTIVE` is what the handler looks at. It grows before the handler is installed
//! and shrinks after it was taken away. All else is changed in turns (`Turn`), by who
//! opens and who leaves. But the handler may bring itself back with its record; and the
//! previous action, if that does not ignore the signal. Before it brings an action back it says
//! so in `RESTORING`, and looks at `ACTIVE` once more; so either it sees that somebody opens, and
//! leaves the handler where it is, or whoever opens waits until it is done. One whose thread
//! does not run just then is not waited for long: when it runs, it looks at `ACTIVE` again, and
//! installs the handler again. Other code of the program may change actions at any time. So
//! whoever replaces one looks at what it has replaced, and if that is not what it has seen
//! before, it comes back.
//!
//! The handler goes in these steps, each of which sees what those before it have left
//! behind in threads that are in the handler:
//!
//! 1. It is said that nobody is to be woken any more (`requeue/wake.rs`). Then it is waited
//!    for the probes, and for those who are about to wake somebody. If one does not come,
//!    because its thread is stopped, the handler stays: it does no harm, and gives way with
//!    the next signal. If another handler is to come back, that would take what is late; so
//!    this one calls it, as long as something may come.
//! 2. What must not take the action that comes back is taken out of the queue, and what
//!    that would drop.
//! 3. The action comes back. Threads that are in the handler send on what they have, and
//!    it takes that.
//! 4. `ACTIVE` shrinks. What was taken out, and what the handler has left because the queue
//!    was full, is given back. Who leaves something later sees that `ACTIVE` has shrunk,
//!    and gives it back itself.

#![expect(unsafe_code, reason = "a signal handler")]

use core::ffi::{c_int, c_void};
use core::mem::transmute;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use core::time::Duration;

use rustix::io::Errno;

use super::action::{end_all_the_same, ends_as_pid_1};
use super::claim::is_claimed;
use super::fork::OfProcess;
use super::found::Found;
use super::{AtomicBirth, Birth, probe, requeue};
use crate::error::{Error, Op};
use crate::signal::{PerSignal, SigInfo, Signal, SignalSet};
use crate::sys::action::{self, Action, Handler};
use crate::sys::turn::Turn;
use crate::sys::{self, Deadline, How};

static TURN: Turn = Turn::new();
/// The process that the rest is about.
static BIRTH: AtomicBirth = AtomicBirth::new();
/// What every thread is to block.
static ACTIVE: AtomicU64 = AtomicU64::new(0);
/// How many want that, of each signal.
static COUNTS: PerSignal<AtomicU32> =
    PerSignal::new([const { AtomicU32::new(0) }; 64]);
/// Those of which the previous action comes back, or does when nobody claims them any
/// more (`claim.rs`).
static LEAVING: AtomicU64 = AtomicU64::new(0);
/// How many threads are in the handler that bring an action back.
static RESTORING: OfProcess = OfProcess::new();
/// Those for which the handler was ever installed.
static EVER: AtomicU64 = AtomicU64::new(0);
/// The action of each signal before ours, and the one before that, if it was installed over
/// ours and may hand on to it.
static FOUND: PerSignal<Found> = PerSignal::new([const { Found::new() }; 64]);
/// How many signals the handler has sent on.
static CAUGHT: AtomicU64 = AtomicU64::new(0);

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
    LEAVING.store(0, Ordering::SeqCst);
    for count in COUNTS.iter() {
        count.store(0, Ordering::Relaxed);
    }
    probe::begin_afresh();
    BIRTH.store(birth);
}

/// What every thread of this process is to block.
pub(super) fn active() -> SignalSet {
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
    requeue::make_room(set, BIRTH.load())?;
    ACTIVE.fetch_or(set.bits(), Ordering::SeqCst);
    LEAVING.fetch_and(!set.bits(), Ordering::SeqCst);
    await_restoring();
    let mut installed = SignalSet::empty();
    for signal in set.signals() {
        if let Err(error) = install_one(signal) {
            uninstall(installed);
            uninstall_unwanted(set - installed);
            return Err(error);
        }
        installed |= signal;
    }
    Ok(())
}

/// Waits a moment for those who have begun to bring an action back before it was said that
/// somebody opens.
fn await_restoring() {
    let (birth, end) = (BIRTH.load(), Deadline::after(Some(PATIENCE)));
    while RESTORING.load(birth) > 0 {
        rustix::thread::sched_yield();
        if end.is_over() {
            break;
        }
    }
}

fn install_one(signal: Signal) -> Result<(), Error> {
    let mut found = action::action(signal)?;
    // Also where others want it already: other code may have changed it since, and may do
    // so in this moment.
    while !is_ours(&found) {
        // What ends PID 1 is there for a while only (`action.rs`).
        let is_end = sys::is_end(&found);
        let behind = if is_end { sys::default_action() } else { found };
        FOUND.of(signal).store(&behind);
        let replaced = put_handler(signal)?;
        if replaced == found {
            break;
        }
        found = replaced;
    }
    mend_one(signal, &found)?;
    COUNTS.of(signal).fetch_add(1, Ordering::Relaxed);
    Ok(())
}

/// Those of the set for which a thread that is sent a probe runs the handler, which gets its
/// record again if other code has brought it back without. To any other action a probe would
/// be a signal.
pub(super) fn take_probes(set: SignalSet) -> Result<SignalSet, Error> {
    let mut ours = SignalSet::empty();
    for signal in set.signals() {
        let found = action::action(signal)?;
        if is_ours(&found) {
            mend_one(signal, &found)?;
            ours |= signal;
        }
    }
    Ok(ours)
}

/// Gives the handler its record again, where other code has brought it back without: with
/// `signal(3)`, which knows of no flags.
fn mend_one(signal: Signal, found: &Action) -> Result<(), Error> {
    if is_ours(found) && !has_record(found) {
        let replaced = put_handler(signal)?;
        put_back_another(signal, address(), replaced, is_ours)?;
    }
    Ok(())
}

/// How long a probe may be on its way when the handler is to go, how long it may take to wake
/// somebody, and how long an action to come back.
const PATIENCE: Duration = Duration::from_millis(100);

/// Takes the handler away, where nobody else wants it. In turn.
pub(super) fn uninstall(set: SignalSet) {
    for signal in set.signals() {
        COUNTS.of(signal).fetch_sub(1, Ordering::Relaxed);
    }
    uninstall_unwanted(set);
}

fn uninstall_unwanted(set: SignalSet) {
    let is_unwanted =
        |&signal: &Signal| COUNTS.of(signal).load(Ordering::Relaxed) == 0;
    let unwanted: SignalSet = set.signals().filter(is_unwanted).collect();
    let mut unwanted = unwanted - left_to_the_last(unwanted);
    if unwanted.is_empty() {
        return;
    }
    let birth = BIRTH.load();
    // A probe or a wake that is still pending would take the previous action, which for
    // most signals is the end.
    if becomes_quiet(unwanted) {
        // Something may have been left since.
        let leaving = left_to_the_last(unwanted);
        requeue::let_wake(leaving);
        unwanted -= leaving;
        for signal in unwanted.signals().filter(|&signal| has_handler(signal)) {
            let previous = previous(signal);
            let ignores = is_ignored_by(&previous, signal);
            if requeue::take_out(signal, ignores, birth) {
                // Not first the default: to PID 1 that is to ignore the signal.
                let _restored = if ends_as_pid_1(signal, &previous) {
                    put_end(signal, &previous)
                } else {
                    put_previous(signal, &previous)
                };
            }
        }
    }
    ACTIVE.fetch_and(!unwanted.bits(), Ordering::SeqCst);
    LEAVING.fetch_and(!unwanted.bits(), Ordering::SeqCst);
    fence(Ordering::SeqCst);
    for signal in unwanted.signals() {
        requeue::give_back_left::<32>(signal, birth);
    }
}

/// Those of which the action would drop what somebody counts on, or something is left that
/// he is to be woken for. Whoever is the last brings it back.
fn left_to_the_last(unwanted: SignalSet) -> SignalSet {
    let is_for_others = |&signal: &Signal| {
        has_handler(signal)
            && (is_ignored_by(&previous(signal), signal)
                || requeue::has_left(signal.into()))
    };
    let leaving: SignalSet = unwanted.signals().filter(is_for_others).collect();
    LEAVING.fetch_or(leaving.bits(), Ordering::SeqCst);
    let birth = BIRTH.load();
    leaving.signals().filter(|&signal| is_claimed(signal, birth)).collect()
}

/// Brings back what was left to the last one, if this is the last one; or waits until
/// what is coming back is there.
pub(super) fn claims_have_changed(set: SignalSet, birth: Birth) {
    let leaving = SignalSet::from_bits_retain(LEAVING.load(Ordering::SeqCst));
    let leaving = leaving & set;
    if !leaving.is_empty() {
        in_turn(birth, || uninstall_unwanted(leaving));
    }
}

/// Waits a moment for the probes that are on their way, and for who is about to wake
/// somebody, which nobody does any more.
fn becomes_quiet(unwanted: SignalSet) -> bool {
    let end = Deadline::after(Some(PATIENCE));
    loop {
        if requeue::no_wake_comes(unwanted) && probe::is_quiet() {
            return true;
        }
        if end.is_over() {
            return false;
        }
        rustix::thread::sched_yield();
    }
}

/// Whether this action is to do nothing (signal(7)).
fn is_ignored_by(action: &Action, signal: Signal) -> bool {
    let by_default = Signal::CHLD | Signal::CONT | Signal::URG | Signal::WINCH;
    action.handler == libc::SIG_IGN
        || action.handler == libc::SIG_DFL && by_default.has(signal)
}

fn previous(signal: Signal) -> Action {
    let [last, _] = FOUND.of(signal).load();
    last
}

/// The action of a signal, or the one from before if it is the handler; also in a
/// forked child, which has inherited it.
pub(super) fn action_behind(signal: Signal) -> Result<Action, Error> {
    let found = action::action(signal)?;
    Ok(if is_ours(&found) { previous(signal) } else { found })
}

/// Which signals would be ignored if it were not for the handler; also in a forked
/// child.
#[cfg(feature = "std")]
pub(super) fn ignored_behind() -> SignalSet {
    let is_ignored = |&signal: &Signal| {
        has_handler(signal) && previous(signal).handler == libc::SIG_IGN
    };
    // It may have stayed where nobody wants it any more (`uninstall_unwanted`).
    let ever = SignalSet::from_bits_retain(EVER.load(Ordering::SeqCst));
    ever.signals().filter(is_ignored).collect()
}

/// Whether the handler is installed for a signal.
fn has_handler(signal: Signal) -> bool {
    action::action(signal).is_ok_and(|found| is_ours(&found))
}

fn is_ours(action: &Action) -> bool {
    action.handler == address()
}

/// Whether a handler is given a record and a context.
const fn has_record(action: &Action) -> bool {
    action.flags & libc::SA_SIGINFO != 0
}

fn address() -> usize {
    let handler: Handler = handle;
    handler as usize
}

/// Installs the handler for a signal.
fn put_handler(signal: Signal) -> Result<Action, Error> {
    EVER.fetch_or(SignalSet::from(signal).bits(), Ordering::SeqCst);
    let previous = previous(signal);
    let mut flags = libc::SA_SIGINFO | libc::SA_RESTART;
    // It may have to call the previous handler, which is to have the stack that it is for.
    if !is_handler(&previous) || previous.flags & libc::SA_ONSTACK != 0 {
        flags |= libc::SA_ONSTACK;
    }
    if signal == Signal::CHLD {
        // Children that nobody has to wait for are none afterwards either. The
        // kernel then sends the signal all the same (`do_notify_parent()`).
        flags |= previous.flags & (libc::SA_NOCLDSTOP | libc::SA_NOCLDWAIT);
        if previous.handler == libc::SIG_IGN {
            flags |= libc::SA_NOCLDWAIT;
        }
    }
    // No other handler runs on top of it: a stack for signals may be small.
    let mask = SignalSet::all();
    // SAFETY: the handler makes system calls and uses atomic numbers, and keeps
    // `errno`; it was given `SA_SIGINFO`, for its three arguments.
    unsafe { action::set_handler(signal, address(), flags, mask) }
}

/// Brings the previous action, which is this, back in the place of the handler.
fn put_previous(signal: Signal, previous: &Action) -> Result<(), Error> {
    let found = set_found(signal, previous)?;
    put_back_another(signal, previous.handler, found, is_ours)
}

/// Puts the handler that ends PID 1 in the place of the default action, which is this, or of
/// ours.
fn put_end(signal: Signal, default: &Action) -> Result<(), Error> {
    let found = sys::end_by(signal)?;
    let is_known = |it: &Action| it.handler == default.handler || is_ours(it);
    put_back_another(signal, sys::end_handler(), found, is_known)
}

/// Where other code has changed an action in the moment before it was replaced, so that it
/// was another than is known by this, that comes back. Nobody can do this at once: there is
/// no call that compares.
fn put_back_another(
    signal: Signal,
    mut put: usize,
    mut replaced: Action,
    is_known: impl Fn(&Action) -> bool,
) -> Result<(), Error> {
    if is_known(&replaced) {
        return Ok(());
    }
    loop {
        let found = set_found(signal, &replaced)?;
        if found.handler == put {
            return Ok(());
        }
        // It has changed it once more.
        (put, replaced) = (replaced.handler, found);
    }
}

fn set_found(signal: Signal, found: &Action) -> Result<Action, Error> {
    // SAFETY: an action that the signal had before; whoever installed it has answered for
    // it.
    unsafe { action::set_action(signal, found) }
}

/// See the head of this file.
// It is known by its address: a function that is inlined may have several.
#[inline(never)]
unsafe extern "C" fn handle(
    number: c_int,
    raw: *mut libc::siginfo_t,
    context: *mut c_void,
) {
    sys::action::keeping_errno(|| {
        let Ok(signal) = Signal::try_from(number) else { return };
        let installed = installed(signal);
        // SAFETY: the arguments of this handler.
        let record = unsafe { action::record(number, raw, context, done()) };
        let Some(info) = record else {
            return handle_without_record(signal);
        };
        // What looks like one may be another's, but for a probe, which has the secret.
        if installed == Some(Installed::Bare) && !probe::is_probe(&info) {
            return handle_without_record(signal);
        }
        let active = active();
        let is_active = active.has(info.signal());
        if is_active {
            // SAFETY: the third argument.
            unsafe { action::block_on_return(context, active) };
        }
        let is_probe = probe::is_probe(&info);
        // With its record, too, so that no other is taken for it.
        let is_bare = info.has_lost_its_record();
        let was_expected =
            (is_probe || is_bare) && probe::is_expected(info.signal(), is_bare);
        if is_probe && probe::was_mistaken(info.signal()) {
            // What was taken for this one was not.
            CAUGHT.fetch_add(1, Ordering::Relaxed);
            requeue::send_on(&bare(info.signal()), BIRTH.load());
        } else if is_probe || was_expected {
            probe::has_come();
        } else if requeue::was_wake(&info, is_active) {
            // It has come to the wrong one.
        } else if is_active {
            CAUGHT.fetch_add(1, Ordering::Relaxed);
            requeue::send_on(&info, BIRTH.load());
        } else {
            // SAFETY: the arguments of this handler.
            unsafe { let_it_run(&info, number, raw, context) };
        }
        // Another handler that has handed on may read it still.
        if installed.is_some() {
            // SAFETY: it is one.
            unsafe { action::mark_done(raw, done()) };
        }
    });
}

/// How the handler is installed for a signal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Installed {
    WithRecord,
    /// Without `SA_SIGINFO`.
    Bare,
}

/// How it is installed now, if it is. On its own: a stack for signals may be small.
#[inline(never)]
fn installed(signal: Signal) -> Option<Installed> {
    let found = action::action(signal).ok().filter(is_ours)?;
    Some(if has_record(&found) {
        Installed::WithRecord
    } else {
        Installed::Bare
    })
}

/// What the handler does where it has nothing but the number: other code has brought it back
/// without `SA_SIGINFO`. What was to be a probe or a wake goes on as a signal, too: it cannot
/// be told from one, and a signal is not to be lost.
#[cold]
fn handle_without_record(signal: Signal) {
    let info = bare(signal);
    if !active().has(signal) {
        // Another handler has handed on, most likely, and would be called again and again.
        let is_another =
            |it: &Action| is_handler(it) && !is_ours(it) && !sys::is_end(it);
        if !action::action(signal).is_ok_and(|it| is_another(&it)) {
            let _gave_way = let_take_its_course(&info, None);
        }
        return;
    }
    // The next one has its record, and blocks the thread.
    let _mended = action::action(signal).and_then(|it| mend_one(signal, &it));
    if probe::is_expected(signal, true) {
        probe::has_come();
    } else {
        CAUGHT.fetch_add(1, Ordering::Relaxed);
        requeue::send_on(&info, BIRTH.load());
    }
}

/// Does with a signal what is done where the handler is not: see the head of this file.
///
/// # Safety
///
/// These are the arguments of a handler with `SA_SIGINFO`.
unsafe fn let_it_run(
    info: &SigInfo,
    number: c_int,
    raw: *mut libc::siginfo_t,
    context: *mut c_void,
) {
    let signal = info.signal();
    let [last, before] = FOUND.of(signal).load();
    // SAFETY: by contract.
    let turn = unsafe { turn_of(raw) };
    let next = turn.or_else(|| {
        // SAFETY: by contract.
        unsafe { who_hands_on(signal, &last, context) }
    });
    let next = match next {
        // SAFETY: by contract.
        None => match let_take_its_course(info, unsafe {
            action::blocked_before(context)
        }) {
            Ok(None) => return,
            // It has to be called.
            Ok(Some(course)) => {
                let next = u64::from(course.handler == last.handler);
                // SAFETY: as above.
                return unsafe { call(&course, next, number, raw, context) };
            }
            // A sandbox does not let actions be changed.
            Err(_) => 0,
        },
        Some(next) => next,
    };
    let handler = match next {
        0 => last,
        1 => before,
        // Round and round: there are more of them than can be told apart.
        _ => return,
    };
    // SAFETY: as above.
    unsafe { call(&handler, next + 1, number, raw, context) };
}

/// Where a handler is installed that hands on, which of those that were found it is to be
/// handed to: one is that has found this one and called it, or this one, if it has to stay.
///
/// # Safety
///
/// This is the third argument of a handler with `SA_SIGINFO`, or null.
unsafe fn who_hands_on(
    signal: Signal,
    last: &Action,
    context: *const c_void,
) -> Option<u64> {
    let installed = action::action(signal).ok()?;
    let hands_on = if is_ours(&installed) {
        has_to_stay(signal, last)
    } else {
        // SAFETY: by contract.
        let before = unsafe { action::blocked_before(context) };
        is_handler(&installed) && was_called_by(&installed, signal, before)
    };
    hands_on.then_some(u64::from(installed.handler == last.handler))
}

/// Whether this other handler has called this one, in a thread that had blocked these.
///
/// The kernel may have called this one a moment ago. It does so with everything blocked but
/// faults, which a handler with a full mask (`sigfillset(3)`) blocks as well. Where so much
/// is blocked with the other, too, it counts as the one that has called: what was sent to
/// the thread once more for its sake would come here again.
fn was_called_by(
    other: &Action,
    signal: Signal,
    before: Option<SignalSet>,
) -> bool {
    let is_of_ours = |mask: SignalSet| {
        mask.contains(SignalSet::all()) && !mask.has(Signal::SEGV)
    };
    before.is_none_or(|it| is_of_ours(it | other.mask | signal))
        || !sys::sigprocmask(None).is_ok_and(is_of_ours)
}

/// Whether another handler is to come back, and would take what may be on its way to this
/// one still ([`PATIENCE`] was over). As long as that may be, this one hands on.
fn has_to_stay(signal: Signal, last: &Action) -> bool {
    let may_come = || probe::may_come() || requeue::may_wake(signal);
    is_handler(last) && BIRTH.load().check().is_ok() && may_come()
}

fn is_handler(action: &Action) -> bool {
    ![libc::SIG_DFL, libc::SIG_IGN].contains(&action.handler)
}

/// Calls a handler, as who has called this one would have done itself, had it found that
/// one; it would not have taken a default action. Should it hand on to this one again, the
/// record says which of those that were found is the next.
///
/// # Safety
///
/// These are the arguments of a handler with `SA_SIGINFO`.
unsafe fn call(
    action: &Action,
    next: u64,
    number: c_int,
    info: *mut libc::siginfo_t,
    context: *mut c_void,
) {
    let &Action { handler, flags, .. } = action;
    if !is_handler(action) {
        return;
    }
    // SAFETY: by contract.
    let mark = unsafe { mark_of(info) };
    // SAFETY: where the record has its mark.
    let found = unsafe { mark.read_unaligned() };
    // SAFETY: as above.
    unsafe { mark.write_unaligned(probe::secret().wrapping_add(next)) };
    if flags & libc::SA_SIGINFO == 0 {
        // SAFETY: installed without `SA_SIGINFO`, it takes the number (sigaction(2)).
        let handler = unsafe { transmute::<usize, PlainHandler>(handler) };
        handler(number);
    } else {
        // SAFETY: installed with `SA_SIGINFO`, it takes all three (sigaction(2)).
        let handler = unsafe { transmute::<usize, Handler>(handler) };
        // SAFETY: they are what the kernel has given.
        unsafe { handler(number, info, context) };
    }
    // SAFETY: as above.
    unsafe { mark.write_unaligned(found) };
}

/// Which of those that were found is the next, where this one has called one with the
/// record.
///
/// # Safety
///
/// This is the second argument of a handler with `SA_SIGINFO`.
unsafe fn turn_of(info: *mut libc::siginfo_t) -> Option<u64> {
    // SAFETY: by contract.
    let mark = unsafe { mark_of(info) };
    // SAFETY: where the record has its mark.
    let turn = unsafe { mark.read_unaligned() }.wrapping_sub(probe::secret());
    (turn <= 2).then_some(turn)
}

/// Where a record has its mark: in the last of its 128 bytes. The kernel uses less, and
/// leaves the rest zero, or (before Linux 4.20) as it was, which is hardly ever a mark.
///
/// # Safety
///
/// This is the second argument of a handler with `SA_SIGINFO`.
const unsafe fn mark_of(info: *mut libc::siginfo_t) -> *mut u64 {
    const LAST: usize = size_of::<libc::siginfo_t>() / size_of::<u64>() - 1;
    // SAFETY: within the record.
    unsafe { info.cast::<u64>().add(LAST) }
}

type PlainHandler = extern "C" fn(c_int);

/// Lets the thread take a signal again, with the previous action. Fails if that cannot come
/// back. Returns the action if it is a handler and can only be called.
///
/// An action that ignores the signal is not brought back here. To drop the record is what it
/// would do; and to set it would drop what is pending for others, who may have begun to
/// receive by now. It is left to who comes next or goes.
///
/// The thread may have had another mask for a moment (`ppoll(2)`), and block the signal when
/// the handler returns, in what it gets back. Then the signal takes its course in here.
fn let_take_its_course(
    info: &SigInfo,
    gets_back: Option<SignalSet>,
) -> Result<Option<Action>, Error> {
    let signal = info.signal();
    // If it is not to be known, this one is there still.
    let other = action::action(signal).ok().filter(|it| !is_ours(it));
    let course = other.unwrap_or_else(|| previous(signal));
    if is_ignored_by(&course, signal) {
        if other.is_none() {
            LEAVING.fetch_or(SignalSet::from(signal).bits(), Ordering::SeqCst);
        }
        return Ok(None);
    }
    if other.is_none() {
        bring_back(signal, &course)?;
    }
    let is_active = active().has(signal);
    let is_too_late = gets_back.is_some_and(|mask| mask.has(signal));
    // On this stack there may be no room for the kernel to call another one.
    let is_for_here = !is_active && !is_handler(&course);
    if is_too_late && is_for_here {
        let _all = sys::sigprocmask(Some((How::Unblock, signal.into())));
    }
    if (!is_too_late || is_for_here) && send_to_this_thread(info) {
        return Ok(None);
    }
    // Or it is a real-time signal, and the queue is full (`__send_signal_locked()`).
    if is_active {
        requeue::send_on(info, BIRTH.load());
    } else if is_handler(&course) {
        return Ok(Some(course));
    } else {
        // Without the record it goes.
        let _sent = sys::send_to_process(signal);
    }
    Ok(None)
}

/// Brings the previous action, which is this and does not ignore the signal, back in the
/// place of the handler, unless somebody has come to want the handler.
// In parts, for a stack for signals may be small.
fn bring_back(signal: Signal, previous: &Action) -> Result<(), Error> {
    let birth = Birth::here();
    RESTORING.update(birth, |count| count + 1);
    let restored = if active().has(signal) {
        Ok(())
    } else {
        bring_back_for_now(signal, previous)
    };
    RESTORING.update(birth, |count| count.saturating_sub(1));
    restored
}

/// Who opens meanwhile waits, but not for ever: then the handler is put back.
fn bring_back_for_now(signal: Signal, previous: &Action) -> Result<(), Error> {
    put_previous(signal, previous).inspect_err(|_| {
        if previous.handler == libc::SIG_DFL {
            end_all_the_same(signal);
        }
    })?;
    if ends_as_pid_1(signal, previous) {
        put_end_if_wanted(signal, previous)?;
    }
    if active().has(signal) {
        put_handler_again(signal, previous)?;
    }
    Ok(())
}

/// Whoever wanted the end of PID 1 may do so no longer.
fn put_end_if_wanted(signal: Signal, default: &Action) -> Result<(), Error> {
    put_end(signal, default)?;
    if ends_as_pid_1(signal, default) {
        return Ok(());
    }
    let found = set_found(signal, default)?;
    put_back_another(signal, default.handler, found, sys::is_end)
}

/// Somebody has opened since the previous action, which is this, has come back.
fn put_handler_again(signal: Signal, previous: &Action) -> Result<(), Error> {
    let replaced = put_handler(signal)?;
    let is_known = |it: &Action| {
        it.handler == previous.handler || is_ours(it) || sys::is_end(it)
    };
    put_back_another(signal, address(), replaced, is_known)
}

/// Sends a record to the calling thread, or the signal alone where a sandbox forbids that
/// call. Fails for a real-time signal if the queue is full.
fn send_to_this_thread(info: &SigInfo) -> bool {
    match sys::action::tgsigqueueinfo(sys::thread_id(), info) {
        Ok(()) => true,
        // By now there may be room, but for the record as well.
        Err(Errno::AGAIN) => false,
        Err(_) => sys::action::tgkill_self(info.signal()).is_ok(),
    }
}

/// How many signals the handler has sent on, in all.
pub(super) fn caught() -> u64 {
    CAUGHT.load(Ordering::Relaxed)
}

/// What the kernel makes of a signal from outside the PID namespace, or without a record.
const fn bare(signal: Signal) -> SigInfo {
    SigInfo { signo: signal.as_raw(), code: libc::SI_USER, ..SigInfo::EMPTY }
}

/// What marks a record as one that the handler is done with.
fn done() -> c_int {
    let [a, b, c, d, ..] = probe::secret().to_le_bytes();
    c_int::from_le_bytes([a, b, c, d])
}
