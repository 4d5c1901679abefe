//! Sequences of what can be done with a hub on one thread, against plain queues.
//!
//! They are done to a hub as everybody has it, and to its insides (`model.rs`), which
//! tell what is given back. The hub gives it to the kernel, which drops it: the signals
//! are those that are ignored by default.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a panic is what a fuzzer looks for"
)]

extern crate std;

use core::future::Future;
use core::pin::pin;
use core::sync::atomic::{AtomicU64, Ordering};
use core::task::{Context, Poll, Waker};
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Wake;
use std::vec::Vec;

use super::model::{Member, Model, PROCESS, Unclaimed};
use super::{Dispatcher, Hub, Subscriber};
use crate::fuzz::Input;
use crate::{Batch, Error, SigInfo, Signal, SignalSet};

const SIGNALS: [Signal; 2] = [Signal::URG, Signal::WINCH];

/// How often a task was woken.
#[derive(Default)]
struct Woken(AtomicU64);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// What a subscriber should have.
struct Queue {
    wanted: SignalSet,
    records: VecDeque<u64>,
    missed: u64,
    /// Whether its task waits, and how often it was woken.
    is_awaited: bool,
    woken: u64,
}

/// How many still have a record, and whether somebody has seen it.
#[derive(Default)]
struct Fate {
    holders: usize,
    is_seen: bool,
}

fn fate_of(fates: &mut [Fate], number: u64) -> &mut Fate {
    &mut fates[usize::try_from(number).unwrap()]
}

/// A subscriber of the hub, of its insides, and what they should be.
struct Seat<'h> {
    subscriber: Subscriber<'h>,
    member: Member,
    queue: Queue,
    task: Arc<Woken>,
}

struct All<'h, const SEATS: usize, const DEPTH: usize> {
    hub: &'h Hub<SEATS, DEPTH>,
    dispatcher: Option<Dispatcher<'h>>,
    model: Arc<Model>,
    seats: Vec<Option<Seat<'h>>>,
    /// Of each record, by its number.
    fates: Vec<Fate>,
}

/// At least one of the signals.
fn some(input: &mut Input<'_>) -> SignalSet {
    match input.below(3) {
        2 => SIGNALS.into(),
        one => SIGNALS[one].into(),
    }
}

const fn record(signal: Signal, number: u64) -> SigInfo {
    let (signo, code) = (signal.as_raw(), libc::SI_QUEUE);
    SigInfo { signo, code, ptr: number, ..SigInfo::EMPTY }
}

impl<'h, const SEATS: usize, const DEPTH: usize> All<'h, SEATS, DEPTH> {
    fn new(hub: &'h Hub<SEATS, DEPTH>) -> Self {
        Self {
            hub,
            dispatcher: hub.dispatcher().ok(),
            model: Model::new(SEATS, DEPTH),
            seats: (0..SEATS).map(|_| None).collect(),
            fates: Vec::new(),
        }
    }

    fn subscribe(&mut self, wanted: SignalSet) {
        let Some(index) = self.seats.iter().position(Option::is_none) else {
            let refused = self.hub.subscribe(wanted).err();
            assert_eq!(refused, Some(Error::TooManySubscribers));
            for index in 0..SEATS {
                let bits = wanted.bits();
                assert!(Member::join(&self.model, index, bits).is_none());
            }
            return;
        };
        let member = Member::join(&self.model, index, wanted.bits());
        let queue = Queue {
            wanted,
            records: VecDeque::new(),
            missed: 0,
            is_awaited: false,
            woken: 0,
        };
        self.seats[index] = Some(Seat {
            subscriber: self.hub.subscribe(wanted).unwrap(),
            member: member.unwrap(),
            queue,
            task: Arc::default(),
        });
    }

    fn leave(&mut self, index: usize) {
        let Some(seat) = self.seats[index].take() else { return };
        let mut expected = Vec::new();
        for number in seat.queue.records {
            let fate = fate_of(&mut self.fates, number);
            fate.holders -= 1;
            if fate.holders == 0 && !fate.is_seen {
                expected.push(number);
            }
        }
        assert_eq!(seat.member.leave(), expected);
        drop(seat.subscriber);
    }

    fn dispatch(&mut self, signal: Signal) {
        let Some(dispatcher) = &mut self.dispatcher else { return };
        let number = self.fates.len() as u64;
        let mut fate = Fate::default();
        for seat in self.seats.iter_mut().flatten() {
            let queue = &mut seat.queue;
            if !queue.wanted.has(signal) {
                continue;
            }
            queue.records.push_back(number);
            fate.holders += 1;
            if queue.records.len() > DEPTH {
                let lost = queue.records.pop_front().unwrap();
                queue.missed += 1;
                fate_of(&mut self.fates, lost).holders -= 1;
            }
            queue.woken += u64::from(queue.is_awaited);
            queue.is_awaited = false;
        }
        let holders = fate.holders;
        self.fates.push(fate);
        let count = dispatcher.dispatch(&record(signal, number));
        assert_eq!(count, Ok(holders));
        let bits = SignalSet::from(signal).bits();
        let claimed = if holders > 0 { Ok(()) } else { Err(Unclaimed) };
        assert_eq!(self.model.dispatch(bits, number), claimed);
    }

