//! Taking signals, waiting for them, awaiting them.

use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use signalfd::{Batch, Epoll, Error, Hub, Op, Receiver, Until, block_on};

use super::trial::{Signals, Trial, both, kept};
use super::{Operations, inject, operations};
use crate::common::{DEADLINE, open, options};
use crate::harness::cases;

cases! {
    taking,
    waiting,
    awaiting,
    serving_an_epoll,
    moderating_a_loop,
    handing_out,
}

pub(super) const WAITS: &[Op] = &[Op::Read, Op::Poll];
pub(super) const AWAITS: &[Op] = &[Op::Read, Op::Poll, Op::Eventfd];
const MOMENT: Duration = Duration::from_millis(1);

pub(super) const TAKING: Operations = operations![what_is_there, a_batch];

fn taking() {
    inject(TAKING);
}

fn what_is_there(trial: &Trial<'_>, signals: &mut Signals) {
    let receiver = open(both()).unwrap();
    for _ in 0..4 {
        let info = trial.call(&[Op::Read], || receiver.try_recv());
        signals.got(info.unwrap_or_default());
    }
    trial.goes_on(signals, &receiver);
}

fn a_batch(trial: &Trial<'_>, signals: &mut Signals) {
    let receiver = open(both()).unwrap();
    let mut batch = Batch::<2>::new();
    for _ in 0..3 {
        signals.got(trial.call_for_many(&[Op::Read], || {
            receiver.try_recv_batch(&mut batch)
        }));
    }
    trial.goes_on(signals, &receiver);
}

// ---------------------------------------------------------------------------

pub(super) const WAITING: Operations = operations![
    a_wait,
    a_wait_asleep,
    a_wait_asleep_for_a_while,
    a_wait_in_vain,
    a_wait_for_a_batch,
    a_loop,
    a_wait_that_spins,
    moderated_waits,
];

fn waiting() {
    inject(WAITING);
}

/// The first one makes the second descriptor.
fn a_wait(trial: &Trial<'_>, signals: &mut Signals) {
    let receiver = open(both()).unwrap();
    for _ in 0..3 {
        let info = trial.call(WAITS, || receiver.wait());
        signals.got(info);
    }
    trial.goes_on(signals, &receiver);
}

fn a_wait_asleep(trial: &Trial<'_>, signals: &mut Signals) {
    let receiver = signals.drained();
    for _ in 0..2 {
        trial.comes_at_sleep(signals);
        let info = trial.call(WAITS, || receiver.wait());
        signals.got(info);
    }
    trial.goes_on(signals, &receiver);
}

fn a_wait_asleep_for_a_while(trial: &Trial<'_>, signals: &mut Signals) {
    let receiver = signals.drained();
    trial.comes_at_sleep(signals);
    let info = trial.call(WAITS, || receiver.wait_timeout(DEADLINE));
    assert!(info != Ok(None));
    signals.got(info.unwrap_or_default());
    trial.goes_on(signals, &receiver);
}

fn a_wait_in_vain(trial: &Trial<'_>, signals: &mut Signals) {
    let receiver = signals.drained();
    let info = trial.call(WAITS, || receiver.wait_timeout(MOMENT));
    assert_eq!(info.unwrap_or_default(), None);
    trial.goes_on(signals, &receiver);
}

fn a_wait_for_a_batch(trial: &Trial<'_>, signals: &mut Signals) {
    let receiver = open(both()).unwrap();
    let mut batch = Batch::<2>::new();
    signals.got(trial.call_for_many(WAITS, || receiver.wait_batch(&mut batch)));
    signals.got(trial.call_for_many(WAITS, || {
        receiver.wait_batch_timeout(&mut batch, DEADLINE)
    }));
    trial.goes_on(signals, &receiver);
}

