//! Runs the programs, and sends them signals.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

/// A program that has told its number.
struct Program {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Program {
    #[expect(unsafe_code, reason = "a deadline")]
    fn start(path: &str) -> Self {
        // SAFETY: takes a number. What hangs is ended by SIGALRM.
        unsafe { libc::alarm(120) };
        let mut command = Command::new(path);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        let mut program = Self { child, said };
        let pid = format!("pid {}\n", program.child.id());
        assert_eq!(program.line(), pid);
        program
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line
    }

    fn value(&mut self) -> i32 {
        let line = self.line();
        let (_, value) = line.rsplit_once("value=").expect(&line);
        value.trim_end().parse().unwrap()
    }

    fn pid(&self) -> i32 {
        self.child.id().try_into().unwrap()
    }

    #[expect(unsafe_code, reason = "sends a signal")]
    fn queue(&self, value: i32) {
        let value = usize::try_from(value).unwrap();
        let value =
            libc::sigval { sival_ptr: std::ptr::without_provenance_mut(value) };
        // SAFETY: takes numbers; the pointer is one.
        let result =
            unsafe { libc::sigqueue(self.pid(), libc::SIGRTMIN(), value) };
        assert_eq!(result, 0);
    }

    #[expect(unsafe_code, reason = "sends a signal")]
    fn terminate(mut self) -> String {
        // SAFETY: takes numbers.
        let result = unsafe { libc::kill(self.pid(), libc::SIGTERM) };
        assert_eq!(result, 0);
        let last = self.line();
        assert_eq!(self.line(), "");
        assert!(self.child.wait().unwrap().success());
        last
    }
}

/// Many at once, which are more than a batch, then one after the other.
fn receives_all(path: &str) {
    let mut program = Program::start(path);
    for round in 0..20 {
        let values = round * 100..(round + 1) * 100;
        values.clone().for_each(|value| program.queue(value));
        for value in values {
            assert_eq!(program.value(), value);
        }
    }
    for value in 0..100 {
        program.queue(value);
        assert_eq!(program.value(), value);
    }
    let last = program.terminate();
    assert!(last.starts_with("SIGTERM cause=kill"), "{last}");
}

macro_rules! receive_all {
    ($($(#[$cfg:meta])* $name:ident,)*) => {
        $($(#[$cfg])* #[test]
        fn $name() {
            receives_all(env!(concat!("CARGO_BIN_EXE_", stringify!($name))));
        })*
    };
}

receive_all! {
    epoll_level,
    epoll_edge,
    epoll_oneshot,
    poll,
    executor,
    #[cfg(feature = "polling")]
    polling,
    #[cfg(feature = "monoio")]
    monoio,
    #[cfg(feature = "compio")]
    compio,
}

/// Its threads do not wait for each other to print.
#[test]
fn epoll_exclusive() {
    let mut program = Program::start(env!("CARGO_BIN_EXE_epoll_exclusive"));
    for round in 0..100 {
        (0..50).for_each(|value| program.queue(100 * round + value));
        let mut values: Vec<_> = (0..50).map(|_| program.value()).collect();
        values.sort_unstable();
        assert!(values.into_iter().eq((0..50).map(|it| 100 * round + it)));
    }
    assert_eq!(program.terminate(), "");
}
