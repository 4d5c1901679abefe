//! Nothing allocates: not opening, not receiving, not closing.
//!
//! The allocator of this program counts. Each case runs on the only thread of
//! its process, so whatever is counted is the crate's.

#![allow(unsafe_code, reason = "an allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::fmt::Write;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use signalfd::{
    Batch, Epoll, Error, Hub, Options, Reaper, RestoreSignals, Signal,
    SignalFd, SignalSet, Signals, Until, block, block_on, mask,
};

use crate::common::{
    Child, DEADLINE, forbid, kill, open, options, pid, receiver_for, set_mask,
    sigqueue, sigqueue_to_thread, tid,
};
use crate::harness::cases;

cases! {
    the_counter_counts,
    opening_and_closing,
    receiving_what_is_there,
    waiting,
    spinning,
    moderated,
    iterating,
    awaiting,
    awaiting_while_there_is_work,
    awaiting_with_an_epoll,
    polling_for_readiness,
    putting_back,
    handing_out,
    changing_the_signals,
    reopening,
    blocking_in_every_thread,
    as_many_as_are_kept_in_memory_that_is_there,
    between_fork_and_exec,
    waiting_for_children,
    shutting_down,
    errors_and_their_texts,
    checking_the_threads,
}

/// Counts what is allocated.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: hands everything on to the system's allocator, which keeps the
// contract of `GlobalAlloc`.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are the same.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are the same.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(
        &self,
        ptr: *mut u8,
        layout: Layout,
        size: usize,
    ) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are the same.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// How often something was allocated.
pub(crate) fn allocated() -> usize {
    ALLOCATIONS.load(Ordering::Relaxed)
}

/// Runs the function and checks that nothing was allocated meanwhile.
pub(crate) fn without_allocating<R>(run: impl FnOnce() -> R) -> R {
    let before = allocated();
    let result = run();
    assert_eq!(allocated() - before, 0, "allocations");
    result
}

const COUNT: i32 = 10_000;
const AT_ONCE: i32 = 100;

/// Opens a receiver, sends it 10,000 signals, a hundred at a time, and lets
/// `take` bring them; from `open` to the end nothing may be allocated.
fn ten_thousand(
    options: Options,
    mut take: impl FnMut(&Signals, &mut dyn FnMut(&signalfd::SigInfo)),
) {
    let signal = Signal::rt(1).unwrap();
    without_allocating(|| {
        let signals = options.open(signal).unwrap();
        let mut next = 0;
        for first in (0..COUNT).step_by(AT_ONCE as usize) {
            for value in first..first + AT_ONCE {
                sigqueue(pid(), signal, value).unwrap();
            }
            while next < first + AT_ONCE {
                take(&signals, &mut |info| {
                    assert_eq!(info.value(), Some(next));
                    next += 1;
                });
            }
        }
        assert_eq!(signals.try_recv(), Ok(None));
    });
}

fn the_counter_counts() {
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    drop(std::hint::black_box(Box::new(1)));
    assert_eq!(ALLOCATIONS.load(Ordering::Relaxed), before + 1);
}

fn opening_and_closing() {
    without_allocating(|| {
        for _ in 0..100 {
            let guard = block(Signal::HUP).unwrap();
            let receiver = receiver_for(Signal::HUP).unwrap();
            let signals = open(Signal::TERM | Signal::HUP).unwrap();
            let fd = SignalFd::new(Signal::USR1).unwrap();
            drop((fd, signals, receiver, guard));
        }
    });
}

fn receiving_what_is_there() {
    ten_thousand(options(), |signals, got| {
        signals.try_recv().unwrap().iter().for_each(got);
    });
    let mut batch = Batch::<16>::new();
    ten_thousand(options(), |signals, got| {
        signals.try_recv_batch(&mut batch).unwrap().iter().for_each(got);
    });
}

