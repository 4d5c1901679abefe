//! One request in a ring, as a state machine.
//!
//! A ring is asked once, by a submission, and answers with completions, until one
//! of them lacks `IORING_CQE_F_MORE`: then the request is gone and has to be made
//! anew. Whoever owns the ring, the receiver or the caller, the request goes
//! through the same phases:
//!
//! - **Idle.** Nothing is in the ring. It wants to be armed.
//! - **Armed.** It is in the ring, or on its way there. Each completion says that
//!   the signalfd is readable, or which buffer was filled. The last one makes it
//!   idle.
//! - **Stopping.** It is in the ring and its cancellation was asked for. A
//!   completion may still bring records that arrived before; the last one makes
//!   it stopped.
//! - **Stopped.** Nothing is in the ring, and nothing should be, until somebody
//!   arms it again.
//! - **Failed.** The kernel will never do what is asked. It is not armed again.
//!
//! A poll is of one shot, and reads are of many where the kernel has those. For a request
//! that stands, the kernel counts how often it was woken until it looks, and from the
//! 128th time on it notes only that it was. A signal which it notes after it has looked,
//! and before it puts the count back, is never told (`io_poll_check_events()` and
//! `io_poll_get_ownership_slowpath()`, seen on Linux 6.18), and a standard signal
//! that is pending is not announced again. Under a flood that takes a second or so. A
//! poll of one shot is made after the last read, and looks when it is made (and again when it
//! was woken for nothing, as by a signal for others: `IOU_POLL_REISSUE`). A read that
//! stands goes on for as long as signals come, so what it has overlooked came last: who
//! has taken [`NOTED`] records or more, and has found the end of them, has the signalfd
//! announced again, or lets a poll look first (`look.rs`).
//!
//! What a last completion means is in its result:
//!
//! - A count or an event: the request was of one shot, or the completion queue had
//!   no room (`io_req_post_cqe()`). Idle.
//! - `ECANCELED`: somebody cancelled it, or the thread that submitted it has ended.
//!   `ENOBUFS`: every buffer is filled. `EINTR`: a cancelled read before Linux 6.10.
//!   Whatever was pending still is, and arming looks again. Idle.
//! - `EAGAIN` to a read of one shot: every signal of the process wakes it, and after
//!   128 that were not for it the kernel gives up (`APOLL_MAX_RETRY`). Idle.
//! - `EINVAL` to a request of many shots: the kernel cannot do that here, whatever it says.
//!   From now on it is a request of one shot. Idle.
//! - No whole record, of a read: the end of another file, or some bytes of one, where the
//!   caller has registered that. Failed.
//! - Anything else, and `EINVAL` to a request of one shot: failed.
//!
//! A count of bytes stands for the whole records in it, and the rest of one is none: the
//! kernel writes whole ones (`signalfd_read_iter()`). More than a buffer has room for, and a
//! count without a buffer, is not this request's. Where the completion queue overflows the
//! kernel keeps completions until there is room (`IORING_FEAT_NODROP`), so all come, later;
//! and it ends a request of many shots, as above.
//!
//! A completion in any other phase than armed and stopping is not this request's:
//! it is given twice, or invented. So is one that names no buffer, or a buffer
//! that there is not. It is refused, and nothing changes.

use core::sync::atomic::{AtomicUsize, Ordering};

use io_uring::{Probe, cqueue, opcode, squeue, types};
use rustix::fd::RawFd;

use super::{BUFFERS, RECORDS};
use crate::error::{Error, Op};
use crate::receive::Kind;
use crate::signal::SigInfo;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Idle,
    Armed,
    Stopping,
    Stopped,
    Failed(Error),
}

/// How often one submission is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shots {
    Many,
    One,
}

/// From so many wakes on the kernel only notes that there were more
/// (`IO_POLL_REF_BIAS`). Each of a signal that is received leaves a record. One for
/// others leaves none, so after a flood of these the end is not announced: the next
/// signal of the process does that.
pub(super) const NOTED: usize = 128;

/// What was taken since the signalfd was last announced, of what a read that stands has
/// read. Another thread may take while the kernel reads, and find one end after the other.
#[derive(Debug)]
pub(crate) struct Unannounced(AtomicUsize);

impl Unannounced {
    pub(crate) const fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    /// Whether the signalfd is to be announced again, now that so much was taken of what
    /// there was room for: this is the end of many.
    pub(crate) fn is_due(&self, taken: usize, room: usize) -> bool {
        let before = self.0.fetch_add(taken, Ordering::Relaxed);
        if taken == room || before.saturating_add(taken) < NOTED {
            return false;
        }
        self.0.swap(0, Ordering::Relaxed) > 0
    }
}

