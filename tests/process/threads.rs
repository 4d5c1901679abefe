//! Threads that do not block the signals, and threads that do.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use signalfd::{Error, Receiver, Signal, block, mask, open};

use crate::common::{kill, pid, set_mask, storm_size, tid, wait_until};
use crate::harness::{all_rounds, cases, racing_rounds};

cases! {
    a_thread_started_too_early_is_named,
    a_thread_that_has_yet_to_begin_is_named,
    a_thread_that_blocks_too_little_is_told_what_it_lacks,
    threads_started_later_inherit_the_mask,
    a_thread_with_an_odd_name_is_named,
    threads_come_and_go_during_the_check,
    threads_that_end_during_the_check_hide_no_other,
    a_thread_that_is_half_gone_hides_no_other,
    a_receiver_is_refused_in_a_thread_that_does_not_block,
    a_receiver_is_refused_when_another_thread_does_not_block,
    the_check_can_be_turned_off,
    live_changes_check_the_threads_too,
    a_dead_main_thread_does_not_count,
}

/// Runs a thread of this name until the function has returned.
fn beside<R>(name: &str, work: impl FnOnce(u32) -> R) -> R {
    let (tell, told) = mpsc::channel();
    let (end, ended) = mpsc::channel::<()>();
    let other = thread::Builder::new().name(name.into()).spawn(move || {
        tell.send(tid() as u32).unwrap();
        ended.recv().unwrap_err();
    });
    let result = work(told.recv().unwrap());
    drop(end);
    other.unwrap().join().unwrap();
    result
}

fn a_thread_started_too_early_is_named() {
    beside("early-bird", |tid| {
        let error = open(Signal::TERM | Signal::HUP).unwrap_err();
        let Error::UnblockedThread(thread) = error else { panic!("{error}") };
        assert_eq!(thread.name(), "early-bird");
        assert_eq!(thread.tid(), tid);
        assert_eq!(thread.signals(), Signal::TERM | Signal::HUP);
        let text = error.to_string();
        assert!(text.contains("early-bird"), "{text}");
        assert!(text.contains(&tid.to_string()), "{text}");
        assert!(text.contains("SIGHUP|SIGTERM"), "{text}");
        assert!(mask::current().unwrap().is_empty());
    });
    drop(open(Signal::TERM | Signal::HUP).unwrap());
}

/// How long the check waits for a thread that has yet to begin.
const PATIENCE: Duration = Duration::from_secs(1);

/// The C library starts it with everything blocked, as if nothing could reach it.
fn a_thread_that_has_yet_to_begin_is_named() {
    if cfg!(not(target_env = "gnu")) {
        // Others cannot be told from threads that block the signals.
        return;
    }
    for _ in 0..racing_rounds() {
        let (end, ended) = mpsc::channel::<()>();
        let other = thread::spawn(move || ended.recv().unwrap_err());
        let begin = Instant::now();
        match open(Signal::TERM).map(drop) {
            Err(Error::UnblockedThread(_)) => {}
            // It has had no time yet on any CPU.
            other => assert!(begin.elapsed() >= PATIENCE, "{other:?}"),
        }
        drop(end);
        other.join().unwrap();
    }
}

fn a_thread_that_blocks_too_little_is_told_what_it_lacks() {
    let guard = block(Signal::TERM).unwrap();
    beside("half", |_| {
        let error = open(Signal::TERM | Signal::HUP).unwrap_err();
        let Error::UnblockedThread(thread) = error else { panic!("{error}") };
        assert_eq!(thread.signals(), Signal::HUP.into());
    });
    drop(guard);
}

fn threads_started_later_inherit_the_mask() {
    let signals = open(Signal::TERM).unwrap();
    beside("late", |_| {
        mask::check_threads(Signal::TERM).unwrap();
        kill(pid(), Signal::TERM);
        assert_eq!(signals.wait().unwrap().signal(), Signal::TERM);
    });
}

fn a_thread_with_an_odd_name_is_named() {
    for name in ["a\nb\\c", "sp ace)S (x", "n\u{e4}me\u{20ac}\u{20ac}\u{20ac}"]
    {
        beside(name, |_| {
            let error = open(Signal::TERM).unwrap_err();
            let Error::UnblockedThread(thread) = error else {
                panic!("{error}");
            };
            // The kernel keeps fifteen bytes, which may cut a character.
            let whole = thread.name().trim_end_matches('?');
            assert!(name.starts_with(whole) && !whole.is_empty(), "{thread:?}");
        });
    }
}

fn threads_come_and_go_during_the_check() {
    let _guard = block(Signal::TERM).unwrap();
    let (end, ended) = mpsc::channel::<()>();
    let churn = thread::spawn(move || {
        while ended.try_recv() == Err(mpsc::TryRecvError::Empty) {
            thread::spawn(|| ()).join().unwrap();
        }
    });
    for _ in 0..racing_rounds() {
        mask::check_threads(Signal::TERM).unwrap();
    }
    drop(end);
    churn.join().unwrap();
}

