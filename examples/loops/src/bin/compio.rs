use std::sync::Arc;

use compio::driver::op::{Interest, PollOnce};
use compio::runtime::{Runtime, submit};
use signalfd::{Batch, Receiver, Signal};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let queued = Signal::rt(0).ok_or("there are no real-time signals")?;
    let set = queued | Signal::TERM;
    let _guard = signalfd::block(set)?;
    println!("pid {}", std::process::id());
    // The ring may have it for longer than the future that asked.
    let signals = Arc::new(Receiver::new(set)?);
    Runtime::new()?.block_on(receive(signals))
}

async fn receive(
    signals: Arc<Receiver>,
) -> Result<(), Box<dyn std::error::Error>> {
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
            let readable =
                PollOnce::new(Arc::clone(&signals), Interest::Readable);
            submit(readable).await.0?;
        }
    }
}
