//! A ring of the receiver's own: where it runs, where not, and why.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use libc::c_long;
use rustix::event::epoll::EventFlags;
use signalfd::{
    Backend, Batch, Error, Kind, Op, Options, Receiver, Signal, Signals,
    block_on,
};

use crate::common::{
    Child, DEADLINE, End, HeldCall, HeldCalls, OwnEpoll, WakeCount,
    become_nobody, check, forbid, forbid_on_pain_of_death, is_pending,
    kernel_is_from, kill, leave_the_user, open_descriptors, pid, set_limit,
    sigqueue, sigqueue_to_thread, storm_size, tgkill, tid, wait_until,
    wait_until_asleep, without_memory,
};
use crate::harness::{cases, since, skip};

cases! {
    plain_reads_are_the_default,
    each_kind_runs_and_says_so,
    a_ring_that_is_forbidden_is_replaced,
    a_ring_that_may_not_be_entered_is_replaced,
    a_ring_that_may_not_be_told_of_buffers_waits_instead,
    what_the_sysctl_forbids,
    no_descriptor_left_for_a_ring,
    no_memory_may_be_locked,
    a_ring_that_fails_later_is_replaced_and_nothing_lost,
    a_wait_survives_the_failure_of_its_ring,
    a_wait_goes_on_where_nothing_else_can_be_told,
    a_submission_that_fails_once_keeps_nobody_asleep,
    what_one_has_pushed_another_submits,
    a_submission_that_another_was_late_for_is_made_again,
    a_thread_that_is_refused_its_turn_sees_its_own_signals,
    a_submission_that_is_refused_keeps_nobody_else_asleep,
    a_batch_is_not_short_where_the_ring_fails,
    to_print_a_receiver_does_not_show_its_descriptor,
    a_hundred_thousand_by_each_kind,
    the_thread_that_armed_the_ring_ends,
    a_ring_moves_with_its_receiver,
    threads_that_wait_at_once_sleep,
    threads_that_wait_at_once_share_what_comes,
    threads_that_take_at_once_share_what_comes,
    a_signal_for_the_waiting_thread_is_seen,
    a_wait_for_no_time_sees_what_is_for_its_thread,
    signals_that_are_for_others_do_not_end_the_request,
    signals_that_are_for_others_use_up_no_buffers,
    unread_signals_go_back_where_there_is_room,
    unread_signals_are_kept_without_memory_for_them,
    receivers_opened_again_and_again_where_the_queue_is_full,
    what_is_left_makes_a_receiver_ready,
    what_is_left_comes_together_with_what_is_pending,
    a_task_that_is_refused_its_turn_is_told,
    an_edge_that_is_refused_its_turn_is_told,
    a_signalfd_of_the_parents_makes_no_receiver,
    a_set_that_others_widen_is_received,
    what_is_removed_from_a_descriptor_of_others_goes_back,
    a_waker_that_panics_loses_nothing,
    a_waker_that_panics_loses_nothing_that_has_gathered,
    a_batch_has_also_what_came_after_the_ring_has_read,
    what_is_left_is_for_those_who_receive_it,
    nothing_is_stranded_by_those_who_are_refused,
    what_is_removed_during_the_turn_of_another_goes_back,
    a_forked_child_keeps_the_ring_alive,
    a_forked_child_lets_nothing_gather_at_the_ring,
    nothing_of_a_ring_is_left_open,
    a_poll_is_cancelled_as_any_kernel_can,
    a_ring_that_would_never_tell_is_refused,
    a_descriptor_is_readable_as_long_as_there_is_something,
    the_end_of_many_is_announced_again,
}

const KINDS: [Kind; 2] = [Kind::Readiness, Kind::Completion];

/// Those that the kernel has.
fn kinds() -> impl Iterator<Item = Kind> {
    let _first = ring(Kind::Readiness);
    KINDS.into_iter().filter(|&kind| kernel_is_from(since(kind)))
}

fn ring(kind: Kind) -> Options {
    let (major, minor) = since(kind);
    if !kernel_is_from((major, minor)) {
        skip(&format!("{kind:?} needs Linux {major}.{minor}"));
    }
    Options::new().backend(Backend::Uring).kind(kind)
}

fn rt() -> Signal {
    Signal::rt(1).unwrap()
}

fn queue(values: std::ops::Range<i32>) {
    values.for_each(|value| sigqueue(pid(), rt(), value).unwrap());
}

/// A read that stands may have overlooked a signal at the end of many (`request.rs`).
fn the_end_of_many_is_announced_again() {
    let signals = ring(Kind::Completion).open(rt()).unwrap();
    let _descriptor = signals.as_fd();
    let (other, epoll) = OwnEpoll::of_announcements(Signal::HUP);
    let bursts =
        [(127, false), (1, true), (127, false), (200, true), (1, false)];
    for (count, is_announced) in bursts {
        queue(0..count);
        assert!(epoll.is_ready(), "they are announced");
        let (mut batch, mut taken) = (Batch::<64>::new(), 0);
        loop {
            let infos = signals.try_recv_batch(&mut batch).unwrap();
            taken += infos.len();
            if infos.len() < 64 {
                break;
            }
        }
        assert_eq!(taken, count as usize);
        assert_eq!(epoll.is_ready(), is_announced, "{count}");
    }
    other.try_recv().unwrap().unwrap();
}

/// Takes numbers, waiting for them.
fn expect(receiver: &Receiver, values: std::ops::Range<i32>) {
    for value in values {
        assert_eq!(receiver.wait().unwrap().value(), Some(value));
    }
}

fn plain_reads_are_the_default() {
    let signals = signalfd::open(rt()).unwrap();
    let running = signals.backend();
    assert_eq!(running.backend(), Backend::Epoll);
    assert_eq!((running.kind(), running.fallback()), (None, None));
    assert!(running.to_string().contains("Backend::Uring"), "{running}");
    let asked = Options::new().backend(Backend::Epoll).open(rt()).unwrap();
    assert_eq!(asked.backend().to_string(), "epoll: as asked for");
}

fn each_kind_runs_and_says_so() {
    for kind in kinds() {
        let signals = ring(kind).open(rt()).unwrap();
        let running = signals.backend();
        assert_eq!(running.backend(), Backend::Uring);
        assert_eq!(running.kind(), Some(kind));
        assert_eq!(running.fallback(), None);
        assert!(running.to_string().starts_with("io_uring"), "{running}");
    }
}

/// What a receiver does that had to do without a ring.
fn works_without(signals: &Signals, error: Error) {
    let running = signals.backend();
    assert_eq!(running.fallback(), Some(error));
    assert_eq!(running.backend(), Backend::Epoll);
    assert_eq!(running.kind(), None);
    let text = running.to_string();
    assert!(text.starts_with("epoll: ") && text.contains("failed"), "{text}");
    queue(0..3);
    assert_eq!(signals.try_recv().unwrap().unwrap().value(), Some(0));
    expect(signals, 1..2);
    let info = block_on(signals.recv()).unwrap().unwrap();
    assert_eq!(info.value(), Some(2));
}

/// What sandboxes say: that it is forbidden, or that there is no such thing. Each in
/// a process of its own, since a sandbox stays.
fn by_each_sandbox(test: impl Fn(i32)) {
    for errno in [libc::EPERM, libc::ENOSYS] {
        Child::fork(|| {
            test(errno);
            0
        })
        .wait_for_success();
    }
}

