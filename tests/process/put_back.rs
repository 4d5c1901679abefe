//! Records that go back to the kernel.

use std::future::pending;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};

use signalfd::{
    Cause, ChildState, Error, Op, Sender, SigInfo, Signal, block_on,
};

use crate::common::{
    Child, Forged, be_an_older_kernel, can_queue_any_code, kernel_is_from,
    kill, open, pid, set_limit, sigqueue, uid,
};
use crate::harness::cases;

cases! {
    from_the_main_thread_a_record_comes_back_as_it_was,
    from_any_thread_it_does_on_newer_kernels,
    from_another_thread_a_record_comes_back_but_for_the_sender,
    with_a_full_queue_a_standard_signal_keeps_its_sender_on_newer_kernels,
    what_came_back_from_another_thread_is_never_verified_again,
    the_private_code_sent_by_another_process_is_only_claimed,
    a_record_goes_to_the_back_of_the_queue,
    a_standard_signal_that_is_pending_again_absorbs_it,
    a_full_queue_is_an_error,
    a_full_queue_loses_no_real_time_signal_of_kill,
    a_record_of_no_kernel_cannot_be_put_back_from_another_thread,
    a_destructor_of_cancelled_work_that_panics_loses_nothing,
}

/// One record of every kind that can be received, made by this process.
fn records() -> Vec<SigInfo> {
    let rt = Signal::rt(1).unwrap();
    let set =
        Signal::USR1 | Signal::CHLD | Signal::IO | Signal::TRAP | Signal::SYS;
    let signals = open(set | rt).unwrap();
    let mut all = Vec::new();
    let mut take = || all.push(signals.wait().unwrap());
    kill(pid(), Signal::USR1);
    take();
    crate::common::raise(Signal::USR1);
    take();
    sigqueue(pid(), rt, -5).unwrap();
    take();
    let child = Child::fork(|| 7);
    take();
    child.wait();
    for (signal, code) in [
        (Signal::USR1, libc::SI_KERNEL),
        (Signal::USR1, libc::SI_TIMER),
        (Signal::USR1, libc::SI_MESGQ),
        (Signal::USR1, -60),
        (Signal::IO, 1),
        (Signal::CHLD, libc::CLD_STOPPED),
        (Signal::TRAP, 1),
        (Signal::SYS, 1),
    ] {
        if signal == Signal::SYS && !kernel_is_from((4, 18)) {
            // A signalfd does not say anything of it.
            continue;
        }
        let mut forged = Forged::new(signal, code, 11, 12, 13);
        forged.union[3..8].copy_from_slice(&[0, 15, 0, 17, 0]);
        forged.queue(pid()).unwrap();
        take();
    }
    all
}

fn all_signals() -> signalfd::Signals {
    open(signalfd::SignalSet::all()).unwrap()
}

fn from_the_main_thread_a_record_comes_back_as_it_was() {
    let records = records();
    let signals = all_signals();
    for info in &records {
        signals.put_back(info).unwrap();
        assert_eq!(&signals.wait().unwrap(), info);
    }
}

/// Puts a record back from a thread that is not the main one, and takes it again.
fn around(
    signals: &signalfd::Receiver,
    info: &SigInfo,
) -> Result<SigInfo, Error> {
    std::thread::scope(|scope| {
        let back = scope.spawn(|| signals.put_back(info));
        back.join().unwrap()
    })?;
    signals.wait()
}

fn from_any_thread_it_does_on_newer_kernels() {
    let records = records();
    let signals = all_signals();
    for info in &records {
        let back = around(&signals, info).unwrap();
        if can_queue_any_code() && info.code() != libc::SI_TKILL {
            assert_eq!(&back, info);
        } else {
            assert!(matches!(back.sender(), Sender::Claimed { .. }));
        }
    }
}

fn with_a_full_queue_a_standard_signal_keeps_its_sender_on_newer_kernels() {
    let signals = open(Signal::USR1).unwrap();
    kill(pid(), Signal::USR1);
    let info = signals.wait().unwrap();
    set_limit(libc::RLIMIT_SIGPENDING, 0);
    let back = around(&signals, &info).unwrap();
    if can_queue_any_code() {
        assert_eq!(back, info);
    } else {
        assert_eq!(back.sender(), Sender::Unknown);
    }
}

fn from_another_thread_a_record_comes_back_but_for_the_sender() {
    be_an_older_kernel();
    let records = records();
    let signals = all_signals();
    for info in &records {
        let back = around(&signals, info).unwrap();
        assert_eq!(back.signal(), info.signal());
        assert_eq!(back.code(), info.code());
        assert_eq!(back.cause(), info.cause(), "{info:?}");
        assert_eq!((back.pid(), back.uid()), (info.pid(), info.uid()));
        assert_eq!(back.pointer(), info.pointer());
        assert_eq!((back.utime(), back.stime()), (info.utime(), info.stime()));
        let sender = back.sender();
        assert!(matches!(sender, Sender::Claimed { .. }), "{info:?} {back:?}");
    }
    assert!(records.iter().any(|info| matches!(
        info.cause(),
        Cause::Child { state: ChildState::Exited, status: 7, .. }
    )));
}

fn what_came_back_from_another_thread_is_never_verified_again() {
    be_an_older_kernel();
    let signals = all_signals();
    kill(pid(), Signal::USR1);
    let first = signals.wait().unwrap();
    let (pid, uid) = (pid() as u32, uid());
    assert_eq!(first.sender(), Sender::Verified { pid, uid });
    let mut info = around(&signals, &first).unwrap();
    for _ in 0..3 {
        assert_eq!(info.sender(), Sender::Claimed { pid, uid });
        // Now from the main thread, which could queue the real code.
        signals.put_back(&info).unwrap();
        info = signals.wait().unwrap();
        assert_eq!(info.cause(), Cause::Kill);
    }
}