/// See the head of this file.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    phase: Phase,
    shots: Shots,
    kind: Kind,
}

/// What a completion brings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// Nothing but a change of phase.
    Nothing,
    /// The signalfd is readable.
    Readable,
    /// The kernel has filled a buffer with so many records.
    Filled { buffer: u16, records: usize },
}

/// The file that a request is about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    Descriptor(RawFd),
    /// An index into the ring's registered files.
    Registered(u32),
}

impl Target {
    pub(super) const fn fd(self) -> (types::Fd, squeue::Flags) {
        match self {
            Self::Descriptor(raw) => (types::Fd(raw), squeue::Flags::empty()),
            Self::Registered(index) => (
                types::Fd(i32::from_ne_bytes(index.to_ne_bytes())),
                squeue::Flags::FIXED_FILE,
            ),
        }
    }
}

impl Request {
    pub(crate) const fn new(kind: Kind) -> Self {
        let shots = match kind {
            Kind::Readiness => Shots::One,
            Kind::Completion => Shots::Many,
        };
        Self { phase: Phase::Idle, shots, kind }
    }

    /// A read, of many shots if the kernel has those.
    pub(crate) fn reading(probe: &Probe) -> Self {
        let knows = probe.is_supported(opcode::ReadMulti::CODE);
        let shots = if knows { Shots::Many } else { Shots::One };
        Self { shots, ..Self::new(Kind::Completion) }
    }

    /// Whether it ought to be armed.
    pub(crate) const fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Idle)
    }

    /// Whether it is in the ring, and is to stay there.
    pub(crate) const fn is_armed(&self) -> bool {
        matches!(self.phase, Phase::Armed)
    }

    /// Whether the kernel may still complete it.
    pub(crate) const fn is_in_flight(&self) -> bool {
        matches!(self.phase, Phase::Armed | Phase::Stopping)
    }

    /// Whether it is, or would be, answered many times.
    pub(crate) const fn stands(&self) -> bool {
        matches!((self.kind, self.shots), (Kind::Completion, Shots::Many))
    }

    /// Whether the kernel will never do it.
    pub(crate) const fn has_failed(&self) -> bool {
        matches!(self.phase, Phase::Failed(_))
    }

    /// Arms it: the caller puts it into the ring.
    pub(crate) const fn arm(&mut self) -> Result<(), Error> {
        match self.phase {
            Phase::Idle | Phase::Stopped => self.phase = Phase::Armed,
            Phase::Armed | Phase::Stopping => return Err(Error::AlreadyArmed),
            Phase::Failed(error) => return Err(error),
        }
        Ok(())
    }

    /// It could not be put into the ring after all.
    pub(crate) const fn disarm(&mut self) {
        self.phase = Phase::Idle;
    }

    /// Its cancellation is asked for. Tells whether there is something to cancel.
    pub(crate) const fn stop(&mut self) -> bool {
        let was_in_flight = self.is_in_flight();
        self.phase = match self.phase {
            Phase::Armed | Phase::Stopping => Phase::Stopping,
            Phase::Idle | Phase::Stopped => Phase::Stopped,
            Phase::Failed(error) => Phase::Failed(error),
        };
        was_in_flight
    }

    /// Whether its cancellation was asked for and has not come about.
    pub(crate) const fn is_stopping(&self) -> bool {
        matches!(self.phase, Phase::Stopping)
    }

    /// Looks what a completion brings.
    ///
    /// # Errors
    ///
    /// [`Error::ForeignCompletion`].
    #[inline]
    pub(crate) fn look(
        &self,
        result: i32,
        flags: u32,
    ) -> Result<Outcome, Error> {
        if !self.is_in_flight() {
            return Err(Error::ForeignCompletion);
        }
        match usize::try_from(result) {
            Err(_) => Ok(Outcome::Nothing),
            Ok(_) if self.kind == Kind::Readiness => Ok(Outcome::Readable),
            Ok(bytes) if ends_without_record(bytes, flags) => {
                Ok(Outcome::Nothing)
            }
            Ok(bytes) => filled(bytes, flags),
        }
    }

    /// Whether a completion with these flags is the last.
    pub(super) fn ends(&self, flags: u32) -> bool {
        self.is_in_flight() && !cqueue::more(flags)
    }

    /// What the submission of a read asks for.
    pub(super) const fn opcode(&self) -> u8 {
        match self.shots {
            Shots::Many => opcode::ReadMulti::CODE,
            Shots::One => opcode::Read::CODE,
        }
    }

    /// Takes a completion.
    ///
    /// # Errors
    ///
    /// [`Error::ForeignCompletion`], without effect; [`Error::Os`] when the
    /// request has failed for good.
    #[inline]
    pub(crate) fn complete(
        &mut self,
        result: i32,
        flags: u32,
    ) -> Result<Outcome, Error> {
        let outcome = self.look(result, flags)?;
        if cqueue::more(flags) {
            return Ok(outcome);
        }
        match self.last(result) {
            Last::Again => self.end(),
            Last::AgainWithOneShot => {
                self.shots = Shots::One;
                self.end();
            }
            Last::Never(errno) => {
                return Err(self.fail(Error::Os { op: self.op(), errno }));
            }
        }
        Ok(outcome)
    }

    /// It will never do, whatever the kernel says.
    pub(super) const fn fail(&mut self, error: Error) -> Error {
        self.phase = Phase::Failed(error);
        error
    }

    const fn end(&mut self) {
        self.phase = match self.phase {
            Phase::Stopping => Phase::Stopped,
            _ => Phase::Idle,
        };
    }

    const fn last(&self, result: i32) -> Last {
        let is_of_many_shots = matches!(self.shots, Shots::Many);
        match (result.saturating_neg(), self.kind) {
            // It is not a signalfd that was read.
            (NO_RECORD..=0, Kind::Completion) => Last::Never(libc::EBADF),
            (..=0 | libc::ECANCELED | libc::ENOBUFS | libc::EINTR, _)
            | (libc::EAGAIN, Kind::Completion) => Last::Again,
            (libc::EINVAL, _) if is_of_many_shots => Last::AgainWithOneShot,
            (errno, _) => Last::Never(errno),
        }
    }

    const fn op(&self) -> Op {
        match self.kind {
            Kind::Readiness => Op::UringPoll,
            Kind::Completion => Op::UringRead,
        }
    }

    /// The submission that arms it, for so many shots if the kernel has those.
    #[inline]
    pub(crate) fn entry(
        &self,
        target: Target,
        group: u16,
        shots: Shots,
    ) -> squeue::Entry {
        let (fd, flags) = target.fd();
        let many = shots == Shots::Many && self.shots == Shots::Many;
        match self.kind {
            Kind::Readiness => {
                opcode::PollAdd::new(fd, POLLIN).build().flags(flags)
            }
            Kind::Completion if many => {
                opcode::ReadMulti::new(fd, 0, group).build().flags(flags)
            }
            Kind::Completion => {
                let nowhere = core::ptr::null_mut();
                opcode::Read::new(fd, nowhere, BUFFER_BYTES)
                    .buf_group(group)
                    .build()
                    .flags(flags | squeue::Flags::BUFFER_SELECT)
            }
        }
    }
}

