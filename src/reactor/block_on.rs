//! A thread that runs one future.

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll};

use crate::error::Error;
use crate::receive::Parker;

/// Runs a future on the calling thread until it is done.
///
/// While the future waits, the thread sleeps until one of the receivers that it
/// awaits has a signal, or until another thread uses its waker. No other thread
/// is needed, no other runtime, and nothing is allocated. Receivers register
/// themselves, also inside a combinator that has wakers of its own
/// (`FuturesUnordered`), as long as it runs on this thread.
///
/// The waker may be kept for any length of time and used from any thread; once
/// `block_on` has returned, it does nothing.
///
/// Up to 64 threads can be in `block_on` at a time, and each can await 16
/// receivers at a time. It may be called inside itself.
///
/// # Errors
///
/// When an error is returned, the future has been dropped.
///
/// - [`Error::TooManyBlockOn`]: 64 threads are in `block_on` already.
/// - [`Error::Os`]: `EMFILE`, `ENFILE` or `ENOMEM` for the one descriptor that
///   it needs to sleep, or another error if a sandbox
///   refuses the call. A future that never has to
///   wait needs none.
/// - [`Error::Forked`]: the process was forked inside, and this is the child.
///
/// # Examples
///
/// ```
/// use signalfd::{Signal, block_on, open};
///
/// let signals = open(Signal::HUP | Signal::TERM)?;
/// # unsafe { libc::kill(libc::getpid(), libc::SIGHUP) };
/// # unsafe { libc::kill(libc::getpid(), libc::SIGTERM) };
/// let reloads = block_on(async {
///     let mut reloads = 0;
///     while signals.recv().await?.signal() == Signal::HUP {
///         reloads += 1;
///     }
///     Ok::<_, signalfd::Error>(reloads)
/// })??;
/// assert_eq!(reloads, 1);
/// # Ok::<(), signalfd::Error>(())
/// ```
pub fn block_on<F: Future>(future: F) -> Result<F::Output, Error> {
    let parker = Parker::new()?;
    let waker = parker.waker();
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        parker.awake();
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return Ok(output);
        }
        parker.sleep()?;
    }
}
