//! What a configuration declares: caches, their store, and what is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::digest::{Algorithm, ObjectId};
use super::fault::Fault;
use super::finding::Location;
use super::freeable::Freeable;
use super::kinds::{Kind, Place};
use super::object_location::ObjectLocation;
use super::retention::Policy;
use super::template::{Placeholder, Template};
use super::trim::TrimSpec;
use super::unit::{ByteSize, SizeOrShare};

/// A parsed and checked `cachekeep.toml`.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// Where entries live.
    pub store: StoreLocation,
    /// The store that is asked where that one does not answer.
    pub fallback: Option<StoreLocation>,
    /// The directory that keeps copies of the entries of a store elsewhere.
    pub front: Option<PathBuf>,
    /// Upper bound for the bytes of a store of our own, kept after each save.
    pub quota: Option<SizeOrShare>,
    /// The caches, sorted by name.
    pub caches: Vec<CacheSpec>,
    /// Free space to keep on every volume.
    pub disk: DiskPolicy,
    /// Which entries `clean` deletes from the store.
    pub clean: Policy,
}

impl Spec {
    /// The cache with this name.
    pub fn cache(&self, name: &str) -> Option<&CacheSpec> {
        self.caches.iter().find(|cache| cache.name == name)
    }
}

/// Where entries live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreLocation {
    /// Chosen by platform; a directory in the user's cache directory if the platform has no store of its own.
    Auto,
    /// GitHub's cache service, accessed directly by the job.
    GitHub,
    /// A directory (`file:///srv/ci-cache`).
    Directory(PathBuf),
    /// An object service.
    Objects(ObjectLocation),
}

/// One declared cache.
#[derive(Debug, Clone, PartialEq)]
pub struct CacheSpec {
    /// Its name: letters, digits, `-`, `_` and `.`; also its directory in archives.
    pub name: String,
    /// The tool that keeps it.
    pub kind: Option<&'static Kind>,
    /// Its roots, globs and exclusions, in the order of the configuration.
    pub paths: Vec<PathPattern>,
    /// The key of its entries.
    pub key: Template,
    /// Prefixes that match when no entry has the key, in order.
    pub restore_keys: Vec<Template>,
    /// Whether this job saves it.
    pub role: Role,
    /// When `cachekeep run` saves it.
    pub save: SavePolicy,
    /// How a new entry is read back; `None` if that is left to what its store does.
    pub verify_save: Option<VerifySave>,
    /// Whether a save stores what changed alone, where an earlier entry has the rest.
    pub generations: Generations,
    /// Environment variables set for the build.
    pub export: BTreeMap<String, Template>,
    /// Those of the variables that come with the kind.
    pub kind_exports: BTreeSet<String>,
    /// The content links and objects of a content-addressed cache.
    pub links: Option<LinksSpec>,
    /// The release archive that fills it when it is empty.
    pub seed: Option<SeedSpec>,
    /// How its directory is trimmed before a save.
    pub trim: Option<TrimSpec>,
    /// Whether all repositories that use a store of our own share its entries.
    pub shared: bool,
    /// Whether a restore gives unchanged sources the times that the cache was built with.
    pub source_times: bool,
}

impl CacheSpec {
    /// Whether it lies in the usual directories of its tool, so that nothing about them is the configuration's choice.
    pub fn is_in_usual_place(&self) -> bool {
        self.kind.is_some() && self.paths.iter().all(|path| path.place.is_some())
    }

    /// Whether each commit or run has a key of its own. What is saved under any other key stays, since an entry is never replaced.
    pub fn has_key_of_each_run(&self) -> bool {
        let is_of_run = |placeholder: &Placeholder| {
            matches!(placeholder, Placeholder::Sha | Placeholder::RunId | Placeholder::RunAttempt)
        };
        self.key.placeholders().any(is_of_run)
    }

    /// A fault with the name of this cache, for a command that it ends.
    pub(crate) fn named_in(&self, fault: Fault) -> Fault {
        fault.in_context(format!("cache `{}`", self.name))
    }
}

/// A root, a glob below a root, or an exclusion from them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    /// Whether it excludes paths that earlier patterns matched (`!` in the configuration).
    pub exclude: bool,
    /// The pattern, without its `!`.
    pub pattern: Template,
    /// The directory of a tool that the pattern begins with, and what follows it.
    pub place: Option<(&'static Place, &'static str)>,
}

