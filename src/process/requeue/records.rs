//! A mapping with places for records, which the kernel or other threads write to.
//!
//! A place is empty, reserved, filled or taken, and the number of its signal tells
//! which: 0, [`RESERVED`], the number, or [`TAKEN`]. The kernel fills a place without
//! reserving it.
//! Records are copied in and out with volatile accesses and never borrowed, and any
//! bytes make a record.

#![expect(unsafe_code, reason = "memory that others write to")]

use core::ffi::c_void;
use core::mem::{self, offset_of};
use core::ops::RangeInclusive;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicI32, Ordering};

use rustix::io::Errno;

use crate::signal::{self, SigInfo, Signal, SignalSet};
use crate::sys::page;

/// How many buffers there are; a power of two, as the kernel wants it. Signals
/// that come one by one fill one each.
pub(crate) const BUFFERS: u16 = 64;
/// How many records fit into one. Larger ones gain nothing that can be measured.
pub(crate) const RECORDS: usize = 64;

/// What comes before the records: at first the kernel's ring of buffers, then what
/// a mapping says of itself. 64 KiB is the largest page that a machine of ours
/// has; what is not touched costs nothing.
const HEAD: usize = 64 * 1024;
/// Where in the head a mapping says something of itself.
const LABEL: usize = HEAD_ROOM;
pub(crate) const BUFFER_BYTES: usize = RECORDS * size_of::<SigInfo>();
const LENGTH: usize = HEAD + BUFFERS as usize * BUFFER_BYTES;

const WORDS: usize = size_of::<SigInfo>() / size_of::<u64>();

const _: () = assert!(HEAD % align_of::<SigInfo>() == 0);
const _: () = assert!(align_of::<SigInfo>() == align_of::<u64>());
/// The room for either.
pub(crate) const HEAD_ROOM: usize = 4096;

/// What stands for the number of a signal while a thread is at its place.
const RESERVED: i32 = -1;
/// What stands for it when a record was taken and its place is not to be used
/// again.
pub(crate) const TAKEN: i32 = -2;

/// See the head of this file. It is a pointer: whoever copies it sees to it that
/// the mapping is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Records(NonNull<c_void>);

// SAFETY: nothing about a mapping belongs to a thread.
unsafe impl Send for Records {}
// SAFETY: places are reached by atomic numbers; what is not says so.
unsafe impl Sync for Records {}

impl Records {
    /// Maps memory, all places empty.
    pub(crate) fn map() -> Result<Self, Errno> {
        page::map(LENGTH).map(Self)
    }

    /// Where there is room for what the mapping says of itself, aligned as a page.
    pub(crate) const fn label(self) -> NonNull<c_void> {
        // SAFETY: `HEAD` is larger, so it is within the mapping.
        unsafe { self.0.byte_add(LABEL) }
    }

    /// Where a record is, if there is such a one.
    #[inline]
    pub(crate) fn place(
        self,
        buffer: u16,
        at: usize,
    ) -> Option<NonNull<SigInfo>> {
        if buffer >= BUFFERS || at >= RECORDS {
            return None;
        }
        let offset = HEAD
            + usize::from(buffer) * BUFFER_BYTES
            + at * size_of::<SigInfo>();
        // SAFETY: `buffer` and `at` are in range, so the whole record is within
        // the mapping, whose `LENGTH` is that of all buffers.
        let record = unsafe { self.0.byte_add(offset) };
        Some(record.cast())
    }

    fn number(&self, buffer: u16, at: usize) -> Option<&AtomicI32> {
        let record = self.place(buffer, at)?;
        // SAFETY: within the record, so within the mapping.
        let number = unsafe { record.byte_add(offset_of!(SigInfo, signo)) };
        // SAFETY: in the mapping, aligned, and written by atomic accesses only.
        Some(unsafe { AtomicI32::from_ptr(number.cast().as_ptr()) })
    }

    #[inline]
    fn copy(self, buffer: u16, at: usize) -> Option<SigInfo> {
        let record = self.place(buffer, at)?.cast::<[u64; WORDS]>();
        // In words: a volatile read of a record would be one of each of its fields, and
        // of each byte of what it does not use.
        // SAFETY: the record is in the mapping and aligned, and any bytes are words.
        let words = unsafe { record.read_volatile() };
        // SAFETY: of the same size, and any bytes are a `SigInfo`.
        Some(unsafe { mem::transmute::<[u64; WORDS], SigInfo>(words) })
    }

