//! tokio, of either flavour.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use signalfd::tokio::{AsyncReceiver, recv_first};
use signalfd::{
    Batch, Error, Receiver, Shutdown, SigInfo, Signal, Signals, Until, block,
};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::yield_now;

#[cfg(feature = "futures-core")]
use super::Way;
use super::awaiting::{
    self, Awaited, Dropped, Raced, Recv, RecvBatch, UntilDone, awaited,
    awaiting,
};
use super::shared::{count, expect_all_in_any_order, send, values};
use super::{rt, ways};
use crate::allocations::allocated;
use crate::common::{
    Child, HeldCalls, kill, open, options, pid, receiver_for, sigqueue, tid,
    wait_until,
};
use crate::harness::{cases, skip};

cases! {
    without_a_runtime_it_is_an_error,
    after_its_runtime_it_is_an_error,
    a_runtime_that_watches_nothing_is_an_error,
    workers_that_were_there_first_are_an_error_or_made_to_block,
    one_runtime_after_the_other,
    tasks_on_all_workers_share_a_receiver,
    a_receiver_without_end_lets_other_tasks_run,
    a_timeout_loses_nothing,
    what_is_there_costs_one_read_and_no_turn_of_the_loop,
    nothing_is_allocated_for_a_signal_that_wakes,
    it_is_made_of_anything_that_has_a_receiver,
}

/// A runtime on the thread that calls.
pub(super) struct OnThread;

/// A runtime with two workers besides.
pub(super) struct OnWorkers;

fn on_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn on_workers() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

awaited!(AsyncReceiver<&Receiver>);

impl awaiting::Runtime for OnThread {
    type Of<'r> = AsyncReceiver<&'r Receiver>;

    fn run<F: Future>(future: F) -> F::Output {
        on_thread().block_on(future)
    }

    fn watch(receiver: &Receiver) -> Result<Self::Of<'_>, Error> {
        AsyncReceiver::new(receiver)
    }

    async fn pause() {
        yield_now().await;
    }

    async fn recv_first(shutdown: &mut Shutdown) -> Result<SigInfo, Error> {
        recv_first(shutdown).await
    }
}

impl awaiting::Runtime for OnWorkers {
    type Of<'r> = AsyncReceiver<&'r Receiver>;

    fn run<F: Future>(future: F) -> F::Output {
        on_workers().block_on(future)
    }

    fn watch(receiver: &Receiver) -> Result<Self::Of<'_>, Error> {
        AsyncReceiver::new(receiver)
    }

    async fn pause() {
        yield_now().await;
    }

    async fn recv_first(shutdown: &mut Shutdown) -> Result<SigInfo, Error> {
        recv_first(shutdown).await
    }
}

/// As a stream.
#[cfg(feature = "futures-core")]
pub(super) struct Stream;

#[cfg(feature = "futures-core")]
impl Way for Stream {
    fn take(
        receiver: &Receiver,
        taken: &mut Vec<SigInfo>,
        enough: &dyn Fn(&[SigInfo]) -> bool,
    ) {
        use futures::StreamExt;
        on_thread().block_on(async {
            let mut signals = AsyncReceiver::new(receiver).unwrap();
            while let Some(info) = signals.next().await {
                taken.push(info.unwrap());
                if enough(taken) {
                    break;
                }
            }
        });
    }
}

ways! {
    recv: Recv<OnThread>,
    recv_on_workers: Recv<OnWorkers>,
    recv_batch: RecvBatch<OnThread, 16>,
    recv_batch_of_one: RecvBatch<OnThread, 1>,
    recv_batch_on_workers: RecvBatch<OnWorkers, 64>,
    until: UntilDone<OnThread>,
    dropped: Dropped<OnThread>,
    dropped_on_workers: Dropped<OnWorkers>,
    raced: Raced<OnThread>,
}
awaiting!(OnThread);

#[cfg(feature = "futures-core")]
pub(crate) mod streaming {
    use super::{Stream, ways};

    ways! { stream: Stream }
}

/// Polls a future as a task that nobody wakes.
fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(std::task::Waker::noop()))
}

fn without_a_runtime_it_is_an_error() {
    let _guard = block(rt()).unwrap();
    let receiver: Receiver = {
        let receiver = receiver_for(rt()).unwrap();
        let error = AsyncReceiver::new(&receiver).unwrap_err();
        assert_eq!(error, Error::NoRuntime);
        assert!(error.to_string().contains("tokio runtime"), "{error}");
        let error = std::io::Error::from(error);
        assert_eq!(error.kind(), std::io::ErrorKind::Other);
        receiver
    };
    let runtime = on_thread();
    // Not even beside one.
    assert!(AsyncReceiver::new(&receiver).is_err());
    {
        let _inside = runtime.enter();
        assert!(AsyncReceiver::new(&receiver).is_ok());
    }
    let other = Handle::try_current();
    assert!(other.is_err() && AsyncReceiver::new(&receiver).is_err());
}

