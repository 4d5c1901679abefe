//! Every system call the crate makes, but for those on a ring (`receive/ring/`).
//!
//! rustix makes those it has. It has no signalfd, no public `rt_sigprocmask`
//! and no `rt_sigqueueinfo`: these go through `syscall(2)`, so that a set is
//! exactly the kernel's 64 bits and the C library's wrappers, which hide some
//! numbers, are not in the way.
//!
//! # Safety
//!
//! Each block makes one call. What it has to argue is that the pointers are
//! good for as long as the kernel uses them; none of these calls keeps one.

#![expect(unsafe_code, reason = "system calls that rustix does not have")]

pub(crate) mod action;
mod children;
mod end;
mod futex;
mod late_fd;
pub(crate) mod page;
#[cfg(feature = "std")]
mod spawn;
mod tasks;
mod timer;
#[cfg(any(
    feature = "tokio",
    feature = "async-io",
    feature = "mio",
    feature = "calloop"
))]
pub(crate) mod timerfd;
pub(crate) mod turn;
pub(crate) mod wait;

#[cfg(feature = "std")]
use core::cell::Cell;
use core::ffi::{c_int, c_long};
use core::mem::{size_of, size_of_val};
use core::ptr;
use core::slice;
#[cfg(feature = "std")]
use core::sync::atomic::AtomicU32;
use core::sync::atomic::{AtomicU64, Ordering};

use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::fs::OFlags;
use rustix::io::{Errno, FdFlags};

pub(crate) use self::children::{pid, pid_number, reap};
pub(crate) use self::end::{
    default_action, end_by, end_handler, exit_as_by, is_end, is_pid_1, restore,
    send_to_process, set_default, set_ignored, take_at_once,
};
pub(crate) use self::futex::{futex_wait, futex_wake};
pub(crate) use self::late_fd::LateFd;
pub(crate) use self::page::wiped_on_fork;
#[cfg(feature = "std")]
pub(crate) use self::spawn::restore_before_exec;
pub(crate) use self::tasks::{
    count_threads, entries, open_status, open_tasks, read_piece,
};
pub(crate) use self::timer::Timer;
pub(crate) use self::wait::{
    Deadline, clear, epoll, epoll_wait, eventfd, is_readable, notify, now,
    poll, poll_numbers, readable, sleep,
};
use crate::error::{Error, Op};
use crate::signal::{KernelSigInfo, SigInfo, SignalSet};

impl Error {
    pub(crate) const fn os(op: Op, errno: Errno) -> Self {
        Self::Os { op, errno: errno.raw_os_error() }
    }
}

/// The id of this process.
pub(crate) fn process_id() -> u32 {
    rustix::process::getpid().as_raw_nonzero().get().unsigned_abs()
}

/// The id of the calling thread.
pub(crate) fn thread_id() -> i32 {
    rustix::thread::gettid().as_raw_pid()
}

/// A number for the calling thread, not 0, which no other thread of the process has
/// meanwhile, and a forked child keeps.
#[cfg(feature = "std")]
pub(crate) fn thread_number() -> u32 {
    static LAST: AtomicU32 = AtomicU32::new(0);
    std::thread_local! {
        static NUMBER: Cell<u32> = const { Cell::new(0) };
    }
    NUMBER.with(|number| {
        if number.get() == 0 {
            let before = LAST.fetch_add(1, Ordering::Relaxed);
            number.set(before.wrapping_add(1).max(1));
        }
        number.get()
    })
}

/// The same where there are no thread-local variables: a forked child has another one.
#[cfg(not(feature = "std"))]
pub(crate) fn thread_number() -> u32 {
    thread_id().unsigned_abs()
}

/// The kernel's `sigset_t`: 64 bits in words of `unsigned long`, the word of
/// the lower numbers first, whatever the byte order.
#[repr(transparent)]
struct KernelSigset(Words);

#[cfg(target_pointer_width = "64")]
type Words = u64;
#[cfg(target_pointer_width = "32")]
type Words = [u32; 2];

const _: () = assert!(size_of::<KernelSigset>() == 8);

impl KernelSigset {
    #[cfg(target_pointer_width = "64")]
    const fn new(set: SignalSet) -> Self {
        Self(set.bits())
    }

    #[cfg(target_pointer_width = "64")]
    const fn get(&self) -> SignalSet {
        SignalSet::from_bits_retain(self.0)
    }

