//! Signals that every thread is made to block.

#![allow(unsafe_code, reason = "handlers, and calls that sleep")]

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver as Ended, Sender as Told, channel};
use std::sync::{Arc, Barrier};
use std::thread::{self, JoinHandle};

use libc::c_int;
use signalfd::{
    Batch, Cause, ChildState, Error, Receiver, Sender, Signal, SignalSet,
    Signals, mask,
};

use super::exit::fork_pid_1;
use super::scopes::race_with_the_end;
use crate::common::{
    Child, DEADLINE, End, Forged, HeldCalls, action, can_queue_any_code,
    forbid, kill, leave_the_user, options, pid, received_by_two_that_sleep,
    set_action, set_limit, set_mask, set_masked_action, sigqueue,
    sigqueue_to_thread, storm_size, take_in_a_moment, tgkill, tid, uid,
    wait_until, wait_until_asleep,
};
use crate::harness::{
    battery, cases, racing_rounds, rounds_with_receivers, skip,
};

cases! {
    threads_that_exist_are_healed,
    a_storm_stays_in_order_after_healing,
    children_are_seen_though_threads_existed,
    who_sleeps_in_the_kernel_is_interrupted_once,
    errno_is_kept,
    a_thread_that_unblocks_again_is_caught,
    nothing_is_lost_by_threads_that_unblock_again_and_again,
    nothing_is_lost_with_the_queue_at_its_limit,
    threads_that_are_born_unblocked_in_the_storm,
    what_a_record_says_is_kept,
    with_a_full_queue_a_standard_signal_keeps_its_sender_on_newer_kernels,
    what_is_for_a_thread_becomes_the_process_s,
    what_a_timer_says_is_kept,
    a_mask_for_a_moment_is_no_mask,
    who_sleeps_in_sigwaitinfo_gets_the_crate_s_own,
    threads_that_have_yet_to_begin_are_waited_for,
    who_knows_when_threads_come_heals_them,
    a_thread_with_a_stack_for_signals,
    a_thread_with_a_stack_for_signals_and_no_room_in_the_queue,
    a_thread_stuck_in_the_kernel_is_late,
    a_stuck_thread_does_not_die_of_what_it_was_sent,
    threads_that_end_meanwhile_leave_no_handler,
    several_signals_at_once_need_no_larger_stack,
    who_sleeps_is_woken_by_what_is_left,
    what_was_left_takes_its_action_once_or_was_read,
    the_queue_is_full_when_it_begins,
    each_who_sleeps_gets_one_that_is_left,
    what_finds_no_memory_waits_for_room,
    who_sleeps_is_woken_without_a_timer,
    each_real_time_signal_has_one_timer,
    who_sleeps_is_woken_where_the_queue_is_full,
    who_sleeps_is_woken_where_there_is_no_room_for_a_timer,
    a_wake_that_is_late_takes_no_action,
    a_wake_that_is_later_still_finds_the_handler,
    a_handler_that_has_to_stay_hands_on,
    it_has_the_stack_that_the_handler_of_before_is_for,
    a_late_handler_lets_the_one_that_is_back_run,
    a_wake_without_a_timer_takes_no_action_either,
    what_is_left_late_takes_the_action_that_is_back,
    what_finds_no_room_waits_for_who_reads_next,
    what_is_left_keeps_the_handler_for_who_reads,
    what_has_lost_its_record_is_not_taken_for_the_crate_s,
    the_actions_come_back,
    a_handler_installed_meanwhile_stays,
    a_handler_that_hands_on_is_no_trouble,
    a_handler_that_hands_on_goes_on_afterwards,
    a_plain_handler_that_hands_on_goes_on_afterwards,
    a_handler_that_hands_on_goes_on_after_a_second_receiver,
    a_handler_that_blocks_all_goes_on_after_a_second_receiver,
    a_handler_installed_again_afterwards_gives_way,
    brought_back_without_a_record_it_goes_on,
    brought_back_without_a_record_it_is_mended_by_who_heals_or_opens,
    brought_back_without_a_record_it_gives_way,
    brought_back_without_a_record_it_makes_up_no_signal,
    brought_back_without_a_record_it_takes_no_signal_for_a_probe,
    brought_back_for_one_signal_it_is_gone_after_that,
    who_heals_leaves_alone_what_has_another_action,
    what_is_unread_at_the_end_reaches_its_handler_as_it_was,
    what_an_outer_receiver_waits_for_is_not_dropped,
    what_comes_while_a_receiver_goes_is_not_dropped,
    what_comes_while_a_guard_goes_is_not_dropped,
    what_comes_meanwhile_does_not_hold_up_an_action,
    a_sender_in_a_loop_does_not_hold_up_the_end,
    a_sender_in_a_loop_does_not_hold_up_the_end_where_somebody_was_woken,
    who_opens_while_an_action_comes_back_receives_all,
    an_action_that_ignores_comes_back_with_the_last_one,
    another_action_comes_back_at_once,
    a_forked_child_claims_for_itself,
    two_receivers_with_a_signal_in_common,
    children_that_nobody_waits_for,
    two_guards_with_a_signal_in_common,
    the_set_can_be_changed,
    changes_by_many_threads_end_in_agreement,
    what_the_crate_has_sent_itself_is_not_put_back,
    a_guard_alone,
    proc_of_an_outer_namespace,
    it_fails_without_proc_and_changes_nothing,
    it_fails_with_bad_sets,
    a_forked_child_takes_the_default_action,
    a_forked_child_ends_though_the_handler_has_to_stay,
    a_forked_child_takes_the_handler_from_before,
    a_forked_child_unblocked_for_a_moment_takes_the_action,
    a_forked_child_can_have_its_own,
    a_child_of_a_bare_vfork_is_taken_for_its_parent,
    a_child_of_a_bare_vfork_leaves_nothing_to_its_parent,
    a_child_of_posix_spawn_takes_the_default_action,
    a_signal_racing_the_drop_is_received_or_ends_the_process,
    children_of_threads_that_open_and_leave_can_open_their_own,
    many_open_and_leave_at_once,
    the_error_of_the_check_says_that_this_exists,
}

/// Opens a receiver of the battery's kind that every thread blocks for.
fn open(set: impl Into<SignalSet>) -> Signals {
    options().every_thread(true).open(set).unwrap()
}

fn rt(n: u8) -> Signal {
    Signal::rt(n).unwrap()
}

/// Threads that block nothing, and do nothing until they are told to end.
pub(crate) struct Threads {
    tids: Vec<i32>,
    ends: Vec<Told<()>>,
    handles: Vec<JoinHandle<()>>,
}

impl Threads {
    pub(crate) fn idle(count: usize) -> Self {
        Self::new(count, |ended| ended.recv().unwrap_err())
    }

    /// Threads that do this before they wait for their end.
    fn new<T>(
        count: usize,
        work: impl Fn(Ended<()>) -> T + Send + Clone + 'static,
    ) -> Self {
        let (tell, told) = channel();
        let mut threads =
            Self { tids: Vec::new(), ends: Vec::new(), handles: Vec::new() };
        for _ in 0..count {
            let (end, ended) = channel();
            let (tell, work) = (tell.clone(), work.clone());
            threads.ends.push(end);
            threads.handles.push(thread::spawn(move || {
                tell.send(tid()).unwrap();
                work(ended);
            }));
        }
        threads.tids.extend(told.iter().take(count));
        threads
    }

    pub(crate) fn end(self) {
        drop(self.ends);
        self.handles.into_iter().for_each(|handle| handle.join().unwrap());
    }
}

/// Sends numbers from 0 up from another process, and the signal's name with them.
fn sender(signal: Signal, count: i32) -> Child {
    let receiver = pid();
    Child::fork(move || {
        for value in 0..count {
            wait_until("there is room in the queue", || {
                match sigqueue(receiver, signal, value) {
                    Ok(()) => true,
                    Err(error) => {
                        assert_eq!(error.raw_os_error(), Some(libc::EAGAIN));
                        false
                    }
                }
            });
        }
        0
    })
}

/// Receives so many, and sorts the numbers by signal.
fn receive(signals: &Receiver, count: usize) -> BTreeMap<Signal, Vec<i32>> {
    let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let mut batch = Batch::<64>::new();
    let mut taken = 0;
    while taken < count {
        for info in signals.wait_batch(&mut batch).unwrap() {
            all.entry(info.signal()).or_default().push(info.value().unwrap());
            taken += 1;
        }
    }
    assert_eq!(signals.try_recv().unwrap(), None, "none is doubled");
    all
}

/// None is lost or doubled.
fn each_once(mut values: Vec<i32>, count: i32) {
    values.sort_unstable();
    let is_missing = |value: &i32| values.binary_search(value).is_err();
    let missing: Vec<_> = (0..count).filter(is_missing).collect();
    let doubled: Vec<_> =
        values.windows(2).filter(|two| two[0] == two[1]).collect();
    assert_eq!((missing, doubled), (vec![], vec![]));
    assert_eq!(values.len(), count as usize);
}

const fn every(signals: &Receiver) -> &mask::EveryThread {
    signals.every_thread().expect("it was asked for")
}

fn threads_that_exist_are_healed() {
    for count in [1, 64, 300] {
        let threads = Threads::idle(count);
        let set = Signal::TERM | Signal::HUP | rt(0);
        let signals = open(set);
        assert_eq!(every(&signals).signals(), set);
        assert_eq!(every(&signals).healed() as usize, count);
        assert_eq!(every(&signals).late(), Ok(None));
        mask::check_threads(set).unwrap();
        kill(pid(), Signal::TERM);
        let info = signals.wait().unwrap();
        assert_eq!(info.signal(), Signal::TERM);
        assert!(matches!(info.sender(), Sender::Verified { .. }));
        assert_eq!(every(&signals).caught(), 0);
        threads.end();
    }
}

fn a_storm_stays_in_order_after_healing() {
    let threads = Threads::idle(64);
    let signals = open(rt(0) | rt(1) | rt(2) | rt(3) | Signal::CHLD);
    let each = storm_size() / 10;
    let senders: Vec<_> = (0..4).map(|n| sender(rt(n), each)).collect();
    signals.remove(Signal::CHLD).unwrap();
    let all = receive(&signals, 4 * each as usize);
    assert_eq!(all.len(), 4);
    for values in all.into_values() {
        assert!(values.into_iter().eq(0..each), "in order, and once");
    }
    assert_eq!(every(&signals).caught(), 0);
    senders.into_iter().for_each(Child::wait_for_success);
    threads.end();
}

fn children_are_seen_though_threads_existed() {
    let threads = Threads::idle(8);
    let signals = open(Signal::CHLD | Signal::WINCH);
    for code in 0..100 {
        let child = Child::fork(move || code);
        let info = signals.wait().unwrap();
        let Cause::Child { pid, state, status, .. } = info.cause() else {
            panic!("{info}");
        };
        assert_eq!(pid, child.pid as u32);
        assert_eq!((state, status), (ChildState::Exited, code));
        assert_eq!(child.wait(), End::Exited(code));
    }
    kill(pid(), Signal::WINCH);
    assert_eq!(signals.wait().unwrap().signal(), Signal::WINCH);
    threads.end();
}

/// What a sleeping call came back with.
fn result_of(result: impl Into<i64>) -> c_int {
    if result.into() == -1 {
        io::Error::last_os_error().raw_os_error().unwrap()
    } else {
        0
    }
}

