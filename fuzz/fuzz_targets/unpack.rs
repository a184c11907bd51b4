//! Any bytes as an archive, unpacked: `cargo +nightly fuzz run unpack -- -detect_leaks=0` (what a thread
//! keeps for itself is freed a moment after its scope ends, which the leak check takes for a leak).
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "support.rs"]
mod support;

fuzz_target!(|bytes: &[u8]| support::unpack(bytes));
