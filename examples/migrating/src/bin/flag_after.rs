use signalfd::Signal;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Before threads are started.
    let signals = signalfd::open(Signal::HUP | Signal::TERM)?;
    println!("pid {}", std::process::id());
    loop {
        match signals.try_recv()?.map(|info| info.signal()) {
            None => {}
            Some(Signal::HUP) => println!("reload"),
            Some(_) => break,
        }
        // Yours: some work that takes a while.
        std::thread::yield_now();
    }
    println!("over");
    Ok(())
}
