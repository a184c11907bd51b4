//! Names with a meaning of their own, each recognized in one place.

/// How the names of our temporary directories begin.
pub const TEMPORARY_PREFIX: &str = ".cachekeep-";

/// How they end.
pub const TEMPORARY_SUFFIX: &str = ".tmp";

/// Whether a file name is reserved for temporary directories of this program: `.cachekeep-<token>.tmp`.
///
/// Such names are never part of a cache, and archives and trees of others may not bring them: the next start would
/// take them for something that a killed process left. Case does not count, because some volumes ignore it.
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
