//! Signals in a calloop event loop.
//!
//! ```
//! use calloop::EventLoop;
//! use signalfd::{Signal, calloop::Source};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let signals = signalfd::open(Signal::HUP | Signal::TERM)?;
//! let mut event_loop = EventLoop::try_new()?;
//! let stop = event_loop.get_signal();
//! event_loop.handle().insert_source(
//!     Source::new(signals),
//!     move |info, _, reloads| match info.signal() {
//!         Signal::HUP => *reloads += 1,
//!         _ => stop.stop(),
//!     },
//! )?;
//! # for signal in [libc::SIGHUP, libc::SIGTERM] {
//! #     unsafe { libc::kill(libc::getpid(), signal) };
//! # }
//! let mut reloads = 0;
//! event_loop.run(None, &mut reloads, |_| {})?;
//! assert_eq!(reloads, 1);
//! # Ok(())
//! # }
//! ```
//!
//! Open the receiver before threads are started, or with
//! [`Options::every_thread`](crate::Options::every_thread).

use core::fmt;
use core::slice;
use std::io;

use ::calloop::generic::Generic;
use ::calloop::{
    EventSource, Interest, Mode, Poll, PostAction, Readiness, Token,
    TokenFactory,
};

use super::watched::{InItsProcess, Registered, Watched};
use crate::error::Error;
use crate::process::give_back;
use crate::receive::{Batch, Receiver};
use crate::signal::SigInfo;

/// A receiver as an event source, whose events are the records.
///
/// It is made of a [`Receiver`], of [`Signals`](crate::Signals), of a reference to one,
/// of an `Arc<Receiver>`, or of anything else that has one.
///
/// It is level-triggered, and each dispatch takes up to 16 signals with one read; more
/// are left to the next dispatch, so other sources have their turn. If the callback
/// panics, records that it has not been given go back to the kernel's queue.
///
/// An error does not remove the source: the loop's `dispatch` returns the error, and
/// would return it again.
#[must_use = "it does nothing until it is inserted into an event loop"]
pub struct Source<R: AsRef<Receiver> = Receiver> {
    generic: InItsProcess<Generic<Watched<R>, Error>>,
}

/// How many signals a dispatch takes.
const AT_ONCE: usize = 16;

impl<R: AsRef<Receiver>> Source<R> {
    /// Makes a source, to be inserted into an event loop.
    ///
    /// Inserting it fails if the receiver is of the process that this one was forked from
    /// ([`Error::Forked`]), if the calling thread does not block its signals (any more;
    /// [`Error::NotBlocked`]), or if `epoll_ctl(2)` fails.
    pub fn new(receiver: R) -> Self {
        let watched = Watched::new(receiver);
        let generic =
            Generic::new_with_error(watched, Interest::READ, Mode::Level);
        Self { generic: InItsProcess::new(generic) }
    }

    /// Returns what it was made of.
    pub fn get_ref(&self) -> &R {
        self.generic.get_ref().get_ref()
    }

    /// Takes it out of its loop, and returns what this was made of.
    pub fn into_inner(self) -> R {
        self.generic.end(|it| it.unwrap().into_inner(), |receiver| receiver)
    }
}

impl<R: AsRef<Receiver>> EventSource for Source<R> {
    type Event = SigInfo;
    type Metadata = ();
    type Ret = ();
    type Error = Error;

    fn process_events<F>(
        &mut self,
        readiness: Readiness,
        token: Token,
        mut callback: F,
    ) -> Result<PostAction, Error>
    where
        F: FnMut(SigInfo, &mut ()),
    {
        self.generic.process_events(readiness, token, |_, watched| {
            let mut batch = Batch::<AT_ONCE>::new();
            let count = watched.take(batch.room()?)?;
            let receiver = watched.receiver();
            let records = batch.filled(count).iter();
            let mut rest = Rest { records, receiver };
            for info in rest.records.by_ref() {
                callback(*info, &mut ());
                // It may have forked. What is left is the parent's then.
                receiver.check_process()?;
            }
            Ok(PostAction::Continue)
        })
    }

    fn register(
        &mut self,
        poll: &mut Poll,
        token_factory: &mut TokenFactory,
    ) -> ::calloop::Result<()> {
        let receiver = self.generic.watched().receiver();
        receiver.check_watched().map_err(io::Error::from)?;
        self.generic.register(poll, token_factory)
    }

    fn reregister(
        &mut self,
        poll: &mut Poll,
        token_factory: &mut TokenFactory,
    ) -> ::calloop::Result<()> {
        self.check_process()?;
        self.generic.reregister(poll, token_factory)
    }

    fn unregister(&mut self, poll: &mut Poll) -> ::calloop::Result<()> {
        self.check_process()?;
        self.generic.unregister(poll)
    }
}

impl<R: AsRef<Receiver>> Source<R> {
    /// In a forked child the loop's epoll is the parent's.
    fn check_process(&self) -> io::Result<()> {
        Ok(self.generic.watched().receiver().check_process()?)
    }
}

impl<R: AsRef<Receiver>> Registered for Generic<Watched<R>, Error> {
    type Receiver = R;

    fn watched(&self) -> &Watched<R> {
        self.get_ref()
    }
}

/// What the callback has not been given. Dropping it puts it back.
struct Rest<'b> {
    records: slice::Iter<'b, SigInfo>,
    receiver: &'b Receiver,
}

impl Drop for Rest<'_> {
    fn drop(&mut self) {
        for info in self.records.by_ref() {
            // It fails only where there is no memory to keep it in.
            let _is_back = give_back(info, self.receiver.signalfd().birth());
        }
    }
}

impl<R: AsRef<Receiver>> fmt::Debug for Source<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("receiver", self.generic.get_ref())
            .finish_non_exhaustive()
    }
}
