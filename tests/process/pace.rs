//! Signals that are let gather, and spins.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use signalfd::{Batch, Epoll, Receiver, Signal, Signals, block_on};

use crate::common::{
    DEADLINE, is_asleep, options, pid, sigqueue, tid, wait_until_asleep,
};
use crate::harness::cases;

cases! {
    a_first_signal_is_handed_out_at_once,
    a_wait_in_vain_delays_no_signal,
    signals_gather_until_there_are_enough,
    signals_gather_until_the_time_is_over,
    a_full_batch_is_followed_by_another_at_once,
    one_signal_is_never_delayed,
    a_timeout_ends_the_gathering,
    a_task_gathers_while_its_thread_sleeps,
    an_epoll_lets_signals_gather,
    an_epoll_keeps_no_other_receiver_waiting,
    a_task_that_has_given_up_delays_nothing,
    of_two_tasks_each_gathers_for_itself,
    a_task_keeps_no_other_receiver_waiting,
    an_executor_of_others_does_not_wait,
    an_executor_inside_another_is_woken_by_an_epoll,
    waits_that_spin_in_vain_wait_all_the_same,
    waits_that_have_no_time_leave_the_next_its_spin,
    a_batch_that_was_polled_for_is_one,
}

/// Longer than any test.
const LONG: Duration = Duration::from_secs(1000);

fn rt() -> Signal {
    Signal::rt(1).unwrap()
}

/// A receiver that has just handed out a batch of one.
fn in_the_flow(delay: Duration, count: usize) -> Signals {
    let options = options().moderate(delay, count).check_threads(false);
    let signals = options.open(rt()).unwrap();
    send(&[-1]);
    let mut batch = Batch::<64>::new();
    assert_eq!(signals.wait_batch(&mut batch).unwrap().len(), 1);
    signals
}

fn send(values: &[i32]) {
    for &value in values {
        sigqueue(pid(), rt(), value).unwrap();
    }
}

fn a_first_signal_is_handed_out_at_once() {
    // Not to be waited for is to have ended at all.
    drop(in_the_flow(LONG, 64));
}

fn a_wait_in_vain_delays_no_signal() {
    let signals = options().moderate(LONG, 64).open(rt()).unwrap();
    let mut batch = Batch::<64>::new();
    let soon = Duration::from_millis(1);
    let infos = signals.wait_batch_timeout(&mut batch, soon).unwrap();
    assert!(infos.is_empty());
    sigqueue(pid(), rt(), 0).unwrap();
    // Not to be waited for is to have ended at all.
    assert_eq!(signals.wait_batch(&mut batch).unwrap().len(), 1);
}

fn signals_gather_until_there_are_enough() {
    let signals = in_the_flow(LONG, 3);
    let receiver: &Receiver = &signals;
    thread::scope(|scope| {
        let (tell, told) = channel();
        let waiter = scope.spawn(move || {
            tell.send(tid()).unwrap();
            let mut batch = Batch::<64>::new();
            let infos = receiver.wait_batch(&mut batch).unwrap();
            infos.iter().map(|it| it.value().unwrap()).collect::<Vec<_>>()
        });
        wait_until_asleep(told.recv().unwrap());
        send(&[0]);
        send(&[1]);
        thread::yield_now();
        assert!(!waiter.is_finished());
        send(&[2]);
        assert_eq!(waiter.join().unwrap(), [0, 1, 2]);
    });
}

fn signals_gather_until_the_time_is_over() {
    let delay = Duration::from_millis(20);
    let begin = Instant::now();
    let signals = in_the_flow(delay, 64);
    send(&[0, 1, 2]);
    let mut batch = Batch::<64>::new();
    assert_eq!(signals.wait_batch(&mut batch).unwrap().len(), 3);
    assert!(begin.elapsed() >= delay);
}

fn a_full_batch_is_followed_by_another_at_once() {
    let signals = in_the_flow(LONG, 64);
    send(&[0, 1, 2, 3, 4, 5, 6]);
    let mut batch = Batch::<3>::new();
    for count in [3, 3, 1] {
        assert_eq!(signals.wait_batch(&mut batch).unwrap().len(), count);
    }
}

fn one_signal_is_never_delayed() {
    let signals = in_the_flow(LONG, 64);
    send(&[0, 1, 2, 3]);
    assert_eq!(signals.wait().unwrap().value(), Some(0));
    assert_eq!(signals.wait_timeout(LONG).unwrap().unwrap().value(), Some(1));
    assert_eq!(signals.try_recv().unwrap().unwrap().value(), Some(2));
    let mut batch = Batch::<64>::new();
    assert_eq!(signals.try_recv_batch(&mut batch).unwrap().len(), 1);
    send(&[4]);
    assert_eq!(signals.wait_batch(&mut Batch::<1>::new()).unwrap().len(), 1);
    // One is enough.
    let signals = in_the_flow(LONG, 1);
    send(&[0]);
    assert_eq!(signals.wait_batch(&mut batch).unwrap().len(), 1);
}