fn a_loop(trial: &Trial<'_>, signals: &mut Signals) {
    let receiver = open(both()).unwrap();
    let mut infos = receiver.iter();
    let mut ended = false;
    for _ in 0..3 {
        let next = || infos.next().transpose();
        let info = trial.call(WAITS, next);
        assert_eq!(info == Ok(None), ended, "an error is the last item");
        ended |= info.is_err();
        signals.got(info.unwrap_or_default());
    }
    trial.goes_on(signals, &receiver);
}

fn a_wait_that_spins(trial: &Trial<'_>, signals: &mut Signals) {
    let spinning = options().spin(Duration::from_nanos(1));
    let receiver = spinning.open(both()).unwrap();
    for _ in 0..3 {
        let info = trial.call(WAITS, || receiver.wait());
        signals.got(info);
    }
    trial.comes_at_sleep(signals);
    let info = trial.call(WAITS, || receiver.wait());
    signals.got(info);
    trial.goes_on(signals, &receiver);
}

/// Lets signals gather until there are four.
const GATHER: Duration = Duration::from_secs(3600);

fn moderated_waits(trial: &Trial<'_>, signals: &mut Signals) {
    let moderated = options().moderate(GATHER, 4);
    let receiver = moderated.open(both()).unwrap();
    let mut batch = Batch::<16>::new();
    for _ in 0..2 {
        signals.got(
            trial.call_for_many(WAITS, || receiver.wait_batch(&mut batch)),
        );
        signals.send(4);
    }
    trial.goes_on(signals, &receiver);
}

// ---------------------------------------------------------------------------

pub(super) const AWAITING: Operations = operations![
    an_await,
    an_await_asleep,
    a_moderated_await,
    work_that_is_done,
    work_that_is_cancelled,
    looking_whether_there_is_something,
    an_await_that_is_woken_by_another,
];

fn awaiting() {
    inject(AWAITING);
}

/// An error of the future is as good as one of who runs it.
pub(super) fn flat<T>(
    result: Result<Result<T, Error>, Error>,
) -> Result<T, Error> {
    result.and_then(|result| result)
}

fn an_await(trial: &Trial<'_>, signals: &mut Signals) {
    let receiver = open(both()).unwrap();
    let info = trial.call(AWAITS, || flat(block_on(receiver.recv())));
    signals.got(info);
    trial.goes_on(signals, &receiver);
}

fn an_await_asleep(trial: &Trial<'_>, signals: &mut Signals) {
    let receiver = signals.drained();
    for _ in 0..2 {
        trial.comes_at_sleep(signals);
        let info = trial.call(AWAITS, || flat(block_on(receiver.recv())));
        signals.got(info);
    }
    trial.goes_on(signals, &receiver);
}

fn a_moderated_await(trial: &Trial<'_>, signals: &mut Signals) {
    let receiver = options().moderate(MOMENT, 4).open(both()).unwrap();
    let mut batch = Batch::<16>::new();
    for _ in 0..2 {
        let recv = receiver.recv_batch(&mut batch);
        signals.got(trial.call_for_many(AWAITS, || flat(block_on(recv))));
        signals.send(4);
    }
    trial.goes_on(signals, &receiver);
}

fn work_that_is_done(trial: &Trial<'_>, signals: &mut Signals) {
    let receiver = open(both()).unwrap();
    let done = trial.does(|| block_on(receiver.until(async { 7 })));
    assert_eq!(done, Ok(Ok(Until::Done(7))));
    trial.goes_on(signals, &receiver);
}

fn work_that_is_cancelled(trial: &Trial<'_>, signals: &mut Signals) {
    let receiver = signals.drained();
    trial.comes_at_sleep(signals);
    let until = receiver.until(pending::<()>());
    match trial.call(AWAITS, || flat(block_on(until))) {
        Ok(Until::Signal(info)) => signals.got([info]),
        other => assert!(other.is_err()),
    }
    trial.goes_on(signals, &receiver);
}

