//! CIDs of `UnixFS` files: what a file's root block would be under each way of building it that is in use,
//! proofs for files built in any other way, and CAR streams.
//!
//! A CID of codec raw is the plain SHA-256 of a file and needs none of this. One of codec dag-pb names the
//! root block of a tree over the file's chunks, and how the tree was built is not written in the CID.
//! Verifying is a ladder, cheapest rung first:
//!
//! 1. [`matches()`] rebuilds the tree under every [`Profile`]: nothing but the file is needed.
//! 2. [`proof::prove`] fetches the inner blocks of the tree, which say how it was built, and checks the file
//!    against them; the [`proof::Proof`] can be kept and checked again offline.
//! 3. [`car::unpack`] reads a whole CAR stream, every block verified and none missing, into a file.
//!
//! While bytes still arrive, [`DagCandidates`] (or [`Builder`], for one layout) takes them as they come.
mod builder;
pub mod car;
mod decode;
mod encode;
mod error;
mod profile;
pub mod proof;

use std::io;
use std::path::Path;

use tokio_util::sync::CancellationToken;

use crate::domain::digest::CidCodec;
use crate::fs::open::{self, Links};
use crate::fs::read::FileChunks;

pub use builder::{Builder, DagCandidates, Root};
pub use error::{BlockId, DagError, MAX_BLOCK_BYTES};
pub use profile::{Layout, Leaves, Profile};

/// The profile under which the file's root block is a dag-pb block of this digest, or `None` where no profile
/// fits.
///
/// The profiles with the same chunks and leaves share a pass over the file; the likelier pass comes first. At
/// most two passes are made, and none that cannot match a file of this length: a file of one raw chunk has no
/// dag-pb block, even if its own SHA-256 is the digest (a file that *is* the root block does not hold the
/// content the block stands for).
///
/// Errors are those of reading, and one that holds a [`Cancelled`](crate::fs::cancel::Cancelled).
pub fn matches(path: &Path, digest: &[u8; 32], cancel: &CancellationToken) -> io::Result<Option<Profile>> {
    for profiles in Profile::passes() {
        let file = open::file(path, Links::Refused)?;
        let length = file.metadata()?.len();
        let possible: Vec<Profile> =
            profiles.iter().copied().filter(|profile| profile.layout().has_dag_pb_root(length)).collect();
        if possible.is_empty() {
            continue;
        }
        let mut candidates = DagCandidates::new(&possible);
        let mut chunks = FileChunks::of(file, cancel);
        while let Some(bytes) = chunks.next()? {
            candidates.push(bytes);
        }
        let matching = candidates.finish().into_iter().find(|(_, root)| root.names(CidCodec::DagPb, digest));
        if let Some((profile, _)) = matching {
            return Ok(Some(profile));
        }
    }
    Ok(None)
}

#[cfg(test)]
pub(super) mod sample;
#[cfg(test)]
mod tests;
