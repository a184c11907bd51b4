//! Reserved file names, each recognized in one place.

/// Prefix of the names of temporary directories.
pub const TEMPORARY_PREFIX: &str = ".cachekeep-";

/// Suffix of the names of temporary directories.
pub const TEMPORARY_SUFFIX: &str = ".tmp";

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

#[cfg(test)]
mod tests {
    use super::*;

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
