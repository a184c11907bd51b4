//! A good archive with some bytes changed: whatever still unpacks gives the identical tree.
//! `cargo +nightly fuzz run mutate -- -detect_leaks=0`.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

#[path = "support.rs"]
mod support;

static ARCHIVE: LazyLock<Vec<u8>> = LazyLock::new(support::archive);
static TREE: LazyLock<Vec<String>> = LazyLock::new(|| support::unpacked(&ARCHIVE).expect("a good archive"));

fuzz_target!(|changes: &[u8]| {
    let mut archive = ARCHIVE.clone();
    // Three bytes say where, the fourth what.
    for change in changes.chunks_exact(4) {
        let place = u32::from_le_bytes([change[0], change[1], change[2], 0]) as usize % archive.len();
        archive[place] ^= change[3];
    }
    if let Some(tree) = support::unpacked(&archive) {
        assert_eq!(tree, *TREE);
    }
});
