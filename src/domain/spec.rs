//! What a repository declares: its caches and where their entries live.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::digest::{Algorithm, ObjectId};
use super::retention::Policy;
use super::template::Template;
use super::trim::TrimPolicy;
use super::unit::SizeOrShare;

/// A whole `cachekeep.toml`.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// Where entries live.
    pub store: StoreLocation,
    /// The caches, in the order of their names.
    pub caches: Vec<CacheSpec>,
    /// What is kept free on every volume.
    pub disk: DiskPolicy,
    /// Which entries of the store go.
    pub clean: Policy,
}

impl Spec {
    /// The cache of this name.
    pub fn cache(&self, name: &str) -> Option<&CacheSpec> {
        self.caches.iter().find(|cache| cache.name == name)
    }
}

/// Where entries live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreLocation {
    /// Whatever fits the platform; a directory in the user's cache folder where nothing else does.
    Auto,
    /// GitHub's cache service, spoken to by the job itself.
    GitHub,
    /// A directory (`file:///srv/ci-cache`).
    Directory(PathBuf),
}

/// One declared cache.
#[derive(Debug, Clone, PartialEq)]
pub struct CacheSpec {
    /// Its name: letters, digits, `-`, `_` and `.`; also its folder in archives.
    pub name: String,
    /// Its roots and what of them is kept, in the order written.
    pub paths: Vec<PathPattern>,
    /// The key of its entries.
    pub key: Template,
    /// Prefixes that restore it when no entry has the key.
    pub restore_keys: Vec<Template>,
    /// Who saves it.
    pub role: Role,
    /// When it is saved.
    pub save: SavePolicy,
    /// Variables that tell the build where it is.
    pub export: BTreeMap<String, Template>,
    /// For a content-addressed cache: its links and objects.
    pub links: Option<LinksSpec>,
    /// What fills it when it is cold.
    pub seed: Option<SeedSpec>,
    /// How its folder is kept small before a save.
    pub trim: Option<TrimPolicy>,
}

/// A root, a glob below a root, or an exclusion from them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    /// Whether it takes away what patterns before it added (`!` in the configuration).
    pub exclude: bool,
    /// The pattern, without its `!`.
    pub pattern: Template,
}

/// Who saves a cache.
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
    /// Whatever the command returned, but not after an interruption.
    Always,
    /// Never.
    Never,
}

/// The content links that a cache serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinksSpec {
    /// Globs below the workspace; `!` excludes.
    pub files: Vec<String>,
    /// Where an object lies below the cache's root, with `{ALGO}`, `{algo}` and `{hash}`.
    pub object: Template,
    /// Where single objects are fetched from, in order: URLs with `{hash}`, `{ALGO}` and `{algo}`.
    pub mirrors: Vec<Template>,
    /// Objects that are taken although nothing proves that their bytes are theirs.
    pub allow_unverified: BTreeSet<ObjectId>,
    /// What becomes of objects that no link wants, before a save.
    pub unwanted: Unwanted,
    /// Directories in the same layout in which a build leaves what it fetched by itself.
    pub harvest: Vec<Template>,
    /// How thoroughly what was restored is verified.
    pub verify: Thoroughness,
}

/// What becomes of objects that no link wants any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unwanted {
    /// They stay: other branches may want them.
    #[default]
    Keep,
    /// A writer removes them before it saves a complete cache.
    Prune,
}

/// How thoroughly objects are verified where nothing but this machine has touched them since they were proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Thoroughness {
    /// Every object is hashed.
    #[default]
    Full,
    /// Names and sizes must be those of the sentinel, and a random sample is hashed.
    Sample,
    /// Names and sizes must be those of the sentinel.
    Sentinel,
}

/// What fills a cold cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedSpec {
    /// Named in the sentinel: a cache seeded by this version is not seeded again.
    pub version: String,
    /// Archives to try in order: `file:`, `http:`, `https:`, or a path below the workspace.
    pub from: Vec<Template>,
    /// The digest of the archive: algorithm and lower-case hexadecimal.
    pub checksum: Option<(Algorithm, String)>,
    /// The folder in the archive that becomes the cache's root.
    pub subdir: Option<String>,
}

/// What is kept free on every volume involved.
#[derive(Debug, Clone, PartialEq)]
pub struct DiskPolicy {
    /// Bytes, or a share of the volume.
    pub reserve: SizeOrShare,
}

impl Default for DiskPolicy {
    /// Five percent: what `ext4` keeps for root, and enough for logs and post-job steps.
    fn default() -> Self {
        DiskPolicy { reserve: SizeOrShare::Percent(5.0) }
    }
}
