//! What holds for the adapters that are awaited.

use std::future::{Future, pending, poll_fn};
use std::marker::PhantomData;
use std::os::fd::AsFd;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::{Either, select};
use signalfd::{
    Backend, Batch, Error, Kind, Op, Options, Receiver, Shutdown, SigInfo,
    Signal, Signals, Until, block,
};

use super::shared::{APART, MANY, count, expect_all, pass, send};
use super::{Way, rt};
use crate::allocations::allocated;
use crate::common::{
    Child, HAS_RINGS, WakeCount, kill, open, options, pid, receiver_for,
    set_action, set_limit, sigqueue,
};
use crate::put_back::work_that_panics;

/// A runtime, and its adapter.
pub(super) trait Runtime {
    type Of<'r>: Awaited;

    /// Makes a runtime, if there can be more than one, and runs the future in it.
    fn run<F: Future>(future: F) -> F::Output;

    fn watch(receiver: &Receiver) -> Result<Self::Of<'_>, Error>;

    /// Lets others have their turn: other tasks, and who watches descriptors.
    async fn pause();

    async fn recv_first(shutdown: &mut Shutdown) -> Result<SigInfo, Error>;
}

/// The adapter's methods.
pub(super) trait Awaited {
    async fn recv(&self) -> Result<SigInfo, Error>;

    async fn recv_batch<'b, const N: usize>(
        &self,
        batch: &'b mut Batch<N>,
    ) -> Result<&'b [SigInfo], Error>;

    async fn until<F: Future>(
        &self,
        future: F,
    ) -> Result<Until<F::Output>, Error>;

    fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Result<SigInfo, Error>>;
}

/// Makes an adapter's methods those of the trait.
macro_rules! awaited {
    ($adapter:ty) => {
        impl Awaited for $adapter {
            async fn recv(&self) -> Result<SigInfo, Error> {
                self.recv().await
            }

            async fn recv_batch<'b, const N: usize>(
                &self,
                batch: &'b mut Batch<N>,
            ) -> Result<&'b [SigInfo], Error> {
                self.recv_batch(batch).await
            }

            async fn until<F: Future>(
                &self,
                future: F,
            ) -> Result<Until<F::Output>, Error> {
                self.until(future).await
            }

            fn poll_recv(
                &self,
                cx: &mut Context<'_>,
            ) -> Poll<Result<SigInfo, Error>> {
                self.poll_recv(cx)
            }
        }
    };
}
pub(super) use awaited;

// ---------------------------------------------------------------------------
// Ways

/// One after the other.
pub(super) struct Recv<T>(PhantomData<T>);

impl<T: Runtime> Way for Recv<T> {
    fn take(
        receiver: &Receiver,
        taken: &mut Vec<SigInfo>,
        enough: &dyn Fn(&[SigInfo]) -> bool,
    ) {
        T::run(async {
            let signals = T::watch(receiver).unwrap();
            loop {
                taken.push(signals.recv().await.unwrap());
                if enough(taken) {
                    break;
                }
            }
        });
    }
}

/// In batches, also of one.
pub(super) struct RecvBatch<T, const N: usize>(PhantomData<T>);

impl<T: Runtime, const N: usize> Way for RecvBatch<T, N> {
    fn take(
        receiver: &Receiver,
        taken: &mut Vec<SigInfo>,
        enough: &dyn Fn(&[SigInfo]) -> bool,
    ) {
        T::run(async {
            let signals = T::watch(receiver).unwrap();
            let mut batch = Batch::<N>::new();
            loop {
                taken.extend(signals.recv_batch(&mut batch).await.unwrap());
                if enough(taken) {
                    break;
                }
            }
        });
    }
}

/// While there is other work, which now and then is done first.
pub(super) struct UntilDone<T>(PhantomData<T>);

