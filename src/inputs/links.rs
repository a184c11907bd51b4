//! The content links of a tree, and the objects that they want.

use std::fmt;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::globs::{TreeFile, TreeGlob};
use crate::domain::content_link::{self, LinkError, MAX_LINK_BYTES, WantedObjects};
use crate::domain::digest::{Algorithm, ObjectId};
use crate::domain::fault::Fault;
use crate::fs::cancel;
use crate::fs::open;
use crate::fs::read_error::ReadError;
use crate::threads::start;

/// How many malformed links a message lists.
const LISTED: usize = 10;

/// A file that the globs match and that is not a content link.
#[derive(Debug)]
pub struct MalformedLink {
    /// Its path in the tree.
    pub path: String,
    /// What is wrong with it.
    pub why: String,
}

/// The first malformed links, and how many there are.
#[derive(Debug, Default)]
pub struct MalformedLinks {
    /// The first ten, in the order of their paths.
    pub first: Vec<MalformedLink>,
    /// How many there are in all.
    pub count: usize,
}

impl MalformedLinks {
    fn push(&mut self, path: &str, why: String) {
        self.count += 1;
        if self.first.len() < LISTED {
            self.first.push(MalformedLink { path: path.to_owned(), why });
        }
    }
}

impl fmt::Display for MalformedLinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = if self.count == 1 { "content link is" } else { "content links are" };
        write!(f, "{} {noun} malformed:", self.count)?;
        for link in &self.first {
            write!(f, "\n  {}: {}", link.path, link.why)?;
        }
        match self.count - self.first.len() {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

impl From<MalformedLinks> for Fault {
    fn from(links: MalformedLinks) -> Self {
        Fault::environment(links.to_string()).with_hint(
            "correct them, or exclude files that are not content links with a `!` glob in `links.files`"
                .to_owned(),
        )
    }
}

/// Reads the content links below `root` that the globs mean, but for those below the directories `without`, on up to `workers`
/// threads and the calling one: the extension of a file names the algorithm, and its text is the hash. A file with another extension or text is an error.
/// No file means that nothing is wanted. Directories that could not be read, and may hold more, come with them.
pub(crate) fn wanted_objects(
    root: &Path,
    globs: &TreeGlob,
    without: &[PathBuf],
    workers: usize,
    cancel: &CancellationToken,
) -> Result<(WantedObjects, Vec<ReadError>), Fault> {
    let mut wanted = WantedObjects::default();
    let mut malformed = MalformedLinks::default();
    let found = globs.files(root, without, workers, cancel)?;
    let read = |file: &TreeFile| if cancel.is_cancelled() { Err(String::new()) } else { read_link(file) };
    let links = start::map(&found.files, "links", workers, read);
    cancel::check(cancel)?;
    for (file, link) in found.files.into_iter().zip(links) {
        match link {
            Ok(object) => wanted.insert(object, file.path),
            Err(why) => malformed.push(&file.path, why),
        }
    }
    if malformed.count > 0 { Err(malformed.into()) } else { Ok((wanted, found.unreadable)) }
}

fn read_link(file: &TreeFile) -> Result<ObjectId, String> {
    let algorithm = content_link::algorithm_of(&file.path).ok_or_else(|| {
        let known: Vec<String> = Algorithm::all().map(|algorithm| format!(".{algorithm}")).collect();
        format!("its name ends in none of {}", known.join(" "))
    })?;
    // As many bytes as tell whether a file is too long.
    let mut buffer = [0; MAX_LINK_BYTES + 1];
    let length = read_start(file, &mut buffer).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "is a symbolic link that leads nowhere".to_owned(),
        _ => error.to_string(),
    })?;
    content_link::parse(algorithm, &buffer[..length]).map_err(|error: LinkError| error.to_string())
}

