//! calloop, which is level-triggered.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use calloop::EventLoop;
use signalfd::calloop::Source;
use signalfd::{Error, Receiver, SigInfo, Signals, block};

use super::shared::{APART, pass, send};
use super::{Way, rt, ways};
use crate::allocations::allocated;
use crate::common::{
    Child, forbid, is_pending, open, options, pid, receiver_for, sigqueue,
    wait_until,
};
use crate::harness::cases;

cases! {
    a_dispatch_takes_sixteen_and_the_next_one_the_rest,
    of_two_sources_one_has_nothing_and_its_callback_is_not_called,
    what_a_callback_that_panics_was_not_given_is_received,
    a_source_may_be_removed_and_inserted_again,
    an_error_is_told_by_the_dispatch,
    nothing_is_allocated_for_a_signal,
    a_receiver_is_not_inserted_where_nobody_blocks,
    a_forked_receiver_is_not_inserted,
    what_a_forked_child_drops_stays_in_the_parents_loop,
    a_callback_that_forks_gives_the_rest_to_the_parent,
    it_is_made_of_anything_that_has_a_receiver,
    signals_gather_and_are_told_when_the_time_is_over,
}

/// Dispatched for as long as it takes.
pub(super) struct Dispatch;

impl Way for Dispatch {
    fn take(
        receiver: &Receiver,
        taken: &mut Vec<SigInfo>,
        enough: &dyn Fn(&[SigInfo]) -> bool,
    ) {
        let mut event_loop = EventLoop::<Vec<SigInfo>>::try_new().unwrap();
        let handle = event_loop.handle();
        let push = |info, (): &mut (), taken: &mut Vec<_>| taken.push(info);
        handle.insert_source(Source::new(receiver), push).unwrap();
        loop {
            let before = taken.len();
            event_loop.dispatch(None, taken).unwrap();
            if taken.len() > before && enough(taken) {
                break;
            }
        }
    }
}

ways! { dispatch: Dispatch }

fn push(info: SigInfo, (): &mut (), values: &mut Vec<i32>) {
    values.push(info.value().unwrap());
}

fn a_dispatch_takes_sixteen_and_the_next_one_the_rest() {
    let signals = open(rt()).unwrap();
    let mut event_loop = EventLoop::try_new().unwrap();
    event_loop.handle().insert_source(Source::new(&signals), push).unwrap();
    send(pid(), rt(), 40);
    let mut values = Vec::new();
    for expected in [16, 32, 40, 40] {
        event_loop.dispatch(Some(Duration::ZERO), &mut values).unwrap();
        assert_eq!(values.len(), expected);
    }
    assert!(values.into_iter().eq(0..40));
}

fn of_two_sources_one_has_nothing_and_its_callback_is_not_called() {
    if crate::battery().reads_ahead() {
        // The ring of either may have it.
        return;
    }
    let _guard = block(rt()).unwrap();
    let two = [(); 2].map(|()| receiver_for(rt()).unwrap());
    let mut event_loop = EventLoop::try_new().unwrap();
    for receiver in &two {
        event_loop.handle().insert_source(Source::new(receiver), push).unwrap();
    }
    let mut values = Vec::new();
    for round in 1..=50 {
        sigqueue(pid(), rt(), round).unwrap();
        event_loop.dispatch(None, &mut values).unwrap();
        assert!(values.iter().copied().eq(1..=round));
    }
}

fn what_a_callback_that_panics_was_not_given_is_received() {
    let signals = open(rt()).unwrap();
    let mut event_loop = EventLoop::<Vec<i32>>::try_new().unwrap();
    let panic_at_three = |info: SigInfo, (): &mut (), values: &mut Vec<i32>| {
        values.push(info.value().unwrap());
        assert_ne!(info.value(), Some(3), "as it was told");
    };
    let source = Source::new(&signals);
    let token = event_loop.handle().insert_source(source, panic_at_three);
    send(pid(), rt(), 10);
    let mut values = Vec::new();
    let dispatch = || event_loop.dispatch(None, &mut values);
    catch_unwind(AssertUnwindSafe(dispatch)).unwrap_err();
    assert_eq!(values, [0, 1, 2, 3]);
    drop((token, event_loop));
    let mut event_loop = EventLoop::try_new().unwrap();
    event_loop.handle().insert_source(Source::new(&signals), push).unwrap();
    while values.len() < 10 {
        event_loop.dispatch(None, &mut values).unwrap();
    }
    assert!(values.into_iter().eq(0..10));
}

