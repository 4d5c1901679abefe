//! The examples do what their heads say.

#![allow(unsafe_code, reason = "what a child inherits")]

use std::env;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use signalfd::Signal;

use crate::common::{HAS_RINGS, kernel_is_from, kill};
use crate::harness::{cases, skip};

cases! {
    receive_shows_every_kind_of_signal,
    receive_sees_its_child_although_children_were_ignored,
    receive_reloads_and_ends_when_it_is_told_to,
    graceful_shutdown_cleans_up_and_dies_by_the_signal,
    epoll_loop_serves_signals_and_a_socket,
    no_alloc_core_links_and_runs,
    late_threads_lose_nothing,
    supervisor_ends_its_children_and_dies_by_the_signal,
    supervisor_waits_no_longer_when_it_is_told_again,
    hub_reaches_all_who_want_a_signal,
    uring_loop_serves_signals_and_connections,
    backend_says_what_runs_and_why,
    soak_loses_and_doubles_nothing,
    #[cfg(feature = "tokio")]
    tokio_server_loses_no_connection,
    #[cfg(feature = "tokio")]
    tokio_server_finishes_what_it_has_begun,
    #[cfg(feature = "tokio")]
    tokio_server_is_ended_by_the_second_signal,
    #[cfg(feature = "async-io")]
    smol_begins_again_and_ends,
    #[cfg(feature = "mio")]
    mio_serves_signals_and_a_socket,
    #[cfg(feature = "calloop")]
    calloop_serves_signals_and_a_timer,
}

/// A command for an example that has been built beside this test.
pub(crate) fn example(name: &str) -> Command {
    let mut path = env::current_exe().unwrap();
    // From target/PROFILE/deps/TEST to target/PROFILE/examples/NAME.
    path.pop();
    path.set_file_name("examples");
    path.push(name);
    if !path.exists() {
        skip("the examples are not built: cargo build --examples");
    }
    Command::new(path)
}

pub(crate) fn run(command: &mut Command) -> (Output, String) {
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    println!("{text}{}", String::from_utf8_lossy(&output.stderr));
    (output, text)
}

/// Finds the line that begins with this and has all the words.
pub(crate) fn assert_line(text: &str, start: &str, words: &[&str]) {
    let fits = |line: &str| {
        line.starts_with(start)
            && words.iter().all(|word| line.split(' ').any(|w| w == *word))
    };
    assert!(text.lines().any(fits), "{start} {words:?} is not in\n{text}");
}

fn receive_shows_every_kind_of_signal() {
    let (output, text) = run(example("receive").arg("--demo"));
    assert!(output.status.success());
    assert_line(&text, "SIGHUP ", &["cause=kill", "sender=verified"]);
    let value = ["cause=queue", "sender=claimed", "value=42"];
    assert_line(&text, "SIGRTMIN+1 ", &value);
    let status = ["cause=exited", "sender=kernel", "status=7"];
    assert_line(&text, "SIGCHLD ", &status);
    assert_line(&text, "SIGALRM ", &["cause=timer", "sender=claimed"]);
    let overrun = text.lines().find_map(|line| {
        line.strip_prefix("SIGALRM ")?.rsplit_once("overrun=")
    });
    assert!(overrun.unwrap().1.parse::<u32>().unwrap() > 0);
    assert_line(&text, "SIGTERM ", &["cause=kill", "sender=verified"]);
    assert_line(&text, "  reloading", &[]);
    assert_line(&text, "  ending", &[]);
}

/// A parent can leave `SIGCHLD` ignored, and then the kernel sends none.
fn receive_sees_its_child_although_children_were_ignored() {
    let ignore = || {
        // SAFETY: sets the action to ignore the signal.
        unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
        Ok(())
    };
    let mut command = example("receive");
    // SAFETY: signal(2) may be called between fork and exec.
    unsafe { command.pre_exec(ignore) };
    let (output, text) = run(command.arg("--demo"));
    assert!(output.status.success());
    let status = ["cause=exited", "sender=kernel", "status=7"];
    assert_line(&text, "SIGCHLD ", &status);
}

