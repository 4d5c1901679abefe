//! Fan-out: one receiver, and any number of subscribers that each get every signal
//! they want.
//!
//! Of two receivers of one signal only one gets it, whoever reads first. A [`Hub`] gives
//! each signal to all who want it: the program has one receiver, whose owner hands what
//! comes to the [`Dispatcher`], and whoever wants to hear of signals becomes a
//! [`Subscriber`], from any thread and at any time, without knowing who else listens.
//!
//! ```
//! use signalfd::{Hub, Signal};
//!
//! // Up to eight subscribers, each with room for 64 records.
//! static HUB: Hub<8, 64> = Hub::new();
//!
//! let signals = signalfd::open(Signal::HUP | Signal::TERM)?;
//! let mut dispatcher = HUB.dispatcher()?;
//!
//! // Anywhere in the program, also in a library:
//! let mut reloads = HUB.subscribe(Signal::HUP)?;
//! let mut metrics = HUB.subscribe(Signal::HUP | Signal::TERM)?;
//!
//! # unsafe { libc::kill(libc::getpid(), libc::SIGHUP) };
//! # unsafe { libc::kill(libc::getpid(), libc::SIGTERM) };
//! // Where the signals are read:
//! for info in &signals {
//!     let info = info?;
//!     if dispatcher.dispatch(&info)? == 0 {
//!         println!("nobody wants {info}");
//!     }
//!     if info.signal() == Signal::TERM {
//!         break;
//!     }
//! }
//!
//! assert_eq!(reloads.wait()?.signal(), Signal::HUP);
//! assert_eq!(reloads.try_recv()?, None);
//! assert_eq!(metrics.wait()?.signal(), Signal::HUP);
//! assert_eq!(metrics.wait()?.signal(), Signal::TERM);
//! # Ok::<(), signalfd::Error>(())
//! ```
//!
//! # The loop that dispatches
//!
//! The loop is the caller's, of any kind. One call hands out a record, and never waits,
//! so this is all there is to it:
//!
//! | you have | the loop |
//! |---|---|
//! | a thread | `for info in &signals { dispatcher.dispatch(&info?)?; }` |
//! | an epoll, poll or mio loop | `for info in signals.try_recv_batch(&mut batch)? { dispatcher.dispatch(info)?; }` |
//! | an io_uring loop | the same with `source.take(&mut batch)?` |
//! | an executor | the same with `signals.recv_batch(&mut batch).await?` |
//!
//! There is one dispatcher at a time, so all subscribers get the records in one order:
//! that in which its owner hands them to it.
//!
//! # What is received at all
//!
//! Subscribing blocks no signal and changes no receiver: what signals a program receives
//! is a matter of its masks, and so of the owner of the loop. What the receiver does not
//! receive comes to no subscriber. [`Hub::signals`] tells the owner what is wanted:
//!
//! ```
//! # use signalfd::{Hub, Signal, SignalSet};
//! # static HUB: Hub<8, 64> = Hub::new();
//! # let signals = signalfd::open(Signal::TERM)?;
//! # let _subscriber = HUB.subscribe(Signal::HUP | Signal::TERM)?;
//! let unheard = HUB.signals() - signals.signals();
//! if !unheard.is_empty() {
//!     signals.insert(unheard)?; // or say that it is not to be had
//! }
//! # assert_eq!(signals.signals(), Signal::HUP | Signal::TERM);
//! # Ok::<(), signalfd::Error>(())
//! ```
//!
//! A signal that is received but wanted by nobody is the owner's, too:
//! [`dispatch`](Dispatcher::dispatch) returns how many subscribers have got the record,
//! and on 0 the owner has to act. Only the owner knows what the signal would have done,
//! and has the record at hand. (It must not put the record back while it still receives
//! the signal, or the record would come again at once.)
//!
//! # Slow subscribers
//!
//! Each subscriber has a ring of its own. One that does not keep up delays nobody and
//! loses its own oldest records, and [`missed`](Subscriber::missed) says exactly how
//! many: what it has taken, what it has missed and what is still in its ring is all that
//! was dispatched to it.
//!
//! # What a subscriber leaves unread
//!
//! A record counts as received once one subscriber has taken it. When a subscriber is
//! dropped, each record that it leaves unread is left to the others that still have it in
//! their rings. If there are none, and nobody has taken it, it goes back to the kernel's
//! queue, as by [`Receiver::put_back`](crate::Receiver::put_back): the program receives
//! it again, or, if the signal is no longer blocked, its action is taken. (If there is no
//! room in the queue, the next receiver of the process that reads gets it.)
//!
//! So no record comes to anybody twice, and none is lost but those that
//! [`missed`](Subscriber::missed) counts; those of standard signals of which one is pending
//! already when they go back, for the kernel keeps one of each; and those in the ring of a
//! subscriber that is never dropped ([`core::mem::forget`]). Such a subscriber keeps its place
//! as well; it does no other harm.
//!
//! # After a fork
//!
//! The subscribers and the dispatcher of the parent answer [`Error::Forked`] in the
//! child, and dropping them there does nothing. The hub itself is empty in the child,
//! and can be used anew: every place is free, and there is no dispatcher. The parent
//! notices nothing.
//!
//! # Cost
//!
//! Nothing is allocated, no lock is taken, and nobody waits for anybody. Dispatching a
//! record to one subscriber, and taking one, are a bounded number of steps each,
//! whatever other threads do; where the subscriber sleeps, dispatching wakes it, with
//! `futex(2)` or its waker. A record is copied once when it is dispatched, however many
//! want it. A hub takes about 145 bytes for each place of each ring.
//!
//! It is also the fast way. All signalfds of a process share one wait queue in the
//! kernel, and each signal wakes every thread and every epoll that waits for any of them,
//! whatever its set: with 16 receivers waiting elsewhere, a signal costs the process
//! about five times the CPU time. With a hub there is one receiver, and subscribers that
//! do not want the signal sleep on.

