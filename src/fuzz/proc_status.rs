//! Any text as `/proc/PID/task/TID/status`, in pieces of any size, against a parser
//! that has all of it at once.

#![expect(
    clippy::indexing_slicing,
    reason = "a panic is what a fuzzer looks for"
)]

extern crate std;

use std::format;
use std::string::String;
use std::vec::Vec;

use super::status::{Queue, StatusReader};
use crate::SignalSet;

#[derive(PartialEq, Eq, Default, Debug)]
struct Expected {
    name: Vec<u8>,
    ended: bool,
    blocked: Option<u64>,
    tid: Option<u32>,
    pending: u64,
    is_running: bool,
    queue: Option<Queue>,
}

/// The value of a text of digits, if it fits.
fn number(text: &[u8], base: u32) -> Option<u64> {
    let mut value = (!text.is_empty()).then_some(0_u64)?;
    for &byte in text {
        let digit = char::from(byte).to_digit(base)?;
        value = value.checked_mul(base.into())?.checked_add(digit.into())?;
    }
    Some(value)
}

fn unescape(text: &[u8]) -> Vec<u8> {
    let mut name = Vec::new();
    let mut rest = text.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        let escaped = match rest.peek() {
            Some(b'n') if byte == b'\\' => Some(b'\n'),
            Some(b'\\') if byte == b'\\' => Some(b'\\'),
            _ => None,
        };
        if escaped.is_some() {
            rest.next();
        }
        name.push(escaped.unwrap_or(byte));
    }
    name.truncate(16);
    name
}

fn parse(text: &[u8]) -> Expected {
    let mut status = Expected::default();
    let mut lines: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
    // What follows the last end of line does not count.
    lines.pop();
    for line in lines {
        let line = line.get(..80).unwrap_or(line);
        let Some(colon) = line.windows(2).position(|two| two == b":\t") else {
            continue;
        };
        let value = &line[colon + 2..];
        match &line[..colon] {
            b"Name" => status.name = unescape(value),
            b"State" => {
                status.ended |= matches!(value.first(), Some(b'Z' | b'X'));
                status.is_running = matches!(value.first(), Some(b'R' | b'D'));
            }
            b"Threads" => status.ended |= value == b"0",
            b"SigBlk" => status.blocked = number(value, 16),
            b"SigPnd" => status.pending = number(value, 16).unwrap_or(0),
            b"NSpid" => {
                let last = value.split(|&byte| byte == b'\t').next_back();
                let last = last.and_then(|last| number(last, 10));
                status.tid = last.and_then(|last| last.try_into().ok());
            }
            b"SigQ" => {
                let mut parts = value.splitn(2, |&byte| byte == b'/');
                let mut next = || number(parts.next()?, 10);
                let (queued, limit) = (next(), next());
                status.queue = queued.zip(limit).map(|both| match both {
                    (queued, limit) if queued >= limit => Queue::Full,
                    (queued, limit) if queued >= limit / 2 => Queue::Crowded,
                    _ => Queue::Open,
                });
            }
            _ => {}
        }
    }
    status
}

pub(crate) fn run(data: &[u8]) {
    // The first byte says how large the pieces are.
    let Some((&piece, text)) = data.split_first() else { return };
    let mut reader = StatusReader::new();
    for bytes in text.chunks(usize::from(piece).max(1)) {
        reader.feed(bytes);
    }
    let status = reader.finish();
    let expected = parse(text);
    assert_eq!(status.name(), expected.name);
    assert_eq!(status.ended, expected.ended);
    assert_eq!(status.blocked.map(|set| set.bits()), expected.blocked);
    assert_eq!(status.tid, expected.tid);
    assert_eq!(status.pending.bits(), expected.pending);
    assert_eq!(status.queue, expected.queue.unwrap_or(Queue::Crowded));
    assert_eq!(status.is_running, expected.is_running);
    let names: [&[u8]; 3] = [b"iou-wrk-", b"iou-sqp-", b"vhost-"];
    let is_kernels = names.iter().any(|name| expected.name.starts_with(name));
    assert_eq!(status.is_kernels(), is_kernels);
    // SIGKILL and SIGSTOP cannot be blocked.
    let all = expected.blocked.is_some_and(|it| it | 0x4_0100 == u64::MAX);
    assert_eq!(status.blocks_all(), all);

    let all = SignalSet::all();
    let open = expected.blocked.map(|bits| all.bits() & !bits);
    match status.unblocked(7, all) {
        Err(_) => assert_eq!(open, None),
        Ok(None) => assert_eq!(open, Some(0)),
        Ok(Some(thread)) => {
            assert_eq!(Some(thread.signals().bits()), open);
            assert_eq!(thread.tid(), 7);
            // As it is, if it fits and is text.
            let name = String::from_utf8(expected.name).ok();
            let fits = |name: &String| name.len() < 16 && !name.contains('\0');
            if let Some(name) = name.filter(fits) {
                assert_eq!(thread.name(), name);
            }
            assert!(thread.name().len() <= 15);
            assert!(!format!("{thread:?}").is_empty());
        }
    }
}
