//! The first signal, the second, and the deadline.

#![allow(unsafe_code, reason = "actions, and a copy of a receiver")]

use std::future::{Future, poll_fn};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use signalfd::{
    Cause, Error, Op, Sender, Shutdown, SigInfo, Signal, SignalSet, block,
    block_on, mask,
};

use super::every::{Threads, stuck};
use super::exit::fork_pid_1;
use crate::common::{
    Child, End, forbid, kernel_action, kill, open, open_descriptors, options,
    pid, set_action, set_limit, set_mask, sigqueue, take_in_a_moment, tid,
    wait_until_asleep,
};
use crate::harness::{cases, racing_rounds, skip, to_die_here};

cases! {
    the_first_is_received_and_closes_the_scope,
    every_way_to_wait_returns_the_first_again,
    the_second_ends_the_process => libc::SIGTERM,
    the_second_ends_the_process_that_was_started_with_it_blocked => libc::SIGTERM,
    the_deadline_ends_the_process_that_was_started_with_it_blocked => libc::SIGTERM,
    what_was_blocked_before_is_blocked_again_afterwards,
    what_a_guard_has_stays_blocked,
    another_one_of_the_set_ends_the_process => libc::SIGTERM,
    of_two_that_are_pending_the_second_ends_the_process => libc::SIGTERM,
    of_two_that_are_queued_the_second_ends_the_process => 40,
    a_second_that_races_with_the_first_ends_the_process,
    so_it_does_with_threads_from_before,
    what_every_thread_blocks_is_ignored_all_the_same,
    threads_that_block_the_signals_do_not_save_the_process => libc::SIGINT,
    one_that_is_opened_in_a_thread_unblocks_that_thread => libc::SIGINT,
    threads_from_before_do_not_save_the_process => libc::SIGINT,
    a_handler_of_the_program_gets_the_second,
    dropped_before_a_signal_it_restores_everything,
    dropped_with_a_signal_pending_it_ends_the_process => libc::SIGTERM,

    a_future_receives_the_first,
    a_dropped_future_loses_nothing,
    an_event_loop_has_the_descriptor,

    the_deadline_ends_the_process => libc::SIGTERM,
    a_deadline_of_no_time_ends_the_process => libc::SIGTERM,
    a_deadline_can_be_moved => libc::SIGTERM,
    a_deadline_that_is_met_does_nothing,
    a_deadline_needs_a_first_signal,
    a_deadline_may_be_refused,

    the_next_one_goes_to_the_outer_shutdown => libc::SIGTERM,
    the_next_one_goes_to_the_outer_scope => libc::SIGTERM,
    the_deadline_goes_to_the_outer_scope,

    what_is_ignored_stays_so,
    where_all_is_ignored_nothing_comes,
    where_all_is_ignored_it_sleeps_on,
    what_cannot_be_received_is_refused,
    a_sandbox_that_hides_the_actions_is_named,

    it_dies_by_the_first => libc::SIGINT,
    it_dies_by_the_first_inside_a_scope => libc::SIGINT,
    it_returns_if_none_has_come,

    as_pid_1_the_second_exits_with_the_status,
    as_pid_1_its_children_die_by_the_signal,
    as_pid_1_its_children_die_by_what_is_unblocked_for_a_moment,
    as_pid_1_the_second_exits_also_after_every_thread,
    as_pid_1_it_puts_back_what_it_changed_under_every_thread,
    as_pid_1_the_second_exits_where_every_thread_was_blocked_before,
    as_pid_1_the_second_exits_also_with_a_thread_stuck_in_the_kernel,
    as_pid_1_it_hears_what_is_outside,
    as_pid_1_the_pending_second_exits_with_the_status,
    as_pid_1_the_deadline_exits_with_the_status,
    as_pid_1_it_dies_with_the_status,
    as_pid_1_they_nest,
    as_pid_1_what_is_not_fatal_does_nothing,
    as_pid_1_it_puts_back_what_it_changed,

    every_path_says_that_it_was_forked,
    a_copy_in_a_child_leaves_the_childs_timer_alone,
}

/// Opens one of the battery's kind.
fn shutdown(set: impl Into<SignalSet>) -> Result<Shutdown, Error> {
    options().shutdown(set)
}

