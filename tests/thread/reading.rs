//! Taking what is there.
//!
//! The cases are those of gVisor's `signalfd.cc` (mask, close-on-exec, blocking,
//! non-blocking, set-mask, poll, payload) and LTP's `signalfd01.c`, and our own.

use rustix::event::{PollFd, PollFlags};
use signalfd::{Batch, Cause, Sender, SigInfo, Signal, SignalFd, block};

use crate::common::{open_in_thread, pid, raise, sigqueue_to_thread, tid, uid};

#[test]
fn nothing_pending_is_none() {
    let signals = open_in_thread(Signal::USR1);
    assert_eq!(signals.try_recv().unwrap(), None);
    assert!(signals.try_recv_batch(&mut Batch::<4>::new()).unwrap().is_empty());
}

#[test]
fn a_signal_is_received_once() {
    let signals = open_in_thread(Signal::USR1);
    raise(Signal::USR1);
    let info = signals.try_recv().unwrap().unwrap();
    assert_eq!(info.signal(), Signal::USR1);
    assert_eq!(info.cause(), Cause::Tgkill);
    let (pid, uid) = (pid() as u32, uid());
    assert_eq!(info.sender(), Sender::Verified { pid, uid });
    assert_eq!((info.pid(), info.uid()), (Some(pid), Some(uid)));
    assert_eq!(info.value(), None);
    assert_eq!(signals.try_recv().unwrap(), None);
}

#[test]
fn only_the_set_is_received() {
    let _guard = block(Signal::USR2).unwrap();
    let signals = open_in_thread(Signal::USR1);
    raise(Signal::USR2);
    raise(Signal::USR1);
    assert_eq!(signals.wait().unwrap().signal(), Signal::USR1);
    assert_eq!(signals.try_recv().unwrap(), None);
    // Or it would kill the thread when the mask comes back.
    let other = SignalFd::new(Signal::USR2).unwrap();
    let mut batch = Batch::<4>::new();
    assert_eq!(other.try_recv_batch(&mut batch).unwrap().len(), 1);
}

#[test]
fn a_thread_does_not_see_what_is_directed_at_another() {
    if crate::battery().reads_ahead() {
        // The ring has read it on behalf of the thread that armed it.
        return;
    }
    let signals = open_in_thread(Signal::USR1);
    raise(Signal::USR1);
    let receiver: &signalfd::Receiver = &signals;
    std::thread::scope(|scope| {
        scope.spawn(|| assert_eq!(receiver.try_recv().unwrap(), None));
    });
    assert!(receiver.try_recv().unwrap().is_some());
}

#[test]
fn standard_signals_coalesce_and_real_time_signals_do_not() {
    let rt = Signal::rt(1).unwrap();
    let signals = open_in_thread(Signal::USR1 | rt);
    for value in 0..5 {
        sigqueue_to_thread(tid(), Signal::USR1, value);
        sigqueue_to_thread(tid(), rt, value);
    }
    let mut batch = Batch::<16>::new();
    let seen: Vec<_> = signals
        .try_recv_batch(&mut batch)
        .unwrap()
        .iter()
        .map(|info| (info.signal(), info.value().unwrap()))
        .collect();
    let first = [(Signal::USR1, 0)].into_iter();
    let expected: Vec<_> =
        first.chain((0..5).map(|value| (rt, value))).collect();
    if crate::battery().reads_ahead() {
        let real_time = seen.into_iter().filter(|&(signal, _)| signal == rt);
        assert!(real_time.eq(expected.into_iter().skip(1)));
        while signals.try_recv().unwrap().is_some() {}
        return;
    }
    assert_eq!(seen, expected);
}

#[test]
fn values_of_all_bits_arrive() {
    let rt = Signal::rt(0).unwrap();
    let signals = open_in_thread(rt);
    for value in [0, 42, -1, i32::MIN, i32::MAX] {
        sigqueue_to_thread(tid(), rt, value);
        let info = signals.wait().unwrap();
        assert_eq!(info.cause(), Cause::Queue { value });
        assert_eq!(info.value(), Some(value));
        assert!(info.pointer().is_some());
    }
}

/// The order in `next_signal()` of the kernel: by number, and those of one
/// number as sent.
#[test]
fn a_batch_is_in_the_kernels_order() {
    let (low, high) = (Signal::rt(1).unwrap(), Signal::rt(6).unwrap());
    let set = low | high | Signal::TERM | Signal::HUP | Signal::CHLD;
    let signals = open_in_thread(set);
    for signal in
        [high, low, high, low, Signal::TERM, Signal::CHLD, Signal::HUP]
    {
        raise(signal);
    }
    let mut batch = Batch::<16>::new();
    let infos = signals.try_recv_batch(&mut batch).unwrap();
    let order = [Signal::HUP, Signal::TERM, Signal::CHLD, low, low, high, high];
    let mut signals: Vec<_> = infos.iter().map(SigInfo::signal).collect();
    if crate::battery().reads_ahead() {
        // In the order in which they came.
        signals.sort_unstable();
    }
    assert_eq!(signals, order);
}

#[test]
fn a_batch_takes_what_fits_and_a_short_one_is_the_end() {
    let rt = Signal::rt(3).unwrap();
    let signals = open_in_thread(rt);
    for value in 0..10 {
        sigqueue_to_thread(tid(), rt, value);
    }
    let mut batch = Batch::<4>::new();
    let mut values = Vec::new();
    for expected in [4, 4, 2, 0] {
        let infos = signals.try_recv_batch(&mut batch).unwrap();
        assert_eq!(infos.len(), expected);
        values.extend(infos.iter().filter_map(SigInfo::value));
    }
    assert!(values.into_iter().eq(0..10));
}

#[test]
fn the_descriptor_is_readable_while_a_signal_is_pending() {
    let signals = open_in_thread(Signal::USR1);
    let readable = || {
        let mut fds = [PollFd::new(&signals, PollFlags::IN)];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::event::poll(&mut fds, Some(&now)).unwrap() == 1
    };
    assert!(!readable());
    raise(Signal::USR1);
    assert!(readable());
    signals.try_recv().unwrap();
    assert!(!readable());
}

#[test]
fn the_descriptor_does_not_block_and_does_not_survive_exec() {
    let fd = SignalFd::new(Signal::USR1).unwrap();
    let status = rustix::fs::fcntl_getfl(&fd).unwrap();
    assert!(status.contains(rustix::fs::OFlags::NONBLOCK));
    let flags = rustix::io::fcntl_getfd(&fd).unwrap();
    assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    assert!(fd.try_recv_batch(&mut Batch::<1>::new()).unwrap().is_empty());
}

#[test]
fn an_iterator_goes_on_where_the_last_one_stopped() {
    let rt = Signal::rt(4).unwrap();
    let signals = open_in_thread(rt);
    for value in 0..6 {
        sigqueue_to_thread(tid(), rt, value);
    }
    let mut values = Vec::new();
    for _ in 0..3 {
        for info in &signals {
            values.push(info.unwrap().value().unwrap());
            if values.len() % 2 == 0 {
                break;
            }
        }
    }
    assert!(values.into_iter().eq(0..6));
}

#[test]
fn a_record_prints_as_one_line() {
    let rt = Signal::rt(1).unwrap();
    let signals = open_in_thread(rt);
    sigqueue_to_thread(tid(), rt, 42);
    let (pid, uid) = (pid(), uid());
    assert_eq!(
        signals.wait().unwrap().to_string(),
        format!(
            "SIGRTMIN+1 cause=queue pid={pid} uid={uid} sender=claimed value=42"
        )
    );
}
