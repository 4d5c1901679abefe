//! Receive Linux signals through `signalfd`.
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
    test,
    expect(
        clippy::disallowed_types,
        clippy::std_instead_of_alloc,
        reason = "unit tests may allocate; the build without them is checked"
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
    process::mask::{self, MaskGuard, block},
    reactor::{Epoll, block_on},
    receive::{
        Batch, Iter, Options, Receiver, Recv, RecvBatch, SignalFd, Signals,
        open,
    },
    signal::{Cause, ChildState, Sender, SigInfo, Signal, SignalSet},
};

/// What the model checker looks at; the rest is not built for it.
#[cfg(all(test, loom))]
#[path = "receive"]
mod models {
    #[path = "parker/life.rs"]
    mod life;
    mod waker;
}