/// signal(7) has the list of calls that are restarted and of those that are not.
fn who_sleeps_in_the_kernel_is_interrupted_once() {
    type Call = Box<dyn FnOnce() -> c_int + Send>;
    static WORD: AtomicU32 = AtomicU32::new(0);
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let fd = theirs.as_raw_fd();
    let reading = move || {
        let mut byte = [0_u8; 1];
        // SAFETY: writes one byte to the array.
        result_of(unsafe { libc::read(fd, byte.as_mut_ptr().cast(), 1) } as i64)
    };
    let polling = move || {
        let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        // SAFETY: reads and writes one pollfd.
        result_of(unsafe { libc::poll(&raw mut poll, 1, -1) })
    };
    let polling_an_epoll = move || {
        // SAFETY: takes a number.
        let epoll = unsafe { libc::epoll_create1(0) };
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        // SAFETY: writes one event at most.
        result_of(unsafe { libc::epoll_wait(epoll, &raw mut event, 1, -1) })
    };
    let napping = || {
        let long = libc::timespec { tv_sec: 1000, tv_nsec: 0 };
        // SAFETY: reads a timespec, and writes none.
        result_of(unsafe { libc::nanosleep(&raw const long, ptr::null_mut()) })
    };
    let on_a_futex = || {
        let none = ptr::null::<libc::timespec>();
        // SAFETY: waits on a word of this program.
        result_of(unsafe {
            libc::syscall(
                libc::SYS_futex,
                WORD.as_ptr(),
                libc::FUTEX_WAIT,
                0,
                none,
            )
        })
    };
    let calls: [(Call, c_int); 5] = [
        (Box::new(polling), libc::EINTR),
        (Box::new(polling_an_epoll), libc::EINTR),
        (Box::new(napping), libc::EINTR),
        (Box::new(on_a_futex), 0),
        (Box::new(reading), 0),
    ];
    let (tell, told) = channel();
    let sleepers: Vec<_> = calls
        .into_iter()
        .map(|(call, expected)| {
            let tell = tell.clone();
            let thread = thread::spawn(move || {
                tell.send(tid()).unwrap();
                call()
            });
            wait_until_asleep(told.recv().unwrap());
            (thread, expected)
        })
        .collect();
    let signals = open(Signal::TERM);
    assert_eq!(every(&signals).healed(), 5);
    // Those that are restarted sleep on until they are woken.
    ours.write_all(&[1]).unwrap();
    let mut sleepers = sleepers.into_iter();
    for (thread, expected) in sleepers.by_ref().take(3) {
        assert_eq!(thread.join().unwrap(), expected);
    }
    let (on_a_futex, _) = sleepers.next().unwrap();
    wait_until("it is woken", || {
        // SAFETY: wakes who waits on a word of this program.
        let woken = unsafe {
            libc::syscall(libc::SYS_futex, WORD.as_ptr(), libc::FUTEX_WAKE, 1)
        };
        woken == 1
    });
    assert_eq!(on_a_futex.join().unwrap(), 0);
    assert_eq!(sleepers.next().unwrap().0.join().unwrap(), 0);
}

/// Also where a system call of the handler fails.
fn errno_is_kept() {
    const EACH: i32 = 100;
    let signals = open(rt(0));
    let threads = Threads::new(1, |ended| {
        // SAFETY: points to this thread's errno.
        let errno = unsafe { libc::__errno_location() };
        let after_the_handler = |value| {
            // The thread blocks it, and the handler sees to it that it does again.
            sigqueue_to_thread(tid(), rt(0), value);
            // SAFETY: as above.
            unsafe { *errno = libc::EXDEV };
            set_mask(SignalSet::empty());
            // SAFETY: as above.
            unsafe { *errno }
        };
        let sent_on: Vec<_> = (0..EACH).map(after_the_handler).collect();
        forbid(libc::SYS_rt_sigqueueinfo, libc::EAGAIN);
        let left: Vec<_> = (EACH..2 * EACH).map(after_the_handler).collect();
        ended.recv().unwrap_err();
        assert_eq!(sent_on, [libc::EXDEV; EACH as usize]);
        assert_eq!(left, [libc::EXDEV; EACH as usize]);
    });
    let mut all = receive(&signals, 2 * EACH as usize);
    each_once(all.remove(&rt(0)).unwrap(), 2 * EACH);
    assert_eq!(every(&signals).caught(), 2 * EACH as u64);
    threads.end();
}

fn a_thread_that_unblocks_again_is_caught() {
    let signals = open(Signal::TERM);
    let threads = Threads::new(1, |ended| {
        set_mask(SignalSet::empty());
        assert_eq!(ended.recv(), Err(std::sync::mpsc::RecvError));
        assert_eq!(mask::current(), Ok(Signal::TERM.into()));
    });
    wait_until("it has unblocked", || every(&signals).late() != Ok(None));
    let late = every(&signals).late().unwrap().unwrap();
    assert_eq!(late.tid(), threads.tids[0] as u32);
    assert_eq!(late.signals(), Signal::TERM.into());
    tgkill(threads.tids[0], Signal::TERM);
    was_caught(&signals, 1);
    assert_eq!(signals.wait().unwrap().signal(), Signal::TERM);
    assert_eq!(every(&signals).late(), Ok(None));
    threads.end();

    // And before a signal comes.
    let threads = open_threads(1);
    wait_until("it has unblocked", || every(&signals).late() != Ok(None));
    every(&signals).heal().unwrap();
    assert_eq!(every(&signals).late(), Ok(None));
    kill(pid(), Signal::TERM);
    assert_eq!(signals.wait().unwrap().signal(), Signal::TERM);
    assert_eq!(every(&signals).caught(), 1);
    let later = mask::block_every_thread(Signal::TERM).unwrap();
    assert_eq!((later.caught(), later.healed()), (0, 0));
    threads.end();
}

/// How many threads keep unblocking. They never sleep, and where they have to share
/// the CPUs of an emulator so many leave the senders none.
fn crowd() -> usize {
    if storm_size() >= 100_000 { 64 } else { 8 }
}

/// Threads that unblock everything until they are told to end.
pub(crate) fn unblocking(count: usize) -> Threads {
    Threads::new(count, |ended| {
        use std::sync::mpsc::TryRecvError;
        while ended.try_recv() == Err(TryRecvError::Empty) {
            set_mask(SignalSet::empty());
            thread::yield_now();
        }
    })
}

fn nothing_is_lost_by_threads_that_unblock_again_and_again() {
    let threads = unblocking(crowd());
    let signals = open(rt(0) | rt(1) | rt(2) | rt(3));
    let each = storm_size() / 20;
    let senders: Vec<_> = (0..4).map(|n| sender(rt(n), each)).collect();
    let all = receive(&signals, 4 * each as usize);
    for values in all.into_values() {
        each_once(values, each);
    }
    assert!(storm_size() < 100_000 || every(&signals).caught() > 0);
    senders.into_iter().for_each(Child::wait_for_success);
    threads.end();
}

fn nothing_is_lost_with_the_queue_at_its_limit() {
    leave_the_user();
    set_limit(libc::RLIMIT_SIGPENDING, 50);
    // The limit is for all processes of a user.
    let filler = Child::fork(|| {
        end_with_the_parent();
        let signals = crate::common::open(rt(9)).unwrap();
        let mut batch = Batch::<64>::new();
        loop {
            let mut count = 0..40;
            let _full = count.try_for_each(|n| sigqueue(pid(), rt(9), n));
            signals.try_recv_batch(&mut batch).unwrap();
        }
    });
    let threads = unblocking(crowd());
    let signals = open(rt(0) | rt(1) | rt(2) | rt(3));
    let each = storm_size() / 20;
    let senders: Vec<_> = (0..4).map(|n| sender(rt(n), each)).collect();
    let all = receive(&signals, 4 * each as usize);
    for values in all.into_values() {
        each_once(values, each);
    }
    assert!(storm_size() < 100_000 || every(&signals).caught() > 0);
    senders.into_iter().for_each(Child::wait_for_success);
    kill(filler.pid, Signal::KILL);
    assert_eq!(filler.wait(), End::Killed(libc::SIGKILL));
    threads.end();
}

fn threads_that_are_born_unblocked_in_the_storm() {
    let signals = open(rt(0));
    let go_on = Arc::new(AtomicBool::new(true));
    let flag = Arc::clone(&go_on);
    let (tell, told) = channel();
    let mother = thread::spawn(move || {
        while flag.load(Ordering::Relaxed) {
            set_mask(SignalSet::empty());
            thread::spawn(thread::yield_now).join().unwrap();
            tell.send(()).unwrap();
        }
    });
    told.recv().unwrap();
    let child = sender(rt(0), storm_size() / 10);
    let mut values = receive(&signals, storm_size() as usize / 10);
    each_once(values.remove(&rt(0)).unwrap(), storm_size() / 10);
    go_on.store(false, Ordering::Relaxed);
    mother.join().unwrap();
    child.wait_for_success();
}

/// Waits until so many were caught: who receives might be faster than the thread. A
/// ring that reads ahead is.
fn was_caught(signals: &Receiver, count: u64) {
    if !battery().reads_ahead() {
        wait_until("it is caught", || every(signals).caught() == count);
    }
}

/// Lets another thread take it, which does not block it.
fn through_the_handler(
    signals: &Signals,
    send: impl FnOnce(),
) -> signalfd::SigInfo {
    let threads = open_threads(1);
    wait_until("it has unblocked", || every(signals).late() != Ok(None));
    let caught = every(signals).caught();
    send();
    was_caught(signals, caught + 1);
    let info = signals.wait().unwrap();
    threads.end();
    info
}

fn what_a_record_says_is_kept() {
    let signals = open(Signal::TERM | Signal::CHLD | rt(0) | Signal::ALRM);
    let me = std::process::id();

    let info = through_the_handler(&signals, || kill(pid(), Signal::TERM));
    assert_eq!(info.cause(), Cause::Kill);
    assert_eq!((info.pid(), info.uid()), (Some(me), Some(uid())));
    if !battery().reads_ahead() {
        // On older kernels anyone could have sent what it came as.
        let (pid, uid) = (me, uid());
        let sender = if can_queue_any_code() {
            Sender::Verified { pid, uid }
        } else {
            Sender::Claimed { pid, uid }
        };
        assert_eq!(info.sender(), sender);
    }

    let info = through_the_handler(&signals, || {
        sigqueue(pid(), rt(0), 4711).unwrap();
    });
    assert_eq!(info.value(), Some(4711));
    assert_eq!((info.pid(), info.uid()), (Some(me), Some(uid())));

    let child = AtomicI32::new(0);
    let info = through_the_handler(&signals, || {
        let forked = Child::fork(|| 42);
        child.store(forked.pid, Ordering::Relaxed);
        assert_eq!(forked.wait(), End::Exited(42));
    });
    let Cause::Child { pid, state, status, .. } = info.cause() else {
        panic!("{info}");
    };
    assert_eq!(pid, child.into_inner() as u32);
    assert_eq!((state, status), (ChildState::Exited, 42));

    let info = through_the_handler(&signals, || {
        Forged::new(Signal::ALRM, -77, 5, 6, 7)
            .queue(crate::common::pid())
            .unwrap();
    });
    assert_eq!((info.code(), info.value()), (-77, Some(7)));
    assert_eq!((info.pid(), info.uid()), (Some(5), Some(6)));
}

/// Its value, and how often it has expired in vain.
fn what_a_timer_says_is_kept() {
    let signals = open(rt(0));
    // SAFETY: an all-zero value is allowed.
    let mut event: libc::sigevent = unsafe { std::mem::zeroed() };
    event.sigev_notify = libc::SIGEV_SIGNAL;
    event.sigev_signo = rt(0).as_raw();
    event.sigev_value.sival_ptr = ptr::without_provenance_mut(5);
    let mut timer = ptr::null_mut();
    let clock = libc::CLOCK_MONOTONIC;
    // SAFETY: reads the event and writes the timer, which live past the call.
    let made =
        unsafe { libc::timer_create(clock, &raw mut event, &raw mut timer) };
    assert_eq!(made, 0);
    let often = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 };
    let period = libc::itimerspec { it_interval: often, it_value: often };
    // SAFETY: reads the times, which live past the call.
    let set = unsafe {
        libc::timer_settime(timer, 0, &raw const period, ptr::null_mut())
    };
    assert_eq!(set, 0);
    let start = std::time::Instant::now();
    wait_until("it has expired often", || start.elapsed().as_millis() >= 20);
    let threads = open_threads(1);
    was_caught(&signals, 1);
    let mut overruns = Vec::new();
    let first = signals.wait().unwrap();
    // SAFETY: the timer was made above.
    assert_eq!(unsafe { libc::timer_delete(timer) }, 0);
    let others = std::iter::from_fn(|| signals.try_recv().unwrap());
    for info in std::iter::once(first).chain(others) {
        let Cause::Timer { overrun, value, .. } = info.cause() else {
            panic!("{info:?}");
        };
        assert_eq!(value, 5);
        overruns.push(overrun);
    }
    if !battery().reads_ahead() {
        // What was pending before has come through the handler.
        assert!(overruns.iter().any(|&it| it >= 15), "{overruns:?}");
    }
    threads.end();
    while signals.try_recv().unwrap().is_some() {}
}

