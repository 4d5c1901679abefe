//! Go: `src/os/signal/*_test.go` for Unix (`signal_test.go` at 6dd5b0db), and what
//! the tests of its runtime say about signals that are for the program.
//!
//! A channel of Go's is a receiver here, `Stop` is the end of its scope, `Reset` is
//! `remove`, and a context of `NotifyContext` is `until`.
//!
//! Not here, or otherwise:
//!
//! | case | why |
//! |---|---|
//! | `TestSignal`: the channel that nobody reads has the first one still | a signal is for one receiver |
//! | `TestIgnore`: `Ignore` takes a signal from all channels | what is ignored is received as long as it is blocked; ignored and removed it is gone |
//! | `TestNotifyContextSimultaneousStop`: ten goroutines stop one context | a scope does not leave its thread; ten threads change one receiver |
//! | `TestNotifyContextStop`: the context is done when it is stopped | a scope that has ended cannot be asked |
//! | `TestSignalTrace`: tracing stops the world | nothing stops all threads here but blocking in every one, so that is done |
//! | `TestAllThreadsSyscallSignals`: a system call in every thread | likewise |
//! | `TestTerminalSignal`, `TestTime` on other systems | Linux only |
//! | `TestSignalIgnoreSIGTRAP`: `Ignore` | the test ignores it itself: this crate changes no action |
//! | `signal_plan9_test.go`, `signal_windows_test.go` | Linux only |
//! | `runtime`: `TestCrashDumpsAllThreads`, `TestPanicSystemstack`, `TestBadOpen` | stacks of goroutines, and errors of the runtime's own system calls |
//! | `runtime/crash_cgo_test.go` | what cgo does with handlers and their stacks; what the handler of this crate does is tested in `every.rs` |

#![allow(unsafe_code, reason = "terminals and process groups")]

use std::fs::{File, OpenOptions};
use std::future::{pending, ready};
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use signalfd::{
    Cause, Error, Receiver, RestoreSignals, Sender, Shutdown, Signal,
    SignalSet, Signals, Until, block, block_on, mask, suspend,
};

use super::{ignored_by_a_child, look, rt, take_all, wait};
use crate::battery;
use crate::common::{
    Child, DEADLINE, End, action, check, check_value, kill, open, options, pid,
    receiver_for, set_action, set_mask, storm_size, tgkill, tid, wait_until,
    wait_until_asleep,
};
use crate::exit::fork_pid_1;
use crate::harness::{cases, racing_rounds, skip, up_to_ten_thousand};
use crate::scopes::Comes;

cases! {
    a_receiver_that_nobody_reads_keeps_no_other_from_receiving,
    a_storm_of_one_number_ends_and_nothing_comes_after_it,
    what_is_removed_takes_its_action_and_is_received_no_more,
    what_is_ignored_and_removed_is_gone,
    what_is_received_is_not_ignored_for_that,
    a_program_knows_what_nohup_ignores,
    outside_of_a_scope_a_signal_takes_its_action,
    under_nohup_an_uncaught_one_does_no_harm,
    the_continuation_is_received,
    one_that_races_with_the_end_is_received_or_ends_the_process,
    who_asks_for_the_time_in_a_storm_is_not_disturbed,

    more_than_one_do_no_harm_while_the_scope_is_open,
    what_was_ignored_is_received_inside_and_ignored_afterwards,
    work_ends_with_the_work_that_it_is_a_part_of,
    work_that_is_over_already_is_not_begun,
    ten_threads_at_once_may_take_the_same_signal_out,
    a_receiver_says_what_it_is_for,
    work_is_cancelled_by_control_c,
    any_signal_can_be_asked_for,

    signals_go_on_while_all_threads_are_interrupted,
    a_thread_that_waits_is_reached_and_told_nothing,
    an_action_that_is_reset_meanwhile_stays_reset,
    what_was_ignored_from_the_start_stays_so,
    reading_a_terminal_goes_on_after_a_stop,
    a_stop_from_the_terminal_is_received_and_obeyed,

    the_parent_sees_the_signal,
    an_ignored_trap_does_no_harm,
    programs_are_started_while_signals_come,
    one_for_a_thread_is_received_there,
    a_number_that_is_no_signal_is_refused,
    pid_1_has_the_exit_status_of_the_signal,
}

