//! A hub that is dispatched from event loops: what one receives reaches all who want it.

use std::thread;

use rustix::event::epoll::EventFlags;
#[cfg(any(feature = "tokio", feature = "async-io"))]
use signalfd::Subscriber;
use signalfd::{
    Batch, Dispatcher, Hub, Receiver, SigInfo, Signal, block, block_on,
};

use super::shared::send;
use super::{raw, rt};
use crate::common::{Child, pid, receiver_for};
use crate::harness::{cases, up_to_ten_thousand};

cases! {
    epoll_hands_out,
    #[cfg(feature = "tokio")]
    tokio_hands_out,
    #[cfg(feature = "tokio")]
    tokio_hands_out_to_its_own_tasks,
    #[cfg(feature = "tokio")]
    what_the_tasks_of_a_dropped_runtime_left_comes_back,
    #[cfg(feature = "async-io")]
    async_io_hands_out,
    #[cfg(feature = "async-io")]
    smol_hands_out_to_its_own_tasks,
    #[cfg(feature = "mio")]
    mio_hands_out,
    #[cfg(feature = "calloop")]
    calloop_hands_out,
}

/// Each has room for all of them.
static HUB: Hub<3, 10_001> = Hub::new();

fn count() -> usize {
    up_to_ten_thousand() as usize
}

/// What another process sends: so many, and then another one, which is the last.
fn sender() -> Child {
    let parent = pid();
    Child::fork(move || {
        send(parent, rt(), count());
        send(parent, last(), 1);
        0
    })
}

/// It comes after all the others, since the kernel hands out lower numbers first.
fn last() -> Signal {
    Signal::rt(2).unwrap()
}

/// Counts what comes, in order, and says whether there is more to come.
fn goes_on(taken: &mut usize, info: &SigInfo) -> bool {
    if info.signal() == last() {
        assert_eq!(*taken, count());
        return false;
    }
    assert_eq!(info.value(), i32::try_from(*taken).ok());
    *taken += 1;
    true
}

/// Hands out a record to the three who want it. Returns whether there are more.
fn hand_out(dispatcher: &mut Dispatcher<'_>, info: &SigInfo) -> bool {
    assert_eq!(dispatcher.dispatch(info), Ok(3));
    info.signal() != last()
}

/// A loop that dispatches, beside three threads that wait in three ways.
fn hands_out(run: impl FnOnce(&Receiver, Dispatcher<'_>)) {
    let set = rt() | last();
    let _guard = block(set).unwrap();
    let receiver = receiver_for(set).unwrap();
    let mut waiting = HUB.subscribe(set).unwrap();
    let mut awaiting = HUB.subscribe(set).unwrap();
    let mut iterating = HUB.subscribe(set).unwrap();
    let child = sender();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut taken = 0;
            while goes_on(&mut taken, &waiting.wait().unwrap()) {}
        });
        scope.spawn(|| {
            let mut taken = 0;
            let all = async {
                while goes_on(&mut taken, &awaiting.recv().await.unwrap()) {}
            };
            block_on(all).unwrap();
        });
        scope.spawn(|| {
            let mut taken = 0;
            for info in &mut iterating {
                if !goes_on(&mut taken, &info.unwrap()) {
                    break;
                }
            }
        });
        run(&receiver, HUB.dispatcher().unwrap());
    });
    child.wait_for_success();
    for subscriber in [waiting, awaiting, iterating] {
        assert_eq!(subscriber.missed(), 0);
    }
    assert_eq!(receiver.try_recv(), Ok(None));
}

fn epoll_hands_out() {
    hands_out(|receiver, mut dispatcher| {
        let epoll = raw::add(receiver, EventFlags::ET).unwrap();
        let mut batch = Batch::<16>::new();
        loop {
            raw::wait(&epoll, None);
            loop {
                let infos = receiver.try_recv_batch(&mut batch).unwrap();
                for info in infos {
                    if !hand_out(&mut dispatcher, info) {
                        return;
                    }
                }
                if infos.len() < 16 {
                    break;
                }
            }
        }
    });
}

#[cfg(feature = "tokio")]
fn tokio_hands_out() {
    use signalfd::tokio::AsyncReceiver;

    hands_out(|receiver, mut dispatcher| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_io().build().unwrap().block_on(async {
            let signals = AsyncReceiver::new(receiver).unwrap();
            let mut batch = Batch::<16>::new();
            loop {
                for info in signals.recv_batch(&mut batch).await.unwrap() {
                    if !hand_out(&mut dispatcher, info) {
                        return;
                    }
                }
            }
        });
    });
}

/// A task that has a subscriber.
#[cfg(any(feature = "tokio", feature = "async-io"))]
async fn take_all(mut subscriber: Subscriber<'_>) {
    let mut taken = 0;
    while goes_on(&mut taken, &subscriber.recv().await.unwrap()) {}
    assert_eq!(subscriber.missed(), 0);
}

