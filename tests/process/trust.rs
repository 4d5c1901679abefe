//! Who may claim to be whom, and what others can do to a receiver. `docs/TRUST.md` says
//! what follows from it.

#![allow(unsafe_code, reason = "becomes other users, and forges")]

use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use libc::{c_int, c_long};
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions};
use signalfd::{
    Batch, Cause, MaskGuard, Reaper, Receiver, Sender, SigInfo, Signal,
    SignalSet, block,
};

use crate::allocations::without_allocating;
use crate::common::{
    Child, DEADLINE, Forged, HeldCalls, be_an_older_kernel, can_queue_any_code,
    check, kernel_is_from, kill, may_look_at_itself, open, options, pid,
    queued, set_action, set_limit, set_mask, sigqueue, storm_size, tid, uid,
    wait_until, wait_until_asleep,
};
use crate::every::have_some_left;
use crate::examples::{assert_line, example, run};
use crate::exit::fork_pid_1;
use crate::harness::{battery, cases, skip};

cases! {
    who_kills_is_named,
    it_is_the_real_user_who_is_named,
    what_a_sender_makes_up_is_only_claimed,
    the_kernel_refuses_its_own_codes_from_others,
    what_was_put_back_by_another_thread_is_only_claimed,
    what_a_process_forged_before_exec_is_believed,
    a_full_queue_is_nobody,
    kill_names_its_sender_though_the_queue_is_full,
    who_is_outside_the_pid_namespace_is_nobody,
    root_of_another_user_namespace_is_not_root,
    who_is_in_a_namespace_of_its_own_names_its_pid_there,
    a_user_without_a_number_here_is_the_overflow_user,
    a_descriptor_of_another_process_makes_the_kernel_send,
    a_forged_sigchld_hides_the_real_one_and_no_child,
    another_user_of_the_session_may_continue_it,
    the_crates_own_signals_cannot_be_imitated,
    a_wake_is_taken_for_no_signal_and_none_for_a_wake,
    a_wake_that_meets_a_record_of_its_number_is_none_the_less_one,
    a_wake_without_a_timer_is_one_too,
    a_forged_timer_is_no_wake,
    a_flood_of_another_user_costs_what_it_sends,
    continuations_of_another_user_coalesce_and_keep_nobody_awake,
    what_is_not_received_costs_nothing,
}

fn rt(n: u8) -> Signal {
    Signal::rt(n).unwrap()
}

fn next(receiver: &Receiver) -> SigInfo {
    receiver.wait_timeout(DEADLINE).unwrap().expect("a signal")
}

/// The number of a user who is nobody here.
const OTHER: u32 = 65_533;

/// Only root can become another user, and only where there are others.
fn needs_other_users() {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap();
    let has_all = map.trim_end().ends_with(&u32::MAX.to_string());
    if uid() != 0 || !has_all {
        skip("only root can become another user, and not in a user namespace");
    }
}

/// Becomes another user: really, and also for what is allowed if `wholly`.
fn become_other(wholly: bool) {
    needs_other_users();
    let rest = if wholly { OTHER } else { 0 };
    // SAFETY: takes numbers.
    check(unsafe { libc::setresuid(OTHER, rest, rest) }).unwrap();
    may_look_at_itself();
}

/// Has another process do something, once.
fn elsewhere(work: impl FnOnce()) -> u32 {
    let child = Child::fork(|| {
        work();
        0
    });
    let pid = child.pid;
    child.wait_for_success();
    pid.try_into().unwrap()
}

/// Blocks signals that nobody receives, and that end nothing when they are unblocked.
fn unread(set: SignalSet) -> MaskGuard {
    for signal in set.signals() {
        set_action(signal, libc::SIG_IGN, 0);
    }
    block(set).unwrap()
}

// ---------------------------------------------------------------------------
// Verified

