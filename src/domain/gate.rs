//! The gate: compares the wanted objects with the objects in a cache.

use super::content_link::WantedObjects;
use super::digest::ObjectId;
use super::inventory::{Inventory, Presence};

/// An object that a link names and that the cache does not hold verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingObject {
    /// The object.
    pub object: ObjectId,
    /// The links that name it, sorted.
    pub links: Vec<String>,
    /// Why it does not count, for an object that exists but is corrupt or cannot be checked.
    pub why: Option<String>,
}

/// The result of the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateReport {
    /// Number of wanted objects.
    pub wanted: usize,
    /// Number of content links that name them.
    pub links: usize,
    /// Number of wanted objects that are verified or allowed.
    pub present: usize,
    /// Of the present ones, those that cannot be verified and that `allow-unverified` lists.
    pub allowed: usize,
    /// Usable objects that no link names.
    pub unwanted: usize,
    /// Files that are not objects.
    pub unknown_files: u64,
    /// Wanted objects that do not exist in the cache, sorted.
    pub missing: Vec<MissingObject>,
    /// Wanted objects that exist but are corrupt or cannot be checked, sorted.
    pub unproven: Vec<MissingObject>,
}

impl GateReport {
    /// Compares by name: a surplus object never makes up for a missing one.
    pub fn compare(wanted: &WantedObjects, inventory: &Inventory) -> Self {
        let mut report = GateReport {
            wanted: wanted.len(),
            links: wanted.link_count(),
            present: 0,
            allowed: 0,
            unwanted: inventory.verified().filter(|(object, _)| !wanted.contains(object)).count(),
            unknown_files: inventory.unknown_files,
            missing: Vec::new(),
            unproven: Vec::new(),
        };
        for (object, links) in wanted.iter() {
            let missing =
                |why| MissingObject { object: object.clone(), links: links.iter().cloned().collect(), why };
            match inventory.objects.get(object) {
                Some(Presence::Verified { .. }) => report.present += 1,
                Some(Presence::Allowed { .. }) => {
                    report.present += 1;
                    report.allowed += 1;
                }
                None => report.missing.push(missing(None)),
                Some(Presence::Corrupt { why } | Presence::Unverifiable { why }) => {
                    report.unproven.push(missing(Some(why.clone())));
                }
            }
        }
        report
    }

    /// Whether every wanted object is present.
    pub fn is_complete(&self) -> bool {
        self.present == self.wanted
    }

    /// Number of wanted objects that are missing or unproven.
    pub fn missing_count(&self) -> usize {
        self.wanted - self.present
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::digest::Algorithm;

    fn object(digit: char) -> ObjectId {
        ObjectId::new(Algorithm::Md5, &digit.to_string().repeat(32)).expect("a hash")
    }

    #[test]
    fn unknown_files_and_unwanted_objects_never_make_up_for_a_missing_one() {
        let mut wanted = WantedObjects::default();
        wanted.insert(object('a'), "a.md5");
        wanted.insert(object('b'), "b.md5");
        wanted.insert(object('b'), "copy/b.md5");
        let mut inventory = Inventory { unknown_files: 5, ..Inventory::default() };
        for digit in ['a', 'c', 'd'] {
            inventory.objects.insert(object(digit), Presence::Verified { size: 1 });
        }
        let report = GateReport::compare(&wanted, &inventory);
        assert!(!report.is_complete());
        assert_eq!((report.present, report.unwanted, report.missing_count()), (1, 2, 1));
        assert_eq!(report.missing[0].links, ["b.md5", "copy/b.md5"]);
    }

    #[test]
    fn a_corrupt_object_does_not_count_as_present() {
        let mut wanted = WantedObjects::default();
        wanted.insert(object('a'), "a.md5");
        let mut inventory = Inventory::default();
        inventory.objects.insert(object('a'), Presence::Corrupt { why: "is something else".into() });
        let report = GateReport::compare(&wanted, &inventory);
        assert!(!report.is_complete());
        assert_eq!(report.unproven[0].why.as_deref(), Some("is something else"));
    }

    #[test]
    fn wanting_nothing_is_complete() {
        assert!(GateReport::compare(&WantedObjects::default(), &Inventory::default()).is_complete());
    }
}