/// Receives the first of the two that it is for.
fn after_the_first(set: impl Into<SignalSet>) -> Shutdown {
    let mut shutdown = shutdown(set).unwrap();
    kill(pid(), Signal::TERM);
    assert_eq!(shutdown.wait().unwrap().signal(), Signal::TERM);
    shutdown
}

/// Waits for the end.
fn stay() -> ! {
    loop {
        thread::park();
    }
}

/// The actions of all signals, as the kernel has them.
fn actions() -> Vec<[usize; 8]> {
    (1..=64).map(kernel_action).collect()
}

fn ignore(signal: Signal) {
    // SAFETY: sets the action to ignore the signal.
    unsafe { libc::signal(signal.as_raw(), libc::SIG_IGN) };
}

/// Sets a handler that ends the process, and successfully.
fn set_handler_that_exits(signal: Signal) {
    extern "C" fn exit(_: libc::c_int) {
        // SAFETY: may be called in a handler.
        unsafe { libc::_exit(0) };
    }
    let handler: extern "C" fn(libc::c_int) = exit;
    // SAFETY: installs the handler.
    unsafe { libc::signal(signal.as_raw(), handler as libc::sighandler_t) };
}

/// How many timers the process has.
fn timers() -> usize {
    let Ok(timers) = std::fs::read_to_string("/proc/self/timers") else {
        skip("the kernel lists no timers here");
    };
    timers.lines().filter(|line| line.starts_with("ID:")).count()
}

const HOUR: Duration = Duration::from_secs(60 * 60);
const MOMENT: Duration = Duration::from_millis(1);

// ---------------------------------------------------------------------------
// The first and the second

fn the_first_is_received_and_closes_the_scope() {
    let (descriptors, actions_before) = (open_descriptors(), actions());
    let mut shutdown = shutdown(Signal::INT | Signal::TERM).unwrap();
    assert_eq!(mask::current().unwrap(), Signal::INT | Signal::TERM);
    assert_eq!(shutdown.try_recv(), Ok(None));
    assert_eq!(shutdown.wait_timeout(MOMENT), Ok(None));
    assert_eq!(shutdown.first(), None);
    assert_eq!(shutdown.ignored(), SignalSet::empty());
    kill(pid(), Signal::TERM);
    let info = shutdown.wait().unwrap();
    assert_eq!(info.signal(), Signal::TERM);
    assert_eq!(info.pid(), Some(pid() as u32));
    assert_eq!(info.cause(), Cause::Kill);
    assert_eq!(shutdown.first(), Some(&info));
    assert!(shutdown.receiver().is_none());
    assert!(mask::current().unwrap().is_empty());
    assert_eq!(open_descriptors(), descriptors);
    assert_eq!(actions(), actions_before);
    drop(shutdown);
    assert!(mask::current().unwrap().is_empty());
    assert_eq!(actions(), actions_before);
}

fn every_way_to_wait_returns_the_first_again() {
    type Way = fn(&mut Shutdown) -> SigInfo;
    let ways: [Way; 4] = [
        |shutdown| shutdown.wait().unwrap(),
        |shutdown| shutdown.wait_timeout(HOUR).unwrap().unwrap(),
        |shutdown| shutdown.try_recv().unwrap().unwrap(),
        |shutdown| block_on(shutdown.recv()).unwrap().unwrap(),
    ];
    for way in ways {
        let mut shutdown = shutdown(Signal::TERM).unwrap();
        kill(pid(), Signal::TERM);
        let first = way(&mut shutdown);
        for again in ways {
            assert_eq!(again(&mut shutdown), first);
        }
    }
}

fn the_second_ends_the_process() {
    let _shutdown = after_the_first(Signal::TERM);
    to_die_here();
    kill(pid(), Signal::TERM);
}

fn the_second_ends_the_process_that_was_started_with_it_blocked() {
    set_mask(Signal::TERM.into());
    the_second_ends_the_process();
}

fn the_deadline_ends_the_process_that_was_started_with_it_blocked() {
    set_mask(Signal::TERM | Signal::HUP);
    the_deadline_ends_the_process();
}

