//! The loops of the kernel, in all their modes.

use std::os::fd::OwnedFd;
use std::sync::mpsc;
use std::thread;

use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use signalfd::{Batch, Receiver, SigInfo, Signal, block};

use super::shared::{count, expect_all_in_any_order, send};
use super::{Way, rt, ways};
use crate::common::{
    Child, kill, open, pid, receiver_for, tid, wait_until_asleep,
};
use crate::harness::cases;

cases! {
    threads_share_a_receiver_by_exclusive_epolls,
    exclusive_epolls_are_for_one_receiver,
}

pub(super) fn add(
    fd: &Receiver,
    mode: EventFlags,
) -> rustix::io::Result<OwnedFd> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let data = EventData::new_u64(1);
    epoll::add(&epoll, fd, data, EventFlags::IN | mode)?;
    Ok(epoll)
}

/// Waits until there is something, or not at all.
pub(super) fn wait(epoll: &OwnedFd, timeout: Option<&Timespec>) -> bool {
    let none =
        Event { flags: EventFlags::empty(), data: EventData::new_u64(0) };
    let mut events = [none; 2];
    loop {
        match epoll::wait(epoll, &mut events, timeout) {
            Err(Errno::INTR) => {}
            ready => return ready.unwrap() > 0,
        }
    }
}

/// Reads once for each event.
pub(super) struct Level;

/// Reads until a batch of this size is short.
pub(super) struct Edge<const N: usize>;

/// Reads once, and asks again.
pub(super) struct OneShot;

/// Reads once for each `poll(2)`.
pub(super) struct Polled;

impl Way for Level {
    fn take(
        receiver: &Receiver,
        taken: &mut Vec<SigInfo>,
        enough: &dyn Fn(&[SigInfo]) -> bool,
    ) {
        let epoll = add(receiver, EventFlags::empty()).unwrap();
        let mut batch = Batch::<16>::new();
        loop {
            wait(&epoll, None);
            let infos = receiver.try_recv_batch(&mut batch).unwrap();
            taken.extend(infos);
            if !infos.is_empty() && enough(taken) {
                return;
            }
        }
    }
}

impl<const N: usize> Way for Edge<N> {
    fn take(
        receiver: &Receiver,
        taken: &mut Vec<SigInfo>,
        enough: &dyn Fn(&[SigInfo]) -> bool,
    ) {
        let epoll = add(receiver, EventFlags::ET).unwrap();
        let mut batch = Batch::<N>::new();
        loop {
            wait(&epoll, None);
            loop {
                let infos = receiver.try_recv_batch(&mut batch).unwrap();
                taken.extend(infos);
                if !infos.is_empty() && enough(taken) {
                    return;
                }
                if infos.len() < N {
                    break;
                }
            }
        }
    }
}

impl Way for OneShot {
    fn take(
        receiver: &Receiver,
        taken: &mut Vec<SigInfo>,
        enough: &dyn Fn(&[SigInfo]) -> bool,
    ) {
        let once = EventFlags::IN | EventFlags::ONESHOT;
        let epoll = add(receiver, once).unwrap();
        let mut batch = Batch::<16>::new();
        loop {
            wait(&epoll, None);
            let infos = receiver.try_recv_batch(&mut batch).unwrap();
            taken.extend(infos);
            if !infos.is_empty() && enough(taken) {
                return;
            }
            let data = EventData::new_u64(1);
            epoll::modify(&epoll, receiver, data, once).unwrap();
        }
    }
}

impl Way for Polled {
    fn take(
        receiver: &Receiver,
        taken: &mut Vec<SigInfo>,
        enough: &dyn Fn(&[SigInfo]) -> bool,
    ) {
        let mut batch = Batch::<16>::new();
        loop {
            let mut fds = [PollFd::new(receiver, PollFlags::IN)];
            match poll(&mut fds, None) {
                Err(Errno::INTR) => continue,
                ready => assert_eq!(ready, Ok(1)),
            }
            let infos = receiver.try_recv_batch(&mut batch).unwrap();
            taken.extend(infos);
            if !infos.is_empty() && enough(taken) {
                return;
            }
        }
    }
}

ways! {
    level: Level,
    edge: Edge<16>,
    edge_by_ones: Edge<1>,
    one_shot: OneShot,
    polled: Polled,
}

/// What a receiver that reads ahead has is an epoll, and those are not for this.
fn threads_share_a_receiver_by_exclusive_epolls() {
    let _guard = block(rt() | Signal::TERM).unwrap();
    let receiver = receiver_for(rt() | Signal::TERM).unwrap();
    if crate::battery().reads_ahead() {
        let error = add(&receiver, EventFlags::EXCLUSIVE).unwrap_err();
        assert_eq!(error, Errno::INVAL);
        return;
    }
    let parent = pid();
    let child = Child::fork(|| {
        send(parent, rt(), count());
        0
    });
    let (tell, told) = mpsc::channel();
    let taken = thread::scope(|scope| {
        for _ in 0..3 {
            let (receiver, tell) = (&receiver, tell.clone());
            scope.spawn(move || {
                let epoll = add(receiver, EventFlags::EXCLUSIVE).unwrap();
                let mut batch = Batch::<16>::new();
                loop {
                    wait(&epoll, None);
                    for info in receiver.try_recv_batch(&mut batch).unwrap() {
                        if info.signal() == Signal::TERM {
                            // For the others, too.
                            receiver.put_back(info).unwrap();
                            return;
                        }
                        tell.send(*info).unwrap();
                    }
                }
            });
        }
        let taken: Vec<_> = told.iter().take(count()).collect();
        kill(pid(), Signal::TERM);
        taken
    });
    expect_all_in_any_order(&taken, count());
    child.wait_for_success();
    assert_eq!(receiver.wait().unwrap().signal(), Signal::TERM);
}

/// All signalfds of a process have one wait queue, and a wake-up says nothing of which
/// signal it is for. It goes to one of those who want it for themselves, and that one
/// may be for another signal.
fn exclusive_epolls_are_for_one_receiver() {
    if crate::battery().reads_ahead() {
        return;
    }
    let first = open(Signal::USR1).unwrap();
    let second = open(Signal::USR2).unwrap();
    let (one, two) = (&*first, &*second);
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            let epoll = add(one, EventFlags::EXCLUSIVE).unwrap();
            tell.send(tid()).unwrap();
            wait(&epoll, None);
            assert!(one.try_recv().unwrap().is_some());
        });
        wait_until_asleep(told.recv().unwrap());
        let epoll = add(two, EventFlags::EXCLUSIVE).unwrap();
        kill(pid(), Signal::USR2);
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        assert!(!wait(&epoll, Some(&now)), "it is there, and nobody is told");
        assert!(two.try_recv().unwrap().is_some());
        kill(pid(), Signal::USR1);
    });
}
