//! Every queued signal arrives once and in order, whichever way it is received,
//! and standard signals coalesce.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicI32, Ordering};
use std::task::Context;
use std::time::Duration;

use signalfd::{Batch, Epoll, Options, Receiver, Signal, Signals, block_on};

use crate::common::{
    Child, DEADLINE, SharedCount, WakeCount, kill, open, options, pid,
    sigqueue, wait_until,
};
use crate::harness::{cases, many, up_to_ten_thousand};

cases! {
    ten_thousand_by_try_recv,
    ten_thousand_by_try_recv_batch,
    ten_thousand_by_wait,
    ten_thousand_by_wait_without_a_descriptor_to_spare,
    ten_thousand_by_wait_timeout,
    ten_thousand_by_wait_batch,
    ten_thousand_by_wait_batch_timeout,
    ten_thousand_by_spinning,
    ten_thousand_moderated,
    ten_thousand_moderated_by_recv_batch,
    ten_thousand_by_iterating,
    ten_thousand_by_recv,
    ten_thousand_by_recv_batch,
    ten_thousand_by_futures_dropped_again_and_again,
    ten_thousand_by_an_epoll,
    ten_thousand_by_two_receivers,
    ten_thousand_over_receivers_opened_again_and_again,
    standard_signals_coalesce,
    four_senders_keep_their_order,
    a_wait_goes_on_after_a_handler_ran,
    a_flood_of_one_standard_signal_keeps_nobody_from_reading,
}

fn rt() -> Signal {
    Signal::rt(1).unwrap()
}

/// Opens a receiver and lets a child send it numbers from 0 up; returns once
/// `take`, called until all are there, has brought them in order.
fn ten_thousand(
    options: Options,
    mut take: impl FnMut(&Signals, &mut Vec<i32>),
) {
    let signals = options.open(rt()).unwrap();
    let receiver = pid();
    let child = Child::fork(move || {
        send(receiver, rt(), 0..many());
        0
    });
    let mut values = Vec::with_capacity(many() as usize);
    while values.len() < many() as usize {
        take(&signals, &mut values);
    }
    assert!(values.into_iter().eq(0..many()));
    child.wait_for_success();
    assert_eq!(signals.try_recv().unwrap(), None);
}

/// Queues signals with these values, waiting where the queue is full.
fn send(receiver: i32, signal: Signal, values: std::ops::Range<i32>) {
    for value in values {
        wait_until("there is room in the queue", || {
            match sigqueue(receiver, signal, value) {
                Ok(()) => true,
                Err(error) => {
                    assert_eq!(error.raw_os_error(), Some(libc::EAGAIN));
                    false
                }
            }
        });
    }
}

fn value(info: signalfd::SigInfo) -> i32 {
    assert_eq!(info.signal(), rt());
    info.value().unwrap()
}

fn ten_thousand_by_try_recv() {
    ten_thousand(options(), |signals, values| {
        values.extend(signals.try_recv().unwrap().map(value));
    });
}

fn ten_thousand_by_try_recv_batch() {
    let mut batch = Batch::<64>::new();
    ten_thousand(options(), |signals, values| {
        let infos = signals.try_recv_batch(&mut batch).unwrap();
        values.extend(infos.iter().copied().map(value));
    });
}

fn ten_thousand_by_wait() {
    ten_thousand(options(), |signals, values| {
        values.push(value(signals.wait().unwrap()));
    });
}

/// A blocking read needs a second descriptor; without one, poll and read do.
fn ten_thousand_by_wait_without_a_descriptor_to_spare() {
    let mut no_room = false;
    ten_thousand(options(), |signals, values| {
        if !no_room {
            let next = std::fs::File::open("/dev/null").unwrap();
            let next = std::os::fd::AsRawFd::as_raw_fd(&next);
            crate::common::set_limit(libc::RLIMIT_NOFILE, next as libc::rlim_t);
            no_room = true;
        }
        values.push(value(signals.wait().unwrap()));
        assert!(std::fs::File::open("/dev/null").is_err());
    });
}

fn ten_thousand_by_wait_timeout() {
    ten_thousand(options(), |signals, values| {
        let info = signals.wait_timeout(DEADLINE).unwrap();
        values.push(value(info.expect("one is on its way")));
    });
}

fn ten_thousand_by_wait_batch() {
    let mut batch = Batch::<64>::new();
    ten_thousand(options(), |signals, values| {
        let infos = signals.wait_batch(&mut batch).unwrap();
        assert!(!infos.is_empty());
        values.extend(infos.iter().copied().map(value));
    });
}

fn ten_thousand_by_wait_batch_timeout() {
    let mut batch = Batch::<64>::new();
    ten_thousand(options(), |signals, values| {
        let infos = signals.wait_batch_timeout(&mut batch, DEADLINE).unwrap();
        assert!(!infos.is_empty());
        values.extend(infos.iter().copied().map(value));
    });
}

