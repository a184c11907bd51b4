//! Hashes of files: every algorithm that can name an object, streamed.
//!
//! A file that names an object is proven by its bytes or not at all: [`verify_file`] says which.

use std::fs;
use std::io;
use std::path::Path;

use data_encoding::HEXLOWER;
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha224, Sha256, Sha384, Sha512};
use sha3::{Sha3_224, Sha3_256, Sha3_384, Sha3_512};
use tokio_util::sync::CancellationToken;

use super::unixfs;
use crate::domain::digest::{Algorithm, CidCodec, ObjectId};
use crate::domain::event::Meter;
use crate::domain::inventory::Presence;
use crate::fs::cancel::Cancelled;
use crate::fs::open::{self, Links};
use crate::fs::read::FileChunks;

/// A hash in the making, of whichever algorithm names the object.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it all")]
pub enum ObjectHasher {
    Md5(Md5),
    Sha1(Sha1),
    Sha224(Sha224),
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
    Sha3_224(Sha3_224),
    Sha3_256(Sha3_256),
    Sha3_384(Sha3_384),
    Sha3_512(Sha3_512),
}

/// Runs the same expression on whichever hasher it is.
macro_rules! each {
    ($hasher:expr, $inner:ident => $body:expr) => {
        match $hasher {
            ObjectHasher::Md5($inner) => $body,
            ObjectHasher::Sha1($inner) => $body,
            ObjectHasher::Sha224($inner) => $body,
            ObjectHasher::Sha256($inner) => $body,
            ObjectHasher::Sha384($inner) => $body,
            ObjectHasher::Sha512($inner) => $body,
            ObjectHasher::Sha3_224($inner) => $body,
            ObjectHasher::Sha3_256($inner) => $body,
            ObjectHasher::Sha3_384($inner) => $body,
            ObjectHasher::Sha3_512($inner) => $body,
        }
    };
}

impl ObjectHasher {
    /// The hasher for an algorithm; for CIDs that of raw ones, SHA-256.
    pub fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Md5 => ObjectHasher::Md5(Md5::new()),
            Algorithm::Sha1 => ObjectHasher::Sha1(Sha1::new()),
            Algorithm::Sha224 => ObjectHasher::Sha224(Sha224::new()),
            Algorithm::Cid | Algorithm::Sha256 => ObjectHasher::Sha256(Sha256::new()),
            Algorithm::Sha384 => ObjectHasher::Sha384(Sha384::new()),
            Algorithm::Sha512 => ObjectHasher::Sha512(Sha512::new()),
            Algorithm::Sha3_224 => ObjectHasher::Sha3_224(Sha3_224::new()),
            Algorithm::Sha3_256 => ObjectHasher::Sha3_256(Sha3_256::new()),
            Algorithm::Sha3_384 => ObjectHasher::Sha3_384(Sha3_384::new()),
            Algorithm::Sha3_512 => ObjectHasher::Sha3_512(Sha3_512::new()),
        }
    }

    /// The hasher that proves this object from its bytes alone; none for a dag-pb CID, which names a tree
    /// of blocks.
    pub fn of_object(object: &ObjectId) -> Option<Self> {
        match object.cid() {
            Some((CidCodec::DagPb, _)) => None,
            _ => Some(ObjectHasher::new(object.algorithm())),
        }
    }

    /// Takes more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        each!(self, hasher => hasher.update(bytes));
    }

    /// The digest.
    pub fn finish(self) -> Vec<u8> {
        each!(self, hasher => hasher.finalize().to_vec())
    }

    /// Whether the bytes so far are the object's. Only for the hasher that [`of_object`](Self::of_object) gave.
    pub fn matches(self, object: &ObjectId) -> bool {
        let digest = self.finish();
        match object.cid() {
            Some((CidCodec::Raw, wanted)) => digest == wanted,
            Some((CidCodec::DagPb, _)) => false,
            None => HEXLOWER.encode(&digest) == object.hash(),
        }
    }
}

/// Whether a file's bytes are those of an object: by their hash, or by the tree of blocks that each known profile makes of them. Links and
/// directories never are, wherever they lead. Whether a file is a tree of blocks that no profile
/// gives, only a proof can tell.
///
/// The meter, if any, counts the bytes read.
///
/// Errors: the file cannot be read, or is not there; or the work was [`Cancelled`].
pub(crate) fn verify_file(
    path: &Path,
    object: &ObjectId,
    cancel: &CancellationToken,
    meter: Option<&Meter>,
) -> io::Result<Presence> {
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_file() {
        return Ok(Presence::Corrupt { why: kind_of(&metadata).to_owned() });
    }
    if let Some((CidCodec::DagPb, digest)) = object.cid() {
        let presence = verify_tree(path, &digest, metadata.len(), cancel)?;
        // However often it was read: its bytes are once in the meter's total.
        if let Some(meter) = meter {
            meter.add_bytes(metadata.len());
        }
        return Ok(presence);
    }
    let mut hasher = ObjectHasher::new(object.algorithm());
    let mut size = 0;
    let mut chunks = FileChunks::of(open::file(path, Links::Refused)?, cancel);
    while let Some(bytes) = chunks.next()? {
        hasher.update(bytes);
        size += bytes.len() as u64;
        if let Some(meter) = meter {
            meter.add_bytes(bytes.len() as u64);
        }
    }
    Ok(match hasher.matches(object) {
        true => Presence::Verified { size },
        false if size == 0 => Presence::Corrupt { why: "is empty".to_owned() },
        false => Presence::Corrupt { why: format!("has {size} bytes that hash to something else") },
    })
}

fn kind_of(metadata: &fs::Metadata) -> &'static str {
    match metadata.file_type() {
        kind if kind.is_dir() => "is a directory",
        kind if kind.is_symlink() => "is a symbolic link",
        _ => "is not a regular file",
    }
}

/// A dag-pb CID names a tree of blocks over the file, which is rebuilt in the ways that are in use.
fn verify_tree(
    path: &Path,
    digest: &[u8; 32],
    size: u64,
    cancel: &CancellationToken,
) -> io::Result<Presence> {
    match unixfs::matches(path, digest, cancel) {
        Ok(Some(_)) => Ok(Presence::Verified { size }),
        Ok(None) if size == 0 => Ok(Presence::Corrupt { why: "is empty".to_owned() }),
        Ok(None) => Ok(Presence::Unverifiable {
            why: format!(
                "has {size} bytes that give this CID in no known UnixFS profile: damaged, or built in another way"
            ),
        }),
        Err(_) if cancel.is_cancelled() => Err(Cancelled.into()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