fn looking_whether_there_is_something(
    trial: &Trial<'_>,
    signals: &mut Signals,
) {
    let mut cx = Context::from_waker(Waker::noop());
    let receiver = open(both()).unwrap();
    let look = |cx: &mut Context<'_>| match receiver.poll_ready(cx) {
        Poll::Ready(result) => result.map(|()| true),
        Poll::Pending => Ok(false),
    };
    let ready = trial.call(&[Op::Poll], || look(&mut cx));
    assert!(ready != Ok(false));
    while let Some(info) = receiver.try_recv().unwrap() {
        signals.got([info]);
    }
    let ready = trial.call(&[Op::Poll], || look(&mut cx));
    assert!(ready != Ok(true));
    trial.goes_on(signals, &receiver);
}

/// The waker is used on the way to sleep, so that nobody else is needed.
fn an_await_that_is_woken_by_another(trial: &Trial<'_>, signals: &mut Signals) {
    let _receiver = signals.drained();
    let mut polls = 0;
    let woken = poll_fn(|cx| {
        polls += 1;
        cx.waker().wake_by_ref();
        if polls > 2 { Poll::Ready(()) } else { Poll::Pending }
    });
    let done = trial.call(AWAITS, || block_on(woken));
    assert!(done.is_err() || polls > 2);
}

// ---------------------------------------------------------------------------

pub(super) const SERVING_AN_EPOLL: Operations =
    operations![an_epoll, a_moderated_epoll];

fn serving_an_epoll() {
    inject(SERVING_AN_EPOLL);
}

fn turn(trial: &Trial<'_>, signals: &mut Signals, receiver: &Receiver) {
    let tells = &[Op::EpollCreate, Op::EpollCtl];
    let made = trial.all_or_nothing(tells, || Epoll::new([receiver]));
    let Ok(epoll) = made else { return };
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..2 {
        let polled = trial.call(&[Op::Read], || {
            match pin!(receiver.recv()).poll(&mut cx) {
                Poll::Ready(info) => info.map(Some),
                Poll::Pending => Ok(None),
            }
        });
        signals.got(polled.unwrap_or_default());
        trial.comes_at_sleep(signals);
        let tells = &[Op::EpollWait, Op::Poll];
        let told = trial.call(tells, || epoll.turn(None));
        assert!(told != Ok(0));
        while let Some(info) = receiver.try_recv().unwrap() {
            signals.got([info]);
        }
    }
}

fn an_epoll(trial: &Trial<'_>, signals: &mut Signals) {
    let receiver = signals.drained();
    turn(trial, signals, &receiver);
    trial.goes_on(signals, &receiver);
}

fn a_moderated_epoll(trial: &Trial<'_>, signals: &mut Signals) {
    let receiver = options().moderate(MOMENT, 4).open(both()).unwrap();
    let mut batch = Batch::<16>::new();
    signals.got(receiver.wait_batch(&mut batch).unwrap());
    turn(trial, signals, &receiver);
    trial.goes_on(signals, &receiver);
}

// ---------------------------------------------------------------------------

#[cfg(not(feature = "mio"))]
pub(super) const MODERATING_A_LOOP: Operations = &[];
#[cfg(feature = "mio")]
pub(super) const MODERATING_A_LOOP: Operations =
    operations![a_moderated_loop, a_moderated_loop_that_is_left];

fn moderating_a_loop() {
    inject(MODERATING_A_LOOP);
}

/// A receiver in a loop, for which signals are to gather for a moment.
#[cfg(feature = "mio")]
fn moderated(trial: &Trial<'_>) -> (signalfd::Signals, mio::Poll) {
    // They come in numbers, however slow the supervisor is.
    let options = options().moderate(100 * MOMENT, usize::MAX);
    let mut receiver = options.open(both()).unwrap();
    let poll = mio::Poll::new().unwrap();
    let (token, readable) = (mio::Token(0), mio::Interest::READABLE);
    let registered =
        trial.does(|| poll.registry().register(&mut receiver, token, readable));
    // What has failed may be the loop's own.
    if registered.is_err() {
        poll.registry().register(&mut receiver, token, readable).unwrap();
    }
    (receiver, poll)
}

