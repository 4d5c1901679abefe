//! The mask of children that run another program.

use std::io::{ErrorKind, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};

use signalfd::{RestoreSignals, Signal, SignalSet, mask};

use crate::common::{Child, forbid, kill, open, options, pid, set_action};
use crate::harness::cases;

cases! {
    a_child_inherits_the_mask,
    a_child_gets_the_mask_from_before_the_receiver,
    a_child_gets_exactly_the_mask_that_is_given,
    a_command_keeps_the_mask_for_all_its_children,
    any_thread_can_start_a_child,
    the_mask_of_an_inner_scope_has_the_signals_of_the_outer,
    what_was_ignored_is_ignored_by_a_child,
    what_a_shell_and_nohup_ignore_for_others,
    what_was_ignored_is_so_though_the_handler_has_stayed,
    what_is_reset_for_a_child_stays_so,
    nothing_is_pending_in_a_child,
    a_child_ends_by_a_signal_that_the_parent_receives,
    a_program_that_cannot_be_executed_is_an_error,
    a_mask_that_cannot_be_set_is_an_error,
    a_process_that_cannot_be_replaced_keeps_the_mask_given,
}

/// A program that prints its own status.
fn status() -> Command {
    let mut command = Command::new("cat");
    command.arg("/proc/self/status");
    command
}

/// One of the sets that the child of a command has in its status.
fn set_of(command: &mut Command, key: &str) -> SignalSet {
    let output = command.output().unwrap();
    assert!(output.status.success());
    let status = String::from_utf8(output.stdout).unwrap();
    let bits = status.lines().find_map(|line| line.strip_prefix(key));
    let bits = u64::from_str_radix(bits.unwrap().trim(), 16).unwrap();
    SignalSet::from_bits_retain(bits)
}

fn blocked_by(command: &mut Command) -> SignalSet {
    set_of(command, "SigBlk:")
}

fn a_child_inherits_the_mask() {
    let signals = open(Signal::INT | Signal::TERM).unwrap();
    assert_eq!(blocked_by(&mut status()), Signal::INT | Signal::TERM);
    drop(signals);
    assert_eq!(blocked_by(&mut status()), SignalSet::empty());
}

fn a_child_gets_the_mask_from_before_the_receiver() {
    let _before = signalfd::block(Signal::USR1).unwrap();
    let signals = open(Signal::INT | Signal::USR1).unwrap();
    let saved = signals.guard().saved();
    let blocked = blocked_by(status().restore_signals(saved));
    assert_eq!(blocked, Signal::USR1.into());
    assert_eq!(mask::current(), Ok(Signal::INT | Signal::USR1));
}

fn a_child_gets_exactly_the_mask_that_is_given() {
    let _signals = open(Signal::INT).unwrap();
    let given = Signal::HUP | Signal::rt(3).unwrap();
    let blocked = blocked_by(status().restore_signals(given));
    assert_eq!(blocked, given);
    // Nothing blocks these two.
    let all = given | Signal::KILL | Signal::STOP;
    let mut command = status();
    command.restore_signals(SignalSet::empty()).restore_signals(all);
    assert_eq!(blocked_by(&mut command), given);
}

fn a_command_keeps_the_mask_for_all_its_children() {
    let signals = open(Signal::INT).unwrap();
    let mut command = status();
    command.restore_signals(signals.guard().saved());
    for _ in 0..3 {
        assert!(blocked_by(&mut command).is_empty());
    }
    assert_eq!(mask::current(), Ok(Signal::INT.into()));
}

fn any_thread_can_start_a_child() {
    let signals = open(Signal::TERM).unwrap();
    let saved = signals.guard().saved();
    let thread = std::thread::spawn(move || {
        let inherited = blocked_by(&mut status());
        let restored = blocked_by(status().restore_signals(saved));
        (inherited, restored, mask::current())
    });
    let (inherited, restored, own) = thread.join().unwrap();
    assert_eq!(inherited, Signal::TERM.into());
    assert_eq!(restored, SignalSet::empty());
    assert_eq!(own, Ok(Signal::TERM.into()));
}

fn the_mask_of_an_inner_scope_has_the_signals_of_the_outer() {
    let outer = open(Signal::HUP).unwrap();
    let inner = open(Signal::HUP | Signal::TERM).unwrap();
    let blocked =
        |saved: SignalSet| blocked_by(status().restore_signals(saved));
    assert_eq!(blocked(inner.guard().saved()), Signal::HUP.into());
    assert_eq!(blocked(outer.guard().saved()), SignalSet::empty());
}