impl<T: Runtime> Way for UntilDone<T> {
    fn take(
        receiver: &Receiver,
        taken: &mut Vec<SigInfo>,
        enough: &dyn Fn(&[SigInfo]) -> bool,
    ) {
        T::run(async {
            let signals = T::watch(receiver).unwrap();
            let mut turn = 0;
            loop {
                turn += 1;
                let work = async {
                    if turn % 2 == 0 {
                        return pending().await;
                    }
                    T::pause().await;
                };
                if let Until::Signal(info) = signals.until(work).await.unwrap()
                {
                    taken.push(info);
                    if enough(taken) {
                        break;
                    }
                }
            }
        });
    }
}

/// Polled by hand, and each future dropped as soon as it has to wait.
pub(super) struct Dropped<T>(PhantomData<T>);

impl<T: Runtime> Way for Dropped<T> {
    const SLEEPS: bool = false;

    fn take(
        receiver: &Receiver,
        taken: &mut Vec<SigInfo>,
        enough: &dyn Fn(&[SigInfo]) -> bool,
    ) {
        let before = taken.len();
        T::run(async {
            let signals = T::watch(receiver).unwrap();
            let mut turn = 0;
            while taken.len() == before || !enough(taken) {
                turn += 1;
                let mut batch = Batch::<4>::new();
                let is_pending = poll_fn(|cx| {
                    // As many in a row as there are, without a pause: also when the
                    // runtime wants the task to have one.
                    let polled = match turn % 3 {
                        0 => {
                            signals.poll_recv(cx).map(|one| vec![one.unwrap()])
                        }
                        1 => pin!(signals.recv())
                            .poll(cx)
                            .map(|one| vec![one.unwrap()]),
                        _ => pin!(signals.recv_batch(&mut batch))
                            .poll(cx)
                            .map(|some| some.unwrap().to_vec()),
                    };
                    Poll::Ready(match polled {
                        Poll::Ready(some) => {
                            taken.extend(some);
                            false
                        }
                        Poll::Pending => true,
                    })
                });
                if is_pending.await {
                    T::pause().await;
                }
            }
        });
    }
}

/// As `select!` in a loop does it: whoever is not the first is dropped.
pub(super) struct Raced<T>(PhantomData<T>);

impl<T: Runtime> Way for Raced<T> {
    const SLEEPS: bool = false;

    fn take(
        receiver: &Receiver,
        taken: &mut Vec<SigInfo>,
        enough: &dyn Fn(&[SigInfo]) -> bool,
    ) {
        T::run(async {
            let signals = T::watch(receiver).unwrap();
            let mut batch = Batch::<4>::new();
            loop {
                let single = async { vec![signals.recv().await.unwrap()] };
                let several = async {
                    let some = signals.recv_batch(&mut batch).await;
                    some.unwrap().to_vec()
                };
                let (single, several) = (pin!(single), pin!(several));
                let (pause, either) =
                    (pin!(T::pause()), select(single, several));
                let race = select(pause, either).await;
                if let Either::Right((either, _)) = race {
                    taken.extend(either.factor_first().0);
                    if enough(taken) {
                        break;
                    }
                }
            }
        });
    }
}

// ---------------------------------------------------------------------------
// Cases

