//! File names that are reserved, by this program or by an operating system: each rule lives here and nowhere else.

/// The file in a target directory of cargo that records the sources that it was built from.
pub const SOURCES_FILE: &str = ".cachekeep-sources";

/// Prefix of the names of temporary directories.
pub const TEMPORARY_PREFIX: &str = ".cachekeep-";

/// Suffix of the names of temporary directories.
pub const TEMPORARY_SUFFIX: &str = ".tmp";

/// The file by which programs mark a directory as a cache (<https://bford.info/cachedir/>), so that backups leave it out.
pub const CACHE_TAG: &str = "CACHEDIR.TAG";

/// Whether a file name is reserved for temporary directories of this program: `.cachekeep-<token>.tmp`.
///
/// Such names are never part of a cache and are refused in archives and foreign trees, since the next start would take
/// them for leftovers of a killed process. The comparison ignores case, because some volumes do.
pub fn is_temporary(name: &[u8]) -> bool {
    let (prefix, suffix) = (TEMPORARY_PREFIX.as_bytes(), TEMPORARY_SUFFIX.as_bytes());
    name.len() > prefix.len() + suffix.len()
        && name[..prefix.len()].eq_ignore_ascii_case(prefix)
        && name[name.len() - suffix.len()..].eq_ignore_ascii_case(suffix)
}

/// Characters that Windows allows in no file name, apart from the control characters.
const WINDOWS_FORBIDDEN: &[u8] = br#"<>:"|?*\"#;

/// Names of Windows devices without a number.
const DEVICES: &[&[u8]] = &[b"CON", b"PRN", b"AUX", b"NUL", b"CONIN$", b"CONOUT$"];

/// Names of Windows devices with a number behind them.
const NUMBERED_DEVICES: &[&[u8]] = &[b"COM", b"LPT"];

/// Digits that number a device beside `0` to `9`: `¹`, `²` and `³` in UTF-8.
const SUPERSCRIPTS: &[&[u8]] = &[b"\xC2\xB9", b"\xC2\xB2", b"\xC2\xB3"];

/// Why Windows cannot keep a file under this name, in words that follow the name; `None` if it can.
pub fn windows_refusal(name: &[u8]) -> Option<&'static str> {
    if name.iter().any(|byte| *byte < b' ' || WINDOWS_FORBIDDEN.contains(byte)) {
        Some("has a character that Windows forbids")
    } else if name.ends_with(b".") || name.ends_with(b" ") {
        Some("ends in a dot or a space, which Windows drops")
    } else if is_windows_device(name) {
        Some("is the name of a device on Windows")
    } else {
        None
    }
}

/// Whether Windows opens a device for a file of this name: it ignores case, extensions, and blanks in front of them.
pub fn is_windows_device(name: &[u8]) -> bool {
    let stem = name.split(|byte| *byte == b'.').next().unwrap_or(name);
    let stem = stem.trim_ascii_end().to_ascii_uppercase();
    let numbered = |device: &&[u8]| {
        stem.strip_prefix(*device)
            .is_some_and(|number| matches!(number, [b'0'..=b'9']) || SUPERSCRIPTS.contains(&number))
    };
    DEVICES.contains(&stem.as_slice()) || NUMBERED_DEVICES.iter().any(numbered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_devices_are_recognized_with_any_case_extension_and_number() {
        for name in [
            "con",
            "NUL.tar.zst",
            "aux .x",
            "conin$",
            "ConOut$.txt",
            "com0",
            "LPT9",
            "com\u{b9}",
            "lpt\u{b3}.x",
        ] {
            assert!(is_windows_device(name.as_bytes()), "{name}");
        }
        for name in ["", "console", "com", "com10", "com\u{b4}", "nul1", "x.con", "conin", "lpt"] {
            assert!(!is_windows_device(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn names_that_windows_cannot_keep_are_refused_with_a_reason() {
        let check =
            |name: &str, expect: Option<&str>| assert_eq!(windows_refusal(name.as_bytes()), expect, "{name}");
        for name in ["a\\b", "C:", "what?", "a\u{1}", "<", ">", "\"", "|", "*"] {
            check(name, Some("has a character that Windows forbids"));
        }
        for name in ["a.", "a ", "nul."] {
            check(name, Some("ends in a dot or a space, which Windows drops"));
        }
        check("prn.txt", Some("is the name of a device on Windows"));
        check("a b.c", None);
    }

    #[test]
    fn temporary_names_are_reserved_in_any_case() {
        for name in [".cachekeep-1-ab.tmp", ".CacheKeep-X.TMP", ".cachekeep-a.b.tmp"] {
            assert!(is_temporary(name.as_bytes()), "{name}");
        }
        for name in [
            ".cachekeep-sentinel",
            ".cachekeep-proofs",
            ".cachekeep-x.tmp.gz",
            "x.cachekeep-x.tmp",
            ".cachekeep.tmp",
            ".cachekeep-.tmp",
            "",
        ] {
            assert!(!is_temporary(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn names_that_are_not_unicode_are_recognized_too() {
        assert!(is_temporary(b".cachekeep-\xff.tmp"));
    }
}
