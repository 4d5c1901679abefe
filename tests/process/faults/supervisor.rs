//! Runs something in a child, sees each system call that it makes, and lets one fail.
//!
//! The child holds its own calls (seccomp's user notification) and hands the listener
//! over, so that the one who lets them go or fail is another process: in the child
//! there are no threads and no descriptors but its own.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Instant;
use std::{fmt, fs, ptr};

use libc::{c_int, c_long};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{
    ForeignRawFd, Pid, PidfdFlags, PidfdGetfdFlags, kill_process, pidfd_getfd,
    pidfd_open,
};

use super::table::{self, On, Row, TABLE, name_of};
use super::trial::queue_for;
use crate::common::{Child, DEADLINE, End, HeldCall, HeldCalls, tid};
use crate::harness::{die_with_the_parent, skip};

/// What parent and child both see.
#[derive(Debug)]
pub(super) struct Board {
    /// The number of the listener in the child, once there is one.
    listener: AtomicI32,
    /// The thread that is inside what is looked at; 0 if none is.
    inside: AtomicI32,
    /// Whether the call that was to fail has, and whether the one who made it has heard
    /// of it.
    has_begun: AtomicBool,
    is_over: AtomicBool,
    /// Of which lines of the table calls have failed, and were not made again.
    has_failed: [AtomicBool; TABLE.len()],
    /// Who is about to sleep is to be sent this.
    at_sleep: AtomicI32,
}

const NONE: i32 = -1;

impl Board {
    /// Maps one, for good.
    #[expect(unsafe_code, reason = "memory that is shared with the child")]
    fn map() -> &'static Self {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        let (at, size) = (ptr::null_mut(), size_of::<Self>());
        // SAFETY: a new mapping.
        let board = unsafe { libc::mmap(at, size, access, flags, -1, 0) };
        assert_ne!(board, libc::MAP_FAILED);
        // SAFETY: it is never unmapped, as large, and made of zeros, which are
        // allowed.
        unsafe { &*board.cast() }
    }

    fn reset(&self) {
        self.listener.store(NONE, Ordering::SeqCst);
        self.inside.store(0, Ordering::SeqCst);
        let flags = [&self.has_begun, &self.is_over];
        for flag in flags.into_iter().chain(&self.has_failed) {
            flag.store(false, Ordering::SeqCst);
        }
        self.at_sleep.store(NONE, Ordering::SeqCst);
    }

    /// Does something whose calls count.
    pub(super) fn inside<R>(&self, f: impl FnOnce() -> R) -> R {
        self.inside.store(tid(), Ordering::SeqCst);
        let result = f();
        self.inside.store(0, Ordering::SeqCst);
        self.is_over.store(self.has_begun(), Ordering::SeqCst);
        result
    }

    pub(super) fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::SeqCst)
    }

    /// What has failed so far.
    pub(super) fn failed(&self) -> impl Iterator<Item = &'static Row> {
        let all = TABLE.iter().zip(&self.has_failed);
        all.filter(|(_, it)| it.load(Ordering::SeqCst)).map(|(row, _)| row)
    }

    /// A call is made that goes well, perhaps because it is made again.
    fn has_gone_well(&self, call: c_long, on: On) {
        for (row, has_failed) in TABLE.iter().zip(&self.has_failed) {
            if row.is_made_again_by(call, on) {
                has_failed.store(false, Ordering::SeqCst);
            }
        }
    }

    /// Lets a signal come with this value as soon as the child is about to sleep.
    pub(super) fn at_sleep(&self, value: i32) {
        self.at_sleep.store(value, Ordering::SeqCst);
    }

    /// What has not come, because the child did not sleep.
    pub(super) fn is_still_to_come(&self) -> Option<i32> {
        let value = self.at_sleep.swap(NONE, Ordering::SeqCst);
        (value != NONE).then_some(value)
    }
}

/// One call of all that are made: the n-th of its kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Made {
    pub(super) call: c_long,
    pub(super) on: On,
    pub(super) nth: usize,
}

impl Made {
    /// Whether it is made each time. Whether somebody waits for another thread depends
    /// on which is faster.
    pub(super) const fn is_certain(&self) -> bool {
        self.call != libc::SYS_futex
    }
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{} {:?}", name_of(self.call), self.nth, self.on)
    }
}

/// Which call is to fail.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    pub(super) made: Made,
    pub(super) errno: c_int,
    /// Not only this one, but all that follow until what is looked at is over: as if a
    /// sandbox had come.
    pub(super) lasts: bool,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { made, errno, lasts, .. } = self;
        let lasts = if *lasts { " and all after it" } else { "" };
        write!(f, "{made}{lasts} fails with {errno}")
    }
}

/// Watches children.
pub(super) struct Supervisor {
    pub(super) board: &'static Board,
}

impl Supervisor {
    pub(super) fn new() -> Self {
        let board = Board::map();
        board.reset();
        Self { board }
    }

    /// Runs it in a child, with a fault or none, and returns what it has called and how
    /// it ended.
    pub(super) fn run(
        &self,
        fault: Option<Fault>,
        run: impl FnOnce(),
    ) -> (Vec<Made>, End) {
        self.board.reset();
        let child = Child::fork(|| {
            self.hand_over(fault);
            run();
            0
        });
        let made = self.watch(&child, fault);
        (made, child.wait())
    }

