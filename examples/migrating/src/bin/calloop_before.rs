use calloop::EventLoop;
use calloop::signals::{Signal, Signals};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let signals = Signals::new(&[Signal::SIGHUP, Signal::SIGTERM])?;
    let mut event_loop = EventLoop::try_new()?;
    let stop = event_loop.get_signal();
    event_loop.handle().insert_source(
        signals,
        move |event, (), ()| match event.signal() {
            Signal::SIGHUP => println!("reload"),
            _ => stop.stop(),
        },
    )?;
    println!("pid {}", std::process::id());
    event_loop.run(None, &mut (), |()| {})?;
    println!("over");
    Ok(())
}
