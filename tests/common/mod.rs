//! What the tests need of the system and the crate does not have: sending
//! signals, forking, limits. Each file of tests uses some of it.

#![allow(
    dead_code,
    clippy::missing_const_for_fn,
    reason = "each file of tests uses a part, and has a battery of its own"
)]
#![allow(unsafe_code, reason = "system calls for the tests")]

use std::cell::Cell;
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use libc::{c_int, c_long};
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags};
use signalfd::{
    Backend, Error, Kind, Op, Options, Receiver, Signal, SignalSet, Signals,
};

/// Long enough that only a failing test waits for it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Whether the crate has rings where it is built for.
pub(crate) const HAS_RINGS: bool = cfg!(all(
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
));

/// What the receivers of a test run on. The same tests run on each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Battery {
    pub(crate) name: &'static str,
    pub(crate) backend: Backend,
    pub(crate) kind: Kind,
    /// Whether io_uring is forbidden, and with which error.
    pub(crate) forbidden: Option<c_int>,
    /// Whether the descriptor has been asked for. A ring that reads then does so all the
    /// time, and else only when it is waited for.
    is_shown: bool,
    /// Who awaits signals, where a test leaves that open.
    pub(crate) awaits: Awaits,
    /// Whether signals gather that come in numbers.
    is_moderated: bool,
}

/// Who awaits signals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Awaits {
    BlockOn,
    Tokio,
    AsyncIo,
}

impl Battery {
    pub(crate) const EPOLL: Self = Self {
        name: "epoll",
        backend: Backend::Auto,
        kind: Kind::Readiness,
        forbidden: None,
        is_shown: false,
        awaits: Awaits::BlockOn,
        is_moderated: false,
    };
    pub(crate) const MODERATED: Self =
        Self { name: "moderated", is_moderated: true, ..Self::EPOLL };
    pub(crate) const READINESS: Self =
        Self { name: "readiness", backend: Backend::Uring, ..Self::EPOLL };
    pub(crate) const COMPLETION: Self =
        Self { name: "completion", kind: Kind::Completion, ..Self::READINESS };
    pub(crate) const STANDING: Self =
        Self { name: "standing", is_shown: true, ..Self::COMPLETION };
    pub(crate) const EPERM: Self = Self {
        name: "eperm",
        forbidden: Some(libc::EPERM),
        ..Self::COMPLETION
    };
    pub(crate) const ENOSYS: Self = Self {
        name: "enosys",
        forbidden: Some(libc::ENOSYS),
        ..Self::COMPLETION
    };

    pub(crate) const TOKIO: Self =
        Self { name: "tokio", awaits: Awaits::Tokio, ..Self::EPOLL };
    pub(crate) const TOKIO_COMPLETION: Self = Self {
        name: "tokio_completion",
        awaits: Awaits::Tokio,
        ..Self::STANDING
    };
    pub(crate) const ASYNC_IO: Self =
        Self { name: "async_io", awaits: Awaits::AsyncIo, ..Self::EPOLL };
    pub(crate) const ASYNC_IO_COMPLETION: Self = Self {
        name: "async_io_completion",
        awaits: Awaits::AsyncIo,
        ..Self::STANDING
    };

    /// Forbids io_uring to the calling thread, and those that it starts, if it is to
    /// be forbidden.
    pub(crate) fn begin(self) {
        thread_local! {
            static HAS_BEGUN: Cell<bool> = const { Cell::new(false) };
        }
        if let Some(errno) = self.forbidden {
            if !HAS_BEGUN.replace(true) {
                forbid(libc::SYS_io_uring_setup, errno);
            }
        }
    }

    /// Whether a ring takes signals as they come. Then they are in the order in
    /// which they came, and a standard one does not wait for its likes.
    pub(crate) fn reads_ahead(self) -> bool {
        HAS_RINGS && self.kind == Kind::Completion && self.forbidden.is_none()
    }

