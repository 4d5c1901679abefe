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
//! filled before it is. `records.rs` is ready for that.
//!
//! # When it may be unmapped
//!
//! Once the kernel can write to it no more: when no request that may take a buffer
//! is in flight, and the ring has forgotten the buffers. A value of this type does
//! not know the former. Its owner does, and says so when it closes it; otherwise the
//! mapping stays for good. In a forked child it stays, too: a request that the parent
//! had in a queue could be submitted by the child.
//!
//! # A request that comes late
//!
//! One that was in the submission queue when its source went is still to come, and
//! names a descriptor that may be another file by then. It must not read. So its
//! group of buffers stays, without a buffer: it ends with `ENOBUFS`, before it has
//! looked at the file. If the ring cannot be told that, the number of the descriptor stays
//! the signalfd's.

#![expect(unsafe_code, reason = "a ring of buffers, shared with the kernel")]

use core::iter;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;
use rustix::io::Errno;

use super::{BUFFERS, Kernel, RECORDS};
use crate::error::{Error, Op};
use crate::process::{self, BUFFER_BYTES, Birth, HEAD_ROOM, Records, TAKEN};
use crate::signal::SigInfo;

const _: () = assert!(BUFFERS.is_power_of_two());
const _: () =
    assert!(size_of::<BufRingEntry>() * BUFFERS as usize <= HEAD_ROOM);

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Buffers {
    records: Records,
    /// How many buffers were ever put in, wrapping.
    tail: u16,
    /// Whether the ring knows of them.
    is_registered: bool,
    /// Whether it is unmapped when this is dropped.
    is_released: bool,
}

impl Buffers {
    /// Maps memory, puts all buffers in, and tells a ring of them, under a number
    /// of the caller's.
    pub(super) fn new(
        kernel: &mut impl Kernel,
        group: u16,
    ) -> Result<Self, Error> {
        let records =
            Records::map().map_err(|errno| Error::os(Op::Mmap, errno))?;
        let mut buffers = Self::of(records);
        buffers
            .put_in(kernel, group, 0..BUFFERS, iter::empty())
            .map_err(|errno| Error::os(Op::UringRegister, errno))
            .inspect_err(|_| buffers.release())?;
        Ok(buffers)
    }

    /// No buffer is put in, and no ring knows of any.
    const fn of(records: Records) -> Self {
        Self { records, tail: 0, is_registered: false, is_released: false }
    }

    fn register(
        &mut self,
        kernel: &mut impl Kernel,
        group: u16,
    ) -> Result<(), Errno> {
        let address = self.records.begin().addr().get();
        kernel.register_buffers(address, group)?;
        self.is_registered = true;
        Ok(())
    }

    pub(super) fn forget(
        &mut self,
        kernel: &mut impl Kernel,
        group: u16,
    ) -> Result<(), Errno> {
        if self.is_registered {
            kernel.forget_buffers(group)?;
            self.is_registered = false;
        }
        Ok(())
    }

    /// Puts buffers in, and tells a ring of them that does not know of any: it counts from 0.
    /// The others are `kept`, in this order, and are put in later.
    pub(super) fn put_in(
        &mut self,
        kernel: &mut impl Kernel,
        group: u16,
        buffers: impl Iterator<Item = u16>,
        kept: impl Iterator<Item = u16>,
    ) -> Result<(), Errno> {
        self.tail = 0;
        self.show(0);
        buffers.for_each(|buffer| self.put(buffer));
        for (n, buffer) in (0..).zip(kept) {
            self.entry(n).set_bid(buffer);
        }
        self.register(kernel, group)
    }

    /// Puts a buffer in, for the kernel to fill. What is left in it is wiped.
    pub(crate) fn put(&mut self, buffer: u16) {
        for at in self.written(buffer) {
            self.records.wipe(buffer, at, 0);
        }
        let Some(address) = self.records.place(buffer, 0) else { return };
        let entry = self.entry(0);
        entry.set_addr(address.addr().get() as u64);
        #[expect(clippy::cast_possible_truncation, reason = "8 KiB")]
        entry.set_len(BUFFER_BYTES as u32);
        entry.set_bid(buffer);
        self.tail = self.tail.wrapping_add(1);
        self.show(self.tail);
    }

    /// The place for the n-th that is put in from now on. It has the n-th of those that are
    /// not in the ring, the oldest first, and then of those that are.
    fn entry(&mut self, n: u16) -> &mut BufRingEntry {
        let mut entry = self.place(n);
        // SAFETY: the entry is in the mapping, aligned as the page is, made of
        // integers, and not the kernel's, which only reads those before the tail: it has
        // taken the buffer that was there before, or none would be ours to put in. The tail,
        // which shares the memory of the first entry's spare field, is not in what is set.
        unsafe { entry.as_mut() }
    }

    fn place(&self, n: u16) -> NonNull<BufRingEntry> {
        let slot = usize::from(self.tail.wrapping_add(n) % BUFFERS);
        // SAFETY: `slot` is less than `BUFFERS`, and the first page, which the
        // mapping holds, has room for that many entries.
        unsafe { self.records.begin().cast().add(slot) }
    }

    /// The places of a buffer that were filled: from its beginning, and none of them was
    /// emptied.
    fn written(&self, buffer: u16) -> impl Iterator<Item = usize> + use<> {
        let records = self.records;
        (0..RECORDS).take_while(move |&at| records.number_of(buffer, at) != 0)
    }

