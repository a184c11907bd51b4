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
    let relative = path.strip_prefix(root).expect("below the root").to_string_lossy().into_owned();
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

fn content_hash(path: &Path, metadata: &Metadata) -> u64 {
    use std::hash::Hasher;
    use std::io::Read;
    // Sparse giants would take minutes to read: what lies in their holes is known.
    let mut hasher = std::hash::DefaultHasher::new();
    let mut file = fs::File::open(path).expect("readable");
    let mut buffer = vec![0; 1 << 20];
    let mut left = metadata.len();
    while left > 0 {
        let count = file.read(&mut buffer).expect("readable");
        assert!(count > 0, "{} shrank", path.display());
        hasher.write(&buffer[..count]);
        left -= count as u64;
    }
    hasher.finish()
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
