//! One run of an operation under adverse conditions, and what has to hold.

use std::borrow::Borrow;
use std::fs::File;
use std::os::fd::AsRawFd;

use libc::c_int;
use signalfd::{Error, Op, Receiver, SigInfo, Signal, SignalSet, mask};

use super::Operation;
use super::supervisor::{Fault, Supervisor};
use super::table::Row;
use crate::common::{
    DEADLINE, Resource, action, open, open_descriptors, pid, set_limit,
    set_mask, sigqueue,
};

/// A signal that is blocked all the time, of which some are pending at first.
pub(super) fn kept() -> Signal {
    Signal::rt(1).unwrap()
}

/// That and another one, which is blocked only while it is received.
pub(super) fn both() -> SignalSet {
    kept() | Signal::HUP
}

pub(super) fn queue_for(process: i32, value: i32) {
    sigqueue(process, kept(), value).unwrap();
}

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
pub(super) enum Adversity {
    None,
    Fault(Fault),
    Limit(Limit),
}

/// What there is little of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Limit {
    /// So many descriptors more than are open.
    Descriptors(u64),
    /// So many signals in the queue of the user.
    Queue(u64),
    /// So many bytes that may be locked.
    Locked(u64),
}

impl Limit {
    const fn errno(self) -> c_int {
        match self {
            Self::Descriptors(_) => libc::EMFILE,
            Self::Queue(_) => libc::EAGAIN,
            Self::Locked(_) => libc::ENOMEM,
        }
    }

    /// Does something while there is no more than that.
    fn during<R>(self, f: impl FnOnce() -> R) -> R {
        let (resource, soft): (Resource, _) = match self {
            Self::Descriptors(more) => {
                let next = File::open("/dev/null").unwrap().as_raw_fd();
                let next = u64::try_from(next).unwrap();
                (libc::RLIMIT_NOFILE, next + more)
            }
            Self::Queue(count) => (libc::RLIMIT_SIGPENDING, count),
            Self::Locked(bytes) => (libc::RLIMIT_MEMLOCK, bytes),
        };
        let before = set_limit(resource, soft);
        let result = f();
        set_limit(resource, before);
        result
    }
}

/// See the head of this file.
pub(super) struct Trial<'t> {
    supervisor: &'t Supervisor,
    adversity: Adversity,
}

/// How the process is.
#[derive(Clone, PartialEq, Eq, Debug)]
struct State {
    mask: SignalSet,
    descriptors: usize,
    actions: Vec<(usize, i32, u64)>,
}

impl State {
    fn now() -> Self {
        let all = [kept(), Signal::HUP, Signal::TERM, Signal::TSTP];
        Self {
            mask: mask::current().unwrap(),
            descriptors: open_descriptors(),
            actions: all.into_iter().map(action).collect(),
        }
    }
}

impl<'t> Trial<'t> {
    pub(super) const fn new(
        supervisor: &'t Supervisor,
        adversity: Adversity,
    ) -> Self {
        Self { supervisor, adversity }
    }

    /// Runs it in this process. Afterwards everything is as it was, and what was sent has
    /// been received, or is there to be.
    pub(super) fn run(&self, operation: Operation) {
        set_mask(kept().into());
        let before = State::now();
        let mut signals = Signals { sent: 0, received: Vec::new() };
        signals.send(3);
        operation(self, &mut signals);
        let rest = Receiver::new(kept()).unwrap();
        while let Some(info) = rest.try_recv().unwrap() {
            signals.got([info]);
        }
        drop(rest);
        signals.assert_all_received();
        let mut now = State::now();
        // What a sandbox does not let come back stays, and that is all.
        if self.has_failed(Op::Sigprocmask) {
            assert_eq!(now.mask & before.mask, before.mask);
            now.mask = before.mask;
        }
        if self.has_failed(Op::Sigaction) {
            now.actions.clone_from(&before.actions);
        }
        assert_eq!(now, before, "all is as it was");
    }

    /// Makes calls that may fail. If one does that is to be told, and this tells such
    /// errors, it is told. Else all goes well.
    pub(super) fn call<T>(
        &self,
        tells: &[Op],
        f: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        if let Adversity::Limit(limit) = self.adversity {
            return self.call_within(limit, tells, f);
        }
        let board = self.supervisor.board;
        let was_over = board.has_begun();
        let result = board.inside(f);
        if let Some(value) = board.is_still_to_come() {
            queue_for(pid(), value);
        }
        let told = if was_over { None } else { self.told(tells) };
        assert_eq!(result.as_ref().err(), told.as_ref(), "what is told");
        result
    }

    fn call_within<T>(
        &self,
        limit: Limit,
        tells: &[Op],
        f: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        if let Some(value) = self.supervisor.board.is_still_to_come() {
            queue_for(pid(), value);
        }
        let result = limit.during(f);
        if let Err(error) = &result {
            assert!(tells.contains(&error.op().unwrap()), "{error}");
            assert_eq!(error.raw_os_error(), Some(limit.errno()), "{error}");
        }
        result
    }

