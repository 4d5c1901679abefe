//! Linux signals as records that you read: from a thread, an epoll or io_uring loop,
//! or any executor; received without locks and without allocating.
//!
//! # The rule
//!
//! Open the receiver before you start threads. A signal for the process goes to any
//! thread that does not block it, and its default action is taken there: usually the
//! process ends. [`open`] blocks the signals in the calling thread, and threads started
//! from then on inherit its mask. It checks every thread that exists already, and names
//! one that does not block the signals ([`Error::UnblockedThread`]), instead of losing
//! signals later.
//!
//! `#[tokio::main]` starts its threads before your code runs, and so do many libraries.
//! Call [`block`] first, then build the runtime yourself; or let
//! [`Options::every_thread`] block the signals in all threads that exist.
//!
//! # A first program
//!
//! ```
//! use signalfd::Signal;
//!
//! fn main() -> Result<(), signalfd::Error> {
//!     let signals = signalfd::open(Signal::HUP | Signal::INT | Signal::TERM)?;
//! #   for signal in [libc::SIGHUP, libc::SIGTERM] {
//! #       unsafe { libc::kill(libc::getpid(), signal) };
//! #   }
//!     for info in &signals {
//!         let info = info?;
//!         println!("{info}"); // SIGHUP cause=kill pid=4711 uid=0 sender=verified
//!         match info.signal() {
//!             Signal::HUP => println!("reload"),
//!             _ => break, // clean up and go
//!         }
//!     }
//!     Ok(()) // the previous signal mask is restored here
//! }
//! ```
//!
//! # Which API
//!
//! | you have | use |
//! |---|---|
//! | a thread that only waits for signals | [`for info in &signals`](Iter), [`wait`], [`wait_timeout`], [`wait_batch`] |
//! | no runtime, but `async` code | [`block_on`] and [`recv`] |
//! | a future that a signal cancels | [`until`] |
//! | a program that cleans up when it is told to end | [`Shutdown`] |
//! | a program in a terminal that Ctrl-Z stops | [`suspend`] |
//! | a tokio runtime | `tokio::AsyncReceiver`, with the feature `tokio` |
//! | smol, async-std, or async-io | `async_io::AsyncReceiver`, with the feature `async-io` |
//! | a mio poll | the receiver itself, with the feature `mio` |
//! | a calloop loop | `calloop::Source`, with the feature `calloop` |
//! | what takes a `Stream` | `Receiver::stream`, with the feature `futures-core` |
//! | an epoll, poll, or any other loop | [`AsFd`](Receiver#impl-AsFd-for-Receiver), and [`try_recv_batch`] when it is readable |
//! | an io_uring loop | `uring::Source` in your ring, with the feature `io-uring` |
//! | an executor without a reactor | [`Epoll`], driven by a thread of yours; or your own loop and [`on_readable`] |
//! | several parts that want the same signals | [`Hub`]: each subscribes, one loop hands out |
//! | threads everywhere | [`block`] at the top of `main`, [`Receiver::new`] anywhere |
//! | threads that exist already | [`Options::every_thread`], or [`mask::block_every_thread`] alone |
//! | other programs to start | `RestoreSignals::restore_signals`: they get the mask from before |
//! | children to wait for | [`Reaper`] after each `SIGCHLD` |
//! | a descriptor from elsewhere | [`SignalFd::from_fd`] |
//! | a child that fork(2) made | [`reopen`], or [`open`] anew |
//! | signals by the hundred thousand | [`Options::moderate`]: they gather, for less CPU time |
//! | a CPU to spare for latency | [`Options::spin`] |
//! | something that the defaults do not fit | [`Options`] |
//!
//! The same with a future, and no runtime at all:
//!
//! ```
//! use signalfd::{Signal, block_on, open};
//!
//! fn main() -> Result<(), signalfd::Error> {
//!     let signals = open(Signal::HUP | Signal::TERM)?;
//! #   for signal in [libc::SIGHUP, libc::SIGTERM] {
//! #       unsafe { libc::kill(libc::getpid(), signal) };
//! #   }
//!     block_on(async {
//!         while signals.recv().await?.signal() != Signal::TERM {
//!             println!("reload");
//!         }
//!         Ok(())
//!     })?
//! }
//! ```
//!
//! # What to know about signals
//!
//! - **Standard signals coalesce.** One that is pending already is not queued again.
//!   `SIGCHLD` says that there are children to wait for, not how many: a [`Reaper`] asks
//!   for each. Real-time signals ([`Signal::rt`]) are queued, each with its value, up to
//!   `RLIMIT_SIGPENDING`; beyond that `sigqueue(3)` fails with `EAGAIN`, and of `kill(2)`
//!   only the number arrives.
//! - **Some are for a thread.** What `pthread_kill(3)` and `raise(3)` send, and a
//!   `SIGPIPE`, is received only when that thread reads.
//! - **Blocked is not ignored.** A blocked signal stays pending; when it is unblocked,
//!   its action is taken. A signal that is ignored, by `SIG_IGN` or by default, is still
//!   received while it is blocked, except `SIGCHLD`: with `SIG_IGN` the kernel sends
//!   none.
//! - **Children inherit the mask**, through `fork`, `exec` and
//!   `std::process::Command`. With the feature `std`, `RestoreSignals::restore_signals`
//!   lets them start with the one from before.
//! - **After a fork** the child shares the parent's descriptor, and a change of its set
//!   would change the parent's. So methods that take, wait or change something return
//!   [`Error::Forked`] in a child, until [`reopen`] has made a descriptor there.
//! - **One signal, one receiver.** Two receivers of one signal share what comes. But of
//!   two scopes in one thread the inner one has it ([`Signals`]). With a [`Hub`], all who
//!   want it get it.
//! - **`SIGCONT` and stop signals remove each other** from the queue, even when they
//!   are blocked, and `SIGCONT` continues a stopped process all the same.
//!
//! # Whom to trust
//!
//! Only a [`Sender::Verified`] is certainly who the record says, and only in what came
//! since the program was executed. Anyone may make up the rest, and a record with pid 0
//! and uid 0 names nobody, not root. [docs/TRUST.md] has all of it, each claim with its
//! test.
//!
//! [docs/TRUST.md]: https://docs.rs/crate/signalfd/latest/source/docs/TRUST.md
//!
//! # Guarantees
//!
//! From [`open`] on nothing is allocated on the heap to receive, no lock is taken where
//! signals are received, in the handler, or between fork and exec, and nothing panics,
//! whatever a caller or the kernel passes in.
//!
//! Signal actions belong to the process, so calls that change them take turns, and one
//! may wait for another: making, reopening, healing or dropping what blocks signals in
//! every thread ([`Options::every_thread`], [`mask::block_every_thread`]), or changing
//! its set; [`suspend`], for as long as the process is stopped; and, as PID 1, receiving
//! the first signal of a [`Shutdown`] or dropping it. Any other receiver or guard waits
//! for a turn only if the action of one of its signals is still to be restored, because
//! that would drop what is pending. A forked child waits for no turn of its parent's.
//!
//! One page is mapped in the process, to notice a fork without a system call. What has
//! left the kernel's queue is in the caller's hands, so dropping a future, an iterator or
//! a receiver loses nothing; and what a ring was asked to read ahead
//! ([`Kind::Completion`]), or a [`Hub`] was given and no subscriber has taken, goes back
//! to that queue. The README links each guarantee to its test.
//!
//! # Features
//!
//! - `std` (default): the descriptor types are those of the standard library, an
//!   [`Error`] converts into `std::io::Error`, and the guards of a thread may be dropped
//!   in any order ([`MaskGuard`] has the details). Without it the crate needs neither std
//!   nor alloc, and the descriptor types are those of `rustix::fd`.
//! - `io-uring` (default, implies `std`): sources for the caller's ring (the module
//!   `uring`), and receivers on a ring of their own ([`Backend::Uring`]). Where the
//!   io-uring crate does not know the target there is no such module, and those
//!   receivers go without a ring.
//! - `futures-core`: `Receiver::stream`, and the adapters for tokio and async-io are
//!   streams.
//! - `tokio`, `async-io`, `mio`, `calloop` (each implies `std`): adapters for the event
//!   loops of those names. The modules `tokio`, `async_io` and `calloop` have them; with
//!   `mio` a [`Receiver`] and [`Signals`] are an `event::Source`.
//!
//! [Signals in any loop](_documentation::loops) has the contract and a complete program
//! for each loop without an adapter, and [Coming from other
//! crates](_documentation::migrating) the same programs with tokio, signal-hook,
//! async-signal, nix, calloop or ctrlc.
//!
//! # Platforms
//!
//! Linux 4.15 and later, and Android on `AArch64` (never tested), on any architecture with
//! 64-bit atomics but MIPS and SPARC, which number their signals in ways of their own. On
//! older kernels (`rustix` requires 3.2) nothing is promised, and before 4.14 no sender is
//! certain ([`Sender::Verified`]). Rust 1.85.
//!
//! [`wait`]: Receiver::wait
//! [`wait_timeout`]: Receiver::wait_timeout
//! [`wait_batch`]: Receiver::wait_batch
//! [`recv`]: Receiver::recv
//! [`until`]: Receiver::until
//! [`try_recv_batch`]: Receiver::try_recv_batch
//! [`on_readable`]: Receiver::on_readable
//! [`reopen`]: Receiver::reopen

