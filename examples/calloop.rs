//! A calloop event loop with signals beside a timer.
//!
//! ```text
//! cargo run --example calloop --features calloop
//! cargo run --example calloop --features calloop -- --demo   # signals itself
//! ```
//!
//! SIGHUP starts the clock anew, SIGINT or SIGTERM ends it.

use std::error::Error;
use std::time::Duration;

use calloop::timer::{TimeoutAction, Timer};
use calloop::{EventLoop, LoopSignal};
use rustix::process::{Signal as Number, getpid, kill_process};
use signalfd::calloop::Source;
use signalfd::{SigInfo, Signal};

/// What the sources of the loop share.
struct State {
    ticks: u32,
    reloads: u32,
    stop: LoopSignal,
}

fn main() -> Result<(), Box<dyn Error>> {
    let signals = signalfd::open(Signal::HUP | Signal::INT | Signal::TERM)?;
    println!("pid {} ticks", std::process::id());
    let is_demo = std::env::args().any(|argument| argument == "--demo");
    let pace = Duration::from_millis(if is_demo { 1 } else { 1000 });

    let mut event_loop = EventLoop::<State>::try_new()?;
    let stop = event_loop.get_signal();
    let mut state = State { ticks: 0, reloads: 0, stop };
    let handle = event_loop.handle();
    handle.insert_source(Source::new(signals), |info, (), state| {
        state.receive(&info);
    })?;
    handle.insert_source(Timer::from_duration(pace), move |_, (), state| {
        state.ticks += 1;
        println!("  {}", state.ticks);
        if is_demo && state.ticks == 3 {
            let again = state.reloads > 0;
            let signal = if again { Number::TERM } else { Number::HUP };
            // It can be refused by a sandbox only.
            kill_process(getpid(), signal).unwrap_or_default();
        }
        TimeoutAction::ToDuration(pace)
    })?;
    event_loop.run(None, &mut state, |_| {})?;
    println!("reloads: {}", state.reloads);
    Ok(())
}

impl State {
    fn receive(&mut self, info: &SigInfo) {
        println!("{info}");
        if info.signal() == Signal::HUP {
            self.reloads += 1;
            self.ticks = 0;
        } else {
            self.stop.stop();
        }
    }
}
