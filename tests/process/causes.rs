//! Every cause, as the kernel reports it, and who sent it.

#![allow(unsafe_code, reason = "things that raise signals")]

use std::mem;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::ptr;
use std::time::{Duration, Instant};

use libc::{c_int, c_long};
use signalfd::{Cause, ChildState, Sender, SigInfo, Signal, Signals, open};

use crate::common::{
    Child, End, Forged, check, check_value, kernel_is_from, kill, pid,
    set_limit, sigqueue, tid, uid, wait_until,
};
use crate::harness::{cases, skip};

cases! {
    kill_from_another_process,
    kill_through_a_pidfd,
    tgkill_and_raise,
    queue_from_another_process,
    a_timer_with_its_overruns,
    an_interval_timer_is_the_kernels,
    a_message_queue,
    asynchronous_io,
    a_descriptor_that_is_ready,
    a_child_that_exits,
    a_child_that_is_killed,
    a_child_that_dumps_core,
    a_child_that_stops_and_continues,
    a_child_that_is_traced,
    a_fault_and_a_system_call,
    codes_without_a_name_are_kept,
}

fn next(signals: &Signals) -> SigInfo {
    signals.wait_timeout(Duration::from_secs(30)).unwrap().expect("a signal")
}

fn kill_from_another_process() {
    let signals = open(Signal::TERM).unwrap();
    let parent = pid();
    let child = Child::fork(move || {
        kill(parent, Signal::TERM);
        0
    });
    let info = next(&signals);
    let (pid, uid) = (child.pid as u32, uid());
    assert_eq!(info.cause(), Cause::Kill);
    assert_eq!(info.code(), libc::SI_USER);
    assert_eq!(info.sender(), Sender::Verified { pid, uid });
    assert_eq!((info.pid(), info.uid()), (Some(pid), Some(uid)));
    child.wait_for_success();
}

fn kill_through_a_pidfd() {
    if !kernel_is_from((5, 3)) {
        skip("pidfds need Linux 5.3");
    }
    let signals = open(Signal::TERM).unwrap();
    let own = rustix::process::getpid();
    let flags = rustix::process::PidfdFlags::empty();
    let pidfd = rustix::process::pidfd_open(own, flags).unwrap();
    let signal = rustix::process::Signal::TERM;
    rustix::process::pidfd_send_signal(&pidfd, signal).unwrap();
    let info = next(&signals);
    assert_eq!(info.cause(), Cause::Kill);
    let (pid, uid) = (pid() as u32, uid());
    assert_eq!(info.sender(), Sender::Verified { pid, uid });
}

fn tgkill_and_raise() {
    let signals = open(Signal::TERM).unwrap();
    let sender = Sender::Verified { pid: pid() as u32, uid: uid() };
    crate::common::tgkill(tid(), Signal::TERM);
    let info = next(&signals);
    assert_eq!((info.cause(), info.sender()), (Cause::Tgkill, sender));
    // SAFETY: sends a blocked signal to this thread.
    check(unsafe { libc::raise(libc::SIGTERM) }).unwrap();
    let info = next(&signals);
    assert_eq!((info.cause(), info.sender()), (Cause::Tgkill, sender));
}

fn queue_from_another_process() {
    let rt = Signal::rt(1).unwrap();
    let signals = open(rt | Signal::USR1).unwrap();
    let parent = pid();
    let child = Child::fork(move || {
        sigqueue(parent, Signal::USR1, -1).unwrap();
        sigqueue(parent, rt, 42).unwrap();
        0
    });
    let (pid, uid) = (child.pid as u32, uid());
    child.wait_for_success();
    for (signal, value) in [(Signal::USR1, -1), (rt, 42)] {
        let info = next(&signals);
        assert_eq!(info.signal(), signal);
        assert_eq!(info.cause(), Cause::Queue { value });
        assert_eq!(info.value(), Some(value));
        assert_eq!(info.sender(), Sender::Claimed { pid, uid });
    }
}

/// A `sigevent` that asks for a signal with a value.
const fn event(signal: Signal, value: usize) -> libc::sigevent {
    // SAFETY: an all-zero sigevent is one.
    let mut event: libc::sigevent = unsafe { mem::zeroed() };
    event.sigev_notify = libc::SIGEV_SIGNAL;
    event.sigev_signo = signal.as_raw();
    event.sigev_value.sival_ptr = ptr::without_provenance_mut(value);
    event
}

