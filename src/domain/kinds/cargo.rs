//! What of cargo's directories is worth keeping: what a job of another commit would use.
//!
//! The packages of the workspace itself are built again in every fresh checkout, since its files are newer than what was built
//! from them, and they are the larger part of `target`. Downloads that no lock file names any more only pile up. This is what
//! `Swatinem/rust-cache` removes before a save; here it is left out of the entry, and stays on disk.

use std::collections::BTreeSet;

/// Prefixes of the files in which cargo notes the targets of a package, longest first.
const TARGETS: [&str; 8] = [
    "test-integration-test-",
    "test-example-",
    "test-lib-",
    "test-bin-",
    "bench-",
    "example-",
    "bin-",
    "lib-",
];

/// Directories of a profile that hold what is built of single packages.
const UNITS: [&str; 3] = [".fingerprint", "build", "deps"];

/// The packages of a workspace, and what they are called in its target directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CargoPackages {
    /// Names of downloads: `serde-1.0.228.crate`.
    downloads: BTreeSet<String>,
    /// Packages that come from elsewhere.
    dependencies: BTreeSet<String>,
    /// Packages of the workspace.
    members: BTreeSet<String>,
    /// Crates of dependencies, as files are named.
    foreign: BTreeSet<String>,
    /// Crates of members.
    own: BTreeSet<String>,
    /// Directories of profiles, such as `debug`, with `/` between names.
    profiles: BTreeSet<String>,
}

impl CargoPackages {
    /// Adds the packages that a `Cargo.lock` names.
    pub fn add_lock(&mut self, lock: &str) {
        for package in lock.split("[[package]]").skip(1) {
            let field = |name: &str| {
                let mut lines = package.lines().take_while(|line| !line.starts_with('['));
                let value = lines.find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix('='));
                value.map(|value| value.trim().trim_matches('"').to_owned())
            };
            let Some(name) = field("name") else { continue };
            if field("source").is_some() {
                let version = field("version").unwrap_or_default();
                self.downloads.insert(format!("{name}-{version}.crate"));
                self.dependencies.insert(plain(&name));
            } else {
                self.members.insert(plain(&name));
            }
        }
    }

    /// Whether no lock file was found: then nothing is known, and nothing is left out.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.dependencies.is_empty()
    }

    /// The packages of the workspace.
    pub fn members(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(String::as_str)
    }

    /// Adds what a profile has built: a directory in its `.fingerprint`, and the name of a file in that.
    pub fn add_fingerprint(&mut self, profile: &str, unit: &str, file: &str) {
        self.profiles.insert(profile.to_owned());
        let Some(target) = TARGETS.iter().find_map(|prefix| file.strip_prefix(prefix)) else { return };
        let target = plain(target.trim_end_matches(".json"));
        let package = package_of(unit);
        if self.dependencies.contains(&package) {
            self.foreign.insert(target);
        } else if self.members.contains(&package) {
            self.own.insert(target);
        }
    }

    /// Whether a file of `registry` is left out, given by the names on the way to it: a download that no lock file names.
    pub fn is_stale_download(&self, names: &[&str]) -> bool {
        match names {
            ["cache", _, file] => file.strip_suffix(".crate").is_some() && !self.downloads.contains(*file),
            _ => false,
        }
    }

    /// Whether something in the target directory is state of incremental compilation, which only the machine uses that made it.
    pub fn is_incremental(&self, names: &[&str]) -> bool {
        let depth = (1..=names.len().min(2)).find(|depth| self.profiles.contains(&names[..*depth].join("/")));
        depth.is_some_and(|depth| names.get(depth) == Some(&"incremental"))
    }

    /// Whether something in the target directory is left out, given by the names on the way to it: what is built of the
    /// workspace's own packages.
    pub fn is_built_again(&self, names: &[&str]) -> bool {
        let depth = (1..=names.len().min(2)).find(|depth| self.profiles.contains(&names[..*depth].join("/")));
        let Some((kind, rest)) = depth.and_then(|depth| names[depth..].split_first()) else { return false };
        if !UNITS.contains(kind) {
            // Programs, examples and state of incremental compilation.
            return true;
        }
        let Some(unit) = rest.first() else { return false };
        if *kind == "deps" {
            let of = crate_of(unit);
            return self.own.contains(&of) && !self.foreign.contains(&of);
        }
        let package = package_of(unit);
        self.members.contains(&package) && !self.dependencies.contains(&package)
    }
}