fn what_was_blocked_before_is_blocked_again_afterwards() {
    let before = Signal::TERM | Signal::HUP;
    set_mask(before);
    let shutdown = after_the_first(Signal::TERM | Signal::INT);
    assert_eq!(mask::current(), Ok(Signal::HUP.into()));
    assert_eq!(shutdown.saved(), before);
    drop(shutdown);
    assert_eq!(mask::current(), Ok(before));
}

fn what_a_guard_has_stays_blocked() {
    let guard = signalfd::block(Signal::TERM).unwrap();
    let shutdown = after_the_first(Signal::TERM | Signal::INT);
    assert_eq!(mask::current(), Ok(Signal::TERM.into()));
    kill(pid(), Signal::TERM);
    let receiver = signalfd::Receiver::new(Signal::TERM).unwrap();
    assert_eq!(receiver.wait().unwrap().signal(), Signal::TERM);
    drop((receiver, shutdown));
    assert_eq!(mask::current(), Ok(Signal::TERM.into()));
    drop(guard);
    assert_eq!(mask::current(), Ok(SignalSet::empty()));
}

fn another_one_of_the_set_ends_the_process() {
    let mut shutdown = shutdown(Signal::INT | Signal::TERM).unwrap();
    kill(pid(), Signal::INT);
    assert_eq!(shutdown.wait().unwrap().signal(), Signal::INT);
    to_die_here();
    kill(pid(), Signal::TERM);
}

fn of_two_that_are_pending_the_second_ends_the_process() {
    let mut shutdown = shutdown(Signal::INT | Signal::TERM).unwrap();
    kill(pid(), Signal::INT);
    kill(pid(), Signal::TERM);
    to_die_here();
    let _info = shutdown.wait();
}

fn of_two_that_are_queued_the_second_ends_the_process() {
    let signal = Signal::try_from(40).unwrap();
    let mut shutdown = shutdown(signal).unwrap();
    for value in 0..2 {
        sigqueue(pid(), signal, value).unwrap();
    }
    to_die_here();
    let _info = shutdown.wait();
}

/// The first is always received, and the second is always the end.
fn a_second_that_races_with_the_first_ends_the_process() {
    race_two(|| shutdown(Signal::USR1 | Signal::TERM).unwrap());
}

/// Which were made to block the signals, and do so to the end.
fn so_it_does_with_threads_from_before() {
    race_two(|| {
        let set = Signal::USR1 | Signal::TERM;
        let threads = Threads::idle(2);
        let shutdown = options().every_thread(true).shutdown(set).unwrap();
        mask::check_threads(set).unwrap();
        std::mem::forget(threads);
        shutdown
    });
}

fn race_two(open: impl Fn() -> Shutdown) {
    for _ in 0..racing_rounds() {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        let child = Child::fork(|| {
            let mut shutdown = open();
            theirs.write_all(&[0]).unwrap();
            let info = shutdown.wait().unwrap();
            theirs
                .write_all(&[u8::from(info.signal() == Signal::USR1)])
                .unwrap();
            stay()
        });
        ours.read_exact(&mut [0]).unwrap();
        // The lower number first, as the kernel has them.
        kill(child.pid, Signal::USR1);
        kill(child.pid, Signal::TERM);
        drop(theirs);
        assert_eq!(child.wait(), End::Killed(libc::SIGTERM));
        let mut said = Vec::new();
        ours.read_to_end(&mut said).unwrap();
        // If both were pending at once it had no time to say so.
        assert!(said.is_empty() || said == [1], "{said:?}");
    }
}

fn what_every_thread_blocks_is_ignored_all_the_same() {
    set_action(Signal::HUP, libc::SIG_IGN, 0);
    let guard = mask::block_every_thread(Signal::HUP).unwrap();
    let shutdown = shutdown(Signal::HUP | Signal::TERM).unwrap();
    assert_eq!(shutdown.ignored(), Signal::HUP.into());
    assert_eq!(shutdown.saved(), Signal::HUP.into());
    drop(guard);
}

