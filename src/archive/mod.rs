//! Archives: tar in independent zstd frames, streamed both ways.
//!
//! An archive is, in this order: a skippable frame with the [`manifest`]; the tar stream, cut into zstd
//! frames that decompress independently; a skippable frame with the digest of all before it; and the seek
//! table of zstd's seekable format. `tar --zstd -xf` and `zstd -d` read it, and skip what they do not know.
//!
//! Read [`mod@pack`] for the way out and [`mod@unpack`] for the way in. Between them: `tar_header` and `plan` lay
//! out the stream, `compress` and `decode` turn it into frames and back on a bounded pool, `frame` and
//! `seek_table` know the format, `tar_stream` reads entries, [`guard`] says which of them may be written, and `clash` what is in their way.

#![expect(clippy::disallowed_methods, reason = "this room packs and unpacks files")]

pub mod error;
pub mod manifest;

mod buffer;
mod frame;
mod seek_table;
mod skippable;
mod tar_header;

mod compress;
pub mod pack;
mod plan;

mod clash;
mod content;
mod decode;
mod entries;
pub mod guard;
mod placement;
mod tar_stream;
pub mod unpack;
pub mod verify;
mod write_pool;

pub mod release;

pub use compress::Levels;
pub use error::ArchiveError;
pub use manifest::{Counts, Manifest, Root};
pub use pack::{PackRequest, Packed, pack};
pub use unpack::{Destination, Limits, UnpackRequest, Unpacked, unpack};
pub use verify::{Verified, read_manifest, verify};

/// The format that this program writes and the only one it reads.
pub const FORMAT: u32 = 1;

/// How many threads are worth having by default: one for each core, and no more than memory allows.
pub fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from).clamp(1, 8)
}
