//! The origin of an entry with another version, found by comparing hashes of likely layouts.

use crate::domain::version::{Compression, Version, portable_roots};

/// Upper bound for the numbers of roots that are tried.
const MOST_ROOTS: usize = 8;

/// The layout that an entry's version was recognized as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// This cache, compressed with gzip: the machine that saved it had no zstd.
    Gzip,
    /// This cache, saved on Windows without cross-OS archives.
    WindowsOnly,
    /// This cache with this number of roots.
    Roots(usize),
    /// Another declared cache.
    Cache(String),
    /// Saved by actions/cache itself, with these paths as written in the workflow.
    Paths {
        /// The paths.
        paths: Vec<String>,
        /// Whether it was compressed with gzip.
        gzip: bool,
        /// Whether it was saved on Windows.
        windows: bool,
    },
}

/// Layouts that an entry's version is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KnownLayouts {
    /// Name and number of roots of the cache; `None` for a key that no cache declares.
    pub cache: Option<(String, usize)>,
    /// Names and numbers of roots of the other declared caches.
    pub others: Vec<(String, usize)>,
    /// Lists of paths that may have been given to actions/cache: as written, and as expanded here.
    pub spellings: Vec<Vec<String>>,
}

impl KnownLayouts {
    /// The layout that has this version, if it is one of those.
    pub fn origin(&self, version: &Version) -> Option<Origin> {
        let kinds = [
            (Compression::Zstd, false),
            (Compression::Gzip, false),
            (Compression::Zstd, true),
            (Compression::Gzip, true),
        ];
        let of = |roots: &[String], (compression, windows): (Compression, bool)| {
            Version::of_paths(roots.iter().map(String::as_str), compression, windows) == *version
        };
        if let Some((name, count)) = &self.cache {
            let roots = portable_roots(name, *count);
            if kinds[2..].iter().any(|kind| of(&roots, *kind)) {
                return Some(Origin::WindowsOnly);
            }
            if of(&roots, kinds[1]) {
                return Some(Origin::Gzip);
            }
            let other =
                (1..=MOST_ROOTS).find(|other| other != count && of(&portable_roots(name, *other), kinds[0]));
            if let Some(other) = other {
                return Some(Origin::Roots(other));
            }
        }
        let is_other = |(name, count): &&(String, usize)| of(&portable_roots(name, *count), kinds[0]);
        if let Some((name, _)) = self.others.iter().find(is_other) {
            return Some(Origin::Cache(name.clone()));
        }
        self.spellings.iter().find_map(|paths| {
            let (compression, windows) = *kinds.iter().find(|kind| of(paths, **kind))?;
            Some(Origin::Paths { paths: paths.clone(), gzip: compression == Compression::Gzip, windows })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Compression::{Gzip, Zstd};

    #[test]
    fn layouts_are_recognized_by_their_hash() {
        let literal = vec!["~/.npm".to_owned(), "node_modules".to_owned()];
        let layouts = KnownLayouts {
            cache: Some(("npm".to_owned(), 2)),
            others: vec![("data".to_owned(), 1)],
            spellings: vec![literal.clone()],
        };
        let check = |roots: &[String], compression, windows, expect: Option<Origin>| {
            let version = Version::of_paths(roots.iter().map(String::as_str), compression, windows);
            assert_eq!(layouts.origin(&version), expect);
        };
        check(&portable_roots("npm", 2), Gzip, false, Some(Origin::Gzip));
        check(&portable_roots("npm", 2), Zstd, true, Some(Origin::WindowsOnly));
        check(&portable_roots("npm", 3), Zstd, false, Some(Origin::Roots(3)));
        check(&portable_roots("npm", 1), Zstd, false, Some(Origin::Roots(1)));
        check(&portable_roots("data", 1), Zstd, false, Some(Origin::Cache("data".to_owned())));
        let paths = Origin::Paths { paths: literal.clone(), gzip: true, windows: false };
        check(&literal, Gzip, false, Some(paths));
        check(&portable_roots("elsewhere", 1), Zstd, false, None);
    }
}
