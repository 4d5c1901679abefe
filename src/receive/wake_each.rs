//! Waking several tasks.

use core::task::Waker;

/// Wakes each of these when it is dropped, also the rest if one of them panics.
pub(crate) struct WakeEach<'i>(pub(crate) &'i mut dyn Iterator<Item = Waker>);

impl Drop for WakeEach<'_> {
    fn drop(&mut self) {
        if let Some(waker) = self.0.next() {
            let _rest = WakeEach(self.0);
            waker.wake();
        }
    }
}
