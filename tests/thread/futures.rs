//! The futures, without any executor: polled by hand.

use std::cell::Cell;
use std::future::{Future, pending, poll_fn, ready};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};
use std::thread;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use signalfd::{
    Batch, Epoll, Receiver, Recv, RecvBatch, SigInfo, Signal, Until, block_on,
};

use crate::common::{
    WakeCount, open_in_thread, options, raise, sigqueue_to_thread, tgkill, tid,
    wait_until_asleep,
};

fn poll_once<F: Future + Unpin>(
    future: &mut F,
    waker: &Waker,
) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

#[test]
fn types_can_go_where_their_users_need_them() {
    fn send_and_sync<T: Send + Sync>() {}
    fn unpin<T: Unpin>() {}
    fn unwind_safe<T: UnwindSafe + RefUnwindSafe>() {}
    send_and_sync::<Receiver>();
    send_and_sync::<Recv<'_>>();
    send_and_sync::<RecvBatch<'_, '_, 8>>();
    send_and_sync::<signalfd::SignalFd>();
    send_and_sync::<signalfd::Epoll<&Receiver, 1>>();
    send_and_sync::<signalfd::Error>();
    send_and_sync::<SigInfo>();
    unwind_safe::<Receiver>();
    unpin::<Recv<'_>>();
    unpin::<RecvBatch<'_, '_, 8>>();
}

#[test]
fn work_that_may_move_between_threads_may_do_so_until_a_signal() {
    fn send<T: Send>(future: T) {
        drop(future);
    }
    let signals = open_in_thread(Signal::USR1);
    let receiver: &Receiver = &signals;
    send(receiver.until(ready(1)));
}

#[test]
fn what_is_pending_is_taken_at_once() {
    let signals = open_in_thread(Signal::USR1);
    raise(Signal::USR1);
    let (count, waker) = WakeCount::new();
    let Poll::Ready(info) = poll_once(&mut signals.recv(), &waker) else {
        panic!("a signal is pending");
    };
    assert_eq!(info.unwrap().signal(), Signal::USR1);
    assert_eq!(count.get(), 0);
    drop(waker);
    assert_eq!(Arc::strong_count(&count), 1, "no waker was kept");
}

#[test]
fn a_pending_future_is_woken_by_on_readable() {
    let signals = open_in_thread(Signal::USR1);
    let (count, waker) = WakeCount::new();
    let mut recv = signals.recv();
    assert!(poll_once(&mut recv, &waker).is_pending());
    raise(Signal::USR1);
    assert_eq!(count.get(), 0, "nobody has told it yet");
    signals.on_readable();
    signals.on_readable();
    assert_eq!(count.get(), 1);
    assert!(poll_once(&mut recv, &waker).is_ready());
}

#[test]
fn a_wake_for_nothing_leaves_it_pending() {
    let signals = open_in_thread(Signal::USR1);
    let (count, waker) = WakeCount::new();
    let mut recv = signals.recv();
    for woken in 0..5 {
        assert!(poll_once(&mut recv, &waker).is_pending());
        assert_eq!(count.get(), woken);
        signals.on_readable();
    }
}

#[test]
fn the_waker_of_the_last_poll_is_woken() {
    let signals = open_in_thread(Signal::USR1);
    let (first, first_waker) = WakeCount::new();
    let (second, second_waker) = WakeCount::new();
    let mut recv = signals.recv();
    assert!(poll_once(&mut recv, &first_waker).is_pending());
    assert!(poll_once(&mut recv, &second_waker).is_pending());
    signals.on_readable();
    assert_eq!((first.get(), second.get()), (0, 1));
}

#[test]
fn wakers_are_given_up_with_the_receiver() {
    let signals = open_in_thread(Signal::USR1);
    let (count, waker) = WakeCount::new();
    assert!(poll_once(&mut signals.recv(), &waker).is_pending());
    drop(waker);
    assert_eq!(Arc::strong_count(&count), 2);
    drop(signals);
    assert_eq!(Arc::strong_count(&count), 1);
}

#[test]
fn on_readable_may_come_from_any_thread() {
    let signals = open_in_thread(Signal::USR1);
    let (count, waker) = WakeCount::new();
    let receiver: &Receiver = &signals;
    let mut recv = receiver.recv();
    for round in 1..=100 {
        assert!(poll_once(&mut recv, &waker).is_pending());
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| receiver.on_readable());
            }
        });
        assert_eq!(count.get(), round);
    }
}