fn a_source_may_be_removed_and_inserted_again() {
    let signals = open(rt()).unwrap();
    let mut event_loop = EventLoop::try_new().unwrap();
    let handle = event_loop.handle();
    let mut values = Vec::new();
    for round in 0..20 {
        let source = Source::new(&signals);
        let token = handle.insert_source(source, push).unwrap();
        if round % 2 == 0 {
            handle.disable(&token).unwrap();
            handle.enable(&token).unwrap();
        } else {
            handle.update(&token).unwrap();
        }
        sigqueue(pid(), rt(), round).unwrap();
        event_loop.dispatch(None, &mut values).unwrap();
        handle.remove(token);
    }
    assert!(values.iter().copied().eq(0..20));
}

/// A sandbox that forbids the read: every loop reads its own descriptors by another call.
fn an_error_is_told_by_the_dispatch() {
    if crate::battery().reads_ahead() {
        return;
    }
    // One stays pending, and nobody can take it any more.
    std::mem::forget(block(rt()).unwrap());
    let signals = open(rt()).unwrap();
    let mut event_loop = EventLoop::<Vec<i32>>::try_new().unwrap();
    event_loop.handle().insert_source(Source::new(&signals), push).unwrap();
    sigqueue(pid(), rt(), 1).unwrap();
    forbid(libc::SYS_read, libc::EPERM);
    let error = event_loop.dispatch(None, &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("read failed with EPERM"), "{error}");
}

/// calloop itself allocates, once for each dispatch.
fn nothing_is_allocated_for_a_signal() {
    let signals = open(rt()).unwrap();
    let mut event_loop = EventLoop::<usize>::try_new().unwrap();
    let count = |_, (): &mut (), count: &mut usize| *count += 1;
    event_loop.handle().insert_source(Source::new(&signals), count).unwrap();
    let mut taken = 0;
    let mut goal = 0;
    for size in [100, 1, 3, 16, 17, 100, 1_000] {
        send(pid(), rt(), size);
        goal += size;
        let before = allocated();
        let mut dispatches = 0;
        while taken < goal {
            event_loop.dispatch(None, &mut taken).unwrap();
            dispatches += 1;
        }
        assert!(size == goal || allocated() - before <= dispatches);
    }
}

fn a_receiver_is_not_inserted_where_nobody_blocks() {
    let guard = block(rt()).unwrap();
    let receiver = receiver_for(rt()).unwrap();
    drop(guard);
    let event_loop = EventLoop::try_new().unwrap();
    let inserted =
        event_loop.handle().insert_source(Source::new(receiver), push);
    let text = inserted.unwrap_err().to_string();
    let error = Error::NotBlocked(rt().into());
    assert!(text.contains(&error.to_string()), "{text}");
}

fn a_forked_receiver_is_not_inserted() {
    let signals = open(rt()).unwrap();
    Child::fork(|| {
        let event_loop = EventLoop::try_new().unwrap();
        let source = Source::new(&signals);
        let error = event_loop.handle().insert_source(source, push);
        let text = error.unwrap_err().to_string();
        assert!(text.contains(&Error::Forked.to_string()), "{text}");
        0
    })
    .wait_for_success();
}

/// The two have one epoll.
/// Also where it panics in the child.
fn a_callback_that_forks_gives_the_rest_to_the_parent() {
    for panics in [false, true] {
        let signals = open(rt()).unwrap();
        let mut event_loop = EventLoop::<Vec<i32>>::try_new().unwrap();
        let (parent, mut child) = (pid(), None);
        let fork = |info: SigInfo, (): &mut (), values: &mut Vec<i32>| {
            values.push(info.value().unwrap());
            if child.is_none() {
                child = Child::split();
                assert!(child.is_some() || !panics, "in the child");
            }
        };
        let source = Source::new(&signals);
        event_loop.handle().insert_source(source, fork).unwrap();
        send(pid(), rt(), 4);
        let mut values = Vec::new();
        let dispatched = catch_unwind(AssertUnwindSafe(|| {
            event_loop.dispatch(Some(Duration::ZERO), &mut values)
        }));
        if pid() != parent {
            let is_told = dispatched.is_ok_and(|result| result.is_err());
            let is_parents = values == [0] && !is_pending(rt());
            std::process::exit(i32::from(!is_parents || is_told == panics));
        }
        dispatched.unwrap().unwrap();
        assert_eq!(values, [0, 1, 2, 3]);
        drop(event_loop);
        child.unwrap().wait_for_success();
    }
}

