//! A hand-written epoll loop: signals beside a socket, level- and
//! edge-triggered.
//!
//! ```text
//! cargo run --example epoll_loop            # both
//! cargo run --example epoll_loop -- level
//! cargo run --example epoll_loop -- edge
//! ```
//!
//! A second thread plays the rest of the world: it sends lines to be echoed, some
//! signals, and at last SIGTERM, which ends the loop.

use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::thread;

use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::process::{Signal as Number, getpid, kill_process};
use signalfd::{Batch, Receiver, Signal};

/// What the events of the loop are about.
const SIGNALS: u64 = 1;
const SOCKET: u64 = 2;

fn main() -> Result<(), Box<dyn Error>> {
    // Before the other thread is started: it inherits the mask.
    let signals = signalfd::open(Signal::USR1 | Signal::TERM)?;
    let modes = match std::env::args().nth(1).as_deref() {
        None => vec![EventFlags::empty(), EventFlags::ET],
        Some("level") => vec![EventFlags::empty()],
        Some("edge") => vec![EventFlags::ET],
        Some(_) => return Err("usage: epoll_loop [level|edge]".into()),
    };
    for mode in modes {
        println!("{}:", if mode.is_empty() { "level" } else { "edge" });
        let (ours, theirs) = UnixStream::pair()?;
        let world = thread::spawn(move || the_world(theirs));
        run(&signals, ours, mode)?;
        world.join().map_err(|_| "the world panicked")??;
    }
    Ok(())
}

/// The loop. It ends with SIGTERM.
fn run(
    signals: &Receiver,
    mut socket: UnixStream,
    mode: EventFlags,
) -> Result<(), Box<dyn Error>> {
    socket.set_nonblocking(true)?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    register(&epoll, signals, SIGNALS, mode)?;
    register(&epoll, &socket, SOCKET, mode)?;

    let none =
        Event { flags: EventFlags::empty(), data: EventData::new_u64(0) };
    let mut events = [none; 8];
    let mut batch = Batch::<16>::new();
    loop {
        let ready = match epoll::wait(&epoll, &mut events, None) {
            // A handler ran, or an io_uring was dropped.
            Err(rustix::io::Errno::INTR) => continue,
            ready => ready?,
        };
        for event in events.iter().take(ready) {
            match { event.data }.u64() {
                SIGNALS => {
                    if !receive(signals, &mut batch)? {
                        return Ok(());
                    }
                }
                SOCKET => echo(&mut socket)?,
                other => return Err(format!("an event of {other}").into()),
            }
        }
    }
}

fn register(
    epoll: &OwnedFd,
    source: impl AsFd,
    token: u64,
    mode: EventFlags,
) -> rustix::io::Result<()> {
    let data = EventData::new_u64(token);
    epoll::add(epoll, source, data, EventFlags::IN | mode)
}

/// Takes what is there, and tells whether to go on.
///
/// One read is enough: a batch that is not full was all there was. A
/// level-triggered loop would be told again if it were not; an edge-triggered one
/// has to come here until the batch is short.
fn receive(
    signals: &Receiver,
    batch: &mut Batch<16>,
) -> Result<bool, signalfd::Error> {
    loop {
        let infos = signals.try_recv_batch(batch)?;
        for info in infos {
            println!("  {info}");
            if info.signal() == Signal::TERM {
                return Ok(false);
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
fn the_world(mut socket: UnixStream) -> std::io::Result<()> {
    for line in ["one\n", "two\n", "three\n"] {
        socket.write_all(line.as_bytes())?;
        kill_process(getpid(), Number::USR1)?;
        let mut echoed = vec![0; line.len()];
        socket.read_exact(&mut echoed)?;
        println!("  echoed {}", String::from_utf8_lossy(&echoed).trim());
    }
    kill_process(getpid(), Number::TERM)?;
    Ok(())
}