/// Sends the process a signal, and receives it.
fn receive(signal: Signal) {
    let signals = open(signal).unwrap();
    kill(pid(), signal);
    assert_eq!(wait(&signals), signal);
    assert_eq!(look(&signals), None);
}

fn ignore(signal: Signal) {
    set_action(signal, libc::SIG_IGN, 0);
}

/// Looks now and then, fewer or more times, for something to race with.
fn look_for_a_while(signals: &Signals, round: i32) -> bool {
    (0..round % 40).any(|_| look(signals).is_some())
}

// go: TestSignal
fn a_receiver_that_nobody_reads_keeps_no_other_from_receiving() {
    let hup = open(Signal::HUP).unwrap();
    kill(pid(), Signal::HUP);
    assert_eq!(wait(&hup), Signal::HUP);
    let all = open(SignalSet::all()).unwrap();
    for signal in [Signal::WINCH, Signal::HUP, Signal::HUP] {
        kill(pid(), signal);
        assert_eq!(wait(&all), signal);
    }
    drop(all);
    assert_eq!(look(&hup), None);
}

// go: TestStress
fn a_storm_of_one_number_ends_and_nothing_comes_after_it() {
    let signals = open(Signal::USR1 | Signal::USR2).unwrap();
    let parent = pid();
    let sender = Child::fork(|| {
        for _ in 0..storm_size() {
            kill(parent, Signal::USR1);
        }
        kill(parent, Signal::USR2);
        0
    });
    let mut received = 0;
    while wait(&signals) == Signal::USR1 {
        received += 1;
    }
    assert!(received > 0);
    sender.wait_for_success();
    drop(signals);
    assert_eq!(look(&open(Signal::USR1).unwrap()), None);
    println!("{received} received of {}", storm_size());
}

// go: TestReset
fn what_is_removed_takes_its_action_and_is_received_no_more() {
    let two = Signal::WINCH | Signal::HUP;
    let signals = open(two | Signal::USR1).unwrap();
    for signal in two.signals() {
        kill(pid(), signal);
        assert_eq!(wait(&signals), signal);
    }
    signals.remove(two).unwrap();
    kill(pid(), Signal::WINCH);
    assert_eq!(look(&signals), None);
    signals.insert(two).unwrap();
    assert_eq!(look(&signals), None);
    signals.remove(two).unwrap();
    let child = Child::fork(|| {
        kill(pid(), Signal::HUP);
        0
    });
    assert_eq!(child.wait(), End::Killed(libc::SIGHUP));
}

// go: TestIgnore
fn what_is_ignored_and_removed_is_gone() {
    let two = Signal::WINCH | Signal::HUP;
    let signals = open(two | Signal::USR1).unwrap();
    two.signals().for_each(ignore);
    for signal in two.signals() {
        kill(pid(), signal);
        assert_eq!(wait(&signals), signal);
    }
    // One is pending when it is removed, and another comes later.
    kill(pid(), Signal::HUP);
    signals.remove(two).unwrap();
    two.signals().for_each(|signal| kill(pid(), signal));
    assert_eq!(look(&signals), None);
    signals.insert(two).unwrap();
    assert_eq!(look(&signals), None);
}

// go: TestIgnored
fn what_is_received_is_not_ignored_for_that() {
    let before = action(Signal::WINCH);
    let signals = open(Signal::WINCH).unwrap();
    assert_eq!(action(Signal::WINCH), before);
    drop(signals);
    let opened = options().shutdown(Signal::WINCH | Signal::TERM).unwrap();
    assert_eq!(opened.ignored(), SignalSet::empty());
    drop(opened);
    ignore(Signal::WINCH);
    let opened = options().shutdown(Signal::WINCH | Signal::TERM).unwrap();
    assert_eq!(opened.ignored(), Signal::WINCH.into());
}

