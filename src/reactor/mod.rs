//! WHEN: those who know that there is something to take.

#[cfg(feature = "async-io")]
pub mod async_io;
mod block_on;
#[cfg(feature = "calloop")]
pub mod calloop;
mod epoll;
#[cfg(feature = "mio")]
mod mio;
#[cfg(feature = "futures-core")]
mod stream;
#[cfg(feature = "tokio")]
pub mod tokio;
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
pub mod uring;
#[cfg(any(feature = "tokio", feature = "async-io", feature = "calloop"))]
mod watched;

pub use block_on::block_on;
pub use epoll::Epoll;
#[cfg(feature = "futures-core")]
pub use stream::RecvStream;
