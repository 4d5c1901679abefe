//! Memory that a ring reads signals into.
//!
//! The kernel takes its buffers from a *provided-buffer ring*, a page that both
//! sides see: we put buffers in at its tail, the kernel takes them from its head,
//! fills them, and says in a completion which one it was. Page and buffers are one
//! anonymous mapping. It is never on the heap or the stack, so nothing that is
//! moved, forgotten or freed moves or frees it.
//!
//! # Whose a buffer is
//!
//! From the moment it is put in until the kernel has filled it, a buffer is the
//! kernel's. It has filled it when it says so. But what it says reaches us through
//! the caller, who might say it twice, or of a buffer that was not filled. So what
//! counts is what is *in* the buffer. A record that has not been filled in, or was
//! taken already, has no signal number: the mapping begins as zeros, and taking a
//! record wipes its number. A record can so be taken once, and only after it was
//! received.
//!
//! The kernel might write while we look, if the caller says that a buffer is
//! filled before it is. So records are copied out with volatile reads and never
//! borrowed, and any bytes make a record.
//!
//! # When it may be unmapped
//!
//! Once the kernel can write to it no more: when no request that may take a buffer
//! is in flight, and the ring has forgotten the buffers (`unregister`). A value
//! of this type does not know that. Its owner does, and where it cannot be sure it
//! says `keep`, which leaks the memory. In a forked child the mapping is a copy
//! that no ring knows of.

#![expect(unsafe_code, reason = "memory that the kernel writes to")]

use core::ffi::c_void;
use core::mem::offset_of;
use core::ptr::{self, NonNull};
use core::slice;
use core::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;
use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags};

use super::register;
use crate::error::{Error, Op};
use crate::process::Birth;
use crate::signal::{self, SigInfo, SignalSet};

/// How many buffers there are; a power of two, as the kernel wants it. Signals
/// that come one by one fill one each.
pub(crate) const BUFFERS: u16 = 64;
/// How many records fit into one. Larger ones gain nothing that can be measured.
pub(crate) const RECORDS: usize = 64;

/// The page with the ring of buffers comes first. 64 KiB is the largest page that
/// a machine of ours has; what is not touched costs nothing.
const HEAD: usize = 64 * 1024;
const BUFFER_BYTES: usize = RECORDS * size_of::<SigInfo>();
const LENGTH: usize = HEAD + BUFFERS as usize * BUFFER_BYTES;

const _: () = assert!(BUFFERS.is_power_of_two());
const _: () = assert!(size_of::<BufRingEntry>() * BUFFERS as usize <= 4096);
const _: () = assert!(HEAD % align_of::<SigInfo>() == 0);

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Buffers {
    base: NonNull<c_void>,
    /// How many buffers were ever put in, wrapping.
    tail: u16,
    /// Whether it stays mapped when this is dropped: it is given up, or the kernel
    /// may write to it for ever.
    is_kept: bool,
}

// SAFETY: it owns the mapping, and nothing about a mapping belongs to a thread.
unsafe impl Send for Buffers {}