fn who_kills_is_named() {
    let signals = open(Signal::USR1).unwrap();
    let to = pid();
    let pid = elsewhere(|| kill(to, Signal::USR1));
    let sender = Sender::Verified { pid, uid: uid() };
    assert_eq!(next(&signals).sender(), sender);
}

/// Whether it may send is decided by the effective one.
fn it_is_the_real_user_who_is_named() {
    let signals = open(Signal::USR1).unwrap();
    needs_other_users();
    let to = pid();
    let pid = elsewhere(|| {
        become_other(false);
        kill(to, Signal::USR1);
    });
    let sender = Sender::Verified { pid, uid: OTHER };
    assert_eq!(next(&signals).sender(), sender);
}

/// Codes that the crate has made up, too: of records that went back.
fn what_a_sender_makes_up_is_only_claimed() {
    let private = i32::from_ne_bytes(0xB0C5_0000_u32.to_ne_bytes());
    let kill = private | libc::SI_USER;
    let exited = private | libc::CLD_EXITED;
    let (to, signals) = (pid(), open(Signal::USR1 | Signal::CHLD).unwrap());
    for code in [-1, -2, -3, -4, -5, -7, -60, i32::MIN, kill, exited] {
        for (pid, uid) in [(1, 0), (to as u32, uid()), (0, 0), (4711, 1000)] {
            let forged = Forged::new(Signal::USR1, code, pid, uid, 0);
            // Its own end is a signal, too.
            elsewhere(|| forged.queue(to).unwrap());
            let mut infos = std::iter::repeat_with(|| next(&signals));
            let info = infos.find(|it| it.signal() == Signal::USR1).unwrap();
            let is_verified = matches!(info.sender(), Sender::Verified { .. });
            assert!(!is_verified && info.sender() != Sender::Kernel, "{info}");
        }
    }
}

/// By whatever call.
fn the_kernel_refuses_its_own_codes_from_others() {
    if !kernel_is_from((5, 3)) {
        skip("pidfds need Linux 5.3");
    }
    let _signals = open(Signal::USR1).unwrap();
    let pid = pid();
    let (to, signal) = (c_long::from(pid), c_long::from(libc::SIGUSR1));
    let of_it = Pid::from_raw(pid).unwrap();
    let pidfd = rustix::process::pidfd_open(of_it, PidfdFlags::empty());
    let pidfd = pidfd.unwrap();
    elsewhere(|| {
        for code in [libc::SI_USER, libc::SI_TKILL, 1, libc::SI_KERNEL] {
            let root = Forged::new(Signal::USR1, code, 1, 0, 0);
            assert!(root.queue(pid).is_err(), "{code}");
            let call = libc::SYS_rt_tgsigqueueinfo;
            // SAFETY: reads 128 bytes at the pointer, as many as there are.
            let result = unsafe { libc::syscall(call, to, to, signal, &root) };
            assert_eq!(result, -1, "{code}");
            let (call, fd) = (libc::SYS_pidfd_send_signal, pidfd.as_raw_fd());
            // SAFETY: as above.
            let result = unsafe { libc::syscall(call, fd, signal, &root, 0) };
            assert_eq!(result, -1, "{code}");
        }
    });
}

/// Unless the kernel lets any thread queue what only the kernel sends.
fn what_was_put_back_by_another_thread_is_only_claimed() {
    let (me, user) = (pid() as u32, uid());
    let signals = open(Signal::USR1).unwrap();
    kill(pid(), Signal::USR1);
    let info = next(&signals);
    assert!(matches!(info.sender(), Sender::Verified { .. }));
    let receiver: &Receiver = &signals;
    let put_back = || {
        thread::scope(|scope| {
            scope.spawn(|| receiver.put_back(&info).unwrap());
        });
        next(&signals).sender()
    };
    if can_queue_any_code() {
        assert_eq!(put_back(), Sender::Verified { pid: me, uid: user });
        be_an_older_kernel();
    }
    assert_eq!(put_back(), Sender::Claimed { pid: me, uid: user });
}

