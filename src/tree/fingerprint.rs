//! Whether a tree has changed: quickly, by its metadata, and reliably, by its content.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Scope};

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::selection::Selection;
use super::walk::{Item, ItemKind, ListedAhead, Modified, Revision, Walk, WalkError, place_of};
use crate::fs::open::Links;
use crate::fs::read;
use crate::threads::start;

/// What a tree looks like without a look into its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quick {
    /// A digest of names, sizes, modes, times and revisions: an untouched tree has the same one, and a tree in which a
    /// file was written another one. `None` where the OS keeps no revisions: there only contents can tell.
    pub digest: Option<ContentDigest>,
    /// How many files there are.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// [`Quick`], summed up from items in any order. Times of directories do not count: a file that came and went changes them and
/// nothing else.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct QuickSum {
    digest: ContentDigest,
    files: u64,
    bytes: u64,
    /// How many files have no revision.
    unrevised: u64,
}

impl QuickSum {
    /// Adds an item of a root.
    pub(crate) fn add(&mut self, root: usize, item: &Item) {
        self.digest.add(root, &item.relative, &[&line(item)]);
        if item.kind == ItemKind::File {
            self.files += 1;
            self.bytes += item.size;
            self.unrevised += u64::from(item.revision.is_none());
        }
    }

    /// Adds everything that another sum holds.
    pub(crate) fn merge(&mut self, other: &QuickSum) {
        self.digest.merge(other.digest);
        self.files += other.files;
        self.bytes += other.bytes;
        self.unrevised += other.unrevised;
    }

    /// The sum.
    pub(crate) fn quick(&self) -> Quick {
        let digest = (self.unrevised == 0).then_some(self.digest);
        Quick { digest, files: self.files, bytes: self.bytes }
    }
}

/// Looks at the trees of a cache, which up to `workers` threads list.
pub(crate) fn quick(selections: &[Selection], workers: usize) -> Result<Quick, WalkError> {
    let mut sum = QuickSum::default();
    for (root, selection) in selections.iter().enumerate() {
        let listed = ListedAhead::of(selection, workers, &CancellationToken::new());
        for item in Walk::over(selection, listed.as_ref()).if_there() {
            let item = item?;
            if item.kind != ItemKind::File || !selection.is_uncounted(&item.relative) {
                sum.add(root, &item);
            }
        }
    }
    Ok(sum.quick())
}

/// What of a tree does not count: files in which tools count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Uncounted {
    /// The digest of their contents.
    pub content: ContentDigest,
    /// How many there are.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Reads what of a tree does not count, and nothing else.
pub(crate) fn uncounted(
    selections: &[Selection],
    cancel: &CancellationToken,
) -> Result<Uncounted, WalkError> {
    let mut sum = Uncounted::default();
    for (root, selection) in selections.iter().enumerate().filter(|(_, selection)| selection.has_uncounted())
    {
        for item in Walk::new(selection).if_there() {
            let item = item?;
            if item.kind != ItemKind::File || !selection.is_uncounted(&item.relative) {
                continue;
            }
            let path = selection.root.join(&item.relative);
            let digest = read::sha256_of_file(&path, Links::Refused, cancel)
                .map_err(|source| WalkError::Unreadable { action: "read", path, source })?;
            sum.content.add_file(root, &item.relative, item.mode, &digest.0);
            sum.files += 1;
            sum.bytes += item.size;
        }
    }
    Ok(sum)
}

/// What an item is without its name: of a file its times and its revision as well, and not its content.
fn line(item: &Item) -> Vec<u8> {
    let mut line = Vec::with_capacity(64);
    match &item.kind {
        ItemKind::Symlink { target } => {
            line.push(b'l');
            line.extend_from_slice(target.as_os_str().as_encoded_bytes());
            return line;
        }
        ItemKind::Special => {
            line.push(b's');
            return line;
        }
        ItemKind::Directory => line.push(b'd'),
        ItemKind::File => line.push(b'f'),
    }
    line.extend(item.mode.to_le_bytes());
    if item.kind == ItemKind::Directory {
        return line;
    }
    line.extend(item.size.to_le_bytes());
    let mut time = |time: Modified| {
        line.extend(time.seconds.to_le_bytes());
        line.extend(time.nanoseconds.to_le_bytes());
    };
    time(item.modified);
    if let Some(Revision { inode, changed }) = item.revision {
        time(changed);
        line.extend(inode.to_le_bytes());
    }
    line
}

/// A digest of the files, links and contents of a tree, whatever the order in which they are added.
///
/// The sum, modulo 2^64 in each of four lanes, of the SHA-256 of each item: it needs no memory and threads may
/// add in any order. That is enough to notice a change; it does not defend against one that was made to fit.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct ContentDigest([u64; 4]);