fn waiting() {
    ten_thousand(options(), |signals, got| got(&signals.wait().unwrap()));
    ten_thousand(options(), |signals, got| {
        signals.wait_timeout(DEADLINE).unwrap().iter().for_each(got);
    });
    let mut batch = Batch::<16>::new();
    ten_thousand(options(), |signals, got| {
        signals.wait_batch(&mut batch).unwrap().iter().for_each(got);
    });
    ten_thousand(options(), |signals, got| {
        let infos = signals.wait_batch_timeout(&mut batch, DEADLINE).unwrap();
        infos.iter().for_each(got);
    });
    let short = Duration::from_millis(1);
    without_allocating(|| {
        let signals = open(Signal::TERM).unwrap();
        assert_eq!(signals.wait_timeout(short), Ok(None));
    });
}

fn spinning() {
    let options = options().spin(Duration::from_micros(20));
    ten_thousand(options, |signals, got| got(&signals.wait().unwrap()));
}

fn moderated() {
    let options = options().moderate(Duration::from_micros(20), 8);
    let mut batch = Batch::<16>::new();
    ten_thousand(options, |signals, got| {
        signals.wait_batch(&mut batch).unwrap().iter().for_each(got);
    });
    ten_thousand(options, |signals, got| {
        block_on(async {
            let infos = signals.recv_batch(&mut batch).await.unwrap();
            infos.iter().for_each(got);
        })
        .unwrap();
    });
}

fn iterating() {
    ten_thousand(options(), |signals, got| {
        for info in signals.iter().take(AT_ONCE as usize) {
            got(&info.unwrap());
        }
    });
}

fn awaiting() {
    ten_thousand(options(), |signals, got| {
        got(&block_on(signals.recv()).unwrap().unwrap());
    });
    let mut batch = Batch::<16>::new();
    ten_thousand(options(), |signals, got| {
        block_on(async {
            let infos = signals.recv_batch(&mut batch).await.unwrap();
            infos.iter().for_each(got);
        })
        .unwrap();
    });
    // And asleep: a timer sends the signal.
    without_allocating(|| {
        let signals = open(Signal::ALRM).unwrap();
        // SAFETY: takes a number.
        unsafe { libc::alarm(1) };
        let info = block_on(signals.recv()).unwrap().unwrap();
        assert_eq!(info.signal(), Signal::ALRM);
    });
}

fn awaiting_while_there_is_work() {
    ten_thousand(options(), |signals, got| {
        let until = signals.until(std::future::pending::<()>());
        let Until::Signal(info) = block_on(until).unwrap().unwrap() else {
            unreachable!("the work is never done");
        };
        got(&info);
    });
}

fn awaiting_with_an_epoll() {
    ten_thousand(options(), |signals, got| {
        let epoll = Epoll::new([signals]).unwrap();
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            match pin!(signals.recv()).poll(&mut cx) {
                Poll::Ready(info) => break got(&info.unwrap()),
                Poll::Pending => drop(epoll.turn(None).unwrap()),
            }
        }
    });
}

fn polling_for_readiness() {
    ten_thousand(options(), |signals, got| {
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(signals.poll_ready(&mut cx), Poll::Ready(Ok(())));
        signals.on_readable();
        signals.try_recv().unwrap().iter().for_each(got);
    });
}

fn putting_back() {
    let mut back = false;
    ten_thousand(options(), |signals, got| {
        if !back {
            back = true;
            for _ in 0..AT_ONCE {
                let info = signals.wait().unwrap();
                signals.put_back(&info).unwrap();
            }
        }
        got(&signals.wait().unwrap());
    });
}

