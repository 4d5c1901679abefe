//! When exactly an event loop is told: alone in the process, since a signal to
//! any thread of it tells every edge again that is there.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::epoll::EventFlags;
use signalfd::{Batch, Epoll, Receiver, Signal, Signals, block_on};

use crate::common::{
    DEADLINE, OwnEpoll, WakeCount, kill, open, pid, sigqueue, tid,
    wait_until_asleep,
};
use crate::harness::cases;

cases! {
    a_turn_waits_no_longer_than_it_is_told,
    a_turn_wakes_the_tasks_whose_receivers_have_signals,
    more_receivers_than_one_system_call_reports_are_all_served,
    an_epoll_can_be_waited_for_in_another_loop,
    an_edge_triggered_loop_is_told_of_every_arrival,
    an_edge_is_told_again_with_any_signal_until_all_is_taken,
    a_sleeping_thread_watches_what_another_polls_with_its_waker,
}

const NOW: Option<Duration> = Some(Duration::ZERO);

fn send(signal: Signal) {
    kill(pid(), signal);
}

fn a_turn_waits_no_longer_than_it_is_told() {
    let signals = open(Signal::USR1).unwrap();
    let epoll = Epoll::new([&*signals]).unwrap();
    assert_eq!(epoll.turn(NOW).unwrap(), 0);
    let (start, timeout) = (Instant::now(), Duration::from_millis(20));
    assert_eq!(epoll.turn(Some(timeout)).unwrap(), 0);
    assert!(start.elapsed() >= timeout);
}

fn a_turn_wakes_the_tasks_whose_receivers_have_signals() {
    let one = open(Signal::USR1).unwrap();
    let two = open(Signal::USR2).unwrap();
    let three = open(Signal::HUP).unwrap();
    let receivers: [&Receiver; 3] = [&one, &two, &three];
    let epoll = Epoll::new(receivers).unwrap();
    let counts = receivers.map(|receiver| {
        let (count, waker) = WakeCount::new();
        let mut cx = Context::from_waker(&waker);
        assert!(pin!(receiver.recv()).poll(&mut cx).is_pending());
        count
    });
    send(Signal::USR2);
    send(Signal::HUP);
    assert_eq!(epoll.turn(None).unwrap(), 2);
    assert_eq!(counts.each_ref().map(|count| count.get()), [0, 1, 1]);
    assert_eq!(epoll.turn(NOW).unwrap(), 0, "each arrival is told once");
    two.try_recv().unwrap().unwrap();
    send(Signal::USR1);
    let told = epoll.turn(None).unwrap();
    // Every signal is told to all signalfds, but only to the ring that read it.
    let again = if crate::battery().reads_ahead() { 1 } else { 2 };
    assert_eq!(told, again, "and told again with the next, until it is taken");
    assert_eq!(counts.each_ref().map(|count| count.get()), [1, 1, 1]);
    one.try_recv().unwrap().unwrap();
    three.try_recv().unwrap().unwrap();
}

fn more_receivers_than_one_system_call_reports_are_all_served() {
    let rt = |n: usize| Signal::rt(n.try_into().unwrap()).unwrap();
    let receivers: [Signals; 25] =
        std::array::from_fn(|n| open(rt(n)).unwrap());
    let epoll = Epoll::new(receivers.each_ref().map(|signals| &**signals));
    let epoll = epoll.unwrap();
    let counts = receivers.each_ref().map(|signals| {
        let (count, waker) = WakeCount::new();
        let mut cx = Context::from_waker(&waker);
        assert!(pin!(signals.recv()).poll(&mut cx).is_pending());
        count
    });
    (0..25).for_each(|n| send(rt(n)));
    // A ring may not have come round to all of them, and may tell of one twice.
    while counts.iter().any(|count| count.get() == 0) {
        assert!(epoll.turn(Some(DEADLINE)).unwrap() > 0);
    }
    if !crate::battery().reads_ahead() {
        assert_eq!(epoll.turn(NOW).unwrap(), 0);
    }
    // Newest first, so that no mask is restored too early.
    for signals in Vec::from(receivers).into_iter().rev() {
        signals.try_recv().unwrap().unwrap();
    }
}

