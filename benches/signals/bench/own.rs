//! This crate, in the ways that one can use it.

use std::os::fd::AsFd;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use io_uring::IoUring;
use signalfd::uring::{ReadSource, Source};
use signalfd::{
    Backend, Batch, Epoll, Error, Kind, Options, Receiver, SigInfo, Signal,
    Signals, block_on,
};

use crate::bench::raw::{Edges, builder};
use crate::common::reading::{Reading, median};
use crate::common::sys::{self, Child, Sender};
use crate::common::take::{Seen, Take};
use crate::common::work::each;

/// What completions of the source carry.
const MINE: u64 = 1;
const GROUP: u16 = 64;

pub(crate) fn signal(number: i32) -> Signal {
    Signal::try_from(number).expect("it is a signal")
}

fn open(number: i32, options: Options) -> Signals {
    options.open(signal(number)).expect("a receiver")
}

#[inline]
pub(crate) fn count(seen: &mut Seen, infos: &[SigInfo]) {
    for info in infos {
        seen.add(info.value().unwrap_or(0));
    }
}

/// A way to receive that hands on what it has taken.
pub(crate) trait Turn {
    /// Waits for signals, and takes what there is.
    fn turn(&mut self, got: impl FnMut(&[SigInfo]));
}

/// `wait_batch`.
pub(crate) struct WaitBatch<const N: usize> {
    signals: Signals,
    batch: Batch<N>,
}

impl<const N: usize> WaitBatch<N> {
    pub(crate) fn open(number: i32) -> Self {
        Self::with(number, Options::new())
    }

    pub(crate) fn with(number: i32, options: Options) -> Self {
        Self { signals: open(number, options), batch: Batch::new() }
    }

    /// With a ring of the receiver's own.
    pub(crate) fn on_ring(number: i32, kind: Kind) -> Self {
        let options = Options::new().backend(Backend::Uring).kind(kind);
        let it = Self::with(number, options);
        let running = it.signals.backend();
        assert_eq!(running.fallback(), None, "{running}");
        it
    }
}

impl<const N: usize> WaitBatch<N> {
    /// Somebody may wait for the descriptor: on a ring, the request stands from now on.
    pub(crate) fn shown(self) -> Self {
        let _descriptor = self.signals.as_fd();
        self
    }
}

impl<const N: usize> Turn for WaitBatch<N> {
    #[inline]
    fn turn(&mut self, mut got: impl FnMut(&[SigInfo])) {
        got(self.signals.wait_batch(&mut self.batch).expect("a wait"));
    }
}

impl<const N: usize> Take for WaitBatch<N> {
    #[inline]
    fn take(&mut self, seen: &mut Seen) {
        self.turn(|infos| count(seen, infos));
    }
}

/// `wait_batch_timeout`: on the kernel's wait queue only while it is asleep.
pub(crate) struct WaitTimeout<const N: usize> {
    signals: Signals,
    batch: Batch<N>,
}

impl<const N: usize> WaitTimeout<N> {
    pub(crate) fn open(number: i32) -> Self {
        Self { signals: open(number, Options::new()), batch: Batch::new() }
    }
}

/// Longer than any workload.
pub(crate) const LONG: Duration = Duration::from_secs(1000);

impl<const N: usize> Take for WaitTimeout<N> {
    #[inline]
    fn take(&mut self, seen: &mut Seen) {
        let infos = self.signals.wait_batch_timeout(&mut self.batch, LONG);
        count(seen, infos.expect("a wait"));
    }
}

/// `wait`: one signal.
pub(crate) struct Wait {
    signals: Signals,
}

impl Wait {
    pub(crate) fn open(number: i32) -> Self {
        Self { signals: open(number, Options::new()) }
    }
}

impl Take for Wait {
    #[inline]
    fn take(&mut self, seen: &mut Seen) {
        let info = self.signals.wait().expect("a wait");
        seen.add(info.value().unwrap_or(0));
    }
}

/// `recv_batch`, each in a `block_on` of its own.
pub(crate) struct BlockOn<const N: usize> {
    signals: Signals,
    batch: Batch<N>,
}

impl<const N: usize> BlockOn<N> {
    pub(crate) fn open(number: i32) -> Self {
        Self::with(number, Options::new())
    }

    pub(crate) fn with(number: i32, options: Options) -> Self {
        Self { signals: open(number, options), batch: Batch::new() }
    }
}

impl<const N: usize> Turn for BlockOn<N> {
    #[inline]
    fn turn(&mut self, mut got: impl FnMut(&[SigInfo])) {
        let infos = block_on(self.signals.recv_batch(&mut self.batch));
        got(infos.expect("a sleep").expect("a read"));
    }
}

impl<const N: usize> Take for BlockOn<N> {
    #[inline]
    fn take(&mut self, seen: &mut Seen) {
        self.turn(|infos| count(seen, infos));
    }
}

