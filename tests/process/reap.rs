//! Waiting for children.

use std::collections::HashMap;
use std::io::Read;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

use rustix::process::{Pid, WaitId, WaitIdOptions};
use signalfd::{ChildState, Error, Exit, Reaper, Signal};

use crate::common::{Child, End, check, forbid, kill, open, pid};
use crate::harness::{cases, racing_rounds, skip};

cases! {
    children_that_end_at_once_are_each_reported_once,
    one_signal_stands_for_many_children,
    a_child_that_ended_before_it_was_added_is_reported,
    a_child_that_runs_is_not_waited_for,
    a_child_of_the_standard_library_is_left_to_it,
    a_child_that_was_removed_is_left_to_others,
    a_child_that_was_reported_makes_room,
    a_child_that_others_have_waited_for_is_reported_as_none,
    a_process_that_is_no_child_is_reported_as_none,
    ignored_children_are_reported_as_none,
    a_forked_child_has_none_of_the_children,
    what_an_iterator_has_not_come_to_is_reported_by_the_next,
    an_exit_is_the_status_of_the_standard_library,
    a_sandbox_that_forbids_waiting_is_told_of_each_time,
    a_traced_child_that_stops_has_not_ended,
}

const CHILDREN: i32 = 50;

/// How the child with this number ends.
const fn end_of(number: i32) -> End {
    match number % 5 {
        3 => End::Killed(libc::SIGTERM),
        4 => End::Killed(libc::SIGKILL),
        _ => End::Exited(number),
    }
}

/// Ends this process.
fn end(end: End) -> i32 {
    match end {
        End::Exited(code) => code,
        End::Killed(signal) => {
            kill(pid(), Signal::try_from(signal).unwrap());
            unreachable!("the signal is not blocked");
        }
    }
}

fn id(child: &Child) -> u32 {
    child.pid.try_into().unwrap()
}

/// How a child has ended, as the reaper says.
fn said(exit: Exit) -> End {
    match exit.state() {
        ChildState::Exited => End::Exited(exit.status()),
        ChildState::Killed => End::Killed(exit.status()),
        other => panic!("{other}"),
    }
}

/// Waits until a child has ended, and leaves it to be waited for.
fn wait_until_ended(child: &Child) {
    wait_until_changed(child, WaitIdOptions::EXITED);
}

fn wait_until_changed(child: &Child, how: WaitIdOptions) {
    let id = WaitId::Pid(Pid::from_raw(child.pid).unwrap());
    let options = how | WaitIdOptions::NOWAIT;
    rustix::process::waitid(id, options).unwrap();
}

/// A child that has ended.
fn ended(code: i32) -> Child {
    let child = Child::fork(|| code);
    wait_until_ended(&child);
    child
}

/// Waits for all that a reaper has, without a signal to wait for.
fn all<const N: usize>(reaper: &mut Reaper<N>) -> Vec<Result<Exit, Error>> {
    reaper.reap().collect()
}

fn children_that_end_at_once_are_each_reported_once() {
    let signals = open(Signal::CHLD).unwrap();
    // A thousand of them.
    for _ in 0..racing_rounds() / CHILDREN {
        let mut reaper = Reaper::<{ CHILDREN as usize }>::new();
        let (gate, mut wait) = UnixStream::pair().unwrap();
        let mut expected = HashMap::new();
        for number in 0..CHILDREN {
            let child = Child::fork(|| {
                let opened = wait.read(&mut [0]).unwrap();
                assert_eq!(opened, 0);
                end(end_of(number))
            });
            reaper.add(id(&child)).unwrap();
            expected.insert(id(&child), end_of(number));
        }
        assert_eq!(reaper.add(1), Err(Error::TooManyChildren));
        assert_eq!(reaper.reap().count(), 0);
        gate.shutdown(Shutdown::Write).unwrap();
        loop {
            for exit in reaper.reap() {
                let exit = exit.unwrap();
                assert_eq!(expected.remove(&exit.pid()), Some(said(exit)));
            }
            assert_eq!(reaper.len(), expected.len());
            if reaper.is_empty() {
                break;
            }
            signals.wait().unwrap();
        }
        assert_eq!(reaper.reap().count(), 0);
    }
}