    #[cfg(target_pointer_width = "32")]
    const fn new(set: SignalSet) -> Self {
        let [a, b, c, d, e, f, g, h] = set.bits().to_le_bytes();
        let low = u32::from_le_bytes([a, b, c, d]);
        let high = u32::from_le_bytes([e, f, g, h]);
        Self([low, high])
    }

    #[cfg(target_pointer_width = "32")]
    const fn get(&self) -> SignalSet {
        let [low, high] = self.0;
        SignalSet::from_bits_retain(low as u64 | (high as u64) << 32)
    }
}

/// How [`sigprocmask`] changes the mask.
#[derive(Clone, Copy)]
pub(crate) enum How {
    Block = libc::SIG_BLOCK as isize,
    Unblock = libc::SIG_UNBLOCK as isize,
    #[cfg(feature = "std")]
    Set = libc::SIG_SETMASK as isize,
}

/// Changes the calling thread's mask, if told to, and returns what it was.
pub(crate) fn sigprocmask(
    change: Option<(How, SignalSet)>,
) -> Result<SignalSet, Error> {
    let (how, new) = match change {
        Some((how, set)) => (how, Some(KernelSigset::new(set))),
        None => (How::Block, None),
    };
    let new = new.as_ref().map_or(ptr::null(), ptr::from_ref);
    let mut old = KernelSigset::new(SignalSet::empty());
    // SAFETY: rt_sigprocmask(2) reads 8 bytes at `new` unless it is null, and
    // writes 8 bytes at `old`; both are `KernelSigset`s of that size that live
    // past the call, and 8 is the `sigsetsize` passed.
    let result = unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            how as c_long,
            new,
            ptr::from_mut(&mut old),
            size_of::<KernelSigset>(),
        )
    };
    check(result).map_err(|errno| Error::os(Op::Sigprocmask, errno))?;
    Ok(old.get())
}

/// Makes a signalfd that is closed on exec.
pub(crate) fn signalfd(
    set: SignalSet,
    nonblocking: bool,
) -> Result<OwnedFd, Error> {
    let flags = if nonblocking { libc::SFD_NONBLOCK } else { 0 };
    let raw = signalfd4(-1, set, flags | libc::SFD_CLOEXEC)
        .map_err(|errno| Error::os(Op::Signalfd, errno))?;
    // SAFETY: signalfd4(2) with -1 returns a new descriptor, which nothing else
    // owns.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Changes the set of a signalfd, which also shows that it is one.
pub(crate) fn signalfd_set(
    fd: BorrowedFd<'_>,
    set: SignalSet,
) -> Result<(), Error> {
    match signalfd4(fd.as_raw_fd(), set, 0) {
        Ok(_) => Ok(()),
        Err(Errno::INVAL) => Err(Error::NotSignalFd),
        Err(errno) => Err(Error::os(Op::Signalfd, errno)),
    }
}

fn signalfd4(fd: c_int, set: SignalSet, flags: c_int) -> Result<c_int, Errno> {
    let set = KernelSigset::new(set);
    // SAFETY: signalfd4(2) reads 8 bytes at the pointer, which is a
    // `KernelSigset` of that size that lives past the call. With a descriptor
    // that is no signalfd it changes nothing and fails with EINVAL.
    let result = unsafe {
        libc::syscall(
            libc::SYS_signalfd4,
            c_long::from(fd),
            ptr::from_ref(&set),
            size_of::<KernelSigset>(),
            c_long::from(flags),
        )
    };
    let raw = check(result)?;
    c_int::try_from(raw).map_err(|_| Errno::OVERFLOW)
}

/// Reads as many records as there are and fit; none if none is pending and the
/// descriptor does not block.
pub(crate) fn read(
    fd: BorrowedFd<'_>,
    records: &mut [SigInfo],
) -> Result<usize, Error> {
    loop {
        match read_once(fd, records) {
            Ok(taken) => return Ok(taken),
            Err(Errno::AGAIN) => return Ok(0),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::os(Op::Read, errno)),
        }
    }
}

/// Reads once, whatever comes of it.
#[inline]
pub(crate) fn read_once(
    fd: BorrowedFd<'_>,
    records: &mut [SigInfo],
) -> Result<usize, Errno> {
    let length = rustix::io::read(fd, bytes_mut(records))?;
    Ok(length / size_of::<SigInfo>())
}

#[inline]
const fn bytes_mut(records: &mut [SigInfo]) -> &mut [u8] {
    let length = size_of_val(records);
    let bytes = records.as_mut_ptr().cast::<u8>();
    // SAFETY: the bytes are those of `records`, borrowed mutably for the same
    // lifetime. `SigInfo` is `repr(C)`, made of integers that fill its 128 bytes
    // without a gap (its fields' offsets are asserted), so every byte is
    // initialised and every value of it is allowed.
    unsafe { slice::from_raw_parts_mut(bytes, length) }
}