fn receive_reloads_and_ends_when_it_is_told_to() {
    for ending in [Signal::INT, Signal::TERM] {
        let mut child =
            example("receive").stdout(Stdio::piped()).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = || {
            let mut line = String::new();
            output.read_line(&mut line).unwrap();
            println!("{line}");
            line
        };
        assert!(line().starts_with(&format!("pid {pid} receives SIGHUP|")));
        kill(pid, Signal::HUP);
        while !line().starts_with("SIGHUP cause=kill") {}
        assert_eq!(line(), "  reloading the configuration\n");
        kill(pid, ending);
        assert!(line().starts_with(&ending.to_string()));
        assert_eq!(line(), "  ending\n");
        assert!(child.wait().unwrap().success());
    }
}

fn graceful_shutdown_cleans_up_and_dies_by_the_signal() {
    let (output, text) = run(example("graceful_shutdown").arg("--demo"));
    assert!(output.status.success());
    assert_line(&text, "| removed the draft: Ok(())", &[]);
    assert_line(&text, "| cancelled by SIGTERM", &["sender=verified"]);
    assert_line(&text, "it ended with: signal: 15", &[]);
    let draft = text.lines().find_map(|line| line.strip_prefix("| writing "));
    assert!(!PathBuf::from(draft.unwrap()).exists());

    // The same by hand, with the other signal.
    let mut child =
        example("graceful_shutdown").stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    kill(i32::try_from(child.id()).unwrap(), Signal::INT);
    output.read_to_string(&mut line).unwrap();
    println!("{line}");
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGINT));
}

fn epoll_loop_serves_signals_and_a_socket() {
    let (output, text) = run(&mut example("epoll_loop"));
    assert!(output.status.success());
    let (level, edge) = text.split_once("edge:\n").unwrap();
    for mode in [level.strip_prefix("level:\n").unwrap(), edge] {
        for word in ["one", "two", "three"] {
            assert_line(mode, &format!("  echoed {word}"), &[]);
        }
        assert_line(mode, "  SIGUSR1 ", &["sender=verified"]);
        assert_line(mode, "  SIGTERM ", &["sender=verified"]);
    }
}