fn one_signal_stands_for_many_children() {
    let signals = open(Signal::CHLD).unwrap();
    let mut reaper = Reaper::<{ CHILDREN as usize }>::new();
    let mut expected = HashMap::new();
    for number in 0..CHILDREN {
        let child = Child::fork(|| end(end_of(number)));
        wait_until_ended(&child);
        reaper.add(id(&child)).unwrap();
        expected.insert(id(&child), end_of(number));
    }
    assert_eq!(signals.wait().unwrap().signal(), Signal::CHLD);
    if !crate::battery().reads_ahead() {
        assert_eq!(signals.try_recv(), Ok(None));
    }
    for exit in reaper.reap() {
        let exit = exit.unwrap();
        assert_eq!(expected.remove(&exit.pid()), Some(said(exit)));
    }
    assert!(expected.is_empty() && reaper.is_empty());
}

fn a_child_that_ended_before_it_was_added_is_reported() {
    let signals = open(Signal::CHLD).unwrap();
    let child = ended(7);
    // The signal is gone before the child is known.
    signals.wait().unwrap();
    let mut reaper = Reaper::<1>::new();
    reaper.add(id(&child)).unwrap();
    let exit = reaper.reap().next().unwrap().unwrap();
    assert_eq!((exit.pid(), exit.status()), (id(&child), 7));
    assert_eq!(exit.state(), ChildState::Exited);
}

fn a_child_that_runs_is_not_waited_for() {
    let mut reaper = Reaper::<2>::new();
    let (gate, mut wait) = UnixStream::pair().unwrap();
    let child = Child::fork(|| i32::from(wait.read(&mut [0]).is_err()));
    let other = ended(0);
    reaper.add(id(&child)).unwrap();
    reaper.add(id(&other)).unwrap();
    let exits = all(&mut reaper);
    assert_eq!(exits.len(), 1);
    assert_eq!(exits[0].unwrap().pid(), id(&other));
    assert_eq!(reaper.len(), 1);
    gate.shutdown(Shutdown::Write).unwrap();
    wait_until_ended(&child);
    assert_eq!(all(&mut reaper).len(), 1);
    assert!(reaper.is_empty());
}

fn a_child_of_the_standard_library_is_left_to_it() {
    let mut theirs = Command::new("true").spawn().unwrap();
    let ours = ended(3);
    let mut reaper = Reaper::<8>::new();
    reaper.add(id(&ours)).unwrap();
    wait_until_ended(&Child { pid: theirs.id().try_into().unwrap() });
    let exits = all(&mut reaper);
    assert_eq!(exits.len(), 1);
    assert_eq!(exits[0].unwrap().pid(), id(&ours));
    assert!(theirs.wait().unwrap().success());
}

fn a_child_that_was_removed_is_left_to_others() {
    let child = ended(3);
    let mut reaper = Reaper::<2>::new();
    reaper.add(id(&child)).unwrap();
    assert!(reaper.remove(id(&child)));
    assert!(!reaper.remove(id(&child)));
    assert_eq!(reaper.reap().count(), 0);
    assert_eq!(child.wait(), End::Exited(3));
}

fn a_child_that_was_reported_makes_room() {
    let mut reaper = Reaper::<2>::new();
    for code in 0..10 {
        let (one, two) = (ended(code), ended(code + 1));
        reaper.add(id(&one)).unwrap();
        reaper.add(id(&two)).unwrap();
        assert_eq!(reaper.add(id(&one)), Ok(()), "it is there already");
        assert_eq!(reaper.add(1), Err(Error::TooManyChildren));
        let codes: Vec<_> =
            reaper.reap().map(|exit| exit.unwrap().status()).collect();
        assert_eq!(codes, [code, code + 1]);
    }
}

fn a_child_that_others_have_waited_for_is_reported_as_none() {
    let mut reaper = Reaper::<2>::new();
    let (gone, there) = (Child::fork(|| 1), ended(2));
    let pid = id(&gone);
    reaper.add(pid).unwrap();
    reaper.add(id(&there)).unwrap();
    assert_eq!(gone.wait(), End::Exited(1));
    let exits = all(&mut reaper);
    assert_eq!(exits[0], Err(Error::NoSuchChild(pid)));
    assert_eq!(exits[1].unwrap().status(), 2, "it goes on");
    assert_eq!(all(&mut reaper), [], "it is said once");
    assert!(reaper.is_empty());
}