fn a_timer_with_its_overruns() {
    let signals = open(Signal::ALRM).unwrap();
    let mut event = event(Signal::ALRM, 5);
    let mut timer = ptr::null_mut();
    let clock = libc::CLOCK_MONOTONIC;
    // SAFETY: reads the event and writes the timer, which live past the call.
    check(unsafe { libc::timer_create(clock, &raw mut event, &raw mut timer) })
        .unwrap();
    let often = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 };
    let period = libc::itimerspec { it_interval: often, it_value: often };
    let old = ptr::null_mut();
    // SAFETY: reads the times, which live past the call.
    check(unsafe { libc::timer_settime(timer, 0, &raw const period, old) })
        .unwrap();
    let start = Instant::now();
    wait_until("it has expired often", || start.elapsed().as_millis() >= 20);
    let info = next(&signals);
    let Cause::Timer { id, overrun, value, .. } = info.cause() else {
        panic!("{info:?}");
    };
    assert!(overrun >= 15, "{overrun}");
    assert_eq!(value, 5);
    assert_eq!(info.overrun(), Some(overrun));
    assert_eq!(info.timer_id(), Some(id));
    assert_eq!((info.value(), info.pid(), info.uid()), (Some(5), None, None));
    // Anyone who may signal us could have sent this.
    assert!(matches!(info.sender(), Sender::Claimed { .. }));
    // It goes on: receiving it arms it again.
    assert!(matches!(next(&signals).cause(), Cause::Timer { .. }));
    // SAFETY: the timer was made above.
    check(unsafe { libc::timer_delete(timer) }).unwrap();
    while signals.try_recv().unwrap().is_some() {}
}

fn an_interval_timer_is_the_kernels() {
    let signals = open(Signal::ALRM).unwrap();
    let soon = libc::itimerval {
        it_interval: libc::timeval { tv_sec: 0, tv_usec: 0 },
        it_value: libc::timeval { tv_sec: 0, tv_usec: 1000 },
    };
    let old = ptr::null_mut::<libc::itimerval>();
    let which = c_long::from(libc::ITIMER_REAL as c_int);
    // SAFETY: reads the times, which live past the call.
    let result = unsafe {
        libc::syscall(libc::SYS_setitimer, which, &raw const soon, old)
    };
    check(result).unwrap();
    let info = next(&signals);
    assert_eq!(info.cause(), Cause::Kernel);
    assert_eq!(info.sender(), Sender::Kernel);
}

fn a_message_queue() {
    // For musl the crate `libc` does not have it.
    unsafe extern "C" {
        fn mq_notify(
            queue: libc::mqd_t,
            event: *const libc::sigevent,
        ) -> libc::c_int;
    }
    let signals = open(Signal::USR1).unwrap();
    let name = std::ffi::CString::new(format!("/signalfd-test-{}", pid()));
    let name = name.unwrap();
    // SAFETY: reads the name; the null attributes are the defaults.
    let queue = unsafe {
        let none = ptr::null_mut::<libc::mq_attr>();
        let flags = libc::O_CREAT | libc::O_RDWR;
        libc::mq_open(name.as_ptr(), flags, 0o600_u32, none)
    };
    let Ok(queue) = check_value(queue) else {
        skip("this kernel has no message queues");
    };
    // SAFETY: reads the name.
    check(unsafe { libc::mq_unlink(name.as_ptr()) }).unwrap();
    let event = event(Signal::USR1, 6);
    // SAFETY: reads the event, which lives past the call.
    check(unsafe { mq_notify(queue, &raw const event) }).unwrap();
    // SAFETY: reads one byte.
    check(unsafe { libc::mq_send(queue, c"x".as_ptr(), 1, 0) }).unwrap();
    let info = next(&signals);
    assert_eq!(info.cause(), Cause::MessageQueue { value: 6 });
    let (pid, uid) = (pid() as u32, uid());
    assert_eq!(info.sender(), Sender::Claimed { pid, uid });
}

/// The C library does asynchronous I/O with threads, and sends this itself.
fn asynchronous_io() {
    let signals = open(Signal::USR1).unwrap();
    let (pid, uid) = (pid() as u32, uid());
    Forged::new(Signal::USR1, libc::SI_ASYNCIO, pid, uid, 8)
        .queue(crate::common::pid())
        .unwrap();
    let info = next(&signals);
    assert_eq!(info.cause(), Cause::AsyncIo { value: 8 });
    assert_eq!(info.sender(), Sender::Claimed { pid, uid });
}

/// `include/uapi/asm-generic/fcntl.h`; libc does not have it.
const F_SETSIG: c_int = 10;

fn a_descriptor_that_is_ready() {
    let rt = Signal::rt(2).unwrap();
    let signals = open(rt).unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let fd = ours.as_raw_fd();
    for (command, argument) in [
        (libc::F_SETOWN, pid()),
        (F_SETSIG, rt.as_raw()),
        (libc::F_SETFL, libc::O_ASYNC | libc::O_NONBLOCK),
    ] {
        // SAFETY: takes numbers.
        check(unsafe { libc::fcntl(fd, command, argument) }).unwrap();
    }
    std::io::Write::write_all(&mut &theirs, b"x").unwrap();
    let info = next(&signals);
    let Cause::Io { fd: told, band, .. } = info.cause() else {
        panic!("{info:?}");
    };
    assert_eq!(told, fd);
    assert_ne!(band & libc::POLLIN as u32, 0);
    assert_eq!((info.fd(), info.band()), (Some(fd), Some(band)));
    assert_eq!((info.pid(), info.value()), (None, None));
    assert_eq!(info.sender(), Sender::Kernel);
    // In this order: the end of the other side would be told, too.
    drop(ours);
    drop(theirs);
}

