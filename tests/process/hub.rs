//! Fan-out: every subscriber gets every record of its signals, loses only its own oldest
//! and knows how many, and what nobody has seen comes back.

use std::collections::HashSet;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use futures::executor::LocalPool;
use futures::future::{join, pending, poll_fn, ready};
use futures::task::LocalSpawnExt;
use signalfd::{
    Batch, Error, Hub, Op, Receiver, Sender, SigInfo, Signal, Signals,
    Subscriber, Until, block_on,
};

use crate::common::{
    Battery, Child, DEADLINE, WakeCount, can_queue_any_code, forbid, kill,
    open, options, pid, set_limit, sigqueue, tid, wait_until,
    wait_until_asleep,
};
use crate::harness::{
    all_rounds, cases, racing_rounds, to_die_here, up_to_ten_thousand,
};

cases! {
    ten_thousand_reach_three_subscribers,
    a_slow_subscriber_misses_its_oldest_and_knows_how_many,
    a_slow_subscriber_in_a_storm_accounts_for_every_record,
    records_come_as_they_were_received,
    who_wants_a_signal_gets_it_and_nobody_else,
    what_nobody_wants_is_the_owners,
    the_owner_sees_what_is_wanted,
    too_many_subscribers_are_refused,
    a_place_that_was_left_is_free_at_once,
    a_set_that_cannot_be_received_is_refused,
    what_was_dispatched_before_is_not_seen,
    signals_change_from_the_next_record_on,
    what_one_leaves_unread_comes_back,
    what_another_has_seen_does_not_come_back,
    what_all_leave_unread_comes_back_once,
    what_was_missed_does_not_come_back,
    what_comes_back_in_an_outer_scope_is_received_there,
    what_is_left_after_the_scope_takes_its_action => libc::SIGTERM,
    what_finds_no_room_in_the_queue_comes_back_too,
    what_finds_no_room_in_the_queue_wakes_who_sleeps,
    subscribers_come_and_go_while_a_storm_runs,
    there_is_one_dispatcher_at_a_time,
    dispatchers_take_over_from_each_other,
    everything_may_be_dropped_in_any_order,
    a_subscriber_that_is_forgotten_keeps_its_place_and_no_more,
    waits_end_with_their_time,
    a_thread_that_sleeps_is_woken,
    a_wait_goes_on_after_a_handler_ran,
    a_wait_says_that_a_sandbox_refuses_it,
    tasks_are_woken_under_block_on,
    tasks_are_woken_under_another_executor,
    futures_that_are_dropped_take_nothing,
    a_record_cancels_work,
    a_waker_that_panics_keeps_nothing_from_others,
    many_tasks_are_woken_on_a_small_stack,
    a_waker_may_use_the_hub,
    a_forked_child_is_told_and_its_hub_is_empty,
    a_forked_child_is_told_where_the_kernel_cannot_wipe_a_page,
    children_of_a_busy_parent_can_use_the_hub,
}

fn count() -> i32 {
    up_to_ten_thousand()
}

fn rt(number: u8) -> Signal {
    Signal::rt(number).unwrap()
}

/// Lets a child queue signals with these values, waiting where the queue is full.
fn send_from_a_child(signal: Signal, values: std::ops::Range<i32>) -> Child {
    let receiver = pid();
    Child::fork(move || {
        for value in values {
            wait_until("there is room in the queue", || {
                sigqueue(receiver, signal, value).is_ok()
            });
        }
        0
    })
}

/// Receives signals and hands them out until one says that it is the last.
fn dispatch_until<const S: usize, const D: usize>(
    hub: &Hub<S, D>,
    signals: &Receiver,
    last: i32,
) {
    let mut dispatcher = hub.dispatcher().unwrap();
    let mut batch = Batch::<64>::new();
    loop {
        for info in signals.wait_batch(&mut batch).unwrap() {
            dispatcher.dispatch(info).unwrap();
            if info.value() == Some(last) {
                return;
            }
        }
    }
}

/// Sends this process a signal and hands out its record.
fn send_and_dispatch<const S: usize, const D: usize>(
    hub: &Hub<S, D>,
    signals: &Signals,
    signal: Signal,
    value: i32,
) -> usize {
    sigqueue(pid(), signal, value).unwrap();
    let info = signals.wait_timeout(DEADLINE).unwrap().unwrap();
    assert_eq!((info.signal(), info.value()), (signal, Some(value)));
    hub.dispatcher().unwrap().dispatch(&info).unwrap()
}

fn values(subscriber: &mut Subscriber<'_>) -> Vec<i32> {
    let mut values = Vec::new();
    while let Some(info) = subscriber.try_recv().unwrap() {
        values.push(info.value().unwrap());
    }
    values
}

fn value_of(info: Option<SigInfo>) -> Option<i32> {
    info.and_then(|info| info.value())
}

fn ten_thousand_reach_three_subscribers() {
    static HUB: Hub<3, 10_000> = Hub::new();
    let signals = open(rt(1)).unwrap();
    let mut waiting = HUB.subscribe(rt(1)).unwrap();
    let mut awaiting = HUB.subscribe(rt(1)).unwrap();
    let mut iterating = HUB.subscribe(rt(1)).unwrap();
    let child = send_from_a_child(rt(1), 0..count());
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut batch = Batch::<16>::new();
            let mut next = 0;
            while next < count() {
                for info in waiting.wait_batch(&mut batch).unwrap() {
                    assert_eq!(info.value(), Some(next));
                    next += 1;
                }
            }
        });
        scope.spawn(|| {
            let receive = async {
                for next in 0..count() {
                    let info = awaiting.recv().await.unwrap();
                    assert_eq!(info.value(), Some(next));
                }
            };
            block_on(receive).unwrap();
        });
        scope.spawn(|| {
            for (next, info) in (0..count()).zip(&mut iterating) {
                assert_eq!(info.unwrap().value(), Some(next));
            }
        });
        dispatch_until(&HUB, &signals, count() - 1);
    });
    child.wait_for_success();
    for subscriber in [waiting, awaiting, iterating] {
        assert_eq!(subscriber.missed(), 0);
    }
    assert_eq!(signals.try_recv(), Ok(None));
}

