//! WHEN: those who know that there is something to take.

mod block_on;
mod epoll;

pub use block_on::block_on;
pub use epoll::Epoll;
