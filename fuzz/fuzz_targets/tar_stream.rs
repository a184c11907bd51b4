//! Any bytes as the tar stream of another program's archive:
//! `cargo +nightly fuzz run tar_stream -- -detect_leaks=0`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "support.rs"]
mod support;

fuzz_target!(|bytes: &[u8]| {
    let archive = zstd::bulk::compress(bytes, 1).expect("a frame");
    support::unpack(&archive);
});