/// A name as crates and files have it.
fn plain(name: &str) -> String {
    name.replace('-', "_")
}

/// The package of a unit's directory: `serde-1a2b3c4d5e6f7a8b`.
fn package_of(unit: &str) -> String {
    plain(unit.rsplit_once('-').map_or(unit, |(package, _)| package))
}

/// The crate of a file in `deps`: `libserde-1a2b3c4d5e6f7a8b.rlib`, `serde-1a2b3c4d5e6f7a8b.d`.
fn crate_of(file: &str) -> String {
    let (stem, extension) = file.split_once('.').unwrap_or((file, ""));
    let is_library = ["rlib", "rmeta", "so", "dylib", "a"].iter().any(|known| extension.ends_with(known));
    let stem = stem.strip_prefix("lib").filter(|_| is_library).unwrap_or(stem);
    package_of(stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"
version = 4

[[package]]
name = "my-app"
version = "0.1.0"
dependencies = [
 "rust-crypto",
]

[[package]]
name = "rust-crypto"
version = "0.2.36"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "00"

[metadata]
name = "no package"
"#;

    fn packages() -> CargoPackages {
        let mut packages = CargoPackages::default();
        packages.add_lock(LOCK);
        for (unit, file) in [
            ("my-app-0123456789abcdef", "bin-my-app"),
            ("my-app-1123456789abcdef", "test-integration-test-smoke"),
            ("rust-crypto-2123456789abcdef", "lib-crypto"),
            ("rust-crypto-2123456789abcdef", "dep-lib-crypto"),
        ] {
            packages.add_fingerprint("debug", unit, file);
        }
        packages
    }

    #[test]
    fn a_lock_tells_members_from_dependencies() {
        let packages = packages();
        assert_eq!(packages.members().collect::<Vec<_>>(), ["my_app"]);
        assert!(!packages.is_empty() && CargoPackages::default().is_empty());
        for (names, expect) in [
            (&["cache", "index.crates.io-1", "rust-crypto-0.2.36.crate"][..], false),
            (&["cache", "index.crates.io-1", "rust-crypto-0.2.35.crate"], true),
            (&["cache", "index.crates.io-1"], false),
            (&["index", "index.crates.io-1", "config.json"], false),
        ] {
            assert_eq!(packages.is_stale_download(names), expect, "{names:?}");
        }
    }

    #[test]
    fn what_is_built_of_members_is_left_out() {
        let packages = packages();
        for (path, expect) in [
            ("debug", false),
            ("debug/deps", false),
            ("debug/deps/libcrypto-2123456789abcdef.rlib", false),
            ("debug/deps/crypto-2123456789abcdef.d", false),
            ("debug/deps/my_app-0123456789abcdef", true),
            ("debug/deps/smoke-1123456789abcdef.d", true),
            ("debug/.fingerprint/rust-crypto-2123456789abcdef", false),
            ("debug/.fingerprint/my-app-0123456789abcdef/bin-my-app", true),
            ("debug/build/my-app-3123456789abcdef", true),
            ("debug/my-app", true),
            ("debug/examples", true),
            ("debug/incremental/my_app-1", true),
            (".rustc_info.json", false),
            ("tmp/other/file", false),
        ] {
            let names: Vec<&str> = path.split('/').collect();
            assert_eq!(packages.is_built_again(&names), expect, "{path}");
            assert_eq!(packages.is_incremental(&names), path.contains("incremental"), "{path}");
        }
    }
}
