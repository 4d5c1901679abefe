//! A TCP echo server in tokio that shuts down gracefully: no connection that it has
//! accepted is lost.
//!
//! ```text
//! cargo run --example tokio_server --features tokio             # press Ctrl-C
//! cargo run --example tokio_server --features tokio -- --demo   # is its own clients
//! ```
//!
//! SIGINT or SIGTERM: it accepts no more, and serves the connections that it has until
//! their clients are done, or for ten seconds. A second one ends it at once; the kernel
//! does that, so nothing in the program can prevent it. In either case its parent sees
//! by which signal it went.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::{Signal as Number, getpid, kill_process};
use signalfd::tokio::recv_first;
use signalfd::{Shutdown, Signal};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio::task::JoinSet;

fn main() -> Result<(), Box<dyn Error>> {
    // Before the runtime starts threads: they inherit the mask.
    let mut shutdown = Shutdown::open(Signal::INT | Signal::TERM)?;
    let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    println!("pid {} listens on {address}", std::process::id());
    let is_demo = std::env::args().any(|argument| argument == "--demo");
    let clients = is_demo.then(|| thread::spawn(move || clients(address)));

    let server = runtime.block_on(serve(listener, &mut shutdown))?;
    if let Some(clients) = clients {
        let content = clients.join().map_err(|_| "a client panicked")??;
        println!("clients that had all of their lines echoed: {content}");
        let away = TURNED_AWAY.load(Ordering::Relaxed);
        println!("clients that were connected and turned away: {away}");
    }
    let Server { accepted, completed, .. } = server;
    let lost = accepted - completed;
    println!("accepted={accepted} completed={completed} lost={lost}");
    shutdown.die();
    Ok(())
}

/// How many may wait to be accepted: what tokio asks for.
const BACKLOG: usize = 1024;

async fn serve(
    listener: TcpListener,
    shutdown: &mut Shutdown,
) -> Result<Server, Box<dyn Error>> {
    let mut server = Server::default();
    let first = tokio::select! {
        first = recv_first(shutdown) => first?,
        never = server.accept(&listener) => match never {},
    };
    // From here on the kernel acts on a second signal, and after this time.
    shutdown.deadline(Duration::from_secs(10))?;
    server.close(listener)?;
    println!("{first}: finishing {} connections", server.connections.len());
    server.finish().await;
    Ok(server)
}

/// How long to wait where a connection cannot be accepted.
const MOMENT: Duration = Duration::from_millis(10);

#[derive(Default)]
struct Server {
    connections: JoinSet<io::Result<()>>,
    accepted: usize,
    completed: usize,
}

impl Server {
    /// Accepts connections, until it is dropped where it waits.
    async fn accept(&mut self, listener: &TcpListener) -> Infallible {
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    match accepted {
                        Ok((stream, _)) => self.begin(stream),
                        // The client has gone again; or there is no descriptor left, and
                        // those that end give some back.
                        Err(error) => {
                            eprintln!("accept: {error}");
                            tokio::time::sleep(MOMENT).await;
                        }
                    }
                }
                Some(ended) = self.connections.join_next() => {
                    self.completed += usize::from(matches!(ended, Ok(Ok(()))));
                }
            }
        }
    }

    /// Accepts those that have connected already, and no more: closing the listener
    /// resets who still waits in its queue.
    fn close(&mut self, listener: TcpListener) -> io::Result<()> {
        // Asked itself, since tokio may not have heard of the last ones yet.
        let listener = listener.into_std()?;
        // No more than can wait there, or others might come without end.
        for _ in 0..BACKLOG {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(true)?;
                    self.begin(TcpStream::from_std(stream)?);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                // One that has gone again, or a handler that ran.
                Err(_) => {}
            }
        }
        Ok(())
    }

    fn begin(&mut self, stream: TcpStream) {
        self.accepted += 1;
        self.connections.spawn(echo(stream));
    }

    /// Serves those that are there to their end.
    async fn finish(&mut self) {
        while let Some(ended) = self.connections.join_next().await {
            self.completed += usize::from(matches!(ended, Ok(Ok(()))));
        }
    }
}

/// Sends back what comes, until the client is done.
async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = [0; 1024];
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        stream.write_all(buffer.get(..length).unwrap_or_default()).await?;
    }
}

// ---------------------------------------------------------------------------
// The demo

/// How many talk to the server at the same time.
const AT_ONCE: usize = 100;
/// After how many conversations SIGTERM comes.
const BEFORE: usize = 1000;

/// How many were connected, but not accepted when the server closed the door.
static TURNED_AWAY: AtomicUsize = AtomicUsize::new(0);

/// Plays the clients: they come again and again, until nobody is there any more.
/// Returns how many conversations were had.
fn clients(server: SocketAddr) -> io::Result<usize> {
    static HAD: AtomicUsize = AtomicUsize::new(0);
    let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let mut clients = JoinSet::new();
        for _ in 0..AT_ONCE {
            clients.spawn(async move {
                while talk(server).await? {
                    if HAD.fetch_add(1, Ordering::Relaxed) == BEFORE {
                        // In the middle of what all the others have to say.
                        kill_process(getpid(), Number::TERM)?;
                    }
                }
                io::Result::Ok(())
            });
        }
        while let Some(ended) = clients.join_next().await {
            ended??;
        }
        io::Result::Ok(())
    })?;
    Ok(HAD.load(Ordering::Relaxed))
}

/// Says some lines, and checks the echo. Returns whether it was let in; who has been
/// may count on an answer.
async fn talk(server: SocketAddr) -> io::Result<bool> {
    let Ok(mut stream) = TcpStream::connect(server).await else {
        return Ok(false);
    };
    for line in ["one\n", "two\n", "three\n", "four\n", "five\n"] {
        let mut echoed = vec![0; line.len()];
        let said = async {
            stream.write_all(line.as_bytes()).await?;
            stream.read_exact(&mut echoed).await
        };
        match said.await {
            // It had not been accepted when the server closed the door.
            Err(_) if line == "one\n" => {
                TURNED_AWAY.fetch_add(1, Ordering::Relaxed);
                return Ok(false);
            }
            said => drop(said?),
        }
        assert_eq!(echoed, line.as_bytes());
    }
    Ok(true)
}