fn a_slow_subscriber_misses_its_oldest_and_knows_how_many() {
    static HUB: Hub<2, 64> = Hub::new();
    let signals = open(rt(1)).unwrap();
    let mut slow = HUB.subscribe(rt(1)).unwrap();
    let mut fast = HUB.subscribe(rt(1)).unwrap();
    let mut expected = 0;
    for value in 0..1000 {
        assert_eq!(send_and_dispatch(&HUB, &signals, rt(1), value), 2);
        assert_eq!(value_of(fast.try_recv().unwrap()), Some(value));
        expected = u64::try_from(value + 1 - 64).unwrap_or(0);
        assert_eq!((slow.missed(), fast.missed()), (expected, 0));
    }
    assert!(values(&mut slow).into_iter().eq(1000 - 64..1000));
    assert_eq!(slow.missed(), expected);
    // And it goes on from there.
    send_and_dispatch(&HUB, &signals, rt(1), 1000);
    assert_eq!(values(&mut slow), [1000]);
    assert_eq!(slow.missed(), expected);
}

/// The subscriber takes while it is being overrun, and the other gets everything.
fn a_slow_subscriber_in_a_storm_accounts_for_every_record() {
    static HUB: Hub<3, 16> = Hub::new();
    static DEEP: Hub<1, 10_000> = Hub::new();
    let signals = open(rt(1)).unwrap();
    let mut subscribers = [(); 3].map(|()| HUB.subscribe(rt(1)).unwrap());
    let mut all = DEEP.subscribe(rt(1)).unwrap();
    let child = send_from_a_child(rt(1), 0..count());
    thread::scope(|scope| {
        for (slowness, subscriber) in (0..).zip(&mut subscribers) {
            scope.spawn(move || {
                let (mut next, mut taken) = (0, 0);
                while next < count() {
                    let info = subscriber.wait().unwrap();
                    let value = info.value().unwrap();
                    assert!(value >= next, "{value} came after {next}");
                    next = value + 1;
                    taken += 1;
                    // It does something else meanwhile.
                    (0..slowness * 100).for_each(|_| std::hint::spin_loop());
                }
                let sent = u64::try_from(count()).unwrap();
                assert_eq!(taken + subscriber.missed(), sent);
            });
        }
        let mut dispatcher = HUB.dispatcher().unwrap();
        let mut other = DEEP.dispatcher().unwrap();
        for info in signals.iter().take(count() as usize) {
            let info = info.unwrap();
            assert_eq!(dispatcher.dispatch(&info), Ok(3));
            assert_eq!(other.dispatch(&info), Ok(1));
        }
    });
    child.wait_for_success();
    assert!(values(&mut all).into_iter().eq(0..count()));
    assert_eq!(all.missed(), 0);
}

fn records_come_as_they_were_received() {
    static HUB: Hub<1, 4> = Hub::new();
    let signals = open(Signal::TERM | Signal::CHLD | Signal::USR1).unwrap();
    let mut subscriber = HUB.subscribe(signals.signals()).unwrap();
    let mut dispatcher = HUB.dispatcher().unwrap();
    kill(pid(), Signal::TERM);
    sigqueue(pid(), Signal::USR1, -7).unwrap();
    let child = Child::fork(|| 3);
    for _ in 0..3 {
        let info = signals.wait().unwrap();
        assert_eq!(dispatcher.dispatch(&info), Ok(1));
        assert_eq!(subscriber.try_recv(), Ok(Some(info)));
        if info.signal() == Signal::TERM {
            assert!(matches!(info.sender(), Sender::Verified { .. }));
        }
    }
    child.wait();
}

fn who_wants_a_signal_gets_it_and_nobody_else() {
    static HUB: Hub<3, 4> = Hub::new();
    let signals = open(rt(1) | rt(2)).unwrap();
    let mut one = HUB.subscribe(rt(1)).unwrap();
    let mut two = HUB.subscribe(rt(2)).unwrap();
    let mut both = HUB.subscribe(rt(1) | rt(2)).unwrap();
    assert_eq!(send_and_dispatch(&HUB, &signals, rt(1), 10), 2);
    assert_eq!(send_and_dispatch(&HUB, &signals, rt(2), 20), 2);
    assert_eq!(values(&mut one), [10]);
    assert_eq!(values(&mut two), [20]);
    assert_eq!(values(&mut both), [10, 20]);
}

fn what_nobody_wants_is_the_owners() {
    static HUB: Hub<1, 4> = Hub::new();
    let signals = open(rt(1) | rt(2)).unwrap();
    assert_eq!(send_and_dispatch(&HUB, &signals, rt(1), 1), 0);
    let mut subscriber = HUB.subscribe(rt(2)).unwrap();
    assert_eq!(send_and_dispatch(&HUB, &signals, rt(1), 2), 0);
    assert_eq!(send_and_dispatch(&HUB, &signals, rt(2), 3), 1);
    assert_eq!(values(&mut subscriber), [3]);
    drop(subscriber);
    assert_eq!(send_and_dispatch(&HUB, &signals, rt(2), 4), 0);
    assert_eq!(signals.try_recv(), Ok(None));
}

fn the_owner_sees_what_is_wanted() {
    static HUB: Hub<2, 4> = Hub::new();
    let signals = open(Signal::TERM).unwrap();
    assert!(HUB.signals().is_empty());
    let one = HUB.subscribe(Signal::HUP | Signal::TERM).unwrap();
    let mut two = HUB.subscribe(Signal::USR1).unwrap();
    assert_eq!(HUB.signals(), Signal::HUP | Signal::TERM | Signal::USR1);
    signals.insert(HUB.signals() - signals.signals()).unwrap();
    assert_eq!(send_and_dispatch(&HUB, &signals, Signal::USR1, 5), 1);
    assert_eq!(values(&mut two), [5]);
    drop(one);
    assert_eq!(HUB.signals(), Signal::USR1.into());
}

fn too_many_subscribers_are_refused() {
    static HUB: Hub<2, 4> = Hub::new();
    let one = HUB.subscribe(rt(1)).unwrap();
    let two = HUB.subscribe(rt(1)).unwrap();
    let error = HUB.subscribe(rt(1)).map(drop).unwrap_err();
    assert_eq!(error, Error::TooManySubscribers);
    assert!(error.to_string().contains("SUBSCRIBERS"));
    drop(one);
    let three = HUB.subscribe(rt(2)).unwrap();
    assert_eq!(three.signals(), rt(2).into());
    drop((two, three));
}

