//! Signals in a ring of the program's own, by both kinds of source.

use std::io;

use io_uring::IoUring;
use io_uring::types::{SubmitArgs, Timespec};
use signalfd::uring::{ReadSource, Source};
use signalfd::{Batch, Error, Kind, SigInfo, Signals};

use super::Outcome;

/// So many rounds of a loop. The two sources have the same methods, and nothing else in
/// common.
macro_rules! rounds {
    ($source:ident, $ring:ident, $rounds:ident, $hand_out:ident) => {{
        let mut batch = Batch::<32>::new();
        for _ in 0..$rounds {
            for completion in $ring.completion() {
                $source.complete(completion)?;
            }
            loop {
                let infos = $source.take(&mut batch)?;
                if infos.is_empty() {
                    break;
                }
                infos.iter().try_for_each(&mut $hand_out)?;
            }
            if $source.needs_arming() {
                $source.push(&mut $ring.submission(), 1)?;
            }
            submit_and_wait(&$ring)?;
        }
    }};
}

/// With a source that polls or one that reads.
pub(crate) fn serve(
    signals: &Signals,
    reads: bool,
    rounds: usize,
    mut hand_out: impl FnMut(&SigInfo) -> Result<(), Error>,
) -> Outcome {
    // Where there are no rings, the other loops have to do.
    let Ok(mut ring) = IoUring::new(8) else { return Ok(()) };
    if reads && signals.backend().kind() != Some(Kind::Completion) {
        let mut source = ReadSource::new(signals, &ring, 64)?;
        rounds!(source, ring, rounds, hand_out);
    } else {
        let mut source = Source::new(signals);
        rounds!(source, ring, rounds, hand_out);
    }
    Ok(())
}

fn submit_and_wait(ring: &IoUring) -> io::Result<()> {
    let soon = Timespec::new().nsec(1_000_000);
    let args = SubmitArgs::new().timespec(&soon);
    match ring.submitter().submit_with_args(1, &args) {
        Err(error) if error.raw_os_error() == Some(libc::ETIME) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        done => done.map(drop),
    }
}
