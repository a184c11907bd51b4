//! Path safety: where an entry may be written, decided from its name alone.
//!
//! A name must lie below one of the declared prefixes and be made of plain components. What a name cannot
//! tell (a link in the way, two entries of one name) cannot happen: destinations start empty, links are made
//! after all files, and files are only ever created, never opened.

use std::path::PathBuf;

use crate::domain::names;

/// Where an entry belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Below a declared prefix, or the prefix itself.
    Inside {
        /// Which prefix, from 0.
        root: usize,
        /// The path below it; empty for the prefix itself.
        relative: PathBuf,
    },
    /// A directory above a prefix, which carries nothing.
    Above,
}

/// Decides about names.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    /// The components of each prefix.
    prefixes: Vec<Vec<Vec<u8>>>,
    windows: bool,
}

impl Guard {
    /// A guard that lets names pass that lie below these prefixes, for the OS that it runs on.
    pub(crate) fn new<'a>(prefixes: impl IntoIterator<Item = &'a str>) -> Self {
        let split = |prefix: &str| prefix.split('/').map(|part| part.as_bytes().to_vec()).collect();
        Guard { prefixes: prefixes.into_iter().map(split).collect(), windows: cfg!(windows) }
    }

    /// A guard that lets every safe name pass: to check an archive that declares nothing.
    pub(crate) fn anywhere() -> Self {
        Guard { prefixes: vec![Vec::new()], windows: cfg!(windows) }
    }

    /// Where the entry of this name belongs, or why it belongs nowhere.
    pub(crate) fn place(&self, name: &[u8]) -> Result<Place, &'static str> {
        if name.is_empty() {
            return Err("has no name");
        }
        if name.starts_with(b"/") {
            return Err("is absolute");
        }
        let components: Vec<&[u8]> =
            name.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
        for component in &components {
            self.check(component)?;
        }
        let below = |prefix: &Vec<Vec<u8>>| {
            components.len() >= prefix.len() && prefix.iter().zip(&components).all(|(a, b)| a == b)
        };
        // Of prefixes that lie below each other, the innermost.
        let inside = self.prefixes.iter().enumerate().filter(|(_, prefix)| below(prefix));
        if let Some((root, prefix)) = inside.max_by_key(|(_, prefix)| prefix.len()) {
            let mut relative = PathBuf::new();
            for component in &components[prefix.len()..] {
                relative.push(os_name(component).ok_or("is not Unicode, which this OS needs")?);
            }
            return Ok(Place::Inside { root, relative });
        }
        let above = |prefix: &Vec<Vec<u8>>| components.iter().zip(prefix).all(|(a, b)| a == b);
        if self.prefixes.iter().any(above) { Ok(Place::Above) } else { Err("lies outside the cache") }
    }

    fn check(&self, component: &[u8]) -> Result<(), &'static str> {
        if component == b".." {
            return Err("has `..` in its name");
        }
        if component.contains(&0) {
            return Err("has a zero byte in its name");
        }
        if names::is_temporary(component) {
            return Err("has a name that is reserved for temporary directories of cachekeep");
        }
        if !self.windows {
            return Ok(());
        }
        if component.iter().any(|byte| *byte < b' ' || b"<>:\"|?*\\".contains(byte)) {
            return Err("has a character that Windows forbids");
        }
        if component.ends_with(b".") || component.ends_with(b" ") {
            return Err("ends in a dot or a space, which Windows drops");
        }
        let stem = component.split(|byte| *byte == b'.').next().unwrap_or(component);
        if is_device(stem) { Err("is the name of a device on Windows") } else { Ok(()) }
    }
}

/// Whether Windows takes a name for a device, whatever its extension.
fn is_device(stem: &[u8]) -> bool {
    let stem: Vec<u8> = stem.trim_ascii_end().to_ascii_uppercase();
    let numbered = |prefix: &[u8]| {
        stem.strip_prefix(prefix).is_some_and(|rest| {
            matches!(rest, [b'0'..=b'9']) || [&b"\xC2\xB9"[..], b"\xC2\xB2", b"\xC2\xB3"].contains(&rest)
        })
    };
    matches!(&stem[..], b"CON" | b"PRN" | b"AUX" | b"NUL" | b"CONIN$" | b"CONOUT$")
        || numbered(b"COM")
        || numbered(b"LPT")
}

/// A name from an archive as this OS has it; none where it cannot.
#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "other systems have names that they cannot hold")]
pub(crate) fn os_name(bytes: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt as _;
    Some(PathBuf::from(std::ffi::OsStr::from_bytes(bytes)))
}

