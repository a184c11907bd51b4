//! Path safety: where an entry may be written, decided from its name alone.
//!
//! A name must lie below one of the declared prefixes and consist of plain components. What a name does not
//! show is up to the writer (a link in the way, two entries of one name): destinations start empty, symbolic links are
//! made after all files, and files are created, never opened.

use std::path::PathBuf;

use crate::archive::format::error::ArchiveError;
use crate::archive::format::tar_header::LONGEST_NAME;
use crate::domain::names;

/// How much of a name that is too long an error shows, in bytes.
const SHOWN: usize = 200;

/// Why some systems cannot hold a name, in words that follow it.
pub(crate) const NOT_UNICODE: &str = "is not Unicode, which this OS needs";

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
    /// A directory above a prefix.
    Above,
}

/// Why the entry of a name is not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It would do harm; a good archive holds no such entry.
    Unsafe(&'static str),
    /// This system has no such names; the archive is good, and others have them.
    Unsupported(&'static str),
}

impl Refusal {
    /// In words that follow the name.
    pub(crate) fn reason(self) -> &'static str {
        let (Refusal::Unsafe(reason) | Refusal::Unsupported(reason)) = self;
        reason
    }

    /// The error of the entry of this name.
    pub(crate) fn of(self, name: &[u8]) -> ArchiveError {
        match self {
            Refusal::Unsafe(reason) => ArchiveError::refused(name, reason),
            Refusal::Unsupported(reason) => ArchiveError::unsupported(name, reason),
        }
    }
}

/// The rules for names.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    /// The components of each prefix.
    prefixes: Vec<Vec<Vec<u8>>>,
    windows: bool,
}

impl Guard {
    /// A guard that allows names below these prefixes, by the rules of this OS.
    pub(crate) fn new<'a>(prefixes: impl IntoIterator<Item = &'a str>) -> Self {
        let split = |prefix: &str| components(prefix.as_bytes()).map(<[u8]>::to_vec).collect();
        Guard { prefixes: prefixes.into_iter().map(split).collect(), windows: cfg!(windows) }
    }

    /// A guard that allows every safe name.
    pub(crate) fn anywhere() -> Self {
        Guard { prefixes: vec![Vec::new()], windows: cfg!(windows) }
    }

    /// The same guard where nothing is written: names that only this OS cannot hold are allowed.
    pub(crate) fn for_reading(self) -> Self {
        Guard { windows: false, ..self }
    }

    /// Where the entry of this name belongs, or why it is not written.
    pub(crate) fn place(&self, name: &[u8]) -> Result<Place, Refusal> {
        self.find(name)?.ok_or(Refusal::Unsafe("lies outside the cache"))
    }

    /// Where the entry of this name belongs; `None` if it has a safe name that lies outside the prefixes.
    pub(crate) fn find(&self, name: &[u8]) -> Result<Option<Place>, Refusal> {
        if name.is_empty() {
            return Err(Refusal::Unsafe("has no name"));
        }
        if name.starts_with(b"/") {
            return Err(Refusal::Unsafe("is absolute"));
        }
        let components: Vec<&[u8]> = components(name).collect();
        components.iter().try_for_each(|component| check(component)).map_err(Refusal::Unsafe)?;
        let below = |prefix: &Vec<Vec<u8>>| {
            components.len() >= prefix.len() && prefix.iter().zip(&components).all(|(a, b)| a == b)
        };
        // Of prefixes that lie below each other, the innermost.
        let inside = self.prefixes.iter().enumerate().filter(|(_, prefix)| below(prefix));
        if let Some((root, prefix)) = inside.max_by_key(|(_, prefix)| prefix.len()) {
            let mut relative = PathBuf::new();
            for component in &components[prefix.len()..] {
                relative.push(self.os_name(component).map_err(Refusal::Unsupported)?);
            }
            return Ok(Some(Place::Inside { root, relative }));
        }
        let above = |prefix: &Vec<Vec<u8>>| components.iter().zip(prefix).all(|(a, b)| a == b);
        Ok(self.prefixes.iter().any(above).then_some(Place::Above))
    }

    /// Where the target of a hard link belongs, which is named like an entry.
    pub(crate) fn link_target(&self, target: &[u8]) -> Result<(usize, PathBuf), Refusal> {
        match self.find(target) {
            Ok(Some(Place::Inside { root, relative })) => Ok((root, relative)),
            Err(refusal @ Refusal::Unsupported(_)) => Err(refusal),
            _ => Err(Refusal::Unsafe("is a hard link to something outside the cache")),
        }
    }

    fn os_name(&self, component: &[u8]) -> Result<PathBuf, &'static str> {
        let refusal = if self.windows { names::windows_refusal(component) } else { None };
        refusal.map_or_else(|| os_name(component).ok_or(NOT_UNICODE), Err)
    }
}

