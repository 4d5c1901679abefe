//! What a receiver runs on.

use core::ops::ControlFlow;

use rustix::fd::{AsFd, BorrowedFd};

use super::backend::{ActiveBackend, Backend, Kind};
use super::kept::Kept;
use super::pace::SLICE;
use super::ring::OwnRing;
use super::{Options, SignalFd};
use crate::error::{Error, Op};
use crate::process;
use crate::signal::SigInfo;
use crate::sys::{self, Deadline};

/// What a thread does that takes what there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Next {
    /// It waits, if there is nothing.
    Wait,
    /// It goes on to wait: there was nothing when it looked before.
    WaitOn,
    /// Anything: from now on a signal is to be noticed without it.
    Go,
}

/// The signalfd, and perhaps a ring that waits for it or reads it.
#[derive(Debug)]
pub(super) struct Engine {
    // The order counts: the ring puts back what it has read before the signalfd
    // is closed.
    ring: Option<OwnRing>,
    signalfd: SignalFd,
    active: ActiveBackend,
}

impl Engine {
    /// Takes the backend that was asked for, or the next best.
    #[inline]
    pub(super) fn new(signalfd: SignalFd, options: Options) -> Self {
        match options.backend {
            Backend::Auto | Backend::Epoll => {
                let active = ActiveBackend::plain(options.backend);
                Self { ring: None, signalfd, active }
            }
            Backend::Uring => Self::with_ring(signalfd, options.kind),
        }
    }

    #[cold]
    fn with_ring(signalfd: SignalFd, kind: Kind) -> Self {
        let (ring, active) = match make_ring(kind, &signalfd) {
            Ok((ring, active)) => (Some(ring), active),
            Err(error) => {
                (None, ActiveBackend::plain(Backend::Epoll).because(error))
            }
        };
        Self { ring, signalfd, active }
    }

    /// Goes on with another signalfd, and with another ring if it had one.
    pub(super) fn reopen(&mut self, signalfd: SignalFd, options: Options) {
        // In this order: the old ring puts back what it has read, and what is left
        // of it is there to see, before another one reads. Nothing here can fail
        // any more, and the descriptors of the old ones are free for the new ring.
        self.ring = None;
        *self = Self::new(signalfd, options);
    }

    pub(super) fn active(&self) -> ActiveBackend {
        match self.ring.as_ref().and_then(OwnRing::failure) {
            Some(error) => ActiveBackend::plain(Backend::Epoll).because(error),
            None => self.active,
        }
    }

