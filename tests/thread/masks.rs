//! Blocking, and putting the mask back.

use signalfd::{Error, MaskGuard, Options, Signal, SignalSet, block, mask};

use crate::common::{open_in_thread, raise, set_mask, wait_until};

/// The mask at the start of a test, with a bit in it that was there before.
fn with_a_blocked_bit() -> (MaskGuard, SignalSet) {
    let guard = block(Signal::WINCH).unwrap();
    (guard, mask::current().unwrap())
}

#[test]
fn block_adds_and_drop_restores_exactly() {
    let (_outer, before) = with_a_blocked_bit();
    let guard = block(Signal::WINCH | Signal::TERM).unwrap();
    assert_eq!(guard.saved(), before);
    assert_eq!(mask::current().unwrap(), before | Signal::TERM);
    drop(guard);
    assert_eq!(mask::current().unwrap(), before, "WINCH was blocked before");
}

#[test]
fn guards_nest() {
    let (_outer, before) = with_a_blocked_bit();
    let one = block(Signal::HUP).unwrap();
    let two = block(Signal::HUP | Signal::INT).unwrap();
    let three = block(Signal::INT | Signal::rt(2).unwrap()).unwrap();
    drop(three);
    assert_eq!(mask::current().unwrap(), before | Signal::HUP | Signal::INT);
    drop(two);
    assert_eq!(mask::current().unwrap(), before | Signal::HUP);
    drop(one);
    assert_eq!(mask::current().unwrap(), before);
}

#[test]
fn a_panic_restores_the_mask() {
    let (_outer, before) = with_a_blocked_bit();
    let panicked = std::panic::catch_unwind(|| {
        let _signals = open_in_thread(Signal::TERM);
        std::panic::resume_unwind(Box::new(()));
    });
    assert!(panicked.is_err());
    assert_eq!(mask::current().unwrap(), before);
}

/// An assignment drops the old value last; a struct's fields are dropped in the
/// order of their declaration.
#[test]
fn scopes_may_end_in_any_order() {
    let (_outer, before) = with_a_blocked_bit();
    let mut signals = open_in_thread(Signal::HUP | Signal::TERM);
    assert!(signals.signals().contains(Signal::HUP.into()));
    signals = open_in_thread(Signal::TERM | Signal::USR1 | Signal::WINCH);
    raise(Signal::TERM);
    assert_eq!(signals.wait().unwrap().signal(), Signal::TERM);
    let held = Signal::TERM | Signal::USR1;
    assert_eq!(mask::current().unwrap(), before | held);
    drop(signals);
    assert_eq!(mask::current().unwrap(), before);

    let sets = [
        Signal::HUP | Signal::INT,
        Signal::INT | Signal::WINCH,
        Signal::WINCH | Signal::HUP | Signal::TERM,
    ];
    for order in
        [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]
    {
        let mut guards = sets.map(|set| Some(block(set).unwrap()));
        for gone in order {
            guards[gone] = None;
            let held =
                guards.iter().zip(sets).filter(|(guard, _)| guard.is_some());
            let held = held.fold(before, |all, (_, set)| all | set);
            assert_eq!(mask::current().unwrap(), held, "{order:?} {gone}");
        }
    }
}

/// What other code has done to the mask meanwhile is overwritten: the mask is
/// restored, not merely unblocked.
#[test]
fn the_mask_is_restored_whatever_others_did_to_it() {
    let (_outer, before) = with_a_blocked_bit();
    let guard = block(Signal::TERM).unwrap();
    set_mask(SignalSet::from(Signal::USR2));
    drop(guard);
    assert_eq!(mask::current().unwrap(), before);
}

