//! What the threads of the process block.

use core::ffi::CStr;
use core::mem::MaybeUninit;
use core::time::Duration;

use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::Errno;

use super::status::{Status, StatusReader};
use crate::error::{Error, Op, UnblockedThread};
use crate::signal::SignalSet;
use crate::sys::page::Room;
use crate::sys::{self, Deadline};

/// Checks that every thread of the process blocks the signals. Any set can be asked for,
/// also one that no receiver can take; nothing blocks `SIGKILL` and `SIGSTOP`.
///
/// The kernel gives a signal for the process to any thread that does not block
/// it. Such a thread takes it from the receiver, and with the default action it
/// ends the process. [`open`](crate::open) and
/// [`Receiver::new`](crate::Receiver::new) make this check; call it again where
/// threads may have been started since by code that changes its mask.
///
/// While threads come and go it is a best effort. A thread that is started after the
/// thread that starts it was looked at may not be seen, but inherits its mask. And a thread
/// that is just starting another one blocks everything for that moment, as does the new
/// one until it runs, since the C library does so. With glibc this can be detected, and
/// the thread is waited for, a second at most (but not if it is started with a CPU
/// affinity or scheduling policy of its own).
///
/// Threads that have ended do not count. But if the main thread has ended while others go
/// on, the kernel still uses its last mask to decide whether an ignored signal is dropped
/// as it is sent (`sig_ignored()`). `SIGCHLD` and `SIGWINCH` are ignored by default:
/// block them in the main thread before it ends, or in [every
/// thread](crate::mask::block_every_thread).
///
/// It opens one file of `/proc` for each thread, and allocates nothing. Where threads start or
/// end meanwhile all are looked at again, 16 times at most (and as often again while threads
/// are waited for that have yet to begin), and memory is mapped to list them in.
/// Kernel threads that serve the process (`io_uring`'s) block everything and pass.
///
/// # Errors
///
/// - [`Error::UnblockedThread`]: names the first thread found that does not
///   block all of the set, and which signals it leaves open.
/// - [`Error::Os`] with `ENOENT`: `/proc` is not mounted; with `ENODATA`: its status
///   files do not show the masks (gVisor); with another error number: it cannot be read.
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
    let mut starting = Starting::new();
    loop {
        starting.begin_look();
        for_each_thread(|tid, status| {
            starting.note(tid, status);
            status
                .unblocked(tid, set)?
                .map_or(Ok(()), |thread| Err(Error::UnblockedThread(thread)))
        })?;
        if !starting.must_look_again() {
            return Ok(());
        }
    }
}

/// Threads that have yet to begin, and are waited for.
///
/// One that does not block the signals may start others, and block everything while it does.
/// So when those have begun that were seen, it is looked once more for any. But who starts
/// threads without end is not waited for for long: while some are awaited, it is for those
/// only, and those that are started meanwhile have larger numbers.
pub(super) struct Starting {
    end: Deadline,
    /// The newest of those that are waited for; all count where this is the largest number.
    awaited: u32,
    /// The newest that was seen this time; 0 for none.
    seen: u32,
    /// How often it may be looked for any again.
    rounds: u32,
}

impl Starting {
    pub(super) fn new() -> Self {
        let end = Deadline::after(Some(PATIENCE));
        Self { end, awaited: u32::MAX, seen: 0, rounds: 5 }
    }

    /// Begins to look at all threads.
    pub(super) const fn begin_look(&mut self) {
        self.seen = 0;
    }

    /// Looks at a thread.
    pub(super) fn note(&mut self, tid: u32, status: &Status) {
        if tid <= self.awaited && status.is_starting(tid) {
            self.seen = self.seen.max(tid);
        }
    }

    /// Whether it is to be looked again, now that all were looked at. Lets others run.
    pub(super) fn must_look_again(&mut self) -> bool {
        let was_for_any = self.awaited == u32::MAX;
        if self.end.is_over() || self.seen == 0 && was_for_any {
            return false;
        }
        if self.seen == 0 {
            let Some(left) = self.rounds.checked_sub(1) else { return false };
            self.rounds = left;
            self.awaited = u32::MAX;
        } else {
            self.awaited = self.seen;
            rustix::thread::sched_yield();
        }
        true
    }

    /// One was seen that does not block the signals, so any may have been started by it.
    pub(super) const fn await_any(&mut self) {
        self.awaited = u32::MAX;
    }
}

/// How long threads may take to begin, or to run a handler, before those that have not
/// count as late.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// How often all threads are looked at where some end meanwhile.
const LOOKS: u32 = 16;
/// The room to list some eighty in, and, where some end meanwhile, some ten thousand.
const LITTLE: usize = 2048;
const MUCH: usize = 256 * 1024;

