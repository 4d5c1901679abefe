//! Everything at once, for as long as you like, and an account of every signal.
//!
//! ```text
//! cargo run --release --all-features --example soak                  # ten minutes
//! cargo run --release --all-features --example soak -- --seconds 30 --seed 7
//! ```
//!
//! Four processes queue numbered real-time signals (`account.rs`). Three threads receive
//! (`receive.rs`): they open and drop receivers of each kind, change their sets, open scopes
//! inside, put records back, and fork. One hands what it receives to the subscribers of a
//! hub (`fan_out.rs`), of which one comes and goes, and one is too slow. One starts children
//! and waits for them. The seed decides what each does; the machine, in which order.
//!
//! When the senders are done the receivers go on until they have everything, or nothing has
//! come for a minute. When all are dropped, one more looks for what should not be there. It
//! ends with the account, and successfully if that is in order:
//!
//! ```text
//! sent=259207 received=259207 lost=0 doubled=0
//! ```

#![expect(unsafe_code, reason = "sigqueue(3) and fork(2)")]
#![expect(
    clippy::disallowed_methods,
    reason = "it sleeps to do less or something else, and waits for nothing so"
)]

mod account;
mod fan_out;
mod receive;
#[cfg(all(feature = "io-uring", target_arch = "x86_64"))]
mod ring;

use std::collections::HashMap;
use std::error::Error;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Relaxed, Release},
};
use std::thread;
use std::time::{Duration, Instant, SystemTime};
use std::{fs, io};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signalfd::{
    Backend, Kind, Options, Reaper, RestoreSignals, Signal, SignalSet, mask,
};

use account::{Account, SENDERS};

type Outcome = Result<(), Box<dyn Error>>;

/// What the real-time signals are for. Each receiver has one that only it receives.
const SHARED: usize = 0;
const OWN: [usize; 3] = [1, 2, 3];
/// All subscribers want it.
const WIDE: usize = 4;
/// Only the subscriber does that comes and goes.
const NARROW: usize = 5;
/// How many there are.
const SIGNALS: usize = 6;

fn signal(role: usize) -> Signal {
    let number = u8::try_from(role).ok().and_then(Signal::rt);
    number.expect("there are more than that")
}

/// What the threads have in common.
#[derive(Default)]
struct World {
    /// The mask from before, for children.
    saved: SignalSet,
    account: Account,
    /// How often each subscriber that must miss nothing has found its ring empty.
    turns: [AtomicU64; 2],
    is_over: AtomicBool,
    faults: AtomicU64,
    // How often things were done.
    opened: AtomicU64,
    forked: AtomicU64,
    children: AtomicU64,
    dispatched_widely: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Release);
}

impl World {
    fn is_over(&self) -> bool {
        self.is_over.load(Relaxed)
    }

    fn check(&self, is_right: bool, what: &str) {
        if !is_right {
            eprintln!("this should not be: {what}");
            count(&self.faults);
        }
    }

    /// Does the work of a thread.
    fn go(&self, name: &str, run: impl FnOnce() -> Outcome) {
        if let Err(error) = run() {
            self.check(false, &format!("{name} has ended: {error}"));
        }
    }
}

/// Numbers that are the same for the same seed (xorshift64).
struct Random(u64);