fn a_ring_that_is_forbidden_is_replaced() {
    by_each_sandbox(|errno| {
        forbid(libc::SYS_io_uring_setup, errno);
        for kind in kinds() {
            let signals = ring(kind).open(rt()).unwrap();
            works_without(&signals, Error::Os { op: Op::UringSetup, errno });
            let text = signals.backend().to_string();
            for word in match errno {
                libc::EPERM => ["kernel.io_uring_disabled", "seccomp"],
                _ => ["sandbox", "Linux 5.1"],
            } {
                assert!(text.contains(word), "{text}");
            }
        }
    });
}

fn a_ring_that_may_not_be_entered_is_replaced() {
    by_each_sandbox(|errno| {
        forbid(libc::SYS_io_uring_enter, errno);
        for kind in kinds() {
            let signals = ring(kind).open(rt()).unwrap();
            works_without(&signals, Error::Os { op: Op::UringEnter, errno });
        }
    });
}

fn a_ring_that_may_not_be_told_of_buffers_waits_instead() {
    by_each_sandbox(|errno| {
        forbid(libc::SYS_io_uring_register, errno);
        let signals = ring(Kind::Completion).open(rt()).unwrap();
        let running = signals.backend();
        assert_eq!(running.kind(), Some(Kind::Readiness));
        let reason = Error::Os { op: Op::UringRegister, errno };
        assert_eq!(running.fallback(), Some(reason));
        queue(0..3);
        expect(&signals, 0..3);
    });
}

/// 0 allows it, 1 allows it to those with `CAP_SYS_ADMIN`, 2 to nobody.
fn what_the_sysctl_forbids() {
    let path = "/proc/sys/kernel/io_uring_disabled";
    let value = std::fs::read_to_string(path).unwrap_or_default();
    if value.trim() == "1" {
        become_nobody();
    }
    let signals = ring(Kind::Completion).open(rt()).unwrap();
    if matches!(value.trim(), "1" | "2") {
        let errno = libc::EPERM;
        works_without(&signals, Error::Os { op: Op::UringSetup, errno });
    } else {
        assert_eq!(signals.backend().fallback(), None);
    }
}

fn no_descriptor_left_for_a_ring() {
    let guard = signalfd::block(rt()).unwrap();
    let free = std::fs::File::open("/dev/null").unwrap();
    let next = std::os::fd::AsRawFd::as_raw_fd(&free);
    drop(free);
    let limit = libc::rlim_t::try_from(next).unwrap();
    let unchecked = ring(Kind::Completion).check_threads(false);
    // For the signalfd alone, then for the ring, then for the ring's epoll.
    let results = [1, 2, 3].map(|more| {
        let before = set_limit(libc::RLIMIT_NOFILE, limit + more);
        let receiver = unchecked.receiver(rt()).unwrap();
        let running = receiver.backend();
        queue(0..3);
        expect(&receiver, 0..3);
        set_limit(libc::RLIMIT_NOFILE, before);
        running
    });
    let full = |op| Some(Error::Os { op, errno: libc::EMFILE });
    assert_eq!(results[0].fallback(), full(Op::UringSetup));
    assert!(results[0].to_string().contains("RLIMIT_NOFILE"));
    assert_eq!(results[0].backend(), Backend::Epoll);
    assert_eq!(results[1].fallback(), full(Op::EpollCreate));
    assert_eq!(results[1].kind(), Some(Kind::Readiness));
    assert_eq!(results[2].fallback(), None);
    drop(guard);
}

/// Before Linux 5.12 a ring counted as locked memory, and on some newer ones (6.18) it does
/// again. Where it does not, the answer of those kernels comes from a sandbox.
fn no_memory_may_be_locked() {
    set_limit(libc::RLIMIT_MEMLOCK, 0);
    become_nobody();
    let reasons = || {
        KINDS.map(|kind| {
            let signals = ring(kind).open(rt()).unwrap();
            queue(0..3);
            expect(&signals, 0..3);
            signals.backend().fallback()
        })
    };
    let locked = Error::Os { op: Op::UringSetup, errno: libc::ENOMEM };
    assert!(locked.to_string().contains("RLIMIT_MEMLOCK"), "{locked}");
    for reason in reasons() {
        assert!(reason.is_none() || reason == Some(locked), "{reason:?}");
    }
    forbid(libc::SYS_io_uring_setup, libc::ENOMEM);
    assert_eq!(reasons(), [Some(locked); 2]);
}

/// A sandbox comes while a ring is in use. What others wait for stays the same.
fn a_ring_that_fails_later_is_replaced_and_nothing_lost() {
    by_each_sandbox(fails_later);
}

fn fails_later(errno: i32) {
    let both = KINDS.map(|kind| {
        let signal = Signal::rt(1 + kind as u8).unwrap();
        (signal, ring(kind).open(signal).unwrap())
    });
    let epolls = both
        .each_ref()
        .map(|(_, signals)| OwnEpoll::of(signals, EventFlags::empty()));
    for (signal, signals) in &both {
        sigqueue(pid(), *signal, 1).unwrap();
        assert_eq!(signals.wait().unwrap().value(), Some(1));
        assert_eq!(signals.try_recv().unwrap(), None);
        assert_eq!(signals.backend().fallback(), None);
    }
    forbid(libc::SYS_io_uring_enter, errno);
    for ((signal, signals), epoll) in both.iter().zip(&epolls) {
        let soon = Duration::from_millis(1);
        assert_eq!(signals.wait_timeout(soon).unwrap(), None);
        assert!(!epoll.is_ready(), "{}", signals.backend());
        // More than the buffers of a ring that is still armed.
        for value in 0..200 {
            sigqueue(pid(), *signal, value).unwrap();
        }
        for value in 0..200 {
            assert!(epoll.is_ready());
            let info = block_on(signals.recv()).unwrap().unwrap();
            assert_eq!(info.value(), Some(value));
        }
        assert_eq!(signals.try_recv().unwrap(), None);
        // On a slow machine the time is over before the ring is asked.
        wait_until("the ring has failed", || {
            assert_eq!(signals.wait_timeout(soon).unwrap(), None);
            signals.backend().fallback().is_some()
        });
        let reason = Error::Os { op: Op::UringEnter, errno };
        assert_eq!(signals.backend().fallback(), Some(reason));
        assert!(!epoll.is_ready());
        sigqueue(pid(), *signal, 7).unwrap();
        assert_eq!(signals.wait().unwrap().value(), Some(7));
    }
}

fn a_wait_survives_the_failure_of_its_ring() {
    for (kind, errno) in [
        (KINDS[0], libc::EPERM),
        (KINDS[0], libc::ENOSYS),
        (KINDS[1], libc::EPERM),
        (KINDS[1], libc::ENOSYS),
    ] {
        let signals = ring(kind).open(rt()).unwrap();
        let receiver: &Receiver = &signals;
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                // Filters are inherited by nobody but this thread's children.
                forbid(libc::SYS_io_uring_enter, errno);
                receiver.wait().unwrap().value()
            });
            queue(5..6);
            assert_eq!(waiting.join().unwrap(), Some(5));
        });
    }
}

/// A sandbox that forbids `epoll_ctl(2)` as well: the signalfd cannot be added to what others
/// wait for.
fn a_wait_goes_on_where_nothing_else_can_be_told() {
    let signals = ring(Kind::Completion).open(rt()).unwrap();
    // The request that was there from the beginning ends with this.
    queue(0..1);
    expect(&signals, 0..1);
    forbid(libc::SYS_io_uring_enter, libc::EPERM);
    forbid(libc::SYS_epoll_ctl, libc::EPERM);
    let soon = Duration::from_millis(1);
    wait_until("the ring has failed", || {
        assert_eq!(signals.wait_timeout(soon).unwrap(), None);
        signals.backend().fallback().is_some()
    });
    let waiting = tid();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            wait_until_asleep(waiting);
            queue(1..2);
        });
        assert_eq!(signals.wait().unwrap().value(), Some(1));
    });
}

