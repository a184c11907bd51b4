//! What the fuzz targets share: unpacking below a directory that has a neighbor to be left alone.
#![allow(dead_code, reason = "each target uses a part of it")]

use std::fs;
use std::sync::Arc;
use std::path::Path;

use cachekeep::archive::{
    self, AssembleRequest, Composite, Destination, Levels, Limits, Manifest, PackRequest, SegmentRange, Splitter,
    UnpackRequest,
};
use cachekeep::parts::Selection;
use cachekeep::parts::{ItemKind, Walk};
use cachekeep::domain::event::{Meter, Phase};
use tokio_util::sync::CancellationToken;

/// Unpacks, and fails if anything but the destination was touched.
pub fn unpack(bytes: &[u8]) {
    unpacked(bytes);
}

/// Reads to the end, on this thread.
pub fn verify(bytes: &[u8]) {
    let limits = Limits { bytes: 16 << 20, entries: 1000 };
    let meter = Meter::new("c", Phase::ReadBack);
    // Whatever it is, it must be told without a panic.
    let _ = archive::verify(bytes, 0, limits, &CancellationToken::new(), &meter);
}

/// What an archive unpacks to, if it does, line by line.
pub fn unpacked(bytes: &[u8]) -> Option<Vec<String>> {
    let place = tempfile::tempdir().expect("a directory");
    let (target, victim) = (place.path().join("target"), place.path().join("victim"));
    fs::create_dir(&target).expect("a directory");
    fs::write(&victim, "untouched").expect("a file");
    let request = UnpackRequest {
        destinations: vec![Destination { prefix: ".cachekeep/c".to_owned(), directory: target.clone() }],
        workers: 1,
        foreign: Limits { bytes: 16 << 20, entries: 1000 },
    };
    let meter = Meter::new("c", Phase::Restore);
    let is_small = |archive: &Splitter<_>| archive.manifest().is_none_or(is_small);
    let archive = Splitter::behind_manifest(bytes).ok().filter(is_small)?;
    let result = archive::unpack(request, archive, &CancellationToken::new(), &meter);
    assert_eq!(fs::read(victim).expect("the neighbor"), b"untouched");
    assert_eq!(fs::read_dir(place.path()).expect("listed").count(), 2);
    result.ok().map(|_| lines(&target))
}

fn is_small(manifest: &Manifest) -> bool {
    manifest.unpacked_bytes < 16 << 20
}

fn lines(root: &Path) -> Vec<String> {
    let line = |item: cachekeep::parts::Item| {
        let content = match item.kind {
            ItemKind::File => fs::read(root.join(&item.relative)).expect("content"),
            _ => Vec::new(),
        };
        format!("{:?} {:?} {:o} {:?} {content:?}", item.relative, item.kind, item.mode, item.modified)
    };
    Walk::new(&Selection::everything(root)).map(|item| line(item.expect("an item"))).collect()
}

/// What a thin archive is assembled to, if it is, line by line. `bytes` gives a range of a segment.
pub fn assembled(
    composite: &Composite<'_>,
    bytes: impl Fn(usize, std::ops::Range<u64>) -> Vec<u8>,
) -> Option<Vec<String>> {
    let place = tempfile::tempdir().expect("a directory");
    let (target, victim) = (place.path().join("target"), place.path().join("victim"));
    fs::create_dir(&target).expect("a directory");
    fs::write(&victim, "untouched").expect("a file");
    let request = AssembleRequest {
        destinations: vec![Destination { prefix: ".cachekeep/c".to_owned(), directory: target.clone() }],
        workers: 1,
        present: Default::default(),
    };
    if !is_small(&composite.listing().manifest) {
        return None;
    }
    let open = |ranges: Vec<SegmentRange>| {
        std::io::Cursor::new(ranges.into_iter().flat_map(|part| bytes(part.segment, part.range)).collect::<Vec<u8>>())
    };
    let result = archive::assemble(request, composite, open, &CancellationToken::new(), &meter());
    assert_eq!(fs::read(victim).expect("the neighbor"), b"untouched");
    assert_eq!(fs::read_dir(place.path()).expect("listed").count(), 2);
    result.ok().map(|_| lines(&target))
}

/// A meter whose figures are not read.
pub fn meter() -> Arc<Meter> {
    Meter::new("c", Phase::Restore)
}

/// A good archive of a small tree.
pub fn archive() -> Vec<u8> {
    packed(|request| {
        let mut bytes = Vec::new();
        archive::pack(request, &mut bytes, &CancellationToken::new(), &meter()).expect("packed");
        bytes
    })
}

/// What packs a small tree, which is the same each time.
pub fn packed(pack: impl FnOnce(&PackRequest<'_>) -> Vec<u8>) -> Vec<u8> {
    let tree = tempfile::tempdir().expect("a directory");
    fs::create_dir(tree.path().join("d")).expect("a directory");
    fs::write(tree.path().join("a"), "some text ".repeat(40)).expect("a file");
    fs::write(tree.path().join("d/empty"), "").expect("a file");
    fs::hard_link(tree.path().join("a"), tree.path().join("d/hard")).expect("a link");
    std::os::unix::fs::symlink("../a", tree.path().join("d/link")).expect("a link");
    let selections = [Selection::everything(tree.path())];
    pack(&PackRequest {
        cache: "c",
        selections: &selections,
        last: None,
        workers: 1,
        levels: Levels::default(),
        producer: "fuzz",
    })
}
