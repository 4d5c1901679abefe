//! The one error of the crate.

use core::fmt;

use crate::signal::SignalSet;

/// What went wrong, small enough to copy.
///
/// Its `Display` says what was wrong and what to do about it. Unless a method
/// says otherwise, an error means that nothing has changed: the signal mask and
/// the receiver are as they were, and no signal has been taken.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The set that was given, or that would be left, holds no signal.
    EmptySet,
    /// `SIGKILL` or `SIGSTOP`: nothing can block or receive them.
    Unblockable(SignalSet),
    /// Synchronous faults (`SIGILL`, `SIGFPE`, `SIGSEGV`, `SIGBUS`): a real one
    /// kills a thread that blocks it, whatever else would receive it.
    Synchronous(SignalSet),
    /// Numbers that the C library keeps for itself.
    Reserved(SignalSet),
    /// No signal has this number.
    InvalidNumber(i32),
    /// The text is a number that does not fit an `i32`.
    NumberOutOfRange,
    /// No signal has this name.
    UnknownName,
    /// The calling thread does not block these signals, so a receiver might
    /// never see them.
    NotBlocked(SignalSet),
    /// Another thread of the process does not block the signals, and would take
    /// them from the receiver.
    UnblockedThread(UnblockedThread),
    /// The descriptor given is not a signalfd.
    NotSignalFd,
    /// The receiver was made in the process that this one was forked from. A read here
    /// would take this process's signals, but a change of the set would change the
    /// parent's. [`Receiver::reopen`](crate::Receiver::reopen) gives it a descriptor of
    /// this process. Subscribers and the dispatcher of a [`Hub`](crate::Hub) fail
    /// likewise; the hub itself can be used anew.
    Forked,
    /// A batch with no room for a record.
    EmptyBatch,
    /// 64 calls of [`block_on`](crate::block_on) are running in the process already.
    TooManyBlockOn,
    /// 256 scopes ([`open`](crate::open)) are open in the process already.
    TooManyScopes,
    /// A [`Hub`](crate::Hub) has no place for another subscriber.
    TooManySubscribers,
    /// A [`Hub`](crate::Hub) has a dispatcher already.
    AlreadyDispatching,
    /// The crate was built without the feature `io-uring`, or for a target that
    /// the io-uring crate does not know.
    NoUring,
    /// A `uring::ReadSource` was to be made of a receiver whose own ring reads ahead as
    /// well ([`Kind::Completion`](crate::Kind::Completion)).
    ReadsAlready,
    /// A source was to be armed, but its request is in the ring already.
    AlreadyArmed,
    /// A completion does not belong to the request that the source has in the ring.
    ForeignCompletion,
    /// The submission queue of the ring is full.
    QueueFull,
    /// No process can have this number.
    InvalidPid(u32),
    /// A [`Reaper`](crate::Reaper) has no place for another child.
    TooManyChildren,
    /// `ECHILD`: the process has no child of this number, or somebody has waited for
    /// it already.
    NoSuchChild(u32),
    /// A [`deadline`](crate::Shutdown::deadline) was to start before the first signal was
    /// received.
    NoSignal,
    /// There is no tokio runtime here that watches descriptors, or the one that drove
    /// the receiver has been shut down.
    NoRuntime,
    /// A system call failed, or is known to be of no use here.
    Os {
        /// Which system call, or what it was for.
        op: Op,
        /// The kernel's error number, or the one that it would give.
        errno: i32,
    },
}

