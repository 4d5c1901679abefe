//! What a source has in the caller's ring.

use io_uring::squeue;
use rustix::fd::RawFd;

use super::{Request, Shots, Target};
use crate::error::Error;

/// A request, under the caller's `user_data`, about a file that the caller may have
/// registered.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) request: Request,
    /// That of the request last armed.
    pub(crate) user_data: Option<u64>,
    /// An index into the ring's registered files.
    pub(crate) file: Option<u32>,
}

impl Slot {
    pub(crate) const fn new(request: Request) -> Self {
        Self { request, user_data: None, file: None }
    }

    /// Arms the request, and returns the submission.
    #[inline]
    pub(crate) fn arm(
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
    #[inline]
    pub(super) fn target(&self, raw: RawFd) -> Target {
        self.file.map_or(Target::Descriptor(raw), Target::Registered)
    }

    /// Refuses a completion that carries another `user_data`.
    #[inline]
    pub(crate) fn check(&self, user_data: u64) -> Result<(), Error> {
        if Some(user_data) == self.user_data {
            Ok(())
        } else {
            Err(Error::ForeignCompletion)
        }
    }
}
