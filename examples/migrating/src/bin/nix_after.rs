use signalfd::Signal;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let signals = signalfd::open(Signal::HUP | Signal::TERM)?;
    println!("pid {}", std::process::id());
    while signals.wait()?.signal() == Signal::HUP {
        println!("reload");
    }
    println!("over");
    Ok(())
}