fn a_timeout_ends_the_gathering() {
    let signals = in_the_flow(LONG, 64);
    let mut batch = Batch::<64>::new();
    let moment = Duration::from_millis(5);
    let infos = signals.wait_batch_timeout(&mut batch, moment).unwrap();
    assert!(infos.is_empty());
    send(&[0, 1]);
    let infos = signals.wait_batch_timeout(&mut batch, moment).unwrap();
    assert_eq!(infos.len(), 2);
}

fn a_task_gathers_while_its_thread_sleeps() {
    let signals = in_the_flow(LONG, 64);
    let waker = Mutex::new(None::<Waker>);
    let main = tid();
    thread::scope(|scope| {
        scope.spawn(|| {
            wait_until_asleep(main);
            while waker.lock().unwrap().is_none() {
                thread::yield_now();
            }
            send(&[0, 1, 2]);
            // Anything else that the thread has to do ends it.
            waker.lock().unwrap().take().unwrap().wake();
        });
        let count = block_on(async {
            poll_fn(|cx| {
                *waker.lock().unwrap() = Some(cx.waker().clone());
                Poll::Ready(())
            })
            .await;
            let mut batch = Batch::<64>::new();
            signals.recv_batch(&mut batch).await.unwrap().len()
        });
        assert_eq!(count.unwrap(), 3);
    });
    // And the time does.
    let signals = in_the_flow(Duration::from_millis(5), 64);
    send(&[0, 1]);
    let mut batch = Batch::<64>::new();
    let infos = block_on(signals.recv_batch(&mut batch)).unwrap().unwrap();
    assert_eq!(infos.len(), 2);
}

fn an_epoll_lets_signals_gather() {
    let signals = in_the_flow(LONG, 64);
    let epoll = Epoll::new([&signals]).unwrap();
    send(&[0]);
    let moment = Duration::from_millis(5);
    let begin = Instant::now();
    assert_eq!(epoll.turn(Some(moment)), Ok(1));
    assert!(begin.elapsed() >= moment);
    assert_eq!(signals.try_recv().unwrap().unwrap().value(), Some(0));
}

fn an_epoll_keeps_no_other_receiver_waiting() {
    let signals = in_the_flow(LONG, 64);
    let other = options().open(Signal::HUP).unwrap();
    let epoll = Epoll::new([&signals, &other]).unwrap();
    send(&[0]);
    assert!(matches!(epoll.turn(None), Ok(1..)));
    assert_eq!(signals.try_recv().unwrap().unwrap().value(), Some(0));
}