#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]
// What the library promises and its tests and examples do not: no allocation, no
// lock, no panic, no standard library where core has it.
#![warn(
    clippy::alloc_instead_of_core,
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::mem_forget,
    clippy::panic,
    clippy::print_stdout,
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    clippy::unwrap_used
)]
#![cfg_attr(
    any(test, fuzzing),
    expect(
        clippy::disallowed_types,
        clippy::std_instead_of_alloc,
        reason = "unit tests and fuzzing may allocate; the build without is checked"
    )
)]

#[cfg(not(any(target_os = "linux", target_os = "android")))]
compile_error!(
    "signalfd is a Linux system call: this crate builds for Linux and Android \
     only"
);

#[cfg(any(
    target_arch = "mips",
    target_arch = "mips32r6",
    target_arch = "mips64",
    target_arch = "mips64r6",
    target_arch = "sparc",
    target_arch = "sparc64",
))]
compile_error!(
    "MIPS and SPARC number their signals in ways of their own, which this crate \
     does not know"
);

#[cfg(not(target_has_atomic = "64"))]
compile_error!("a set of signals is 64 bits, which this target cannot share");

#[cfg(feature = "std")]
extern crate std;

#[cfg(all(any(target_os = "linux", target_os = "android"), not(loom)))]
mod error;
#[cfg(all(
    any(test, fuzzing),
    any(target_os = "linux", target_os = "android"),
    not(loom)
))]
#[doc(hidden)]
pub mod fuzz;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod primitive;
#[cfg(all(any(target_os = "linux", target_os = "android"), not(loom)))]
mod process;
#[cfg(all(any(target_os = "linux", target_os = "android"), not(loom)))]
mod reactor;
#[cfg(all(any(target_os = "linux", target_os = "android"), not(loom)))]
mod receive;
#[cfg(all(any(target_os = "linux", target_os = "android"), not(loom)))]
mod signal;
#[cfg(all(any(target_os = "linux", target_os = "android"), not(loom)))]
mod sys;