fn what_a_forked_child_drops_stays_in_the_parents_loop() {
    let signals = open(rt()).unwrap();
    let event_loop = EventLoop::try_new().unwrap();
    let source = Source::new(&signals);
    let token = event_loop.handle().insert_source(source, push).unwrap();
    let mut values = Vec::new();
    let mut event_loop = Some(event_loop);
    // Removed, and with its loop.
    for is_removed in [true, false] {
        Child::fork(|| {
            let event_loop = event_loop.take().unwrap();
            if is_removed {
                event_loop.handle().disable(&token).unwrap_err();
                event_loop.handle().remove(token);
            }
            0
        })
        .wait_for_success();
        sigqueue(pid(), rt(), 1).unwrap();
        let event_loop = event_loop.as_mut().unwrap();
        event_loop.dispatch(None, &mut values).unwrap();
    }
    assert_eq!(values, [1, 1]);
}

fn it_is_made_of_anything_that_has_a_receiver() {
    let signals = open(rt()).unwrap();
    let source = Source::new(signals);
    assert!(source.get_ref().guard().saved().is_empty());
    assert!(format!("{source:?}").contains("SIGRTMIN+1"));
    let signals: Signals = source.into_inner();
    drop(signals);

    let _guard = block(rt()).unwrap();
    let shared = Arc::new(receiver_for(rt()).unwrap());
    let mut event_loop = EventLoop::try_new().unwrap();
    let source: Source<Arc<Receiver>> = Source::new(Arc::clone(&shared));
    let token = event_loop.handle().insert_source(source, push).unwrap();
    sigqueue(pid(), rt(), 7).unwrap();
    let mut values = Vec::new();
    event_loop.dispatch(None, &mut values).unwrap();
    assert_eq!(values, [7]);
    event_loop.handle().remove(token);
    wait_until("the loop has let go of it", || Arc::strong_count(&shared) == 1);
    let _owned: Source = Source::new(Arc::into_inner(shared).unwrap());
}

fn signals_gather_and_are_told_when_the_time_is_over() {
    let long = Duration::from_secs(1000);
    for delay in [long, Duration::from_millis(5)] {
        let signals = options().moderate(delay, usize::MAX).open(rt()).unwrap();
        let mut event_loop = EventLoop::try_new().unwrap();
        event_loop.handle().insert_source(Source::new(&signals), push).unwrap();
        let mut values = Vec::new();
        // Two, so soon after each other that they gather now.
        for value in [0, 1] {
            pass(APART.min(delay / 16));
            sigqueue(pid(), rt(), value).unwrap();
            event_loop.dispatch(None, &mut values).unwrap();
        }
        for value in 2..42 {
            sigqueue(pid(), rt(), value).unwrap();
        }
        if delay == long {
            event_loop.dispatch(Some(Duration::ZERO), &mut values).unwrap();
            assert_eq!(values, [0, 1]);
            while signals.try_recv().unwrap().is_some() {}
            continue;
        }
        while values.len() < 42 {
            event_loop.dispatch(None, &mut values).unwrap();
        }
        assert!(values.iter().copied().eq(0..42));
        // Once the time is over, and there is nothing, it does not tell of that again and again.
        let moment = Duration::from_millis(1);
        let mut waited = Duration::ZERO;
        while waited < moment {
            let begin = Instant::now();
            event_loop.dispatch(Some(moment), &mut values).unwrap();
            waited = begin.elapsed();
        }
        sigqueue(pid(), rt(), 42).unwrap();
        event_loop.dispatch(None, &mut values).unwrap();
        assert_eq!(values.len(), 43);
    }
}