/// The kernel lists so many in several parts, and those that end between two of them shift
/// the others.
fn threads_that_end_during_the_check_hide_no_other() {
    let rounds = if storm_size() >= 100_000 { 20 } else { 2 };
    for _ in 0..rounds {
        let guard = block(Signal::TERM).unwrap();
        let pool: Vec<_> = (0..300)
            .map(|_| {
                let (end, ended) = mpsc::channel::<()>();
                let small = thread::Builder::new().stack_size(16 * 1024);
                let work = move || assert!(ended.recv().is_err());
                (end, small.spawn(work).unwrap())
            })
            .collect();
        drop(guard);
        beside("early", |_| {
            let _guard = block(Signal::TERM).unwrap();
            let ending = thread::spawn(move || {
                for (end, thread) in pool {
                    drop(end);
                    thread.join().unwrap();
                }
            });
            while !ending.is_finished() {
                let error = mask::check_threads(Signal::TERM).unwrap_err();
                assert!(matches!(error, Error::UnblockedThread(_)), "{error}");
            }
            ending.join().unwrap();
        });
    }
}

/// One that has lost its number, but is still in the kernel's list of threads, is where the
/// kernel ends when it lists them.
fn a_thread_that_is_half_gone_hides_no_other() {
    let times = if all_rounds() { 3 } else { 1 };
    for _ in 0..times * racing_rounds() {
        let guard = block(Signal::TERM).unwrap();
        let (end, ended) = mpsc::channel::<()>();
        let ending = thread::spawn(move || ended.recv().unwrap_err());
        drop(guard);
        // It comes behind the other in the list.
        beside("early", |_| {
            let _guard = block(Signal::TERM).unwrap();
            drop(end);
            ending.join().unwrap();
            for _ in 0..4 {
                let error = mask::check_threads(Signal::TERM).unwrap_err();
                assert!(matches!(error, Error::UnblockedThread(_)), "{error}");
            }
        });
    }
}

fn a_receiver_is_refused_in_a_thread_that_does_not_block() {
    let error = Receiver::new(Signal::TERM | Signal::HUP).unwrap_err();
    assert_eq!(error, Error::NotBlocked(Signal::TERM | Signal::HUP));
    let _guard = block(Signal::TERM).unwrap();
    let error = Receiver::new(Signal::TERM | Signal::HUP).unwrap_err();
    assert_eq!(error, Error::NotBlocked(Signal::HUP.into()));
}

fn a_receiver_is_refused_when_another_thread_does_not_block() {
    beside("early", |_| {
        let _guard = block(Signal::TERM).unwrap();
        let error = Receiver::new(Signal::TERM).unwrap_err();
        assert!(matches!(error, Error::UnblockedThread(_)), "{error}");
    });
}

fn the_check_can_be_turned_off() {
    let options = signalfd::Options::new().check_threads(false);
    beside("early", |_| {
        let signals = options.open(Signal::TERM).unwrap();
        crate::common::raise(Signal::TERM);
        assert_eq!(signals.wait().unwrap().signal(), Signal::TERM);
    });
}

fn live_changes_check_the_threads_too() {
    let _guard = block(Signal::TERM).unwrap();
    beside("half", |_| {
        let signals = open(Signal::TERM).unwrap();
        let before = mask::current().unwrap();
        let error = signals.insert(Signal::HUP).unwrap_err();
        assert!(matches!(error, Error::UnblockedThread(_)), "{error}");
        let error = signals.replace(Signal::HUP).unwrap_err();
        assert!(matches!(error, Error::UnblockedThread(_)), "{error}");
        assert_eq!(mask::current().unwrap(), before);
        assert_eq!(signals.signals(), Signal::TERM.into());
    });
}

/// The main thread may end before the others. It stays in the list, as a zombie
/// that takes no signals, with the mask it had.
#[expect(unsafe_code, reason = "ends the main thread")]
fn a_dead_main_thread_does_not_count() {
    let open_without_it = || {
        let main_ended = || {
            let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
            stat.rsplit(") ").next().unwrap().starts_with('Z')
        };
        wait_until("the main thread has ended", main_ended);
        let signals = open(Signal::TERM).unwrap();
        kill(pid(), Signal::TERM);
        assert_eq!(signals.wait().unwrap().signal(), Signal::TERM);
    };
    thread::spawn(move || {
        set_mask(Signal::TERM.into());
        let opened = thread::spawn(open_without_it).join();
        std::process::exit(opened.is_err().into());
    });
    // SAFETY: ends this thread alone; there is nothing on its stack that others
    // use.
    unsafe { libc::syscall(libc::SYS_exit, libc::c_long::from(1)) };
}