/// A process may queue anything to itself, and what is pending outlives exec(2). So what
/// a program finds when it starts was perhaps sent by who has started it.
fn what_a_process_forged_before_exec_is_believed() {
    let mut program = example("receive");
    let forge = || {
        set_mask(Signal::HUP.into());
        Forged::new(Signal::HUP, libc::SI_USER, 1, 0, 0).queue(pid())
    };
    // SAFETY: makes system calls.
    unsafe { program.pre_exec(forge) };
    let (_, text) = run(program.arg("--demo"));
    assert_line(&text, "SIGHUP ", &["pid=1", "uid=0", "sender=verified"]);
}

// ---------------------------------------------------------------------------
// Nobody

/// With no room for the record the kernel delivers the signal all the same, from
/// pid 0 and uid 0: that is nobody, and not root.
fn a_full_queue_is_nobody() {
    let signals = open(rt(1) | Signal::USR1).unwrap();
    for signal in [Signal::USR1, rt(1)] {
        let before = set_limit(libc::RLIMIT_SIGPENDING, 0);
        match sigqueue(pid(), signal, 1) {
            Ok(()) => assert_eq!(signal, Signal::USR1),
            // The sender is told, and may send it without a value.
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(libc::EAGAIN));
                kill(pid(), signal);
            }
        }
        let info = next(&signals);
        assert_eq!(info.signal(), signal);
        assert_eq!((info.pid(), info.uid()), (Some(0), Some(0)));
        assert_eq!(info.sender(), Sender::Unknown);
        assert_eq!(info.value(), None);
        // Nor when it comes back.
        set_limit(libc::RLIMIT_SIGPENDING, before);
        signals.put_back(&info).unwrap();
        assert_eq!(next(&signals).sender(), Sender::Unknown);
    }
}

fn kill_names_its_sender_though_the_queue_is_full() {
    let signals = open(Signal::TERM).unwrap();
    let _unread = unread(rt(1).into());
    set_limit(libc::RLIMIT_SIGPENDING, 100);
    while sigqueue(pid(), rt(1), 0).is_ok() {}
    let to = pid();
    let pid = elsewhere(|| kill(to, Signal::TERM));
    let sender = Sender::Verified { pid, uid: uid() };
    assert_eq!(next(&signals).sender(), sender);
}

fn who_is_outside_the_pid_namespace_is_nobody() {
    let (mut ours, mut theirs) = UnixStream::pair().unwrap();
    let inside = fork_pid_1(|| {
        let signals = open(Signal::TERM | rt(1)).unwrap();
        for sender in [Sender::Unknown, Sender::Claimed { pid: 0, uid: uid() }]
        {
            theirs.write_all(&[0]).unwrap();
            let info = next(&signals);
            // Whichever user it was.
            assert_eq!((info.pid(), info.uid()), (Some(0), Some(uid())));
            assert_eq!(info.sender(), sender);
        }
        0
    });
    ours.read_exact(&mut [0]).unwrap();
    kill(inside.pid, Signal::TERM);
    ours.read_exact(&mut [0]).unwrap();
    Forged::new(rt(1), libc::SI_QUEUE, 1, uid(), 0).queue(inside.pid).unwrap();
    inside.wait_for_success();
}

/// Makes a user namespace, in which this user is root, or has no number.
fn enter_user_namespace(is_root_there: bool) {
    let user = uid();
    // SAFETY: takes a number.
    if check(unsafe { libc::unshare(libc::CLONE_NEWUSER) }).is_err() {
        skip("no user namespace can be made here");
    }
    if is_root_there {
        std::fs::write("/proc/self/uid_map", format!("0 {user} 1")).unwrap();
        assert_eq!(uid(), 0);
    }
}

