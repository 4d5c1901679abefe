//! What the crate does in a ring of the caller's.

use io_uring::IoUring;
use signalfd::uring::{ReadSource, Source};
use signalfd::{Batch, Op, Receiver};

use super::trial::{Signals, Trial, kept};
use super::{Operations, inject, operations};
use crate::harness::cases;

cases! {
    in_a_ring_of_the_callers,
}

const ALL: Operations =
    operations![a_source_that_polls, a_source_that_reads, a_source_that_goes];

fn in_a_ring_of_the_callers() {
    inject(ALL);
}

const MAKES: &[Op] = &[Op::Fcntl, Op::UringRegister, Op::Mmap];
const GROUP: u16 = 7;

/// Gives a source its completions, until there is one.
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
    serve(&mut ring, |entry| source.complete(entry).unwrap());
    let mut batch = Batch::<2>::new();
    for _ in 0..3 {
        signals
            .got(trial.call_for_many(&[Op::Read], || source.take(&mut batch)));
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
