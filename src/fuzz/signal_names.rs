//! Any text as a signal and as a set, against a parser of its own.

extern crate std;

use std::format;
use std::string::{String, ToString};

use crate::{Error, Signal, SignalSet};

/// The names of signal(7).
#[rustfmt::skip]
const NAMES: [(&str, i32); 34] = [
    ("HUP", 1), ("INT", 2), ("QUIT", 3), ("ILL", 4), ("TRAP", 5), ("ABRT", 6),
    ("IOT", 6), ("BUS", 7), ("FPE", 8), ("KILL", 9), ("USR1", 10), ("SEGV", 11),
    ("USR2", 12), ("PIPE", 13), ("ALRM", 14), ("TERM", 15), ("STKFLT", 16),
    ("CHLD", 17), ("CLD", 17), ("CONT", 18), ("STOP", 19), ("TSTP", 20),
    ("TTIN", 21), ("TTOU", 22), ("URG", 23), ("XCPU", 24), ("XFSZ", 25),
    ("VTALRM", 26), ("PROF", 27), ("WINCH", 28), ("IO", 29), ("POLL", 29),
    ("PWR", 30), ("SYS", 31),
];

fn numbered(number: i32) -> Result<i32, Error> {
    if !(1..=64).contains(&number) {
        return Err(Error::InvalidNumber(number));
    }
    if (32..libc::SIGRTMIN()).contains(&number) {
        let set = SignalSet::from_bits_retain(1 << (number - 1));
        return Err(Error::Reserved(set));
    }
    Ok(number)
}

/// The value of a text of digits, as far as it matters how large it is.
fn digits(text: &str) -> Option<i128> {
    let mut value = (!text.is_empty()).then_some(0)?;
    for character in text.chars() {
        let digit = character.to_digit(10)?;
        value = (value * 10 + i128::from(digit)).min(1 << 40);
    }
    Some(value)
}

fn parse(text: &str) -> Result<i32, Error> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    if let Some(value) = digits(rest) {
        let number = i32::try_from(sign * value);
        return number.map_or(Err(Error::NumberOutOfRange), numbered);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(value) = digits(name) {
        let number = i32::try_from(value).ok().map(numbered);
        return match number {
            Some(Err(error @ Error::Reserved(_))) => Err(error),
            _ => Err(Error::UnknownName),
        };
    }
    let (min, max) = (libc::SIGRTMIN(), libc::SIGRTMAX());
    let counted = if let Some(count) = name.strip_prefix("RTMIN") {
        offset(count, '+').map(|count| i128::from(min) + count)
    } else if let Some(count) = name.strip_prefix("RTMAX") {
        offset(count, '-').map(|count| i128::from(max) - count)
    } else {
        let named = NAMES.iter().find(|row| row.0 == name);
        return named.map(|row| row.1).ok_or(Error::UnknownName);
    };
    let number = counted.and_then(|number| i32::try_from(number).ok());
    number
        .filter(|number| (min..=max).contains(number))
        .ok_or(Error::UnknownName)
}

fn offset(text: &str, sign: char) -> Option<i128> {
    if text.is_empty() {
        return Some(0);
    }
    text.strip_prefix(sign).and_then(digits)
}

pub(super) fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let parsed = text.parse::<Signal>();
    assert_eq!(parsed.map(Signal::as_raw), parse(&text), "{text:?}");
    if let Ok(signal) = parsed {
        round_trip(signal);
    }

    let mut expected = Ok(SignalSet::empty());
    for name in text.split('|').filter(|_| !text.is_empty()) {
        expected = expected.and_then(|set| {
            let bit = parse(name)? - 1;
            Ok(set | SignalSet::from_bits_retain(1 << bit))
        });
    }
    assert_eq!(text.parse::<SignalSet>(), expected, "{text:?}");
    if let Ok(set) = expected {
        assert_eq!(set.to_string().parse(), Ok(set));
    }
    // Any first byte is the number of a signal.
    if let Some(&byte) = data.first() {
        round_trip(Signal::at(byte));
    }
}

fn round_trip(signal: Signal) {
    let name = signal.to_string();
    let parsed = numbered(signal.as_raw());
    for text in [
        name.as_str(),
        &name.to_ascii_lowercase(),
        format!("{signal:?}").as_str(),
        &signal.as_raw().to_string(),
    ] {
        let back = text.parse::<Signal>().map(Signal::as_raw);
        assert_eq!(back, parsed, "{text:?}");
    }
    assert_eq!(format!("{signal:>20}").trim_start(), name);
    assert_eq!(format!("{signal:<20}").trim_end(), name);
}
