//! WHEN: those who know that there is something to take.

mod block_on;
mod epoll;
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

pub use block_on::block_on;
pub use epoll::Epoll;