impl Random {
    const fn new(seed: u64, stream: usize) -> Self {
        let seed = seed.wrapping_add(stream as u64).wrapping_add(1);
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 16) % end as u64).unwrap_or_default()
    }

    /// One of the ways to run a receiver.
    fn options(&mut self) -> Options {
        let options = Options::new();
        let little = Duration::from_micros(50);
        let options = match self.below(6) {
            0 => options.spin(little),
            1 => options.moderate(little, 16),
            2 => options.every_thread(true),
            _ => options,
        };
        match self.below(3) {
            0 => options,
            1 => options.backend(Backend::Uring),
            _ => options.backend(Backend::Uring).kind(Kind::Completion),
        }
    }
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut seconds = 600;
    let mut seed = SystemTime::UNIX_EPOCH.elapsed()?.subsec_nanos().into();
    match arguments[..] {
        // It is started again, to be one of its children.
        ["--sender", number, to, seconds, seed] => {
            let random = Random::new(seed.parse()?, number.parse()?);
            let (to, seconds) = (to.parse()?, seconds.parse()?);
            let sent = account::send(number.parse()?, to, seconds, random)?;
            println!("{sent}");
            return Ok(ExitCode::SUCCESS);
        }
        ["--child", status] => {
            let is_clean = !mask::current()?.has(signal(SHARED));
            let status = if is_clean { status.parse()? } else { 99 };
            return Ok(ExitCode::from(status));
        }
        _ => {}
    }
    for pair in arguments.chunks(2) {
        match *pair {
            ["--seconds", value] => seconds = value.parse()?,
            ["--seed", value] => seed = value.parse()?,
            _ => return Err("usage: soak [--seconds N] [--seed S]".into()),
        }
    }
    println!("seed={seed} seconds={seconds} pid={}", std::process::id());
    // So that the queue is full now and then, and nobody else's.
    let maximum = getrlimit(Resource::Sigpending).maximum;
    let current = Some(maximum.unwrap_or(2048).min(2048));
    setrlimit(Resource::Sigpending, Rlimit { current, maximum })?;

    // Before anything is sent, and before there are threads.
    let guard = signalfd::block(SignalSet::REALTIME | Signal::CHLD)?;
    let before = descriptors()?;
    let mut senders = vec![];
    for number in 0..SENDERS {
        let numbers = [number as u64, std::process::id().into(), seconds, seed];
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--sender").args(numbers.map(|number| number.to_string()));
        senders.push(command.stdout(Stdio::piped()).spawn()?);
    }
    let pids = senders.iter().map(Child::id).collect();
    let account = Account::new(pids);
    let world = World { saved: guard.saved(), account, ..World::default() };
    let keeper = fan_out::HUB.subscribe(signal(WIDE))?;
    let mut slow = fan_out::Slow::new()?;

    let sent = thread::scope(|scope| {
        let (world, slow) = (&world, &mut slow);
        let random = |stream| Random::new(seed, SENDERS + stream);
        for own in OWN {
            let run = move || receive::run(world, signal(own), random(own));
            scope.spawn(move || world.go("a receiver", run));
        }
        let run = move || fan_out::dispatch(world, random(4));
        scope.spawn(move || world.go("the hub", run));
        let run = move || fan_out::keep(world, keeper);
        scope.spawn(move || world.go("who keeps", run));
        let run = move || fan_out::come_and_go(world, random(5));
        scope.spawn(move || world.go("who comes and goes", run));
        let run = move || slow.run(world, random(6));
        scope.spawn(move || world.go("who is slow", run));
        let run = move || have_children(world, random(7));
        scope.spawn(move || world.go("who has children", run));

        let sent = watch(world, senders);
        world.is_over.store(true, Relaxed);
        sent
    })?;

    // All are gone, and have put back what they had.
    let rest = signalfd::open(SignalSet::REALTIME)?;
    while let Some(info) = rest.try_recv()? {
        world.account.note(&[info]);
    }
    drop(rest);
    let is_right =
        slow.taken_and_missed()? == world.dispatched_widely.load(Relaxed);
    world.check(is_right, "what the slow subscriber has missed");
    drop(slow);
    world.check(descriptors()? == before, "descriptors are left");
    let is_even = world.account.print(sent);
    let is_right = is_even && world.faults.load(Relaxed) == 0;
    Ok(if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Says how it goes, until the senders are done and all that they have sent has come, and
/// returns how much that was.
fn watch(
    world: &World,
    mut senders: Vec<Child>,
) -> Result<u64, Box<dyn Error>> {
    let start = Instant::now();
    let (mut before, mut progress) = (0, start);
    let mut sent = None;
    for tick in 1.. {
        thread::sleep(Duration::from_millis(10));
        if tick % 500 == 0 {
            say_how_it_goes(world, start)?;
        }
        let mut running = senders.iter_mut().map(Child::try_wait);
        if sent.is_none() && running.all(|it| matches!(it, Ok(Some(_)))) {
            sent = Some(what_was_sent(world, &mut senders)?);
        }
        let received = world.account.received.load(Relaxed);
        if received > before {
            (before, progress) = (received, Instant::now());
        }
        if sent == Some(received) {
            break;
        }
        if progress.elapsed() > Duration::from_secs(60) {
            println!("nothing has come for a minute");
            world.account.print(sent.unwrap_or_default());
            // Who is stuck would not end.
            std::process::exit(1);
        }
    }
    Ok(sent.unwrap_or_default())
}

fn what_was_sent(
    world: &World,
    senders: &mut [Child],
) -> Result<u64, Box<dyn Error>> {
    let mut sent = 0;
    for sender in senders {
        world.check(sender.wait()?.success(), "a sender has failed");
        let output = sender.stdout.take().ok_or("it has no output")?;
        sent += io::read_to_string(output)?.trim().parse::<u64>()?;
    }
    Ok(sent)
}

fn say_how_it_goes(world: &World, start: Instant) -> Outcome {
    let status = fs::read_to_string("/proc/self/status")?;
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    println!(
        "{}s: received={:?} doubled={:?} opened={:?} forked={:?} children={:?} \
         descriptors={} memory={}",
        start.elapsed().as_secs(),
        world.account.received,
        world.account.doubled,
        world.opened,
        world.forked,
        world.children,
        descriptors()?,
        memory.unwrap_or_default().trim(),
    );
    Ok(())
}

fn descriptors() -> io::Result<usize> {
    Ok(fs::read_dir("/proc/self/fd")?.count())
}

/// Starts children with the mask from before, and waits for each. `SIGCHLD` also tells of
/// forked ones, for which others wait.
fn have_children(world: &World, mut random: Random) -> Outcome {
    let receiver = random.options().receiver(Signal::CHLD)?;
    let mut reaper = Reaper::<8>::new();
    let mut statuses = HashMap::new();
    while !world.is_over() || !reaper.is_empty() {
        if !world.is_over() && reaper.len() < 8 && random.below(4) == 0 {
            let status = random.below(90).to_string();
            let mut command = Command::new(std::env::current_exe()?);
            command.args(["--child", &status]).restore_signals(world.saved);
            let pid = command.spawn()?.id();
            reaper.add(pid)?;
            statuses.insert(pid, status.parse::<i32>()?);
        }
        for exit in reaper.reap() {
            let exit = exit?;
            let status = statuses.remove(&exit.pid());
            world.check(status == Some(exit.status()), "a child's status");
            count(&world.children);
        }
        receiver.wait_timeout(Duration::from_millis(20))?;
    }
    Ok(())
}
