//! mio, which is edge-triggered.

use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use mio::event::Source;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use signalfd::{Batch, Error, Receiver, SigInfo, Signals};

use super::shared::{APART, MANY, count, expect_all, pass, send};
use super::{Way, rt, ways};
use crate::allocations::without_allocating;
use crate::common::{Child, open, options, pid, receiver_for, sigqueue};
use crate::harness::cases;

cases! {
    a_scope_is_a_source,
    a_receiver_is_a_source,
    an_event_for_nothing_is_followed_by_the_next,
    a_thread_that_does_not_block_is_told,
    a_forked_child_changes_nothing,
    nothing_is_allocated_for_a_signal,
    signals_gather,
    what_has_gathered_is_told_when_the_time_is_over,
    ten_thousand_that_gather,
    who_reads_by_waiting_for_no_time_is_told_again,
    who_is_told_for_an_end_that_was_anothers_is_told_again,
}

/// In batches of this size.
pub(super) struct Batches<const N: usize>;

const SIGNALS: Token = Token(7);

fn wait(poll: &mut Poll, events: &mut Events) {
    match poll.poll(events, None) {
        Err(error) if error.kind() == ErrorKind::Interrupted => events.clear(),
        done => done.unwrap(),
    }
}

impl<const N: usize> Way for Batches<N> {
    fn take(
        receiver: &Receiver,
        taken: &mut Vec<SigInfo>,
        enough: &dyn Fn(&[SigInfo]) -> bool,
    ) {
        let mut poll = Poll::new().unwrap();
        let fd = receiver.as_raw_fd();
        let mut source = SourceFd(&fd);
        let registry = poll.registry();
        registry.register(&mut source, SIGNALS, Interest::READABLE).unwrap();
        let mut events = Events::with_capacity(8);
        let mut batch = Batch::<N>::new();
        loop {
            wait(&mut poll, &mut events);
            for event in &events {
                assert_eq!(event.token(), SIGNALS);
                assert!(event.is_readable());
                loop {
                    let infos = receiver.try_recv_batch(&mut batch).unwrap();
                    taken.extend(infos);
                    // In between, and not only at the end: it may stop at any time.
                    if !infos.is_empty() && enough(taken) {
                        return;
                    }
                    if infos.len() < N {
                        break;
                    }
                }
            }
        }
    }
}

ways! {
    batches_of_one: Batches<1>,
    batches_of_sixteen: Batches<16>,
}

/// A signal is sent, and whoever polls is told of it, once.
fn is_told(poll: &mut Poll, events: &mut Events, of: &Receiver, token: Token) {
    sigqueue(pid(), rt(), 1).unwrap();
    let info = loop {
        wait(poll, events);
        assert!(events.iter().all(|event| event.token() == token));
        if let Some(info) = of.try_recv().unwrap() {
            break info;
        }
    };
    assert_eq!(info.value(), Some(1));
    assert_eq!(of.try_recv().unwrap(), None);
}

/// Polls without waiting, and tells whether there was an event.
fn is_something(poll: &mut Poll, events: &mut Events) -> bool {
    poll.poll(events, Some(Duration::ZERO)).unwrap();
    !events.is_empty()
}

fn is_a_source<S: Source + AsRef<Receiver>>(mut source: S) {
    let mut poll = Poll::new().unwrap();
    let mut events = Events::with_capacity(8);
    let readable = Interest::READABLE;
    poll.registry().register(&mut source, SIGNALS, readable).unwrap();
    for _ in 0..3 {
        is_told(&mut poll, &mut events, source.as_ref(), SIGNALS);
    }
    let other = Token(8);
    poll.registry().reregister(&mut source, other, readable).unwrap();
    is_told(&mut poll, &mut events, source.as_ref(), other);

    poll.registry().deregister(&mut source).unwrap();
    sigqueue(pid(), rt(), 2).unwrap();
    assert!(!is_something(&mut poll, &mut events));
    // What is there already is told of, too.
    poll.registry().register(&mut source, SIGNALS, readable).unwrap();
    assert!(is_something(&mut poll, &mut events));
    let info = source.as_ref().try_recv().unwrap().unwrap();
    assert_eq!(info.value(), Some(2));
}