/// Polls a batch once, which is to gather for long, and drops it.
async fn give_up(signals: &Signals) {
    let mut batch = Batch::<64>::new();
    let mut recv = signals.recv_batch(&mut batch);
    poll_fn(|cx| {
        assert!(Pin::new(&mut recv).poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
}

/// Sends this when the calling thread is asleep.
fn while_asleep<R>(signal: Signal, f: impl FnOnce() -> R) -> R {
    let main = tid();
    thread::scope(|scope| {
        let sender = scope.spawn(move || {
            wait_until_asleep(main);
            sigqueue(pid(), signal, 0).unwrap();
        });
        let result = f();
        // The end of a scope does not wait until the thread is gone, and it would take what
        // it does not block.
        sender.join().unwrap();
        result
    })
}

fn a_task_that_has_given_up_delays_nothing() {
    let signals = in_the_flow(LONG, 64);
    let info = while_asleep(rt(), || {
        block_on(async {
            give_up(&signals).await;
            signals.recv().await.unwrap()
        })
    });
    assert_eq!(info.unwrap().signal(), rt());

    let other = options().check_threads(false).open(Signal::HUP).unwrap();
    let info = while_asleep(Signal::HUP, || {
        block_on(async {
            give_up(&signals).await;
            other.recv().await.unwrap()
        })
    });
    assert_eq!(info.unwrap().signal(), Signal::HUP);
}

/// The one that is to gather for less is not kept waiting by the other, whichever is polled
/// first.
fn of_two_tasks_each_gathers_for_itself() {
    for long_first in [false, true] {
        let long = in_the_flow(LONG, 64);
        let options = options().moderate(Duration::from_millis(5), 64);
        let short = options.check_threads(false).open(Signal::HUP).unwrap();
        let mut batches = [Batch::<64>::new(), Batch::new()];
        sigqueue(pid(), Signal::HUP, 0).unwrap();
        assert_eq!(short.wait_batch(&mut batches[0]).unwrap().len(), 1);
        sigqueue(pid(), Signal::HUP, 0).unwrap();
        let [first, second] = &mut batches;
        let (mut long, mut short) =
            (long.recv_batch(first), short.recv_batch(second));
        let infos = block_on(poll_fn(|cx| {
            if long_first {
                assert!(Pin::new(&mut long).poll(cx).is_pending());
            }
            let infos = Pin::new(&mut short).poll(cx);
            if !long_first {
                assert!(Pin::new(&mut long).poll(cx).is_pending());
            }
            infos
        }));
        assert_eq!(infos.unwrap().unwrap().len(), 1);
    }
}

/// Not even one that takes single signals of the same receiver: one of them gets it.
fn a_task_keeps_no_other_receiver_waiting() {
    type Look<'l> = &'l mut dyn FnMut(&mut Context<'_>) -> Poll<usize>;
    for batch_first in [false, true] {
        let signals = in_the_flow(LONG, 64);
        let mut batch = Batch::<64>::new();
        let mut gathers = signals.recv_batch(&mut batch);
        let mut one = signals.recv();
        let mut both: [Look<'_>; 2] = [
            &mut |cx| {
                Pin::new(&mut gathers).poll(cx).map(|it| it.unwrap().len())
            },
            &mut |cx| {
                Pin::new(&mut one).poll(cx).map(|it| it.map(|_| 1).unwrap())
            },
        ];
        if !batch_first {
            both.reverse();
        }
        let count = while_asleep(rt(), || {
            block_on(poll_fn(|cx| {
                let mut looks = both.iter_mut().map(|look| look(cx));
                looks.find(Poll::is_ready).unwrap_or(Poll::Pending)
            }))
        });
        assert_eq!(count, Ok(1));
    }
}

/// The outer one does not sleep meanwhile, so nothing gathers.
fn an_executor_inside_another_is_woken_by_an_epoll() {
    let signals = in_the_flow(LONG, 64);
    let receiver: &Receiver = &signals;
    let (main, is_done) = (tid(), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            let epoll = Epoll::new([receiver]).unwrap();
            wait_until_asleep(main);
            send(&[0]);
            while !is_done.load(Ordering::SeqCst) {
                epoll.turn(Some(Duration::from_millis(1))).unwrap();
            }
        });
        let mut batch = Batch::<64>::new();
        let count = block_on(async {
            let recv = receiver.recv_batch(&mut batch);
            futures::executor::block_on(recv).unwrap().len()
        });
        is_done.store(true, Ordering::SeqCst);
        assert_eq!(count, Ok(1));
    });
}

fn an_executor_of_others_does_not_wait() {
    let signals = in_the_flow(LONG, 64);
    send(&[0]);
    let mut batch = Batch::<64>::new();
    let recv = signals.recv_batch(&mut batch);
    assert_eq!(futures::executor::block_on(recv).unwrap().len(), 1);
}

fn waits_that_spin_in_vain_wait_all_the_same() {
    let signals = options()
        .spin(Duration::from_micros(10))
        .check_threads(false)
        .open(rt())
        .unwrap();
    let receiver: &Receiver = &signals;
    thread::scope(|scope| {
        let (tell, told) = channel();
        let (next, go_on) = channel();
        scope.spawn(move || {
            for value in 0..200 {
                tell.send(tid()).unwrap();
                assert_eq!(receiver.wait().unwrap().value(), Some(value));
                go_on.recv_timeout(DEADLINE).unwrap();
            }
        });
        for (value, tid) in (0..).zip(told) {
            wait_until_asleep(tid);
            send(&[value]);
            next.send(()).unwrap();
        }
    });
}

fn waits_that_have_no_time_leave_the_next_its_spin() {
    let signals = options().spin(LONG).check_threads(false).open(rt()).unwrap();
    for _ in 0..10 {
        assert_eq!(signals.wait_timeout(Duration::ZERO), Ok(None));
    }
    let spinner = tid();
    thread::scope(|scope| {
        let sleeps = scope.spawn(move || {
            let looks = (0..500).map(|_| is_asleep(spinner));
            let sleeps = looks.filter(|&it| it).count();
            send(&[1]);
            sleeps
        });
        assert_eq!(signals.wait().unwrap().value(), Some(1));
        assert_eq!(sleeps.join().unwrap(), 0);
    });
}

/// A loop on an [`Epoll`] whose tasks are written by hand.
fn a_batch_that_was_polled_for_is_one() {
    let signals =
        options().moderate(LONG, 64).check_threads(false).open(rt()).unwrap();
    let epoll = Epoll::new([&signals]).unwrap();
    let mut batch = Batch::<64>::new();
    let mut cx = Context::from_waker(Waker::noop());
    send(&[1]);
    let poll = signals.poll_recv_batch(&mut cx, &mut batch);
    assert!(matches!(poll, Poll::Ready(Ok([_]))));
    send(&[2]);
    let begin = Instant::now();
    let timeout = Duration::from_millis(20);
    epoll.turn(Some(timeout)).unwrap();
    assert!(begin.elapsed() >= timeout, "it lets signals gather");
    assert_eq!(signals.wait().unwrap().value(), Some(2));
}