#[test]
fn dropping_a_future_at_any_point_loses_nothing() {
    let rt = Signal::rt(1).unwrap();
    let signals = open_in_thread(rt);
    let (_, waker) = WakeCount::new();
    let mut received = Vec::new();
    let mut batch = Batch::<4>::new();
    for value in 0..100 {
        // Never polled; polled and pending; woken and not polled again.
        drop(signals.recv());
        let mut recv = signals.recv();
        assert!(poll_once(&mut recv, &waker).is_pending());
        drop(recv);
        let mut recv = signals.recv();
        let mut recv_batch = signals.recv_batch(&mut batch);
        assert!(poll_once(&mut recv, &waker).is_pending());
        assert!(poll_once(&mut recv_batch, &waker).is_pending());
        sigqueue_to_thread(tid(), rt, value);
        signals.on_readable();
        drop((recv, recv_batch));
        let Poll::Ready(info) = poll_once(&mut signals.recv(), &waker) else {
            panic!("the signal is still there");
        };
        received.push(info.unwrap().value().unwrap());
    }
    assert!(received.into_iter().eq(0..100));
    assert_eq!(signals.try_recv().unwrap(), None);
}

#[test]
fn a_future_can_be_polled_again_for_the_next_signal() {
    let rt = Signal::rt(1).unwrap();
    let signals = open_in_thread(rt);
    let mut recv = signals.recv();
    for value in 0..3 {
        sigqueue_to_thread(tid(), rt, value);
        let Poll::Ready(info) = poll_once(&mut recv, Waker::noop()) else {
            panic!("a signal is pending");
        };
        assert_eq!(info.unwrap().value(), Some(value));
    }
}

#[test]
fn a_batch_future_takes_all_there_is_and_then_no_more() {
    let rt = Signal::rt(1).unwrap();
    let signals = open_in_thread(rt);
    let mut batch = Batch::<4>::new();
    let mut recv = pin!(signals.recv_batch(&mut batch));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(recv.as_mut().poll(&mut cx).is_pending());
    for value in 0..3 {
        sigqueue_to_thread(tid(), rt, value);
    }
    let Poll::Ready(Ok(infos)) = recv.as_mut().poll(&mut cx) else {
        panic!("signals are pending");
    };
    assert!(infos.iter().filter_map(SigInfo::value).eq(0..3));
    sigqueue_to_thread(tid(), rt, 3);
    let Poll::Ready(Ok(infos)) = recv.as_mut().poll(&mut cx) else {
        panic!("a future that has completed does not wait");
    };
    assert!(infos.is_empty());
    assert_eq!(signals.wait().unwrap().value(), Some(3), "it was not taken");
}

#[test]
fn futures_written_by_hand_have_what_they_need() {
    let rt = Signal::rt(1).unwrap();
    let signals = open_in_thread(rt);
    let (count, waker) = WakeCount::new();
    let mut cx = Context::from_waker(&waker);
    let mut batch = Batch::<4>::new();
    assert!(signals.poll_recv(&mut cx).is_pending());
    assert!(signals.poll_recv_batch(&mut cx, &mut batch).is_pending());
    for value in 0..3 {
        sigqueue_to_thread(tid(), rt, value);
    }
    signals.on_readable();
    assert_eq!(count.get(), 1);
    let Poll::Ready(Ok(info)) = signals.poll_recv(&mut cx) else {
        panic!("signals are pending");
    };
    assert_eq!(info.value(), Some(0));
    let Poll::Ready(Ok(rest)) = signals.poll_recv_batch(&mut cx, &mut batch)
    else {
        panic!("signals are pending");
    };
    assert!(rest.iter().filter_map(SigInfo::value).eq(1..3));
    let mut empty = Batch::<0>::new();
    let none = signals.poll_recv_batch(&mut cx, &mut empty);
    assert_eq!(none, Poll::Ready(Err(signalfd::Error::EmptyBatch)));
}