fn threads_that_block_the_signals_do_not_save_the_process() {
    let mut shutdown = shutdown(Signal::INT | Signal::TERM).unwrap();
    for _ in 0..4 {
        thread::spawn(|| stay());
    }
    kill(pid(), Signal::TERM);
    shutdown.wait().unwrap();
    to_die_here();
    let there = thread::spawn(|| kill(pid(), Signal::INT));
    there.join().unwrap();
    stay();
}

/// The other threads block the signals as well, the main one among them.
fn one_that_is_opened_in_a_thread_unblocks_that_thread() {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        told.recv().unwrap();
        crate::common::set_mask(SignalSet::empty());
        let mut shutdown =
            options().check_threads(false).shutdown(Signal::INT).unwrap();
        crate::common::tgkill(tid(), Signal::INT);
        assert_eq!(shutdown.wait().unwrap().signal(), Signal::INT);
        to_die_here();
        kill(pid(), Signal::INT);
        stay();
    });
    let _guard = block(Signal::INT).unwrap();
    tell.send(()).unwrap();
    stay();
}

/// They were made to block the signals.
fn threads_from_before_do_not_save_the_process() {
    for _ in 0..4 {
        thread::spawn(|| stay());
    }
    let before = actions();
    let every = options().every_thread(true);
    let mut shutdown = every.shutdown(Signal::INT | Signal::TERM).unwrap();
    kill(pid(), Signal::TERM);
    assert_eq!(shutdown.wait().unwrap().signal(), Signal::TERM);
    assert_eq!(actions(), before);
    to_die_here();
    kill(pid(), Signal::INT);
    stay();
}

fn a_handler_of_the_program_gets_the_second() {
    set_handler_that_exits(Signal::TERM);
    let _shutdown = after_the_first(Signal::TERM);
    kill(pid(), Signal::TERM);
    unreachable!("the handler has ended the process");
}

fn dropped_before_a_signal_it_restores_everything() {
    let (descriptors, actions_before) = (open_descriptors(), actions());
    let _guard = block(Signal::HUP).unwrap();
    for _ in 0..3 {
        let _shutdown = shutdown(Signal::HUP | Signal::TERM).unwrap();
        assert_eq!(mask::current().unwrap(), Signal::HUP | Signal::TERM);
    }
    assert_eq!(mask::current().unwrap(), Signal::HUP.into());
    assert_eq!(open_descriptors(), descriptors);
    assert_eq!(actions(), actions_before);
}

fn dropped_with_a_signal_pending_it_ends_the_process() {
    let shutdown = shutdown(Signal::TERM).unwrap();
    kill(pid(), Signal::TERM);
    to_die_here();
    drop(shutdown);
}

// ---------------------------------------------------------------------------
// Awaiting

fn a_future_receives_the_first() {
    let mut shutdown = shutdown(Signal::TERM).unwrap();
    let (main, process) = (tid(), pid());
    let sender = thread::spawn(move || {
        wait_until_asleep(main);
        kill(process, Signal::TERM);
    });
    let info = block_on(shutdown.recv()).unwrap().unwrap();
    assert_eq!(info.signal(), Signal::TERM);
    assert!(mask::current().unwrap().is_empty());
    sender.join().unwrap();
}

fn a_dropped_future_loses_nothing() {
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..100 {
        let mut shutdown = shutdown(Signal::TERM).unwrap();
        drop(shutdown.recv());
        {
            let mut recv = pin!(shutdown.recv());
            assert!(recv.as_mut().poll(&mut cx).is_pending());
            kill(pid(), Signal::TERM);
        }
        assert_eq!(shutdown.first(), None);
        assert_eq!(shutdown.wait().unwrap().signal(), Signal::TERM);
    }
}

fn an_event_loop_has_the_descriptor() {
    let mut shutdown = shutdown(Signal::TERM).unwrap();
    let (count, waker) = crate::common::WakeCount::new();
    let mut cx = Context::from_waker(&waker);
    assert!(shutdown.poll_recv(&mut cx).is_pending());
    let receiver = shutdown.receiver().unwrap();
    let flags = rustix::event::epoll::EventFlags::empty();
    let epoll = crate::common::OwnEpoll::of(receiver, flags);
    kill(pid(), Signal::TERM);
    crate::common::wait_until("it is readable", || epoll.is_ready());
    receiver.on_readable();
    assert_eq!(count.get(), 1);
    let Poll::Ready(Ok(info)) = shutdown.poll_recv(&mut cx) else {
        panic!("a signal is pending");
    };
    assert_eq!(shutdown.first(), Some(&info));
}