    /// Tells the kernel how many buffers were ever put in.
    fn show(&self, tail: u16) {
        // Release: the kernel sees the entry before it sees that it is there.
        self.shown().store(tail, Ordering::Release);
    }

    /// What the kernel is told.
    fn shown(&self) -> &AtomicU16 {
        let ring = self.records.begin().cast::<BufRingEntry>();
        // SAFETY: the ring's first entry, in the mapping, which began as zeros.
        let place = unsafe { BufRingEntry::tail(ring.as_ptr()) };
        // SAFETY: aligned, in the mapping, and written by nobody else; the kernel
        // reads it, so it has to be atomic.
        unsafe { AtomicU16::from_ptr(place.cast_mut()) }
    }

    /// Takes a record out of a buffer, if there is one.
    #[inline]
    pub(crate) fn take(
        &mut self,
        buffer: u16,
        at: usize,
        place: &mut SigInfo,
    ) -> bool {
        let is_there = self.records.look(buffer, at, place);
        if is_there {
            self.records.wipe(buffer, at, TAKEN);
        }
        is_there
    }

    /// Takes a record out of a buffer if there is one and `f` says so.
    pub(crate) fn take_if(
        &mut self,
        buffer: u16,
        at: usize,
        f: impl FnOnce(&SigInfo) -> bool,
    ) {
        let mut info = SigInfo::EMPTY;
        if self.records.look(buffer, at, &mut info) && f(&info) {
            self.records.wipe(buffer, at, TAKEN);
        }
    }

    /// Whether there is a record that was not taken.
    pub(crate) fn is_filled(&self, buffer: u16, at: usize) -> bool {
        self.records.is_filled(buffer, at)
    }

    /// Whether something was read into it. The kernel begins at its beginning.
    pub(super) fn is_begun(&self, buffer: u16) -> bool {
        self.records.number_of(buffer, 0) != 0
    }

    /// The kernel can write to it no more: dropping it unmaps it.
    pub(super) const fn release(&mut self) {
        self.is_released = true;
    }

    /// Lets the ring forget the buffers, and puts back what is in them. `is_over`
    /// tells whether the request is. Tells whether none can come that finds a buffer
    /// under this number.
    ///
    /// If it does not forget them they are left as they are, for good: what went
    /// back, the kernel might read again.
    pub(super) fn close(
        &mut self,
        kernel: &mut impl Kernel,
        group: u16,
        is_over: bool,
        birth: Birth,
    ) -> bool {
        if self.forget(kernel, group).is_err() {
            process::keep(self.records, None, birth);
            return is_over;
        }
        let finds_none = is_over || self.register_none(kernel, group).is_ok();
        let left = self.put_back_all(kernel);
        if left > 0 {
            process::keep(self.records, Some(left), birth);
        } else if is_over {
            self.release();
        }
        finds_none
    }

    /// Lets the ring have a group with no buffer in it, so that no other one has the
    /// number.
    fn register_none(
        &mut self,
        kernel: &mut impl Kernel,
        group: u16,
    ) -> Result<(), Errno> {
        // The kernel counts from 0 again.
        self.show(0);
        self.register(kernel, group)
    }

    /// Puts back what is in the buffers, those of the oldest first, and tells how
    /// much did not go back, since there is no memory either. What was taken while the kernel
    /// wrote, as only wrong completions can bring about, may have left a gap.
    pub(super) fn put_back_all(&mut self, kernel: &mut impl Kernel) -> usize {
        for buffer in self.oldest_first() {
            for at in 0..RECORDS {
                self.take_if(buffer, at, |info| kernel.give_back(info));
            }
        }
        let all =
            (0..BUFFERS).flat_map(|it| (0..RECORDS).map(move |at| (it, at)));
        all.filter(|&(buffer, at)| self.is_filled(buffer, at)).count()
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
        // SAFETY: as in `entry`; the kernel only ever reads it.
        unsafe { self.place(n).as_ref() }.bid()
    }
}

/// What the kernel does, for tests.
#[cfg(any(test, fuzzing))]
impl Buffers {
    /// The kernel's side of the mapping, for as long as that is there.
    pub(super) const fn shared(&self) -> Self {
        Self::of(self.records)
    }

    /// How many buffers were ever put in, as the kernel sees it.
    pub(super) fn tail(&self) -> u16 {
        self.shown().load(Ordering::Acquire)
    }

    /// The buffer that was put in as this one of all that ever were.
    pub(super) fn slot(&self, number: u16) -> u16 {
        self.nth(number.wrapping_sub(self.tail))
    }

    /// All is as if it had just been mapped.
    pub(super) fn begin_again(&mut self, kernel: &mut impl Kernel, group: u16) {
        let all = 0..BUFFERS;
        assert_eq!(self.put_in(kernel, group, all, iter::empty()), Ok(()));
    }

    pub(super) const fn is_released(&self) -> bool {
        self.is_released
    }

    /// The kernel minds nothing that is there.
    pub(super) fn clear(&mut self, buffer: u16, at: usize) {
        self.records.wipe(buffer, at, 0);
    }

    pub(super) fn write(&mut self, buffer: u16, at: usize, info: &SigInfo) {
        assert!(self.records.offer(buffer, at, info));
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        if self.is_released {
            // SAFETY: this owns the mapping, and no copy of `records` is used any
            // more: what is kept is not released (`close`). By the contract at the
            // head of this file the kernel does not write to it.
            unsafe { self.records.unmap() };
        }
    }
}
