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
    let once = EventFlags::IN | EventFlags::ONESHOT;
    epoll::add(&epoll, &signals, data, once)?;
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
                SIGNALS => {
                    // Of all threads that wait on the epoll only this one is told.
                    let infos = signals.try_recv_batch(&mut batch)?;
                    for info in infos {
                        println!("{info}");
                        if info.signal() == Signal::TERM {
                            return Ok(());
                        }
                    }
                    // It looks anew, so what is left, or has come since, is told of.
                    epoll::modify(&epoll, &signals, data, once)?;
                }
                _ => { /* yours */ }
            }
        }
    }
}
