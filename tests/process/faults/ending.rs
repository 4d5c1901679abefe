//! Ending, stopping, and the end of others.

use std::cell::Cell;
use std::time::Duration;

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use signalfd::{
    Error, Op, Reaper, Shutdown, SigInfo, Signal, block_on, mask, suspend,
};

use super::opening::OPENS;
use super::receiving::{AWAITS, WAITS, flat};
use super::trial::{Signals, Trial, both, kept};
use super::{Operations, inject, inject_into_an_end, operations};
use crate::common::{Child, End, check, open, options};
use crate::harness::cases;

cases! {
    shutting_down,
    reaping,
    suspending,
    dying,
}

pub(super) const SHUTTING_DOWN: Operations =
    operations![a_shutdown, a_shutdown_that_is_awaited];

fn shutting_down() {
    inject(SHUTTING_DOWN);
}

const HOUR: Duration = Duration::from_secs(3600);

fn shuts_down(
    trial: &Trial<'_>,
    signals: &mut Signals,
    tells: &[Op],
    mut wait: impl FnMut(&mut Shutdown) -> Result<SigInfo, Error>,
) {
    // Others that are pending would end the process.
    let _guard = mask::block(kept()).unwrap();
    let opens = &[OPENS, &[Op::Sigaction]].concat();
    let open = || options().shutdown(both());
    let Ok(mut shutdown) = trial.all_or_nothing(opens, open) else { return };
    let first = trial.call(tells, || wait(&mut shutdown));
    let first = first.or_else(|_| wait(&mut shutdown)).unwrap();
    signals.got([first]);
    assert!(shutdown.receiver().is_none());
    let tells = &[Op::TimerCreate, Op::TimerSettime];
    let set = trial.call(tells, || shutdown.deadline(HOUR));
    set.or_else(|_| shutdown.deadline(HOUR)).unwrap();
    trial.does(|| drop(shutdown));
}

fn a_shutdown(trial: &Trial<'_>, signals: &mut Signals) {
    shuts_down(trial, signals, WAITS, Shutdown::wait);
}

fn a_shutdown_that_is_awaited(trial: &Trial<'_>, signals: &mut Signals) {
    shuts_down(trial, signals, AWAITS, |it| flat(block_on(it.recv())));
}

// ---------------------------------------------------------------------------

pub(super) const REAPING: Operations = operations![a_child];

fn reaping() {
    inject(REAPING);
}

fn a_child(trial: &Trial<'_>, _: &mut Signals) {
    let child = Child::fork(|| 7);
    let id = WaitId::Pid(Pid::from_raw(child.pid).unwrap());
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    waitid(id, options).unwrap();
    let mut reaper = Reaper::<1>::new();
    reaper.add(child.pid.try_into().unwrap()).unwrap();
    let mut reap = || reaper.reap().next().transpose();
    let exit = trial.call(&[Op::Waitid], &mut reap).or_else(|_| reap());
    assert_eq!(exit.unwrap().unwrap().status(), 7);
    assert!(reaper.is_empty());
}

// ---------------------------------------------------------------------------

pub(super) const SUSPENDING: Operations =
    operations![a_stop_that_goes_on_at_once];

fn suspending() {
    inject(SUSPENDING);
}

/// In a process group that nobody could continue.
fn a_stop_that_goes_on_at_once(trial: &Trial<'_>, signals: &mut Signals) {
    #[expect(unsafe_code, reason = "a session of its own")]
    // SAFETY: has no preconditions.
    check(unsafe { libc::setsid() }).unwrap();
    let receiver = signals.drained();
    let ran = Cell::new(0);
    let run = || ran.set(ran.get() + 1);
    let tells = &[Op::Sigprocmask, Op::Sigaction, Op::Tgkill];
    let before = mask::current();
    let _stopped = trial.call(tells, || suspend(run, run));
    assert_eq!(ran.get(), 2);
    if !trial.cannot_be_undone() {
        assert_eq!(mask::current(), before);
    }
    trial.goes_on(signals, &receiver);
}

// ---------------------------------------------------------------------------

pub(super) const DYING: Operations = operations![a_death];

/// Whatever fails, it ends, and by the signal if it can.
fn dying() {
    inject_into_an_end(DYING, |end| {
        let status = 128 + libc::SIGTERM;
        end == End::Killed(libc::SIGTERM) || end == End::Exited(status)
    });
}

fn a_death(trial: &Trial<'_>, _: &mut Signals) {
    let _scope = open(Signal::TERM).unwrap();
    trial.does(|| Signal::TERM.die());
}