/// `recv_batch`, in a thread that turns an [`Epoll`] while its task waits.
pub(crate) struct Turns<const N: usize> {
    receiver: Arc<Receiver>,
    epoll: Epoll<Arc<Receiver>, 1>,
    batch: Batch<N>,
}

impl<const N: usize> Turns<N> {
    pub(crate) fn with(number: i32, options: Options) -> Self {
        sys::block(number);
        let receiver = options.receiver(signal(number)).expect("a receiver");
        let receiver = Arc::new(receiver);
        let epoll = Epoll::new([Arc::clone(&receiver)]).expect("an epoll");
        Self { receiver, epoll, batch: Batch::new() }
    }
}

impl<const N: usize> Turn for Turns<N> {
    #[inline]
    fn turn(&mut self, mut got: impl FnMut(&[SigInfo])) {
        let mut context = Context::from_waker(Waker::noop());
        let mut task = pin!(self.receiver.recv_batch(&mut self.batch));
        let infos = loop {
            if let Poll::Ready(infos) = task.as_mut().poll(&mut context) {
                break infos.expect("a read");
            }
            self.epoll.turn(None).expect("a turn");
        };
        got(infos);
    }
}

impl<const N: usize> Take for Turns<N> {
    #[inline]
    fn take(&mut self, seen: &mut Seen) {
        self.turn(|infos| count(seen, infos));
    }
}

/// `try_recv_batch` in an epoll loop: after an edge, until a batch is short.
pub(crate) struct ShortStop<const N: usize> {
    edges: Edges,
    signals: Signals,
    batch: Batch<N>,
    has_more: bool,
}

impl<const N: usize> ShortStop<N> {
    pub(crate) fn open(number: i32) -> Self {
        let signals = open(number, Options::new());
        let edges = Edges::of(&*signals);
        Self { edges, signals, batch: Batch::new(), has_more: false }
    }
}

impl<const N: usize> Take for ShortStop<N> {
    #[inline]
    fn take(&mut self, seen: &mut Seen) {
        if !self.has_more {
            self.edges.wait();
        }
        let infos = self.signals.try_recv_batch(&mut self.batch);
        let infos = infos.expect("a read");
        self.has_more = infos.len() == N;
        count(seen, infos);
    }

    fn settle(&mut self) {
        if self.has_more {
            let infos = self.signals.try_recv_batch(&mut self.batch);
            self.has_more = !infos.expect("a read").is_empty();
        }
    }
}

/// `try_recv_batch` in an epoll loop: first, and waiting only if there is nothing.
pub(crate) struct ReadFirst<const N: usize> {
    edges: Edges,
    signals: Signals,
    batch: Batch<N>,
}

impl<const N: usize> ReadFirst<N> {
    pub(crate) fn open(number: i32) -> Self {
        let signals = open(number, Options::new());
        Self { edges: Edges::of(&*signals), signals, batch: Batch::new() }
    }
}

impl<const N: usize> Take for ReadFirst<N> {
    #[inline]
    fn take(&mut self, seen: &mut Seen) {
        let infos = self.signals.try_recv_batch(&mut self.batch);
        let infos = infos.expect("a read");
        if infos.is_empty() {
            return self.edges.wait();
        }
        count(seen, infos);
    }
}

/// A `uring::Source` in a ring of the caller's.
pub(crate) struct Polls<const N: usize> {
    // The source goes before the ring.
    source: Source<Signals>,
    ring: IoUring,
    batch: Batch<N>,
}

impl<const N: usize> Polls<N> {
    pub(crate) fn open(number: i32) -> Self {
        Self::with(number, Options::new())
    }

    pub(crate) fn with(number: i32, options: Options) -> Self {
        let source = Source::new(open(number, options));
        let ring = builder().build(8).expect("io_uring");
        Self { source, ring, batch: Batch::new() }
    }

    fn wait(&mut self) {
        if self.source.needs_arming() {
            let pushed = self.source.push(&mut self.ring.submission(), MINE);
            pushed.expect("the queue has room");
        }
        let waited = self.source.submit_and_wait(&mut self.ring);
        waited.expect("io_uring_enter");
        for completion in self.ring.completion() {
            self.source.complete(completion).expect("it is ours");
        }
    }
}

impl<const N: usize> Turn for Polls<N> {
    #[inline]
    fn turn(&mut self, mut got: impl FnMut(&[SigInfo])) {
        // As the documentation shows it: what is there is taken before the loop waits.
        let mut count = 0;
        while count == 0 {
            let infos = self.source.take(&mut self.batch).expect("a read");
            count = infos.len();
            if count > 0 {
                got(infos);
            } else {
                self.wait();
            }
        }
    }
}

impl<const N: usize> Take for Polls<N> {
    #[inline]
    fn take(&mut self, seen: &mut Seen) {
        self.turn(|infos| count(seen, infos));
    }
}

/// A `uring::ReadSource` in a ring of the caller's.
pub(crate) struct Reads<const N: usize> {
    // The source goes before the ring.
    source: ReadSource<Signals>,
    ring: IoUring,
    batch: Batch<N>,
}

