//! The actions that were found where the backstop's handler is installed.

use super::whole::Whole;
use crate::signal::SignalSet;
use crate::sys::action::Action;

/// The action of a signal before the handler, and the one before that.
pub(super) struct Found(Whole<{ 2 * WORDS }>);

const WORDS: usize = 4;
// None was found yet.
const _: () = assert!(libc::SIG_DFL == 0);

impl Found {
    pub(super) const fn new() -> Self {
        Self(Whole::new())
    }

    /// Another action was found. If its handler is another, the one from before may be what
    /// that hands on to. One thread at a time.
    pub(super) fn store(&self, found: &Action) {
        let [last, before] = self.load();
        let is_another = found.handler != last.handler;
        let before = if is_another { last } else { before };
        let mut words = [0; 2 * WORDS];
        let both = [words_of(found), words_of(&before)];
        for (to, word) in words.iter_mut().zip(both.as_flattened()) {
            *to = *word;
        }
        self.0.store(words);
    }

    /// The last one, and the one before.
    pub(super) fn load(&self) -> [Action; 2] {
        let [handler, flags, mask, restorer, before @ ..] = self.0.load();
        [[handler, flags, mask, restorer], before].map(action_of)
    }
}

const fn words_of(action: &Action) -> [u64; WORDS] {
    let Action { handler, flags, mask, restorer } = *action;
    let flags = u32::from_ne_bytes(flags.to_ne_bytes());
    [handler as u64, flags as u64, mask.bits(), restorer as u64]
}

const fn action_of([handler, flags, mask, restorer]: [u64; WORDS]) -> Action {
    let [a, b, c, d, ..] = flags.to_le_bytes();
    Action {
        handler: address_of(handler),
        flags: i32::from_le_bytes([a, b, c, d]),
        mask: SignalSet::from_bits_retain(mask),
        restorer: address_of(restorer),
    }
}

/// It has come from one.
#[expect(clippy::cast_possible_truncation, reason = "it was no larger")]
const fn address_of(word: u64) -> usize {
    word as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_before_is_another() {
        let found = Found::new();
        let action = |handler, flags| Action {
            handler,
            flags,
            mask: SignalSet::TERM | SignalSet::HUP,
            restorer: usize::MAX,
        };
        let default = action_of([0; 4]);
        assert_eq!(found.load(), [default, default]);
        found.store(&action(7, 1));
        assert_eq!(found.load(), [action(7, 1), default]);
        found.store(&action(7, -2));
        assert_eq!(found.load(), [action(7, -2), default]);
        found.store(&action(usize::MAX, i32::MIN));
        let last = action(usize::MAX, i32::MIN);
        assert_eq!(found.load(), [last, action(7, -2)]);
    }
}
