//! Actions of signals, and what a handler does with its context.

#![expect(unsafe_code, reason = "handlers")]

use core::ffi::{c_int, c_long, c_void};
use core::mem;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

use rustix::io::Errno;
use rustix::process::getpid;

use super::{KernelSigset, check, errno_location, thread_id};
use crate::error::{Error, Op};
use crate::signal::{KernelSigInfo, SigInfo, Signal, SignalSet};

/// What is done with a signal that is delivered: `struct sigaction`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Action {
    /// `SIG_DFL`, `SIG_IGN`, or the address of a handler.
    pub(crate) handler: usize,
    pub(crate) flags: c_int,
    pub(crate) mask: SignalSet,
    /// What the handler returns to, if it is not for the kernel to say; else 0.
    pub(crate) restorer: usize,
}

/// A handler with `SA_SIGINFO`.
pub(crate) type Handler =
    unsafe extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);

/// The action of a signal.
pub(crate) fn action(signal: Signal) -> Result<Action, Error> {
    raw::sigaction(signal, None)
}

/// Changes the action of a signal, and returns what it was.
///
/// # Safety
///
/// A handler is sound to run at any time, with these flags. It was found with what it
/// returns to.
pub(crate) unsafe fn set_action(
    signal: Signal,
    action: &Action,
) -> Result<Action, Error> {
    raw::sigaction(signal, Some(action))
}

/// Installs a handler that was not found but is the crate's, and returns what the action
/// was.
///
/// What it returns to is the C library's affair, so the first one is installed by that,
/// and what it has said then is kept for the others: a handler may do this too. All have
/// `SA_SIGINFO`, for the library may say something else of others.
///
/// # Safety
///
/// The handler is sound to run at any time, with these flags.
pub(crate) unsafe fn set_handler(
    signal: Signal,
    handler: usize,
    flags: c_int,
    mask: SignalSet,
) -> Result<Action, Error> {
    let ours = |restorer| Action { handler, flags, mask, restorer };
    let known = RESTORER.load(Ordering::Relaxed);
    if known != UNKNOWN {
        return raw::sigaction(signal, Some(&ours(known)));
    }
    let before = action(signal)?;
    let old = by_the_library(signal, Some(&ours(0)))?;
    let installed = action(signal).inspect_err(|_| {
        // The error that counts is this one.
        let _restored = by_the_library(signal, Some(&old));
    })?;
    if installed.handler == handler {
        RESTORER.store(installed.restorer, Ordering::Relaxed);
    }
    // The library does not say what the old one returns to.
    let is_known = old.handler == before.handler;
    let restorer = if is_known { before } else { installed }.restorer;
    Ok(Action { restorer, ..old })
}

/// What a handler returns to that the C library has installed.
static RESTORER: AtomicUsize = AtomicUsize::new(UNKNOWN);
const UNKNOWN: usize = usize::MAX;

/// What `sigaction(3)` does. It takes a lock for `SIGABRT` (glibc 2.41, musl 1.2.2), so no
/// handler and no forked child is to come here.
fn by_the_library(
    signal: Signal,
    new: Option<&Action>,
) -> Result<Action, Error> {
    let new = new.map(|action| {
        // SAFETY: made of integers, and a function that may be null.
        let mut new: libc::sigaction = unsafe { mem::zeroed() };
        new.sa_sigaction = action.handler;
        new.sa_flags = action.flags;
        let mask = (&raw mut new.sa_mask).cast::<KernelSigset>();
        // SAFETY: a `sigset_t` is at least the kernel's, and begins with it.
        unsafe { mask.write(KernelSigset::new(action.mask)) };
        new
    });
    let new = new.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: made of integers, and a function that may be null.
    let mut old: libc::sigaction = unsafe { mem::zeroed() };
    // SAFETY: sigaction(2) reads a `struct sigaction` at `new` unless it is null,
    // and writes one at `old`; both live past the call. That a new handler is
    // sound, the caller has promised.
    let result = unsafe { libc::sigaction(signal.as_raw(), new, &raw mut old) };
    check(result.into()).map_err(|errno| Error::os(Op::Sigaction, errno))?;
    let mask = (&raw const old.sa_mask).cast::<KernelSigset>();
    // SAFETY: a `sigset_t` is at least the kernel's, and begins with it.
    let mask = unsafe { mask.read() };
    Ok(Action {
        handler: old.sa_sigaction,
        flags: old.sa_flags,
        mask: mask.get(),
        restorer: 0,
    })
}

