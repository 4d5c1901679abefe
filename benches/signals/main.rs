//! How fast this crate is, against raw system calls, its peers, and what can be
//! counted.
//!
//! ```sh
//! cargo bench                  # everything, about ten minutes, and keeps a record
//! cargo bench -- --quick       # less than a minute, once it is built
//! cargo bench -- counts        # only what is counted, and no time
//! cargo bench -- raw peers     # some of: raw, peers, python, counts
//! cargo bench -- raw rtt       # some groups; with a name that there is not, it lists all
//! cargo bench -- rtt --record  # keeps a record of that
//! cargo bench -- counts --gate # fails if a count is over its bar
//! ```
//!
//! A record is `benches/record/<date>-<kernel>.txt`, `.csv` and `.svg`, or
//! `<date>-<kernel>-part`; the last of a day is kept.
//!
//! Each contender runs in a process of its own, which is started anew for each
//! round, and all of them take turns within a round. So what slows the machine
//! down for a while slows all of them. A ratio is the median of the ratios of the
//! rounds. Each checks what it has received, how many and the sum of what came with
//! them, and the run fails if that is wrong. The last lines are `key=value`, one for each
//! bar; before them it says which bars were missed. With `REQUIRE_ALL` in the environment
//! the gate fails where something could not be counted.
//!
//! It wants a quiet machine with two CPUs, but for what is counted.

#[cfg(all(
    target_os = "linux",
    target_pointer_width = "64",
    any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "riscv64",
        target_arch = "loongarch64",
        target_arch = "powerpc64",
    ),
))]
mod bench;

#[cfg(all(
    target_os = "linux",
    target_pointer_width = "64",
    any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "riscv64",
        target_arch = "loongarch64",
        target_arch = "powerpc64",
    ),
))]
#[path = "../common/mod.rs"]
mod common;

#[cfg(all(
    target_os = "linux",
    target_pointer_width = "64",
    any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "riscv64",
        target_arch = "loongarch64",
        target_arch = "powerpc64",
    ),
))]
fn main() -> std::process::ExitCode {
    bench::main()
}

#[cfg(not(all(
    target_os = "linux",
    target_pointer_width = "64",
    any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "riscv64",
        target_arch = "loongarch64",
        target_arch = "powerpc64",
    ),
)))]
fn main() {
    println!("skipped: the benchmarks need io_uring, which is not built here");
}