fn after_its_runtime_it_is_an_error() {
    let signals = open(rt()).unwrap();
    let runtime = on_thread();
    let watched = {
        let _inside = runtime.enter();
        AsyncReceiver::new(signals).unwrap()
    };
    let mut waiting = pin!(watched.recv());
    assert!(poll_once(waiting.as_mut()).is_pending());
    drop(runtime);
    let gone = Poll::Ready(Err(Error::NoRuntime));
    assert_eq!(poll_once(waiting), gone);
    assert_eq!(poll_once(pin!(watched.recv())), gone);
    let mut cx = Context::from_waker(std::task::Waker::noop());
    assert_eq!(watched.poll_recv(&mut cx), gone);
}

fn a_runtime_that_watches_nothing_is_an_error() {
    let signals = open(rt()).unwrap();
    let mut builders =
        [Builder::new_current_thread(), Builder::new_multi_thread()];
    for builder in &mut builders {
        let runtime = builder.build().unwrap();
        let error = runtime.block_on(async {
            AsyncReceiver::new(&signals).map(drop).unwrap_err()
        });
        assert_eq!(error, Error::NoRuntime);
        assert!(error.to_string().contains("enable_io"), "{error}");
    }
    // It is as it was.
    on_thread().block_on(async {
        let watched = AsyncReceiver::new(&signals).unwrap();
        sigqueue(pid(), rt(), 1).unwrap();
        assert_eq!(watched.recv().await.unwrap().value(), Some(1));
    });
}

/// As in `#[tokio::main]`.
fn workers_that_were_there_first_are_an_error_or_made_to_block() {
    static STARTED: AtomicUsize = AtomicUsize::new(0);
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_io().on_thread_start(|| {
        STARTED.fetch_add(1, Ordering::SeqCst);
    });
    let runtime = builder.build().unwrap();
    // Until it runs a thread blocks everything: the C library does so.
    wait_until("they run", || STARTED.load(Ordering::SeqCst) == 2);
    runtime.block_on(async {
        let error = open(rt()).map(drop).unwrap_err();
        let Error::UnblockedThread(thread) = error else { panic!("{error}") };
        assert_ne!(Ok(thread.tid()), tid().try_into());
        assert!(error.to_string().contains("every_thread"), "{error}");

        let options = options().every_thread(true);
        let watched = AsyncReceiver::new(options.open(rt()).unwrap()).unwrap();
        for value in 0..100 {
            sigqueue(pid(), rt(), value).unwrap();
            assert_eq!(watched.recv().await.unwrap().value(), Some(value));
        }
    });
}

/// What one has told of and nobody has taken, the next one tells of, too.
fn one_runtime_after_the_other() {
    let mut signals = open(rt()).unwrap();
    for value in 0..20 {
        let runtime = if value % 2 == 0 { on_thread() } else { on_workers() };
        let watched = {
            let _inside = runtime.enter();
            AsyncReceiver::new(signals).unwrap()
        };
        sigqueue(pid(), rt(), 2 * value).unwrap();
        sigqueue(pid(), rt(), 2 * value + 1).unwrap();
        runtime.block_on(async {
            let info = watched.recv().await.unwrap();
            assert_eq!(info.value(), Some(2 * value));
        });
        drop(runtime);
        signals = watched.into_inner();
        let runtime = on_thread();
        let watched = runtime.block_on(async {
            let watched = AsyncReceiver::new(signals).unwrap();
            let info = watched.recv().await.unwrap();
            assert_eq!(info.value(), Some(2 * value + 1));
            watched
        });
        signals = watched.into_inner();
    }
    assert_eq!(signals.try_recv(), Ok(None));
}