/// Whoever takes is woken by who hands out, on whatever worker that is.
#[cfg(feature = "tokio")]
fn tokio_hands_out_to_its_own_tasks() {
    use signalfd::tokio::AsyncReceiver;

    let set = rt() | last();
    let _guard = block(set).unwrap();
    let receiver = receiver_for(set).unwrap();
    let child = sender();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_io().build().unwrap();
    runtime.block_on(async {
        let tasks = [(); 3].map(|()| {
            tokio::spawn(take_all(HUB.subscribe(rt() | last()).unwrap()))
        });
        let dispatch = tokio::spawn(async move {
            let signals = AsyncReceiver::new(receiver).unwrap();
            let mut dispatcher = HUB.dispatcher().unwrap();
            while hand_out(&mut dispatcher, &signals.recv().await.unwrap()) {}
        });
        for task in tasks {
            task.await.unwrap();
        }
        dispatch.await.unwrap();
    });
    child.wait_for_success();
}

/// The runtime has the receiver, the dispatcher and a subscriber, and goes while records
/// are unread.
#[cfg(feature = "tokio")]
fn what_the_tasks_of_a_dropped_runtime_left_comes_back() {
    use signalfd::tokio::AsyncReceiver;

    let _guard = block(rt()).unwrap();
    let receiver = receiver_for(rt()).unwrap();
    let next = signalfd::Options::new();
    send(pid(), rt(), 10);
    let (tell, told) = std::sync::mpsc::channel();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_io().build().unwrap();
    runtime.spawn(async move {
        let mut subscriber = HUB.subscribe(rt()).unwrap();
        let mut dispatcher = HUB.dispatcher().unwrap();
        let signals = AsyncReceiver::new(receiver).unwrap();
        let mut batch = Batch::<10>::new();
        for info in signals.recv_batch(&mut batch).await.unwrap() {
            assert_eq!(dispatcher.dispatch(info), Ok(1));
        }
        for value in 0..3 {
            let info = subscriber.recv().await.unwrap();
            assert_eq!(info.value(), Some(value));
        }
        tell.send(()).unwrap();
        // It holds all three meanwhile.
        while signals.recv().await.is_ok() {}
        drop((subscriber, dispatcher));
    });
    told.recv().unwrap();
    drop(runtime);
    assert!(HUB.signals().is_empty() && HUB.dispatcher().is_ok());
    let receiver = next.receiver(rt()).unwrap();
    for value in 3..10 {
        assert_eq!(receiver.try_recv().unwrap().unwrap().value(), Some(value));
    }
    assert_eq!(receiver.try_recv(), Ok(None));
}

#[cfg(feature = "async-io")]
fn async_io_hands_out() {
    use signalfd::async_io::AsyncReceiver;

    hands_out(|receiver, mut dispatcher| {
        async_io::block_on(async {
            let signals = AsyncReceiver::new(receiver).unwrap();
            while hand_out(&mut dispatcher, &signals.recv().await.unwrap()) {}
        });
    });
}

#[cfg(feature = "async-io")]
fn smol_hands_out_to_its_own_tasks() {
    use signalfd::async_io::AsyncReceiver;

    let set = rt() | last();
    let _guard = block(set).unwrap();
    let receiver = receiver_for(set).unwrap();
    let child = sender();
    let executor = smol::LocalExecutor::new();
    let tasks = [(); 3].map(|()| {
        executor.spawn(take_all(HUB.subscribe(rt() | last()).unwrap()))
    });
    smol::block_on(executor.run(async {
        let signals = AsyncReceiver::new(receiver).unwrap();
        let mut dispatcher = HUB.dispatcher().unwrap();
        let mut batch = Batch::<16>::new();
        let mut is_over = false;
        while !is_over {
            for info in signals.recv_batch(&mut batch).await.unwrap() {
                is_over = !hand_out(&mut dispatcher, info);
            }
        }
        for task in tasks {
            task.await;
        }
    }));
    child.wait_for_success();
}

#[cfg(feature = "mio")]
fn mio_hands_out() {
    use mio::unix::SourceFd;
    use mio::{Events, Interest, Poll, Token};
    use std::os::fd::AsRawFd;

    hands_out(|receiver, mut dispatcher| {
        let mut poll = Poll::new().unwrap();
        let fd = receiver.as_raw_fd();
        let registry = poll.registry();
        registry
            .register(&mut SourceFd(&fd), Token(0), Interest::READABLE)
            .unwrap();
        let mut events = Events::with_capacity(8);
        let mut batch = Batch::<16>::new();
        loop {
            match poll.poll(&mut events, None) {
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                done => done.unwrap(),
            }
            loop {
                let infos = receiver.try_recv_batch(&mut batch).unwrap();
                for info in infos {
                    if !hand_out(&mut dispatcher, info) {
                        return;
                    }
                }
                if infos.len() < 16 {
                    break;
                }
            }
        }
    });
}

#[cfg(feature = "calloop")]
fn calloop_hands_out() {
    use calloop::EventLoop;
    use signalfd::calloop::Source;

    hands_out(|receiver, mut dispatcher| {
        let mut event_loop = EventLoop::<bool>::try_new().unwrap();
        let hand_out = |info, (): &mut (), is_over: &mut bool| {
            *is_over = !hand_out(&mut dispatcher, &info);
        };
        let handle = event_loop.handle();
        handle.insert_source(Source::new(receiver), hand_out).unwrap();
        let mut is_over = false;
        while !is_over {
            event_loop.dispatch(None, &mut is_over).unwrap();
        }
    });
}
