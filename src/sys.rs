//! Every system call the crate makes.
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

use core::ffi::{c_int, c_long};
use core::mem::{size_of, size_of_val};
use core::ptr;
use core::slice;
use core::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, Ordering};
use core::time::Duration;

use libc::pollfd;
use rustix::event::{self, EventfdFlags, PollFd, PollFlags, Timespec, epoll};
use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use rustix::fs::OFlags;
use rustix::io::{Errno, FdFlags};
use rustix::mm::{MapFlags, ProtFlags};

use crate::error::{Error, Op};
use crate::signal::{Layout, SigInfo, SignalSet};

impl Error {
    pub(crate) const fn os(op: Op, errno: Errno) -> Self {
        Self::Os { op, errno: errno.raw_os_error() }
    }
}

// ---------------------------------------------------------------------------
// Signal sets and masks

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

// ---------------------------------------------------------------------------
// The signalfd

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
    let bytes = bytes_mut(records);
    loop {
        match rustix::io::read(fd, &mut *bytes) {
            Ok(length) => return Ok(length / size_of::<SigInfo>()),
            Err(Errno::AGAIN) => return Ok(0),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::os(Op::Read, errno)),
        }
    }
}

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

/// The kernel's `siginfo_t`: three numbers and a union.
#[repr(C)]
struct KernelSigInfo {
    signo: i32,
    errno: i32,
    code: i32,
    #[cfg(target_pointer_width = "64")]
    pad: i32,
    union: [u8; UNION],
}

const WORD: usize = size_of::<usize>();
const UNION: usize = 128 - if WORD == 8 { 16 } else { 12 };
const _: () = assert!(size_of::<KernelSigInfo>() == 128);

impl KernelSigInfo {
    /// Does the reverse of `signalfd_copyinfo()` in `fs/signalfd.c`. The members
    /// of the union are laid out as in `include/uapi/asm-generic/siginfo.h`.
    fn new(info: &SigInfo) -> Self {
        let mut record = Self {
            signo: info.signo,
            errno: info.errno,
            code: info.code,
            #[cfg(target_pointer_width = "64")]
            pad: 0,
            union: [0; UNION],
        };
        match info.layout() {
            Layout::Kill | Layout::Queue => {
                record.put(0, info.pid.to_ne_bytes());
                record.put(4, info.uid.to_ne_bytes());
                record.put(8, word(info.sigval()));
            }
            Layout::Timer => {
                record.put(0, info.tid.to_ne_bytes());
                record.put(4, info.overrun.to_ne_bytes());
                record.put(8, word(info.sigval()));
            }
            Layout::Child => {
                // `clock_t` is aligned to its own size, after three numbers.
                let utime = 12_usize.next_multiple_of(WORD);
                record.put(0, info.pid.to_ne_bytes());
                record.put(4, info.uid.to_ne_bytes());
                record.put(8, info.status.to_ne_bytes());
                record.put(utime, word(info.utime));
                record.put(utime + WORD, word(info.stime));
            }
            Layout::Poll => {
                record.put(0, word(info.band.into()));
                record.put(WORD, info.fd.to_ne_bytes());
            }
            Layout::Fault => {
                record.put(0, word(info.addr));
                record.put(WORD, info.trapno.to_ne_bytes());
            }
            Layout::MemoryError => {
                record.put(0, word(info.addr));
                record.put(WORD, info.addr_lsb.to_ne_bytes());
            }
            Layout::Syscall => {
                record.put(0, word(info.call_addr));
                record.put(WORD, info.syscall.to_ne_bytes());
                record.put(WORD + 4, info.arch.to_ne_bytes());
            }
        }
        record
    }

    fn put<const N: usize>(&mut self, offset: usize, bytes: [u8; N]) {
        if let Some(room) = self.union.get_mut(offset..offset + N) {
            room.copy_from_slice(&bytes);
        }
    }
}

/// A word of this machine, which the kernel has widened to 64 bits.
#[expect(clippy::cast_possible_truncation, reason = "undoes the widening")]
const fn word(value: u64) -> [u8; WORD] {
    (value as usize).to_ne_bytes()
}

// ---------------------------------------------------------------------------
// Waiting

/// A point in time to wait until, or none.
#[derive(Clone, Copy)]
pub(crate) struct Deadline(Option<Duration>);

impl Deadline {
    pub(crate) const NEVER: Self = Self(None);
    /// Over already.
    pub(crate) const PAST: Self = Self(Some(Duration::ZERO));

    /// A deadline from now; one too far away to count is none.
    pub(crate) fn after(timeout: Option<Duration>) -> Self {
        Self(timeout.and_then(|timeout| now().checked_add(timeout)))
    }

