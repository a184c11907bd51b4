//! Files that do not stop changing, such as a log that another process writes to.

use std::path::PathBuf;

use super::selection::Selection;
use super::walk::{ItemKind, Modified, Walk, WalkError, place_of};

/// How many files are compared: a bound for memory.
const MOST_FILES: usize = 100_000;

/// The files whose size or time differs before and after a pause. One that is gone by then is not among them.
pub(crate) fn changing(selections: &[Selection], pause: impl FnOnce()) -> Result<Vec<PathBuf>, WalkError> {
    let mut before: Vec<(PathBuf, u64, Modified)> = Vec::new();
    for selection in selections {
        for item in Walk::new(selection).if_there() {
            let item = item?;
            if item.kind == ItemKind::File && before.len() < MOST_FILES {
                before.push((place_of(&selection.root, &item.relative), item.size, item.modified));
            }
        }
    }
    pause();
    let has_changed = |(path, size, modified): &(PathBuf, u64, Modified)| {
        std::fs::symlink_metadata(path).is_ok_and(|now| now.len() != *size || Modified::of(&now) != *modified)
    };
    Ok(before.into_iter().filter(has_changed).map(|(path, ..)| path).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn only_what_is_written_in_between_is_found() {
        let place = tempfile::tempdir().expect("a place");
        let at = |name: &str| place.path().join(name);
        for name in ["quiet", "log", "gone"] {
            fs::write(at(name), "text").expect("written");
        }
        let selections = [Selection::everything(place.path()), Selection::everything(at("missing"))];
        let found = changing(&selections, || {
            fs::write(at("log"), "longer text").expect("written");
            fs::write(at("new"), "text").expect("written");
            fs::remove_file(at("gone")).expect("removed");
        });
        assert_eq!(found.expect("walked"), [at("log")]);
    }
}