/// A guard finds unblocked what an older one holds, and leaves it so.
#[test]
fn a_guard_leaves_unblocked_what_it_found_unblocked() {
    let before = mask::current().unwrap();
    let outer = block(Signal::TERM).unwrap();
    set_mask(before);
    for set in [Signal::USR1.into(), Signal::TERM | Signal::USR1] {
        let inner = block(set).unwrap();
        assert_eq!(mask::current().unwrap(), before | set);
        let innermost = block(Signal::TERM | Signal::USR2).unwrap();
        let all = before | set | Signal::TERM | Signal::USR2;
        assert_eq!(mask::current().unwrap(), all);
        drop(innermost);
        assert_eq!(mask::current().unwrap(), before | set);
        drop(inner);
        assert_eq!(mask::current().unwrap(), before);
    }
    drop(outer);
    assert_eq!(mask::current().unwrap(), before);
}

/// The older guard has been told to block it since, or a younger one needs it.
#[test]
fn what_was_found_unblocked_stays_blocked_for_whoever_blocked_it_since() {
    let before = mask::current().unwrap();
    let outer = open_in_thread(Signal::TERM | Signal::HUP);
    set_mask(before);
    let inner = block(Signal::USR1).unwrap();
    outer.insert(Signal::TERM).unwrap();
    drop(inner);
    assert_eq!(mask::current().unwrap(), before | Signal::TERM);

    // Until it is unblocked again.
    set_mask(before);
    drop(block(Signal::USR1).unwrap());
    assert_eq!(mask::current().unwrap(), before);

    let inner = block(Signal::USR1).unwrap();
    let innermost = block(Signal::HUP).unwrap();
    drop(inner);
    assert!(mask::current().unwrap().has(Signal::HUP));
    drop((innermost, outer));
    assert_eq!(mask::current().unwrap(), before);
}

#[test]
fn what_was_found_unblocked_can_be_removed() {
    let before = mask::current().unwrap();
    let outer = block(Signal::TERM).unwrap();
    set_mask(before);
    let inner = open_in_thread(Signal::TERM | Signal::USR1);
    inner.remove(Signal::TERM).unwrap();
    assert_eq!(mask::current().unwrap(), before | Signal::USR1);
    drop(inner);
    assert_eq!(mask::current().unwrap(), before);
    drop(outer);
}

/// Guards come and go in the reverse order, and other code sets the mask to what
/// it likes: each restores what it found.
#[test]
fn in_the_reverse_order_every_guard_restores_what_it_found() {
    let signals =
        [Signal::HUP, Signal::INT, Signal::TERM, Signal::USR1, Signal::WINCH];
    let before = mask::current().unwrap();
    let mut state = 1_u64;
    let mut below = |end: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) % end
    };
    let mut scopes: Vec<signalfd::Signals> = Vec::new();
    for _ in 0..20_000 {
        let bits = below(32);
        let some = (0..).zip(signals).filter(|(bit, _)| bits >> bit & 1 == 1);
        let set: SignalSet = some.map(|(_, signal)| signal).collect();
        match (below(6), scopes.last()) {
            (0, _) => set_mask(before | set),
            (1, Some(scope)) if !set.is_empty() => scope.insert(set).unwrap(),
            // It may hold nothing else, and nothing is an error.
            (2, Some(scope)) => drop(scope.remove(set)),
            (3, _) if scopes.len() < 6 && !set.is_empty() => {
                scopes.push(open_in_thread(set));
            }
            (4.., Some(_)) => {
                let scope = scopes.pop().unwrap();
                let found = scope.guard().saved();
                drop(scope);
                assert_eq!(mask::current().unwrap(), found);
            }
            _ => {}
        }
    }
    while scopes.pop().is_some() {}
    set_mask(before);
}

/// What other code has blocked stays blocked when a scope gives it up, and is
/// not taken for what an earlier guard had blocked.
#[test]
fn what_others_have_blocked_is_theirs() {
    let before = mask::current().unwrap();
    set_mask(before | Signal::USR1);
    let signals = open_in_thread(Signal::USR1 | Signal::TERM);
    signals.remove(Signal::USR1).unwrap();
    let all = before | Signal::USR1 | Signal::TERM;
    assert_eq!(mask::current().unwrap(), all);
    drop(signals);
    assert_eq!(mask::current().unwrap(), before | Signal::USR1);

    drop(block(Signal::TERM).unwrap());
    set_mask(before | Signal::TERM);
    drop(block(Signal::HUP).unwrap());
    assert_eq!(mask::current().unwrap(), before | Signal::TERM);
    set_mask(before);
}

