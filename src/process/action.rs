//! What signals do to the process: which it ignores, and which end it even where
//! the kernel would not let them.
//!
//! PID 1 of a system or of a PID namespace is never ended by a default action
//! (`pid_namespaces(7)`). For as long as an [`Ending`] exists there, a handler does
//! what the default action would: its only deed is `_exit(2)`. Several may exist for
//! one signal, on any threads, so they are counted, and the last one to go restores
//! the default.

use core::sync::atomic::{AtomicU32, Ordering};

use super::backstop::action_behind;
use crate::error::Error;
use crate::signal::{PerSignal, Signal, SignalSet};
use crate::sys::{self, action::action};

/// Those of the set that are ignored (`SIG_IGN`), or would be if every thread did not
/// block them.
pub(crate) fn ignored(set: SignalSet) -> Result<SignalSet, Error> {
    let mut ignored = SignalSet::empty();
    for signal in set.signals() {
        if action_behind(signal)?.handler == libc::SIG_IGN {
            ignored |= signal;
        }
    }
    Ok(ignored)
}

/// While it exists, signals end the process if it is PID 1 and their action is the
/// default one. To any other process the kernel sees itself.
#[derive(Debug)]
pub(crate) struct Ending(SignalSet);

/// How many there are for each signal, by its bit.
static ENDINGS: PerSignal<AtomicU32> =
    PerSignal::new([const { AtomicU32::new(0) }; 64]);

/// Signals whose default action is not to end the process.
const HARMLESS: SignalSet = SignalSet::CHLD
    .union(SignalSet::CONT)
    .union(SignalSet::URG)
    .union(SignalSet::WINCH)
    .union(SignalSet::TSTP)
    .union(SignalSet::TTIN)
    .union(SignalSet::TTOU);

impl Ending {
    pub(crate) fn by(set: SignalSet) -> Self {
        if sys::process_id() == 1 {
            Self::as_pid_1(set - HARMLESS)
        } else {
            Self(SignalSet::empty())
        }
    }

    fn as_pid_1(set: SignalSet) -> Self {
        for signal in set.signals() {
            ENDINGS.of(signal).fetch_add(1, Ordering::SeqCst);
            set_handler(signal);
        }
        Self(set)
    }
}

/// Ends the process, if that is what this signal is to do to PID 1. A handler calls
/// this that cannot be taken away yet.
pub(super) fn end_as_pid_1(signal: Signal) {
    if ENDINGS.of(signal).load(Ordering::SeqCst) > 0 {
        sys::exit(128_i32.saturating_add(signal.as_raw()));
    }
}

/// Ends the process by what its default action is to end it, where a sandbox does not let
/// that come back.
pub(super) fn end_all_the_same(signal: Signal) {
    if !HARMLESS.has(signal) {
        sys::exit(128_i32.saturating_add(signal.as_raw()));
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        for signal in self.0.signals() {
            let endings = ENDINGS.of(signal);
            if endings.fetch_sub(1, Ordering::SeqCst) == 1 {
                restore_default(signal);
                // Another thread may have come in between, and have found the
                // handler in its place.
                if endings.load(Ordering::SeqCst) > 0 {
                    set_handler(signal);
                }
            }
        }
    }
}

/// Leaves alone what the program has set itself. Where a sandbox does not let the
/// action be changed, the signal does nothing, as it did.
fn set_handler(signal: Signal) {
    if action(signal).is_ok_and(|it| it.handler == libc::SIG_DFL) {
        let _set = sys::end_by(signal);
    }
}

fn restore_default(signal: Signal) {
    if action(signal).is_ok_and(|it| sys::is_end(&it)) {
        let _found = sys::set_default(signal);
    }
}
