//! A whole release archive, unpacked into an empty directory by the writer of cache archives.

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use super::error::named;
use super::extract::{Extracted, extract};
use super::item::{ItemKind, ReleaseItem};
use super::options::{ExtractOptions, Input};
use crate::archive::format::error::ArchiveError;
use crate::archive::read::buffer::Buffers;
use crate::archive::read::entries::{Attributes, Spot, Visitor as _};
use crate::archive::write::clash;
use crate::archive::write::destination::Destination;
use crate::archive::write::writer::{Repeats, Writer};
use crate::domain::fault::Fault;

/// Threads that write, if they can be had. One thread decodes, which takes longer.
const WRITERS: usize = 2;

/// Buffers between the thread that decodes and those that write, and the size of each, in bytes.
const BUFFERS: usize = 16;
const PIECE: usize = 128 << 10;

/// Unpacks everything into `directory`, which exists, is empty and belongs to the caller alone; then checks the
/// checksum. After an error the directory holds a part of the archive, which the caller removes.
///
/// Permissions are those of the archive without set-user-ID, set-group-ID and the sticky bit; the owner may always
/// enter and change directories. Where the archive records none they are 644, and 755 for directories. Links may lead
/// anywhere.
pub fn unpack_tree(input: Input, options: &ExtractOptions<'_>, directory: &Path) -> Result<Extracted, Fault> {
    let prefix = options.subdir.unwrap_or_default().trim_end_matches('/').to_owned();
    let places = vec![Destination { prefix, directory: directory.to_owned() }];
    let fail = |error| named(options.archive, clash::explain(error, &places));
    std::thread::scope(|scope| {
        let writer = Writer::start(scope, WRITERS, places.clone(), Repeats::FilesAndLinks).without_hashing();
        let mut tree = ReleaseTree { writer, buffers: Buffers::new(BUFFERS) };
        let extracted = extract(input, options, &mut |item| {
            tree.put(item).map_err(fail)?;
            Ok(ControlFlow::Continue(()))
        })?;
        if let Some(outcome) = &extracted.checksum {
            outcome.check(options.archive)?;
        }
        tree.writer.finish(options.cancel).map_err(fail)?;
        Ok(extracted)
    })
}

struct ReleaseTree {
    writer: Writer,
    buffers: Arc<Buffers>,
}

impl ReleaseTree {
    fn put(&mut self, item: ReleaseItem<'_>) -> Result<(), ArchiveError> {
        let ReleaseItem { path, mode, modified, kind } = item;
        let spot = Spot { root: 0, relative: path };
        let attributes = |default| Attributes { mode: mode.unwrap_or(default) & 0o777, modified };
        match kind {
            ItemKind::Directory => {
                let Attributes { mode, modified } = attributes(0o755);
                self.writer.directory(&spot, Attributes { mode: mode | 0o700, modified })
            }
            ItemKind::Symlink { target } => self.writer.symlink(&spot, target, attributes(0o777)),
            ItemKind::Hardlink { target } => {
                self.writer.hard_link(&spot, &Spot { root: 0, relative: target })
            }
            ItemKind::File { size, reader } => {
                self.writer.file(spot, size, attributes(0o644))?;
                self.content(size, reader)
            }
        }
    }

    fn content(&mut self, size: u64, reader: &mut dyn Read) -> Result<(), ArchiveError> {
        let mut left = size;
        while left > 0 {
            let mut chunk = self.buffers.take();
            let data = &mut chunk.buffer().data;
            data.resize(usize::try_from(left).unwrap_or(PIECE).min(PIECE), 0);
            let count = match reader.read(data) {
                Ok(0) => return Err(ArchiveError::Input(io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(ArchiveError::Input(error)),
            };
            data.truncate(count);
            left -= count as u64;
            self.writer.content(chunk.into_slice())?;
        }
        Ok(())
    }
}