// ---------------------------------------------------------------------------
// The deadline

fn the_deadline_ends_the_process() {
    let mut shutdown = after_the_first(Signal::INT | Signal::TERM);
    to_die_here();
    shutdown.deadline(MOMENT).unwrap();
    stay();
}

fn a_deadline_of_no_time_ends_the_process() {
    let mut shutdown = after_the_first(Signal::TERM);
    to_die_here();
    shutdown.deadline(Duration::ZERO).unwrap();
    stay();
}

fn a_deadline_can_be_moved() {
    let mut shutdown = after_the_first(Signal::TERM);
    shutdown.deadline(Duration::MAX).unwrap();
    shutdown.deadline(HOUR).unwrap();
    assert_eq!(timers(), 1);
    to_die_here();
    shutdown.deadline(MOMENT).unwrap();
    stay();
}

fn a_deadline_that_is_met_does_nothing() {
    let mut shutdown = after_the_first(Signal::TERM);
    shutdown.deadline(HOUR).unwrap();
    assert_eq!(timers(), 1);
    drop(shutdown);
    assert_eq!(timers(), 0);
}

fn a_deadline_needs_a_first_signal() {
    let mut shutdown = shutdown(Signal::TERM).unwrap();
    assert_eq!(shutdown.deadline(MOMENT), Err(Error::NoSignal));
    assert_eq!(timers(), 0);
    kill(pid(), Signal::TERM);
    shutdown.wait().unwrap();
    assert_eq!(shutdown.deadline(HOUR), Ok(()));
}

fn a_deadline_may_be_refused() {
    let mut shutdown = after_the_first(Signal::TERM);
    let limit = set_limit(libc::RLIMIT_SIGPENDING, 0);
    let error = Error::Os { op: Op::TimerCreate, errno: libc::EAGAIN };
    assert_eq!(shutdown.deadline(HOUR), Err(error));
    assert!(error.to_string().contains("RLIMIT_SIGPENDING"), "{error}");
    set_limit(libc::RLIMIT_SIGPENDING, limit);
    shutdown.deadline(HOUR).unwrap();
    forbid(libc::SYS_timer_settime, libc::EPERM);
    let error = Error::Os { op: Op::TimerSettime, errno: libc::EPERM };
    assert_eq!(shutdown.deadline(HOUR), Err(error));
}

// ---------------------------------------------------------------------------
// One inside another

/// Receives in the inner one, then in the outer one.
fn assert_nested(
    outer: impl FnOnce() -> Result<SigInfo, Error>,
    inner: &mut Shutdown,
) {
    for value in 0..2 {
        kill(pid(), Signal::TERM);
        if value == 0 {
            inner.wait().unwrap();
            assert_eq!(mask::current().unwrap(), Signal::TERM.into());
        }
    }
    assert_eq!(outer().unwrap().signal(), Signal::TERM);
}

fn the_next_one_goes_to_the_outer_shutdown() {
    let mut outer = shutdown(Signal::TERM).unwrap();
    let mut inner = shutdown(Signal::TERM).unwrap();
    assert_nested(|| outer.wait(), &mut inner);
    assert!(mask::current().unwrap().is_empty());
    to_die_here();
    kill(pid(), Signal::TERM);
}

fn the_next_one_goes_to_the_outer_scope() {
    let outer = open(Signal::TERM).unwrap();
    let mut inner = shutdown(Signal::TERM).unwrap();
    assert_nested(|| outer.wait(), &mut inner);
    assert_eq!(mask::current().unwrap(), Signal::TERM.into());
    drop(outer);
    assert!(mask::current().unwrap().is_empty());
    to_die_here();
    kill(pid(), Signal::TERM);
}

fn the_deadline_goes_to_the_outer_scope() {
    let outer = open(Signal::TERM).unwrap();
    let mut inner = after_the_first(Signal::TERM);
    inner.deadline(MOMENT).unwrap();
    let info = outer.wait().unwrap();
    assert_eq!(info.signal(), Signal::TERM);
    assert!(matches!(info.cause(), Cause::Timer { .. }), "{info}");
}

