//! The peers behind one trait.

#[cfg(feature = "compio")]
use std::cell::Cell;
use std::future::Future;
#[cfg(feature = "compio")]
use std::future::poll_fn;
#[cfg(feature = "compio")]
use std::pin::Pin;
use std::pin::pin;
#[cfg(feature = "compio")]
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use calloop::EventLoop;
use calloop::signals::{Signal, Signals};
use futures_lite::StreamExt;
use nix::sys::signal::SigSet;
use nix::sys::signalfd::SignalFd;
use signal_hook::iterator::exfiltrator::{self, SignalOnly};
use signal_hook::iterator::{
    Forever as Endless, Signals as Hooked, SignalsInfo,
};
use tokio::runtime::Builder;
use tokio::signal::unix::{self, SignalKind};

use crate::common::sys;
use crate::common::take::Seen;

/// A way to receive signals. Those that block are futures that are always ready.
pub(crate) trait Take {
    /// Whether each queued signal arrives, so that all can be waited for.
    const LOSES_NONE: bool = false;
    /// Whether it can be asked for a real-time signal.
    const TAKES_QUEUED: bool = true;

    fn open(signal: i32) -> Self;

    /// Waits for events and counts them.
    async fn take(&mut self, seen: &mut Seen);
}

/// Runs what never has to wait for anything but inside.
pub(crate) fn drive_nothing(future: impl Future<Output = ()>) {
    let mut cx = Context::from_waker(Waker::noop());
    assert_eq!(pin!(future).poll(&mut cx), Poll::Ready(()));
}

pub(crate) fn drive_async_io(future: impl Future<Output = ()>) {
    async_io::block_on(future);
}

pub(crate) fn drive_tokio(future: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future);
}

/// One record for each read.
pub(crate) struct Nix(SignalFd);

impl Take for Nix {
    const LOSES_NONE: bool = true;

    fn open(signal: i32) -> Self {
        sys::block(signal);
        #[expect(unsafe_code, reason = "the only way to a real-time signal")]
        // SAFETY: the set was made by the C library.
        let set =
            unsafe { SigSet::from_sigset_t_unchecked(sys::set_of(signal)) };
        Self(SignalFd::new(&set).expect("a signalfd"))
    }

    async fn take(&mut self, seen: &mut Seen) {
        let info = self.0.read_signal().expect("a read").expect("it blocks");
        seen.add(info.ssi_int);
    }
}

