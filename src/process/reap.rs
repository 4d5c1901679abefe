//! Waiting for the children that a program has started itself.
//!
//! `SIGCHLD` says that some child has changed its state; by the time it is read it
//! may stand for several, and the one that it names may be none of the caller's. So
//! each child that the caller named is asked for by its number, and no other: what
//! `waitpid(-1)` gets, nobody else can wait for any more.
//!
//! The kernel gives the number of a child to no other process until somebody has
//! waited for it. So a place holds either that child or, if others have waited for
//! it, nothing that can be relied on; they must not.

use core::fmt;

use rustix::io::Errno;
use rustix::process::Pid;

use crate::error::{Error, Op};
use crate::signal::ChildState;
use crate::sys;

/// Waits for the children that it is given, and no others, once they have ended: call it
/// after each `SIGCHLD`.
///
/// `SIGCHLD` coalesces, so one signal may stand for many children. This asks for each
/// child that it was given (`waitid(2)` with `P_PID` and `WNOHANG`). So it reports every
/// one of them, and takes none from other code of the process, or from a
/// [`std::process::Child`] that somebody waits for.
///
/// It has places for `N` children, and allocates nothing. A child has its place
/// until it was reported or removed.
///
/// # When to call it
///
/// [`reap`](Self::reap) after each `SIGCHLD`, and once after children were added: one may
/// have ended before, and its signal have been received already. A loop that reaps first,
/// and then waits, does both.
///
/// # Whose a child is
///
/// Nothing else may wait for a child that was added, unless it is removed first. A child
/// that has been waited for is gone, and its number may become that of another child,
/// which would then be waited for here. So drop a [`std::process::Child`] when it was
/// added, or keep it only for its pipes: once the child was reported, its `wait` fails,
/// and its `kill` may hit another process.
///
/// A forked child has none of its parent's children, and makes a reaper of its own.
///
/// # Kernel
///
/// Any Linux that the crate runs on; no pidfd is needed.
///
/// With `SIG_IGN` or `SA_NOCLDWAIT` for `SIGCHLD` there is nothing to wait for: the
/// kernel forgets a child as soon as it ends. Then [`Error::NoSuchChild`] is all that
/// is reported. Parents may leave `SIGCHLD` ignored, through `exec` too. So a program
/// sets it to `SIG_DFL` before it starts children.
///
/// # Examples
///
/// ```
/// use signalfd::{Reaper, Signal};
///
/// let signals = signalfd::open(Signal::CHLD)?;
/// let mut reaper = Reaper::<16>::new();
/// # #[cfg(feature = "std")]
/// for code in ["exit 0", "exit 3", "kill $$"] {
///     let mut command = std::process::Command::new("sh");
///     reaper.add(command.args(["-c", code]).spawn()?.id())?;
/// }
/// loop {
///     for exit in reaper.reap() {
///         println!("{}", exit?); // pid=4711 state=exited status=3
///     }
///     if reaper.is_empty() {
///         break;
///     }
///     signals.wait()?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # References
///
/// [waitid(2)](https://man7.org/linux/man-pages/man2/waitid.2.html),
/// [signal(7)](https://man7.org/linux/man-pages/man7/signal.7.html)
///
/// [`std::process::Child`]: https://doc.rust-lang.org/std/process/struct.Child.html
#[doc(alias = "waitid")]
#[doc(alias = "waitpid")]
pub struct Reaper<const N: usize> {
    places: [Option<Pid>; N],
}

impl<const N: usize> Reaper<N> {
    /// Makes one that was given no child yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { places: [None; N] }
    }

    /// Gives it a child to wait for, by its process id. To add a child again
    /// changes nothing.
    ///
    /// It makes no system call. That the number is that of a child is found out by
    /// [`reap`](Self::reap). The child may have ended already, and is reported all
    /// the same.
    ///
    /// # Errors
    ///
    /// - [`Error::InvalidPid`]: 0, or a number that no process can have.
    /// - [`Error::TooManyChildren`]: there are `N` others already.
    pub fn add(&mut self, pid: u32) -> Result<(), Error> {
        let pid = sys::pid(pid).ok_or(Error::InvalidPid(pid))?;
        if self.places.contains(&Some(pid)) {
            return Ok(());
        }
        let free = self.places.iter_mut().find(|place| place.is_none());
        *free.ok_or(Error::TooManyChildren)? = Some(pid);
        Ok(())
    }

    /// Removes a child, for others to wait for, and tells whether it was there.
    pub fn remove(&mut self, pid: u32) -> bool {
        let is_it = |place: &&mut Option<Pid>| {
            place.is_some_and(|held| sys::pid_number(held) == pid)
        };
        self.places.iter_mut().find(is_it).is_some_and(|place| {
            *place = None;
            true
        })
    }

    /// Returns an iterator over the children that have ended and were not reported yet.
    /// It does not wait. One system call for each child that it was given.
    ///
    /// The order is not that in which they ended. Each child is reported once, and
    /// leaves its place as the iterator comes to it. An iterator that is dropped
    /// early has waited for none of the rest; the next one reports them.
    ///
    /// # Errors
    ///
    /// An error is an item like the others, and the iterator goes on after it.
    ///
    /// - [`Error::NoSuchChild`] (`ECHILD`): this is no child of the process, or not any
    ///   more; others have waited for it, or `SIGCHLD` is ignored. How it ended is not
    ///   known. A child whose exit signal is not `SIGCHLD` (`clone(2)`) counts as none.
    ///   It is reported once, and leaves its place.
    /// - [`Error::Os`]: a sandbox refuses the call. The child keeps its place.
    ///
    /// # Traced children
    ///
    /// A child that the process traces (`ptrace(2)`) reports its stops to whoever
    /// waits for it first, and here they are passed over. Leave it to its tracer.
    pub fn reap(&mut self) -> impl Iterator<Item = Result<Exit, Error>> {
        self.places.iter_mut().filter_map(reap_from)
    }

    /// Returns how many children it waits for.
    #[must_use]
    pub fn len(&self) -> usize {
        self.children().count()
    }

    /// Returns whether it waits for no child.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.children().next().is_none()
    }

    fn children(&self) -> impl Iterator<Item = u32> {
        self.places.iter().flatten().map(|&pid| sys::pid_number(pid))
    }
}

