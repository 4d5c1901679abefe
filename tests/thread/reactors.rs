//! Those who wake: a caller's epoll, `Epoll`, `block_on`.
//!
//! All signalfds of a process share one wait queue, so a signal to any thread
//! tells an edge again for every descriptor that is readable then. What depends
//! on that is in `process/edges.rs`.

use std::cell::Cell;
use std::future::{Future, pending, poll_fn, ready};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::{Either, select};
use futures::stream::FuturesUnordered;
use rustix::event::epoll::{self, EventData, EventFlags};
use signalfd::{Batch, Epoll, Receiver, Signal, Signals, block_on};

use crate::common::{
    DEADLINE, OwnEpoll, WakeCount, open_in_thread, options, raise,
    sigqueue_to_thread, tgkill, tid, wait_until_asleep,
};

const NOW: Option<Duration> = Some(Duration::ZERO);

// ---------------------------------------------------------------------------
// A caller's own epoll, on the descriptor

#[test]
fn a_level_triggered_loop_is_told_until_all_is_taken() {
    let signals = open_in_thread(Signal::USR1 | Signal::USR2);
    let epoll = OwnEpoll::of(&signals, EventFlags::empty());
    assert!(!epoll.is_ready());
    raise(Signal::USR1);
    raise(Signal::USR2);
    for _ in 0..2 {
        assert!(epoll.is_ready());
        signals.try_recv().unwrap().unwrap();
    }
    assert!(!epoll.is_ready());
}

#[test]
fn a_one_shot_registration_is_told_once_until_it_is_armed_again() {
    let signals = open_in_thread(Signal::USR1 | Signal::USR2);
    let epoll = OwnEpoll::of(&signals, EventFlags::ONESHOT);
    raise(Signal::USR1);
    assert!(epoll.is_ready());
    raise(Signal::USR2);
    assert!(!epoll.is_ready());
    let flags = EventFlags::IN | EventFlags::ONESHOT;
    epoll::modify(&epoll.0, &signals, EventData::new_u64(1), flags).unwrap();
    assert!(epoll.is_ready(), "what is pending is seen when it is armed");
    signals.try_recv_batch(&mut Batch::<4>::new()).unwrap();
}

// ---------------------------------------------------------------------------
// Epoll

#[test]
fn a_signal_told_before_anyone_awaits_it_is_found_later() {
    let signals = open_in_thread(Signal::USR1);
    let epoll = Epoll::new([&signals]).unwrap();
    raise(Signal::USR1);
    assert_eq!(epoll.turn(None).unwrap(), 1);
    let mut cx = std::task::Context::from_waker(Waker::noop());
    assert!(pin!(signals.recv()).poll(&mut cx).is_ready());
}

#[test]
fn an_epoll_without_receivers_only_waits() {
    assert_eq!(Epoll::<&Receiver, 0>::new([]).unwrap().turn(NOW).unwrap(), 0);
}

/// For a thread that lives as long as the process, or is joined nowhere.
#[test]
fn an_epoll_may_own_its_receivers() {
    let _guard = signalfd::block(Signal::USR1).unwrap();
    let receiver =
        options().check_threads(false).receiver(Signal::USR1).unwrap();
    let shared = Arc::new(receiver);
    let epoll = Epoll::new([Arc::clone(&shared)]).unwrap();
    let (count, waker) = WakeCount::new();
    let mut cx = std::task::Context::from_waker(&waker);
    assert!(shared.poll_recv(&mut cx).is_pending());
    raise(Signal::USR1);
    while count.get() == 0 {
        epoll.turn(None).unwrap();
    }
    let Poll::Ready(Ok(info)) = shared.poll_recv(&mut cx) else {
        panic!("a signal is pending");
    };
    assert_eq!(info.signal(), Signal::USR1);
}

#[test]
fn a_receiver_given_twice_is_an_error() {
    let signals = open_in_thread(Signal::USR1);
    let error = Epoll::new([&signals, &signals]).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EEXIST));
}