/// Makes a foreign descriptor non-blocking and closed on exec.
pub(crate) fn set_flags(fd: BorrowedFd<'_>) -> Result<(), Error> {
    let set = || {
        let status = rustix::fs::fcntl_getfl(fd)?;
        rustix::fs::fcntl_setfl(fd, status | OFlags::NONBLOCK)?;
        let flags = rustix::io::fcntl_getfd(fd)?;
        rustix::io::fcntl_setfd(fd, flags | FdFlags::CLOEXEC)
    };
    set().map_err(|errno| Error::os(Op::Fcntl, errno))
}

/// Sends a record to this process, as it stands.
pub(crate) fn sigqueueinfo(info: &SigInfo) -> Result<(), Errno> {
    let record = KernelSigInfo::new(info);
    // SAFETY: rt_sigqueueinfo(2) reads a `siginfo_t` of 128 bytes at the
    // pointer, which is a `KernelSigInfo` of that size that lives past the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_rt_sigqueueinfo,
            c_long::from(rustix::process::getpid().as_raw_pid()),
            c_long::from(info.signal().as_raw()),
            ptr::from_ref(&record),
        )
    };
    check(result).map(drop)
}

/// Sends a record to this process, as it stands, also with a code that only the main thread
/// may give to [`sigqueueinfo`]; but `SI_TKILL` arrives as `SI_USER`. Older kernels do not
/// know the number that stands for the calling thread (`EBADF`).
pub(crate) fn pidfd_send_signal(info: &SigInfo) -> Result<(), Errno> {
    // Of `linux/fcntl.h` and `linux/pidfd.h`. A thread may send itself any code, and then
    // have the signal be for its process (`do_pidfd_send_signal()` in `kernel/signal.c`).
    const PIDFD_SELF_THREAD: c_long = -10_000;
    const PIDFD_SIGNAL_THREAD_GROUP: c_long = 1 << 1;
    let record = KernelSigInfo::new(info);
    // SAFETY: pidfd_send_signal(2) reads a `siginfo_t` of 128 bytes at the pointer, which
    // is a `KernelSigInfo` of that size that lives past the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            PIDFD_SELF_THREAD,
            c_long::from(info.signal().as_raw()),
            ptr::from_ref(&record),
            PIDFD_SIGNAL_THREAD_GROUP,
        )
    };
    check(result).map(drop)
}

#[cfg(target_os = "android")]
use libc::__errno as errno_location;
#[cfg(not(target_os = "android"))]
use libc::__errno_location as errno_location;

/// Two numbers that other processes cannot guess, also where they know one of them; the same
/// each time.
///
/// They are kept, since what they are made of is the program's to wipe.
pub(crate) fn random() -> [u32; 2] {
    static KEPT: AtomicU64 = AtomicU64::new(0);
    let mut both = KEPT.load(Ordering::Relaxed);
    if both == 0 {
        both = given_at_random().max(1);
        KEPT.store(both, Ordering::Relaxed);
    }
    let [a, b, c, d, rest @ ..] = both.to_le_bytes();
    [[a, b, c, d], rest].map(u32::from_le_bytes)
}

/// It is made of what the kernel has given the program at its start, of which the C
/// library makes secrets of its own. They cannot be told from the half of a product.
fn given_at_random() -> u64 {
    // SAFETY: has no preconditions.
    let at = unsafe { libc::getauxval(libc::AT_RANDOM) };
    let at = usize::try_from(at).unwrap_or(0);
    let at = ptr::with_exposed_provenance::<[u64; 2]>(at);
    if at.is_null() {
        return 0;
    }
    // SAFETY: the address of 16 random bytes, which stay where they are (getauxval(3)).
    let [one, two] = unsafe { at.read_unaligned() };
    (one ^ two.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Turns the result of a C function into the value or the error number.
pub(crate) fn check(result: c_long) -> Result<c_long, Errno> {
    if result != -1 {
        return Ok(result);
    }
    // SAFETY: has no preconditions (errno(3)).
    let errno = unsafe { errno_location() };
    // SAFETY: points to this thread's `errno`, an `int` that lives as long as
    // the thread (errno(3)).
    let errno = unsafe { *errno };
    Err(Errno::from_raw_os_error(errno))
}