/// The kernel translates the uid, but not the pid.
fn who_is_in_a_namespace_of_its_own_names_its_pid_there() {
    let signals = open(Signal::USR1).unwrap();
    // A group of this process and its children.
    // SAFETY: takes numbers.
    check(unsafe { libc::setpgid(0, 0) }).unwrap();
    Child::fork(|| {
        let own = libc::CLONE_NEWUSER | libc::CLONE_NEWPID;
        // SAFETY: takes a number.
        if check(unsafe { libc::unshare(own) }).is_err() {
            skip("no user namespace can be made here");
        }
        let first = Child::fork(|| {
            kill(0, Signal::USR1);
            0
        });
        first.wait_for_success();
        0
    })
    .wait_for_success();
    let sender = next(&signals).sender();
    assert!(matches!(sender, Sender::Verified { pid: 1, .. }), "{sender:?}");
}

fn root_of_another_user_namespace_is_not_root() {
    if uid() == 0 {
        become_other(true);
    }
    let signals = open(Signal::USR1 | rt(1)).unwrap();
    let to = pid();
    let child = Child::fork(|| {
        enter_user_namespace(true);
        kill(to, Signal::USR1);
        // This says that it is of user 0.
        sigqueue(to, rt(1), 0).unwrap();
        0
    });
    let (pid, uid) = (child.pid as u32, uid());
    assert_ne!(uid, 0);
    child.wait_for_success();
    assert_eq!(next(&signals).sender(), Sender::Verified { pid, uid });
    assert_eq!(next(&signals).sender(), Sender::Claimed { pid, uid });
}

fn a_user_without_a_number_here_is_the_overflow_user() {
    let (mut ours, mut theirs) = UnixStream::pair().unwrap();
    let parent = pid();
    let overflow = std::fs::read_to_string("/proc/sys/kernel/overflowuid");
    let uid = overflow.unwrap().trim().parse().unwrap();
    let child = Child::fork(|| {
        enter_user_namespace(false);
        let signals = open(Signal::USR1).unwrap();
        theirs.write_all(&[0]).unwrap();
        let sender = Sender::Verified { pid: parent as u32, uid };
        assert_eq!(next(&signals).sender(), sender);
        0
    });
    drop(theirs);
    if ours.read_exact(&mut [0]).is_ok() {
        kill(child.pid, Signal::USR1);
    }
    child.wait_for_success();
}

// ---------------------------------------------------------------------------
// The kernel

/// `include/uapi/asm-generic/fcntl.h`; libc does not have it.
const F_SETSIG: c_int = 10;

/// What the kernel sends it sends perhaps on behalf of another process of the user. But
/// it tells nothing of children that is not so.
fn a_descriptor_of_another_process_makes_the_kernel_send() {
    let signals = open(Signal::USR1).unwrap();
    let to = pid();
    let ready = |signal: Signal| {
        let (read, write) = UnixStream::pair().unwrap();
        let fd = read.as_raw_fd();
        for (command, argument) in [
            (libc::F_SETOWN, to),
            (F_SETSIG, signal.as_raw()),
            (libc::F_SETFL, libc::O_ASYNC | libc::O_NONBLOCK),
        ] {
            // SAFETY: takes numbers.
            check(unsafe { libc::fcntl(fd, command, argument) }).unwrap();
        }
        (&write).write_all(b"x").unwrap();
        // The end of the other side would be told, too.
        drop(read);
    };
    elsewhere(|| ready(Signal::USR1));
    let info = next(&signals);
    assert!(matches!(info.cause(), Cause::Io { .. }), "{info}");
    assert_eq!(info.sender(), Sender::Kernel);
    let _guard = block(Signal::CHLD).unwrap();
    ready(Signal::CHLD);
    let signals = open(Signal::CHLD).unwrap();
    let info = next(&signals);
    assert!(!matches!(info.cause(), Cause::Child { .. }), "{info}");
    assert_ne!(info.sender(), Sender::Kernel);
}

