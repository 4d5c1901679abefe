use async_signal::{Signal, Signals};
use futures_lite::StreamExt;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    smol::block_on(async {
        let mut signals = Signals::new([Signal::Hup, Signal::Term])?;
        println!("pid {}", std::process::id());
        while let Some(signal) = signals.next().await {
            match signal? {
                Signal::Hup => println!("reload"),
                _ => break,
            }
        }
        println!("over");
        Ok(())
    })
}