/// What no component of a name may be, on any OS.
fn check(component: &[u8]) -> Result<(), &'static str> {
    if component == b".." {
        return Err("has `..` in its name");
    }
    if component.contains(&0) {
        return Err("has a zero byte in its name");
    }
    if names::is_temporary(component) {
        return Err("has a name that is reserved for temporary directories of cachekeep");
    }
    Ok(())
}

/// The components of a name; `.` and empty ones do not count.
pub(crate) fn components(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    name.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".")
}

/// Checks the target of a link, as far as it can be checked without knowing where the link leads.
pub(crate) fn check_target(target: &[u8]) -> Result<(), &'static str> {
    match target {
        [] => Err("is a link to nothing"),
        target if target.contains(&0) => Err("has a zero byte in its target"),
        _ => Ok(()),
    }
}

/// Checks the length of an entry's name or of its link target; `what` says which of the two `text` is.
pub(crate) fn check_length(name: &[u8], text: &[u8], what: &str) -> Result<(), ArchiveError> {
    if text.len() <= LONGEST_NAME { Ok(()) } else { Err(too_long(name, what)) }
}

/// The error of an entry whose name or link target is too long; of the name at most the first bytes are shown.
pub(crate) fn too_long(name: &[u8], what: &str) -> ArchiveError {
    let shown = &name[..name.len().min(SHOWN)];
    ArchiveError::refused(shown, format!("has a {what} of more than {LONGEST_NAME} bytes"))
}

/// A name from an archive as a path of this OS; `None` if the OS cannot hold it.
#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "other systems have names that they cannot hold")]
pub(crate) fn os_name(bytes: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt as _;
    Some(PathBuf::from(std::ffi::OsStr::from_bytes(bytes)))
}