/// The kernel keeps the record of what it has sent itself, or for `kill(2)`.
fn with_a_full_queue_a_standard_signal_keeps_its_sender_on_newer_kernels() {
    let signals = open(Signal::TERM);
    let info = through_the_handler(&signals, || {
        set_limit(libc::RLIMIT_SIGPENDING, 0);
        kill(pid(), Signal::TERM);
    });
    let (pid, uid) = (std::process::id(), uid());
    let (kept, dropped) = (Sender::Verified { pid, uid }, Sender::Unknown);
    if can_queue_any_code() {
        assert_eq!(info.sender(), kept);
    } else if battery().reads_ahead() {
        // The ring may have been faster than the thread.
        assert!([kept, dropped].contains(&info.sender()));
    } else {
        assert_eq!(info.sender(), dropped);
    }
}

fn what_is_for_a_thread_becomes_the_process_s() {
    let signals = open(Signal::TERM);
    let threads = open_threads(1);
    wait_until("it has unblocked", || every(&signals).late() != Ok(None));
    tgkill(threads.tids[0], Signal::TERM);
    let info = signals.wait().unwrap();
    assert_eq!(info.code(), libc::SI_TKILL);
    assert_eq!(info.pid(), Some(std::process::id()));
    threads.end();
}

/// `ppoll` blocks signals while it sleeps, and not afterwards.
fn a_mask_for_a_moment_is_no_mask() {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let fd = theirs.as_raw_fd();
    let threads = Threads::new(1, move |ended| {
        let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let all = u64::MAX;
        let none = ptr::null::<libc::timespec>();
        // SAFETY: reads and writes one pollfd, and reads a mask of 8 bytes.
        let ready = unsafe {
            libc::syscall(
                libc::SYS_ppoll,
                &raw mut poll,
                1,
                none,
                &raw const all,
                8,
            )
        };
        assert_eq!(ready, 1);
        ended.recv().unwrap_err();
    });
    wait_until("it polls", || {
        let thread = format!("/proc/self/task/{}/status", threads.tids[0]);
        let status = std::fs::read_to_string(thread).unwrap();
        status.contains("SigBlk:\tfffffff")
    });
    let signals = open(Signal::TERM);
    ours.write_all(&[1]).unwrap();
    wait_until("it has polled", || every(&signals).late() != Ok(None));
    tgkill(threads.tids[0], Signal::TERM);
    was_caught(&signals, 1);
    assert_eq!(signals.wait().unwrap().signal(), Signal::TERM);
    threads.end();
}

/// While it does, it does not block the signal, as far as anybody can see.
fn who_sleeps_in_sigwaitinfo_gets_the_crate_s_own() {
    let (tell, told) = channel();
    let sleeper = thread::spawn(move || {
        set_mask(Signal::TERM.into());
        // SAFETY: an all-zero set is an empty one on Linux.
        let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
        // SAFETY: adds a signal to the set.
        unsafe { libc::sigaddset(&raw mut set, libc::SIGTERM) };
        // SAFETY: an all-zero value is allowed.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        tell.send(tid()).unwrap();
        // SAFETY: reads the set and writes the record, which live past the call.
        let signal =
            unsafe { libc::sigwaitinfo(&raw const set, &raw mut info) };
        (signal, info.si_code)
    });
    wait_until_asleep(told.recv().unwrap());
    let _guard = signalfd::block(Signal::USR1).unwrap();
    tgkill(tid(), Signal::USR1);
    let signals = open(Signal::TERM);
    let (signal, code) = sleeper.join().unwrap();
    assert_eq!(signal, libc::SIGTERM);
    let codes = [libc::SI_USER, libc::SI_TKILL, libc::SI_QUEUE];
    assert!(!codes.contains(&code), "{code}");
    assert_eq!(every(&signals).late(), Ok(None));
    assert_eq!(signals.try_recv().unwrap(), None);
    // It is gone, and what is pending besides is not taken for it.
    drop(signals);
    assert_eq!(action(Signal::TERM).0, libc::SIG_DFL);
    set_action(Signal::USR1, libc::SIG_IGN, 0);
}

/// The C library starts a thread with everything blocked, so that it looks healed. As in
/// `#[tokio::main]`, whose threads may have yet to begin.
fn threads_that_have_yet_to_begin_are_waited_for() {
    const COUNT: i32 = 100;
    if cfg!(not(target_env = "gnu")) {
        // Others cannot be told from threads that block the signals.
        return;
    }
    for _ in 0..rounds_with_receivers() {
        let (tell, told) = channel();
        let threads = [(); 4].map(|()| {
            let tell = tell.clone();
            let (end, ended) = channel::<()>();
            let work = move || {
                tell.send(()).unwrap();
                ended.recv().unwrap_err();
            };
            (thread::spawn(work), end)
        });
        let signals = open(rt(0));
        assert_eq!(told.iter().take(4).count(), 4, "they have begun");
        assert_eq!(every(&signals).late(), Ok(None));
        for value in 0..COUNT {
            sigqueue(pid(), rt(0), value).unwrap();
        }
        let mut all = receive(&signals, COUNT as usize);
        assert!(all.remove(&rt(0)).unwrap().into_iter().eq(0..COUNT));
        assert_eq!(every(&signals).caught(), 0);
        for (thread, end) in threads {
            drop(end);
            thread.join().unwrap();
        }
    }
}

/// Then no signal has to pass through the handler.
fn who_knows_when_threads_come_heals_them() {
    let signals = open(Signal::TERM | rt(0));
    let threads = open_threads(8);
    wait_until("they have unblocked", || {
        let open = |tid: &i32| {
            let status = format!("/proc/self/task/{tid}/status");
            let status = std::fs::read_to_string(status).unwrap();
            status.contains("SigBlk:\t0000000000000000")
        };
        threads.tids.iter().all(open)
    });
    every(&signals).heal().unwrap();
    assert_eq!(every(&signals).healed(), 8);
    assert_eq!(every(&signals).late(), Ok(None));
    for value in 0..1000 {
        sigqueue(pid(), rt(0), value).unwrap();
    }
    let mut all = receive(&signals, 1000);
    assert!(all.remove(&rt(0)).unwrap().into_iter().eq(0..1000));
    assert_eq!(every(&signals).caught(), 0);
    threads.end();
}

/// Rust's own threads have one of 8 KiB, of which the kernel takes half where there
/// is AVX-512.
fn on_a_stack_for_signals(before: fn()) -> Signals {
    const PATTERN: u8 = 0xA5;
    // SAFETY: takes a number.
    let frame = unsafe { libc::getauxval(libc::AT_MINSIGSTKSZ) };
    let frame = usize::try_from(frame).unwrap();
    if frame == 0 && cfg!(target_arch = "x86_64") {
        skip("the kernel does not say how much it puts there");
    }
    let signals = open(Signal::TERM);
    let threads = Threads::new(1, move |ended| {
        let mut memory = vec![PATTERN; 64 * 1024];
        let stack = libc::stack_t {
            ss_sp: memory.as_mut_ptr().cast(),
            ss_flags: 0,
            ss_size: memory.len(),
        };
        let mut old =
            libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: 0, ss_size: 0 };
        // SAFETY: the memory lives until the old stack is back.
        let set = unsafe { libc::sigaltstack(&raw const stack, &raw mut old) };
        assert_eq!(set, 0);
        before();
        set_mask(SignalSet::empty());
        ended.recv().unwrap_err();
        // SAFETY: what was there before.
        let set = unsafe { libc::sigaltstack(&raw const old, ptr::null_mut()) };
        assert_eq!(set, 0);
        let unused = memory.iter().take_while(|&&byte| byte == PATTERN).count();
        let used = memory.len() - unused;
        assert!(used > 0, "the handler ran there");
        // The kernel says how much it takes at most.
        assert!(used < frame + 4096, "{used} bytes, of which {frame}");
    });
    wait_until("it has unblocked", || every(&signals).late() != Ok(None));
    tgkill(threads.tids[0], Signal::TERM);
    wait_until("it is caught", || every(&signals).caught() == 1);
    threads.end();
    signals
}

fn a_thread_with_a_stack_for_signals() {
    let signals = on_a_stack_for_signals(|| {});
    assert_eq!(signals.wait().unwrap().signal(), Signal::TERM);
}

/// What cannot be sent on is left to who receives next.
fn a_thread_with_a_stack_for_signals_and_no_room_in_the_queue() {
    let signals = on_a_stack_for_signals(|| {
        forbid(libc::SYS_rt_sigqueueinfo, libc::EAGAIN);
    });
    assert_eq!(signals.wait().unwrap().signal(), Signal::TERM);
    assert_eq!(signals.try_recv().unwrap(), None);
}

fn threads_that_end_meanwhile_leave_no_handler() {
    let go_on = Arc::new(AtomicBool::new(true));
    let flag = Arc::clone(&go_on);
    let mother = thread::spawn(move || {
        while flag.load(Ordering::Relaxed) {
            set_mask(SignalSet::empty());
            thread::spawn(|| {}).join().unwrap();
        }
    });
    let before = action(Signal::TERM);
    for _ in 0..racing_rounds() {
        drop(mask::block_every_thread(Signal::TERM).unwrap());
        assert_eq!(action(Signal::TERM), before);
    }
    go_on.store(false, Ordering::Relaxed);
    mother.join().unwrap();
}

/// So that a child that waits for something does not stay when a test fails.
pub(crate) fn end_with_the_parent() {
    // SAFETY: takes numbers.
    let result = unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong)
    };
    assert_eq!(result, 0);
}

/// A thread that is in the kernel until it is let go, as after `vfork(2)`.
pub(crate) fn stuck() -> (Threads, UnixStream) {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let theirs = Arc::new(theirs);
    let threads = Threads::new(1, move |ended| {
        let flags = libc::CLONE_VFORK | libc::SIGCHLD;
        // SAFETY: without CLONE_VM it is a fork, of which the child reads and exits.
        let child =
            unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
        if child == 0 {
            end_with_the_parent();
            // Its parent waits for its end from before it runs.
            let _told = (&*theirs).write(&[0]);
            let mut byte = [0];
            let _end = (&*theirs).read(&mut byte);
            // SAFETY: ends the child.
            unsafe { libc::_exit(0) };
        }
        ended.recv().unwrap_err();
    });
    ours.read_exact(&mut [0]).unwrap();
    (threads, ours)
}

fn a_thread_stuck_in_the_kernel_is_late() {
    let (threads, mut let_go) = stuck();
    let signals = open(Signal::TERM);
    let late = every(&signals).late().unwrap().unwrap();
    assert_eq!(late.tid(), threads.tids[0] as u32);
    assert_eq!(late.signals(), Signal::TERM.into());
    kill(pid(), Signal::TERM);
    let_go.write_all(&[0]).unwrap();
    assert_eq!(signals.wait().unwrap().signal(), Signal::TERM);
    wait_until("it has come back", || every(&signals).late() == Ok(None));
    assert_eq!(signals.try_recv().unwrap(), None, "the probe is not seen");
    threads.end();
}

fn a_stuck_thread_does_not_die_of_what_it_was_sent() {
    let (threads, mut let_go) = stuck();
    let tid = threads.tids[0];
    drop(open(Signal::TERM));
    let_go.write_all(&[0]).unwrap();
    wait_until("it has run the handler", || {
        let thread = format!("/proc/self/task/{tid}/status");
        let status = std::fs::read_to_string(thread).unwrap();
        status.contains("SigPnd:\t0000000000000000")
            && status.contains("State:\tS")
    });
    // And what comes then takes its course.
    threads.end();
    let child = Child::fork(|| {
        kill(pid(), Signal::TERM);
        0
    });
    assert_eq!(child.wait(), End::Killed(libc::SIGTERM));
}