    /// Whether the ring was made to read. If it has failed since, it may read on.
    #[cfg(all(
        feature = "io-uring",
        target_os = "linux",
        target_pointer_width = "64",
        any(
            target_arch = "x86_64",
            target_arch = "aarch64",
            target_arch = "riscv64",
            target_arch = "loongarch64",
            target_arch = "powerpc64",
        )
    ))]
    pub(super) fn reads_ahead(&self) -> bool {
        self.active.kind() == Some(Kind::Completion)
    }

    pub(super) const fn has_ring(&self) -> bool {
        self.ring.is_some()
    }

    #[inline]
    pub(super) const fn signalfd(&self) -> &SignalFd {
        &self.signalfd
    }

    /// What is readable when there is something to take.
    #[inline]
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        let signalfd = self.signalfd.as_fd();
        let ring = self.ring.as_ref();
        ring.and_then(|ring| ring.descriptor(&self.signalfd))
            .unwrap_or(signalfd)
    }

    /// Takes what there is. If another thread is at it meanwhile that may be
    /// nothing, and then that one calls `tell`.
    pub(super) fn read(
        &self,
        room: &mut [SigInfo],
        next: Next,
        tell: &dyn Fn(),
    ) -> Result<usize, Error> {
        let Some(own) = &self.ring else { return self.signalfd.read(room) };
        self.signalfd.birth().check()?;
        let mut kept = Kept::new(room, self.signalfd.birth());
        let left = || self.signalfd.unshadowed();
        let taken = process::take_left(kept.rest(), left);
        kept.add(taken);
        if let rest @ [_, ..] = kept.rest() {
            let size = rest.len();
            match own.take(rest, &self.signalfd, next, tell) {
                Err(_) if kept.count() > 0 => {}
                Err(error) => return Err(error),
                Ok(ControlFlow::Break(taken)) => {
                    kept.add(taken);
                    if own.may_have_overlooked(taken, size) {
                        self.signalfd.announce();
                    }
                }
                Ok(ControlFlow::Continue(taken)) => {
                    kept.add(taken);
                    let used = kept.hand_over();
                    return self.signalfd.read_more(room, used);
                }
            }
        }
        Ok(kept.hand_over())
    }

    /// Takes what there is, and waits for it if there is nothing. Zero if that
    /// is not to be had in one system call.
    pub(super) fn read_blocking(
        &self,
        room: &mut [SigInfo],
    ) -> Result<usize, Error> {
        match self.ring {
            None => self.signalfd.read_blocking(room),
            Some(_) => Ok(0),
        }
    }

    /// Sleeps until there may be something to take, or the deadline is over.
    pub(super) fn sleep(
        &self,
        deadline: Deadline,
        tell: &dyn Fn(),
    ) -> Result<(), Error> {
        match &self.ring {
            None => {
                let goes_on = || self.signalfd.birth().check();
                sys::poll([self.signalfd.as_fd()], deadline, goes_on).map(drop)
            }
            Some(ring) => ring.sleep(&self.signalfd, deadline, tell),
        }
    }

    /// Sleeps for a while in which signals gather: until then, or only a part of the time.
    /// The caller takes what there is, or has failed.
    pub(super) fn rest(
        &self,
        until: Deadline,
        tell: &dyn Fn(),
    ) -> Result<(), Error> {
        // In a forked child the ring is the parent's.
        let goes_on = || self.signalfd.birth().check();
        goes_on()?;
        let Some(own) = &self.ring else {
            return sys::sleep(slice_until(until), goes_on);
        };
        own.withdraw(&self.signalfd, tell);
        sys::sleep(slice_until(until), goes_on).inspect_err(|error| {
            if *error != Error::Forked {
                own.prepare(&self.signalfd, tell);
            }
        })
    }

    /// Tells whether the descriptor is readable, and sees to it that it will be.
    pub(super) fn is_readable(&self, tell: &dyn Fn()) -> Result<bool, Error> {
        if let Some(own) = &self.ring {
            own.prepare(&self.signalfd, tell);
        }
        if process::has_left(self.signalfd.unshadowed()) {
            return Ok(true);
        }
        sys::is_readable(self.descriptor())
    }

    /// The set has changed: what is not in it any more is pending again, and no descriptor
    /// tells of what was left that is in it now.
    pub(super) fn set_changed(&self, tell: &dyn Fn()) {
        let is_here = self.signalfd.birth().check().is_ok();
        if let Some(own) = self.ring.as_ref().filter(|_| is_here) {
            own.unwant(&self.signalfd, tell);
        }
        if process::has_left(self.signalfd.unshadowed()) {
            tell();
        }
    }
}

/// When a part of the time until then is over.
fn slice_until(until: Deadline) -> Deadline {
    until.earlier(Deadline::after(Some(SLICE)))
}

/// Makes a ring for this, or one that only waits where one cannot read.
fn make_ring(
    kind: Kind,
    signalfd: &SignalFd,
) -> Result<(OwnRing, ActiveBackend), Error> {
    let error = match OwnRing::new(kind, signalfd) {
        Ok(ring) => return Ok((ring, ActiveBackend::ring(kind))),
        Err(error) => error,
    };
    match (kind, error.op()) {
        (Kind::Completion, Some(op)) if op != Op::UringSetup => {
            let ring = OwnRing::new(Kind::Readiness, signalfd)?;
            Ok((ring, ActiveBackend::ring(Kind::Readiness).because(error)))
        }
        _ => Err(error),
    }
}
