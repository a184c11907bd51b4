//! The gate: the set of wanted objects against the set of proven ones.

use super::content_link::WantedObjects;
use super::digest::ObjectId;
use super::inventory::{Inventory, Presence};

/// An object that some link wants and the cache does not prove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// The object.
    pub object: ObjectId,
    /// The links that want it, in order.
    pub links: Vec<String>,
    /// For an object that is there but not proven: why not.
    pub why: Option<String>,
}

/// What the gate found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateReport {
    /// How many objects are wanted.
    pub wanted: usize,
    /// How many links want them.
    pub links: usize,
    /// How many wanted objects are proven.
    pub present: usize,
    /// Wanted objects that nothing proves, counted as present because the configuration allows them by name.
    pub allowed: usize,
    /// Proven objects that no link wants.
    pub unwanted: usize,
    /// Files that are no objects.
    pub strangers: u64,
    /// Wanted objects that are absent, in order.
    pub missing: Vec<Lack>,
    /// Wanted objects that are there but do not hash to their name, or cannot be checked, in order.
    pub unproven: Vec<Lack>,
}

impl GateReport {
    /// Compares sets; counts never make up for each other.
    pub fn compare(wanted: &WantedObjects, inventory: &Inventory) -> Self {
        let mut report = GateReport {
            wanted: wanted.len(),
            links: wanted.link_count(),
            present: 0,
            allowed: 0,
            unwanted: inventory.verified().filter(|(object, _)| !wanted.contains(object)).count(),
            strangers: inventory.strangers,
            missing: Vec::new(),
            unproven: Vec::new(),
        };
        for (object, links) in wanted.iter() {
            let lack = |why| Lack { object: object.clone(), links: links.iter().cloned().collect(), why };
            match inventory.objects.get(object) {
                Some(Presence::Verified { .. }) => report.present += 1,
                Some(Presence::Allowed { .. }) => {
                    report.present += 1;
                    report.allowed += 1;
                }
                None => report.missing.push(lack(None)),
                Some(Presence::Corrupt { why } | Presence::Unverifiable { why }) => {
                    report.unproven.push(lack(Some(why.clone())));
                }
            }
        }
        report
    }

    /// Whether every wanted object is proven.
    pub fn is_complete(&self) -> bool {
        self.present == self.wanted
    }

    /// Objects wanted and not proven: missing and unproven ones.
    pub fn lacking(&self) -> usize {
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
    fn strangers_and_unwanted_objects_never_make_up_for_a_missing_one() {
        let mut wanted = WantedObjects::default();
        wanted.insert(object('a'), "a.md5");
        wanted.insert(object('b'), "b.md5");
        wanted.insert(object('b'), "copy/b.md5");
        let mut inventory = Inventory { strangers: 5, ..Inventory::default() };
        for digit in ['a', 'c', 'd'] {
            inventory.objects.insert(object(digit), Presence::Verified { size: 1 });
        }
        let report = GateReport::compare(&wanted, &inventory);
        assert!(!report.is_complete());
        assert_eq!((report.present, report.unwanted, report.lacking()), (1, 2, 1));
        assert_eq!(report.missing[0].links, ["b.md5", "copy/b.md5"]);
    }

    #[test]
    fn a_corrupt_object_is_not_there() {
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
