//! What a source that reads has in the caller's ring: a read, a look beside it, and the
//! buffers.
//!
//! The caller puts in what it is handed, and hands over what comes back. It may do
//! either late, twice or never, and what it hands over may be invented. So a completion
//! moves this on (`request.rs`, `look.rs`), and proves nothing: a record is there if it is
//! in a buffer (`buffers.rs`), and a read is over if the kernel says so.
//!
//! # Whether a read may come late
//!
//! A read that is in the submission queue still cannot be cancelled, and names its file by
//! a number, which may be another file's when it is submitted. So the buffers may go only
//! if every read that was handed out has left that queue, and ended. A read is **known** to
//! have left it when it was found in the ring, which cancels it, or when it has filled a
//! buffer. That it was this read that has filled one is certain as long as none before it
//! can. So each has to have ended before the next is handed out:
//!
//! - A read of one shot that has filled a buffer has ended.
//! - Whatever else is said to be a read's end, the kernel is asked to cancel it, and ought to
//!   find nothing. If it finds it, what was said is refused. The read is cancelled now,
//!   and ends. But a worker of the kernel's, which says of a read of one shot that it has
//!   ended with `EAGAIN`, lets go of it only a moment later: till then it is found and is
//!   none the less over. So that end is believed. If it was invented, the end of the read that
//!   was cancelled comes **late**, when the next read may be there. Whether it has come is
//!   asked in the same way, once: if the next read is found, it was late. That one is
//!   cancelled now, too, and its end is known to come.
//! - If it finds nothing and the read is known, it has ended. Every buffer that is filled
//!   is taken note of, so that the next read is not taken to have filled one.
//! - If it finds nothing and the read is not known, that one may be in the submission queue,
//!   and come at any time: it has **strayed**. Nothing is certain from then on, and the group
//!   of buffers is never given up.
//!
//! # Whether a read finds buffers
//!
//! A read that finds no buffer ends (`ENOBUFS`), and the next one is made when there is one.
//! If there was one, and it is said to have found none, then the kernel may have used them up
//! for nothing: those are put in anew. Or the ring does not have the group of buffers: it is
//! another ring, or the caller has had it forget them. Then the next one ends as well, and so
//! on for ever. So the second of these in a row is the last, unless something was read
//! meanwhile that nothing was said of.
//!
//! While they are put in anew no read may fill one. So the ring forgets the group, and no read
//! is given a buffer any more; then the kernel is asked to cancel the read, and returns once
//! none is executed that has one. What was filled till then is taken note of, and the rest is
//! put in. (One is not found that has strayed under another `user_data` than the last. It
//! could have a buffer only if the caller has invented its end, and another thread has executed
//! it, by `IOSQE_ASYNC`; then records may be overwritten.)

use io_uring::squeue;
use rustix::fd::RawFd;
use rustix::io::Errno;

use super::{Inbox, Look, Outcome, Request, Slot, Target, Whose};
use crate::error::{Error, Op};
use crate::process::Birth;
use crate::receive::SignalFd;
use crate::signal::SigInfo;

/// The ring does not have them.
const NO_BUFFERS: Error = Error::os(Op::UringRead, Errno::NOBUFS);

/// What is asked of the kernel besides what goes through the queues of a ring.
pub(crate) trait Kernel {
    /// Cancels the requests of this kind, with this `user_data` and about this file, and
    /// tells whether there was one.
    fn cancel(
        &mut self,
        opcode: u8,
        user_data: u64,
        target: Target,
    ) -> Result<bool, Error>;

    /// Tells the ring of a ring of buffers at an address.
    fn register_buffers(
        &mut self,
        address: usize,
        group: u16,
    ) -> Result<(), Errno>;

    /// Lets the ring forget a ring of buffers.
    fn forget_buffers(&mut self, group: u16) -> Result<(), Errno>;

    /// Puts a record back; it fails only if there is no memory.
    fn give_back(&mut self, info: &SigInfo) -> bool;
}

/// Whether the end of a read comes that was taken to have ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Late {
    None,
    MayCome,
    Comes,
}

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) slot: Slot,
    pub(super) look: Look,
    pub(super) inbox: Inbox,
    signalfd: RawFd,
    pub(crate) group: u16,
    /// Whether the read last handed out is known to have left the submission queue.
    is_known: bool,
    /// Whether one before it may be there.
    has_strayed: bool,
    late: Late,
    /// Whether there was a buffer for it when it was handed out.
    had_room: bool,
    /// How many in a row have found none, though there was one.
    in_vain: u8,
}

impl Reading {
    pub(crate) const fn new(
        request: Request,
        inbox: Inbox,
        signalfd: RawFd,
        group: u16,
    ) -> Self {
        Self {
            slot: Slot::new(request),
            look: Look::new(),
            inbox,
            signalfd,
            group,
            is_known: false,
            has_strayed: false,
            late: Late::None,
            had_room: false,
            in_vain: 0,
        }
    }