/// Only one is pending, and it was there first. It even looks like one of the kernel's,
/// but for the sender.
fn a_forged_sigchld_hides_the_real_one_and_no_child() {
    let _guard = block(Signal::CHLD).unwrap();
    let to = pid();
    let private = i32::from_ne_bytes(0xB0C5_0700_u32.to_ne_bytes());
    let code = private | libc::CLD_EXITED;
    let children = [3, 5].map(|status| {
        Child::fork(move || {
            let forged = Forged::new(Signal::CHLD, code, 4711, 0, 0);
            forged.queue(to).unwrap();
            status
        })
    });
    for child in &children {
        let id = WaitId::Pid(Pid::from_raw(child.pid).unwrap());
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        rustix::process::waitid(id, options).unwrap();
    }
    let signals = open(Signal::CHLD).unwrap();
    let info = next(&signals);
    assert!(matches!(info.cause(), Cause::Child { pid: 4711, .. }), "{info}");
    assert_eq!(info.sender(), Sender::Claimed { pid: 4711, uid: 0 });
    assert_eq!(signals.try_recv(), Ok(None));
    let mut reaper = Reaper::<2>::new();
    for child in &children {
        reaper.add(child.pid.try_into().unwrap()).unwrap();
    }
    let exits = reaper.reap().map(|exit| exit.unwrap().status());
    let mut statuses = exits.collect::<Vec<_>>();
    statuses.sort_unstable();
    assert_eq!(statuses, [3, 5]);
}

// ---------------------------------------------------------------------------
// Others

/// A user may signal his own processes, root all; but for `SIGCONT`, which anyone may
/// send within a session.
fn another_user_of_the_session_may_continue_it() {
    let signals = open(Signal::CONT | Signal::USR1).unwrap();
    needs_other_users();
    let to = pid();
    elsewhere(|| {
        become_other(true);
        for signal in [Signal::USR1, Signal::TERM, Signal::KILL] {
            let root = Forged::new(signal, libc::SI_QUEUE, 1, 0, 0);
            let error = root.queue(to).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EPERM));
        }
        Forged::new(Signal::CONT, libc::SI_QUEUE, 1, 0, 0).queue(to).unwrap();
    });
    let info = next(&signals);
    assert_eq!(info.signal(), Signal::CONT);
    assert_eq!(info.sender(), Sender::Claimed { pid: 1, uid: 0 });
    assert_eq!(signals.try_recv(), Ok(None));
}

/// It sends some to threads, to have its handler run there.
fn the_crates_own_signals_cannot_be_imitated() {
    let signals = options().every_thread(true).open(rt(1)).unwrap();
    let to = pid();
    let code = i32::from_ne_bytes(0xB0C5_FFF0_u32.to_ne_bytes());
    for value in [0, 1, -1] {
        let forged = Forged::new(rt(1), code, 1, 0, value);
        elsewhere(|| forged.queue(to).unwrap());
        let info = next(&signals);
        assert_eq!(info.cause(), Cause::Other { code });
        assert_eq!(info.sender(), Sender::Claimed { pid: 1, uid: 0 });
    }
    assert_eq!(signals.try_recv(), Ok(None));
}

/// Where the queue is full the crate wakes who sleeps with a timer of its own.
fn a_wake_is_taken_for_no_signal_and_none_for_a_wake() {
    let signals = options().every_thread(true).open(rt(1)).unwrap();
    let limit = have_some_left(rt(1), 3);
    assert_eq!(signals.every_thread().unwrap().caught(), 3);
    assert_eq!(values(&signals), [0, 1, 2]);
    set_limit(libc::RLIMIT_SIGPENDING, limit);
    comes_as_sent(&signals);
}

