//! The inventory of a content-addressed cache: each object found in it, with its verification result.

use std::collections::BTreeMap;

use super::content_link::object_set_digest;
use super::digest::{ObjectId, Sha256Digest};
use super::unit::ByteSize;

/// The verification result of an object that exists in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// The bytes match the name.
    Verified {
        /// Size of the file in bytes.
        size: u64,
    },
    /// The bytes cannot be checked against the name, and `allow-unverified` lists the object.
    Allowed {
        /// Size of the file in bytes.
        size: u64,
    },
    /// The bytes do not match the name, or it is not a regular file.
    Corrupt {
        /// The mismatch, for messages.
        why: String,
    },
    /// The bytes cannot be checked against the name.
    Unverifiable {
        /// Why they cannot be checked, for messages.
        why: String,
    },
}

impl Presence {
    /// Size in bytes if the object may be used: verified, or allowed without verification.
    pub fn size(&self) -> Option<u64> {
        match self {
            Presence::Verified { size } | Presence::Allowed { size } => Some(*size),
            Presence::Corrupt { .. } | Presence::Unverifiable { .. } => None,
        }
    }
}

/// The objects of a cache, and the number of files that are not objects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The verification result of each object.
    pub objects: BTreeMap<ObjectId, Presence>,
    /// Files whose names are not those of objects: partial downloads, notes, other tools' temporary files.
    pub unknown_files: u64,
}

impl Inventory {
    /// Whether the object exists and may be used: verified, or allowed without verification.
    pub fn has(&self, object: &ObjectId) -> bool {
        self.objects.get(object).is_some_and(|presence| presence.size().is_some())
    }

    /// The corrupt objects, in order.
    pub fn corrupt(&self) -> impl Iterator<Item = &ObjectId> {
        let is_corrupt = |presence: &Presence| matches!(presence, Presence::Corrupt { .. });
        self.objects.iter().filter(move |(_, presence)| is_corrupt(presence)).map(|(object, _)| object)
    }

    /// The verified and allowed objects in order, with their sizes in bytes.
    pub fn verified(&self) -> impl Iterator<Item = (&ObjectId, u64)> {
        self.objects.iter().filter_map(|(object, presence)| Some((object, presence.size()?)))
    }

    /// The number of verified and allowed objects.
    pub fn count(&self) -> u64 {
        self.verified().count() as u64
    }

    /// The total size of the verified and allowed objects.
    pub fn bytes(&self) -> ByteSize {
        ByteSize(self.verified().map(|(_, size)| size).sum())
    }

    /// Digest of the set of verified and allowed objects, comparable to that of a [`super::sentinel::Sentinel`].
    pub fn digest(&self) -> Sha256Digest {
        object_set_digest(self.verified().map(|(object, _)| object))
    }
}
