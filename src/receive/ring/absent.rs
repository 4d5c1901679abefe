//! No rings: the feature is off, or the io-uring crate does not know the target.

use rustix::fd::BorrowedFd;

use crate::error::Error;
use crate::receive::{Kind, SignalFd};
use crate::signal::{SigInfo, SignalSet};
use crate::sys::Deadline;

/// A ring of the receiver's own, of which there is none.
#[derive(Debug)]
pub(crate) enum OwnRing {}

impl OwnRing {
    pub(crate) const fn new(
        _kind: Kind,
        _signalfd: &SignalFd,
    ) -> Result<Self, Error> {
        Err(Error::NoUring)
    }

    pub(crate) const fn failure(&self) -> Option<Error> {
        match *self {}
    }

    pub(crate) const fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match *self {}
    }

    pub(crate) const fn take(
        &self,
        _room: &mut [SigInfo],
        _wanted: SignalSet,
        _signalfd: BorrowedFd<'_>,
        _tell: &dyn Fn(),
    ) -> Option<usize> {
        match *self {}
    }

    pub(crate) const fn prepare(
        &self,
        _signalfd: BorrowedFd<'_>,
        _tell: &dyn Fn(),
    ) {
        match *self {}
    }

    pub(crate) const fn unwant(&self, _wanted: SignalSet, _tell: &dyn Fn()) {
        match *self {}
    }

    pub(crate) const fn rest(
        &self,
        _signalfd: BorrowedFd<'_>,
        _until: Deadline,
        _missing: usize,
        _deadline: Deadline,
    ) -> bool {
        match *self {}
    }

    pub(crate) const fn sleep(
        &self,
        _signalfd: BorrowedFd<'_>,
        _deadline: Deadline,
    ) -> Result<(), Error> {
        match *self {}
    }
}