/// However the dispatcher is at it meanwhile.
fn a_place_that_was_left_is_free_at_once() {
    static HUB: Hub<2, 2> = Hub::new();
    static IS_OVER: AtomicBool = AtomicBool::new(false);
    let signals = open(rt(1)).unwrap();
    sigqueue(pid(), rt(1), 7).unwrap();
    let info = signals.wait().unwrap();
    thread::scope(|scope| {
        let dispatching = scope.spawn(|| {
            let mut dispatcher = HUB.dispatcher().unwrap();
            while !IS_OVER.load(Ordering::Relaxed) {
                dispatcher.dispatch(&info).unwrap();
            }
        });
        let come_and_go = || {
            for _ in 0..count() {
                let subscriber = HUB.subscribe(rt(1)).unwrap();
                // What it leaves unread comes back to the receiver.
                drop(subscriber);
            }
        };
        let other = scope.spawn(come_and_go);
        come_and_go();
        other.join().unwrap();
        IS_OVER.store(true, Ordering::Relaxed);
        dispatching.join().unwrap();
    });
    // What has come back is that record, and nothing else.
    while let Some(again) = signals.try_recv().unwrap() {
        assert_eq!(again.value(), Some(7));
    }
}

fn a_set_that_cannot_be_received_is_refused() {
    static HUB: Hub<1, 4> = Hub::new();
    let refused = |set| HUB.subscribe(set).map(drop).unwrap_err();
    let kill = Signal::KILL.into();
    assert_eq!(refused(kill), Error::Unblockable(kill));
    assert_eq!(refused(signalfd::SignalSet::empty()), Error::EmptySet);
    let subscriber = HUB.subscribe(rt(1)).unwrap();
    assert_eq!(subscriber.insert(Signal::KILL), Err(Error::Unblockable(kill)));
    assert_eq!(subscriber.remove(rt(1)), Err(Error::EmptySet));
    assert_eq!(subscriber.signals(), rt(1).into());
}

fn what_was_dispatched_before_is_not_seen() {
    static HUB: Hub<2, 4> = Hub::new();
    let signals = open(rt(1)).unwrap();
    let mut one = HUB.subscribe(rt(1)).unwrap();
    send_and_dispatch(&HUB, &signals, rt(1), 1);
    let mut two = HUB.subscribe(rt(1)).unwrap();
    assert_eq!(two.try_recv(), Ok(None));
    send_and_dispatch(&HUB, &signals, rt(1), 2);
    assert_eq!(values(&mut one), [1, 2]);
    assert_eq!(values(&mut two), [2]);
    // Nor by one that has the place of another.
    drop(two);
    let mut three = HUB.subscribe(rt(1)).unwrap();
    assert_eq!((three.try_recv(), three.missed()), (Ok(None), 0));
}

fn signals_change_from_the_next_record_on() {
    static HUB: Hub<1, 4> = Hub::new();
    let signals = open(rt(1) | rt(2)).unwrap();
    let mut subscriber = HUB.subscribe(rt(1)).unwrap();
    send_and_dispatch(&HUB, &signals, rt(1), 1);
    subscriber.insert(rt(2)).unwrap();
    send_and_dispatch(&HUB, &signals, rt(2), 2);
    subscriber.remove(rt(1)).unwrap();
    assert_eq!(send_and_dispatch(&HUB, &signals, rt(1), 3), 0);
    subscriber.replace(rt(1)).unwrap();
    assert_eq!(send_and_dispatch(&HUB, &signals, rt(2), 4), 0);
    assert_eq!(values(&mut subscriber), [1, 2]);
}

fn what_one_leaves_unread_comes_back() {
    static HUB: Hub<1, 4> = Hub::new();
    let signals = open(Signal::TERM | rt(1)).unwrap();
    let mut subscriber = HUB.subscribe(Signal::TERM | rt(1)).unwrap();
    kill(pid(), Signal::TERM);
    let term = signals.wait().unwrap();
    HUB.dispatcher().unwrap().dispatch(&term).unwrap();
    for value in 1..4 {
        send_and_dispatch(&HUB, &signals, rt(1), value);
    }
    assert_eq!(subscriber.try_recv(), Ok(Some(term)));
    assert_eq!(value_of(subscriber.try_recv().unwrap()), Some(1));
    drop(subscriber);
    // In order, and from the main thread as they were.
    assert_eq!(value_of(signals.try_recv().unwrap()), Some(2));
    assert_eq!(value_of(signals.try_recv().unwrap()), Some(3));
    assert_eq!(signals.try_recv(), Ok(None));

    let subscriber = HUB.subscribe(Signal::TERM).unwrap();
    HUB.dispatcher().unwrap().dispatch(&term).unwrap();
    drop(subscriber);
    assert_eq!(signals.try_recv(), Ok(Some(term)));

    // From another thread it is no longer certain who sent it, on older kernels.
    let subscriber = HUB.subscribe(Signal::TERM).unwrap();
    HUB.dispatcher().unwrap().dispatch(&term).unwrap();
    thread::spawn(move || drop(subscriber)).join().unwrap();
    let info = signals.try_recv().unwrap().unwrap();
    assert_eq!(info.signal(), Signal::TERM);
    let is_certain = matches!(info.sender(), Sender::Verified { .. });
    assert_eq!(is_certain, can_queue_any_code());
}

fn what_another_has_seen_does_not_come_back() {
    static HUB: Hub<2, 4> = Hub::new();
    let signals = open(rt(1)).unwrap();
    let mut one = HUB.subscribe(rt(1)).unwrap();
    let two = HUB.subscribe(rt(1)).unwrap();
    send_and_dispatch(&HUB, &signals, rt(1), 1);
    send_and_dispatch(&HUB, &signals, rt(1), 2);
    // One has seen the first, and has yet to see the second.
    assert_eq!(value_of(one.try_recv().unwrap()), Some(1));
    drop(two);
    assert_eq!(signals.try_recv(), Ok(None));
    assert_eq!(values(&mut one), [2]);
    drop(one);
    assert_eq!(signals.try_recv(), Ok(None));
}

fn what_all_leave_unread_comes_back_once() {
    static HUB: Hub<3, 4> = Hub::new();
    let signals = open(rt(1)).unwrap();
    for round in 0..100 {
        let three = [(); 3].map(|()| HUB.subscribe(rt(1)).unwrap());
        assert_eq!(send_and_dispatch(&HUB, &signals, rt(1), round), 3);
        let barrier = Barrier::new(3);
        thread::scope(|scope| {
            for subscriber in three {
                scope.spawn(|| {
                    barrier.wait();
                    drop(subscriber);
                });
            }
        });
        assert_eq!(value_of(signals.try_recv().unwrap()), Some(round));
        assert_eq!(signals.try_recv(), Ok(None));
    }
}

