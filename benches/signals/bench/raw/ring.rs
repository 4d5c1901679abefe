//! `io_uring`, with one request at a time or with one that lasts.

use std::ffi::c_void;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::{BufRingEntry, Fd, Timespec};
use io_uring::{Builder, IoUring, Probe, cqueue, opcode, squeue};
use libc::signalfd_siginfo;
use rustix::io_uring::{
    IoringEnterFlags, io_uring_enter, io_uring_enter_arg,
    io_uring_getevents_arg,
};

use super::{Room, count, read, room, signalfd};
use crate::common::sys::{check, set_of};
use crate::common::take::{Seen, Take};
use crate::common::work::GATHER_US;

/// The flags that were the fastest: completions when the thread waits for them.
pub(crate) fn builder() -> Builder {
    let mut builder = IoUring::builder();
    builder.setup_single_issuer().setup_defer_taskrun().setup_cqsize(128);
    builder
}

/// Why rings cannot be measured here, if they cannot.
pub(crate) fn why_no_rings() -> Option<String> {
    let ring = match builder().build(8) {
        Ok(ring) => ring,
        Err(error) => return Some(format!("io_uring_setup(2): {error}")),
    };
    let mut probe = Probe::new();
    let asked = ring.submitter().register_probe(&mut probe);
    let can = asked.is_ok() && probe.is_supported(opcode::ReadMulti::CODE);
    (!can).then(|| "a read that lasts came with Linux 6.7".into())
}

/// Why the kernel cannot let signals gather, if it cannot.
pub(crate) fn why_no_min_wait() -> Option<String> {
    let ring = builder().build(8).ok()?;
    let can = ring.params().is_feature_min_timeout();
    (!can).then(|| "a minimum to wait came with Linux 6.12".into())
}

fn ring() -> IoUring {
    builder().build(8).expect("io_uring")
}

/// A ring that any thread may use, as one of a receiver's own has to be.
fn shared_ring() -> IoUring {
    IoUring::builder().setup_cqsize(128).build(8).expect("io_uring")
}

fn push(ring: &mut IoUring, entry: &squeue::Entry) {
    // SAFETY: what the entry points to lives as long as the ring.
    let result = unsafe { ring.submission().push(entry) };
    result.expect("the queue has room");
}

fn descriptor(ring: &IoUring) -> BorrowedFd<'_> {
    // SAFETY: the ring owns it, and is borrowed for as long.
    unsafe { BorrowedFd::borrow_raw(ring.as_raw_fd()) }
}

fn wait(ring: &mut IoUring) {
    let entries = ring.submission().len().try_into().expect("it is small");
    // SAFETY: what is submitted is what `push` is for.
    let submitted = unsafe {
        io_uring_enter(
            descriptor(ring),
            entries,
            1,
            IoringEnterFlags::GETEVENTS,
        )
    };
    submitted.expect("io_uring_enter");
}

/// One read of up to `N` records after the other.
pub(crate) struct RingRead<const N: usize> {
    ring: IoUring,
    fd: OwnedFd,
    room: Box<Room<N>>,
}

impl<const N: usize> RingRead<N> {
    pub(crate) fn open(signal: i32) -> Self {
        Self::on(ring(), signal)
    }

    fn on(ring: IoUring, signal: i32) -> Self {
        // A ring waits all the same, and on old kernels it takes no thread for that.
        let fd = signalfd(signal, libc::SFD_NONBLOCK);
        Self { ring, fd, room: Box::new(room()) }
    }
}

impl<const N: usize> Take for RingRead<N> {
    #[inline]
    fn take(&mut self, seen: &mut Seen) {
        let begin = self.room.as_mut_ptr().cast();
        let size = size_of::<Room<N>>().try_into().expect("it is small");
        let fd = Fd(self.fd.as_raw_fd());
        let entry = opcode::Read::new(fd, begin, size).build();
        push(&mut self.ring, &entry);
        wait(&mut self.ring);
        let done = self.ring.completion().next().expect("it waited for one");
        let length = usize::try_from(done.result()).expect("it has read");
        count(seen, &self.room[..length / size_of::<signalfd_siginfo>()]);
    }
}

/// Reads first. If there is nothing, the ring reads once there is.
pub(crate) struct ReadLast<const N: usize>(RingRead<N>);

impl<const N: usize> ReadLast<N> {
    pub(crate) fn open(signal: i32) -> Self {
        Self(RingRead::open(signal))
    }

    pub(crate) fn shared(signal: i32) -> Self {
        Self(RingRead::on(shared_ring(), signal))
    }
}

