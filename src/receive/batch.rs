//! Room for records.

use core::fmt;

use crate::error::Error;
use crate::signal::SigInfo;

/// Room for up to `N` records, which one system call fills.
///
/// It belongs to the caller, who makes it once and reuses it; the crate keeps
/// no record of its own. It takes 128 bytes for each record and lives where it
/// is put: on the stack, in a static, in a field.
///
/// Sixteen are plenty; 64 gain a little where signals come faster than they are
/// taken.
///
/// # Examples
///
/// ```
/// use signalfd::{Batch, Signal};
///
/// let signals = signalfd::open(Signal::USR1 | Signal::USR2)?;
/// # unsafe { libc::kill(libc::getpid(), libc::SIGUSR2) };
/// # unsafe { libc::kill(libc::getpid(), libc::SIGUSR1) };
/// let mut batch = Batch::<16>::new();
/// for info in signals.try_recv_batch(&mut batch)? {
///     println!("{info}");
/// }
/// # assert!(signals.try_recv_batch(&mut batch)?.is_empty());
/// # Ok::<(), signalfd::Error>(())
/// ```
/// A batch of none compiles, and each call that is given one answers
/// [`Error::EmptyBatch`].
#[derive(Clone)]
pub struct Batch<const N: usize> {
    records: [SigInfo; N],
}

impl<const N: usize> Batch<N> {
    /// Makes an empty batch.
    #[must_use]
    pub const fn new() -> Self {
        Self { records: [SigInfo::EMPTY; N] }
    }

    /// The room to read into, or an error if there is none.
    #[inline]
    pub(crate) const fn room(&mut self) -> Result<&mut [SigInfo], Error> {
        if N == 0 {
            return Err(Error::EmptyBatch);
        }
        Ok(&mut self.records)
    }

    /// The first `len` records, which were just read.
    #[inline]
    pub(crate) fn filled(&self, len: usize) -> &[SigInfo] {
        self.records.get(..len).unwrap_or_default()
    }
}

impl<const N: usize> Default for Batch<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> fmt::Debug for Batch<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batch<{N}>")
    }
}