/// What the process sends itself is neither swallowed nor more than that.
fn comes_as_sent(signals: &Receiver) {
    let (pid, uid) = (pid() as u32, uid());
    for _ in 0..3 {
        kill(crate::common::pid(), rt(1));
        let info = next(signals);
        assert_eq!(info.cause(), Cause::Kill);
        assert_eq!(info.sender(), Sender::Verified { pid, uid });
    }
    assert_eq!(signals.try_recv(), Ok(None));
}

/// Of several signals of a number the kernel keeps one that has no record, and none where
/// there is one with a record to take it along. A wake is none of these.
fn a_wake_that_meets_a_record_of_its_number_is_none_the_less_one() {
    let meets = || {
        let signals = options().every_thread(true).open(rt(1)).unwrap();
        for _ in 0..3 {
            sigqueue(pid(), rt(1), 9).unwrap();
            let limit = have_some_left(rt(1), 3);
            assert_eq!(values(&signals), [0, 1, 2, 9]);
            set_limit(libc::RLIMIT_SIGPENDING, limit);
            comes_as_sent(&signals);
        }
    };
    meets();
    // A forked child has another timer.
    Child::fork(|| {
        meets();
        0
    })
    .wait_for_success();
}

/// If there is no room for a timer either, it is a signal without a record.
fn a_wake_without_a_timer_is_one_too() {
    let limit = set_limit(libc::RLIMIT_SIGPENDING, 0);
    let signals = options().every_thread(true).open(rt(1)).unwrap();
    set_limit(libc::RLIMIT_SIGPENDING, limit);
    let me = tid();
    for _ in 0..2 {
        thread::scope(|scope| {
            scope.spawn(move || {
                wait_until_asleep(me);
                have_some_left(rt(1), 3);
            });
            let mut values = [(); 3].map(|()| next(&signals).value());
            values.sort_unstable();
            assert_eq!(values, [0, 1, 2].map(Some));
        });
        assert_eq!(signals.try_recv(), Ok(None));
        set_limit(libc::RLIMIT_SIGPENDING, limit);
        comes_as_sent(&signals);
    }
}

/// Its value is not the one that others cannot guess. It is none where a wake is due,
/// either.
fn a_forged_timer_is_no_wake() {
    let signals = options().every_thread(true).open(rt(1)).unwrap();
    let to = pid();
    for value in [0, 1, -1] {
        // A timer's number and how often it has expired stand where the sender does.
        let forged = Forged::new(rt(1), libc::SI_TIMER, 4, 0, value);
        elsewhere(|| forged.queue(to).unwrap());
        let limit = have_some_left(rt(1), 3);
        let mut forged = 0;
        let mut others = Vec::new();
        while let Some(info) = signals.try_recv().unwrap() {
            match info.cause() {
                Cause::Timer { id, .. } => {
                    assert_eq!(id, 4);
                    assert_eq!(info.value(), Some(value));
                    let nobody = Sender::Claimed { pid: 0, uid: 0 };
                    assert_eq!(info.sender(), nobody);
                    forged += 1;
                }
                _ => others.push(info.value().unwrap()),
            }
        }
        others.sort_unstable();
        assert_eq!((forged, &others[..]), (1, &[0, 1, 2][..]));
        set_limit(libc::RLIMIT_SIGPENDING, limit);
        comes_as_sent(&signals);
    }
}

/// All that there is.
fn values(signals: &Receiver) -> Vec<i32> {
    let mut values = Vec::new();
    while let Some(info) = signals.try_recv().unwrap() {
        values.push(info.value().unwrap());
    }
    values.sort_unstable();
    values
}

// ---------------------------------------------------------------------------
// Floods

/// Counts the system calls of a thread that waits. One that spins makes as many as there
/// is time for.
struct Calls {
    can_count: bool,
    waits: usize,
}

static COUNT: AtomicUsize = AtomicUsize::new(0);