/// Actions without the C library.
#[cfg(any(
    target_arch = "x86_64",
    target_arch = "x86",
    target_arch = "aarch64",
    target_arch = "arm",
    target_arch = "riscv64",
    target_arch = "loongarch64",
    target_arch = "s390x",
))]
mod raw {
    use core::ffi::{c_int, c_long};
    use core::ptr;

    use super::Action;
    use crate::error::{Error, Op};
    use crate::signal::{Signal, SignalSet};
    use crate::sys::{KernelSigset, check};

    /// The kernel's `struct sigaction`, whose integers are as large as pointers.
    #[repr(C)]
    struct KernelAction {
        handler: usize,
        flags: usize,
        restorer: [usize; RESTORERS],
        mask: KernelSigset,
    }

    /// On some machines the kernel always says itself what a handler returns to.
    const RESTORERS: usize =
        if cfg!(any(target_arch = "riscv64", target_arch = "loongarch64")) {
            0
        } else {
            1
        };
    /// Says that it does not.
    const SA_RESTORER: usize = 0x0400_0000;

    impl KernelAction {
        fn new(action: &Action) -> Self {
            let Action { handler, flags, mask, restorer } = *action;
            let flags = u32::from_ne_bytes(flags.to_ne_bytes()) as usize;
            let says = usize::from(restorer != 0) * SA_RESTORER;
            Self {
                handler,
                flags: (flags & !SA_RESTORER) | says,
                restorer: [restorer; RESTORERS],
                mask: KernelSigset::new(mask),
            }
        }

        fn get(&self) -> Action {
            // Those of the upper half mean nothing.
            let [a, b, c, d, ..] = self.flags.to_le_bytes();
            let says = self.flags & SA_RESTORER != 0;
            let restorer = self.restorer.first().filter(|_| says);
            Action {
                handler: self.handler,
                flags: c_int::from_le_bytes([a, b, c, d]),
                mask: self.mask.get(),
                restorer: restorer.copied().unwrap_or(0),
            }
        }
    }

    /// Changes an action if it is given one, and returns what it was.
    pub(super) fn sigaction(
        signal: Signal,
        new: Option<&Action>,
    ) -> Result<Action, Error> {
        let new = new.map(KernelAction::new);
        let new = new.as_ref().map_or(ptr::null(), ptr::from_ref);
        let none = Action {
            handler: libc::SIG_DFL,
            flags: 0,
            mask: SignalSet::empty(),
            restorer: 0,
        };
        let mut old = KernelAction::new(&none);
        // SAFETY: rt_sigaction(2) reads the kernel's `struct sigaction` at `new` unless
        // it is null, and writes one at `old`, with sets of 8 bytes; both live past the
        // call. That a new handler is sound, and that it returns to where it may,
        // the caller has promised.
        let result = unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                c_long::from(signal.as_raw()),
                new,
                ptr::from_mut(&mut old),
                size_of::<KernelSigset>(),
            )
        };
        check(result).map_err(|errno| Error::os(Op::Sigaction, errno))?;
        Ok(old.get())
    }
}

/// Where the kernel's `struct sigaction` is another. The crate's handler is not installed
/// there.
#[cfg(not(any(
    target_arch = "x86_64",
    target_arch = "x86",
    target_arch = "aarch64",
    target_arch = "arm",
    target_arch = "riscv64",
    target_arch = "loongarch64",
    target_arch = "s390x",
)))]
mod raw {
    pub(super) use super::by_the_library as sigaction;
}

