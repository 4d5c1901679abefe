//! The system calls of the workloads.

#![allow(unsafe_code, reason = "raw system calls")]

use std::io;
use std::mem;
use std::os::fd::{FromRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64};

use libc::{c_int, c_long};
use rustix::process::{Pid, Signal, kill_process};

/// Fails with the error of a system call that returned -1.
pub(crate) fn check<T: Into<i64>>(result: T, what: &str) -> i64 {
    let result = result.into();
    if result == -1 {
        failed(what);
    }
    result
}

/// The descriptor that a system call has just made.
pub(crate) fn owned(result: c_int, what: &str) -> OwnedFd {
    check(result, what);
    // SAFETY: the call has just made the descriptor.
    unsafe { OwnedFd::from_raw_fd(result) }
}

pub(crate) fn pid() -> i32 {
    // SAFETY: has no preconditions.
    unsafe { libc::getpid() }
}

pub(crate) fn tid() -> i32 {
    // SAFETY: has no preconditions.
    unsafe { libc::gettid() }
}

/// A real-time signal that nobody else uses.
pub(crate) fn queued() -> i32 {
    libc::SIGRTMIN() + 1
}

pub(crate) fn set_of(signal: i32) -> libc::sigset_t {
    // SAFETY: an all-zero set is the empty one.
    let mut set = unsafe { mem::zeroed() };
    // SAFETY: adds a signal to the set.
    let result = unsafe { libc::sigaddset(&raw mut set, signal) };
    check(result, "sigaddset");
    set
}

fn mask(how: c_int, signal: i32) {
    let set = set_of(signal);
    // SAFETY: reads a set, which lives past the call.
    let result =
        unsafe { libc::sigprocmask(how, &raw const set, ptr::null_mut()) };
    check(result, "sigprocmask");
}

pub(crate) fn block(signal: i32) {
    mask(libc::SIG_BLOCK, signal);
}

pub(crate) fn unblock(signal: i32) {
    mask(libc::SIG_UNBLOCK, signal);
}

/// kill(2), as a system call and little more: where instructions are counted, those of
/// the sender count too.
#[inline]
pub(crate) fn kill(pid: i32, signal: i32) {
    let Some(pid) = Pid::from_raw(pid) else { failed("kill") };
    // SAFETY: the number of a signal that is no real-time one of the C library's.
    let signal = unsafe { Signal::from_raw_unchecked(signal) };
    if kill_process(pid, signal).is_err() {
        failed("kill");
    }
}

#[cold]
fn failed(what: &str) -> ! {
    panic!("{what}: {}", io::Error::last_os_error());
}

/// Sends signals with numbers.
#[derive(Debug)]
pub(crate) struct Sender {
    pid: i32,
    info: Info,
}

/// A `siginfo_t` as `sigqueue(3)` fills it in, on 64 bits.
#[derive(Debug)]
#[repr(C, align(8))]
struct Info {
    signo: c_int,
    errno: c_int,
    code: c_int,
    pad: c_int,
    pid: i32,
    uid: u32,
    value: i64,
    rest: [u64; 12],
}

const _: () = assert!(size_of::<Info>() == size_of::<libc::siginfo_t>());

impl Sender {
    pub(crate) fn new(to: i32, signal: i32) -> Self {
        // SAFETY: has no preconditions.
        let uid = unsafe { libc::getuid() };
        let info = Info {
            signo: signal,
            errno: 0,
            code: libc::SI_QUEUE,
            pad: 0,
            pid: pid(),
            uid,
            value: 0,
            rest: [0; 12],
        };
        Self { pid: to, info }
    }

    /// Queues a number; says whether there was room for it.
    #[inline]
    pub(crate) fn offer(&mut self, value: i32) -> bool {
        self.info.value = i64::from(value);
        let (pid, signal) =
            (c_long::from(self.pid), c_long::from(self.info.signo));
        let info = &raw const self.info;
        // SAFETY: reads a siginfo_t, which `Info` is, and it lives past the call.
        let result = unsafe {
            libc::syscall(libc::SYS_rt_sigqueueinfo, pid, signal, info)
        };
        if result == -1 && is_again() {
            return false;
        }
        check(result, "rt_sigqueueinfo");
        true
    }

    /// Queues a number for one thread of the process.
    #[inline]
    pub(crate) fn send_to_thread(&mut self, tid: i32, value: i32) {
        self.info.value = i64::from(value);
        let (pid, tid) = (c_long::from(self.pid), c_long::from(tid));
        let signal = c_long::from(self.info.signo);
        let info = &raw const self.info;
        // SAFETY: reads a siginfo_t, which `Info` is, and it lives past the call.
        let result = unsafe {
            libc::syscall(libc::SYS_rt_tgsigqueueinfo, pid, tid, signal, info)
        };
        check(result, "rt_tgsigqueueinfo");
    }

