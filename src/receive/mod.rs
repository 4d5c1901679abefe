//! TAKE: reading signals, and waiting for them.

mod batch;
mod future;
mod iter;
mod options;
mod parker;
mod put_back;
mod receiver;
mod signalfd;
mod signals;
mod wake_each;
mod waker;

pub use batch::Batch;
pub use future::{Recv, RecvBatch};
pub use iter::Iter;
pub use options::Options;
pub(crate) use parker::Parker;
pub use receiver::Receiver;
pub use signalfd::SignalFd;
pub use signals::{Signals, open};
pub(crate) use wake_each::WakeEach;
