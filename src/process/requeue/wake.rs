//! Waking who sleeps, when a record was left for them.
//!
//! A receiver looks at what is left before it sleeps, and then it sleeps on the kernel's
//! queue. What wakes it has to be in that queue, and that has no room, or the record
//! would be there itself.
//!
//! Of a standard signal the kernel drops the record and not the signal, so none is left
//! for want of room, and nobody has to be woken. The rest is about real-time signals.
//!
//! # A timer
//!
//! What a timer sends has its place in the queue from the time when the timer is made
//! (`SIGQUEUE_PREALLOC`). So there is one for each real-time signal that the handler is
//! installed for, and a wake is to have it expire at once. Its record has a value that
//! others cannot guess, by which whoever reads it knows it for what it is, whenever that
//! is and however many there are; and looks at what is left. So nothing has to be noted
//! of it, and none is ever lost, or taken for a signal, or a signal for it:
//!
//! - **It is not running.** Who wakes starts it.
//! - **It is running, or has expired and its record was not read.** Who wakes starts it
//!   again. There is one record at most. The kernel may drop it for the new one (Linux
//!   6.13), or take the new one for the same (`send_sigqueue()`). In either case one is
//!   read after the record was left that it is for.
//! - **It was read.** It is as if it had not been started. Whoever has read it looks at
//!   what is left, and starts it again if there is more than it takes.
//!
//! Other code of the program may take a wake as it may take any signal (`sigwait(3)`).
//! Then the next one is sent all the same.
//!
//! The timers stay for as long as the process lives: a handler that is about to use one
//! cannot be asked, and its number might be another one's by then. In a forked child there
//! are none (`timer_create(2)`), and the numbers are another process's.
//!
//! # When the handler goes
//!
//! A wake is no signal: before the action that was there comes back it is taken out of
//! the queue, so that it does not take that. That it may be there is noted when the timer
//! is first started, and the note goes when the handler does: by then the timer is
//! stopped, and what it had sent is taken.
//!
//! None may be sent after that, by who was about to and has been preempted, a handler for
//! one. So who wakes counts itself in, in the word with the notes, for as long as it takes.
//! Who takes the handler away first says there that it does (`notes.rs`): from then on
//! nobody is counted in or wakes. Then it waits until all are out. That is not for long,
//! but for a thread that is stopped: then the handler stays, and a wake finds that.
//!
//! Who could not wake any more has left a record all the same. It looks whether the
//! handler is still to block the signal (`ACTIVE` in `backstop.rs`), after it has left the
//! record. Who takes the handler away looks for records, after it has changed that. So one
//! of them sees it, and gives it back to the kernel.
//!
//! # Without a timer
//!
//! There is none if the queue had no room for it when the handler was installed, and has
//! none still; or a sandbox may refuse it. There is always room for a signal without a
//! record: of a real-time signal that is sent with `kill(2)` the kernel then keeps that
//! it was sent, and no more (`__send_signal_locked()`). That is a wake, too.
//!
//! If room has come meanwhile, it has a record, from this process. Neither can be told
//! from others that are sent with `kill(2)`. So of each signal one wake is on its way at
//! a time, there is a note of it, and the next record that reads like one is taken for
//! it. Which of several that is makes no difference: what is noted comes. It comes once
//! at most, since the kernel keeps one signal of a number that has no record: were there
//! a count, some would be left on it, and real signals be taken for these. And a signal
//! without a record that another one sends meanwhile is one with the wake, as it would
//! have been with the record that was left, were that in the queue.
//!
//! One is enough: who leaves a record sees the note, and who reads the wake takes the
//! note away before it looks at what is left.
//!
//! It does not come at all where it meets a record of its number, the last of which takes
//! it along (`collect_signal()`), or where other code takes it. That cannot be told from
//! one that another thread has read and not looked at yet. So the note stays: until then
//! who sleeps is woken by the next signal or when a timer can be made, and one signal that
//! the process sends itself with `kill(2)`, or that has no record, is taken for the wake.

use core::time::Duration;

use super::notes::{self, ON_ITS_WAY, STARTED, Word};
use crate::process::fork::{OfProcess, look_for_less, look_for_more};
use crate::process::{Birth, backstop};
use crate::signal::{PerSignal, SigInfo, Signal};
use crate::sys::{self, Timer};

/// The number of each signal's timer and one; 0 for none.
static TIMERS: PerSignal<OfProcess> =
    PerSignal::new([const { OfProcess::new() }; 64]);

/// What is noted of each signal.
static NOTES: PerSignal<OfProcess> =
    PerSignal::new([const { OfProcess::new() }; 64]);

/// Those of a signal.
struct Of(Signal);

impl Word for Of {
    fn load(&self) -> u32 {
        NOTES.of(self.0).load(Birth::here())
    }

