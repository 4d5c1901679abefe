//! What loom proves of a hub. What each model proves stands above it, and its bound.

extern crate std;

use core::task::Waker;
use std::vec::Vec;

use loom::sync::Arc;
use loom::thread;

use super::model::{Member, Model, ONE, PROCESS, TWO};
use crate::primitive::{AtomicUsize, Ordering};

fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 10_000;
    builder.check(model);
}

/// What a subscriber takes while these records are dispatched is whole, in order, and
/// with what it missed it is all there is; and no cell stays held.
fn overwriting(depth: usize, records: u64, takes: usize) {
    let model = Model::new(1, depth);
    let mut member = Member::join(&model, 0, ONE).unwrap();
    // So that the ring is open.
    assert_eq!(model.dispatch(ONE, 0), Ok(()));
    assert_eq!(member.take(), Some(0));
    let other = Arc::clone(&model);
    let dispatcher = thread::spawn(move || {
        for record in 1..records {
            assert_eq!(other.dispatch(ONE, record), Ok(()));
        }
    });
    let mut next = 1;
    let mut take = |member: &mut Member| {
        let record = member.take()?;
        assert!(record >= next, "it is out of order");
        next = record + 1;
        Some(record)
    };
    for _ in 0..takes {
        take(&mut member);
        assert!(member.missed() <= records);
    }
    dispatcher.join().unwrap();
    while take(&mut member).is_some() {}
    assert_eq!(next, records, "the last is never lost");
    assert_eq!(member.taken + member.missed(), records);
    assert!(member.leave().is_empty());
    assert!(model.cells().are_free());
}

/// Proves [`overwriting`] of a ring with one entry, in which all that comes overwrites.
/// Bound: five records, two takes, four preemptions.
#[test]
fn one_entry_is_overwritten_while_it_is_taken() {
    check(4, || overwriting(1, 5, 2));
}

/// Proves [`overwriting`] of a ring with two entries, also where the subscriber passes over
/// what it might still have taken. Bound: six records, one take, three
/// preemptions.
#[test]
fn two_entries_are_overwritten_again_and_again() {
    check(3, || overwriting(2, 6, 1));
}

/// Proves [`overwriting`] of a ring with two entries. Bound: five records, two takes, two
/// preemptions.
#[test]
fn two_entries_are_overwritten_while_they_are_taken() {
    check(2, || overwriting(2, 5, 2));
}

/// Proves: of records that are dispatched while the only subscriber takes one and leaves,
/// each is taken, or given back, or known to the dispatcher as nobody's; exactly one of
/// these; and no cell stays held. Bound: two records, four preemptions.
#[test]
fn leaving_while_records_come_loses_none() {
    check(4, || {
        let model = Model::new(1, 2);
        let mut member = Member::join(&model, 0, ONE).unwrap();
        let other = Arc::clone(&model);
        let dispatcher = thread::spawn(move || {
            (0..2).filter(|n| other.dispatch(ONE, *n).is_err()).count()
        });
        let taken = usize::from(member.take().is_some());
        let given_back = member.leave().len();
        let unclaimed = dispatcher.join().unwrap();
        assert_eq!(taken + given_back + unclaimed, 2);
        assert!(model.cells().are_free());
    });
}

/// Proves: a record that two subscribers leave unread at once is given back by one of
/// them. Unbounded.
#[test]
fn of_two_that_leave_one_gives_back() {
    loom::model(|| {
        let model = Model::new(2, 1);
        let one = Member::join(&model, 0, ONE).unwrap();
        let two = Member::join(&model, 1, ONE).unwrap();
        assert_eq!(model.dispatch(ONE, 7), Ok(()));
        let thread = thread::spawn(move || one.leave());
        let mut given_back = two.leave();
        given_back.extend(thread.join().unwrap());
        assert_eq!(given_back, [7]);
        assert!(model.cells().are_free());
    });
}

/// Proves: the same while it is still being dispatched: either one of them gives it back,
/// or the dispatcher knows that it is nobody's. Bound: three preemptions.
#[test]
fn of_two_that_leave_while_it_comes_one_gives_back_or_the_dispatcher_knows() {
    check(3, || {
        let model = Model::new(2, 1);
        let one = Member::join(&model, 0, ONE).unwrap();
        let two = Member::join(&model, 1, ONE).unwrap();
        let other = Arc::clone(&model);
        let dispatcher = thread::spawn(move || other.dispatch(ONE, 7).is_err());
        let thread = thread::spawn(move || one.leave());
        let mut given_back = two.leave();
        given_back.extend(thread.join().unwrap());
        let unclaimed = usize::from(dispatcher.join().unwrap());
        assert_eq!(given_back.len() + unclaimed, 1);
        assert!(model.cells().are_free());
    });
}

/// Proves: what one subscriber takes while another leaves it unread is not given back.
/// Unbounded.
#[test]
fn what_one_takes_the_other_does_not_give_back() {
    loom::model(|| {
        let model = Model::new(2, 1);
        let mut one = Member::join(&model, 0, ONE).unwrap();
        let two = Member::join(&model, 1, ONE).unwrap();
        assert_eq!(model.dispatch(ONE, 7), Ok(()));
        let thread = thread::spawn(move || two.leave());
        assert_eq!(one.take(), Some(7));
        assert!(thread.join().unwrap().is_empty());
        assert!(one.leave().is_empty());
        assert!(model.cells().are_free());
    });
}

