//! The descriptors that a sleeping thread watches for those it runs.
//!
//! An entry is put in when a receiver is polled and finds nothing, and taken out
//! when its descriptor is readable, to wake the task. It is not taken out when
//! the future is dropped: the task may go on waiting with another future. At
//! worst such an entry causes one poll for nothing, also where the number of the
//! descriptor is another's by then; a closed descriptor is found by `POLLNVAL`.
//! A table that is full is emptied by waking everyone: who still waits comes back.
//! So more live ones than fit keep the thread awake, and lose nothing.
//!
//! An entry may be *paused* until some time. Until then its descriptor is not looked at,
//! and then its task is woken in any case. Of two who watch one descriptor, who wants it
//! sooner counts. So does who has given up since, and then the other looks too soon.
//!
//! An entry is `FREE`, `TAKEN` or a descriptor. Only who has made it `TAKEN`
//! touches its waker, so that any thread may put one in, and does nothing else
//! meanwhile: wakers are cloned, called and dropped outside.

#![expect(unsafe_code, reason = "the entries are shared between threads")]

use core::array;
use core::mem;
use core::task::Waker;
use core::time::Duration;

use rustix::fd::RawFd;

use super::wake_each;
use crate::primitive::{
    AtomicI32, AtomicU64, AtomicUsize, Ordering, UnsafeCell, fence,
};

/// How many descriptors one thread can watch at the same time.
#[cfg(not(loom))]
pub(crate) const WATCHES: usize = 32;
#[cfg(loom)]
pub(crate) const WATCHES: usize = 2;

pub(super) struct Watches {
    entries: [Watch; WATCHES],
    /// No entry from here on has been used.
    used: AtomicUsize,
}

struct Watch {
    fd: AtomicI32,
    /// Until when it is paused: a time of the monotonic clock in nanoseconds; 0 if it is
    /// not.
    until: AtomicU64,
    waker: UnsafeCell<Option<Waker>>,
}

// SAFETY: only the thread that has made an entry `TAKEN` touches its waker, and
// a waker may be used by any thread in turn, since it is `Send`.
unsafe impl Sync for Watch {}

const FREE: i32 = -1;
const TAKEN: i32 = -2;

impl Watch {
    #[cfg(not(loom))]
    const fn new() -> Self {
        Self {
            fd: AtomicI32::new(FREE),
            until: AtomicU64::new(0),
            waker: UnsafeCell::new(None),
        }
    }

    #[cfg(loom)]
    fn new() -> Self {
        Self {
            fd: AtomicI32::new(FREE),
            until: AtomicU64::new(0),
            waker: UnsafeCell::new(None),
        }
    }

    fn get(&self) -> Option<Watched> {
        let fd = self.fd.load(Ordering::Relaxed);
        let until = Duration::from_nanos(self.until.load(Ordering::Relaxed));
        (fd >= 0).then_some(Watched {
            fd,
            until: (!until.is_zero()).then_some(until),
        })
    }

    /// If the entry is `from`, makes it `to` and exchanges the wakers.
    fn exchange(
        &self,
        from: i32,
        to: i32,
        until: u64,
        waker: &mut Option<Waker>,
    ) -> bool {
        // Acquire: sees the waker as the one before left it.
        let (taken, seen) = (Ordering::Acquire, Ordering::Relaxed);
        if self.fd.compare_exchange(from, TAKEN, taken, seen).is_err() {
            return false;
        }
        self.waker.with_mut(|cell| {
            // SAFETY: this thread has just made the entry `TAKEN`, so no other
            // has a reference to the waker, and nothing is called meanwhile.
            mem::swap(unsafe { &mut *cell }, waker);
        });
        let before = if from == to {
            self.until.load(Ordering::Relaxed)
        } else {
            u64::MAX
        };
        self.until.store(until.min(before), Ordering::Relaxed);
        // Release: shows the waker to the next one.
        self.fd.store(to, Ordering::Release);
        true
    }

    fn take(&self, fd: RawFd) -> Option<Waker> {
        let mut waker = None;
        self.exchange(fd, FREE, 0, &mut waker);
        waker
    }
}

/// What an entry says. If another thread changes it meanwhile, it is some of both.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Watched {
    pub(super) fd: RawFd,
    /// It is paused until then.
    pub(super) until: Option<Duration>,
}

impl Watches {
    #[cfg(not(loom))]
    pub(super) const fn new() -> Self {
        Self {
            entries: [const { Watch::new() }; WATCHES],
            used: AtomicUsize::new(0),
        }
    }

    #[cfg(loom)]
    pub(super) fn new() -> Self {
        Self {
            entries: array::from_fn(|_| Watch::new()),
            used: AtomicUsize::new(0),
        }
    }

