//! Scopes inside scopes: the inner one shadows the outer ones of its thread.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc::channel;
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use signalfd::{
    Batch, Epoll, Error, Receiver, Signal, SignalSet, Signals, block_on, mask,
};

use crate::common::{
    Child, kill, open, options, pid, sigqueue, storm_size, tid, wait_until,
    wait_until_asleep,
};
use crate::harness::{battery, cases, racing_rounds, rounds_with_receivers};

cases! {
    the_inner_shadows_the_outer_whoever_waits_on_it,
    what_the_inner_leaves_reaches_a_sleeper_on_the_outer,
    what_the_inner_leaves_reaches_a_task_and_an_edge,
    what_the_inner_does_not_have_the_outer_receives,
    the_innermost_of_three_receives,
    scopes_that_go_out_of_turn,
    a_changed_scope_shadows_what_it_has,
    a_failed_change_shadows_nothing,
    an_outer_scope_that_is_changed_stays_in_the_shadow,
    a_second_descriptor_made_in_the_shadow_stays_there,
    scopes_of_two_threads_do_not_shadow_each_other,
    a_receiver_without_a_scope_is_in_no_shadow,
    reopened_scopes_are_nested_as_before,
    reopened_in_a_child_they_are_nested_as_before,
    reopened_in_a_child_each_covers_its_own,
    a_child_leaves_the_scopes_of_its_parent_alone,
    places_of_a_parent_are_free_in_a_child,
    too_many_scopes_are_an_error,
    a_forgotten_scope_shadows_on,
    scopes_that_come_and_go_in_a_storm_lose_nothing,
}

fn rt(n: u8) -> Signal {
    Signal::rt(n).unwrap()
}

/// A receiver that is nested without looking at threads, as one with threads is.
fn open_among_threads(set: impl Into<SignalSet>) -> Signals {
    options().check_threads(false).open(set).unwrap()
}

fn values(receiver: &Receiver) -> Vec<i32> {
    let next = || receiver.try_recv().unwrap();
    std::iter::from_fn(next).map(|info| info.value().unwrap()).collect()
}

/// Ways to take a signal that a thread can be asleep in.
const WAITS: [fn(&Receiver) -> i32; 4] = [
    |receiver| receiver.wait().unwrap().value().unwrap(),
    |receiver| {
        let long = Duration::from_secs(1000);
        receiver.wait_timeout(long).unwrap().unwrap().value().unwrap()
    },
    |receiver| block_on(receiver.recv()).unwrap().unwrap().value().unwrap(),
    |receiver| {
        let epoll = Epoll::new([receiver]).unwrap();
        loop {
            if let Some(info) = receiver.try_recv().unwrap() {
                return info.value().unwrap();
            }
            let mut recv = receiver.recv();
            let mut cx = Context::from_waker(Waker::noop());
            if Pin::new(&mut recv).poll(&mut cx).is_pending() {
                epoll.turn(None).unwrap();
            }
        }
    },
];

fn the_inner_shadows_the_outer_whoever_waits_on_it() {
    for wait in WAITS {
        let outer = open(rt(0)).unwrap();
        let receiver: &Receiver = &outer;
        let taken = AtomicI32::new(-1);
        thread::scope(|scope| {
            let (tell, told) = channel();
            let taken = &taken;
            scope.spawn(move || {
                tell.send(tid()).unwrap();
                taken.store(wait(receiver), Ordering::SeqCst);
            });
            wait_until_asleep(told.recv().unwrap());
            {
                let inner = open_among_threads(rt(0));
                for value in 0..200 {
                    sigqueue(pid(), rt(0), value).unwrap();
                    assert_eq!(inner.wait().unwrap().value(), Some(value));
                }
                assert_eq!(taken.load(Ordering::SeqCst), -1);
            }
            sigqueue(pid(), rt(0), 4711).unwrap();
        });
        assert_eq!(taken.into_inner(), 4711);
        assert_eq!(outer.try_recv(), Ok(None));
    }
}

