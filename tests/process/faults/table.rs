//! Every system call that the crate makes, every error that the kernel or a sandbox may
//! answer with, and what comes of it.

use libc::{c_int, c_long};
use signalfd::Op;

use super::supervisor::descriptor;

/// What a call is made on, or what for, where that makes a difference.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum On {
    Anything,
    /// A signalfd that is to be made.
    New,
    Signalfd,
    Eventfd,
    Epoll,
    Ring,
    /// `/proc/self/task`.
    Tasks,
    /// The status of a thread.
    Status,
    /// Memory that tells whether there was a fork.
    Page,
    /// Memory for records.
    Records,
    /// Advice that does not exist.
    NoAdvice,
    /// Asking, and changing nothing.
    Get,
    Set,
    Wait,
    Wake,
    Submit,
    /// `IORING_REGISTER_PROBE`.
    Probe,
    /// `IORING_REGISTER_PBUF_RING`.
    Buffers,
    /// `IORING_UNREGISTER_PBUF_RING`.
    ForgetBuffers,
    /// `IORING_REGISTER_SYNC_CANCEL` of nothing.
    CanCancel,
    /// `IORING_REGISTER_SYNC_CANCEL`.
    Cancel,
    /// Whether a descriptor is open.
    Closing,
}

/// What comes of an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Effect {
    /// It is told, with this operation, by calls that say so; the others do without.
    Told(Op),
    /// So is this, unless the call is made again and goes well.
    ToldIfLast(Op),
    /// The call is made again, or another one instead, and nobody notices.
    Unnoticed,
}

/// One line of the table.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) call: c_long,
    pub(super) on: On,
    pub(super) errnos: &'static [c_int],
    pub(super) effect: Effect,
}

/// What is told.
impl Row {
    pub(super) const fn told(&self) -> Option<Op> {
        match self.effect {
            Told(op) | ToldIfLast(op) => Some(op),
            Unnoticed => None,
        }
    }
}

impl Row {
    /// Whether a ring does not do without.
    pub(super) fn ends_a_ring(&self) -> bool {
        let ops = [Op::UringSetup, Op::UringRegister, Op::UringEnter];
        self.on != On::Cancel && self.told().is_some_and(|op| ops.contains(&op))
    }

    /// Whether an error is forgotten when this call goes well.
    pub(super) fn is_made_again_by(&self, call: c_long, on: On) -> bool {
        let is_forgotten = matches!(self.effect, ToldIfLast(_));
        is_forgotten && self.call == call && self.on == on
    }
}

use Effect::{Told, ToldIfLast, Unnoticed};

const fn row(
    call: c_long,
    on: On,
    errnos: &'static [c_int],
    effect: Effect,
) -> Row {
    Row { call, on, errnos, effect }
}

/// What seccomp filters answer with.
pub(super) const SANDBOX: &[c_int] = &[libc::EPERM, libc::ENOSYS];

macro_rules! errnos {
    ($($errno:ident),* $(,)?) => {
        &[$(libc::$errno,)*]
    };
    ($($errno:ident),*; sandbox) => {
        &[$(libc::$errno,)* libc::EPERM, libc::ENOSYS]
    };
}

