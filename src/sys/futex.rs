//! Sleeping on a word of this process.

use core::sync::atomic::AtomicU32;

use rustix::io::Errno;
use rustix::thread::futex;

use super::Deadline;
use crate::error::{Error, Op};

/// Sleeps while the word has this value, until somebody wakes the thread or the
/// deadline is over. It may return early, for no reason (futex(2)).
pub(crate) fn futex_wait(
    word: &AtomicU32,
    value: u32,
    deadline: Deadline,
) -> Result<(), Error> {
    let flags = futex::Flags::PRIVATE;
    match futex::wait(word, flags, value, deadline.timespec().as_ref()) {
        Ok(()) | Err(Errno::AGAIN | Errno::INTR | Errno::TIMEDOUT) => Ok(()),
        Err(errno) => Err(Error::os(Op::Futex, errno)),
    }
}

/// Wakes one thread that sleeps on the word.
pub(crate) fn futex_wake(word: &AtomicU32) {
    let wake = || futex::wake(word, futex::Flags::PRIVATE, 1);
    // It would go on to sleep, so it is tried once more.
    if wake().is_err() {
        let _woken = wake();
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::Ordering;
    use core::time::Duration;

    use super::*;

    #[test]
    fn a_sleep_ends_with_the_value_the_deadline_or_a_wake() {
        extern crate std;
        let word = AtomicU32::new(1);
        assert_eq!(futex_wait(&word, 0, Deadline::NEVER), Ok(()));
        let end = Deadline::after(Some(Duration::from_millis(5)));
        while !end.is_over() {
            assert_eq!(futex_wait(&word, 1, end), Ok(()));
        }
        std::thread::scope(|scope| {
            scope.spawn(|| {
                word.store(2, Ordering::Release);
                futex_wake(&word);
            });
            while word.load(Ordering::Acquire) == 1 {
                assert_eq!(futex_wait(&word, 1, Deadline::NEVER), Ok(()));
            }
        });
    }
}