    /// Takes up to so many at once, or has a task wait for one.
    fn take(&mut self, index: usize, way: usize) {
        let Some(seat) = &mut self.seats[index] else { return };
        let mut batch = Batch::<3>::new();
        let (room, infos) = match way {
            0 => (1, seat.subscriber.try_recv().map(Vec::from_iter)),
            1 => {
                let infos = seat.subscriber.try_recv_batch(&mut batch);
                (3, infos.map(<[SigInfo]>::to_vec))
            }
            _ => {
                let waker = Waker::from(Arc::clone(&seat.task));
                let future = pin!(seat.subscriber.recv());
                let polled = future.poll(&mut Context::from_waker(&waker));
                seat.queue.is_awaited |= polled.is_pending();
                let info = match polled {
                    Poll::Ready(info) => info.map(Some),
                    Poll::Pending => Ok(None),
                };
                (1, info.map(Vec::from_iter))
            }
        };
        let infos = infos.unwrap();
        assert_eq!(infos.len(), room.min(seat.queue.records.len()));
        for info in infos {
            let number = seat.queue.records.pop_front();
            assert_eq!(Some(info.ptr), number);
            assert_eq!(info, record(info.signal(), info.ptr));
            assert_eq!(seat.member.take(), number);
            let fate = fate_of(&mut self.fates, info.ptr);
            fate.holders -= 1;
            fate.is_seen = true;
        }
        if seat.queue.records.is_empty() {
            assert_eq!(seat.member.take(), None);
        }
    }

    fn change(&mut self, index: usize, way: usize, by: SignalSet) {
        let Some(seat) = &mut self.seats[index] else { return };
        let old = seat.queue.wanted;
        let (done, new) = match way {
            0 => (seat.subscriber.insert(by), old | by),
            1 => (seat.subscriber.remove(by), old - by),
            _ => (seat.subscriber.replace(by), by),
        };
        if new.is_empty() {
            assert_eq!(done, Err(Error::EmptySet));
            return;
        }
        assert_eq!(done, Ok(()));
        seat.queue.wanted = new;
        let model = self.model.place(index).seat;
        model.signals().store(new.bits(), Ordering::Release);
    }

    fn succeed(&mut self) {
        if self.dispatcher.is_some() {
            let refused = self.hub.dispatcher().err();
            assert_eq!(refused, Some(Error::AlreadyDispatching));
            self.dispatcher = None;
        } else {
            self.dispatcher = Some(self.hub.dispatcher().unwrap());
        }
    }

    fn compare(&self) {
        let mut wanted = SignalSet::empty();
        for (index, seat) in self.seats.iter().enumerate() {
            let model = self.model.place(index).seat;
            let bits = model.wanted(PROCESS);
            let Some(Seat { subscriber, member, queue, task }) = seat else {
                assert_eq!(bits, None);
                continue;
            };
            wanted |= queue.wanted;
            assert_eq!(bits, Some(queue.wanted.bits()));
            assert_eq!(subscriber.signals(), queue.wanted);
            assert_eq!(subscriber.missed(), queue.missed);
            assert_eq!(member.missed(), queue.missed);
            assert_eq!(member.has_some(), !queue.records.is_empty());
            assert_eq!(task.0.load(Ordering::Relaxed), queue.woken);
        }
        assert_eq!(self.hub.signals(), wanted);
    }

    fn end(mut self) {
        (0..SEATS).for_each(|index| self.leave(index));
        self.compare();
        assert!(self.hub.cells().are_free());
        assert!(self.model.cells().are_free());
    }
}

fn with<const SEATS: usize, const DEPTH: usize>(input: &mut Input<'_>) {
    let hub = Hub::<SEATS, DEPTH>::new();
    let mut all = All::new(&hub);
    // Some inputs let the rings run over, others seldom.
    let takes = 1 + input.below(8);
    while !input.is_empty() {
        let operation = input.below(10 + takes);
        let index = input.below(SEATS);
        match operation {
            0 => all.subscribe(some(input)),
            1 => all.leave(index),
            2 => all.change(index, input.below(3), some(input)),
            3 if input.below(4) == 0 => all.succeed(),
            3..10 => all.dispatch(SIGNALS[input.below(2)]),
            _ => all.take(index, input.below(3)),
        }
        all.compare();
    }
    all.end();
}

pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    match input.below(5) {
        0 => with::<1, 1>(&mut input),
        1 => with::<2, 3>(&mut input),
        2 => with::<3, 2>(&mut input),
        3 => with::<4, 8>(&mut input),
        _ => with::<3, 30>(&mut input),
    }
}