fn a_process_that_is_no_child_is_reported_as_none() {
    let mut reaper = Reaper::<3>::new();
    // This process, its parent, and a number beyond all processes.
    for pid in
        [std::process::id(), std::os::unix::process::parent_id(), 1 << 30]
    {
        reaper.add(pid).unwrap();
        assert_eq!(all(&mut reaper), [Err(Error::NoSuchChild(pid))]);
    }
}

fn ignored_children_are_reported_as_none() {
    // SAFETY: sets the action to ignore the signal.
    #[expect(unsafe_code, reason = "as some parents leave it")]
    unsafe {
        libc::signal(libc::SIGCHLD, libc::SIG_IGN)
    };
    let mut reaper = Reaper::<1>::new();
    let (gate, mut wait) = UnixStream::pair().unwrap();
    let child = Child::fork(|| i32::from(wait.read(&mut [0]).is_err()));
    reaper.add(id(&child)).unwrap();
    assert_eq!(reaper.reap().count(), 0, "it runs");
    gate.shutdown(Shutdown::Write).unwrap();
    let mut exits = Vec::new();
    crate::common::wait_until("the child is gone", || {
        exits = all(&mut reaper);
        !exits.is_empty()
    });
    assert_eq!(exits, [Err(Error::NoSuchChild(id(&child)))]);
}

fn a_forked_child_has_none_of_the_children() {
    let child = ended(7);
    let mut reaper = Reaper::<1>::new();
    reaper.add(id(&child)).unwrap();
    Child::fork(|| {
        let none = Err(Error::NoSuchChild(id(&child)));
        assert_eq!(all(&mut reaper), [none]);
        0
    })
    .wait_for_success();
    assert_eq!(all(&mut reaper)[0].unwrap().status(), 7);
}

fn what_an_iterator_has_not_come_to_is_reported_by_the_next() {
    let mut reaper = Reaper::<3>::new();
    for code in 0..3 {
        reaper.add(id(&ended(code))).unwrap();
    }
    for left in [2, 1, 0] {
        assert!(reaper.reap().next().unwrap().is_ok());
        assert_eq!(reaper.len(), left);
    }
}

fn an_exit_is_the_status_of_the_standard_library() {
    for code in ["exit 0", "exit 255", "kill -TERM $$", "kill -ABRT $$"] {
        let mut reaper = Reaper::<1>::new();
        let run = || Command::new("sh").args(["-c", code]).spawn().unwrap();
        let (mut theirs, ours) = (run(), run());
        reaper.add(ours.id()).unwrap();
        wait_until_ended(&Child { pid: ours.id().try_into().unwrap() });
        let exit = reaper.reap().next().unwrap().unwrap();
        let status = ExitStatus::from(exit);
        assert_eq!(status, theirs.wait().unwrap());
        let is_dumped = exit.state() == ChildState::Dumped;
        assert_eq!(status.core_dumped(), is_dumped);
    }
}

fn a_sandbox_that_forbids_waiting_is_told_of_each_time() {
    let mut reaper = Reaper::<1>::new();
    reaper.add(id(&ended(0))).unwrap();
    forbid(libc::SYS_waitid, libc::EPERM);
    for _ in 0..2 {
        let error = reaper.reap().next().unwrap().unwrap_err();
        assert_eq!(error.op(), Some(signalfd::Op::Waitid));
        assert_eq!(error.raw_os_error(), Some(libc::EPERM));
        assert_eq!(reaper.len(), 1);
    }
}

fn a_traced_child_that_stops_has_not_ended() {
    let trace = |request, pid: i32| {
        let nothing = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: neither of the two requests reads or writes memory.
        #[expect(unsafe_code, reason = "ptrace(2)")]
        let result = unsafe { libc::ptrace(request, pid, nothing, nothing) };
        check(result)
    };
    let mut reaper = Reaper::<1>::new();
    let child = Child::fork(|| {
        if trace(libc::PTRACE_TRACEME, 0).is_err() {
            return 77;
        }
        kill(pid(), Signal::STOP);
        3
    });
    wait_until_changed(&child, WaitIdOptions::EXITED | WaitIdOptions::STOPPED);
    reaper.add(id(&child)).unwrap();
    if reaper.reap().next().is_some() {
        skip("ptrace(2) is forbidden");
    }
    assert_eq!(reaper.len(), 1);
    trace(libc::PTRACE_CONT, child.pid).unwrap();
    wait_until_ended(&child);
    assert_eq!(all(&mut reaper)[0].unwrap().status(), 3);
}