#[test]
fn poll_ready_takes_nothing() {
    let signals = open_in_thread(Signal::USR1);
    let (count, waker) = WakeCount::new();
    let mut cx = Context::from_waker(&waker);
    assert!(signals.poll_ready(&mut cx).is_pending());
    raise(Signal::USR1);
    signals.on_readable();
    assert_eq!(count.get(), 1);
    for _ in 0..3 {
        assert_eq!(signals.poll_ready(&mut cx), Poll::Ready(Ok(())));
    }
    assert!(signals.try_recv().unwrap().is_some());
    assert!(signals.poll_ready(&mut cx).is_pending());
}

/// A waker that sends its thread a signal whenever it is cloned: just after a
/// poll has found nothing, before anybody can wake it.
#[expect(unsafe_code, reason = "a waker made by hand")]
const fn waker_that_raises() -> Waker {
    const VTABLE: RawWakerVTable = RawWakerVTable::new(
        |data| {
            raise(Signal::USR1);
            RawWaker::new(data, &VTABLE)
        },
        |_| (),
        |_| (),
        |_| (),
    );
    // SAFETY: the functions use no data, so there is nothing to keep.
    unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &VTABLE)) }
}

#[test]
fn what_comes_while_the_waker_is_registered_is_seen() {
    let signals = open_in_thread(Signal::USR1);
    let waker = waker_that_raises();
    let mut cx = Context::from_waker(&waker);
    let looks: [fn(&Receiver, &mut Context<'_>) -> bool; 2] = [
        |receiver, cx| receiver.poll_recv(cx).is_ready(),
        |receiver, cx| receiver.poll_ready(cx).is_ready(),
    ];
    for look in looks {
        let found = look(&signals, &mut cx);
        while signals.try_recv().unwrap().is_some() {}
        assert!(found);
    }
}

#[test]
fn two_receivers_of_one_signal_share_what_comes() {
    if crate::battery().reads_ahead() {
        // The ring of the first has read them all.
        return;
    }
    let rt = Signal::rt(1).unwrap();
    // Of two scopes the inner one would have them all.
    let _guard = signalfd::block(rt).unwrap();
    let receiver = || options().check_threads(false).receiver(rt).unwrap();
    let (one, two) = (receiver(), receiver());
    for value in 0..10 {
        sigqueue_to_thread(tid(), rt, value);
    }
    let mut values = Vec::new();
    for receiver in [&one, &two].into_iter().cycle() {
        match receiver.try_recv().unwrap() {
            Some(info) => values.push(info.value().unwrap()),
            None => break,
        }
    }
    assert!(values.into_iter().eq(0..10));
}

// ---------------------------------------------------------------------------
// Work that a signal cancels

/// Notes when it is dropped.
struct Dropped<'c>(&'c Cell<bool>);

impl Drop for Dropped<'_> {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

/// Never done; notes when it is dropped.
async fn work_for_ever(dropped: &Cell<bool>) {
    let _dropped = Dropped(dropped);
    pending::<()>().await;
}

/// The signal that something ended with.
#[track_caller]
fn signal_of<T>(until: &Until<T>) -> Signal {
    match until {
        Until::Signal(info) => info.signal(),
        Until::Done(_) => panic!("the work is done"),
    }
}

#[test]
fn work_is_done_if_no_signal_comes() {
    let signals = open_in_thread(Signal::USR1);
    let mut polls = 0;
    let work = poll_fn(|cx| {
        polls += 1;
        cx.waker().wake_by_ref();
        if polls > 3 { Poll::Ready(polls) } else { Poll::Pending }
    });
    let done = block_on(signals.until(work)).unwrap();
    assert_eq!(done, Ok(Until::Done(4)));
}

#[test]
fn a_signal_cancels_the_work() {
    let signals = open_in_thread(Signal::USR1);
    let dropped = Cell::new(false);
    let (count, waker) = WakeCount::new();
    let mut cx = Context::from_waker(&waker);
    let mut until = pin!(signals.until(work_for_ever(&dropped)));
    assert!(until.as_mut().poll(&mut cx).is_pending());
    raise(Signal::USR1);
    signals.on_readable();
    assert_eq!(count.get(), 1);
    assert!(!dropped.get());
    let Poll::Ready(Ok(ended)) = until.as_mut().poll(&mut cx) else {
        panic!("a signal is pending");
    };
    assert_eq!(signal_of(&ended), Signal::USR1);
    assert!(dropped.get(), "it was dropped before the record was returned");
}

