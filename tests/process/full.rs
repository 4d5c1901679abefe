//! Receivers for every thread that go while threads unblock their signals and the queue is
//! at its limit.
//!
//! Then what reaches one of these threads often finds no room on its way to the process, and
//! is left to who reads next, who may be woken for it; all this while it is being taken down.

#![allow(unsafe_code, reason = "handlers")]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::mpsc::channel;
use std::thread;

use libc::c_int;
use signalfd::{Batch, Receiver, SigInfo, Signal, SignalSet, Signals, block};

use super::every::{have_some_left, unblocking};
use crate::common::{
    Child, DEADLINE, End, kill, open_in_thread, options, pid, queued,
    set_action, set_limit, set_mask, sigqueue, sigqueue_to_thread, tid,
    wait_until,
};
use crate::harness::{cases, rounds_with_receivers};

cases! {
    what_races_with_the_end_comes_once,
    what_races_with_the_end_comes_once_or_ends_the_process,
    a_wait_that_has_read_a_signal_does_not_wait_for_more,
}

fn rt() -> Signal {
    Signal::rt(0).unwrap()
}

fn open() -> Signals {
    options().every_thread(true).open(rt()).unwrap()
}

/// How many are sent in each round.
const EACH: i32 = 8;
/// How often each has come, by its value.
static SEEN: [AtomicU8; 8000] = [const { AtomicU8::new(0) }; 8000];

fn see(value: i32) {
    SEEN[value as usize].fetch_add(1, Ordering::SeqCst);
}

extern "C" fn handle(
    _signal: c_int,
    info: *mut libc::siginfo_t,
    _context: *mut libc::c_void,
) {
    // SAFETY: the second argument of a handler with SA_SIGINFO.
    let info = unsafe { &*info };
    // SAFETY: what these tests send has a value.
    let value = unsafe { info.si_value() };
    see(value.sival_ptr.addr().try_into().unwrap_or(0));
}

fn see_all(receiver: &Receiver) {
    while let Some(info) = receiver.try_recv().unwrap() {
        see(info.value().unwrap());
    }
}

/// Leaves room for two more in the queue, which all processes of the user share.
fn leave_little_room() {
    set_limit(libc::RLIMIT_SIGPENDING, queued() + 2);
}

/// Sends a number, as soon as there is room for it.
fn send(value: i32) {
    let mut in_vain = 0;
    wait_until("there is room in the queue", || {
        let is_sent = sigqueue(pid(), rt(), value).is_ok();
        in_vain += u32::from(!is_sent);
        if in_vain % 1000 == 999 {
            // Others of the user may have taken it.
            leave_little_room();
        }
        is_sent
    });
}

/// Each is received or handled; none is lost, and none is both.
fn what_races_with_the_end_comes_once() {
    let handler: extern "C" fn(_, _, _) = handle;
    set_action(rt(), handler as usize, libc::SA_SIGINFO);
    let threads = unblocking(2);
    let limit = set_limit(libc::RLIMIT_SIGPENDING, 0);
    assert!(sigqueue(pid(), rt(), 0).is_err(), "the queue is full");
    for round in 0..rounds_with_receivers() {
        let first = round * EACH;
        let numbers = first..first + EACH;
        set_limit(libc::RLIMIT_SIGPENDING, limit);
        let (tell, told) = channel();
        let receiving = thread::spawn(move || {
            let signals = open();
            tell.send(()).unwrap();
            for _ in 0..round % 50 {
                thread::yield_now();
            }
            if round % 2 == 0 {
                see_all(&signals);
            }
        });
        told.recv().unwrap();
        leave_little_room();
        numbers.clone().for_each(send);
        receiving.join().unwrap();
        set_limit(libc::RLIMIT_SIGPENDING, limit);
        // What is left, the next one reads.
        let next = open_in_thread(rt());
        wait_until("all have come", || {
            see_all(&next);
            let mut numbers = numbers.clone();
            let is_seen = |it| SEEN[it as usize].load(Ordering::SeqCst) > 0;
            numbers.all(is_seen)
        });
    }
    threads.end();
    set_mask(SignalSet::empty());
    let all = (rounds_with_receivers() * EACH) as usize;
    let seen = SEEN[..all].iter().map(|it| it.load(Ordering::SeqCst));
    assert!(seen.eq(std::iter::repeat_n(1, all)), "one was doubled");
}

