//! Content links: small files in a source tree that name an object by its hash.

use std::collections::{BTreeMap, BTreeSet};

use super::digest::{Algorithm, HashError, ObjectId, Sha256Digest};

/// Version prefix of the digest of a set of links; raised when the computation changes.
const LAYOUT: &str = "cachekeep-links-1";

/// Maximum size of a content link in bytes; the longest hash has 128 characters.
pub const MAX_LINK_BYTES: usize = 1024;

/// Why a file with a content link's extension is not a content link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The text is not UTF-8.
    #[error("not text")]
    NotText,
    /// The file contains only whitespace.
    #[error("empty")]
    Empty,
    /// More than [`MAX_LINK_BYTES`].
    #[error("longer than {MAX_LINK_BYTES} bytes")]
    TooLong,
    /// The text is not a hash of the algorithm that the extension names.
    #[error(transparent)]
    Hash(#[from] HashError),
}

/// Parses a content link. A byte order mark, CRLF, surrounding whitespace and a missing final newline are
/// ignored.
pub fn parse(algorithm: Algorithm, bytes: &[u8]) -> Result<ObjectId, LinkError> {
    if bytes.len() > MAX_LINK_BYTES {
        return Err(LinkError::TooLong);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| LinkError::NotText)?;
    match text.strip_prefix('\u{feff}').unwrap_or(text).trim() {
        "" => Err(LinkError::Empty),
        hash => Ok(ObjectId::new(algorithm, hash)?),
    }
}

/// The algorithm that the extension of a file name stands for.
pub fn algorithm_of(name: &str) -> Option<Algorithm> {
    name.rsplit_once('.').and_then(|(_, extension)| Algorithm::from_name(extension))
}

/// The objects that the content links of a tree name, each with its links.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WantedObjects {
    links: BTreeMap<ObjectId, BTreeSet<String>>,
}

impl WantedObjects {
    /// Adds a link by its path in the tree.
    pub fn insert(&mut self, object: ObjectId, link: impl Into<String>) {
        self.links.entry(object).or_default().insert(link.into());
    }

    /// The objects with their links, both sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&ObjectId, &BTreeSet<String>)> {
        self.links.iter()
    }

    /// Whether a link names this object.
    pub fn contains(&self, object: &ObjectId) -> bool {
        self.links.contains_key(object)
    }

    /// The number of wanted objects.
    pub fn len(&self) -> usize {
        self.links.len()
    }

    /// Whether nothing is wanted.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// The number of content links.
    pub fn link_count(&self) -> usize {
        self.links.values().map(BTreeSet::len).sum()
    }

    /// The value of `{links}`: the digest of the sorted set of unique `algo:hash`.
    pub fn digest(&self) -> Sha256Digest {
        object_set_digest(self.links.keys())
    }
}

/// The digest of a set of objects. The iterator must be sorted and free of duplicates, as that of a `BTreeMap`
/// is.
pub fn object_set_digest<'a>(sorted: impl IntoIterator<Item = &'a ObjectId>) -> Sha256Digest {
    let objects = sorted.into_iter().map(ToString::to_string);
    Sha256Digest::of_lines(std::iter::once(LAYOUT.to_owned()).chain(objects))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "d41d8cd98f00b204e9800998ecf8427e";

    #[test]
    fn line_ends_marks_and_space_do_not_change_the_meaning() {
        let plain = parse(Algorithm::Md5, HASH.as_bytes()).expect("a link");
        for text in
            [format!("{HASH}\n"), format!("{HASH}\r\n"), format!("\u{feff}{HASH}"), format!("  {HASH}\t\n\n")]
        {
            assert_eq!(parse(Algorithm::Md5, text.as_bytes()), Ok(plain.clone()), "{text:?}");
        }
    }

    #[test]
    fn anything_else_is_malformed() {
        for bytes in [
            &b""[..],
            b" \r\n",
            b"\xff\xfe",
            b"d41d8cd9",
            b"two words",
            &[b'a'; 2000],
            HASH.to_uppercase().as_bytes(),
        ] {
            assert!(parse(Algorithm::Md5, bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn the_digest_is_of_the_set_of_objects_not_of_the_links() {
        let object = |text: &str| ObjectId::new(Algorithm::Md5, text).expect("a hash");
        let (one, two) = (object(HASH), object(&"0".repeat(32)));
        let digest = |links: &[(&ObjectId, &str)]| {
            let mut wanted = WantedObjects::default();
            for (object, link) in links {
                wanted.insert((*object).clone(), *link);
            }
            wanted.digest()
        };
        let reference = digest(&[(&one, "a"), (&two, "b")]);
        assert_eq!(digest(&[(&two, "renamed"), (&one, "a"), (&one, "again")]), reference);
        assert_ne!(digest(&[(&one, "a")]), reference);
    }
}