fn the_private_code_sent_by_another_process_is_only_claimed() {
    let signals = open(Signal::USR1).unwrap();
    let parent = pid();
    let private = i32::from_ne_bytes(0xB0C5_0000_u32.to_ne_bytes());
    for low in 0..=0xFFFF_i32 {
        // Every real code; every status only for one of them.
        if low & 0xFF != 0 && low >> 8 != 3 {
            continue;
        }
        Forged::new(Signal::USR1, private | low, 1, 0, 0)
            .queue(parent)
            .unwrap();
        let info = signals.wait().unwrap();
        let sender = info.sender();
        assert!(matches!(sender, Sender::Claimed { .. }), "{low:#x} {info:?}");
    }
    // The same as a child's record, which could be believed.
    let signals = open(Signal::CHLD).unwrap();
    let exited = private | 7 << 8 | libc::CLD_EXITED;
    Forged::new(Signal::CHLD, exited, 4711, 0, 0).queue(parent).unwrap();
    let info = signals.wait().unwrap();
    assert!(matches!(info.cause(), Cause::Child { status: 7, .. }));
    assert_eq!(info.sender(), Sender::Claimed { pid: 4711, uid: 0 });
}

fn a_record_goes_to_the_back_of_the_queue() {
    let rt = Signal::rt(1).unwrap();
    let signals = open(rt).unwrap();
    for value in 0..3 {
        sigqueue(pid(), rt, value).unwrap();
    }
    let first = signals.wait().unwrap();
    signals.put_back(&first).unwrap();
    for value in [1, 2, 0] {
        assert_eq!(signals.wait().unwrap().value(), Some(value));
    }
}

fn a_standard_signal_that_is_pending_again_absorbs_it() {
    let signals = open(Signal::USR1).unwrap();
    // A ring reads ahead from now on.
    let _descriptor = signals.as_fd();
    sigqueue(pid(), Signal::USR1, 1).unwrap();
    let info = signals.wait().unwrap();
    sigqueue(pid(), Signal::USR1, 2).unwrap();
    signals.put_back(&info).unwrap();
    assert_eq!(signals.wait().unwrap().value(), Some(2));
    // A ring has taken the second one already, so the first is pending again.
    let again = crate::battery().reads_ahead().then_some(1);
    let rest = signals.try_recv().unwrap();
    assert_eq!(rest.and_then(|info| info.value()), again);
}

fn a_full_queue_is_an_error() {
    let rt = Signal::rt(1).unwrap();
    let signals = open(rt).unwrap();
    sigqueue(pid(), rt, 1).unwrap();
    let info = signals.wait().unwrap();
    let before = set_limit(libc::RLIMIT_SIGPENDING, 0);
    let error = signals.put_back(&info).unwrap_err();
    let full = Error::Os { op: Op::Sigqueueinfo, errno: libc::EAGAIN };
    assert_eq!(error, full);
    assert!(error.to_string().contains("RLIMIT_SIGPENDING"), "{error}");
    set_limit(libc::RLIMIT_SIGPENDING, before);
    signals.put_back(&info).unwrap();
    assert_eq!(signals.wait().unwrap(), info);
}

/// Of such a record the kernel would not say that it has no room for it.
fn a_full_queue_loses_no_real_time_signal_of_kill() {
    let rt = Signal::rt(1).unwrap();
    let signals = open(rt).unwrap();
    kill(pid(), rt);
    let info = signals.wait().unwrap();
    let before = set_limit(libc::RLIMIT_SIGPENDING, 0);
    let error = signals.put_back(&info).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EAGAIN));
    set_limit(libc::RLIMIT_SIGPENDING, before);
    signals.put_back(&info).unwrap();
    let back = signals.wait().unwrap();
    assert_eq!((back.cause(), back.pid()), (info.cause(), info.pid()));
    assert_eq!(signals.try_recv().unwrap(), None);
}

fn a_record_of_no_kernel_cannot_be_put_back_from_another_thread() {
    let mut bytes = [0; 128];
    bytes[..4].copy_from_slice(&libc::SIGUSR1.to_ne_bytes());
    bytes[8..12].copy_from_slice(&0x1234_i32.to_ne_bytes());
    let info = SigInfo::from_bytes(bytes).unwrap();
    let signals = open(Signal::USR1).unwrap();
    if can_queue_any_code() {
        assert_eq!(around(&signals, &info), Ok(info));
    }
    be_an_older_kernel();
    let error = around(&signals, &info).unwrap_err();
    let refused = Error::Os { op: Op::Sigqueueinfo, errno: libc::EPERM };
    assert_eq!(error, refused);
    signals.put_back(&info).unwrap();
    assert_eq!(signals.wait().unwrap(), info);
}

/// Work that is never done, and panics as it is cancelled.
pub(crate) async fn work_that_panics() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("as it is dropped");
        }
    }
    let _panics = Panics;
    pending::<()>().await;
}

fn a_destructor_of_cancelled_work_that_panics_loses_nothing() {
    let rt = Signal::rt(1).unwrap();
    let signals = open(rt).unwrap();
    sigqueue(pid(), rt, 7).unwrap();
    let until = signals.until(work_that_panics());
    catch_unwind(AssertUnwindSafe(|| block_on(until))).unwrap_err();
    assert_eq!(signals.wait().unwrap().value(), Some(7));
    assert_eq!(signals.try_recv(), Ok(None));
}