fn what_the_inner_leaves_reaches_a_sleeper_on_the_outer() {
    for wait in WAITS {
        let outer = open(rt(0)).unwrap();
        let receiver: &Receiver = &outer;
        thread::scope(|scope| {
            let (tell, told) = channel();
            let sleeper = scope.spawn(move || {
                tell.send(tid()).unwrap();
                wait(receiver)
            });
            wait_until_asleep(told.recv().unwrap());
            let inner = open_among_threads(rt(0));
            for value in 0..3 {
                sigqueue(pid(), rt(0), value).unwrap();
            }
            assert_eq!(inner.wait().unwrap().value(), Some(0));
            drop(inner);
            assert!((1..3).contains(&sleeper.join().unwrap()));
        });
        assert_eq!(values(&outer).len(), 1);
    }
}

fn what_the_inner_leaves_reaches_a_task_and_an_edge() {
    let outer = open(rt(0)).unwrap();
    let epoll = Epoll::new([&outer]).unwrap();
    let mut recv = outer.recv();
    let mut cx = Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut recv).poll(&mut cx).is_pending());
    let inner = open(rt(0)).unwrap();
    sigqueue(pid(), rt(0), 7).unwrap();
    // It is told of, since every signal wakes every waiter; but there is none.
    epoll.turn(Some(Duration::ZERO)).unwrap();
    assert!(Pin::new(&mut recv).poll(&mut cx).is_pending());
    drop(inner);
    assert_eq!(epoll.turn(Some(Duration::from_secs(1000))), Ok(1));
    let info = block_on(recv).unwrap().unwrap();
    assert_eq!(info.value(), Some(7));
}

fn what_the_inner_does_not_have_the_outer_receives() {
    let outer = open(Signal::INT | Signal::TERM | rt(0)).unwrap();
    let inner = open(Signal::TERM | rt(1)).unwrap();
    kill(pid(), Signal::INT);
    kill(pid(), Signal::TERM);
    assert_eq!(outer.wait().unwrap().signal(), Signal::INT);
    assert_eq!(outer.try_recv(), Ok(None));
    assert_eq!(inner.wait().unwrap().signal(), Signal::TERM);
    assert_eq!(outer.signals(), Signal::INT | Signal::TERM | rt(0));
}

fn the_innermost_of_three_receives() {
    let one = open(rt(0) | rt(1) | rt(2)).unwrap();
    let two = open(rt(0) | rt(1)).unwrap();
    let three = open(rt(0)).unwrap();
    let send = || {
        for n in 0..3 {
            sigqueue(pid(), rt(n), n.into()).unwrap();
        }
    };
    send();
    assert_eq!(values(&one), [2]);
    assert_eq!(values(&two), [1]);
    assert_eq!(values(&three), [0]);
    drop(three);
    send();
    assert_eq!(values(&one), [2]);
    assert_eq!(values(&two), [0, 1]);
    drop(two);
    send();
    assert_eq!(values(&one), [0, 1, 2]);
}

fn scopes_that_go_out_of_turn() {
    // A variable that is assigned drops the old value last.
    let mut signals = open(rt(0)).unwrap();
    for value in 0..10 {
        signals = open(rt(0) | rt(1)).unwrap();
        sigqueue(pid(), rt(0), value).unwrap();
        assert_eq!(values(&signals), [value]);
    }
    let one = signals;
    let two = open(rt(0)).unwrap();
    let three = open(rt(1)).unwrap();
    drop(two);
    sigqueue(pid(), rt(0), 0).unwrap();
    sigqueue(pid(), rt(1), 1).unwrap();
    assert_eq!(values(&one), [0]);
    drop(one);
    assert_eq!(values(&three), [1]);
    assert_eq!(mask::current().unwrap(), rt(1).into());
}

