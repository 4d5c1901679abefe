//! Signals in an io_uring of the caller's own.
//!
//! A *source* makes signals part of a ring that is there already. It owns no ring,
//! and enters one only where the loop asks it to wait: it hands out the submission, is
//! given the completions that carry its `user_data`, and yields the records.
//!
//! | | [`Source`] | [`ReadSource`] |
//! |---|---|---|
//! | asks the ring to | say when there is something to read | read ahead |
//! | system calls | one for a batch, besides the loop's own | none besides the loop's own, but one each time a multishot request ends, or a single-shot one that has read nothing |
//! | memory that the kernel writes to | none | a mapping of its own |
//! | a signal that some thread does not block | goes to its handler | may be taken from its handler |
//! | the same in every kind of ring but `IORING_SETUP_IOPOLL` | yes | but for the cost, and it stays on its thread |
//! | since | Linux 5.8; `IORING_SETUP_SQPOLL`, 6.0 | Linux 6.0; multishot, 6.8 |
//!
//! These are the oldest kernels that it is tested on. Linux 5.7, 5.12 and 6.7 have what it
//! takes, and are not refused.
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
//! The loop takes before it first waits: no completion announces what was kept for the
//! next receiver (when a ring that had read ahead was dropped while the user's queue was
//! full). And for completions that have come already it need not wait.
//!
//! The source's wait ([`Source::submit_and_wait`]) does not wait if there are completions
//! that were not looked at, and lets signals gather where that is asked for
//! ([`Options::moderate`](crate::Options::moderate)). A loop that has a wait of its own
//! keeps it. That can end with `EINTR` though no handler runs: when the process was
//! stopped and continued, a debugger has attached, or the machine was suspended
//! (signal(7)).
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
//! A [`Source`] is notified on behalf of the thread that submits, and reads on behalf of
//! the one that takes: take in the thread that submits.
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
//! In a ring of the default kind or with `IORING_SETUP_COOP_TASKRUN`, `epoll_wait(2)` of the
//! submitting thread may end with `EINTR` when a signal comes, though no handler ran: call it
//! again.
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