/// The ring is in order afterwards, but has no request.
fn a_submission_that_fails_once_keeps_nobody_asleep() {
    for (kind, errno) in [
        (KINDS[0], libc::EINTR),
        (KINDS[0], libc::EAGAIN),
        (KINDS[1], libc::EINTR),
        (KINDS[1], libc::EAGAIN),
    ] {
        let signals = ring(kind).open(rt()).unwrap();
        let receiver: &Receiver = &signals;
        std::thread::scope(|scope| {
            let (tell, told) = mpsc::channel();
            let waiting = scope.spawn(move || {
                let enter = [libc::SYS_io_uring_enter];
                let held = HeldCalls::of_this_thread(&enter);
                tell.send((tid(), held)).unwrap();
                receiver.wait().unwrap().value()
            });
            let (tid, held) = told.recv().unwrap();
            let Ok(held) = held else {
                skip("seccomp cannot hold system calls here");
            };
            held.fail_the_next(errno);
            // It sleeps, or is about to.
            wait_until_asleep(tid);
            queue(5..6);
            while held.before_the_next(|_| ()) {}
            assert_eq!(waiting.join().unwrap(), Some(5));
        });
    }
}

/// The ring of another thread's request has read one signal, and may not be asked to read
/// another. A loop that is told of edges would not be told of that one.
fn a_batch_is_not_short_where_the_ring_fails() {
    let signals = ring(Kind::Completion).open(rt()).unwrap();
    let receiver: &Receiver = &signals;
    std::thread::scope(|scope| {
        let (tell, told) = mpsc::channel();
        let (end, ended) = mpsc::channel::<()>();
        let other = scope.spawn(move || {
            let descriptor = receiver.as_fd();
            tell.send(descriptor).unwrap();
            assert!(ended.recv().is_err());
        });
        let _descriptor = told.recv().unwrap();
        // What is left of this thread's own request is no record.
        assert_eq!(signals.try_recv().unwrap(), None);
        queue(1..2);
        wait_until("the ring has read it", || !is_pending(rt()));
        wait_until("it has said so", has_completion);
        sigqueue_to_thread(tid(), rt(), 2);
        forbid(libc::SYS_io_uring_enter, libc::EPERM);
        let mut batch = Batch::<8>::new();
        let infos = signals.try_recv_batch(&mut batch).unwrap();
        let values: Vec<_> =
            infos.iter().map(signalfd::SigInfo::value).collect();
        assert_eq!(values, [Some(1), Some(2)]);
        drop(end);
        other.join().unwrap();
    });
    assert!(signals.backend().fallback().is_some());
}

/// Starts a thread that waits, and returns its number and its entries to the ring; the
/// first of them is that in which it submits and sleeps.
fn wait_held<'s>(
    scope: &'s std::thread::Scope<'s, '_>,
    receiver: &'s Receiver,
) -> (i32, HeldCalls, std::thread::ScopedJoinHandle<'s, Option<i32>>) {
    let (tell, told) = mpsc::channel();
    let waiting = scope.spawn(move || {
        let held = HeldCalls::of_this_thread(&[libc::SYS_io_uring_enter]);
        tell.send((tid(), held)).unwrap();
        receiver.wait().unwrap().value()
    });
    let (tid, held) = told.recv().unwrap();
    let Ok(held) = held else {
        skip("seccomp cannot hold system calls here");
    };
    (tid, held, waiting)
}

/// Lets all of them go on, for as long as the thread lives.
fn release<'s>(scope: &'s std::thread::Scope<'s, '_>, held: HeldCalls) {
    scope.spawn(move || while held.before_the_next(|_| ()) {});
}

/// Whether the kernel has taken all that was pushed into the only ring of this process.
fn is_all_submitted() -> bool {
    let ring = RingInfo::read();
    let head = ring.value("SqHead:");
    head.is_some() && head == ring.value("SqTail:")
}

/// Whether there is a completion in it that nobody has looked at.
fn has_completion() -> bool {
    let ring = RingInfo::read();
    ring.value("CqHead:") != ring.value("CqTail:")
}

/// What the kernel says of the only ring of this process (`io_uring/fdinfo.c`).
struct RingInfo(String);

impl RingInfo {
    fn read() -> Self {
        let is_ring = |fd: &std::path::PathBuf| {
            let file = std::fs::read_link(fd).unwrap_or_default();
            file.to_string_lossy().contains("io_uring")
        };
        let fds = std::fs::read_dir("/proc/self/fd").unwrap();
        let ring = fds.map(|fd| fd.unwrap().path()).find(is_ring).unwrap();
        let number = ring.file_name().unwrap().to_str().unwrap();
        let path = format!("/proc/self/fdinfo/{number}");
        Self(std::fs::read_to_string(path).unwrap())
    }

    /// While somebody is at the ring it may say nothing.
    fn value(&self, name: &str) -> Option<&str> {
        let line = self.0.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)
    }
}

/// A thread is kept from submitting what it has pushed. It keeps nobody asleep, and when it
/// is late it has a request of its own all the same.
fn what_one_has_pushed_another_submits() {
    let signals = ring(Kind::Completion).open(rt()).unwrap();
    let receiver: &Receiver = &signals;
    std::thread::scope(|scope| {
        let (late, held, waiting) = wait_held(scope, receiver);
        held.before_the_next(|_| {
            queue(5..6);
            assert_eq!(receiver.wait().unwrap().value(), Some(5));
            // This leaves a request that looks for signals of this thread.
            let soon = Duration::from_millis(1);
            assert_eq!(receiver.wait_timeout(soon).unwrap(), None);
        });
        release(scope, held);
        wait_until_asleep(late);
        tgkill(late, rt());
        assert_eq!(waiting.join().unwrap(), None);
    });
}

/// Of two threads, one is kept from submitting for so long that it submits what the other
/// has pushed since.
fn a_submission_that_another_was_late_for_is_made_again() {
    let signals = ring(Kind::Completion).open(rt()).unwrap();
    let receiver: &Receiver = &signals;
    std::thread::scope(|scope| {
        let (_, late_held, late_one) = wait_held(scope, receiver);
        let mut other = None;
        late_held.before_the_next(|_| {
            queue(5..6);
            assert_eq!(receiver.wait().unwrap().value(), Some(5));
            let it = wait_held(scope, receiver);
            wait_until("it has pushed, too", || !is_all_submitted());
            other = Some(it);
        });
        release(scope, late_held);
        wait_until("the first has submitted it", is_all_submitted);
        let (other, held, other_one) = other.unwrap();
        release(scope, held);
        wait_until_asleep(other);
        // Either may take what is read on behalf of one.
        tgkill(other, rt());
        let threads = [late_one, other_one];
        wait_until("one of them has it", || {
            threads.iter().any(std::thread::ScopedJoinHandle::is_finished)
        });
        queue(6..7);
        let mut values = threads.map(|one| one.join().unwrap());
        values.sort_unstable();
        assert_eq!(values, [None, Some(6)]);
    });
}