/// Sends a record to a thread of this process, as it stands.
pub(crate) fn tgsigqueueinfo(tid: i32, info: &SigInfo) -> Result<(), Errno> {
    let record = KernelSigInfo::new(info);
    // SAFETY: rt_tgsigqueueinfo(2) reads a `siginfo_t` of 128 bytes at the
    // pointer, which is a `KernelSigInfo` of that size that lives past the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_rt_tgsigqueueinfo,
            c_long::from(getpid().as_raw_pid()),
            c_long::from(tid),
            c_long::from(info.signal().as_raw()),
            ptr::from_ref(&record),
        )
    };
    check(result).map(drop)
}

/// Sends a signal to the calling thread.
pub(crate) fn tgkill_self(signal: Signal) -> Result<(), Errno> {
    // SAFETY: tgkill(2) takes no pointer.
    let result = unsafe {
        libc::syscall(
            libc::SYS_tgkill,
            c_long::from(getpid().as_raw_pid()),
            c_long::from(thread_id()),
            c_long::from(signal.as_raw()),
        )
    };
    check(result).map(drop)
}

/// Takes a signal that is pending for the calling thread or its process, if there is
/// one and the thread blocks it.
pub(crate) fn take_pending(signal: Signal) -> Option<SigInfo> {
    let set = KernelSigset::new(signal.into());
    let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let mut record = KernelSigInfo::new(&SigInfo::EMPTY);
    // SAFETY: rt_sigtimedwait(2) reads a set of 8 bytes and a timespec of zeros, of
    // whatever size, and writes a `siginfo_t`, which a `KernelSigInfo` is; all live
    // past the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_rt_sigtimedwait,
            ptr::from_ref(&set),
            ptr::from_mut(&mut record),
            ptr::from_ref(&now),
            size_of::<KernelSigset>(),
        )
    };
    check(result).ok().map(|_number| record.record())
}

/// The record that a handler was given, or none if the kernel has called it as one that is
/// installed without `SA_SIGINFO`, as far as can be seen.
///
/// Then it writes no record. On some machines it passes the place of one all the same
/// ([`ALWAYS_PASSES`]), where there may be another one from before; on others the arguments
/// are what was in the registers. So what is of another signal is none, nor what is not on
/// the stack on which the handler runs, nor one that this handler is done with
/// ([`mark_done`]). One that another handler has left there is believed.
///
/// # Safety
///
/// These are the arguments of a handler, however it is installed, or null.
pub(crate) unsafe fn record(
    number: c_int,
    info: *const libc::siginfo_t,
    context: *const c_void,
    done: c_int,
) -> Option<SigInfo> {
    let are_there = !info.is_null()
        && info.is_aligned()
        && !context.is_null()
        && context.cast::<libc::ucontext_t>().is_aligned();
    // SAFETY: by contract.
    if !are_there || !ALWAYS_PASSES && !unsafe { are_pushed(info, context) } {
        return None;
    }
    // SAFETY: a place on the stack, where a `siginfo_t` is what `KernelSigInfo` is laid out
    // as (sigaction(2)), and any bytes are one.
    let info = unsafe { info.cast::<KernelSigInfo>().read() }.record();
    (info.signo == number && info.errno != done).then_some(info)
}

/// Whether the kernel passes the place of a record and the context to every handler
/// (`setup_rt_frame()` in `arch/*/kernel/signal.c`).
const ALWAYS_PASSES: bool = cfg!(any(
    target_arch = "x86_64",
    target_arch = "riscv64",
    target_arch = "loongarch64"
));

/// Whether these are what the kernel has pushed onto the stack for a handler, just above it,
/// or handlers of other code have handed on.
///
/// # Safety
///
/// What is in the [`FRAME`] above the handler is its stack. It is, but for who runs with less
/// than that left below the end of the stack, and had such a number in the register.
unsafe fn are_pushed(
    info: *const libc::siginfo_t,
    context: *const c_void,
) -> bool {
    let here = 0_u8;
    let here = ptr::from_ref(&here).addr();
    let is_above = |at: usize| {
        at.checked_sub(here).is_some_and(|distance| distance < FRAME)
    };
    if !is_above(info.addr()) || !is_above(context.addr()) {
        return false;
    }
    if cfg!(any(target_arch = "arm", target_arch = "aarch64")) {
        // The flags and the link, which the kernel leaves zero there.
        // SAFETY: by contract.
        return unsafe { context.cast::<[usize; 2]>().read() } == [0; 2];
    }
    true
}

