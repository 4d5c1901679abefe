//! What a child does before it executes another program.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::{How, sigprocmask};
use crate::signal::SignalSet;

/// Has each child that the command starts set its mask.
pub(crate) fn set_mask_before_exec(command: &mut Command, mask: SignalSet) {
    // What may fail is a system call, and its error becomes a number.
    let set_mask = move || {
        let old = sigprocmask(Some((How::Set, mask)));
        old.map(drop).map_err(io::Error::from)
    };
    // SAFETY: in a forked child only what is async-signal-safe may be called
    // before execve(2) (fork(2)). This makes one system call, with memory on its
    // stack; it allocates nothing and takes no lock.
    unsafe { command.pre_exec(set_mask) };
}
