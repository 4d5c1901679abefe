//! async-io, which is the reactor of smol and of async-std.

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};

use signalfd::async_io::{AsyncReceiver, recv_first};
use signalfd::{Batch, Error, Receiver, Shutdown, SigInfo, Until, block};

#[cfg(feature = "futures-core")]
use super::Way;
use super::awaiting::{
    self, Awaited, Dropped, Raced, Recv, RecvBatch, UntilDone, awaited,
    awaiting,
};
use super::shared::{count, expect_all_in_any_order, send};
use super::{rt, ways};
use crate::common::{Child, open, pid, receiver_for, sigqueue};
use crate::harness::cases;

cases! {
    tasks_of_an_executor_share_a_receiver,
    it_is_made_of_anything_that_has_a_receiver,
}

/// The thread that calls runs the future, and the reactor now and then.
pub(super) struct BlockOn;

/// An executor whose threads leave the reactor to its own.
pub(super) struct Smol;

awaited!(AsyncReceiver<&Receiver>);

impl awaiting::Runtime for BlockOn {
    type Of<'r> = AsyncReceiver<&'r Receiver>;

    fn run<F: Future>(future: F) -> F::Output {
        async_io::block_on(future)
    }

    fn watch(receiver: &Receiver) -> Result<Self::Of<'_>, Error> {
        AsyncReceiver::new(receiver)
    }

    async fn pause() {
        smol::future::yield_now().await;
    }

    async fn recv_first(shutdown: &mut Shutdown) -> Result<SigInfo, Error> {
        recv_first(shutdown).await
    }
}

impl awaiting::Runtime for Smol {
    type Of<'r> = AsyncReceiver<&'r Receiver>;

    fn run<F: Future>(future: F) -> F::Output {
        // It has no part in the reactor.
        smol::future::block_on(smol::LocalExecutor::new().run(future))
    }

    fn watch(receiver: &Receiver) -> Result<Self::Of<'_>, Error> {
        AsyncReceiver::new(receiver)
    }

    async fn pause() {
        smol::future::yield_now().await;
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
        async_io::block_on(async {
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
    recv: Recv<BlockOn>,
    recv_in_smol: Recv<Smol>,
    recv_batch: RecvBatch<BlockOn, 16>,
    recv_batch_of_one: RecvBatch<BlockOn, 1>,
    recv_batch_in_smol: RecvBatch<Smol, 64>,
    until: UntilDone<BlockOn>,
    dropped: Dropped<BlockOn>,
    dropped_in_smol: Dropped<Smol>,
    raced: Raced<BlockOn>,
}
awaiting!(BlockOn);

#[cfg(feature = "futures-core")]
pub(crate) mod streaming {
    use super::{Stream, ways};

    ways! { stream: Stream }
}

/// And they are cancelled while they wait.
fn tasks_of_an_executor_share_a_receiver() {
    let _guard = block(rt()).unwrap();
    let receiver = receiver_for(rt()).unwrap();
    let parent = pid();
    let child = Child::fork(|| {
        send(parent, rt(), count());
        0
    });
    let watched = AsyncReceiver::new(receiver).unwrap();
    let watched = Arc::new(watched);
    let executor = Arc::new(smol::Executor::new());
    let (stop, stopped) = smol::channel::unbounded::<()>();
    let workers = [(); 2].map(|()| {
        let (executor, stopped) = (Arc::clone(&executor), stopped.clone());
        std::thread::spawn(move || {
            // It ends when nobody is left to stop it.
            let _closed = smol::block_on(executor.run(stopped.recv()));
        })
    });
    let (tell, told) = smol::channel::unbounded();
    let tasks = [(); 6].map(|()| {
        let (watched, tell) = (Arc::clone(&watched), tell.clone());
        executor.spawn::<()>(async move {
            let mut batch = Batch::<8>::new();
            loop {
                let infos = watched.recv_batch(&mut batch).await.unwrap();
                for info in infos {
                    tell.send(*info).await.unwrap();
                }
                let info = watched.recv().await.unwrap();
                tell.send(info).await.unwrap();
            }
        })
    });
    let taken = smol::block_on(async {
        let mut taken: Vec<SigInfo> = Vec::new();
        while taken.len() < count() {
            taken.push(told.recv().await.unwrap());
        }
        for task in tasks {
            task.cancel().await;
        }
        taken
    });
    drop(stop);
    for worker in workers {
        worker.join().unwrap();
    }
    expect_all_in_any_order(&taken, count());
    assert_eq!(watched.get_ref().try_recv(), Ok(None));
    child.wait_for_success();
}

fn it_is_made_of_anything_that_has_a_receiver() {
    const fn send_and_sync<T: Send + Sync + Unpin>() {}
    fn send<T: Send>(_future: T) {}
    send_and_sync::<AsyncReceiver>();
    send_and_sync::<AsyncReceiver<Receiver>>();
    send_and_sync::<AsyncReceiver<Arc<Receiver>>>();
    smol::block_on(async {
        let signals = open(rt()).unwrap();
        let watched = AsyncReceiver::new(&*signals).unwrap();
        send(watched.recv());
        send(watched.recv_batch(&mut Batch::<2>::new()));
        send(watched.until(async {}));
        assert!(format!("{watched:?}").contains("SIGRTMIN+1"));
        drop(watched);
        let watched = AsyncReceiver::new(signals).unwrap();
        sigqueue(pid(), rt(), 1).unwrap();
        assert_eq!(watched.recv().await.unwrap().value(), Some(1));
        let signals = watched.into_inner().unwrap();
        assert!(signals.guard().saved().is_empty());
        drop(signals);

        let _guard = block(rt()).unwrap();
        let shared = Arc::new(receiver_for(rt()).unwrap());
        let watched = AsyncReceiver::new(Arc::clone(&shared)).unwrap();
        sigqueue(pid(), rt(), 2).unwrap();
        assert_eq!(watched.recv().await.unwrap().value(), Some(2));
    });
}