/// A name from an archive as this OS has it; none where it cannot.
#[cfg(not(unix))]
pub(crate) fn os_name(bytes: &[u8]) -> Option<PathBuf> {
    std::str::from_utf8(bytes).ok().map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::{Component, Path};

    fn check(prefixes: &[&str], windows: bool, name: &[u8], expect: Result<Option<(usize, &str)>, &str>) {
        let guard = Guard { windows, ..Guard::new(prefixes.iter().copied()) };
        let place = guard.place(name).map(|place| match place {
            Place::Inside { root, relative } => Some((root, relative.to_str().expect("text").to_owned())),
            Place::Above => None,
        });
        let expect = expect.map(|inside| inside.map(|(root, path)| (root, path.to_owned())));
        assert_eq!(place, expect, "{}", name.escape_ascii());
    }

    #[test]
    fn only_names_below_a_prefix_pass() {
        let one = [".cachekeep/c"];
        check(&one, false, b".cachekeep/c/a/b", Ok(Some((0, "a/b"))));
        check(&one, false, b"./.cachekeep//c/a/", Ok(Some((0, "a"))));
        check(&one, false, b".cachekeep/c", Ok(Some((0, ""))));
        check(&one, false, b".cachekeep/", Ok(None));
        check(&one, false, b".cachekeep/cc/a", Err("lies outside the cache"));
        check(&one, false, b".cachekeep/c/../c/a", Err("has `..` in its name"));
        check(&one, false, b"../.cachekeep/c", Err("has `..` in its name"));
        check(&one, false, b"/.cachekeep/c/a", Err("is absolute"));
        check(&one, false, b".cachekeep/c/a\0b", Err("has a zero byte in its name"));
        check(&one, false, b"", Err("has no name"));
        check(&one, false, b"a", Err("lies outside the cache"));
        let two = [".cachekeep/c/0", ".cachekeep/c/1"];
        check(&two, false, b".cachekeep/c/1/x", Ok(Some((1, "x"))));
        check(&two, false, b".cachekeep/c", Ok(None));
        check(&two, false, b".cachekeep/c/2/x", Err("lies outside the cache"));
    }

    #[test]
    fn names_of_temporary_directories_are_refused_wherever_they_stand() {
        let one = [".cachekeep/c"];
        let reserved = Err("has a name that is reserved for temporary directories of cachekeep");
        for name in [
            ".cachekeep/c/.cachekeep-1.tmp",
            ".cachekeep/c/d/.cachekeep-e.tmp/journal",
            ".cachekeep/c/.CACHEKEEP-e.Tmp/lease",
            ".cachekeep-e.tmp",
        ] {
            check(&one, false, name.as_bytes(), reserved);
            check(&one, true, name.as_bytes(), reserved);
        }
        check(&one, false, b".cachekeep/c/.cachekeep-sentinel", Ok(Some((0, ".cachekeep-sentinel"))));
    }

    #[test]
    fn names_that_windows_takes_for_something_else_are_refused_there() {
        let one = ["c"];
        for name in ["c/a\\b", "c/C:", "c/a:b", "c/x?", "c/\u{1}"] {
            check(&one, true, name.as_bytes(), Err("has a character that Windows forbids"));
        }
        for name in ["c/a.", "c/a ", "c/..."] {
            check(&one, true, name.as_bytes(), Err("ends in a dot or a space, which Windows drops"));
        }
        for name in ["c/nul", "c/Com1.txt", "c/d/LPT9", "c/aux .x", "c/com\u{b9}"] {
            check(&one, true, name.as_bytes(), Err("is the name of a device on Windows"));
        }
        for name in ["com", "com10", "console", "nul1"] {
            check(&one, true, format!("c/{name}").as_bytes(), Ok(Some((0, name))));
        }
        check(&one, false, b"c/nul", Ok(Some((0, "nul"))));
    }

    proptest! {
        #[test]
        fn what_passes_never_leaves_the_root(name in proptest::collection::vec(any::<u8>(), 0..40)) {
            for guard in [Guard::anywhere(), Guard::new(["c"])] {
                if let Ok(Place::Inside { relative, .. }) = guard.place(&name) {
                    prop_assert!(relative.components().all(|c| matches!(c, Component::Normal(_))));
                    prop_assert!(Path::new("/root").join(&relative).starts_with("/root"));
                }
            }
        }

        #[test]
        fn names_of_dots_and_separators_never_leave_the_root(name in "[./c\\\\a]{0,12}") {
            if let Ok(Place::Inside { relative, .. }) = Guard::new(["c"]).place(name.as_bytes()) {
                prop_assert!(relative.components().all(|c| matches!(c, Component::Normal(_))));
            }
        }
    }
}
