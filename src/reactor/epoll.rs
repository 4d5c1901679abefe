//! A thread that wakes the tasks of others.

use core::time::Duration;

use rustix::event::epoll::{Event, EventData, EventFlags};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use crate::error::Error;
use crate::process::Birth;
use crate::receive::{Receiver, wake_each};
use crate::sys::{self, Deadline};

/// Wakes the tasks that await receivers, when a thread of the caller drives it.
///
/// For an executor that has no reactor of its own: one thread calls [`turn`](Self::turn)
/// in a loop, and the tasks of any thread await their receivers. It owns or borrows the
/// receivers, so it cannot outlive them.
///
/// A thread that has nothing else to do is better served by
/// [`block_on`](crate::block_on) or the receiver's own waits, and a program that
/// has an event loop by the receiver's descriptor ([`AsFd`]).
///
/// Signals directed at one thread (`pthread_kill(3)`) are seen only by the
/// thread that turns, so the tasks that are to take them must run there.
///
/// # Examples
///
/// ```
/// use signalfd::{Epoll, Receiver, Signal};
///
/// let _guard = signalfd::block(Signal::USR1 | Signal::USR2)?;
/// let (one, two) = (Receiver::new(Signal::USR1)?, Receiver::new(Signal::USR2)?);
/// let epoll = Epoll::new([&one, &two])?;
/// # unsafe { libc::kill(libc::getpid(), libc::SIGUSR2) };
/// assert_eq!(epoll.turn(None)?, 1);
/// assert_eq!(one.try_recv()?, None);
/// assert!(two.try_recv()?.is_some());
/// # Ok::<(), signalfd::Error>(())
/// ```
///
/// # References
///
/// [epoll(7)](https://man7.org/linux/man-pages/man7/epoll.7.html)
#[derive(Debug)]
pub struct Epoll<R, const N: usize> {
    fd: OwnedFd,
    receivers: [R; N],
    birth: Birth,
}

/// How many events one system call brings; more wait for the next turn.
const EVENTS: usize = 16;

impl<R: AsRef<Receiver>, const N: usize> Epoll<R, N> {
    /// Makes an epoll that serves these receivers: `&Receiver`, `&Signals`,
    /// `Arc<Receiver>`, or anything else that has one. That their signals are blocked is
    /// not checked: this may be made in another thread than those that receive.
    ///
    /// # Errors
    ///
    /// - [`Error::Forked`]: a receiver is of the process that this one was
    ///   forked from.
    /// - [`Error::Os`]: `EMFILE` or `ENFILE` if no descriptor is left, `ENOMEM`,
    ///   `ENOSPC` for too many watches (`/proc/sys/fs/epoll/max_user_watches`),
    ///   `EEXIST` if a receiver is given twice, or another error if a sandbox
    ///   refuses the call.
    pub fn new(receivers: [R; N]) -> Result<Self, Error> {
        for receiver in &receivers {
            receiver.as_ref().check_process()?;
        }
        // Edge-triggered: one report for each arrival. The tasks read before
        // they wait, so none is left asleep with a signal unread.
        let fds = receivers.iter().map(|receiver| receiver.as_ref().as_fd());
        let fd = sys::epoll(fds)?;
        Ok(Self { fd, receivers, birth: Birth::here() })
    }

    /// Waits until a receiver has a signal, wakes the tasks that await such
    /// receivers, and returns how many receivers that were.
    ///
    /// With a timeout it returns 0 once the time is over; with `None` it waits for as
    /// long as it takes. It reports up to 16 receivers, and leaves others to the next
    /// turn. A signal that nobody awaits is reported too, and again when another arrives
    /// before it is taken. A receiver on a ring may be counted though it has no signal:
    /// its request has ended, after many signals for others.
    ///
    /// Only a signal or the timeout ends it. To be able to end the thread, call this with
    /// a timeout and check a flag, or wait in another loop for this epoll's descriptor
    /// and for something else.
    ///
    /// # Errors
    ///
    /// [`Error::Forked`] in a forked child; [`Error::Os`] if a sandbox refuses
    /// to wait.
    pub fn turn(&self, timeout: Option<Duration>) -> Result<usize, Error> {
        self.birth.check()?;
        let none = Event {
            flags: EventFlags::empty(),
            data: EventData::new_u64(u64::MAX),
        };
        let mut events = [none; EVENTS];
        let deadline = Deadline::after(timeout);
        let goes_on = || self.birth.check();
        if let Some(until) = self.gather_until() {
            sys::sleep(until.earlier(deadline), goes_on)?;
        }
        let epoll = self.fd.as_fd();
        // What a child has of the wakers is its parent's, too.
        let ready = sys::epoll_wait(epoll, &mut events, deadline, goes_on)?;
        let mut wakers = events.iter().take(ready).filter_map(|event| {
            let index = usize::try_from(event.data.u64()).ok()?;
            self.receivers.get(index)?.as_ref().take_waker()
        });
        // All of them, even if a waker panics: an edge is told only once.
        wake_each(&mut wakers);
        Ok(ready)
    }
}

impl<R: AsRef<Receiver>, const N: usize> Epoll<R, N> {
    /// Until when signals are to gather, if they are to for all receivers. Those for
    /// which none have come lately are not to be kept waiting by the others.
    fn gather_until(&self) -> Option<Deadline> {
        let each = self.receivers.iter().map(|it| it.as_ref().gathers_until());
        each.reduce(|all, one| Some(all?.earlier(one?))).flatten()
    }
}

impl<R, const N: usize> AsFd for Epoll<R, N> {
    /// Returns the descriptor, to wait on in another event loop: it is readable
    /// when a turn has something to do.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl<R, const N: usize> AsRawFd for Epoll<R, N> {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