/// Has another thread do something in its turn at the ring, whose system calls of this
/// kind are held. The thread stays until the sender that is returned is gone.
fn hold_the_turn<'s>(
    scope: &'s std::thread::Scope<'s, '_>,
    syscall: c_long,
    turn: impl FnOnce() + Send + 's,
) -> (HeldCalls, mpsc::Sender<()>) {
    let (tell, told) = mpsc::channel();
    let (leave, stay) = mpsc::channel();
    scope.spawn(move || {
        let held = HeldCalls::of_this_thread(&[syscall]);
        let can = held.is_ok();
        tell.send(held).unwrap();
        if can {
            turn();
            let _left = stay.recv();
        }
    });
    let Ok(held) = told.recv().unwrap() else {
        skip("seccomp cannot hold system calls here");
    };
    (held, leave)
}

/// One thread has its turn at the ring, and is kept there by what it submits, while
/// another one goes to sleep; returns the number of that one. What is submitted is let go
/// by `end`. The first thread stays until the sender that is returned is gone.
fn refuse_the_turn<'s>(
    scope: &'s std::thread::Scope<'s, '_>,
    receiver: &'s Receiver,
    end: impl FnOnce(HeldCall<'_>),
) -> (i32, std::thread::ScopedJoinHandle<'s, Option<i32>>, mpsc::Sender<()>) {
    // The request that was there from the beginning ends with this.
    queue(0..1);
    expect(receiver, 0..1);
    // From now on a request stands, which is made here.
    let show = || {
        let _descriptor = receiver.as_fd();
    };
    let (held, leave) = hold_the_turn(scope, libc::SYS_io_uring_enter, show);
    let call = held.wait_for_the_next().unwrap();
    let (tell, told) = mpsc::channel();
    let refused = scope.spawn(move || {
        tell.send(tid()).unwrap();
        receiver.wait().unwrap().value()
    });
    let thread = told.recv().unwrap();
    wait_until_asleep(thread);
    end(call);
    release(scope, held);
    (thread, refused, leave)
}

fn a_thread_that_is_refused_its_turn_sees_its_own_signals() {
    let signals = ring(Kind::Completion).open(rt()).unwrap();
    std::thread::scope(|scope| {
        let go_on = |call: HeldCall<'_>| call.go_on();
        let (thread, refused, _stays) = refuse_the_turn(scope, &signals, go_on);
        wait_until_asleep(thread);
        tgkill(thread, rt());
        assert_eq!(refused.join().unwrap(), None);
    });
}

/// One that has submitted nothing itself, and would wait for what is refused.
fn a_submission_that_is_refused_keeps_nobody_else_asleep() {
    let signals = ring(Kind::Completion).open(rt()).unwrap();
    std::thread::scope(|scope| {
        let fail = |call: HeldCall<'_>| assert!(call.fail(libc::EPERM));
        let (_, refused, _stays) = refuse_the_turn(scope, &signals, fail);
        wait_until("it is noted", || signals.backend().fallback().is_some());
        queue(5..6);
        assert_eq!(refused.join().unwrap(), Some(5));
    });
}

/// A request that stands costs every sender something, so it is for those who wait for the
/// descriptor.
fn to_print_a_receiver_does_not_show_its_descriptor() {
    let signals = ring(Kind::Completion).open(rt()).unwrap();
    let shown = format!("{signals:?}");
    assert!(shown.contains("signalfd: "), "{shown}");
    // Nor does a look.
    assert_eq!(signals.try_recv(), Ok(None));
    assert_eq!(signals.try_recv_batch(&mut Batch::<4>::new()), Ok(&[][..]));
    // Had it been shown, the request would be in the ring again after this.
    queue(0..1);
    let mut batch = Batch::<64>::new();
    assert_eq!(signals.wait_batch(&mut batch).unwrap().len(), 1);
    queue(1..2);
    assert!(is_pending(rt()), "nobody reads ahead");
    assert_eq!(signals.wait().unwrap().value(), Some(1));
}

fn a_hundred_thousand_by_each_kind() {
    // Also where the request stands, since somebody has the descriptor.
    for (kind, is_shown) in KINDS
        .map(|kind| (kind, false))
        .into_iter()
        .chain([(Kind::Completion, true)])
    {
        let signals = ring(kind).open(rt()).unwrap();
        let _descriptor = is_shown.then(|| signals.as_fd());
        let receiver = pid();
        let child = Child::fork(move || {
            for value in 0..storm_size() {
                wait_until("there is room in the queue", || {
                    sigqueue(receiver, rt(), value).is_ok()
                });
            }
            0
        });
        let mut batch = Batch::<64>::new();
        let mut next = 0;
        while next < storm_size() {
            for info in signals.wait_batch(&mut batch).unwrap() {
                assert_eq!(info.value(), Some(next));
                next += 1;
            }
        }
        child.wait_for_success();
        assert_eq!(signals.try_recv().unwrap(), None);
    }
}

fn the_thread_that_armed_the_ring_ends() {
    for kind in kinds() {
        let _guard = signalfd::block(rt()).unwrap();
        let made = std::thread::spawn(move || {
            let receiver = ring(kind).receiver(rt()).unwrap();
            let soon = Duration::from_millis(1);
            assert_eq!(receiver.wait_timeout(soon).unwrap(), None);
            receiver
        });
        let receiver = made.join().unwrap();
        let epoll = OwnEpoll::of(&receiver, EventFlags::empty());
        queue(0..3);
        // The request has ended with its thread, and says so.
        wait_until("the descriptor is readable", || epoll.is_ready());
        expect(&receiver, 0..3);
        queue(3..4);
        wait_until("the descriptor is readable", || epoll.is_ready());
        expect(&receiver, 3..4);
    }
}

fn a_ring_moves_with_its_receiver() {
    for kind in kinds() {
        let _guard = signalfd::block(rt()).unwrap();
        let mut receiver = ring(kind).receiver(rt()).unwrap();
        for round in 0..20 {
            queue(round..round + 1);
            receiver = std::thread::spawn(move || {
                expect(&receiver, round..round + 1);
                let soon = Duration::from_millis(1);
                assert_eq!(receiver.wait_timeout(soon).unwrap(), None);
                receiver
            })
            .join()
            .unwrap();
        }
    }
}

/// How often the threads of this process but the main one have gone to sleep, or
/// `None` if one is awake.
fn sleeps() -> Option<u64> {
    let mut sum = 0;
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let task = task.unwrap().path();
        if task.ends_with(pid().to_string()) {
            continue;
        }
        let status = std::fs::read_to_string(task.join("status")).unwrap();
        let value = |name| {
            let line = status.lines().find(|line| line.starts_with(name));
            line.unwrap().split_whitespace().nth(1).unwrap()
        };
        if value("State:") != "S" {
            return None;
        }
        sum += value("voluntary_ctxt_switches:").parse::<u64>().unwrap();
    }
    Some(sum)
}

/// They must not take the request from each other again and again.
fn threads_that_wait_at_once_sleep() {
    // The last signal may come to nobody before the process ends.
    std::mem::forget(signalfd::block(rt()).unwrap());
    for kind in kinds() {
        let receiver = ring(kind).receiver(rt()).unwrap();
        let receiver: &'static Receiver = Box::leak(Box::new(receiver));
        for _ in 0..8 {
            std::thread::spawn(|| {
                loop {
                    receiver.wait().unwrap();
                }
            });
        }
        for value in 0..2 {
            wait_until("all threads sleep", || {
                let first = sleeps();
                first.is_some() && (0..50).all(|_| sleeps() == first)
            });
            // And again, when something has come.
            queue(value..value + 1);
        }
    }
}

