//! Any bytes as an archive, unpacked: `cargo +nightly fuzz run unpack`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "support.rs"]
mod support;

fuzz_target!(|bytes: &[u8]| support::unpack(bytes));