    #[inline]
    pub(crate) fn send(&mut self, value: i32) {
        assert!(self.offer(value), "the queue is full: ulimit -i");
    }
}

pub(crate) fn is_again() -> bool {
    io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock
}

// ---------------------------------------------------------------------------
// Time and place

fn clock(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes a timespec, which lives past the call.
    let result = unsafe { libc::clock_gettime(clock, &raw mut time) };
    check(result, "clock_gettime");
    let nanoseconds = time.tv_sec * 1_000_000_000 + time.tv_nsec;
    nanoseconds.try_into().expect("the clock began in the past")
}

/// Nanoseconds of a clock that only goes forward.
#[inline]
pub(crate) fn now() -> u64 {
    clock(libc::CLOCK_MONOTONIC)
}

/// Nanoseconds that this process has run.
pub(crate) fn cpu_time() -> u64 {
    clock(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// Nanoseconds that this thread has run.
pub(crate) fn thread_time() -> u64 {
    clock(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// The CPUs that this process may run on.
pub(crate) fn cpus() -> Vec<usize> {
    // SAFETY: an all-zero set is the empty one.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    let size = size_of::<libc::cpu_set_t>();
    // SAFETY: writes a set of that size, which lives past the call.
    let result = unsafe { libc::sched_getaffinity(0, size, &raw mut set) };
    check(result, "sched_getaffinity");
    let all = 0..usize::try_from(libc::CPU_SETSIZE).expect("it is 1024");
    // SAFETY: the number is less than `CPU_SETSIZE`.
    all.filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) }).collect()
}

/// Lets the calling thread run on this CPU only.
pub(crate) fn pin(cpu: usize) {
    // SAFETY: an all-zero set is the empty one.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: the number came from `cpus`, so it is less than `CPU_SETSIZE`.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    let size = size_of::<libc::cpu_set_t>();
    // SAFETY: reads a set of that size, which lives past the call.
    let result = unsafe { libc::sched_setaffinity(0, size, &raw const set) };
    check(result, "sched_setaffinity");
}

// ---------------------------------------------------------------------------
// Processes

/// Ends this process after so many seconds: it hangs.
pub(crate) fn give_up_after(seconds: u32) {
    // SAFETY: takes a number.
    unsafe { libc::alarm(seconds) };
}

/// A forked child, which ends with its parent.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) pid: i32,
}

impl Child {
    pub(crate) fn fork(run: impl FnOnce()) -> Self {
        // SAFETY: the process has one thread.
        let pid = unsafe { libc::fork() };
        check(pid, "fork");
        if pid == 0 {
            let kill = c_long::from(libc::SIGKILL);
            // SAFETY: takes numbers.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, kill) };
            let run = std::panic::AssertUnwindSafe(run);
            let code = i32::from(std::panic::catch_unwind(run).is_err());
            // SAFETY: ends the process without running what the parent set up.
            unsafe { libc::_exit(code) };
        }
        Self { pid }
    }

    /// Waits until it has ended, and fails if it has failed.
    pub(crate) fn join(self) {
        let mut status = 0;
        // SAFETY: writes an int, which lives past the call.
        let result = unsafe { libc::waitpid(self.pid, &raw mut status, 0) };
        check(result, "waitpid");
        assert_eq!(status, 0, "the other process failed");
    }
}

/// Starts a process on this CPU that answers so many standard signals, each with one.
pub(crate) fn answer(cpu: usize, count: u64) -> Child {
    let (parent, signal) = (pid(), libc::SIGUSR1);
    // What comes before it is ready stays pending.
    block(signal);
    Child::fork(|| {
        pin(cpu);
        let set = set_of(signal);
        for _ in 0..count {
            let nowhere = ptr::null_mut();
            // SAFETY: reads a set, which lives past the call.
            let result = unsafe { libc::sigwaitinfo(&raw const set, nowhere) };
            check(result, "sigwaitinfo");
            kill(parent, signal);
        }
    })
}

/// What two processes tell each other. Each number has a cache line of its own.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Shared {
    pub(crate) has_begun: Line<AtomicBool>,
    pub(crate) is_over: Line<AtomicBool>,
    pub(crate) sent: Line<AtomicU64>,
    pub(crate) received: Line<AtomicU64>,
}

#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Line<T>(pub(crate) T);

impl Shared {
    /// Maps it for this process and those that it forks, for as long as they live.
    pub(crate) fn map() -> &'static Self {
        let size = size_of::<Self>();
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        // SAFETY: asks for fresh memory.
        let begin =
            unsafe { libc::mmap(ptr::null_mut(), size, rights, flags, -1, 0) };
        assert_ne!(begin, libc::MAP_FAILED, "{}", io::Error::last_os_error());
        // SAFETY: it is mapped for good, aligned to a page and zero, which is a
        // value of every field; and it is only changed through atomics.
        unsafe { &*begin.cast::<Self>() }
    }
}