    /// What is left of the time; `None` is for ever.
    pub(crate) fn left(self) -> Option<Duration> {
        self.0.map(|end| end.saturating_sub(now()))
    }

    pub(crate) const fn is_never(self) -> bool {
        self.0.is_none()
    }

    pub(crate) fn is_over(self) -> bool {
        self.left().is_some_and(|left| left.is_zero())
    }

    /// What is left, as the kernel takes it, and at most a day of it: before
    /// Linux 5.11 `epoll_wait` counts milliseconds in an `int`.
    fn timespec(self) -> Option<Timespec> {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        let left = self.left()?.min(DAY);
        Timespec::try_from(left).ok()
    }
}

/// The time on the monotonic clock.
fn now() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::try_from(time).unwrap_or_default()
}

/// Waits until the descriptor is readable or the deadline is over, and tells
/// whether it is readable.
pub(crate) fn poll(
    fd: BorrowedFd<'_>,
    deadline: Deadline,
) -> Result<bool, Error> {
    loop {
        let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
        match event::poll(&mut fds, deadline.timespec().as_ref()) {
            Ok(0) if !deadline.is_over() => {}
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::os(Op::Poll, errno)),
        }
    }
}

/// A descriptor for [`poll_numbers`].
pub(crate) const fn readable(raw: RawFd) -> pollfd {
    pollfd { fd: raw, events: libc::POLLIN, revents: 0 }
}

/// Whether [`poll_numbers`] waits.
#[derive(Clone, Copy)]
pub(crate) enum Wait {
    UntilReady = -1,
    No = 0,
}

/// Looks which of these descriptors are readable, given by number. One that has
/// been closed since, or is another by now, does no harm: the kernel reports it
/// as an event. Negative ones are passed over.
pub(crate) fn poll_numbers(
    fds: &mut [pollfd],
    wait: Wait,
) -> Result<(), Error> {
    let count = fds.len().try_into().unwrap_or(libc::nfds_t::MAX);
    loop {
        // SAFETY: poll(2) reads and writes `count` elements at the pointer, which
        // are the slice's; a slice longer than `nfds_t` can count would be refused
        // with EINVAL. It only looks at the descriptors, whosever they are.
        let result =
            unsafe { libc::poll(fds.as_mut_ptr(), count, wait as c_int) };
        match check(result.into()) {
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::os(Op::Poll, errno)),
        }
    }
}

/// Waits like [`poll`], on an epoll, and tells how many events there are.
pub(crate) fn epoll_wait(
    epoll: BorrowedFd<'_>,
    events: &mut [epoll::Event],
    deadline: Deadline,
) -> Result<usize, Error> {
    loop {
        let timeout = deadline.timespec();
        match epoll::wait(epoll, &mut *events, timeout.as_ref()) {
            Ok(0) if !deadline.is_over() => {}
            Ok(ready) => return Ok(ready),
            // Also without a handler: a dropped io_uring interrupts it.
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::os(Op::EpollWait, errno)),
        }
    }
}

/// Makes an eventfd that does not block.
pub(crate) fn eventfd() -> Result<OwnedFd, Error> {
    event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
        .map_err(|errno| Error::os(Op::Eventfd, errno))
}

/// Makes an eventfd readable.
pub(crate) fn notify(eventfd: BorrowedFd<'_>) {
    // It fails only if the counter is full, and then it is readable already.
    let _written = rustix::io::write(eventfd, &1_u64.to_ne_bytes());
}

/// Makes an eventfd unreadable.
pub(crate) fn clear(eventfd: BorrowedFd<'_>) {
    // It fails only if the counter is zero, and then it is unreadable already.
    let _read = rustix::io::read(eventfd, &mut [0; 8]);
}

// ---------------------------------------------------------------------------
// A descriptor behind a shared reference

/// A descriptor that comes later, and is shared from then on.
#[derive(Debug)]
pub(crate) struct LateFd(AtomicI32);

impl LateFd {
    const NONE: i32 = -1;

    pub(crate) const fn new() -> Self {
        Self(AtomicI32::new(Self::NONE))
    }

