//! The stream, which any executor may poll.

use std::task::{Context, Poll, Waker};

use futures::stream::FusedStream;
use futures::{Stream, StreamExt};
use signalfd::{Epoll, Error, Receiver, RecvStream, SigInfo, block_on};

use super::{Way, rt, ways};
use crate::allocations::without_allocating;
use crate::common::{Child, WakeCount, open, pid, sigqueue};
use crate::harness::cases;

cases! {
    an_error_is_the_last_item,
    combinators_find_it_as_they_want_it,
    nothing_is_allocated_for_a_signal,
}

/// In `block_on`, which watches the descriptor itself.
pub(super) struct BlockOn;

/// Woken by an `Epoll`.
pub(super) struct ByEpoll;

impl Way for BlockOn {
    fn take(
        receiver: &Receiver,
        taken: &mut Vec<SigInfo>,
        enough: &dyn Fn(&[SigInfo]) -> bool,
    ) {
        block_on(async {
            let mut stream = receiver.stream();
            while let Some(info) = stream.next().await {
                taken.push(info.unwrap());
                if enough(taken) {
                    break;
                }
            }
        })
        .unwrap();
    }
}

impl Way for ByEpoll {
    fn take(
        receiver: &Receiver,
        taken: &mut Vec<SigInfo>,
        enough: &dyn Fn(&[SigInfo]) -> bool,
    ) {
        let epoll = Epoll::new([receiver]).unwrap();
        loop {
            let (woken, waker) = WakeCount::new();
            let mut cx = Context::from_waker(&waker);
            let mut stream = receiver.stream();
            match stream.poll_next_unpin(&mut cx) {
                Poll::Ready(info) => {
                    taken.push(info.unwrap().unwrap());
                    if enough(taken) {
                        break;
                    }
                }
                Poll::Pending => {
                    while woken.get() == 0 {
                        epoll.turn(None).unwrap();
                    }
                }
            }
        }
    }
}

ways! { block_on: BlockOn, epoll: ByEpoll }

/// The streams of the adapters, too.
fn an_error_is_the_last_item() {
    fn fails<S>(mut stream: S)
    where
        S: Stream<Item = Result<SigInfo, Error>> + FusedStream + Unpin,
    {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(!stream.is_terminated());
        let error = stream.poll_next_unpin(&mut cx);
        assert_eq!(error, Poll::Ready(Some(Err(Error::Forked))));
        assert!(stream.is_terminated());
        for _ in 0..3 {
            assert_eq!(stream.poll_next_unpin(&mut cx), Poll::Ready(None));
        }
    }
    let signals = open(rt()).unwrap();
    Child::fork(|| {
        fails(signals.stream());
        0
    })
    .wait_for_success();
    #[cfg(feature = "tokio")]
    {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_io().build().unwrap();
        let _inside = runtime.enter();
        let stream = signalfd::tokio::AsyncReceiver::new(&signals).unwrap();
        Child::fork(|| {
            fails(stream);
            0
        })
        .wait_for_success();
    }
    #[cfg(feature = "async-io")]
    {
        let stream = signalfd::async_io::AsyncReceiver::new(&signals).unwrap();
        Child::fork(|| {
            fails(stream);
            0
        })
        .wait_for_success();
    }
}

fn combinators_find_it_as_they_want_it() {
    const fn send_and_sync<T: Send + Sync + Unpin + Clone>(_: &T) {}
    let signals = open(rt()).unwrap();
    let stream: RecvStream<'_> = signals.stream();
    send_and_sync(&stream);
    (0..5).for_each(|value| sigqueue(pid(), rt(), value).unwrap());
    let values: Vec<_> = block_on(
        stream.map(|info| info.unwrap().value().unwrap()).take(5).collect(),
    )
    .unwrap();
    assert_eq!(values, [0, 1, 2, 3, 4]);
}

fn nothing_is_allocated_for_a_signal() {
    let signals = open(rt()).unwrap();
    without_allocating(|| {
        block_on(async {
            let mut stream = signals.stream();
            for value in 0..1000 {
                sigqueue(pid(), rt(), value).unwrap();
                let info = stream.next().await.unwrap().unwrap();
                assert_eq!(info.value(), Some(value));
            }
        })
        .unwrap();
    });
}
