use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGHUP);
    mask.add(Signal::SIGTERM);
    mask.thread_block()?;
    let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC)?;
    println!("pid {}", std::process::id());
    while let Some(info) = signals.read_signal()? {
        match Signal::try_from(i32::try_from(info.ssi_signo)?)? {
            Signal::SIGHUP => println!("reload"),
            _ => break,
        }
    }
    println!("over");
    Ok(())
}