/// What the crate was doing when a system call failed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Op {
    /// `signalfd4(2)`: making a descriptor or changing its set.
    Signalfd,
    /// `rt_sigprocmask(2)`: reading or changing the calling thread's mask.
    Sigprocmask,
    /// `read(2)` from the signalfd.
    Read,
    /// `poll(2)`: waiting for a signal, or looking whether there is one.
    Poll,
    /// `epoll_create1(2)`.
    EpollCreate,
    /// `epoll_ctl(2)`.
    EpollCtl,
    /// `epoll_wait(2)`.
    EpollWait,
    /// `eventfd2(2)`: the wake-up of [`block_on`](crate::block_on).
    Eventfd,
    /// `futex(2)`: waiting for a record from a [`Hub`](crate::Hub).
    Futex,
    /// `rt_sigqueueinfo(2)`: putting a record back.
    Sigqueueinfo,
    /// `rt_tgsigqueueinfo(2)`: making a thread run the handler that blocks signals in it
    /// ([`Options::every_thread`](crate::Options::every_thread)).
    Tgsigqueueinfo,
    /// `sigaction(2)`: reading or changing what a signal does.
    Sigaction,
    /// `tgkill(2)`: sending a signal to the calling thread.
    Tgkill,
    /// `timer_create(2)`: making the timer of a deadline.
    TimerCreate,
    /// `timer_settime(2)`: starting that timer.
    TimerSettime,
    /// `fcntl(2)`: making a foreign descriptor non-blocking and close-on-exec, or
    /// duplicating one for a source.
    Fcntl,
    /// `waitid(2)`: asking how a child has ended.
    Waitid,
    /// Reading `/proc/self/task` to see what every thread blocks.
    ThreadCheck,
    /// `mmap(2)`: memory for a ring to read into, or for what the handler of
    /// [`Options::every_thread`](crate::Options::every_thread) cannot send on.
    Mmap,
    /// `io_uring_setup(2)`: making a ring.
    UringSetup,
    /// `io_uring_register(2)`: asking what a ring can do, registering buffers with it, or
    /// cancelling a request.
    UringRegister,
    /// `io_uring_enter(2)`: submitting to a ring, or waiting for it.
    UringEnter,
    /// `IORING_OP_POLL_ADD`: the completion says that the ring cannot wait for
    /// the signalfd, or its kernel is known to be too old for that.
    UringPoll,
    /// `IORING_OP_READ` or `IORING_OP_READ_MULTISHOT`: the completion says that
    /// the ring cannot read the signalfd.
    UringRead,
}

/// A thread that does not block what a receiver is to receive.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct UnblockedThread {
    tid: u32,
    signals: SignalSet,
    name: [u8; NAME_MAX],
}

/// The length of the longest thread name: the kernel's `TASK_COMM_LEN`, less
/// the NUL.
const NAME_MAX: usize = 15;

impl UnblockedThread {
    /// Makes one from a thread's name as the kernel has it: any bytes.
    pub(crate) fn new(tid: u32, name: &[u8], signals: SignalSet) -> Self {
        let mut text = [0; NAME_MAX];
        let mut end = 0;
        for chunk in name.utf8_chunks() {
            let invalid = (!chunk.invalid().is_empty()).then_some('?');
            for character in chunk.valid().chars().chain(invalid) {
                let next = end + character.len_utf8();
                let Some(room) = text.get_mut(end..next) else { break };
                character.encode_utf8(room);
                end = next;
            }
        }
        Self { tid, signals, name: text }
    }

    /// Returns the thread id, as `gettid(2)` gives it.
    #[must_use]
    pub const fn tid(&self) -> u32 {
        self.tid
    }

    /// Returns the thread's name: at most 15 bytes, with `?` for what is not
    /// UTF-8.
    #[must_use]
    pub fn name(&self) -> &str {
        let end = self.name.iter().position(|&b| b == 0).unwrap_or(NAME_MAX);
        let name = self.name.get(..end).unwrap_or_default();
        core::str::from_utf8(name).unwrap_or("?")
    }

    /// Returns the signals that the thread does not block but would have to.
    #[must_use]
    pub const fn signals(&self) -> SignalSet {
        self.signals
    }
}

impl fmt::Debug for UnblockedThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnblockedThread")
            .field("tid", &self.tid)
            .field("name", &self.name())
            .field("signals", &self.signals)
            .finish()
    }
}

impl Error {
    /// Returns which system call failed, if one did.
    #[must_use]
    pub const fn op(&self) -> Option<Op> {
        match self {
            Self::Os { op, .. } => Some(*op),
            _ => None,
        }
    }

