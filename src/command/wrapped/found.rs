//! What a carrier looked for, and what it found.

use crate::domain::key::Key;
use crate::domain::outcome::Hit;

/// A key that was looked for and the one that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FoundKeys {
    /// The primary key, as planned; empty where nothing was planned.
    pub key: String,
    /// The prefixes that were looked for, as planned, one a line.
    pub restore_keys: String,
    /// The key of the entry that the carrier found; empty for a miss.
    pub matched: String,
}

impl FoundKeys {
    pub(super) fn restore_keys(&self) -> Vec<Key> {
        self.restore_keys.lines().filter_map(|line| Key::new(line).ok()).collect()
    }

    /// Both keys; `None` where nothing was planned for this cache.
    pub(super) fn keys(&self) -> Option<(Key, Option<Key>)> {
        Some((Key::new(self.key.clone()).ok()?, Key::new(self.matched.clone()).ok()))
    }
}

/// What kind of hit a key is.
pub(super) fn hit(key: &Key, matched: Option<&Key>) -> Hit {
    match matched {
        None => Hit::None,
        Some(matched) if matched == key => Hit::Exact,
        Some(_) => Hit::Partial,
    }
}