fn ten_thousand_by_spinning() {
    let options = options().spin(Duration::from_micros(50));
    let mut batch = Batch::<16>::new();
    ten_thousand(options, |signals, values| {
        values.push(value(signals.wait().unwrap()));
        if values.len() < many() as usize {
            let infos = signals.wait_batch(&mut batch).unwrap();
            values.extend(infos.iter().copied().map(value));
        }
    });
}

fn moderated() -> Options {
    options().moderate(Duration::from_micros(50), 40)
}

fn ten_thousand_moderated() {
    let mut batch = Batch::<64>::new();
    ten_thousand(moderated(), |signals, values| {
        let infos = signals.wait_batch(&mut batch).unwrap();
        assert!(!infos.is_empty());
        values.extend(infos.iter().copied().map(value));
    });
}

fn ten_thousand_moderated_by_recv_batch() {
    let mut batch = Batch::<64>::new();
    ten_thousand(moderated(), |signals, values| {
        block_on(async {
            let infos = signals.recv_batch(&mut batch).await.unwrap();
            values.extend(infos.iter().copied().map(value));
        })
        .unwrap();
    });
}

fn ten_thousand_by_iterating() {
    ten_thousand(options(), |signals, values| {
        let enough = values.len() + 777;
        for info in signals {
            values.push(value(info.unwrap()));
            if values.len() == enough || values.len() == many() as usize {
                break;
            }
        }
    });
}

fn ten_thousand_by_recv() {
    ten_thousand(options(), |signals, values| {
        block_on(async {
            while values.len() < many() as usize {
                values.push(value(signals.recv().await.unwrap()));
            }
        })
        .unwrap();
    });
}

fn ten_thousand_by_recv_batch() {
    let mut batch = Batch::<64>::new();
    ten_thousand(options(), |signals, values| {
        let infos = block_on(signals.recv_batch(&mut batch)).unwrap().unwrap();
        values.extend(infos.iter().copied().map(value));
    });
}

/// As `select!` in a loop does it: most futures are dropped while they wait.
fn ten_thousand_by_futures_dropped_again_and_again() {
    let (_, waker) = WakeCount::new();
    let mut turn = 0;
    ten_thousand(options(), |signals, values| {
        turn += 1;
        let mut cx = Context::from_waker(&waker);
        let mut batch = Batch::<8>::new();
        if turn % 2 == 0 {
            drop(signals.recv());
            if let std::task::Poll::Ready(info) =
                pin!(signals.recv()).poll(&mut cx)
            {
                values.push(value(info.unwrap()));
            }
        } else if let std::task::Poll::Ready(infos) =
            pin!(signals.recv_batch(&mut batch)).poll(&mut cx)
        {
            values.extend(infos.unwrap().iter().copied().map(value));
        }
    });
}

fn ten_thousand_by_an_epoll() {
    let mut batch = Batch::<16>::new();
    ten_thousand(options(), |signals, values| {
        let epoll = Epoll::new([signals]).unwrap();
        while values.len() < many() as usize {
            let (count, waker) = WakeCount::new();
            let mut cx = Context::from_waker(&waker);
            let recv = pin!(signals.recv_batch(&mut batch));
            match recv.poll(&mut cx) {
                std::task::Poll::Ready(infos) => {
                    values.extend(infos.unwrap().iter().copied().map(value));
                }
                std::task::Poll::Pending => {
                    while count.get() == 0 {
                        epoll.turn(None).unwrap();
                    }
                }
            }
        }
    });
}

fn ten_thousand_by_two_receivers() {
    let one = open(rt()).unwrap();
    let two: &Receiver = &open(rt()).unwrap();
    let receiver = pid();
    let child = Child::fork(move || {
        send(receiver, rt(), 0..many());
        0
    });
    let left = AtomicI32::new(many());
    let take = |from: &Receiver| {
        let mut values = Vec::new();
        let moment = Duration::from_millis(5);
        while left.load(Ordering::Relaxed) > 0 {
            if let Some(info) = from.wait_timeout(moment).unwrap() {
                values.push(value(info));
                left.fetch_sub(1, Ordering::Relaxed);
            }
        }
        values
    };
    let (mut first, second) = std::thread::scope(|scope| {
        let second = scope.spawn(|| take(two));
        (take(&one), second.join().unwrap())
    });
    child.wait_for_success();
    assert_eq!((one.try_recv(), two.try_recv()), (Ok(None), Ok(None)));
    assert!(first.is_sorted() && second.is_sorted());
    first.extend(second);
    first.sort_unstable();
    assert!(first.into_iter().eq(0..many()), "each came once, to one of them");
}

fn ten_thousand_over_receivers_opened_again_and_again() {
    // Each takes up to five.
    let count = up_to_ten_thousand();
    let outer = open(rt()).unwrap();
    let receiver = pid();
    let child = Child::fork(move || {
        send(receiver, rt(), 0..count);
        0
    });
    let mut values = Vec::new();
    let mut batch = Batch::<4>::new();
    while values.len() < count as usize {
        let inner = open(rt()).unwrap();
        values.extend(inner.try_recv().unwrap().map(value));
        drop(inner);
        let infos = outer.try_recv_batch(&mut batch).unwrap();
        values.extend(infos.iter().copied().map(value));
    }
    if crate::battery().reads_ahead() {
        // What is put back goes behind what came meanwhile.
        values.sort_unstable();
    }
    assert!(values.into_iter().eq(0..count));
    child.wait_for_success();
}

