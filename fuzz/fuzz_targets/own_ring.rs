//! The body is in `src/fuzz/`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| signalfd::fuzz::own_ring(data));
