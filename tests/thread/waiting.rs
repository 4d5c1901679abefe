//! Blocking waits.

use std::thread;
use std::time::{Duration, Instant};

use signalfd::{Batch, Options, SigInfo, Signal};

use crate::common::{
    open_in_thread, options, raise, sigqueue_to_thread, tgkill, tid,
    wait_until_asleep,
};

const SHORT: Duration = Duration::from_millis(20);

#[test]
fn what_is_pending_needs_no_waiting() {
    let signals = open_in_thread(Signal::USR1);
    for wait in [
        |s: &signalfd::Signals| s.wait().unwrap(),
        |s: &signalfd::Signals| {
            s.wait_timeout(Duration::ZERO).unwrap().unwrap()
        },
        |s: &signalfd::Signals| s.wait_timeout(Duration::MAX).unwrap().unwrap(),
        |s: &signalfd::Signals| {
            s.wait_batch(&mut Batch::<2>::new()).unwrap()[0]
        },
        |s: &signalfd::Signals| s.iter().next().unwrap().unwrap(),
    ] {
        raise(Signal::USR1);
        assert_eq!(wait(&signals).signal(), Signal::USR1);
    }
}

#[test]
fn a_timeout_is_kept() {
    for spin in [Duration::ZERO, Duration::from_millis(2), Duration::MAX] {
        let signals = options()
            .check_threads(false)
            .spin(spin)
            .open(Signal::USR1)
            .unwrap();
        let start = Instant::now();
        assert_eq!(signals.wait_timeout(SHORT).unwrap(), None);
        assert!(start.elapsed() >= SHORT);
        let mut batch = Batch::<2>::new();
        let infos = signals.wait_batch_timeout(&mut batch, SHORT).unwrap();
        assert!(infos.is_empty());
        assert!(start.elapsed() >= 2 * SHORT);
        assert_eq!(signals.wait_timeout(Duration::ZERO).unwrap(), None);
    }
}

/// Runs a wait in a thread of its own, sends it a signal when it is asleep, and
/// returns what it received.
fn wake<R: Send>(
    options: Options,
    wait: impl FnOnce(&signalfd::Receiver) -> R + Send,
) -> R {
    let (send_tid, its_tid) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        let waiter = scope.spawn(move || {
            let signals = options.open(Signal::USR1).unwrap();
            send_tid.send(tid()).unwrap();
            wait(&signals)
        });
        let tid = its_tid.recv().unwrap();
        wait_until_asleep(tid);
        tgkill(tid, Signal::USR1);
        waiter.join().unwrap()
    })
}

#[test]
fn a_sleeping_wait_is_woken() {
    let options = options().check_threads(false);
    let minute = Duration::from_secs(60);
    let info = wake(options, |receiver| receiver.wait().unwrap());
    assert_eq!(info.signal(), Signal::USR1);
    let info = wake(options, |receiver| receiver.wait_timeout(minute).unwrap());
    assert_eq!(info.map(|info| info.signal()), Some(Signal::USR1));
    let taken = wake(options, |receiver| {
        let mut batch = Batch::<8>::new();
        receiver.wait_batch(&mut batch).unwrap().len()
    });
    assert_eq!(taken, 1);
    let taken = wake(options, |receiver| {
        let mut batch = Batch::<8>::new();
        receiver.wait_batch_timeout(&mut batch, minute).unwrap().len()
    });
    assert_eq!(taken, 1);
}

#[test]
fn a_wait_that_spins_goes_to_sleep_in_the_end() {
    let budget = Duration::from_micros(100);
    let options = options().check_threads(false).spin(budget);
    let info = wake(options, |receiver| receiver.wait().unwrap());
    assert_eq!(info.signal(), Signal::USR1);
}

#[test]
fn a_spinning_wait_takes_what_comes() {
    let options = options().check_threads(false).spin(Duration::MAX);
    let (send_tid, its_tid) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        let waiter = scope.spawn(move || {
            let signals = options.open(Signal::USR1).unwrap();
            send_tid.send(tid()).unwrap();
            signals.wait().unwrap()
        });
        tgkill(its_tid.recv().unwrap(), Signal::USR1);
        assert_eq!(waiter.join().unwrap().signal(), Signal::USR1);
    });
}

#[test]
fn a_wait_takes_all_there_is() {
    let rt = Signal::rt(5).unwrap();
    let signals = open_in_thread(rt);
    for value in 0..100 {
        sigqueue_to_thread(tid(), rt, value);
    }
    let mut batch = Batch::<64>::new();
    let mut values = Vec::new();
    for expected in [64, 36] {
        let infos = signals.wait_batch(&mut batch).unwrap();
        assert_eq!(infos.len(), expected);
        values.extend(infos.iter().filter_map(SigInfo::value));
    }
    assert!(values.into_iter().eq(0..100));
}

/// A second descriptor, which blocks, is made for the first wait, and goes with
/// the receiver.
#[test]
fn set_changes_reach_a_receiver_that_has_waited() {
    let signals = open_in_thread(Signal::USR1);
    raise(Signal::USR1);
    assert_eq!(signals.wait().unwrap().signal(), Signal::USR1);
    signals.replace(Signal::USR2).unwrap();
    raise(Signal::USR2);
    assert_eq!(signals.wait().unwrap().signal(), Signal::USR2);
    raise(Signal::USR2);
    assert_eq!(signals.try_recv().unwrap().unwrap().signal(), Signal::USR2);
}
