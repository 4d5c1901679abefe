//! Records between the kernel and the caller.

use crate::process::{self, Birth};
use crate::signal::SigInfo;

/// What is in the caller's room already, before the caller has it. If a waker panics
/// meanwhile, it goes back.
pub(super) struct Kept<'r> {
    room: &'r mut [SigInfo],
    taken: usize,
    birth: Birth,
}

impl<'r> Kept<'r> {
    pub(super) const fn new(room: &'r mut [SigInfo], birth: Birth) -> Self {
        Self { room, taken: 0, birth }
    }

    /// The room that is left.
    pub(super) fn rest(&mut self) -> &mut [SigInfo] {
        self.room.get_mut(self.taken..).unwrap_or_default()
    }

    /// There are so many more.
    pub(super) const fn add(&mut self, more: usize) {
        self.taken += more;
    }

    pub(super) const fn count(&self) -> usize {
        self.taken
    }

    /// The caller has them now.
    pub(super) fn hand_over(mut self) -> usize {
        core::mem::take(&mut self.taken)
    }
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        for info in self.room.iter().take(self.taken) {
            // It fails only where there is no memory to keep it in.
            let _is_back = process::give_back(info, self.birth);
        }
    }
}