    /// Whether a receiver runs on what it is to run on, and why.
    pub(crate) fn is_run_by(self, receiver: &Receiver) -> bool {
        let running = receiver.backend();
        let reason = match (self.backend, self.forbidden) {
            (Backend::Uring, _) if !HAS_RINGS => Some(Error::NoUring),
            (_, None) => None,
            (_, Some(errno)) => Some(Error::Os { op: Op::UringSetup, errno }),
        };
        let is_on_ring = self.backend == Backend::Uring && reason.is_none();
        running.fallback() == reason
            && running.kind() == is_on_ring.then_some(self.kind)
    }
}

/// The options that the tests start from.
pub(crate) fn options() -> Options {
    let battery = crate::battery();
    battery.begin();
    let options = Options::new().backend(battery.backend).kind(battery.kind);
    if !battery.is_moderated {
        return options;
    }
    options.moderate(Duration::from_micros(200), 64)
}

/// Opens a receiver of the battery's kind.
pub(crate) fn open(set: impl Into<SignalSet>) -> Result<Signals, Error> {
    options().open(set).inspect(|signals| show(signals))
}

fn show(receiver: &Receiver) {
    if crate::battery().is_shown {
        let _descriptor = receiver.as_fd();
    }
}

/// Makes a receiver of the battery's kind.
pub(crate) fn receiver_for(
    set: impl Into<SignalSet>,
) -> Result<Receiver, Error> {
    options().receiver(set).inspect(show)
}

/// Opens a receiver in the test's own thread, with the others as they are: the
/// signals of these tests are directed at the thread.
pub(crate) fn open_in_thread(set: impl Into<SignalSet>) -> Signals {
    let signals = options().check_threads(false).open(set).unwrap();
    show(&signals);
    signals
}

/// How many signals a storm has: a hundred thousand, unless an emulator is in the
/// way (`STORM=10000`).
pub(crate) fn storm_size() -> i32 {
    static SIZE: std::sync::OnceLock<i32> = std::sync::OnceLock::new();
    *SIZE.get_or_init(|| {
        let size = std::env::var("STORM").ok();
        size.map_or(100_000, |size| size.parse().unwrap())
    })
}

/// Whether a signal waits for this thread or its process to take it.
pub(crate) fn is_pending(signal: Signal) -> bool {
    let mut set = std::mem::MaybeUninit::uninit();
    // SAFETY: writes a set of that size.
    assert_eq!(unsafe { libc::sigpending(set.as_mut_ptr()) }, 0);
    // SAFETY: the call has written it.
    unsafe { libc::sigismember(set.as_ptr(), signal.as_raw()) == 1 }
}

/// Waits until something is so, for as long as [`DEADLINE`].
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < end, "waited in vain until {what}");
        std::thread::yield_now();
    }
}

/// Waits until a thread of this process sleeps in the kernel.
pub(crate) fn wait_until_asleep(tid: i32) {
    wait_until("the thread is asleep", || is_asleep(tid));
}

pub(crate) fn is_asleep(tid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{tid}/stat"));
    // The state follows the name, which is in parentheses.
    stat.unwrap().rsplit(") ").next().unwrap().starts_with('S')
}

/// What two threads receive that are asleep when something is sent, each of them one.
pub(crate) fn received_by_two_that_sleep(
    receiver: &Receiver,
    send: impl FnOnce(),
) -> [i32; 2] {
    let (tell, told) = channel();
    std::thread::scope(|scope| {
        let sleepers = [(); 2].map(|()| {
            let tell = tell.clone();
            scope.spawn(move || {
                tell.send(tid()).unwrap();
                receiver.wait().unwrap().value().unwrap()
            })
        });
        told.iter().take(2).for_each(wait_until_asleep);
        send();
        sleepers.map(|sleeper| sleeper.join().unwrap())
    })
}

// ---------------------------------------------------------------------------
// Forking in a handler

/// That of the child that the handler has forked last; 0 in that child.
static FORKED: AtomicI32 = AtomicI32::new(-1);
/// How it has ended.
static ENDED: AtomicI32 = AtomicI32::new(-1);