/// How far above a handler its record and context may be.
const FRAME: usize = 16 * 1024;

/// Marks a record as one that a handler is done with, for what comes to the same place on
/// the stack without one.
///
/// # Safety
///
/// It is what [`record`] has found to be one, and nobody reads it any more.
pub(crate) const unsafe fn mark_done(info: *mut libc::siginfo_t, done: c_int) {
    // SAFETY: by contract, and a record is the handler's to change.
    unsafe { (*info).si_errno = done };
}

pub(crate) use context::{
    IS_KNOWN as KNOWS_CONTEXT, block_on_return, blocked_before,
};

#[cfg(any(
    target_arch = "x86_64",
    target_arch = "x86",
    target_arch = "aarch64",
    target_arch = "arm",
    target_arch = "riscv64",
    target_arch = "loongarch64",
    target_arch = "s390x",
))]
mod context {
    use core::ffi::c_void;

    use crate::signal::SignalSet;
    use crate::sys::KernelSigset;

    pub(crate) const IS_KNOWN: bool = true;

    /// What the thread has blocked that a handler has interrupted.
    ///
    /// # Safety
    ///
    /// The pointer is the third argument of a handler with `SA_SIGINFO`, or null.
    pub(crate) const unsafe fn blocked_before(
        context: *const c_void,
    ) -> Option<SignalSet> {
        let context = context.cast::<libc::ucontext_t>();
        if context.is_null() {
            return None;
        }
        // SAFETY: a `ucontext_t` by contract (sigaction(2)).
        let mask = unsafe { &raw const (*context).uc_sigmask };
        // SAFETY: the mask begins with the kernel's set.
        Some(unsafe { mask.cast::<KernelSigset>().read() }.get())
    }

    /// Blocks signals in the thread that a handler has interrupted, from when the
    /// handler returns.
    ///
    /// # Safety
    ///
    /// The pointer is the third argument of a handler with `SA_SIGINFO`.
    pub(crate) unsafe fn block_on_return(context: *mut c_void, set: SignalSet) {
        let context = context.cast::<libc::ucontext_t>();
        // SAFETY: a `ucontext_t` by contract (sigaction(2)).
        let mask = unsafe { &raw mut (*context).uc_sigmask };
        let mask = mask.cast::<KernelSigset>();
        // SAFETY: the mask begins with the kernel's set.
        let old = unsafe { mask.read() };
        // SAFETY: as above. It is the handler's to change: the thread gets what
        // stands there (`sys_rt_sigreturn()` in the kernel).
        unsafe { mask.write(KernelSigset::new(old.get() | set)) };
    }
}

/// Where libc does not know the context.
#[cfg(not(any(
    target_arch = "x86_64",
    target_arch = "x86",
    target_arch = "aarch64",
    target_arch = "arm",
    target_arch = "riscv64",
    target_arch = "loongarch64",
    target_arch = "s390x",
)))]
mod context {
    use core::ffi::c_void;

    use crate::signal::SignalSet;

    pub(crate) const IS_KNOWN: bool = false;

    pub(crate) const unsafe fn blocked_before(
        _context: *const c_void,
    ) -> Option<SignalSet> {
        None
    }

    pub(crate) const unsafe fn block_on_return(
        _context: *mut c_void,
        _set: SignalSet,
    ) {
    }
}

/// Does something that leaves `errno` as it was, as a handler has to.
pub(crate) fn keeping_errno(f: impl FnOnce()) {
    // SAFETY: has no preconditions (errno(3)).
    let errno = unsafe { errno_location() };
    // SAFETY: points to this thread's `errno` (errno(3)).
    let before = unsafe { *errno };
    f();
    // SAFETY: as above.
    unsafe { *errno = before };
}
