//! What was sent and what has come.
//!
//! Each sender numbers what it sends of each signal from 0. The value of a signal is that
//! number, and in its last two bits the sender. What is put back comes late, so of each
//! such stream there is a number below which all have come, and those beyond it.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use signalfd::SigInfo;

use super::{Random, SIGNALS, count, signal};

pub(crate) const SENDERS: usize = 4;

/// Sends for so many seconds: now as fast as it can, now and then, now nothing. Returns
/// how much that was.
pub(crate) fn send(
    sender: usize,
    to: i32,
    seconds: u64,
    mut random: Random,
) -> io::Result<u64> {
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut sent = [0; SIGNALS];
    while Instant::now() < end {
        let rest = [0, 0, 50, 500, 5000][random.below(5)];
        for _ in 0..random.below(100) {
            let role = random.below(SIGNALS);
            for _ in 0..=random.below(32) {
                queue(to, role, sent[role] << 2 | sender as u64)?;
                sent[role] += 1;
            }
            if rest > 0 {
                thread::sleep(Duration::from_micros(rest));
            }
        }
    }
    Ok(sent.iter().sum())
}

/// Queues a signal; if the queue is full, again, until there is room.
fn queue(to: i32, role: usize, value: u64) -> io::Result<()> {
    let value = usize::try_from(value).map_err(io::Error::other)?;
    let pointer = std::ptr::without_provenance_mut(value);
    let value = libc::sigval { sival_ptr: pointer };
    loop {
        // SAFETY: takes numbers; the pointer is one.
        if unsafe { libc::sigqueue(to, signal(role).as_raw(), value) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::EAGAIN) {
            return Err(error);
        }
        thread::yield_now();
    }
}

#[derive(Default)]
struct Stream {
    /// All below have come.
    below: u64,
    others: BTreeSet<u64>,
}

impl Stream {
    /// Whether it comes for the first time.
    fn note(&mut self, number: u64) -> bool {
        let is_new = number >= self.below && self.others.insert(number);
        while self.others.remove(&self.below) {
            self.below += 1;
        }
        is_new
    }
}

#[derive(Default)]
pub(crate) struct Account {
    senders: Vec<u32>,
    streams: [[Mutex<Stream>; SIGNALS]; SENDERS],
    pub(crate) received: AtomicU64,
    pub(crate) doubled: AtomicU64,
    /// What nobody has sent.
    invented: AtomicU64,
}

impl Account {
    pub(crate) fn new(senders: Vec<u32>) -> Self {
        Self { senders, ..Self::default() }
    }

    pub(crate) fn note(&self, infos: &[SigInfo]) {
        for info in infos {
            self.note_one(info);
        }
    }

    fn note_one(&self, info: &SigInfo) {
        let value = info.pointer().unwrap_or_default();
        let sender = usize::from(value.to_le_bytes()[0] & 3);
        let role = (0..SIGNALS).find(|&role| signal(role) == info.signal());
        let is_its = info.pid() == Some(self.senders[sender]);
        let Some(role) = role.filter(|_| is_its) else {
            eprintln!("nobody has sent {info}");
            return count(&self.invented);
        };
        let stream = self.streams[sender][role].lock();
        let mut stream = stream.unwrap_or_else(PoisonError::into_inner);
        if stream.note(value >> 2) {
            count(&self.received);
        } else {
            eprintln!("it has come already: {info}");
            count(&self.doubled);
        }
    }

    /// Whether there is as much of each as was sent, once.
    pub(crate) fn print(&self, sent: u64) -> bool {
        let counts = [&self.received, &self.doubled, &self.invented];
        let [received, doubled, invented] = counts.map(|it| it.load(Relaxed));
        let lost = sent.saturating_sub(received);
        println!(
            "sent={sent} received={received} lost={lost} doubled={doubled}"
        );
        sent > 0 && sent == received && doubled + invented == 0
    }
}