const MANY: i32 = 20_000;

/// Several threads take until all is taken; returns what each has taken.
fn share(
    kind: Kind,
    take: impl Fn(&Receiver) -> Option<i32> + Sync,
) -> Vec<Vec<i32>> {
    let signals = ring(kind).open(rt()).unwrap();
    let receiver: &Receiver = &signals;
    let left = std::sync::atomic::AtomicI32::new(MANY);
    let parent = pid();
    let child = Child::fork(move || {
        for value in 0..MANY {
            wait_until("there is room in the queue", || {
                sigqueue(parent, rt(), value).is_ok()
            });
        }
        0
    });
    let relaxed = std::sync::atomic::Ordering::Relaxed;
    let all = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut values = Vec::new();
                    while left.load(relaxed) > 0 {
                        if let Some(value) = take(receiver) {
                            values.push(value);
                            left.fetch_sub(1, relaxed);
                        }
                    }
                    values
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    child.wait_for_success();
    assert_eq!(receiver.try_recv().unwrap(), None);
    all
}

fn check_shares(shares: Vec<Vec<i32>>) {
    let mut all: Vec<_> = shares.into_iter().flatten().collect();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..MANY), "each came once, to one of them");
}

fn threads_that_wait_at_once_share_what_comes() {
    for kind in kinds() {
        check_shares(share(kind, |receiver| {
            let soon = Duration::from_millis(5);
            let info = receiver.wait_timeout(soon).unwrap()?;
            Some(info.value().unwrap())
        }));
    }
}

fn threads_that_take_at_once_share_what_comes() {
    for kind in kinds() {
        check_shares(share(kind, |receiver| {
            Some(receiver.try_recv().unwrap()?.value().unwrap())
        }));
    }
}

/// A ring works on behalf of the thread that submitted, so the one that waits has
/// to be that one.
fn a_signal_for_the_waiting_thread_is_seen() {
    for kind in kinds() {
        let signals = ring(kind).open(rt()).unwrap();
        let receiver: &Receiver = &signals;
        let soon = Duration::from_millis(1);
        assert_eq!(receiver.wait_timeout(soon).unwrap(), None);
        std::thread::scope(|scope| {
            let (send, there) = mpsc::channel();
            let waiting = scope.spawn(move || {
                send.send(tid()).unwrap();
                receiver.wait().unwrap().signal()
            });
            let there = there.recv().unwrap();
            wait_until_asleep(there);
            tgkill(there, rt());
            assert_eq!(waiting.join().unwrap(), rt());
        });
    }
}

/// The request of another thread is in the ring, and does not read it.
fn a_wait_for_no_time_sees_what_is_for_its_thread() {
    for kind in kinds() {
        let signals = ring(kind).open(rt()).unwrap();
        let receiver: &Receiver = &signals;
        let soon = Duration::from_millis(1);
        assert_eq!(receiver.wait_timeout(soon).unwrap(), None);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                tgkill(tid(), rt());
                let info = receiver.wait_timeout(Duration::ZERO).unwrap();
                assert_eq!(info.map(|it| it.signal()), Some(rt()));
            });
        });
    }
}

fn unread_signals_go_back_where_there_is_room() {
    let outer = signalfd::open(rt() | Signal::TERM).unwrap();
    let inner = ring(Kind::Completion).open(rt() | Signal::TERM).unwrap();
    queue(0..100);
    kill(pid(), Signal::TERM);
    expect(&inner, 0..1);
    set_limit(libc::RLIMIT_SIGPENDING, 0);
    drop(inner);
    let mut values = Vec::new();
    let mut ended = false;
    while let Some(info) = outer.try_recv().unwrap() {
        match info.signal() {
            Signal::TERM => ended = true,
            _ => values.push(info.value().unwrap()),
        }
    }
    assert!(ended, "a standard signal always goes back");
    values.sort_unstable();
    assert!(values.into_iter().eq(1..100));
}

fn unread_signals_are_kept_without_memory_for_them() {
    let outer = signalfd::open(rt()).unwrap();
    let inner = ring(Kind::Completion).open(rt()).unwrap();
    queue(0..100);
    expect(&inner, 0..1);
    set_limit(libc::RLIMIT_SIGPENDING, 0);
    without_memory(|| drop(inner));
    let mut values = Vec::new();
    while let Some(info) = outer.try_recv().unwrap() {
        values.push(info.value().unwrap());
    }
    values.sort_unstable();
    assert!(values.into_iter().eq(1..100));
}

/// Every signal of the process wakes the request, and the kernel's patience with
/// that has an end.
fn signals_that_are_for_others_do_not_end_the_request() {
    let other = signalfd::open(Signal::USR1).unwrap();
    for kind in kinds() {
        let signals = ring(kind).open(rt()).unwrap();
        let epoll = OwnEpoll::of(&signals, EventFlags::empty());
        for round in 0..ROUNDS_OF_PATIENCE {
            kill(pid(), Signal::USR1);
            assert!(other.try_recv().unwrap().is_some());
            if round % 2 == 0 {
                assert_eq!(signals.try_recv().unwrap(), None);
            }
        }
        while epoll.is_ready() {
            assert_eq!(signals.try_recv().unwrap(), None);
        }
        assert_eq!(signals.backend().fallback(), None);
        queue(0..1);
        // On Linux 6.1 a worker of the kernel's may have the request for a while.
        wait_until("the descriptor is readable", || epoll.is_ready());
        expect(&signals, 0..1);
    }
}

/// A request that ends so may have had a buffer, which the kernel then says; and there are
/// only so many.
fn signals_that_are_for_others_use_up_no_buffers() {
    let other = signalfd::open(Signal::USR1).unwrap();
    let other: &Receiver = &other;
    for kind in kinds() {
        let signals = ring(kind).open(rt()).unwrap();
        let main = tid();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                wait_until_asleep(main);
                for _ in 0..ROUNDS_OF_PATIENCE {
                    kill(pid(), Signal::USR1);
                    assert!(other.try_recv().unwrap().is_some());
                }
                queue(0..1);
            });
            assert_eq!(signals.wait().unwrap().value(), Some(0));
        });
        assert_eq!(signals.backend().fallback(), None);
    }
}

/// So many that each of 64 buffers could have been had by a request that 128 signals have
/// ended.
pub(crate) const ROUNDS_OF_PATIENCE: i32 = 20_000;

/// The sender fills whatever room there is, so that next to nothing goes back.
fn receivers_opened_again_and_again_where_the_queue_is_full() {
    const COUNT: i32 = 3000;
    let options = ring(Kind::Completion);
    leave_the_user();
    set_limit(libc::RLIMIT_SIGPENDING, 100);
    let _guard = signalfd::block(rt()).unwrap();
    let parent = pid();
    let child = Child::fork(move || {
        for value in 0..COUNT {
            wait_until("there is room in the queue", || {
                sigqueue(parent, rt(), value).is_ok()
            });
        }
        0
    });
    let mut values = Vec::new();
    while values.len() < COUNT as usize {
        let inner = options.receiver(rt()).unwrap();
        for _ in 0..3 {
            let info = inner.try_recv().unwrap();
            values.extend(info.map(|info| info.value().unwrap()));
        }
    }
    child.wait_for_success();
    values.sort_unstable();
    assert!(values.into_iter().eq(0..COUNT), "none is lost or doubled");
}

