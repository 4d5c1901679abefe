//! Sequences of what can be done with a hub, compared with plain queues.

extern crate std;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::vec::Vec;

use super::cells::Words;
use super::model::{Member, Model, ONE, TWO, Unclaimed};
use crate::receive::hub::{Hub, Subscriber};

/// A generator of numbers (xorshift), so that a sequence can be repeated.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    fn index(&mut self, end: usize) -> usize {
        usize::try_from(self.below(end as u64)).unwrap()
    }
}

/// What a subscriber should have.
#[derive(Default)]
struct Queue {
    wanted: u64,
    records: VecDeque<u64>,
    missed: u64,
}

/// How many still have a record, and whether somebody has seen it.
#[derive(Default)]
struct Fate {
    holders: usize,
    is_seen: bool,
}

/// A hub, and what it should be.
struct Both {
    depth: usize,
    model: Arc<Model>,
    members: Vec<Option<(Member, Queue)>>,
    fates: HashMap<u64, Fate>,
}

impl Both {
    fn new(seats: usize, depth: usize) -> Self {
        let members = (0..seats).map(|_| None).collect();
        let model = Model::new(seats, depth);
        Self { depth, model, members, fates: HashMap::new() }
    }

    fn join(&mut self, index: usize, wanted: u64) {
        let joined = Member::join(&self.model, index, wanted);
        assert_eq!(joined.is_some(), self.members[index].is_none());
        if let Some(member) = joined {
            let queue = Queue { wanted, ..Queue::default() };
            self.members[index] = Some((member, queue));
        }
    }

    fn leave(&mut self, index: usize) {
        let Some((member, queue)) = self.members[index].take() else { return };
        let mut expected = Vec::new();
        for number in queue.records {
            let fate = self.fates.get_mut(&number).unwrap();
            fate.holders -= 1;
            if fate.holders == 0 && !fate.is_seen {
                expected.push(number);
            }
        }
        assert_eq!(member.leave(), expected);
    }

    fn dispatch(&mut self, signal: u64, number: u64) {
        let mut fate = Fate::default();
        for (_, queue) in self.members.iter_mut().flatten() {
            if queue.wanted & signal == 0 {
                continue;
            }
            queue.records.push_back(number);
            fate.holders += 1;
            if queue.records.len() > self.depth {
                let lost = queue.records.pop_front().unwrap();
                queue.missed += 1;
                self.fates.get_mut(&lost).unwrap().holders -= 1;
            }
        }
        let expected = if fate.holders > 0 { Ok(()) } else { Err(Unclaimed) };
        self.fates.insert(number, fate);
        assert_eq!(self.model.dispatch(signal, number), expected);
    }

    fn take(&mut self, index: usize) {
        let Some((member, queue)) = &mut self.members[index] else { return };
        assert_eq!(member.missed(), queue.missed);
        assert_eq!(member.has_some(), !queue.records.is_empty());
        let expected = queue.records.pop_front();
        assert_eq!(member.take(), expected);
        assert_eq!(member.missed(), queue.missed);
        if let Some(number) = expected {
            let fate = self.fates.get_mut(&number).unwrap();
            fate.holders -= 1;
            fate.is_seen = true;
        }
    }
}

#[test]
fn every_sequence_is_that_of_plain_queues() {
    for seed in 1..=300 {
        let mut numbers = Numbers(seed << 32 | seed);
        let seats = 1 + numbers.index(4);
        let depth = 1 + numbers.index(30);
        // Some seeds let the rings run over, others seldom.
        let takes = 1 + numbers.below(8);
        let mut both = Both::new(seats, depth);
        for step in 0..1000 {
            let index = numbers.index(seats);
            let signals = 1 + numbers.below(3);
            match numbers.below(8 + takes) {
                0 => both.join(index, signals),
                1 => both.leave(index),
                2..8 => both.dispatch(signals, step),
                _ => both.take(index),
            }
        }
        (0..seats).for_each(|index| both.leave(index));
        assert!(both.model.cells().are_free(), "seed {seed}");
    }
}

/// Each subscriber has as many cells as it can hold, and they are used again.
#[test]
fn a_hub_that_is_full_has_a_cell_to_spare() {
    let mut both = Both::new(3, 2);
    (0..3).for_each(|index| both.join(index, 1 << index));
    for number in 0..100 {
        both.dispatch(1 << (number % 3), number);
    }
    (0..3).for_each(|index| both.leave(index));
    assert!(both.model.cells().are_free());
}

#[test]
fn a_place_that_another_process_has_left_is_free() {
    let model = Model::new(1, 1);
    let parents = Member::join(&model, 0, ONE).unwrap();
    assert_eq!(model.dispatch(ONE, 1), Ok(()));
    assert!(Member::join(&model, 0, TWO).is_none());

    // What follows is in a child.
    let (child, place) = (2, model.place(0));
    let (key, _) = place.join(child, TWO).unwrap();
    assert!(place.join(child, TWO).is_none());
    assert_eq!(place.seat.wanted(child), Some(TWO));
    assert_eq!(place.seat.wanted(1), None);
    assert!(!place.is_open(key));
    // Before there is a dispatcher, the subscriber leaves the parent's alone.
    drop(place.leave(key, 0, |_| unreachable!("it is the parent's")));
    assert_eq!(place.seat.wanted(child), None);

    let (key, _) = place.join(child, TWO).unwrap();
    model.cells().forget();
    let record = Words::default().map(|_| 7);
    let index = model.cells().fill(0, &record).unwrap();
    assert!(place.offer(child, TWO, index).has_got_it);
    assert!(place.is_open(key));
    assert_eq!(place.take(0).unwrap(), (0, record));
    assert_eq!(place.take(1), None);
    drop(parents);
}

/// It is in the zeroed part of a program, and costs what the documentation says.
#[test]
fn a_hub_is_as_large_as_it_is_said_to_be() {
    assert!(size_of::<Hub<8, 64>>() < 8 * 64 * 150);
}

#[test]
fn subscribers_and_their_futures_may_change_threads() {
    const fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<Hub<1, 1>>();
    is_send_and_sync::<Subscriber<'_>>();
    is_send_and_sync::<super::Dispatcher<'_>>();
    is_send_and_sync::<super::Recv<'_, '_>>();
    is_send_and_sync::<super::RecvBatch<'_, '_, '_, 1>>();
}