    /// Returns the kernel's error number, if a system call failed.
    #[must_use]
    pub const fn raw_os_error(&self) -> Option<i32> {
        match self {
            Self::Os { errno, .. } => Some(*errno),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = self.text() {
            return f.write_str(text);
        }
        match self {
            Self::Unblockable(signals) => write!(
                f,
                "{signals} cannot be blocked or received: leave it out of the set"
            ),
            Self::Synchronous(signals) => write!(
                f,
                "{signals} is a synchronous fault, which kills a thread that \
                 blocks it: leave it out of the set and install a handler"
            ),
            Self::Reserved(signals) => write!(
                f,
                "{signals} is kept by the C library for itself: use \
                 Signal::rt, which counts from SIGRTMIN"
            ),
            Self::InvalidNumber(number) => {
                write!(f, "{number} is not the number of a signal (1 to 64)")
            }
            Self::NotBlocked(signals) => write!(
                f,
                "the calling thread does not block {signals}: call \
                 signalfd::block at the top of main and keep its guard, or use \
                 signalfd::open"
            ),
            Self::UnblockedThread(thread) => write!(
                f,
                "thread {} ({:?}) does not block {} and would take it from \
                 the receiver: block it at the top of main, before that thread \
                 is started, or say Options::every_thread(true)",
                thread.tid,
                thread.name(),
                thread.signals
            ),
            Self::InvalidPid(pid) => write!(
                f,
                "{pid} cannot be the number of a child: give what fork(2) has \
                 returned, or Child::id"
            ),
            Self::NoSuchChild(pid) => write!(
                f,
                "{pid} is not, or no longer, a child of this process: let nothing \
                 else wait for it, and do not ignore SIGCHLD"
            ),
            Self::Os { op, errno } => {
                write!(f, "{op} failed with {}", ErrnoName(*errno))?;
                match op.advice(*errno) {
                    Some(advice) => write!(f, ": {advice}"),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}

impl Error {
    /// What an error says that has nothing to tell but that it came.
    const fn text(&self) -> Option<&'static str> {
        Some(match self {
            Self::EmptySet => {
                "the set holds no signal: name at least one to receive"
            }
            Self::NumberOutOfRange => {
                "the number is not that of a signal (1 to 64)"
            }
            Self::UnknownName => {
                "not the name of a signal: write it as TERM, SIGTERM, 15, \
                 RTMIN+3 or RTMAX-1"
            }
            Self::NotSignalFd => {
                "the descriptor is not a signalfd: give one that signalfd(2) made"
            }
            Self::Forked => {
                "what was used belongs to the process that this one was forked \
                 from: reopen it here, or open a new one"
            }
            Self::EmptyBatch => {
                "the batch has no room for a record: make it of at least one"
            }
            Self::TooManyBlockOn => {
                "too many threads are in block_on: let one thread receive and \
                 hand on what it receives"
            }
            Self::TooManyScopes => {
                "256 scopes are open already: let some go, or block the \
                 signals once and make a Receiver in each place"
            }
            Self::TooManySubscribers => {
                "the hub has no place for another subscriber: make it a Hub with \
                 more SUBSCRIBERS, or drop one that is not needed"
            }
            Self::AlreadyDispatching => {
                "the hub has a dispatcher already: let that one dispatch, or drop \
                 it first"
            }
            Self::NoUring => {
                "there is no io_uring in this build: enable the feature \
                 io-uring, on a target that the io-uring crate knows"
            }
            Self::ReadsAlready => {
                "the receiver's own ring reads the signals, and the source would get \
                 what that leaves: open the receiver without one"
            }
            Self::AlreadyArmed => {
                "the source's request is in the ring already: arm it again when \
                 needs_arming says so"
            }
            Self::ForeignCompletion => {
                "the completion is not of the source's request: give it what \
                 carries its user_data, once"
            }
            Self::QueueFull => {
                "the submission queue is full: submit, then arm the source"
            }
            Self::TooManyChildren => {
                "the reaper has no place for another child: make it with more, \
                 or reap first"
            }
            Self::NoSignal => {
                "no signal has come yet: wait for the first, then set the deadline"
            }
            Self::NoRuntime => {
                "there is no tokio runtime here that does I/O, or it has been shut \
                 down: build one with enable_io, make the adapter inside it (async \
                 code, or Runtime::enter), and a new adapter for the next"
            }
            _ => return None,
        })
    }
}

impl core::error::Error for Error {}

impl Op {
    /// What the caller can do about an error number, where there is something.
    const fn advice(self, errno: i32) -> Option<&'static str> {
        if let Some(advice) = self.advice_on_rings(errno) {
            return Some(advice);
        }
        Some(match (self, errno) {
            (Self::ThreadCheck, libc::ENOENT) => {
                "/proc is not mounted, so the threads cannot be checked: mount \
                 it, or make sure of them yourself and say \
                 Options::check_threads(false)"
            }
            (Self::ThreadCheck, libc::EACCES | libc::EPERM | libc::ENODATA) => {
                "the threads cannot be checked: let the process read \
                 /proc/self/task, or make sure of them yourself and say \
                 Options::check_threads(false)"
            }
            (Self::Sigqueueinfo, libc::EAGAIN) => {
                "the user's queue of signals is full: raise RLIMIT_SIGPENDING, \
                 or receive what is pending first"
            }
            (Self::TimerCreate, libc::EAGAIN) => {
                "the user's queue of signals is full, which a timer needs a \
                 place in: raise RLIMIT_SIGPENDING"
            }
            (Self::Sigqueueinfo, libc::EPERM) => {
                "the kernel could not have made this record, so only the main \
                 thread can put it back"
            }
            (Self::Sigaction, libc::ENOSYS) => {
                "on this machine a handler cannot block signals: block them \
                 at the top of main, before other threads are started"
            }
            (Self::Poll, libc::EINVAL) => {
                "the process may have fewer descriptors than are to be waited \
                 for: raise RLIMIT_NOFILE"
            }
            (_, libc::EMFILE) => {
                "the process has no descriptor left: close some, or raise \
                 RLIMIT_NOFILE"
            }
            (_, libc::ENFILE) => "the system has no open file left",
            (_, libc::ENOMEM) => "the kernel has no memory left",
            (_, libc::ENOSYS) => {
                "the kernel or a sandbox does not have this system call"
            }
            (_, libc::EPERM | libc::EACCES) => {
                "a sandbox (seccomp) forbids this system call"
            }
            _ => return None,
        })
    }

    const fn advice_on_rings(self, errno: i32) -> Option<&'static str> {
        Some(match (self, errno) {
            (Self::UringEnter, libc::EBADFD) => {
                "the ring was made with IORING_SETUP_R_DISABLED: enable it first \
                 (IORING_REGISTER_ENABLE_RINGS)"
            }
            (Self::UringEnter, libc::EBUSY) => {
                "there is no room for completions: take some first"
            }
            (Self::UringEnter, libc::EAGAIN) => {
                "the kernel has no memory for the request: take completions \
                 first, or try again"
            }
            (Self::UringRegister, libc::EACCES) => {
                "a sandbox (seccomp) or the ring's restrictions forbid this: \
                 allow it, or go without"
            }
            (Self::UringSetup, libc::EPERM | libc::EACCES) => {
                "a sandbox (seccomp) or the sysctl kernel.io_uring_disabled \
                 forbids io_uring: allow it, or go without"
            }
            (Self::UringSetup, libc::ENOSYS) => {
                "the kernel or a sandbox has no io_uring: it came with Linux 5.1"
            }
            (Self::UringSetup | Self::UringRegister, libc::ENOMEM) => {
                "no memory may be locked for a ring: raise RLIMIT_MEMLOCK"
            }
            (
                Self::UringSetup | Self::UringRegister,
                libc::EINVAL | libc::EOPNOTSUPP,
            ) => "the kernel is too old for what the ring is to do",
            (Self::UringRegister, libc::ETIME | libc::EALREADY) => {
                "the kernel has not cancelled a request within a second: try \
                 again, or make the source anew"
            }
            (Self::UringRegister, libc::EDOM) => {
                "before Linux 6.9 a buffer group needs a number of 64 or more"
            }
            (Self::UringRegister, libc::EEXIST) => {
                "another buffer group of the ring has this number, or the ring \
                 is for another thread"
            }
            (
                Self::UringPoll | Self::UringRead,
                libc::EINVAL | libc::EOPNOTSUPP | libc::EAGAIN,
            ) => {
                "the kernel cannot do this, or not in a ring of this kind \
                 (IORING_SETUP_IOPOLL, or before Linux 5.12 IORING_SETUP_SQPOLL)"
            }
            (Self::UringRead, libc::ENOBUFS) => {
                "the ring does not have the source's buffers: push the source's \
                 requests into the ring that it was made with, and let that keep \
                 the group"
            }
            (Self::UringPoll | Self::UringRead, libc::EBADF) => {
                "the ring has no such file: register the receiver's descriptor \
                 under the index given"
            }
            (Self::UringPoll | Self::UringRead, libc::EACCES) => {
                "the ring's restrictions do not allow this request"
            }
            _ => return None,
        })
    }
}

impl fmt::Display for Op {
    /// Writes the name of the system call.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Signalfd => "signalfd4",
            Self::Sigprocmask => "rt_sigprocmask",
            Self::Read => "read",
            Self::Poll => "poll",
            Self::EpollCreate => "epoll_create1",
            Self::EpollCtl => "epoll_ctl",
            Self::EpollWait => "epoll_wait",
            Self::Eventfd => "eventfd2",
            Self::Futex => "futex",
            Self::Sigqueueinfo => "rt_sigqueueinfo",
            Self::Tgsigqueueinfo => "rt_tgsigqueueinfo",
            Self::Sigaction => "sigaction",
            Self::Tgkill => "tgkill",
            Self::TimerCreate => "timer_create",
            Self::TimerSettime => "timer_settime",
            Self::Fcntl => "fcntl",
            Self::Waitid => "waitid",
            Self::ThreadCheck => "reading /proc/self/task",
            Self::Mmap => "mmap",
            Self::UringSetup => "io_uring_setup",
            Self::UringRegister => "io_uring_register",
            Self::UringEnter => "io_uring_enter",
            Self::UringPoll => "IORING_OP_POLL_ADD",
            Self::UringRead => "IORING_OP_READ",
        })
    }
}

