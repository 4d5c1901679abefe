//! Threads that sleep in a system call while their signals are blocked for them.
//!
//! signal(7) lists the calls that are restarted after a handler of `SA_RESTART`, and
//! those that fail with `EINTR`. Each is made in a process of its own, since one that is
//! restarted does not return. `every.rs` has more of them, which end.

#![allow(unsafe_code, reason = "calls that sleep")]

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::ptr;
use std::sync::atomic::AtomicU32;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use libc::{c_int, c_long};
use signalfd::Signal;

use super::every::end_with_the_parent;
use crate::common::{Child, End, options, pid, tid, wait_until_asleep};
use crate::harness::cases;

cases! {
    those_that_can_be_are_restarted,
    the_others_fail_with_eintr,
}

type Call = (&'static str, fn(&Things) -> c_long);

const RESTARTED: [Call; 5] = [
    ("accept", accept),
    ("connect", connect),
    ("flock", flock),
    ("fcntl", fcntl),
    ("wait4", wait4),
];

const FAIL: [Call; 8] = [
    ("pause", pause),
    ("sigsuspend", sigsuspend),
    ("select", select),
    ("futex", futex_with_a_timeout),
    ("recv", recv_with_a_timeout),
    ("semop", semop),
    ("msgrcv", msgrcv),
    ("io_getevents", io_getevents),
];

/// Long enough that only a failing test waits for it.
static LONG: libc::timespec = libc::timespec { tv_sec: 1000, tv_nsec: 0 };

/// What the calls need.
struct Things {
    paths: [PathBuf; 2],
    files: [File; 2],
    listener: UnixListener,
    sockets: [UnixStream; 2],
}

impl Things {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("signalfd-{}", pid()));
        let socket = path.with_extension("socket");
        let files = [(); 2].map(|()| File::create(&path).unwrap());
        let listener = UnixListener::bind(&socket).unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let timeout = Duration::from_secs(1000);
        theirs.set_read_timeout(Some(timeout)).unwrap();
        let sockets = [ours, theirs];
        Self { paths: [path, socket], files, listener, sockets }
    }

    fn descriptors(&self) -> [RawFd; 2] {
        self.files.each_ref().map(AsRawFd::as_raw_fd)
    }
}

impl Drop for Things {
    fn drop(&mut self) {
        self.paths.iter().for_each(|path| fs::remove_file(path).unwrap());
    }
}

fn accept(things: &Things) -> c_long {
    let (fd, none) = (things.listener.as_raw_fd(), ptr::null_mut());
    // SAFETY: writes no address.
    unsafe { libc::accept(fd, none, ptr::null_mut()) }.into()
}

/// Until there is no room in the queue of who does not accept.
fn connect(things: &Things) -> c_long {
    let [_, socket] = &things.paths;
    loop {
        match UnixStream::connect(socket) {
            Ok(stream) => std::mem::forget(stream),
            Err(_) => return -1,
        }
    }
}

fn flock(things: &Things) -> c_long {
    let [holder, waiter] = things.descriptors();
    // SAFETY: takes numbers.
    assert_eq!(unsafe { libc::flock(holder, libc::LOCK_EX) }, 0);
    // SAFETY: as above.
    unsafe { libc::flock(waiter, libc::LOCK_EX) }.into()
}

fn fcntl(things: &Things) -> c_long {
    let lock = |fd| {
        // SAFETY: an all-zero value is allowed: it is made of integers.
        let mut lock: libc::flock = unsafe { std::mem::zeroed() };
        lock.l_type = libc::F_WRLCK.try_into().unwrap();
        // SAFETY: reads the lock, which lives past the call.
        unsafe { libc::fcntl(fd, libc::F_OFD_SETLKW, &raw mut lock) }
    };
    let [holder, waiter] = things.descriptors();
    assert_eq!(lock(holder), 0);
    lock(waiter).into()
}

fn wait4(_: &Things) -> c_long {
    let parent = std::process::id();
    // It does not return, and goes with this thread.
    let _child = Child::fork(move || {
        end_with_the_parent();
        if std::os::unix::process::parent_id() == parent {
            pause_for_good();
        }
        0
    });
    // SAFETY: writes nothing.
    unsafe { libc::wait4(-1, ptr::null_mut(), 0, ptr::null_mut()) }.into()
}

fn pause_for_good() {
    loop {
        // SAFETY: has no preconditions.
        unsafe { libc::pause() };
    }
}

fn pause(_: &Things) -> c_long {
    // SAFETY: has no preconditions.
    unsafe { libc::pause() }.into()
}

fn sigsuspend(_: &Things) -> c_long {
    // SAFETY: an all-zero set is an empty one on Linux.
    let empty = unsafe { std::mem::zeroed() };
    // SAFETY: reads the set, which lives past the call.
    unsafe { libc::sigsuspend(&raw const empty) }.into()
}

