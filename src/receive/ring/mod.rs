//! Rings: the request in one, the memory that it reads into, and a ring of the
//! receiver's own.

mod buffers;
#[cfg(any(test, fuzzing))]
#[path = "../../fuzz/uring_state.rs"]
pub(crate) mod fuzz;
mod inbox;
mod own;
mod register;
mod request;
mod turn;

use buffers::Buffers;
pub(crate) use inbox::Inbox;
pub(super) use own::OwnRing;
use register::cancel_all;
pub(crate) use register::{can_cancel, cancel, descriptor, duplicate, push};
use request::filled;
pub(crate) use request::{Outcome, Request, Shots, Target, Unannounced};

use super::SignalFd;
use crate::process::{self, BUFFERS, RECORDS, give_back};
use crate::signal::SigInfo;

/// Fills the room with the records that come next. Those that are not wanted go back.
///
/// Each is asked for when it is there: had a signal been added meanwhile, an older answer
/// would send it back, and the kernel would deliver it again, for ever.
#[inline]
fn hand_out(
    room: &mut [SigInfo],
    signalfd: &SignalFd,
    mut next: impl FnMut(&mut SigInfo) -> bool,
) -> usize {
    let mut used = 0;
    while let Some(place) = room.get_mut(used) {
        if !next(place) {
            break;
        }
        if !process::admit(place) {
            continue;
        }
        // What cannot go back is handed out rather than lost.
        let is_wanted = signalfd.wanted().has(place.signal());
        if is_wanted || !give_back(place, signalfd.birth()) {
            used += 1;
        }
    }
    used
}
