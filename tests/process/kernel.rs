//! What the kernel does with signals, where `docs/SIGNALS.md` says so and no other test
//! shows it.

#![allow(unsafe_code, reason = "a fault, and its handler")]

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicUsize, Ordering};
use std::thread;

use libc::{c_int, c_void};
use signalfd::{Batch, Signal, SignalSet, block, open};

use super::every::Threads;
use super::exit::fork_pid_1;
use crate::common::{
    Child, check, check_value, is_pending, kill, pid, raise, set_action,
    sigqueue, sigqueue_to_thread, tid, wait_until,
};
use crate::harness::{cases, to_die_here};

cases! {
    what_a_thread_has_done_itself_is_for_it,
    what_is_for_the_thread_is_read_first,
    the_continuation_and_stops_remove_each_other,
    a_thread_that_does_not_block_takes_it_and_the_process_ends => libc::SIGTERM,
    what_a_thread_does_not_block_is_dropped_where_it_is_ignored_by_default,
    an_inherited_descriptor_has_the_childs_signals_and_the_parents_set,
    the_first_of_a_namespace_is_not_ended_by_default,
    what_is_ignored_is_dropped_as_it_is_sent,
    a_directory_has_a_link_for_each_thread,
}

/// By that the check of threads sees that it has left none out.
fn a_directory_has_a_link_for_each_thread() {
    let links = || fs::metadata("/proc/self/task").unwrap().nlink();
    let threads = || fs::read_dir("/proc/self/task").unwrap().count() as u64;
    let before = threads();
    assert_eq!(links(), 2 + before);
    let three = Threads::idle(3);
    assert_eq!(threads(), before + 3);
    assert_eq!(links(), 2 + before + 3);
    three.end();
}

static PAGE: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
static SIZE: AtomicUsize = AtomicUsize::new(0);
static FAULTED: AtomicI32 = AtomicI32::new(0);

/// Notes in which thread, and lets it go on.
extern "C" fn allow(_signal: c_int) {
    FAULTED.store(tid(), Ordering::SeqCst);
    let page = PAGE.load(Ordering::SeqCst);
    let size = SIZE.load(Ordering::SeqCst);
    // SAFETY: a page of nobody else's.
    unsafe { libc::mprotect(page, size, libc::PROT_READ) };
}

/// A fault, and `SIGPIPE`.
fn what_a_thread_has_done_itself_is_for_it() {
    set_action(Signal::SEGV, allow as extern "C" fn(c_int) as usize, 0);
    // SAFETY: takes a number.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    let size = usize::try_from(size).unwrap();
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let none = ptr::null_mut();
    // SAFETY: makes a mapping of its own.
    let page = unsafe { libc::mmap(none, size, libc::PROT_NONE, flags, -1, 0) };
    assert_ne!(page, libc::MAP_FAILED);
    SIZE.store(size, Ordering::SeqCst);
    PAGE.store(page, Ordering::SeqCst);

    let pipe: SignalSet = Signal::PIPE.into();
    let outer = open(pipe).unwrap();
    thread::spawn(move || {
        let page = PAGE.load(Ordering::SeqCst).cast::<u8>();
        // SAFETY: it is mapped, and the handler makes it readable.
        assert_eq!(unsafe { page.read_volatile() }, 0);
        assert_eq!(FAULTED.load(Ordering::SeqCst), tid());

        let mut ends = [0; 2];
        // SAFETY: writes two descriptors.
        check(unsafe { libc::pipe(ends.as_mut_ptr()) }).unwrap();
        // SAFETY: nobody else has it.
        check(unsafe { libc::close(ends[0]) }).unwrap();
        // SAFETY: writes one byte of the array.
        let wrote = unsafe { libc::write(ends[1], [0_u8].as_ptr().cast(), 1) };
        assert_eq!(wrote, -1);
        assert!(is_pending(Signal::PIPE));
        let is_over = thread::scope(|scope| {
            let others = scope.spawn(|| is_pending(Signal::PIPE));
            others.join().unwrap()
        });
        assert!(!is_over, "another thread has it");
        let receiver = signalfd::Receiver::new(pipe).unwrap();
        let info = receiver.try_recv().unwrap().unwrap();
        assert_eq!(info.signal(), Signal::PIPE);
    })
    .join()
    .unwrap();
    assert_eq!(outer.try_recv(), Ok(None));
}

/// Whatever their numbers are, and when they came.
fn what_is_for_the_thread_is_read_first() {
    let [low, high] = [0, 1].map(|n| Signal::rt(n).unwrap());
    let signals = open(low | high | Signal::HUP).unwrap();
    kill(pid(), Signal::HUP);
    sigqueue(pid(), low, 1).unwrap();
    sigqueue_to_thread(tid(), high, 2);
    sigqueue_to_thread(tid(), low, 3);
    let mut batch = Batch::<8>::new();
    let infos = signals.try_recv_batch(&mut batch).unwrap();
    let order: Vec<_> =
        infos.iter().map(|info| (info.signal(), info.value())).collect();
    let expected =
        [(low, Some(3)), (high, Some(2)), (Signal::HUP, None), (low, Some(1))];
    assert_eq!(order, expected);
}

