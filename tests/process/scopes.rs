//! What happens to signals when a scope ends.

use signalfd::{Error, Signal, block, mask};

use crate::common::{Child, End, kill, open, pid, receiver_for, sigqueue};
use crate::harness::cases;

cases! {
    open_blocks_receives_and_restores,
    a_mask_that_was_partly_blocked_comes_back_as_it_was,
    an_unread_signal_reaches_the_outer_receiver,
    an_unread_signal_takes_its_default_action => libc::SIGTERM,
    an_unread_real_time_signal_takes_its_default_action => 40,
    a_removed_signal_takes_its_default_action => libc::SIGUSR1,
    a_signal_put_back_ends_the_process_by_itself => libc::SIGTERM,
    an_ignored_signal_is_received_while_it_is_blocked,
    signals_that_are_ignored_by_default_are_received,
    ignored_children_send_nothing,
    kill_still_kills => libc::SIGKILL,
    a_failed_open_leaves_no_trace,
    a_receiver_can_go_to_another_thread_and_outlive_the_scope_there,
    children_see_nothing_of_the_descriptor,
}

fn open_blocks_receives_and_restores() {
    let before = mask::current().unwrap();
    assert!(before.is_empty());
    let signals = open(Signal::HUP | Signal::TERM).unwrap();
    assert_eq!(mask::current().unwrap(), Signal::HUP | Signal::TERM);
    kill(pid(), Signal::HUP);
    kill(pid(), Signal::TERM);
    assert_eq!(signals.wait().unwrap().signal(), Signal::HUP);
    assert_eq!(signals.wait().unwrap().signal(), Signal::TERM);
    assert_eq!(signals.try_recv().unwrap(), None);
    drop(signals);
    assert_eq!(mask::current().unwrap(), before);
}

fn a_mask_that_was_partly_blocked_comes_back_as_it_was() {
    let _outer = block(Signal::HUP).unwrap();
    for _ in 0..3 {
        let signals = open(Signal::HUP | Signal::TERM).unwrap();
        let inner = open(Signal::TERM | Signal::USR1).unwrap();
        drop(inner);
        assert_eq!(mask::current().unwrap(), Signal::HUP | Signal::TERM);
        drop(signals);
        assert_eq!(mask::current().unwrap(), Signal::HUP.into());
    }
}

fn an_unread_signal_reaches_the_outer_receiver() {
    let rt = Signal::rt(1).unwrap();
    let outer = open(Signal::TERM | rt).unwrap();
    let inner = open(Signal::TERM | rt).unwrap();
    kill(pid(), Signal::TERM);
    for value in 0..3 {
        sigqueue(pid(), rt, value).unwrap();
    }
    if crate::battery().reads_ahead() {
        // Either ring may have read them. What the inner one has goes back.
        let one = usize::from(inner.try_recv().unwrap().is_some());
        drop(inner);
        let rest = std::iter::from_fn(|| outer.try_recv().unwrap()).count();
        assert_eq!(one + rest, 4);
        return;
    }
    assert_eq!(inner.wait().unwrap().signal(), Signal::TERM);
    assert_eq!(inner.wait().unwrap().value(), Some(0));
    drop(inner);
    assert_eq!(outer.wait().unwrap().value(), Some(1));
    assert_eq!(outer.wait().unwrap().value(), Some(2));
}

fn an_unread_signal_takes_its_default_action() {
    let signals = open(Signal::TERM).unwrap();
    kill(pid(), Signal::TERM);
    drop(signals);
}

fn an_unread_real_time_signal_takes_its_default_action() {
    let signal = Signal::try_from(40).unwrap();
    let signals = open(signal).unwrap();
    sigqueue(pid(), signal, 1).unwrap();
    drop(signals);
}

