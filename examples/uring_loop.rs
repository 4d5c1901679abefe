//! A hand-written io_uring loop: a TCP echo server and signals in one ring.
//!
//! ```text
//! cargo run --example uring_loop             # prints its address, and serves
//! cargo run --example uring_loop -- --demo   # is its own client, too
//! ```
//!
//! SIGHUP reloads. SIGINT or SIGTERM ends it: it accepts no more, has the kernel
//! let go of its buffers, and goes.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    server::main()
}

#[cfg(not(all(
    feature = "io-uring",
    target_os = "linux",
    target_pointer_width = "64",
    any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "riscv64",
        target_arch = "loongarch64",
        target_arch = "powerpc64",
    )
)))]
mod server {
    #[expect(clippy::unnecessary_wraps, reason = "so does the other")]
    pub(super) fn main() -> Result<(), Box<dyn std::error::Error>> {
        println!("this is built without io_uring");
        Ok(())
    }
}

#[cfg(all(
    feature = "io-uring",
    target_os = "linux",
    target_pointer_width = "64",
    any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "riscv64",
        target_arch = "loongarch64",
        target_arch = "powerpc64",
    )
))]
mod server {
    #![expect(unsafe_code, reason = "who submits vouches for the buffers")]

    use std::error::Error;
    use std::io::{self, ErrorKind, Read, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::os::fd::{AsRawFd, FromRawFd};
    use std::thread;

    use io_uring::{IoUring, cqueue, opcode, squeue, types};
    use rustix::process::{Signal as Number, getpid, kill_process};
    use signalfd::uring::Source;
    use signalfd::{Batch, Receiver, Signal};

    /// What a completion is about: one of these, or the connection of that number.
    const SIGNALS: u64 = u64::MAX;
    const ACCEPT: u64 = u64::MAX - 1;
    const CANCEL: u64 = u64::MAX - 2;

    pub(super) fn main() -> Result<(), Box<dyn Error>> {
        // Before the other thread is started: it inherits the mask.
        let signals = signalfd::open(Signal::HUP | Signal::INT | Signal::TERM)?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        println!("pid {} listens on {address}", std::process::id());
        let is_demo = std::env::args().nth(1).as_deref() == Some("--demo");
        let world = is_demo.then(|| thread::spawn(move || the_world(address)));

        let mut server = Server::new(&listener)?;
        let ended = server.run(&signals);
        let closed = server.close();
        if closed.is_err() {
            // The kernel may still write to its buffers.
            std::mem::forget(server);
        }
        ended?;
        closed?;
        if let Some(world) = world {
            world.join().map_err(|_| "the world panicked")??;
        }
        Ok(())
    }

    struct Server<'l> {
        ring: IoUring,
        listener: &'l TcpListener,
        /// By number; `None` where another can come.
        connections: Vec<Option<Connection>>,
        /// How many of our requests the kernel has, besides the signals'.
        in_flight: usize,
        /// No more are accepted before one is closed.
        is_full: bool,
    }

    /// A connection has one request in the ring at a time, so its buffer is the
    /// kernel's or ours in turns.
    struct Connection {
        stream: TcpStream,
        buffer: Box<[u8; 1024]>,
        is_sending: bool,
    }

    impl<'l> Server<'l> {
        fn new(listener: &'l TcpListener) -> io::Result<Self> {
            let ring = IoUring::new(64)?;
            let connections = vec![];
            Ok(Self {
                ring,
                listener,
                connections,
                in_flight: 0,
                is_full: false,
            })
        }

        /// The loop. It ends with SIGINT or SIGTERM.
        fn run(&mut self, signals: &Receiver) -> Result<(), Box<dyn Error>> {
            let mut source = Source::new(signals);
            let mut batch = Batch::<16>::new();
            self.accept()?;
            loop {
                // One by one: what is left after an error is there for `close`.
                loop {
                    let next = self.ring.completion().next();
                    let Some(completion) = next else { break };
                    match completion.user_data() {
                        SIGNALS => source.complete(completion)?,
                        ACCEPT => self.accepted(&completion)?,
                        _ => self.progressed(&completion)?,
                    }
                }
                // Until nothing is left: the ring does not say again what it
                // has said.
                loop {
                    let infos = source.take(&mut batch)?;
                    if infos.is_empty() {
                        break;
                    }
                    for info in infos {
                        println!("{info}");
                        if info.signal() != Signal::HUP {
                            println!("  ending");
                            return Ok(());
                        }
                        println!("  reloading the configuration");
                    }
                }
                if source.needs_arming() {
                    self.make_room()?;
                    source.push(&mut self.ring.submission(), SIGNALS)?;
                }
                // Submits, and waits, unless something has completed already.
                source.submit_and_wait(&mut self.ring)?;
            }
        }

        /// Submits, and waits for a completion.
        fn wait(&self) -> io::Result<()> {
            match self.ring.submit_and_wait(1) {
                // The process was stopped, or a debugger came: look, and go on.
                Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
                done => done.map(drop),
            }
        }

        fn accept(&mut self) -> io::Result<()> {
            let fd = types::Fd(self.listener.as_raw_fd());
            let nothing = std::ptr::null_mut();
            let entry = opcode::Accept::new(fd, nothing, nothing.cast())
                .flags(libc::SOCK_CLOEXEC);
            self.push(&entry.build().user_data(ACCEPT))
        }