/// Makes the cases of this file for a runtime.
macro_rules! awaiting {
    ($runtime:ty) => {
        pub(crate) mod adapter {
            use super::*;
            use $crate::loops::awaiting;

            $crate::harness::cases! {
                a_notice_for_nothing_leaves_it_waiting,
                a_signal_cancels_work_and_work_that_is_done_counts,
                a_destructor_of_cancelled_work_that_panics_loses_nothing,
                several_tasks_share_what_comes,
                an_empty_batch_is_an_error,
                the_same_receiver_twice_is_an_error,
                the_first_signal_of_a_shutdown,
                a_shutdown_that_ignores_all_waits,
                a_future_of_the_first_signal_may_be_dropped,
                a_thread_that_does_not_block_is_told,
                a_forked_child_is_told,
                what_a_forked_child_drops_stays_in_the_parents_loop,
                what_was_left_is_found,
                an_inner_scope_shadows_and_gives_back,
                nothing_is_allocated_for_a_signal_that_is_there,
                signals_gather_for_batches,
                a_child_that_is_forked_while_they_gather_is_told,
                what_has_gathered_is_told_when_the_time_is_over,
                a_signal_is_told_at_once_when_none_has_gathered,
            }

            fn a_child_that_is_forked_while_they_gather_is_told() {
                awaiting::a_child_is_forked_while_they_gather::<$runtime>();
            }

            fn signals_gather_for_batches() {
                awaiting::signals_gather_for_batches::<$runtime>();
            }

            fn what_has_gathered_is_told_when_the_time_is_over() {
                awaiting::what_has_gathered_is_told::<$runtime>();
            }

            fn a_signal_is_told_at_once_when_none_has_gathered() {
                awaiting::a_signal_is_told_at_once::<$runtime>();
            }

            fn a_notice_for_nothing_leaves_it_waiting() {
                awaiting::a_notice_for_nothing::<$runtime>();
            }

            fn a_destructor_of_cancelled_work_that_panics_loses_nothing() {
                awaiting::a_destructor_of_cancelled_work_that_panics_loses_nothing::<$runtime>();
            }

            fn a_signal_cancels_work_and_work_that_is_done_counts() {
                awaiting::a_signal_cancels_work::<$runtime>();
            }

            fn several_tasks_share_what_comes() {
                awaiting::several_tasks_share_what_comes::<$runtime>();
            }

            fn an_empty_batch_is_an_error() {
                awaiting::an_empty_batch_is_an_error::<$runtime>();
            }

            fn the_same_receiver_twice_is_an_error() {
                awaiting::the_same_receiver_twice::<$runtime>();
            }

            fn the_first_signal_of_a_shutdown() {
                awaiting::the_first_signal_of_a_shutdown::<$runtime>();
            }

            fn a_shutdown_that_ignores_all_waits() {
                awaiting::a_shutdown_that_ignores_all_waits::<$runtime>();
            }

            fn a_future_of_the_first_signal_may_be_dropped() {
                awaiting::the_future_of_the_first_may_be_dropped::<$runtime>();
            }

            fn a_thread_that_does_not_block_is_told() {
                awaiting::a_thread_that_does_not_block::<$runtime>();
            }

            fn a_forked_child_is_told() {
                awaiting::a_forked_child_is_told::<$runtime>();
            }

            fn what_a_forked_child_drops_stays_in_the_parents_loop() {
                awaiting::what_a_forked_child_drops::<$runtime>();
            }

            fn what_was_left_is_found() {
                awaiting::what_was_left_is_found::<$runtime>();
            }

            fn nothing_is_allocated_for_a_signal_that_is_there() {
                awaiting::nothing_is_allocated::<$runtime>();
            }

            fn an_inner_scope_shadows_and_gives_back() {
                awaiting::an_inner_scope_shadows::<$runtime>();
            }
        }
    };
}
pub(super) use awaiting;

/// Takes two batches of one, so soon after each other that signals gather now.
async fn get_in_the_flow(watched: &impl Awaited, apart: Duration) {
    let mut batch = Batch::<MANY>::new();
    for value in [-2, -1] {
        pass(apart);
        sigqueue(pid(), rt(), value).unwrap();
        let infos = watched.recv_batch(&mut batch).await.unwrap();
        assert_eq!(infos.len(), 1);
    }
}

/// A receiver for which they gather for so long.
fn moderated(delay: Duration) -> Signals {
    options().moderate(delay, usize::MAX).open(rt()).unwrap()
}