/// Has `SIGALRM` fork in a handler with these flags. `SIGUSR1` comes before that, and in
/// the child, too; the parent stays in the handler until the child has ended.
pub(crate) fn have_a_handler_fork(flags: c_int) {
    extern "C" fn fork(_: c_int) {
        kill(pid(), Signal::USR1);
        // SAFETY: fork(2) may be called in a handler; other threads of the test hold
        // nothing that the child uses.
        let child = unsafe { libc::fork() };
        FORKED.store(child, Ordering::SeqCst);
        if child == 0 {
            kill(pid(), Signal::USR1);
            return;
        }
        let mut status = -1;
        // SAFETY: waitpid(2) writes to `status`, which lives past the call.
        let ended = unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert_eq!(ended, child);
        ENDED.store(status, Ordering::SeqCst);
    }
    let handler: extern "C" fn(c_int) = fork;
    set_action(Signal::ALRM, handler as libc::sighandler_t, flags);
}

/// Does something in which this thread sleeps until the handler forks; then the child sees
/// whether it came of it what ought to and ends, and the parent gets what came of it, and
/// does it again until it is sent `SIGUSR1`.
pub(crate) fn fork_in_a_sleep<T: Send>(
    mut sleep: impl FnMut() -> T,
    is_right_in_the_child: impl FnOnce(&T) -> bool,
) -> [T; 2] {
    let (sleeper, is_back) = (tid(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            wait_until_asleep(sleeper);
            kill(pid(), Signal::ALRM);
            wait_until("it has slept", || is_back.load(Ordering::SeqCst));
            wait_until_asleep(sleeper);
            kill(pid(), Signal::USR1);
        });
        let first = sleep();
        if FORKED.load(Ordering::SeqCst) == 0 {
            let is_wrong = !is_right_in_the_child(&first);
            // SAFETY: ends the child, and nothing of the parent's is taken apart.
            unsafe { libc::_exit(is_wrong.into()) };
        }
        assert_eq!(ENDED.swap(-1, Ordering::SeqCst), 0, "the child was wrong");
        is_back.store(true, Ordering::SeqCst);
        [first, sleep()]
    })
}

// ---------------------------------------------------------------------------
// Sending

pub(crate) fn pid() -> i32 {
    i32::try_from(std::process::id()).unwrap()
}

pub(crate) fn tid() -> i32 {
    // SAFETY: has no preconditions.
    i32::try_from(unsafe { libc::syscall(libc::SYS_gettid) }).unwrap()
}

pub(crate) fn uid() -> u32 {
    // SAFETY: has no preconditions.
    unsafe { libc::getuid() }
}

pub(crate) fn kill(pid: i32, signal: Signal) {
    // SAFETY: has no preconditions.
    check(unsafe { libc::kill(pid, signal.as_raw()) }).unwrap();
}

pub(crate) fn tgkill(tid: i32, signal: Signal) {
    let (pid, tid, signal) = (long(pid()), long(tid), long(signal.as_raw()));
    // SAFETY: takes three numbers.
    let result = unsafe { libc::syscall(libc::SYS_tgkill, pid, tid, signal) };
    check(result).unwrap();
}

/// Sends a signal to the calling thread.
pub(crate) fn raise(signal: Signal) {
    tgkill(tid(), signal);
}

/// Whether the kernel lets any thread queue a record with any code for its process.
pub(crate) fn can_queue_any_code() -> bool {
    let (this_thread, none) = (long(-10_000), ptr::null::<libc::siginfo_t>());
    let (nothing, flags) = (long(0), long(0));
    // SAFETY: sends no signal, and reads nothing at null.
    let result = unsafe {
        let call = libc::SYS_pidfd_send_signal;
        libc::syscall(call, this_thread, nothing, none, flags)
    };
    result == 0
}

/// Refuses that, as kernels do that know no number for the calling thread.
pub(crate) fn be_an_older_kernel() {
    forbid(libc::SYS_pidfd_send_signal, libc::EBADF);
}