// go: TestDetectNohup
fn a_program_knows_what_nohup_ignores() {
    let is_ignored = || {
        let shutdown = options().shutdown(Signal::HUP | Signal::TERM).unwrap();
        assert!(!shutdown.ignored().has(Signal::TERM));
        shutdown.ignored().has(Signal::HUP).into()
    };
    // A scope that has been there before does not count.
    let signals = open(Signal::HUP).unwrap();
    assert_eq!(Child::fork(is_ignored).wait(), End::Exited(0));
    drop(signals);
    ignore(Signal::HUP);
    assert_eq!(Child::fork(is_ignored).wait(), End::Exited(1));
}

/// Before a scope, and after it.
fn outside(signal: Signal) -> [End; 2] {
    let before = Child::fork(|| {
        kill(pid(), signal);
        receive(signal);
        0
    });
    let after = Child::fork(|| {
        receive(signal);
        kill(pid(), signal);
        0
    });
    [before.wait(), after.wait()]
}

// go: TestStop, and TestNohup (uncaught)
fn outside_of_a_scope_a_signal_takes_its_action() {
    for signal in [Signal::WINCH, Signal::HUP, Signal::USR1] {
        let end = match signal {
            Signal::WINCH => End::Exited(0),
            _ => End::Killed(signal.as_raw()),
        };
        assert_eq!(outside(signal), [end; 2], "{signal}");
        receive(signal);
    }
}

// go: TestNohup (nohup)
fn under_nohup_an_uncaught_one_does_no_harm() {
    ignore(Signal::HUP);
    assert_eq!(outside(Signal::HUP), [End::Exited(0); 2]);
}

// go: TestSIGCONT
fn the_continuation_is_received() {
    receive(Signal::CONT);
}

/// A thread of the process sends it.
// go: TestAtomicStop
fn one_that_races_with_the_end_is_received_or_ends_the_process() {
    const RECEIVED: i32 = 7;
    const LOST: i32 = 8;
    for (round, comes) in Comes::in_rounds(racing_rounds()) {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        let child = Child::fork(|| {
            let signals = open(Signal::INT).unwrap();
            let send = || thread::spawn(|| kill(pid(), Signal::INT));
            let send_now = || send().join().unwrap();
            let mut sender = None;
            let received = match comes {
                Comes::BeforeItLooks => {
                    send_now();
                    signals.wait_timeout(DEADLINE).unwrap().is_some()
                }
                Comes::BeforeItEnds => {
                    send_now();
                    false
                }
                Comes::Meanwhile => {
                    sender = Some(send());
                    look_for_a_while(&signals, round)
                }
                Comes::AfterItHasEnded => false,
            };
            if received {
                theirs.write_all(b"r").unwrap();
            }
            drop(signals);
            if comes == Comes::AfterItHasEnded {
                send_now();
            }
            if let Some(sender) = sender {
                sender.join().unwrap();
            }
            // It has been sent, and nobody blocks it: this ends the process.
            thread::yield_now();
            if received { RECEIVED } else { LOST }
        });
        drop(theirs);
        let end = child.wait();
        let mut said = Vec::new();
        ours.read_to_end(&mut said).unwrap();
        let received = said == b"r";
        let expected = if received {
            End::Exited(RECEIVED)
        } else {
            End::Killed(libc::SIGINT)
        };
        assert_eq!(end, expected, "{comes:?}, round {round}");
        assert!(comes.allows(received), "{comes:?}: {received}");
    }
}

/// Also by the handler, which runs in a thread that has unblocked the signal.
// go: TestTime
fn who_asks_for_the_time_in_a_storm_is_not_disturbed() {
    let count = up_to_ten_thousand();
    let signals = options().every_thread(true).open(rt(0)).unwrap();
    let parent = pid();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let asker = scope.spawn(|| {
            let (mut last, mut asked) = (Instant::now(), 0);
            loop {
                set_mask(SignalSet::empty());
                for _ in 0..100 {
                    let now = Instant::now();
                    assert!(now >= last, "time goes backwards");
                    last = now;
                }
                asked += 1;
                if is_over.load(Ordering::Relaxed) {
                    return asked;
                }
            }
        });
        let sender = Child::fork(|| {
            for value in 0..count {
                wait_until("there is room in the queue", || {
                    crate::common::sigqueue(parent, rt(0), value).is_ok()
                });
            }
            0
        });
        let mut values: Vec<_> = (0..count)
            .map(|_| signals.wait().unwrap().value().unwrap())
            .collect();
        is_over.store(true, Ordering::Relaxed);
        values.sort_unstable();
        assert!(values.into_iter().eq(0..count), "each of them once");
        assert!(asker.join().unwrap() > 0);
        sender.wait_for_success();
    });
    assert_eq!(look(&signals), None);
}

