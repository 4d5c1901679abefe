//! Signals in an io_uring of the caller's own.
//!
//! A *source* makes signals part of a ring that is there already. It owns no ring,
//! and enters one only where the loop asks it to wait: it hands out the submission, is
//! given the completions that carry its `user_data`, and yields the records.
//!
//! | | [`Source`] | [`ReadSource`] |
//! |---|---|---|
//! | asks the ring to | say when there is something to read | read ahead |
//! | system calls | one for a batch, besides the loop's own | none besides the loop's own, but one for each end of a request that lasts |
//! | memory that the kernel writes to | none | a mapping of its own |
//! | a signal that some thread does not block | goes to its handler | may be taken from its handler |
//! | the same in every kind of ring | yes | but for the thread it is dropped on |
//! | since | Linux 5.1 | Linux 6.0; a request that lasts, 6.7 |
//!
//! Take [`Source`] unless signals come in thousands.
//!
//! # A loop
//!
//! ```no_run
//! use io_uring::IoUring;
//! use signalfd::{Batch, Signal, uring::Source};
//!
//! const SIGNALS: u64 = 1; // the user_data: any number of yours
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let signals = signalfd::open(Signal::HUP | Signal::TERM)?;
//! let mut ring = IoUring::new(8)?;
//! let mut source = Source::new(&signals);
//! let mut batch = Batch::<16>::new();
//! loop {
//!     // What is there is taken before the loop waits for more.
//!     for completion in ring.completion() {
//!         match completion.user_data() {
//!             SIGNALS => source.complete(completion)?,
//!             _ => { /* yours */ }
//!         }
//!     }
//!     loop {
//!         let infos = source.take(&mut batch)?;
//!         if infos.is_empty() {
//!             break;
//!         }
//!         for info in infos {
//!             match info.signal() {
//!                 Signal::HUP => println!("reload"),
//!                 _ => return Ok(()),
//!             }
//!         }
//!     }
//!     if source.needs_arming() {
//!         if ring.submission().is_full() {
//!             ring.submit()?;
//!         }
//!         source.push(&mut ring.submission(), SIGNALS)?;
//!     }
//!     // It does not wait where something has completed meanwhile.
//!     source.submit_and_wait(&mut ring)?;
//! }
//! # }
//! ```
//!
//! It begins with taking, since no completion tells of what was left to whoever
//! takes next (where the user's queue was full when a ring went that had read ahead).
//! And where completions have come already, it need not wait for them.
//!
//! The source's wait ([`Source::submit_and_wait`]) does not wait where something has
//! completed that was not looked at, and lets signals gather where that is asked for
//! ([`Options::moderate`](crate::Options::moderate)). A loop that has a wait of its own goes on
//! with that; it can end with `EINTR` though no handler runs: where the process was stopped
//! and continued, a debugger has attached, or the machine has slept (signal(7)).
//!
//! A source goes with one ring. No completion says that the ring is gone: make a new
//! source for the next one.
//!
//! # Whose signals
//!
//! A ring works on behalf of the thread that submits. So a source sees signals
//! for the process, and those directed at the thread that submitted its request.
//! When that thread ends, the request ends with the next signal, which stays
//! pending, and [`needs_arming`](Source::needs_arming) says so. In a ring with
//! `IORING_SETUP_SQPOLL` a thread of the kernel submits, so signals directed at a
//! thread are not seen.
//!
//! A [`Source`] is told on behalf of that thread, and reads on behalf of the one that
//! takes. So take with the thread that submits.
//!
//! | ring | completions come |
//! |---|---|
//! | default | at once: the submitting thread is interrupted |
//! | `IORING_SETUP_COOP_TASKRUN` | when the submitting thread next enters the kernel |
//! | `IORING_SETUP_DEFER_TASKRUN` | when the submitting thread waits for completions |
//! | `IORING_SETUP_SQPOLL` | at once |
//! | `IORING_SETUP_IOPOLL` | never: the request fails, with [`Error::Os`] |
//! | `IORING_SETUP_R_DISABLED` | once the ring is enabled |
//!
//! Rings of 128-byte submissions or 32-byte completions are fine.
//!
//! With the default kind, `epoll_wait(2)` of the submitting thread may end with
//! `EINTR` when a signal comes, though no handler ran: call it again.
//!
//! # References
//!
//! [io_uring(7)](https://man7.org/linux/man-pages/man7/io_uring.7.html),
//! [io_uring_enter(2)](https://man7.org/linux/man-pages/man2/io_uring_enter.2.html)
//!
//! [`Error::Os`]: crate::Error::Os

mod read_source;
mod source;
mod wait;

pub use read_source::ReadSource;
pub use source::Source;

/// The programs in the README compile, of which one is for a ring.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
