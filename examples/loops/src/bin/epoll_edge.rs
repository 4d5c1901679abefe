use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::io::Errno;
use signalfd::{Batch, Signal};

const SIGNALS: u64 = 1;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let queued = Signal::rt(0).ok_or("there are no real-time signals")?;
    let signals = signalfd::open(queued | Signal::TERM)?;
    println!("pid {}", std::process::id());

    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let data = EventData::new_u64(SIGNALS);
    epoll::add(&epoll, &signals, data, EventFlags::IN | EventFlags::ET)?;
    let mut events = [Event { flags: EventFlags::empty(), data }; 8];
    let mut batch = Batch::<16>::new();
    loop {
        let ready = match epoll::wait(&epoll, &mut events, None) {
            // A handler ran, or an io_uring was dropped.
            Err(Errno::INTR) => continue,
            ready => ready?,
        };
        for event in &events[..ready] {
            match { event.data }.u64() {
                // Until the batch is short: then nothing is left, and the next signal is
                // told of. No read finds nothing.
                SIGNALS => loop {
                    let infos = signals.try_recv_batch(&mut batch)?;
                    for info in infos {
                        println!("{info}");
                        if info.signal() == Signal::TERM {
                            return Ok(());
                        }
                    }
                    if infos.len() < 16 {
                        break;
                    }
                },
                _ => { /* yours */ }
            }
        }
    }
}