pub(super) const TABLE: &[Row] = &[
    row(
        libc::SYS_signalfd4,
        On::New,
        errnos![EINVAL, EMFILE, ENFILE, ENODEV, ENOMEM; sandbox],
        Told(Op::Signalfd),
    ),
    // A signalfd is one, so EINVAL cannot come.
    row(
        libc::SYS_signalfd4,
        On::Signalfd,
        errnos![ENOMEM; sandbox],
        Told(Op::Signalfd),
    ),
    row(libc::SYS_rt_sigprocmask, On::Set, SANDBOX, Told(Op::Sigprocmask)),
    row(libc::SYS_rt_sigprocmask, On::Get, SANDBOX, Told(Op::Sigprocmask)),
    row(libc::SYS_read, On::Signalfd, errnos![EINTR, EAGAIN], Unnoticed),
    row(
        libc::SYS_read,
        On::Signalfd,
        errnos![EINVAL, EIO, ENOMEM; sandbox],
        ToldIfLast(Op::Read),
    ),
    // It is readable for a moment longer.
    row(libc::SYS_read, On::Eventfd, errnos![EAGAIN; sandbox], Unnoticed),
    // Another thread makes it: `failures.rs` lets it fail.
    row(libc::SYS_write, On::Eventfd, errnos![EAGAIN; sandbox], Unnoticed),
    row(libc::SYS_ppoll, On::Anything, errnos![EINTR], Unnoticed),
    row(
        libc::SYS_ppoll,
        On::Anything,
        errnos![EINVAL, ENOMEM; sandbox],
        Told(Op::Poll),
    ),
    row(
        libc::SYS_epoll_create1,
        On::Anything,
        errnos![EINVAL, EMFILE, ENFILE, ENOMEM; sandbox],
        Told(Op::EpollCreate),
    ),
    row(
        libc::SYS_epoll_ctl,
        On::Anything,
        errnos![EINVAL, EEXIST, ENOENT, ENOMEM, ENOSPC, ELOOP; sandbox],
        Told(Op::EpollCtl),
    ),
    row(libc::SYS_epoll_pwait, On::Anything, errnos![EINTR], Unnoticed),
    row(
        libc::SYS_epoll_pwait,
        On::Anything,
        errnos![EINVAL, ENOMEM; sandbox],
        Told(Op::EpollWait),
    ),
    row(
        libc::SYS_eventfd2,
        On::Anything,
        errnos![EINVAL, EMFILE, ENFILE, ENODEV, ENOMEM; sandbox],
        Told(Op::Eventfd),
    ),
    // Then nothing gathers for the loops of others.
    row(
        libc::SYS_timerfd_create,
        On::Anything,
        errnos![EINVAL, EMFILE, ENFILE, ENODEV, ENOMEM; sandbox],
        Unnoticed,
    ),
    row(
        libc::SYS_timerfd_settime,
        On::Anything,
        errnos![EINVAL; sandbox],
        Unnoticed,
    ),
    row(
        libc::SYS_rt_sigqueueinfo,
        On::Anything,
        errnos![EAGAIN; sandbox],
        ToldIfLast(Op::Sigqueueinfo),
    ),
    row(
        libc::SYS_pidfd_send_signal,
        On::Anything,
        errnos![EAGAIN, EBADF, EINVAL; sandbox],
        Unnoticed,
    ),
    row(
        libc::SYS_rt_tgsigqueueinfo,
        On::Anything,
        // The thread has ended, or gets one when there is room.
        errnos![ESRCH, EAGAIN],
        Unnoticed,
    ),
    row(
        libc::SYS_rt_tgsigqueueinfo,
        On::Anything,
        SANDBOX,
        Told(Op::Tgsigqueueinfo),
    ),
    row(libc::SYS_rt_sigaction, On::Get, SANDBOX, Told(Op::Sigaction)),
    row(libc::SYS_rt_sigaction, On::Set, SANDBOX, Told(Op::Sigaction)),
    row(
        libc::SYS_rt_sigtimedwait,
        On::Anything,
        errnos![EAGAIN, EINTR; sandbox],
        Unnoticed,
    ),
    row(
        libc::SYS_tgkill,
        On::Anything,
        errnos![EAGAIN, EINVAL, ESRCH; sandbox],
        Told(Op::Tgkill),
    ),
    row(libc::SYS_kill, On::Anything, SANDBOX, Unnoticed),
    row(
        libc::SYS_openat,
        On::Tasks,
        errnos![ENOENT, ENOTDIR, EINTR, EACCES, EMFILE, ENFILE, ENOMEM; sandbox],
        Told(Op::ThreadCheck),
    ),
    // The thread has ended.
    row(libc::SYS_openat, On::Status, errnos![ENOENT, ESRCH], Unnoticed),
    row(
        libc::SYS_openat,
        On::Status,
        errnos![EACCES, EMFILE, ENFILE, ENOMEM; sandbox],
        Told(Op::ThreadCheck),
    ),
    row(libc::SYS_read, On::Status, errnos![EINTR, ESRCH], Unnoticed),
    row(
        libc::SYS_read,
        On::Status,
        errnos![EIO, ENOMEM; sandbox],
        Told(Op::ThreadCheck),
    ),
    row(
        libc::SYS_getdents64,
        On::Tasks,
        errnos![EINVAL, ENOENT, ENOMEM; sandbox],
        Told(Op::ThreadCheck),
    ),
    row(libc::SYS_lseek, On::Tasks, SANDBOX, Told(Op::ThreadCheck)),
    row(libc::SYS_fstat, On::Tasks, SANDBOX, Told(Op::ThreadCheck)),
    row(
        libc::SYS_fcntl,
        On::Signalfd,
        errnos![EMFILE, ENOMEM; sandbox],
        Told(Op::Fcntl),
    ),
    row(
        libc::SYS_fcntl,
        On::Ring,
        errnos![EMFILE, ENOMEM; sandbox],
        Told(Op::Fcntl),
    ),
    row(libc::SYS_mmap, On::Page, errnos![ENOMEM, EAGAIN; sandbox], Unnoticed),
    row(
        libc::SYS_mmap,
        On::Records,
        errnos![ENOMEM, EAGAIN; sandbox],
        Told(Op::Mmap),
    ),
    row(
        libc::SYS_mmap,
        On::Ring,
        errnos![EINVAL, ENFILE, ENOMEM, EAGAIN; sandbox],
        Told(Op::UringSetup),
    ),
    row(
        libc::SYS_madvise,
        On::Page,
        errnos![EAGAIN, EINVAL, ENOMEM; sandbox],
        Unnoticed,
    ),
    row(libc::SYS_madvise, On::NoAdvice, SANDBOX, Unnoticed),
    row(
        libc::SYS_timer_create,
        On::Anything,
        errnos![EAGAIN, EINVAL, ENOMEM; sandbox],
        Told(Op::TimerCreate),
    ),
    row(
        libc::SYS_timer_settime,
        On::Anything,
        errnos![EINVAL; sandbox],
        Told(Op::TimerSettime),
    ),
    row(
        libc::SYS_futex,
        On::Wait,
        errnos![EAGAIN, EINTR, ETIMEDOUT],
        Unnoticed,
    ),
    row(libc::SYS_futex, On::Wait, errnos![EINVAL; sandbox], Told(Op::Futex)),
    row(libc::SYS_futex, On::Wake, SANDBOX, Unnoticed),
    row(libc::SYS_waitid, On::Anything, errnos![EINTR], Unnoticed),
    row(
        libc::SYS_waitid,
        On::Anything,
        // ECHILD has a name of its own: `reap.rs`.
        errnos![EINVAL; sandbox],
        Told(Op::Waitid),
    ),
    row(
        libc::SYS_io_uring_setup,
        On::Anything,
        errnos![EACCES, EINVAL, EMFILE, ENFILE, ENOMEM; sandbox],
        Told(Op::UringSetup),
    ),
    row(libc::SYS_io_uring_enter, On::Submit, errnos![EINTR], Unnoticed),
    row(
        libc::SYS_io_uring_enter,
        On::Submit,
        errnos![EAGAIN, EBADFD, EBADR, EBUSY, EEXIST, EINVAL; sandbox],
        Told(Op::UringEnter),
    ),
    row(libc::SYS_io_uring_enter, On::Wait, errnos![EINTR, ETIME], Unnoticed),
    row(
        libc::SYS_io_uring_enter,
        On::Wait,
        errnos![EAGAIN, EBADFD, EBADR, EBUSY, EEXIST, EINVAL; sandbox],
        Told(Op::UringEnter),
    ),
    row(
        libc::SYS_io_uring_register,
        On::Probe,
        errnos![EINVAL, ENOMEM; sandbox],
        Told(Op::UringRegister),
    ),
    row(libc::SYS_io_uring_register, On::CanCancel, errnos![EINTR], Unnoticed),
    row(
        libc::SYS_io_uring_register,
        On::CanCancel,
        errnos![EINVAL, EACCES, EBADFD, EEXIST; sandbox],
        Told(Op::UringRegister),
    ),
    row(libc::SYS_io_uring_register, On::Buffers, errnos![EINTR], Unnoticed),
    row(
        libc::SYS_io_uring_register,
        On::Buffers,
        errnos![EINVAL, ENOMEM, EACCES, EBADFD, EEXIST; sandbox],
        Told(Op::UringRegister),
    ),
    row(libc::SYS_io_uring_register, On::Cancel, errnos![EINTR], Unnoticed),
    row(
        libc::SYS_io_uring_register,
        On::Cancel,
        errnos![
            EACCES, EALREADY, EBADFD, EEXIST, EINVAL, ENOMEM, ETIME; sandbox
        ],
        Told(Op::UringRegister),
    ),
    row(
        libc::SYS_io_uring_register,
        On::ForgetBuffers,
        errnos![EINTR, EEXIST, EINVAL, ENOENT; sandbox],
        Unnoticed,
    ),
    // What cannot fail, or, if it does, leaves behind what nobody can take away.
    row(libc::SYS_close, On::Anything, &[], Unnoticed),
    row(libc::SYS_fcntl, On::Closing, &[], Unnoticed),
    row(libc::SYS_munmap, On::Anything, &[], Unnoticed),
    row(libc::SYS_getpid, On::Anything, &[], Unnoticed),
    row(libc::SYS_gettid, On::Anything, &[], Unnoticed),
    row(libc::SYS_sched_yield, On::Anything, &[], Unnoticed),
    row(libc::SYS_rt_sigreturn, On::Anything, &[], Unnoticed),
    row(libc::SYS_timer_delete, On::Anything, &[], Unnoticed),
    // The kernel makes it, for a sleep that it has interrupted itself.
    row(libc::SYS_restart_syscall, On::Anything, &[], Unnoticed),
];