/// Proves: who takes a place that was just left gets nothing that was meant for the one
/// before, however far the dispatcher has come with it; and that is not lost. Bound: four
/// preemptions.
#[test]
fn the_next_gets_nothing_of_the_one_before() {
    check(4, || {
        let model = Model::new(1, 2);
        let mut before = Member::join(&model, 0, ONE).unwrap();
        for number in 1..5 {
            assert_eq!(model.dispatch(ONE, number), Ok(()));
            assert_eq!(before.take(), Some(number));
        }
        let other = Arc::clone(&model);
        let dispatcher = thread::spawn(move || {
            let for_one = other.dispatch(ONE, 7).is_err();
            let for_both = other.dispatch(ONE | TWO, 8).is_err();
            usize::from(for_one) + usize::from(for_both)
        });
        let given_back = before.leave();
        let mut next = Member::join(&model, 0, TWO).unwrap();
        let early = next.take();
        assert_eq!(next.missed(), 0, "it is numbered anew");
        let unclaimed = dispatcher.join().unwrap();
        // The second record is for whoever is there: the one before, or nobody.
        let late = next.take();
        let taken: Vec<u64> = early.into_iter().chain(late).collect();
        assert!(taken.is_empty() || taken == [8]);
        assert_eq!(next.missed(), 0, "it is numbered anew");
        assert_eq!(given_back.len() + unclaimed + taken.len(), 2);
        assert!(next.leave().is_empty());
        assert!(model.cells().are_free());
    });
}

/// Proves: of two that want the last place at once, one gets it, as the other left it.
/// Unbounded.
#[test]
fn one_of_two_gets_the_place() {
    loom::model(|| {
        let model = Model::new(1, 1);
        let other = Arc::clone(&model);
        let thread = thread::spawn(move || {
            Member::join(&other, 0, ONE).map(Member::leave).is_some()
        });
        let joined = Member::join(&model, 0, TWO);
        let is_in = joined.is_some();
        if is_in {
            assert_eq!(model.seats[0].wanted(PROCESS), Some(TWO));
        }
        assert!(thread.join().unwrap() || is_in);
        joined.map(Member::leave);
        assert_eq!(model.seats[0].wanted(PROCESS), None);
    });
}

/// Proves: a thread that finds nothing after it has said that it falls asleep is woken by
/// what is dispatched. Unbounded.
#[test]
fn no_sleeper_is_forgotten() {
    loom::model(|| {
        let model = Model::new(1, 1);
        let mut member = Member::join(&model, 0, ONE).unwrap();
        let other = Arc::clone(&model);
        let dispatcher = thread::spawn(move || {
            assert_eq!(other.dispatch(ONE, 7), Ok(()));
        });
        let seat = &model.seats[0];
        let unrung = seat.fall_asleep();
        let sleeps = !member.has_some();
        dispatcher.join().unwrap();
        let was_rung = seat.bell().load(Ordering::Relaxed) != unrung;
        assert!(!sleeps || was_rung);
        seat.wake_up();
        assert_eq!(member.take(), Some(7));
        assert!(member.leave().is_empty());
    });
}

/// Proves: the same of a thread that has taken the place of another meanwhile, for which
/// the dispatcher may still be working. Bound: three preemptions.
#[test]
fn no_sleeper_is_forgotten_for_another() {
    check(3, || {
        let model = Model::new(1, 1);
        let before = Member::join(&model, 0, ONE).unwrap();
        model.seats[0].fall_asleep();
        let other = Arc::clone(&model);
        let dispatcher = thread::spawn(move || {
            let _ = other.dispatch(ONE, 7);
            let _ = other.dispatch(TWO, 8);
        });
        drop(before.leave());
        let next = Member::join(&model, 0, TWO).unwrap();
        let seat = &model.seats[0];
        let unrung = seat.fall_asleep();
        let sleeps = !next.has_some();
        dispatcher.join().unwrap();
        let was_rung = seat.bell().load(Ordering::Relaxed) != unrung;
        assert!(!sleeps || was_rung || !next.has_some());
        drop(next.leave());
    });
}

/// A waker that counts its wakes.
struct Count(AtomicUsize);

impl std::task::Wake for Count {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

/// Proves: a task that finds nothing after it has left its waker is woken by what is
/// dispatched. Unbounded.
#[test]
fn no_task_is_forgotten() {
    loom::model(|| {
        let model = Model::new(1, 1);
        let member = Member::join(&model, 0, ONE).unwrap();
        let other = Arc::clone(&model);
        let dispatcher = thread::spawn(move || {
            assert_eq!(other.dispatch(ONE, 7), Ok(()));
        });
        let count = std::sync::Arc::new(Count(AtomicUsize::new(0)));
        let seat = &model.seats[0];
        seat.waker().register(&Waker::from(std::sync::Arc::clone(&count)));
        seat.await_waker();
        let waits = !member.has_some();
        dispatcher.join().unwrap();
        assert!(!waits || count.0.load(Ordering::Acquire) > 0);
        assert_eq!(member.leave(), [7]);
    });
}