fn what_is_left_makes_a_receiver_ready() {
    let _guard = signalfd::block(rt() | Signal::USR1).unwrap();
    let first = ring(Kind::Completion).receiver(rt()).unwrap();
    queue(0..3);
    set_limit(libc::RLIMIT_SIGPENDING, 0);
    drop(first);
    let other = signalfd::Receiver::new(Signal::USR1).unwrap();
    assert_eq!(other.try_recv().unwrap(), None, "it is none of its signals");
    for kind in kinds() {
        let next = ring(kind).receiver(rt()).unwrap();
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(next.poll_ready(&mut cx).is_ready());
    }
    let next = signalfd::Receiver::new(rt()).unwrap();
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(next.poll_ready(&mut cx).is_ready());
    // Signals are not inherited, and this is no exception.
    Child::fork(|| {
        let own = signalfd::Receiver::new(rt()).unwrap();
        assert_eq!(own.try_recv().unwrap(), None);
        0
    })
    .wait_for_success();
    expect(&next, 0..3);
    assert!(next.poll_ready(&mut cx).is_pending());
}

/// A child that was forked meanwhile has the ring, and must not keep it reading.
fn a_forked_child_keeps_the_ring_alive() {
    for kind in kinds() {
        let signals = ring(kind).open(rt()).unwrap();
        let soon = Duration::from_millis(1);
        assert_eq!(signals.wait_timeout(soon).unwrap(), None);
        let outer = signalfd::block(rt()).unwrap();
        let child = Child::fork(|| {
            assert_eq!(signals.try_recv(), Err(Error::Forked));
            assert_eq!(signals.wait(), Err(Error::Forked));
            #[expect(unsafe_code, reason = "waits until it is killed")]
            // SAFETY: has no preconditions.
            unsafe {
                libc::pause()
            }
        });
        queue(0..2);
        drop(signals);
        queue(2..50);
        let mut values = Vec::new();
        let signals = signalfd::open(rt()).unwrap();
        while let Some(info) = signals.try_recv().unwrap() {
            values.push(info.value().unwrap());
        }
        values.sort_unstable();
        assert!(values.into_iter().eq(0..50));
        kill(child.pid, Signal::KILL);
        assert_eq!(child.wait(), End::Killed(libc::SIGKILL));
        drop(outer);
    }
}

/// While signals gather the request is taken out of the ring. In a child that would be the
/// parent's.
fn a_forked_child_lets_nothing_gather_at_the_ring() {
    // Longer than any test.
    let options = ring(Kind::Completion).moderate(Duration::from_secs(1000), 8);
    let signals = options.open(rt()).unwrap();
    let epoll = OwnEpoll::of(&signals, EventFlags::empty());
    let mut batch = Batch::<8>::new();
    queue(0..1);
    assert_eq!(signals.wait_batch(&mut batch).unwrap().len(), 1);
    assert!(!epoll.is_ready());
    Child::fork(|| {
        let mut batch = Batch::<8>::new();
        let waited = signals.wait_batch(&mut batch).map(drop);
        assert_eq!(waited, Err(Error::Forked));
        assert_eq!(signals.remove(Signal::HUP), Err(Error::Forked));
        0
    })
    .wait_for_success();
    assert!(!epoll.is_ready(), "the request is there still");
    queue(1..2);
    assert!(epoll.is_ready());
    expect(&signals, 1..2);
}

fn nothing_of_a_ring_is_left_open() {
    let before = open_descriptors();
    for kind in kinds() {
        for _ in 0..50 {
            let signals = ring(kind).open(rt()).unwrap();
            queue(0..2);
            expect(&signals, 0..2);
        }
    }
    assert_eq!(open_descriptors(), before);
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    assert!(!maps.contains("io_uring"), "{maps}");
}

/// Otherwise a kernel from before Linux 5.18 would wait for the poll's end.
fn a_poll_is_cancelled_as_any_kernel_can() {
    // IORING_OP_POLL_ADD
    const POLL: &str = "op=6";
    let signals = ring(Kind::Readiness).open(rt()).unwrap();
    let ring = another_descriptor_of_the_ring();
    let what = || {
        let fd = ring.as_raw_fd();
        std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap()
    };
    // On a slow machine the time may be over before it begins to wait.
    wait_until("there is a poll", || {
        let soon = Duration::from_millis(1);
        assert_eq!(signals.wait_timeout(soon), Ok(None));
        what().contains(POLL)
    });
    forbid_on_pain_of_death(libc::SYS_io_uring_register);
    drop(signals);
    assert!(!what().contains(POLL), "{}", what());
}

/// Before Linux 5.7 a thread of the kernel looks for its own signals, and before 5.12 where it
/// submits.
fn a_ring_that_would_never_tell_is_refused() {
    let signals = signalfd::open(rt()).unwrap();
    for is_polled in [false, true] {
        let mut builder: io_uring::Builder = io_uring::IoUring::builder();
        if is_polled {
            builder.setup_sqpoll(1000);
        }
        let Ok(mut ring) = builder.build(8) else {
            skip("there is no such io_uring");
        };
        let tells = kernel_is_from((5, 7))
            && (!is_polled || ring.params().is_feature_native_workers());
        let mut source = signalfd::uring::Source::new(&signals);
        source.push(&mut ring.submission(), 1).unwrap();
        queue(0..1);
        let waited = source.submit_and_wait(&mut ring);
        assert_eq!(waited.is_ok(), tells, "{waited:?}");
        expect(&signals, 0..1);
    }
}

/// Of the only one that there is.
pub(crate) fn another_descriptor_of_the_ring() -> OwnedFd {
    let is_ring = |fd: &i32| {
        let name = std::fs::read_link(format!("/proc/self/fd/{fd}"));
        name.is_ok_and(|name| name.ends_with("anon_inode:[io_uring]"))
    };
    let fd = (0..100).find(is_ring).expect("there is a ring");
    #[expect(unsafe_code, reason = "a descriptor of somebody else's")]
    // SAFETY: it is open for as long as this takes.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    fd.try_clone_to_owned().unwrap()
}

fn a_descriptor_is_readable_as_long_as_there_is_something() {
    for kind in kinds() {
        let signals = ring(kind).open(rt()).unwrap();
        let level = OwnEpoll::of(&signals, EventFlags::empty());
        assert!(!level.is_ready());
        queue(0..100);
        let mut batch = Batch::<3>::new();
        let mut taken = 0;
        while taken < 100 {
            assert!(level.is_ready(), "after {taken}");
            taken += signals.try_recv_batch(&mut batch).unwrap().len();
        }
        while signals.try_recv().unwrap().is_some() {}
        assert!(!level.is_ready());
        let _descriptor = signals.as_fd();
    }
}

fn what_is_left_comes_together_with_what_is_pending() {
    let _guard = signalfd::block(rt()).unwrap();
    for options in [Options::new(), ring(KINDS[0]), ring(KINDS[1])] {
        let first = ring(Kind::Completion).receiver(rt()).unwrap();
        queue(0..3);
        let before = set_limit(libc::RLIMIT_SIGPENDING, 0);
        drop(first);
        set_limit(libc::RLIMIT_SIGPENDING, before);
        let next = options.receiver(rt()).unwrap();
        queue(3..5);
        let mut batch = Batch::<16>::new();
        let infos = next.try_recv_batch(&mut batch).unwrap();
        let values = infos.iter().map(|info| info.value().unwrap());
        assert!(values.eq(0..5));
        // And it goes on.
        let epoll = OwnEpoll::of(&next, EventFlags::empty());
        assert!(!epoll.is_ready());
        queue(5..6);
        assert!(epoll.is_ready());
        expect(&next, 5..6);
    }
}