impl<const N: usize> Take for ReadLast<N> {
    #[inline]
    fn take(&mut self, seen: &mut Seen) {
        let Self(it) = self;
        let records = read(&it.fd, &mut it.room);
        if !records.is_empty() {
            return count(seen, records);
        }
        it.take(seen);
    }
}

/// Reads first. If there is nothing, the ring says once there is.
pub(crate) struct PollLast<const N: usize>(Poll<N>);

impl<const N: usize> PollLast<N> {
    pub(crate) fn open(signal: i32) -> Self {
        Self(Poll::open(signal))
    }

    pub(crate) fn shared(signal: i32) -> Self {
        Self(Poll::on(shared_ring(), signal))
    }
}

impl<const N: usize> Take for PollLast<N> {
    #[inline]
    fn take(&mut self, seen: &mut Seen) {
        let Self(it) = self;
        let records = read(&it.fd, &mut it.room);
        if !records.is_empty() {
            return count(seen, records);
        }
        it.wait();
        count(seen, read(&it.fd, &mut it.room));
    }
}

/// A poll that lasts, and reads of up to `N` records.
pub(crate) struct Poll<const N: usize> {
    ring: IoUring,
    fd: OwnedFd,
    room: Room<N>,
    has_more: bool,
}

impl<const N: usize> Poll<N> {
    pub(crate) fn open(signal: i32) -> Self {
        Self::on(ring(), signal)
    }

    fn on(ring: IoUring, signal: i32) -> Self {
        let fd = signalfd(signal, libc::SFD_NONBLOCK);
        Self { ring, fd, room: room(), has_more: false }
    }

    fn arm(&mut self) {
        let events = libc::POLLIN as u32;
        let poll = opcode::PollAdd::new(Fd(self.fd.as_raw_fd()), events);
        push(&mut self.ring, &poll.build());
    }

    /// Waits until there is something to read.
    #[inline]
    fn wait(&mut self) {
        // One shot: of many shots it would overlook signals under a flood.
        self.arm();
        wait(&mut self.ring);
        self.ring.completion().for_each(drop);
    }
}

impl<const N: usize> Take for Poll<N> {
    #[inline]
    fn take(&mut self, seen: &mut Seen) {
        if !self.has_more {
            self.wait();
        }
        let records = read(&self.fd, &mut self.room);
        self.has_more = records.len() == N;
        count(seen, records);
    }
}

/// How many buffers a read that lasts fills, and how many records each has room for.
const BUFFERS: u16 = 64;
const RECORDS: usize = 64;
/// Where the buffers begin, in bytes: the page before has the ring of them.
const HEAD: usize = 4096;
/// What is mapped is aligned to one.
#[repr(align(4096))]
struct Page;
const BUFFER_BYTES: usize = RECORDS * size_of::<signalfd_siginfo>();

/// A read that lasts, into buffers that the ring chooses.
pub(crate) struct Multishot {
    ring: IoUring,
    signal: i32,
    fd: OwnedFd,
    begin: *mut Page,
    tail: u16,
    is_armed: bool,
}

impl Multishot {
    pub(crate) fn open(signal: i32) -> Self {
        let fd = signalfd(signal, libc::SFD_NONBLOCK);
        let (ring, begin) = (ring(), map());
        let mut it = Self { ring, signal, fd, begin, tail: 0, is_armed: false };
        (0..BUFFERS).for_each(|buffer| it.put(buffer));
        let begin = it.begin.addr().try_into().expect("an address");
        let submitter = it.ring.submitter();
        // SAFETY: the mapping is there for good, and has room for the entries.
        let result = unsafe {
            submitter.register_buf_ring_with_flags(begin, BUFFERS, 0, 0)
        };
        result.expect("io_uring_register");
        it.arm();
        it.ring.submit().expect("io_uring_enter");
        it
    }

    fn arm(&mut self) {
        let fd = Fd(self.fd.as_raw_fd());
        // The length is that of the buffers.
        let entry = opcode::ReadMulti::new(fd, 0, 0).build();
        push(&mut self.ring, &entry);
        self.is_armed = true;
    }

    fn buffer(&self, buffer: u16) -> *mut signalfd_siginfo {
        let first = HEAD / size_of::<signalfd_siginfo>();
        let at = first + usize::from(buffer) * RECORDS;
        let records = self.begin.cast::<signalfd_siginfo>();
        // SAFETY: the mapping has that many buffers.
        unsafe { records.add(at) }
    }