pub(super) fn signals_gather_for_batches<T: Runtime>() {
    let signals = moderated(Duration::from_secs(1000));
    T::run(async {
        let watched = T::watch(&signals).unwrap();
        let mut batch = Batch::<MANY>::new();
        get_in_the_flow(&watched, APART).await;
        sigqueue(pid(), rt(), 0).unwrap();
        for _ in 0..3 {
            let mut recv = pin!(watched.recv_batch(&mut batch));
            assert!(poll_once(recv.as_mut()).is_pending());
            T::pause().await;
            assert!(poll_once(recv).is_pending());
        }
        // Whoever wants one, or has room for one, or does not wait, has it at once.
        assert_eq!(watched.recv().await.unwrap().value(), Some(0));
        sigqueue(pid(), rt(), 1).unwrap();
        let mut one = Batch::<1>::new();
        assert_eq!(watched.recv_batch(&mut one).await.unwrap().len(), 1);
        sigqueue(pid(), rt(), 2).unwrap();
        assert_eq!(signals.try_recv_batch(&mut batch).unwrap().len(), 1);
        // And if none has come meanwhile, it is woken by the next.
        let mut recv = pin!(watched.recv());
        assert!(poll_once(recv.as_mut()).is_pending());
        sigqueue(pid(), rt(), 3).unwrap();
        assert_eq!(recv.await.unwrap().value(), Some(3));
    });
}

pub(super) fn a_child_is_forked_while_they_gather<T: Runtime>() {
    let signals = moderated(Duration::from_secs(1000));
    T::run(async {
        let watched = T::watch(&signals).unwrap();
        let mut batch = Batch::<MANY>::new();
        get_in_the_flow(&watched, APART).await;
        sigqueue(pid(), rt(), 0).unwrap();
        assert!(poll_once(pin!(watched.recv_batch(&mut batch))).is_pending());
        Child::fork(|| {
            let mut batch = Batch::<MANY>::new();
            let polled = poll_once(pin!(watched.recv_batch(&mut batch)));
            assert_eq!(polled, Poll::Ready(Err(Error::Forked)));
            0
        })
        .wait_for_success();
        assert!(poll_once(pin!(watched.recv_batch(&mut batch))).is_pending());
        assert_eq!(watched.recv().await.unwrap().value(), Some(0));
    });
}

pub(super) fn what_has_gathered_is_told<T: Runtime>() {
    let signals = moderated(Duration::from_millis(20));
    T::run(async {
        let watched = T::watch(&signals).unwrap();
        let mut batch = Batch::<MANY>::new();
        for _ in 0..3 {
            get_in_the_flow(&watched, Duration::ZERO).await;
            for value in 0..3 {
                sigqueue(pid(), rt(), value).unwrap();
            }
            let infos = watched.recv_batch(&mut batch).await.unwrap();
            expect_all(infos, 3);
        }
    });
}

pub(super) fn a_signal_is_told_at_once<T: Runtime>() {
    let delay = Duration::from_millis(5);
    let signals = moderated(delay);
    T::run(async {
        let watched = T::watch(&signals).unwrap();
        let mut batch = Batch::<MANY>::new();
        for value in 0..3 {
            get_in_the_flow(&watched, Duration::ZERO).await;
            let begin = Instant::now();
            let mut recv = pin!(watched.recv_batch(&mut batch));
            while begin.elapsed() <= delay {
                assert!(poll_once(recv.as_mut()).is_pending());
                T::pause().await;
            }
            // It has looked, and waits for the descriptor.
            for _ in 0..3 {
                assert!(poll_once(recv.as_mut()).is_pending());
                T::pause().await;
            }
            let (woken, waker) = WakeCount::new();
            let mut cx = Context::from_waker(&waker);
            assert!(recv.as_mut().poll(&mut cx).is_pending());
            sigqueue(pid(), rt(), value).unwrap();
            while woken.get() == 0 {
                T::pause().await;
            }
            assert_eq!(recv.await.unwrap()[0].value(), Some(value));
        }
    });
}

fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Another one takes the signal after the loop has told of it.
pub(super) fn a_notice_for_nothing<T: Runtime>() {
    let signals = open(rt()).unwrap();
    T::run(async {
        let watched = T::watch(&signals).unwrap();
        for value in 0..100 {
            let mut recv = pin!(watched.recv());
            let (woken, waker) = WakeCount::new();
            let mut cx = Context::from_waker(&waker);
            assert!(recv.as_mut().poll(&mut cx).is_pending());
            sigqueue(pid(), rt(), value).unwrap();
            while woken.get() == 0 {
                T::pause().await;
            }
            let info = signals.try_recv().unwrap().unwrap();
            assert_eq!(info.value(), Some(value));
            assert!(recv.as_mut().poll(&mut cx).is_pending());
            let before = woken.get();
            for _ in 0..3 {
                T::pause().await;
            }
            assert_eq!(woken.get(), before, "it is not told without end");
            sigqueue(pid(), rt(), -value).unwrap();
            assert_eq!(recv.await.unwrap().value(), Some(-value));
        }
    });
}

