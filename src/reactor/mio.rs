//! Signals in a mio poll: [`Receiver`] and [`Signals`] are sources.

use std::io;
use std::os::fd::RawFd;

use ::mio::event::Source;
use ::mio::unix::SourceFd;
use ::mio::{Interest, Registry, Token};
use rustix::fd::AsRawFd;

use crate::receive::{Receiver, Signals};

/// With the feature `mio`.
///
/// mio is edge-triggered: it tells of a signal once. When it does, read with
/// [`try_recv_batch`](Receiver::try_recv_batch) until the batch comes back short; then
/// nothing is left, and the next signal makes another event.
///
/// Registering fails with [`Error::Forked`](crate::Error::Forked) in a forked child, and
/// with [`Error::NotBlocked`](crate::Error::NotBlocked) in a thread that does not block
/// the signals.
///
/// An event may be spurious: the batch is then empty. Ask for readability only, since
/// nothing is ever written.
///
/// What is shared (`&Receiver`, `Arc<Receiver>`) is registered as
/// `SourceFd(&receiver.as_raw_fd())`. Signals do not gather for that
/// ([`Options::moderate`](crate::Options::moderate)).
///
/// # Examples
///
/// ```
/// use mio::{Events, Interest, Poll, Token};
/// use signalfd::{Batch, Signal};
///
/// const SIGNALS: Token = Token(0);
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut signals = signalfd::open(Signal::HUP | Signal::TERM)?;
/// let mut poll = Poll::new()?;
/// poll.registry().register(&mut signals, SIGNALS, Interest::READABLE)?;
/// let mut events = Events::with_capacity(64);
/// let mut batch = Batch::<16>::new();
/// # for signal in [libc::SIGHUP, libc::SIGTERM] {
/// #     unsafe { libc::kill(libc::getpid(), signal) };
/// # }
/// loop {
///     match poll.poll(&mut events, None) {
///         // A handler ran.
///         Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
///         done => done?,
///     }
///     for event in &events {
///         match event.token() {
///             SIGNALS => loop {
///                 let infos = signals.try_recv_batch(&mut batch)?;
///                 for info in infos {
///                     match info.signal() {
///                         Signal::HUP => println!("reload"),
///                         _ => return Ok(()),
///                     }
///                 }
///                 if infos.len() < 16 {
///                     break;
///                 }
///             },
///             _ => { /* yours */ }
///         }
///     }
/// }
/// # }
/// ```
impl Source for Receiver {
    fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        self.check_watched()?;
        let fd = in_its_process(self)?;
        SourceFd(&fd).register(registry, token, interests)
    }

    fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        let fd = in_its_process(self)?;
        SourceFd(&fd).reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        SourceFd(&in_its_process(self)?).deregister(registry)
    }
}

/// With the feature `mio`: as for [`Receiver`].
impl Source for Signals {
    fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        self.check_watched()?;
        let fd = in_its_process(self)?;
        SourceFd(&fd).register(registry, token, interests)
    }

    fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        let fd = in_its_process(self)?;
        SourceFd(&fd).reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        SourceFd(&in_its_process(self)?).deregister(registry)
    }
}

/// The descriptor. In a forked child there is none: the poll that it inherits is the
/// parent's, and so is what is registered there.
fn in_its_process(receiver: &Receiver) -> io::Result<RawFd> {
    receiver.check_process()?;
    Ok(receiver.watched().as_raw_fd())
}