/// And they are aborted while they wait.
fn tasks_on_all_workers_share_a_receiver() {
    let _guard = block(rt()).unwrap();
    let receiver = receiver_for(rt()).unwrap();
    let parent = pid();
    let child = Child::fork(|| {
        send(parent, rt(), count());
        0
    });
    let runtime = on_workers();
    let taken = runtime.block_on(async {
        let watched = Arc::new(AsyncReceiver::new(receiver).unwrap());
        let (tell, mut told) = futures::channel::mpsc::unbounded();
        let tasks = [(); 6].map(|()| {
            let (watched, tell) = (Arc::clone(&watched), tell.clone());
            tokio::spawn(async move {
                let mut batch = Batch::<8>::new();
                loop {
                    let infos = watched.recv_batch(&mut batch).await.unwrap();
                    for info in infos {
                        tell.unbounded_send(*info).unwrap();
                    }
                    let info = watched.recv().await.unwrap();
                    tell.unbounded_send(info).unwrap();
                }
            })
        });
        let mut taken: Vec<SigInfo> = Vec::new();
        while taken.len() < count() {
            taken.extend(futures::StreamExt::next(&mut told).await);
        }
        for task in tasks {
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
        }
        let mut watched = Arc::into_inner(watched).unwrap();
        // Nothing was doubled either.
        assert!(poll_once(pin!(watched.recv())).is_pending());
        assert!(watched.get_ref().try_recv().unwrap().is_none());
        let _: &mut AsyncReceiver = &mut watched;
        taken
    });
    expect_all_in_any_order(&taken, count());
    child.wait_for_success();
}

fn a_receiver_without_end_lets_other_tasks_run() {
    let signals = open(rt()).unwrap();
    let turns = &AtomicUsize::new(0);
    on_thread().block_on(async {
        let watched = AsyncReceiver::new(&signals).unwrap();
        for is_polled in [false, true] {
            // So there is no notice left when they come.
            assert!(poll_once(pin!(watched.recv())).is_pending());
            send(pid(), rt(), 1000);
            let receive = async {
                for _ in 0..1000 {
                    let info = if is_polled {
                        poll_fn(|cx| watched.poll_recv(cx)).await
                    } else {
                        watched.recv().await
                    };
                    info.unwrap();
                }
                turns.swap(0, Ordering::Relaxed)
            };
            let other = async {
                loop {
                    turns.fetch_add(1, Ordering::Relaxed);
                    yield_now().await;
                }
            };
            let Until::Done(turns) = race(receive, other).await else {
                unreachable!("the other one has no end");
            };
            // All thousand are there at once, and tokio gives a task 128 at a time.
            assert!(turns >= 1000 / 128, "{turns}");
        }
    });
}

/// Runs two futures in one task, until the first is done.
async fn race<F: Future>(
    first: F,
    second: impl Future<Output = ()>,
) -> Until<F::Output> {
    let (mut first, mut second) = (pin!(first), pin!(second));
    poll_fn(|cx| {
        let _pending = second.as_mut().poll(cx);
        first.as_mut().poll(cx).map(Until::Done)
    })
    .await
}

fn a_timeout_loses_nothing() {
    let _guard = block(rt()).unwrap();
    let receiver = receiver_for(rt()).unwrap();
    let parent = pid();
    let child = Child::fork(|| {
        send(parent, rt(), count());
        0
    });
    let mut taken = Vec::new();
    on_thread().block_on(async {
        let watched = AsyncReceiver::new(receiver).unwrap();
        let mut timeouts =
            [0, 1, 50].map(Duration::from_micros).into_iter().cycle();
        while taken.len() < count() {
            let timeout = timeouts.next().unwrap();
            let recv = tokio::time::timeout(timeout, watched.recv());
            if let Ok(info) = recv.await {
                taken.push(info.unwrap());
            }
        }
    });
    expect_all_in_any_order(&taken, count());
    child.wait_for_success();
}

/// Counts the reads of a descriptor that the calling thread makes.
struct Reads(Arc<AtomicUsize>);

impl Reads {
    fn of(fd: i32) -> Self {
        let count = Arc::<AtomicUsize>::default();
        let (tell, told) = std::sync::mpsc::channel::<HeldCalls>();
        let counted = Arc::clone(&count);
        // Before the filter, which it would inherit.
        std::thread::spawn(move || {
            let held = told.recv().unwrap();
            while held.before_the_next(|call| {
                if call.args[0] == fd as u64 {
                    counted.fetch_add(1, Ordering::SeqCst);
                }
            }) {}
        });
        let Ok(held) = HeldCalls::of_this_thread(&[libc::SYS_read]) else {
            skip("seccomp cannot hold system calls here");
        };
        tell.send(held).unwrap();
        Self(count)
    }

    /// How many there have been since this was asked before.
    fn news(&self) -> usize {
        self.0.swap(0, Ordering::SeqCst)
    }
}

