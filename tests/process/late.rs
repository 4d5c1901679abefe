//! The crate's handler where nobody needs it: a thread comes late to it, other code has
//! installed it again or hands on to it, and actions change in that very moment.

#![allow(unsafe_code, reason = "handlers")]

use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;

use libc::c_int;
use rustix::event::{PollFd, PollFlags};
use signalfd::{Receiver, Signal, SignalSet, mask};

use super::every::{before_each_call_of_a_drop, calls_late};
use crate::common::{
    Child, End, HeldCalls, SKIPPED, action, forbid, kernel_action, kill,
    options, pid, set_action, set_limit, set_mask, set_masked_action, sigqueue,
    trap,
};
use crate::harness::{cases, skip, to_die_here};

cases! {
    a_late_handler_drops_nothing_of_who_has_opened_meanwhile,
    a_late_handler_leaves_the_action_to_who_has_opened_meanwhile,
    who_opens_waits_for_an_action_that_is_coming_back,
    an_action_is_there_for_a_moment_where_its_thread_is_stopped,
    a_late_signal_takes_its_course_where_the_queue_is_full,
    a_late_signal_is_for_the_handler_that_has_come_since,
    an_action_that_ignores_is_brought_back_by_who_comes_next,
    a_handler_installed_while_the_action_comes_back_stays,
    a_handler_installed_while_ours_is_comes_back,
    handlers_that_hand_on_in_a_circle_are_each_called_once,
    a_handler_with_our_mask_that_hands_on_is_no_endless_loop,
    where_actions_cannot_be_changed_signals_take_their_course,
    the_handler_leaves_sigaction_to_the_kernel,
    a_call_of_the_handler_that_a_sandbox_traps_ends_the_process => libc::SIGSYS,
}

static COUNTED: AtomicI32 = AtomicI32::new(0);

// It is known by its address, so there may be one only.
#[inline(never)]
extern "C" fn count(_signal: c_int) {
    COUNTED.fetch_add(1, Ordering::Relaxed);
}

fn counting() -> usize {
    count as extern "C" fn(c_int) as usize
}

const fn record(signal: Signal) -> libc::siginfo_t {
    // SAFETY: an all-zero value is allowed: it is made of integers.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    info.si_signo = signal.as_raw();
    info
}

/// The crate's handler, where it was taken away again.
fn ours(signal: Signal) -> usize {
    let guard = mask::block_every_thread(signal).unwrap();
    let (ours, ..) = action(signal);
    drop(guard);
    set_mask(SignalSet::empty());
    ours
}

/// The same, where other code has installed it again.
fn installed_again(signal: Signal) -> usize {
    let ours = ours(signal);
    set_action(signal, ours, libc::SA_SIGINFO);
    ours
}

/// Has a thread run the handler, and does something before each time that it asks for an
/// action or sets one, told how many it will have asked for and set; returns how many it has
/// set.
fn late(
    signal: Signal,
    handler: usize,
    mut work: impl FnMut(usize, usize),
) -> usize {
    let (tell, told) = channel();
    let late = thread::spawn(move || {
        let held = HeldCalls::of_this_thread(&[libc::SYS_rt_sigaction]);
        let can = held.is_ok();
        tell.send(held).unwrap();
        if can {
            calls_late(handler, &record(signal));
        }
    });
    let Ok(held) = told.recv().unwrap() else {
        skip("seccomp cannot hold system calls here");
    };
    let (mut asked, mut set) = (0, 0);
    while held.before_the_next(|call| {
        // The second argument is the action that is to be.
        if call.args[1] == 0 {
            asked += 1;
        } else {
            set += 1;
        }
        work(asked, set);
    }) {}
    late.join().unwrap();
    set
}

