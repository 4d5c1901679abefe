use signalfd::Signal;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Before threads are started.
    let signals = signalfd::open(Signal::HUP | Signal::TERM)?;
    println!("pid {}", std::process::id());
    for info in &signals {
        match info?.signal() {
            Signal::HUP => println!("reload"),
            _ => break,
        }
    }
    println!("over");
    Ok(())
}
