//! What a contender does: it takes signals and says what it has seen.

/// What was received: how many, and the sum of what came with them.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Seen {
    pub(crate) count: u64,
    pub(crate) sum: u64,
}

impl Seen {
    /// Counts one signal with its value, which is a positive number.
    #[inline]
    #[expect(clippy::cast_sign_loss, reason = "it is positive")]
    pub(crate) const fn add(&mut self, value: i32) {
        self.count += 1;
        self.sum += value as u32 as u64;
    }

    /// Fails unless the values are those from 1 to `count`, each once.
    pub(crate) fn expect(self, count: u64) {
        let sum = count * (count + 1) / 2;
        assert_eq!(self, Self { count, sum }, "what was received");
    }

    /// Fails unless that many came, with nothing.
    pub(crate) fn expect_bare(self, count: u64) {
        assert_eq!(self, Self { count, sum: 0 }, "what was received");
    }
}

/// A way to receive signals.
pub(crate) trait Take {
    /// Waits for a signal, and takes what there is.
    fn take(&mut self, seen: &mut Seen);

    /// Makes what is to be done before it can wait: nothing, unless the last batch
    /// was full and does not say whether there is more.
    fn settle(&mut self) {}

    /// Lets signals be queued. Only a handler has anything to do for that.
    fn hold(&mut self) {}

    /// Lets what was held come.
    fn release(&mut self) {}
}

/// Has it take once, in a call of its own: then there is at least one return after a system
/// call for everybody, whatever the compiler would have put in place. The first one takes
/// 190 ns on some processors, which have forgotten where it goes, and those after it little.
#[inline(never)]
pub(crate) fn take_once<T: Take>(receiver: &mut T, seen: &mut Seen) {
    receiver.take(seen);
}