fn a_changed_scope_shadows_what_it_has() {
    let outer = open(rt(0) | rt(1) | rt(2)).unwrap();
    let inner = open(rt(0)).unwrap();
    let look = || {
        for n in 0..3 {
            sigqueue(pid(), rt(n), n.into()).unwrap();
        }
        (values(&inner), values(&outer))
    };
    assert_eq!(look(), (vec![0], vec![1, 2]));
    inner.insert(rt(1)).unwrap();
    assert_eq!(look(), (vec![0, 1], vec![2]));
    inner.remove(rt(0)).unwrap();
    assert_eq!(look(), (vec![1], vec![0, 2]));
    inner.replace(rt(0) | rt(2)).unwrap();
    assert_eq!(look(), (vec![0, 2], vec![1]));
    // What is pending reaches the outer one when it is removed.
    sigqueue(pid(), rt(2), 22).unwrap();
    inner.remove(rt(2)).unwrap();
    assert_eq!(values(&outer), [22]);
    // The receiver alone changes what it receives, and not what the scope has.
    inner.replace(rt(0) | rt(1)).unwrap();
    Receiver::remove(&inner, rt(1)).unwrap();
    sigqueue(pid(), rt(1), 11).unwrap();
    assert_eq!((values(&inner), values(&outer)), (vec![], vec![]));
    drop(inner);
    assert_eq!(values(&outer), [11]);
}

fn a_failed_change_shadows_nothing() {
    let outer = open(rt(0) | rt(1)).unwrap();
    let inner = open(rt(0)).unwrap();
    assert!(inner.insert(rt(1) | Signal::KILL).is_err());
    assert_eq!(inner.remove(rt(0)), Err(Error::EmptySet));
    assert_eq!(
        open(rt(1) | Signal::STOP).map(drop),
        Err(Error::Unblockable(Signal::STOP.into()))
    );
    sigqueue(pid(), rt(1), 1).unwrap();
    sigqueue(pid(), rt(0), 0).unwrap();
    assert_eq!((values(&inner), values(&outer)), (vec![0], vec![1]));
}

fn an_outer_scope_that_is_changed_stays_in_the_shadow() {
    let outer = open(rt(0) | rt(2)).unwrap();
    let inner = open(rt(0) | rt(1)).unwrap();
    let receiver: &Receiver = &outer;
    let go_on = AtomicBool::new(true);
    thread::scope(|scope| {
        // Also by another thread, which has only the receiver.
        scope.spawn(|| {
            mask::block(rt(0) | rt(1) | rt(2)).map(mem::forget).unwrap();
            while go_on.load(Ordering::Relaxed) {
                receiver.insert(rt(1)).unwrap();
                receiver.remove(rt(1)).unwrap();
            }
        });
        for value in 0..racing_rounds() {
            outer.insert(rt(1)).unwrap();
            let innermost = open_among_threads(rt(2));
            for n in 0..3 {
                sigqueue(pid(), rt(n), value).unwrap();
            }
            assert_eq!(values(&outer), [], "it is in the shadow");
            assert_eq!(values(&inner), [value, value]);
            assert_eq!(values(&innermost), [value]);
        }
        go_on.store(false, Ordering::Relaxed);
    });
    outer.insert(rt(1)).unwrap();
    drop(inner);
    for n in 0..3 {
        sigqueue(pid(), rt(n), n.into()).unwrap();
    }
    assert_eq!(values(&outer), [0, 1, 2]);
}

/// The first wait of all makes it.
fn a_second_descriptor_made_in_the_shadow_stays_there() {
    let outer = open(rt(0)).unwrap();
    let receiver: &Receiver = &outer;
    for value in 0..rounds_with_receivers() {
        let inner = open(rt(0)).unwrap();
        let fresh = open_among_threads(rt(1));
        let innermost = open_among_threads(rt(1));
        thread::scope(|scope| {
            let (tell, told) = channel();
            let fresh: &Receiver = &fresh;
            scope.spawn(move || {
                tell.send(tid()).unwrap();
                assert_eq!(fresh.wait().unwrap().value(), Some(-1));
            });
            wait_until_asleep(told.recv().unwrap());
            sigqueue(pid(), rt(1), value).unwrap();
            assert_eq!(innermost.wait().unwrap().value(), Some(value));
            drop(innermost);
            sigqueue(pid(), rt(1), -1).unwrap();
        });
        drop(inner);
    }
    sigqueue(pid(), rt(0), 5).unwrap();
    assert_eq!(receiver.wait().unwrap().value(), Some(5));
}

