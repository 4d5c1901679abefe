//! Raw system calls, as one would write them by hand for just this.
//!
//! Reads, waits in an epoll and the calls on rings are made in place, as this crate makes
//! them, and not through the C library.

#![allow(unsafe_code, reason = "raw system calls")]

mod epoll;
mod handler;
mod read;
mod ring;

pub(crate) use epoll::{Edges, ReadFirst, ShortStop};
pub(crate) use handler::Handler;
pub(crate) use read::{Moderated, Read, SPIN_NS, SigWaitInfo, Spin};
pub(crate) use ring::{
    MinWait, Multishot, Poll, PollLast, ReadLast, RingRead, builder,
    why_no_min_wait, why_no_rings,
};

use std::os::fd::OwnedFd;
use std::slice;

use libc::{c_int, signalfd_siginfo};
use rustix::io::Errno;

use crate::common::sys::{self, check, owned};
use crate::common::take::Seen;

/// Room for records.
pub(crate) type Room<const N: usize> = [signalfd_siginfo; N];

pub(crate) const fn room<const N: usize>() -> Room<N> {
    // SAFETY: an all-zero value is allowed: it is made of integers.
    unsafe { std::mem::zeroed() }
}

/// Blocks a signal and makes a signalfd of it.
pub(crate) fn signalfd(signal: i32, flags: c_int) -> OwnedFd {
    sys::block(signal);
    open(signal, flags)
}

pub(crate) fn open(signal: i32, flags: c_int) -> OwnedFd {
    let set = sys::set_of(signal);
    let flags = flags | libc::SFD_CLOEXEC;
    // SAFETY: reads a set, which lives past the call.
    let result = unsafe { libc::signalfd(-1, &raw const set, flags) };
    owned(result, "signalfd")
}

/// Reads into all of the room; the records that came, or none.
#[inline]
fn read<'r, const N: usize>(
    fd: &OwnedFd,
    room: &'r mut Room<N>,
) -> &'r [signalfd_siginfo] {
    let (begin, size) = (room.as_mut_ptr().cast(), size_of::<Room<N>>());
    // SAFETY: the room has so many bytes, and all of them mean something.
    let bytes: &mut [u8] = unsafe { slice::from_raw_parts_mut(begin, size) };
    match rustix::io::read(fd, bytes) {
        Ok(length) => &room[..length / size_of::<signalfd_siginfo>()],
        Err(Errno::AGAIN) => &[],
        Err(errno) => panic!("read: {errno}"),
    }
}

#[inline]
fn count(seen: &mut Seen, records: &[signalfd_siginfo]) {
    for record in records {
        seen.add(record.ssi_int);
    }
}

/// Closes what a number names.
pub(crate) fn close(fd: OwnedFd) {
    use std::os::fd::IntoRawFd;
    // SAFETY: the descriptor is owned, and given up here.
    check(unsafe { libc::close(fd.into_raw_fd()) }, "close");
}