/// It finds the handler that they have installed. To bring back what ignores the signal would
/// drop what is pending by then.
fn a_late_handler_drops_nothing_of_who_has_opened_meanwhile() {
    set_action(Signal::HUP, libc::SIG_IGN, 0);
    for signal in [Signal::WINCH, Signal::HUP] {
        let ours = ours(signal);
        let mut signals = None;
        let set = late(signal, ours, |asked, _| {
            if asked == 2 {
                signals = Some(open_for_every_thread(signal));
                kill(pid(), signal);
            }
        });
        let signals = signals.expect("it has asked twice");
        let info = signals.try_recv().unwrap().expect("it was dropped");
        assert_eq!((info.signal(), set), (signal, 0));
        assert_eq!(signals.try_recv(), Ok(None));
    }
}

fn open_for_every_thread(signal: Signal) -> signalfd::Signals {
    options().every_thread(true).open(signal).unwrap()
}

/// It was about to bring back the default action, which would end the process.
fn a_late_handler_leaves_the_action_to_who_has_opened_meanwhile() {
    let ours = ours(Signal::TERM);
    let mut signals = None;
    let set = late(Signal::TERM, ours, |asked, _| {
        if asked == 2 {
            signals = Some(open_for_every_thread(Signal::TERM));
        }
    });
    assert_eq!(set, 0);
    let signals = signals.expect("it has asked twice");
    assert_eq!(signals.wait().unwrap().signal(), Signal::TERM);
    assert_eq!(signals.try_recv(), Ok(None));
}

/// So that nothing takes it once there is a receiver.
fn who_opens_waits_for_an_action_that_is_coming_back() {
    let ours = installed_again(Signal::TERM);
    let mut opens = None;
    let set = late(Signal::TERM, ours, |_, set| {
        if set != 1 {
            return;
        }
        let (tell, told) = channel();
        let opener = thread::spawn(move || {
            let held = HeldCalls::of_this_thread(&[libc::SYS_sched_yield]);
            tell.send(held.unwrap()).unwrap();
            mask::block_every_thread(Signal::TERM).unwrap()
        });
        let held = told.recv().unwrap();
        // It is left there until the action is back.
        let mut fds = [PollFd::new(&held, PollFlags::IN)];
        rustix::event::poll(&mut fds, None).unwrap();
        opens = Some((opener, held));
    });
    assert_eq!(set, 2, "it has seen that somebody opens");
    let (opener, held) = opens.expect("the action has come back");
    assert!(held.before_the_next(|_| ()), "it has not waited");
    while held.before_the_next(|_| ()) {}
    let guard = opener.join().unwrap();
    assert_eq!(action(Signal::TERM).0, ours);
    let receiver = Receiver::new(Signal::TERM).unwrap();
    assert_eq!(receiver.wait().unwrap().signal(), Signal::TERM);
    assert_eq!(receiver.try_recv(), Ok(None));
    drop(guard);
}

/// It is not waited for long.
fn an_action_is_there_for_a_moment_where_its_thread_is_stopped() {
    let end_of = |takes_it: bool| {
        let child = Child::fork(|| {
            let ours = installed_again(Signal::TERM);
            let mut signals = None;
            let set = late(Signal::TERM, ours, |_, set| {
                if set == 1 {
                    signals = Some(open_for_every_thread(Signal::TERM));
                }
                if set == 2 && takes_it {
                    set_mask(SignalSet::empty());
                    kill(pid(), Signal::TERM);
                }
            });
            assert_eq!(set, 2);
            let signals = signals.expect("the action has come back");
            assert_eq!(signals.wait().unwrap().signal(), Signal::TERM);
            assert_eq!(signals.try_recv(), Ok(None));
            0
        });
        child.wait()
    };
    let end = end_of(false);
    if end == End::Exited(SKIPPED) {
        skip("seccomp cannot hold system calls here");
    }
    assert_eq!(end, End::Exited(0));
    assert_eq!(end_of(true), End::Killed(libc::SIGTERM));
}

static NOTED: AtomicI32 = AtomicI32::new(0);