pub(super) const POLLIN: u32 = libc::POLLIN as u32;

#[expect(clippy::cast_possible_truncation, reason = "8 KiB")]
const BUFFER_BYTES: u32 = (RECORDS * size_of::<SigInfo>()) as u32;

/// Fewer bytes than this, less one, are no record.
const NO_RECORD: i32 = 1 - SIZE;

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "128 bytes"
)]
const SIZE: i32 = size_of::<SigInfo>() as i32;

/// Whether a read ends, having read no whole record. (An event, which names no buffer, is
/// not a read's.)
fn ends_without_record(bytes: usize, flags: u32) -> bool {
    let is_a_reads = bytes == 0 || cqueue::buffer_select(flags).is_some();
    is_a_reads && bytes < size_of::<SigInfo>() && !cqueue::more(flags)
}

/// Which buffer was filled, if the completion may say so.
pub(super) fn filled(bytes: usize, flags: u32) -> Result<Outcome, Error> {
    let records = bytes / size_of::<SigInfo>();
    match cqueue::buffer_select(flags) {
        Some(buffer) if buffer < BUFFERS && records <= RECORDS => {
            Ok(Outcome::Filled { buffer, records })
        }
        _ => Err(Error::ForeignCompletion),
    }
}

/// What comes after a request's last completion.
enum Last {
    Again,
    AgainWithOneShot,
    Never(i32),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `IORING_CQE_F_MORE`, and `IORING_CQE_F_BUFFER` with a number.
    const MORE: u32 = 1 << 1;
    const fn buffer(number: u16) -> u32 {
        1 | (number as u32) << 16
    }

    fn armed(kind: Kind) -> Request {
        let mut request = Request::new(kind);
        assert!(request.is_idle() && !request.is_in_flight());
        request.arm().unwrap();
        assert!(!request.is_idle() && request.is_in_flight());
        request
    }