/// Looks at all threads that have not ended, perhaps more than once.
///
/// The kernel goes from one thread to the next. If the one where it is ends in that moment, or
/// has ended when it is asked to go on, it stops, or goes on by number (`next_tid()` and
/// `first_tid()` in `fs/proc/base.c`), and leaves others out. It also stops, each time, at one
/// that is half gone: it has lost its number, but is not yet out of the list
/// (`__unhash_process()` in `kernel/exit.c`). So the threads are counted and listed once more.
/// If both lists are the same, none in them had ended when they were counted, which makes them
/// whole if they are as many as the kernel counts. Else all are looked at again, and listed in
/// one piece, which takes the least time. (To read what one blocks takes the lock under which
/// one goes, so who looks again does not find the same half of it.)
pub(super) fn for_each_thread(
    mut look: impl FnMut(u32, &Status) -> Result<(), Error>,
) -> Result<(), Error> {
    let tasks = sys::open_tasks().map_err(failed)?;
    let tasks = tasks.as_fd();
    let mut look = |name: &CStr, tid| {
        match read_status(tasks, name) {
            Ok(status) if status.ended => Ok(()),
            // `/proc` may be that of an outer PID namespace, with other numbers.
            Ok(status) => look(status.tid.unwrap_or(tid), &status),
            // The thread has ended since the directory was read.
            Err(Errno::NOENT | Errno::SRCH) => Ok(()),
            Err(errno) => Err(failed(errno)),
        }
    };
    let mut little = [MaybeUninit::uninit(); LITTLE];
    let mut much = None;
    for _ in 0..LOOKS {
        let room = much.as_mut().map_or(&mut little[..], Room::bytes);
        let list = list_threads(tasks, room, &mut look)?;
        let count = sys::count_threads(tasks).map_err(failed)?;
        let again = list_threads(tasks, room, &mut |_, _| Ok(()))?;
        if list == again && list.count == count {
            break;
        }
        if much.is_none() {
            much = Room::map(MUCH).ok();
        }
    }
    Ok(())
}

const fn failed(errno: Errno) -> Error {
    Error::os(Op::ThreadCheck, errno)
}

/// What tells a list of threads from another: how many they are, and a hash of their numbers
/// in their order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct List {
    count: u32,
    hash: u64,
}

impl List {
    const EMPTY: Self = Self { count: 0, hash: 0xCBF2_9CE4_8422_2325 };

    /// FNV-1a, a number at a time.
    const fn add(&mut self, tid: u32) {
        self.count += 1;
        self.hash = (self.hash ^ tid as u64).wrapping_mul(0x0100_0000_01B3);
    }
}

/// Lists the threads, and does something with each.
fn list_threads(
    tasks: BorrowedFd<'_>,
    room: &mut [MaybeUninit<u8>],
    work: &mut dyn FnMut(&CStr, u32) -> Result<(), Error>,
) -> Result<List, Error> {
    let mut entries = sys::entries(tasks, room).map_err(failed)?;
    let mut list = List::EMPTY;
    while let Some(entry) = entries.next() {
        let entry = entry.map_err(failed)?;
        let Some(tid) = number(entry.file_name()) else { continue };
        list.add(tid);
        work(entry.file_name(), tid)?;
    }
    Ok(list)
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
    /// Whether it has yet to begin, and is another thread than the one that asks: glibc
    /// starts one with everything blocked, the two signals of its own too
    /// (`__libc_signal_block_all()`). So is one that starts another, or a process, for that
    /// moment. The kernel's own threads are like that for good.
    pub(super) fn is_starting(&self, tid: u32) -> bool {
        let is_this = || u32::try_from(sys::thread_id()) == Ok(tid);
        self.blocks_all() && self.is_running && !self.is_kernels() && !is_this()
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_other_threads_differ() {
        let list = |tids: &[u32]| {
            let mut list = List::EMPTY;
            for &tid in tids {
                list.add(tid);
            }
            list
        };
        let tids = [1, 2, 4, 5, 8, 300, 301, 4_194_304];
        for (at, &tid) in tids.iter().enumerate() {
            assert_ne!(list(&[tid]), list(&[tid, tid]));
            for &other in tids.iter().skip(at + 1) {
                assert_ne!(list(&[tid]), list(&[other]));
                assert_ne!(list(&[tid, other]), list(&[other, tid]));
            }
        }
    }

    #[test]
    fn where_none_comes_or_goes_each_is_looked_at_once() {
        let this = u32::try_from(sys::thread_id()).unwrap();
        let is_looked_at_once = || {
            let mut looks = 0;
            let count = |tid, _: &Status| {
                looks += u32::from(tid == this);
                Ok(())
            };
            for_each_thread(count).unwrap();
            looks == 1
        };
        // Those of other tests do.
        assert!((0..10_000).any(|_| is_looked_at_once()));
    }

    #[test]
    fn those_that_are_started_meanwhile_are_not_waited_for() {
        let mut reader = StatusReader::new();
        reader.feed(b"State:\tR (running)\nSigBlk:\tffffffffffffffff\n");
        let status = reader.finish();
        let mut starting = Starting::new();
        let mut look = |tids: &[u32]| {
            starting.begin_look();
            // Larger than any that there can be (`PID_MAX_LIMIT`).
            for &tid in tids {
                starting.note(tid + 5_000_000, &status);
            }
            starting.must_look_again()
        };
        assert!(look(&[7, 5]));
        assert!(look(&[5, 9]));
        // These have begun, so that another one may have been started.
        assert!(look(&[9]));
        assert!(look(&[9]));
        assert!(look(&[]));
        assert!(!look(&[]));
        // Not without end: of five times it was twice.
        let looks = (1..100).take_while(|&tid| look(&[tid])).count();
        assert_eq!(looks, 2 * 3 + 1);
        // Who asks has begun.
        let this = sys::thread_id().try_into().unwrap();
        assert!(!status.is_starting(this) && status.is_starting(this + 1));
    }
}