extern "C" fn note(
    _signal: c_int,
    info: *mut libc::siginfo_t,
    _context: *mut libc::c_void,
) {
    // SAFETY: the second argument of a handler with SA_SIGINFO.
    let info = unsafe { &*info };
    // SAFETY: what these tests send has a value.
    let value = unsafe { info.si_value() };
    NOTED.store(value.sival_ptr.addr().try_into().unwrap(), Ordering::Relaxed);
    COUNTED.fetch_add(1, Ordering::Relaxed);
}

/// It cannot be sent to the thread again, but it is not lost.
fn a_late_signal_takes_its_course_where_the_queue_is_full() {
    let noting: extern "C" fn(_, _, _) = note;
    let signal = Signal::rt(0).unwrap();
    let end_of = |handler, leave_no_room: fn()| {
        let child = Child::fork(|| {
            set_action(signal, handler, libc::SA_SIGINFO);
            let ours = ours(signal);
            // A record with a value, as the kernel would have it.
            set_mask(SignalSet::all());
            sigqueue(pid(), signal, 7).unwrap();
            // SAFETY: an all-zero set is an empty one on Linux.
            let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
            // SAFETY: as above.
            let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
            // SAFETY: adds to a set.
            unsafe { libc::sigaddset(&raw mut set, signal.as_raw()) };
            // SAFETY: reads a set, and writes a record.
            unsafe { libc::sigwaitinfo(&raw const set, &raw mut info) };
            leave_no_room();
            calls_late(ours, &info);
            assert_eq!(COUNTED.load(Ordering::Relaxed), 1);
            NOTED.load(Ordering::Relaxed)
        });
        child.wait()
    };
    let full = || {
        set_limit(libc::RLIMIT_SIGPENDING, 0);
    };
    assert_eq!(end_of(noting as usize, full), End::Exited(7));
    assert_eq!(end_of(libc::SIG_DFL, full), End::Killed(signal.as_raw()));
    // There would be room again for the signal alone.
    let was_full = || forbid(libc::SYS_rt_tgsigqueueinfo, libc::EAGAIN);
    assert_eq!(end_of(noting as usize, was_full), End::Exited(7));
}

/// Which has not called the crate's: the kernel has, before.
fn a_late_signal_is_for_the_handler_that_has_come_since() {
    let ours = ours(Signal::TERM);
    set_action(Signal::TERM, counting(), 0);
    for round in 1..=3 {
        calls_late(ours, &record(Signal::TERM));
        assert_eq!(COUNTED.load(Ordering::Relaxed), round);
    }
}

/// Other code has installed the handler again. Until then it does nothing.
fn an_action_that_ignores_is_brought_back_by_who_comes_next() {
    set_action(Signal::HUP, libc::SIG_IGN, 0);
    let before = action(Signal::HUP);
    let ours = ours(Signal::HUP);
    for _ in 0..3 {
        set_action(Signal::HUP, ours, libc::SA_SIGINFO);
        kill(pid(), Signal::HUP);
        assert_eq!(action(Signal::HUP).0, ours);
        let signals = crate::common::open(Signal::HUP).unwrap();
        kill(pid(), Signal::HUP);
        assert_eq!(signals.wait().unwrap().signal(), Signal::HUP);
        drop(signals);
        assert_eq!(action(Signal::HUP), before);
    }
}

/// Between looking at what is there and setting another action.
fn a_handler_installed_while_the_action_comes_back_stays() {
    let guard = mask::block_every_thread(Signal::TERM).unwrap();
    let mut is_first = true;
    before_each_call_of_a_drop(guard, libc::SYS_rt_sigaction, |call| {
        if call.args[1] != 0 && is_first {
            is_first = false;
            set_action(Signal::TERM, counting(), libc::SA_RESTART);
        }
    });
    assert!(!is_first);
    let (handler, flags, _) = action(Signal::TERM);
    assert_eq!(handler, counting());
    assert_ne!(flags & libc::SA_RESTART, 0);
    set_mask(SignalSet::empty());
    kill(pid(), Signal::TERM);
    assert_eq!(COUNTED.load(Ordering::Relaxed), 1);
}