// ---------------------------------------------------------------------------
// What is ignored

fn what_is_ignored_stays_so() {
    ignore(Signal::HUP);
    let before = actions();
    let mut shutdown = shutdown(Signal::HUP | Signal::TERM).unwrap();
    assert_eq!(shutdown.ignored(), Signal::HUP.into());
    assert_eq!(mask::current().unwrap(), Signal::TERM.into());
    kill(pid(), Signal::HUP);
    assert_eq!(shutdown.try_recv(), Ok(None));
    kill(pid(), Signal::TERM);
    assert_eq!(shutdown.wait().unwrap().signal(), Signal::TERM);
    kill(pid(), Signal::HUP);
    assert_eq!(shutdown.ignored(), Signal::HUP.into());
    drop(shutdown);
    kill(pid(), Signal::HUP);
    assert_eq!(actions(), before);
}

fn where_all_is_ignored_nothing_comes() {
    ignore(Signal::HUP);
    ignore(Signal::INT);
    let mut shutdown = shutdown(Signal::HUP | Signal::INT).unwrap();
    assert_eq!(shutdown.ignored(), Signal::HUP | Signal::INT);
    assert!(shutdown.receiver().is_none());
    assert!(mask::current().unwrap().is_empty());
    kill(pid(), Signal::HUP);
    assert_eq!(shutdown.try_recv(), Ok(None));
    assert_eq!(shutdown.wait_timeout(MOMENT), Ok(None));
    let polled = block_on(poll_fn(|cx| {
        Poll::Ready(pin!(shutdown.recv()).poll(cx).is_pending())
    }));
    assert_eq!(polled, Ok(true));
    shutdown.die();
}

fn where_all_is_ignored_it_sleeps_on() {
    ignore(Signal::HUP);
    let ways: [fn(Shutdown); 2] = [
        |mut shutdown| assert!(shutdown.wait().is_err()),
        |mut shutdown| assert!(block_on(shutdown.recv()).is_err()),
    ];
    for way in ways {
        let (tell, told) = mpsc::channel();
        let waiter = thread::spawn(move || {
            tell.send(tid()).unwrap();
            way(Shutdown::open(Signal::HUP).unwrap());
        });
        let waiter_tid = told.recv().unwrap();
        for _ in 0..3 {
            wait_until_asleep(waiter_tid);
            kill(pid(), Signal::HUP);
        }
        wait_until_asleep(waiter_tid);
        assert!(!waiter.is_finished());
    }
}

fn what_cannot_be_received_is_refused() {
    ignore(Signal::HUP);
    let kill = Signal::KILL.into();
    let refused = |set, error| assert_eq!(shutdown(set).unwrap_err(), error);
    refused(SignalSet::empty(), Error::EmptySet);
    refused(Signal::HUP | Signal::KILL, Error::Unblockable(kill));
    assert!(mask::current().unwrap().is_empty());
}

fn a_sandbox_that_hides_the_actions_is_named() {
    forbid(libc::SYS_rt_sigaction, libc::EPERM);
    let error = Error::Os { op: Op::Sigaction, errno: libc::EPERM };
    assert_eq!(shutdown(Signal::TERM).unwrap_err(), error);
    assert!(error.to_string().contains("seccomp"), "{error}");
    assert!(mask::current().unwrap().is_empty());
}

// ---------------------------------------------------------------------------
// The end

fn it_dies_by_the_first() {
    let mut shutdown = shutdown(Signal::INT | Signal::TERM).unwrap();
    kill(pid(), Signal::INT);
    shutdown.wait().unwrap();
    shutdown.deadline(HOUR).unwrap();
    to_die_here();
    shutdown.die();
}

fn it_dies_by_the_first_inside_a_scope() {
    let _outer = open(Signal::INT).unwrap();
    let mut shutdown = shutdown(Signal::INT).unwrap();
    kill(pid(), Signal::INT);
    shutdown.wait().unwrap();
    to_die_here();
    shutdown.die();
}

fn it_returns_if_none_has_come() {
    shutdown(Signal::TERM).unwrap().die();
    assert!(mask::current().unwrap().is_empty());
}

