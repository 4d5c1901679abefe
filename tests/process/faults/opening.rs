//! Making guards and receivers.

use signalfd::{Batch, Op, Signal, SignalFd, block, mask};

use super::trial::{Signals, Trial, both, kept};
use super::{Operations, inject, operations};
use crate::common::{open, options, receiver_for};
use crate::harness::cases;

cases! {
    opening,
}

/// What opening tells.
pub(super) const OPENS: &[Op] =
    &[Op::Sigprocmask, Op::ThreadCheck, Op::Signalfd];

pub(super) const OPENING: Operations = operations![
    a_guard,
    a_scope,
    a_receiver,
    a_bare_descriptor,
    a_descriptor_from_elsewhere,
    looking_at_the_threads,
];

fn opening() {
    inject(OPENING);
}

fn a_guard(trial: &Trial<'_>, _: &mut Signals) {
    let made = trial.all_or_nothing(&[Op::Sigprocmask], || block(Signal::HUP));
    if made.is_ok() {
        assert_eq!(mask::current(), Ok(both()));
    }
    let told = trial.call(&[Op::Sigprocmask], mask::current);
    assert!(told.is_err() || told == mask::current());
}

fn a_scope(trial: &Trial<'_>, signals: &mut Signals) {
    if let Ok(made) = trial.all_or_nothing(OPENS, || open(both())) {
        assert_eq!(mask::current(), Ok(both()));
        trial.goes_on(signals, &made);
    }
}

fn a_receiver(trial: &Trial<'_>, signals: &mut Signals) {
    if let Ok(made) = trial.all_or_nothing(OPENS, || receiver_for(kept())) {
        trial.goes_on(signals, &made);
    }
}

fn a_bare_descriptor(trial: &Trial<'_>, signals: &mut Signals) {
    let new = || SignalFd::new(kept());
    if let Ok(made) = trial.all_or_nothing(&[Op::Signalfd], new) {
        let replaced =
            trial.call(&[Op::Signalfd], || made.replace(kept() | Signal::TERM));
        assert_eq!(made.signals().has(Signal::TERM), replaced.is_ok());
        let mut batch = Batch::<2>::new();
        signals
            .got(trial.call_for_many(&[Op::Read], || {
                made.try_recv_batch(&mut batch)
            }));
    }
}

fn a_descriptor_from_elsewhere(trial: &Trial<'_>, signals: &mut Signals) {
    let fd = SignalFd::new(kept()).unwrap();
    let take_over = || SignalFd::from_fd(fd.into(), kept());
    let made = trial.call(&[Op::Signalfd, Op::Fcntl], take_over);
    let Ok(made) = made else { return };
    let receiver = || options().receiver_from(made);
    if let Ok(receiver) = trial.call(OPENS, receiver) {
        let info = trial.call(&[Op::Read, Op::Poll], || receiver.wait());
        signals.got(info);
        trial.goes_on(signals, &receiver);
    }
}

fn looking_at_the_threads(trial: &Trial<'_>, _: &mut Signals) {
    let look = || mask::check_threads(kept());
    let _looked = trial.all_or_nothing(&[Op::ThreadCheck], look);
}
