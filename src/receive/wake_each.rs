//! Waking several tasks.

use core::task::Waker;

/// Wakes each of these, also the rest if one of them panics.
pub(crate) fn wake_each(wakers: &mut dyn Iterator<Item = Waker>) {
    let rest = Rest(wakers);
    for waker in &mut *rest.0 {
        waker.wake();
    }
}

/// Those that are left: some, only if one has panicked. Then this is dropped while that
/// unwinds, where another panic ends the process.
struct Rest<'i>(&'i mut dyn Iterator<Item = Waker>);

impl Drop for Rest<'_> {
    fn drop(&mut self) {
        for waker in &mut *self.0 {
            waker.wake();
        }
    }
}
