#![expect(unsafe_code, reason = "adding to a poller is")]

use polling::{Event, Events, Poller};
use signalfd::{Batch, Signal};

const SIGNALS: usize = 1;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let queued = Signal::rt(0).ok_or("there are no real-time signals")?;
    let signals = signalfd::open(queued | Signal::TERM)?;
    println!("pid {}", std::process::id());

    let poller = Poller::new()?;
    // SAFETY: it is deleted below, before the receiver is dropped.
    unsafe { poller.add(&signals, Event::readable(SIGNALS))? };
    let mut events = Events::new();
    let mut batch = Batch::<16>::new();
    'run: loop {
        events.clear();
        // It waits again by itself if a handler ran.
        poller.wait(&mut events, None)?;
        for event in events.iter() {
            match event.key {
                SIGNALS => {
                    for info in signals.try_recv_batch(&mut batch)? {
                        println!("{info}");
                        if info.signal() == Signal::TERM {
                            break 'run;
                        }
                    }
                    // It tells once, and looks anew when it is asked again.
                    poller.modify(&signals, Event::readable(SIGNALS))?;
                }
                _ => { /* yours */ }
            }
        }
    }
    poller.delete(&signals)?;
    Ok(())
}
