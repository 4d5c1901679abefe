//! What bad input gets: an error that says what was wrong, and nothing changed.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use signalfd::{
    Batch, Error, Options, Signal, SignalFd, SignalSet, block, mask, open,
};

use crate::common::{check_value, open_in_thread, raise};

/// Everything that takes a set from a caller, to see what it says.
fn errors_for(set: SignalSet) -> [Error; 8] {
    let quiet = Options::new().check_threads(false);
    let signals = open_in_thread(Signal::USR1);
    let before = mask::current().unwrap();
    let file = File::open("/dev/null").unwrap();
    let errors = [
        block(set).unwrap_err(),
        open(set).unwrap_err(),
        quiet.open(set).unwrap_err(),
        quiet.receiver(set).unwrap_err(),
        SignalFd::new(set).unwrap_err(),
        SignalFd::from_fd(file.into(), set).unwrap_err(),
        signals.insert(set).unwrap_err(),
        signals.replace(set).unwrap_err(),
    ];
    assert_eq!(mask::current().unwrap(), before);
    assert_eq!(signals.signals(), Signal::USR1.into());
    errors
}

#[test]
fn an_empty_set_is_refused_everywhere() {
    assert_eq!(errors_for(SignalSet::empty()), [Error::EmptySet; 8]);
}

#[test]
fn kill_and_stop_are_refused_everywhere() {
    for signal in [Signal::KILL, Signal::STOP] {
        let set = signal | Signal::TERM;
        assert_eq!(errors_for(set), [Error::Unblockable(signal.into()); 8]);
    }
    let both = Signal::KILL | Signal::STOP;
    assert_eq!(errors_for(both), [Error::Unblockable(both); 8]);
}

#[test]
fn synchronous_faults_are_refused_everywhere() {
    for signal in [Signal::ILL, Signal::FPE, Signal::SEGV, Signal::BUS] {
        let set = signal | Signal::TERM;
        assert_eq!(errors_for(set), [Error::Synchronous(signal.into()); 8]);
    }
}

#[test]
fn the_numbers_of_the_c_library_are_refused_everywhere() {
    let reserved = SignalSet::from_bits_retain(1 << 31);
    let set = reserved | Signal::TERM;
    assert_eq!(errors_for(set), [Error::Reserved(reserved); 8]);
}

#[test]
fn a_batch_without_room_is_refused_everywhere_and_nothing_is_lost() {
    let signals = open_in_thread(Signal::USR1);
    let fd = SignalFd::new(Signal::USR1).unwrap();
    raise(Signal::USR1);
    let mut none = Batch::<0>::new();
    assert_eq!(signals.try_recv_batch(&mut none), Err(Error::EmptyBatch));
    assert_eq!(signals.wait_batch(&mut none), Err(Error::EmptyBatch));
    let second = std::time::Duration::from_secs(1);
    let result = signals.wait_batch_timeout(&mut none, second);
    assert_eq!(result, Err(Error::EmptyBatch));
    assert_eq!(fd.try_recv_batch(&mut none), Err(Error::EmptyBatch));
    let result = signalfd::block_on(signals.recv_batch(&mut none)).unwrap();
    assert_eq!(result, Err(Error::EmptyBatch));
    assert_eq!(signals.wait().unwrap().signal(), Signal::USR1);
}

