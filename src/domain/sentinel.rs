//! The sentinel: a small file inside a cache that records which objects the cache holds.
//!
//! It is written last, replaced atomically, and archived and restored last. It counts only as far as it agrees
//! with the objects found in the cache.

use std::fmt;

use super::digest::Sha256Digest;
use super::fault::Fault;
use super::inventory::Inventory;
use super::unit::ByteSize;

/// The sentinel's file name, at the top of a cache's first root.
pub const SENTINEL_FILE: &str = ".cachekeep-sentinel";

const HEADER: &str = "cachekeep sentinel 1";

/// What a cache held when the sentinel was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentinel {
    /// The version of the seed that filled the cache, if any.
    pub seed: Option<String>,
    /// The digest of the set of objects.
    pub objects_digest: Sha256Digest,
    /// Number of objects.
    pub objects: u64,
    /// Total size of the objects.
    pub bytes: ByteSize,
}

impl Sentinel {
    /// The sentinel of a cache with this inventory: digest, number and bytes of the objects that count.
    pub fn of(seed: Option<String>, inventory: &Inventory) -> Self {
        Sentinel {
            seed,
            objects_digest: inventory.digest(),
            objects: inventory.count(),
            bytes: inventory.bytes(),
        }
    }

    /// Fails unless an inventory of the cache has the digest, the number and the bytes that the sentinel records; the seed is not compared.
    pub fn check(&self, inventory: &Inventory) -> Result<(), Fault> {
        let found = Sentinel::of(self.seed.clone(), inventory);
        if *self == found {
            return Ok(());
        }
        let words = |s: &Sentinel| {
            format!("{} objects of {} bytes ({:.12})", s.objects, s.bytes.0, s.objects_digest.to_string())
        };
        Err(Fault::environment(format!(
            "the sentinel records {}, the cache holds {}",
            words(self),
            words(&found)
        )))
    }

    /// Parses the contents of a sentinel's file.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let malformed = |line: usize, expected: &str| {
            Fault::environment(format!("line {line} of the sentinel is not `{expected}`"))
        };
        let mut lines = text.lines();
        let mut field = |line: usize, name: &'static str| {
            lines
                .next()
                .and_then(|text| text.strip_prefix(name)?.strip_prefix(' '))
                .ok_or_else(|| malformed(line, name))
        };
        if field(1, "cachekeep")? != "sentinel 1" {
            return Err(malformed(1, HEADER));
        }
        let seed = match field(2, "seed")? {
            "-" => None,
            version => Some(version.to_owned()),
        };
        let objects_digest =
            Sha256Digest::from_hex(field(3, "digest")?).ok_or_else(|| malformed(3, "digest <sha256>"))?;
        let objects = field(4, "objects")?.parse().map_err(|_| malformed(4, "objects <count>"))?;
        let bytes = field(5, "bytes")?.parse().map_err(|_| malformed(5, "bytes <count>"))?;
        Ok(Sentinel { seed, objects_digest, objects, bytes: ByteSize(bytes) })
    }
}

impl fmt::Display for Sentinel {
    /// The contents of the sentinel's file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        writeln!(f, "seed {}", self.seed.as_deref().unwrap_or("-"))?;
        writeln!(f, "digest {}", self.objects_digest)?;
        writeln!(f, "objects {}", self.objects)?;
        writeln!(f, "bytes {}", self.bytes.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::digest::{Algorithm, ObjectId};
    use crate::domain::inventory::Presence;

    fn inventory(digits: &str) -> Inventory {
        let mut inventory = Inventory::default();
        for digit in digits.chars() {
            let object = ObjectId::new(Algorithm::Md5, &digit.to_string().repeat(32)).expect("a hash");
            inventory.objects.insert(object, Presence::Verified { size: 7 });
        }
        inventory
    }

    #[test]
    fn a_sentinel_reads_back_what_it_wrote() {
        for seed in [None, Some("5.4.5".to_owned())] {
            let sentinel = Sentinel::of(seed, &inventory("abc"));
            assert_eq!(Sentinel::parse(&sentinel.to_string()).expect("it is valid"), sentinel);
            assert_eq!(
                Sentinel::parse(&sentinel.to_string().replace('\n', "\r\n")).expect("it is valid"),
                sentinel
            );
        }
    }

    #[test]
    fn one_object_less_or_another_one_makes_it_invalid() {
        let sentinel = Sentinel::of(None, &inventory("abc"));
        assert!(sentinel.check(&inventory("abc")).is_ok());
        for other in ["ab", "abcd", "abd", ""] {
            assert!(sentinel.check(&inventory(other)).is_err(), "{other}");
        }
    }

    #[test]
    fn a_truncated_sentinel_is_rejected() {
        let text = Sentinel::of(None, &inventory("a")).to_string();
        for end in 0..text.len() - 2 {
            assert!(Sentinel::parse(&text[..end]).is_err(), "{end}");
        }
    }
}