/// Whatever fails, the loop tells of what comes, when they gather and when they do not.
#[cfg(feature = "mio")]
fn a_moderated_loop(trial: &Trial<'_>, signals: &mut Signals) {
    let (receiver, mut poll) = moderated(trial);
    let mut events = mio::Events::with_capacity(8);
    let mut batch = Batch::<16>::new();
    let mut take = |signals: &mut Signals| {
        let mut read =
            || receiver.try_recv_batch(&mut batch).map(<[_]>::to_vec);
        let infos = trial.call(&[Op::Read], &mut read);
        // Who is told once reads until there is nothing, and the kernel does not say so if
        // there is something.
        let infos = infos.ok().filter(|infos| !infos.is_empty());
        let infos = infos.unwrap_or_else(|| read().unwrap());
        signals.got(&infos);
        !infos.is_empty()
    };
    // The kernel does not say that a descriptor is in an epoll if it is not, and who believes
    // it sleeps.
    let lies = trial.fails_with(libc::EEXIST);
    let patience = if lies { MOMENT } else { DEADLINE };
    let mut is_told = |signals: &mut Signals| {
        let mut has_come = false;
        while !has_come {
            poll.poll(&mut events, Some(patience)).unwrap();
            assert!(lies || !events.is_empty(), "nobody was told");
            while take(signals) {
                has_come = true;
            }
        }
    };
    for _ in 0..3 {
        // They gather, and then nothing does any more.
        for _ in 0..3 {
            signals.send(1);
            is_told(signals);
        }
        let info = trial.call(&[Op::Read], || receiver.try_recv());
        let info = info.ok().flatten();
        signals.got(info.or_else(|| receiver.try_recv().unwrap()));
        signals.send(1);
        is_told(signals);
    }
    trial.goes_on(signals, &receiver);
}

#[cfg(feature = "mio")]
fn a_moderated_loop_that_is_left(trial: &Trial<'_>, signals: &mut Signals) {
    let (mut receiver, poll) = moderated(trial);
    let left = trial.does(|| poll.registry().deregister(&mut receiver));
    if left.is_err() {
        poll.registry().deregister(&mut receiver).unwrap();
    }
    trial.goes_on(signals, &receiver);
}

// ---------------------------------------------------------------------------

pub(super) const HANDING_OUT: Operations =
    operations![a_hub, a_subscriber_that_goes];

fn handing_out() {
    inject(HANDING_OUT);
}

fn a_hub(trial: &Trial<'_>, signals: &mut Signals) {
    let receiver = open(both()).unwrap();
    let hub = Hub::<2, 4>::new();
    let mut subscriber = trial.does(|| hub.subscribe(kept())).unwrap();
    let mut dispatcher = trial.does(|| hub.dispatcher()).unwrap();
    for _ in 0..2 {
        let wait = || subscriber.wait_timeout(MOMENT);
        let info = trial.call(&[Op::Futex], wait);
        assert_eq!(info.unwrap_or_default(), None);
        let info = receiver.wait().unwrap();
        let count = trial.does(|| dispatcher.dispatch(&info));
        assert_eq!(count, Ok(1));
        let info = trial.call(&[], || subscriber.wait());
        signals.got(info);
    }
    trial.goes_on(signals, &receiver);
}

/// With what it has not seen.
fn a_subscriber_that_goes(trial: &Trial<'_>, signals: &mut Signals) {
    let receiver = open(both()).unwrap();
    let hub = Hub::<2, 4>::new();
    let subscriber = hub.subscribe(kept()).unwrap();
    for _ in 0..2 {
        let info = receiver.wait().unwrap();
        assert_eq!(hub.dispatcher().unwrap().dispatch(&info), Ok(1));
    }
    trial.does(|| drop(subscriber));
    trial.goes_on(signals, &receiver);
}