fn what_was_missed_does_not_come_back() {
    static HUB: Hub<1, 2> = Hub::new();
    let signals = open(rt(1)).unwrap();
    let subscriber = HUB.subscribe(rt(1)).unwrap();
    for value in 0..5 {
        send_and_dispatch(&HUB, &signals, rt(1), value);
    }
    assert_eq!(subscriber.missed(), 3);
    drop(subscriber);
    assert_eq!(value_of(signals.try_recv().unwrap()), Some(3));
    assert_eq!(value_of(signals.try_recv().unwrap()), Some(4));
    assert_eq!(signals.try_recv(), Ok(None));
}

/// Where every thread is made to block the signal.
fn what_finds_no_room_in_the_queue_wakes_who_sleeps() {
    static HUB: Hub<1, 4> = Hub::new();
    let signals = options().every_thread(true).open(rt(1)).unwrap();
    let subscriber = HUB.subscribe(rt(1)).unwrap();
    for value in 0..3 {
        send_and_dispatch(&HUB, &signals, rt(1), value);
    }
    let limit = set_limit(libc::RLIMIT_SIGPENDING, 0);
    let me = tid();
    thread::scope(|scope| {
        scope.spawn(move || {
            wait_until_asleep(me);
            drop(subscriber);
        });
        let next = || value_of(Some(signals.wait().unwrap())).unwrap();
        let mut values = [(); 3].map(|()| next());
        values.sort_unstable();
        assert_eq!(values, [0, 1, 2]);
    });
    set_limit(libc::RLIMIT_SIGPENDING, limit);
    assert_eq!(signals.try_recv(), Ok(None));
}

fn what_comes_back_in_an_outer_scope_is_received_there() {
    let hub = Hub::<1, 2>::new();
    let outer = open(rt(1)).unwrap();
    let inner = open(rt(1)).unwrap();
    let subscriber = hub.subscribe(rt(1)).unwrap();
    send_and_dispatch(&hub, &inner, rt(1), 5);
    drop(inner);
    drop(subscriber);
    assert_eq!(value_of(outer.try_recv().unwrap()), Some(5));
}

/// As a record that was not taken from a receiver would.
fn what_is_left_after_the_scope_takes_its_action() {
    static HUB: Hub<2, 2> = Hub::new();
    let signals = open(Signal::TERM).unwrap();
    let subscribers = [(); 2].map(|()| HUB.subscribe(Signal::TERM).unwrap());
    send_and_dispatch(&HUB, &signals, Signal::TERM, 0);
    drop(signals);
    to_die_here();
    drop(subscribers);
    unreachable!("SIGTERM has ended this");
}

fn what_finds_no_room_in_the_queue_comes_back_too() {
    static HUB: Hub<1, 8> = Hub::new();
    let signals = open(rt(1)).unwrap();
    let subscriber = HUB.subscribe(rt(1)).unwrap();
    for value in 0..8 {
        send_and_dispatch(&HUB, &signals, rt(1), value);
    }
    let before = crate::common::set_limit(libc::RLIMIT_SIGPENDING, 0);
    drop(subscriber);
    let mut batch = Batch::<16>::new();
    let infos = signals.wait_batch_timeout(&mut batch, DEADLINE).unwrap();
    let received = infos.iter().map(|info| info.value().unwrap());
    assert!(received.eq(0..8));
    crate::common::set_limit(libc::RLIMIT_SIGPENDING, before);
    assert_eq!(signals.try_recv(), Ok(None));
}

/// Each record is seen by a subscriber or is the owner's, never both; and by each
/// subscriber once. What is left unread comes back and is handed out again.
fn subscribers_come_and_go_while_a_storm_runs() {
    come_and_go_in_a_storm(8, count());
    // With one alone there are moments without any.
    come_and_go_in_a_storm(1, count() / 10);
}

fn come_and_go_in_a_storm(crowd: usize, count: i32) {
    const SEEN: u8 = 1;
    const OWNERS: u8 = 2;
    static HUB: Hub<6, 10_000> = Hub::new();
    static FATES: [AtomicU8; 10_000] = [const { AtomicU8::new(0) }; 10_000];
    let records = &FATES[..count as usize];
    for fate in records {
        fate.store(0, Ordering::Relaxed);
    }
    let mark = |info: &SigInfo, fate: u8| {
        let value = usize::try_from(info.value().unwrap()).unwrap();
        records[value].fetch_or(fate, Ordering::Relaxed)
    };
    let is_over = &AtomicBool::new(false);
    let of_owner = &AtomicU64::new(0);
    let signals = open(rt(1)).unwrap();
    let child = send_from_a_child(rt(1), 0..count);
    let come_and_go = |seed: usize| {
        let mut turn = seed;
        while !is_over.load(Ordering::Relaxed) {
            turn += 1;
            let Ok(mut subscriber) = HUB.subscribe(rt(1)) else {
                thread::yield_now();
                continue;
            };
            let mut seen = HashSet::new();
            // One that is alone begins with one record.
            let is_first = crowd == 1 && turn == 1;
            let short = Duration::from_millis(1);
            let patience = if is_first { DEADLINE } else { short };
            for _ in 0..turn % 50 {
                let info = subscriber.wait_timeout(patience).unwrap();
                let Some(info) = info else { break };
                assert!(seen.insert(info.value()), "it came twice");
                assert_eq!(mark(&info, SEEN) & OWNERS, 0);
            }
            assert_eq!(subscriber.missed(), 0);
            drop(subscriber);
            // And when it has gone, the next record finds nobody.
            let before = of_owner.load(Ordering::Relaxed);
            let is_before = || of_owner.load(Ordering::Relaxed) == before;
            while crowd == 1 && is_before() && !is_over.load(Ordering::Relaxed)
            {
                thread::yield_now();
            }
        }
    };
    let mut dispatcher = HUB.dispatcher().unwrap();
    let mut batch = Batch::<16>::new();
    thread::scope(|scope| {
        let come_and_go = &come_and_go;
        (0..crowd)
            .for_each(|seed| drop(scope.spawn(move || come_and_go(seed))));
        wait_until("somebody is there", || !HUB.signals().is_empty());
        let is_fated = |fate: &AtomicU8| fate.load(Ordering::Relaxed) != 0;
        wait_until("every record has come to somebody", || {
            let short = Duration::from_millis(1);
            let infos = signals.wait_batch_timeout(&mut batch, short).unwrap();
            for info in infos {
                if dispatcher.dispatch(info).unwrap() == 0 {
                    assert_eq!(mark(info, OWNERS), 0);
                    of_owner.fetch_add(1, Ordering::Relaxed);
                }
            }
            infos.is_empty() && records.iter().all(is_fated)
        });
        is_over.store(true, Ordering::Relaxed);
    });
    child.wait_for_success();
    // Everything was seen by somebody, so nothing has come back since.
    assert_eq!(signals.try_recv(), Ok(None));
    assert!(HUB.signals().is_empty());
    if crowd == 1 {
        let is = |what: u8| {
            let of = |fate: &AtomicU8| fate.load(Ordering::Relaxed) == what;
            records.iter().any(of)
        };
        assert!(is(SEEN) && is(OWNERS), "each has come to one of them");
    }
}