/// On the stack for signals that a thread of the standard library has.
fn several_signals_at_once_need_no_larger_stack() {
    let all = [Signal::HUP, Signal::INT, Signal::TERM, Signal::USR1];
    let signals = open(Signal::HUP);
    for signal in all {
        signals.insert(signal).unwrap();
    }
    let threads = Threads::new(1, move |ended| {
        for signal in all {
            tgkill(tid(), signal);
        }
        set_mask(SignalSet::empty());
        ended.recv().unwrap_err();
    });
    // The first one blocks the others.
    wait_until("it is caught", || every(&signals).caught() > 0);
    assert!(signals.wait().is_ok());
    threads.end();
}

/// There is no room in the queue for the signal, but there is for waking who waits.
fn who_sleeps_is_woken_by_what_is_left() {
    is_woken_where(&[]);
}

/// The kernel may take two wakes for one, and who is woken by that takes a record and goes.
fn each_who_sleeps_gets_one_that_is_left() {
    let signals = open(rt(0));
    forbid(libc::SYS_rt_sigqueueinfo, libc::EAGAIN);
    for _ in 0..racing_rounds() / 5 {
        let values = received_by_two_that_sleep(&signals, || {
            for value in 0..2 {
                sigqueue_to_thread(tid(), rt(0), value);
                set_mask(SignalSet::empty());
            }
        });
        each_once(values.to_vec(), 2);
    }
}

/// As many are left as there is memory for, and the queue is full: the handler does not give
/// the next one up.
fn what_finds_no_memory_waits_for_room() {
    const ROOM: i32 = 4096;
    static IS_ON_ITS_WAY: AtomicBool = AtomicBool::new(false);
    static IS_CAUGHT: AtomicBool = AtomicBool::new(false);
    let signals = open(rt(0));
    let threads = Threads::new(1, |ended| {
        forbid(libc::SYS_mmap, libc::ENOMEM);
        forbid(libc::SYS_rt_sigqueueinfo, libc::EAGAIN);
        for value in 0..=ROOM {
            sigqueue_to_thread(tid(), rt(0), value);
            IS_ON_ITS_WAY.store(value == ROOM, Ordering::SeqCst);
            set_mask(SignalSet::empty());
        }
        IS_CAUGHT.store(true, Ordering::SeqCst);
        ended.recv().unwrap_err();
    });
    let status = format!("/proc/self/task/{}/status", threads.tids[0]);
    wait_until("the handler has one more", || {
        let is_on_its_way = IS_ON_ITS_WAY.load(Ordering::SeqCst);
        let status = std::fs::read_to_string(&status).unwrap();
        is_on_its_way && status.contains("SigPnd:\t0000000000000000")
    });
    assert!(!IS_CAUGHT.load(Ordering::SeqCst));
    let values = (0..=ROOM).map(|_| signals.wait().unwrap().value().unwrap());
    each_once(values.collect(), ROOM + 1);
    threads.end();
}

/// The queue may have had no room for one when the handler was installed.
fn who_sleeps_is_woken_without_a_timer() {
    is_woken_where(&[libc::SYS_timer_settime]);
}

fn is_woken_where(forbidden: &'static [libc::c_long]) {
    let signals = open(rt(0));
    let me = tid();
    let threads = Threads::new(1, move |ended| {
        wait_until_asleep(me);
        for &call in forbidden {
            forbid(call, libc::EPERM);
        }
        forbid(libc::SYS_rt_sigqueueinfo, libc::EAGAIN);
        set_mask(SignalSet::empty());
        for value in 0..10 {
            sigqueue_to_thread(tid(), rt(0), value);
            set_mask(SignalSet::empty());
        }
        ended.recv().unwrap_err();
    });
    let mut values = Vec::new();
    for _ in 0..10 {
        values.push(signals.wait().unwrap().value().unwrap());
    }
    each_once(values, 10);
    assert_eq!(signals.try_recv().unwrap(), None);
    threads.end();
}

/// The limit is 0: nothing that is sent with a record, and no timer, finds room.
fn who_sleeps_is_woken_where_the_queue_is_full() {
    is_woken_where_the_queue_is_full(true);
}

fn who_sleeps_is_woken_where_there_is_no_room_for_a_timer() {
    is_woken_where_the_queue_is_full(false);
}

fn is_woken_where_the_queue_is_full(has_timer: bool) {
    const COUNT: i32 = 3;
    let limit = set_limit(libc::RLIMIT_SIGPENDING, 0);
    if has_timer {
        set_limit(libc::RLIMIT_SIGPENDING, limit);
    }
    let signals = open(rt(0));
    set_limit(libc::RLIMIT_SIGPENDING, limit);
    let me = tid();
    let other = thread::spawn(move || {
        // They are for this thread, so that they do not wake anyone.
        for value in 0..COUNT {
            sigqueue_to_thread(tid(), rt(0), value);
        }
        set_limit(libc::RLIMIT_SIGPENDING, 0);
        for _ in 0..COUNT {
            wait_until_asleep(me);
            set_mask(SignalSet::empty());
        }
    });
    let values = (0..COUNT).map(|_| signals.wait().unwrap().value().unwrap());
    each_once(values.collect(), COUNT);
    other.join().unwrap();
    set_limit(libc::RLIMIT_SIGPENDING, limit);
    assert_eq!(signals.try_recv().unwrap(), None);
}

/// Starts a thread that takes a signal, and runs the handler up to some system call.
fn held_in_the_handler(
    signal: Signal,
    call: libc::c_long,
    before: fn(),
) -> (HeldCalls, JoinHandle<()>) {
    let (tell, told) = channel();
    let thread = thread::spawn(move || {
        let held = HeldCalls::of_this_thread(&[call]);
        let can = held.is_ok();
        tell.send(held).unwrap();
        if can {
            sigqueue_to_thread(tid(), signal, 7);
            before();
            set_mask(SignalSet::empty());
        }
    });
    let Ok(held) = told.recv().unwrap() else {
        skip("seccomp cannot hold system calls here");
    };
    (held, thread)
}

/// A handler is preempted when it is about to wake who sleeps. Who takes it away waits.
fn a_wake_that_is_late_takes_no_action() {
    set_action(rt(0), counting(), 0);
    let before = action(rt(0));
    let limit = set_limit(libc::RLIMIT_SIGPENDING, 0);
    set_limit(libc::RLIMIT_SIGPENDING, limit);
    let guard = mask::block_every_thread(rt(0)).unwrap();
    let (held, thread) =
        held_in_the_handler(rt(0), libc::SYS_timer_settime, || {
            set_limit(libc::RLIMIT_SIGPENDING, 0);
        });
    let mut waking = Some((held.wait_for_the_next().unwrap(), thread));
    set_limit(libc::RLIMIT_SIGPENDING, limit);
    let (tell, told) = channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            // What it does while it waits.
            let held = HeldCalls::of_this_thread(&[libc::SYS_sched_yield]);
            tell.send(held.unwrap()).unwrap();
            drop(guard);
        });
        let waits = told.recv().unwrap();
        while waits.before_the_next(|_| {
            if let Some((call, thread)) = waking.take() {
                call.go_on();
                thread.join().unwrap();
            }
        }) {}
    });
    assert_eq!(action(rt(0)), before);
    if let Some((call, thread)) = waking {
        call.go_on();
        thread.join().unwrap();
    }
    set_mask(SignalSet::empty());
    assert_eq!(COUNTED.load(Ordering::Relaxed), 1);
}

/// Nobody waits for a thread that is stopped. By default the signal ends the process.
fn a_wake_that_is_later_still_finds_the_handler() {
    let limit = set_limit(libc::RLIMIT_SIGPENDING, 0);
    set_limit(libc::RLIMIT_SIGPENDING, limit);
    let guard = mask::block_every_thread(rt(0)).unwrap();
    let ours = action(rt(0));
    let (held, thread) =
        held_in_the_handler(rt(0), libc::SYS_timer_settime, || {
            set_limit(libc::RLIMIT_SIGPENDING, 0);
        });
    let call = held.wait_for_the_next().unwrap();
    set_limit(libc::RLIMIT_SIGPENDING, limit);
    drop(guard);
    assert_eq!(action(rt(0)), ours);
    let receiver = Receiver::new(rt(0)).unwrap();
    assert_eq!(receiver.wait().unwrap().value(), Some(7));
    drop(receiver);
    call.go_on();
    thread.join().unwrap();
    set_mask(SignalSet::empty());
    assert_eq!(mask::current(), Ok(SignalSet::empty()));
    // The next receiver for every thread finds it as it should be.
    drop(mask::block_every_thread(rt(0)).unwrap());
    assert_eq!(action(rt(0)).0, libc::SIG_DFL);
}

/// The handler may have to call the one from before.
fn it_has_the_stack_that_the_handler_of_before_is_for() {
    for (flags, on_stack) in [(0, 0), (libc::SA_ONSTACK, libc::SA_ONSTACK)] {
        set_action(rt(0), counting(), flags);
        let signals = open(rt(0));
        let (handler, flags, _) = action(rt(0));
        assert_ne!(handler, counting());
        assert_eq!(flags & libc::SA_ONSTACK, on_stack);
        drop(signals);
    }
    let signals = open(Signal::TERM);
    assert_ne!(action(Signal::TERM).1 & libc::SA_ONSTACK, 0);
    drop(signals);
}

/// Who was about to wake somebody is stopped for longer than anyone waits for it. So the
/// handler stays, and calls the one from before.
fn a_handler_that_has_to_stay_hands_on() {
    set_action(rt(0), counting(), 0);
    let signals = open(rt(0));
    let (held, thread) =
        held_in_the_handler(rt(0), libc::SYS_timer_settime, || {
            forbid(libc::SYS_rt_sigqueueinfo, libc::EAGAIN);
        });
    let call = held.wait_for_the_next().unwrap();
    drop(signals);
    assert_eq!(COUNTED.load(Ordering::Relaxed), 1, "what was left");
    for count in 2..4 {
        sigqueue(pid(), rt(0), 7).unwrap();
        assert_eq!(COUNTED.load(Ordering::Relaxed), count);
    }
    call.go_on();
    thread.join().unwrap();
    assert_eq!(COUNTED.load(Ordering::Relaxed), 3, "it was no signal");
    // It goes with the next one who needs it.
    drop(open(rt(0)));
    assert_eq!(action(rt(0)).0, counting());
    assert_eq!(COUNTED.load(Ordering::Relaxed), 3);
}

/// The crate's handler, which is installed for a signal, in a thread that the kernel has
/// made call it a while ago.
pub(crate) fn calls_late(handler: usize, info: &libc::siginfo_t) {
    type Handler =
        extern "C" fn(c_int, *const libc::siginfo_t, *const libc::ucontext_t);
    // SAFETY: it was installed as such.
    let handler = unsafe { std::mem::transmute::<usize, Handler>(handler) };
    // SAFETY: an all-zero value is allowed, of integers and null pointers: nothing was
    // blocked.
    let context: libc::ucontext_t = unsafe { std::mem::zeroed() };
    set_mask(SignalSet::all());
    handler(info.si_signo, info, &raw const context);
    set_mask(SignalSet::empty());
}

/// Others are made to run the handler meanwhile.
fn a_late_handler_lets_the_one_that_is_back_run() {
    set_action(Signal::USR1, counting(), 0);
    let guard = mask::block_every_thread(Signal::USR1).unwrap();
    let (ours, ..) = action(Signal::USR1);
    drop(guard);
    let threads = Threads::idle(1);
    let (tell, told) = channel();
    let opener = thread::spawn(move || {
        let held = HeldCalls::of_this_thread(&[libc::SYS_rt_tgsigqueueinfo]);
        let can = held.is_ok();
        tell.send(held).unwrap();
        can.then(|| mask::block_every_thread(Signal::HUP))
    });
    let Ok(held) = told.recv().unwrap() else {
        skip("seccomp cannot hold system calls here");
    };
    held.before_the_next(|_| {
        // SAFETY: an all-zero value is allowed: it is made of integers.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        info.si_signo = libc::SIGUSR1;
        calls_late(ours, &info);
        assert_eq!(COUNTED.load(Ordering::Relaxed), 1);
    });
    while held.before_the_next(|_| ()) {}
    drop(opener.join().unwrap());
    threads.end();
    assert_eq!(COUNTED.load(Ordering::Relaxed), 1);
}

