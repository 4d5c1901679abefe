//! Changing what is received, and leaving.

use std::thread;

use signalfd::{Error, Op, Receiver, Sender, Signal, SignalSet, block, mask};

use super::opening::OPENS;
use super::trial::{Signals, Trial, both, kept};
use super::{Operations, inject, operations};
use crate::common::{Child, DEADLINE, kill, open, pid, raise, receiver_for};
use crate::harness::cases;

cases! {
    changing,
    scopes_inside_each_other,
    putting_back,
    leaving,
    reopening,
}

pub(super) const CHANGING: Operations = operations![
    a_scope_gains,
    a_scope_loses,
    a_scope_changes,
    a_receiver_changes,
];

fn changing() {
    inject(CHANGING);
}

/// Changes a set; a failure leaves it as it was.
pub(super) fn change(
    trial: &Trial<'_>,
    signals: &mut Signals,
    receiver: &Receiver,
    tells: &[Op],
    to: SignalSet,
    change: impl FnOnce() -> Result<(), Error>,
) {
    let before = receiver.signals();
    let result = trial.all_or_nothing(tells, change);
    let is = if result.is_ok() { to } else { before };
    if !trial.cannot_be_undone() {
        assert_eq!(receiver.signals(), is);
        assert_eq!(mask::current(), Ok(is | kept()));
    }
    trial.explains(receiver);
    if receiver.signals().has(kept()) {
        signals.pass(receiver);
    }
}

fn a_scope_gains(trial: &Trial<'_>, signals: &mut Signals) {
    let scope = open(both()).unwrap();
    signals.got(scope.wait_timeout(std::time::Duration::ZERO).unwrap());
    let to = both() | Signal::TERM;
    change(trial, signals, &scope, OPENS, to, || scope.insert(Signal::TERM));
}

fn a_scope_loses(trial: &Trial<'_>, signals: &mut Signals) {
    let scope = open(both() | Signal::TERM).unwrap();
    change(trial, signals, &scope, OPENS, both(), || {
        scope.remove(Signal::TERM)
    });
    drop(scope);
    let scope = open(both()).unwrap();
    // Of these some are pending, or in a ring.
    let to = Signal::HUP.into();
    change(trial, signals, &scope, OPENS, to, || scope.remove(kept()));
}

fn a_scope_changes(trial: &Trial<'_>, signals: &mut Signals) {
    let scope = open(both()).unwrap();
    let to = kept() | Signal::TERM;
    change(trial, signals, &scope, OPENS, to, || scope.replace(to));
}

fn a_receiver_changes(trial: &Trial<'_>, signals: &mut Signals) {
    let guard = block(Signal::HUP).unwrap();
    let receiver = receiver_for(kept()).unwrap();
    // The second descriptor is there.
    signals.got([receiver.wait().unwrap()]);
    for to in [both(), kept().into(), Signal::HUP.into()] {
        let before = receiver.signals();
        let result = trial.all_or_nothing(OPENS, || receiver.replace(to));
        let is = if result.is_ok() { to } else { before };
        assert!(receiver.signals() == is || trial.cannot_be_undone());
    }
    receiver.replace(kept()).unwrap();
    trial.goes_on(signals, &receiver);
    drop((receiver, guard));
}

// ---------------------------------------------------------------------------

pub(super) const SCOPES_INSIDE_EACH_OTHER: Operations =
    operations![an_inner_scope, an_inner_scope_changes];

fn scopes_inside_each_other() {
    inject(SCOPES_INSIDE_EACH_OTHER);
}

fn an_inner_scope(trial: &Trial<'_>, signals: &mut Signals) {
    let outer = open(both()).unwrap();
    signals.got([outer.wait().unwrap()]);
    if let Ok(inner) = trial.all_or_nothing(OPENS, || open(both())) {
        trial.explains(&inner);
        signals.send(1);
        let before = inner.try_recv().unwrap();
        assert!(before.is_some());
        signals.got(before);
        drop(inner);
    }
    if !trial.cannot_be_undone() {
        signals.pass(&outer);
    }
}

fn an_inner_scope_changes(trial: &Trial<'_>, signals: &mut Signals) {
    let outer = open(both() | Signal::TERM).unwrap();
    let inner = open(Signal::HUP).unwrap();
    let insert = || inner.insert(Signal::TERM);
    let inserted = trial.all_or_nothing(OPENS, insert).is_ok();
    let change = || inner.replace(Signal::HUP | kept());
    let replaced = trial.all_or_nothing(OPENS, change).is_ok();
    if trial.cannot_be_undone() {
        return;
    }
    let all = inner.signals();
    assert_eq!(all.has(Signal::TERM), inserted && !replaced);
    assert_eq!(all.has(kept()), replaced);
    drop(inner);
    // The outer one has what it had.
    kill(pid(), Signal::TERM);
    let infos = || std::iter::from_fn(|| outer.wait_timeout(DEADLINE).unwrap());
    let info = infos().find(|info| {
        let is_it = info.signal() == Signal::TERM;
        if !is_it {
            signals.got([*info]);
        }
        is_it
    });
    assert!(info.is_some());
    trial.goes_on(signals, &outer);
}