    /// In the child: has its calls held from now on.
    fn hand_over(&self, fault: Option<Fault>) {
        die_with_the_parent();
        let few = fault.map(|fault| {
            let mut few = SLEEPS.to_vec();
            few.push(fault.made.call);
            few
        });
        let Ok(held) = HeldCalls::each_once(few.as_deref()) else {
            return self.board.listener.store(CANNOT, Ordering::SeqCst);
        };
        // It is closed by who takes it, so that it is not one of this process's.
        self.board.listener.store(held.as_raw_fd(), Ordering::SeqCst);
        while self.board.listener.load(Ordering::SeqCst) != NONE {
            std::thread::yield_now();
        }
        drop(held);
    }

    fn watch(&self, child: &Child, fault: Option<Fault>) -> Vec<Made> {
        let pid = Pid::from_raw(child.pid).unwrap();
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        let held = self.take_over(pidfd.as_fd());
        let mut made: Vec<Made> = Vec::new();
        let end = Instant::now() + DEADLINE / 3;
        loop {
            let mut fds = [held.as_fd(), pidfd.as_fd()]
                .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
            let left = end.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).unwrap();
            let ready = rustix::event::poll(&mut fds, Some(&left)).unwrap();
            let [calls, ended] = fds.map(|fd| fd.revents());
            if ready == 0 {
                kill_process(pid, rustix::process::Signal::KILL).unwrap();
                return made;
            }
            if calls.contains(PollFlags::IN) {
                if let Some(call) = held.next() {
                    self.decide(child.pid, call, &mut made, fault);
                }
            } else if ended.contains(PollFlags::IN) {
                return made;
            }
        }
    }

    /// Takes the listener of a child over.
    fn take_over(&self, child: BorrowedFd<'_>) -> HeldCalls {
        let mut raw = NONE;
        crate::common::wait_until("the child has a listener", || {
            raw = self.board.listener.load(Ordering::SeqCst);
            raw != NONE
        });
        if raw == CANNOT {
            skip("seccomp cannot hold system calls here");
        }
        let raw: ForeignRawFd = raw;
        let held = pidfd_getfd(child, raw, PidfdGetfdFlags::empty());
        let Ok(held) = held else {
            skip("no descriptor can be taken from a child here");
        };
        self.board.listener.store(NONE, Ordering::SeqCst);
        held.into()
    }

    /// Lets a call go on, or fail.
    fn decide(
        &self,
        child: i32,
        call: HeldCall<'_>,
        made: &mut Vec<Made>,
        fault: Option<Fault>,
    ) {
        if self.board.inside.load(Ordering::SeqCst) != call.thread {
            return call.go_on();
        }
        let number = c_long::from(call.data.nr);
        // A child of the child's has descriptors of its own.
        let on = table::on(call.thread, &call.data);
        let is_like = |it: &&Made| it.call == number && it.on == on;
        let nth = made.iter().filter(is_like).count();
        let this = Made { call: number, on, nth };
        made.push(this);
        if sleeps(call.thread, &call.data) {
            if let Some(value) = self.board.is_still_to_come() {
                queue_for(child, value);
            }
        }
        let fails = |fault: &Fault| {
            let is_over = self.board.is_over.load(Ordering::SeqCst);
            let goes_on = fault.lasts && self.board.has_begun() && !is_over;
            fault.made == this || goes_on && fault.made.call == number
        };
        let fault = fault.filter(fails);
        let line = fault.and_then(|it| table::line(number, on, it.errno));
        if let (Some(fault), Some(line)) = (fault, line) {
            self.board.has_begun.store(true, Ordering::SeqCst);
            self.board.has_failed[line].store(true, Ordering::SeqCst);
            call.fail(fault.errno);
        } else {
            self.board.has_gone_well(number, on);
            call.go_on();
        }
    }
}

/// The listener of a child that cannot have one.
const CANNOT: i32 = -2;

/// Calls that may sleep.
const SLEEPS: &[c_long] = &[
    libc::SYS_read,
    libc::SYS_ppoll,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_io_uring_enter,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
];

fn sleeps(child: i32, data: &libc::seccomp_data) -> bool {
    match c_long::from(data.nr) {
        libc::SYS_read => blocks(child, data.args[0]),
        libc::SYS_io_uring_enter => data.args[2] > 0,
        number => SLEEPS.contains(&number),
    }
}

/// Whether a descriptor of the child's blocks.
fn blocks(child: i32, descriptor: u64) -> bool {
    let info = format!("/proc/{child}/fdinfo/{descriptor}");
    let info = fs::read_to_string(info).unwrap_or_default();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:\t"));
    let flags = flags.and_then(|it| c_int::from_str_radix(it, 8).ok());
    flags.is_some_and(|flags| flags & libc::O_NONBLOCK == 0)
}

/// What a descriptor of the child's is.
pub(super) fn descriptor(child: i32, raw: u64) -> PathBuf {
    let link = format!("/proc/{child}/fd/{}", table::int(raw));
    fs::read_link(link).unwrap_or_default()
}