#[test]
fn of_both_the_work_counts_and_the_signal_stays() {
    let signals = open_in_thread(Signal::USR1);
    raise(Signal::USR1);
    let done = block_on(signals.until(ready(7))).unwrap();
    assert_eq!(done, Ok(Until::Done(7)));
    assert_eq!(signals.wait().unwrap().signal(), Signal::USR1);
}

#[test]
fn dropping_work_and_all_at_any_point_loses_nothing() {
    let rt = Signal::rt(1).unwrap();
    let signals = open_in_thread(rt);
    let mut cx = Context::from_waker(Waker::noop());
    for value in 0..100 {
        drop(signals.until(pending::<()>()));
        let dropped = Cell::new(false);
        {
            let mut until = pin!(signals.until(work_for_ever(&dropped)));
            assert!(until.as_mut().poll(&mut cx).is_pending());
            sigqueue_to_thread(tid(), rt, value);
            signals.on_readable();
        }
        assert!(dropped.get());
        assert_eq!(signals.wait().unwrap().value(), Some(value));
    }
    assert_eq!(signals.try_recv().unwrap(), None);
}

#[test]
fn a_sleeping_block_on_is_woken_from_its_work() {
    let signals = open_in_thread(Signal::USR1);
    let worker = tid();
    thread::scope(|scope| {
        scope.spawn(move || {
            wait_until_asleep(worker);
            tgkill(worker, Signal::USR1);
        });
        let ended = block_on(signals.until(pending::<()>())).unwrap();
        assert_eq!(signal_of(&ended.unwrap()), Signal::USR1);
    });
}

#[test]
fn an_epoll_wakes_from_work() {
    let signals = open_in_thread(Signal::USR1);
    let epoll = Epoll::new([&signals]).unwrap();
    let (count, waker) = WakeCount::new();
    let mut cx = Context::from_waker(&waker);
    let mut until = pin!(signals.until(pending::<()>()));
    assert!(until.as_mut().poll(&mut cx).is_pending());
    raise(Signal::USR1);
    while count.get() == 0 {
        epoll.turn(None).unwrap();
    }
    let Poll::Ready(Ok(ended)) = until.as_mut().poll(&mut cx) else {
        panic!("a signal is pending");
    };
    assert_eq!(signal_of(&ended), Signal::USR1);
}

#[test]
fn work_inside_and_outside_of_combinators_is_cancelled() {
    let one = open_in_thread(Signal::USR1);
    let two = open_in_thread(Signal::USR2);
    let all = [Cell::new(false), Cell::new(false)];
    block_on(async {
        // The combinator has wakers of its own, for what it runs ...
        let works = all.iter().map(work_for_ever);
        let mut works = works.collect::<FuturesUnordered<_>>();
        raise(Signal::USR1);
        let ended = one.until(works.next()).await.unwrap();
        assert_eq!(signal_of(&ended), Signal::USR1);
        drop(works);
        assert!(all.iter().all(Cell::take), "all were dropped");

        // ... and for those who wait for a signal.
        let mut untils = [(&one, &all[0]), (&two, &all[1])]
            .into_iter()
            .map(|(signals, dropped)| signals.until(work_for_ever(dropped)))
            .collect::<FuturesUnordered<_>>();
        raise(Signal::USR2);
        let ended = untils.next().await.unwrap().unwrap();
        assert_eq!(signal_of(&ended), Signal::USR2);
        assert!(!all[0].get() && all[1].get());
        raise(Signal::USR1);
        let ended = untils.next().await.unwrap().unwrap();
        assert_eq!(signal_of(&ended), Signal::USR1);
    })
    .unwrap();
}

#[test]
fn work_in_work_ends_by_the_signal_of_its_own() {
    let outer = open_in_thread(Signal::USR1);
    let inner = open_in_thread(Signal::USR2);
    raise(Signal::USR2);
    let work = inner.until(pending::<()>());
    let Ok(Until::Done(Ok(ended))) = block_on(outer.until(work)).unwrap()
    else {
        panic!("the inner one is done, by its signal");
    };
    assert_eq!(signal_of(&ended), Signal::USR2);
}