        fn accepted(&mut self, completion: &cqueue::Entry) -> io::Result<()> {
            self.in_flight -= 1;
            match result(completion) {
                Ok(raw) => {
                    // SAFETY: accept4(2) made it for us, and nobody else knows
                    // of it.
                    let stream = unsafe { TcpStream::from_raw_fd(raw) };
                    let buffer = Box::new([0; 1024]);
                    let connection =
                        Connection { stream, buffer, is_sending: false };
                    let free =
                        self.connections.iter().position(Option::is_none);
                    let number = free.unwrap_or(self.connections.len());
                    self.connections.resize_with(
                        self.connections.len().max(number + 1),
                        || None,
                    );
                    self.connections[number] = Some(connection);
                    self.receive(number)?;
                }
                Err(error) => {
                    println!("accept: {error}");
                    let is_gone = error.kind() == ErrorKind::ConnectionAborted;
                    let is_one_open =
                        self.connections.iter().any(Option::is_some);
                    // There is no descriptor for it before another one is closed.
                    match (is_gone, is_one_open) {
                        (true, _) => {}
                        (false, true) => {
                            self.is_full = true;
                            return Ok(());
                        }
                        (false, false) => return Err(error),
                    }
                }
            }
            self.accept()
        }

        fn receive(&mut self, number: usize) -> io::Result<()> {
            let Some(connection) = &mut self.connections[number] else {
                return Ok(());
            };
            connection.is_sending = false;
            let fd = types::Fd(connection.stream.as_raw_fd());
            let (buffer, length) = (connection.buffer.as_mut_ptr(), 1024);
            let entry = opcode::Recv::new(fd, buffer, length).build();
            self.push(&entry.user_data(number as u64))
        }

        fn send(&mut self, number: usize, length: u32) -> io::Result<()> {
            let Some(connection) = &mut self.connections[number] else {
                return Ok(());
            };
            connection.is_sending = true;
            let fd = types::Fd(connection.stream.as_raw_fd());
            let buffer = connection.buffer.as_ptr();
            let entry = opcode::Send::new(fd, buffer, length)
                .flags(libc::MSG_WAITALL | libc::MSG_NOSIGNAL)
                .build();
            self.push(&entry.user_data(number as u64))
        }

        /// A connection has received something, or sent it back.
        fn progressed(&mut self, completion: &cqueue::Entry) -> io::Result<()> {
            self.in_flight -= 1;
            let number = usize::try_from(completion.user_data());
            let number = number.map_err(io::Error::other)?;
            let connection = self.connections[number].as_ref();
            let was_sending = connection.is_some_and(|it| it.is_sending);
            match result(completion) {
                Ok(_) if was_sending => self.receive(number),
                Ok(1..) => {
                    let length = completion.result().unsigned_abs();
                    println!("connection {number}: {length} bytes");
                    self.send(number, length)
                }
                // The other side has closed, or is gone.
                _ => {
                    self.connections[number] = None;
                    if !std::mem::take(&mut self.is_full) {
                        return Ok(());
                    }
                    self.accept()
                }
            }
        }

        /// Sees to it that the submission queue is not full.
        fn make_room(&mut self) -> io::Result<()> {
            if self.ring.submission().is_full() {
                self.ring.submit()?;
            }
            Ok(())
        }

        fn push(&mut self, entry: &squeue::Entry) -> io::Result<()> {
            self.make_room()?;
            // SAFETY: the buffer that the entry names is on the heap, is not
            // touched while its connection's one request is in flight, and is
            // freed when that has completed, or after `close` has waited for it,
            // or never.
            let pushed = unsafe { self.ring.submission().push(entry) };
            pushed.map_err(io::Error::other)?;
            self.in_flight += 1;
            Ok(())
        }

        /// Counts what has completed, and does nothing about it.
        fn reap(&mut self) {
            let ours = self.ring.completion();
            let ours = ours.filter(|it| it.user_data() != SIGNALS);
            self.in_flight -= ours.count();
        }

        /// Cancels everything, and waits until the kernel has no buffer of ours.
        fn close(&mut self) -> io::Result<()> {
            let open = |(number, it): (usize, &Option<_>)| {
                it.is_some().then_some(number as u64)
            };
            let connections = self.connections.iter().enumerate();
            let ours: Vec<_> = connections.filter_map(open).collect();
            for request in ours.into_iter().chain([ACCEPT]) {
                let cancel = opcode::AsyncCancel::new(request).build();
                self.push(&cancel.user_data(CANCEL))?;
                self.reap();
            }
            while self.in_flight > 0 {
                self.wait()?;
                self.reap();
            }
            let open = self.connections.iter().flatten().count();
            println!("  connections that were open: {open}");
            Ok(())
        }
    }

    fn result(completion: &cqueue::Entry) -> io::Result<i32> {
        match completion.result() {
            error @ ..0 => Err(io::Error::from_raw_os_error(-error)),
            value => Ok(value),
        }
    }

    /// Sends lines and signals, and checks the echo.
    fn the_world(address: SocketAddr) -> io::Result<()> {
        let mut first = TcpStream::connect(address)?;
        let mut second = TcpStream::connect(address)?;
        for word in ["one", "three", "five"] {
            for stream in [&mut first, &mut second] {
                stream.write_all(word.as_bytes())?;
                let mut echo = vec![0; word.len()];
                stream.read_exact(&mut echo)?;
                assert_eq!(echo, word.as_bytes());
            }
            kill_process(getpid(), Number::HUP)?;
        }
        drop(second);
        first.write_all(b"seven")?;
        first.read_exact(&mut [0; 5])?;
        kill_process(getpid(), Number::TERM)?;
        Ok(())
    }
}
