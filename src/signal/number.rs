//! One signal number.

use core::num::NonZeroU8;
use core::ops::BitOr;

use libc::c_int;

use super::SignalSet;
use crate::Error;

/// An operating-system signal: a number from 1 to 64.
///
/// The constants carry the kernel's spelling without the `SIG` prefix.
/// Real-time signals have no constants, because where they begin is decided at
/// run time: [`Signal::rt`] makes them.
///
/// The numbers that the C library keeps for itself (32 and 33 with glibc, 34
/// too with musl) cannot be made: blocking one of them would break thread
/// cancellation and `setuid` in every thread of the process.
///
/// # Examples
///
/// ```
/// use signalfd::Signal;
///
/// assert_eq!(Signal::TERM.to_string(), "SIGTERM");
/// assert_eq!("rtmin+1".parse(), Ok(Signal::rt(1).ok_or("no such signal")?));
/// assert_eq!(Signal::try_from(15), Ok(Signal::TERM));
/// assert!(Signal::try_from(65).is_err());
/// # Ok::<(), &str>(())
/// ```
///
/// # References
///
/// [signal(7)](https://man7.org/linux/man-pages/man7/signal.7.html)
// Invariant: 1..=64. `NonZeroU8` holds the lower end, every constructor below
// the upper one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(NonZeroU8);

macro_rules! signals {
    ($($name:ident = $libc:ident, $full:literal, $text:literal;)*) => {
        impl Signal {
            $(
                #[doc = concat!("`", $full, "`: ", $text)]
                #[doc(alias = $full)]
                pub const $name: Signal = Signal::named(libc::$libc);
            )*
        }

        /// The standard signals by number: `NAMES[0]` belongs to number 1.
        #[expect(clippy::indexing_slicing, reason = "at compile time")]
        pub(super) const NAMES: [&str; 31] = {
            let mut names = [""; 31];
            $(names[Signal::$name.bit() as usize] = $full;)*
            names
        };
    };
}

signals! {
    HUP = SIGHUP, "SIGHUP", "the terminal hung up; by custom, reload the configuration.";
    INT = SIGINT, "SIGINT", "interrupt from the keyboard (Ctrl-C).";
    QUIT = SIGQUIT, "SIGQUIT", "quit from the keyboard (Ctrl-\\).";
    ILL = SIGILL, "SIGILL", "illegal instruction. Synchronous: a receiver refuses it.";
    TRAP = SIGTRAP, "SIGTRAP", "trace or breakpoint trap.";
    ABRT = SIGABRT, "SIGABRT", "abort(3). `SIGIOT` is the same number.";
    BUS = SIGBUS, "SIGBUS", "bad memory access. Synchronous: a receiver refuses it.";
    FPE = SIGFPE, "SIGFPE", "arithmetic fault. Synchronous: a receiver refuses it.";
    KILL = SIGKILL, "SIGKILL", "kills at once. It cannot be blocked or received.";
    USR1 = SIGUSR1, "SIGUSR1", "user-defined.";
    SEGV = SIGSEGV, "SIGSEGV", "invalid memory reference. Synchronous: a receiver refuses it.";
    USR2 = SIGUSR2, "SIGUSR2", "user-defined.";
    PIPE = SIGPIPE, "SIGPIPE", "write to a pipe or socket that nobody reads; sent to the writing thread.";
    ALRM = SIGALRM, "SIGALRM", "the timer of alarm(2) or `ITIMER_REAL` expired.";
    TERM = SIGTERM, "SIGTERM", "request to terminate; what kill(1) sends.";
    STKFLT = SIGSTKFLT, "SIGSTKFLT", "unused by the kernel.";
    CHLD = SIGCHLD, "SIGCHLD", "a child stopped, continued or ended.";
    CONT = SIGCONT, "SIGCONT", "continue if stopped. The process continues even where it is blocked.";
    STOP = SIGSTOP, "SIGSTOP", "stops at once. It cannot be blocked or received.";
    TSTP = SIGTSTP, "SIGTSTP", "stop from the keyboard (Ctrl-Z).";
    TTIN = SIGTTIN, "SIGTTIN", "a background process read from the terminal.";
    TTOU = SIGTTOU, "SIGTTOU", "a background process wrote to the terminal.";
    URG = SIGURG, "SIGURG", "out-of-band data on a socket.";
    XCPU = SIGXCPU, "SIGXCPU", "`RLIMIT_CPU` exceeded.";
    XFSZ = SIGXFSZ, "SIGXFSZ", "`RLIMIT_FSIZE` exceeded.";
    VTALRM = SIGVTALRM, "SIGVTALRM", "`ITIMER_VIRTUAL` expired.";
    PROF = SIGPROF, "SIGPROF", "`ITIMER_PROF` expired.";
    WINCH = SIGWINCH, "SIGWINCH", "the terminal window changed its size.";
    IO = SIGIO, "SIGIO", "a descriptor became ready (`O_ASYNC`). `SIGPOLL` is the same number.";
    PWR = SIGPWR, "SIGPWR", "power failure.";
    SYS = SIGSYS, "SIGSYS", "bad system call.";
}

/// The highest signal number of the kernel.
const LAST: u8 = 64;
/// The first number that is not a standard signal.
const FIRST_RT: c_int = 32;

