//! What a child does before it executes another program.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::{How, set_ignored, sigprocmask};
use crate::error::Error;
use crate::signal::SignalSet;

/// Has each child that the command starts ignore signals and set its mask. Which
/// signals it ignores is asked in the child.
pub(crate) fn restore_before_exec(
    command: &mut Command,
    mask: SignalSet,
    ignored: fn() -> SignalSet,
) {
    let restore = move || {
        ignore(ignored())?;
        sigprocmask(Some((How::Set, mask))).map(drop)
    };
    // What may fail is a system call, and its error becomes a number.
    let restore = move || restore().map_err(io::Error::from);
    // SAFETY: in a forked child only what is async-signal-safe may be called
    // before execve(2) (fork(2)). This looks at atomic numbers and makes system
    // calls, with memory on its stack; it allocates nothing and takes no lock.
    unsafe { command.pre_exec(restore) };
}

fn ignore(set: SignalSet) -> Result<(), Error> {
    set.signals().try_for_each(|signal| set_ignored(signal).map(drop))
}