/// One thread changes the set, another polls; the one that polls is refused, and
/// has to hear of it.
fn a_task_that_is_refused_its_turn_is_told() {
    let other = Signal::rt(2).unwrap();
    let _guard = signalfd::block(rt() | other).unwrap();
    the_task_is_refused_for_certain(other);
    for round in 0..300 {
        let receiver = ring(Kind::Completion).receiver(rt() | other).unwrap();
        queue(0..100);
        sigqueue(pid(), other, 7).unwrap();
        let start = std::sync::Barrier::new(2);
        let (count, waker) = WakeCount::new();
        let polled = std::thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                receiver.remove(rt()).unwrap();
            });
            start.wait();
            for _ in 0..round * 50 {
                std::hint::spin_loop();
            }
            receiver.poll_recv(&mut Context::from_waker(&waker))
        });
        if polled.is_pending() {
            assert!(count.get() > 0, "round {round}");
        }
        drop(receiver);
        let all = signalfd::Receiver::new(rt() | other).unwrap();
        while all.try_recv().unwrap().is_some() {}
    }
}

/// Does something while another thread has its turn at the ring of this receiver, which is
/// for [`rt`] and one more signal, and something when that thread goes on. It takes the
/// other signal out, and is held where it gives a record back, so that nothing completes in
/// the ring by it.
fn while_another_has_the_turn(
    receiver: &Receiver,
    other: Signal,
    meanwhile: impl FnOnce(),
    then: impl FnOnce(),
) {
    sigqueue(pid(), other, 7).unwrap();
    wait_until("the ring has read it", || !is_pending(other));
    std::thread::scope(|scope| {
        let change = || receiver.remove(other).unwrap();
        let (held, _stays) =
            hold_the_turn(scope, libc::SYS_rt_sigqueueinfo, change);
        let call = held.wait_for_the_next().unwrap();
        meanwhile();
        call.go_on();
        release(scope, held);
        then();
    });
    let rest = signalfd::Receiver::new(other).unwrap();
    assert_eq!(rest.wait().unwrap().value(), Some(7));
}

fn the_task_is_refused_for_certain(other: Signal) {
    let receiver = ring(Kind::Completion).receiver(rt() | other).unwrap();
    let (count, waker) = WakeCount::new();
    let poll = || receiver.poll_recv(&mut Context::from_waker(&waker));
    let is_refused = || {
        queue(0..1);
        assert!(poll().is_pending());
        assert_eq!(count.get(), 0);
    };
    let is_told = || {
        wait_until("the task is told", || count.get() > 0);
        let Poll::Ready(info) = poll() else { panic!("it is there") };
        assert_eq!(info.unwrap().value(), Some(0));
    };
    while_another_has_the_turn(&receiver, other, is_refused, is_told);
}

/// One thread takes singly, another serves edges; the one with the edges is refused,
/// and has to be told again.
fn an_edge_that_is_refused_its_turn_is_told() {
    the_edge_is_refused_for_certain();
    let signals = ring(Kind::Completion).open(rt()).unwrap();
    let receiver: &Receiver = &signals;
    let edges = OwnEpoll::of(receiver, EventFlags::ET);
    for round in 0..3000 {
        queue(0..8);
        while edges.is_ready() {}
        let start = std::sync::Barrier::new(2);
        let taken = std::thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                for _ in 0..2 {
                    receiver.try_recv().unwrap();
                }
            });
            start.wait();
            for _ in 0..round % 40 {
                std::hint::spin_loop();
            }
            let mut batch = Batch::<64>::new();
            receiver.try_recv_batch(&mut batch).unwrap().len()
        });
        if taken == 0 && !edges.is_ready() {
            assert_eq!(receiver.try_recv().unwrap(), None, "round {round}");
        }
        while receiver.try_recv().unwrap().is_some() {}
    }
}

fn the_edge_is_refused_for_certain() {
    let other = Signal::rt(2).unwrap();
    let _guard = signalfd::block(rt() | other).unwrap();
    let receiver = ring(Kind::Completion).receiver(rt() | other).unwrap();
    let edges = OwnEpoll::of(&receiver, EventFlags::ET);
    let is_refused = || {
        queue(0..8);
        while edges.is_ready() {}
        let mut batch = Batch::<64>::new();
        assert!(receiver.try_recv_batch(&mut batch).unwrap().is_empty());
        assert!(!edges.is_ready());
    };
    let is_told = || {
        wait_until("it is told again", || edges.is_ready());
        expect(&receiver, 0..8);
    };
    while_another_has_the_turn(&receiver, other, is_refused, is_told);
}

fn a_signalfd_of_the_parents_makes_no_receiver() {
    let _guard = signalfd::block(rt()).unwrap();
    let fd = signalfd::SignalFd::new(rt()).unwrap();
    Child::fork(|| {
        #[expect(unsafe_code, reason = "takes what the parent has, too")]
        // SAFETY: the child ends without looking at it again.
        let copy = unsafe { std::ptr::read(&raw const fd) };
        let error = ring(Kind::Completion).receiver_from(copy).unwrap_err();
        assert_eq!(error, Error::Forked);
        0
    })
    .wait_for_success();
}

/// The owner of a signalfd changes its set behind the receiver's back.
#[expect(unsafe_code, reason = "changes the set by hand")]
fn a_set_that_others_widen_is_received() {
    use std::os::fd::AsRawFd;
    let both = rt() | Signal::rt(2).unwrap();
    let _guard = signalfd::block(both).unwrap();
    let fd = signalfd::SignalFd::new(rt()).unwrap();
    let raw = fd.as_raw_fd();
    let fd = signalfd::SignalFd::from_fd(fd.into(), rt()).unwrap();
    for kind in kinds() {
        let copy = rustix::io::dup(&fd).unwrap();
        let copy = signalfd::SignalFd::from_fd(copy, rt()).unwrap();
        let receiver = ring(kind).receiver_from(copy).unwrap();
        let bits = both.bits();
        // SAFETY: reads the 8 bytes of the set.
        let set = unsafe {
            libc::syscall(libc::SYS_signalfd4, raw, &raw const bits, 8, 0)
        };
        check(set).unwrap();
        sigqueue(pid(), Signal::rt(2).unwrap(), 7).unwrap();
        let info = receiver.try_recv().unwrap().unwrap();
        assert_eq!(info.value(), Some(7));
    }
}

fn what_is_removed_from_a_descriptor_of_others_goes_back() {
    let _guard = signalfd::block(rt() | Signal::USR1).unwrap();
    let fd = signalfd::SignalFd::new(rt()).unwrap();
    let fd = signalfd::SignalFd::from_fd(fd.into(), rt() | Signal::USR1);
    let options = ring(Kind::Completion);
    let receiver = options.receiver_from(fd.unwrap()).unwrap();
    kill(pid(), Signal::USR1);
    assert!(!is_pending(Signal::USR1), "the ring has read it");
    receiver.remove(Signal::USR1).unwrap();
    assert!(is_pending(Signal::USR1));
    assert_eq!(receiver.try_recv().unwrap(), None);
    queue(0..1);
    expect(&receiver, 0..1);
    let other = signalfd::Receiver::new(Signal::USR1).unwrap();
    assert_eq!(other.try_recv().unwrap().unwrap().signal(), Signal::USR1);
}

struct Panics;

impl std::task::Wake for Panics {
    fn wake(self: std::sync::Arc<Self>) {
        panic!("a waker");
    }
}