/// A name from an archive as a path of this OS; `None` if the OS cannot hold it.
#[cfg(not(unix))]
pub(crate) fn os_name(bytes: &[u8]) -> Option<PathBuf> {
    std::str::from_utf8(bytes).ok().map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::Refusal::{Unsafe, Unsupported};
    use super::*;
    use proptest::prelude::*;
    use std::path::{Component, Path};

    fn check(prefixes: &[&str], windows: bool, name: &[u8], expect: Result<Option<(usize, &str)>, Refusal>) {
        let guard = Guard { windows, ..Guard::new(prefixes.iter().copied()) };
        let place = guard.place(name).map(|place| match place {
            Place::Inside { root, relative } => Some((root, relative)),
            Place::Above => None,
        });
        let expect = expect.map(|inside| inside.map(|(root, path)| (root, PathBuf::from(path))));
        assert_eq!(place, expect, "{}", name.escape_ascii());
    }

    #[test]
    fn only_names_below_a_prefix_pass() {
        let one = [".cachekeep/c"];
        check(&one, false, b".cachekeep/c/a/b", Ok(Some((0, "a/b"))));
        check(&one, false, b"./.cachekeep//c/a/", Ok(Some((0, "a"))));
        check(&one, false, b".cachekeep/c", Ok(Some((0, ""))));
        check(&one, false, b".cachekeep/", Ok(None));
        check(&one, false, b".cachekeep/cc/a", Err(Unsafe("lies outside the cache")));
        check(&one, false, b".cachekeep/c/../c/a", Err(Unsafe("has `..` in its name")));
        check(&one, false, b"../.cachekeep/c", Err(Unsafe("has `..` in its name")));
        check(&one, false, b"/.cachekeep/c/a", Err(Unsafe("is absolute")));
        check(&one, false, b".cachekeep/c/a\0b", Err(Unsafe("has a zero byte in its name")));
        check(&one, false, b"", Err(Unsafe("has no name")));
        check(&one, false, b"a", Err(Unsafe("lies outside the cache")));
        let two = [".cachekeep/c/0", ".cachekeep/c/1"];
        check(&two, false, b".cachekeep/c/1/x", Ok(Some((1, "x"))));
        check(&two, false, b".cachekeep/c", Ok(None));
        check(&two, false, b".cachekeep/c/2/x", Err(Unsafe("lies outside the cache")));
    }

    #[test]
    fn prefixes_are_matched_by_whole_components() {
        let check = |name: &str, prefix: &str, expect: Option<&str>| {
            let found = Guard::new([prefix]).find(name.as_bytes()).expect("a safe name");
            let inside = found.and_then(|place| match place {
                Place::Inside { relative, .. } => Some(relative),
                Place::Above => None,
            });
            assert_eq!(inside.as_deref(), expect.map(Path::new), "{name} {prefix}");
        };
        check("a/b/c", "a/b", Some("c"));
        check("a/b", "a/b", Some(""));
        check("a/bc", "a/b", None);
        check("x/a/b", "a/b", None);
        check("a", "a/b", None);
        check("a/b", "", Some("a/b"));
        check("./a//b/./c/", "", Some("a/b/c"));
        check("./", "", Some(""));
        check("a/b/c", "./a//b/", Some("c"));
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused_wherever_an_entry_may_go() {
        let check = |windows, name: &[u8], expect: Result<&str, Refusal>| {
            let guard = Guard { windows, ..Guard::anywhere() };
            let found = guard.find(name).map(|place| match place {
                Some(Place::Inside { relative, .. }) => relative,
                _ => panic!("an empty prefix is above nothing"),
            });
            assert_eq!(found, expect.map(PathBuf::from), "{}", name.escape_ascii());
        };
        check(false, b"//server/share", Err(Unsafe("is absolute")));
        check(false, b"a/../../x", Err(Unsafe("has `..` in its name")));
        check(false, b"a/..", Err(Unsafe("has `..` in its name")));
        check(false, b"..a/b..", Ok("..a/b.."));
        #[cfg(unix)]
        {
            check(false, b"C:\\x", Ok("C:\\x"));
            let relative = os_name(b"\xff\xfe").expect("a name of this OS");
            assert_eq!(Guard::anywhere().find(b"\xff\xfe"), Ok(Some(Place::Inside { root: 0, relative })));
        }
        for name in [&b"C:x"[..], b"a\\..\\b", b"..\\x", b"x:stream", b"what?", b"a\x01"] {
            check(true, name, Err(Unsupported("has a character that Windows forbids")));
        }
        for name in [&b"a/NUL"[..], b"con.txt", b"COM1", b"lpt\xc2\xb9.x", b"nul .txt"] {
            check(true, name, Err(Unsupported("is the name of a device on Windows")));
        }
        for name in ["console", "com10", "com", ".hidden", "a.b.c"] {
            check(true, name.as_bytes(), Ok(name));
        }
    }

    #[test]
    fn names_of_temporary_directories_are_refused_wherever_they_stand() {
        let one = [".cachekeep/c"];
        let reserved = Err(Unsafe("has a name that is reserved for temporary directories of cachekeep"));
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
    fn names_with_another_meaning_on_windows_are_refused_there() {
        let one = ["c"];
        for name in ["c/a\\b", "c/C:", "c/a:b", "c/x?", "c/\u{1}"] {
            check(&one, true, name.as_bytes(), Err(Unsupported("has a character that Windows forbids")));
        }
        for name in ["c/a.", "c/a ", "c/..."] {
            check(
                &one,
                true,
                name.as_bytes(),
                Err(Unsupported("ends in a dot or a space, which Windows drops")),
            );
        }
        for name in ["c/nul", "c/Com1.txt", "c/d/LPT9", "c/aux .x", "c/com\u{b9}"] {
            check(&one, true, name.as_bytes(), Err(Unsupported("is the name of a device on Windows")));
        }
        for name in ["com", "com10", "console", "nul1"] {
            check(&one, true, format!("c/{name}").as_bytes(), Ok(Some((0, name))));
        }
        check(&one, false, b"c/nul", Ok(Some((0, "nul"))));
        // What is unsafe everywhere comes first, and what is not written is not judged.
        check(&one, true, b"c/a:b/../x", Err(Unsafe("has `..` in its name")));
        check(&one, true, b"d/a:b", Err(Unsafe("lies outside the cache")));
        let guard = Guard { windows: true, ..Guard::new(one) };
        assert_eq!(guard.link_target(b"c/a:b"), Err(Unsupported("has a character that Windows forbids")));
        let place = Place::Inside { root: 0, relative: PathBuf::from("a:b") };
        assert_eq!(guard.for_reading().place(b"c/a:b"), Ok(place));
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

        #[test]
        fn names_of_both_systems_never_leave_the_root(name in "[a./\\\\\\x00:]{0,12}", windows: bool) {
            let guard = Guard { windows: windows || cfg!(windows), ..Guard::anywhere() };
            if let Ok(Place::Inside { relative, .. }) = guard.place(name.as_bytes()) {
                prop_assert!(relative.components().all(|c| matches!(c, Component::Normal(_))));
            }
        }
    }
}
