//! Rings: the request in one, the memory that it reads into, and a ring of the
//! receiver's own.

mod buffers;
mod enter;
#[cfg(any(test, fuzzing))]
#[path = "../../fuzz/uring_state.rs"]
pub(crate) mod fuzz;
mod inbox;
mod look;
pub(crate) mod own;
mod reading;
mod register;
mod request;
mod slot;
mod turn;

use buffers::Buffers;
pub(crate) use enter::Stay;
pub(crate) use inbox::Inbox;
use look::{Look, Whose};
pub(super) use own::OwnRing;
pub(crate) use reading::{Kernel, Reading};
use register::cancel_all;
pub(crate) use register::{
    Calls, TheirRing, begins_anew, can_cancel, descriptor, duplicate, probe,
    push,
};
use request::filled;
pub(crate) use request::{Outcome, Request, Shots, Target, Unannounced};
pub(crate) use slot::Slot;

use rustix::io::Errno;

use super::SignalFd;
use crate::process::{self, BUFFERS, RECORDS};
use crate::signal::{SigInfo, SignalSet};

pub(crate) fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// What may be handed out: of a signalfd whose set others may have changed, what it
/// receives.
fn wanted(signalfd: &SignalFd) -> SignalSet {
    if signalfd.is_ours {
        signalfd.signals()
    } else {
        SignalSet::from_bits_retain(u64::MAX)
    }
}

/// Fills the room with the records that come next. Those that are not wanted go back, if
/// there is memory.
///
/// Each is asked for when it is there: had a signal been added meanwhile, an older answer
/// would send it back, and the kernel would deliver it again, for ever.
#[inline]
fn hand_out(
    room: &mut [SigInfo],
    signalfd: &SignalFd,
    mut give_back: impl FnMut(&SigInfo) -> bool,
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
        let is_wanted = wanted(signalfd).has(place.signal());
        if is_wanted || !give_back(place) {
            used += 1;
        }
    }
    used
}
