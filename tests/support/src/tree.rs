//! Trees, made and compared.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::path::Path;

/// What a path is and holds, as text that shows a difference well.
pub type Snapshot = BTreeMap<String, String>;

/// Everything below a directory: kinds, modes, times to the nanosecond, targets, contents, shared inodes.
pub fn snapshot(root: &Path) -> Snapshot {
    let mut found = Snapshot::new();
    walk(root, root, &mut found);
    found
}

/// The same without times: for trees that were changed in between.
pub fn contents(root: &Path) -> Snapshot {
    let strip = |text: String| text.split(" @").next().unwrap_or_default().to_owned();
    snapshot(root)
        .into_iter()
        .filter(|(path, _)| !path.is_empty())
        .map(|(path, text)| (path, strip(text)))
        .collect()
}

fn walk(root: &Path, path: &Path, found: &mut Snapshot) {
    let Ok(metadata) = fs::symlink_metadata(path) else { return };
    let relative = path.strip_prefix(root).expect("below the root");
    // Two names that are not UTF-8 must not look alike.
    let relative = relative
        .to_str()
        .map_or_else(|| relative.as_os_str().as_encoded_bytes().escape_ascii().to_string(), str::to_owned);
    let relative = if cfg!(windows) { relative.replace('\\', "/") } else { relative };
    let what = if metadata.is_dir() {
        let mut children: Vec<_> =
            fs::read_dir(path).expect("a listing").flatten().map(|entry| entry.path()).collect();
        children.sort();
        for child in children {
            walk(root, &child, found);
        }
        "directory".to_owned()
    } else if metadata.is_symlink() {
        format!("link to {}", fs::read_link(path).expect("a target").display())
    } else if metadata.is_file() {
        format!("file {} {:016x}{}", metadata.len(), content_hash(path, &metadata), twins(&metadata))
    } else {
        "special".to_owned()
    };
    found.insert(relative, format!("{what}{}", times_and_mode(&metadata)));
}

/// Blocks of zeros do not count, whether they are holes or written; where the others lie does.
fn content_hash(path: &Path, metadata: &Metadata) -> u64 {
    use std::hash::Hasher;
    use std::io::{Read, Seek, SeekFrom};
    const BLOCK: u64 = 64 << 10;
    let mut hasher = std::hash::DefaultHasher::new();
    let mut file = fs::File::open(path).expect("readable");
    let mut buffer = Vec::new();
    let mut offset = 0;
    while offset < metadata.len() {
        offset = next_data(&file, offset, metadata.len()) / BLOCK * BLOCK;
        file.seek(SeekFrom::Start(offset)).expect("a file has places");
        buffer.clear();
        (&mut file).take(BLOCK).read_to_end(&mut buffer).expect("readable");
        if buffer.iter().any(|byte| *byte != 0) {
            hasher.write_u64(offset);
            hasher.write(&buffer);
        }
        offset += BLOCK;
    }
    hasher.finish()
}

/// Where something other than a hole begins. Sparse giants would take minutes to read.
#[cfg(target_os = "linux")]
fn next_data(file: &fs::File, offset: u64, length: u64) -> u64 {
    match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(offset)) {
        Ok(data) => data,
        Err(rustix::io::Errno::NXIO) => length,
        Err(_) => offset,
    }
}

#[cfg(not(target_os = "linux"))]
fn next_data(_file: &fs::File, offset: u64, _length: u64) -> u64 {
    offset
}

#[cfg(unix)]
fn twins(metadata: &Metadata) -> String {
    use std::os::unix::fs::MetadataExt;
    match metadata.nlink() {
        1 => String::new(),
        names => format!(" {names} names"),
    }
}

#[cfg(not(unix))]
fn twins(_metadata: &Metadata) -> String {
    String::new()
}

#[cfg(unix)]
fn times_and_mode(metadata: &Metadata) -> String {
    use std::os::unix::fs::MetadataExt;
    format!(" {:o} @{}.{:09}", metadata.mode() & 0o7777, metadata.mtime(), metadata.mtime_nsec())
}

#[cfg(not(unix))]
fn times_and_mode(metadata: &Metadata) -> String {
    format!(" @{:?}", metadata.modified().ok())
}