impl Calls {
    /// Counts from now on. A process can do this once.
    fn of_this_thread() -> Self {
        static HELD: OnceLock<Option<HeldCalls>> = OnceLock::new();
        // Before the filter, which it would inherit. It cannot sleep until then: what wakes
        // it would be held.
        let counting = thread::spawn(|| {
            let held = loop {
                match HELD.get() {
                    Some(held) => break held,
                    None => thread::yield_now(),
                }
            };
            // A system call only where the clock cannot be read without one.
            let clock = i32::try_from(libc::SYS_clock_gettime).unwrap();
            let count = |made: &libc::seccomp_data| {
                COUNT
                    .fetch_add(usize::from(made.nr != clock), Ordering::SeqCst);
            };
            while held.as_ref().is_some_and(|it| it.before_the_next(count)) {}
        });
        let held = HeldCalls::each_once(None).ok();
        let can_count = held.is_some();
        HELD.set(held).unwrap();
        if can_count {
            // Who lets this go has begun, and allocates nothing any more.
            thread::yield_now();
        } else {
            counting.join().unwrap();
        }
        Self { can_count, waits: 0 }
    }

    /// Each signal that finds room in the queue may interrupt a call of who waits, though it
    /// is for others. So many are far more than find room here, and far fewer than a thread
    /// makes that spins while others are sent.
    const MANY: usize = 1000;

    /// Waits for signals, which takes few calls, however long it is.
    fn wait<'b, const N: usize>(
        &mut self,
        receiver: &Receiver,
        batch: &'b mut Batch<N>,
    ) -> &'b [SigInfo] {
        let before = COUNT.load(Ordering::SeqCst);
        let infos = receiver.wait_batch_timeout(batch, DEADLINE).unwrap();
        assert!(!infos.is_empty());
        let made = COUNT.load(Ordering::SeqCst) - before;
        assert!(made < Self::MANY, "{made} system calls in a wait");
        self.waits += 1;
        infos
    }

    /// All in all they are a few for each wait.
    fn are_few(&self) {
        if !self.can_count {
            skip("seccomp cannot hold all system calls here");
        }
        let (made, waits) = (COUNT.load(Ordering::SeqCst), self.waits);
        let few = 6 * waits + Self::MANY;
        assert!(made < few, "{made} system calls in {waits} waits");
    }
}

/// Sends a signal that is blocked and that nobody receives, again and again, and waits
/// until the receiver has nothing else to do.
fn send_what_nobody_receives(to: i32) {
    (0..storm_size()).for_each(|_| kill(to, Signal::USR2));
    wait_until("it is asleep", || {
        let stat = std::fs::read_to_string(format!("/proc/{to}/stat"));
        stat.unwrap().rsplit(") ").next().unwrap().starts_with('S')
    });
}

/// What others send is there, in order, and what is ours as well.
fn a_flood_of_another_user_costs_what_it_sends() {
    const OURS: i32 = 200;
    let flood = storm_size() / 20;
    let signals = open(rt(1) | rt(2) | Signal::USR1).unwrap();
    needs_other_users();
    // Half of the queue is for what nobody reads.
    let _unread = unread(rt(3) | Signal::USR2);
    set_limit(libc::RLIMIT_SIGPENDING, queued() + 400);
    let to = pid();
    let until_there_is_room = |signal, value| {
        while sigqueue(to, signal, value).is_err() {
            thread::yield_now();
        }
    };
    let other = Child::fork(|| {
        become_other(false);
        for value in 0..flood {
            if value < 200 {
                let _full = sigqueue(to, rt(3), value);
            }
            if value == flood / 2 {
                send_what_nobody_receives(to);
            }
            until_there_is_room(rt(2), value);
            kill(to, Signal::USR1);
        }
        0
    });
    let friend = Child::fork(|| {
        (0..OURS).for_each(|value| until_there_is_room(rt(1), value));
        0
    });
    let mut batch = Batch::<16>::new();
    let (mut ours, mut theirs) = (0, 0);
    let mut calls = Calls::of_this_thread();
    without_allocating(|| {
        while ours < OURS || theirs < flood {
            for info in calls.wait(&signals, &mut batch) {
                let next = match info.signal() {
                    Signal::USR1 => continue,
                    signal if signal == rt(1) => &mut ours,
                    _ => &mut theirs,
                };
                assert_eq!(info.value(), Some(*next));
                *next += 1;
            }
        }
    });
    calls.are_few();
    other.wait_for_success();
    friend.wait_for_success();
    // The last of the other one's may have come after that.
    while signals.try_recv().unwrap().is_some() {}
}