fn a_scope_is_a_source() {
    is_a_source(open(rt()).unwrap());
}

fn a_receiver_is_a_source() {
    let _guard = signalfd::block(rt()).unwrap();
    is_a_source(receiver_for(rt()).unwrap());
}

fn an_event_for_nothing_is_followed_by_the_next() {
    let mut signals = open(rt()).unwrap();
    let mut poll = Poll::new().unwrap();
    let mut events = Events::with_capacity(8);
    let readable = Interest::READABLE;
    poll.registry().register(&mut signals, SIGNALS, readable).unwrap();
    for _ in 0..100 {
        sigqueue(pid(), rt(), 1).unwrap();
        wait(&mut poll, &mut events);
        // Another one is faster.
        assert!(signals.try_recv().unwrap().is_some());
        let mut batch = Batch::<4>::new();
        assert!(signals.try_recv_batch(&mut batch).unwrap().is_empty());
        is_told(&mut poll, &mut events, &signals, SIGNALS);
    }
}

fn a_thread_that_does_not_block_is_told() {
    let guard = signalfd::block(rt()).unwrap();
    let mut receiver = receiver_for(rt()).unwrap();
    drop(guard);
    let poll = Poll::new().unwrap();
    let readable = Interest::READABLE;
    let result = poll.registry().register(&mut receiver, SIGNALS, readable);
    let text = result.unwrap_err().to_string();
    assert_eq!(text, Error::NotBlocked(rt().into()).to_string());
}

fn a_forked_child_changes_nothing() {
    let mut signals = open(rt()).unwrap();
    let mut poll = Poll::new().unwrap();
    let mut events = Events::with_capacity(8);
    let readable = Interest::READABLE;
    poll.registry().register(&mut signals, SIGNALS, readable).unwrap();
    Child::fork(|| {
        let registry = poll.registry();
        let results = [
            registry.register(&mut signals, SIGNALS, readable),
            registry.reregister(&mut signals, SIGNALS, readable),
            registry.deregister(&mut signals),
        ];
        for result in results {
            let text = result.unwrap_err().to_string();
            assert_eq!(text, Error::Forked.to_string());
        }
        0
    })
    .wait_for_success();
    is_told(&mut poll, &mut events, &signals, SIGNALS);
}

fn nothing_is_allocated_for_a_signal() {
    let mut signals = open(rt()).unwrap();
    let mut poll = Poll::new().unwrap();
    let mut events = Events::with_capacity(8);
    without_allocating(|| {
        let readable = Interest::READABLE;
        poll.registry().register(&mut signals, SIGNALS, readable).unwrap();
        for _ in 0..100 {
            is_told(&mut poll, &mut events, &signals, SIGNALS);
        }
        poll.registry().deregister(&mut signals).unwrap();
    });
}

/// A receiver in a poll, for which signals gather for so long.
fn moderated(delay: Duration) -> (Signals, Poll, Events) {
    let options = options().moderate(delay, usize::MAX);
    let mut signals = options.open(rt()).unwrap();
    let poll = Poll::new().unwrap();
    let readable = Interest::READABLE;
    poll.registry().register(&mut signals, SIGNALS, readable).unwrap();
    (signals, poll, Events::with_capacity(8))
}

/// Takes two batches of one, so soon after each other that signals gather now.
fn get_in_the_flow(signals: &Signals, apart: Duration) {
    for value in [-2, -1] {
        pass(apart);
        sigqueue(pid(), rt(), value).unwrap();
        let mut batch = Batch::<MANY>::new();
        assert_eq!(signals.try_recv_batch(&mut batch).unwrap().len(), 1);
    }
}

