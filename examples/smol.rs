//! A smol program whose work a signal cancels, and another one sets anew.
//!
//! ```text
//! cargo run --example smol --features async-io
//! cargo run --example smol --features async-io -- --demo   # signals itself
//! ```
//!
//! SIGHUP lets the work begin again, SIGINT or SIGTERM ends it.

use std::error::Error;
use std::time::Duration;

use rustix::process::{Signal as Number, getpid, kill_process};
use signalfd::async_io::AsyncReceiver;
use signalfd::{Signal, Until};
use smol::Timer;

fn main() -> Result<(), Box<dyn Error>> {
    // Before async-io starts its thread, which inherits the mask.
    let signals = signalfd::open(Signal::HUP | Signal::INT | Signal::TERM)?;
    println!("pid {} works", std::process::id());
    let is_demo = std::env::args().any(|argument| argument == "--demo");
    smol::block_on(async {
        let signals = AsyncReceiver::new(signals)?;
        loop {
            match signals.until(work(is_demo)).await? {
                Until::Done(result) => break result,
                Until::Signal(info) if info.signal() == Signal::HUP => {
                    println!("{info}: beginning again");
                }
                Until::Signal(info) => {
                    println!("{info}: ending");
                    break Ok(());
                }
            }
        }
    })
}

/// Counts. In the demo it is interrupted when it has got to three.
async fn work(is_demo: bool) -> Result<(), Box<dyn Error>> {
    use std::sync::atomic::{AtomicBool, Ordering};
    static WAS_RELOADED: AtomicBool = AtomicBool::new(false);
    let pace = Duration::from_millis(if is_demo { 1 } else { 1000 });
    for number in 1..=1000 {
        println!("  {number}");
        if is_demo && number == 3 {
            let again = WAS_RELOADED.swap(true, Ordering::Relaxed);
            let signal = if again { Number::TERM } else { Number::HUP };
            kill_process(getpid(), signal)?;
        }
        Timer::after(pace).await;
    }
    Ok(())
}