/// The same when the handler is installed: then it is what comes back afterwards.
fn a_handler_installed_while_ours_is_comes_back() {
    // The first handler of all is installed by the C library.
    for signal in [Signal::TERM, Signal::USR1] {
        let (tell, told) = channel();
        let opener = thread::spawn(move || {
            let held = HeldCalls::of_this_thread(&[libc::SYS_rt_sigaction]);
            let can = held.is_ok();
            tell.send(held).unwrap();
            can.then(|| mask::block_every_thread(signal).unwrap())
        });
        let Ok(held) = told.recv().unwrap() else {
            skip("seccomp cannot hold system calls here");
        };
        let mut is_first = true;
        while held.before_the_next(|call| {
            if call.args[1] != 0 && is_first {
                is_first = false;
                set_action(signal, counting(), libc::SA_RESTART);
            }
        }) {}
        let guard = opener.join().unwrap().unwrap();
        assert!(!is_first);
        assert_ne!(action(signal).0, counting());
        drop(guard);
        let (handler, flags, _) = action(signal);
        assert_eq!(handler, counting());
        assert_ne!(flags & libc::SA_RESTART, 0);
    }
}

type Handler = extern "C" fn(c_int, *mut libc::siginfo_t, *mut libc::c_void);
static OURS: AtomicUsize = AtomicUsize::new(0);
/// How often each of those that hand on was called.
static CALLS: [AtomicI32; 3] = [const { AtomicI32::new(0) }; 3];

extern "C" fn hands_on<const N: usize>(
    signal: c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    let calls = CALLS[N].fetch_add(1, Ordering::Relaxed);
    assert!(calls < 100, "it goes round and round");
    // SAFETY: what was installed with SA_SIGINFO.
    let ours: Handler =
        unsafe { std::mem::transmute(OURS.load(Ordering::Relaxed)) };
    ours(signal, info, context);
}

/// Each was installed over the crate's, and the next receiver has found it. The last one
/// that is known is the end; what it has found is out of sight.
fn handlers_that_hand_on_in_a_circle_are_each_called_once() {
    set_action(Signal::HUP, counting(), 0);
    let all: [Handler; 3] = [hands_on::<0>, hands_on::<1>, hands_on::<2>];
    for (handler, counted) in all.into_iter().zip([1, 1, 0]) {
        let guard = mask::block_every_thread(Signal::HUP).unwrap();
        OURS.store(action(Signal::HUP).0, Ordering::Relaxed);
        set_action(Signal::HUP, handler as usize, libc::SA_SIGINFO);
        drop(guard);
        set_mask(SignalSet::empty());
        for calls in &CALLS {
            calls.store(0, Ordering::Relaxed);
        }
        for round in 1..=2 {
            kill(pid(), Signal::HUP);
            let calls = CALLS.each_ref().map(|it| it.load(Ordering::Relaxed));
            assert!(calls.iter().all(|it| [0, round].contains(it)));
        }
        assert_eq!(COUNTED.swap(0, Ordering::Relaxed), 2 * counted);
        assert_eq!(action(Signal::HUP).0, handler as usize);
    }
    let calls = CALLS.each_ref().map(|it| it.load(Ordering::Relaxed));
    assert_eq!(calls, [2, 2, 2]);
}

