//! Sets of signals.

use core::fmt::{self, Write};
use core::ops::{BitOr, BitOrAssign, Sub, SubAssign};
use core::str::FromStr;

use super::Signal;
use crate::Error;

/// The first real-time number that this system's C library leaves free, for
/// use in constants. [`Signal::rt`] asks at run time instead.
const FIRST_FREE_RT: u32 = if cfg!(target_os = "android") {
    42
} else if cfg!(any(target_env = "musl", target_env = "ohos")) {
    35
} else {
    34
};

macro_rules! standard_flags {
    ($($name:ident = $libc:ident),* $(,)?) => {
        bitflags::bitflags! {
            impl SignalSet: u64 {
                $(
                    #[doc = concat!("The set of `", stringify!($libc), "` alone.")]
                    const $name = 1 << (libc::$libc - 1);
                )*
                /// All real-time signals, `SIGRTMIN` to `SIGRTMAX`.
                const REALTIME = u64::MAX << (FIRST_FREE_RT - 1);
            }
        }
    };
}

/// A set of signals, one bit each: signal `n` is bit `n - 1`, as in the kernel.
///
/// The flags are the signals that a receiver can take, so
/// [`SignalSet::all`] is the largest set that can be blocked and received. It
/// leaves out `SIGKILL` and `SIGSTOP`, the synchronous faults (`SIGILL`,
/// `SIGFPE`, `SIGSEGV`, `SIGBUS`) and the numbers that the C library keeps for
/// itself. A set may still hold these (`Signal::KILL.into()`); functions that would block
/// or receive them return an error that names them.
///
/// `SIGTRAP` and `SIGSYS` are in it, since other processes may send them. But those that the
/// kernel raises, at a breakpoint or where a sandbox traps a system call, end a process that
/// blocks them, whatever handler it has. Leave them out where there may be any.
///
/// Where the C library keeps more or fewer real-time numbers than was known when the program
/// was built (Android), [`Signal::rt`] says what there is, and not
/// [`REALTIME`](Self::REALTIME).
///
/// Functions that take signals take `impl Into<SignalSet>`: one signal, an
/// array of them, or a set. To look for one signal use [`has`](Self::has), and
/// to go through them [`signals`](Self::signals): the methods `contains` and
/// `iter` of a flags type deal in sets.
///
/// # Examples
///
/// ```
/// use signalfd::{Signal, SignalSet};
///
/// const STOPPING: SignalSet = SignalSet::INT.union(SignalSet::TERM);
///
/// let set = Signal::INT | Signal::TERM;
/// assert_eq!(set, STOPPING);
/// assert_eq!(set, [Signal::TERM, Signal::INT].into());
/// assert!(set.has(Signal::TERM));
/// assert!(set.signals().eq([Signal::INT, Signal::TERM]));
/// assert_eq!(set - Signal::INT, Signal::TERM.into());
/// assert_eq!(set.to_string(), "SIGINT|SIGTERM");
/// assert_eq!("INT|TERM".parse(), Ok(set));
/// ```
///
/// # References
///
/// [sigsetops(3)](https://man7.org/linux/man-pages/man3/sigsetops.3.html)
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SignalSet(u64);

standard_flags! {
    HUP = SIGHUP, INT = SIGINT, QUIT = SIGQUIT, TRAP = SIGTRAP, ABRT = SIGABRT,
    USR1 = SIGUSR1, USR2 = SIGUSR2, PIPE = SIGPIPE, ALRM = SIGALRM,
    TERM = SIGTERM, STKFLT = SIGSTKFLT, CHLD = SIGCHLD, CONT = SIGCONT,
    TSTP = SIGTSTP, TTIN = SIGTTIN, TTOU = SIGTTOU, URG = SIGURG,
    XCPU = SIGXCPU, XFSZ = SIGXFSZ, VTALRM = SIGVTALRM, PROF = SIGPROF,
    WINCH = SIGWINCH, IO = SIGIO, PWR = SIGPWR, SYS = SIGSYS,
}

impl SignalSet {
    /// Tells whether a signal is in the set.
    #[must_use]
    pub const fn has(self, signal: Signal) -> bool {
        self.0 >> signal.bit() & 1 == 1
    }

    /// Returns the signals of the set in ascending order of number.
    ///
    /// Numbers that the C library keeps for itself are passed over.
    pub fn signals(self) -> impl Iterator<Item = Signal> + Clone {
        self.numbers().filter(|signal| !signal.is_reserved())
    }

