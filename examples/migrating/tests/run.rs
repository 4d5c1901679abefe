//! Runs the programs, and sends them the same signals: what they do is the same.

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

    #[expect(unsafe_code, reason = "sends a signal")]
    fn signal(&self, number: i32) {
        let pid = self.child.id().try_into().unwrap();
        // SAFETY: takes numbers.
        assert_eq!(unsafe { libc::kill(pid, number) }, 0);
    }

    fn ends_at(mut self, number: i32) {
        self.signal(number);
        assert_eq!(self.line(), "over\n");
        assert_eq!(self.line(), "");
        assert!(self.child.wait().unwrap().success());
    }
}

fn reloads_and_ends(path: &str) {
    let mut program = Program::start(path);
    for _ in 0..10 {
        program.signal(libc::SIGHUP);
        assert_eq!(program.line(), "reload\n");
    }
    program.ends_at(libc::SIGTERM);
}

macro_rules! reload_and_end {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            reloads_and_ends(env!(concat!("CARGO_BIN_EXE_", stringify!($name))));
        })*
    };
}

reload_and_end! {
    tokio_before tokio_after
    signal_hook_before signal_hook_after
    flag_before flag_after
    async_signal_before async_signal_after
    nix_before nix_after
    calloop_before calloop_after
}

#[test]
fn ctrlc_before() {
    Program::start(env!("CARGO_BIN_EXE_ctrlc_before")).ends_at(libc::SIGINT);
}

#[test]
fn ctrlc_after() {
    Program::start(env!("CARGO_BIN_EXE_ctrlc_after")).ends_at(libc::SIGINT);
}