// ---------------------------------------------------------------------------
// As PID 1

/// What a shell makes of SIGTERM.
const TERMINATED: End = End::Exited(128 + libc::SIGTERM);

fn as_pid_1_the_second_exits_with_the_status() {
    let child = fork_pid_1(|| {
        let _shutdown = after_the_first(Signal::INT | Signal::TERM);
        kill(pid(), Signal::TERM);
        1
    });
    assert_eq!(child.wait(), TERMINATED);
}

/// They inherit its handler.
fn as_pid_1_its_children_die_by_the_signal() {
    a_child_of_pid_1_dies(|| kill(pid(), Signal::TERM));
}

fn as_pid_1_its_children_die_by_what_is_unblocked_for_a_moment() {
    a_child_of_pid_1_dies(|| take_in_a_moment(Signal::TERM));
}

fn a_child_of_pid_1_dies(by: fn()) {
    let child = fork_pid_1(|| {
        let _shutdown = after_the_first(Signal::INT | Signal::TERM);
        let child = Child::fork(|| {
            by();
            1
        });
        assert_eq!(child.wait(), End::Killed(libc::SIGTERM));
        0
    });
    child.wait_for_success();
}

fn as_pid_1_the_second_exits_also_after_every_thread() {
    let child = fork_pid_1(|| {
        // Another handler is there while it is open.
        let every = options().every_thread(true);
        let mut shutdown = every.shutdown(Signal::INT | Signal::TERM).unwrap();
        kill(pid(), Signal::INT);
        assert_eq!(shutdown.wait().unwrap().signal(), Signal::INT);
        kill(pid(), Signal::TERM);
        stay()
    });
    assert_eq!(child.wait(), TERMINATED);
}

/// Of the two handlers, the one that was there first goes first.
fn as_pid_1_it_puts_back_what_it_changed_under_every_thread() {
    let child = fork_pid_1(|| {
        let handler = || kernel_action(libc::SIGTERM)[0];
        let before = handler();
        let shutdown = after_the_first(Signal::TERM);
        let every = mask::block_every_thread(Signal::TERM).unwrap();
        drop(shutdown);
        drop(every);
        assert_eq!(handler(), before);
        0
    });
    child.wait_for_success();
}

/// And here it comes first that was there first.
fn as_pid_1_the_second_exits_where_every_thread_was_blocked_before() {
    let child = fork_pid_1(|| {
        let every = mask::block_every_thread(Signal::TERM).unwrap();
        let _shutdown = after_the_first(Signal::TERM);
        drop(every);
        set_mask(SignalSet::empty());
        kill(pid(), Signal::TERM);
        stay()
    });
    assert_eq!(child.wait(), TERMINATED);
}

/// Then the handler for every thread is there still.
fn as_pid_1_the_second_exits_also_with_a_thread_stuck_in_the_kernel() {
    let child = fork_pid_1(|| {
        let (_threads, _let_go) = stuck();
        let every = options().every_thread(true);
        let mut shutdown = every.shutdown(Signal::INT | Signal::TERM).unwrap();
        kill(pid(), Signal::INT);
        assert_eq!(shutdown.wait().unwrap().signal(), Signal::INT);
        kill(pid(), Signal::TERM);
        stay()
    });
    assert_eq!(child.wait(), TERMINATED);
}

/// From outside the kernel delivers to PID 1 what it would not from inside.
fn as_pid_1_it_hears_what_is_outside() {
    let (mut ours, mut theirs) = UnixStream::pair().unwrap();
    let child = fork_pid_1(|| {
        let mut shutdown = shutdown(Signal::TERM).unwrap();
        theirs.write_all(&[0]).unwrap();
        let info = shutdown.wait().unwrap();
        assert_eq!(info.sender(), Sender::Unknown);
        theirs.write_all(&[0]).unwrap();
        stay()
    });
    for _ in 0..2 {
        ours.read_exact(&mut [0]).unwrap();
        kill(child.pid, Signal::TERM);
    }
    assert_eq!(child.wait(), TERMINATED);
}

