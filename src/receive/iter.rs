//! Signals one after the other.

use core::iter::FusedIterator;

use super::{Receiver, Signals};
use crate::error::Error;
use crate::signal::SigInfo;

/// Waits for one signal after the other; it never ends by itself.
///
/// An error is an item, not the end; [`Error::Forked`] is there to stay. The iterator holds no record: leaving the
/// loop loses nothing.
#[derive(Clone, Debug)]
#[must_use = "iterators do nothing unless they are used"]
pub struct Iter<'r> {
    receiver: &'r Receiver,
}

impl Receiver {
    /// Returns an iterator that waits for each signal in turn, as
    /// [`wait`](Self::wait) does.
    pub const fn iter(&self) -> Iter<'_> {
        Iter { receiver: self }
    }
}

impl Iterator for Iter<'_> {
    type Item = Result<SigInfo, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.receiver.wait())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::MAX, None)
    }
}

impl FusedIterator for Iter<'_> {}

impl<'r> IntoIterator for &'r Receiver {
    type Item = Result<SigInfo, Error>;
    type IntoIter = Iter<'r>;

    fn into_iter(self) -> Iter<'r> {
        self.iter()
    }
}

impl<'r> IntoIterator for &'r Signals {
    type Item = Result<SigInfo, Error>;
    type IntoIter = Iter<'r>;

    fn into_iter(self) -> Iter<'r> {
        self.iter()
    }
}
