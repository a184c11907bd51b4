//! Thin archives and what they take content from, with changed bytes: whatever is still restored is the identical tree.
//! `cargo +nightly fuzz run thin -- -runs=1000000`.
#![no_main]

use std::ops::Range;
use std::path::Path;
use std::sync::LazyLock;

use bytes::Bytes;
use cachekeep::archive::{self, ArchiveError, Base, Composite, Frames, Listing, Parent};
use libfuzzer_sys::fuzz_target;
use tokio_util::sync::CancellationToken;

#[path = "support.rs"]
mod support;

/// A full archive, and a thin one on it.
static ARCHIVES: LazyLock<[Vec<u8>; 2]> = LazyLock::new(archives);
static TREE: LazyLock<Vec<String>> = LazyLock::new(|| restored(&ARCHIVES[0], &ARCHIVES[1]).expect("good archives"));

fuzz_target!(|bytes: &[u8]| {
    let [mut base, mut thin] = ARCHIVES.clone();
    // Any bytes as a thin archive; then changes: three bytes say where, the fourth what.
    restored(&base, bytes);
    for change in bytes.chunks_exact(4) {
        let place = u32::from_le_bytes([change[0], change[1], change[2], 0]) as usize % (base.len() + thin.len());
        let byte = if place < base.len() { &mut base[place] } else { &mut thin[place - ARCHIVES[0].len()] };
        *byte ^= change[3];
    }
    if let Some(tree) = restored(&base, &thin) {
        assert_eq!(tree, *TREE);
    }
});

fn parts(archive: &[u8], ranges: &[Range<u64>]) -> Result<Vec<Bytes>, ArchiveError> {
    let part = |range: &Range<u64>| Bytes::copy_from_slice(&archive[range.start as usize..range.end as usize]);
    Ok(ranges.iter().map(part).collect())
}

fn listing(archive: &[u8]) -> Option<Listing> {
    archive::read_listing(archive.len() as u64, |ranges| parts(archive, ranges)).ok()?
}

/// What a thin archive is restored to, line by line, if it is.
fn restored(base: &[u8], thin: &[u8]) -> Option<Vec<String>> {
    let listing = listing(thin)?;
    let of_base = |parent: &Parent| {
        let is_there = parent.archive_bytes == base.len() as u64;
        let frames = || archive::read_frames(parent, |ranges| parts(base, ranges)).ok();
        is_there.then(frames).flatten()
    };
    let frames = listing.manifest.parents.iter().map(of_base).collect::<Option<Vec<Frames>>>()?;
    let composite = Composite::new(&listing, &frames).ok()?;
    support::assembled(&composite, |segment, range| {
        let archive = if segment == 0 { thin } else { base };
        archive.get(range.start as usize..range.end as usize).unwrap_or_default().to_vec()
    })
}

fn archives() -> [Vec<u8>; 2] {
    let base = support::archive();
    let of_base = listing(&base).expect("a list");
    let parent = Parent {
        key: "base".to_owned(),
        version: "5".repeat(64),
        archive_bytes: base.len() as u64,
        stream_bytes: of_base.manifest.stream_bytes,
        digest: of_base.digest.to_string(),
    };
    let thin = support::packed(|request| {
        let (cancel, meter) = (CancellationToken::new(), support::meter());
        std::fs::write(Path::new(request.selections[0].root.as_path()).join("new"), "changed ".repeat(30)).expect("a file");
        let survey = archive::survey(request, &cancel, &meter).expect("surveyed").expect("few files");
        let division = archive::divide(survey, &Base { parent, listing: &of_base, frames: &[] }).expect("divided");
        let mut bytes = Vec::new();
        archive::pack_thin(request, division, &mut bytes, &cancel, &meter).expect("packed");
        bytes
    });
    [base, thin]
}
