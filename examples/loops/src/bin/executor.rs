use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use signalfd::{Receiver, Signal};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let queued = Signal::rt(0).ok_or("there are no real-time signals")?;
    let signals = signalfd::open(queued | Signal::TERM)?;
    println!("pid {}", std::process::id());

    run(&signals, async {
        loop {
            let info = signals.recv().await?;
            println!("{info}");
            if info.signal() == Signal::TERM {
                return Ok(());
            }
        }
    })
}

/// Whether the task is to be polled. In an executor with other threads this would also
/// write to an eventfd, which is polled beside the receiver.
struct Task {
    is_woken: AtomicBool,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(true, Ordering::SeqCst);
    }
}

/// Runs one task, and waits for descriptors while it does.
fn run<T, E: From<Errno>>(
    signals: &Receiver,
    future: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let task = Arc::new(Task { is_woken: AtomicBool::new(true) });
    let waker = Waker::from(Arc::clone(&task));
    let mut future = pin!(future);
    loop {
        while task.is_woken.swap(false, Ordering::SeqCst) {
            let mut cx = Context::from_waker(&waker);
            if let Poll::Ready(result) = future.as_mut().poll(&mut cx) {
                return result;
            }
        }
        // Yours beside it.
        let mut fds = [PollFd::new(signals, PollFlags::IN)];
        match poll(&mut fds, None) {
            // A handler ran.
            Err(Errno::INTR) => continue,
            ready => ready?,
        };
        if fds[0].revents().contains(PollFlags::IN) {
            signals.on_readable();
        }
    }
}
