use std::thread;

use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::io::Errno;
use signalfd::{Batch, Receiver, Signal};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Each thread has an epoll of its own, and all have the one receiver of the process.
fn main() -> Result<(), Error> {
    let queued = Signal::rt(0).ok_or("there are no real-time signals")?;
    let signals = signalfd::open(queued | Signal::TERM)?;
    println!("pid {}", std::process::id());
    let receiver: &Receiver = &signals;
    thread::scope(|scope| {
        let threads = [(); 3].map(|()| scope.spawn(|| run(receiver)));
        for thread in threads {
            thread.join().map_err(|_| "a thread panicked")??;
        }
        Ok::<_, Error>(())
    })?;
    // The last one has put it back, too.
    signals.wait()?;
    Ok(())
}

fn run(signals: &Receiver) -> Result<(), Error> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let data = EventData::new_u64(1);
    let exclusive = EventFlags::IN | EventFlags::EXCLUSIVE;
    epoll::add(&epoll, signals, data, exclusive)?;
    let mut events = [Event { flags: EventFlags::empty(), data }; 8];
    let mut batch = Batch::<16>::new();
    loop {
        match epoll::wait(&epoll, &mut events, None) {
            // A handler ran, or an io_uring was dropped.
            Err(Errno::INTR) => continue,
            ready => ready?,
        };
        // Nothing, if another thread was faster.
        let mut is_over = false;
        for info in signals.try_recv_batch(&mut batch)? {
            if info.signal() == Signal::TERM {
                // The others are to have it, too.
                signals.put_back(info)?;
                is_over = true;
            } else {
                println!("{info}");
            }
        }
        if is_over {
            return Ok(());
        }
    }
}
