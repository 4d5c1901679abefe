//! Changing the signals of a receiver while they come.

use std::thread;

use std::task::{Context, Poll};

use signalfd::{Batch, Receiver, Signal, mask};

use crate::common::{
    Child, HeldCalls, SharedCount, WakeCount, kill, open, pid, set_limit,
    sigqueue, storm_size, tid, wait_until, wait_until_asleep,
};
use crate::every::have_some_left;
use crate::harness::{cases, skip, up_to_ten_thousand};

cases! {
    a_sleeping_thread_notices_what_is_inserted,
    a_sleeping_thread_notices_what_is_inserted_and_pending,
    a_task_notices_what_is_inserted,
    a_task_notices_what_was_left_of_what_is_inserted,
    what_is_inserted_while_a_thread_reads_reaches_it,
    changes_under_fire_lose_nothing,
    changes_under_fire_never_unblock_what_stays,
    a_change_while_the_second_descriptor_is_made_reaches_it,
    of_two_changes_at_once_none_is_undone,
}

fn a_sleeping_thread_notices_what_is_inserted() {
    let signals = open(Signal::USR1 | Signal::USR2).unwrap();
    let receiver: &Receiver = &signals;
    receiver.remove(Signal::USR2).unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        let waiter = scope.spawn(move || {
            tell.send(tid()).unwrap();
            receiver.wait().unwrap().signal()
        });
        wait_until_asleep(told.recv().unwrap());
        receiver.insert(Signal::USR2).unwrap();
        kill(pid(), Signal::USR2);
        assert_eq!(waiter.join().unwrap(), Signal::USR2);
    });
}

fn a_sleeping_thread_notices_what_is_inserted_and_pending() {
    let signals = open(Signal::USR1 | Signal::USR2).unwrap();
    let receiver: &Receiver = &signals;
    receiver.remove(Signal::USR2).unwrap();
    kill(pid(), Signal::USR2);
    let waits: [fn(&Receiver) -> Signal; 3] = [
        |receiver| receiver.wait().unwrap().signal(),
        |receiver| {
            let minute = std::time::Duration::from_secs(60);
            receiver.wait_timeout(minute).unwrap().unwrap().signal()
        },
        |receiver| {
            signalfd::block_on(receiver.recv()).unwrap().unwrap().signal()
        },
    ];
    for wait in waits {
        let (tell, told) = std::sync::mpsc::channel();
        thread::scope(|scope| {
            let waiter = scope.spawn(move || {
                tell.send(tid()).unwrap();
                wait(receiver)
            });
            wait_until_asleep(told.recv().unwrap());
            receiver.insert(Signal::USR2).unwrap();
            assert_eq!(waiter.join().unwrap(), Signal::USR2);
        });
        receiver.remove(Signal::USR2).unwrap();
        kill(pid(), Signal::USR2);
    }
    receiver.insert(Signal::USR2).unwrap();
    receiver.wait().unwrap();
}

fn a_task_notices_what_is_inserted() {
    let signals = open(Signal::USR1).unwrap();
    signalfd::block_on(async {
        let recv = signals.recv();
        signals.insert(Signal::USR2).unwrap();
        kill(pid(), Signal::USR2);
        assert_eq!(recv.await.unwrap().signal(), Signal::USR2);
    })
    .unwrap();
}

/// The kernel does not have it, so no descriptor tells of it.
fn a_task_notices_what_was_left_of_what_is_inserted() {
    let rt = Signal::rt(1).unwrap();
    let signals = open(Signal::USR1 | rt).unwrap();
    signals.remove(rt).unwrap();
    let _guard = mask::block(rt).unwrap();
    let every = mask::block_every_thread(rt).unwrap();
    let limit = have_some_left(rt, 1);
    drop(every);
    let (count, waker) = WakeCount::new();
    let mut cx = Context::from_waker(&waker);
    assert!(signals.poll_recv(&mut cx).is_pending());
    assert_eq!(count.get(), 0);
    signals.insert(rt).unwrap();
    assert!(count.get() > 0);
    let Poll::Ready(Ok(info)) = signals.poll_recv(&mut cx) else {
        panic!("it was left");
    };
    assert_eq!((info.signal(), info.value()), (rt, Some(0)));
    set_limit(libc::RLIMIT_SIGPENDING, limit);
}

/// The thread never sleeps, so the change finds it anywhere in a read.
fn what_is_inserted_while_a_thread_reads_reaches_it() {
    let signals = open(Signal::USR1 | Signal::USR2).unwrap();
    let receiver: &Receiver = &signals;
    receiver.remove(Signal::USR2).unwrap();
    let rounds = (storm_size() / 20).min(1_000);
    let (tell, told) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..rounds {
                kill(pid(), Signal::USR2);
                receiver.insert(Signal::USR2).unwrap();
                told.recv().unwrap();
                receiver.remove(Signal::USR2).unwrap();
            }
        });
        for _ in 0..rounds {
            let info = loop {
                if let Some(info) = receiver.try_recv().unwrap() {
                    break info;
                }
            };
            assert_eq!(info.signal(), Signal::USR2);
            tell.send(()).unwrap();
        }
    });
}

