//! What is done with a ring that somebody else owns.
//!
//! The io-uring crate makes the calls of `io_uring_register(2)` on a ring that it
//! owns. A source has only a descriptor of the caller's ring, which may outlive the
//! caller's own.

#![expect(unsafe_code, reason = "system calls on a ring that is the caller's")]

use core::ffi::{c_int, c_long, c_uint, c_void};
use core::ptr;

use io_uring::{IoUring, Probe, cqueue, opcode, squeue};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;

use super::{BUFFERS, Kernel, Target, errno};
use crate::error::{Error, Op};
use crate::process::{Birth, give_back};
use crate::signal::SigInfo;

// include/uapi/linux/io_uring.h
const IORING_REGISTER_PBUF_RING: c_uint = 22;
const IORING_UNREGISTER_PBUF_RING: c_uint = 23;
const IORING_REGISTER_SYNC_CANCEL: c_uint = 24;
const IORING_ASYNC_CANCEL_ALL: u32 = 1 << 0;
const IORING_ASYNC_CANCEL_FD: u32 = 1 << 1;
const IORING_ASYNC_CANCEL_ANY: u32 = 1 << 2;
const IORING_ASYNC_CANCEL_USERDATA: u32 = 1 << 4;
const IORING_ASYNC_CANCEL_OP: u32 = 1 << 5;

/// `struct io_uring_buf_reg`.
#[repr(C)]
struct BufReg {
    ring_addr: u64,
    ring_entries: u32,
    bgid: u16,
    flags: u16,
    resv: [u64; 3],
}

impl BufReg {
    const fn of(group: u16) -> Self {
        Self {
            ring_addr: 0,
            ring_entries: 0,
            bgid: group,
            flags: 0,
            resv: [0; 3],
        }
    }
}

/// `struct io_uring_sync_cancel_reg`.
#[repr(C)]
struct SyncCancelReg {
    addr: u64,
    fd: i32,
    flags: u32,
    timeout: [i64; 2],
    opcode: u8,
    pad: [u8; 7],
    pad2: [u64; 3],
}

impl SyncCancelReg {
    const fn of(flags: u32) -> Self {
        Self {
            addr: 0,
            fd: -1,
            flags,
            timeout: [1, 0],
            opcode: 0,
            pad: [0; 7],
            pad2: [0; 3],
        }
    }
}

const _: () = assert!(size_of::<BufReg>() == 40);
const _: () = assert!(size_of::<SyncCancelReg>() == 64);

/// A ring that somebody else owns, which stays for as long as this.
#[derive(Debug)]
pub(crate) struct TheirRing {
    fd: OwnedFd,
    /// Whether its kernel finds a request by its `user_data` and its file. None is found by
    /// both on Linux 6.8. They are on 6.12, which has the feature that is looked at.
    finds_both: bool,
}

impl TheirRing {
    pub(crate) fn of<S, C>(ring: &IoUring<S, C>) -> Result<Self, Error>
    where
        S: squeue::EntryMarker,
        C: cqueue::EntryMarker,
    {
        Ok(Self {
            fd: duplicate(descriptor(ring))?,
            finds_both: ring.params().is_feature_min_timeout(),
        })
    }

    /// The calls on it, for a process.
    pub(crate) fn calls(&self, birth: Birth) -> Calls<'_> {
        let finds_both = self.finds_both;
        Calls { finds_both, ..Calls::new(self.fd.as_fd(), birth) }
    }
}

/// The descriptor of a ring.
pub(crate) fn descriptor<S, C>(ring: &IoUring<S, C>) -> BorrowedFd<'_>
where
    S: squeue::EntryMarker,
    C: cqueue::EntryMarker,
{
    // SAFETY: the ring owns the descriptor and is borrowed for as long.
    unsafe { BorrowedFd::borrow_raw(ring.as_raw_fd()) }
}

/// A descriptor of the same file.
pub(crate) fn duplicate(fd: impl AsFd) -> Result<OwnedFd, Error> {
    rustix::io::fcntl_dupfd_cloexec(fd, 0)
        .map_err(|errno| Error::os(Op::Fcntl, errno))
}

/// Puts what a [`Request`](super::Request) has made into a submission queue.
#[inline]
pub(crate) fn push<E: squeue::EntryMarker>(
    queue: &mut squeue::SubmissionQueue<'_, E>,
    entry: squeue::Entry,
) -> Result<(), Error> {
    // SAFETY: the entry names a descriptor by its number, which the kernel checks,
    // and no memory. A read names a group of buffers: those that a source has
    // registered, which stay mapped until the ring has forgotten them (`Buffers`),
    // or, in another ring, those that were lent to it for whatever names them.
    unsafe { queue.push(&E::from(entry)) }.map_err(|_| Error::QueueFull)
}

/// The calls on a ring, for a process.
pub(crate) struct Calls<'r> {
    ring: BorrowedFd<'r>,
    birth: Birth,
    /// See [`TheirRing`].
    finds_both: bool,
}

impl<'r> Calls<'r> {
    /// Those on a ring in which no two requests have the same `user_data`.
    pub(crate) const fn new(ring: BorrowedFd<'r>, birth: Birth) -> Self {
        Self { ring, birth, finds_both: false }
    }
}

