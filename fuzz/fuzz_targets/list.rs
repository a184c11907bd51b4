//! Lists of archives, read by ranges: any bytes as an archive, and a good archive with changed bytes in its beginning or behind its
//! frames. `cargo +nightly fuzz run list -- -runs=1000000`.
#![no_main]

use std::ops::Range;
use std::sync::LazyLock;

use bytes::Bytes;
use cachekeep::archive::{self, ArchiveError};
use libfuzzer_sys::fuzz_target;

#[path = "support.rs"]
mod support;

static ARCHIVE: LazyLock<Vec<u8>> = LazyLock::new(support::archive);

fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    // Two bytes say where, the others what.
    let Some((at, change)) = bytes.split_first_chunk::<2>() else { return };
    let mut archive = ARCHIVE.clone();
    let at = usize::from(u16::from_le_bytes(*at)) % archive.len();
    for (byte, change) in archive[at..].iter_mut().zip(change) {
        *byte ^= change;
    }
    if read(&archive).is_some_and(|rows| Some(rows) != read(&ARCHIVE)) {
        panic!("another list was taken for that of the archive");
    }
});

/// The rows of an archive, line by line; `None` if it has no list that can be read.
fn read(archive: &[u8]) -> Option<Vec<String>> {
    let fetch = |parts: &[Range<u64>]| {
        let part = |range: &Range<u64>| {
            Bytes::copy_from_slice(&archive[range.start as usize..range.end as usize])
        };
        Ok::<_, ArchiveError>(parts.iter().map(part).collect())
    };
    let listing = archive::read_listing(archive.len() as u64, fetch).ok()??;
    listing.rows().map(|row| row.ok().map(|row| format!("{row:?}"))).collect()
}