/// To one that takes at once, and one that is overrun; and both come and go.
fn handing_out() {
    static HUB: Hub<2, 8> = Hub::new();
    ten_thousand(options(), |signals, got| {
        let mut dispatcher = HUB.dispatcher().unwrap();
        let mut fast = HUB.subscribe(signals.signals()).unwrap();
        let mut slow = HUB.subscribe(signals.signals()).unwrap();
        let error = HUB.subscribe(signals.signals()).map(drop).unwrap_err();
        write!(Nowhere, "{error} {HUB:?} {fast:?} {dispatcher:?}").unwrap();
        assert_eq!(fast.wait_timeout(Duration::from_micros(1)), Ok(None));
        for round in 0..AT_ONCE {
            let info = signals.try_recv().unwrap().unwrap();
            assert_eq!(dispatcher.dispatch(&info), Ok(2));
            let taken = match round % 3 {
                0 => fast.try_recv().unwrap().unwrap(),
                1 => fast.wait().unwrap(),
                _ => block_on(fast.recv()).unwrap().unwrap(),
            };
            got(&taken);
        }
        assert_eq!(slow.missed(), AT_ONCE as u64 - 8);
        let mut batch = Batch::<16>::new();
        assert_eq!(slow.try_recv_batch(&mut batch).unwrap().len(), 8);
        // What one leaves unread comes back.
        drop((fast, slow));
        let one = HUB.subscribe(signals.signals()).unwrap();
        dispatcher.dispatch(&one_more(signals)).unwrap();
        drop(one);
        assert_eq!(signals.try_recv().unwrap().unwrap().value(), Some(-1));
    });
}

/// A signal that is no part of those that are counted.
fn one_more(signals: &Signals) -> signalfd::SigInfo {
    sigqueue(pid(), Signal::rt(1).unwrap(), -1).unwrap();
    signals.wait().unwrap()
}

fn changing_the_signals() {
    ten_thousand(options(), |signals, got| {
        signals.insert(Signal::USR1).unwrap();
        got(&signals.wait().unwrap());
        signals.remove(Signal::USR1).unwrap();
        signals.replace(signals.signals()).unwrap();
    });
}

fn shutting_down() {
    without_allocating(|| {
        for _ in 0..100 {
            let mut shutdown = options().shutdown(Signal::TERM).unwrap();
            assert_eq!(shutdown.try_recv(), Ok(None));
            sigqueue(pid(), Signal::TERM, 0).unwrap();
            let first = block_on(shutdown.recv()).unwrap().unwrap();
            assert_eq!(shutdown.wait(), Ok(first));
            shutdown.deadline(DEADLINE).unwrap();
        }
    });
}

/// Takes text, and does nothing with it.
struct Nowhere;

impl Write for Nowhere {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        assert!(text.len() < 1000);
        Ok(())
    }
}

fn errors_and_their_texts() {
    without_allocating(|| {
        for error in [
            open(Signal::KILL).unwrap_err(),
            receiver_for(Signal::TERM).unwrap_err(),
            "nonsense".parse::<Signal>().unwrap_err(),
            Error::Os { op: signalfd::Op::Read, errno: libc::EMFILE },
        ] {
            write!(Nowhere, "{error} {error:?}").unwrap();
        }
        let signals = open(Signal::USR1).unwrap();
        sigqueue(pid(), Signal::USR1, 1).unwrap();
        let info = signals.wait().unwrap();
        write!(Nowhere, "{info} {info:?} {:?}", signals.signals()).unwrap();
        write!(Nowhere, "{:>20}", info.signal()).unwrap();
    });
}

/// In the parent, and in a child, whose panic would be seen.
fn reopening() {
    let mut signals = open(Signal::USR1).unwrap();
    let mut reopen = || {
        without_allocating(|| {
            for _ in 0..20 {
                kill(pid(), Signal::USR1);
                signals.reopen().unwrap();
                assert!(signals.wait_timeout(DEADLINE).unwrap().is_some());
            }
        });
    };
    reopen();
    Child::fork(|| {
        reopen();
        0
    })
    .wait_for_success();
}

