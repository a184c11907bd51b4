//! Memory does not grow with the cache. What is measured is a whole process, so the test runs in one of its own.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Write as _};
use std::process::Command;

use cachekeep::archive;
use cachekeep::parts::Selection;
use tokio_util::sync::CancellationToken;

use crate::packing::{meter, noise, pack_request, unpack};

/// The most memory that this process ever had, in bytes.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("facts");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    line.split_whitespace().nth(1).expect("a figure").parse::<u64>().expect("kibibytes") << 10
}

/// Set for the child process.
const CHILD: &str = "CACHEKEEP_TEST_MEMORY_CHILD";

#[test]
fn a_large_cache_needs_no_more_memory_than_a_small_one() {
    if std::env::var_os(CHILD).is_some() {
        return pack_and_unpack();
    }
    let this = std::env::current_exe().expect("this test");
    let name = "archive_memory::a_large_cache_needs_no_more_memory_than_a_small_one";
    let child = Command::new(this).args(["--exact", name, "--test-threads", "1"]).env(CHILD, "1").output();
    let child = child.expect("it starts");
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{said}");
    assert!(said.contains("1 passed"), "the child ran no test: {said}");
}

fn pack_and_unpack() {
    let work = tempfile::tempdir().expect("a directory");
    let (from, to) = (work.path().join("from"), work.path().join("to"));
    fs::create_dir(&from).expect("a directory");
    fs::create_dir(&to).expect("a directory");
    // As long as a frame, so that no frame can be shrunk by what came before.
    let block = noise(4 << 20, 9);
    let mut large = BufWriter::new(File::create(from.join("large")).expect("a file"));
    for _ in 0..48 {
        large.write_all(&block).expect("written");
    }
    large.into_inner().expect("flushed");
    drop(block);
    let file = work.path().join("archive");
    let selections = [Selection::everything(&from)];
    let out = File::create(&file).expect("a file");
    let packed = archive::pack(&pack_request(&selections, None), out, &CancellationToken::new(), &meter())
        .expect("packed");
    assert!(packed.archive_bytes > 192 << 20);
    let after_packing = peak();
    assert!(after_packing < 72 << 20, "packing took {after_packing} bytes");
    // More than the limit for archives of others: this one has a manifest.
    unpack(BufReader::new(File::open(&file).expect("a file")), &to).expect("unpacked");
    assert!(peak() < 112 << 20, "unpacking took {} bytes", peak());
    assert_eq!(fs::metadata(to.join("large")).expect("facts").len(), 192 << 20);
}
