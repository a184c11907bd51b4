//! Items of a release archive: which of them are wanted, and how they are handed out.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::PathBuf;

use super::error::{fault, named};
use super::options::ExtractOptions;
use super::raw::Raw;
use crate::archive::format::error::ArchiveError;
use crate::archive::read::guard::{self, Guard, Place, Refusal};
use crate::archive::read::limits::Limits;
use crate::domain::fault::Fault;
use crate::tree::walk::Modified;

/// Names at the top that are remembered for the message that nothing was wanted.
const TOP_NAMES: usize = 12;

/// One entry of an archive, below the wanted directory.
pub struct ReleaseItem<'a> {
    /// Where it belongs, relative to the wanted directory: never empty, never absolute, never with `..`.
    pub path: PathBuf,
    /// Its permissions (the lower twelve bits); `None` if the archive does not record them.
    pub mode: Option<u32>,
    /// When it was changed; `None` if the archive does not record it.
    pub modified: Option<Modified>,
    /// What it is.
    pub kind: ItemKind<'a>,
}

/// What an entry is.
pub enum ItemKind<'a> {
    /// A file.
    File {
        /// Length of its content, in bytes.
        size: u64,
        /// Its content, exactly [`size`](ItemKind::File::size) bytes or an error.
        reader: &'a mut dyn Read,
    },
    /// A directory.
    Directory,
    /// A symbolic link; it may lead anywhere.
    Symlink {
        /// Where it points, as written.
        target: Vec<u8>,
    },
    /// A second name of a file that came before.
    Hardlink {
        /// That file, relative to the wanted directory like [`ReleaseItem::path`].
        target: PathBuf,
    },
}

/// Takes items one by one; `Break` ends the extraction early.
pub type Sink<'s> = dyn FnMut(ReleaseItem<'_>) -> Result<ControlFlow<()>, Fault> + 's;

/// An item before its content.
pub(super) struct Head {
    pub(super) path: PathBuf,
    pub(super) mode: Option<u32>,
    pub(super) modified: Option<Modified>,
    pub(super) kind: Kind,
}

/// What an item is, with the length of its content.
pub(super) enum Kind {
    File { size: u64 },
    Directory,
    Symlink { target: Vec<u8> },
    Hardlink { target: PathBuf },
}

/// Chooses the wanted entries and counts them.
pub(super) struct WantedItems<'a> {
    archive: &'a str,
    subdir: Option<&'a str>,
    guard: Guard,
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

impl<'a> WantedItems<'a> {
    pub(super) fn new(options: &ExtractOptions<'a>) -> Result<Self, Fault> {
        let subdir = options.subdir.filter(|subdir| !subdir.is_empty());
        if let Some(subdir) = subdir {
            let refused = |refusal: Refusal| format!("`subdir` `{subdir}` {}", refusal.reason());
            let checked = Guard::anywhere().for_reading().find(subdir.as_bytes());
            checked.map_err(|refusal| fault(options.archive, refused(refusal)))?;
        }
        Ok(WantedItems {
            archive: options.archive,
            subdir,
            guard: subdir.map_or_else(Guard::anywhere, |subdir| Guard::new([subdir])),
            limits: options.limits,
            matched: false,
            top: BTreeSet::new(),
            entries: 0,
            unpacked: 0,
            items: 0,
            bytes: 0,
        })
    }

    /// Counts an entry and checks its name. Returns its path below the wanted directory; `None` if it is that
    /// directory or lies elsewhere.
    pub(super) fn admit(&mut self, name: &[u8], size: u64) -> Result<Option<PathBuf>, ArchiveError> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(ArchiveError::Limit { limit: self.limits.entries, unit: "entries" });
        }
        self.unpacked = self.unpacked.saturating_add(size);
        if self.unpacked > self.limits.bytes {
            return Err(ArchiveError::Limit { limit: self.limits.bytes, unit: "bytes" });
        }
        guard::check_length(name, name, "name")?;
        let place = self.guard.find(name).map_err(|refusal| refusal.of(name))?;
        if let Some(first) = guard::components(name).next()
            && self.top.len() < TOP_NAMES
        {
            self.top.insert(shown(first));
        }
        let Some(Place::Inside { relative, .. }) = place else { return Ok(None) };
        self.matched = true;
        Ok(Some(relative).filter(|path| !path.as_os_str().is_empty()))
    }

    /// The target of a symbolic link.
    pub(super) fn symlink(name: &[u8], target: Vec<u8>) -> Result<Kind, ArchiveError> {
        guard::check_length(name, &target, "target")?;
        guard::check_target(&target).map_err(|reason| ArchiveError::refused(name, reason))?;
        Ok(Kind::Symlink { target })
    }

    /// The target of a hard link, which is named from the top of the archive.
    pub(super) fn hard_link(&self, name: &[u8], target: &[u8]) -> Result<Kind, ArchiveError> {
        guard::check_length(name, target, "target")?;
        guard::check_target(target).map_err(|reason| ArchiveError::refused(name, reason))?;
        let (_, target) = self.guard.link_target(target).map_err(|refusal| refusal.of(name))?;
        Ok(Kind::Hardlink { target })
    }

    /// Gives an item to the sink and reads its content to the end; false if the sink ended the extraction. When
    /// reading fails, the sink's own error about it is replaced by the cause.
    pub(super) fn hand_out(
        &mut self,
        head: Head,
        content: &mut dyn Read,
        raw: &Raw<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<bool, Fault> {
        let Head { path, mode, modified, kind } = head;
        self.items += 1;
        let size = if let Kind::File { size } = kind { size } else { 0 };
        self.bytes += size;
        let mut reader = ItemReader::new(content, size);
        let kind = match kind {
            Kind::File { size } => ItemKind::File { size, reader: &mut reader },
            Kind::Directory => ItemKind::Directory,
            Kind::Symlink { target } => ItemKind::Symlink { target },
            Kind::Hardlink { target } => ItemKind::Hardlink { target },
        };
        let taken = sink(ReleaseItem { path, mode, modified, kind });
        raw.options().meter.add_items(1);
        let failed = |error: &io::Error| named(self.archive, raw.error(error));
        if let Some(failure) = reader.failure.take() {
            return Err(failed(&failure));
        }
        if taken?.is_break() {
            return Ok(false);
        }
        reader.drain().map_err(|error| failed(&error))?;
        Ok(true)
    }

    /// An error if nothing lay in the wanted directory.
    pub(super) fn check_subdir(&self) -> Result<(), Fault> {
        let Some(subdir) = self.subdir.filter(|_| !self.matched) else { return Ok(()) };
        let top: Vec<&str> = self.top.iter().map(String::as_str).collect();
        let message = format!("has nothing in `{subdir}`; at its top are: {}", top.join(", "));
        Err(fault(self.archive, message).with_hint("set `subdir` to a directory of the archive".to_owned()))
    }
}

/// A name for a message: its first characters, without control characters.
fn shown(name: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(name).chars().take(200).collect();
    text.replace(char::is_control, "\u{fffd}")
}

/// The content of one file: exactly its size, and it remembers what failed.
pub(super) struct ItemReader<'r> {
    inner: &'r mut dyn Read,
    left: u64,
    /// Why reading failed, whatever the sink returned.
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
            // Decoders must not be read again after an error.
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