impl ContentDigest {
    /// Adds a file: the root it belongs to, its path below it, its mode and the SHA-256 of its content.
    pub fn add_file(&mut self, root: usize, relative: &Path, mode: u32, content: &[u8; 32]) {
        self.add(root, relative, &[b"file", mode.to_string().as_bytes(), content]);
    }

    /// Adds a symbolic link.
    pub fn add_link(&mut self, root: usize, relative: &Path, target: &Path) {
        self.add(root, relative, &[b"link", target.as_os_str().as_encoded_bytes()]);
    }

    /// Adds everything that another digest holds.
    pub fn merge(&mut self, other: ContentDigest) {
        for (lane, value) in self.0.iter_mut().zip(other.0) {
            *lane = lane.wrapping_add(value);
        }
    }

    /// The digest without everything that another digest holds, which this one holds as well.
    #[must_use]
    pub fn without(mut self, other: ContentDigest) -> Self {
        for (lane, value) in self.0.iter_mut().zip(other.0) {
            *lane = lane.wrapping_sub(value);
        }
        self
    }

    fn add(&mut self, root: usize, relative: &Path, facts: &[&[u8]]) {
        let mut hasher = Sha256::new();
        hasher.update(root.to_le_bytes());
        for part in std::iter::once(relative.as_os_str().as_encoded_bytes()).chain(facts.iter().copied()) {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        let digest: [u8; 32] = hasher.finalize().into();
        let mut lanes = [0; 4];
        for (lane, bytes) in lanes.iter_mut().zip(digest.chunks_exact(8)) {
            *lane = u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
        }
        self.merge(ContentDigest(lanes));
    }
}

impl fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|lane| f.write_str(&HEXLOWER.encode(&lane.to_le_bytes())))
    }
}

impl fmt::Debug for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "content:{self}")
    }
}

/// The content digest of a tree as it lies on disk; reads every file, on up to `workers` threads, or on the calling one if
/// there are none.
pub(crate) fn content(
    selections: &[Selection],
    workers: usize,
    cancel: &CancellationToken,
) -> Result<ContentDigest, WalkError> {
    let digests = DigestSum::new(cancel);
    thread::scope(|scope| {
        let files = digests.start(scope, workers);
        for (root, selection) in selections.iter().enumerate() {
            for item in Walk::new(selection).if_there() {
                let item = item?;
                match &item.kind {
                    ItemKind::File if selection.is_uncounted(&item.relative) => {}
                    ItemKind::File => {
                        let file = (root, place_of(&selection.root, &item.relative), item);
                        match &files {
                            // The threads end only after this does: there is always one to receive.
                            Some(files) => drop(files.send(file)),
                            None => digests.add(file),
                        }
                    }
                    ItemKind::Symlink { target } => {
                        locked(&digests.total).add_link(root, &item.relative, target);
                    }
                    ItemKind::Directory | ItemKind::Special => {}
                }
            }
        }
        Ok::<(), WalkError>(())
    })?;
    match into_inner(digests.failure) {
        Some(error) => Err(error),
        None => Ok(into_inner(digests.total)),
    }
}

/// A file with the number of its root and its path.
type Numbered = (usize, PathBuf, Item);

/// What several threads sum up.
struct DigestSum<'a> {
    total: Mutex<ContentDigest>,
    failure: Mutex<Option<WalkError>>,
    stop: AtomicBool,
    cancel: &'a CancellationToken,
}

impl<'a> DigestSum<'a> {
    fn new(cancel: &'a CancellationToken) -> Self {
        DigestSum { total: Mutex::default(), failure: Mutex::default(), stop: AtomicBool::new(false), cancel }
    }

    /// Starts threads that add the files that they are sent; `None` if there are none.
    fn start<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        workers: usize,
    ) -> Option<SyncSender<Numbered>> {
        let (send, receive) = mpsc::sync_channel::<Numbered>(workers * 64);
        let receive = Arc::new(Mutex::new(receive));
        let started = start::several(scope, "digest", workers, || {
            let receive = Arc::clone(&receive);
            move || self.add_all(&receive)
        });
        (started > 0).then_some(send)
    }

    fn add_all(&self, receive: &Mutex<Receiver<Numbered>>) {
        loop {
            let next = locked(receive).recv();
            let Ok(file) = next else { break };
            self.add(file);
        }
    }

    /// Adds a file, unless an earlier one failed.
    fn add(&self, (root, path, item): Numbered) {
        if self.stop.load(Ordering::Relaxed) {
            return;
        }
        match read::sha256_of_file(&path, Links::Refused, self.cancel) {
            Ok(digest) => {
                let mut file = ContentDigest::default();
                file.add_file(root, &item.relative, item.mode, &digest.0);
                locked(&self.total).merge(file);
            }
            Err(source) => {
                self.stop.store(true, Ordering::Relaxed);
                let error = WalkError::Unreadable { action: "read", path, source };
                locked(&self.failure).get_or_insert(error);
            }
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn into_inner<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, clippy::type_complexity, reason = "tests make and change trees")]
mod tests {
    use super::*;
    use std::fs;