fn there_is_one_dispatcher_at_a_time() {
    static HUB: Hub<1, 2> = Hub::new();
    let first = HUB.dispatcher().unwrap();
    let error = HUB.dispatcher().map(drop).unwrap_err();
    assert_eq!(error, Error::AlreadyDispatching);
    assert!(error.to_string().contains("drop it first"));
    drop(first);
    for _ in 0..30 {
        let barrier = Barrier::new(4);
        let number = thread::scope(|scope| {
            let threads = [(); 4].map(|()| {
                scope.spawn(|| {
                    barrier.wait();
                    let dispatcher = HUB.dispatcher();
                    barrier.wait();
                    usize::from(dispatcher.is_ok())
                })
            });
            threads.map(|thread| thread.join().unwrap()).iter().sum::<usize>()
        });
        assert_eq!(number, 1);
    }
    // One that is never dropped leaves the hub without.
    mem::forget(HUB.dispatcher().unwrap());
    let error = HUB.dispatcher().map(drop).unwrap_err();
    assert_eq!(error, Error::AlreadyDispatching);
}

/// Whoever gets the dispatcher receives, and gives it up again.
fn dispatchers_take_over_from_each_other() {
    static HUB: Hub<1, 10_000> = Hub::new();
    static DISPATCHED: AtomicU64 = AtomicU64::new(0);
    let signals = open(rt(1)).unwrap();
    let receiver: &Receiver = &signals;
    let mut subscriber = HUB.subscribe(rt(1)).unwrap();
    let child = send_from_a_child(rt(1), 0..count());
    let sent = u64::try_from(count()).unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                wait_until("all have come", || {
                    if let Ok(mut dispatcher) = HUB.dispatcher() {
                        let mut batch = Batch::<7>::new();
                        let short = Duration::from_millis(1);
                        let infos =
                            receiver.wait_batch_timeout(&mut batch, short);
                        for info in infos.unwrap() {
                            assert_eq!(dispatcher.dispatch(info), Ok(1));
                            DISPATCHED.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    DISPATCHED.load(Ordering::Relaxed) == sent
                });
            });
        }
    });
    child.wait_for_success();
    assert!(values(&mut subscriber).into_iter().eq(0..count()));
}

fn everything_may_be_dropped_in_any_order() {
    let hub = Hub::<2, 2>::new();
    let signals = open(rt(1)).unwrap();
    let mut subscriber = hub.subscribe(rt(1)).unwrap();
    // A dispatcher before its subscriber.
    send_and_dispatch(&hub, &signals, rt(1), 1);
    assert_eq!(values(&mut subscriber), [1]);
    // A subscriber before the dispatcher.
    let mut dispatcher = hub.dispatcher().unwrap();
    sigqueue(pid(), rt(1), 2).unwrap();
    let info = signals.wait().unwrap();
    drop(subscriber);
    assert_eq!(dispatcher.dispatch(&info), Ok(0));
    // A receiver before both.
    let mut subscriber = hub.subscribe(rt(1)).unwrap();
    drop(signals);
    assert_eq!(dispatcher.dispatch(&info), Ok(1));
    assert_eq!(values(&mut subscriber), [2]);
    // A waker that is left, with the hub.
    let (count, waker) = WakeCount::new();
    let poll = subscriber.poll_recv(&mut Context::from_waker(&waker));
    assert!(poll.is_pending());
    mem::forget(subscriber);
    drop(dispatcher);
    assert_eq!(std::sync::Arc::strong_count(&count), 3);
    drop(hub);
    assert_eq!(std::sync::Arc::strong_count(&count), 2);
}

fn a_subscriber_that_is_forgotten_keeps_its_place_and_no_more() {
    static HUB: Hub<2, 2> = Hub::new();
    let signals = open(rt(1)).unwrap();
    mem::forget(HUB.subscribe(rt(1)).unwrap());
    for value in 0..100 {
        let mut subscriber = HUB.subscribe(rt(1)).unwrap();
        assert_eq!(send_and_dispatch(&HUB, &signals, rt(1), value), 2);
        assert_eq!(values(&mut subscriber), [value]);
    }
}

fn waits_end_with_their_time() {
    static HUB: Hub<1, 4> = Hub::new();
    let signals = open(rt(1)).unwrap();
    let mut subscriber = HUB.subscribe(rt(1)).unwrap();
    let mut batch = Batch::<4>::new();
    for time in [Duration::ZERO, Duration::from_millis(5)] {
        let begin = std::time::Instant::now();
        assert_eq!(subscriber.wait_timeout(time), Ok(None));
        let infos = subscriber.wait_batch_timeout(&mut batch, time);
        assert_eq!(infos.map(<[_]>::len), Ok(0));
        assert!(begin.elapsed() >= 2 * time);
    }
    for value in 0..3 {
        send_and_dispatch(&HUB, &signals, rt(1), value);
    }
    let info = subscriber.wait_timeout(Duration::MAX).unwrap();
    assert_eq!(value_of(info), Some(0));
    let infos = subscriber.wait_batch_timeout(&mut batch, DEADLINE);
    assert_eq!(infos.map(<[_]>::len), Ok(2));
    let none = &mut Batch::<0>::new();
    let error = Err(Error::EmptyBatch);
    assert_eq!(subscriber.try_recv_batch(none).map(drop), error);
    assert_eq!(subscriber.wait_batch(none).map(drop), error);
    assert_eq!(block_on(subscriber.recv_batch(none)).unwrap().map(drop), error);
}

