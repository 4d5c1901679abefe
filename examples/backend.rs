//! Prints what a receiver runs on, why, and what this kernel can do.
//!
//! ```text
//! cargo run --example backend
//! ```

use std::io;

use signalfd::{Backend, Error, Kind, Options, Signal};

fn main() -> Result<(), Error> {
    println!("kernel: {}", read("/proc/sys/kernel/osrelease"));
    // 0 allows io_uring, 1 to the privileged only, 2 to nobody (Linux 6.6).
    let sysctl = "/proc/sys/kernel/io_uring_disabled";
    println!("kernel.io_uring_disabled: {}", read(sysctl));
    println!("io_uring itself: {}", ring().unwrap_or_else(|no| no.to_string()));
    println!();
    for (asked, options) in [
        ("Backend::Auto", Options::new()),
        ("Backend::Epoll", Options::new().backend(Backend::Epoll)),
        ("Backend::Uring", Options::new().backend(Backend::Uring)),
        (
            "Backend::Uring, Kind::Completion",
            Options::new().backend(Backend::Uring).kind(Kind::Completion),
        ),
    ] {
        let signals = options.open(Signal::USR1)?;
        println!("{asked}\n    {}", signals.backend());
    }
    Ok(())
}

fn read(path: &str) -> String {
    match std::fs::read_to_string(path) {
        Ok(text) => text.trim().into(),
        Err(error) => error.to_string(),
    }
}

/// What the kernel's rings can do that concerns signals.
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
fn ring() -> io::Result<String> {
    use io_uring::{IoUring, Probe, opcode};
    let ring = IoUring::new(2)?;
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe)?;
    let mut can = vec![];
    for (code, what) in [
        (opcode::PollAdd::CODE, "poll"),
        (opcode::Read::CODE, "read"),
        (opcode::ReadMulti::CODE, "read of many shots"),
    ] {
        if probe.is_supported(code) {
            can.push(what);
        }
    }
    Ok(can.join(", "))
}

#[cfg(not(all(
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
)))]
fn ring() -> io::Result<String> {
    Err(io::ErrorKind::Unsupported.into())
}
