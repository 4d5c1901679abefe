//! How signals are printed and parsed.

use core::fmt::{self, Write};
use core::str::FromStr;

use super::Signal;
use super::number::NAMES;
use crate::Error;

/// The names that a number has besides its own.
const ALIASES: [(&str, Signal); 3] =
    [("IOT", Signal::ABRT), ("POLL", Signal::IO), ("CLD", Signal::CHLD)];

impl fmt::Display for Signal {
    /// Writes `SIGTERM`, or `SIGRTMIN+3` for a real-time signal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.as_raw();
        if let Some(name) = NAMES.get(usize::from(self.bit())) {
            return f.pad(name);
        }
        let mut text = ShortText::default();
        match number - libc::SIGRTMIN() {
            0 => text.write_str("SIGRTMIN")?,
            above @ 1.. => write!(text, "SIGRTMIN+{above}")?,
            _ => write!(text, "SIG{number}")?,
        }
        f.pad(text.as_str())
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Signal {
    type Err = Error;

    /// Parses `TERM`, `SIGTERM`, `15`, `RTMIN+3` or `RTMAX-1`, in any case.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownName`] for any other text, also for a count past the
    /// real-time signals; the errors of [`Signal::try_from`] for a number that is
    /// not a signal's, and [`Error::NumberOutOfRange`] for one that is no `i32`.
    fn from_str(text: &str) -> Result<Self, Error> {
        if decimal(text.strip_prefix('-').unwrap_or(text)).is_some() {
            let number = text.parse::<i32>();
            return number.map_or(Err(Error::NumberOutOfRange), Self::try_from);
        }
        let name = strip_prefix(text, "SIG").unwrap_or(text);
        // `SIG32` is how a number that the C library keeps is printed.
        if let Some(Err(error @ Error::Reserved(_))) =
            decimal(name).map(Self::try_from)
        {
            return Err(error);
        }
        if let Some(count) = strip_prefix(name, "RTMIN") {
            return realtime(libc::SIGRTMIN(), offset(count, '+')?);
        }
        if let Some(count) = strip_prefix(name, "RTMAX") {
            return realtime(libc::SIGRTMAX(), -offset(count, '-')?);
        }
        let standard = (0_u8..).zip(NAMES).find_map(|(bit, full)| {
            let matches = strip_prefix(full, "SIG")
                .is_some_and(|short| short.eq_ignore_ascii_case(name));
            matches.then(|| Self::at(bit))
        });
        let alias = || {
            ALIASES
                .iter()
                .find(|(alias, _)| alias.eq_ignore_ascii_case(name))
                .map(|&(_, signal)| signal)
        };
        standard.or_else(alias).ok_or(Error::UnknownName)
    }
}

/// Reads a number that is nothing but digits; too large a one saturates.
fn decimal(text: &str) -> Option<i32> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(i32::MAX))
}

/// Reads what follows `RTMIN` or `RTMAX`: nothing, or a sign and a number.
fn offset(text: &str, sign: char) -> Result<i32, Error> {
    if text.is_empty() {
        return Ok(0);
    }
    text.strip_prefix(sign).and_then(decimal).ok_or(Error::UnknownName)
}

/// Makes the signal `offset` away from one end of the real-time signals.
fn realtime(end: i32, offset: i32) -> Result<Signal, Error> {
    let number = end.saturating_add(offset);
    if (libc::SIGRTMIN()..=libc::SIGRTMAX()).contains(&number) {
        Signal::try_from(number)
    } else {
        Err(Error::UnknownName)
    }
}

fn strip_prefix<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let (head, tail) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(tail)
}

/// Room for the longest name, `SIGRTMIN+32`, so that padding works without
/// allocating.
#[derive(Default)]
struct ShortText {
    bytes: [u8; 16],
    len: usize,
}

impl ShortText {
    fn as_str(&self) -> &str {
        let written = self.bytes.get(..self.len).unwrap_or_default();
        core::str::from_utf8(written).unwrap_or_default()
    }
}