impl Buffers {
    /// Maps memory and puts all buffers in.
    pub(crate) fn new() -> Result<Self, Error> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new private mapping at an address of the kernel's choice
        // (mmap(2)), which overlaps nothing.
        let base = unsafe {
            rustix::mm::mmap_anonymous(
                ptr::null_mut(),
                LENGTH,
                access,
                MapFlags::PRIVATE,
            )
        };
        let base = base
            .and_then(|base| NonNull::new(base).ok_or(Errno::NOMEM))
            .map_err(|errno| Error::os(Op::Mmap, errno))?;
        let mut buffers = Self { base, tail: 0, is_kept: false };
        for buffer in 0..BUFFERS {
            buffers.put(buffer);
        }
        Ok(buffers)
    }

    /// Tells a ring of the buffers, under a number of the caller's.
    pub(crate) fn register(
        &self,
        ring: BorrowedFd<'_>,
        group: u16,
    ) -> Result<(), Error> {
        register::buffers(ring, self.base.addr().get(), BUFFERS, group)
            .map_err(|errno| Error::os(Op::UringRegister, errno))
    }

    /// Puts a buffer in, for the kernel to fill. What is left in it is wiped.
    pub(crate) fn put(&mut self, buffer: u16) {
        for at in 0..RECORDS {
            if self.is_filled(buffer, at) {
                self.wipe(buffer, at);
            }
        }
        let Some(address) = self.record(buffer, 0) else { return };
        let slot = usize::from(self.tail % BUFFERS);
        let ring = self.base.cast::<BufRingEntry>();
        // SAFETY: `slot` is less than `BUFFERS`, and the first page, which the
        // mapping holds, has room for that many entries.
        let entry = unsafe { ring.add(slot) };
        // SAFETY: the entry is in the mapping, aligned as the page is, made of
        // integers, and not the kernel's: it has taken the buffer that was there
        // before, or it would not be ours to put in again. The tail, which shares
        // the memory of the first entry's spare field, is not in what is set.
        let entry = unsafe { &mut *entry.as_ptr() };
        entry.set_addr(address.addr().get() as u64);
        #[expect(clippy::cast_possible_truncation, reason = "8 KiB")]
        entry.set_len(BUFFER_BYTES as u32);
        entry.set_bid(buffer);
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the ring's first entry, in the mapping, which began as zeros.
        let tail = unsafe { BufRingEntry::tail(ring.as_ptr()) };
        // SAFETY: aligned, in the mapping, and written by nobody else; the kernel
        // reads it, so it has to be atomic.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        // Release: the kernel sees the entry before it sees that it is there.
        tail.store(self.tail, Ordering::Release);
    }

    /// Takes a record out of a buffer, if there is one.
    pub(crate) fn take(&mut self, buffer: u16, at: usize) -> Option<SigInfo> {
        let info = self.look(buffer, at)?;
        self.wipe(buffer, at);
        Some(info)
    }

    fn look(&self, buffer: u16, at: usize) -> Option<SigInfo> {
        if !self.is_filled(buffer, at) {
            return None;
        }
        let record = self.record(buffer, at)?;
        // SAFETY: the record is in the mapping and aligned, and any bytes are a
        // `SigInfo`.
        let mut info = unsafe { record.read_volatile() };
        signal::unseal(&mut info);
        Some(info)
    }

    /// Takes a record out of a buffer if there is one and `f` says so.
    pub(crate) fn take_if(
        &mut self,
        buffer: u16,
        at: usize,
        f: impl FnOnce(&SigInfo) -> bool,
    ) {
        if let Some(info) = self.look(buffer, at) {
            if f(&info) {
                self.wipe(buffer, at);
            }
        }
    }

    /// Takes the records out of a buffer of which `f` says so, and tells whether
    /// none is left.
    pub(super) fn drain_buffer(
        &mut self,
        buffer: u16,
        mut f: impl FnMut(&SigInfo) -> bool,
    ) -> bool {
        let mut is_empty = true;
        for at in 0..RECORDS {
            self.take_if(buffer, at, |info| {
                let is_taken = f(info);
                is_empty &= is_taken;
                is_taken
            });
        }
        is_empty
    }

    /// Takes records of these signals out of what is left.
    pub(super) fn take_left(
        &mut self,
        left: &mut Left,
        room: &mut slice::IterMut<'_, SigInfo>,
        wanted: SignalSet,
    ) {
        for n in left.begin..left.end {
            let Some(&buffer) = left.order.get(usize::from(n)) else { return };
            let is_empty = self.drain_buffer(buffer.into(), |info| {
                let is_wanted = wanted.has(info.signal());
                let place = is_wanted.then(|| room.next()).flatten();
                place.map(|place| *place = *info).is_some()
            });
            if is_empty && !self.is_kept && n == left.begin {
                left.begin += 1;
            } else if room.len() == 0 {
                return;
            }
        }
    }

    /// Whether a record of these signals is among what is left.
    pub(super) fn has_left(&self, left: &Left, wanted: SignalSet) -> bool {
        let buffers = left.order.iter().take(left.end.into());
        let mut buffers = buffers.skip(left.begin.into());
        buffers.any(|&buffer| {
            (0..RECORDS)
                .filter_map(|at| self.look(buffer.into(), at))
                .any(|info| wanted.has(info.signal()))
        })
    }

    /// The kernel may write to it for ever: it stays mapped.
    pub(super) const fn keep(&mut self) {
        self.is_kept = true;
    }

    /// All buffers, those put in first before the others. One that was put in
    /// twice, as only wrong completions can bring about, is not in the way of
    /// any other.
    pub(super) fn oldest_first(&self) -> impl Iterator<Item = u16> + use<> {
        let mut order = [0; BUFFERS as usize];
        for (n, place) in (0..BUFFERS).zip(&mut order) {
            *place = self.nth(n);
        }
        order.into_iter().chain(0..BUFFERS)
    }

    /// Which buffer was put in as the n-th of those that are in, the oldest first.
    fn nth(&self, n: u16) -> u16 {
        let slot = usize::from(self.tail.wrapping_add(n) % BUFFERS);
        let ring = self.base.cast::<BufRingEntry>();
        // SAFETY: as in `put`: the entry is in the mapping.
        let entry = unsafe { ring.add(slot) };
        // SAFETY: as in `put`; the kernel only ever reads it.
        unsafe { (*entry.as_ptr()).bid() }
    }

    /// Whether there is a record that was not taken.
    pub(crate) fn is_filled(&self, buffer: u16, at: usize) -> bool {
        let Some(number) = self.number(buffer, at) else { return false };
        // SAFETY: the number is an integer in the mapping, and aligned. The kernel
        // may write there, so it is read volatile.
        unsafe { number.read_volatile() != 0 }
    }

    fn wipe(&self, buffer: u16, at: usize) {
        let Some(number) = self.number(buffer, at) else { return };
        // SAFETY: as in `is_filled`; nobody holds a reference to it.
        unsafe { number.write_volatile(0) };
    }

    /// Where the number of a record is.
    fn number(&self, buffer: u16, at: usize) -> Option<NonNull<i32>> {
        let record = self.record(buffer, at)?;
        // SAFETY: within the record, so within the mapping.
        let number = unsafe { record.byte_add(offset_of!(SigInfo, signo)) };
        Some(number.cast())
    }

    /// Where a record is, if there is such a one.
    fn record(&self, buffer: u16, at: usize) -> Option<NonNull<SigInfo>> {
        if buffer >= BUFFERS || at >= RECORDS {
            return None;
        }
        let offset = HEAD
            + usize::from(buffer) * BUFFER_BYTES
            + at * size_of::<SigInfo>();
        // SAFETY: `buffer` and `at` are in range, so the whole record is within
        // the mapping, whose `LENGTH` is that of all buffers.
        let record = unsafe { self.base.byte_add(offset) };
        Some(record.cast())
    }
}

