//! The digest of files by content, for `{files:GLOBS}`: equal on every OS.
//!
//! Text is hashed with CRLF read as LF, so that it does not matter how a checkout writes line ends; text is
//! what git takes for text, a file without NUL in its first 8000 bytes. Names do not count, nor does the order,
//! nor how often a content occurs.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::globs::TreeGlob;
use crate::domain::digest::Sha256Digest;
use crate::domain::fault::Fault;
use crate::fs::open::{self, Links};
use crate::fs::read::FileChunks;
use crate::fs::read_error::ReadError;
use crate::threads::start;

/// Raised when the digest changes its meaning.
const LAYOUT: &str = "cachekeep-files-1";

/// How far git looks for a NUL.
const TEXT_PROBE: usize = 8000;

/// The files that matched and what they amount to.
#[derive(Debug)]
pub(crate) struct FileDigest {
    /// The digest; nothing where no file matched.
    pub digest: Option<Sha256Digest>,
    /// Each file by its path with the digest of its content, sorted by path.
    pub files: Vec<(String, Sha256Digest)>,
    /// Directories that could not be read, and may hold more.
    pub unreadable: Vec<ReadError>,
}

/// Digests the files below `root` that the globs mean, but for those below the directories `without`, on up to `workers` threads and the
/// calling one.
pub(crate) fn file_digest(
    root: &Path,
    globs: &TreeGlob,
    without: &[PathBuf],
    workers: usize,
    cancel: &CancellationToken,
) -> Result<FileDigest, Fault> {
    let mut files = Vec::new();
    let mut contents = BTreeSet::new();
    let found = globs.files(root, without, workers, cancel)?;
    let digests =
        start::map(&found.files, "files", workers, |file| content_digest(&file.location, file.links, cancel));
    for (file, digest) in found.files.into_iter().zip(digests) {
        let digest = digest.map_err(unreadable(&file.location))?;
        contents.insert(digest);
        files.push((file.path, digest));
    }
    let lines = std::iter::once(LAYOUT.to_owned()).chain(contents.iter().map(ToString::to_string));
    let digest = (!files.is_empty()).then(|| Sha256Digest::of_lines(lines));
    Ok(FileDigest { digest, files, unreadable: found.unreadable })
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> Fault + '_ {
    |error| match ReadError::of(path)(error) {
        failed @ ReadError::Failed(_) => {
            Fault::from(failed).with_hint("make the file readable, or exclude it with a `!` glob".to_owned())
        }
        cancelled @ ReadError::Cancelled(_) => cancelled.into(),
    }
}

/// The SHA-256 of a file, with CRLF read as LF where git would take it for text.
pub(crate) fn content_digest(
    path: &Path,
    links: Links,
    cancel: &CancellationToken,
) -> io::Result<Sha256Digest> {
    let mut content = FileContent::default();
    let mut chunks = FileChunks::of(open::file(path, links)?, cancel);
    while let Some(bytes) = chunks.next()? {
        content.update(bytes);
    }
    Ok(content.finish())
}

/// A content in the making.
#[derive(Default)]
struct FileContent {
    hasher: Sha256,
    /// The beginning, held back until it is known whether this is text.
    probe: Vec<u8>,
    is_text: Option<bool>,
    /// A carriage return was held back: a line feed may follow.
    carriage_return: bool,
}

impl FileContent {
    fn update(&mut self, mut bytes: &[u8]) {
        if self.is_text.is_none() {
            let (probed, rest) = bytes.split_at(bytes.len().min(TEXT_PROBE - self.probe.len()));
            self.probe.extend_from_slice(probed);
            bytes = rest;
            if self.probe.len() == TEXT_PROBE {
                self.settle();
            }
        }
        if !bytes.is_empty() {
            self.take(bytes);
        }
    }

    fn settle(&mut self) {
        self.is_text = Some(!self.probe.contains(&0));
        let probe = std::mem::take(&mut self.probe);
        self.take(&probe);
    }