/// What is to come of a signal that races with the end of its receiver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Received,
    /// For want of room.
    Kept,
    EndsTheProcess,
    /// One of these.
    Open,
}

/// By default it ends the process. One that was received does not, nor does one that was to
/// wake who receives.
fn what_races_with_the_end_comes_once_or_ends_the_process() {
    const LOST: i32 = 9;
    let fates = [Fate::Received, Fate::Kept, Fate::EndsTheProcess];
    let races = rounds_with_receivers();
    let rounds = fates.into_iter().map(|fate| (0, fate));
    for (round, fate) in rounds.chain((0..races).map(|it| (it, Fate::Open))) {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        let child = Child::fork(|| {
            let signals = open();
            // Where it is open what comes of it nobody waits for the other.
            let [goes, was_taken, is_over] =
                [(); 3].map(|()| AtomicBool::new(false));
            let wait_for = |it: &AtomicBool| {
                while !it.load(Ordering::SeqCst) {
                    thread::yield_now();
                }
            };
            let info = thread::scope(|scope| {
                scope.spawn(|| {
                    sigqueue_to_thread(tid(), rt(), 7);
                    let limit = set_limit(libc::RLIMIT_SIGPENDING, 0);
                    goes.store(true, Ordering::SeqCst);
                    // It finds no room on its way to the process.
                    set_mask(SignalSet::empty());
                    if fate == Fate::Kept {
                        was_taken.store(true, Ordering::SeqCst);
                        wait_for(&is_over);
                    }
                    for _ in 0..round % 7 {
                        thread::yield_now();
                    }
                    set_limit(libc::RLIMIT_SIGPENDING, limit);
                    was_taken.store(true, Ordering::SeqCst);
                });
                wait_for(&goes);
                if fate != Fate::Open {
                    wait_for(&was_taken);
                }
                for _ in 0..round % 11 {
                    thread::yield_now();
                }
                // Every other time nobody looks before it goes.
                let looks = match fate {
                    Fate::Received => true,
                    Fate::Open => round % 2 == 0,
                    Fate::Kept | Fate::EndsTheProcess => false,
                };
                let info = looks.then(|| signals.try_recv().unwrap()).flatten();
                if info.is_some() {
                    theirs.write_all(&[1]).unwrap();
                }
                drop(signals);
                is_over.store(true, Ordering::SeqCst);
                info
            });
            if info.is_none() {
                // It is there still, for want of room.
                let next = open_in_thread(rt());
                let Some(info) = next.try_recv().unwrap() else {
                    return LOST;
                };
                assert_eq!(info.value(), Some(7));
                theirs.write_all(&[2]).unwrap();
                assert_eq!(next.try_recv(), Ok(None));
            }
            // Nothing comes any more that would end it.
            set_mask(SignalSet::empty());
            0
        });
        drop(theirs);
        let end = child.wait();
        let mut said = Vec::new();
        ours.read_to_end(&mut said).unwrap();
        let came = match (end, &said[..]) {
            (End::Exited(0), [1]) => Fate::Received,
            (End::Exited(0), [2]) => Fate::Kept,
            (End::Killed(signal), []) if signal == rt().as_raw() => {
                Fate::EndsTheProcess
            }
            both => panic!("{fate:?}, {round}: {both:?}"),
        };
        assert!(fate == Fate::Open || fate == came, "{fate:?}: {came:?}");
    }
}

/// A record of the crate's own fills the batch up: it is taken out, and what was read before
/// it is handed out at once.
fn a_wait_that_has_read_a_signal_does_not_wait_for_more() {
    let set = Signal::HUP | rt();
    let _guard = block(set).unwrap();
    let receiver = options().every_thread(true).receiver(set).unwrap();
    // The first wait makes the descriptor that waits.
    kill(pid(), Signal::HUP);
    receiver.wait().unwrap();

    // A wake is sent for it.
    have_some_left(rt(), 1);
    let left = receiver.try_recv().unwrap().unwrap();
    assert_eq!(left.value(), Some(0));

    // The wake is pending behind this one.
    kill(pid(), Signal::HUP);
    let (tell, told) = channel();
    thread::spawn(move || {
        let mut batch = Batch::<2>::new();
        let infos = receiver.wait_batch(&mut batch).unwrap();
        tell.send(infos.iter().map(SigInfo::signal).collect()).unwrap();
    });
    let signals: Vec<_> = told.recv_timeout(DEADLINE).unwrap();
    assert_eq!(signals, [Signal::HUP]);
}