/// Queues a signal with a value, as `sigqueue(3)` does.
pub(crate) fn sigqueue(pid: i32, signal: Signal, value: i32) -> io::Result<()> {
    let value = value as u32 as usize;
    let value = libc::sigval { sival_ptr: ptr::without_provenance_mut(value) };
    // SAFETY: takes numbers; the pointer is one.
    check(unsafe { libc::sigqueue(pid, signal.as_raw(), value) })
}

/// A `siginfo_t` of the sender's choice.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub(crate) struct Forged {
    pub(crate) signo: i32,
    pub(crate) errno: i32,
    pub(crate) code: i32,
    #[cfg(target_pointer_width = "64")]
    pub(crate) pad: i32,
    /// The union, in words of 32 bits: mostly pid, uid and value.
    pub(crate) union:
        [u32; if cfg!(target_pointer_width = "64") { 28 } else { 29 }],
}

impl Forged {
    pub(crate) fn new(
        signal: Signal,
        code: i32,
        pid: u32,
        uid: u32,
        value: i32,
    ) -> Self {
        // SAFETY: an all-zero value is allowed: it is made of integers.
        let mut forged: Self = unsafe { mem::zeroed() };
        forged.signo = signal.as_raw();
        forged.code = code;
        forged.union[..3].copy_from_slice(&[pid, uid, value as u32]);
        forged
    }

    /// Queues it for a process. The kernel accepts a code that it reserves to
    /// itself only from a main thread for its own process.
    pub(crate) fn queue(&self, pid: i32) -> io::Result<()> {
        let signal = long(self.signo);
        // SAFETY: reads 128 bytes at the pointer, which is what `Forged` has.
        let result = unsafe {
            libc::syscall(libc::SYS_rt_sigqueueinfo, long(pid), signal, self)
        };
        check(result)
    }

    /// Queues it for a thread of this process.
    pub(crate) fn queue_to_thread(&self, tid: i32) -> io::Result<()> {
        let (pid, tid) = (long(pid()), long(tid));
        let signal = long(self.signo);
        // SAFETY: reads 128 bytes at the pointer, which is what `Forged` has.
        let result = unsafe {
            libc::syscall(libc::SYS_rt_tgsigqueueinfo, pid, tid, signal, self)
        };
        check(result)
    }
}

/// Queues a signal with a value for a thread of this process, as
/// `pthread_sigqueue(3)` does.
pub(crate) fn sigqueue_to_thread(tid: i32, signal: Signal, value: i32) {
    let sender = std::process::id();
    Forged::new(signal, libc::SI_QUEUE, sender, uid(), value)
        .queue_to_thread(tid)
        .unwrap();
}

// ---------------------------------------------------------------------------
// Processes

/// A forked child.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) pid: i32,
}

/// How a child ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    Exited(i32),
    Killed(i32),
}

/// The exit status of a case that cannot run here.
pub(crate) const SKIPPED: i32 = 77;

impl Child {
    /// Forks a child that runs the function and exits with what it returns; 101
    /// if it panics.
    pub(crate) fn fork(run: impl FnOnce() -> i32) -> Self {
        Self::split().unwrap_or_else(|| {
            let run = std::panic::AssertUnwindSafe(run);
            let code = std::panic::catch_unwind(run).unwrap_or(101);
            // SAFETY: ends the process without running what the parent set up.
            unsafe { libc::_exit(code) };
        })
    }

    /// Forks, and returns in the child, too, which gets `None`.
    pub(crate) fn split() -> Option<Self> {
        // SAFETY: the processes that fork in these tests have one thread, or do
        // nothing in the child that another thread could have left locked.
        let pid = check_value(unsafe { libc::fork() }).unwrap();
        (pid != 0).then_some(Self { pid })
    }

    pub(crate) fn wait(self) -> End {
        let mut status = 0;
        loop {
            // SAFETY: writes an int at the pointer, which lives past the call.
            let result = unsafe { libc::waitpid(self.pid, &raw mut status, 0) };
            match check_value(result) {
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => panic!("waitpid: {error}"),
            }
        }
        if libc::WIFEXITED(status) {
            End::Exited(libc::WEXITSTATUS(status))
        } else {
            End::Killed(libc::WTERMSIG(status))
        }
    }