// go: TestNotifyContextNotifications
fn more_than_one_do_no_harm_while_the_scope_is_open() {
    for count in [1, 10] {
        let signals = open(Signal::INT).unwrap();
        let threads: Vec<_> = (0..count)
            .map(|_| thread::spawn(|| kill(pid(), Signal::INT)))
            .collect();
        let until = block_on(signals.until(pending::<()>())).unwrap();
        assert!(matches!(until, Ok(Until::Signal(_))), "{until:?}");
        for thread in threads {
            thread.join().unwrap();
        }
        kill(pid(), Signal::INT);
        // What is left would end the process with the scope.
        take_all(&signals);
    }
}

// go: TestNotifyContextStop
fn what_was_ignored_is_received_inside_and_ignored_afterwards() {
    ignore(Signal::HUP);
    let before = action(Signal::HUP);
    let signals = open(Signal::HUP).unwrap();
    kill(pid(), Signal::HUP);
    let until = block_on(signals.until(pending::<()>())).unwrap();
    assert!(matches!(until, Ok(Until::Signal(_))), "{until:?}");
    drop(signals);
    assert_eq!(action(Signal::HUP), before);
    kill(pid(), Signal::HUP);
}

// go: TestNotifyContextCancelParent
fn work_ends_with_the_work_that_it_is_a_part_of() {
    let outer = open(Signal::TERM).unwrap();
    let part = async {
        let inner = open(Signal::INT).unwrap();
        kill(pid(), Signal::TERM);
        inner.until(pending::<()>()).await
    };
    let until = block_on(outer.until(part)).unwrap().unwrap();
    let Until::Signal(info) = until else { panic!("{until:?}") };
    assert_eq!(info.signal(), Signal::TERM);
    assert_eq!(mask::current(), Ok(Signal::TERM.into()));
}

// go: TestNotifyContextPrematureCancelParent
fn work_that_is_over_already_is_not_begun() {
    let signals = open(Signal::INT).unwrap();
    kill(pid(), Signal::INT);
    let until = block_on(signals.until(ready(7))).unwrap();
    assert_eq!(until, Ok(Until::Done(7)));
    // And the signal has not been taken for it.
    assert_eq!(wait(&signals), Signal::INT);
}

// go: TestNotifyContextSimultaneousStop
fn ten_threads_at_once_may_take_the_same_signal_out() {
    let signals = open(Signal::INT | Signal::TERM).unwrap();
    let receiver: &Receiver = &signals;
    for _ in 0..racing_rounds() {
        thread::scope(|scope| {
            for _ in 0..10 {
                scope.spawn(|| receiver.remove(Signal::INT).unwrap());
            }
        });
        assert_eq!(receiver.signals(), Signal::TERM.into());
        let last = receiver.remove(Signal::TERM);
        assert_eq!(last, Err(Error::EmptySet));
        kill(pid(), Signal::TERM);
        assert_eq!(wait(receiver), Signal::TERM);
        receiver.insert(Signal::INT).unwrap();
        kill(pid(), Signal::INT);
        assert_eq!(wait(receiver), Signal::INT);
    }
}

// go: TestNotifyContextStringer
fn a_receiver_says_what_it_is_for() {
    let set = Signal::HUP | Signal::INT | Signal::TERM;
    let signals = open(set).unwrap();
    assert_eq!(set.to_string(), "SIGHUP|SIGINT|SIGTERM");
    let text = format!("{signals:?}");
    assert!(text.contains("SIGHUP|SIGINT|SIGTERM"), "{text}");
}

