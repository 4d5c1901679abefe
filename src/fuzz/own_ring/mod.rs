//! A ring of the receiver's own, with several threads at it, against what a kernel does.
//!
//! The threads are numbers. What one does in its turn is one step, and so is the call that
//! it sleeps in, which comes after. While a thread has its turn and the kernel is asked for
//! something, others may come: they are refused their turn, or enter the kernel with what
//! they have pushed before.
//!
//! The kernel takes what was pushed late, in part, or not at all; for some threads it
//! refuses everything from some point on. A request reads on behalf of the thread that has
//! entered with it, and is over when that one ends. It may know no requests of many shots;
//! its queue of completions may be small, and buffers run out; what is cancelled may end
//! later. Signals are directed at a thread or at the process, and some are taken out of the
//! set and put in again.
//!
//! In half of the inputs that is all. Then after each step the machine has counted as many
//! requests as there are; each record comes once, or goes back once, and they come in the
//! order in which they were read, as long as the ring has not failed; it fails only if the
//! kernel has given a reason. When nothing more comes, no thread sleeps while a signal of
//! the process is pending or read, nor does who waits for the descriptor, also where that
//! one hears of edges only. A signal of a thread that sleeps is found, or of one that has
//! found less than it had room for, unless another thread has been at the ring since. When
//! all was taken the kernel has all buffers; after the end nothing is in flight, and the
//! buffers are let go of.
//!
//! In the other half completions are invented, which this kernel would not do. Then no
//! record comes twice, none comes that was not read, and every step ends.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a panic is what a fuzzer looks for"
)]

extern crate std;

mod kernel;
mod seam;
mod steps;

use core::cell::{Cell, RefCell, RefMut};
use std::rc::{Rc, Weak};
use std::vec::Vec;

use self::kernel::{Fate, MOST, Model};
use super::sleep::{Bed, Sleeper};
use super::{
    ASIDE, COMPLETIONS, Completion, ENTRIES, GROUP, Inner, OwnRing, Queues,
    Ring, Submission,
};
use crate::fuzz::Input;
use crate::process::Birth;
use crate::receive::SignalFd;
use crate::receive::engine::Next;
use crate::receive::ring::{
    BUFFERS, Buffers, Kernel, RECORDS, Request, Target, wanted,
};
use crate::signal::{SigInfo, Signal, SignalSet};
use crate::sys::Deadline;
use crate::{Error, Kind};

const SIGNALS: [Signal; 2] = [Signal::URG, Signal::WINCH];
/// So many threads at a time.
const THREADS: usize = 3;
/// How much is taken at once.
const ROOM: usize = 80;

std::thread_local! {
    /// Its set counts. It is not read.
    static SIGNALFD: Rc<SignalFd> =
        Rc::new(SignalFd::new(all_signals()).unwrap());
    /// A mapping that a run has left, for the next.
    static MAPPED: Cell<Option<Buffers>> = const { Cell::new(None) };
}

fn all_signals() -> SignalSet {
    SIGNALS[0] | SIGNALS[1]
}

#[derive(Debug)]
struct Thread {
    number: u32,
    sleeps: Option<Asleep>,
    /// Whether no other one was at the ring since it went to sleep.
    is_alone: bool,
    /// Whether it has found less than it had room for, and nobody was at the ring since.
    is_served: bool,
    /// Whether it lets signals gather, and takes them afterwards.
    rests: bool,
}

#[derive(Clone, Copy, Debug)]
struct Asleep {
    sleeper: Sleeper,
    bed: Bed,
    /// Where it has entered and waits: how many completions had been taken.
    since: Option<u64>,
}

struct World<'d> {
    model: RefCell<Model<'d>>,
    threads: RefCell<Vec<Thread>>,
    signalfd: Rc<SignalFd>,
    own: RefCell<Weak<OwnRing<Handle<'d>>>>,
}

/// What the machine has of it.
#[derive(Clone)]
struct Handle<'d>(Rc<World<'d>>);

impl<'d> Handle<'d> {
    fn model(&self) -> RefMut<'_, Model<'d>> {
        self.0.model.borrow_mut()
    }

    fn set(&self) -> SignalSet {
        wanted(&self.0.signalfd)
    }
}