/// Which of the two the kernel has called cannot be told by what is blocked.
fn a_handler_with_our_mask_that_hands_on_is_no_endless_loop() {
    set_action(Signal::HUP, counting(), 0);
    let guard = mask::block_every_thread(Signal::HUP).unwrap();
    OURS.store(action(Signal::HUP).0, Ordering::Relaxed);
    let handler: Handler = hands_on::<0>;
    let mask = SignalSet::all();
    set_masked_action(Signal::HUP, handler as usize, libc::SA_SIGINFO, mask);
    drop(guard);
    // A second one finds it.
    drop(mask::block_every_thread(Signal::HUP).unwrap());
    set_mask(SignalSet::empty());
    for round in 1..=3 {
        kill(pid(), Signal::HUP);
        assert_eq!(CALLS[0].load(Ordering::Relaxed), round);
        assert_eq!(COUNTED.load(Ordering::Relaxed), round);
    }
    // Nor where it is the thread that blocks as much.
    set_action(Signal::HUP, handler as usize, libc::SA_SIGINFO);
    drop(mask::block_every_thread(Signal::HUP).unwrap());
    set_mask(SignalSet::all() - Signal::HUP);
    for round in 4..=6 {
        kill(pid(), Signal::HUP);
        assert_eq!(CALLS[0].load(Ordering::Relaxed), round);
        assert_eq!(COUNTED.load(Ordering::Relaxed), round);
    }
}

/// A sandbox has come to forbid it, so the handler stays. It does not go round for ever.
fn where_actions_cannot_be_changed_signals_take_their_course() {
    let end_of = |handler, signal: Signal| {
        let child = Child::fork(|| {
            set_action(signal, handler, 0);
            let guard = mask::block_every_thread(signal).unwrap();
            forbid(libc::SYS_rt_sigaction, libc::EPERM);
            drop(guard);
            set_mask(SignalSet::empty());
            kill(pid(), signal);
            COUNTED.load(Ordering::Relaxed)
        });
        child.wait()
    };
    let term = Signal::TERM;
    assert_eq!(end_of(counting(), term), End::Exited(1));
    assert_eq!(end_of(libc::SIG_IGN, term), End::Exited(0));
    assert_eq!(end_of(libc::SIG_DFL, Signal::WINCH), End::Exited(0));
    // As `Signal::die` does.
    assert_eq!(end_of(libc::SIG_DFL, term), End::Exited(128 + libc::SIGTERM));
}

/// The C library's takes a lock for SIGABRT. What makes the call is where `syscall(2)` does.
fn the_handler_leaves_sigaction_to_the_kernel() {
    let signal = Signal::ABRT;
    set_action(signal, counting(), 0);
    let ours = installed_again(signal);
    let (tell, told) = channel();
    let thread = thread::spawn(move || {
        let held = HeldCalls::of_this_thread(&[libc::SYS_rt_sigaction]);
        let can = held.is_ok();
        tell.send(held).unwrap();
        if can {
            kernel_action(signal.as_raw());
            calls_late(ours, &record(signal));
        }
    });
    let Ok(held) = told.recv().unwrap() else {
        skip("seccomp cannot hold system calls here");
    };
    let (mut callers, mut actions) = (Vec::new(), 0);
    while held.before_the_next(|call| {
        callers.push(call.instruction_pointer);
        actions += u32::from(call.args[1] != 0);
    }) {}
    thread.join().unwrap();
    assert_eq!(COUNTED.load(Ordering::Relaxed), 1);
    assert_eq!(actions, 1, "the one from before has come back");
    callers.dedup();
    assert_eq!(callers.len(), 1);
    assert_eq!(action(signal).0, counting());
}

/// It blocks all signals, that of the trap as well.
fn a_call_of_the_handler_that_a_sandbox_traps_ends_the_process() {
    set_action(Signal::SYS, counting(), 0);
    trap(libc::SYS_rt_sigqueueinfo);
    // SAFETY: takes numbers, and sends nothing.
    unsafe { libc::syscall(libc::SYS_rt_sigqueueinfo, 0, 0, 0) };
    assert_eq!(COUNTED.load(Ordering::Relaxed), 1);
    let _guard = mask::block_every_thread(Signal::USR1).unwrap();
    set_mask(SignalSet::empty());
    // Whichever it makes first.
    trap(libc::SYS_pidfd_send_signal);
    trap(libc::SYS_rt_sigaction);
    to_die_here();
    kill(pid(), Signal::USR1);
    unreachable!("{}", COUNTED.load(Ordering::Relaxed));
}
