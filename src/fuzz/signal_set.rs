//! Sequences of operations on a set, against an array of 64 truths.

extern crate std;

use std::format;
use std::string::ToString;
use std::vec::Vec;

use super::Input;
use crate::{Error, Signal, SignalSet};

type Model = [bool; 64];

/// What a receiver cannot take, by number.
const FAULTS: [i32; 4] = [4, 7, 8, 11];
const UNBLOCKABLE: [i32; 2] = [9, 19];

fn is_reserved(number: i32) -> bool {
    (32..libc::SIGRTMIN()).contains(&number)
}

fn number_of(index: usize) -> i32 {
    i32::try_from(index).unwrap() + 1
}

fn is_receivable(index: usize) -> bool {
    let number = number_of(index);
    !is_reserved(number)
        && !FAULTS.contains(&number)
        && !UNBLOCKABLE.contains(&number)
}

/// The set of these numbers.
fn set_of(model: &Model, wanted: impl Fn(i32) -> bool) -> SignalSet {
    let mut bits = 0;
    for (index, is_in) in model.iter().enumerate() {
        if *is_in && wanted(number_of(index)) {
            bits |= 1 << index;
        }
    }
    SignalSet::from_bits_retain(bits)
}

/// A set and its model, from eight bytes, or of one signal.
fn operand(input: &mut Input<'_>) -> (SignalSet, Model) {
    if input.below(2) == 0 {
        let bit = input.below(64);
        let signal = Signal::at(bit.try_into().unwrap());
        return (signal.into(), core::array::from_fn(|index| index == bit));
    }
    let bits = input.long();
    let model = core::array::from_fn(|index| bits >> index & 1 == 1);
    (SignalSet::from_bits_retain(bits), model)
}

pub(super) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mut set = SignalSet::empty();
    let mut model = [false; 64];
    while !input.is_empty() {
        let operation = input.below(14);
        let (other, others) = operand(&mut input);
        let one = Signal::at(input.byte());
        let at = usize::from(one.bit());
        let old = model;
        let by = |f: fn(bool, bool) -> bool| {
            core::array::from_fn(|i| f(old[i], others[i]))
        };
        let and_not = |a: bool, b: bool| a && !b;
        match operation {
            0 => (set, model) = (set | other, by(|a, b| a | b)),
            1 => (set, model) = (set & other, by(|a, b| a & b)),
            2 => (set, model) = (set - other, by(and_not)),
            3 => (set, model) = (set ^ other, by(|a, b| a ^ b)),
            4 => {
                set |= one;
                model[at] = true;
            }
            5 => {
                set -= one;
                model[at] = false;
            }
            6 => {
                set.insert(one.into());
                model[at] = true;
            }
            7 => {
                set.remove(one.into());
                model[at] = false;
            }
            8 => {
                set.toggle(one.into());
                model[at] = !model[at];
            }
            9 => {
                // The complement is of what a receiver can take.
                set = !set;
                model = core::array::from_fn(|i| !old[i] && is_receivable(i));
            }
            10 => {
                set.extend(other.signals());
                let in_order = |i| others[i] && !is_reserved(number_of(i));
                model = core::array::from_fn(|i| old[i] || in_order(i));
            }
            11 => (set, model) = (other, others),
            12 => {
                set = one | set;
                model[at] = true;
            }
            _ => (set, model[at]) = (set - one, false),
        }
        assert_eq!(
            set.contains(other),
            (0..64).all(|i| model[i] || !others[i])
        );
        assert_eq!(
            set.intersects(other),
            (0..64).any(|i| model[i] && others[i])
        );
        compare(set, &model);
    }
    print(set, &model);
}

fn compare(set: SignalSet, model: &Model) {
    assert_eq!(set, set_of(model, |_| true));
    for (bit, is_in) in (0..).zip(model) {
        assert_eq!(set.has(Signal::at(bit)), *is_in);
    }
    let named: Vec<i32> = set.signals().map(Signal::as_raw).collect();
    let expected = (0..64).filter(|&i| model[i]).map(number_of);
    assert!(named.iter().copied().eq(expected.filter(|&n| !is_reserved(n))));
    let again: SignalSet = set.signals().collect();
    assert_eq!(again, set_of(model, |number| !is_reserved(number)));

    let reserved = set_of(model, is_reserved);
    let unblockable = set_of(model, |number| UNBLOCKABLE.contains(&number));
    let faults = set_of(model, |number| FAULTS.contains(&number));
    let expected = if set.is_empty() {
        Err(Error::EmptySet)
    } else if !unblockable.is_empty() {
        Err(Error::Unblockable(unblockable))
    } else if !faults.is_empty() {
        Err(Error::Synchronous(faults))
    } else if !reserved.is_empty() {
        Err(Error::Reserved(reserved))
    } else {
        Ok(set)
    };
    assert_eq!(set.check_receivable(), expected);
}

/// As text and back, which takes longer.
fn print(set: SignalSet, model: &Model) {
    let text = set.to_string();
    let parsed = text.parse::<SignalSet>();
    let reserved = set_of(model, is_reserved);
    match parsed {
        Ok(parsed) => assert!(parsed == set && reserved.is_empty()),
        // Of the first of them.
        Err(error) => {
            let first = reserved.bits() & reserved.bits().wrapping_neg();
            let first = SignalSet::from_bits_retain(first);
            assert_eq!(error, Error::Reserved(first));
        }
    }
    let width = text.len() + 1;
    assert_eq!(format!("{set:>width$}"), format!(" {text}"));
}