/// Once some have gathered, the waker is used by who looks for more.
fn a_waker_that_panics_loses_nothing_that_has_gathered() {
    let delay = Duration::from_millis(200);
    let options = ring(Kind::Completion).moderate(delay, 64);
    let signals = options.check_threads(false).open(rt()).unwrap();
    let receiver: &Receiver = &signals;
    let waker = std::sync::Arc::new(Panics).into();
    let mut has_panicked = false;
    // Which of its calls come when some have gathered, the kernel says.
    for nth in 1..12 {
        // What is handed out begins a delay.
        queue(0..1);
        let mut batch = Batch::<64>::new();
        assert_eq!(receiver.wait_batch(&mut batch).unwrap().len(), 1);
        queue(1..2);
        let mut others = 0;
        let (tell, told) = mpsc::channel();
        let taken = std::thread::scope(|scope| {
            let taker = scope.spawn(move || {
                let held = HeldCalls::of_this_thread(&[
                    libc::SYS_io_uring_enter,
                    libc::SYS_io_uring_register,
                    libc::SYS_read,
                ]);
                tell.send(held).unwrap();
                let mut batch = Batch::<64>::new();
                let take = std::panic::AssertUnwindSafe(|| {
                    receiver.wait_batch(&mut batch).unwrap().len()
                });
                std::panic::catch_unwind(take)
            });
            let Ok(held) = told.recv().unwrap() else {
                skip("seccomp cannot hold system calls here");
            };
            let mut calls = 0;
            while held.before_the_next(|_| {
                calls += 1;
                if calls == nth {
                    let mut cx = Context::from_waker(&waker);
                    others +=
                        usize::from(receiver.poll_recv(&mut cx).is_ready());
                }
            }) {}
            taker.join().unwrap()
        });
        has_panicked |= taken.is_err();
        let rest = std::iter::from_fn(|| receiver.try_recv().unwrap());
        let taken = taken.unwrap_or(0) + rest.count();
        assert_eq!(taken + others, 1, "at call {nth}");
    }
    assert!(has_panicked);
}

/// It is used by whoever has the turn, in the midst of taking.
fn a_waker_that_panics_loses_nothing() {
    let signals = ring(Kind::Completion).open(rt()).unwrap();
    let receiver: &Receiver = &signals;
    queue(0..1);
    let waker = std::sync::Arc::new(Panics).into();
    let (tell, told) = mpsc::channel();
    std::thread::scope(|scope| {
        let taker = scope.spawn(move || {
            let held = HeldCalls::of_this_thread(&[libc::SYS_io_uring_enter]);
            tell.send(held).unwrap();
            let take = std::panic::AssertUnwindSafe(|| receiver.try_recv());
            std::panic::catch_unwind(take).is_err()
        });
        let Ok(held) = told.recv().unwrap() else {
            skip("seccomp cannot hold system calls here");
        };
        // It has taken the record, and makes the next request.
        let mut is_first = true;
        while held.before_the_next(|_| {
            if std::mem::take(&mut is_first) {
                let mut cx = Context::from_waker(&waker);
                assert!(receiver.poll_recv(&mut cx).is_pending());
            }
        }) {}
        assert!(taker.join().unwrap(), "the waker was used");
    });
    expect(receiver, 0..1);
}

fn a_batch_has_also_what_came_after_the_ring_has_read() {
    let signals = ring(Kind::Completion).open(rt()).unwrap();
    let mut batch = Batch::<32>::new();
    for timeout in [None, Some(Duration::ZERO), Some(DEADLINE)] {
        let moment = Duration::from_millis(1);
        wait_until("the ring has read it", || {
            // A wait in vain leaves a request in the ring, unless the time is over before
            // the ring is asked.
            let none = signals.wait_batch_timeout(&mut batch, moment).unwrap();
            assert!(none.is_empty());
            queue(0..1);
            let is_read = !is_pending(rt());
            assert!(is_read || signals.wait().is_ok());
            is_read
        });
        queue(1..6);
        let infos = match timeout {
            None => signals.wait_batch(&mut batch),
            Some(time) => signals.wait_batch_timeout(&mut batch, time),
        };
        let values = infos.unwrap().iter().map(|it| it.value().unwrap());
        assert!(values.eq(0..6));
    }
}

fn what_is_left_is_for_those_who_receive_it() {
    let _guard = signalfd::block(rt() | Signal::HUP).unwrap();
    let first = ring(Kind::Completion).receiver(rt()).unwrap();
    queue(0..3);
    let before = set_limit(libc::RLIMIT_SIGPENDING, 0);
    drop(first);
    set_limit(libc::RLIMIT_SIGPENDING, before);
    let fd = signalfd::SignalFd::new(Signal::HUP).unwrap();
    let fd = signalfd::SignalFd::from_fd(fd.into(), Signal::HUP).unwrap();
    let other = Options::new().receiver_from(fd).unwrap();
    assert_eq!(other.try_recv().unwrap(), None);
    let next = signalfd::Receiver::new(rt()).unwrap();
    expect(&next, 0..3);
}

/// A thread arms the ring, and meanwhile the ring has read a signal that the receiver is
/// not to receive any more.
fn what_is_removed_during_the_turn_of_another_goes_back() {
    let signals = ring(Kind::Completion).open(rt() | Signal::USR1).unwrap();
    let receiver: &Receiver = &signals;
    // From now on there is a request in the ring.
    let _descriptor = signals.as_fd();
    let (tell, told) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let held = HeldCalls::of_this_thread(&[libc::SYS_io_uring_enter]);
            let can = held.is_ok();
            tell.send(held).unwrap();
            if can {
                // Which takes nothing.
                let mut cx = Context::from_waker(Waker::noop());
                let _ready = receiver.poll_ready(&mut cx);
            }
        });
        let Ok(held) = told.recv().unwrap() else {
            skip("seccomp cannot hold system calls here");
        };
        let mut is_first = true;
        while held.before_the_next(|_| {
            if std::mem::take(&mut is_first) {
                kill(pid(), Signal::USR1);
                receiver.remove(Signal::USR1).unwrap();
                assert!(!is_pending(Signal::USR1), "the ring has read it");
            }
        }) {}
        assert!(!is_first, "the thread has armed the ring");
    });
    assert!(is_pending(Signal::USR1));
    let other = signalfd::open(Signal::USR1).unwrap();
    assert_eq!(other.try_recv().unwrap().unwrap().signal(), Signal::USR1);
}

/// Threads that take all the time are refused all the time; afterwards one alone
/// finds all the rest, without waiting.
fn nothing_is_stranded_by_those_who_are_refused() {
    use std::sync::atomic::{AtomicBool, AtomicI32, Ordering::Relaxed};
    let signals = ring(Kind::Completion).open(rt()).unwrap();
    let receiver: &Receiver = &signals;
    let (taken, is_over) = (AtomicI32::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !is_over.load(Relaxed) {
                    if receiver.try_recv().unwrap().is_some() {
                        taken.fetch_add(1, Relaxed);
                    }
                }
            });
        }
        for value in 0..MANY {
            wait_until("there is room in the queue", || {
                sigqueue(pid(), rt(), value).is_ok()
            });
        }
        is_over.store(true, Relaxed);
    });
    // The kernel may be about to say what one of them has read.
    wait_until("all have come", || {
        while receiver.try_recv().unwrap().is_some() {
            taken.fetch_add(1, Relaxed);
        }
        taken.load(Relaxed) >= MANY
    });
    assert_eq!(taken.into_inner(), MANY);
}