fn an_epoll_can_be_waited_for_in_another_loop() {
    let signals = open(Signal::USR1).unwrap();
    let inner = Epoll::new([&signals]).unwrap();
    let outer = OwnEpoll::of(&inner, EventFlags::empty());
    assert!(!outer.is_ready());
    send(Signal::USR1);
    assert!(outer.is_ready());
    assert_eq!(inner.turn(NOW).unwrap(), 1);
    assert!(!outer.is_ready());
    signals.try_recv().unwrap().unwrap();
}

fn an_edge_triggered_loop_is_told_of_every_arrival() {
    let rt = Signal::rt(1).unwrap();
    let signals = open(rt).unwrap();
    let epoll = OwnEpoll::of(&signals, EventFlags::ET);
    let mut batch = Batch::<4>::new();
    for round in 1..10 {
        for value in 0..round {
            sigqueue(pid(), rt, value).unwrap();
        }
        assert!(epoll.is_ready());
        assert!(!epoll.is_ready());
        let mut taken = 0;
        loop {
            let infos = signals.try_recv_batch(&mut batch).unwrap();
            taken += infos.len();
            if infos.len() < 4 {
                break;
            }
        }
        assert_eq!(i32::try_from(taken).unwrap(), round);
        assert!(!epoll.is_ready());
    }
}

fn an_edge_is_told_again_with_any_signal_until_all_is_taken() {
    if crate::battery().reads_ahead() {
        return an_edge_is_told_for_every_signal_that_a_ring_reads();
    }
    let _other = signalfd::block(Signal::USR2).unwrap();
    let signals = open(Signal::USR1).unwrap();
    let epoll = OwnEpoll::of(&signals, EventFlags::ET);
    send(Signal::USR2);
    assert!(!epoll.is_ready(), "that is none of its signals");
    send(Signal::USR1);
    assert!(epoll.is_ready());
    assert!(!epoll.is_ready());
    send(Signal::USR1);
    assert!(!epoll.is_ready(), "it was pending already");
    let rest = open(Signal::USR2).unwrap();
    rest.try_recv().unwrap().unwrap();
    send(Signal::USR2);
    assert!(epoll.is_ready(), "a needless wake-up, and a read to answer it");
    signals.try_recv().unwrap().unwrap();
    rest.try_recv().unwrap().unwrap();
}

fn an_edge_is_told_for_every_signal_that_a_ring_reads() {
    let _other = signalfd::block(Signal::USR2).unwrap();
    let signals = open(Signal::USR1).unwrap();
    let epoll = OwnEpoll::of(&signals, EventFlags::ET);
    send(Signal::USR2);
    assert!(!epoll.is_ready(), "that is none of its signals");
    send(Signal::USR1);
    assert!(epoll.is_ready());
    assert!(!epoll.is_ready());
    // A read of one shot is made anew when something is taken, and not before.
    send(Signal::USR1);
    let _is_of_many_shots = epoll.is_ready();
    let rest = open(Signal::USR2).unwrap();
    rest.try_recv().unwrap().unwrap();
    while signals.try_recv().unwrap().is_some() {}
    assert!(!epoll.is_ready());
}

/// It sleeps without the descriptor in its poll, and has to come out for it.
fn a_sleeping_thread_watches_what_another_polls_with_its_waker() {
    let signals = signalfd::open(Signal::USR1).unwrap();
    let (receiver, sleeper): (&Receiver, _) = (&signals, tid());
    thread::scope(|scope| {
        let mut polls = 0;
        let info = block_on(poll_fn(|cx| {
            polls += 1;
            if polls == 1 {
                let waker = cx.waker().clone();
                scope.spawn(move || {
                    wait_until_asleep(sleeper);
                    let mut cx = Context::from_waker(&waker);
                    assert!(receiver.poll_ready(&mut cx).is_pending());
                    send(Signal::USR1);
                });
            }
            // It does not register this descriptor itself.
            match receiver.try_recv().unwrap() {
                Some(info) => Poll::Ready(info),
                None => Poll::Pending,
            }
        }));
        assert_eq!(info.unwrap().signal(), Signal::USR1);
    });
}