/// What the kernel does, for tests.
#[cfg(test)]
impl Buffers {
    pub(super) const fn tail(&self) -> u16 {
        self.tail
    }

    /// The buffer that was put in as this one of all that ever were.
    pub(super) fn slot(&self, number: u16) -> u16 {
        self.nth(number.wrapping_sub(self.tail))
    }

    pub(super) fn write(&mut self, buffer: u16, at: usize, info: &SigInfo) {
        let record = self.record(buffer, at).unwrap();
        // SAFETY: in the mapping, aligned, and nobody holds a reference to it.
        unsafe { record.write_volatile(*info) };
    }
}

/// Which buffers of a mapping have something left, in order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Left {
    order: [u8; BUFFERS as usize],
    begin: u8,
    end: u8,
}

impl Left {
    pub(super) const fn none() -> Self {
        Self { order: [0; BUFFERS as usize], begin: 0, end: 0 }
    }

    pub(super) const fn is_none(&self) -> bool {
        self.begin == self.end
    }

    pub(super) fn push(&mut self, buffer: u16) {
        let Ok(buffer) = u8::try_from(buffer) else { return };
        let there = self.order.iter().take(self.end.into());
        let is_there = there.copied().any(|other| other == buffer);
        if let Some(place) = self.order.get_mut(usize::from(self.end)) {
            if !is_there {
                *place = buffer;
                self.end += 1;
            }
        }
    }
}

/// A mapping that is nothing but a link in a chain says this of itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) next: *mut Self,
    pub(super) left: Left,
    pub(super) birth: Birth,
    is_kept: bool,
}

/// Where in the mapping a link is: behind the ring of buffers.
const LINK: usize = 4096;
const _: () = assert!(LINK + size_of::<Link>() <= HEAD);

impl Buffers {
    /// Gives the mapping up: dropping this does not unmap it any more. What is
    /// needed to have it back is written into it.
    pub(super) const fn give_up(
        &mut self,
        left: Left,
        birth: Birth,
    ) -> NonNull<Link> {
        let next = ptr::null_mut();
        let link = Link { next, left, birth, is_kept: self.is_kept };
        self.is_kept = true;
        // SAFETY: within the mapping, since `HEAD` is larger.
        let place = unsafe { self.base.byte_add(LINK) }.cast::<Link>();
        // SAFETY: aligned, and in nobody's way: the ring of buffers is shorter,
        // and the buffers come after `HEAD`.
        unsafe { place.write(link) };
        place
    }

    /// Takes a mapping back, and what it said of itself. No buffer is to be put
    /// in any more.
    ///
    /// # Safety
    ///
    /// `link` came from `give_up` and was not given here since.
    pub(super) const unsafe fn from_link(link: NonNull<Link>) -> (Self, Link) {
        // SAFETY: by contract `give_up` wrote it, and nobody else has the mapping,
        // so it is as it was.
        let read = unsafe { link.read() };
        // SAFETY: `give_up` came here by as many bytes from the beginning.
        let base = unsafe { link.byte_sub(LINK) }.cast();
        (Self { base, tail: 0, is_kept: read.is_kept }, read)
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        // SAFETY: the mapping that `new` made. No reference into it is alive, and
        // by the contract at the head of this file the kernel does not write to
        // it any more, or it would have been leaked.
        let unmapped =
            unsafe { rustix::mm::munmap(self.base.as_ptr(), LENGTH) };
        // If a sandbox forbids it the memory is lost, and nothing else.
        let _ = unmapped;
    }
}
