//! Any bytes read as an archive and as a tar stream, without touching the disk: the fast one of the
//! targets, for millions of cases. `cargo +nightly fuzz run verify -- -runs=1000000`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "support.rs"]
mod support;

fuzz_target!(|bytes: &[u8]| {
    support::verify(bytes);
    support::verify(&zstd::bulk::compress(bytes, 1).expect("a frame"));
});
