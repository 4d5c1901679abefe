//! Waiting in the caller's ring, where signals may gather meanwhile.

use core::time::Duration;

use io_uring::{IoUring, cqueue, squeue};
use rustix::io::Errno;
use rustix::io_uring::IoringEnterFlags;

use crate::error::{Error, Op};
use crate::receive::Receiver;
use crate::receive::ring::{Stay, descriptor, errno};
use crate::sys::Deadline;

/// Submits what is in the queue and waits for a completion, once signals have gathered for as
/// long as the receiver is moderated; or no longer than until half of the completion queue
/// is filled, so that it has room for the rest. If there is one that was not looked at, it
/// does not wait.
///
/// A handler may fork meanwhile, and what the child finds in the queues is its parent's. So it
/// looks at none of them before it has asked whether it is the child.
#[expect(
    clippy::inline_always,
    reason = "the first return after a call is slow"
)]
#[inline(always)]
pub(super) fn submit_and_wait<S, C>(
    ring: &mut IoUring<S, C>,
    receiver: &Receiver,
) -> Result<(), Error>
where
    S: squeue::EntryMarker,
    C: cqueue::EntryMarker,
{
    receiver.check_process()?;
    // Before Linux 5.7, and before 5.12 where a thread of the kernel submits, such a thread
    // looks, and sees its own signals.
    let params = ring.params();
    let sees_ours = params.is_feature_fast_poll()
        && (!params.is_setup_sqpoll() || params.is_feature_native_workers());
    if !sees_ours {
        return Err(Error::os(Op::UringPoll, Errno::INVAL));
    }
    let waited = if ring.completion().is_empty() {
        match receiver.gathers_until() {
            Some(until) => gather(ring, until, receiver),
            None => wait(ring),
        }
    } else if ring.submission().is_empty() {
        Ok(())
    } else {
        ring.submit().map(drop).map_err(|error| errno(&error))
    };
    receiver.check_process()?;
    match waited {
        // The time is over; or the process was stopped, or a handler has run.
        Ok(()) | Err(Errno::TIME | Errno::INTR) => Ok(()),
        Err(errno) => Err(Error::os(Op::UringEnter, errno)),
    }
}

#[inline]
fn wait<S, C>(ring: &mut IoUring<S, C>) -> Result<(), Errno>
where
    S: squeue::EntryMarker,
    C: cqueue::EntryMarker,
{
    enter(ring, &Stay::ENDLESS, 1)
}

#[inline(never)]
fn gather<S, C>(
    ring: &mut IoUring<S, C>,
    until: Deadline,
    receiver: &Receiver,
) -> Result<(), Errno>
where
    S: squeue::EntryMarker,
    C: cqueue::EntryMarker,
{
    // None at all would be no wait.
    let enough = (ring.params().cq_entries() / 2).max(1);
    // What the kernel's own thread brings after the minimum wakes nobody on kernels from
    // 6.12 to some of 6.18 ("fix min_wait wakeups for SQPOLL" mends it).
    let has_minimum = ring.params().is_feature_min_timeout()
        && !ring.params().is_setup_sqpoll();
    if has_minimum {
        let time = until.left().unwrap_or_default();
        let stay = Stay::until(Deadline::after(Some(FAR))).at_least(time);
        return enter(ring, &stay, enough);
    }
    if ring.params().is_feature_ext_arg() {
        match enter(ring, &Stay::until(until), enough) {
            // Or something was submitted, and it says so whatever has come then.
            Ok(()) | Err(Errno::TIME) => {}
            Err(errno) => return Err(errno),
        }
        if !until.is_over() || receiver.check_process().is_err() {
            return Ok(());
        }
    }
    if ring.completion().is_empty() { wait(ring) } else { Ok(()) }
}

/// When it is over, the loop comes round.
const FAR: Duration = Duration::from_secs(24 * 60 * 60);

#[inline]
fn enter<S, C>(
    ring: &mut IoUring<S, C>,
    stay: &Stay,
    completions: u32,
) -> Result<(), Errno>
where
    S: squeue::EntryMarker,
    C: cqueue::EntryMarker,
{
    let has_thread = ring.params().is_setup_sqpoll();
    let queue = ring.submission();
    let entries = queue.len();
    // The kernel's thread, where there is one that submits.
    let is_asleep = has_thread && queue.need_wakeup();
    drop(queue);
    let mut flags = IoringEnterFlags::empty();
    flags.set(IoringEnterFlags::SQ_WAKEUP, is_asleep);
    stay.enter(descriptor(ring), entries, completions, flags).map(drop)
}