    fn update(&self, change: impl Fn(u32) -> u32) -> u32 {
        NOTES.of(self.0).update(Birth::here(), change)
    }
}

/// The process that this is about, by its number, which a child of a bare `vfork(2)` does
/// not have.
static PROCESS: OfProcess = OfProcess::new();

/// Whether this is the process that the memory belongs to.
pub(super) fn is_this_process() -> bool {
    PROCESS.load(Birth::here()) == sys::process_id()
}

/// What the records of the timers have for a value: one that others cannot guess, and no
/// address, since `/proc/PID/timers` may show it to anyone.
fn value() -> usize {
    let [_, number] = sys::random();
    (number | 1) as usize
}

/// Makes a timer for a signal if it has none, so that who wakes has one; which may be
/// done from now on. In turn.
pub(super) fn prepare(signal: Signal) {
    let birth = Birth::here();
    PROCESS.update(birth, |_| sys::process_id());
    allow(signal);
    if signal.is_realtime() {
        // There may be one later.
        let _timer = timer_of(signal);
    }
}

/// Lets wakes be sent of a signal. In turn.
pub(super) fn allow(signal: Signal) {
    notes::allow(&Of(signal));
}

/// The timer of a signal, which is made if there is none.
fn timer_of(signal: Signal) -> Option<Timer> {
    let (word, birth) = (TIMERS.of(signal), Birth::here());
    if let Some(timer) = numbered(word.load(birth)) {
        return Some(timer);
    }
    let timer = Timer::new(signal, value()).ok()?;
    let number = timer.number().checked_add(1)?;
    let first = word.update(birth, |it| if it == 0 { number } else { it });
    // Another thread may have been faster.
    let other = numbered(first);
    if other.is_some() {
        timer.delete();
    }
    Some(other.unwrap_or(timer))
}

fn numbered(number: u32) -> Option<Timer> {
    number.checked_sub(1).and_then(Timer::numbered)
}

/// Wakes who sleeps until this signal comes, if there is the handler. Where it has gone,
/// a wake would take the action that is back.
pub(super) fn wake(signal: Signal) {
    if signal.is_realtime() && notes::begins(&Of(signal)) {
        if backstop::active().has(signal) {
            send(signal);
        }
        notes::ends(&Of(signal));
    }
}

/// Says that nobody is to wake any more, and tells whether nobody is about to. In turn.
pub(super) fn is_over(signal: Signal) -> bool {
    notes::is_over(&Of(signal))
}

fn send(signal: Signal) {
    if let Some(timer) = timer_of(signal) {
        // Before it can come.
        notes::note(&Of(signal), STARTED);
        if timer.start(Duration::ZERO).is_ok() {
            return;
        }
    }
    // Before it can be found.
    look_for_more();
    if notes::note(&Of(signal), ON_ITS_WAY) {
        look_for_less();
    } else if sys::send_to_process(signal).is_err() {
        remove(signal, ON_ITS_WAY);
    }
}

/// Takes such notes away, and tells whether one was on its way.
fn remove(signal: Signal, what: u32) -> bool {
    let was_on_its_way = notes::remove(&Of(signal), what);
    if was_on_its_way {
        look_for_less();
    }
    was_on_its_way
}

/// Whether one may be pending.
pub(super) fn may_be_pending(signal: Signal) -> bool {
    notes::may_be_pending(&Of(signal))
}

/// Whether one may be pending, or somebody is about to send one.
pub(super) fn may_come(signal: Signal) -> bool {
    notes::may_come(&Of(signal))
}

/// Sees to it that none comes that is not pending yet.
pub(super) fn stop(signal: Signal) {
    if let Some(timer) = numbered(TIMERS.of(signal).load(Birth::here())) {
        // If it fails it was refused before, too.
        let _stopped = timer.stop();
    }
}

/// Whether none but the timer's was on its way, of which one is pending at most, so that
/// the one just taken was the last.
pub(super) fn was_the_last(signal: Signal) -> bool {
    !notes::is_on_its_way(&Of(signal))
}

/// Takes down that none is pending any more.
pub(super) fn forget(signal: Signal) {
    remove(signal, ON_ITS_WAY | STARTED);
}

/// Whether a record that was read is one of these.
#[inline]
pub(super) fn is_wake(record: &SigInfo) -> bool {
    match record.code() {
        libc::SI_TIMER => record.sigval() == value() as u64,
        libc::SI_USER => {
            record.signal().is_realtime() && was_on_its_way(record)
        }
        _ => false,
    }
}

#[cold]
fn was_on_its_way(record: &SigInfo) -> bool {
    let signal = record.signal();
    if !notes::is_on_its_way(&Of(signal)) || !is_this_process() {
        return false;
    }
    let is_ours =
        record.has_lost_its_record() || record.pid() == Some(sys::process_id());
    is_ours && remove(signal, ON_ITS_WAY)
}