/// The number of the line for an error of a call.
pub(super) fn line(call: c_long, on: On, errno: c_int) -> Option<usize> {
    TABLE.iter().position(|row| {
        row.call == call && row.on == on && row.errnos.contains(&errno)
    })
}

/// The lines for a call.
pub(super) fn lines(
    call: c_long,
    on: On,
) -> impl Iterator<Item = &'static Row> {
    TABLE.iter().filter(move |row| row.call == call && row.on == on)
}

/// What a call of the child's is made on.
pub(super) fn on(child: i32, data: &libc::seccomp_data) -> On {
    // include/uapi/linux/io_uring.h
    const REGISTER_PROBE: u64 = 8;
    const REGISTER_PBUF_RING: u64 = 22;
    const UNREGISTER_PBUF_RING: u64 = 23;
    const SYNC_CANCEL: u64 = 24;
    const PAGE: u64 = 4096;
    let [first, second, third, _, fifth, _] = data.args;
    match c_long::from(data.nr) {
        libc::SYS_signalfd4 if int(first) == -1 => On::New,
        libc::SYS_openat if int(first) == libc::AT_FDCWD => On::Tasks,
        libc::SYS_openat => On::Status,
        // The standard library looks, where it checks, before it closes something.
        libc::SYS_fcntl if int(second) == libc::F_GETFD => On::Closing,
        libc::SYS_signalfd4
        | libc::SYS_read
        | libc::SYS_write
        | libc::SYS_fcntl
        | libc::SYS_getdents64
        | libc::SYS_lseek
        | libc::SYS_fstat => of_descriptor(child, first),
        libc::SYS_rt_sigprocmask | libc::SYS_rt_sigaction if second == 0 => {
            On::Get
        }
        libc::SYS_rt_sigprocmask | libc::SYS_rt_sigaction => On::Set,
        libc::SYS_mmap if int(fifth) != -1 => On::Ring,
        libc::SYS_mmap if second <= PAGE => On::Page,
        libc::SYS_mmap => On::Records,
        libc::SYS_madvise if int(third) == -1 => On::NoAdvice,
        libc::SYS_madvise => On::Page,
        libc::SYS_futex if int(second) & 0x7F == libc::FUTEX_WAIT => On::Wait,
        libc::SYS_futex => On::Wake,
        libc::SYS_io_uring_enter if third > 0 => On::Wait,
        libc::SYS_io_uring_enter => On::Submit,
        libc::SYS_io_uring_register => match second {
            REGISTER_PROBE => On::Probe,
            REGISTER_PBUF_RING => On::Buffers,
            UNREGISTER_PBUF_RING => On::ForgetBuffers,
            SYNC_CANCEL if third < PAGE => On::CanCancel,
            SYNC_CANCEL => On::Cancel,
            _ => On::Anything,
        },
        _ => On::Anything,
    }
}