    /// The number of the signal, or what stands for it.
    #[inline]
    pub(crate) fn number_of(self, buffer: u16, at: usize) -> i32 {
        // Acquire: what the number was stored after.
        self.number(buffer, at)
            .map_or(0, |number| number.load(Ordering::Acquire))
    }

    /// Takes a record of one of these signals, where other threads may want it too,
    /// and leaves this instead of its number.
    pub(crate) fn claim(
        self,
        buffer: u16,
        at: usize,
        wanted: SignalSet,
        instead: i32,
    ) -> Option<SigInfo> {
        let place = self.number(buffer, at)?;
        let number = place.load(Ordering::Relaxed);
        if !NUMBERS.contains(&number) || !wanted.has(signal_of(number)) {
            return None;
        }
        // Acquire: what the number was stored after.
        let (set, seen) = (Ordering::Acquire, Ordering::Relaxed);
        place.compare_exchange(number, RESERVED, set, seen).ok()?;
        let mut info = self.copy(buffer, at)?;
        info.signo = number;
        signal::unseal(&mut info);
        // Release: the copy was made before.
        place.store(instead, Ordering::Release);
        Some(info)
    }

    /// Puts a record into a place that is empty, where other threads may want it
    /// too.
    pub(crate) fn offer(self, buffer: u16, at: usize, info: &SigInfo) -> bool {
        let Some(place) = self.number(buffer, at) else { return false };
        let (set, seen) = (Ordering::Acquire, Ordering::Relaxed);
        if place.compare_exchange(0, RESERVED, set, seen).is_err() {
            return false;
        }
        self.write_rest(buffer, at, info);
        // Release: the record was written before.
        place.store(info.signo, Ordering::Release);
        true
    }

    /// Writes all but the number to a place that this thread has reserved.
    fn write_rest(self, buffer: u16, at: usize, info: &SigInfo) {
        const NUMBER: usize = size_of::<i32>();
        const _: () = assert!(offset_of!(SigInfo, signo) == 0);
        let Some(record) = self.place(buffer, at) else { return };
        // SAFETY: within the record, behind the number.
        let to = unsafe { record.byte_add(NUMBER) }.cast::<u8>();
        // SAFETY: within `info`, behind the number.
        let from = unsafe { NonNull::from(info).byte_add(NUMBER) }.cast::<u8>();
        // SAFETY: that many bytes are left of either, and they are different
        // memory. Nobody else is at the place while it is reserved.
        unsafe {
            from.copy_to_nonoverlapping(to, size_of::<SigInfo>() - NUMBER);
        }
    }
}

/// What only rings do.
impl Records {
    /// Unmaps it.
    ///
    /// # Safety
    ///
    /// Nobody uses any copy of this again, and the kernel does not write to it.
    pub(crate) unsafe fn unmap(self) {
        // SAFETY: the mapping that `map` made, which by contract nobody uses.
        unsafe { page::unmap(self.0.as_ptr(), LENGTH) };
    }

    /// Where the mapping begins, aligned as a page.
    pub(crate) const fn begin(self) -> NonNull<c_void> {
        self.0
    }

    #[inline]
    pub(crate) fn is_filled(self, buffer: u16, at: usize) -> bool {
        NUMBERS.contains(&self.number_of(buffer, at))
    }

    /// Looks at a record, and leaves it there.
    #[inline]
    pub(crate) fn look(
        self,
        buffer: u16,
        at: usize,
        place: &mut SigInfo,
    ) -> bool {
        if !self.is_filled(buffer, at) {
            return false;
        }
        let Some(info) = self.copy(buffer, at) else { return false };
        *place = info;
        signal::unseal(place);
        true
    }

    /// Empties a place, or says that what was there is taken.
    #[inline]
    pub(crate) fn wipe(self, buffer: u16, at: usize, instead: i32) {
        if let Some(number) = self.number(buffer, at) {
            // Release: the copy was made before.
            number.store(instead, Ordering::Release);
        }
    }
}

/// What the kernel has for numbers of signals.
const NUMBERS: RangeInclusive<i32> = 1..=64;

pub(crate) const fn signal_of(number: i32) -> Signal {
    SigInfo { signo: number, ..SigInfo::EMPTY }.signal()
}
