//! Memory that is mapped, and a word that a forked child finds zero.

use core::ffi::{c_int, c_void};
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};
use core::slice;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags};

/// The page that holds the word; null until it is first asked for.
static PAGE: AtomicPtr<AtomicU64> = AtomicPtr::new(ptr::null_mut());

/// Stands for the page where the kernel has no `MADV_WIPEONFORK`.
static NO_PAGE: AtomicU64 = AtomicU64::new(0);

/// Returns a word that is zero at first and zero again in a forked child, or
/// `None` where the kernel cannot do that (before Linux 4.14, or a sandbox).
///
/// The page it is on stays mapped for good. The answer is the same at every
/// call, in every child too.
pub(crate) fn wiped_on_fork() -> Option<&'static AtomicU64> {
    let mut page = PAGE.load(Ordering::Acquire);
    if page.is_null() {
        page = publish_page();
    }
    // SAFETY: `publish_page` returned this pointer, and so did every call before:
    // to `NO_PAGE`, or to a page that is never unmapped, is zero, which is a
    // valid `AtomicU64`, and is only ever used as one.
    let word = unsafe { &*page };
    (!ptr::eq(word, &raw const NO_PAGE)).then_some(word)
}

/// Maps a page and makes it known, unless another thread was faster.
#[cold]
fn publish_page() -> *mut AtomicU64 {
    let none = ptr::from_ref(&NO_PAGE).cast_mut();
    let mine = map_page().unwrap_or(none);
    let (set, seen) = (Ordering::AcqRel, Ordering::Acquire);
    match PAGE.compare_exchange(ptr::null_mut(), mine, set, seen) {
        Ok(_) => mine,
        Err(first) => {
            if mine != none {
                unmap_page(mine);
            }
            first
        }
    }
}

const PAGE_SIZE: usize = 4096;

fn map_page() -> Option<*mut AtomicU64> {
    let page = map(PAGE_SIZE).ok()?.cast().as_ptr();
    // An emulator may answer that all is well to whatever it does not know; it
    // then does so to advice that does not exist, too.
    let no_advice = -1;
    if madvise(page, libc::MADV_WIPEONFORK) && !madvise(page, no_advice) {
        return Some(page);
    }
    unmap_page(page);
    None
}

fn madvise(page: *mut AtomicU64, advice: c_int) -> bool {
    // SAFETY: the range is a mapping that `map_page` has just made. The advice it
    // gives changes nothing in this process (madvise(2)).
    unsafe { libc::madvise(page.cast(), PAGE_SIZE, advice) == 0 }
}

fn unmap_page(page: *mut AtomicU64) {
    // SAFETY: both callers pass the start of a mapping that `map_page` made and
    // that no one else has seen.
    unsafe { unmap(page.cast(), PAGE_SIZE) };
}

/// Memory for a moment.
pub(crate) struct Room {
    begin: NonNull<c_void>,
    length: usize,
}

impl Room {
    pub(crate) fn map(length: usize) -> Result<Self, Errno> {
        Ok(Self { begin: map(length)?, length })
    }

    pub(crate) const fn bytes(&mut self) -> &mut [MaybeUninit<u8>] {
        let begin = self.begin.cast().as_ptr();
        // SAFETY: the mapping, of this length, which is this one's until it is dropped, and
        // is borrowed from it mutably.
        unsafe { slice::from_raw_parts_mut(begin, self.length) }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // SAFETY: the mapping, of this length, of which no borrow is alive.
        unsafe { unmap(self.begin.as_ptr(), self.length) };
    }
}

/// Maps memory: zeros, aligned as a page.
pub(crate) fn map(length: usize) -> Result<NonNull<c_void>, Errno> {
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new private mapping at an address of the kernel's choice
    // (mmap(2)), which overlaps nothing.
    let begin = unsafe {
        rustix::mm::mmap_anonymous(
            ptr::null_mut(),
            length,
            access,
            MapFlags::PRIVATE,
        )
    };
    NonNull::new(begin?).ok_or(Errno::NOMEM)
}

/// Unmaps memory. It fails only in a sandbox; then the memory is lost, and nothing
/// else.
///
/// # Safety
///
/// It is a mapping that [`map`] made, of this length, which nobody uses any more.
pub(crate) unsafe fn unmap(begin: *mut c_void, length: usize) {
    // SAFETY: by contract it is a whole mapping, which nobody uses.
    let _unmapped = unsafe { rustix::mm::munmap(begin, length) };
}
