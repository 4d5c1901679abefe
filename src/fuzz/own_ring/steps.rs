//! What threads do, and what comes.

use core::mem::ManuallyDrop;
use core::ops::ControlFlow;

use super::kernel::{BUFFER, Fate, MORE, Pending};
use super::{
    Asleep, Bed, Deadline, Handle, Kind, Next, Own, ROOM, Ring, SIGNALS,
    SigInfo, SignalSet, Sleeper, THREADS, Thread, all_signals,
};

impl Handle<'_> {
    /// Does something as another thread. If that has its turn it is refused.
    pub(super) fn run_as<T>(&self, number: u32, f: impl FnOnce() -> T) -> T {
        let before = core::mem::replace(&mut self.model().current, number);
        for thread in self.0.threads.borrow_mut().iter_mut() {
            thread.is_alone &= thread.number == number;
            thread.is_served = false;
        }
        let result = f();
        self.model().current = before;
        result
    }

    /// One of the threads, if it is not the one that runs.
    pub(super) fn other(&self) -> Option<usize> {
        let mut model = self.model();
        let at = model.input.below(THREADS);
        let number = self.0.threads.borrow()[at].number;
        (number != model.current).then_some(at)
    }

    pub(super) fn number(&self, at: usize) -> u32 {
        self.0.threads.borrow()[at].number
    }

    pub(super) fn is_asleep(&self, at: usize) -> bool {
        self.0.threads.borrow()[at].sleeps.is_some()
    }

    pub(super) fn tell(&self) {
        self.model().has_edge = true;
    }

    /// A thread takes, as a receiver does. Tells how much.
    pub(super) fn take(
        &self,
        own: &Own<'_>,
        number: u32,
        room: usize,
        next: Next,
    ) -> usize {
        if self.model().depth < 2 {
            self.model().calls = 0;
        }
        let mut records = [SigInfo::EMPTY; ROOM];
        let room = &mut records[..room];
        let signalfd = &*self.0.signalfd;
        let set = self.set();
        let used = self.run_as(number, || {
            let taken = own.take(room, signalfd, next, &|| self.tell());
            let used = match taken.unwrap() {
                ControlFlow::Break(used) => used,
                ControlFlow::Continue(used) => {
                    self.read(signalfd, room, used).unwrap()
                }
            };
            // The set may have been narrowed meanwhile.
            let set = if self.model().is_busy { all_signals() } else { set };
            let mut model = self.model();
            let in_order = own.failure().is_none() && !model.lies;
            for info in &room[..used] {
                model.take(info, set, in_order);
            }
            used
        });
        let is_served = next == Next::Go && used > 0 && used < room.len();
        for thread in self.0.threads.borrow_mut().iter_mut() {
            thread.is_served |= is_served && thread.number == number;
        }
        used
    }

    /// A thread that is awake goes to sleep, and one that sleeps goes on. Tells whether it
    /// did something.
    pub(super) fn sleep(&self, own: &Own<'_>, at: usize) -> bool {
        let number = self.number(at);
        let asleep = self.0.threads.borrow()[at].sleeps;
        if own.kind == Kind::Readiness {
            let fd = self.fd();
            if own.failure().is_some() {
                return false;
            }
            let waits = core::mem::replace(&mut self.model().waits, true);
            self.run_as(number, || {
                let _refused = own.turns.take(|inner| {
                    own.sleep_in_turn(inner, Deadline::PAST, fd).unwrap();
                });
            });
            self.model().waits = waits;
            return true;
        }
        let Some(asleep) = asleep else {
            // As a receiver's `sleep` does.
            if own.failure().is_none() {
                let _counted = ManuallyDrop::new(own.sleepers.add_one());
                self.lie_down(own, at, Sleeper::Begins);
            }
            return true;
        };
        let Asleep { mut sleeper, bed, since } = asleep;
        match (bed, since) {
            (Bed::Ring(pushed), None) => {
                let fd = self.fd();
                let may_go = self.run_as(number, || {
                    let deadline = Deadline::PAST;
                    own.sleep_in_ring(&mut sleeper, pushed, deadline, fd)
                        .unwrap()
                });
                let is_there = sleeper == Sleeper::HasBegun;
                let since = is_there.then(|| self.model().begin());
                self.set_asleep(at, Some(Asleep { sleeper, bed, since }));
                if may_go && self.model().is_odd(4) {
                    self.get_up(own, at);
                } else if !is_there {
                    self.lie_down(own, at, sleeper);
                }
                true
            }
            _ if self.has_woken(number, asleep) => {
                self.lie_down(own, at, sleeper);
                true
            }
            _ => false,
        }
    }

    /// One that has pushed something enters the kernel, if it does not run.
    pub(super) fn submit_late(&self, own: &Own<'_>) {
        let current = self.model().current;
        let is_late = |thread: &Thread| {
            let bed = thread.sleeps.map(|it| (it.bed, it.since));
            thread.number != current
                && matches!(bed, Some((Bed::Ring(_), None)))
        };
        let late = self.0.threads.borrow().iter().position(is_late);
        if let Some(at) = late {
            self.model().depth += 1;
            self.sleep(own, at);
            self.model().depth -= 1;
        }
    }

    pub(super) fn set_asleep(&self, at: usize, asleep: Option<Asleep>) {
        self.0.threads.borrow_mut()[at].sleeps = asleep;
    }

    pub(super) fn lie_down(
        &self,
        own: &Own<'_>,
        at: usize,
        mut sleeper: Sleeper,
    ) {
        let (number, signalfd) = (self.number(at), &*self.0.signalfd);
        // Once it has begun it takes no request over.
        let is_alone = sleeper != Sleeper::HasBegun;
        let bed = self.run_as(number, || {
            own.lie_down(&mut sleeper, signalfd, &|| self.tell())
        });
        if bed == Bed::None {
            return self.get_up(own, at);
        }
        self.set_asleep(at, Some(Asleep { sleeper, bed, since: None }));
        self.0.threads.borrow_mut()[at].is_alone |= is_alone;
    }

    pub(super) fn get_up(&self, own: &Own<'_>, at: usize) {
        self.set_asleep(at, None);
        own.sleepers.remove_one();
    }

    /// Whether the kernel wakes a thread that sleeps.
    pub(super) fn has_woken(&self, number: u32, asleep: Asleep) -> bool {
        let set = self.set();
        let model = self.model();
        let has_said = !model.said.is_empty() || !model.kept.is_empty();
        let is_readable =
            has_said || model.is_added && model.has_pending(number, set);
        match (asleep.bed, asleep.since) {
            // `io_should_wake()`, and `__io_cqring_wait_schedule()` for what had no room.
            (Bed::Ring(_), Some(since)) => {
                model.tail > since || !model.kept.is_empty()
            }
            (Bed::Readable, _) => is_readable,
            (Bed::Both, _) => is_readable || model.has_pending(number, set),
            _ => true,
        }
    }

    /// One that sleeps wakes for no reason, or its time is over.
    pub(super) fn wake(&self, own: &Own<'_>, at: usize, goes_on: bool) {
        let Some(asleep) = self.0.threads.borrow()[at].sleeps else { return };
        if let (Bed::Ring(_), None) = (asleep.bed, asleep.since) {
            return;
        }
        if goes_on {
            self.lie_down(own, at, asleep.sleeper);
        } else {
            self.get_up(own, at);
        }
    }

    /// A thread ends, and another one begins.
    pub(super) fn replace_thread(&self, at: usize) {
        if self.is_asleep(at) {
            return;
        }
        let mut model = self.model();
        let number = self.number(at);
        model.cancel(|it| it.thread == number);
        // Nobody will ever see them.
        model.pending.retain(|it| it.to != Some(number));
        let mut threads = self.0.threads.borrow_mut();
        let last = threads.iter().map(|it| it.number).max().unwrap();
        threads[at].number = last + 1;
    }

    /// Signals come.
    pub(super) fn signal(&self, count: usize) {
        let mut model = self.model();
        let byte = model.input.byte();
        let signal = SIGNALS[usize::from(byte & 1)];
        let to = match byte / 2 % 8 {
            at @ 0..3 => Some(self.number(at.into())),
            _ => None,
        };
        for _ in 0..count {
            model.pending.push(Pending { signal, to });
        }
        model.has_edge |= model.is_added;
    }

    /// The set changes.
    pub(super) fn change(&self, own: &Own<'_>, number: u32, set: SignalSet) {
        let signalfd = &*self.0.signalfd;
        signalfd.replace(set).unwrap();
        // `do_signalfd4()` wakes whoever waits.
        let mut model = self.model();
        model.has_edge |= model.is_added;
        let is_all_there = model.kept.is_empty();
        drop(model);
        self.run_as(number, || own.unwant(signalfd, &|| self.tell()));
        let set = self.set();
        let model = self.model();
        let is_unwanted =
            |it: &Fate| it.read().is_some_and(|signal| !set.has(signal));
        // What the queue had no room for is not looked at, nor is it in another's turn.
        if model.depth < 2 && is_all_there && !model.lies {
            assert!(!model.fates.iter().any(is_unwanted), "it did not go back");
        }
    }

    /// A request ends with an error.
    pub(super) fn fail(&self) {
        let mut model = self.model();
        if model.ring.is_empty() {
            return;
        }
        let length = model.ring.len();
        let at = model.input.below(length);
        let likely = [
            libc::ECANCELED,
            libc::EINTR,
            libc::EAGAIN,
            libc::ENOBUFS,
            libc::EBADF,
        ];
        let errno = likely[model.input.below(5).min(model.input.below(5))];
        let is_bad = errno == libc::EBADF
            || errno == libc::EAGAIN && !model.ring[at].reads();
        model.has_refused |= is_bad;
        model.end(at, -errno);
    }

    /// Something that this kernel does not say.
    pub(super) fn lie(&self) {
        let mut model = self.model();
        let user_data = match model.input.below(4) {
            0 => u64::from(model.input.byte()),
            below => model.newest.saturating_sub(below as u64 - 1),
        };
        let result = match model.input.below(4) {
            0 => -i32::from(model.input.byte()),
            1 | 2 => i32::from(model.input.byte() % 70) * 128,
            _ => i32::from_le_bytes(model.input.take()),
        };
        let flags = match model.input.below(3) {
            0 => u32::from(model.input.byte() % 70) << 16 | BUFFER | MORE,
            1 => u32::from(model.input.byte() % 70) << 16 | BUFFER,
            _ => u32::from_le_bytes(model.input.take()),
        };
        model.say(user_data, result, flags);
    }

    /// Whatever comes next. Inside another step it is another thread that does it.
    pub(super) fn step(&self, own: &Own<'_>) {
        let code = self.model().input.below(32);
        self.model().depth += 1;
        let set = self.set();
        match code {
            0..5 => self.signal(1),
            5 => {
                let count = 1 + usize::from(self.model().input.byte()) % 150;
                let each = self.model().input.below(2) == 1;
                for _ in 0..if each { count } else { 1 } {
                    self.signal(if each { 1 } else { count });
                    if each {
                        self.model().look_all(set);
                    }
                }
            }
            6..10 => {
                let mut model = self.model();
                if !model.ring.is_empty() {
                    let length = model.ring.len();
                    let at = model.input.below(length);
                    model.look(at, set);
                }
            }
            10 => self.fail(),
            11 if self.model().lies => self.lie(),
            11 => {
                let what = self.model().input.below(8);
                if what == 2 {
                    self.model().is_spoiled = true;
                } else if let (0..2, Some(at)) = (what, self.other()) {
                    let number = self.number(at);
                    self.model().refused.push(number);
                }
            }
            _ => {
                if let Some(at) = self.other() {
                    self.act(own, at, code);
                }
            }
        }
        self.model().depth -= 1;
    }

    pub(super) fn act(&self, own: &Own<'_>, at: usize, code: usize) {
        if self.rise(own, at) {
            return;
        }
        let number = self.number(at);
        let signalfd = &*self.0.signalfd;
        match code {
            12..17 if !self.is_asleep(at) => {
                let byte = self.model().input.byte();
                let room = 1 + usize::from(byte / 2) % ROOM;
                let room = if byte & 1 == 1 { room } else { 1 };
                let next = [Next::Wait, Next::Go, Next::WaitOn];
                let next = next[usize::from(byte / 2 % 3)];
                self.take(own, number, room, next);
            }
            12..25 => {
                self.sleep(own, at);
            }
            25 => {
                let goes_on = self.model().input.below(2) == 1;
                self.wake(own, at, goes_on);
            }
            26 if !self.is_asleep(at) => {
                let tell = || self.tell();
                self.run_as(number, || own.prepare(signalfd, &tell));
            }
            27 if self.model().input.below(4) == 1 => {
                self.run_as(number, || own.show(signalfd));
                self.tell();
            }
            28 => self.replace_thread(at),
            30 if !self.is_asleep(at) => {
                let tell = || self.tell();
                self.run_as(number, || own.withdraw(signalfd, &tell));
                self.0.threads.borrow_mut()[at].rests = true;
            }
            29 => {
                let set = [all_signals(), SIGNALS[0].into(), SIGNALS[1].into()];
                let set = set[self.model().input.below(3)];
                self.change(own, number, set);
            }
            _ => {
                self.wait_for_edge(own, at);
            }
        }
    }

    /// One that has let signals gather takes them. Tells whether it was one.
    pub(super) fn rise(&self, own: &Own<'_>, at: usize) -> bool {
        let mut threads = self.0.threads.borrow_mut();
        let did_rest = core::mem::take(&mut threads[at].rests);
        drop(threads);
        if did_rest {
            let room = self.model().little();
            self.take(own, self.number(at), room, Next::Wait);
        }
        did_rest
    }

    /// One that waits for the descriptor, and has found nothing the last time, is told of
    /// an edge.
    pub(super) fn wait_for_edge(&self, own: &Own<'_>, at: usize) -> bool {
        let is_shown = own.is_awaited() && own.stands();
        if !is_shown || self.is_asleep(at) {
            return false;
        }
        let has_edge = core::mem::take(&mut self.model().has_edge);
        let number = self.number(at);
        let room = self.model().little();
        while has_edge && self.take(own, number, room, Next::Go) == room {}
        has_edge
    }
}