fn scopes_of_two_threads_do_not_shadow_each_other() {
    let signals = open(rt(0) | rt(1)).unwrap();
    let (tell, told) = channel();
    let (end, ended) = channel::<()>();
    let thread = thread::spawn(move || {
        let theirs = open_among_threads(rt(0));
        tell.send(()).unwrap();
        ended.recv().unwrap_err();
        values(&theirs)
    });
    told.recv().unwrap();
    if battery().reads_ahead() {
        // Either ring may have it.
        drop(end);
        thread.join().unwrap();
        return;
    }
    sigqueue(pid(), rt(0), 1).unwrap();
    assert_eq!(values(&signals), [1]);
    drop(end);
    assert_eq!(thread.join().unwrap(), []);
}

fn a_receiver_without_a_scope_is_in_no_shadow() {
    let _guard = signalfd::block(rt(0)).unwrap();
    let bare = crate::common::receiver_for(rt(0)).unwrap();
    let scope = open(rt(0)).unwrap();
    if battery().reads_ahead() {
        // The first ring has it.
        sigqueue(pid(), rt(0), 1).unwrap();
        assert_eq!(values(&bare).len() + values(&scope).len(), 1);
        return;
    }
    sigqueue(pid(), rt(0), 1).unwrap();
    assert_eq!(values(&bare), [1]);
}

fn are_nested(outer: &Signals, inner: &Signals) {
    for n in 0..3 {
        sigqueue(pid(), rt(n), n.into()).unwrap();
    }
    assert_eq!(values(outer), [2]);
    assert_eq!(values(inner), [0, 1]);
}

fn reopened_scopes_are_nested_as_before() {
    let mut outer = open(rt(0) | rt(1) | rt(2)).unwrap();
    let mut inner = open(rt(0) | rt(1)).unwrap();
    outer.reopen().unwrap();
    are_nested(&outer, &inner);
    inner.reopen().unwrap();
    are_nested(&outer, &inner);
    sigqueue(pid(), rt(0), 5).unwrap();
    outer.reopen().unwrap();
    drop(inner);
    assert_eq!(values(&outer), [5]);
}

fn reopened_in_a_child_they_are_nested_as_before() {
    let mut outer = open(rt(0) | rt(1) | rt(2)).unwrap();
    let mut inner = Some(open(rt(0) | rt(1)).unwrap());
    for outer_first in [true, false] {
        Child::fork(|| {
            let mut inner = inner.take().unwrap();
            if outer_first {
                outer.reopen().unwrap();
                // The inner one is still the parent's, and shadows nothing here.
                sigqueue(pid(), rt(0), 9).unwrap();
                assert_eq!(values(&outer), [9]);
                inner.reopen().unwrap();
            } else {
                inner.reopen().unwrap();
                outer.reopen().unwrap();
            }
            are_nested(&outer, &inner);
            let innermost = open(rt(1)).unwrap();
            sigqueue(pid(), rt(1), 1).unwrap();
            assert_eq!((values(&inner), values(&innermost)), (vec![], vec![1]));
            drop(innermost);
            drop(inner);
            sigqueue(pid(), rt(0), 3).unwrap();
            assert_eq!(values(&outer), [3]);
            0
        })
        .wait_for_success();
        are_nested(&outer, inner.as_ref().unwrap());
    }
}

/// In whatever order, and also after one of the child's own, which has the place of one of
/// the parent's.
fn reopened_in_a_child_each_covers_its_own() {
    let mut outer = open(rt(0) | rt(1) | rt(2)).unwrap();
    let mut inner = [open(rt(1)).unwrap(), open(rt(2)).unwrap()];
    let mut reopen_in = |order: [usize; 3], own: Option<Signal>| {
        let inner = &mut inner;
        let outer = &mut outer;
        Child::fork(|| {
            let own = own.map(|signal| open(signal).unwrap());
            for index in order {
                match index.checked_sub(1) {
                    None => outer.reopen().unwrap(),
                    Some(index) => inner[index].reopen().unwrap(),
                }
            }
            drop(own);
            for n in 0..3 {
                sigqueue(pid(), rt(n), i32::from(n)).unwrap();
            }
            assert_eq!(values(outer), [0]);
            let [first, second] = &*inner;
            assert_eq!((values(first), values(second)), (vec![1], vec![2]));
            0
        })
        .wait_for_success();
    };
    for order in
        [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]
    {
        reopen_in(order, None);
        reopen_in(order, Some(rt(1)));
        reopen_in(order, Some(rt(2)));
    }
}

