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

use crate::process::{self, BUFFERS, Birth, RECORDS, give_back};
use crate::signal::{SigInfo, SignalSet};

/// Fills the room with the records that come next. Those that are not wanted go back.
#[inline]
fn hand_out(
    room: &mut [SigInfo],
    wanted: SignalSet,
    birth: Birth,
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
        if wanted.has(place.signal()) || !give_back(place, birth) {
            used += 1;
        }
    }
    used
}
