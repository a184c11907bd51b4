//! Archives: tar in independent zstd frames, streamed both ways.
//!
//! An archive is, in this order: a skippable frame with the manifest; the tar stream, cut into zstd
//! frames that decompress independently; skippable frames with a list of all entries and the hashes of files; one with the
//! digest; and the seek table of zstd's seekable format. `tar --zstd -xf` and `zstd -d` read it, and skip what they do not know.
//!
//! `format` is the bytes on both ways. `pack` lays out a tree as a tar stream and compresses it on a bounded pool.
//! `read` decompresses, parses and guards entries and hands them to a visitor; `write` is the visitor that makes files
//! of them. `release` reads archives of other programs.

#![expect(clippy::disallowed_methods, reason = "this room packs and unpacks files")]

mod format;
mod pack;
mod read;
pub mod release;
mod write;

pub use format::error::ArchiveError;
pub use format::frame::Splitter;
pub use format::list::{Extent, Row, RowKind};
pub use format::manifest::{Counts, Manifest, Parent, Root};
pub use format::version::FORMAT;
pub use pack::compress::Levels;
pub(crate) use pack::plan::{name_of, target_of};
pub use pack::survey::{Survey, survey};
pub use pack::thin::{Base, Division, divide, pack_thin};
pub use pack::{ArchiveOutput, PackRequest, Packed, pack};
pub use read::composite::Composite;
pub use read::limits::Limits;
pub use read::listing::{Frames, Listing, read_frames, read_listing};
pub use read::scatter::SegmentRange;
pub use read::verify::{Verified, verify};
pub use write::assemble::{AssembleRequest, Candidates, assemble, candidates};
pub use write::destination::Destination;
pub use write::unpack::{UnpackRequest, Unpacked, unpack};
