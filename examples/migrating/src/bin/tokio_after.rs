use signalfd::tokio::AsyncReceiver;
use signalfd::{Options, Signal};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The workers are there already, and have to block the signals, too.
    let options = Options::new().every_thread(true);
    let signals = options.open(Signal::HUP | Signal::TERM)?;
    let signals = AsyncReceiver::new(signals)?;
    println!("pid {}", std::process::id());
    while signals.recv().await?.signal() == Signal::HUP {
        println!("reload");
    }
    println!("over");
    Ok(())
}
