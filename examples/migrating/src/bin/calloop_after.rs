use calloop::EventLoop;
use signalfd::Signal;
use signalfd::calloop::Source;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let signals = signalfd::open(Signal::HUP | Signal::TERM)?;
    let mut event_loop = EventLoop::try_new()?;
    let stop = event_loop.get_signal();
    event_loop.handle().insert_source(
        Source::new(signals),
        move |info, (), ()| match info.signal() {
            Signal::HUP => println!("reload"),
            _ => stop.stop(),
        },
    )?;
    println!("pid {}", std::process::id());
    event_loop.run(None, &mut (), |()| {})?;
    println!("over");
    Ok(())
}