/// A thread was reached by a wake that no timer has sent, and is late to look at it.
fn a_wake_without_a_timer_takes_no_action_either() {
    set_action(rt(0), counting(), 0);
    let guard = mask::block_every_thread(rt(0)).unwrap();
    let (ours, ..) = action(rt(0));
    thread::spawn(|| {
        forbid(libc::SYS_timer_settime, libc::EPERM);
        forbid(libc::SYS_rt_sigqueueinfo, libc::EAGAIN);
        sigqueue_to_thread(tid(), rt(0), 7);
        set_mask(SignalSet::empty());
    })
    .join()
    .unwrap();
    // SAFETY: an all-zero value is allowed: it is made of integers.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    let mut wake: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: adds to a set.
    unsafe { libc::sigaddset(&raw mut set, rt(0).as_raw()) };
    // SAFETY: reads a set, and writes a record.
    let taken = unsafe { libc::sigwaitinfo(&raw const set, &raw mut wake) };
    assert_eq!(taken, rt(0).as_raw());
    drop(guard);
    set_mask(SignalSet::empty());
    assert_eq!(COUNTED.load(Ordering::Relaxed), 1, "what was left");
    calls_late(ours, &wake);
    assert_eq!(COUNTED.load(Ordering::Relaxed), 1, "it was no signal");
}

/// A handler finds that there is no room in the queue, and has been taken away meanwhile.
fn what_is_left_late_takes_the_action_that_is_back() {
    set_action(rt(0), counting(), 0);
    let before = action(rt(0));
    let guard = mask::block_every_thread(rt(0)).unwrap();
    let (held, thread) =
        held_in_the_handler(rt(0), libc::SYS_rt_sigqueueinfo, || ());
    let call = held.wait_for_the_next().unwrap();
    drop(guard);
    assert_eq!(action(rt(0)), before);
    assert!(call.fail(libc::EAGAIN));
    while held.before_the_next(|_| ()) {}
    thread.join().unwrap();
    set_mask(SignalSet::empty());
    assert_eq!(COUNTED.load(Ordering::Relaxed), 1);
}

/// Has a thread take so many signals that cannot be sent on. The queue stays full.
pub(crate) fn have_some_left(signal: Signal, count: i32) -> libc::rlim_t {
    let taking = move || {
        (0..count).for_each(|it| sigqueue_to_thread(tid(), signal, it));
        let limit = set_limit(libc::RLIMIT_SIGPENDING, 0);
        // It takes one each time.
        (0..count).for_each(|_| set_mask(SignalSet::empty()));
        limit
    };
    thread::scope(|scope| scope.spawn(taking).join().unwrap())
}

/// The queue is full still when the last one goes.
fn what_finds_no_room_waits_for_who_reads_next() {
    let before = action(rt(0));
    let guard = mask::block_every_thread(rt(0)).unwrap();
    let limit = have_some_left(rt(0), 3);
    drop(guard);
    assert_eq!(action(rt(0)), before);
    let signals = crate::common::receiver_for(rt(0)).unwrap();
    let values = (0..3).map(|_| signals.wait().unwrap().value().unwrap());
    each_once(values.collect(), 3);
    set_limit(libc::RLIMIT_SIGPENDING, limit);
    assert_eq!(signals.try_recv().unwrap(), None);
}

/// Without the handler, nobody could be woken for it.
fn what_is_left_keeps_the_handler_for_who_reads() {
    let before = action(rt(0));
    let signals = crate::common::open(rt(0)).unwrap();
    let guard = mask::block_every_thread(rt(0)).unwrap();
    let ours = action(rt(0));
    let limit = have_some_left(rt(0), 3);
    drop(guard);
    if !battery().reads_ahead() {
        assert_eq!(action(rt(0)), ours);
    }
    let values = (0..3).map(|_| signals.wait().unwrap().value().unwrap());
    each_once(values.collect(), 3);
    set_limit(libc::RLIMIT_SIGPENDING, limit);
    drop(signals);
    assert_eq!(action(rt(0)), before);
}

/// They are for waking who sleeps, and stay.
fn each_real_time_signal_has_one_timer() {
    let timers = || {
        let text = std::fs::read_to_string("/proc/self/timers");
        let Ok(text) = text else { skip("the kernel lists no timers here") };
        let of = |line: &str| {
            let (number, _) = line.strip_prefix("signal: ")?.split_once('/')?;
            Signal::try_from(number.parse::<i32>().ok()?).ok()
        };
        let mut signals: Vec<Signal> = text.lines().filter_map(of).collect();
        signals.sort_unstable();
        signals
    };
    assert_eq!(timers(), []);
    for _ in 0..3 {
        let signals = open(rt(0) | rt(3) | Signal::TERM);
        let other = open(rt(0));
        assert_eq!(timers(), [rt(0), rt(3)]);
        drop((other, signals));
    }
    Child::fork(move || {
        assert_eq!(timers(), []);
        drop(open(rt(3)));
        assert_eq!(timers(), [rt(3)]);
        0
    })
    .wait_for_success();
}

/// What wakes who sleeps is no signal, and takes no action when the receiver goes.
fn what_was_left_takes_its_action_once_or_was_read() {
    set_action(rt(0), counting(), 0);
    for (is_read, runs) in [(true, 0), (false, 1), (true, 1), (false, 2)] {
        let signals = open(rt(0));
        let (tell, told) = channel();
        let threads = Threads::new(1, move |ended| {
            forbid(libc::SYS_rt_sigqueueinfo, libc::EAGAIN);
            set_mask(SignalSet::empty());
            sigqueue_to_thread(tid(), rt(0), 7);
            tell.send(()).unwrap();
            ended.recv().unwrap_err();
        });
        told.recv().unwrap();
        if is_read {
            assert_eq!(signals.wait().unwrap().value(), Some(7));
        }
        drop(signals);
        assert_eq!(COUNTED.load(Ordering::Relaxed), runs);
        threads.end();
    }
}

fn the_queue_is_full_when_it_begins() {
    let threads = Threads::idle(4);
    let limit = set_limit(libc::RLIMIT_SIGPENDING, 0);
    let signals = open(Signal::TERM);
    // They cannot be told from a signal that lost its record, so none is sent.
    assert_ne!(every(&signals).late(), Ok(None));
    assert_eq!(signals.try_recv().unwrap(), None);
    kill(pid(), Signal::TERM);
    assert_eq!(signals.wait().unwrap().signal(), Signal::TERM);
    set_limit(libc::RLIMIT_SIGPENDING, limit);
    every(&signals).heal().unwrap();
    assert_eq!(every(&signals).late(), Ok(None));
    threads.end();
}

/// It comes to a thread that is about to be sent one of the crate's, which is another.
fn what_has_lost_its_record_is_not_taken_for_the_crate_s() {
    let both = Signal::HUP | Signal::TERM;
    let threads = Threads::idle(1);
    set_mask(both);
    let (tell, told) = channel();
    let opener = thread::spawn(move || {
        let held = HeldCalls::of_this_thread(&[libc::SYS_rt_tgsigqueueinfo]);
        let can = held.is_ok();
        tell.send(held).unwrap();
        can.then(|| open(both).try_recv().unwrap())
    });
    let Ok(held) = told.recv().unwrap() else {
        skip("seccomp cannot hold system calls here");
    };
    held.before_the_next(|call| {
        assert_eq!(call.args[2], libc::SIGHUP as u64);
        set_limit(libc::RLIMIT_SIGPENDING, 0);
        tgkill(threads.tids[0], Signal::TERM);
        wait_until("the handler has run", || {
            mask::check_threads(Signal::TERM).is_ok()
        });
    });
    let info = opener.join().unwrap().flatten().expect("it was sent on");
    assert_eq!(info.signal(), Signal::TERM);
    threads.end();
}

static COUNTED: AtomicI32 = AtomicI32::new(0);

extern "C" fn count(_signal: c_int) {
    COUNTED.fetch_add(1, Ordering::Relaxed);
}

fn counting() -> usize {
    count as extern "C" fn(c_int) as usize
}

fn the_actions_come_back() {
    set_action(Signal::HUP, counting(), libc::SA_NODEFER);
    set_action(Signal::INT, libc::SIG_IGN, 0);
    let all = [Signal::HUP, Signal::INT, Signal::TERM, Signal::CHLD, rt(0)];
    let set = all.into_iter().collect::<SignalSet>();
    let before = all.map(action);
    for _ in 0..3 {
        let signals = open(set);
        let during = all.map(action);
        assert!(before.iter().zip(during).all(|(&a, b)| a.0 != b.0));
        drop(signals);
        assert_eq!(all.map(action), before);
    }
    // Also when it fails.
    set_limit(libc::RLIMIT_NOFILE, 4);
    options().every_thread(true).open(set).unwrap_err();
    assert_eq!(all.map(action), before);
    assert_eq!(mask::current(), Ok(SignalSet::empty()));
    kill(pid(), Signal::HUP);
    assert_eq!(COUNTED.load(Ordering::Relaxed), 1);
}

fn a_handler_installed_meanwhile_stays() {
    let signals = open(Signal::TERM | Signal::HUP);
    set_action(Signal::TERM, counting(), 0);
    kill(pid(), Signal::TERM);
    assert_eq!(signals.wait().unwrap().signal(), Signal::TERM);
    assert_eq!(COUNTED.load(Ordering::Relaxed), 0);
    drop(signals);
    assert_eq!(action(Signal::TERM).0, counting());
    assert_eq!(action(Signal::HUP).0, libc::SIG_DFL);
    kill(pid(), Signal::TERM);
    assert_eq!(COUNTED.load(Ordering::Relaxed), 1);
}

type Handler = extern "C" fn(c_int, *mut libc::siginfo_t, *mut libc::c_void);
static OURS: std::sync::atomic::AtomicUsize =
    std::sync::atomic::AtomicUsize::new(0);

extern "C" fn hand_on(
    signal: c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    let count = COUNTED.fetch_add(1, Ordering::Relaxed);
    assert!(count < 100, "it goes round and round");
    // SAFETY: what was installed with SA_SIGINFO.
    let ours: Handler =
        unsafe { std::mem::transmute(OURS.load(Ordering::Relaxed)) };
    ours(signal, info, context);
}

extern "C" fn hand_on_too(
    signal: c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    // It does something else than `hand_on`, or it might be the same function.
    HANDED_ON_TOO.fetch_add(1, Ordering::Relaxed);
    hand_on(signal, info, context);
}

static HANDED_ON_TOO: AtomicI32 = AtomicI32::new(0);

fn a_handler_that_hands_on_is_no_trouble() {
    let signals = open(Signal::TERM);
    OURS.store(action(Signal::TERM).0, Ordering::Relaxed);
    let handler: Handler = hand_on;
    set_action(Signal::TERM, handler as usize, libc::SA_SIGINFO);
    let info = through_the_handler(&signals, || kill(pid(), Signal::TERM));
    assert_eq!(info.signal(), Signal::TERM);
    if !battery().reads_ahead() {
        assert_eq!(COUNTED.load(Ordering::Relaxed), 1);
    }
}

/// As if it had found the handler from before, or none.
fn a_handler_that_hands_on_goes_on_afterwards() {
    set_action(Signal::HUP, counting(), 0);
    let signals = open(Signal::TERM | Signal::HUP);
    OURS.store(action(Signal::TERM).0, Ordering::Relaxed);
    let handler: Handler = hand_on;
    for signal in [Signal::TERM, Signal::HUP] {
        set_action(signal, handler as usize, libc::SA_SIGINFO);
    }
    drop(signals);
    for round in 1..=3 {
        kill(pid(), Signal::TERM);
        assert_eq!(COUNTED.swap(0, Ordering::Relaxed), 1, "{round}");
        kill(pid(), Signal::HUP);
        assert_eq!(COUNTED.swap(0, Ordering::Relaxed), 2, "{round}");
        assert_eq!(action(Signal::TERM).0, handler as usize);
        assert_eq!(action(Signal::HUP).0, handler as usize);
    }
}