fn a_child_leaves_the_scopes_of_its_parent_alone() {
    let mut both = Some((
        open(rt(0) | rt(1) | rt(2)).unwrap(),
        open(rt(0) | rt(1)).unwrap(),
    ));
    Child::fork(|| {
        let (outer, inner) = both.take().unwrap();
        let own = open(rt(0) | rt(2)).unwrap();
        sigqueue(pid(), rt(2), 1).unwrap();
        assert_eq!(values(&own), [1]);
        assert_eq!(outer.try_recv(), Err(Error::Forked));
        drop(inner);
        drop(outer);
        drop(own);
        0
    })
    .wait_for_success();
    // What the parent's descriptors receive is what a child could have changed.
    let (outer, inner) = both.as_ref().unwrap();
    are_nested(outer, inner);
}

/// Each generation has more scopes of its own than are left if those before count.
fn places_of_a_parent_are_free_in_a_child() {
    fn generation(left: u32) -> i32 {
        let other = thread::spawn(|| {
            let options = options().check_threads(false);
            for _ in 0..60 {
                mem::forget(options.open(rt(0)).unwrap());
            }
        });
        other.join().unwrap();
        if left > 0 {
            Child::fork(|| generation(left - 1)).wait_for_success();
        }
        0
    }
    generation(10);
}

fn too_many_scopes_are_an_error() {
    let before = crate::common::open_descriptors();
    let first = open(rt(0)).unwrap();
    let all: Vec<_> = (1..256).map(|_| open(rt(0)).unwrap()).collect();
    let error = open(rt(0) | rt(1)).unwrap_err();
    assert_eq!(error, Error::TooManyScopes);
    assert!(error.to_string().contains("256 scopes"), "{error}");
    assert_eq!(mask::current().unwrap(), rt(0).into(), "it is as it was");
    // A receiver needs no scope.
    let bare = crate::common::receiver_for(rt(0)).unwrap();
    drop((bare, all));
    drop(open(rt(0)).unwrap());
    sigqueue(pid(), rt(0), 1).unwrap();
    assert_eq!(values(&first), [1]);
    drop(first);
    assert_eq!(crate::common::open_descriptors(), before);
}

fn a_forgotten_scope_shadows_on() {
    let outer = open(rt(0)).unwrap();
    mem::forget(open(rt(0)).unwrap());
    sigqueue(pid(), rt(0), 1).unwrap();
    assert_eq!(values(&outer), []);
    drop(open(rt(0)).unwrap());
    assert_eq!(values(&outer), []);
}

/// A thread waits on the outer scope while inner ones come and go.
fn scopes_that_come_and_go_in_a_storm_lose_nothing() {
    const END: i32 = -1;
    let count = storm_size() / 5;
    let outer = open(rt(0)).unwrap();
    let receiver: &Receiver = &outer;
    let parent = pid();
    let sender = Child::fork(|| {
        for value in 0..count {
            wait_until("there is room in the queue", || {
                sigqueue(parent, rt(0), value).is_ok()
            });
        }
        0
    });
    let taken = AtomicI32::new(0);
    let all = thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let mut all = Vec::new();
            let mut batch = Batch::<64>::new();
            loop {
                for info in receiver.wait_batch(&mut batch).unwrap() {
                    match info.value().unwrap() {
                        END => return all,
                        value => all.push(value),
                    }
                    taken.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        let mut all = Vec::new();
        let mut batch = Batch::<16>::new();
        while taken.load(Ordering::SeqCst) < count {
            let inner = open_among_threads(rt(0));
            for info in inner.try_recv_batch(&mut batch).unwrap() {
                all.push(info.value().unwrap());
                taken.fetch_add(1, Ordering::SeqCst);
            }
        }
        sigqueue(pid(), rt(0), END).unwrap();
        all.extend(waiter.join().unwrap());
        all
    });
    sender.wait_for_success();
    let mut all = all;
    all.sort_unstable();
    assert!(all.into_iter().eq(0..count), "each once");
}