/// Though they are blocked, and whomever they are for.
fn the_continuation_and_stops_remove_each_other() {
    let stops = [Signal::TSTP, Signal::TTIN, Signal::TTOU];
    let stop_set = stops.into_iter().collect::<SignalSet>();
    let _guard = block(stop_set | Signal::CONT).unwrap();
    for stop in stops {
        raise(stop);
        kill(pid(), stop);
    }
    assert!(stops.into_iter().all(is_pending));
    kill(pid(), Signal::CONT);
    assert!(is_pending(Signal::CONT));
    assert!(!stops.into_iter().any(is_pending));
    for stop in stops {
        kill(pid(), Signal::CONT);
        kill(pid(), stop);
        assert!(is_pending(stop));
        assert!(!is_pending(Signal::CONT));
    }
    // Or it would stop now.
    kill(pid(), Signal::CONT);
}

/// It was there before the mask.
fn a_thread_that_does_not_block_takes_it_and_the_process_ends() {
    let _threads = Threads::idle(1);
    let _guard = block(Signal::TERM).unwrap();
    to_die_here();
    kill(pid(), Signal::TERM);
    loop {
        thread::park();
    }
}

fn what_a_thread_does_not_block_is_dropped_where_it_is_ignored_by_default() {
    let all = [Signal::CHLD, Signal::WINCH, Signal::URG];
    let threads = Threads::idle(1);
    let guard = block(all.into_iter().collect::<SignalSet>()).unwrap();
    for signal in all {
        kill(pid(), signal);
        wait_until("it is dropped", || !is_pending(signal));
    }
    threads.end();
    // Where all block it, it stays.
    for signal in all {
        kill(pid(), signal);
        assert!(is_pending(signal));
    }
    drop(guard);
}

/// Unless it is blocked.
fn what_is_ignored_is_dropped_as_it_is_sent() {
    set_action(Signal::HUP, libc::SIG_IGN, 0);
    for signal in [Signal::HUP, Signal::CHLD] {
        kill(pid(), signal);
        let guard = block(signal).unwrap();
        assert!(!is_pending(signal));
        kill(pid(), signal);
        assert!(is_pending(signal));
        drop(guard);
    }
}

/// Reads one signal of a signalfd, if there is one.
fn read_signal(fd: c_int) -> Option<libc::signalfd_siginfo> {
    let size = size_of::<libc::signalfd_siginfo>();
    // SAFETY: an all-zero value is allowed: it is made of integers.
    let mut info: libc::signalfd_siginfo = unsafe { std::mem::zeroed() };
    let to = (&raw mut info).cast::<c_void>();
    // SAFETY: writes as much at the pointer.
    let read = unsafe { libc::read(fd, to, size) };
    (read == size.try_into().unwrap()).then_some(info)
}

/// What `fork(2)` makes of a signalfd, which is why a child may not use one.
fn an_inherited_descriptor_has_the_childs_signals_and_the_parents_set() {
    let both = Signal::USR1 | Signal::USR2;
    let _guard = block(both).unwrap();
    let signalfd = |fd: c_int, signal: Signal| {
        // SAFETY: an all-zero set is an empty one on Linux.
        let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
        // SAFETY: adds to a set.
        unsafe { libc::sigaddset(&raw mut set, signal.as_raw()) };
        // SAFETY: reads a set.
        check_value(unsafe {
            libc::signalfd(fd, &raw const set, libc::SFD_NONBLOCK)
        })
        .unwrap()
    };
    let fd = signalfd(-1, Signal::USR1);
    kill(pid(), Signal::USR1);
    Child::fork(|| {
        assert!(read_signal(fd).is_none(), "it is the parent's");
        kill(pid(), Signal::USR1);
        let info = read_signal(fd).expect("it is the child's");
        assert_eq!(info.ssi_pid, std::process::id());
        signalfd(fd, Signal::USR2);
        0
    })
    .wait_for_success();
    assert!(is_pending(Signal::USR1));
    assert!(read_signal(fd).is_none(), "the child has changed the set");
    kill(pid(), Signal::USR2);
    let info = read_signal(fd).unwrap();
    assert_eq!(info.ssi_signo, libc::SIGUSR2 as u32);
    signalfd(fd, Signal::USR1);
    let info = read_signal(fd).unwrap();
    assert_eq!(info.ssi_pid, std::process::id());
}

/// It does not notice, but what it blocks is pending.
fn the_first_of_a_namespace_is_not_ended_by_default() {
    fork_pid_1(|| {
        kill(pid(), Signal::TERM);
        let _guard = block(Signal::TERM).unwrap();
        assert!(!is_pending(Signal::TERM));
        kill(pid(), Signal::TERM);
        assert!(is_pending(Signal::TERM));
        0
    })
    .wait_for_success();
}
