use signal_hook::consts::{SIGHUP, SIGTERM};
use signal_hook::iterator::Signals;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut signals = Signals::new([SIGHUP, SIGTERM])?;
    println!("pid {}", std::process::id());
    for signal in &mut signals {
        match signal {
            SIGHUP => println!("reload"),
            _ => break,
        }
    }
    println!("over");
    Ok(())
}
