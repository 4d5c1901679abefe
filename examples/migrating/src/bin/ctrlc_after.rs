use signalfd::Signal;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Before threads are started.
    let signals = signalfd::open(Signal::INT)?;
    println!("pid {}", std::process::id());
    signals.wait()?;
    println!("over");
    Ok(())
}