/// Prints an error number by its name, where the crate has met it.
struct ErrnoName(i32);

impl fmt::Display for ErrnoName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            libc::EACCES => "EACCES",
            libc::EAGAIN => "EAGAIN",
            libc::EALREADY => "EALREADY",
            libc::EBADF => "EBADF",
            libc::EBADFD => "EBADFD",
            libc::EBUSY => "EBUSY",
            libc::EDOM => "EDOM",
            libc::EEXIST => "EEXIST",
            libc::EFAULT => "EFAULT",
            libc::EINVAL => "EINVAL",
            libc::EIO => "EIO",
            libc::EMFILE => "EMFILE",
            libc::ENFILE => "ENFILE",
            libc::ENOBUFS => "ENOBUFS",
            libc::ENODATA => "ENODATA",
            libc::ENODEV => "ENODEV",
            libc::ENOENT => "ENOENT",
            libc::ENOMEM => "ENOMEM",
            libc::ENOSPC => "ENOSPC",
            libc::ENOSYS => "ENOSYS",
            libc::EOPNOTSUPP => "EOPNOTSUPP",
            libc::EPERM => "EPERM",
            libc::ESRCH => "ESRCH",
            libc::ETIME => "ETIME",
            other => return write!(f, "error {other}"),
        })
    }
}