fn a_thread_that_sleeps_is_woken() {
    static HUB: Hub<2, 4> = Hub::new();
    let signals = open(rt(1) | rt(2)).unwrap();
    let mut subscriber = HUB.subscribe(rt(1)).unwrap();
    // One that the dispatcher has been to before, and one that it has not.
    for round in 0..20 {
        let (tell, tid_of) = std::sync::mpsc::channel();
        thread::scope(|scope| {
            let subscriber = &mut subscriber;
            let waiting = scope.spawn(move || {
                tell.send(tid()).unwrap();
                subscriber.wait().unwrap().value()
            });
            wait_until_asleep(tid_of.recv().unwrap());
            // What it does not want does not wake it.
            send_and_dispatch(&HUB, &signals, rt(2), -1);
            send_and_dispatch(&HUB, &signals, rt(1), round);
            assert_eq!(waiting.join().unwrap(), Some(round));
        });
        let (tell, tid_of) = std::sync::mpsc::channel();
        thread::scope(|scope| {
            let waiting = scope.spawn(move || {
                let mut fresh = HUB.subscribe(rt(2)).unwrap();
                tell.send(tid()).unwrap();
                fresh.wait().unwrap().value()
            });
            wait_until_asleep(tid_of.recv().unwrap());
            send_and_dispatch(&HUB, &signals, rt(2), round);
            assert_eq!(waiting.join().unwrap(), Some(round));
        });
    }
}

#[expect(unsafe_code, reason = "a handler, and a signal to a thread")]
fn a_wait_goes_on_after_a_handler_ran() {
    static HUB: Hub<1, 4> = Hub::new();
    static RAN: AtomicU64 = AtomicU64::new(0);
    extern "C" fn count_it(_: libc::c_int) {
        RAN.fetch_add(1, Ordering::Relaxed);
    }
    let handler = count_it as *const () as usize;
    crate::common::set_action(Signal::USR1, handler, 0);
    let signals = open(rt(1)).unwrap();
    let mut subscriber = HUB.subscribe(rt(1)).unwrap();
    let (tell, tid_of) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        let waiting = scope.spawn(move || {
            tell.send(tid()).unwrap();
            let info = subscriber.wait_timeout(DEADLINE).unwrap();
            value_of(info)
        });
        let waiter = tid_of.recv().unwrap();
        for round in 1..=5 {
            wait_until_asleep(waiter);
            let number = libc::c_long::from(waiter);
            let signal = libc::c_long::from(libc::SIGUSR1);
            let process = libc::c_long::from(pid());
            // SAFETY: takes three numbers.
            let sent = unsafe {
                libc::syscall(libc::SYS_tgkill, process, number, signal)
            };
            assert_eq!(sent, 0);
            wait_until("the handler has run", || {
                RAN.load(Ordering::Relaxed) == round
            });
        }
        assert!(!waiting.is_finished());
        send_and_dispatch(&HUB, &signals, rt(1), 3);
        assert_eq!(waiting.join().unwrap(), Some(3));
    });
}

fn a_wait_says_that_a_sandbox_refuses_it() {
    static HUB: Hub<1, 4> = Hub::new();
    if !cfg!(target_pointer_width = "64") {
        crate::harness::skip("futex(2) has two numbers there");
    }
    let mut subscriber = HUB.subscribe(rt(1)).unwrap();
    Child::fork(|| {
        // A subscriber of the child's.
        let mut subscriber = HUB.subscribe(rt(1)).unwrap();
        forbid(libc::SYS_futex, libc::EPERM);
        let error = subscriber.wait().unwrap_err();
        assert_eq!(error, Error::Os { op: Op::Futex, errno: libc::EPERM });
        assert!(error.to_string().starts_with("futex failed with EPERM"));
        assert_eq!(subscriber.try_recv(), Ok(None));
        0
    })
    .wait_for_success();
    assert_eq!(subscriber.try_recv(), Ok(None));
}

fn tasks_are_woken_under_block_on() {
    static HUB: Hub<2, 10_000> = Hub::new();
    let signals = open(rt(1)).unwrap();
    let mut one = HUB.subscribe(rt(1)).unwrap();
    let mut many = HUB.subscribe(rt(1)).unwrap();
    let child = send_from_a_child(rt(1), 0..count());
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut batch = Batch::<8>::new();
            let one_by_one = async {
                for next in 0..count() {
                    let info = one.recv().await.unwrap();
                    assert_eq!(info.value(), Some(next));
                }
            };
            let in_batches = async {
                let mut next = 0;
                while next < count() {
                    for info in many.recv_batch(&mut batch).await.unwrap() {
                        assert_eq!(info.value(), Some(next));
                        next += 1;
                    }
                }
            };
            block_on(join(one_by_one, in_batches)).unwrap();
        });
        dispatch_until(&HUB, &signals, count() - 1);
    });
    child.wait_for_success();
}