pub(super) fn a_signal_cancels_work<T: Runtime>() {
    struct Dropped<'d>(&'d std::cell::Cell<bool>);
    impl Drop for Dropped<'_> {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    let signals = open(rt()).unwrap();
    T::run(async {
        let watched = T::watch(&signals).unwrap();
        sigqueue(pid(), rt(), 1).unwrap();
        T::pause().await;
        // Both are there.
        let until = watched.until(async { 42 }).await;
        assert_eq!(until, Ok(Until::Done(42)));
        let is_dropped = std::cell::Cell::new(false);
        let work = async {
            let _dropped = Dropped(&is_dropped);
            pending::<()>().await;
        };
        let Ok(Until::Signal(info)) = watched.until(work).await else {
            panic!("the work is never done");
        };
        assert_eq!(info.value(), Some(1));
        assert!(is_dropped.get());
    });
}

pub(super) fn a_destructor_of_cancelled_work_that_panics_loses_nothing<
    T: Runtime,
>() {
    let signals = open(rt()).unwrap();
    T::run(async {
        let watched = T::watch(&signals).unwrap();
        sigqueue(pid(), rt(), 7).unwrap();
        let until = watched.until(work_that_panics());
        AssertUnwindSafe(until).catch_unwind().await.unwrap_err();
        assert_eq!(watched.recv().await.unwrap().value(), Some(7));
    });
}

pub(super) fn several_tasks_share_what_comes<T: Runtime>() {
    let _guard = block(rt()).unwrap();
    let receiver = receiver_for(rt()).unwrap();
    let parent = pid();
    let child = Child::fork(|| {
        send(parent, rt(), count());
        0
    });
    let taken = T::run(async {
        let watched = &T::watch(&receiver).unwrap();
        let all = &std::cell::RefCell::new(Vec::new());
        // Each has a waker of its own, and who has enough is gone.
        let tasks = (0..8).map(async |task| {
            for _ in 0..count() / 8 {
                let info = if task % 2 == 0 {
                    watched.recv().await.unwrap()
                } else {
                    let mut one = Batch::<1>::new();
                    watched.recv_batch(&mut one).await.unwrap()[0]
                };
                all.borrow_mut().push(info);
            }
        });
        let mut tasks: futures::stream::FuturesUnordered<_> = tasks.collect();
        while futures::StreamExt::next(&mut tasks).await.is_some() {}
        all.take()
    });
    // They take turns, so it is in order.
    expect_all(&taken, count() / 8 * 8);
    child.wait_for_success();
}

pub(super) fn an_empty_batch_is_an_error<T: Runtime>() {
    let signals = open(rt()).unwrap();
    T::run(async {
        let watched = T::watch(&signals).unwrap();
        let mut batch = Batch::<0>::new();
        let infos = watched.recv_batch(&mut batch).await;
        assert_eq!(infos, Err(Error::EmptyBatch));
    });
}

pub(super) fn the_same_receiver_twice<T: Runtime>() {
    let signals = open(rt()).unwrap();
    T::run(async {
        let watched = T::watch(&signals).unwrap();
        let error = Error::Os { op: Op::EpollCtl, errno: libc::EEXIST };
        assert_eq!(T::watch(&signals).err(), Some(error));
        sigqueue(pid(), rt(), 1).unwrap();
        assert_eq!(watched.recv().await.unwrap().value(), Some(1));
        // Where it is no longer watched it may be again.
        drop(watched);
        let watched = T::watch(&signals).unwrap();
        sigqueue(pid(), rt(), 2).unwrap();
        assert_eq!(watched.recv().await.unwrap().value(), Some(2));
    });
}

