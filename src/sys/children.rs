//! Waiting for one child.

use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use crate::signal::ChildState;

/// Makes a process id of a number, if it can be that of another process.
pub(crate) fn pid(number: u32) -> Option<Pid> {
    i32::try_from(number).ok().and_then(Pid::from_raw)
}

/// The number of a process id.
pub(crate) const fn pid_number(pid: Pid) -> u32 {
    pid.as_raw_nonzero().get().unsigned_abs()
}

/// Tells how a child has ended, if it has, and lets the kernel forget it.
pub(crate) fn reap(pid: Pid) -> Result<Option<(ChildState, i32)>, Errno> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let ask = || waitid(WaitId::Pid(pid), options);
    let status = rustix::io::retry_on_intr(ask)?;
    Ok(status.and_then(|status| {
        let state = ChildState::of(status.raw_code())?;
        // Of one that is traced the kernel says, unasked, that it has stopped.
        let code = status.exit_status();
        let number = code.or_else(|| status.terminating_signal())?;
        Some((state, number))
    }))
}