    /// Watches a descriptor, from a time in nanoseconds on, and keeps the waker to wake.
    ///
    /// Another thread may be about to sleep. It says so, then looks at the
    /// entries; this puts the entry in, and its caller looks whether the thread
    /// has said so. Between the two is a fence in either thread (`Rest::begin`), so
    /// one of them sees the other.
    pub(super) fn add(&self, fd: RawFd, until: u64, waker: &Waker) {
        if !self.try_add(fd, until, waker) {
            self.wake_all();
            // Should others be so fast that the table is full again, this task
            // has to look for itself.
            if !self.try_add(fd, until, waker) {
                waker.wake_by_ref();
            }
        }
        fence(Ordering::SeqCst);
    }

    fn try_add(&self, fd: RawFd, until: u64, waker: &Waker) -> bool {
        let mut waker = Some(waker.clone());
        let used = self.in_use();
        let mut put =
            |entry: &Watch, from| entry.exchange(from, fd, until, &mut waker);
        if used.iter().any(|entry| put(entry, fd))
            || used.iter().any(|entry| put(entry, FREE))
        {
            return true;
        }
        let unused = self.entries.iter().enumerate().skip(used.len());
        unused.into_iter().any(|(index, entry)| {
            self.used.fetch_max(index + 1, Ordering::Relaxed);
            put(entry, FREE)
        })
    }

    /// Returns the number of entries from the start that may be in use.
    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Returns what is watched, each at its place in the table.
    pub(super) fn all(&self) -> [Option<Watched>; WATCHES] {
        let used = self.in_use();
        array::from_fn(|index| used.get(index).and_then(Watch::get))
    }

    /// Wakes the tasks whose descriptors are ready: all of them, even if a waker
    /// panics.
    pub(super) fn wake(&self, ready: &[Option<RawFd>; WATCHES]) {
        let mut wakers = self
            .in_use()
            .iter()
            .zip(ready)
            .filter_map(|(entry, fd)| entry.take((*fd)?));
        wake_each(&mut wakers);
    }

    /// Takes all entries out and wakes their tasks: each looks for itself
    /// whether it still has something to wait for, and where.
    pub(super) fn wake_all(&self) {
        self.wake(&self.all().map(|watched| Some(watched?.fd)));
    }

    /// Takes all entries out, and wakes nobody.
    #[cfg(not(loom))]
    pub(super) fn forget_all(&self) {
        for (entry, watched) in self.in_use().iter().zip(self.all()) {
            drop(watched.and_then(|it| entry.take(it.fd)));
        }
    }

    fn in_use(&self) -> &[Watch] {
        self.entries.get(..self.used()).unwrap_or_default()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    extern crate std;
    use std::sync::Arc;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn watched(watches: &Watches) -> impl Iterator<Item = RawFd> {
        watches.all().into_iter().flatten().map(|watched| watched.fd)
    }

    #[test]
    fn a_descriptor_is_watched_once() {
        let watches = Watches::new();
        for _ in 0..3 {
            watches.add(7, 0, Waker::noop());
        }
        assert!(watched(&watches).eq([7]));
        assert_eq!(watches.used(), 1);
    }

    #[test]
    fn who_wants_it_sooner_counts() {
        let watches = Watches::new();
        let until = |nanos| {
            let until = Some(Duration::from_nanos(nanos));
            Some(Watched { fd: 7, until })
        };
        watches.add(7, 30, Waker::noop());
        assert_eq!(watches.all()[0], until(30));
        watches.add(7, 40, Waker::noop());
        assert_eq!(watches.all()[0], until(30));
        watches.add(7, 20, Waker::noop());
        assert_eq!(watches.all()[0], until(20));
        watches.add(7, 0, Waker::noop());
        watches.add(7, 10, Waker::noop());
        assert_eq!(watches.all()[0], Some(Watched { fd: 7, until: None }));
        // It is of no account for the next one.
        watches.wake_all();
        watches.add(7, 50, Waker::noop());
        assert_eq!(watches.all()[0], until(50));
    }

    #[test]
    fn entries_are_used_again() {
        let watches = Watches::new();
        for fd in 0..3 {
            watches.add(fd, 0, Waker::noop());
        }
        let mut ready = [None; WATCHES];
        ready[1] = Some(1);
        watches.wake(&ready);
        watches.add(7, 0, Waker::noop());
        assert!(watched(&watches).eq([0, 7, 2]));
    }

    #[test]
    fn a_full_table_wakes_everyone_and_begins_anew() {
        let watches = Watches::new();
        let count = Arc::<Count>::default();
        for fd in 0..WATCHES {
            watches.add(fd.try_into().unwrap(), 0, &Arc::clone(&count).into());
        }
        assert_eq!(watched(&watches).count(), WATCHES);
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        watches.add(99, 0, Waker::noop());
        assert_eq!(count.0.load(Ordering::Relaxed), WATCHES);
        assert!(watched(&watches).eq([99]));
    }

    #[test]
    fn what_was_replaced_since_is_not_taken_out() {
        let watches = Watches::new();
        watches.add(7, 0, Waker::noop());
        let mut ready = [None; WATCHES];
        ready[0] = Some(8);
        watches.wake(&ready);
        assert!(watched(&watches).eq([7]));
        watches.wake_all();
        assert!(watched(&watches).eq([]));
    }
}