mod cells;
mod dispatcher;
mod future;
#[cfg(any(test, fuzzing))]
#[path = "../../fuzz/hub.rs"]
pub(crate) mod fuzz;
mod iter;
#[cfg(any(test, fuzzing))]
mod model;
mod ring;
mod seat;
mod subscriber;
#[cfg(test)]
mod tests;

use core::fmt;
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

pub use dispatcher::Dispatcher;
pub use future::{Recv, RecvBatch};
pub use iter::Iter;
pub use subscriber::Subscriber;

use self::cells::{Cell, Cells};
use self::seat::{Place, Seat};
use super::waker;
use crate::error::Error;
use crate::process::Birth;
use crate::signal::SignalSet;

/// Gives each signal to all who want it: up to `SUBSCRIBERS` of them, each with room
/// for `DEPTH` records.
///
/// The [module](crate::hub) says how it works. It is made to be a static, so that
/// every part of a program can find it; it can be a local variable as well, and is
/// borrowed by those who use it.
///
/// How deep a ring should be depends on how many signals come at once while the
/// subscriber is busy, or its thread not running: 64 is plenty where signals are rare.
/// `SUBSCRIBERS` is 1 to 65,534, `DEPTH` is at least 1, and all rings together have less
/// than 2^24 entries; else it does not compile.
///
/// ```compile_fail,E0080
/// static HUB: signalfd::Hub<8, 0> = signalfd::Hub::new();
/// ```
pub struct Hub<const SUBSCRIBERS: usize, const DEPTH: usize> {
    desk: Desk,
    seats: [Seat; SUBSCRIBERS],
    rings: [[AtomicU64; DEPTH]; SUBSCRIBERS],
    // As many as `Cells` asks for.
    cells: [[Cell; DEPTH]; SUBSCRIBERS],
    cells_of_subscribers: [Cell; SUBSCRIBERS],
    cell_of_dispatcher: [Cell; 1],
}

/// What there is once.
struct Desk {
    /// The process that has a dispatcher; 0 for none.
    dispatching: AtomicU32,
    /// The last process that had one. What the cells count is its.
    dispatched: AtomicU32,
    /// How many subscribers have left.
    departures: AtomicUsize,
}

impl<const SUBSCRIBERS: usize, const DEPTH: usize> Hub<SUBSCRIBERS, DEPTH> {
    const CELLS: usize = SUBSCRIBERS * DEPTH + SUBSCRIBERS + 1;