fn a_removed_signal_takes_its_default_action() {
    let signals = open(Signal::USR1 | Signal::USR2).unwrap();
    kill(pid(), Signal::USR1);
    signals.remove(Signal::USR2).unwrap();
    signals.insert(Signal::USR2).unwrap();
    signals.remove(Signal::USR1).unwrap();
}

fn a_signal_put_back_ends_the_process_by_itself() {
    let signals = open(Signal::TERM).unwrap();
    kill(pid(), Signal::TERM);
    let info = signals.wait().unwrap();
    signals.put_back(&info).unwrap();
    drop(signals);
}

fn an_ignored_signal_is_received_while_it_is_blocked() {
    // SAFETY: sets the action to ignore the signal.
    #[expect(unsafe_code, reason = "as nohup(1) does")]
    unsafe {
        libc::signal(libc::SIGHUP, libc::SIG_IGN)
    };
    let signals = open(Signal::HUP).unwrap();
    kill(pid(), Signal::HUP);
    assert_eq!(signals.wait().unwrap().signal(), Signal::HUP);
}

fn signals_that_are_ignored_by_default_are_received() {
    let set = Signal::CHLD | Signal::WINCH | Signal::URG | Signal::CONT;
    let signals = open(set).unwrap();
    for signal in set.signals() {
        kill(pid(), signal);
        assert_eq!(signals.wait().unwrap().signal(), signal);
    }
}

/// With `SIG_IGN` for `SIGCHLD` the kernel reaps the children and says nothing.
fn ignored_children_send_nothing() {
    // SAFETY: sets the action to ignore the signal.
    #[expect(unsafe_code, reason = "as some parents leave it")]
    unsafe {
        libc::signal(libc::SIGCHLD, libc::SIG_IGN)
    };
    let signals = open(Signal::CHLD).unwrap();
    let child = Child::fork(|| 0);
    let gone = || {
        // SAFETY: takes numbers, and sends nothing.
        #[expect(unsafe_code, reason = "asks whether a process is there")]
        let result = unsafe { libc::kill(child.pid, 0) };
        result == -1
    };
    crate::common::wait_until("the child has been reaped", gone);
    assert_eq!(signals.try_recv(), Ok(None));
}

fn kill_still_kills() {
    let _signals = open(signalfd::SignalSet::all()).unwrap();
    kill(pid(), Signal::KILL);
}

fn a_failed_open_leaves_no_trace() {
    let before = crate::common::open_descriptors();
    let set = Signal::KILL | Signal::TERM;
    assert_eq!(open(set).unwrap_err(), Error::Unblockable(Signal::KILL.into()));
    assert!(mask::current().unwrap().is_empty());
    assert_eq!(crate::common::open_descriptors(), before);
    drop(open(Signal::TERM).unwrap());
    assert_eq!(crate::common::open_descriptors(), before);
}

fn a_receiver_can_go_to_another_thread_and_outlive_the_scope_there() {
    let _guard = block(Signal::TERM).unwrap();
    let receiver = receiver_for(Signal::TERM).unwrap();
    let thread = std::thread::spawn(move || receiver.wait().unwrap());
    kill(pid(), Signal::TERM);
    assert_eq!(thread.join().unwrap().signal(), Signal::TERM);
}

fn children_see_nothing_of_the_descriptor() {
    let signals = open(Signal::USR1).unwrap();
    kill(pid(), Signal::USR1);
    // The first wait makes the second descriptor.
    signals.wait().unwrap();
    let listing = std::process::Command::new("ls")
        .args(["-l", "/proc/self/fd"])
        .output()
        .unwrap();
    let listing = String::from_utf8(listing.stdout).unwrap();
    assert!(!listing.contains("signalfd"), "{listing}");
    // A forked child has them, and its end leaves the parent's alone.
    let end = Child::fork(|| 3).wait();
    assert_eq!(end, End::Exited(3));
    kill(pid(), Signal::USR1);
    assert_eq!(signals.wait().unwrap().signal(), Signal::USR1);
}