    fn failed(kind: Kind, errno: i32) -> (Request, Error) {
        let mut request = armed(kind);
        for _ in 0..2 {
            match request.complete(-errno, 0) {
                Ok(_) => request.arm().unwrap(),
                Err(error) => return (request, error),
            }
        }
        panic!("{errno} is taken again and again");
    }

    #[test]
    fn a_request_lasts_until_the_last_completion() {
        let mut request = armed(Kind::Readiness);
        for _ in 0..3 {
            let outcome = request.complete(libc::POLLIN.into(), MORE);
            assert_eq!(outcome, Ok(Outcome::Readable));
            assert_eq!(request.arm(), Err(Error::AlreadyArmed));
        }
        let outcome = request.complete(libc::POLLIN.into(), 0);
        assert_eq!(outcome, Ok(Outcome::Readable));
        assert!(request.is_idle());
        let again = request.complete(libc::POLLIN.into(), 0);
        assert_eq!(again, Err(Error::ForeignCompletion));
    }

    #[test]
    fn a_read_says_which_buffer_it_filled() {
        let mut request = armed(Kind::Completion);
        let outcome = request.complete(5 * 128, MORE | buffer(3));
        assert_eq!(outcome, Ok(Outcome::Filled { buffer: 3, records: 5 }));
        // The rest of a record is none.
        let outcome = request.complete(5 * 128 + 64, MORE | buffer(3));
        assert_eq!(outcome, Ok(Outcome::Filled { buffer: 3, records: 5 }));
        for (result, flags) in [
            (128, MORE),
            (0, MORE),
            (128, MORE | buffer(BUFFERS)),
            (i32::MAX, MORE | buffer(3)),
            (128, 0),
        ] {
            let outcome = request.complete(result, flags);
            assert_eq!(outcome, Err(Error::ForeignCompletion));
            assert!(request.is_in_flight(), "it is without effect");
        }
    }

    #[test]
    fn what_ends_without_a_record_was_no_signalfd() {
        for (result, flags) in
            [(0, 0), (0, buffer(3)), (1, buffer(3)), (127, buffer(3))]
        {
            let mut request = armed(Kind::Completion);
            let _more = request.complete(result, flags | MORE);
            assert!(request.is_in_flight(), "more is said to come");
            let error = request.complete(result, flags).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EBADF));
            assert_eq!(request.arm(), Err(error), "it stays so");
        }
        // An event is not a read's.
        let event = armed(Kind::Completion).complete(1, 0);
        assert_eq!(event, Err(Error::ForeignCompletion));
        assert_eq!(
            armed(Kind::Readiness).complete(0, 0),
            Ok(Outcome::Readable)
        );
    }

    #[test]
    fn what_ends_a_request_is_told_from_what_forbids_it() {
        for kind in [Kind::Readiness, Kind::Completion] {
            for errno in [libc::ECANCELED, libc::ENOBUFS, libc::EINTR] {
                let mut request = armed(kind);
                assert_eq!(request.complete(-errno, 0), Ok(Outcome::Nothing));
                assert!(request.is_idle());
            }
            for errno in 1..=133 {
                let ends = [libc::ECANCELED, libc::ENOBUFS, libc::EINTR];
                let is_read = kind == Kind::Completion;
                if ends.contains(&errno) || errno == libc::EAGAIN && is_read {
                    continue;
                }
                let (mut request, error) = failed(kind, errno);
                assert_eq!(error.raw_os_error(), Some(errno));
                assert_eq!(request.arm(), Err(error), "it stays so");
                assert!(!request.is_idle() && !request.is_in_flight());
                request.stop();
                assert_eq!(request.arm(), Err(error), "and so it does then");
            }
        }
    }

    #[test]
    fn without_many_shots_one_is_asked_for() {
        let mut request = armed(Kind::Completion);
        let einval = -libc::EINVAL;
        assert_eq!(request.complete(einval, 0), Ok(Outcome::Nothing));
        assert!(request.is_idle());
        request.arm().unwrap();
        assert_eq!(request.shots, Shots::One);
        assert!(request.complete(einval, 0).is_err());
        assert!(armed(Kind::Readiness).complete(einval, 0).is_err());
    }

    #[test]
    fn a_stopped_request_does_not_want_to_be_armed() {
        let mut request = armed(Kind::Completion);
        assert!(request.stop() && request.is_stopping());
        let outcome = request.complete(128, MORE | buffer(0));
        assert!(matches!(outcome, Ok(Outcome::Filled { .. })));
        assert_eq!(request.arm(), Err(Error::AlreadyArmed));
        request.complete(-libc::ECANCELED, 0).unwrap();
        assert!(!request.is_idle() && !request.is_in_flight());
        assert!(!request.stop());
        request.arm().unwrap();
        assert!(request.is_in_flight());
    }
}
