//! Reading `/proc/self/task`.

use core::ffi::CStr;
use core::mem::MaybeUninit;

use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, RawDir, SeekFrom, fstat, openat, seek};
use rustix::io::Errno;

/// Opens the directory that has an entry for each thread of this process.
pub(crate) fn open_tasks() -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, c"/proc/self/task", flags, Mode::empty())
}

/// Reads the entries of a directory from the first on, one after the other.
pub(crate) fn entries<'b>(
    directory: BorrowedFd<'b>,
    buffer: &'b mut [MaybeUninit<u8>],
) -> Result<RawDir<'b, BorrowedFd<'b>>, Errno> {
    seek(directory, SeekFrom::Start(0))?;
    Ok(RawDir::new(directory, buffer))
}

/// Returns how many threads there are, by the directory that has an entry for each.
///
/// As any directory it has two links more (`proc_task_getattr()` in `fs/proc/base.c`).
pub(crate) fn count_threads(tasks: BorrowedFd<'_>) -> Result<u32, Errno> {
    let links = fstat(tasks)?.st_nlink;
    Ok(at_most_max(links).saturating_sub(2))
}

/// Its type is not the same on all machines.
fn at_most_max(links: impl TryInto<u32>) -> u32 {
    links.try_into().unwrap_or(u32::MAX)
}

/// Opens the status of a thread.
pub(crate) fn open_status(
    tasks: BorrowedFd<'_>,
    tid: &CStr,
) -> Result<OwnedFd, Errno> {
    let path = status_path(tid).ok_or(Errno::NAMETOOLONG)?;
    let path = CStr::from_bytes_until_nul(&path).map_err(|_| Errno::INVAL)?;
    openat(tasks, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

/// Writes `TID/status`, with a NUL.
fn status_path(tid: &CStr) -> Option<[u8; 32]> {
    let tid = tid.to_bytes();
    let mut path = [0; 32];
    let (head, tail) = path.split_at_mut_checked(tid.len())?;
    head.copy_from_slice(tid);
    *tail.first_chunk_mut()? = *b"/status\0";
    Some(path)
}

/// Reads a piece of a file; nothing at its end.
pub(crate) fn read_piece<'b>(
    file: BorrowedFd<'_>,
    buffer: &'b mut [u8],
) -> Result<&'b [u8], Errno> {
    let length =
        rustix::io::retry_on_intr(|| rustix::io::read(file, &mut *buffer))?;
    Ok(buffer.get(..length).unwrap_or_default())
}