    /// Waits until it has succeeded. If it has skipped what it was to do, so does this
    /// process.
    pub(crate) fn wait_for_success(self) {
        match self.wait() {
            End::Exited(SKIPPED) => std::process::exit(SKIPPED),
            end => assert_eq!(end, End::Exited(0)),
        }
    }
}

/// A count that forked children have in common with their parent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SharedCount(&'static AtomicUsize);

impl SharedCount {
    pub(crate) fn new() -> Self {
        let (read_write, shared) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
        );
        let size = size_of::<AtomicUsize>();
        // SAFETY: maps memory where there is none.
        let page = unsafe {
            libc::mmap(ptr::null_mut(), size, read_write, shared, -1, 0)
        };
        assert_ne!(page, libc::MAP_FAILED, "{}", io::Error::last_os_error());
        // SAFETY: it is zero, aligned as a page, and never unmapped; all who have
        // it use it by atomic accesses.
        Self(unsafe { &*page.cast() })
    }

    pub(crate) fn add_one(self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn get(self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// Sets the mask of the calling thread, behind the crate's back.
pub(crate) fn set_mask(set: SignalSet) {
    let bits = set.bits();
    let how = long(libc::SIG_SETMASK);
    let old = ptr::null_mut::<u64>();
    // SAFETY: reads a mask of 8 bytes, which lives past the call. (The words of
    // a big-endian 32-bit machine are the other way round; none is tested.)
    let result = unsafe {
        let new = &raw const bits;
        libc::syscall(libc::SYS_rt_sigprocmask, how, new, old, 8_usize)
    };
    check(result).unwrap();
}

/// The handler, flags and mask of a signal.
pub(crate) fn action(signal: Signal) -> (usize, c_int, u64) {
    // SAFETY: an all-zero value is allowed.
    let mut old: libc::sigaction = unsafe { mem::zeroed() };
    // SAFETY: writes a sigaction at the pointer.
    let result =
        unsafe { libc::sigaction(signal.as_raw(), ptr::null(), &raw mut old) };
    assert_eq!(result, 0);
    // SAFETY: a sigset_t is at least 8 bytes.
    let mask = unsafe { (&raw const old.sa_mask).cast::<u64>().read() };
    (old.sa_sigaction, old.sa_flags, mask)
}

/// The kernel's `struct sigaction`, and room beyond.
pub(crate) fn kernel_action(signal: i32) -> [usize; 8] {
    /// The third word means something where the second has this. On 64-bit ARM the C library
    /// leaves it as it finds it.
    const SA_RESTORER: usize = 0x0400_0000;
    let mut action = [0; 8];
    let (none, to) = (ptr::null::<usize>(), &raw mut action);
    // SAFETY: writes a `struct sigaction` at the pointer, which has room for it.
    let result = unsafe {
        libc::syscall(libc::SYS_rt_sigaction, signal, none, to, 8_usize)
    };
    check_value(result).unwrap();
    if action[1] & SA_RESTORER == 0 {
        action[2] = 0;
    }
    action
}

pub(crate) fn set_action(signal: Signal, handler: usize, flags: c_int) {
    set_masked_action(signal, handler, flags, Signal::USR2.into());
}

/// Sets an action whose handler runs with these signals blocked.
pub(crate) fn set_masked_action(
    signal: Signal,
    handler: usize,
    flags: c_int,
    blocked: SignalSet,
) {
    // SAFETY: an all-zero value is allowed.
    let mut new: libc::sigaction = unsafe { mem::zeroed() };
    new.sa_sigaction = handler;
    new.sa_flags = flags;
    let mask = (&raw mut new.sa_mask).cast::<u64>();
    // SAFETY: a set begins with the kernel's, which has 64 bits.
    unsafe { mask.write(blocked.bits()) };
    // SAFETY: reads a sigaction; the handlers of these tests are safe to run.
    let result = unsafe {
        libc::sigaction(signal.as_raw(), &raw const new, ptr::null_mut())
    };
    assert_eq!(result, 0);
}

/// Sets a soft limit of this process and returns the one before.
pub(crate) fn set_limit(
    resource: Resource,
    soft: libc::rlim_t,
) -> libc::rlim_t {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: writes an rlimit at the pointer, which lives past the call.
    check(unsafe { libc::getrlimit(resource, &raw mut limit) }).unwrap();
    let before = limit.rlim_cur;
    limit.rlim_cur = soft;
    // SAFETY: reads an rlimit at the pointer, which lives past the call.
    check(unsafe { libc::setrlimit(resource, &raw const limit) }).unwrap();
    before
}

/// How many signals the user has queued.
pub(crate) fn queued() -> libc::rlim_t {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let queue = status.lines().find_map(|it| it.strip_prefix("SigQ:\t"));
    let (queued, _) = queue.unwrap().split_once('/').unwrap();
    queued.parse().unwrap()
}

/// In a user namespace of its own, where there are some, what other processes of the user
/// have queued does not count (Linux 5.14). This thread has to be the only one.
pub(crate) fn leave_the_user() {
    // SAFETY: takes a number.
    let _left = unsafe { libc::unshare(libc::CLONE_NEWUSER) };
}

/// Gives up all that root may do, but not the right to look at itself. Other users, and who is
/// root only in a user namespace, have nothing to give up.
pub(crate) fn become_nobody() {
    // SAFETY: takes a number.
    let result = check(unsafe { libc::setuid(65534) });
    let errno = result.as_ref().err().and_then(io::Error::raw_os_error);
    if matches!(errno, Some(libc::EPERM | libc::EINVAL)) {
        return;
    }
    result.unwrap();
    may_look_at_itself();
}

/// One that has become another user may still read what `/proc` says of it.
pub(crate) fn may_look_at_itself() {
    let yes: libc::c_ulong = 1;
    // SAFETY: takes numbers.
    let result = unsafe { libc::prctl(libc::PR_SET_DUMPABLE, yes, 0, 0, 0) };
    check(result).unwrap();
}

/// Has a signal pending for this process that the thread takes in a moment in which it blocks
/// nothing; before and afterwards it blocks that signal.
pub(crate) fn take_in_a_moment(signal: Signal) {
    set_mask(signal.into());
    kill(pid(), signal);
    // SAFETY: no bits are a set.
    let none: libc::sigset_t = unsafe { mem::zeroed() };
    // SAFETY: reads a set, which lives past the call.
    unsafe { libc::sigsuspend(&raw const none) };
}

#[cfg(target_env = "gnu")]
pub(crate) type Resource = libc::__rlimit_resource_t;
#[cfg(not(target_env = "gnu"))]
pub(crate) type Resource = c_int;

/// Does something while this process can map no more memory.
pub(crate) fn without_memory(work: impl FnOnce()) {
    let before = set_limit(libc::RLIMIT_AS, 1);
    work();
    set_limit(libc::RLIMIT_AS, before);
}

/// Lets a system call fail in this process from now on.
pub(crate) fn forbid(syscall: c_long, errno: c_int) {
    let action = libc::SECCOMP_RET_ERRNO | errno as u32;
    check(filter(Some(&[syscall]), action, 0)).unwrap();
}

/// Lets a system call end this process from now on.
pub(crate) fn forbid_on_pain_of_death(syscall: c_long) {
    let action = libc::SECCOMP_RET_KILL_PROCESS;
    check(filter(Some(&[syscall]), action, 0)).unwrap();
}

/// Sends `SIGSYS` instead of a system call in this process from now on.
pub(crate) fn trap(syscall: c_long) {
    let action = libc::SECCOMP_RET_TRAP;
    check(filter(Some(&[syscall]), action, 0)).unwrap();
}

/// Holds the system calls that threads make. Needs Linux 5.9.
#[derive(Debug)]
pub(crate) struct HeldCalls(OwnedFd);

/// A system call that is held until it is let go.
#[derive(Debug)]
pub(crate) struct HeldCall<'h> {
    held: &'h HeldCalls,
    id: u64,
    pub(crate) thread: i32,
    pub(crate) data: libc::seccomp_data,
}

impl HeldCalls {
    /// Holds those that the calling thread makes of some system calls, and the threads
    /// and processes that it starts.
    pub(crate) fn of_this_thread(syscalls: &[c_long]) -> io::Result<Self> {
        Self::hold(Some(syscalls), 0)
    }

    /// Holds those of some system calls, or of all, and none of them twice because a
    /// signal has come meanwhile. Needs Linux 5.19.
    pub(crate) fn each_once(syscalls: Option<&[c_long]>) -> io::Result<Self> {
        Self::hold(syscalls, libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)
    }

    fn hold(
        syscalls: Option<&[c_long]>,
        flags: libc::c_ulong,
    ) -> io::Result<Self> {
        if !kernel_is_from((5, 9)) {
            // The end of a thread is not told.
            return Err(io::ErrorKind::Unsupported.into());
        }
        let flags = flags | libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
        let listener = filter(syscalls, libc::SECCOMP_RET_USER_NOTIF, flags);
        let raw = check_value(listener)?.try_into().unwrap();
        // SAFETY: the call has just made the descriptor.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(raw) }))
    }

    /// Takes the next call, if there is one still: what interrupts the thread takes a
    /// call back, which is then made again.
    pub(crate) fn next(&self) -> Option<HeldCall<'_>> {
        // SAFETY: an all-zero value is allowed, and asked for: it is integers.
        let mut call: libc::seccomp_notif = unsafe { mem::zeroed() };
        let (fd, receive) =
            (self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV);
        // SAFETY: writes a seccomp_notif at the pointer.
        check(unsafe { libc::ioctl(fd, receive, &raw mut call) }).ok()?;
        let thread = i32::try_from(call.pid).unwrap();
        Some(HeldCall { held: self, id: call.id, thread, data: call.data })
    }

    /// Waits for the next call, and does something before it goes on; returns
    /// whether there was one, and not the end of the thread.
    pub(crate) fn before_the_next(
        &self,
        work: impl FnOnce(&libc::seccomp_data),
    ) -> bool {
        let Some(call) = self.wait_for_the_next() else {
            return false;
        };
        work(&call.data);
        call.go_on();
        true
    }

    /// Waits for the next call, and lets it fail.
    pub(crate) fn fail_the_next(&self, errno: c_int) {
        while !self.wait_for_the_next().unwrap().fail(errno) {}
    }

    /// Waits for the next call, or for the end of the thread.
    pub(crate) fn wait_for_the_next(&self) -> Option<HeldCall<'_>> {
        loop {
            let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
            rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, None))
                .unwrap();
            if !fds[0].revents().contains(PollFlags::IN) {
                return None;
            }
            if let Some(call) = self.next() {
                return Some(call);
            }
        }
    }
}

