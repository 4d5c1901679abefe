//! TAKE: reading signals, and waiting for them.

mod backend;
mod batch;
mod engine;
mod future;
pub mod hub;
#[cfg(any(
    feature = "tokio",
    feature = "async-io",
    feature = "mio",
    feature = "calloop"
))]
mod in_loops;
#[cfg(not(any(
    feature = "tokio",
    feature = "async-io",
    feature = "mio",
    feature = "calloop"
)))]
#[path = "in_loops/absent.rs"]
mod in_loops;
mod iter;
mod kept;
mod options;
mod pace;
mod parker;
mod put_back;
mod receiver;
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
    )
))]
pub(crate) mod ring;
#[cfg(not(all(
    feature = "io-uring",
    target_os = "linux",
    target_pointer_width = "64",
    any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "riscv64",
        target_arch = "loongarch64",
        target_arch = "powerpc64",
    )
)))]
#[path = "ring/absent.rs"]
mod ring;
mod scope;
mod shutdown;
mod signalfd;
mod signals;
mod until;
mod wake_each;
mod waker;

pub use backend::{ActiveBackend, Backend, Kind};
pub use batch::Batch;
pub use future::{Recv, RecvBatch};
pub use iter::Iter;
pub use options::Options;
pub(crate) use parker::Parker;
pub use receiver::Receiver;
pub use shutdown::Shutdown;
pub use signalfd::SignalFd;
pub use signals::{Signals, open};
pub use until::Until;
pub(crate) use wake_each::wake_each;