/// What a register has for an `int`.
pub(super) const fn int(register: u64) -> c_int {
    let [a, b, c, d, ..] = register.to_le_bytes();
    c_int::from_le_bytes([a, b, c, d])
}

fn of_descriptor(child: i32, raw: u64) -> On {
    let path = descriptor(child, raw);
    let path = path.to_string_lossy();
    match path.as_ref() {
        "anon_inode:[signalfd]" => On::Signalfd,
        "anon_inode:[eventfd]" => On::Eventfd,
        "anon_inode:[eventpoll]" => On::Epoll,
        "anon_inode:[io_uring]" => On::Ring,
        path if path.ends_with("/status") => On::Status,
        path if path.ends_with("/task") => On::Tasks,
        _ => On::Anything,
    }
}

/// The name of a call in the table, or its number.
pub(super) fn name_of(call: c_long) -> String {
    macro_rules! names {
        ($($name:ident)*) => {
            match call {
                $(libc::$name => stringify!($name).replace("SYS_", ""),)*
                other => format!("system call {other}"),
            }
        };
    }
    names! {
        SYS_signalfd4 SYS_rt_sigprocmask SYS_read SYS_write SYS_ppoll
        SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_pwait SYS_eventfd2
        SYS_timerfd_create SYS_timerfd_settime
        SYS_rt_sigqueueinfo SYS_pidfd_send_signal SYS_rt_tgsigqueueinfo
        SYS_rt_sigaction
        SYS_rt_sigtimedwait SYS_tgkill SYS_kill SYS_openat SYS_getdents64
        SYS_lseek SYS_fstat SYS_fcntl SYS_mmap SYS_madvise SYS_timer_create SYS_timer_settime
        SYS_futex SYS_waitid SYS_io_uring_setup SYS_io_uring_enter
        SYS_io_uring_register SYS_close SYS_munmap SYS_getpid SYS_gettid
        SYS_sched_yield SYS_rt_sigreturn SYS_timer_delete SYS_restart_syscall
    }
}