impl HeldCall<'_> {
    pub(crate) fn go_on(self) {
        let go_on = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE;
        self.respond(0, go_on.try_into().unwrap());
    }

    /// Lets it return at once, with this error; returns whether it was still there.
    pub(crate) fn fail(self, errno: c_int) -> bool {
        self.respond(-errno, 0)
    }

    fn respond(self, error: c_int, flags: u32) -> bool {
        let mut response =
            libc::seccomp_notif_resp { id: self.id, val: 0, error, flags };
        let (fd, send) =
            (self.held.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND);
        // SAFETY: reads a seccomp_notif_resp at the pointer.
        let done = check(unsafe { libc::ioctl(fd, send, &raw mut response) });
        // The thread may have been interrupted or killed meanwhile.
        let is_gone =
            |error: &io::Error| error.raw_os_error() == Some(libc::ENOENT);
        assert!(done.as_ref().err().is_none_or(is_gone), "{done:?}");
        done.is_ok()
    }
}

impl AsFd for HeldCalls {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for HeldCalls {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl From<OwnedFd> for HeldCalls {
    fn from(listener: OwnedFd) -> Self {
        Self(listener)
    }
}

/// Does something with some system calls, or with all, that the calling thread and those
/// it starts make from now on.
fn filter(
    syscalls: Option<&[c_long]>,
    action: u32,
    flags: libc::c_ulong,
) -> c_long {
    /// What `offsetof(struct seccomp_data, nr)` is.
    const NUMBER: u32 = 0;
    let op = |code: u32, jt, jf, k| libc::sock_filter {
        code: code.try_into().unwrap(),
        jt,
        jf,
        k,
    };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let give = libc::BPF_RET | libc::BPF_K;
    let mut filter = vec![op(load, 0, 0, NUMBER)];
    for &syscall in syscalls.unwrap_or_default() {
        filter.push(op(equal, 0, 1, syscall.try_into().unwrap()));
        filter.push(op(give, 0, 0, action));
    }
    let rest = syscalls.map_or(action, |_| libc::SECCOMP_RET_ALLOW);
    filter.push(op(give, 0, 0, rest));
    let program = libc::sock_fprog {
        len: filter.len().try_into().unwrap(),
        filter: filter.as_mut_ptr(),
    };
    let (one, zero): (libc::c_ulong, libc::c_ulong) = (1, 0);
    // SAFETY: takes numbers.
    let result = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, one, zero, zero, zero)
    };
    check(result).unwrap();
    let mode = libc::SECCOMP_SET_MODE_FILTER;
    // SAFETY: reads the program and its filter, which live past the call.
    unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program) }
}