    /// The same for what takes many. Where some were taken already, the error waits.
    pub(super) fn call_for_many<'b>(
        &self,
        tells: &[Op],
        f: impl FnOnce() -> Result<&'b [SigInfo], Error>,
    ) -> &'b [SigInfo] {
        let mut some = None;
        let told = self.call(tells, || match f() {
            Ok(infos @ [_, ..]) if self.told(tells).is_some() => {
                some = Some(infos);
                Err(self.told(tells).unwrap())
            }
            other => other,
        });
        some.or(told.ok()).unwrap_or_default()
    }

    /// What has failed and is told by who tells this.
    fn told(&self, tells: &[Op]) -> Option<Error> {
        let Adversity::Fault(Fault { errno, .. }) = self.adversity else {
            return None;
        };
        let ops = self.supervisor.board.failed().filter_map(Row::told);
        let mut told = ops.filter(|op| tells.contains(op));
        told.next().map(|op| Error::Os { op, errno })
    }

    /// The same as [`call`](Self::call), and a failure leaves everything as it was.
    pub(super) fn all_or_nothing<T>(
        &self,
        tells: &[Op],
        f: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        let before = State::now();
        self.call(tells, f).inspect_err(|_| {
            let now = State::now();
            if self.cannot_be_undone() {
                assert_eq!(now.mask & before.mask, before.mask);
                set_mask(before.mask);
            } else {
                assert_eq!(now, before);
            }
        })
    }

    /// Whether what is to be undone after a failure is refused as well.
    pub(super) const fn cannot_be_undone(&self) -> bool {
        matches!(self.adversity, Adversity::Fault(Fault { lasts: true, .. }))
    }

    /// Whether this is the error that is answered.
    #[cfg(feature = "mio")]
    pub(super) fn fails_with(&self, number: c_int) -> bool {
        let fails = |fault: &Fault| fault.errno == number;
        matches!(&self.adversity, Adversity::Fault(fault) if fails(fault))
    }

    /// Whether the kernel may drop a record, and say nothing.
    pub(super) const fn drops_records(&self) -> bool {
        matches!(self.adversity, Adversity::Limit(Limit::Queue(_)))
    }

    /// Does something that cannot fail.
    pub(super) fn does<T>(&self, f: impl FnOnce() -> T) -> T {
        self.call(&[], || Ok(f())).unwrap()
    }

    /// Whether a call has failed that may be told with this.
    pub(super) fn has_failed(&self, op: Op) -> bool {
        self.told(&[op]).is_some()
    }

    /// What has become of the ring of a receiver: if it is not there, or does not read as
    /// it was to, it says why.
    pub(super) fn explains(&self, receiver: &Receiver) {
        let fallback = receiver.backend().fallback();
        let op = fallback.and_then(|error| error.op());
        match (op, self.adversity) {
            (None, _) => {
                let mut failed = self.supervisor.board.failed();
                assert!(!failed.any(Row::ends_a_ring));
            }
            (Some(_), Adversity::Limit(limit)) => {
                let errno = fallback.and_then(|error| error.raw_os_error());
                assert_eq!(errno, Some(limit.errno()), "{fallback:?}");
            }
            (Some(op), _) => assert_eq!(fallback, self.told(&[op])),
        }
    }

    /// The same, and it goes on.
    pub(super) fn goes_on(&self, signals: &mut Signals, receiver: &Receiver) {
        self.explains(receiver);
        signals.pass(receiver);
    }

    /// Has a signal come when this process is about to sleep.
    pub(super) fn comes_at_sleep(&self, signals: &mut Signals) {
        self.supervisor.board.at_sleep(signals.sent);
        signals.sent += 1;
    }
}

/// What was sent, and what of it was received.
pub(super) struct Signals {
    sent: i32,
    received: Vec<i32>,
}

impl Signals {
    /// Sends so many.
    pub(super) fn send(&mut self, count: i32) {
        for _ in 0..count {
            self.send_by(|value| queue_for(pid(), value));
        }
    }

    /// Sends one in this way.
    pub(super) fn send_by(&mut self, send: impl FnOnce(i32)) {
        send(self.sent);
        self.sent += 1;
    }

    pub(super) fn got(
        &mut self,
        infos: impl IntoIterator<Item: Borrow<SigInfo>>,
    ) {
        for info in infos {
            let info = info.borrow();
            assert_eq!(info.signal(), kept());
            self.received.push(info.value().unwrap());
        }
    }

    /// Sends another one, and waits for it or for one that was there.
    pub(super) fn pass(&mut self, receiver: &Receiver) {
        self.send(1);
        let info = receiver.wait_timeout(DEADLINE).unwrap();
        self.got(info);
        assert!(info.is_some());
    }

    /// Opens a receiver, and takes all there is.
    pub(super) fn drained(&mut self) -> signalfd::Signals {
        let receiver = open(both()).unwrap();
        while let Some(info) = receiver.try_recv().unwrap() {
            self.got([info]);
        }
        receiver
    }

    /// Each was, and once.
    fn assert_all_received(mut self) {
        self.received.sort_unstable();
        let all = self.received.iter().copied();
        assert!(all.eq(0..self.sent), "{} {:?}", self.sent, self.received);
    }
}