impl<const N: usize> Reads<N> {
    pub(crate) fn open(number: i32) -> Self {
        Self::with(number, Options::new())
    }

    pub(crate) fn with(number: i32, options: Options) -> Self {
        let signals = open(number, options);
        let ring = builder().build(8).expect("io_uring");
        let source = ReadSource::new(signals, &ring, GROUP);
        let source = source.expect("buffers in the ring");
        let mut it = Self { source, ring, batch: Batch::new() };
        it.arm();
        it.ring.submit().expect("io_uring_enter");
        it
    }

    fn arm(&mut self) {
        let pushed = self.source.push(&mut self.ring.submission(), MINE);
        pushed.expect("the queue has room");
    }
}

impl<const N: usize> Turn for Reads<N> {
    /// Waits if nothing has come yet, and hands on what has.
    #[inline]
    fn turn(&mut self, mut got: impl FnMut(&[SigInfo])) {
        if self.ring.completion().is_empty() {
            if self.source.needs_arming() {
                self.arm();
            }
            let waited = self.source.submit_and_wait(&mut self.ring);
            waited.expect("io_uring_enter");
        }
        for completion in self.ring.completion() {
            self.source.complete(completion).expect("it is ours");
        }
        loop {
            let infos = self.source.take(&mut self.batch).expect("records");
            got(infos);
            if infos.len() < N {
                break;
            }
        }
    }
}

impl<const N: usize> Take for Reads<N> {
    #[inline]
    fn take(&mut self, seen: &mut Seen) {
        self.turn(|infos| count(seen, infos));
    }
}

/// A future that is polled in a call of its own, as [`take_once`] takes.
///
/// [`take_once`]: crate::common::take::take_once
struct Called<F>(F);

impl<F: Future + Unpin> Future for Called<F> {
    type Output = F::Output;

    #[inline(never)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

/// A process sends itself a signal and awaits it.
pub(crate) fn future(total: u64) -> Reading {
    let signals = open(libc::SIGUSR1, Options::new());
    let run = |count| {
        let mut seen = Seen::default();
        let begin = sys::now();
        let recv = |receiver| Called(Receiver::recv(receiver));
        let run = send_and_await(&signals, count, &mut seen, recv);
        block_on(run).expect("a sleep");
        let time = sys::now() - begin;
        seen.expect_bare(count);
        each(time, count)
    };
    run(total / 10 + 1);
    Reading::new("ns", median((0..5).map(|_| run(total / 5 + 1)).collect()))
}

/// A process sends itself signals and awaits each, in this way.
pub(crate) async fn send_and_await<'r, F>(
    receiver: &'r Receiver,
    count: u64,
    seen: &mut Seen,
    recv: impl Fn(&'r Receiver) -> F,
) where
    F: Future<Output = Result<SigInfo, Error>>,
{
    let pid = sys::pid();
    while seen.count < count {
        sys::kill(pid, libc::SIGUSR1);
        let info = recv(receiver).await.expect("a read");
        seen.add(info.value().unwrap_or(0));
    }
}

/// A process sends a signal to another, and awaits the answer.
pub(crate) fn future_answered(cpu: usize, total: u64) -> Reading {
    let warm = total / 10 + 1;
    let child = sys::answer(cpu, warm + total);
    let signals = open(libc::SIGUSR1, Options::new());
    let mut seen = Seen::default();
    let mut times = Vec::new();
    let run = async {
        for _ in 0..warm + total {
            let begin = sys::now();
            sys::kill(child.pid, libc::SIGUSR1);
            let info = Called(signals.recv()).await.expect("a read");
            seen.add(info.value().unwrap_or(0));
            times.push(each(sys::now() - begin, 1));
        }
    };
    block_on(run).expect("a sleep");
    seen.expect_bare(warm + total);
    child.join();
    let warm = usize::try_from(warm).expect("it is small");
    Reading::new("ns", median(times.split_off(warm)))
}

/// Sends 1 to `count` from another process while this one receives, retrying where
/// the queue is full; says whether each came in its turn.
pub(crate) fn in_order(
    count: u64,
    mut take: impl FnMut(&mut dyn FnMut(i32)),
) -> u64 {
    let parent = sys::pid();
    let child = Child::fork(|| {
        let mut sender = Sender::new(parent, sys::queued());
        for number in 1..=i32::try_from(count).expect("it is small") {
            while !sender.offer(number) {
                std::thread::yield_now();
            }
        }
    });
    let (mut received, mut right) = (0, 0);
    while received < count {
        take(&mut |value| {
            received += 1;
            right += u64::from(u64::try_from(value) == Ok(received));
        });
    }
    child.join();
    right
}

/// [`in_order`] in batches.
pub(crate) fn batches_in_order(mut receiver: impl Turn, total: u64) -> u64 {
    in_order(total, |got| {
        receiver.turn(|infos| {
            for info in infos {
                got(info.value().unwrap_or(-1));
            }
        });
    })
}
