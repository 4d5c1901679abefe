//! What most libraries do: a handler writes to a socket, and a loop reads that.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use libc::{c_int, c_void};

use super::read::value;
use crate::common::sys::{self, check};
use crate::common::take::{Seen, Take};

// More than they can say: it counts in the handler too, so that nothing is lost when
// the socket is full.
static COUNT: AtomicU64 = AtomicU64::new(0);
static SUM: AtomicU64 = AtomicU64::new(0);
static SOCKET: AtomicI32 = AtomicI32::new(-1);

extern "C" fn handle(_: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel passes a siginfo_t (SA_SIGINFO).
    let info = unsafe { &*info };
    let value = u64::try_from(value(info)).unwrap_or(0);
    SUM.fetch_add(value, Ordering::Relaxed);
    COUNT.fetch_add(1, Ordering::Relaxed);
    let (fd, byte) = (SOCKET.load(Ordering::Relaxed), 1_u8);
    // SAFETY: reads one byte, which lives past the call. It is full at worst.
    unsafe { libc::write(fd, (&raw const byte).cast(), 1) };
}

/// A handler and a pair of sockets.
pub(crate) struct Handler {
    signal: i32,
    reader: OwnedFd,
    before: Seen,
}

impl Handler {
    /// It comes with the signal blocked.
    pub(crate) fn open(signal: i32) -> Self {
        sys::block(signal);
        let mut pair = [-1; 2];
        let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC;
        let place = pair.as_mut_ptr();
        // SAFETY: writes two numbers, for which there is room.
        let result = unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, place) };
        check(result, "socketpair");
        // SAFETY: takes numbers.
        let result =
            unsafe { libc::fcntl(pair[1], libc::F_SETFL, libc::O_NONBLOCK) };
        check(result, "fcntl");
        SOCKET.store(pair[1], Ordering::Relaxed);
        install(signal);
        // SAFETY: the call has just made the descriptor.
        let reader = unsafe { OwnedFd::from_raw_fd(pair[0]) };
        Self { signal, reader, before: Seen::default() }
    }
}

fn install(signal: i32) {
    // SAFETY: an all-zero value is allowed.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handle as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
    // SAFETY: reads an action, whose handler only does what a handler may.
    let result =
        unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) };
    check(result, "sigaction");
}

impl Take for Handler {
    fn take(&mut self, seen: &mut Seen) {
        let mut bytes = [0_u8; 128];
        let (fd, room) = (self.reader.as_raw_fd(), bytes.as_mut_ptr());
        // SAFETY: writes at most 128 bytes, for which there is room.
        let result = unsafe { libc::read(fd, room.cast(), bytes.len()) };
        check(i64::try_from(result).unwrap_or(-1), "read");
        let now = Seen {
            count: COUNT.load(Ordering::Relaxed),
            sum: SUM.load(Ordering::Relaxed),
        };
        seen.count += now.count - self.before.count;
        seen.sum += now.sum - self.before.sum;
        self.before = now;
    }

    fn hold(&mut self) {
        sys::block(self.signal);
    }

    fn release(&mut self) {
        sys::unblock(self.signal);
    }
}