/// All that one who is really another may send, and as often as it can. While nobody looks
/// they are one, and who waits takes what there is and sleeps.
fn continuations_of_another_user_coalesce_and_keep_nobody_awake() {
    let flood = storm_size() / 2;
    let signals = open(Signal::CONT | Signal::USR1).unwrap();
    needs_other_users();
    let _unread = unread(Signal::USR2.into());
    let to = pid();
    let flooder = |tell: UnixStream| {
        Child::fork(move || {
            become_other(true);
            (0..flood).for_each(|_| kill(to, Signal::CONT));
            (&tell).write_all(&[0]).unwrap();
            0
        })
    };
    let is_of = |info: &SigInfo, other: &Child| {
        assert_eq!((info.signal(), info.cause()), (Signal::CONT, Cause::Kill));
        let pid = other.pid as u32;
        assert_eq!(info.sender(), Sender::Verified { pid, uid: OTHER });
    };
    let (tell, mut told) = UnixStream::pair().unwrap();
    let other = flooder(tell);
    told.read_exact(&mut [0]).unwrap();
    let mut count = 0;
    while let Some(info) = signals.try_recv().unwrap() {
        is_of(&info, &other);
        count += 1;
    }
    // A ring takes no more than it has buffers for.
    let at_most_pending = if battery().reads_ahead() { 64 + 1 } else { 1 };
    assert!((1..=at_most_pending).contains(&count), "{count}");
    other.wait_for_success();

    let (tell, mut told) = UnixStream::pair().unwrap();
    let other = flooder(tell);
    let friend = Child::fork(|| {
        told.read_exact(&mut [0]).unwrap();
        send_what_nobody_receives(to);
        kill(to, Signal::USR1);
        0
    });
    let mut batch = Batch::<16>::new();
    let (mut is_over, mut count) = (false, 0);
    let mut calls = Calls::of_this_thread();
    without_allocating(|| {
        while !is_over {
            for info in calls.wait(&signals, &mut batch) {
                match info.signal() {
                    Signal::USR1 => is_over = true,
                    _ => is_of(info, &other),
                }
                count += 1;
            }
        }
    });
    while let Some(info) = signals.try_recv().unwrap() {
        is_of(&info, &other);
        count += 1;
    }
    assert!((2..=flood).contains(&count), "{count}");
    calls.are_few();
    other.wait_for_success();
    friend.wait_for_success();
}

/// Who sleeps is not bothered by what is for others.
fn what_is_not_received_costs_nothing() {
    let signals = open(Signal::USR1).unwrap();
    let _unread = unread(rt(1) | Signal::USR2);
    set_limit(libc::RLIMIT_SIGPENDING, 100);
    let to = pid();
    let other = Child::fork(|| {
        send_what_nobody_receives(to);
        for value in 0..storm_size() {
            let _full = sigqueue(to, rt(1), value);
        }
        send_what_nobody_receives(to);
        kill(to, Signal::USR1);
        0
    });
    let (mut batch, mut calls) = (Batch::<2>::new(), Calls::of_this_thread());
    let infos = without_allocating(|| calls.wait(&signals, &mut batch));
    let pids: Vec<_> = infos.iter().map(SigInfo::pid).collect();
    assert_eq!(pids, [Some(other.pid as u32)]);
    calls.are_few();
    other.wait_for_success();
}