/// It has no allocator: that it links is what is tested.
fn no_alloc_core_links_and_runs() {
    let Some(cargo) = env::var_os("CARGO") else {
        skip("not run by cargo, so there is none to build it with");
    };
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let manifest = root.join("examples/no_alloc_core/Cargo.toml");
    // It is built for this machine, whatever this test was built for.
    let (output, text) = run(Command::new(cargo)
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .args(["run", "--quiet", "--locked", "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(root.join("target/no_alloc_core")));
    assert!(output.status.success());
    assert_line(&text, "taken: SIGHUP ", &["sender=verified"]);
    assert_line(&text, "nothing came in time", &[]);
    assert_line(&text, "waited for: SIGHUP ", &["sender=verified"]);
    assert_line(&text, "told by the epoll: SIGUSR1 ", &["sender=verified"]);
    assert_line(&text, "handed to one: SIGUSR1 ", &["sender=verified"]);
    assert_line(&text, "handed to two: SIGUSR1 ", &["sender=verified"]);
    assert_line(&text, "awaited: SIGALRM ", &["sender=kernel"]);
    assert_line(&text, "awaited: SIGTERM ", &["sender=verified"]);
}

fn supervisor_ends_its_children_and_dies_by_the_signal() {
    let (output, text) = run(example("supervisor").arg("--demo"));
    assert_eq!(output.status.signal(), Some(libc::SIGTERM));
    let clean = "child_sigblk=0000000000000000";
    for name in ["name=brief", "name=obedient", "name=stubborn"] {
        assert_line(&text, "child=", &[name, clean]);
    }
    assert_line(&text, "pid=", &["state=exited", "status=3"]);
    assert_line(&text, "pid=", &["state=killed", "status=15"]);
    assert_line(&text, "the deadline is over", &[]);
    assert_line(&text, "pid=", &["state=killed", "status=9"]);
    assert_line(&text, "dying by SIGTERM", &[]);
}

fn supervisor_waits_no_longer_when_it_is_told_again() {
    let mut child =
        example("supervisor").stdout(Stdio::piped()).spawn().unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    let mut read_to = |what: &str| {
        while !text.contains(what) {
            assert_ne!(output.read_line(&mut text).unwrap(), 0, "{text}");
        }
    };
    // The last of its children.
    read_to("name=stubborn child_sigblk=");
    // The stubborn one stays after the first. The second is there before the deadline,
    // however long this takes.
    for signal in [Signal::STOP, Signal::INT, Signal::TERM, Signal::CONT] {
        kill(pid, signal);
    }
    output.read_to_string(&mut text).unwrap();
    let status = child.wait().unwrap();
    println!("{text}");
    assert_line(&text, "told again: SIGTERM ", &["sender=verified"]);
    assert_line(&text, "pid=", &["state=killed", "status=9"]);
    assert!(!text.contains("the deadline is over"));
    assert_line(&text, "dying by SIGINT", &[]);
    assert_eq!(status.signal(), Some(libc::SIGINT));
}

fn hub_reaches_all_who_want_a_signal() {
    let (output, text) = run(example("hub").arg("--demo"));
    assert!(output.status.success());
    let account = ["sent=9", "reloads=5", "metrics=9", "missed=0"];
    assert_line(&text, "", &account);
    assert_eq!(text.matches("  reloading the configuration\n").count(), 5);
    assert_line(&text, "  cancelled by SIGTERM", &[]);

    // From elsewhere, with the other signal.
    let mut child = example("hub").stdout(Stdio::piped()).spawn().unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert!(line.starts_with(&format!("pid {pid} receives SIGHUP|")));
    kill(pid, Signal::INT);
    output.read_to_string(&mut line).unwrap();
    assert_line(&line, "  cancelled by SIGINT", &[]);
    assert!(child.wait().unwrap().success());
}

fn late_threads_lose_nothing() {
    let (output, text) = run(example("late_threads").arg("--demo"));
    assert!(output.status.success());
    let account = [
        "sent=40004",
        "received=40004",
        "out_of_order=0",
        "threads=64",
        "healed=64",
        "caught=0",
    ];
    assert_line(&text, "", &account);
}

fn uring_loop_serves_signals_and_connections() {
    let (output, text) = run(example("uring_loop").arg("--demo"));
    assert!(output.status.success());
    if text.starts_with("this is built without io_uring") {
        return;
    }
    for connection in ["connection 0: ", "connection 1: "] {
        for length in [3, 5, 4] {
            assert_line(&text, &format!("{connection}{length} bytes"), &[]);
        }
    }
    assert_line(&text, "SIGHUP ", &["cause=kill", "sender=verified"]);
    assert_line(&text, "  reloading", &[]);
    assert_line(&text, "SIGTERM ", &["cause=kill", "sender=verified"]);
    assert_line(&text, "  connections that were open: ", &[]);
}

fn backend_says_what_runs_and_why() {
    let (output, text) = run(&mut example("backend"));
    assert!(output.status.success());
    let mut lines = text.lines();
    for (asked, runs) in [
        ("Backend::Auto", "epoll: nothing is faster"),
        ("Backend::Epoll", "epoll: as asked for"),
        ("Backend::Uring", ""),
        ("Backend::Uring, Kind::Completion", ""),
    ] {
        assert!(lines.any(|line| line == asked));
        let said = lines.next().unwrap().trim_start();
        assert!(said.starts_with(runs), "{said}");
    }
    assert_line(&text, "kernel: ", &[]);
    if HAS_RINGS && kernel_is_from((6, 7)) {
        assert_line(&text, "io_uring itself: poll, read, read of many", &[]);
    }

    // Without io_uring it says why.
    crate::common::forbid(libc::SYS_io_uring_setup, libc::EPERM);
    let (output, text) = run(&mut example("backend"));
    assert!(output.status.success());
    if crate::common::HAS_RINGS {
        let reason = "epoll: io_uring_setup failed with EPERM: ";
        assert_eq!(text.matches(reason).count(), 2);
    }
}

/// `.ci/run` does it for longer.
fn soak_loses_and_doubles_nothing() {
    let seconds = ["--seconds", "2", "--seed", "1"];
    let (output, text) = run(example("soak").args(seconds));
    assert!(output.status.success());
    assert_line(&text, "seed=1 ", &["seconds=2"]);
    assert_line(&text, "sent=", &["lost=0", "doubled=0"]);
    assert_eq!(number(&text, "received="), number(&text, "sent="));
}

/// The number behind a word.
fn number(text: &str, word: &str) -> usize {
    let (_, rest) = text.rsplit_once(word).expect(word);
    rest.split_whitespace().next().unwrap().parse().unwrap()
}

#[cfg(feature = "tokio")]
fn tokio_server_loses_no_connection() {
    let (output, text) = run(example("tokio_server").arg("--demo"));
    assert_eq!(output.status.signal(), Some(libc::SIGTERM));
    assert_line(&text, "SIGTERM ", &["sender=verified:", "finishing"]);
    let accepted = number(&text, "accepted=");
    assert!(accepted > 1000, "{accepted}");
    assert_eq!(number(&text, "completed="), accepted);
    assert_eq!(number(&text, "lost="), 0);
    // And the clients know of no other.
    assert_eq!(number(&text, "all of their lines echoed:"), accepted);
}

/// A server that has one client, and the client.
#[cfg(feature = "tokio")]
struct Served {
    server: std::process::Child,
    said: BufReader<std::process::ChildStdout>,
    address: std::net::SocketAddr,
    client: std::net::TcpStream,
}

#[cfg(feature = "tokio")]
impl Served {
    fn begin() -> Self {
        let mut command = example("tokio_server");
        let mut server = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(server.stdout.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        let address = line.trim_end().rsplit_once("listens on ").unwrap().1;
        let address = address.parse().unwrap();
        let client = std::net::TcpStream::connect(address).unwrap();
        let mut it = Self { server, said, address, client };
        it.talk();
        it
    }

    fn talk(&mut self) {
        use std::io::Write;
        self.client.write_all(b"hello").unwrap();
        let mut echoed = [0; 5];
        self.client.read_exact(&mut echoed).unwrap();
        assert_eq!(&echoed, b"hello");
    }

    fn signal(&self, signal: Signal) {
        kill(i32::try_from(self.server.id()).unwrap(), signal);
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        println!("{line}");
        line
    }
}

#[cfg(feature = "tokio")]
fn tokio_server_finishes_what_it_has_begun() {
    let mut it = Served::begin();
    it.signal(Signal::INT);
    assert!(it.line().ends_with(": finishing 1 connections\n"));
    std::net::TcpStream::connect(it.address).unwrap_err();
    it.talk();
    it.client.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(it.line(), "accepted=1 completed=1 lost=0\n");
    let status = it.server.wait().unwrap();
    assert_eq!(status.signal(), Some(libc::SIGINT));
}

#[cfg(feature = "tokio")]
fn tokio_server_is_ended_by_the_second_signal() {
    let mut it = Served::begin();
    it.signal(Signal::TERM);
    assert!(it.line().ends_with(": finishing 1 connections\n"));
    it.talk();
    it.signal(Signal::INT);
    assert_eq!(it.line(), "", "it has nothing more to say");
    let status = it.server.wait().unwrap();
    assert_eq!(status.signal(), Some(libc::SIGINT));
}

#[cfg(feature = "async-io")]
fn smol_begins_again_and_ends() {
    let (output, text) = run(example("smol").arg("--demo"));
    assert!(output.status.success());
    let (first, second) = text.split_once("SIGHUP ").unwrap();
    assert!(first.ends_with("  1\n  2\n  3\n"));
    assert!(second.contains(": beginning again\n  1\n  2\n  3\nSIGTERM "));
    assert_line(&text, "SIGTERM ", &["sender=verified:", "ending"]);
}

#[cfg(feature = "mio")]
fn mio_serves_signals_and_a_socket() {
    let (output, text) = run(example("mio").arg("--demo"));
    assert!(output.status.success());
    for word in ["one", "two", "three"] {
        assert_line(&text, &format!("  echoed {word}"), &[]);
    }
    assert_line(&text, "SIGHUP ", &["sender=verified"]);
    assert_line(&text, "  reloading", &[]);
    assert_line(&text, "SIGTERM ", &["sender=verified"]);
}

#[cfg(feature = "calloop")]
fn calloop_serves_signals_and_a_timer() {
    let (output, text) = run(example("calloop").arg("--demo"));
    assert!(output.status.success());
    assert_line(&text, "  3", &[]);
    assert_line(&text, "SIGHUP ", &["sender=verified"]);
    assert_line(&text, "SIGTERM ", &["sender=verified"]);
    assert_line(&text, "reloads: 1", &[]);
}
