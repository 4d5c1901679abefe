//! A hub, and who hears of signals through it.
//!
//! A subscriber that must miss nothing may not be sent more than there is room for in its
//! ring. So the dispatcher hands out a ring full, and waits until each of these has found
//! its ring empty since: twice, as it may have looked before and said so after.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Acquire;
use std::thread;
use std::time::Duration;

use signalfd::{Batch, Dispatcher, Error as Failure, Hub, SigInfo, Subscriber};

use super::receive::SOON;
#[cfg(all(feature = "io-uring", target_arch = "x86_64"))]
use super::ring;
use super::{NARROW, Outcome, Random, WIDE, World, count, signal};

const DEPTH: usize = 256;

pub(crate) static HUB: Hub<3, DEPTH> = Hub::new();

/// Receives, in one loop after the other, and hands out.
pub(crate) fn dispatch(world: &World, mut random: Random) -> Outcome {
    let mut unclaimed = VecDeque::new();
    while !world.is_over() {
        let dispatcher = HUB.dispatcher()?;
        let mut desk = Desk { world, dispatcher, unclaimed, room: 0 };
        desk.offer_again()?;
        let rounds = random.below(300);
        let wanted = signal(WIDE) | signal(NARROW);
        let signals = random.options().open(wanted)?;
        match random.below(4) {
            // In a ring of the program's own.
            #[cfg(all(feature = "io-uring", target_arch = "x86_64"))]
            way @ (0 | 1) => ring::serve(&signals, way == 1, rounds, |info| {
                desk.hand_out(info)
            })?,
            _ => {
                let mut batch = Batch::<32>::new();
                for _ in 0..rounds {
                    let infos = signals.wait_batch_timeout(&mut batch, SOON)?;
                    infos.iter().try_for_each(|info| desk.hand_out(info))?;
                }
            }
        }
        count(&world.opened);
        unclaimed = desk.unclaimed;
    }
    Ok(())
}

struct Desk<'w> {
    world: &'w World,
    dispatcher: Dispatcher<'w>,
    /// What nobody wanted so far.
    unclaimed: VecDeque<SigInfo>,
    /// How many more may be handed out.
    room: usize,
}

impl Desk<'_> {
    fn hand_out(&mut self, info: &SigInfo) -> Result<(), Failure> {
        if self.room == 0 {
            self.wait_for_turns();
            self.room = DEPTH;
        }
        self.room -= 1;
        if self.dispatcher.dispatch(info)? == 0 {
            self.unclaimed.push_back(*info);
        }
        if info.signal() == signal(WIDE) {
            count(&self.world.dispatched_widely);
        }
        Ok(())
    }

    fn offer_again(&mut self) -> Result<(), Failure> {
        for _ in 0..self.unclaimed.len() {
            let Some(info) = self.unclaimed.pop_front() else { break };
            self.hand_out(&info)?;
        }
        Ok(())
    }

    fn wait_for_turns(&self) {
        for turns in &self.world.turns {
            let before = turns.load(Acquire);
            while turns.load(Acquire) < before + 2 && !self.world.is_over() {
                thread::sleep(Duration::from_micros(50));
            }
        }
    }
}

/// Sees every record of the wide signal.
pub(crate) fn keep(world: &World, mut subscriber: Subscriber<'_>) -> Outcome {
    let mut batch = Batch::<32>::new();
    while !world.is_over() {
        let infos = subscriber.wait_batch_timeout(&mut batch, SOON)?;
        if infos.is_empty() {
            count(&world.turns[0]);
        }
        world.account.note(infos);
    }
    world.check(subscriber.missed() == 0, "the keeper has missed something");
    Ok(())
}

/// Comes, takes, and goes. What it leaves of the narrow signal nobody else has seen, so
/// that comes again; the wide one others have.
pub(crate) fn come_and_go(world: &World, mut random: Random) -> Outcome {
    let narrow = signal(NARROW);
    let mut batch = Batch::<16>::new();
    while !world.is_over() {
        let mut subscriber = HUB.subscribe(signal(WIDE) | narrow)?;
        // It has a new ring.
        count(&world.turns[1]);
        for _ in 0..random.below(100) {
            let infos = match random.below(2) {
                0 => subscriber.try_recv_batch(&mut batch)?,
                _ => subscriber.wait_batch_timeout(&mut batch, SOON)?,
            };
            if infos.is_empty() {
                count(&world.turns[1]);
            }
            for info in infos.iter().filter(|it| it.signal() == narrow) {
                world.account.note(&[*info]);
            }
        }
        world.check(subscriber.missed() == 0, "one has missed something");
    }
    Ok(())
}

/// Sees what it is fast enough for of the wide signal, and knows how much it was not.
pub(crate) struct Slow {
    subscriber: Subscriber<'static>,
    taken: u64,
}

impl Slow {
    pub(crate) fn new() -> Result<Self, Failure> {
        Ok(Self { subscriber: HUB.subscribe(signal(WIDE))?, taken: 0 })
    }

    pub(crate) fn run(&mut self, world: &World, mut random: Random) -> Outcome {
        while !world.is_over() {
            let rest = [0, 0, 100, 20_000][random.below(4)];
            thread::sleep(Duration::from_micros(rest));
            for _ in 0..random.below(300) {
                let info = self.subscriber.wait_timeout(SOON)?;
                self.taken += u64::from(info.is_some());
            }
        }
        Ok(())
    }

    /// How much it was, when nobody dispatches any more.
    pub(crate) fn taken_and_missed(&mut self) -> Result<u64, Failure> {
        while self.subscriber.try_recv()?.is_some() {
            self.taken += 1;
        }
        Ok(self.taken + self.subscriber.missed())
    }
}
