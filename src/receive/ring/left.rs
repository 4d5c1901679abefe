//! What could not be put back.
//!
//! A ring that reads ahead makes room in the kernel's queue, and others may fill it
//! (`RLIMIT_SIGPENDING`). When the ring goes, its real-time signals then do not go
//! back. They are not lost: their memory stays, and whichever receiver of the
//! process reads next, of those that receive the signal, takes them before what is
//! pending.
//!
//! So does the memory of a request that cannot be cancelled, because a sandbox has
//! come to forbid that. The kernel may go on to read signals into it, and there they
//! are found.
//!
//! The mappings are a chain that hangs on one word. Whoever wants to look takes the
//! whole chain off and hangs back what is not empty, so nobody looks at a mapping
//! that another thread has, and nobody waits. Who comes meanwhile finds nothing,
//! and reads what is pending.
//!
//! In a forked child the chain is a copy of the parent's, and signals are not
//! inherited: the child unmaps it.

#![expect(unsafe_code, reason = "a chain of mappings")]

use core::mem;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, Ordering};

use super::Buffers;
use super::buffers::{Left, Link};
use crate::process::Birth;
use crate::receive::put_back::return_record;
use crate::signal::{SigInfo, SignalSet};

static CHAIN: AtomicPtr<Link> = AtomicPtr::new(ptr::null_mut());

/// Puts back what is in the buffers of a ring that goes, those of the oldest buffer
/// first, and leaves what does not go back to whoever receives next.
///
/// Unless `is_over` says that the kernel can write to them no more, they are left as
/// they are: what went back, the kernel might read again.
pub(super) fn put_back_all(buffers: &mut Buffers, is_over: bool, birth: Birth) {
    let mut left = Left::none();
    for buffer in buffers.oldest_first() {
        let went = |info: &_| is_over && return_record(info).is_ok();
        let is_empty = buffers.drain_buffer(buffer, went);
        if !(is_over && is_empty) {
            left.push(buffer);
        }
    }
    if !is_over {
        buffers.keep();
    }
    if !left.is_none() {
        leave(buffers, left, birth);
    }
}

fn leave(buffers: &mut Buffers, left: Left, birth: Birth) {
    let link = buffers.give_up(left, birth).as_ptr();
    let mut first = CHAIN.load(Ordering::Relaxed);
    loop {
        // SAFETY: `give_up` returned it, and nobody else knows of it.
        unsafe { (*link).next = first };
        // Release: shows the mapping, records and all.
        let (set, seen) = (Ordering::Release, Ordering::Relaxed);
        match CHAIN.compare_exchange_weak(first, link, set, seen) {
            Ok(_) => return,
            Err(other) => first = other,
        }
    }
}

/// Takes records of these signals that were left.
pub(crate) fn take(room: &mut [SigInfo], wanted: SignalSet) -> usize {
    if is_nothing() {
        return 0;
    }
    let length = room.len();
    let mut room = room.iter_mut();
    for_each(&mut |buffers, left| buffers.take_left(left, &mut room, wanted));
    length - room.len()
}

/// Whether a record of these signals was left.
pub(crate) fn has(wanted: SignalSet) -> bool {
    let mut has = false;
    if !is_nothing() {
        for_each(&mut |buffers, left| has |= buffers.has_left(left, wanted));
    }
    has
}

/// Whether nothing at all was left, as it nearly always is.
fn is_nothing() -> bool {
    CHAIN.load(Ordering::Relaxed).is_null()
}

#[cold]
fn for_each(look: &mut dyn FnMut(&mut Buffers, &mut Left)) {
    // Acquire: sees what `leave` shows.
    let mut link = CHAIN.swap(ptr::null_mut(), Ordering::Acquire);
    // The last left is the first in the chain; it is to be the last looked at.
    let mut oldest = ptr::null_mut();
    while let Some(this) = NonNull::new(link) {
        // SAFETY: the chain holds nothing but what `leave` hung on it, and the
        // swap has taken it off, so nobody else has it.
        let next = unsafe { &mut (*this.as_ptr()).next };
        link = mem::replace(next, oldest);
        oldest = this.as_ptr();
    }
    while let Some(this) = NonNull::new(oldest) {
        // SAFETY: as above; it is taken back once.
        let (mut buffers, mut read) = unsafe { Buffers::from_link(this) };
        oldest = read.next;
        if read.birth != Birth::here() {
            continue;
        }
        look(&mut buffers, &mut read.left);
        if !read.left.is_none() {
            leave(&mut buffers, read.left, read.birth);
        }
    }
}