pub(super) fn the_first_signal_of_a_shutdown<T: Runtime>() {
    // While it waits, and there before. In the other order a thread that async-io starts at
    // the end would be in the way of the second.
    for is_late in [true, false] {
        let set = Signal::TERM | Signal::INT;
        let mut shutdown = options().shutdown(set).unwrap();
        if !is_late {
            kill(pid(), Signal::INT);
        }
        let first = T::run(async {
            let late = async {
                if is_late {
                    T::pause().await;
                    kill(pid(), Signal::INT);
                }
            };
            let first = T::recv_first(&mut shutdown);
            futures::future::join(first, late).await.0.unwrap()
        });
        assert_eq!(first.signal(), Signal::INT);
        assert_eq!(shutdown.first(), Some(&first));
        assert!(shutdown.receiver().is_none());
        // And again, at once.
        assert_eq!(T::run(T::recv_first(&mut shutdown)), Ok(first));
    }
}

pub(super) fn a_shutdown_that_ignores_all_waits<T: Runtime>() {
    set_action(Signal::HUP, libc::SIG_IGN, 0);
    let mut shutdown = options().shutdown(Signal::HUP).unwrap();
    T::run(async {
        kill(pid(), Signal::HUP);
        let mut first = pin!(T::recv_first(&mut shutdown));
        for _ in 0..3 {
            assert!(poll_once(first.as_mut()).is_pending());
            T::pause().await;
        }
    });
}

pub(super) fn the_future_of_the_first_may_be_dropped<T: Runtime>() {
    let mut shutdown = options().shutdown(Signal::TERM).unwrap();
    T::run(async {
        for _ in 0..3 {
            let mut first = pin!(T::recv_first(&mut shutdown));
            assert!(poll_once(first.as_mut()).is_pending());
            T::pause().await;
        }
        {
            let mut first = pin!(T::recv_first(&mut shutdown));
            assert!(poll_once(first.as_mut()).is_pending());
            kill(pid(), Signal::TERM);
            T::pause().await;
        }
        assert_eq!(shutdown.first(), None);
        let first = T::recv_first(&mut shutdown).await.unwrap();
        assert_eq!(first.signal(), Signal::TERM);
    });
}

/// The guard has gone, and the receiver has not.
pub(super) fn a_thread_that_does_not_block<T: Runtime>() {
    let guard = block(rt() | Signal::USR1).unwrap();
    let receiver = receiver_for(rt() | Signal::USR1).unwrap();
    drop(guard);
    let _part = block(rt()).unwrap();
    T::run(async {
        let error = T::watch(&receiver).err().unwrap();
        assert_eq!(error, Error::NotBlocked(Signal::USR1.into()));
    });
}

pub(super) fn a_forked_child_is_told<T: Runtime>() {
    let signals = open(rt()).unwrap();
    T::run(async {
        let watched = T::watch(&signals).unwrap();
        assert!(poll_once(pin!(watched.recv())).is_pending());
        Child::fork(|| {
            let forked = Poll::Ready(Err(Error::Forked));
            sigqueue(pid(), rt(), 1).unwrap();
            assert_eq!(poll_once(pin!(watched.recv())), forked);
            let mut cx = Context::from_waker(Waker::noop());
            assert_eq!(watched.poll_recv(&mut cx), forked);
            assert_eq!(T::watch(&signals).err(), Some(Error::Forked));
            0
        })
        .wait_for_success();
        sigqueue(pid(), rt(), 2).unwrap();
        assert_eq!(watched.recv().await.unwrap().value(), Some(2));
    });
}

