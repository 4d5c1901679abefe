//! No loops of others: the features of the adapters are off.

use super::Receiver;

/// What loops watch, of which there are none.
#[derive(Debug)]
pub(super) struct ModeratedFd;

impl ModeratedFd {
    pub(super) const fn new() -> Self {
        Self
    }
}

impl Receiver {
    #[expect(clippy::unused_self, reason = "it stands in for what has a use")]
    pub(super) const fn pace_loops(&self, _taken: usize, _room: usize) {}
}
