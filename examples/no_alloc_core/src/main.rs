//! A service core that runs without std and without an allocator.
//!
//! ```text
//! cargo run --manifest-path examples/no_alloc_core/Cargo.toml
//! ```
//!
//! That it links is the proof that nothing in `signalfd` needs either: there is
//! none. It uses every way to receive: it blocks the signals, takes what is
//! there, waits, waits with an epoll, hands out through a hub, and runs a future. It
//! sends itself what it receives, and exits with 0 if all came as it should.

#![no_std]
#![no_main]

use core::ffi::{c_char, c_int};
use core::fmt::{self, Write};
use core::panic::PanicInfo;
use core::time::Duration;

use signalfd::{Batch, Epoll, Error, Hub, Receiver, SigInfo, Signal};

/// Two subscribers, each with room for four records.
static HUB: Hub<2, 4> = Hub::new();

#[unsafe(no_mangle)]
extern "C" fn main(_count: c_int, _arguments: *const *const c_char) -> c_int {
    match run() {
        Ok(()) => 0,
        Err(error) => {
            let _written = writeln!(Output, "no_alloc_core: {error}");
            1
        }
    }
}

fn run() -> Result<(), Error> {
    let set = Signal::HUP | Signal::USR1 | Signal::ALRM | Signal::TERM;
    let _guard = signalfd::block(set)?;
    let receiver = Receiver::new(set)?;
    let mut batch = Batch::<8>::new();

    // What is there.
    send(Signal::HUP);
    send(Signal::USR1);
    for info in receiver.try_recv_batch(&mut batch)? {
        show("taken", info);
    }

    // Waiting, with and without a deadline.
    if receiver.wait_timeout(Duration::from_millis(1))?.is_none() {
        let _written = writeln!(Output, "nothing came in time");
    }
    send(Signal::HUP);
    show("waited for", &receiver.wait()?);

    // An epoll, for a loop that has more to wait for.
    let epoll = Epoll::new([&receiver])?;
    send(Signal::USR1);
    if epoll.turn(None)? == 1 {
        for info in receiver.try_recv_batch(&mut batch)? {
            show("told by the epoll", info);
        }
    }

    // Two who want the same.
    let mut dispatcher = HUB.dispatcher()?;
    let mut one = HUB.subscribe(Signal::USR1)?;
    let mut two = HUB.subscribe(Signal::USR1 | Signal::HUP)?;
    send(Signal::USR1);
    dispatcher.dispatch(&receiver.wait()?)?;
    show("handed to one", &one.wait()?);
    show("handed to two", &two.wait()?);

    // A future, on this thread alone, asleep until the alarm.
    // SAFETY: takes a number of seconds.
    unsafe { libc::alarm(1) };
    signalfd::block_on(async {
        loop {
            let info = receiver.recv().await?;
            show("awaited", &info);
            match info.signal() {
                Signal::ALRM => send(Signal::TERM),
                _ => return Ok(()),
            }
        }
    })?
}

fn show(how: &str, info: &SigInfo) {
    let _written = writeln!(Output, "{how}: {info}");
}

fn send(signal: Signal) {
    // SAFETY: has no preconditions.
    let pid = unsafe { libc::getpid() };
    // SAFETY: takes two numbers.
    unsafe { libc::kill(pid, signal.as_raw()) };
}

/// Standard output, one `write(2)` for each piece.
struct Output;

impl Write for Output {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            // SAFETY: reads at most the length of the slice.
            let written =
                unsafe { libc::write(1, rest.as_ptr().cast(), rest.len()) };
            let written = usize::try_from(written).map_err(|_| fmt::Error)?;
            rest = rest.get(written..).ok_or(fmt::Error)?;
        }
        Ok(())
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let _written = writeln!(Output, "{info}");
    // SAFETY: ends the process.
    unsafe { libc::abort() }
}