/// Whether a job saves a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// Restores and saves.
    #[default]
    Writer,
    /// Only restores.
    Consumer,
}

/// When a cache is saved after the command of `cachekeep run`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SavePolicy {
    /// When the command succeeded.
    #[default]
    Success,
    /// Whatever the command's exit status was, but not after an interruption.
    Always,
    /// Never.
    Never,
}

/// How a new entry is read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifySave {
    /// Its size, its first and its last bytes are compared with what was sent.
    Ends,
    /// All of it is read, decompressed and compared with its digests.
    Full,
    /// Not at all.
    None,
}

/// Whether a save stores what changed alone, where an earlier entry has the rest (see [`super::thin`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generations {
    /// As is usual in the store.
    Usual,
    /// Never.
    Off,
    /// Where an archive of the whole cache would have at least this size.
    From(ByteSize),
}

impl Generations {
    /// The size that is usual: less is saved as quickly in full.
    pub const USUAL_SIZE: ByteSize = ByteSize(128 << 20);

    /// The size of a whole archive from which on what changed alone is stored; `None` if it never is. A store that evicts may keep an
    /// entry and not what it takes content from.
    pub(crate) fn least(self, store_evicts: bool) -> Option<ByteSize> {
        match self {
            Generations::Usual => (!store_evicts).then_some(Generations::USUAL_SIZE),
            Generations::Off => None,
            Generations::From(size) => Some(size),
        }
    }
}

/// The content links of a cache, and how their objects are stored and fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinksSpec {
    /// Globs below the workspace; `!` excludes.
    pub files: Vec<String>,
    /// Where they stand; `None` if they were not read from a file.
    pub place: Option<Location>,
    /// Path of an object below the cache's root, with `{ALGO}`, `{algo}` and `{hash}`.
    pub object: Template,
    /// URLs that single objects are fetched from, in order, with `{hash}`, `{ALGO}` and `{algo}`.
    pub mirrors: Vec<Template>,
    /// When a restore is followed by a fetch from the mirrors.
    pub prefetch: Prefetch,
    /// Objects that are accepted although their bytes cannot be checked against their names.
    pub allow_unverified: BTreeSet<ObjectId>,
    /// What a save does with objects that no link names.
    pub unwanted: Unwanted,
    /// Directories in the same layout where a build stores objects that it downloaded itself.
    pub harvest: Vec<Template>,
    /// How thoroughly restored objects are verified.
    pub verify: Thoroughness,
}

/// When missing objects are fetched from mirrors before the build, which may fetch what it needs by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Prefetch {
    /// Whenever some are missing.
    #[default]
    Always,
    /// When the cache holds some of the objects that links want, and lacks others.
    Partial,
    /// Never; `fetch` does it by hand.
    Never,
}

/// What a save does with objects that no link names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unwanted {
    /// Keep them: links on other branches may name them.
    #[default]
    Keep,
    /// Remove them from the cache before a complete cache is saved.
    Prune,
}

/// How thoroughly objects are verified if only this machine has had access to them since they were verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Thoroughness {
    /// Every object is hashed.
    #[default]
    Full,
    /// Names and sizes must match the sentinel, and a random sample is hashed.
    Sample,
    /// Names and sizes must match the sentinel.
    Sentinel,
}

/// The release archive that fills an empty cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedSpec {
    /// Recorded in the sentinel: a cache seeded with this version is not seeded again.
    pub version: String,
    /// Archives to try in order: `file:`, `http:`, `https:`, or a path below the workspace.
    pub from: Vec<Template>,
    /// Expected digest of the archive: algorithm and lower-case hexadecimal.
    pub checksum: Option<(Algorithm, String)>,
    /// The directory in the archive that becomes the cache's root.
    pub subdir: Option<String>,
}

/// Free space to keep on every volume that is written to.
#[derive(Debug, Clone, PartialEq)]
pub struct DiskPolicy {
    /// In bytes, or as a share of the volume.
    pub reserve: SizeOrShare,
    /// What may be removed before a save where room is short.
    pub free: Vec<Freeable>,
}

impl Default for DiskPolicy {
    /// Five percent: what `ext4` keeps for root, and enough for logs and post-job steps. No more than 2 GiB, or nothing would be
    /// restored to a large volume that is nearly full.
    fn default() -> Self {
        DiskPolicy { reserve: SizeOrShare::Lesser(5.0, ByteSize(2 << 30)), free: Vec::new() }
    }
}