/// On one thread: the task that dispatches, and those that receive.
fn tasks_are_woken_under_another_executor() {
    static HUB: Hub<4, 10_000> = Hub::new();
    let signals = options().receiver(rt(1));
    assert!(signals.is_err(), "nothing is blocked yet");
    let _guard = signalfd::block(rt(1)).unwrap();
    let signals = options().receiver(rt(1)).unwrap();
    let child = send_from_a_child(rt(1), 0..count());
    let mut pool = LocalPool::new();
    for _ in 0..4 {
        let mut subscriber = HUB.subscribe(rt(1)).unwrap();
        let receive = async move {
            for next in 0..count() {
                let info = subscriber.recv().await.unwrap();
                assert_eq!(info.value(), Some(next));
            }
        };
        pool.spawner().spawn_local(receive).unwrap();
    }
    let dispatch = async move {
        let mut dispatcher = HUB.dispatcher().unwrap();
        let mut batch = Batch::<16>::new();
        loop {
            for info in signals.try_recv_batch(&mut batch).unwrap() {
                assert_eq!(dispatcher.dispatch(info), Ok(4));
                if info.value() == Some(count() - 1) {
                    return;
                }
            }
            // This executor knows of no descriptor: let the others run.
            let mut has_passed = false;
            poll_fn(|cx| {
                cx.waker().wake_by_ref();
                if mem::replace(&mut has_passed, true) {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
            .await;
        }
    };
    pool.spawner().spawn_local(dispatch).unwrap();
    pool.run();
    child.wait_for_success();
}

fn futures_that_are_dropped_take_nothing() {
    static HUB: Hub<1, 64> = Hub::new();
    let signals = open(rt(1)).unwrap();
    let mut subscriber = HUB.subscribe(rt(1)).unwrap();
    let (woken, waker) = WakeCount::new();
    let mut cx = Context::from_waker(&waker);
    for value in 0..50 {
        drop(subscriber.recv());
        let mut batch = Batch::<4>::new();
        let future = &mut subscriber.recv_batch(&mut batch);
        assert!(std::pin::pin!(future).poll(&mut cx).is_pending());
        assert_eq!(woken.get(), value as usize);
        send_and_dispatch(&HUB, &signals, rt(1), value);
        assert_eq!(woken.get(), value as usize + 1);
        // Woken, and dropped before it was polled again.
        drop(subscriber.recv());
        assert_eq!(value_of(subscriber.try_recv().unwrap()), Some(value));
    }
}

fn a_record_cancels_work() {
    static HUB: Hub<1, 4> = Hub::new();
    let signals = open(rt(1)).unwrap();
    let mut subscriber = HUB.subscribe(rt(1)).unwrap();
    let done = block_on(subscriber.until(ready(42))).unwrap();
    assert_eq!(done, Ok(Until::Done(42)));
    thread::scope(|scope| {
        scope.spawn(|| block_on(subscriber.until(pending::<()>())).unwrap());
        send_and_dispatch(&HUB, &signals, rt(1), 1);
    });
    // If both are there, the work counts.
    send_and_dispatch(&HUB, &signals, rt(1), 2);
    let done = block_on(subscriber.until(ready(42))).unwrap();
    assert_eq!(done, Ok(Until::Done(42)));
    assert_eq!(values(&mut subscriber), [2]);
}

struct Panics;

impl std::task::Wake for Panics {
    fn wake(self: std::sync::Arc<Self>) {
        panic!("a waker");
    }
}

/// A thread that was given little room has a task for each of thousands of subscribers.
fn many_tasks_are_woken_on_a_small_stack() {
    const MANY: usize = 10_000;
    static HUB: Hub<MANY, 1> = Hub::new();
    let signals = open(rt(1)).unwrap();
    kill(pid(), rt(1));
    let info = signals.wait().unwrap();
    let work = move || {
        let (count, waker) = WakeCount::new();
        let mut cx = Context::from_waker(&waker);
        let subscribe = |_| HUB.subscribe(rt(1)).unwrap();
        let mut subscribers: Vec<_> = (0..MANY).map(subscribe).collect();
        for subscriber in &mut subscribers {
            assert!(subscriber.poll_recv(&mut cx).is_pending());
        }
        assert_eq!(HUB.dispatcher().unwrap().dispatch(&info), Ok(MANY));
        assert_eq!(count.get(), MANY);
        for subscriber in &mut subscribers {
            assert!(subscriber.try_recv().unwrap().is_some());
        }
    };
    let thread = thread::Builder::new().stack_size(128 * 1024);
    thread.spawn(work).unwrap().join().unwrap();
}

fn a_waker_that_panics_keeps_nothing_from_others() {
    static HUB: Hub<3, 2> = Hub::new();
    let signals = open(rt(1)).unwrap();
    let mut subscribers = [(); 3].map(|()| HUB.subscribe(rt(1)).unwrap());
    let waker = Waker::from(std::sync::Arc::new(Panics));
    let (woken, counting) = WakeCount::new();
    for round in 0..100 {
        for (subscriber, waker) in
            subscribers.iter_mut().zip([&counting, &waker, &counting])
        {
            let mut cx = Context::from_waker(waker);
            assert!(subscriber.poll_recv(&mut cx).is_pending());
        }
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            send_and_dispatch(&HUB, &signals, rt(1), round)
        }));
        assert!(panicked.is_err());
        assert_eq!(woken.get(), 2 * (round as usize + 1));
        for subscriber in &mut subscribers {
            assert_eq!(values(subscriber), [round]);
        }
    }
}