    /// All bits as signals, the reserved numbers too.
    fn numbers(self) -> impl Iterator<Item = Signal> + Clone {
        let mut left = self.bits();
        core::iter::from_fn(move || {
            let bit = u8::try_from(left.trailing_zeros()).ok();
            let bit = bit.filter(|_| left != 0)?;
            left &= left - 1;
            Some(Signal::at(bit))
        })
    }

    /// Refuses a set that no receiver can take.
    pub(crate) fn check_receivable(self) -> Result<Self, Error> {
        if self.is_empty() {
            return Err(Error::EmptySet);
        }
        let refused = |signals: Self, error: fn(Self) -> Error| {
            let named = self.intersection(signals);
            if named.is_empty() { Ok(()) } else { Err(error(named)) }
        };
        refused(Signal::KILL | Signal::STOP, Error::Unblockable)?;
        refused(
            Signal::ILL | Signal::FPE | Signal::SEGV | Signal::BUS,
            Error::Synchronous,
        )?;
        let reserved = self.numbers().filter(|signal| signal.is_reserved());
        refused(reserved.collect(), Error::Reserved)?;
        Ok(self)
    }
}

impl From<Signal> for SignalSet {
    fn from(signal: Signal) -> Self {
        Self::from_bits_retain(1 << signal.bit())
    }
}

impl<const N: usize> From<[Signal; N]> for SignalSet {
    fn from(signals: [Signal; N]) -> Self {
        signals.into_iter().collect()
    }
}

impl<const N: usize> From<&[Signal; N]> for SignalSet {
    fn from(signals: &[Signal; N]) -> Self {
        signals.as_slice().into()
    }
}

impl From<&[Signal]> for SignalSet {
    fn from(signals: &[Signal]) -> Self {
        signals.iter().copied().collect()
    }
}

impl FromIterator<Signal> for SignalSet {
    fn from_iter<I: IntoIterator<Item = Signal>>(signals: I) -> Self {
        let mut set = Self::empty();
        set.extend(signals);
        set
    }
}

impl Extend<Signal> for SignalSet {
    fn extend<I: IntoIterator<Item = Signal>>(&mut self, signals: I) {
        for signal in signals {
            *self |= signal;
        }
    }
}

impl BitOr<Signal> for SignalSet {
    type Output = Self;

    fn bitor(self, signal: Signal) -> Self {
        self.union(signal.into())
    }
}

impl BitOrAssign<Signal> for SignalSet {
    fn bitor_assign(&mut self, signal: Signal) {
        *self = *self | signal;
    }
}

impl Sub<Signal> for SignalSet {
    type Output = Self;

    fn sub(self, signal: Signal) -> Self {
        self.difference(signal.into())
    }
}

impl SubAssign<Signal> for SignalSet {
    fn sub_assign(&mut self, signal: Signal) {
        *self = *self - signal;
    }
}

impl FromStr for SignalSet {
    type Err = Error;

    /// Parses names with `|` between them, as `Display` writes them; the empty
    /// text is the empty set.
    ///
    /// # Errors
    ///
    /// Those of parsing a [`Signal`], for the first part that is none.
    fn from_str(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Ok(Self::empty());
        }
        text.split('|').map(str::parse::<Signal>).collect()
    }
}

impl fmt::Display for SignalSet {
    /// Writes the names with `|` between them; nothing for the empty set. A width applies
    /// to the whole text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(width) = f.width() else { return self.write_names(f) };
        let mut length = Length(0);
        self.write_names(&mut length)?;
        let room = width.saturating_sub(length.0);
        let before = match f.align() {
            None | Some(fmt::Alignment::Left) => 0,
            Some(fmt::Alignment::Center) => room / 2,
            Some(fmt::Alignment::Right) => room,
        };
        let fill = f.fill();
        (0..before).try_for_each(|_| f.write_char(fill))?;
        self.write_names(f)?;
        (before..room).try_for_each(|_| f.write_char(fill))
    }
}

impl SignalSet {
    fn write_names(self, to: &mut impl Write) -> fmt::Result {
        for (index, signal) in self.numbers().enumerate() {
            let separator = if index > 0 { "|" } else { "" };
            write!(to, "{separator}{signal}")?;
        }
        Ok(())
    }
}

/// Counts what is written, all of it ASCII.
struct Length(usize);

impl Write for Length {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

impl fmt::Debug for SignalSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignalSet({self})")
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;

