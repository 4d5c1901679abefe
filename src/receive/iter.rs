//! Signals one after the other.

use core::iter::FusedIterator;

use super::{Receiver, Signals};
use crate::error::Error;
use crate::signal::SigInfo;

/// Waits for one signal after the other, and ends only after an error.
///
/// An error is the last item, since what makes a wait fail does not pass: a fork
/// ([`Error::Forked`]), a sandbox. The iterator holds no record: leaving the loop
/// loses nothing.
#[derive(Clone, Debug)]
#[must_use = "iterators do nothing unless they are used"]
pub struct Iter<'r> {
    /// `None` after an error.
    receiver: Option<&'r Receiver>,
}

impl Receiver {
    /// Returns an iterator that waits for each signal in turn, as
    /// [`wait`](Self::wait) does.
    pub const fn iter(&self) -> Iter<'_> {
        Iter { receiver: Some(self) }
    }
}

impl Iterator for Iter<'_> {
    type Item = Result<SigInfo, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let info = self.receiver?.wait();
        if info.is_err() {
            self.receiver = None;
        }
        Some(info)
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
