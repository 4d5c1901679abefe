//! The crate in loops of others, moderated or not.

use std::time::Duration;

use ::calloop::EventLoop;
use ::mio::{Events, Interest, Poll, Token};
use signalfd::{Batch, Options, Receiver, SigInfo, Signal, Signals};

use crate::common::sys;
use crate::common::take::Seen;
use crate::common::work::GATHER_US;
use crate::receivers::Take;

fn open(signal: i32, is_moderated: bool) -> Signals {
    let mut options = Options::new();
    if is_moderated {
        options = options.moderate(Duration::from_micros(GATHER_US.into()), 64);
    }
    sys::block(signal);
    let signal = Signal::try_from(signal).expect("a signal");
    options.check_threads(false).open(signal).expect("a signalfd")
}

fn add(seen: &mut Seen, infos: &[SigInfo]) {
    for info in infos {
        seen.add(info.value().unwrap_or(0));
    }
}

pub(crate) struct Tokio<const MODERATED: bool> {
    signals: signalfd::tokio::AsyncReceiver<Signals>,
    batch: Batch<64>,
}

impl<const MODERATED: bool> Take for Tokio<MODERATED> {
    const LOSES_NONE: bool = true;

    fn open(signal: i32) -> Self {
        let signals = open(signal, MODERATED);
        let signals = signalfd::tokio::AsyncReceiver::new(signals);
        Self { signals: signals.expect("a runtime"), batch: Batch::new() }
    }

    async fn take(&mut self, seen: &mut Seen) {
        let infos = self.signals.recv_batch(&mut self.batch).await;
        add(seen, infos.expect("signals"));
    }
}

pub(crate) struct AsyncIo<const MODERATED: bool> {
    signals: signalfd::async_io::AsyncReceiver<Signals>,
    batch: Batch<64>,
}

impl<const MODERATED: bool> Take for AsyncIo<MODERATED> {
    const LOSES_NONE: bool = true;

    fn open(signal: i32) -> Self {
        let signals = open(signal, MODERATED);
        let signals = signalfd::async_io::AsyncReceiver::new(signals);
        Self { signals: signals.expect("a loop"), batch: Batch::new() }
    }

    async fn take(&mut self, seen: &mut Seen) {
        let infos = self.signals.recv_batch(&mut self.batch).await;
        add(seen, infos.expect("signals"));
    }
}

pub(crate) struct Mio<const MODERATED: bool> {
    poll: Poll,
    events: Events,
    signals: Signals,
    batch: Batch<64>,
}

impl<const MODERATED: bool> Take for Mio<MODERATED> {
    const LOSES_NONE: bool = true;

    fn open(signal: i32) -> Self {
        let mut signals = open(signal, MODERATED);
        let poll = Poll::new().expect("a poll");
        let (token, readable) = (Token(0), Interest::READABLE);
        let registry = poll.registry();
        registry.register(&mut signals, token, readable).expect("a source");
        let events = Events::with_capacity(8);
        Self { poll, events, signals, batch: Batch::new() }
    }

    async fn take(&mut self, seen: &mut Seen) {
        self.poll.poll(&mut self.events, None).expect("a wait");
        let receiver: &Receiver = &self.signals;
        loop {
            let infos = receiver.try_recv_batch(&mut self.batch);
            let infos = infos.expect("a read");
            add(seen, infos);
            if infos.len() < 64 {
                break;
            }
        }
    }
}

pub(crate) struct Calloop<const MODERATED: bool>(EventLoop<'static, Seen>);

impl<const MODERATED: bool> Take for Calloop<MODERATED> {
    const LOSES_NONE: bool = true;

    fn open(signal: i32) -> Self {
        let source = signalfd::calloop::Source::new(open(signal, MODERATED));
        let it = EventLoop::try_new().expect("a loop");
        let count = |info, (): &mut (), seen: &mut Seen| add(seen, &[info]);
        it.handle().insert_source(source, count).expect("a source");
        Self(it)
    }

    async fn take(&mut self, seen: &mut Seen) {
        self.0.dispatch(None::<Duration>, seen).expect("a turn");
    }
}
