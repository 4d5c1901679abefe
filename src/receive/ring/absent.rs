//! No rings: the feature is off, or the io-uring crate does not know the target.

use core::ops::ControlFlow;

use rustix::fd::BorrowedFd;

use crate::error::Error;
use crate::receive::engine::Next;
use crate::receive::{Kind, SignalFd};
use crate::signal::SigInfo;
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

    pub(crate) const fn descriptor(
        &self,
        _signalfd: &SignalFd,
    ) -> Option<BorrowedFd<'_>> {
        match *self {}
    }

    pub(crate) const fn take(
        &self,
        _room: &mut [SigInfo],
        _signalfd: &SignalFd,
        _next: Next,
        _tell: &dyn Fn(),
    ) -> Result<ControlFlow<usize, usize>, Error> {
        match *self {}
    }

    pub(crate) const fn may_have_overlooked(
        &self,
        _taken: usize,
        _room: usize,
    ) -> bool {
        match *self {}
    }

    pub(crate) const fn prepare(&self, _signalfd: &SignalFd, _tell: &dyn Fn()) {
        match *self {}
    }

    pub(crate) const fn unwant(&self, _signalfd: &SignalFd, _tell: &dyn Fn()) {
        match *self {}
    }

    pub(crate) const fn withdraw(
        &self,
        _signalfd: &SignalFd,
        _tell: &dyn Fn(),
    ) {
        match *self {}
    }

    pub(crate) const fn sleep(
        &self,
        _signalfd: &SignalFd,
        _deadline: Deadline,
        _tell: &dyn Fn(),
    ) -> Result<(), Error> {
        match *self {}
    }
}