/// An executor on one thread, a reactor on another; wake-ups cross over. The
/// signals are the reactor thread's, so it takes them when it is woken.
#[test]
fn a_reactor_thread_wakes_a_task_of_another_executor() {
    if crate::battery().reads_ahead() {
        // The ring reads on behalf of the thread that polls, and the signal is for
        // the one that turns.
        return;
    }
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        let reactor = scope.spawn(move || {
            let signals = open_in_thread(Signal::USR1);
            let receiver: &Receiver = &signals;
            let epoll = Epoll::new([receiver]).unwrap();
            let done = AtomicBool::new(false);
            thread::scope(|scope| {
                scope.spawn(|| {
                    futures::executor::block_on(poll_fn(|cx| {
                        let _pending = receiver.poll_ready(cx);
                        if done.load(Ordering::Acquire) {
                            return Poll::Ready(());
                        }
                        Poll::Pending
                    }));
                });
                tell.send(tid()).unwrap();
                while epoll.turn(NOW).unwrap() == 0 {
                    receiver.on_readable();
                }
                assert!(receiver.try_recv().unwrap().is_some());
                done.store(true, Ordering::Release);
                receiver.on_readable();
            });
        });
        tgkill(told.recv().unwrap(), Signal::USR1);
        reactor.join().unwrap();
    });
}

// ---------------------------------------------------------------------------
// block_on

#[test]
fn a_future_that_is_ready_needs_nothing() {
    assert_eq!(block_on(ready(7)).unwrap(), 7);
}

#[test]
fn a_receiver_is_awaited_without_any_reactor() {
    let rt = Signal::rt(1).unwrap();
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        let waiter = scope.spawn(move || {
            let signals = open_in_thread(rt);
            tell.send(tid()).unwrap();
            block_on(async {
                let mut values = Vec::new();
                for _ in 0..100 {
                    let info = signals.recv().await.unwrap();
                    values.push(info.value().unwrap());
                }
                values
            })
        });
        let tid = told.recv().unwrap();
        for value in 0..100 {
            if value % 10 == 0 {
                wait_until_asleep(tid);
            }
            sigqueue_to_thread(tid, rt, value);
        }
        let values = waiter.join().unwrap().unwrap();
        assert!(values.into_iter().eq(0..100));
    });
}

#[test]
fn batches_are_awaited_too() {
    let rt = Signal::rt(1).unwrap();
    let signals = open_in_thread(rt);
    for value in 0..10 {
        sigqueue_to_thread(tid(), rt, value);
    }
    let mut batch = Batch::<8>::new();
    let taken = block_on(async {
        let first = signals.recv_batch(&mut batch).await.unwrap().len();
        first + signals.recv_batch(&mut batch).await.unwrap().len()
    });
    assert_eq!(taken.unwrap(), 10);
}

