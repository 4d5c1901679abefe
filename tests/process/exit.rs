//! Ending by a signal.

#![allow(unsafe_code, reason = "actions and limits")]

use signalfd::{Signal, SignalSet, block};

use crate::common::{Child, End, check, open, set_limit, uid};
use crate::harness::{cases, skip, to_die_here};

cases! {
    dies_by_hup => libc::SIGHUP,
    dies_by_int => libc::SIGINT,
    dies_by_quit => libc::SIGQUIT,
    dies_by_kill => libc::SIGKILL,
    dies_by_term => libc::SIGTERM,
    every_signal_ends_the_process,
    dies_from_a_second_thread => libc::SIGTERM,
    dies_where_every_thread_blocks_the_signal => libc::SIGTERM,
    dies_inside_a_scope => libc::SIGTERM,
    dies_inside_nested_scopes => libc::SIGTERM,
    dies_inside_a_scope_by_what_dumps_core,
    dies_of_what_was_ignored => libc::SIGTERM,
    dies_of_what_has_a_handler => libc::SIGTERM,
    dies_where_no_signal_can_be_queued,
    a_sandbox_does_not_keep_it_alive,
    pid_1_exits_with_the_status,
}

fn dies_by_hup() {
    to_die_here();
    Signal::HUP.die();
}

fn dies_by_int() {
    to_die_here();
    Signal::INT.die();
}

fn dies_by_quit() {
    dump_no_core();
    to_die_here();
    Signal::QUIT.die();
}

fn dies_by_kill() {
    to_die_here();
    Signal::KILL.die();
}

fn dies_by_term() {
    to_die_here();
    Signal::TERM.die();
}

/// What is not fatal becomes an exit status. (What stops has a parent that lets it
/// go on, in `suspend.rs`.)
fn every_signal_ends_the_process() {
    dump_no_core();
    let harmless = Signal::CHLD | Signal::CONT | Signal::URG | Signal::WINCH;
    let stops = SignalSet::TSTP | SignalSet::TTIN | SignalSet::TTOU;
    let others =
        Signal::KILL | Signal::ILL | Signal::BUS | Signal::FPE | Signal::SEGV;
    for signal in ((SignalSet::all() - stops) | others).signals() {
        let number = signal.as_raw();
        let end = if harmless.has(signal) {
            End::Exited(128 + number)
        } else {
            End::Killed(number)
        };
        assert_eq!(Child::fork(|| signal.die()).wait(), end, "{signal}");
        let inside = Child::fork(|| {
            let _guard = block(SignalSet::all()).unwrap();
            signal.die()
        });
        assert_eq!(inside.wait(), end, "{signal}, blocked");
    }
}

fn dies_from_a_second_thread() {
    to_die_here();
    std::thread::spawn(|| Signal::TERM.die()).join().unwrap();
}

fn dies_where_every_thread_blocks_the_signal() {
    let signals = open(Signal::TERM).unwrap();
    let receiver: &signalfd::Receiver = &signals;
    to_die_here();
    std::thread::scope(|scope| {
        // It may receive the signal if that comes to the process.
        scope.spawn(|| receiver.wait());
        scope.spawn(|| Signal::TERM.die());
    });
}

fn dies_inside_a_scope() {
    let _signals = open(Signal::TERM).unwrap();
    to_die_here();
    Signal::TERM.die();
}

fn dies_inside_nested_scopes() {
    let _outer = open(Signal::INT | Signal::TERM).unwrap();
    let _inner = open(Signal::TERM).unwrap();
    to_die_here();
    Signal::TERM.die();
}

fn dies_inside_a_scope_by_what_dumps_core() {
    dump_no_core();
    let child = Child::fork(|| {
        let _signals = open(Signal::QUIT).unwrap();
        Signal::QUIT.die()
    });
    let end = child.wait();
    let taken = crate::battery().reads_ahead()
        && end == End::Exited(128 + libc::SIGQUIT);
    assert!(taken || end == End::Killed(libc::SIGQUIT), "{end:?}");
}

fn dies_of_what_was_ignored() {
    // SAFETY: sets the action to ignore the signal.
    unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
    to_die_here();
    Signal::TERM.die();
}

fn dies_of_what_has_a_handler() {
    extern "C" fn exit(_: libc::c_int) {
        // SAFETY: may be called in a handler.
        unsafe { libc::_exit(1) };
    }
    let handler: extern "C" fn(libc::c_int) = exit;
    // SAFETY: installs the handler.
    unsafe { libc::signal(libc::SIGTERM, handler as libc::sighandler_t) };
    to_die_here();
    Signal::TERM.die();
}

/// Of a real-time signal to a thread the kernel says that there is no room.
fn dies_where_no_signal_can_be_queued() {
    let rt = Signal::rt(1).unwrap();
    set_limit(libc::RLIMIT_SIGPENDING, 0);
    for signal in [rt, Signal::TERM] {
        let end = Child::fork(|| signal.die()).wait();
        assert_eq!(end, End::Killed(signal.as_raw()));
    }
}

fn a_sandbox_does_not_keep_it_alive() {
    let _signals = open(Signal::TERM).unwrap();
    for call in [libc::SYS_tgkill, libc::SYS_rt_sigaction] {
        let child = Child::fork(|| {
            crate::common::forbid(call, libc::EPERM);
            Signal::TERM.die()
        });
        assert_eq!(child.wait(), End::Killed(libc::SIGTERM));
    }
    let child = Child::fork(|| {
        crate::common::forbid(libc::SYS_rt_sigprocmask, libc::EPERM);
        Signal::TERM.die()
    });
    assert_eq!(child.wait(), End::Exited(128 + libc::SIGTERM));
}

fn pid_1_exits_with_the_status() {
    let child = fork_pid_1(|| {
        let _signals = open(Signal::TERM).unwrap();
        Signal::TERM.die()
    });
    assert_eq!(child.wait(), End::Exited(128 + libc::SIGTERM));
}

/// Forks a child that is PID 1 of a namespace of its own. A process can do this
/// once.
pub(crate) fn fork_pid_1(run: impl FnOnce() -> i32) -> Child {
    let mut flags = libc::CLONE_NEWPID;
    if uid() != 0 {
        flags |= libc::CLONE_NEWUSER;
    }
    // SAFETY: takes a number.
    if check(unsafe { libc::unshare(flags) }).is_err() {
        skip("no PID namespace can be made here");
    }
    Child::fork(|| {
        assert_eq!(std::process::id(), 1);
        run()
    })
}

fn dump_no_core() {
    // SAFETY: takes numbers.
    check(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) }).unwrap();
}