// ---------------------------------------------------------------------------

pub(super) const PUTTING_BACK: Operations =
    operations![a_record_of_others, a_record_of_the_kernels];

fn putting_back() {
    inject(PUTTING_BACK);
}

fn a_record_of_others(trial: &Trial<'_>, signals: &mut Signals) {
    let receiver = open(both()).unwrap();
    let info = receiver.wait().unwrap();
    let put = trial.call(&[Op::Sigqueueinfo], || receiver.put_back(&info));
    if put.is_err() {
        signals.got([info]);
    }
    trial.goes_on(signals, &receiver);
}

/// It may go back sealed.
fn a_record_of_the_kernels(trial: &Trial<'_>, signals: &mut Signals) {
    let receiver = signals.drained();
    kill(pid(), kept());
    let info = receiver.wait().unwrap();
    let put = trial.call(&[Op::Sigqueueinfo], || receiver.put_back(&info));
    if put.is_ok() {
        let back = receiver.wait().unwrap();
        assert_eq!((back.cause(), back.pid()), (info.cause(), info.pid()));
    }
    raise(Signal::HUP);
    let info = receiver.wait().unwrap();
    let put = trial.call(&[Op::Sigqueueinfo], || receiver.put_back(&info));
    if put.is_ok() {
        let back = receiver.wait().unwrap();
        // A thread has sent it, and for these there is no more room than there is.
        let is_lost = trial.drops_records() && back.sender() == Sender::Unknown;
        let is_it = (back.cause(), back.pid()) == (info.cause(), info.pid());
        assert!(is_it || is_lost, "{back}");
    }
    trial.goes_on(signals, &receiver);
}

// ---------------------------------------------------------------------------

pub(super) const LEAVING: Operations = operations![
    a_receiver_goes,
    a_scope_goes,
    an_inner_scope_goes,
    a_moved_one_goes,
];

fn leaving() {
    inject(LEAVING);
}

fn a_receiver_goes(trial: &Trial<'_>, signals: &mut Signals) {
    let receiver = receiver_for(kept()).unwrap();
    signals.got([receiver.wait().unwrap()]);
    trial.does(|| drop(receiver));
}

/// Where the mask may not be changed any more, the signals stay blocked.
fn a_scope_goes(trial: &Trial<'_>, signals: &mut Signals) {
    let scope = open(both()).unwrap();
    signals.got([scope.wait().unwrap()]);
    trial.does(|| drop(scope));
}

fn an_inner_scope_goes(trial: &Trial<'_>, signals: &mut Signals) {
    let outer = open(both()).unwrap();
    signals.got([outer.wait().unwrap()]);
    let inner = open(kept()).unwrap();
    // A ring of the outer one may have what was there.
    signals.pass(&inner);
    signals.send(2);
    trial.does(|| drop(inner));
    // If the outer one may not be told, it receives as before.
    if !trial.has_failed(Op::Signalfd) {
        signals.pass(&outer);
    }
}

/// A ring has read for another thread.
fn a_moved_one_goes(trial: &Trial<'_>, signals: &mut Signals) {
    let receiver = thread::scope(|scope| {
        let make = || receiver_for(kept()).unwrap();
        scope.spawn(make).join().unwrap()
    });
    signals.send(1);
    trial.does(|| drop(receiver));
}

// ---------------------------------------------------------------------------

pub(super) const REOPENING: Operations =
    operations![in_the_same_process, in_a_child];

fn reopening() {
    inject(REOPENING);
}

fn in_the_same_process(trial: &Trial<'_>, signals: &mut Signals) {
    let mut scope = open(both()).unwrap();
    signals.got([scope.wait().unwrap()]);
    let _reopened = trial.call(OPENS, || scope.reopen());
    trial.goes_on(signals, &scope);
}

/// The child has no part in what is pending.
fn in_a_child(trial: &Trial<'_>, signals: &mut Signals) {
    let mut scope = open(both()).unwrap();
    let child = Child::fork(|| {
        let reopened = trial.call(OPENS, || scope.reopen());
        if reopened.is_err() {
            assert_eq!(scope.try_recv(), Err(Error::Forked));
            scope.reopen().unwrap();
        }
        trial.explains(&scope);
        kill(pid(), Signal::HUP);
        assert_eq!(scope.wait().unwrap().signal(), Signal::HUP);
        0
    });
    child.wait_for_success();
    signals.pass(&scope);
}