/// A flag that another thread sets, waking who waits for it.
#[derive(Default)]
struct Flag {
    set: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Flag {
    async fn wait(&self) {
        poll_fn(|cx| {
            *self.waker.lock().unwrap() = Some(cx.waker().clone());
            if self.set.load(Ordering::Acquire) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    fn set(&self) {
        self.set.store(true, Ordering::Release);
        if let Some(waker) = self.waker.lock().unwrap().take() {
            waker.wake();
        }
    }
}

#[test]
fn another_thread_wakes_it() {
    for _ in 0..200 {
        let flag = Flag::default();
        thread::scope(|scope| {
            scope.spawn(|| flag.set());
            block_on(flag.wait()).unwrap();
        });
    }
}

#[test]
fn another_thread_wakes_it_from_its_sleep() {
    let flag = Arc::new(Flag::default());
    let (tell, told) = mpsc::channel();
    let sleeper = thread::spawn({
        let flag = Arc::clone(&flag);
        move || {
            tell.send(tid()).unwrap();
            block_on(flag.wait()).unwrap();
        }
    });
    wait_until_asleep(told.recv().unwrap());
    flag.set();
    sleeper.join().unwrap();
}

#[test]
fn receivers_and_other_events_are_awaited_together() {
    let signals = open_in_thread(Signal::USR1);
    let flag = Flag::default();
    thread::scope(|scope| {
        scope.spawn(|| flag.set());
        let (recv, wait) = (pin!(signals.recv()), pin!(flag.wait()));
        let first = block_on(select(recv, wait)).unwrap();
        assert!(matches!(first, Either::Right(_)));
    });
    raise(Signal::USR1);
    let (recv, never) = (pin!(signals.recv()), pin!(pending::<()>()));
    let first = block_on(select(recv, never)).unwrap();
    assert!(matches!(first, Either::Left(_)));
}

#[test]
fn several_receivers_are_awaited_at_once() {
    let set = |n| Signal::rt(n).unwrap();
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        let waiter = scope.spawn(move || {
            let receivers: [Signals; 16] = std::array::from_fn(|n| {
                open_in_thread(set(n.try_into().unwrap()))
            });
            tell.send(tid()).unwrap();
            let all = receivers.iter().map(|signals| signals.recv());
            let infos = block_on(futures::future::join_all(all)).unwrap();
            assert_eq!(infos.len(), 16);
            // Newest first, so that no mask is restored too early.
            Vec::from(receivers).into_iter().rev().for_each(drop);
        });
        let tid = told.recv().unwrap();
        for n in (0..16).rev() {
            wait_until_asleep(tid);
            tgkill(tid, set(n));
        }
        waiter.join().unwrap();
    });
}

/// Combinators like this have wakers of their own, behind which the waker of
/// `block_on` is hidden.
#[test]
fn receivers_inside_an_executor_with_its_own_wakers_are_found() {
    let set = |n| Signal::rt(n).unwrap();
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        let waiter = scope.spawn(move || {
            let one = open_in_thread(set(0));
            let two = open_in_thread(set(1));
            let mut tasks: FuturesUnordered<_> = [&one, &two]
                .into_iter()
                .map(|signals| signals.recv())
                .collect();
            tell.send(tid()).unwrap();
            block_on(async {
                let first = tasks.next().await.unwrap().unwrap();
                let second = tasks.next().await.unwrap().unwrap();
                assert_eq!(first.signal(), set(1));
                assert_eq!(second.signal(), set(0));
                assert!(tasks.next().await.is_none());
            })
            .unwrap();
        });
        let tid = told.recv().unwrap();
        wait_until_asleep(tid);
        tgkill(tid, set(1));
        wait_until_asleep(tid);
        tgkill(tid, set(0));
        waiter.join().unwrap();
    });
}

/// As many as it sleeps for, and more, which keep it awake.
#[test]
fn more_receivers_than_it_can_sleep_for_are_served_too() {
    let rt = |n: usize| Signal::rt((n % 25).try_into().unwrap()).unwrap();
    let receivers: [Signals; 40] =
        std::array::from_fn(|n| open_in_thread(rt(n)));
    let any = || {
        poll_fn(|cx| {
            for signals in &receivers {
                if let Poll::Ready(result) = signals.poll_recv(cx) {
                    return Poll::Ready(result);
                }
            }
            Poll::Pending
        })
    };
    for n in 0..25 {
        raise(rt(n));
        let info = block_on(any()).unwrap().unwrap();
        assert_eq!(info.signal(), rt(n));
    }
    // And behind wakers of their own.
    let mut tasks: FuturesUnordered<_> =
        receivers.iter().map(|signals| signals.recv()).collect();
    block_on(async {
        assert!(futures::poll!(tasks.next()).is_pending());
        raise(rt(7));
        let info = tasks.next().await.unwrap().unwrap();
        assert_eq!(info.signal(), rt(7));
    })
    .unwrap();
    drop(tasks);
    Vec::from(receivers).into_iter().rev().for_each(drop);
}

