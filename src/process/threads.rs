//! What the threads of the process block.

use core::ffi::CStr;
use core::mem::MaybeUninit;

use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::Errno;

use super::status::{Status, StatusReader};
use crate::error::{Error, Op, UnblockedThread};
use crate::signal::SignalSet;
use crate::sys;

/// Checks that every thread of the process blocks the signals.
///
/// The kernel gives a signal for the process to any thread that does not block
/// it. Such a thread takes it from the receiver, and with the default action it
/// ends the process. [`open`](crate::open) and
/// [`Receiver::new`](crate::Receiver::new) make this check; call it again where
/// threads may have been started since by code that changes its mask.
///
/// While threads come and go it is a best effort. A thread that is started after
/// its turn has passed is not seen, but it inherits the mask of the one that
/// starts it. And a thread that is just starting another one blocks everything
/// for that moment, as does the one that is started until it runs, since the C
/// library does so.
///
/// It opens one file of `/proc` for each thread, and allocates nothing. Kernel
/// threads that serve the process (`io_uring`'s) block everything and pass.
///
/// # Errors
///
/// - [`Error::UnblockedThread`]: names the first thread found that does not
///   block all of the set, and which signals it leaves open.
/// - [`Error::Os`] with `ENOENT`: `/proc` is not mounted; with `ENODATA`: it
///   does not tell the masks (gVisor's); with another error number: it cannot be
///   read.
///
/// # Examples
///
/// ```
/// use signalfd::{Error, Signal};
///
/// let error = signalfd::mask::check_threads(Signal::TERM);
/// assert!(matches!(error, Err(Error::UnblockedThread(_))));
/// let _guard = signalfd::block(Signal::TERM)?;
/// signalfd::mask::check_threads(Signal::TERM)?;
/// # Ok::<(), Error>(())
/// ```
///
/// # References
///
/// [proc_pid_status(5)](https://man7.org/linux/man-pages/man5/proc_pid_status.5.html)
pub fn check_threads(set: impl Into<SignalSet>) -> Result<(), Error> {
    check_all(set.into())
}

fn check_all(set: SignalSet) -> Result<(), Error> {
    for_each_thread(|tid, status| {
        status
            .unblocked(tid, set)?
            .map_or(Ok(()), |thread| Err(Error::UnblockedThread(thread)))
    })
}

/// Looks at all threads that have not ended.
pub(super) fn for_each_thread(
    mut look: impl FnMut(u32, &Status) -> Result<(), Error>,
) -> Result<(), Error> {
    let failed = |errno| Error::os(Op::ThreadCheck, errno);
    let tasks = sys::open_tasks().map_err(failed)?;
    let mut buffer = [MaybeUninit::uninit(); 2048];
    let mut entries = sys::entries(tasks.as_fd(), &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry.map_err(failed)?;
        let Some(tid) = number(entry.file_name()) else { continue };
        match read_status(tasks.as_fd(), entry.file_name()) {
            Ok(status) if status.ended => {}
            // `/proc` may be that of an outer PID namespace, with other numbers.
            Ok(status) => look(status.tid.unwrap_or(tid), &status)?,
            // The thread has ended since the directory was read.
            Err(Errno::NOENT | Errno::SRCH) => {}
            Err(errno) => return Err(failed(errno)),
        }
    }
    Ok(())
}

/// Reads a thread id; the directory also holds `.` and `..`.
fn number(name: &CStr) -> Option<u32> {
    name.to_str().ok()?.parse().ok()
}

fn read_status(tasks: BorrowedFd<'_>, tid: &CStr) -> Result<Status, Errno> {
    let file = sys::open_status(tasks, tid)?;
    let mut reader = StatusReader::new();
    let mut buffer = [0; 2048];
    loop {
        match sys::read_piece(file.as_fd(), &mut buffer)? {
            [] => return Ok(reader.finish()),
            piece => reader.feed(piece),
        }
    }
}

impl Status {
    /// What the thread does not block of this set, if there is something.
    pub(super) fn unblocked(
        &self,
        tid: u32,
        set: SignalSet,
    ) -> Result<Option<UnblockedThread>, Error> {
        let Some(blocked) = self.blocked else {
            return Err(Error::os(Op::ThreadCheck, Errno::NODATA));
        };
        let open = set - blocked;
        let thread = || UnblockedThread::new(tid, self.name(), open);
        Ok((!open.is_empty()).then(thread))
    }
}