    /// Gives a buffer to the kernel.
    #[inline]
    fn put(&mut self, buffer: u16) {
        let address = self.buffer(buffer);
        let entries = self.begin.cast::<BufRingEntry>();
        // SAFETY: the first page has room for so many entries.
        let entry = unsafe { entries.add(usize::from(self.tail % BUFFERS)) };
        // SAFETY: the kernel does not look at it before the tail says so.
        let entry = unsafe { &mut *entry };
        entry.set_addr(address.addr().try_into().expect("an address"));
        entry.set_len(BUFFER_BYTES.try_into().expect("it is small"));
        entry.set_bid(buffer);
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the ring of buffers begins there, and there is an entry.
        let tail = unsafe { BufRingEntry::tail(entries) };
        // SAFETY: the tail is a number of 16 bits, aligned, which we write.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }

    #[inline]
    fn complete(&mut self, done: &cqueue::Entry, seen: &mut Seen) {
        if !cqueue::more(done.flags()) {
            self.is_armed = false;
        }
        let Some(buffer) = cqueue::buffer_select(done.flags()) else {
            let result = done.result();
            assert_eq!(result, -libc::ENOBUFS, "a request that has ended");
            return;
        };
        let length = usize::try_from(done.result()).expect("it has read");
        let records = self.buffer(buffer);
        let count_of = length / size_of::<signalfd_siginfo>();
        // SAFETY: the kernel has filled so much of the buffer, which is ours now.
        let records = unsafe { std::slice::from_raw_parts(records, count_of) };
        count(seen, records);
        self.put(buffer);
    }
}

impl Multishot {
    #[inline]
    fn take_after(&mut self, seen: &mut Seen, wait: fn(&mut IoUring)) {
        let before = seen.count;
        // What is there is taken before it enters the kernel.
        if self.ring.completion().is_empty() {
            if !self.is_armed {
                self.arm();
            }
            wait(&mut self.ring);
        }
        while let Some(done) = next(&mut self.ring) {
            self.complete(&done, seen);
        }
        if seen.count - before >= NOTED {
            announce(&self.fd, self.signal);
        }
    }
}

impl Take for Multishot {
    #[inline]
    fn take(&mut self, seen: &mut Seen) {
        self.take_after(seen, wait);
    }
}

/// A read that lasts, and signals gather: the kernel has a minimum to wait.
pub(crate) struct MinWait(Multishot);

impl MinWait {
    pub(crate) fn open(signal: i32) -> Self {
        Self(Multishot::open(signal))
    }
}

impl Take for MinWait {
    #[inline]
    fn take(&mut self, seen: &mut Seen) {
        self.0.take_after(seen, gather);
    }
}

/// Waits for as long as signals gather, or until half of the buffers are filled; then for
/// one.
fn gather(ring: &mut IoUring) {
    /// Longer than any workload: without one it goes on for nobody.
    static LONG: Timespec = Timespec::new().sec(1000);
    let arguments = io_uring_getevents_arg {
        min_wait_usec: GATHER_US,
        ts: (&raw const LONG).cast_mut().cast::<c_void>().into(),
        ..Default::default()
    };
    let entries = ring.submission().len().try_into().expect("it is small");
    let flags = IoringEnterFlags::GETEVENTS | IoringEnterFlags::EXT_ARG;
    let (most, arguments) = (u32::from(BUFFERS / 2), Some(&arguments));
    // SAFETY: the argument points to what lives for ever; what is submitted is what `push`
    // is for.
    let submitted = unsafe {
        io_uring_enter_arg(descriptor(ring), entries, most, flags, arguments)
    };
    submitted.expect("io_uring_enter");
}

/// After so many wakes the kernel may overlook one more: `src/receive/ring/request.rs`
/// says how.
const NOTED: u64 = 128;

/// Has whoever waits for a signalfd look again: it is given the set that it has.
fn announce(fd: &OwnedFd, signal: i32) {
    let set = set_of(signal);
    // SAFETY: reads a set, which lives past the call.
    let result = unsafe { libc::signalfd(fd.as_raw_fd(), &raw const set, 0) };
    check(result, "signalfd");
}

fn next(ring: &mut IoUring) -> Option<cqueue::Entry> {
    ring.completion().next()
}

fn map() -> *mut Page {
    let size = HEAD + usize::from(BUFFERS) * BUFFER_BYTES;
    let rights = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
    // SAFETY: asks for fresh memory.
    let begin =
        unsafe { libc::mmap(ptr::null_mut(), size, rights, flags, -1, 0) };
    if begin == libc::MAP_FAILED {
        check(-1, "mmap");
    }
    begin.cast()
}