fn standard_signals_coalesce() {
    let signals = open(Signal::USR1 | Signal::USR2).unwrap();
    let receiver = pid();
    Child::fork(move || {
        for _ in 0..1000 {
            kill(receiver, Signal::USR1);
            kill(receiver, Signal::USR2);
        }
        0
    })
    .wait_for_success();
    let mut batch = Batch::<8>::new();
    let infos = signals.try_recv_batch(&mut batch).unwrap();
    let infos: Vec<_> = infos.iter().map(signalfd::SigInfo::signal).collect();
    if crate::battery().reads_ahead() {
        assert!(infos.contains(&Signal::USR1));
        while signals.try_recv().unwrap().is_some() {}
        return;
    }
    assert_eq!(infos, [Signal::USR1, Signal::USR2]);
}

fn four_senders_keep_their_order() {
    let signals = open(rt()).unwrap();
    let receiver = pid();
    let children: Vec<_> = (0..4)
        .map(|sender| {
            Child::fork(move || {
                let first = sender * many();
                send(receiver, rt(), first..first + many());
                0
            })
        })
        .collect();
    let mut next = [0, many(), 2 * many(), 3 * many()];
    let mut batch = Batch::<64>::new();
    let mut taken = 0;
    while taken < 4 * many() as usize {
        for info in signals.wait_batch(&mut batch).unwrap() {
            let value = value(*info);
            let sender = (value / many()) as usize;
            assert_eq!(value, next[sender]);
            next[sender] += 1;
            taken += 1;
        }
    }
    children.into_iter().for_each(Child::wait_for_success);
    assert_eq!(signals.try_recv().unwrap(), None);
}

/// Installs a handler that does nothing, and whose running interrupts system
/// calls.
#[expect(unsafe_code, reason = "a handler")]
fn interrupt_on(signal: Signal) {
    const extern "C" fn nothing(_: libc::c_int) {}
    // SAFETY: an all-zero sigaction is one: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = nothing as *const () as usize;
    // SAFETY: reads the action, which lives past the call; the handler may run
    // anywhere, since it does nothing.
    let result = unsafe {
        libc::sigaction(
            signal.as_raw(),
            &raw const action,
            std::ptr::null_mut(),
        )
    };
    crate::common::check(result).unwrap();
}

fn a_wait_goes_on_after_a_handler_ran() {
    interrupt_on(Signal::ALRM);
    let signals = open(rt()).unwrap();
    let receiver: &Receiver = &signals;
    let epoll = Epoll::new([receiver]).unwrap();
    let waits: [(&str, &dyn Fn()); 5] = [
        ("wait", &|| assert_eq!(value(receiver.wait().unwrap()), 7)),
        ("wait_timeout", &|| {
            let info = receiver.wait_timeout(DEADLINE).unwrap();
            assert_eq!(value(info.unwrap()), 7);
        }),
        ("block_on", &|| {
            let info = block_on(receiver.recv()).unwrap().unwrap();
            assert_eq!(value(info), 7);
        }),
        ("turn", &|| {
            assert_eq!(epoll.turn(Some(DEADLINE)).unwrap(), 1);
            assert_eq!(value(receiver.wait().unwrap()), 7);
        }),
        ("a turn without end", &|| {
            assert_eq!(epoll.turn(None).unwrap(), 1);
            assert_eq!(value(receiver.wait().unwrap()), 7);
        }),
    ];
    let parent = pid();
    for (name, wait) in waits {
        let child = Child::fork(|| {
            let asleep = || {
                let stat =
                    std::fs::read_to_string(format!("/proc/{parent}/stat"));
                stat.unwrap().rsplit(") ").next().unwrap().starts_with('S')
            };
            for _ in 0..5 {
                wait_until("the parent waits", asleep);
                kill(parent, Signal::ALRM);
            }
            sigqueue(parent, rt(), 7).unwrap();
            0
        });
        println!("{name}");
        wait();
        child.wait_for_success();
    }
}

fn a_flood_of_one_standard_signal_keeps_nobody_from_reading() {
    let signals = open(Signal::USR1 | Signal::TERM).unwrap();
    let parent = pid();
    let floods = SharedCount::new();
    let child = Child::fork(move || {
        (0..200_000).for_each(|_| kill(parent, Signal::USR1));
        // However long nobody could run who reads.
        wait_until("it is read more than once", || {
            kill(parent, Signal::USR1);
            floods.get() > 1
        });
        kill(parent, Signal::TERM);
        0
    });
    for info in &signals {
        match info.unwrap().signal() {
            Signal::USR1 => floods.add_one(),
            _ => break,
        }
    }
    child.wait_for_success();
}