fn count() -> i32 {
    up_to_ten_thousand()
}

/// Two numbers are fired; the receiver takes now the one, now the other, now
/// both. The mask holds both all the time, and nothing is lost.
fn changes_under_fire_lose_nothing() {
    let (a, b) = (Signal::rt(1).unwrap(), Signal::rt(2).unwrap());
    let signals = open(a | b).unwrap();
    let receiver: &Receiver = &signals;
    let parent = pid();
    let children = [a, b].map(|signal| {
        Child::fork(move || {
            for value in 0..count() {
                while sigqueue(parent, signal, value).is_err() {}
            }
            0
        })
    });
    let mut batch = Batch::<8>::new();
    let (mut all_a, mut all_b) = (Vec::new(), Vec::new());
    let sets = [a.into(), a | b, b.into(), a | b];
    for set in sets.into_iter().cycle() {
        if all_a.len() + all_b.len() == 2 * count() as usize {
            break;
        }
        receiver.replace(set).unwrap();
        for info in receiver.try_recv_batch(&mut batch).unwrap() {
            assert!(set.contains(info.signal().into()), "{info} in {set}");
            let all = if info.signal() == a { &mut all_a } else { &mut all_b };
            all.push(info.value().unwrap());
        }
    }
    for mut all in [all_a, all_b] {
        if crate::battery().reads_ahead() {
            // What is not received any more goes back behind what came meanwhile.
            all.sort_unstable();
        }
        assert!(all.into_iter().eq(0..count()));
    }
    children.into_iter().for_each(Child::wait_for_success);
}

/// A signal of both the old and the new set would end the process if it were
/// unblocked for a moment.
fn changes_under_fire_never_unblock_what_stays() {
    let done = open(Signal::TERM).unwrap();
    let signals = open(Signal::USR1 | Signal::USR2).unwrap();
    let parent = pid();
    let rounds = SharedCount::new();
    let child = Child::fork(move || {
        (0..100_000).for_each(|_| kill(parent, Signal::USR1));
        wait_until("a round is over", || {
            kill(parent, Signal::USR1);
            rounds.get() > 0
        });
        kill(parent, Signal::TERM);
        0
    });
    while done.try_recv().unwrap().is_none() {
        signals.replace(Signal::USR1 | Signal::HUP).unwrap();
        signals.replace(Signal::USR1 | Signal::USR2).unwrap();
        signals.remove(Signal::USR2).unwrap();
        signals.insert(Signal::USR2).unwrap();
        assert!(mask::current().unwrap().contains(Signal::USR1.into()));
        signals.try_recv().unwrap();
        rounds.add_one();
    }
    child.wait_for_success();
    while signals.try_recv().unwrap().is_some() {}
}

/// Runs something in a thread, and something else in this one at the moment when
/// that thread first calls `signalfd4(2)`: it has looked at the set, and the
/// kernel does not have it yet.
fn meanwhile<R: Send>(
    there: impl FnOnce() -> R + Send,
    here: impl FnOnce(),
) -> R {
    let (tell, told) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        let thread = scope.spawn(move || {
            let held = HeldCalls::of_this_thread(&[libc::SYS_signalfd4]);
            let can = held.is_ok();
            tell.send(held).unwrap();
            can.then(there)
        });
        let Ok(held) = told.recv().unwrap() else {
            skip("seccomp cannot hold system calls here");
        };
        assert!(held.before_the_next(|_call| here()));
        while held.before_the_next(|_call| ()) {}
        thread.join().unwrap().unwrap()
    })
}

/// A thread waits for the first time, and has the old set in its hands.
fn a_change_while_the_second_descriptor_is_made_reaches_it() {
    let signals = signalfd::open(Signal::USR1 | Signal::USR2).unwrap();
    let receiver: &Receiver = &signals;
    receiver.remove(Signal::USR2).unwrap();
    let wait = || receiver.wait().unwrap().signal();
    let signal = meanwhile(wait, || {
        receiver.insert(Signal::USR2).unwrap();
        kill(pid(), Signal::USR2);
    });
    assert_eq!(signal, Signal::USR2);
}

/// The one that is handed to the kernel last was made first.
fn of_two_changes_at_once_none_is_undone() {
    let signals =
        signalfd::open(Signal::USR1 | Signal::USR2 | Signal::HUP).unwrap();
    let receiver: &Receiver = &signals;
    receiver.remove(Signal::HUP).unwrap();
    let remove = || receiver.remove(Signal::USR2).unwrap();
    meanwhile(remove, || receiver.insert(Signal::HUP).unwrap());
    assert_eq!(receiver.signals(), Signal::USR1 | Signal::HUP);
    kill(pid(), Signal::HUP);
    let info = receiver.try_recv().unwrap();
    assert_eq!(info.map(|info| info.signal()), Some(Signal::HUP));
}