fn as_pid_1_the_pending_second_exits_with_the_status() {
    let child = fork_pid_1(|| {
        let mut shutdown = shutdown(Signal::INT | Signal::TERM).unwrap();
        kill(pid(), Signal::INT);
        kill(pid(), Signal::TERM);
        let _info = shutdown.wait();
        1
    });
    assert_eq!(child.wait(), TERMINATED);
}

fn as_pid_1_the_deadline_exits_with_the_status() {
    let child = fork_pid_1(|| {
        let mut shutdown = after_the_first(Signal::TERM);
        shutdown.deadline(MOMENT).unwrap();
        stay()
    });
    assert_eq!(child.wait(), TERMINATED);
}

fn as_pid_1_it_dies_with_the_status() {
    let child = fork_pid_1(|| {
        after_the_first(Signal::TERM).die();
        1
    });
    assert_eq!(child.wait(), TERMINATED);
}

fn as_pid_1_they_nest() {
    let child = fork_pid_1(|| {
        let mut outer = shutdown(Signal::TERM).unwrap();
        let mut inner = shutdown(Signal::TERM).unwrap();
        assert_nested(|| outer.wait(), &mut inner);
        // The outer one still needs the handler.
        drop(inner);
        kill(pid(), Signal::TERM);
        1
    });
    assert_eq!(child.wait(), TERMINATED);
}

fn as_pid_1_what_is_not_fatal_does_nothing() {
    let child = fork_pid_1(|| {
        let harmless = Signal::CHLD | Signal::WINCH | Signal::CONT;
        let _shutdown = after_the_first(harmless | Signal::TERM);
        harmless.signals().for_each(|signal| kill(pid(), signal));
        0
    });
    child.wait_for_success();
}

fn as_pid_1_it_puts_back_what_it_changed() {
    // Of a default action there is no more to know.
    let handlers = || actions().iter().map(|it| it[0]).collect::<Vec<_>>();
    let child = fork_pid_1(|| {
        set_handler_that_exits(Signal::INT);
        let before = handlers();
        drop(shutdown(Signal::INT | Signal::TERM).unwrap());
        assert_eq!(handlers(), before);
        let shutdown = after_the_first(Signal::INT | Signal::TERM);
        assert_ne!(handlers(), before);
        drop(shutdown);
        assert_eq!(handlers(), before);
        kill(pid(), Signal::TERM);
        let _shutdown = after_the_first(Signal::INT | Signal::TERM);
        kill(pid(), Signal::INT);
        1
    });
    child.wait_for_success();
}

// ---------------------------------------------------------------------------
// In a forked child

fn every_path_says_that_it_was_forked() {
    ignore(Signal::HUP);
    let forked = Err(Error::Forked);
    let all_say_so = |shutdown: &mut Shutdown| {
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(shutdown.try_recv().map(drop), forked);
        assert_eq!(shutdown.wait_timeout(HOUR).map(drop), forked);
        assert_eq!(shutdown.wait().map(drop), forked);
        let poll = shutdown.poll_recv(&mut cx);
        assert_eq!(poll.map_ok(drop), Poll::Ready(forked));
        assert_eq!(shutdown.deadline(HOUR), forked);
        0
    };
    let mut open = shutdown(Signal::TERM).unwrap();
    Child::fork(|| all_say_so(&mut open)).wait_for_success();
    kill(pid(), Signal::TERM);
    open.wait().unwrap();
    Child::fork(|| all_say_so(&mut open)).wait_for_success();
    let mut all_ignored = shutdown(Signal::HUP).unwrap();
    Child::fork(|| all_say_so(&mut all_ignored)).wait_for_success();
}

/// The child's first timer has the number of its parent's.
fn a_copy_in_a_child_leaves_the_childs_timer_alone() {
    let mut parents = after_the_first(Signal::TERM);
    parents.deadline(HOUR).unwrap();
    assert_eq!(timers(), 1);
    let child = Child::fork(|| {
        let mut own = after_the_first(Signal::TERM);
        own.deadline(HOUR).unwrap();
        // SAFETY: reads the bytes into another place; the original is not used
        // again in this process.
        drop(unsafe { std::ptr::read(&raw const parents) });
        assert_eq!(timers(), 1);
        0
    });
    child.wait_for_success();
    assert_eq!(timers(), 1);
}
