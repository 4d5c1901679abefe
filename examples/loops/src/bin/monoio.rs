use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as Descriptor;

use monoio::net::UnixStream;
use monoio::{IoUringDriver, RuntimeBuilder};
use signalfd::{Batch, Receiver, Signal};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let queued = Signal::rt(0).ok_or("there are no real-time signals")?;
    let signals = signalfd::open(queued | Signal::TERM)?;
    println!("pid {}", std::process::id());
    RuntimeBuilder::<IoUringDriver>::new().build()?.block_on(receive(&signals))
}

async fn receive(signals: &Receiver) -> Result<(), Box<dyn std::error::Error>> {
    // monoio waits for sockets. It puts any descriptor into its ring, and this one is
    // never read from or written to.
    let descriptor = Descriptor::from(signals.as_fd().try_clone_to_owned()?);
    let readable = UnixStream::from_std(descriptor)?;
    let mut batch = Batch::<16>::new();
    loop {
        // First, since the ring is asked only when nothing is left.
        let infos = signals.try_recv_batch(&mut batch)?;
        for info in infos {
            println!("{info}");
            if info.signal() == Signal::TERM {
                return Ok(());
            }
        }
        if infos.len() < 16 {
            readable.readable(false).await?;
        }
    }
}