impl Kernel for Calls<'_> {
    /// It returns once the kernel will do nothing more for them, though their last
    /// completions may come later (`io_sync_cancel()`).
    fn cancel(
        &mut self,
        opcode: u8,
        user_data: u64,
        target: Target,
    ) -> Result<bool, Error> {
        let target = Some(target).filter(|_| self.finds_both);
        cancel(self.ring, opcode, user_data, target)
            .map_err(|errno| Error::os(Op::UringRegister, errno))
    }

    fn register_buffers(
        &mut self,
        address: usize,
        group: u16,
    ) -> Result<(), Errno> {
        let reg = BufReg {
            ring_addr: address as u64,
            ring_entries: BUFFERS.into(),
            ..BufReg::of(group)
        };
        register(self.ring, IORING_REGISTER_PBUF_RING, &reg).map(drop)
    }

    fn forget_buffers(&mut self, group: u16) -> Result<(), Errno> {
        let reg = BufReg::of(group);
        register(self.ring, IORING_UNREGISTER_PBUF_RING, &reg).map(drop)
    }

    fn give_back(&mut self, info: &SigInfo) -> bool {
        give_back(info, self.birth)
    }
}

/// What the kernel knows to do in a ring.
///
/// Before Linux 5.18 the kernel waits until no request is in the ring, before it says that
/// it does not know an operation (`io_register_op_must_quiesce()`). The probe came with Linux
/// 5.6, and so did the feature that is looked at here.
pub(crate) fn probe<S, C>(ring: &IoUring<S, C>) -> Result<Probe, Errno>
where
    S: squeue::EntryMarker,
    C: cqueue::EntryMarker,
{
    if !ring.params().is_feature_rw_cur_pos() {
        return Err(Errno::INVAL);
    }
    let mut probe = Probe::new();
    let asked = ring.submitter().register_probe(&mut probe);
    asked.map(|()| probe).map_err(|error| errno(&error))
}

/// Whether requests can be cancelled at once. It cancels none.
///
/// Only a kernel is asked that knows a request which is younger than Linux 5.18: see
/// [`probe`].
pub(crate) fn can_cancel(
    ring: BorrowedFd<'_>,
    probe: &Probe,
) -> Result<(), Errno> {
    // Of Linux 5.19, and there whatever the kernel was configured with.
    if !probe.is_supported(opcode::UringCmd16::CODE) {
        return Err(Errno::INVAL);
    }
    // Nothing is mapped there.
    let nowhere = ptr::without_provenance(size_of::<SyncCancelReg>());
    match register_at(ring, IORING_REGISTER_SYNC_CANCEL, nowhere) {
        Err(Errno::FAULT) => Ok(()),
        Err(errno) => Err(errno),
        Ok(_) => Err(Errno::INVAL),
    }
}

/// Whether a buffer group of this number begins anew each time it is registered. Of one below
/// 64 (`BGID_ARRAY`) older kernels remember how many buffers were used of the one before, and
/// take no note that they are other ones (`io_register_pbuf_ring()` in Linux 6.1). Newer ones
/// keep none ("get rid of lower BGID lists", 6.9, which has the request that is looked at).
pub(crate) fn begins_anew(group: u16, probe: &Probe) -> bool {
    group >= 64 || probe.is_supported(opcode::Ftruncate::CODE)
}

/// Cancels all requests of a ring. Those that a worker thread executes may go on
/// until their last completions.
pub(super) fn cancel_all(ring: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL;
    register_cancel(ring, &SyncCancelReg::of(flags)).map(drop)
}

fn cancel(
    ring: BorrowedFd<'_>,
    opcode: u8,
    user_data: u64,
    target: Option<Target>,
) -> Result<bool, Errno> {
    let mut reg = SyncCancelReg { addr: user_data, ..SyncCancelReg::of(0) };
    // Where there are requests that last (Linux 6.7) a look may have the same `user_data`,
    // and the kernel can tell them apart (6.6).
    if opcode != opcode::Read::CODE {
        reg.opcode = opcode;
        reg.flags = IORING_ASYNC_CANCEL_USERDATA | IORING_ASYNC_CANCEL_OP;
        if let Some(Target::Descriptor(fd)) = target {
            reg.fd = fd;
            reg.flags |= IORING_ASYNC_CANCEL_FD;
        }
    }
    if !register_cancel(ring, &reg)? {
        return Ok(false);
    }
    // What is cancelled may be found again until its last completion comes, but by this
    // call once at most (`io_poll_find()`).
    reg.flags |= IORING_ASYNC_CANCEL_ALL;
    register_cancel(ring, &reg)?;
    // And this waits for one that is being executed.
    reg.flags &= !IORING_ASYNC_CANCEL_ALL;
    for _ in 0..3 {
        if !register_cancel(ring, &reg)? {
            break;
        }
    }
    Ok(true)
}

/// Tells whether there was something to cancel.
fn register_cancel(
    ring: BorrowedFd<'_>,
    reg: &SyncCancelReg,
) -> Result<bool, Errno> {
    match register(ring, IORING_REGISTER_SYNC_CANCEL, reg) {
        Ok(_) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno),
    }
}

fn register<T>(
    ring: BorrowedFd<'_>,
    op: c_uint,
    argument: &T,
) -> Result<c_long, Errno> {
    register_at(ring, op, ptr::from_ref(argument).cast())
}

fn register_at(
    ring: BorrowedFd<'_>,
    op: c_uint,
    argument: *const c_void,
) -> Result<c_long, Errno> {
    let raw: c_int = ring.as_raw_fd();
    loop {
        // SAFETY: for each of the three operations io_uring_register(2) reads one
        // structure at the pointer: one of the size that it reads, which lives past
        // the call, or none, and then it fails with EFAULT. What the structure of
        // buffers points to is the concern of `Buffers`, which owns it.
        let result = unsafe {
            libc::syscall(
                libc::SYS_io_uring_register,
                c_long::from(raw),
                op,
                argument,
                1 as c_uint,
            )
        };
        match crate::sys::check(result) {
            Ok(result) => return Ok(result),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}
