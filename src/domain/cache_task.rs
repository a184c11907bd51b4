//! Keys and results of `Cache@2`, the cache task of Azure Pipelines.
//!
//! The task splits a key at `|` into segments and matches a restore key against whole segments. A quoted segment is
//! literal on every OS; any other may be taken for a file pattern. The task knows no version of an entry, so that it is the first
//! segment here.

use std::str::FromStr;

use super::key::Key;
use super::version::Version;

/// The most segments that a key is cut into after its version; the last one has the rest.
const MAX_SEGMENTS: usize = 15;

/// The format of these keys, raised when it changes.
const FORMAT: &str = "ck1";

/// A restore key of the task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TaskRestoreKey {
    /// As the task takes it.
    pub text: String,
    /// Whether it also finds entries that the restore key does not ask for: the task cannot search for a part of a
    /// segment.
    pub is_wider: bool,
}

/// The primary key of an entry, as the task takes it.
pub(crate) fn primary(version: &Version, key: &Key) -> String {
    joined(version, &segments(key.as_str()))
}

/// A restore key, as the task takes it.
pub(crate) fn restore_key(version: &Version, prefix: &Key) -> TaskRestoreKey {
    let mut segments: Vec<&str> = prefix.as_str().split_inclusive('-').collect();
    let all = segments.len();
    // Of an entry's key, the last segment has all the rest.
    segments.truncate(MAX_SEGMENTS - 1);
    if segments.last().is_some_and(|last| !last.ends_with('-')) {
        segments.pop();
    }
    TaskRestoreKey { text: joined(version, &segments), is_wider: segments.len() < all }
}

/// The key of a slot of which nothing is to be saved. The first save under it stores a few bytes; afterward the task
/// finds that there is an entry.
pub(crate) fn of_nothing(slot: usize) -> String {
    format!("\"cachekeep-none\"|\"{slot}\"")
}

/// A key, cut after each `-`.
fn segments(key: &str) -> Vec<&str> {
    let mut segments: Vec<&str> = Vec::new();
    let mut rest = key;
    while segments.len() + 1 < MAX_SEGMENTS {
        let Some(end) = rest.find('-').map(|at| at + 1).filter(|end| *end < rest.len()) else { break };
        let (segment, after) = rest.split_at(end);
        segments.push(segment);
        rest = after;
    }
    segments.push(rest);
    segments
}

fn joined(version: &Version, segments: &[&str]) -> String {
    let version = format!("{FORMAT}-{}", &version.as_str()[..12]);
    let all = std::iter::once(version).chain(segments.iter().map(|segment| encoded(segment)));
    all.map(|segment| format!("\"{segment}\"")).collect::<Vec<_>>().join("|")
}

/// A segment without what ends one, and without what the agent expands.
fn encoded(segment: &str) -> String {
    let mut text = String::with_capacity(segment.len());
    for c in segment.chars() {
        match c {
            '%' => text.push_str("%25"),
            '|' => text.push_str("%7C"),
            '"' => text.push_str("%22"),
            '$' => text.push_str("%24"),
            _ => text.push(c),
        }
    }
    text
}

/// What the task says about its lookup, in the variable that `cacheHitVar` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TaskHit {
    /// An entry of the primary key was restored.
    Exact,
    /// An entry of a restore key was restored.
    Inexact,
    /// No entry was found.
    None,
}

impl FromStr for TaskHit {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "true" => Ok(TaskHit::Exact),
            "inexact" => Ok(TaskHit::Inexact),
            "false" => Ok(TaskHit::None),
            _ => Err(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version() -> Version {
        Version::of_roots([".cachekeep/c"])
    }

    fn key(text: &str) -> Key {
        Key::new(text).expect("a key")
    }

    #[test]
    fn keys_are_cut_after_each_dash_and_quoted() {
        let start = format!("\"ck1-{}\"", &version().as_str()[..12]);
        let primary = |text: &str| primary(&version(), &key(text)).replace(&start, "V");
        assert_eq!(primary("ccache-linux-1f"), r#"V|"ccache-"|"linux-"|"1f""#);
        assert_eq!(primary("ends-"), r#"V|"ends-""#);
        assert_eq!(primary("a--b"), r#"V|"a-"|"-"|"b""#);
        assert_eq!(primary(r#"a|"$(x)%"#), r#"V|"a%7C%22%24(x)%25""#);
        let many = primary(&"a-".repeat(20));
        assert_eq!(many.matches('|').count(), MAX_SEGMENTS);
        assert!(many.ends_with(&format!("|\"{}\"", "a-".repeat(6))), "{many}");
    }

    #[test]
    fn a_restore_key_is_a_prefix_of_what_it_asks_for() {
        let found = |prefix: &str, entry: &str| {
            let TaskRestoreKey { text, is_wider } = restore_key(&version(), &key(prefix));
            let entry = super::primary(&version(), &key(entry));
            let (wanted, there): (Vec<&str>, Vec<&str>) =
                (text.split('|').collect(), entry.split('|').collect());
            (there.starts_with(&wanted), is_wider)
        };
        assert_eq!(found("ccache-linux-", "ccache-linux-1f"), (true, false));
        assert_eq!(found("ccache-mac-", "ccache-linux-1f"), (false, false));
        // A part of a segment is searched for without that part.
        assert_eq!(found("ccache-lin", "ccache-linux-1f"), (true, true));
        assert_eq!(found("c", "ccache-linux-1f"), (true, true));
        let long = "a-".repeat(20);
        assert_eq!(found(&long, &format!("{long}b")), (true, true));
        assert_eq!(found(&"a-".repeat(14), &"a-".repeat(15)), (true, false));
    }

    #[test]
    fn the_result_of_a_lookup_is_one_of_three_words() {
        assert_eq!("inexact".parse(), Ok(TaskHit::Inexact));
        assert_eq!("$(CACHEKEEP_HIT_0)".parse::<TaskHit>(), Err(()));
    }
}