/// It has no record to hand on, and that ends there.
fn a_plain_handler_that_hands_on_goes_on_afterwards() {
    extern "C" fn plain(signal: c_int) {
        hand_on(signal, ptr::null_mut(), ptr::null_mut());
    }
    let signals = open(Signal::TERM);
    OURS.store(action(Signal::TERM).0, Ordering::Relaxed);
    let handler: extern "C" fn(_) = plain;
    set_action(Signal::TERM, handler as usize, 0);
    drop(signals);
    for round in 1..=3 {
        kill(pid(), Signal::TERM);
        assert_eq!(COUNTED.load(Ordering::Relaxed), round);
    }
}

/// Then what it hands on to has found it, and gives it back.
/// As `sigfillset(3)` makes it: it blocks what the crate's own handler does, and more.
fn a_handler_that_blocks_all_goes_on_after_a_second_receiver() {
    set_action(Signal::HUP, counting(), 0);
    let handler: Handler = hand_on;
    drop({
        let signals = open(Signal::HUP);
        OURS.store(action(Signal::HUP).0, Ordering::Relaxed);
        let all = SignalSet::from_bits_retain(u64::MAX);
        set_masked_action(Signal::HUP, handler as usize, libc::SA_SIGINFO, all);
        signals
    });
    for round in 1..=3 {
        drop(open(Signal::HUP));
        kill(pid(), Signal::HUP);
        assert_eq!(COUNTED.swap(0, Ordering::Relaxed), 2, "{round}");
    }
}

fn a_handler_that_hands_on_goes_on_after_a_second_receiver() {
    set_action(Signal::HUP, counting(), 0);
    let handler: Handler = hand_on;
    let both = [Signal::TERM, Signal::HUP];
    drop({
        let signals = open(Signal::TERM | Signal::HUP);
        OURS.store(action(Signal::TERM).0, Ordering::Relaxed);
        for signal in both {
            set_action(signal, handler as usize, libc::SA_SIGINFO);
        }
        signals
    });
    for round in 1..=3 {
        drop(open(Signal::TERM | Signal::HUP));
        kill(pid(), Signal::TERM);
        assert_eq!(COUNTED.swap(0, Ordering::Relaxed), 1, "{round}");
        kill(pid(), Signal::HUP);
        assert_eq!(COUNTED.swap(0, Ordering::Relaxed), 2, "{round}");
        assert!(both.map(action).iter().all(|it| it.0 == handler as usize));
    }
    // And with one more, that has found what the first one found.
    let signals = open(Signal::HUP);
    let another: Handler = hand_on_too;
    set_action(Signal::HUP, another as usize, libc::SA_SIGINFO);
    drop(signals);
    kill(pid(), Signal::HUP);
    assert_eq!(COUNTED.swap(0, Ordering::Relaxed), 3);
    assert_eq!(HANDED_ON_TOO.load(Ordering::Relaxed), 1);
    // The third is out of sight now.
    drop(open(Signal::HUP));
    kill(pid(), Signal::HUP);
    assert_eq!(COUNTED.swap(0, Ordering::Relaxed), 2);
}

static NOTED: [AtomicI32; 3] = [const { AtomicI32::new(0) }; 3];

extern "C" fn note(
    _signal: c_int,
    info: *mut libc::siginfo_t,
    _context: *mut libc::c_void,
) {
    // SAFETY: the second argument of a handler with SA_SIGINFO.
    let info = unsafe { &*info };
    // SAFETY: signals of these kinds have a sender.
    let sender = unsafe { info.si_pid() };
    for (place, value) in NOTED.iter().zip([info.si_code, sender, tid()]) {
        place.store(value, Ordering::Relaxed);
    }
}

/// What nobody has read was never taken out of the kernel's queue.
fn what_is_unread_at_the_end_reaches_its_handler_as_it_was() {
    if battery().reads_ahead() {
        // The ring has read it, and puts it back.
        return;
    }
    let handler: Handler = note;
    set_action(Signal::TERM, handler as usize, libc::SA_SIGINFO);
    let noted = || NOTED.each_ref().map(|it| it.load(Ordering::Relaxed));
    let thread = thread::spawn(move || {
        let signals = open(Signal::TERM);
        kill(pid(), Signal::TERM);
        drop(signals);
        assert_eq!(noted(), [libc::SI_USER, pid(), tid()]);
        let signals = open(Signal::TERM);
        tgkill(tid(), Signal::TERM);
        drop(signals);
        assert_eq!(noted(), [libc::SI_TKILL, pid(), tid()]);
    });
    thread.join().unwrap();
}

/// To ignore a signal drops what is pending of it.
fn what_an_outer_receiver_waits_for_is_not_dropped() {
    set_action(Signal::HUP, libc::SIG_IGN, 0);
    set_action(rt(0), libc::SIG_IGN, 0);
    let set = Signal::WINCH | Signal::CHLD | Signal::HUP | rt(0);
    let outer = crate::common::open(set).unwrap();
    let inner = open(set);
    for signal in [Signal::WINCH, Signal::CHLD, Signal::HUP] {
        kill(pid(), signal);
    }
    (0..100).for_each(|value| sigqueue(pid(), rt(0), value).unwrap());
    drop(inner);
    let mut seen = Vec::new();
    let mut values = Vec::new();
    while let Some(info) = outer.try_recv().unwrap() {
        match info.value() {
            Some(value) => values.push(value),
            None => seen.push(info.signal()),
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, [Signal::HUP, Signal::CHLD, Signal::WINCH]);
    each_once(values, 100);
}

/// Those that do nothing where they come back: by default, and because they are to.
const IGNORED: [Signal; 2] = [Signal::WINCH, Signal::HUP];

fn ignored() -> SignalSet {
    set_action(Signal::HUP, libc::SIG_IGN, 0);
    IGNORED.into_iter().collect()
}

/// Drops something in another thread, and does something before each such system call
/// that this makes.
pub(crate) fn before_each_call_of_a_drop<T: Send>(
    held: T,
    syscall: libc::c_long,
    mut work: impl FnMut(&libc::seccomp_data),
) {
    let (tell, told) = channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            let calls = HeldCalls::of_this_thread(&[syscall]);
            let can = calls.is_ok();
            tell.send(calls).unwrap();
            if can {
                drop(held);
            }
        });
        let Ok(calls) = told.recv().unwrap() else {
            skip("seccomp cannot hold system calls here");
        };
        while calls.before_the_next(&mut work) {}
    });
}

/// Drops something in another thread, which does something before each action that is
/// set there; returns how many were.
fn drop_elsewhere<T: Send>(held: T, before_each: impl Fn()) -> i32 {
    let mut actions = 0;
    before_each_call_of_a_drop(held, libc::SYS_rt_sigaction, |call| {
        // The second argument is the action that is to be.
        if call.args[1] != 0 {
            actions += 1;
            before_each();
        }
    });
    actions
}

fn send_all() {
    for signal in IGNORED {
        kill(pid(), signal);
    }
}

fn all_that_came(signals: &Receiver) -> SignalSet {
    std::iter::from_fn(|| signals.try_recv().unwrap())
        .map(|info| info.signal())
        .collect()
}

/// While another one has the signal, also in the moment when the kernel is told.
fn what_comes_while_a_receiver_goes_is_not_dropped() {
    let both = ignored();
    let outer = crate::common::open(both).unwrap();
    let guard = mask::block_every_thread(both).unwrap();
    let all = both | Signal::TERM;
    let more = mask::block_every_thread(all).unwrap();
    drop(guard);
    let actions = drop_elsewhere(more, send_all);
    assert_eq!(actions, 1, "that of SIGTERM");
    assert_eq!(all_that_came(&outer), both);
}

/// A guard of the mask is as good as a receiver, that may be made later.
fn what_comes_while_a_guard_goes_is_not_dropped() {
    let both = ignored();
    let all = both | Signal::TERM;
    let outer = mask::block(both).unwrap();
    let guard = mask::block_every_thread(all).unwrap();
    drop_elsewhere(guard, send_all);
    let receiver = crate::common::receiver_for(both).unwrap();
    assert_eq!(all_that_came(&receiver), both);
    drop((receiver, outer));
    assert_eq!(action(Signal::WINCH).0, libc::SIG_DFL);
}

/// Drops something in another thread, which does something before each time that it takes
/// a signal out of the queue; returns how often it does.
fn count_taken<T: Send>(held: T, mut before_each: impl FnMut(i32)) -> i32 {
    let mut count = 0;
    before_each_call_of_a_drop(held, libc::SYS_rt_sigtimedwait, |_| {
        before_each(count);
        count += 1;
    });
    count
}

/// Of a standard signal one is as good as many.
fn what_comes_meanwhile_does_not_hold_up_an_action() {
    let both = ignored();
    let before = IGNORED.map(action);
    let guard = mask::block_every_thread(both).unwrap();
    let taken = count_taken(guard, |_| send_all());
    assert!(taken <= 4, "{taken}");
    assert_eq!(IGNORED.map(action), before);
    let receiver = crate::common::receiver_for(both).unwrap();
    assert_eq!(all_that_came(&receiver), both);
}

/// There is always one more to be kept.
fn a_sender_in_a_loop_does_not_hold_up_the_end() {
    set_action(rt(0), libc::SIG_IGN, 0);
    is_not_held_up(mask::block_every_thread(rt(0)).unwrap(), 1000);
}

/// What has woken somebody may be behind all the others, or before them (Linux 6.12).
fn a_sender_in_a_loop_does_not_hold_up_the_end_where_somebody_was_woken() {
    set_action(rt(0), counting(), 0);
    let guard = mask::block_every_thread(rt(0)).unwrap();
    let limit = have_some_left(rt(0), 1);
    set_limit(libc::RLIMIT_SIGPENDING, limit);
    let receiver = crate::common::receiver_for(rt(0)).unwrap();
    assert_eq!(receiver.wait().unwrap().value(), Some(0));
    drop(receiver);
    is_not_held_up(guard, 1);
    assert_eq!(COUNTED.load(Ordering::Relaxed), 0);
}

fn is_not_held_up(guard: mask::EveryThread, least: i32) {
    if battery() != crate::common::Battery::EPOLL {
        // It is without a receiver.
        return;
    }
    if storm_size() < 100_000 {
        skip("so many take an emulator too long");
    }
    let taken = count_taken(guard, |value| {
        sigqueue(pid(), rt(0), value).unwrap();
    });
    assert!(taken >= least, "{taken}");
    // Nothing is lost by that.
    let receiver = crate::common::receiver_for(rt(0)).unwrap();
    let mut values = receive(&receiver, taken as usize);
    each_once(values.remove(&rt(0)).unwrap(), taken);
    assert_eq!(receiver.try_recv().unwrap(), None);
}

/// It waits for that moment. What is sent afterwards is there.
fn who_opens_while_an_action_comes_back_receives_all() {
    let both = ignored();
    let guard = mask::block_every_thread(both).unwrap();
    let begin = &AtomicBool::new(false);
    thread::scope(|scope| {
        let (tell, told) = channel();
        let (gone, is_gone) = channel();
        let opener = scope.spawn(move || {
            tell.send(tid()).unwrap();
            while !begin.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            let receiver = crate::common::open(both).unwrap();
            kill(pid(), Signal::WINCH);
            kill(pid(), Signal::HUP);
            is_gone.recv().unwrap();
            all_that_came(&receiver)
        });
        let opener_s = told.recv().unwrap();
        let actions = drop_elsewhere(guard, || {
            begin.store(true, Ordering::SeqCst);
            wait_until_asleep(opener_s);
        });
        assert_eq!(actions, 2);
        gone.send(()).unwrap();
        assert_eq!(opener.join().unwrap(), both);
    });
}