    fn take(&mut self, bytes: &[u8]) {
        if self.is_text == Some(false) {
            return self.hasher.update(bytes);
        }
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if std::mem::take(&mut self.carriage_return) && line != b"\n" {
                self.hasher.update(b"\r");
            }
            match line {
                [text @ .., b'\r', b'\n'] => {
                    self.hasher.update(text);
                    self.hasher.update(b"\n");
                }
                [text @ .., b'\r'] => {
                    self.hasher.update(text);
                    self.carriage_return = true;
                }
                text => self.hasher.update(text),
            }
        }
    }

    fn finish(mut self) -> Sha256Digest {
        if self.is_text.is_none() {
            self.settle();
        }
        if self.carriage_return {
            self.hasher.update(b"\r");
        }
        Sha256Digest(self.hasher.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    fn of_chunks(bytes: &[u8], size: usize) -> Sha256Digest {
        let mut content = FileContent::default();
        for chunk in bytes.chunks(size.max(1)) {
            content.update(chunk);
        }
        content.finish()
    }

    fn with_crlf(text: &[u8]) -> Vec<u8> {
        text.iter().flat_map(|byte| if *byte == b'\n' { b"\r\n".to_vec() } else { vec![*byte] }).collect()
    }

    #[test]
    fn text_is_hashed_as_if_it_had_plain_line_feeds() {
        for (text, hashed) in
            [("a\r\nb\r\n", "a\nb\n"), ("\r\n", "\n"), ("a\r\r\n", "a\r\n"), ("a\rb\r", "a\rb\r")]
        {
            assert_eq!(of_chunks(text.as_bytes(), 2), Sha256Digest::of(hashed.as_bytes()), "{text:?}");
        }
    }

    #[test]
    fn binary_files_are_hashed_as_they_are() {
        let mut bytes = b"a\r\n\0".to_vec();
        assert_eq!(of_chunks(&bytes, 1), Sha256Digest::of(&bytes));
        bytes = [&[b'x'; TEXT_PROBE - 1][..], b"\0\r\n"].concat();
        assert_eq!(of_chunks(&bytes, 999), Sha256Digest::of(&bytes));
        let late = [&[b'x'; TEXT_PROBE][..], b"\0\r\n"].concat();
        assert_eq!(of_chunks(&late, 999), Sha256Digest::of(&[&[b'x'; TEXT_PROBE][..], b"\0\n"].concat()));
    }

    proptest! {
        #[test]
        fn a_checkout_with_crlf_has_the_same_digest(
            lines in proptest::collection::vec("[a-z]{0,40}", 0..400), size in 1usize..5000
        ) {
            let text = lines.join("\n").into_bytes();
            prop_assert_eq!(of_chunks(&with_crlf(&text), size), Sha256Digest::of(&text));
        }
    }

    #[test]
    fn names_order_and_repeats_do_not_count_contents_do() {
        let digest = |files: &[(&str, &str)]| {
            let root = tempfile::tempdir().expect("a directory");
            for (name, content) in files {
                fs::write(root.path().join(name), content).expect("a file");
            }
            let globs = TreeGlob::new(&["*"]).expect("globs");
            file_digest(root.path(), &globs, &[], 2, &CancellationToken::new()).expect("a digest")
        };
        let reference = digest(&[("a", "1\n"), ("b", "2")]);
        assert_eq!(digest(&[("z", "1\r\n"), ("b", "2"), ("c", "2")]).digest, reference.digest);
        assert_ne!(digest(&[("a", "1\n"), ("b", "3")]).digest, reference.digest);
        assert_eq!(reference.files[0].0, "a");
        let nothing = digest(&[]);
        assert_eq!((nothing.digest, nothing.files), (None, Vec::new()));
    }

    #[test]
    #[cfg(unix)]
    fn a_broken_link_is_named() {
        let root = tempfile::tempdir().expect("a directory");
        std::os::unix::fs::symlink("nowhere", root.path().join("link")).expect("a link");
        let globs = TreeGlob::new(&["*"]).expect("globs");
        let error = file_digest(root.path(), &globs, &[], 2, &CancellationToken::new()).expect_err("broken");
        assert!(error.to_string().contains("/link`: "), "{error}");
    }
}
