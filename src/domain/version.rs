//! The version of an entry: a hash of the layout and compression that it was saved with.

use std::fmt;

use super::digest::Sha256Digest;

/// The directory in an archive below which caches lie, on every OS.
pub const LAYOUT_ROOT: &str = ".cachekeep";

/// How an archive is compressed, as far as actions/cache distinguishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// With a `zstd` program.
    Zstd,
    /// With `gzip`, where `zstd` is not installed.
    Gzip,
}

impl Compression {
    fn name(self) -> &'static str {
        match self {
            Compression::Zstd => "zstd-without-long",
            Compression::Gzip => "gzip",
        }
    }
}

/// The component that actions/cache adds on Windows unless `enableCrossOsArchive` is set.
const WINDOWS_ONLY: &str = "windows-only";

/// Stands in the place of the compression in the versions of thin entries, which no other program asks for.
const THIN: &str = "thin-1";

/// The salt of actions/cache's version hash, raised when its archive format changes.
const SALT: &str = "1.0";

/// 64 hexadecimal digits; entries with equal versions can be restored into the same cache.
///
/// This is the hash that actions/cache computes for the portable paths with `enableCrossOsArchive`, so that the
/// direct and the wrapped transport find each other's entries.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(String);

impl Version {
    /// The version of a cache with these [`portable_roots`].
    pub fn of_roots<'a>(roots: impl IntoIterator<Item = &'a str>) -> Self {
        Version::of_paths(roots, Compression::Zstd, false)
    }

    /// The version of the thin entries ([`super::thin`]) of a cache with these [`portable_roots`].
    pub fn of_thin_roots<'a>(roots: impl IntoIterator<Item = &'a str>) -> Self {
        Version::of_components(roots.into_iter().chain([THIN, SALT]))
    }

    /// The version that actions/cache computes for these paths, as written in a workflow. `windows_only` stands for
    /// Windows without `enableCrossOsArchive`.
    pub fn of_paths<'a>(
        paths: impl IntoIterator<Item = &'a str>,
        compression: Compression,
        windows_only: bool,
    ) -> Self {
        let layout = [Some(compression.name()), windows_only.then_some(WINDOWS_ONLY), Some(SALT)];
        Version::of_components(paths.into_iter().chain(layout.into_iter().flatten()))
    }

    fn of_components<'a>(components: impl Iterator<Item = &'a str>) -> Self {
        let components: Vec<&str> = components.collect();
        Version(Sha256Digest::of(components.join("|").as_bytes()).to_string())
    }

    /// Parses a version that a store returned; `None` unless it is 64 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let valid = text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        valid.then(|| Version(text.to_owned()))
    }

    /// The 64 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where the roots of a cache lie in its archive: `.cachekeep/<cache>` for one root, and
/// `.cachekeep/<cache>/0`, `/1`… for several.
pub fn portable_roots(cache: &str, count: usize) -> Vec<String> {
    match count {
        0 | 1 => vec![format!("{LAYOUT_ROOT}/{cache}")],
        _ => (0..count).map(|index| format!("{LAYOUT_ROOT}/{cache}/{index}")).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_one_that_actions_cache_computes() {
        // printf '.cachekeep/externaldata|zstd-without-long|1.0' | sha256sum
        let roots = portable_roots("externaldata", 1);
        assert_eq!(
            Version::of_roots(roots.iter().map(String::as_str)).as_str(),
            "6737d9c7d71eae29ab75d6435cec0ae7617674fa33200f52ab4d946fddf8d38f"
        );
    }

    #[test]
    fn thin_entries_have_a_version_of_their_own() {
        // printf '.cachekeep/externaldata|thin-1|1.0' | sha256sum
        let roots = portable_roots("externaldata", 1);
        assert_eq!(
            Version::of_thin_roots(roots.iter().map(String::as_str)).as_str(),
            "733a287fdd3fbdb9093e8da1855b31dd3cfa0765bf5e3a1fd3965af439cf4dfd"
        );
    }

    #[test]
    fn caches_with_other_roots_have_other_versions() {
        let of = |count| Version::of_roots(portable_roots("c", count).iter().map(String::as_str));
        assert_ne!(of(1), of(2));
        assert_ne!(of(2), of(3));
    }
}