// go: ExampleNotifyContext, ExampleNotify
fn work_is_cancelled_by_control_c() {
    let signals = open(Signal::INT).unwrap();
    let until = block_on(signals.until(async {
        kill(pid(), Signal::INT);
        pending::<()>().await;
    }));
    let Ok(Until::Signal(info)) = until.unwrap() else {
        panic!("the work is never done");
    };
    assert_eq!(info.signal(), Signal::INT);
    let own =
        Sender::Verified { pid: std::process::id(), uid: crate::common::uid() };
    assert_eq!(info.sender(), own);
}

// go: ExampleNotify_allSignals
fn any_signal_can_be_asked_for() {
    let all = SignalSet::all();
    let signals = open(all).unwrap();
    // To stop and to continue remove each other, so one at a time.
    for signal in all.signals() {
        kill(pid(), signal);
        assert_eq!(wait(&signals), signal);
    }
    assert_eq!(look(&signals), None);
}

/// The threads are interrupted by the handler that makes them block a signal. This
/// one unblocks it again each time.
// go: TestSignalTrace
fn signals_go_on_while_all_threads_are_interrupted() {
    let signals = open(Signal::HUP).unwrap();
    // This thread blocks it already.
    let _guard = block(Signal::USR1).unwrap();
    let receiver: &Receiver = &signals;
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                set_mask(Signal::HUP.into());
                kill(pid(), Signal::HUP);
                assert_eq!(wait(receiver), Signal::HUP);
            }
        });
        let mut healed = 0;
        while healed < 10 {
            let every = mask::block_every_thread(Signal::USR1).unwrap();
            healed += every.healed();
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(look(&signals), None);
}

// go: TestAllThreadsSyscallSignals
fn a_thread_that_waits_is_reached_and_told_nothing() {
    let signals = open(Signal::INT).unwrap();
    let receiver: &Receiver = &signals;
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        let waiter = scope.spawn(move || {
            tell.send(tid()).unwrap();
            receiver.wait().unwrap()
        });
        let tid = told.recv().unwrap();
        // This thread blocks them already.
        let _guard = block((0..20).map(rt).collect::<SignalSet>()).unwrap();
        for n in 0..20 {
            wait_until_asleep(tid);
            let every = mask::block_every_thread(rt(n)).unwrap();
            assert_eq!((every.healed(), every.late()), (1, Ok(None)));
        }
        assert!(!waiter.is_finished());
        kill(pid(), Signal::INT);
        let info = waiter.join().unwrap();
        assert_eq!((info.signal(), info.cause()), (Signal::INT, Cause::Kill));
    });
}

// go: TestResetIgnore
fn an_action_that_is_reset_meanwhile_stays_reset() {
    let signals = [
        Signal::HUP,
        Signal::INT,
        Signal::USR1,
        Signal::TERM,
        Signal::CHLD,
        Signal::WINCH,
    ];
    for every_thread in [false, true] {
        for signal in signals {
            ignore(signal);
            let options = options().every_thread(every_thread);
            let scope = options.open(signal).unwrap();
            set_action(signal, libc::SIG_DFL, 0);
            drop(scope);
            assert_eq!(action(signal).0, libc::SIG_DFL, "{signal}");
            assert!(!ignored_by_a_child().has(signal), "{signal}");
        }
    }
}

// go: TestInitiallyIgnoredResetIgnore
fn what_was_ignored_from_the_start_stays_so() {
    for signal in [Signal::INT, Signal::HUP] {
        ignore(signal);
        for every_thread in [false, true] {
            let options = options().every_thread(every_thread);
            let scope = options.open(signal | Signal::USR1).unwrap();
            scope.remove(signal).unwrap();
            assert_eq!(action(signal).0, libc::SIG_IGN, "{signal}");
            drop(scope);
            assert_eq!(action(signal).0, libc::SIG_IGN, "{signal}");
            assert!(ignored_by_a_child().has(signal), "{signal}");
            kill(pid(), signal);
        }
    }
}

