//! What holds for every adapter.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
#[cfg(any(
    feature = "tokio",
    feature = "async-io",
    feature = "mio",
    feature = "calloop"
))]
use std::time::{Duration, Instant};

use signalfd::{SigInfo, Signal, block};

use super::{Way, rt};
use crate::common::{
    Child, SharedCount, kill, pid, receiver_for, sigqueue, tid, wait_until,
    wait_until_asleep,
};
use crate::harness::many;

/// How far apart two signals are after which others are to gather for longer than any test:
/// for as long as it would take to fill a batch of [`MANY`].
#[cfg(any(
    feature = "tokio",
    feature = "async-io",
    feature = "mio",
    feature = "calloop"
))]
pub(super) const APART: Duration = Duration::from_millis(100);

/// See [`APART`].
#[cfg(any(feature = "tokio", feature = "async-io", feature = "mio"))]
pub(super) const MANY: usize = 4096;

/// Lets this time pass, since it counts how far apart signals are.
#[cfg(any(
    feature = "tokio",
    feature = "async-io",
    feature = "mio",
    feature = "calloop"
))]
pub(super) fn pass(time: Duration) {
    let begin = Instant::now();
    while begin.elapsed() < time {
        thread::yield_now();
    }
}

pub(super) fn count() -> usize {
    many() as usize
}

/// The values of so many signals.
pub(super) fn values(count: usize) -> std::ops::Range<i32> {
    0..i32::try_from(count).unwrap()
}

/// Queues so many signals with values from 0 up, waiting where the queue is full.
pub(super) fn send(receiver: i32, signal: Signal, count: usize) {
    for value in values(count) {
        wait_until("there is room in the queue", || {
            sigqueue(receiver, signal, value).is_ok()
        });
    }
}

/// Checks that there is each value from 0 up to this, once and in order.
pub(super) fn expect_all(taken: &[SigInfo], count: usize) {
    let found = taken.iter().map(|info| info.value().unwrap());
    assert!(found.eq(values(count)), "{} of {count}", taken.len());
}

/// The same in any order.
pub(super) fn expect_all_in_any_order(taken: &[SigInfo], count: usize) {
    let mut taken = taken.to_vec();
    taken.sort_unstable_by_key(SigInfo::value);
    expect_all(&taken, count);
}

pub(super) fn ten_thousand<W: Way>() {
    let _guard = block(rt()).unwrap();
    let receiver = receiver_for(rt()).unwrap();
    let parent = pid();
    let child = Child::fork(|| {
        send(parent, rt(), count());
        0
    });
    let mut taken = Vec::new();
    W::take(&receiver, &mut taken, &|taken| taken.len() >= count());
    expect_all(&taken, count());
    assert!(taken.iter().all(|info| info.pid() == Some(child.pid as u32)));
    child.wait_for_success();
    assert_eq!(receiver.try_recv(), Ok(None));
}

pub(super) fn what_is_there_before_the_loop<W: Way>() {
    let _guard = block(rt()).unwrap();
    let receiver = receiver_for(rt()).unwrap();
    // One, less than a batch, and more.
    for size in [1, 3, 200] {
        send(pid(), rt(), size);
        let mut taken = Vec::new();
        W::take(&receiver, &mut taken, &|taken| taken.len() >= size);
        expect_all(&taken, size);
    }
}

/// They coalesce, but one that is sent is seen by somebody who looks afterwards.
pub(super) fn standard_signals_of_four_senders<W: Way>() {
    let each = count() / 4;
    let _guard = block(Signal::USR1).unwrap();
    let receiver = receiver_for(Signal::USR1).unwrap();
    let parent = pid();
    let sent = SharedCount::new();
    let children = [(); 4].map(|()| {
        Child::fork(|| {
            for _ in 0..each {
                sent.add_one();
                kill(parent, Signal::USR1);
            }
            0
        })
    });
    let mut taken = Vec::new();
    W::take(&receiver, &mut taken, &|_| sent.get() == 4 * each);
    assert!((1..=4 * each).contains(&taken.len()), "{}", taken.len());
    assert!(taken.iter().all(|info| info.signal() == Signal::USR1));
    children.into_iter().for_each(Child::wait_for_success);
    // Those that came after the last that was looked for.
    while receiver.try_recv().unwrap().is_some() {}
}