/// Subscribes and leaves when it is woken, and asks for the dispatcher.
struct Busy(&'static Hub<4, 4>);

impl std::task::Wake for Busy {
    fn wake(self: std::sync::Arc<Self>) {
        let subscriber = self.0.subscribe(rt(1)).unwrap();
        let error = self.0.dispatcher().map(drop).unwrap_err();
        assert_eq!(error, Error::AlreadyDispatching);
        drop(subscriber);
    }
}

fn a_waker_may_use_the_hub() {
    static HUB: Hub<4, 4> = Hub::new();
    let signals = open(rt(1)).unwrap();
    let mut one = HUB.subscribe(rt(1)).unwrap();
    let mut two = HUB.subscribe(rt(1)).unwrap();
    let waker = Waker::from(std::sync::Arc::new(Busy(&HUB)));
    for round in 0..10 {
        let mut cx = Context::from_waker(&waker);
        assert!(one.poll_recv(&mut cx).is_pending());
        assert!(two.poll_recv(&mut cx).is_pending());
        assert!(send_and_dispatch(&HUB, &signals, rt(1), round) >= 2);
        assert_eq!(values(&mut one), [round]);
        assert_eq!(values(&mut two), [round]);
    }
    assert_eq!(signals.try_recv(), Ok(None));
}

fn a_forked_child_is_told_and_its_hub_is_empty() {
    a_child_begins_anew();
}

fn a_forked_child_is_told_where_the_kernel_cannot_wipe_a_page() {
    forbid(libc::SYS_madvise, libc::EINVAL);
    a_child_begins_anew();
}

fn a_child_begins_anew() {
    static HUB: Hub<2, 2> = Hub::new();
    let signals = open(rt(1)).unwrap();
    let mut one = HUB.subscribe(rt(1)).unwrap();
    let mut two = HUB.subscribe(rt(1)).unwrap();
    send_and_dispatch(&HUB, &signals, rt(1), 1);
    send_and_dispatch(&HUB, &signals, rt(1), 2);
    send_and_dispatch(&HUB, &signals, rt(1), 3);
    assert_eq!(values(&mut two), [2, 3]);
    let mut dispatcher = HUB.dispatcher().unwrap();
    // A task of the parent's waits.
    let (woken, waker) = WakeCount::new();
    let mut cx = Context::from_waker(&waker);
    assert!(two.poll_recv(&mut cx).is_pending());

    let parents = (&mut one, &mut two, &mut dispatcher);
    Child::fork(move || {
        let (one, two, dispatcher) = parents;
        every_path_says_that_it_was_forked(one);
        let mut signals = signals;
        signals.reopen().unwrap();
        assert!(HUB.signals().is_empty());
        let mut mine = [(); 2].map(|()| HUB.subscribe(rt(1)).unwrap());
        let error = HUB.subscribe(rt(1)).map(drop).unwrap_err();
        assert_eq!(error, Error::TooManySubscribers);
        sigqueue(pid(), rt(1), 5).unwrap();
        let info = signals.wait().unwrap();
        assert_eq!(dispatcher.dispatch(&info), Err(Error::Forked));
        let mut own = HUB.dispatcher().unwrap();
        for _ in 0..10 {
            assert_eq!(own.dispatch(&info), Ok(2));
        }
        assert_eq!(woken.get(), 0, "the parent's task is not woken");
        for subscriber in &mut mine {
            assert_eq!(values(subscriber), [5, 5]);
            assert_eq!(subscriber.missed(), 8);
        }
        // The parent's go, and what they have goes nowhere.
        every_path_says_that_it_was_forked(two);
        drop(mem::replace(one, HUB_OF_NOBODY.subscribe(rt(1)).unwrap()));
        assert_eq!(signals.try_recv(), Ok(None));
        assert_eq!(own.dispatch(&info), Ok(2));
        // What the child's own leave comes back to it.
        drop(mine);
        assert_eq!(value_of(signals.try_recv().unwrap()), Some(5));
        assert_eq!(signals.try_recv(), Ok(None));
        // And so it is for its child.
        let mut mine = HUB.subscribe(rt(1)).unwrap();
        Child::fork(|| {
            every_path_says_that_it_was_forked(&mut mine);
            assert_eq!(own.dispatch(&info), Err(Error::Forked));
            assert!(HUB.signals().is_empty());
            drop(HUB.dispatcher().unwrap());
            drop([(); 2].map(|()| HUB.subscribe(rt(1)).unwrap()));
            0
        })
        .wait_for_success();
        assert_eq!(own.dispatch(&info), Ok(1));
        assert_eq!(values(&mut mine), [5]);
        0
    })
    .wait_for_success();

    // The parent has noticed nothing.
    assert_eq!(values(&mut one), [2, 3]);
    assert_eq!(one.missed(), 1);
    assert_eq!(HUB.signals(), rt(1).into());
    drop((one, two, dispatcher));
}

static HUB_OF_NOBODY: Hub<1, 1> = Hub::new();

fn every_path_says_that_it_was_forked(subscriber: &mut Subscriber<'_>) {
    let second = Duration::from_secs(1);
    let mut batch = Batch::<4>::new();
    let forked = Err(Error::Forked);
    assert_eq!(subscriber.try_recv().map(drop), forked);
    assert_eq!(subscriber.try_recv_batch(&mut batch).map(drop), forked);
    assert_eq!(subscriber.wait().map(drop), forked);
    assert_eq!(subscriber.wait_timeout(second).map(drop), forked);
    assert_eq!(subscriber.wait_batch(&mut batch).map(drop), forked);
    let result = subscriber.wait_batch_timeout(&mut batch, second);
    assert_eq!(result.map(drop), forked);
    let mut infos = subscriber.iter();
    assert_eq!(infos.next().unwrap().map(drop), forked);
    assert_eq!(infos.next(), None, "it is not told for ever");
    let mut cx = Context::from_waker(Waker::noop());
    let poll = subscriber.poll_recv(&mut cx);
    assert_eq!(poll.map_ok(drop), Poll::Ready(forked));
    let poll = subscriber.poll_recv_batch(&mut cx, &mut batch);
    assert_eq!(poll.map_ok(drop), Poll::Ready(forked));
    assert_eq!(block_on(subscriber.recv()).unwrap().map(drop), forked);
    let received = block_on(subscriber.recv_batch(&mut batch));
    assert_eq!(received.unwrap().map(drop), forked);
    let received = block_on(subscriber.until(pending::<()>()));
    assert_eq!(received.unwrap().map(drop), forked);
    assert_eq!(subscriber.insert(rt(1)), forked);
    assert_eq!(subscriber.remove(rt(2)), forked);
    assert_eq!(subscriber.replace(rt(1)), forked);
    assert!(subscriber.signals().is_empty());
    assert!(format!("{subscriber:?}").contains("Subscriber"));
}

/// Whatever the threads of the parent were at when it was forked.
fn children_of_a_busy_parent_can_use_the_hub() {
    static HUB: Hub<3, 8> = Hub::new();
    static IS_OVER: AtomicBool = AtomicBool::new(false);
    let signals = open(rt(1)).unwrap();
    sigqueue(pid(), rt(1), 7).unwrap();
    let info = signals.wait().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            while !IS_OVER.load(Ordering::Relaxed) {
                let mut dispatcher = HUB.dispatcher().unwrap();
                for _ in 0..100 {
                    dispatcher.dispatch(&info).unwrap();
                }
            }
        });
        for _ in 0..3 {
            scope.spawn(|| {
                let (_, waker) = WakeCount::new();
                let mut cx = Context::from_waker(&waker);
                while !IS_OVER.load(Ordering::Relaxed) {
                    let mut subscriber = HUB.subscribe(rt(1)).unwrap();
                    while subscriber.missed() < 5 {
                        let _poll = subscriber.poll_recv(&mut cx);
                        if IS_OVER.load(Ordering::Relaxed) {
                            break;
                        }
                    }
                }
            });
        }
        // A fork takes milliseconds beside four busy threads, and the battery is not what
        // is raced with.
        let are_few = crate::battery() != Battery::EPOLL && !all_rounds();
        let rounds = racing_rounds() / if are_few { 20 } else { 1 };
        for _ in 0..rounds {
            Child::fork(|| {
                let mut dispatcher = HUB.dispatcher().unwrap();
                let mut mine = [(); 3].map(|()| HUB.subscribe(rt(1)).unwrap());
                for _ in 0..20 {
                    assert_eq!(dispatcher.dispatch(&info), Ok(3));
                }
                for subscriber in &mut mine {
                    assert_eq!(values(subscriber), [7; 8]);
                    assert_eq!(subscriber.missed(), 12);
                }
                0
            })
            .wait_for_success();
        }
        IS_OVER.store(true, Ordering::Relaxed);
    });
    // What its subscribers have left unread.
    while signals.try_recv().unwrap().is_some() {}
}