/// Makes a terminal: our end, and the name of the program's.
fn terminal() -> (File, String) {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: takes a number.
    let Ok(fd) = check_value(unsafe { libc::posix_openpt(flags) }) else {
        skip("there are no terminals here");
    };
    // SAFETY: the call has just made the descriptor.
    let ours = unsafe { File::from_raw_fd(fd) };
    // SAFETY: takes a descriptor.
    check(unsafe { libc::grantpt(fd) }).unwrap();
    // SAFETY: takes a descriptor.
    check(unsafe { libc::unlockpt(fd) }).unwrap();
    let mut name = [0_u8; 64];
    // SAFETY: writes a string of at most that size at the pointer.
    let result =
        unsafe { libc::ptsname_r(fd, name.as_mut_ptr().cast(), name.len()) };
    assert_eq!(result, 0);
    let end = name.iter().position(|&byte| byte == 0).unwrap();
    let name = String::from_utf8(name[..end].to_vec()).unwrap();
    if File::open(&name).is_err() {
        skip("the names of terminals are not mounted here");
    }
    (ours, name)
}

fn set_foreground(terminal: &File, group: i32) {
    // SAFETY: takes a descriptor and a number.
    check(unsafe { libc::tcsetpgrp(terminal.as_raw_fd(), group) }).unwrap();
}

/// Runs a program in the foreground of a terminal, in the session of a shell. It is
/// given the terminal; once it says that it is ready, Ctrl-Z is typed. It has to
/// stop. The shell takes the terminal meanwhile and gives it back, as `fg` does, and
/// then a line is typed.
fn stop_and_go_on_in_a_terminal(
    program: impl FnOnce(&File, &mut dyn FnMut()) -> i32,
) {
    let (mut ours, name) = terminal();
    let (mut told, mut tell) = UnixStream::pair().unwrap();
    let shell = Child::fork(|| {
        // SAFETY: has no preconditions.
        check(unsafe { libc::setsid() }).unwrap();
        // Opened by the leader of a session it becomes that one's terminal.
        let terminal =
            OpenOptions::new().read(true).write(true).open(&name).unwrap();
        // A shell changes the foreground from the background.
        ignore(Signal::TTOU);
        let (mut begin, mut may_begin) = UnixStream::pair().unwrap();
        let child = Child::fork(|| {
            set_action(Signal::TTOU, libc::SIG_DFL, 0);
            begin.read_exact(&mut [0]).unwrap();
            let mut say_ready = || tell.write_all(b"r").unwrap();
            program(&terminal, &mut say_ready)
        });
        // SAFETY: takes numbers.
        check(unsafe { libc::setpgid(child.pid, child.pid) }).unwrap();
        set_foreground(&terminal, child.pid);
        may_begin.write_all(&[0]).unwrap();
        let mut status = 0;
        // SAFETY: writes an int at the pointer, which lives past the call.
        let result = unsafe {
            libc::waitpid(child.pid, &raw mut status, libc::WUNTRACED)
        };
        check(result).unwrap();
        assert!(libc::WIFSTOPPED(status), "{status:#x}");
        assert_eq!(libc::WSTOPSIG(status), libc::SIGTSTP);
        set_foreground(&terminal, pid());
        set_foreground(&terminal, child.pid);
        kill(child.pid, Signal::CONT);
        tell.write_all(b"c").unwrap();
        child.wait_for_success();
        0
    });
    drop(tell);
    let mut next = || {
        let mut byte = [0];
        told.read_exact(&mut byte).map(|()| byte[0])
    };
    assert_eq!(next().unwrap(), b'r');
    ours.write_all(&[26]).unwrap();
    assert_eq!(next().unwrap(), b'c');
    ours.write_all(b"\n").unwrap();
    shell.wait_for_success();
}

fn read_line(mut terminal: &File) -> u8 {
    let mut byte = [0];
    terminal.read_exact(&mut byte).unwrap();
    byte[0]
}

// go: TestTerminalSignal
fn reading_a_terminal_goes_on_after_a_stop() {
    stop_and_go_on_in_a_terminal(|terminal, say_ready| {
        let signals = open(Signal::CONT | Signal::WINCH).unwrap();
        say_ready();
        assert_eq!(read_line(terminal), b'\n');
        assert_eq!(wait(&signals), Signal::CONT);
        assert_eq!(look(&signals), None);
        0
    });
}

