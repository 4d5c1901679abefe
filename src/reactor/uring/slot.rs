//! What a source has in the caller's ring.

use io_uring::{cqueue, squeue};
use rustix::fd::RawFd;

use crate::error::Error;
use crate::receive::ring::{Request, Shots, Target};

/// A request, under the caller's `user_data`, about a file that the caller may have
/// registered.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) request: Request,
    /// That of the request last armed.
    pub(super) user_data: Option<u64>,
    /// An index into the ring's registered files.
    pub(super) file: Option<u32>,
}

impl Slot {
    pub(super) const fn new(request: Request) -> Self {
        Self { request, user_data: None, file: None }
    }

    /// Arms the request, and returns the submission.
    pub(super) fn arm(
        &mut self,
        raw: RawFd,
        group: u16,
        user_data: u64,
    ) -> Result<squeue::Entry, Error> {
        self.request.arm()?;
        self.user_data = Some(user_data);
        let target = self.target(raw);
        Ok(self.request.entry(target, group, Shots::Many).user_data(user_data))
    }

    /// The file, of which this is the descriptor.
    pub(super) fn target(&self, raw: RawFd) -> Target {
        self.file.map_or(Target::Descriptor(raw), Target::Registered)
    }

    /// The result and flags of a completion, unless its `user_data` is another.
    pub(super) fn open(
        &self,
        completion: &cqueue::Entry,
    ) -> Result<(i32, u32), Error> {
        if Some(completion.user_data()) != self.user_data {
            return Err(Error::ForeignCompletion);
        }
        Ok((completion.result(), completion.flags()))
    }
}