fn an_action_that_ignores_comes_back_with_the_last_one() {
    let both = ignored();
    let before = IGNORED.map(action);
    let is_as_before = || IGNORED.map(action) == before;
    let outer = crate::common::open(both).unwrap();
    let other = thread::spawn(move || Receiver::new(both).unwrap());
    let other = other.join().unwrap();
    drop(open(both));
    assert!(!is_as_before());
    // A thread that unblocks them is caught still.
    let threads = unblocking(2);
    for _ in 0..100 {
        for signal in IGNORED {
            kill(pid(), signal);
            let info = outer.wait().unwrap();
            assert_eq!(info.signal(), signal);
        }
    }
    threads.end();
    // A receiver for every thread may come meanwhile.
    drop(open(both));
    drop(outer);
    assert!(!is_as_before());
    other.remove(Signal::HUP).unwrap();
    assert_eq!(action(Signal::HUP), before[1]);
    assert_ne!(action(Signal::WINCH), before[0]);
    drop(other);
    assert!(is_as_before());
    // What is unread is ignored, then as ever.
    drop(open(both));
    assert!(is_as_before());
}

fn another_action_comes_back_at_once() {
    let before = action(Signal::TERM);
    let outer = crate::common::open(Signal::TERM).unwrap();
    drop(open(Signal::TERM));
    assert_eq!(action(Signal::TERM), before);
    drop(outer);
}

/// What the parent has does not keep an action away from a child, and what the child has
/// does.
fn a_forked_child_claims_for_itself() {
    let both = ignored();
    let before = IGNORED.map(action);
    let mut outer = Some(crate::common::open(both).unwrap());
    drop(open(both));
    Child::fork(|| {
        drop(open(both));
        assert_eq!(IGNORED.map(action), before);
        let own = crate::common::open(both).unwrap();
        drop(open(both));
        assert_ne!(IGNORED.map(action), before);
        drop(outer.take());
        drop(open(both));
        assert_ne!(IGNORED.map(action), before);
        drop(own);
        assert_eq!(IGNORED.map(action), before);
        0
    })
    .wait_for_success();
    assert_ne!(IGNORED.map(action), before);
    drop(outer);
    assert_eq!(IGNORED.map(action), before);
}

fn two_receivers_with_a_signal_in_common() {
    let threads = unblocking(8);
    let first = open(rt(0) | rt(1) | rt(2));
    let second = thread::spawn(move || {
        let mut values = Vec::new();
        for _ in 0..racing_rounds() {
            let own = open(rt(1) | rt(2));
            while let Some(info) = own.try_recv().unwrap() {
                values.push((info.signal(), info.value().unwrap()));
            }
        }
        values
    });
    let senders: Vec<_> = (0..3).map(|n| sender(rt(n), 1000)).collect();
    let mut values = Vec::new();
    let mut receive_what_is_there = || {
        while let Some(info) = first.try_recv().unwrap() {
            values.push((info.signal(), info.value().unwrap()));
        }
    };
    // The queue has no room for all of them everywhere.
    while !second.is_finished() {
        receive_what_is_there();
        thread::yield_now();
    }
    values.extend(second.join().unwrap());
    while values.len() < 3000 {
        let info = first.wait().unwrap();
        values.push((info.signal(), info.value().unwrap()));
    }
    for n in 0..3 {
        let of_one = values.iter().filter(|(signal, _)| *signal == rt(n));
        each_once(of_one.map(|&(_, value)| value).collect(), 1000);
    }
    senders.into_iter().for_each(Child::wait_for_success);
    threads.end();
}

/// Other code takes the crate's handler for the one from before.
fn a_handler_installed_again_afterwards_gives_way() {
    set_action(Signal::TERM, counting(), 0);
    let signals = open(Signal::TERM);
    let (ours, flags, _) = action(Signal::TERM);
    drop(signals);
    set_action(Signal::TERM, ours, flags);
    kill(pid(), Signal::TERM);
    assert_eq!(COUNTED.load(Ordering::Relaxed), 1);
    assert_eq!(action(Signal::TERM).0, counting());
}

/// What `signal(3)` does with what it has returned.
fn bring_back_without_a_record(signal: Signal) {
    let (ours, ..) = action(signal);
    set_action(signal, libc::SIG_IGN, libc::SA_RESTART);
    set_action(signal, ours, libc::SA_RESTART);
}

/// Threads that block nothing.
fn open_threads(count: usize) -> Threads {
    let (tell, told) = channel();
    let threads = Threads::new(count, move |ended| {
        set_mask(SignalSet::empty());
        tell.send(()).unwrap();
        ended.recv().unwrap_err()
    });
    for _ in 0..count {
        told.recv().unwrap();
    }
    threads
}

fn brought_back_without_a_record_it_goes_on() {
    let signals = open(Signal::TERM | Signal::USR1);
    let whole = action(Signal::TERM);
    let threads = open_threads(1);
    bring_back_without_a_record(Signal::TERM);
    // What comes next has the thread block it, if that has not been sent on to it already.
    while mask::check_threads(Signal::TERM).is_err() {
        tgkill(threads.tids[0], Signal::TERM);
        let info = signals.wait().unwrap();
        assert_eq!(info.signal(), Signal::TERM);
        assert_eq!(action(Signal::TERM), whole);
    }
    threads.end();
}

fn brought_back_without_a_record_it_is_mended_by_who_heals_or_opens() {
    let signals = open(Signal::TERM);
    let whole = action(Signal::TERM);
    let threads = open_threads(2);
    bring_back_without_a_record(Signal::TERM);
    signals.every_thread().unwrap().heal().unwrap();
    assert_eq!(action(Signal::TERM), whole);
    assert_eq!(mask::check_threads(Signal::TERM), Ok(()));
    threads.end();

    bring_back_without_a_record(Signal::TERM);
    let threads = open_threads(2);
    let other = mask::block_every_thread(Signal::TERM).unwrap();
    assert_eq!(action(Signal::TERM), whole);
    assert_eq!(mask::check_threads(Signal::TERM), Ok(()));
    assert_eq!(signals.try_recv().unwrap(), None, "no probe is a signal");
    threads.end();
    drop((signals, other));
    assert_eq!(action(Signal::TERM).0, libc::SIG_DFL);
}

fn brought_back_without_a_record_it_gives_way() {
    set_action(Signal::TERM, counting(), 0);
    let signals = open(Signal::TERM);
    let (ours, ..) = action(Signal::TERM);
    drop(signals);
    set_action(Signal::TERM, ours, libc::SA_RESTART);
    kill(pid(), Signal::TERM);
    assert_eq!(COUNTED.load(Ordering::Relaxed), 1);
    assert_eq!(action(Signal::TERM).0, counting());
}

