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
/// (`FuturesUnordered`), as long as it runs on this thread and comes back when it
/// has nothing to do.
///
/// The waker may be kept for any length of time and used from any thread; once `block_on`
/// has returned, it does nothing. A signal handler may use it: it takes no lock,
/// allocates nothing, and calls `write(2)` at most, and `close(2)` if `block_on` returns
/// at that moment and leaves its descriptor to be closed. If a sandbox has come to forbid
/// `write(2)`, only a signal wakes a thread that sleeps.
///
/// Calls may be nested. Up to 64 can be running in the process; in a forked child those
/// of the parent count as running. Each sleeps until one of up to 32 receivers has a
/// signal; if it awaits more, it works, but keeps polling instead of sleeping.
///
/// # Errors
///
/// When an error is returned, the future has been dropped.
///
/// - [`Error::TooManyBlockOn`]: 64 are running already.
/// - [`Error::Os`]: `EMFILE`, `ENFILE` or `ENOMEM` for the one descriptor that
///   it needs to sleep, or another error if a sandbox refuses the call. A future
///   that never has to wait needs none. `EINVAL` if the process may have fewer descriptors
///   than are awaited (`RLIMIT_NOFILE`).
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