impl Handle<'_> {
    fn check(&self, own: &Own<'_>) {
        let lies = self.model().lies;
        let check = |inner: &mut Inner<Handle<'_>>| {
            let model = self.model();
            let is_armed = usize::from(inner.request.is_in_flight());
            let counted = inner.earlier as usize + is_armed;
            if lies {
                return;
            }
            assert_eq!(counted, model.in_flight());
            assert_eq!(inner.is_quiet(), model.in_flight() == 0);
            if let Some(buffers) = &model.buffers {
                let free = buffers.tail().wrapping_sub(model.head);
                assert!(free <= BUFFERS, "more than there are");
            }
        };
        let noted = own.turns.take(check).unwrap().was_noted;
        assert!(!noted);
        let model = self.model();
        if own.failure().is_some() && !lies {
            assert!(model.has_refused || model.in_vain >= 8, "it fails");
        }
    }

    /// Nothing more comes, and everybody goes on for as long as there is something to do.
    fn settle(&self, own: &Own<'_>) {
        self.model().is_busy = false;
        let set = self.set();
        for round in 0.. {
            assert!(round < MOST, "it does not come to an end");
            let mut goes_on = self.model().look_all(set);
            for at in 0..THREADS {
                goes_on |= self.rise(own, at);
                if !self.is_asleep(at) {
                    continue;
                }
                goes_on |= self.sleep(own, at);
                if !self.is_asleep(at) {
                    // It takes something, and goes its way.
                    self.take(own, self.number(at), 1, Next::WaitOn);
                }
                self.check(own);
            }
            for at in 0..THREADS {
                goes_on |= self.wait_for_edge(own, at);
                self.check(own);
            }
            if !goes_on {
                break;
            }
        }
    }

    /// Who has found less than it had room for has a request on its behalf, or there is
    /// something to take.
    fn check_served(&self, own: &Own<'_>) {
        let set = self.set();
        self.model().look_all(set);
        let model = self.model();
        let has_said = !model.said.is_empty() || !model.kept.is_empty();
        for thread in self.0.threads.borrow().iter() {
            let is_pending = model.has_pending(thread.number, set);
            let is_there = has_said || own.failure().is_some();
            assert!(!(thread.is_served && is_pending) || is_there);
        }
    }

    /// Nobody sleeps who should not.
    fn check_sleepers(&self, own: &Own<'_>) {
        let set = self.set();
        let threads = self.0.threads.borrow();
        let is_awake = threads.iter().any(|it| it.sleeps.is_none());
        let model = self.model();
        // What nobody can bring keeps them awake.
        let is_kept = !model.kept.is_empty() && own.failure().is_some();
        let is_filled = model.has_filled() && !is_kept;
        let is_there = is_filled || model.has_pending(0, set);
        let waits = own.stands() && is_awake;
        for thread in threads.iter() {
            if let Some(asleep) = thread.sleeps {
                assert!(!is_there, "{asleep:?}");
                let is_pending = model.has_pending(thread.number, set);
                assert!(!(thread.is_alone && is_pending), "{asleep:?}");
            }
        }
        assert!(!(waits && is_there), "it waits for the descriptor");
    }

    /// One thread takes all that there is.
    fn take_all(&self, own: &Own<'_>) {
        // It may, and the kernel does what it is asked for again.
        self.model().refused.clear();
        self.model().is_spoiled = false;
        for at in 0..THREADS {
            if self.is_asleep(at) {
                self.get_up(own, at);
            }
        }
        self.change(own, self.number(0), all_signals());
        loop {
            let taken = self.take(own, self.number(0), ROOM, Next::Go);
            let goes_on = self.model().look_all(all_signals());
            self.check(own);
            if taken == 0 && !goes_on {
                break;
            }
        }
        let model = self.model();
        assert!(!model.has_filled() && !model.has_pending(0, all_signals()));
        if let Some(buffers) = &model.buffers {
            let free = buffers.tail().wrapping_sub(model.head);
            assert_eq!(free, BUFFERS, "the kernel has all of them");
        }
    }

    fn end(&self, own: &Own<'_>) {
        let lies = self.model().lies;
        if !lies && own.kind == Kind::Completion {
            self.check_served(own);
            self.settle(own);
            self.check_sleepers(own);
            if self.model().takes_all {
                self.take_all(own);
            }
        }
        let mut model = self.model();
        model.is_over = true;
        model.waits = true;
        model.calls = 0;
        model.refused.clear();
        let has_failed = own.failure().is_some();
        let is_exact = !lies && !model.is_old && !has_failed;
        drop(model);
        own.end();
        let mut buffers = None;
        let ended = own.turns.take(|inner| {
            buffers = inner.buffers.take();
            inner.is_quiet()
        });
        if own.kind == Kind::Readiness {
            let goes_on = |it: &kernel::Asked| !it.is_cancelled;
            let is_left = self.model().ring.iter().any(goes_on);
            assert!(!is_exact || !is_left, "a poll is left");
            return;
        }
        assert!(!is_exact || ended.unwrap().result, "it is not over");
        let model = self.model();
        let is_read = |it: &Fate| matches!(it, Fate::Read(_));
        assert!(lies || !model.fates.iter().any(is_read), "one is lost");
        drop(model);
        let mut buffers = buffers.unwrap();
        assert!(!is_exact || buffers.is_released());
        buffers.release();
        MAPPED.set(Some(buffers));
    }
}

type Own<'d> = Rc<OwnRing<Handle<'d>>>;

pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let kind =
        [Kind::Completion, Kind::Readiness][usize::from(input.below(8) == 7)];
    let model = Model::new(input);
    let thread = |number| Thread {
        number,
        sleeps: None,
        is_alone: false,
        is_served: false,
        rests: false,
    };
    let signalfd = SIGNALFD.with(Rc::clone);
    if signalfd.signals() != all_signals() {
        signalfd.replace(all_signals()).unwrap();
    }
    let handle = Handle(Rc::new(World {
        model: RefCell::new(model),
        threads: RefCell::new((1..).map(thread).take(THREADS).collect()),
        signalfd,
        own: RefCell::new(Weak::new()),
    }));
    let buffers = (kind == Kind::Completion).then(|| {
        let mut kernel = handle.clone();
        let buffers = match MAPPED.take() {
            None => Buffers::new(&mut kernel, GROUP).unwrap(),
            Some(mut buffers) => {
                buffers.begin_again(&mut kernel, GROUP);
                buffers
            }
        };
        handle.model().buffers = Some(buffers.shared());
        buffers
    });
    let inner = Inner::new(Request::new(kind), buffers, handle.clone());
    let birth = Birth::here();
    let own = Rc::new(OwnRing::with(kind, handle.clone(), inner, birth));
    handle.run_as(1, || own.try_out(&handle.0.signalfd));
    *handle.0.own.borrow_mut() = Rc::downgrade(&own);
    handle.check(&own);
    while !handle.model().input.is_empty() {
        handle.step(&own);
        handle.check(&own);
        handle.model().calls = 0;
    }
    handle.end(&own);
}
