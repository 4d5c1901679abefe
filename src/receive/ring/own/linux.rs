//! The kernel's side of a ring: what the machine asks it for, and how Linux is asked.

#![expect(
    unsafe_code,
    reason = "puts into a queue, and knows whose a number is"
)]

use core::mem::ManuallyDrop;

use io_uring::{IoUring, cqueue, opcode, squeue};
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use rustix::io::Errno;
use rustix::io_uring::IoringEnterFlags;

use super::{ASIDE, epoll_add};
use crate::error::Error;
use crate::process::Birth;
use crate::receive::SignalFd;
use crate::receive::ring::{Calls, Kernel, Stay, cancel_all, errno};
use crate::signal::SigInfo;
use crate::sys::{self, Deadline};

/// The two queues of a ring, for one thread at a time.
pub(crate) trait Queues {
    /// Puts this in, and tells how many are in then; `None` if there is no room.
    fn push(&mut self, submission: &Submission) -> Option<usize>;

    /// How much was pushed and not submitted.
    fn unsubmitted(&mut self) -> usize;

    /// Submits what was pushed, and tells how many of it the kernel has taken. It brings
    /// what the other queue had no room for, as far as there is room now.
    fn submit(&mut self) -> Result<usize, Errno>;

    /// The first completion, which stays there.
    fn first(&mut self) -> Option<Completion>;

    /// Lets go of the first completion.
    fn let_go(&mut self) -> Option<Completion>;

    /// Shows all completions, which stay there.
    fn for_each(&mut self, f: impl FnMut(Completion));

    /// Whether the kernel keeps completions that the queue had no room for.
    fn has_overflown(&mut self) -> bool;
}

/// What else is asked for, by any thread and at any time.
pub(crate) trait Ring {
    type Queues: Queues;

    /// Its descriptor.
    fn fd(&self) -> BorrowedFd<'_>;

    /// Submits so many entries, which are in the queue, and waits for a completion. Tells
    /// how many it has submitted; if that is less, the kernel has not waited.
    fn enter(&self, entries: usize, deadline: Deadline)
    -> Result<usize, Errno>;

    /// Cancels all requests, but those that were not submitted.
    fn cancel_all(&self) -> Result<(), Errno>;

    /// What has to do with the buffers.
    fn kernel(&self, birth: Birth) -> impl Kernel;

    /// A number for the calling thread, not 0, which no other one has.
    fn thread(&self) -> u32;

    /// Whether there is something to read on behalf of this thread; if that cannot be
    /// told, a look will tell.
    fn is_pending(&self, signalfd: &SignalFd) -> bool;

    /// Takes what is pending into the rest of the room, of which so much is used, and tells
    /// how much is used then.
    fn read(
        &self,
        signalfd: &SignalFd,
        room: &mut [SigInfo],
        used: usize,
    ) -> Result<usize, Error>;

    /// From now on what others wait for is readable while the signalfd is, too.
    fn add(&self, signalfd: BorrowedFd<'_>);

    /// Makes an edge of what others wait for, if the ring has something to say.
    fn show_again(&self);
}

/// What is submitted.
pub(crate) enum Submission {
    /// What does nothing but complete.
    Nothing,
    /// The cancellation of the request with this number.
    Cancel(u64),
    /// A request, with its number as `user_data`.
    Request(squeue::Entry),
}

/// What a completion says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Completion {
    pub(crate) user_data: u64,
    pub(crate) result: i32,
    pub(crate) flags: u32,
}

impl From<cqueue::Entry> for Completion {
    fn from(entry: cqueue::Entry) -> Self {
        Self {
            user_data: entry.user_data(),
            result: entry.result(),
            flags: entry.flags(),
        }
    }
}