/// The parent's loop has the same epoll, so what the child takes out of it is gone here.
pub(super) fn what_a_forked_child_drops<T: Runtime>() {
    let mut signals = open(rt()).unwrap();
    T::run(async {
        let mut watched = Some(T::watch(&signals).unwrap());
        Child::fork(|| {
            drop(watched.take());
            0
        })
        .wait_for_success();
        let watched = watched.unwrap();
        for value in 0..3 {
            let mut recv = pin!(watched.recv());
            assert!(poll_once(recv.as_mut()).is_pending());
            sigqueue(pid(), rt(), value).unwrap();
            assert_eq!(recv.await.unwrap().value(), Some(value));
        }
    });
    // What it was made of the child has for itself.
    Child::fork(|| {
        signals.reopen().unwrap();
        sigqueue(pid(), rt(), 3).unwrap();
        assert_eq!(signals.try_recv().unwrap().unwrap().value(), Some(3));
        0
    })
    .wait_for_success();
}

/// A ring that went where the queue was full has left in the process what it had read,
/// and no descriptor tells of that.
pub(super) fn what_was_left_is_found<T: Runtime>() {
    if !HAS_RINGS {
        return;
    }
    let _guard = block(rt()).unwrap();
    let look = |watched: &T::Of<'_>, way| {
        let mut batch = Batch::<4>::new();
        let mut cx = Context::from_waker(Waker::noop());
        let polled = match way {
            0 => poll_once(pin!(watched.recv())).map_ok(|info| vec![info]),
            1 => watched.poll_recv(&mut cx).map_ok(|info| vec![info]),
            _ => poll_once(pin!(watched.recv_batch(&mut batch)))
                .map_ok(<[SigInfo]>::to_vec),
        };
        match polled {
            Poll::Ready(infos) => infos.unwrap()[0].value(),
            Poll::Pending => None,
        }
    };
    for way in 0..3 {
        let value = 10 + way;
        let reading = Options::new().backend(Backend::Uring);
        let reading = reading.kind(Kind::Completion).receiver(rt()).unwrap();
        let _descriptor = reading.as_fd();
        sigqueue(pid(), rt(), value).unwrap();
        let limit = set_limit(libc::RLIMIT_SIGPENDING, 0);
        drop(reading);
        let receiver = receiver_for(rt()).unwrap();
        T::run(async {
            let watched = T::watch(&receiver).unwrap();
            assert_eq!(look(&watched, way), Some(value));
            assert_eq!(look(&watched, way), None);
            set_limit(libc::RLIMIT_SIGPENDING, limit);
            sigqueue(pid(), rt(), 10).unwrap();
            assert_eq!(watched.recv().await.unwrap().value(), Some(10));
        });
    }
}

/// The outer scope is watched all the time.
pub(super) fn an_inner_scope_shadows<T: Runtime>() {
    let outer = open(rt()).unwrap();
    T::run(async {
        let watched = T::watch(&outer).unwrap();
        let mut recv = pin!(watched.recv());
        assert!(poll_once(recv.as_mut()).is_pending());
        let inner = options().check_threads(false).open(rt()).unwrap();
        sigqueue(pid(), rt(), 1).unwrap();
        for _ in 0..3 {
            T::pause().await;
            assert!(poll_once(recv.as_mut()).is_pending());
        }
        drop(inner);
        assert_eq!(recv.await.unwrap().value(), Some(1));
    });
}

/// Making the loop does, and waiting in it may; and the runtime makes one thing or the
/// other when it is first used.
pub(super) fn nothing_is_allocated<T: Runtime>() {
    let signals = open(rt()).unwrap();
    T::run(async {
        let watched = T::watch(&signals).unwrap();
        let mut batch = Batch::<16>::new();
        let before = allocated();
        for _ in 0..100 {
            send(pid(), rt(), 100);
            let mut taken = 0;
            while taken < 90 {
                taken += watched.recv_batch(&mut batch).await.unwrap().len();
            }
            while taken < 98 {
                watched.recv().await.unwrap();
                taken += 1;
            }
            while taken < 99 {
                poll_fn(|cx| watched.poll_recv(cx)).await.unwrap();
                taken += 1;
            }
            while taken < 100 {
                let work = pending::<()>();
                let until = watched.until(work).await.unwrap();
                assert!(matches!(until, Until::Signal(_)));
                taken += 1;
            }
        }
        let allocated = allocated() - before;
        assert!(allocated < 10, "{allocated} for 10,000");
    });
}