/// Other code brings it back, and who runs it has it mended, while others are called.
fn brought_back_without_a_record_it_makes_up_no_signal() {
    let signals = open(Signal::TERM);
    let (ours, ..) = action(Signal::TERM);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                set_action(Signal::TERM, ours, libc::SA_RESTART);
            }
        });
        let senders = [(); 2].map(|()| {
            scope.spawn(|| {
                for _ in 0..storm_size() / 20 {
                    set_mask(SignalSet::empty());
                    // What is found on the stack then is no record.
                    std::hint::black_box([Signal::USR1.as_raw(); 4096]);
                    tgkill(tid(), Signal::TERM);
                }
            })
        });
        let mut are_sending = true;
        while are_sending {
            are_sending = senders.iter().any(|sender| !sender.is_finished());
            while let Some(info) = signals.try_recv().unwrap() {
                assert_eq!(info.signal(), Signal::TERM);
                let sender = info.pid().unwrap();
                assert!([0, pid() as u32].contains(&sender), "{info}");
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

fn brought_back_without_a_record_it_takes_no_signal_for_a_probe() {
    let (threads, mut let_go) = stuck();
    let signals = open(Signal::USR1);
    assert_ne!(every(&signals).late(), Ok(None));
    let (ours, ..) = action(Signal::USR1);
    set_action(Signal::USR1, ours, libc::SA_RESTART);
    let other = thread::spawn(|| {
        set_mask(SignalSet::empty());
        tgkill(tid(), Signal::USR1);
    });
    let info = signals.wait_timeout(DEADLINE).unwrap();
    assert_eq!(info.map(|it| it.signal()), Some(Signal::USR1));
    other.join().unwrap();
    // The probe is still to come, and no action may come back before.
    drop(signals);
    assert_eq!(action(Signal::USR1).0, ours);
    let_go.write_all(&[0]).unwrap();
    threads.end();
}

fn brought_back_for_one_signal_it_is_gone_after_that() {
    let child = Child::fork(|| {
        let _signals = open(Signal::TERM);
        let (ours, ..) = action(Signal::TERM);
        set_action(Signal::TERM, ours, libc::SA_RESETHAND);
        set_mask(SignalSet::empty());
        kill(pid(), Signal::TERM);
        0
    });
    assert_eq!(child.wait(), End::Killed(libc::SIGTERM));
}

/// To that a probe would be a signal.
fn who_heals_leaves_alone_what_has_another_action() {
    let signals = open(Signal::USR1);
    set_action(Signal::USR1, libc::SIG_DFL, 0);
    let threads = open_threads(2);
    every(&signals).heal().unwrap();
    let late = every(&signals).late().unwrap().unwrap();
    assert_eq!(late.signals(), Signal::USR1.into());
    signals.insert(Signal::TERM).unwrap();
    let late = every(&signals).late().unwrap();
    assert_eq!(late, None, "they were healed by the other one");
    threads.end();
}

fn children_that_nobody_waits_for() {
    for (handler, flags) in
        [(libc::SIG_IGN, 0), (libc::SIG_DFL, libc::SA_NOCLDWAIT)]
    {
        set_action(Signal::CHLD, handler, flags);
        let before = action(Signal::CHLD);
        let threads = Threads::idle(2);
        let signals = open(Signal::CHLD);
        let child = Child::fork(|| 3);
        let info = signals.wait().unwrap();
        assert_eq!(info.pid(), Some(child.pid as u32));
        // SAFETY: writes nothing.
        let waited = unsafe { libc::waitpid(child.pid, ptr::null_mut(), 0) };
        assert_eq!(waited, -1);
        drop(signals);
        assert_eq!(action(Signal::CHLD), before);
        threads.end();
    }
}

fn two_guards_with_a_signal_in_common() {
    let before = [Signal::HUP, Signal::TERM, Signal::INT].map(action);
    let first = mask::block_every_thread(Signal::HUP | Signal::TERM).unwrap();
    let second = mask::block_every_thread(Signal::TERM | Signal::INT).unwrap();
    let ours = action(Signal::TERM).0;
    drop(first);
    let actions = [Signal::HUP, Signal::TERM, Signal::INT].map(action);
    assert_eq!(actions[0], before[0]);
    assert_eq!((actions[1].0, actions[2].0), (ours, ours));
    drop(second);
    let actions = [Signal::HUP, Signal::TERM, Signal::INT].map(action);
    assert_eq!(actions, before);
}

fn the_set_can_be_changed() {
    let threads = Threads::idle(8);
    let before = [Signal::HUP, Signal::TERM].map(action);
    let signals = open(Signal::HUP);
    signals.insert(Signal::TERM).unwrap();
    mask::check_threads(Signal::HUP | Signal::TERM).unwrap();
    kill(pid(), Signal::TERM);
    assert_eq!(signals.wait().unwrap().signal(), Signal::TERM);
    signals.remove(Signal::HUP).unwrap();
    assert_eq!(action(Signal::HUP), before[0]);
    assert_eq!(every(&signals).signals(), Signal::TERM.into());
    signals.replace(Signal::HUP).unwrap();
    assert_eq!(action(Signal::TERM), before[1]);
    assert_eq!(every(&signals).signals(), Signal::HUP.into());
    assert!(signals.insert(Signal::KILL).is_err());
    assert_eq!(signals.remove(Signal::HUP), Err(Error::EmptySet));
    assert_eq!(every(&signals).signals(), Signal::HUP.into());
    assert_ne!(action(Signal::HUP), before[0]);
    drop(signals);
    assert_eq!([Signal::HUP, Signal::TERM].map(action), before);
    threads.end();
}

fn changes_by_many_threads_end_in_agreement() {
    let signals = open(Signal::HUP);
    let receiver: &Receiver = &signals;
    thread::scope(|scope| {
        for signal in [Signal::TERM, Signal::INT, rt(0), rt(1)] {
            scope.spawn(move || {
                for _ in 0..racing_rounds() {
                    receiver.insert(signal).unwrap();
                    let has = |set: SignalSet| set.contains(signal.into());
                    assert!(has(every(receiver).signals()));
                    receiver.remove(signal).unwrap();
                    receiver.insert(signal).unwrap();
                }
            });
        }
    });
    let all = Signal::HUP | Signal::TERM | Signal::INT | rt(0) | rt(1);
    assert_eq!(signals.signals(), all);
    assert_eq!(every(&signals).signals(), all);
    let ours = action(Signal::HUP).0;
    assert!(all.signals().all(|signal| action(signal).0 == ours));
}

/// A ring that reads ahead may read what makes a thread block the signals, before the
/// handler is run by it.
fn what_the_crate_has_sent_itself_is_not_put_back() {
    let signals = open(Signal::TERM | Signal::CHLD);
    let receiver: &Receiver = &signals;
    for _ in 0..racing_rounds() {
        set_mask(SignalSet::empty());
        thread::scope(|scope| {
            scope.spawn(|| every(receiver).heal().unwrap());
        });
        receiver.remove(Signal::TERM).unwrap();
        receiver.insert(Signal::TERM).unwrap();
    }
    set_mask(SignalSet::empty());
    thread::scope(|scope| {
        scope.spawn(|| every(receiver).heal().unwrap());
    });
    assert_eq!(signals.try_recv(), Ok(None));
    drop(signals);
}

fn a_guard_alone() {
    let threads = Threads::idle(8);
    let guard = mask::block_every_thread(Signal::TERM | rt(0)).unwrap();
    assert_eq!(guard.healed(), 9, "this thread, too");
    let text = format!("{guard:?}");
    assert!(text.contains("healed: 9"), "{text}");
    let other = thread::spawn(|| {
        let receiver = Receiver::new(Signal::TERM).unwrap();
        kill(pid(), Signal::TERM);
        receiver.wait().unwrap().signal()
    });
    assert_eq!(other.join().unwrap(), Signal::TERM);
    drop(guard);
    // There is nothing left to unblock them with.
    mask::check_threads(Signal::TERM | rt(0)).unwrap();
    threads.end();
}

/// Where `/proc` is not mounted anew, its numbers are not ours.
fn proc_of_an_outer_namespace() {
    let child = fork_pid_1(|| {
        let threads = Threads::idle(8);
        let error = options().open(Signal::TERM).unwrap_err();
        let Error::UnblockedThread(thread) = error else { panic!("{error}") };
        let tids = threads.tids.iter().map(|tid| *tid as u32);
        assert!(tids.chain([1]).any(|tid| tid == thread.tid()), "{error}");
        let signals = open(Signal::TERM);
        assert_eq!(every(&signals).healed(), 8);
        assert_eq!(every(&signals).late(), Ok(None));
        threads.end();
        0
    });
    child.wait_for_success();
}

fn it_fails_without_proc_and_changes_nothing() {
    let before = action(Signal::TERM);
    set_limit(libc::RLIMIT_NOFILE, 3);
    let error = mask::block_every_thread(Signal::TERM).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
    assert_eq!(action(Signal::TERM), before);
    assert_eq!(mask::current(), Ok(SignalSet::empty()));
}

fn it_fails_with_bad_sets() {
    let open = |set: SignalSet| mask::block_every_thread(set).unwrap_err();
    assert_eq!(open(SignalSet::empty()), Error::EmptySet);
    let kill = Signal::KILL | Signal::TERM;
    assert_eq!(open(kill), Error::Unblockable(Signal::KILL.into()));
    let fault = Signal::SEGV | Signal::TERM;
    assert_eq!(open(fault), Error::Synchronous(Signal::SEGV.into()));
}

fn a_forked_child_takes_the_default_action() {
    let signals = open(Signal::TERM);
    let child = Child::fork(|| {
        assert_eq!(every(&signals).heal(), Err(Error::Forked));
        assert_eq!(every(&signals).late(), Err(Error::Forked));
        set_mask(SignalSet::empty());
        kill(pid(), Signal::TERM);
        0
    });
    assert_eq!(child.wait(), End::Killed(libc::SIGTERM));
    // The parent notices nothing.
    let info = through_the_handler(&signals, || kill(pid(), Signal::TERM));
    assert_eq!(info.signal(), Signal::TERM);
}

/// Where a sandbox does not let the default action come back.
fn a_forked_child_ends_though_the_handler_has_to_stay() {
    for (signal, end) in [
        (Signal::TERM, End::Exited(128 + libc::SIGTERM)),
        (Signal::TSTP, End::Exited(0)),
    ] {
        let _signals = open(signal);
        let child = Child::fork(|| {
            forbid(libc::SYS_rt_sigaction, libc::EPERM);
            set_mask(SignalSet::empty());
            kill(pid(), signal);
            0
        });
        assert_eq!(child.wait(), end);
    }
}

fn a_forked_child_takes_the_handler_from_before() {
    set_action(Signal::TERM, counting(), 0);
    let signals = open(Signal::TERM);
    let child = Child::fork(|| {
        set_mask(SignalSet::empty());
        kill(pid(), Signal::TERM);
        kill(pid(), Signal::TERM);
        COUNTED.load(Ordering::Relaxed)
    });
    assert_eq!(child.wait(), End::Exited(2));
    drop(signals);
}

/// It gets back a mask in which the signal is blocked.
fn a_forked_child_unblocked_for_a_moment_takes_the_action() {
    let take = || {
        Child::fork(|| {
            take_in_a_moment(Signal::TERM);
            COUNTED.load(Ordering::Relaxed)
        })
    };
    let signals = open(Signal::TERM);
    assert_eq!(take().wait(), End::Killed(libc::SIGTERM));
    drop(signals);
    set_action(Signal::TERM, counting(), 0);
    let _signals = open(Signal::TERM);
    assert_eq!(take().wait(), End::Exited(1));
}

fn a_forked_child_can_have_its_own() {
    let signals = open(Signal::TERM);
    let child = Child::fork(|| {
        let threads = Threads::idle(3);
        let own = open(Signal::TERM | Signal::HUP);
        let info = through_the_handler(&own, || kill(pid(), Signal::TERM));
        assert_eq!(info.signal(), Signal::TERM);
        threads.end();
        drop(own);
        // The parent's action is none of the child's.
        assert_eq!(action(Signal::TERM).0, libc::SIG_DFL);
        0
    });
    child.wait_for_success();
    let info = through_the_handler(&signals, || kill(pid(), Signal::TERM));
    assert_eq!(info.signal(), Signal::TERM);
}

/// It has its memory, so what it takes goes on to the process, which it is.
fn a_child_of_a_bare_vfork_is_taken_for_its_parent() {
    extern "C" fn child(_: *mut libc::c_void) -> c_int {
        set_mask(SignalSet::empty());
        kill(own_number(), Signal::TERM);
        i32::from(crate::common::is_pending(Signal::TERM))
    }
    let signals = open(Signal::TERM);
    assert_eq!(vfork(child).wait(), End::Exited(1));
    assert_eq!(signals.try_recv().unwrap(), None, "it was the child's");
}

/// Which the standard library would know as the parent's, perhaps.
fn own_number() -> i32 {
    // SAFETY: has no preconditions.
    unsafe { libc::getpid() }
}

/// What `vfork(2)` does, on a stack of its own.
fn vfork(child: extern "C" fn(*mut libc::c_void) -> c_int) -> Child {
    let mut stack = vec![0_u128; 4096];
    let top = stack.as_mut_ptr_range().end.cast();
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the stack is the child's until it has ended, for which this waits.
    let pid = unsafe { libc::clone(child, top, flags, ptr::null_mut()) };
    assert!(pid > 0);
    Child { pid }
}

/// Where there is no room in the queue, the record is not left to the parent, and who
/// sleeps there is not woken.
fn a_child_of_a_bare_vfork_leaves_nothing_to_its_parent() {
    extern "C" fn child(_: *mut libc::c_void) -> c_int {
        sigqueue(own_number(), rt(0), 7).unwrap();
        set_limit(libc::RLIMIT_SIGPENDING, 0);
        set_mask(SignalSet::empty());
        i32::from(crate::common::is_pending(rt(0)))
    }
    let signals = open(rt(0));
    assert_eq!(vfork(child).wait(), End::Exited(1));
    assert_eq!(signals.try_recv().unwrap(), None, "it was the child's");
    for _ in 0..3 {
        kill(pid(), rt(0));
        assert_eq!(signals.wait().unwrap().cause(), Cause::Kill);
    }
    assert_eq!(signals.try_recv().unwrap(), None);
}

fn a_child_of_posix_spawn_takes_the_default_action() {
    use std::os::unix::process::ExitStatusExt;
    let threads = Threads::idle(1);
    let signals = mask::block_every_thread(Signal::TERM).unwrap();
    set_mask(SignalSet::empty());
    // Without anything to do in between, the standard library calls it.
    let mut command = std::process::Command::new("sh");
    let status = command.args(["-c", "kill -TERM $$"]).status().unwrap();
    assert_eq!(status.signal(), Some(libc::SIGTERM));
    assert_eq!(signals.caught(), 0);
    threads.end();
}

/// It never vanishes, and is not both; also where the handler sends it on meanwhile.
fn a_signal_racing_the_drop_is_received_or_ends_the_process() {
    let open = || {
        let threads = unblocking(1);
        (open(Signal::TERM), threads)
    };
    race_with_the_end(open, Threads::end);
}

/// Whatever those were at when it was forked.
fn children_of_threads_that_open_and_leave_can_open_their_own() {
    let set = Signal::TERM | rt(0);
    let before = action(Signal::TERM);
    let go_on = AtomicBool::new(true);
    let turns = || {
        while go_on.load(Ordering::Relaxed) {
            drop(mask::block_every_thread(set).unwrap());
        }
    };
    thread::scope(|scope| {
        (0..3).for_each(|_| drop(scope.spawn(turns)));
        for value in 0..racing_rounds() {
            let child = Child::fork(|| {
                let signals = open(set);
                set_mask(SignalSet::empty());
                sigqueue(pid(), rt(0), value).unwrap();
                assert_eq!(signals.wait().unwrap().value(), Some(value));
                if !battery().reads_ahead() {
                    assert_eq!(every(&signals).late(), Ok(None));
                }
                drop(signals);
                assert_eq!(action(Signal::TERM), before);
                0
            });
            child.wait_for_success();
        }
        go_on.store(false, Ordering::Relaxed);
    });
    assert_eq!(action(Signal::TERM), before);
}

fn many_open_and_leave_at_once() {
    let before = [Signal::TERM, Signal::HUP, rt(0)].map(action);
    let idle = Threads::idle(4);
    let all_are_there = Arc::new(Barrier::new(8));
    let threads: Vec<_> = (0..8)
        .map(|n| {
            let all_are_there = Arc::clone(&all_are_there);
            thread::spawn(move || {
                // Who starts a thread blocks everything for a moment.
                all_are_there.wait();
                let sets = [Signal::TERM | rt(0), Signal::TERM | Signal::HUP];
                // Together they are so many.
                for _ in 0..racing_rounds() / 8 {
                    let guard = mask::block_every_thread(sets[n % 2]).unwrap();
                    assert_eq!(guard.late(), Ok(None));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!([Signal::TERM, Signal::HUP, rt(0)].map(action), before);
    idle.end();
}

fn the_error_of_the_check_says_that_this_exists() {
    let threads = Threads::idle(1);
    let error = options().open(Signal::TERM).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("Options::every_thread(true)"), "{text}");
    threads.end();
}