#[cfg(all(any(target_os = "linux", target_os = "android"), not(loom)))]
pub use self::{
    error::{Error, Op, UnblockedThread},
    process::{Exit, Reaper, mask, suspend},
    reactor::{Epoll, block_on},
    receive::{
        ActiveBackend, Backend, Batch, Iter, Kind, Options, Receiver, Recv,
        RecvBatch, Shutdown, SignalFd, Signals, Until, hub, open,
    },
    signal::{Cause, ChildState, Sender, SigInfo, Signal, SignalSet},
};

#[cfg(all(
    feature = "std",
    any(target_os = "linux", target_os = "android"),
    not(loom)
))]
pub use self::process::RestoreSignals;

#[cfg(all(
    feature = "futures-core",
    any(target_os = "linux", target_os = "android"),
    not(loom)
))]
pub use self::reactor::RecvStream;

#[cfg(all(
    feature = "tokio",
    any(target_os = "linux", target_os = "android"),
    not(loom)
))]
pub use self::reactor::tokio;

#[cfg(all(
    feature = "async-io",
    any(target_os = "linux", target_os = "android"),
    not(loom)
))]
pub use self::reactor::async_io;

#[cfg(all(
    feature = "calloop",
    any(target_os = "linux", target_os = "android"),
    not(loom)
))]
pub use self::reactor::calloop;

#[cfg(all(
    feature = "io-uring",
    target_os = "linux",
    target_pointer_width = "64",
    any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "riscv64",
        target_arch = "loongarch64",
        target_arch = "powerpc64",
    ),
    not(loom)
))]
pub use self::reactor::uring;

#[cfg(all(any(target_os = "linux", target_os = "android"), not(loom)))]
#[doc(no_inline)]
pub use self::{
    hub::{Dispatcher, Hub, Subscriber},
    mask::{MaskGuard, block},
};

/// Pages of the documentation.
// Their programs are packages with tests of their own.
#[cfg(all(doc, any(target_os = "linux", target_os = "android"), not(loom)))]
pub mod _documentation {
    #[cfg_attr(not(doctest), doc = include_str!("../docs/LOOPS.md"))]
    pub mod loops {}

    #[cfg_attr(not(doctest), doc = include_str!("../docs/MIGRATING.md"))]
    pub mod migrating {}
}

/// What the model checker looks at; the rest is not built for it.
#[cfg(all(test, loom))]
#[path = "receive"]
mod models {
    #[path = "hub/cells.rs"]
    mod cells;
    #[path = "hub/models.rs"]
    mod hub;
    #[path = "parker/life.rs"]
    mod life;
    #[path = "hub/model.rs"]
    mod model;
    #[path = "../process/requeue/notes.rs"]
    mod notes;
    #[path = "ring/own/models.rs"]
    mod own;
    #[path = "parker/models.rs"]
    mod parker;
    #[path = "in_loops/phase.rs"]
    mod phase;
    #[path = "parker/rest.rs"]
    mod rest;
    #[path = "hub/ring.rs"]
    mod ring;
    #[path = "hub/seat.rs"]
    mod seat;
    #[path = "ring/own/sleepers.rs"]
    mod sleepers;
    #[path = "ring/turn.rs"]
    mod turn;
    mod wake_each;
    mod waker;
    #[path = "parker/watch.rs"]
    mod watch;
    #[path = "../process/whole.rs"]
    mod whole;

    use wake_each::wake_each;
}
