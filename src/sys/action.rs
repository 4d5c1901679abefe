//! Actions of signals, and what a handler does with its context.

#![expect(unsafe_code, reason = "handlers")]

use core::ffi::{c_int, c_long, c_void};
use core::mem;
use core::ptr;

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
}

/// A handler with `SA_SIGINFO`.
pub(crate) type Handler =
    unsafe extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);

/// The action of a signal.
pub(crate) fn action(signal: Signal) -> Result<Action, Error> {
    sigaction(signal, ptr::null())
}

/// Changes the action of a signal, and returns what it was.
///
/// # Safety
///
/// A handler is sound to run at any time, with these flags.
pub(crate) unsafe fn set_action(
    signal: Signal,
    action: &Action,
) -> Result<Action, Error> {
    // SAFETY: made of integers, and a function that may be null.
    let mut new: libc::sigaction = unsafe { mem::zeroed() };
    new.sa_sigaction = action.handler;
    new.sa_flags = action.flags;
    let mask = (&raw mut new.sa_mask).cast::<KernelSigset>();
    // SAFETY: a `sigset_t` is at least the kernel's, and begins with it.
    unsafe { mask.write(KernelSigset::new(action.mask)) };
    sigaction(signal, &raw const new)
}

fn sigaction(
    signal: Signal,
    new: *const libc::sigaction,
) -> Result<Action, Error> {
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
    })
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

/// The record that a handler was given.
///
/// # Safety
///
/// The pointer is the second argument of a handler with `SA_SIGINFO`.
pub(crate) unsafe fn record(info: *const libc::siginfo_t) -> SigInfo {
    // SAFETY: by contract the kernel's `siginfo_t`, which is what `KernelSigInfo`
    // is laid out as (sigaction(2)).
    unsafe { info.cast::<KernelSigInfo>().read() }.record()
}

pub(crate) use context::{IS_KNOWN as KNOWS_CONTEXT, block_on_return};

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
