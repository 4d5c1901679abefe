use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use signalfd::{Batch, Signal};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let queued = Signal::rt(0).ok_or("there are no real-time signals")?;
    let signals = signalfd::open(queued | Signal::TERM)?;
    println!("pid {}", std::process::id());

    let mut batch = Batch::<16>::new();
    loop {
        // Yours beside it.
        let mut fds = [PollFd::new(&signals, PollFlags::IN)];
        match poll(&mut fds, None) {
            // A handler ran.
            Err(Errno::INTR) => continue,
            ready => ready?,
        };
        if fds[0].revents().contains(PollFlags::IN) {
            // Once: what is left is told of again.
            for info in signals.try_recv_batch(&mut batch)? {
                println!("{info}");
                if info.signal() == Signal::TERM {
                    return Ok(());
                }
            }
        }
    }
}