// go: TestTerminalSignal, for a program that receives the stop
fn a_stop_from_the_terminal_is_received_and_obeyed() {
    stop_and_go_on_in_a_terminal(|terminal, say_ready| {
        let signals = open(Signal::TSTP | Signal::CONT).unwrap();
        say_ready();
        let info = signals.wait().unwrap();
        assert_eq!(info.signal(), Signal::TSTP);
        assert_eq!(info.sender(), Sender::Kernel);
        if battery().reads_ahead() {
            // The ring must not have it.
            signals.remove(Signal::TSTP).unwrap();
        }
        suspend(|| (), || ()).unwrap();
        assert_eq!(wait(&signals), Signal::CONT);
        assert_eq!(read_line(terminal), b'\n');
        assert_eq!(look(&signals), None);
        0
    });
}

// go: runtime, TestSignalExitStatus
fn the_parent_sees_the_signal() {
    let unhandled = Child::fork(|| {
        receive(Signal::TERM);
        kill(pid(), Signal::TERM);
        0
    });
    assert_eq!(unhandled.wait(), End::Killed(libc::SIGTERM));
    let cleaned_up = Child::fork(|| {
        let signals = open(Signal::TERM).unwrap();
        kill(pid(), Signal::TERM);
        signals.wait().unwrap().signal().die()
    });
    assert_eq!(cleaned_up.wait(), End::Killed(libc::SIGTERM));
}

// go: runtime, TestSignalIgnoreSIGTRAP
fn an_ignored_trap_does_no_harm() {
    ignore(Signal::TRAP);
    kill(pid(), Signal::TRAP);
    receive(Signal::TRAP);
    kill(pid(), Signal::TRAP);
}

// go: runtime, TestSignalDuringExec
fn programs_are_started_while_signals_come() {
    // SAFETY: takes numbers.
    check(unsafe { libc::setpgid(0, 0) }).unwrap();
    let signals = open(Signal::WINCH | Signal::USR1).unwrap();
    let saved = signals.guard().saved();
    for _ in 0..racing_rounds() {
        let starter = thread::spawn(move || {
            let mut command = Command::new("true");
            command.restore_signals(saved).status().unwrap()
        });
        let sender = thread::spawn(|| kill(-pid(), Signal::WINCH));
        assert_eq!(wait(&signals), Signal::WINCH);
        assert!(starter.join().unwrap().success());
        sender.join().unwrap();
    }
    assert_eq!(look(&signals), None);
}

// go: runtime, TestSignalM
fn one_for_a_thread_is_received_there() {
    let signals = open(Signal::USR1).unwrap();
    let (tell, told) = mpsc::channel();
    let other = thread::spawn(move || {
        let receiver = receiver_for(Signal::USR1).unwrap();
        tell.send(tid()).unwrap();
        (wait(&receiver), look(&receiver))
    });
    tgkill(told.recv().unwrap(), Signal::USR1);
    assert_eq!(other.join().unwrap(), (Signal::USR1, None));
    assert_eq!(look(&signals), None);
}

// go: runtime, TestSignalBogus
fn a_number_that_is_no_signal_is_refused() {
    let number = 0xdead;
    assert_eq!(Signal::try_from(number), Err(Error::InvalidNumber(number)));
    // And the rest works.
    receive(Signal::USR1);
}

// go: runtime, TestSignalPid1
fn pid_1_has_the_exit_status_of_the_signal() {
    let (mut ours, mut theirs) = UnixStream::pair().unwrap();
    let child = fork_pid_1(|| {
        let mut shutdown: Shutdown = options().shutdown(Signal::TERM).unwrap();
        theirs.write_all(&[0]).unwrap();
        let info = shutdown.wait().unwrap();
        assert_eq!(info.sender(), Sender::Unknown, "it is from outside");
        shutdown.die();
        0
    });
    ours.read_exact(&mut [0]).unwrap();
    kill(child.pid, Signal::TERM);
    assert_eq!(child.wait(), End::Exited(128 + libc::SIGTERM));
}
