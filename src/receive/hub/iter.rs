//! Records one after the other.

use core::iter::FusedIterator;

use super::Subscriber;
use crate::error::Error;
use crate::signal::SigInfo;

/// Waits for one record after the other, and ends only after an error.
///
/// An error is the last item, since what makes a wait fail does not pass: a fork
/// ([`Error::Forked`]), a sandbox. The iterator holds no record: leaving the loop
/// loses nothing.
#[derive(Debug)]
#[must_use = "iterators do nothing unless they are used"]
pub struct Iter<'s, 'h> {
    /// `None` after an error.
    subscriber: Option<&'s mut Subscriber<'h>>,
}

impl<'h> Subscriber<'h> {
    /// Returns an iterator that waits for each record in turn, as
    /// [`wait`](Self::wait) does.
    pub const fn iter(&mut self) -> Iter<'_, 'h> {
        Iter { subscriber: Some(self) }
    }
}

impl Iterator for Iter<'_, '_> {
    type Item = Result<SigInfo, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let info = self.subscriber.as_mut()?.wait();
        if info.is_err() {
            self.subscriber = None;
        }
        Some(info)
    }
}

impl FusedIterator for Iter<'_, '_> {}

#[expect(
    clippy::into_iter_without_iter,
    reason = "it is called `iter`, as that of a receiver"
)]
impl<'s, 'h> IntoIterator for &'s mut Subscriber<'h> {
    type Item = Result<SigInfo, Error>;
    type IntoIter = Iter<'s, 'h>;

    fn into_iter(self) -> Iter<'s, 'h> {
        self.iter()
    }
}