impl Queues for IoUring {
    fn push(&mut self, submission: &Submission) -> Option<usize> {
        let aside;
        let entry = match *submission {
            Submission::Nothing => {
                aside = opcode::Nop::new().build().user_data(ASIDE);
                &aside
            }
            Submission::Cancel(number) => {
                let cancel = opcode::AsyncCancel::new(number);
                aside = cancel.build().user_data(ASIDE);
                &aside
            }
            Submission::Request(ref entry) => entry,
        };
        let mut queue = self.submission();
        // SAFETY: a request names no memory but, by its group, the buffers, which
        // stay mapped until it has ended (`end`); the others name none at all.
        let pushed = unsafe { queue.push(entry) };
        pushed.is_ok().then(|| queue.len())
    }

    fn unsubmitted(&mut self) -> usize {
        self.submission().len()
    }

    fn submit(&mut self) -> Result<usize, Errno> {
        Self::submit(self).map_err(|error| errno(&error))
    }

    fn first(&mut self) -> Option<Completion> {
        // Not being dropped it lets go of nothing.
        ManuallyDrop::new(self.completion()).next().map(Completion::from)
    }

    fn let_go(&mut self) -> Option<Completion> {
        self.completion().next().map(Completion::from)
    }

    fn for_each(&mut self, mut f: impl FnMut(Completion)) {
        // As in `first`.
        for entry in ManuallyDrop::new(self.completion()).by_ref() {
            f(entry.into());
        }
    }

    fn has_overflown(&mut self) -> bool {
        self.submission().cq_overflow()
    }
}

/// A ring of this kernel.
pub(crate) struct LinuxRing {
    /// That of the queues.
    fd: RawFd,
    /// What others wait for, when the ring reads.
    pub(super) readable: Option<OwnedFd>,
}

impl LinuxRing {
    /// The ring that has these queues, for as long as they are there.
    pub(super) const fn new(fd: RawFd) -> Self {
        Self { fd, readable: None }
    }
}

impl Ring for LinuxRing {
    type Queues = IoUring;

    fn fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the queues own the descriptor, and outlive this: they are in the same
        // `OwnRing`, which drops both at once, or, while that is made, in the function
        // that makes it (`OwnRing::new`), declared before this.
        unsafe { BorrowedFd::borrow_raw(self.fd) }
    }

    fn enter(
        &self,
        entries: usize,
        deadline: Deadline,
    ) -> Result<usize, Errno> {
        let stay = Stay::until(deadline);
        stay.enter(self.fd(), entries, 1, IoringEnterFlags::empty())
    }

    fn cancel_all(&self) -> Result<(), Errno> {
        cancel_all(self.fd())
    }

    fn kernel(&self, birth: Birth) -> impl Kernel {
        // It cancels all, and looks for none by its file.
        Calls::new(self.fd(), birth)
    }

    fn thread(&self) -> u32 {
        sys::thread_number()
    }

    fn is_pending(&self, signalfd: &SignalFd) -> bool {
        sys::is_readable(signalfd.as_fd()).unwrap_or(true)
    }

    fn read(
        &self,
        signalfd: &SignalFd,
        room: &mut [SigInfo],
        used: usize,
    ) -> Result<usize, Error> {
        signalfd.read_more(room, used)
    }

    fn add(&self, signalfd: BorrowedFd<'_>) {
        if let Some(readable) = &self.readable {
            // If there is no memory even for that, those who wait on the
            // descriptor see only what the ring still reads.
            let _added = epoll_add(readable.as_fd(), signalfd);
        }
    }

    fn show_again(&self) {
        if let Some(readable) = &self.readable {
            // An epoll looks again at what it is told of, but not at what it takes for
            // ready still: so it is to find that it is not. To remove it and add it would
            // take memory. Where another thread does the same, either has an effect.
            let tell = |interest| {
                let data = EventData::new_u64(0);
                let _told = epoll::modify(readable, self.fd(), data, interest);
            };
            tell(EventFlags::empty());
            let _looked = sys::is_readable(readable.as_fd());
            tell(EventFlags::IN);
        }
    }
}