fn signals_gather() {
    let (signals, mut poll, mut events) = moderated(Duration::from_secs(1000));
    get_in_the_flow(&signals, APART);
    // What it was told of has been taken.
    poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
    sigqueue(pid(), rt(), 0).unwrap();
    poll.poll(&mut events, Some(Duration::from_millis(1))).unwrap();
    assert!(events.is_empty());
    assert_eq!(signals.try_recv().unwrap().unwrap().value(), Some(0));
    // Nothing is left, and the next is told of.
    assert_eq!(signals.try_recv(), Ok(None));
    is_told(&mut poll, &mut events, &signals, SIGNALS);
}

fn what_has_gathered_is_told_when_the_time_is_over() {
    let (signals, mut poll, mut events) = moderated(Duration::from_millis(5));
    for _ in 0..3 {
        get_in_the_flow(&signals, Duration::ZERO);
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        for value in 0..3 {
            sigqueue(pid(), rt(), value).unwrap();
        }
        let mut taken = Vec::new();
        let mut batch = Batch::<MANY>::new();
        while taken.len() < 3 {
            wait(&mut poll, &mut events);
            taken.extend(signals.try_recv_batch(&mut batch).unwrap());
        }
        expect_all(&taken, 3);
    }
}

fn ten_thousand_that_gather() {
    let (signals, mut poll, mut events) = moderated(Duration::from_micros(200));
    let parent = pid();
    let child = Child::fork(|| {
        send(parent, rt(), count());
        0
    });
    let mut taken = Vec::new();
    let mut batch = Batch::<16>::new();
    while taken.len() < count() {
        wait(&mut poll, &mut events);
        for _ in &events {
            loop {
                let infos = signals.try_recv_batch(&mut batch).unwrap();
                taken.extend(infos);
                if infos.len() < 16 {
                    break;
                }
            }
        }
    }
    expect_all(&taken, count());
    child.wait_for_success();
}

/// It takes what is there as `try_recv_batch` does.
fn who_reads_by_waiting_for_no_time_is_told_again() {
    let (signals, mut poll, mut events) = moderated(Duration::from_millis(5));
    get_in_the_flow(&signals, Duration::ZERO);
    for value in 0..100 {
        sigqueue(pid(), rt(), value).unwrap();
        let mut has_come = false;
        while !has_come {
            wait(&mut poll, &mut events);
            let mut batch = Batch::<64>::new();
            let infos = signals.wait_batch_timeout(&mut batch, Duration::ZERO);
            has_come = !infos.unwrap().is_empty();
        }
    }
}

/// Two threads take batches, and each has signals gather for a time of its own.
fn who_is_told_for_an_end_that_was_anothers_is_told_again() {
    let (signals, mut poll, mut events) = moderated(Duration::from_micros(200));
    let receiver: &Receiver = &signals;
    let taken = AtomicUsize::new(0);
    let all = count();
    let parent = pid();
    let child = Child::fork(move || {
        send(parent, rt(), all);
        0
    });
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut batch = Batch::<64>::new();
            while taken.load(Ordering::Relaxed) < all {
                let infos = receiver.try_recv_batch(&mut batch).unwrap();
                taken.fetch_add(infos.len(), Ordering::Relaxed);
            }
            // Whoever waits hears of the end.
            sigqueue(pid(), rt(), -1).unwrap();
        });
        let mut batch = Batch::<32>::new();
        while taken.load(Ordering::Relaxed) < all {
            wait(&mut poll, &mut events);
            let mut is_full = true;
            while is_full {
                let infos = receiver.try_recv_batch(&mut batch).unwrap();
                taken.fetch_add(infos.len(), Ordering::Relaxed);
                is_full = infos.len() == 32;
            }
        }
    });
    child.wait_for_success();
    while receiver.try_recv().unwrap().is_some() {}
}