fn what_is_there_costs_one_read_and_no_turn_of_the_loop() {
    if crate::battery().reads_ahead() {
        // It makes none.
        return;
    }
    let signals = open(rt()).unwrap();
    let runtime = on_thread();
    let reads = Reads::of(std::os::fd::AsRawFd::as_raw_fd(&signals));
    runtime.block_on(async {
        let watched = AsyncReceiver::new(&signals).unwrap();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut batch = Batch::<16>::new();
        for _ in 0..10 {
            // Nobody has told tokio.
            send(pid(), rt(), 5);
            {
                let all = pin!(watched.recv_batch(&mut batch));
                let Poll::Ready(infos) = poll_once(all) else { panic!() };
                assert_eq!((infos.unwrap().len(), reads.news()), (5, 1));
            }
            send(pid(), rt(), 2);
            assert!(poll_once(pin!(watched.recv())).is_ready());
            assert!(watched.poll_recv(&mut cx).is_ready());
            assert_eq!(reads.news(), 2);
            // It is told of what is gone by now.
            yield_now().await;
            assert!(poll_once(pin!(watched.recv())).is_pending());
            assert_eq!(reads.news(), 1);
            assert!(watched.poll_recv(&mut cx).is_pending());
            assert_eq!(reads.news(), 1);

            // Who sleeps has looked once, and reads once when it is woken.
            let mut waiting = pin!(watched.recv());
            assert!(poll_once(waiting.as_mut()).is_pending());
            assert_eq!(reads.news(), 1);
            for _ in 0..3 {
                yield_now().await;
                assert!(poll_once(waiting.as_mut()).is_pending());
            }
            assert_eq!(reads.news(), 0);
            send(pid(), rt(), 1);
            waiting.await.unwrap();
            assert_eq!(reads.news(), 1);

            // That may not be all, as after a batch that is full.
            assert!(poll_once(pin!(watched.recv())).is_pending());
            assert_eq!(reads.news(), 1);
        }
    });
}

/// A child sends the next one when it has an answer, so each is waited for.
fn nothing_is_allocated_for_a_signal_that_wakes() {
    const ROUNDS: usize = 1000;
    let _guard = block(rt() | Signal::USR1).unwrap();
    let parent = pid();
    let child = Child::fork(|| {
        let answers = receiver_for(Signal::USR1).unwrap();
        for value in values(ROUNDS) {
            sigqueue(parent, rt(), value).unwrap();
            answers.wait().unwrap();
        }
        0
    });
    let receiver = receiver_for(rt()).unwrap();
    on_thread().block_on(async {
        let watched = AsyncReceiver::new(receiver).unwrap();
        let before = allocated();
        for value in values(ROUNDS) {
            let info = watched.recv().await.unwrap();
            assert_eq!(info.value(), Some(value));
            kill(child.pid, Signal::USR1);
        }
        // What tokio makes once.
        let allocated = allocated() - before;
        assert!(allocated < 5, "{allocated} for {ROUNDS}");
    });
    child.wait_for_success();
}

fn it_is_made_of_anything_that_has_a_receiver() {
    const fn send_and_sync<T: Send + Sync + Unpin>() {}
    fn send<T: Send>(_future: T) {}
    send_and_sync::<AsyncReceiver>();
    send_and_sync::<AsyncReceiver<Receiver>>();
    send_and_sync::<AsyncReceiver<Arc<Receiver>>>();
    on_thread().block_on(async {
        let mut value = 0;
        let mut next = || {
            value += 1;
            sigqueue(pid(), rt(), value).unwrap();
            Some(value)
        };
        let signals: Signals = open(rt()).unwrap();
        {
            let watched = AsyncReceiver::new(&signals).unwrap();
            let next = next();
            assert_eq!(watched.recv().await.unwrap().value(), next);
            let receiver: &Receiver = watched.into_inner();
            let watched = AsyncReceiver::new(receiver).unwrap();
            send(watched.recv());
            send(watched.recv_batch(&mut Batch::<2>::new()));
            send(watched.until(async {}));
            assert!(format!("{watched:?}").contains("SIGRTMIN+1"));
        }
        {
            let watched = AsyncReceiver::new(signals).unwrap();
            let next = next();
            assert_eq!(watched.recv().await.unwrap().value(), next);
            assert!(watched.get_ref().guard().saved().is_empty());
            drop(watched);
        }
        let _guard = block(rt()).unwrap();
        let shared = Arc::new(receiver_for(rt()).unwrap());
        let watched = AsyncReceiver::new(Arc::clone(&shared)).unwrap();
        let next = next();
        assert_eq!(watched.recv().await.unwrap().value(), next);
        kill(pid(), Signal::WINCH);
    });
}