/// Whether the kernel is of this version or a later one.
pub(crate) fn kernel_is_from(version: (u32, u32)) -> bool {
    let release =
        std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap()) >= version
}

/// Returns how many descriptors the process has open.
pub(crate) fn open_descriptors() -> usize {
    // One is the directory itself.
    std::fs::read_dir("/proc/self/fd").unwrap().count() - 1
}

// ---------------------------------------------------------------------------
// Event loops

/// An epoll of the caller's own, with one descriptor in it.
pub(crate) struct OwnEpoll(pub(crate) OwnedFd);

impl OwnEpoll {
    pub(crate) fn of(fd: impl AsFd, flags: EventFlags) -> Self {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
        let data = EventData::new_u64(1);
        epoll::add(&epoll, fd, data, EventFlags::IN | flags).unwrap();
        Self(epoll)
    }

    /// One that hears each time that the signals of the process are announced, whatever
    /// they are: of a receiver that has one pending, which stays so.
    pub(crate) fn of_announcements(signal: Signal) -> (Signals, Self) {
        let signals = signalfd::open(signal).unwrap();
        kill(pid(), signal);
        let epoll = Self::of(&signals, EventFlags::ET);
        (signals, epoll)
    }

    pub(crate) fn is_ready(&self) -> bool {
        let none = EventData::new_u64(0);
        let mut events =
            [epoll::Event { flags: EventFlags::empty(), data: none }; 2];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        epoll::wait(&self.0, &mut events, Some(&now)).unwrap() == 1
    }
}

// ---------------------------------------------------------------------------
// Wakers

/// A waker that counts how often it is woken.
#[derive(Debug, Default)]
pub(crate) struct WakeCount(AtomicUsize);

impl WakeCount {
    pub(crate) fn new() -> (Arc<Self>, Waker) {
        let count = Arc::<Self>::default();
        (Arc::clone(&count), count.into())
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for WakeCount {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

// ---------------------------------------------------------------------------

fn long(number: i32) -> c_long {
    c_long::from(number)
}

pub(crate) fn check<T: Into<i64>>(result: T) -> io::Result<()> {
    check_value(result.into()).map(drop)
}

pub(crate) fn check_value<T: Copy + Into<i64>>(result: T) -> io::Result<T> {
    if result.into() == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}