fn select(_: &Things) -> c_long {
    let none = ptr::null_mut();
    // SAFETY: reads and writes no sets.
    unsafe { libc::select(0, none, none, none, ptr::null_mut()) }.into()
}

fn futex_with_a_timeout(_: &Things) -> c_long {
    static WORD: AtomicU32 = AtomicU32::new(0);
    let (word, wait) = (WORD.as_ptr(), libc::FUTEX_WAIT);
    // SAFETY: waits on a word of this program, and reads a time.
    unsafe { libc::syscall(libc::SYS_futex, word, wait, 0, &raw const LONG) }
}

fn recv_with_a_timeout(things: &Things) -> c_long {
    let [_, theirs] = &things.sockets;
    let mut byte = 0_u8;
    let (fd, place) = (theirs.as_raw_fd(), (&raw mut byte).cast());
    // SAFETY: writes one byte.
    unsafe { libc::recv(fd, place, 1, 0) as c_long }
}

fn semop(_: &Things) -> c_long {
    // SAFETY: takes numbers.
    let id = unsafe { libc::semget(libc::IPC_PRIVATE, 1, 0o600) };
    let mut take = libc::sembuf { sem_num: 0, sem_op: -1, sem_flg: 0 };
    // SAFETY: reads one operation, which lives past the call.
    let result = unsafe { libc::semop(id, &raw mut take, 1) };
    keeping_errno(|| {
        // SAFETY: takes numbers.
        unsafe { libc::semctl(id, 0, libc::IPC_RMID) }
    });
    result.into()
}

fn msgrcv(_: &Things) -> c_long {
    // SAFETY: takes numbers.
    let id = unsafe { libc::msgget(libc::IPC_PRIVATE, 0o600) };
    let mut room = [0_u64; 4];
    let place = room.as_mut_ptr().cast();
    // SAFETY: writes a type and eight bytes at most.
    let result = unsafe { libc::msgrcv(id, place, 8, 0, 0) };
    keeping_errno(|| {
        // SAFETY: takes numbers, and writes nothing.
        unsafe { libc::msgctl(id, libc::IPC_RMID, ptr::null_mut()) }
    });
    result as c_long
}

fn io_getevents(_: &Things) -> c_long {
    let mut context = 0_usize;
    // SAFETY: writes a number.
    let result =
        unsafe { libc::syscall(libc::SYS_io_setup, 1, &raw mut context) };
    assert_eq!(result, 0);
    let mut events = [0_u64; 4];
    let (number, place) = (libc::SYS_io_getevents, events.as_mut_ptr());
    // SAFETY: writes one event at most, which is 32 bytes.
    unsafe { libc::syscall(number, context, 1_i64, 1_i64, place, 0_usize) }
}

fn keeping_errno(call: impl FnOnce() -> c_int) {
    // SAFETY: points to this thread's errno.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let before = unsafe { *errno };
    assert_eq!(call(), 0);
    // SAFETY: as above.
    unsafe { *errno = before };
}

/// Makes a call in a thread, blocks a signal there, and tells how the call has ended:
/// with the number of its error, or `None` if it sleeps on.
fn interrupt(things: &Things, (name, call): Call, returns: bool) {
    const SLEEPS_ON: i32 = 100;
    let child = Child::fork(|| {
        let (tell, told) = channel();
        thread::scope(|scope| {
            scope.spawn(move || {
                tell.send(tid()).unwrap();
                let result = call(things);
                let errno = io::Error::last_os_error().raw_os_error().unwrap();
                println!("{name}: {result} {errno}");
                let code = if result == -1 { errno } else { 0 };
                // SAFETY: ends the child.
                unsafe { libc::_exit(code) };
            });
            let sleeper = told.recv().unwrap();
            wait_until_asleep(sleeper);
            let signals = options().every_thread(true).open(Signal::TERM);
            let signals = signals.unwrap();
            let every = signals.every_thread().unwrap();
            assert_eq!(every.late(), Ok(None));
            assert_eq!(every.healed(), 1);
            if returns {
                loop {
                    thread::park();
                }
            }
            wait_until_asleep(sleeper);
            // SAFETY: ends the child.
            unsafe { libc::_exit(SLEEPS_ON) };
        })
    });
    let code = if returns { libc::EINTR } else { SLEEPS_ON };
    assert_eq!(child.wait(), End::Exited(code), "{name}");
}

fn those_that_can_be_are_restarted() {
    let things = Things::new();
    for call in RESTARTED {
        interrupt(&things, call, false);
    }
}

fn the_others_fail_with_eintr() {
    let things = Things::new();
    for call in FAIL {
        interrupt(&things, call, true);
    }
}
