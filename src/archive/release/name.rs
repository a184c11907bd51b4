//! Names in archives: which of them may become a path below a folder.

use std::path::PathBuf;

use crate::domain::names;

/// Why a name may not become a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing.
    #[error("the name is empty")]
    Empty,
    /// Begins with `/`.
    #[error("the name is absolute")]
    Absolute,
    /// Has `..` in it.
    #[error("the name leads out of the archive")]
    Parent,
    /// Has a NUL in it.
    #[error("the name has a NUL in it")]
    Nul,
    /// Longer than [`MAX_NAME`].
    #[error("the name is longer than {MAX_NAME} bytes")]
    TooLong,
    /// That of a temporary directory of ours, which the next start would take for one.
    #[error("the name is reserved for temporary directories of cachekeep")]
    Reserved,
    /// On Windows: a drive, a backslash, a device or a character that no file may have.
    #[error("Windows allows no such name")]
    Windows,
    /// On systems whose names are Unicode: the name is not.
    #[error("the name is not Unicode")]
    NotUnicode,
}

/// Longer names exist on no system that caches are made for.
pub const MAX_NAME: usize = 4096;

/// Names that are devices on Windows, in every folder and with every extension.
const DEVICES: &[&str] = &["con", "prn", "aux", "nul", "conin$", "conout$"];

/// A name without `.` and repeated slashes, its parts joined by `/`; empty for the top itself.
pub(super) fn normalize(raw: &[u8], windows: bool) -> Result<Vec<u8>, NameError> {
    match raw {
        [] => return Err(NameError::Empty),
        [b'/', ..] => return Err(NameError::Absolute),
        long if long.len() > MAX_NAME => return Err(NameError::TooLong),
        nul if nul.contains(&0) => return Err(NameError::Nul),
        _ => {}
    }
    let mut name = Vec::with_capacity(raw.len());
    for part in raw.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => continue,
            b".." => return Err(NameError::Parent),
            part if names::is_temporary(part) => return Err(NameError::Reserved),
            part if windows && !fits_windows(part) => return Err(NameError::Windows),
            _ => {}
        }
        if !name.is_empty() {
            name.push(b'/');
        }
        name.extend_from_slice(part);
    }
    Ok(name)
}

fn fits_windows(part: &[u8]) -> bool {
    let stem = part.split(|byte| *byte == b'.').next().unwrap_or_default();
    let stem = String::from_utf8_lossy(stem).trim_end().to_ascii_lowercase();
    let numbered = ["com", "lpt"].iter().any(|device| {
        stem.strip_prefix(device).is_some_and(|rest| {
            rest.chars().count() == 1 && rest.contains(|c: char| "0123456789¹²³".contains(c))
        })
    });
    !(part.iter().any(|byte| *byte < 32 || br#"\:*?"<>|"#.contains(byte))
        || part.ends_with(b".")
        || part.ends_with(b" ")
        || DEVICES.contains(&stem.as_str())
        || numbered)
}

/// What remains of a normalized name below a normalized folder; empty for the folder itself.
pub(super) fn below<'n>(name: &'n [u8], folder: &[u8]) -> Option<&'n [u8]> {
    if folder.is_empty() {
        return Some(name);
    }
    match name.strip_prefix(folder)? {
        [] => Some(&[]),
        [b'/', rest @ ..] => Some(rest),
        _ => None,
    }
}

/// A name as a path of this system.
#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "other systems cannot express every name")]
pub(super) fn to_path(name: &[u8]) -> Result<PathBuf, NameError> {
    use std::os::unix::ffi::OsStrExt as _;
    Ok(PathBuf::from(std::ffi::OsStr::from_bytes(name)))
}

/// A name as a path of this system.
#[cfg(not(unix))]
pub(super) fn to_path(name: &[u8]) -> Result<PathBuf, NameError> {
    std::str::from_utf8(name).map(PathBuf::from).map_err(|_| NameError::NotUnicode)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_that_stay_inside_are_kept() {
        let check = |raw: &[u8], expect: &[u8]| {
            assert_eq!(normalize(raw, false), Ok(expect.to_vec()), "{}", raw.escape_ascii());
        };
        check(b"a/b", b"a/b");
        check(b"./a//b/./c/", b"a/b/c");
        check(b"./", b"");
        check(b"..a/b..", b"..a/b..");
        check(b"C:\\x", b"C:\\x");
        check(b"\xff\xfe", b"\xff\xfe");
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let check = |raw: &[u8], windows, expect| {
            assert_eq!(normalize(raw, windows), Err(expect), "{}", raw.escape_ascii());
        };
        check(b"", false, NameError::Empty);
        check(b"/etc/passwd", false, NameError::Absolute);
        check(b"//server/share", false, NameError::Absolute);
        check(b"../x", false, NameError::Parent);
        check(b"a/../../x", false, NameError::Parent);
        check(b"a/..", false, NameError::Parent);
        check(b"a\0b", false, NameError::Nul);
        check(b".cachekeep-1.tmp", false, NameError::Reserved);
        check(b"a/.Cachekeep-x.TMP/journal", false, NameError::Reserved);
        check(&[b'a'; MAX_NAME + 1], false, NameError::TooLong);
        let windows: &[&[u8]] = &[
            b"C:\\x",
            b"C:x",
            b"a\\..\\b",
            b"..\\x",
            b"a/NUL",
            b"con.txt",
            b"COM1",
            b"lpt\xc2\xb9.x",
            b"a./b",
            b"a ",
            b"x:stream",
            b"what?",
            b"a\x01",
            b"nul .txt",
        ];
        for raw in windows {
            check(raw, true, NameError::Windows);
        }
        for fine in [&b"console"[..], b"com10", b"com", b".hidden", b"a.b.c"] {
            assert!(normalize(fine, true).is_ok(), "{}", fine.escape_ascii());
        }
    }

    #[test]
    fn folders_are_matched_by_whole_parts() {
        let check = |name: &str, folder: &str, expect: Option<&str>| {
            assert_eq!(
                below(name.as_bytes(), folder.as_bytes()),
                expect.map(str::as_bytes),
                "{name} {folder}"
            );
        };
        check("a/b/c", "a/b", Some("c"));
        check("a/b", "a/b", Some(""));
        check("a/bc", "a/b", None);
        check("x/a/b", "a/b", None);
        check("a/b", "", Some("a/b"));
    }

    proptest! {
        #[test]
        fn whatever_is_kept_stays_below(raw in "[a./\\\\\\x00:]{0,12}", windows: bool) {
            if let Ok(name) = normalize(raw.as_bytes(), windows) {
                let path = to_path(&name).expect("ASCII");
                let inside = |part| matches!(part, std::path::Component::Normal(_));
                prop_assert!(path.components().all(inside), "{path:?}");
            }
        }
    }
}