    pub(crate) fn get(&self) -> Option<BorrowedFd<'_>> {
        // SeqCst: see `SignalFd::update`. Acquire: sees the descriptor made.
        let raw = self.0.load(Ordering::SeqCst);
        if raw == Self::NONE {
            return None;
        }
        // SAFETY: `raw` is not -1. `self` owns it, and gives it up only in
        // `take`, whose caller promises that no borrow is left.
        Some(unsafe { BorrowedFd::borrow_raw(raw) })
    }

    /// Takes a descriptor over; gives it back if there is one already.
    pub(crate) fn set(&self, fd: OwnedFd) -> Result<(), OwnedFd> {
        let raw = fd.as_raw_fd();
        // SeqCst: see `SignalFd::update`. Release: shows the descriptor.
        let (set, seen) = (Ordering::SeqCst, Ordering::Relaxed);
        match self.0.compare_exchange(Self::NONE, raw, set, seen) {
            Ok(_) => {
                // INVARIANT: `self` owns `raw` now, so `fd` must not close it.
                let _owned_by_self = fd.into_raw_fd();
                Ok(())
            }
            Err(_) => Err(fd),
        }
    }

    /// Gives the descriptor up.
    ///
    /// # Safety
    ///
    /// No borrow that [`get`](Self::get) returned is alive, and none is made
    /// until this returns.
    pub(crate) unsafe fn take(&self) -> Option<OwnedFd> {
        let raw = self.0.swap(Self::NONE, Ordering::AcqRel);
        if raw == Self::NONE {
            return None;
        }
        // SAFETY: `self` owned `raw`, and the swap took it away, so nothing else
        // owns it now; by this function's contract nothing borrows it.
        Some(unsafe { OwnedFd::from_raw_fd(raw) })
    }
}

impl Drop for LateFd {
    fn drop(&mut self) {
        // SAFETY: `self` is borrowed mutably, so no borrow of it is alive.
        drop(unsafe { self.take() });
    }
}

// ---------------------------------------------------------------------------
// A word that a forked child finds zero

/// The page that holds the word; null until it is first asked for.
static PAGE: AtomicPtr<AtomicU32> = AtomicPtr::new(ptr::null_mut());

/// Stands for the page where the kernel has no `MADV_WIPEONFORK`.
static NO_PAGE: AtomicU32 = AtomicU32::new(0);

/// Returns a word that is zero at first and zero again in a forked child, or
/// `None` where the kernel cannot do that (before Linux 4.14, or a sandbox).
///
/// The page it is on stays mapped for good. The answer is the same at every
/// call, in every child too.
pub(crate) fn wiped_on_fork() -> Option<&'static AtomicU32> {
    let mut page = PAGE.load(Ordering::Acquire);
    if page.is_null() {
        page = publish_page();
    }
    // SAFETY: `publish_page` returned this pointer, and so did every call before:
    // to `NO_PAGE`, or to a page that is never unmapped, is zero, which is a
    // valid `AtomicU32`, and is only ever used as one.
    let word = unsafe { &*page };
    (!ptr::eq(word, &raw const NO_PAGE)).then_some(word)
}

/// Maps a page and makes it known, unless another thread was faster.
#[cold]
fn publish_page() -> *mut AtomicU32 {
    let none = ptr::from_ref(&NO_PAGE).cast_mut();
    let mine = map_page().unwrap_or(none);
    let (set, seen) = (Ordering::AcqRel, Ordering::Acquire);
    match PAGE.compare_exchange(ptr::null_mut(), mine, set, seen) {
        Ok(_) => mine,
        Err(first) => {
            if mine != none {
                unmap_page(mine);
            }
            first
        }
    }
}

const PAGE_SIZE: usize = 4096;

fn map_page() -> Option<*mut AtomicU32> {
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new private mapping at an address of the kernel's choice
    // (mmap(2)), which overlaps nothing.
    let page = unsafe {
        rustix::mm::mmap_anonymous(
            ptr::null_mut(),
            PAGE_SIZE,
            access,
            MapFlags::PRIVATE,
        )
    };
    let page = page.ok()?.cast();
    // An emulator may answer that all is well to whatever it does not know; it
    // then does so to advice that does not exist, too.
    let no_advice = -1;
    if madvise(page, libc::MADV_WIPEONFORK) && !madvise(page, no_advice) {
        return Some(page);
    }
    unmap_page(page);
    None
}

fn madvise(page: *mut AtomicU32, advice: c_int) -> bool {
    // SAFETY: the range is a mapping that `map_page` has just made. The advice it
    // gives changes nothing in this process (madvise(2)).
    unsafe { libc::madvise(page.cast(), PAGE_SIZE, advice) == 0 }
}

fn unmap_page(page: *mut AtomicU32) {
    // SAFETY: both callers pass the start of a mapping that `map_page` made and
    // that no one else has seen.
    let unmapped = unsafe { rustix::mm::munmap(page.cast(), PAGE_SIZE) };
    // munmap(2) of a whole mapping fails only for bad arguments; the page would
    // be lost, and nothing else.
    debug_assert!(unmapped.is_ok());
}

// ---------------------------------------------------------------------------

#[cfg(target_os = "android")]
use libc::__errno as errno_location;
#[cfg(not(target_os = "android"))]
use libc::__errno_location as errno_location;

/// Turns the result of a C function into the value or the error number.
fn check(result: c_long) -> Result<c_long, Errno> {
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