/// The handler runs in this thread, with room in the queue and without.
fn blocking_in_every_thread() {
    let signal = Signal::rt(1).unwrap();
    let storm = || {
        without_allocating(|| {
            let every = options().every_thread(true);
            let signals = every.open(signal).unwrap();
            for value in 0..100 {
                set_mask(SignalSet::empty());
                sigqueue(pid(), signal, value).unwrap();
                assert_eq!(signals.wait().unwrap().value(), Some(value));
            }
            signals.every_thread().unwrap().heal().unwrap();
        });
    };
    storm();
    Child::fork(|| {
        storm();
        forbid(libc::SYS_rt_sigqueueinfo, libc::EAGAIN);
        without_allocating(|| {
            let every = options().every_thread(true);
            let signals = every.open(signal).unwrap();
            for value in 0..10_000 {
                set_mask(SignalSet::empty());
                sigqueue_to_thread(tid(), signal, value);
            }
            for _ in 0..10_000 {
                signals.wait().unwrap();
            }
        });
        0
    })
    .wait_for_success();
}

/// The handler keeps 4,096 records that find no room in the queue, and maps nothing for them.
fn as_many_as_are_kept_in_memory_that_is_there() {
    const KEPT: i32 = 4096;
    let signal = Signal::rt(1).unwrap();
    let signals = options().every_thread(true).open(signal).unwrap();
    forbid(libc::SYS_rt_sigqueueinfo, libc::EAGAIN);
    forbid(libc::SYS_mmap, libc::ENOMEM);
    without_allocating(|| {
        for value in 0..KEPT {
            set_mask(SignalSet::empty());
            sigqueue_to_thread(tid(), signal, value);
        }
        let mut sum = 0;
        for _ in 0..KEPT {
            sum += signals.wait().unwrap().value().unwrap();
        }
        assert_eq!(sum, KEPT * (KEPT - 1) / 2);
    });
}

/// What the child does of ours, between two looks at what was allocated there.
fn between_fork_and_exec() {
    use std::os::unix::process::CommandExt;
    static BEFORE: AtomicUsize = AtomicUsize::new(0);
    let every = options().every_thread(true);
    let signals = every.open(Signal::TERM | Signal::HUP).unwrap();
    let mut command = std::process::Command::new("true");
    let look = || {
        BEFORE.store(ALLOCATIONS.load(Ordering::Relaxed), Ordering::Relaxed);
        Ok(())
    };
    let look_again = || {
        let before = BEFORE.load(Ordering::Relaxed);
        let is_same = ALLOCATIONS.load(Ordering::Relaxed) == before;
        is_same.then_some(()).ok_or(std::io::ErrorKind::OutOfMemory.into())
    };
    // SAFETY: looks at a number.
    unsafe { command.pre_exec(look) };
    command.restore_signals(signals.guard().saved());
    // SAFETY: as above.
    unsafe { command.pre_exec(look_again) };
    assert!(command.status().unwrap().success());
}

fn waiting_for_children() {
    let signals = open(Signal::CHLD).unwrap();
    let mut reaper = Reaper::<8>::new();
    for _ in 0..20 {
        for code in 0..8 {
            let pid = Child::fork(|| code).pid;
            let pid = u32::try_from(pid).unwrap();
            without_allocating(|| reaper.add(pid)).unwrap();
        }
        without_allocating(|| {
            loop {
                for exit in reaper.reap() {
                    assert!(exit.unwrap().status() < 8);
                }
                if reaper.is_empty() {
                    break;
                }
                signals.wait().unwrap();
            }
        });
    }
}

fn checking_the_threads() {
    let guard = block(Signal::TERM).unwrap();
    let barrier = std::sync::Barrier::new(33);
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                barrier.wait();
                barrier.wait();
            });
        }
        barrier.wait();
        without_allocating(|| {
            mask::check_threads(Signal::TERM).unwrap();
            let error = mask::check_threads(Signal::HUP).unwrap_err();
            assert!(matches!(error, Error::UnblockedThread(_)));
        });
        barrier.wait();
    });
    drop(guard);
}
