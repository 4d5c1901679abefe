//! What signals do to the process: which it ignores, and which end it even where
//! the kernel would not let them.
//!
//! PID 1 of a system or of a PID namespace is never ended by a default action
//! (`pid_namespaces(7)`). For as long as an [`Ending`] exists there, a handler does
//! what the default action would: its only deed is `_exit(2)`. Several may exist for
//! one signal, on any threads, so they are counted, and the last one to go restores
//! the default. They change actions in turns with the handler for every thread
//! (`backstop.rs`), which takes the default action for the one before it, and not that of
//! an [`Ending`]: whether there is one is asked when it comes back.

use core::sync::atomic::{AtomicU32, Ordering};

use super::Birth;
use super::backstop::{action_behind, in_turn};
use crate::error::Error;
use crate::signal::{PerSignal, Signal, SignalSet};
use crate::sys;
use crate::sys::action::{Action, action};

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
        if sys::is_pid_1() {
            Self::as_pid_1(set - HARMLESS)
        } else {
            Self(SignalSet::empty())
        }
    }

    fn as_pid_1(set: SignalSet) -> Self {
        in_turn(Birth::here(), || {
            for signal in set.signals() {
                ENDINGS.of(signal).fetch_add(1, Ordering::SeqCst);
                settle(signal);
            }
        });
        Self(set)
    }
}

/// Ends the process by what its default action is to end it, where a sandbox does not let
/// that come back.
pub(super) fn end_all_the_same(signal: Signal) {
    if !HARMLESS.has(signal) {
        sys::exit_as_by(signal.as_raw());
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if self.0.is_empty() {
            return;
        }
        in_turn(Birth::here(), || {
            for signal in self.0.signals() {
                ENDINGS.of(signal).fetch_sub(1, Ordering::SeqCst);
                settle(signal);
            }
        });
    }
}

/// Whether the handler that ends the process stands for this action, which is to come back.
pub(super) fn ends_as_pid_1(signal: Signal, action: &Action) -> bool {
    action.handler == libc::SIG_DFL
        && ENDINGS.of(signal).load(Ordering::SeqCst) > 0
}

/// Has the handler that ends the process stand for the default action for as long as
/// somebody wants it. Leaves alone what the program has set itself. Where a sandbox does not
/// let the action be changed, the signal does what it did. In turn.
fn settle(signal: Signal) {
    let Ok(found) = action(signal) else { return };
    if ends_as_pid_1(signal, &found) {
        let _set = sys::end_by(signal);
    } else if sys::is_end(&found)
        && ENDINGS.of(signal).load(Ordering::SeqCst) == 0
    {
        let _found = sys::set_default(signal);
    }
}
