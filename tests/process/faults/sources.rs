//! What the crate does in a ring of the caller's.

use std::time::Duration;

use io_uring::IoUring;
use signalfd::uring::{ReadSource, Source};
use signalfd::{Batch, Op, Receiver};

use super::trial::{Signals, Trial, kept};
use super::{Operations, have_every_call_in_the_table, inject, operations};
use crate::common::options;
use crate::harness::cases;

cases! {
    in_a_ring_of_the_callers,
    every_call_in_such_a_ring_is_in_the_table,
}

const ALL: Operations = operations![
    a_source_that_polls,
    a_moderated_source,
    a_source_that_reads,
    a_source_that_goes,
];

fn in_a_ring_of_the_callers() {
    inject(ALL);
}

fn every_call_in_such_a_ring_is_in_the_table() {
    have_every_call_in_the_table(&[ALL]);
}

const MAKES: &[Op] = &[Op::Fcntl, Op::UringRegister, Op::Mmap];
const GROUP: u16 = 100;
/// For how long signals gather.
const MOMENT: Duration = Duration::from_millis(1);

/// Gives a source its completions.
fn serve(
    ring: &mut IoUring,
    mut complete: impl FnMut(io_uring::cqueue::Entry),
) {
    ring.submit_and_wait(1).unwrap();
    ring.completion().for_each(&mut complete);
}

fn a_source_that_polls(trial: &Trial<'_>, signals: &mut Signals) {
    let receiver = Receiver::new(kept()).unwrap();
    let mut ring = IoUring::new(8).unwrap();
    let mut source = Source::new(&receiver);
    source.push(&mut ring.submission(), 1).unwrap();
    wait(trial, &mut ring, &source);
    for entry in ring.completion() {
        source.complete(entry).unwrap();
    }
    let mut batch = Batch::<2>::new();
    for _ in 0..3 {
        signals
            .got(trial.call_for_many(&[Op::Read], || source.take(&mut batch)));
    }
    signals.pass(&receiver);
}

/// Waits for a completion, also where that fails at first, or ends early.
fn wait(trial: &Trial<'_>, ring: &mut IoUring, source: &Source<&Receiver>) {
    while ring.completion().is_empty() {
        let mut wait = || source.submit_and_wait(ring);
        let _refused = trial.call(&[Op::UringEnter], &mut wait);
    }
}

fn a_moderated_source(trial: &Trial<'_>, signals: &mut Signals) {
    let moderated = options().moderate(MOMENT, 4);
    let receiver = moderated.receiver(kept()).unwrap();
    let mut ring = IoUring::new(8).unwrap();
    let mut source = Source::new(&receiver);
    let mut batch = Batch::<2>::new();
    // The first one does not wait for others to gather.
    for _ in 0..2 {
        source.push(&mut ring.submission(), 1).unwrap();
        wait(trial, &mut ring, &source);
        for entry in ring.completion() {
            source.complete(entry).unwrap();
        }
        signals.got(source.take(&mut batch).unwrap());
        signals.send(1);
    }
    signals.pass(&receiver);
}

fn a_source_that_reads(trial: &Trial<'_>, signals: &mut Signals) {
    let receiver = Receiver::new(kept()).unwrap();
    let mut ring = IoUring::new(8).unwrap();
    let new = || ReadSource::new(&receiver, &ring, GROUP);
    let Ok(mut source) = trial.all_or_nothing(MAKES, new) else { return };
    source.push(&mut ring.submission(), 1).unwrap();
    serve(&mut ring, |entry| source.complete(entry).unwrap());
    let mut batch = Batch::<2>::new();
    signals.got(trial.call_for_many(&[], || source.take(&mut batch)));
    let stop = |source: &mut ReadSource<&Receiver>| source.stop();
    let stopped = trial.call(&[Op::UringRegister], || stop(&mut source));
    stopped.or_else(|_| stop(&mut source)).unwrap();
    let mut batch = Batch::<16>::new();
    signals.got(trial.call_for_many(&[], || source.take(&mut batch)));
    drop((source, ring));
    signals.pass(&receiver);
}

/// With what it has read.
fn a_source_that_goes(trial: &Trial<'_>, signals: &mut Signals) {
    let receiver = Receiver::new(kept()).unwrap();
    let mut ring = IoUring::new(8).unwrap();
    let mut source = ReadSource::new(&receiver, &ring, GROUP).unwrap();
    source.push(&mut ring.submission(), 1).unwrap();
    serve(&mut ring, |entry| source.complete(entry).unwrap());
    let mut batch = Batch::<1>::new();
    signals.got(source.take(&mut batch).unwrap());
    trial.does(|| drop(source));
    drop(ring);
    signals.pass(&receiver);
}