    /// Whether something is to be put into the ring.
    pub(crate) const fn needs_arming(&self) -> bool {
        let request = &self.slot.request;
        if request.is_idle() {
            self.inbox.has_room()
        } else {
            request.is_armed() && self.look.is_due()
        }
    }

    /// Arms what is due, and returns the submission.
    pub(crate) fn arm(
        &mut self,
        user_data: u64,
    ) -> Result<squeue::Entry, Error> {
        if self.slot.request.is_in_flight() {
            if !self.needs_arming() {
                return Err(Error::AlreadyArmed);
            }
            let user_data = self.slot.user_data.unwrap_or(user_data);
            let look = self.look.arm(self.slot.target(self.signalfd));
            return Ok(look.user_data(user_data));
        }
        let before = self.slot.user_data;
        let entry = self.slot.arm(self.signalfd, self.group, user_data)?;
        if before != Some(user_data) {
            self.look.forget();
            self.late = Late::None;
        }
        self.look.read_is_armed();
        self.is_known = false;
        self.had_room = self.inbox.has_room();
        Ok(entry)
    }

    /// Arms what is due, and has it put into the ring. All is as before if it is not.
    pub(crate) fn push(
        &mut self,
        user_data: u64,
        put: impl FnOnce(squeue::Entry) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let before = (self.slot.clone(), self.look.clone(), self.is_known);
        let entry = self.arm(user_data)?;
        put(entry).inspect_err(|_| {
            (self.slot, self.look, self.is_known) = before;
        })
    }

    /// Takes a completion.
    ///
    /// # Errors
    ///
    /// [`Error::ForeignCompletion`]; [`Error::Os`] when the read has failed for good, or
    /// cannot be cancelled.
    pub(crate) fn complete(
        &mut self,
        user_data: u64,
        result: i32,
        flags: u32,
        kernel: &mut impl Kernel,
    ) -> Result<(), Error> {
        self.slot.check(user_data)?;
        let look = self.look.clone();
        self.complete_own(result, flags, kernel).inspect_err(|&error| {
            // It was not the look's either.
            if error == Error::ForeignCompletion {
                self.look = look;
            }
        })
    }

    fn complete_own(
        &mut self,
        result: i32,
        flags: u32,
        kernel: &mut impl Kernel,
    ) -> Result<(), Error> {
        let is_cancelled = result == -libc::ECANCELED;
        if is_cancelled && self.late == Late::Comes {
            self.late = Late::None;
            return Ok(());
        }
        // It is the next one, or it does not come.
        let may_be_late = self.late == Late::MayCome;
        if may_be_late {
            self.late = Late::None;
        }
        let is_reading = self.slot.request.is_in_flight();
        let result = match self.look.complete(result, flags, is_reading) {
            Whose::Read(result) => result,
            Whose::Look => return Ok(()),
            Whose::Either => {
                // If it is refused the other one goes on, and ends some time.
                let _cancelled = self.cancel(kernel);
                return Ok(());
            }
        };
        let request = &self.slot.request;
        let is_stopping = request.is_stopping();
        let mut has_filled = false;
        if let Outcome::Filled { buffer, records } =
            request.look(result, flags)?
        {
            has_filled = self.inbox.push(buffer, records);
            // What was there when it was stopped is taken without being told.
            if !has_filled && !is_stopping {
                return Err(Error::ForeignCompletion);
            }
            self.is_known |= has_filled;
        }
        let stood = request.stands();
        let is_over = has_filled && !stood;
        if request.ends(flags) && !is_over && self.is_there(kernel) {
            if has_filled {
                return Ok(());
            }
            if is_cancelled && may_be_late {
                self.late = Late::Comes;
            } else if result == -libc::EAGAIN && !stood {
                self.late = self.late.max(Late::MayCome);
            } else {
                return Err(Error::ForeignCompletion);
            }
        }
        if self.slot.request.ends(flags) {
            if self.was_in_vain(result) {
                self.find_buffers(kernel)?;
            } else {
                self.in_vain = 0;
            }
        }
        self.slot.request.complete(result, flags)?;
        // Where no read stands there is no look. If there was one, something is invented.
        self.has_strayed |= stood && !self.slot.request.stands();
        if has_filled && is_stopping && self.slot.request.is_in_flight() {
            // It was submitted only after it was stopped.
            self.cancel_and_take_note(kernel)?;
        }
        Ok(())
    }

    /// Whether the read that has ended is said to have found no buffer, though there was one.
    const fn was_in_vain(&self, result: i32) -> bool {
        result == -libc::ENOBUFS && self.had_room && !self.is_known
    }

