use signalfd::Signal;
use signalfd::async_io::AsyncReceiver;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Before threads are started, of which async-io has one.
    let signals = signalfd::open(Signal::HUP | Signal::TERM)?;
    smol::block_on(async {
        let signals = AsyncReceiver::new(signals)?;
        println!("pid {}", std::process::id());
        while signals.recv().await?.signal() == Signal::HUP {
            println!("reload");
        }
        println!("over");
        Ok(())
    })
}