impl Signal {
    /// Makes the real-time signal `SIGRTMIN + n`, or `None` past `SIGRTMAX`.
    ///
    /// `SIGRTMIN` is asked of the C library at every call: it is 34 with glibc,
    /// 35 with musl, and differs between versions of Android.
    ///
    /// Unlike the standard signals, real-time signals are queued: each one sent
    /// is received, with its value, and those of one number in the order sent.
    ///
    /// # Examples
    ///
    /// ```
    /// use signalfd::Signal;
    ///
    /// let reload = Signal::rt(0).ok_or("no real-time signals")?;
    /// assert_eq!(reload.to_string(), "SIGRTMIN");
    /// assert_eq!(Signal::rt(200), None);
    /// # Ok::<(), &str>(())
    /// ```
    #[doc(alias = "SIGRTMIN")]
    #[must_use]
    pub fn rt(n: u8) -> Option<Self> {
        let number = libc::SIGRTMIN().checked_add(c_int::from(n))?;
        if number > libc::SIGRTMAX() {
            return None;
        }
        Self::try_from(number).ok()
    }

    /// Returns the number, as `kill(2)` takes it.
    #[must_use]
    pub const fn as_raw(self) -> i32 {
        self.0.get() as i32
    }

    /// Tells whether this is a real-time signal, which is queued rather than
    /// coalesced.
    #[must_use]
    pub const fn is_realtime(self) -> bool {
        self.as_raw() >= FIRST_RT
    }

    /// Makes a constant.
    const fn named(number: c_int) -> Self {
        let [low, ..] = number.to_le_bytes();
        Self::at(low.wrapping_sub(1))
    }

    /// Makes the signal at a bit position of a set, modulo 64.
    ///
    /// For this module's friends only: it can make the reserved numbers.
    pub(crate) const fn at(bit: u8) -> Self {
        Self(NonZeroU8::MIN.saturating_add(bit % LAST))
    }

    /// The bit position of this signal in a set: the number less one.
    pub(crate) const fn bit(self) -> u8 {
        self.0.get() - 1
    }

    /// Tells whether the C library keeps this number for itself.
    pub(super) fn is_reserved(self) -> bool {
        (FIRST_RT..libc::SIGRTMIN()).contains(&self.as_raw())
    }
}

impl TryFrom<i32> for Signal {
    type Error = Error;

    /// Makes a signal from its number.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidNumber`] for anything outside 1 to 64,
    /// [`Error::Reserved`] for a number that the C library keeps for itself.
    fn try_from(number: i32) -> Result<Self, Error> {
        let signal = u8::try_from(number)
            .ok()
            .filter(|&n| n <= LAST)
            .and_then(NonZeroU8::new)
            .map(Self)
            .ok_or(Error::InvalidNumber(number))?;
        if signal.is_reserved() {
            return Err(Error::Reserved(signal.into()));
        }
        Ok(signal)
    }
}

impl From<Signal> for i32 {
    fn from(signal: Signal) -> i32 {
        signal.as_raw()
    }
}

impl BitOr for Signal {
    type Output = SignalSet;

    fn bitor(self, other: Self) -> SignalSet {
        SignalSet::from(self) | SignalSet::from(other)
    }
}

impl BitOr<SignalSet> for Signal {
    type Output = SignalSet;

    fn bitor(self, other: SignalSet) -> SignalSet {
        SignalSet::from(self) | other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_standard_number_has_a_name() {
        assert!(NAMES.iter().all(|name| name.starts_with("SIG")));
    }

    #[test]
    fn numbers_outside_1_to_64_are_refused() {
        for number in [i32::MIN, -1, 0, 65, 256, 257, i32::MAX] {
            assert_eq!(
                Signal::try_from(number),
                Err(Error::InvalidNumber(number)),
                "{number}"
            );
        }
    }

    #[test]
    fn reserved_numbers_are_refused_and_all_others_made() {
        for number in 1..=64 {
            let reserved = (32..libc::SIGRTMIN()).contains(&number);
            match Signal::try_from(number) {
                Ok(signal) => {
                    assert!(!reserved);
                    assert_eq!(signal.as_raw(), number);
                    assert_eq!(i32::from(signal), number);
                    assert_eq!(signal | signal, SignalSet::from(signal));
                }
                Err(error) => {
                    assert!(reserved);
                    let set = SignalSet::from_bits_retain(1 << (number - 1));
                    assert_eq!(error, Error::Reserved(set));
                }
            }
        }
    }

    #[test]
    fn rt_counts_from_the_run_time_minimum() {
        let count = u8::try_from(libc::SIGRTMAX() - libc::SIGRTMIN()).unwrap();
        for n in 0..=count {
            let signal = Signal::rt(n).unwrap();
            assert_eq!(signal.as_raw(), libc::SIGRTMIN() + i32::from(n));
            assert!(signal.is_realtime());
        }
        assert_eq!(Signal::rt(count + 1), None);
        assert_eq!(Signal::rt(u8::MAX), None);
        assert!(!Signal::SYS.is_realtime());
    }

    #[test]
    fn constants_are_the_numbers_of_libc() {
        assert_eq!(Signal::HUP.as_raw(), libc::SIGHUP);
        assert_eq!(Signal::CHLD.as_raw(), libc::SIGCHLD);
        assert_eq!(Signal::SYS.as_raw(), libc::SIGSYS);
    }
}
