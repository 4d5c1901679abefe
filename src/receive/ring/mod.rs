//! Rings: the request in one, the memory that it reads into, and a ring of the
//! receiver's own.

mod buffers;
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
pub(crate) use request::{NOTED, Outcome, Request, Shots, Target};

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

#[cfg(test)]
pub(super) mod tests {
    /// Numbers that are the same in every run (xorshift64).
    pub(super) struct Random(u64);

    impl Random {
        pub(super) const fn new(seed: u64) -> Self {
            Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
        }

        pub(super) const fn next(&mut self) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0
        }

        pub(super) fn below(&mut self, end: usize) -> usize {
            (self.next() % end as u64).try_into().unwrap()
        }

        /// The result and flags of a completion: likely ones, and any at all.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_possible_wrap,
            reason = "any bits will do"
        )]
        pub(super) fn completion(&mut self) -> (i32, u32) {
            let result = match self.below(4) {
                0 => -(self.below(140) as i32),
                1 => (self.below(70) * 128) as i32,
                2 => [libc::ECANCELED, libc::ENOBUFS, libc::EINVAL]
                    [self.below(3)]
                .wrapping_neg(),
                _ => self.next() as i32,
            };
            let flags = match self.below(3) {
                0 => (self.below(70) << 16 | 3) as u32,
                1 => (self.below(70) << 16 | self.below(4)) as u32,
                _ => self.next() as u32,
            };
            (result, flags)
        }
    }
}