#[test]
fn a_descriptor_that_is_no_signalfd_is_refused() {
    let file: OwnedFd = File::open("/dev/null").unwrap().into();
    let error = SignalFd::from_fd(file, Signal::TERM).unwrap_err();
    assert_eq!(error, Error::NotSignalFd);
    let (pipe, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    let error = SignalFd::from_fd(pipe.into(), Signal::TERM).unwrap_err();
    assert_eq!(error, Error::NotSignalFd);
}

#[test]
fn a_receiver_cannot_be_left_without_a_signal() {
    let signals = open_in_thread(Signal::USR1 | Signal::USR2);
    let all = Signal::USR1 | Signal::USR2 | Signal::HUP;
    assert_eq!(signals.remove(all), Err(Error::EmptySet));
    let receiver: &signalfd::Receiver = &signals;
    assert_eq!(receiver.remove(all), Err(Error::EmptySet));
    let both = Signal::USR1 | Signal::USR2;
    assert_eq!(signals.signals(), both);
    assert!(mask::current().unwrap().contains(both));
}

#[test]
fn every_error_says_what_to_do() {
    let set = SignalSet::from(Signal::TERM);
    for (error, hint) in [
        (Error::EmptySet, "at least one"),
        (Error::Unblockable(set), "leave it out"),
        (Error::Synchronous(set), "handler"),
        (Error::Reserved(set), "Signal::rt"),
        (Error::InvalidNumber(65), "1 to 64"),
        (Error::NumberOutOfRange, "1 to 64"),
        (Error::UnknownName, "RTMIN+3"),
        (Error::NotBlocked(set), "signalfd::block at the top of main"),
        (Error::NotSignalFd, "signalfd(2)"),
        (Error::Forked, "reopen it here, or open a new one"),
        (Error::EmptyBatch, "at least one"),
        (Error::TooManyBlockOn, "one thread"),
        (Error::TooManyScopes, "let some go"),
        (Error::InvalidPid(0), "Child::id"),
        (Error::TooManyChildren, "reap first"),
        (Error::NoSuchChild(7), "let nothing else wait for it"),
        (Error::TooManySubscribers, "more SUBSCRIBERS"),
        (Error::AlreadyDispatching, "drop it first"),
        (Error::ReadsAlready, "without one"),
    ] {
        assert!(error.to_string().contains(hint), "{error}");
        assert_eq!(error.raw_os_error(), None);
    }
}

#[test]
fn a_signalfd_from_elsewhere_is_made_fit() {
    let set = SignalSet::from(Signal::USR1);
    // SAFETY: takes numbers but for the mask, which is 8 bytes.
    #[expect(unsafe_code, reason = "a signalfd with none of our flags")]
    let raw = unsafe {
        let bits = set.bits();
        libc::syscall(
            libc::SYS_signalfd4,
            libc::c_long::from(-1),
            &raw const bits,
            8_usize,
            libc::c_long::from(0),
        )
    };
    let raw = i32::try_from(check_value(raw).unwrap()).unwrap();
    // SAFETY: the descriptor was just made.
    #[expect(unsafe_code, reason = "takes it over")]
    let fd = unsafe { <OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(raw) };
    assert_eq!(fd.as_raw_fd(), raw);

    let _guard = block(Signal::USR1 | Signal::USR2).unwrap();
    let fd = SignalFd::from_fd(fd, Signal::USR2).unwrap();
    assert_eq!(fd.signals(), Signal::USR2.into());
    let status = rustix::fs::fcntl_getfl(&fd).unwrap();
    assert!(status.contains(rustix::fs::OFlags::NONBLOCK));
    let flags = rustix::io::fcntl_getfd(&fd).unwrap();
    assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));

    let quiet = Options::new().check_threads(false);
    let receiver = quiet.receiver_from(fd).unwrap();
    raise(Signal::USR1);
    raise(Signal::USR2);
    assert_eq!(receiver.wait().unwrap().signal(), Signal::USR2);
    assert_eq!(receiver.try_recv().unwrap(), None);
    receiver.replace(Signal::USR1).unwrap();
    assert_eq!(receiver.wait().unwrap().signal(), Signal::USR1);

    // Whoever shares the description may change what is received.
    let shared = receiver.as_fd().try_clone_to_owned().unwrap();
    let other = SignalFd::from_fd(shared, Signal::USR2).unwrap();
    raise(Signal::USR2);
    assert_eq!(receiver.wait().unwrap().signal(), Signal::USR2);
    drop(other);
}

#[test]
fn a_receiver_of_a_signalfd_is_checked_like_any_other() {
    let fd = SignalFd::new(Signal::USR1).unwrap();
    let error = signalfd::Receiver::try_from(fd).unwrap_err();
    assert_eq!(error, Error::NotBlocked(Signal::USR1.into()));
}
