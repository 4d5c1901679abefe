//! What a fuzzer runs (`fuzz/`): one function for each target, which takes any bytes and
//! panics where something is wrong.
//!
//! The unit tests run the same functions, on the inputs in `fuzz/corpus-seed/` and on
//! pseudo-random ones. A body stands here, in a file of its own; those that look at what
//! is private are declared as a module there.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a panic is what a fuzzer looks for"
)]

mod siginfo;
mod signal_names;
mod signal_set;

/// Any bytes as a record.
pub fn siginfo(data: &[u8]) {
    siginfo::run(data);
}

/// Any text as a signal and as a set of them.
pub fn signal_names(data: &[u8]) {
    signal_names::run(data);
}

/// Sequences of operations on a set.
pub fn signal_set(data: &[u8]) {
    signal_set::run(data);
}

/// Any text as what `/proc` says about a thread.
pub fn proc_status(data: &[u8]) {
    crate::process::fuzz::run(data);
}

/// Any completions for a request in a ring.
#[cfg(all(
    feature = "io-uring",
    target_os = "linux",
    target_pointer_width = "64",
    any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "riscv64",
        target_arch = "loongarch64",
        target_arch = "powerpc64",
    )
))]
pub fn uring_state(data: &[u8]) {
    crate::receive::ring::fuzz::run(data);
}

/// What threads and a kernel do to a ring of the receiver's own.
#[cfg(all(
    feature = "io-uring",
    target_os = "linux",
    target_pointer_width = "64",
    any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "riscv64",
        target_arch = "loongarch64",
        target_arch = "powerpc64",
    )
))]
pub fn own_ring(data: &[u8]) {
    crate::receive::ring::own::fuzz::run(data);
}

/// Sequences of what can be done with a hub.
pub fn hub(data: &[u8]) {
    crate::receive::hub::fuzz::run(data);
}

/// Bytes from which a sequence of operations is made. Past their end there are zeros.
pub(crate) struct Input<'d> {
    rest: &'d [u8],
}

impl<'d> Input<'d> {
    pub(crate) const fn new(rest: &'d [u8]) -> Self {
        Self { rest }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        for byte in &mut bytes {
            if let [first, rest @ ..] = self.rest {
                (*byte, self.rest) = (*first, rest);
            }
        }
        bytes
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let [byte] = self.take();
        byte
    }

    pub(crate) fn long(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    /// A number below this one, which is at most 256.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::path::Path;
    use std::vec::Vec;
    use std::{eprintln, fs, vec};

    /// Numbers that are the same in every run (xorshift64).
    struct Random(u64);

    impl Random {
        const fn new(seed: u64) -> Self {
            Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
        }

        fn below(&mut self, end: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 % end as u64).unwrap()
        }

        /// Any byte, and a small one every other time.
        fn byte(&mut self) -> u8 {
            let end = [16, 256][self.below(2)];
            self.below(end).try_into().unwrap()
        }

        fn bytes(&mut self, length: usize) -> Vec<u8> {
            (0..length).map(|_| self.byte()).collect()
        }

        /// The beginning of one seed and the end of another, with some bytes changed.
        fn splice(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
            let one = &seeds[self.below(seeds.len())];
            let other = &seeds[self.below(seeds.len())];
            let mut input = one[..self.below(one.len() + 1)].to_vec();
            input.extend(&other[self.below(other.len() + 1)..]);
            for _ in 0..self.below(4) {
                let at = self.below(input.len() + 1);
                let end = at + self.below(5).min(input.len() - at);
                let length = self.below(5);
                let bytes = self.bytes(length);
                input.splice(at..end, bytes);
            }
            input
        }
    }

    /// Shows the input of a panic.
    struct Shown<'d>(&'d [u8]);

    impl Drop for Shown<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("the input is {:?}", self.0);
            }
        }
    }

    fn run(target: fn(&[u8]), input: &[u8]) {
        let shown = Shown(input);
        target(input);
        drop(shown);
    }

    /// The inputs that are kept. A package from the registry has none.
    fn seeds(name: &str) -> Vec<Vec<u8>> {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        if !fuzz.exists() {
            return vec![Vec::new()];
        }
        let files = fs::read_dir(fuzz.join("corpus-seed").join(name)).unwrap();
        let mut paths: Vec<_> =
            files.map(|file| file.unwrap().path()).collect();
        paths.sort();
        assert!(!paths.is_empty(), "{name} has no seeds");
        paths.iter().map(|path| fs::read(path).unwrap()).collect()
    }

    /// Runs a target on its seeds, what is made of them, and sequences up to this length.
    fn check(name: &str, target: fn(&[u8]), rounds: u64, length: usize) {
        let seeds = seeds(name);
        for seed in &seeds {
            run(target, seed);
        }
        for round in 0..rounds {
            let mut random = Random::new(round);
            let length = random.below(length + 1);
            run(target, &random.bytes(length));
            run(target, &random.splice(&seeds));
        }
    }

    #[test]
    fn siginfo() {
        check("siginfo", super::siginfo, 4000, 128);
    }

    /// Each signal with each code that the kernel has, and those around them.
    #[test]
    fn siginfo_of_each_cause() {
        let mut random = Random::new(1);
        let private = -0x4F3B << 16;
        let codes = (-70..=0x90).chain([i32::MIN, i32::MAX]);
        let sealed = (0..0x1_0000).map(|low| private | low);
        for signo in 0..=66_u32 {
            let sealed =
                sealed.clone().step_by(if signo == 17 { 7 } else { 251 });
            for code in codes.clone().chain(sealed) {
                let mut bytes = random.bytes(128);
                bytes[..4].copy_from_slice(&signo.to_ne_bytes());
                bytes[8..12].copy_from_slice(&code.to_ne_bytes());
                bytes[127] = random.below(2).try_into().unwrap();
                run(super::siginfo, &bytes);
            }
        }
    }

    #[test]
    fn signal_names() {
        check("signal_names", super::signal_names, 4000, 20);
    }

    #[test]
    fn signal_set() {
        check("signal_set", super::signal_set, 300, 400);
    }

    #[test]
    fn proc_status() {
        check("proc_status", super::proc_status, 4000, 300);
    }

    #[cfg(all(
        feature = "io-uring",
        target_os = "linux",
        target_pointer_width = "64",
        any(
            target_arch = "x86_64",
            target_arch = "aarch64",
            target_arch = "riscv64",
            target_arch = "loongarch64",
            target_arch = "powerpc64",
        )
    ))]
    #[test]
    fn uring_state() {
        check("uring_state", super::uring_state, 300, 1200);
    }

    #[cfg(all(
        feature = "io-uring",
        target_os = "linux",
        target_pointer_width = "64",
        any(
            target_arch = "x86_64",
            target_arch = "aarch64",
            target_arch = "riscv64",
            target_arch = "loongarch64",
            target_arch = "powerpc64",
        )
    ))]
    #[test]
    fn own_ring() {
        check("own_ring", super::own_ring, 300, 1200);
    }

    #[test]
    fn hub() {
        check("hub", super::hub, 300, 2000);
    }
}
