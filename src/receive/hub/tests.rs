//! What a hub promises beside what it hands out, which `src/fuzz/hub.rs` tests.

use super::cells::Words;
use super::model::{Member, Model, ONE, TWO};
use crate::receive::hub::{Hub, Subscriber};

/// Each subscriber has as many cells as it can hold, and they are used again.
#[test]
fn a_hub_that_is_full_has_a_cell_to_spare() {
    let model = Model::new(3, 2);
    let join = |index| Member::join(&model, index, 1 << index).unwrap();
    let members = [0, 1, 2].map(join);
    for number in 0..100 {
        assert_eq!(model.dispatch(1 << (number % 3), number), Ok(()));
    }
    let left = members.map(Member::leave);
    assert_eq!(left, [[96, 99], [94, 97], [95, 98]]);
    assert!(model.cells().are_free());
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