/// One at a time is awaited, and given up; more are alive than can be awaited.
#[test]
fn receivers_that_are_awaited_no_more_take_no_room() {
    let rt = |n: usize| Signal::rt(n.try_into().unwrap()).unwrap();
    let receivers: [Signals; 25] =
        std::array::from_fn(|n| open_in_thread(rt(n)));
    block_on(async {
        for _ in 0..3 {
            for signals in &receivers {
                assert!(futures::poll!(signals.recv()).is_pending());
                let mut yielded = false;
                poll_fn(|cx| {
                    cx.waker().wake_by_ref();
                    let ready = std::mem::replace(&mut yielded, true);
                    if ready { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
            }
        }
    })
    .unwrap();
    Vec::from(receivers).into_iter().rev().for_each(drop);
}

/// The tasks of an executor that survives a `block_on` are polled only if they
/// are woken, so it has to wake them when it goes.
#[test]
fn a_task_that_outlives_one_block_on_is_served_by_the_next() {
    for nested in [false, true] {
        let (tell, told) = mpsc::channel();
        thread::scope(|scope| {
            let waiter = scope.spawn(move || {
                let signals = open_in_thread(Signal::USR1);
                let mut tasks = FuturesUnordered::new();
                tasks.push(signals.recv());
                tell.send(tid()).unwrap();
                let mut wait = pin!(async {
                    let first =
                        async { futures::poll!(tasks.next()).is_pending() };
                    assert!(block_on(first).unwrap());
                    if nested {
                        tasks.next().await.unwrap().unwrap()
                    } else {
                        block_on(tasks.next()).unwrap().unwrap().unwrap()
                    }
                });
                block_on(&mut wait).unwrap().signal()
            });
            let tid = told.recv().unwrap();
            wait_until_asleep(tid);
            tgkill(tid, Signal::USR1);
            assert_eq!(waiter.join().unwrap(), Signal::USR1);
        });
    }
}

/// A task that is never done keeps the thread awake, but not from noticing.
#[test]
fn a_busy_task_does_not_starve_the_receivers_beside_it() {
    let signals = open_in_thread(Signal::USR1);
    let done = Cell::new(false);
    let mut tasks =
        FuturesUnordered::<futures::future::LocalBoxFuture<'_, ()>>::new();
    tasks.push(Box::pin(async {
        signals.recv().await.unwrap();
        done.set(true);
    }));
    tasks.push(Box::pin(poll_fn(|cx| {
        cx.waker().wake_by_ref();
        if done.get() { Poll::Ready(()) } else { Poll::Pending }
    })));
    block_on(async {
        assert!(futures::poll!(tasks.next()).is_pending());
        raise(Signal::USR1);
        while tasks.next().await.is_some() {}
    })
    .unwrap();
}

/// A waker whose parts panic, in safe code.
struct Panics {
    on_wake: bool,
    on_drop: bool,
}

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        if self.on_wake && !thread::panicking() {
            std::panic::resume_unwind(Box::new("wake"));
        }
    }
}

impl Drop for Panics {
    fn drop(&mut self) {
        if self.on_drop && !thread::panicking() {
            std::panic::resume_unwind(Box::new("drop"));
        }
    }
}

#[test]
fn wakers_that_panic_leave_the_tables_as_they_were() {
    let signals = open_in_thread(Signal::USR1);
    for (on_wake, on_drop) in [(true, false), (false, true)] {
        for _ in 0..100 {
            let run = || {
                block_on(async {
                    let first =
                        Waker::from(Arc::new(Panics { on_wake, on_drop }));
                    let mut recv = signals.recv();
                    let mut cx = std::task::Context::from_waker(&first);
                    assert!(pin!(&mut recv).poll(&mut cx).is_pending());
                    signals.on_readable();
                    drop(first);
                    assert!(futures::poll!(&mut recv).is_pending());
                })
            };
            let _panicked =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
        }
    }
    raise(Signal::USR1);
    let info = block_on(signals.recv()).unwrap().unwrap();
    assert_eq!(info.signal(), Signal::USR1);
}

#[test]
fn a_waker_that_panics_does_not_keep_the_others_of_a_block_on_asleep() {
    let signals = [Signal::USR1, Signal::USR2, Signal::HUP].map(open_in_thread);
    let (count, counts) = WakeCount::new();
    let run = std::panic::AssertUnwindSafe(|| {
        block_on(async {
            let panics = Panics { on_wake: true, on_drop: false };
            let wakers =
                [counts.clone(), Arc::new(panics).into(), counts.clone()];
            for (signals, waker) in signals.iter().zip(&wakers) {
                let mut cx = std::task::Context::from_waker(waker);
                assert!(pin!(signals.recv()).poll(&mut cx).is_pending());
            }
        })
    });
    assert!(std::panic::catch_unwind(run).is_err());
    assert_eq!(count.get(), 2);
    for signals in signals.into_iter().rev() {
        drop(signals);
    }
}

#[test]
fn a_waker_that_panics_does_not_keep_a_turn_from_waking_the_others() {
    let panics = Arc::new(Panics { on_wake: true, on_drop: false });
    let signals = [Signal::USR1, Signal::USR2, Signal::HUP].map(open_in_thread);
    let epoll =
        Epoll::new(signals.each_ref().map(|signals| &**signals)).unwrap();
    let (count, counts) = WakeCount::new();
    for (signals, waker) in
        signals.iter().zip([counts.clone(), panics.into(), counts])
    {
        let mut cx = std::task::Context::from_waker(&waker);
        assert!(pin!(signals.recv()).poll(&mut cx).is_pending());
    }
    [Signal::USR1, Signal::USR2, Signal::HUP].into_iter().for_each(raise);
    let turn = std::panic::AssertUnwindSafe(|| epoll.turn(None));
    assert!(std::panic::catch_unwind(turn).is_err());
    assert_eq!(count.get(), 2);
    for signals in signals.into_iter().rev() {
        signals.try_recv().unwrap().unwrap();
    }
}

#[test]
fn futures_dropped_while_they_wait_make_room_for_others() {
    let signals = open_in_thread(Signal::USR1);
    block_on(async {
        for _ in 0..100 {
            let other = open_in_thread(Signal::USR2);
            poll_fn(|cx| {
                assert!(pin!(other.recv()).poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
        }
        raise(Signal::USR1);
        assert!(signals.recv().await.is_ok());
    })
    .unwrap();
}

#[test]
fn it_can_be_called_inside_itself() {
    let outer = open_in_thread(Signal::USR1);
    let inner = open_in_thread(Signal::USR2);
    let (tell, told) = mpsc::channel::<(i32, Signal)>();
    thread::scope(|scope| {
        scope.spawn(move || {
            for (tid, signal) in told {
                wait_until_asleep(tid);
                tgkill(tid, signal);
            }
        });
        block_on(async {
            let mut recv = pin!(outer.recv());
            poll_fn(|cx| {
                assert!(recv.as_mut().poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
            tell.send((tid(), Signal::USR2)).unwrap();
            block_on(inner.recv()).unwrap().unwrap();
            tell.send((tid(), Signal::USR1)).unwrap();
            recv.await.unwrap();
        })
        .unwrap();
        drop(tell);
    });
}

#[test]
fn a_panic_in_the_future_gives_the_place_back() {
    for _ in 0..200 {
        let panicked = std::panic::catch_unwind(|| {
            block_on(async { std::panic::resume_unwind(Box::new(())) })
        });
        assert!(panicked.is_err());
    }
    assert_eq!(block_on(ready(1)).unwrap(), 1);
}

#[test]
fn a_waker_outlives_everything_and_wakes_nobody() {
    let keep = |woken: &Mutex<Vec<Waker>>| {
        block_on(poll_fn(|cx| {
            woken.lock().unwrap().push(cx.waker().clone());
            // Let it make its eventfd.
            if woken.lock().unwrap().len() % 2 == 0 {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        }))
        .unwrap();
    };
    let wakers = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..50).for_each(|_| keep(&wakers)));
        }
    });
    let wakers = wakers.into_inner().unwrap();
    // None of them may wake this one, in whichever place it is.
    let polls = Cell::new(0);
    let flag = Flag::default();
    thread::scope(|scope| {
        scope.spawn(|| {
            for waker in wakers {
                waker.wake_by_ref();
                waker.wake();
            }
            flag.set();
        });
        let counted = async {
            let mut wait = pin!(flag.wait());
            poll_fn(|cx| {
                polls.set(polls.get() + 1);
                wait.as_mut().poll(cx)
            })
            .await;
        };
        block_on(counted).unwrap();
    });
    assert!(polls.get() <= 2, "polled {} times", polls.get());
}

#[test]
fn a_wake_before_the_sleep_is_not_lost() {
    let mut polls = 0;
    block_on(poll_fn(|cx| {
        polls += 1;
        cx.waker().wake_by_ref();
        if polls == 1000 { Poll::Ready(()) } else { Poll::Pending }
    }))
    .unwrap();
}

#[test]
fn wakers_know_whom_they_wake() {
    block_on(poll_fn(|cx| {
        assert!(cx.waker().will_wake(&cx.waker().clone()));
        assert!(!cx.waker().will_wake(Waker::noop()));
        Poll::Ready(())
    }))
    .unwrap();
}

/// A waker that keeps another: as tasks of an executor inside do.
struct Behind(Waker);

impl Wake for Behind {
    fn wake(self: Arc<Self>) {
        self.0.wake_by_ref();
    }
}

#[test]
fn a_task_that_moves_to_another_thread_is_woken_there() {
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        // Polled here first, then awaited in another thread.
        let first = block_on(poll_fn(|cx| {
            Poll::Ready(Waker::from(Arc::new(Behind(cx.waker().clone()))))
        }));
        let first = first.unwrap();
        let waiter = scope.spawn(move || {
            let signals = open_in_thread(Signal::USR1);
            let mut cx = std::task::Context::from_waker(&first);
            let mut recv = signals.recv();
            assert!(pin!(&mut recv).poll(&mut cx).is_pending());
            tell.send(tid()).unwrap();
            block_on(recv).unwrap().unwrap().signal()
        });
        let tid = told.recv().unwrap();
        wait_until_asleep(tid);
        tgkill(tid, Signal::USR1);
        assert_eq!(waiter.join().unwrap(), Signal::USR1);
    });
}

#[test]
fn a_waker_used_on_another_thread_is_served_by_its_own() {
    // A future of this thread is polled, by hand and with this thread's waker,
    // on another; this thread has to watch the descriptor.
    if crate::battery().reads_ahead() {
        // The ring reads on behalf of that other thread, and the signal is for
        // this one.
        return;
    }
    let signals = open_in_thread(Signal::USR1);
    let receiver: &Receiver = &signals;
    let mut polls = 0;
    let woken = Instant::now();
    block_on(poll_fn(|cx| {
        polls += 1;
        if polls > 1 {
            return Poll::Ready(());
        }
        thread::scope(|scope| {
            let waker = cx.waker().clone();
            scope.spawn(move || {
                let mut cx = std::task::Context::from_waker(&waker);
                assert!(receiver.poll_ready(&mut cx).is_pending());
            });
        });
        raise(Signal::USR1);
        Poll::Pending
    }))
    .unwrap();
    assert!(woken.elapsed() < DEADLINE);
    assert!(receiver.try_recv().unwrap().is_some());
}
