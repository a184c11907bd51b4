//! Items of an archive, and which of them are wanted.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::PathBuf;

use filetime::FileTime;

use super::error::Problem;
use super::name::{self, NameError};
use super::options::{ExtractOptions, Limits};
use crate::domain::unit::ByteSize;

/// One entry of an archive, below the wanted folder.
pub struct ReleaseItem<'a> {
    /// Where it belongs, relative to the wanted folder: never empty, never absolute, never with `..`.
    pub path: PathBuf,
    /// Its permissions (the lower twelve bits), where the archive knows them.
    pub mode: Option<u32>,
    /// When it was changed, where the archive knows it.
    pub modified: Option<FileTime>,
    /// What it is.
    pub kind: ItemKind<'a>,
}

/// What an entry is.
pub enum ItemKind<'a> {
    /// A file.
    File {
        /// Its bytes.
        size: u64,
        /// Its content, exactly [`size`](ItemKind::File::size) bytes or an error.
        reader: &'a mut dyn Read,
    },
    /// A folder.
    Directory,
    /// A symbolic link; its target is data that nobody has checked.
    Symlink {
        /// Where it points, as written.
        target: PathBuf,
    },
    /// A second name of a file that came before.
    Hardlink {
        /// That file, relative to the wanted folder like [`ReleaseItem::path`].
        target: PathBuf,
    },
}

/// Takes items one by one; `Break` ends the extraction early.
pub type Sink<'s, E> = dyn FnMut(ReleaseItem<'_>) -> Result<ControlFlow<()>, E> + 's;

/// Names at the top that are remembered for the message that nothing was wanted.
const TOP_NAMES: usize = 12;

/// Which entries are wanted, and how much there was.
pub(super) struct Selection {
    subdir: Option<(String, Vec<u8>)>,
    limits: Limits,
    matched: bool,
    top: BTreeSet<String>,
    entries: u64,
    unpacked: u64,
    /// Items handed out.
    pub(super) items: u64,
    /// Bytes of the files among them.
    pub(super) bytes: u64,
}

impl Selection {
    pub(super) fn new(options: &ExtractOptions<'_>) -> Result<Self, Problem> {
        let subdir = options.subdir.filter(|subdir| !subdir.is_empty());
        let subdir = subdir.map(|subdir| match name::normalize(subdir.as_bytes(), false) {
            Ok(normal) => Ok((subdir.to_owned(), normal)),
            Err(reason) => Err(Problem::BadSubdir(subdir.to_owned(), reason)),
        });
        Ok(Selection {
            subdir: subdir.transpose()?,
            limits: options.limits,
            matched: false,
            top: BTreeSet::new(),
            entries: 0,
            unpacked: 0,
            items: 0,
            bytes: 0,
        })
    }

    /// Counts an entry and checks its name. `Some` is its path below the wanted folder; `None` where it is
    /// the folder itself or lies elsewhere.
    pub(super) fn admit(&mut self, raw: &[u8], size: u64) -> Result<Option<PathBuf>, Problem> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(Problem::TooManyEntries(self.limits.entries));
        }
        self.unpacked = self.unpacked.saturating_add(size);
        if self.unpacked > self.limits.bytes {
            return Err(Problem::TooLarge(ByteSize(self.limits.bytes)));
        }
        let normal = name::normalize(raw, cfg!(windows)).map_err(|reason| refuse(raw, reason))?;
        if let Some(first) = normal.split(|byte| *byte == b'/').next()
            && !first.is_empty()
            && self.top.len() < TOP_NAMES
        {
            self.top.insert(shown(first));
        }
        let Some(rest) = self.below(&normal) else {
            return Ok(None);
        };
        self.matched = true;
        if rest.is_empty() {
            return Ok(None);
        }
        name::to_path(rest).map(Some).map_err(|reason| refuse(raw, reason))
    }

    /// The path of a hard link's target, which is named from the top of the archive.
    pub(super) fn link_target(&self, raw: &[u8]) -> Result<PathBuf, Problem> {
        let normal = name::normalize(raw, cfg!(windows)).map_err(|reason| refuse(raw, reason))?;
        match self.below(&normal) {
            Some(rest) if !rest.is_empty() => name::to_path(rest).map_err(|reason| refuse(raw, reason)),
            _ => Err(Problem::Conflict {
                name: shown(raw),
                reason: "a hard link in the wanted folder leads to it from outside",
            }),
        }
    }

    pub(super) fn count(&mut self, item: &ItemKind<'_>) {
        self.items += 1;
        if let ItemKind::File { size, .. } = item {
            self.bytes += size;
        }
    }

    pub(super) fn check_subdir(&self) -> Result<(), Problem> {
        match &self.subdir {
            Some((subdir, _)) if !self.matched => Err(Problem::NothingInSubdir {
                subdir: subdir.clone(),
                top: self.top.iter().cloned().collect(),
            }),
            _ => Ok(()),
        }
    }

    fn below<'n>(&self, normal: &'n [u8]) -> Option<&'n [u8]> {
        name::below(normal, self.subdir.as_ref().map_or(&[], |(_, subdir)| subdir))
    }
}

fn refuse(raw: &[u8], reason: NameError) -> Problem {
    Problem::Name { name: shown(raw), reason }
}

/// A name for a message: its first characters, without control characters.
pub(super) fn shown(raw: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(raw).chars().take(200).collect();
    text.replace(char::is_control, "\u{fffd}")
}

/// The content of one file: exactly its size, and it remembers what failed.
pub(super) struct ItemReader<'r> {
    inner: &'r mut dyn Read,
    left: u64,
    /// Why reading failed, whatever the sink made of it.
    pub(super) failure: Option<io::Error>,
}

impl<'r> ItemReader<'r> {
    pub(super) fn new(inner: &'r mut dyn Read, size: u64) -> Self {
        ItemReader { inner, left: size, failure: None }
    }

    /// Reads what the sink left.
    pub(super) fn drain(&mut self) -> io::Result<()> {
        io::copy(self, &mut io::sink()).map(drop)
    }

    fn fail(&mut self, error: io::Error) -> io::Error {
        let again = io::Error::new(error.kind(), error.to_string());
        self.failure.get_or_insert(error);
        again
    }
}

impl Read for ItemReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(failure) = &self.failure {
            // A decoder is not to be asked again after it has failed.
            return Err(io::Error::new(failure.kind(), failure.to_string()));
        }
        match self.inner.read(buffer) {
            Ok(0) if self.left > 0 && !buffer.is_empty() => {
                Err(self
                    .fail(io::Error::new(io::ErrorKind::UnexpectedEof, "it ends in the middle of a file")))
            }
            Ok(count) => match self.left.checked_sub(count as u64) {
                Some(left) => {
                    self.left = left;
                    Ok(count)
                }
                None => Err(self.fail(io::Error::other("a file is longer than its header says"))),
            },
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => Err(self.fail(error)),
        }
    }
}