/// Reads a file until its end or that of the buffer.
fn read_start(file: &TreeFile, buffer: &mut [u8]) -> io::Result<usize> {
    let mut opened = open::file(&file.location, file.links)?;
    let mut length = 0;
    while length < buffer.len() {
        match opened.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The links of a real tree: path, tab, CID.
    const REAL: &str = include_str!("../../tests/fixtures/content-links.tsv");

    fn real() -> Vec<(String, String)> {
        let row = |line: &str| line.split_once('\t').map(|(path, hash)| (path.to_owned(), hash.to_owned()));
        REAL.lines().map(|line| row(line).expect("two columns")).collect()
    }

    fn write(root: &Path, path: &str, content: &[u8]) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        fs::write(path, content).expect("a file");
    }

    fn scan(root: &Path) -> Result<WantedObjects, Fault> {
        let globs = TreeGlob::new(&["**/*.cid", "**/*.md5"]).expect("globs");
        wanted_objects(root, &globs, &[], 2, &CancellationToken::new()).map(|(wanted, _)| wanted)
    }

    /// Writes the links over what is there and scans the tree.
    fn digest_of(root: &Path, links: &[(String, String)], text: impl Fn(usize, &str) -> String) -> String {
        for (index, (path, hash)) in links.iter().enumerate() {
            write(root, path, text(index, hash).as_bytes());
        }
        let wanted = scan(root).expect("links");
        assert_eq!(wanted.link_count(), links.len());
        wanted.digest().to_string()
    }

    #[test]
    fn a_real_tree_has_one_digest_however_its_links_are_written() {
        let links = real();
        let root = tempfile::tempdir().expect("a directory");
        let digest = |text: fn(usize, &str) -> String| digest_of(root.path(), &links, text);
        let reference = digest(|_, hash| format!("{hash}\n"));
        assert_eq!(digest(|_, hash| format!("{hash}\r\n")), reference, "CRLF");
        assert_eq!(digest(|_, hash| hash.to_owned()), reference, "no final newline");
        assert_eq!(digest(|_, hash| format!("\u{feff}{hash}\n")), reference, "byte order mark");

        let mut other = links.clone();
        other.reverse();
        other.rotate_left(1234);
        let renamed = other[7].0.replace(".cid", "-renamed.cid");
        other[7].0 = format!("moved/{renamed}");
        let elsewhere = tempfile::tempdir().expect("a directory");
        let mixed = digest_of(elsewhere.path(), &other, |index, hash| match index % 3 {
            0 => format!("{hash}\r\n"),
            1 => format!("\u{feff}{hash}"),
            _ => format!(" {hash}\n\n"),
        });
        assert_eq!(mixed, reference, "another order, a renamed link, mixed line ends");
    }

    #[test]
    fn the_digest_of_a_real_tree_changes_with_its_objects() {
        let links = real();
        let root = tempfile::tempdir().expect("a directory");
        let reference = digest_of(root.path(), &links, |_, hash| hash.to_owned());
        let scanned = || scan(root.path()).expect("links").digest().to_string();
        write(root.path(), "again.cid", links[0].1.as_bytes());
        assert_eq!(scanned(), reference, "one more link to an object");
        write(root.path(), "again.cid", b"bafkreif2pall7dybz7vecqka3zo24irdwabwdi4wc55jznaq75q7eaavvu");
        assert_ne!(scanned(), reference, "an added object");
        fs::remove_file(root.path().join("again.cid")).expect("removed");
        for (path, _) in links.iter().filter(|(_, hash)| *hash == links[0].1) {
            fs::remove_file(root.path().join(path)).expect("removed");
        }
        assert_ne!(scanned(), reference, "a removed object");
    }

    #[test]
    fn a_real_tree_wants_each_object_once() {
        let root = tempfile::tempdir().expect("a directory");
        for (path, hash) in real() {
            write(root.path(), &path, hash.as_bytes());
        }
        let wanted = scan(root.path()).expect("links");
        assert_eq!((wanted.link_count(), wanted.len()), (3151, 2867));
    }

    #[test]
    fn malformed_links_are_all_counted_and_the_first_are_named() {
        let root = tempfile::tempdir().expect("a directory");
        write(root.path(), "good.md5", b"d41d8cd98f00b204e9800998ecf8427e");
        for index in 0..12 {
            write(root.path(), &format!("bad{index:02}.md5"), b"");
        }
        write(root.path(), "a.md5", &[b'a'; 5000]);
        let error = scan(root.path()).expect_err("malformed").to_string();
        let lines: Vec<&str> = error.lines().collect();
        assert_eq!(lines[0], "13 content links are malformed:");
        assert_eq!(lines[1], "  a.md5: longer than 1024 bytes");
        assert_eq!(lines[2], "  bad00.md5: empty");
        assert_eq!((lines.len(), lines[11]), (12, "  and 3 more"));
    }

    #[test]
    fn what_the_globs_mean_and_no_algorithm_claims_is_malformed() {
        let root = tempfile::tempdir().expect("a directory");
        write(root.path(), "readme.txt", b"text");
        let globs = TreeGlob::new(&["**"]).expect("globs");
        let error = wanted_objects(root.path(), &globs, &[], 2, &CancellationToken::new()).expect_err("text");
        assert!(error.to_string().contains("readme.txt: its name ends in none of .cid .md5"), "{error}");
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("nowhere", root.path().join("x.cid")).expect("a link");
            let error = scan(root.path()).expect_err("broken").to_string();
            assert!(error.contains("x.cid: is a symbolic link that leads nowhere"), "{error}");
        }
    }
}
