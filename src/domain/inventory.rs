//! What a content-addressed cache holds, object by object, as it was found and verified.

use std::collections::BTreeMap;

use super::content_link::object_set_digest;
use super::digest::{ObjectId, Sha256Digest};
use super::unit::ByteSize;

/// What was found where an object should lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// Its bytes hash to its name.
    Verified {
        /// Bytes of the file.
        size: u64,
    },
    /// There is no way to check its bytes against its name, and the configuration allows it by name.
    Allowed {
        /// Bytes of the file.
        size: u64,
    },
    /// Its bytes hash to something else, or it is no regular file.
    Corrupt {
        /// What is wrong with it.
        why: String,
    },
    /// There is no way to check its bytes against its name, so nothing is claimed.
    Unverifiable {
        /// Why not.
        why: String,
    },
}

impl Presence {
    /// Bytes of an object that may be used: one that is proven, or allowed without proof.
    pub fn size(&self) -> Option<u64> {
        match self {
            Presence::Verified { size } | Presence::Allowed { size } => Some(*size),
            Presence::Corrupt { .. } | Presence::Unverifiable { .. } => None,
        }
    }
}

/// Objects under their final names, and how many files are no objects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// What was found for each name.
    pub objects: BTreeMap<ObjectId, Presence>,
    /// Files that carry no object's name: partial downloads, notes, other tools' temporary files.
    pub strangers: u64,
}

impl Inventory {
    /// Whether the object is there, and proven or allowed without proof.
    pub fn has(&self, object: &ObjectId) -> bool {
        self.objects.get(object).is_some_and(|presence| presence.size().is_some())
    }

    /// The objects that are there but not what their names say, in order.
    pub fn corrupt(&self) -> impl Iterator<Item = &ObjectId> {
        let is_corrupt = |presence: &Presence| matches!(presence, Presence::Corrupt { .. });
        self.objects.iter().filter(move |(_, presence)| is_corrupt(presence)).map(|(object, _)| object)
    }

    /// The proven and allowed objects in order, with their sizes in bytes.
    pub fn verified(&self) -> impl Iterator<Item = (&ObjectId, u64)> {
        self.objects.iter().filter_map(|(object, presence)| Some((object, presence.size()?)))
    }

    /// How many objects are proven.
    pub fn count(&self) -> u64 {
        self.verified().count() as u64
    }

    /// Bytes of the proven objects.
    pub fn bytes(&self) -> ByteSize {
        ByteSize(self.verified().map(|(_, size)| size).sum())
    }

    /// Digest of the set of proven objects, comparable to a [`super::sentinel::Sentinel`]'s.
    pub fn digest(&self) -> Sha256Digest {
        object_set_digest(self.verified().map(|(object, _)| object))
    }
}