/// As by `nohup`, and then the handler for every thread came.
fn what_was_ignored_is_ignored_by_a_child() {
    set_action(Signal::HUP, libc::SIG_IGN, 0);
    let options = options().every_thread(true);
    let signals = options.open(Signal::HUP | Signal::TERM).unwrap();
    let ignored = |command: &mut Command| {
        set_of(command, "SigIgn:") & (Signal::HUP | Signal::TERM)
    };
    assert_eq!(ignored(&mut status()), SignalSet::empty());
    let mut command = status();
    command.restore_signals(signals.guard().saved());
    assert_eq!(ignored(&mut command), Signal::HUP.into());
    assert_eq!(blocked_by(&mut command), SignalSet::empty());
    drop(signals);
    assert_eq!(ignored(&mut command), Signal::HUP.into());
}

/// Where there are these programs, and no others of the name.
fn what_a_shell_and_nohup_ignore_for_others() {
    let background = ["-c", "cat /proc/self/status & wait"];
    let nohup = ["cat", "/proc/self/status"];
    for (program, arguments, signal) in [
        ("/bin/sh", background, Signal::INT),
        ("/usr/bin/nohup", nohup, Signal::HUP),
    ] {
        if std::path::Path::new(program).exists() {
            let mut command = Command::new(program);
            command.args(arguments).stdin(std::process::Stdio::null());
            let ignored = set_of(&mut command, "SigIgn:");
            assert!(ignored.contains(signal.into()), "{program}: {ignored}");
        }
    }
}

/// It stays where a thread is stuck that was sent a record of the crate's.
fn what_was_ignored_is_so_though_the_handler_has_stayed() {
    set_action(Signal::HUP, libc::SIG_IGN, 0);
    let (threads, mut let_go) = super::every::stuck();
    let options = options().every_thread(true);
    drop(options.open(Signal::HUP).unwrap());
    let mut command = status();
    command.restore_signals(SignalSet::empty());
    let ignored = set_of(&mut command, "SigIgn:");
    let_go.write_all(&[0]).unwrap();
    threads.end();
    assert!(ignored.contains(Signal::HUP.into()), "{ignored}");
}

/// The standard library ignores SIGPIPE, and not for children.
fn what_is_reset_for_a_child_stays_so() {
    set_action(Signal::PIPE, libc::SIG_IGN, 0);
    set_action(Signal::TERM, libc::SIG_IGN, 0);
    let options = options().every_thread(true);
    let signals = options.open(Signal::PIPE | Signal::TERM).unwrap();
    let mut command = status();
    command.restore_signals(signals.guard().saved());
    let mut ignores = |signal: Signal| {
        set_of(&mut command, "SigIgn:").contains(signal.into())
    };
    assert!(!ignores(Signal::PIPE));
    assert!(ignores(Signal::TERM));
    // The program has changed its mind.
    set_action(Signal::TERM, libc::SIG_DFL, 0);
    assert!(!ignores(Signal::TERM));
}

fn nothing_is_pending_in_a_child() {
    let signals = open(Signal::HUP | Signal::TERM).unwrap();
    kill(pid(), Signal::TERM);
    crate::common::raise(Signal::HUP);
    // Were they pending there too, they would end it.
    let saved = signals.guard().saved();
    for key in ["SigPnd:", "ShdPnd:"] {
        let pending = set_of(status().restore_signals(saved), key);
        assert_eq!(pending, SignalSet::empty());
    }
    assert_eq!(signals.wait().unwrap().signal(), Signal::HUP);
    assert_eq!(signals.wait().unwrap().signal(), Signal::TERM);
}

fn a_child_ends_by_a_signal_that_the_parent_receives() {
    let signals = open(Signal::TERM).unwrap();
    let mut child = Command::new("cat")
        .stdin(Stdio::piped())
        .restore_signals(signals.guard().saved())
        .spawn()
        .unwrap();
    kill(i32::try_from(child.id()).unwrap(), Signal::TERM);
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGTERM));

    // One that inherits the mask lives on until its input ends, which is here.
    let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    kill(i32::try_from(child.id()).unwrap(), Signal::TERM);
    assert!(child.wait().unwrap().success());
}

fn a_program_that_cannot_be_executed_is_an_error() {
    let signals = open(Signal::TERM).unwrap();
    let error = Command::new("/nowhere/nothing")
        .restore_signals(signals.guard().saved())
        .spawn()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(mask::current(), Ok(Signal::TERM.into()));
}

fn a_mask_that_cannot_be_set_is_an_error() {
    let signals = open(Signal::TERM).unwrap();
    let saved = signals.guard().saved();
    forbid(libc::SYS_rt_sigprocmask, libc::EPERM);
    let error = status().restore_signals(saved).spawn().unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EPERM));
}

fn a_process_that_cannot_be_replaced_keeps_the_mask_given() {
    let signals = open(Signal::TERM).unwrap();
    let saved = signals.guard().saved();
    let child = Child::fork(|| {
        let error =
            Command::new("/nowhere/nothing").restore_signals(saved).exec();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(mask::current(), Ok(saved));
        0
    });
    child.wait_for_success();
    assert_eq!(mask::current(), Ok(Signal::TERM.into()));
}