    /// Makes a hub that nobody has subscribed to.
    #[must_use]
    pub const fn new() -> Self {
        const {
            assert!(SUBSCRIBERS > 0, "a hub has at least one place");
            assert!(DEPTH > 0, "a ring has room for at least one record");
            assert!(
                SUBSCRIBERS < cells::HOLDERS_MAX,
                "a hub has less than 65535 places"
            );
            assert!(
                Self::CELLS <= ring::CELLS_MAX,
                "the rings have less than 2^24 entries"
            );
        };
        Self {
            desk: Desk {
                dispatching: AtomicU32::new(0),
                dispatched: AtomicU32::new(0),
                departures: AtomicUsize::new(0),
            },
            seats: [const { Seat::new() }; SUBSCRIBERS],
            rings: [const { [const { AtomicU64::new(0) }; DEPTH] };
                SUBSCRIBERS],
            cells: [const { [const { Cell::new() }; DEPTH] }; SUBSCRIBERS],
            cells_of_subscribers: [const { Cell::new() }; SUBSCRIBERS],
            cell_of_dispatcher: [const { Cell::new() }; 1],
        }
    }

    /// Subscribes to signals: from now on each that is dispatched comes to the
    /// subscriber too.
    ///
    /// Any thread may do this at any time, whatever it blocks. The signals have to be
    /// received by whoever dispatches; the [module](crate::hub#what-is-received-at-all)
    /// says how that one learns of them.
    ///
    /// # Errors
    ///
    /// - [`Error::EmptySet`], [`Error::Unblockable`], [`Error::Synchronous`],
    ///   [`Error::Reserved`]: the set cannot be received.
    /// - [`Error::TooManySubscribers`]: all places are taken.
    pub fn subscribe(
        &self,
        set: impl Into<SignalSet>,
    ) -> Result<Subscriber<'_>, Error> {
        let set = set.into().check_receivable()?;
        let birth = Birth::here();
        loop {
            // Acquire: what was left before is seen below.
            let before = self.desk.departures.load(Ordering::Acquire);
            let subscriber = self.places().find_map(|place| {
                Subscriber::join(&self.desk, place, birth, set)
            });
            if let Some(subscriber) = subscriber {
                return Ok(subscriber);
            }
            // If nobody has left, a place that was found taken still is. If somebody
            // has, it may be one that was passed already.
            if self.desk.departures.load(Ordering::Acquire) == before {
                return Err(Error::TooManySubscribers);
            }
        }
    }

    /// Makes the dispatcher. Until it is dropped there is no other.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyDispatching`]: there is another.
    pub fn dispatcher(&self) -> Result<Dispatcher<'_>, Error> {
        Dispatcher::begin(Floor {
            desk: &self.desk,
            seats: &self.seats,
            entries: self.rings.as_flattened(),
            depth: DEPTH,
            cells: self.cells(),
        })
    }

    /// Returns the signals that at least one subscriber wants.
    ///
    /// [What is received at all](crate::hub#what-is-received-at-all) shows what that is
    /// for.
    #[must_use]
    pub fn signals(&self) -> SignalSet {
        let process = Birth::here().number();
        let wanted = self.seats.iter().filter_map(|seat| seat.wanted(process));
        SignalSet::from_bits_retain(wanted.fold(0, |all, set| all | set))
    }

    fn cells(&self) -> Cells<'_> {
        Cells::new([
            self.cells.as_flattened(),
            &self.cells_of_subscribers,
            &self.cell_of_dispatcher,
        ])
    }

    fn places(&self) -> impl Iterator<Item = Place<'_>> {
        let cells = self.cells();
        self.seats
            .iter()
            .zip(&self.rings)
            .map(move |(seat, entries)| Place::new(seat, entries, cells))
    }
}

/// A hub, whatever its size.
#[derive(Clone, Copy)]
struct Floor<'h> {
    desk: &'h Desk,
    seats: &'h [Seat],
    entries: &'h [AtomicU64],
    depth: usize,
    cells: Cells<'h>,
}

impl<'h> Floor<'h> {
    fn places(self) -> impl Iterator<Item = Place<'h>> {
        // No ring is empty.
        let rings = self.entries.chunks_exact(self.depth.max(1));
        self.seats
            .iter()
            .zip(rings)
            .map(move |(seat, entries)| Place::new(seat, entries, self.cells))
    }
}

impl<const SUBSCRIBERS: usize, const DEPTH: usize> Default
    for Hub<SUBSCRIBERS, DEPTH>
{
    fn default() -> Self {
        Self::new()
    }
}

impl<const SUBSCRIBERS: usize, const DEPTH: usize> fmt::Debug
    for Hub<SUBSCRIBERS, DEPTH>
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("signals", &self.signals())
            .finish_non_exhaustive()
    }
}
