//! Holes: parts of a file that read as zeros and take no room, as in images of disks.

use std::fs::File;

/// Runs of zeros of this length, on a boundary of it, become holes when a file is written.
pub(crate) const HOLE: u64 = 64 << 10;

/// Files up to this size are written whole, without holes.
pub(crate) const WITHOUT_HOLES: u64 = 256 << 10;

/// Bytes of the holes of a file of this size that a copy of it can have. 0 where the OS or the file system does not tell.
pub(crate) fn bytes_in_holes(file: &File, size: u64) -> u64 {
    let mut bytes = 0;
    let mut at = 0;
    while let Some((start, end)) = next_hole(file, at, size) {
        let (first, last) = (start.next_multiple_of(HOLE), end - end % HOLE);
        bytes += last.saturating_sub(first);
        at = end;
    }
    bytes
}

/// The first hole at or behind a position: its start and its end.
#[cfg(any(target_os = "linux", target_os = "macos"))]
fn next_hole(file: &File, at: u64, size: u64) -> Option<(u64, u64)> {
    use rustix::fs::{SeekFrom, seek};
    let start = seek(file, SeekFrom::Hole(at)).ok()?;
    if start >= size {
        return None;
    }
    // There is no data behind a hole at the end.
    let end = seek(file, SeekFrom::Data(start)).map_or(size, |end| end.min(size));
    (end > start).then_some((start, end))
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn next_hole(_file: &File, _at: u64, _size: u64) -> Option<(u64, u64)> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::*;

    #[test]
    fn holes_are_counted_in_whole_blocks() {
        let place = tempfile::tempdir().expect("a place");
        let path = place.path().join("image");
        let file = File::options().read(true).write(true).create_new(true).open(path).expect("a file");
        let size = 40 * HOLE + 5;
        file.set_len(size).expect("stretched");
        if next_hole(&file, 0, size).is_none() {
            return; // A file system without holes.
        }
        assert_eq!(bytes_in_holes(&file, size), 40 * HOLE);
        file.write_all_at(b"data", 10 * HOLE + 1).expect("written");
        assert_eq!(bytes_in_holes(&file, size), 39 * HOLE);
        file.write_all_at(&[1; 8], size - 8).expect("written");
        assert!((37 * HOLE..=39 * HOLE).contains(&bytes_in_holes(&file, size)));
    }
}