pub(super) fn loops_made_again_and_again<W: Way>() {
    const LOOPS: usize = 50;
    let _guard = block(rt()).unwrap();
    let receiver = receiver_for(rt()).unwrap();
    let parent = pid();
    let child = Child::fork(|| {
        send(parent, rt(), count());
        0
    });
    let mut taken = Vec::new();
    for number in 1..=LOOPS {
        let goal = number * count() / LOOPS;
        if taken.len() < goal {
            W::take(&receiver, &mut taken, &|taken| taken.len() >= goal);
        }
    }
    expect_all(&taken, count());
    child.wait_for_success();
    assert_eq!(receiver.try_recv(), Ok(None));
}

pub(super) fn a_loop_for_each_of_two_threads<W: Way>() {
    let signals = [Signal::rt(1).unwrap(), Signal::rt(2).unwrap()];
    let _guard = block(signals[0] | signals[1]).unwrap();
    let parent = pid();
    let children = signals.map(|signal| {
        Child::fork(move || {
            send(parent, signal, count());
            0
        })
    });
    thread::scope(|scope| {
        for signal in signals {
            scope.spawn(move || {
                let receiver = receiver_for(signal).unwrap();
                let mut taken = Vec::new();
                W::take(&receiver, &mut taken, &|it| it.len() >= count());
                expect_all(&taken, count());
                assert!(taken.iter().all(|info| info.signal() == signal));
            });
        }
    });
    children.into_iter().for_each(Child::wait_for_success);
}

/// Each has a second signal besides, which ends its loop.
pub(super) fn two_loops_share_a_signal<W: Way>() {
    const ENDS: [Signal; 2] = [Signal::USR1, Signal::USR2];
    let _guard = block(rt() | ENDS[0] | ENDS[1]).unwrap();
    let parent = pid();
    let child = Child::fork(|| {
        send(parent, rt(), count());
        0
    });
    let total = &AtomicUsize::new(0);
    let parts = thread::scope(|scope| {
        let threads = ENDS.map(|end| {
            scope.spawn(move || {
                let receiver = receiver_for(rt() | end).unwrap();
                let mut taken = Vec::new();
                let seen = AtomicUsize::new(0);
                W::take(&receiver, &mut taken, &|taken| {
                    let news = &taken[seen.load(Ordering::Relaxed)..];
                    seen.store(taken.len(), Ordering::Relaxed);
                    let is_end = |info: &&SigInfo| info.signal() == end;
                    let ends = news.iter().filter(is_end).count();
                    let queued = news.len() - ends;
                    let before = total.fetch_add(queued, Ordering::SeqCst);
                    if queued > 0 && before + queued == count() {
                        for end in ENDS {
                            kill(pid(), end);
                        }
                    }
                    ends > 0
                });
                taken.retain(|info| info.signal() == rt());
                taken
            })
        });
        threads.map(|thread| thread.join().unwrap())
    });
    child.wait_for_success();
    println!("{:?}", parts.each_ref().map(Vec::len));
    expect_all_in_any_order(&parts.concat(), count());
}

pub(super) fn a_signal_is_added_while_the_loop_sleeps<W: Way>() {
    let _guard = block(Signal::USR1 | Signal::USR2).unwrap();
    let receiver = receiver_for(Signal::USR1).unwrap();
    kill(pid(), Signal::USR2);
    let here = tid();
    thread::scope(|scope| {
        scope.spawn(|| {
            if W::SLEEPS {
                // In the loop, or else in something that comes before it.
                wait_until_asleep(here);
            }
            receiver.insert(Signal::USR2).unwrap();
        });
        let mut taken = Vec::new();
        W::take(&receiver, &mut taken, &|taken| !taken.is_empty());
        assert_eq!(taken[0].signal(), Signal::USR2);
    });
}