impl fmt::Write for ShortText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        let room = self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;

    use super::*;

    #[test]
    fn every_signal_prints_a_name_that_parses_back() {
        for bit in 0..64 {
            let signal = Signal::at(bit);
            let name = signal.to_string();
            if signal.is_reserved() {
                assert_eq!(name, std::format!("SIG{}", signal.as_raw()));
                let reserved = Err(Error::Reserved(signal.into()));
                assert_eq!(name.parse::<Signal>(), reserved);
                assert_eq!(name.to_lowercase().parse::<Signal>(), reserved);
                continue;
            }
            let short = name.strip_prefix("SIG").unwrap();
            let number = signal.as_raw().to_string();
            for text in [
                &name,
                &name.to_lowercase(),
                short,
                &short.to_lowercase(),
                &number,
            ] {
                assert_eq!(text.parse(), Ok(signal), "{text}");
            }
        }
    }

    #[test]
    fn realtime_names_count_from_both_ends() {
        assert_eq!("RTMIN".parse(), Ok(Signal::rt(0).unwrap()));
        assert_eq!("rtmin+0".parse(), Ok(Signal::rt(0).unwrap()));
        assert_eq!("SIGRTMIN+3".parse(), Ok(Signal::rt(3).unwrap()));
        let top = Signal::try_from(libc::SIGRTMAX()).unwrap();
        assert_eq!("RTMAX".parse(), Ok(top));
        let below = Signal::try_from(libc::SIGRTMAX() - 1).unwrap();
        assert_eq!("SIGRTMAX-1".parse(), Ok(below));
        assert_eq!(Signal::rt(0).unwrap().to_string(), "SIGRTMIN");
        assert_eq!(Signal::rt(3).unwrap().to_string(), "SIGRTMIN+3");
    }

    #[test]
    fn aliases_parse_to_the_number_they_share() {
        assert_eq!("SIGIOT".parse(), Ok(Signal::ABRT));
        assert_eq!("poll".parse(), Ok(Signal::IO));
        assert_eq!("CLD".parse(), Ok(Signal::CHLD));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            " ",
            "SIG",
            "SIGSIGTERM",
            "TERM ",
            " TERM",
            "TERMX",
            "+15",
            "-",
            "--15",
            "SIG-15",
            "SIG99999999999",
            "SIG15",
            "0x0f",
            "RTMIN+",
            "RTMIN-1",
            "RTMAX+1",
            "RTMIN+-1",
            "RTMIN++1",
            "RTMINX",
            "RT",
            "\u{df}IG",
            "T\u{c9}RM",
        ] {
            assert_eq!(
                text.parse::<Signal>(),
                Err(Error::UnknownName),
                "{text:?}"
            );
        }
    }

    #[test]
    fn numbers_and_counts_out_of_range_are_refused() {
        for number in [0, 65, -1, i32::MAX, i32::MIN] {
            assert_eq!(
                number.to_string().parse::<Signal>(),
                Err(Error::InvalidNumber(number))
            );
        }
        for text in ["4294967311", "99999999999999999999", "-2147483649"] {
            assert_eq!(
                text.parse::<Signal>(),
                Err(Error::NumberOutOfRange),
                "{text}"
            );
        }
        for text in [
            "RTMIN+31",
            "RTMIN+64",
            "RTMAX-31",
            "RTMAX-40",
            "RTMIN+2147483647",
            "RTMAX-99999999999",
        ] {
            assert_eq!(
                text.parse::<Signal>(),
                Err(Error::UnknownName),
                "{text}"
            );
        }
        assert!(matches!("32".parse::<Signal>(), Err(Error::Reserved(_))));
    }

    #[test]
    fn padding_is_respected() {
        assert_eq!(std::format!("{:>9}|", Signal::TERM), "  SIGTERM|");
        assert_eq!(
            std::format!("{:<12}|", Signal::rt(1).unwrap()),
            "SIGRTMIN+1  |"
        );
    }
}