/// Checks the next record, which has to be a child's.
fn child_info(signals: &Signals, child: i32, state: ChildState, status: i32) {
    let info = next(signals);
    let Cause::Child { state: told, pid, uid: owner, status: code, .. } =
        info.cause()
    else {
        panic!("{info:?}");
    };
    assert_eq!((told, code), (state, status));
    assert_eq!((pid, owner), (child as u32, uid()));
    assert_eq!((info.pid(), info.status()), (Some(pid), Some(status)));
    assert!(info.utime().is_some() && info.stime().is_some());
    assert_eq!(info.value(), None);
    assert_eq!(info.sender(), Sender::Kernel);
}

fn a_child_that_exits() {
    let signals = open(Signal::CHLD).unwrap();
    let child = Child::fork(|| 7);
    child_info(&signals, child.pid, ChildState::Exited, 7);
    assert_eq!(child.wait(), End::Exited(7));
}

fn a_child_that_is_killed() {
    let signals = open(Signal::CHLD).unwrap();
    let child = Child::fork(pause);
    kill(child.pid, Signal::KILL);
    child_info(&signals, child.pid, ChildState::Killed, libc::SIGKILL);
    assert_eq!(child.wait(), End::Killed(libc::SIGKILL));
}

fn a_child_that_dumps_core() {
    let signals = open(Signal::CHLD).unwrap();
    let child = Child::fork(|| {
        set_limit(libc::RLIMIT_CORE, libc::RLIM_INFINITY);
        let directory = std::env::temp_dir();
        std::env::set_current_dir(directory).unwrap();
        std::process::abort();
    });
    let info = next(&signals);
    let Cause::Child { state, status, .. } = info.cause() else {
        panic!("{info:?}");
    };
    // Whether it dumps is the system's choice.
    assert!(matches!(state, ChildState::Dumped | ChildState::Killed));
    assert_eq!(status, libc::SIGABRT);
    let _core = std::fs::remove_file(
        std::env::temp_dir().join(format!("core.{}", child.pid)),
    );
    assert_eq!(child.wait(), End::Killed(libc::SIGABRT));
}

fn a_child_that_stops_and_continues() {
    let signals = open(Signal::CHLD).unwrap();
    let child = Child::fork(pause);
    kill(child.pid, Signal::STOP);
    child_info(&signals, child.pid, ChildState::Stopped, libc::SIGSTOP);
    kill(child.pid, Signal::CONT);
    child_info(&signals, child.pid, ChildState::Continued, libc::SIGCONT);
    kill(child.pid, Signal::KILL);
    child_info(&signals, child.pid, ChildState::Killed, libc::SIGKILL);
    child.wait();
}

fn a_child_that_is_traced() {
    let signals = open(Signal::CHLD).unwrap();
    let child = Child::fork(|| {
        // SAFETY: lets the parent trace this process.
        let result = unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) };
        check(result).unwrap();
        // SAFETY: stops this process, since it is traced.
        check(unsafe { libc::raise(libc::SIGUSR1) }).unwrap();
        0
    });
    child_info(&signals, child.pid, ChildState::Trapped, libc::SIGUSR1);
    kill(child.pid, Signal::KILL);
    child.wait();
}

fn pause() -> i32 {
    loop {
        // SAFETY: waits for a signal.
        unsafe { libc::pause() };
    }
}

/// Real ones kill the thread that blocks them, so these are the process's own.
fn a_fault_and_a_system_call() {
    let signals = open(Signal::TRAP | Signal::SYS).unwrap();
    let word = if cfg!(target_pointer_width = "64") { 2 } else { 1 };
    let mut fault = Forged::new(Signal::TRAP, 1, 0x1234, 0, 0);
    fault.queue(pid()).unwrap();
    let info = next(&signals);
    assert!(matches!(info.cause(), Cause::Fault { addr: 0x1234, .. }));
    assert_eq!(info.addr(), Some(0x1234));
    assert_eq!(info.sender(), Sender::Kernel);
    if !kernel_is_from((4, 18)) {
        skip("what a signalfd says of a system call needs Linux 4.18");
    }
    fault.signo = Signal::SYS.as_raw();
    fault.union[word..word + 2].copy_from_slice(&[39, 0xC000_003E]);
    fault.queue(pid()).unwrap();
    let info = next(&signals);
    assert!(matches!(
        info.cause(),
        Cause::Syscall {
            syscall: 39,
            call_addr: 0x1234,
            arch: 0xC000_003E,
            ..
        }
    ));
    assert_eq!(info.syscall(), Some(39));
}

fn codes_without_a_name_are_kept() {
    let signals = open(Signal::USR1).unwrap();
    for code in [-60, -7, -100, 0x7F, 0x81, i32::MAX, i32::MIN] {
        Forged::new(Signal::USR1, code, 1, 2, 3).queue(pid()).unwrap();
        let info = next(&signals);
        assert_eq!(info.cause(), Cause::Other { code });
        assert_eq!(info.code(), code);
    }
}