/// Waits for the child of a place, if there is one.
fn reap_from(place: &mut Option<Pid>) -> Option<Result<Exit, Error>> {
    let child = (*place)?;
    let pid = sys::pid_number(child);
    let result = match sys::reap(child) {
        Ok(None) => return None,
        Ok(Some((state, status))) => Ok(Exit { pid, state, status }),
        Err(Errno::CHILD) => Err(Error::NoSuchChild(pid)),
        Err(errno) => return Some(Err(Error::os(Op::Waitid, errno))),
    };
    *place = None;
    Some(result)
}

impl<const N: usize> Default for Reaper<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> fmt::Debug for Reaper<N> {
    /// Writes the process ids.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.children()).finish()
    }
}

/// How a child ended: what [`Reaper::reap`] found out.
///
/// Its `Display` is for a log: `pid=4711 state=exited status=3`.
///
/// With the feature `std` it converts into a `std::process::ExitStatus`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Exit {
    pid: u32,
    state: ChildState,
    status: i32,
}

impl Exit {
    /// Returns the child's process id, which may be another process's from now on.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Returns what happened: [`ChildState::Exited`], [`ChildState::Killed`] or
    /// [`ChildState::Dumped`].
    #[must_use]
    pub const fn state(&self) -> ChildState {
        self.state
    }

    /// Returns the exit code (0 to 255) if the child exited, else the number of the
    /// signal that ended it.
    #[must_use]
    pub const fn status(&self) -> i32 {
        self.status
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, state, status } = self;
        write!(f, "pid={pid} state={state} status={status}")
    }
}

#[cfg(feature = "std")]
impl From<Exit> for std::process::ExitStatus {
    /// Puts together the status that `wait(2)` would have given.
    fn from(exit: Exit) -> Self {
        use std::os::unix::process::ExitStatusExt;
        // W_EXITCODE and WCOREFLAG of the C library.
        const DUMPED: i32 = 0x80;
        Self::from_raw(match exit.state {
            ChildState::Exited => exit.status << 8,
            ChildState::Dumped => exit.status | DUMPED,
            _ => exit.status,
        })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::format;

    use super::*;

    #[test]
    fn a_child_has_one_place() {
        let mut reaper = Reaper::<2>::new();
        assert!(reaper.is_empty());
        for pid in [7, 8, 7, 8] {
            assert_eq!(reaper.add(pid), Ok(()));
        }
        assert_eq!((reaper.len(), reaper.is_empty()), (2, false));
        assert_eq!(reaper.add(9), Err(Error::TooManyChildren));
        assert_eq!(format!("{reaper:?}"), "{7, 8}");
        assert!(reaper.remove(7));
        assert!(!reaper.remove(7));
        assert!(!reaper.remove(9));
        assert_eq!(reaper.add(9), Ok(()));
        assert_eq!(format!("{reaper:?}"), "{9, 8}");
    }

    #[test]
    fn what_is_no_pid_gets_no_place() {
        let mut reaper = Reaper::<1>::default();
        for pid in [0, 1 << 31, u32::MAX] {
            assert_eq!(reaper.add(pid), Err(Error::InvalidPid(pid)));
            assert!(!reaper.remove(pid));
        }
        assert!(reaper.is_empty());
        assert_eq!(Reaper::<0>::new().add(1), Err(Error::TooManyChildren));
    }

    #[test]
    fn an_exit_is_one_line() {
        let exit = Exit { pid: 7, state: ChildState::Killed, status: 15 };
        assert_eq!(format!("{exit}"), "pid=7 state=killed status=15");
    }

    #[cfg(feature = "std")]
    #[test]
    fn an_exit_is_a_status_of_the_standard_library() {
        use std::os::unix::process::ExitStatusExt;
        use std::process::ExitStatus;
        let status = |state, status| {
            let status = ExitStatus::from(Exit { pid: 7, state, status });
            (status.code(), status.signal(), status.core_dumped())
        };
        for code in [0, 3, 255] {
            let exited = status(ChildState::Exited, code);
            assert_eq!(exited, (Some(code), None, false));
        }
        for signal in [libc::SIGKILL, 64] {
            let killed = status(ChildState::Killed, signal);
            assert_eq!(killed, (None, Some(signal), false));
            let dumped = status(ChildState::Dumped, signal);
            assert_eq!(dumped, (None, Some(signal), true));
        }
    }
}