#[cfg(feature = "std")]
impl From<Error> for std::io::Error {
    /// An [`Error::Os`] becomes its error number, and forgets which call it was;
    /// any other is kept inside, which allocates.
    fn from(error: Error) -> Self {
        use std::io::{Error as IoError, ErrorKind};
        let kind = match error {
            Error::Os { errno, .. } => return Self::from_raw_os_error(errno),
            Error::NotBlocked(_)
            | Error::UnblockedThread(_)
            | Error::Forked
            | Error::TooManyBlockOn
            | Error::TooManyScopes
            | Error::TooManySubscribers
            | Error::AlreadyDispatching
            | Error::TooManyChildren
            | Error::NoSuchChild(_)
            | Error::QueueFull
            | Error::NoSignal
            | Error::NoRuntime => ErrorKind::Other,
            Error::NoUring => ErrorKind::Unsupported,
            _ => ErrorKind::InvalidInput,
        };
        IoError::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;

    use super::*;
    use crate::signal::Signal;

    #[test]
    fn the_error_stays_small() {
        assert!(size_of::<Error>() <= 40);
    }

    #[test]
    fn an_unblocked_thread_is_named() {
        let thread = UnblockedThread::new(7, b"worker", Signal::TERM.into());
        assert_eq!((thread.tid(), thread.name()), (7, "worker"));
        let text = Error::UnblockedThread(thread).to_string();
        assert!(text.contains("thread 7 (\"worker\") does not block SIGTERM"));
    }

    #[test]
    fn thread_names_of_any_bytes_are_shown() {
        let name = |bytes: &[u8]| {
            let set = Signal::TERM.into();
            std::string::String::from(
                UnblockedThread::new(1, bytes, set).name(),
            )
        };
        assert_eq!(name(b""), "");
        assert_eq!(name(b"exactly-15-char"), "exactly-15-char");
        assert_eq!(name(b"a\xFFb"), "a?b");
        assert_eq!(name(b"longer than any name"), "longer than any");
        assert_eq!(name("n\u{e4}me".as_bytes()), "n\u{e4}me");
    }

    #[test]
    fn system_call_errors_say_what_to_do() {
        let text = |op, errno| Error::Os { op, errno }.to_string();
        assert_eq!(
            text(Op::Signalfd, libc::EMFILE),
            "signalfd4 failed with EMFILE: the process has no descriptor left: \
             close some, or raise RLIMIT_NOFILE"
        );
        assert!(text(Op::ThreadCheck, libc::ENOENT).contains("check_threads"));
        assert_eq!(text(Op::Read, 9999), "read failed with error 9999");
    }

    #[cfg(feature = "std")]
    #[test]
    fn io_errors_keep_what_they_can() {
        use std::io;
        let error = Error::Os { op: Op::Signalfd, errno: libc::EMFILE };
        assert_eq!(error.op(), Some(Op::Signalfd));
        let io = io::Error::from(error);
        assert_eq!(io.raw_os_error(), Some(libc::EMFILE));
        for (error, kind) in [
            (Error::EmptySet, io::ErrorKind::InvalidInput),
            (Error::Forked, io::ErrorKind::Other),
        ] {
            let io = io::Error::from(error);
            assert_eq!(io.kind(), kind);
            assert_eq!(io.to_string(), error.to_string());
        }
    }
}