    use super::*;

    #[test]
    fn all_is_every_signal_that_can_be_received() {
        let receivable: SignalSet = (0..64)
            .map(Signal::at)
            .filter(|&signal| {
                SignalSet::from(signal).check_receivable().is_ok()
            })
            .collect();
        assert_eq!(SignalSet::all(), receivable);
        assert_eq!(SignalSet::all().check_receivable(), Ok(receivable));
    }

    #[test]
    fn what_cannot_be_received_is_named() {
        let with =
            |signals: SignalSet| (signals | Signal::TERM).check_receivable();
        assert_eq!(SignalSet::empty().check_receivable(), Err(Error::EmptySet));
        for signal in [Signal::KILL, Signal::STOP] {
            assert_eq!(
                with(signal.into()),
                Err(Error::Unblockable(signal.into()))
            );
        }
        for signal in [Signal::ILL, Signal::FPE, Signal::SEGV, Signal::BUS] {
            assert_eq!(
                with(signal.into()),
                Err(Error::Synchronous(signal.into()))
            );
        }
        let reserved = SignalSet::from_bits_retain(1 << 31 | 1 << 32);
        assert_eq!(with(reserved), Err(Error::Reserved(reserved)));
    }

    #[test]
    fn conversions_agree() {
        let set = Signal::HUP | Signal::TERM | Signal::CHLD;
        let array = [Signal::CHLD, Signal::HUP, Signal::TERM];
        assert_eq!(SignalSet::from(array), set);
        assert_eq!(SignalSet::from(array.as_slice()), set);
        assert_eq!(SignalSet::from(&array), set);
        assert_eq!(array.into_iter().collect::<SignalSet>(), set);
        assert_eq!(Signal::HUP | (Signal::TERM | Signal::CHLD), set);
        assert!(set.signals().eq([Signal::HUP, Signal::TERM, Signal::CHLD]));
        assert_eq!(set.bits(), 1 << 0 | 1 << 14 | 1 << 16);
    }

    #[test]
    fn reserved_numbers_show_when_printed_but_are_never_handed_out() {
        let set = SignalSet::from_bits_retain(1 << 31) | Signal::INT;
        assert_eq!(set.to_string(), "SIGINT|SIG32");
        assert!(set.signals().eq([Signal::INT]));
    }

    #[test]
    fn a_width_is_that_of_the_whole() {
        let set = Signal::INT | Signal::TERM;
        assert_eq!(std::format!("{set:16}."), "SIGINT|SIGTERM  .");
        assert_eq!(std::format!("{set:>16}."), "  SIGINT|SIGTERM.");
        assert_eq!(std::format!("{set:-^17}."), "-SIGINT|SIGTERM--.");
        assert_eq!(std::format!("{set:3}."), "SIGINT|SIGTERM.");
        assert_eq!(std::format!("{:>2}.", SignalSet::empty()), "  .");
        let hup = SignalSet::from(Signal::HUP);
        assert_eq!(std::format!("{hup:-^11}."), "--SIGHUP---.");
    }

    #[test]
    fn what_is_printed_parses_back() {
        let some = Signal::rt(1).unwrap() | Signal::HUP | Signal::CHLD;
        for set in [SignalSet::empty(), Signal::TERM.into(), some] {
            assert_eq!(set.to_string().parse(), Ok(set));
        }
        let parse = str::parse::<SignalSet>;
        assert_eq!(parse("term|2"), Ok(Signal::TERM | Signal::INT));
        for text in ["|", "TERM|", "TERM||INT", "TERM INT", "TERM,INT"] {
            assert_eq!(parse(text), Err(Error::UnknownName), "{text}");
        }
        assert_eq!(parse("TERM|65"), Err(Error::InvalidNumber(65)));
    }

    #[test]
    fn one_signal_is_looked_for_and_taken_away() {
        let mut set = Signal::HUP | Signal::try_from(64).unwrap();
        assert!(set.has(Signal::HUP) && !set.has(Signal::INT));
        set -= Signal::HUP;
        assert_eq!(set.bits(), 1 << 63);
        assert_eq!(set - Signal::INT, set);
    }

    #[test]
    fn names_are_printed_in_order() {
        let set = Signal::rt(1).unwrap() | Signal::HUP;
        assert_eq!(std::format!("{set:?}"), "SignalSet(SIGHUP|SIGRTMIN+1)");
        assert_eq!(SignalSet::empty().to_string(), "");
    }
}