#[test]
fn a_forgotten_guard_leaves_the_signals_blocked() {
    let before = mask::current().unwrap();
    let outer = block(Signal::USR1 | Signal::USR2).unwrap();
    std::mem::forget(block(Signal::USR1).unwrap());
    drop(outer);
    assert_eq!(mask::current().unwrap(), before | Signal::USR1);
}

#[test]
fn the_whole_set_can_be_blocked_and_received() {
    let before = mask::current().unwrap();
    let signals = open_in_thread(SignalSet::all());
    assert_eq!(mask::current().unwrap(), before | SignalSet::all());
    for signal in SignalSet::all().signals() {
        raise(signal);
        // SIGCONT would remove pending stop signals, and the other way round.
        let info = signals.try_recv().unwrap().expect("it is pending");
        assert_eq!(info.signal(), signal);
    }
    drop(signals);
    assert_eq!(mask::current().unwrap(), before);
}

#[test]
fn scopes_nest_and_the_outer_one_gets_what_the_inner_one_left() {
    let (_outer, before) = with_a_blocked_bit();
    let outer = open_in_thread(Signal::USR1 | Signal::USR2);
    let inner = open_in_thread(Signal::USR1);
    raise(Signal::USR1);
    raise(Signal::USR2);
    assert_eq!(inner.try_recv().unwrap().unwrap().signal(), Signal::USR1);
    assert_eq!(inner.try_recv().unwrap(), None);
    raise(Signal::USR1);
    drop(inner);
    let mut left = outer.iter().map(|info| info.unwrap().signal());
    assert_eq!(left.next(), Some(Signal::USR1));
    assert_eq!(left.next(), Some(Signal::USR2));
    drop(outer);
    assert_eq!(mask::current().unwrap(), before);
}

#[test]
fn the_guard_of_an_open_receiver_knows_the_mask_of_before() {
    let (_outer, before) = with_a_blocked_bit();
    let signals = open_in_thread(Signal::TERM);
    assert_eq!(signals.guard().saved(), before);
}

#[test]
fn the_check_finds_the_threads_that_block_nothing() {
    // libtest's main thread is one, but for the moments in which it starts
    // another: the C library blocks everything then.
    let _guard = block(Signal::USR1).unwrap();
    wait_until("the main thread is found", || {
        match mask::check_threads(Signal::USR1) {
            Err(Error::UnblockedThread(thread)) => {
                assert_eq!(thread.signals(), Signal::USR1.into());
                thread.tid() > 0
            }
            other => other.is_err(),
        }
    });
    assert_eq!(mask::check_threads(SignalSet::empty()), Ok(()));
}

#[test]
fn a_failed_open_restores_the_mask() {
    let (_outer, before) = with_a_blocked_bit();
    wait_until("the main thread is found", || {
        let found = match signalfd::open(Signal::TERM) {
            Ok(_) => false,
            Err(error) => {
                assert!(matches!(error, Error::UnblockedThread(_)), "{error}");
                true
            }
        };
        assert_eq!(mask::current().unwrap(), before);
        found
    });
}

#[test]
fn a_receiver_needs_the_calling_thread_to_block_its_signals() {
    let _guard = block(Signal::HUP).unwrap();
    let options = Options::new().check_threads(false);
    let set = Signal::HUP | Signal::TERM;
    let error = options.receiver(set).unwrap_err();
    assert_eq!(error, Error::NotBlocked(Signal::TERM.into()));
    assert!(options.receiver(Signal::HUP).is_ok());
}
