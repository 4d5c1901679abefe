//! Edge-triggered epoll, with reads of up to `N` records that do not block.

use std::os::fd::{AsRawFd, OwnedFd};

use rustix::event::epoll::{self, Event, EventData, EventFlags};

use super::{Room, count, read, room, signalfd};
use crate::common::sys::{check, owned};
use crate::common::take::{Seen, Take};

/// An epoll that reports each arrival at a descriptor.
pub(crate) struct Edges(OwnedFd);

impl Edges {
    #[expect(clippy::cast_sign_loss, reason = "bits")]
    pub(crate) fn of(fd: &impl AsRawFd) -> Self {
        // SAFETY: takes a number.
        let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        let epoll = owned(epoll, "epoll_create1");
        let flags = libc::EPOLLIN as u32 | libc::EPOLLET as u32;
        let mut event = libc::epoll_event { events: flags, u64: 1 };
        let (add, new) = (libc::EPOLL_CTL_ADD, &raw mut event);
        // SAFETY: reads an event, which lives past the call.
        let result = unsafe {
            libc::epoll_ctl(epoll.as_raw_fd(), add, fd.as_raw_fd(), new)
        };
        check(result, "epoll_ctl");
        Self(epoll)
    }

    #[inline]
    pub(crate) fn wait(&self) {
        let (flags, data) = (EventFlags::empty(), EventData::new_u64(0));
        let mut events = [Event { flags, data }];
        epoll::wait(&self.0, &mut events, None).expect("epoll_wait");
    }
}

/// Waits, and reads until a batch is short: that is the end, since whatever comes
/// later is a new edge.
pub(crate) struct ShortStop<const N: usize> {
    edges: Edges,
    fd: OwnedFd,
    room: Room<N>,
    has_more: bool,
}

impl<const N: usize> ShortStop<N> {
    pub(crate) fn open(signal: i32) -> Self {
        let fd = signalfd(signal, libc::SFD_NONBLOCK);
        let edges = Edges::of(&fd);
        Self { edges, fd, room: room(), has_more: false }
    }
}

impl<const N: usize> Take for ShortStop<N> {
    #[inline]
    fn take(&mut self, seen: &mut Seen) {
        if !self.has_more {
            self.edges.wait();
        }
        let records = read(&self.fd, &mut self.room);
        self.has_more = records.len() == N;
        count(seen, records);
    }

    fn settle(&mut self) {
        if self.has_more {
            self.has_more = !read(&self.fd, &mut self.room).is_empty();
        }
    }
}

/// Reads, and waits only if there was nothing.
pub(crate) struct ReadFirst<const N: usize> {
    edges: Edges,
    fd: OwnedFd,
    room: Room<N>,
}

impl<const N: usize> ReadFirst<N> {
    pub(crate) fn open(signal: i32) -> Self {
        let fd = signalfd(signal, libc::SFD_NONBLOCK);
        Self { edges: Edges::of(&fd), fd, room: room() }
    }
}

impl<const N: usize> Take for ReadFirst<N> {
    #[inline]
    fn take(&mut self, seen: &mut Seen) {
        let records = read(&self.fd, &mut self.room);
        if records.is_empty() {
            return self.edges.wait();
        }
        count(seen, records);
    }
}
