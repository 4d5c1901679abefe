//! A mio poll with signals beside a socket.
//!
//! ```text
//! cargo run --example mio --features mio             # waits for signals
//! cargo run --example mio --features mio -- --demo   # plays the other end, too
//! ```
//!
//! SIGHUP reloads, SIGINT or SIGTERM ends it.

use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::thread;

use mio::net::UnixStream;
use mio::{Events, Interest, Poll, Token};
use rustix::process::{Signal as Number, getpid, kill_process};
use signalfd::{Batch, Receiver, Signal};

const SIGNALS: Token = Token(0);
const SOCKET: Token = Token(1);

fn main() -> Result<(), Box<dyn Error>> {
    let mut signals = signalfd::open(Signal::HUP | Signal::INT | Signal::TERM)?;
    println!("pid {} waits for signals", std::process::id());
    let (socket, theirs) = std::os::unix::net::UnixStream::pair()?;
    socket.set_nonblocking(true)?;
    let mut socket = UnixStream::from_std(socket);
    let is_demo = std::env::args().any(|argument| argument == "--demo");
    let world = is_demo.then(|| thread::spawn(move || the_world(theirs)));

    let mut poll = Poll::new()?;
    let registry = poll.registry();
    registry.register(&mut signals, SIGNALS, Interest::READABLE)?;
    registry.register(&mut socket, SOCKET, Interest::READABLE)?;
    let mut events = Events::with_capacity(64);
    'run: loop {
        match poll.poll(&mut events, None) {
            // A handler ran, or an io_uring was dropped.
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            done => done?,
        }
        for event in &events {
            match event.token() {
                SIGNALS if !receive(&signals)? => break 'run,
                SOCKET => echo(&mut socket)?,
                _ => {}
            }
        }
    }
    if let Some(world) = world {
        world.join().map_err(|_| "the world panicked")??;
    }
    Ok(())
}

/// Takes all there are, since mio does not tell of them again, and says whether to go on.
fn receive(signals: &Receiver) -> Result<bool, signalfd::Error> {
    let mut batch = Batch::<16>::new();
    loop {
        let infos = signals.try_recv_batch(&mut batch)?;
        for info in infos {
            println!("{info}");
            match info.signal() {
                Signal::HUP => println!("  reloading"),
                _ => return Ok(false),
            }
        }
        if infos.len() < 16 {
            return Ok(true);
        }
    }
}

/// Sends back what comes, until there is no more. A server would also keep what the other side
/// does not take at once, and forget a socket that has been closed.
fn echo(socket: &mut UnixStream) -> std::io::Result<()> {
    let mut buffer = [0; 512];
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => {
                socket.write_all(buffer.get(..length).unwrap_or_default())?;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return Ok(());
            }
            Err(error) => return Err(error),
        }
    }
}

/// Lines in, signals in between, and the same lines out.
fn the_world(
    mut socket: std::os::unix::net::UnixStream,
) -> std::io::Result<()> {
    for line in ["one\n", "two\n", "three\n"] {
        kill_process(getpid(), Number::HUP)?;
        socket.write_all(line.as_bytes())?;
        let mut echoed = vec![0; line.len()];
        socket.read_exact(&mut echoed)?;
        println!("  echoed {}", String::from_utf8_lossy(&echoed).trim());
    }
    kill_process(getpid(), Number::TERM)?;
    Ok(())
}
