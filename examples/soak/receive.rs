//! One of the threads that receive: it opens a receiver, does with it whatever can be
//! done, drops it, and begins again.

use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rustix::process::{
    Pid, Signal as Number, WaitOptions, getpid, kill_process, waitpid,
};
use signalfd::{
    Batch, Epoll, Error as Failure, Kind, Receiver, Signal, Signals, Until,
    block_on,
};

use super::{Outcome, Random, SHARED, World, count, signal};

pub(crate) const SOON: Duration = Duration::from_millis(1);

pub(crate) fn run(world: &World, own: Signal, mut random: Random) -> Outcome {
    let shared = signal(SHARED);
    while !world.is_over() {
        let mut signals = random.options().open(shared | own)?;
        count(&world.opened);
        for _ in 0..random.below(300) {
            match random.below(60) {
                // What is not received stays pending meanwhile.
                0 => signals.insert(own)?,
                1 => match signals.remove(own) {
                    Err(Failure::EmptySet) => {}
                    done => done?,
                },
                2 => signals.replace(shared | own)?,
                3 => signals.replace(own)?,
                4 => signals.reopen()?,
                5 => shadow(world, &signals, &mut random)?,
                6 => put_back(world, &signals)?,
                7 if random.below(4) == 0 => signals = fork(world, signals)?,
                _ => take(world, &signals, &mut random)?,
            }
        }
    }
    Ok(())
}

/// Takes what is there, in one of the ways.
fn take(
    world: &World,
    receiver: &Receiver,
    random: &mut Random,
) -> Result<(), Failure> {
    let mut batch = Batch::<16>::new();
    let one;
    let infos = match random.below(8) {
        0 => receiver.wait_batch_timeout(&mut batch, SOON)?,
        1 | 2 => receiver.try_recv_batch(&mut batch)?,
        way => {
            one = match way {
                4 => receiver.wait_timeout(SOON)?,
                5 => block_on(some_turns(receiver, random.below(20)))??,
                6 if Epoll::new([receiver])?.turn(Some(SOON))? == 0 => None,
                3 | 6 => receiver.try_recv()?,
                // Polled once and dropped: it has taken one, or nothing.
                _ => match poll_once(receiver.recv()) {
                    Poll::Ready(info) => Some(info?),
                    Poll::Pending => None,
                },
            };
            one.as_slice()
        }
    };
    world.account.note(infos);
    Ok(())
}

fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Receives a signal, unless work is done first that takes so many turns.
async fn some_turns(
    receiver: &Receiver,
    mut turns: usize,
) -> Result<Option<signalfd::SigInfo>, Failure> {
    let work = poll_fn(|cx| {
        if turns == 0 {
            return Poll::Ready(());
        }
        turns -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    });
    Ok(match receiver.until(work).await? {
        Until::Signal(info) => Some(info),
        Until::Done(()) => None,
    })
}

/// A scope inside, which has the shared signal to itself.
fn shadow(
    world: &World,
    outer: &Signals,
    random: &mut Random,
) -> Result<(), Failure> {
    let shared = signal(SHARED);
    let inner = random.options().open(shared)?;
    for _ in 0..random.below(20) {
        take(world, &inner, random)?;
        if let Some(info) = outer.try_recv()? {
            world.account.note(&[info]);
            // What a ring had read before is its own.
            let has_read = outer.backend().kind() == Some(Kind::Completion);
            let is_shadowed = info.signal() == shared && !has_read;
            world.check(!is_shadowed, "the outer scope takes from the inner");
        }
    }
    Ok(())
}

fn put_back(world: &World, receiver: &Receiver) -> Result<(), Failure> {
    let Some(info) = receiver.try_recv()? else { return Ok(()) };
    match receiver.put_back(&info) {
        Ok(()) => {}
        // There is no room, so it is ours.
        Err(Failure::Os { .. }) => world.account.note(&[info]),
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Forks. The child finds that the receiver is not its own, and makes it that; here all
/// goes on as if nothing had been.
fn fork(world: &World, signals: Signals) -> io::Result<Signals> {
    // SAFETY: the child of a process with threads may not rely on locks, the allocator's
    // for one. What it does takes none, and it ends by _exit(2).
    let pid = unsafe { libc::fork() };
    match pid {
        -1 => return Err(io::Error::last_os_error()),
        0 => {
            let is_right = in_child(signals).is_ok_and(|is_right| is_right);
            // SAFETY: ends the process.
            unsafe { libc::_exit(i32::from(!is_right)) }
        }
        _ => {}
    }
    let (_, status) = waitpid(Pid::from_raw(pid), WaitOptions::empty())?
        .ok_or(io::ErrorKind::NotFound)?;
    let is_right = status.exit_status() == Some(0);
    world.check(is_right, "a forked child did not get its own signal");
    count(&world.forked);
    Ok(signals)
}

/// A standard signal: the queue may be full, and who would make room waits for this.
fn in_child(mut signals: Signals) -> Result<bool, Box<dyn Error>> {
    let was_told = signals.try_recv() == Err(Failure::Forked);
    signals.reopen()?;
    signals.insert(Signal::USR1)?;
    kill_process(getpid(), Number::USR1)?;
    let info = signals.wait()?;
    let is_it = info.signal() == Signal::USR1;
    let is_all = signals.try_recv()?.is_none();
    Ok(was_told && is_it && is_all)
}