    fn digests(root: &Path) -> (Quick, ContentDigest) {
        let selections = [Selection::everything(root)];
        let content_by = |workers| content(&selections, workers, &CancellationToken::new()).expect("read");
        let content = content_by(2);
        assert_eq!(content, content_by(0), "the calling thread alone");
        let quick = quick(&selections, 2).expect("walked");
        assert_eq!(quick, super::quick(&selections, 0).expect("walked"), "the calling thread alone");
        (quick, content)
    }

    fn tree() -> tempfile::TempDir {
        let directory = tempfile::tempdir().expect("a temp dir");
        for index in 0..50 {
            fs::create_dir_all(directory.path().join(format!("d{}", index % 5))).expect("a directory");
            fs::write(directory.path().join(format!("d{}/f{index}", index % 5)), vec![index; 1000])
                .expect("a file");
        }
        directory
    }

    #[test]
    fn an_untouched_tree_is_what_it_was() {
        let tree = tree();
        assert_eq!(digests(tree.path()), digests(tree.path()));
    }

    #[test]
    fn a_touched_tree_has_the_same_content() {
        let tree = tree();
        let before = digests(tree.path());
        filetime::set_file_mtime(tree.path().join("d1/f1"), filetime::FileTime::from_unix_time(0, 0))
            .expect("touched");
        let after = digests(tree.path());
        // Without revisions there is nothing to compare but contents.
        assert_eq!(before.0 != after.0, before.0.digest.is_some());
        assert_eq!(before.1, after.1);
    }

    /// Package managers give every file the same time, and two versions of a manifest the same length.
    #[test]
    #[cfg(unix)]
    fn a_written_file_is_noticed_although_its_size_and_time_are_the_same() {
        let tree = tree();
        let path = tree.path().join("d1/f1");
        let time = filetime::FileTime::from_unix_time(499_162_500, 0);
        filetime::set_file_mtime(&path, time).expect("a time");
        let before = digests(tree.path()).0;
        for replace in [false, true] {
            if replace {
                fs::remove_file(&path).expect("removed");
            }
            fs::write(&path, vec![9; 1000]).expect("a file");
            filetime::set_file_mtime(&path, time).expect("a time");
            let after = digests(tree.path()).0;
            assert_eq!((before.files, before.bytes), (after.files, after.bytes));
            assert_ne!(before.digest, after.digest);
        }
    }

    #[test]
    fn counters_of_tools_are_no_change() {
        let tree = tree();
        let (plain, everything) = digests(tree.path());
        fs::write(tree.path().join("d1/stats"), "1").expect("a file");
        let selections = [Selection::everything(tree.path()).without_counting(&["stats"])];
        let cancel = CancellationToken::new();
        let uncounted = uncounted(&selections, &cancel).expect("read");
        assert_eq!((uncounted.files, uncounted.bytes), (1, 1));
        let with_counters = digests(tree.path()).1;
        assert_eq!(with_counters.without(uncounted.content), everything);
        assert_eq!(content(&selections, 2, &cancel).expect("read"), everything);
        let quick = quick(&selections, 2).expect("walked");
        assert_eq!((quick.files, quick.bytes), (plain.files, plain.bytes));
        fs::write(tree.path().join("d1/stats"), "22").expect("a file");
        assert_eq!(super::quick(&selections, 2).expect("walked"), quick);
    }

    #[test]
    fn every_real_change_is_noticed() {
        let tree = tree();
        let before = digests(tree.path()).1;
        let changes: [(&str, fn(&Path)); 4] = [
            ("same size, other bytes", |root| fs::write(root.join("d1/f1"), vec![9; 1000]).expect("a file")),
            ("renamed", |root| fs::rename(root.join("d2/f2"), root.join("d2/g2")).expect("a file")),
            ("swapped contents", |root| {
                fs::write(root.join("d3/f3"), vec![4; 1000]).expect("a file");
                fs::write(root.join("d4/f4"), vec![3; 1000]).expect("a file");
            }),
            ("removed", |root| fs::remove_file(root.join("d0/f0")).expect("a file")),
        ];
        let mut seen = vec![before];
        for (what, change) in changes {
            change(tree.path());
            let now = digests(tree.path()).1;
            assert!(!seen.contains(&now), "{what}");
            seen.push(now);
        }
    }
}