    /// Sees to it that the next read finds a buffer, or fails if none ever will. Then what
    /// was read is there to be taken, whatever was said of it.
    #[cold]
    fn find_buffers(&mut self, kernel: &mut impl Kernel) -> Result<(), Error> {
        let found = if self.in_vain > 0 && !self.inbox.has_more() {
            Err(NO_BUFFERS)
        } else {
            self.in_vain = self.in_vain.saturating_add(1);
            self.put_in_anew(kernel)
        };
        found.map_err(|error| {
            self.inbox.push_all();
            self.slot.request.fail(error)
        })
    }

    /// Has the ring know of the buffers anew, with all that hold nothing.
    ///
    /// A read that ends with an error may have had a buffer, which the kernel takes for used
    /// (where a worker of its own has executed the read: `io_req_complete_failed()`, seen on
    /// Linux 6.1). It says so, but that may be invented. So they are put in again together,
    /// and the group begins anew then (`begins_anew` in `register.rs`).
    fn put_in_anew(&mut self, kernel: &mut impl Kernel) -> Result<(), Error> {
        let failed = |errno| Error::os(Op::UringRegister, errno);
        let group = self.group;
        self.inbox.buffers.forget(kernel, group).map_err(|errno| {
            let has_none = matches!(errno, Errno::NOENT | Errno::INVAL);
            if has_none { NO_BUFFERS } else { failed(errno) }
        })?;
        let _found = self.cancel_read(kernel)?;
        self.inbox.push_all();
        self.inbox.put_in_rest(kernel, group).map_err(failed)
    }

    /// Whether the read is in the ring though it is said to have ended. Then it is
    /// cancelled.
    fn is_there(&mut self, kernel: &mut impl Kernel) -> bool {
        let found = self.cancel_read(kernel);
        if found == Ok(true) {
            return true;
        }
        self.has_strayed |= !self.is_known || found.is_err();
        if !self.has_strayed {
            self.inbox.push_all();
        }
        false
    }

    /// Takes records. `announce` is for a signal that the read may have overlooked.
    #[inline]
    pub(crate) fn take(
        &mut self,
        room: &mut [SigInfo],
        signalfd: &SignalFd,
        announce: impl FnOnce(),
    ) -> usize {
        let taken = self.inbox.take(room, signalfd);
        if self.slot.request.stands() && self.look.take(taken, room.len()) {
            announce();
        }
        taken
    }

    /// Cancels what is in the ring. What has been read is there to be taken, unless it is
    /// only submitted later.
    pub(crate) fn stop(
        &mut self,
        kernel: &mut impl Kernel,
    ) -> Result<(), Error> {
        self.cancel_and_take_note(kernel)?;
        self.slot.request.stop();
        self.late = Late::None;
        Ok(())
    }

    fn cancel_and_take_note(
        &mut self,
        kernel: &mut impl Kernel,
    ) -> Result<(), Error> {
        if self.cancel(kernel)? {
            self.inbox.push_all();
        }
        Ok(())
    }

    /// Cancels what is in the ring. Tells whether the kernel fills no buffer any more.
    fn cancel(&mut self, kernel: &mut impl Kernel) -> Result<bool, Error> {
        let _found = self.cancel_read(kernel)?;
        if self.look.may_be_in_ring() {
            let _found = self.cancel_each(Look::OPCODE, kernel)?;
        }
        Ok(self.is_settled())
    }

    /// Whether no read is left to come.
    const fn is_settled(&self) -> bool {
        let has_come = self.is_known && !self.has_strayed;
        self.slot.user_data.is_none() || has_come
    }

    /// Cancels the read, and tells whether it was there.
    fn cancel_read(&mut self, kernel: &mut impl Kernel) -> Result<bool, Error> {
        let opcode = self.slot.request.opcode();
        let mut is_found = self.cancel_each(opcode, kernel)?;
        if !is_found && !self.is_known && self.inbox.has_more() {
            // One has read, so it was submitted; maybe only now.
            is_found = self.cancel_each(opcode, kernel)?;
            self.is_known = !self.has_strayed;
        }
        self.is_known |= is_found;
        Ok(is_found)
    }

    fn cancel_each(
        &self,
        opcode: u8,
        kernel: &mut impl Kernel,
    ) -> Result<bool, Error> {
        let Some(user_data) = self.slot.user_data else { return Ok(false) };
        kernel.cancel(opcode, user_data, self.slot.target(self.signalfd))
    }

    /// Ends. What is in the buffers goes back. Tells whether no read can come that finds a
    /// buffer.
    pub(crate) fn close(
        &mut self,
        kernel: &mut impl Kernel,
        birth: Birth,
    ) -> bool {
        let is_over = self.cancel(kernel) == Ok(true);
        let buffers = &mut self.inbox.buffers;
        let finds_none = buffers.close(kernel, self.group, is_over, birth);
        finds_none || self.is_settled()
    }
}