/// `forever()` for each, which keeps what it has taken out.
pub(crate) struct Forever(Endless<'static, SignalOnly>);

impl Take for Forever {
    fn open(signal: i32) -> Self {
        sys::unblock(signal);
        let signals = Hooked::new([signal]).expect("a handler");
        // An iterator borrows it, and both live as long as the process.
        Self(Box::leak(Box::new(signals)).forever())
    }

    async fn take(&mut self, seen: &mut Seen) {
        self.0.next().expect("it never ends");
        seen.add(0);
    }
}

/// `wait()` for those that came.
pub(crate) struct Wait(Hooked);

impl Take for Wait {
    fn open(signal: i32) -> Self {
        sys::unblock(signal);
        Self(Hooked::new([signal]).expect("a handler"))
    }

    async fn take(&mut self, seen: &mut Seen) {
        for _signal in self.0.wait() {
            seen.add(0);
        }
    }
}

/// `wait()` with who has sent it.
pub(crate) struct WithOrigin(SignalsInfo<exfiltrator::WithOrigin>);

impl Take for WithOrigin {
    fn open(signal: i32) -> Self {
        sys::unblock(signal);
        Self(SignalsInfo::new([signal]).expect("a handler"))
    }

    async fn take(&mut self, seen: &mut Seen) {
        for _origin in self.0.wait() {
            seen.add(0);
        }
    }
}

/// A source of a loop, which dispatches.
pub(crate) struct Calloop(EventLoop<'static, Seen>);

impl Take for Calloop {
    const TAKES_QUEUED: bool = false;

    fn open(signal: i32) -> Self {
        assert_eq!(signal, libc::SIGUSR1, "it has no real-time signals");
        let signals = Signals::new(&[Signal::SIGUSR1]).expect("a signalfd");
        let it = EventLoop::try_new().expect("a loop");
        let count = |_event, (): &mut (), seen: &mut Seen| seen.add(0);
        let source = it.handle().insert_source(signals, count);
        source.expect("a source");
        Self(it)
    }

    async fn take(&mut self, seen: &mut Seen) {
        self.0.dispatch(None::<Duration>, seen).expect("a turn");
    }
}

/// A stream.
pub(crate) struct AsyncSignal(async_signal::Signals);

impl Take for AsyncSignal {
    const TAKES_QUEUED: bool = false;

    fn open(signal: i32) -> Self {
        assert_eq!(signal, libc::SIGUSR1, "it has no real-time signals");
        sys::unblock(signal);
        let signals = async_signal::Signals::new([async_signal::Signal::Usr1]);
        Self(signals.expect("a handler"))
    }

    async fn take(&mut self, seen: &mut Seen) {
        let next = self.0.next().await.expect("it never ends");
        next.expect("a signal");
        seen.add(0);
    }
}

/// A listener of the runtime's.
pub(crate) struct Tokio(unix::Signal);

impl Take for Tokio {
    fn open(signal: i32) -> Self {
        sys::unblock(signal);
        let listener = unix::signal(SignalKind::from_raw(signal));
        Self(listener.expect("a handler"))
    }

    async fn take(&mut self, seen: &mut Seen) {
        self.0.recv().await.expect("it never ends");
        seen.add(0);
    }
}

/// A future for each, in a ring that this thread polls.
#[cfg(feature = "a10")]
pub(crate) struct A10 {
    signals: a10::process::Signals,
    ring: a10::Ring,
}

#[cfg(feature = "a10")]
impl Take for A10 {
    const TAKES_QUEUED: bool = false;

    fn open(signal: i32) -> Self {
        assert_eq!(signal, libc::SIGUSR1, "it has no real-time signals");
        let ring = a10::Ring::new().expect("a ring");
        let set = [a10::process::Signal::USER1];
        let signals = a10::process::Signals::from_signals(ring.sq(), set);
        Self { signals: signals.expect("a signalfd"), ring }
    }

    async fn take(&mut self, seen: &mut Seen) {
        let mut next = pin!(self.signals.receive());
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(info) = next.as_mut().poll(&mut cx) {
                let signal = info.expect("a read").signal();
                assert_eq!(signal, a10::process::Signal::USER1);
                return seen.add(0);
            }
            self.ring.poll(None).expect("io_uring_enter");
        }
    }
}

/// A future for each, in a task that makes the next one.
#[cfg(feature = "compio")]
pub(crate) struct Compio {
    task: Pin<Box<dyn Future<Output = ()>>>,
    events: Rc<Cell<u64>>,
    taken: u64,
}

#[cfg(feature = "compio")]
pub(crate) fn drive_compio(future: impl Future<Output = ()>) {
    compio::runtime::Runtime::new().expect("a runtime").block_on(future);
}

#[cfg(feature = "compio")]
impl Take for Compio {
    fn open(signal: i32) -> Self {
        sys::unblock(signal);
        let events = Rc::new(Cell::new(0));
        let count = Rc::clone(&events);
        let task = Box::pin(async move {
            loop {
                let next = compio::signal::unix::signal(signal).await;
                next.expect("a handler");
                count.set(count.get() + 1);
            }
        });
        let mut it = Self { task, events, taken: 0 };
        // Its handler is set when it is asked for the first time.
        let mut cx = Context::from_waker(Waker::noop());
        assert!(it.task.as_mut().poll(&mut cx).is_pending());
        it
    }

    async fn take(&mut self, seen: &mut Seen) {
        let events = poll_fn(|cx| {
            assert!(self.task.as_mut().poll(cx).is_pending());
            let events = self.events.get();
            if events == self.taken {
                Poll::Pending
            } else {
                Poll::Ready(events)
            }
        });
        let events = events.await;
        (self.taken..events).for_each(|_| seen.add(0));
        self.taken = events;
    }
}
