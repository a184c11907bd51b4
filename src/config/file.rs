//! The file format: raw structs for serde and for the JSON schema.
//!
//! The doc comments here are the descriptions in the schema and the hints for missing fields, so they address
//! authors of a `cachekeep.toml`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::clean::Clean;
use super::findings::Text;
use super::scalars::{AbsoluteOrPercent, Duration, HexDigest, SizeLimit};
use crate::domain::kinds::{self, Kind};

/// The default layout of objects, which is that of `CMake`'s `ExternalData`.
pub(super) const OBJECT: &str = "{ALGO}/{hash}";

/// The caches of a repository, their store and the cleaning policy.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(title = "cachekeep.toml", extend("$id" = "https://github.com/cachekeep/cachekeep/raw/main/cachekeep.schema.json"))]
pub(super) struct File {
    /// Where entries live: `auto` (chosen by platform), `github`, `file:///absolute/path`, or an object service:
    /// `az://ACCOUNT/CONTAINER/PREFIX`, `s3://BUCKET/PREFIX` or `gs://BUCKET/PREFIX`.
    #[serde(default)]
    #[schemars(with = "String", regex(pattern = r"^(auto|github|file:(//(localhost)?)?/[^/].*|(az|s3|gs|https)://[a-z0-9][^?]*)$"), extend("default" = "auto"))]
    pub store: Option<Text>,
    /// The store that is asked where that one does not answer: `github`, a directory or an object service. A miss and a
    /// missing right are answers.
    #[serde(default)]
    #[schemars(
        with = "String",
        regex(pattern = r"^(github|file:(//(localhost)?)?/[^/].*|(az|s3|gs|https)://[a-z0-9][^?]*)$")
    )]
    pub fallback: Option<Text>,
    /// A directory of this machine, `file:///absolute/path`, that keeps copies of the entries that jobs restore from and save
    /// to a store elsewhere.
    #[serde(default)]
    #[schemars(with = "String", regex(pattern = r"^file:(//(localhost)?)?/[^/].*$"))]
    pub front: Option<Text>,
    /// Upper bound for the bytes of a store of our own (a directory or an object service), kept after each save: a size or, for
    /// a directory, a share of its volume. By default the lesser of 10 GB and 10 % where `store` is `auto`, and none where a
    /// store is named.
    #[serde(default)]
    #[schemars(with = "AbsoluteOrPercent")]
    pub quota: Option<Text>,
    /// The caches by name: letters, digits, `-`, `_` and `.`.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, RawCache>")]
    pub cache: BTreeMap<Spanned<String>, RawCache>,
    /// Free space to keep on disks, and how to make it.
    #[serde(default)]
    pub disk: Disk,
    /// Which entries of the store `cachekeep clean` deletes.
    #[serde(default)]
    #[schemars(with = "Clean")]
    pub clean: Option<Spanned<Clean>>,
}

/// One cache.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(extend(
    "allOf" = [
        { "anyOf": [{ "required": ["path"] }, { "required": ["paths"] }, { "required": ["kind"] }] },
        { "anyOf": [{ "required": ["key"] }, { "required": ["kind"] }] },
    ],
    "not" = { "required": ["path", "paths"] },
))]
pub(super) struct RawCache {
    /// The tool that keeps the cache. Its usual directory, key and variables are those of this kind unless other fields say
    /// otherwise, and it is trimmed as the tool wants.
    #[serde(default)]
    #[schemars(with = "RawKind")]
    pub kind: Option<Spanned<RawKind>>,
    /// The directory to cache, absolute or relative to the workspace; globs are allowed.
    #[serde(default)]
    #[schemars(with = "String")]
    pub path: Option<Text>,
    /// Several directories or globs instead of `path`; a leading `!` excludes.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub paths: Option<Spanned<Vec<Text>>>,
    /// The key of its entries, such as `deps-v1-{os}-{files:**/*.lock}`.
    #[serde(default)]
    #[schemars(with = "String")]
    pub key: Option<Text>,
    /// Prefixes of keys that match when no entry has the key, in order.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub restore_keys: Vec<Text>,
    /// Whether jobs save it or only restore it.
    #[serde(default)]
    #[schemars(extend("default" = "writer"))]
    pub role: RawRole,
    /// When it is saved: after a command or a job that succeeded, after one that failed as well, or not at all.
    #[serde(default)]
    #[schemars(extend("default" = "success"))]
    pub save: RawSave,
    /// How a new entry is read back: `ends`, the default where the store compares all that arrives with a checksum,
    /// `full`, the default elsewhere, or `none`.
    #[serde(default)]
    #[schemars(with = "RawVerifySave")]
    pub verify_save: Option<RawVerifySave>,
    /// Whether a save stores what changed alone, where an earlier entry has the rest: `true`, `false`, or the size, such as
    /// `"64MiB"`, that an archive of the whole cache must have for that. With `true` it is 128 MiB. Usual is `true` in directories and
    /// object services, and `false` on GitHub.
    #[serde(default)]
    #[schemars(with = "RawGenerations")]
    pub generations: Option<Spanned<RawGenerations>>,
    /// Environment variables for the build, such as `CCACHE_DIR = "{path}"`.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub export: BTreeMap<Spanned<String>, Text>,
    /// The content links whose objects the cache holds.
    #[serde(default)]
    #[schemars(with = "Links")]
    pub links: Option<Links>,
    /// The release archive that fills the cache when it is empty.
    #[serde(default)]
    #[schemars(with = "RawSeed")]
    pub seed: Option<RawSeed>,
    /// How its directory is trimmed before a save.
    #[serde(default)]
    #[schemars(with = "RawTrim")]
    pub trim: Option<Spanned<RawTrim>>,
    /// Whether every repository that uses the same directory as its store shares the entries of this cache. A job
    /// that saves in one of them then decides what the others restore. GitHub's store shares nothing.
    #[serde(default)]
    #[schemars(extend("default" = false))]
    pub shared: bool,
    /// For `kind = "cargo"`: `content` keeps what is built of the workspace's own packages, and gives sources whose contents have
    /// not changed the times that it was built with, so that a fresh checkout builds only what changed. With `checkout`, the
    /// default, only dependencies are kept.
    #[serde(default)]
    #[schemars(with = "RawMtime")]
    pub mtime: Option<Spanned<RawMtime>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawMtime {
    /// Sources have the times of the checkout.
    Checkout,
    /// Unchanged sources have the times that the cache was built with.
    Content,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawKind {
    /// The compiler cache `ccache`.
    Ccache,
    /// The compiler cache `sccache`.
    Sccache,
    /// Rust's `cargo`: downloads and `target`.
    Cargo,
    /// Go: the build cache and modules.
    Go,
    /// Downloads of `npm`.
    Npm,
    /// The store of `pnpm`.
    Pnpm,
    /// Downloads and wheels of `pip`.
    Pip,
    /// Downloads and wheels of `uv`.
    Uv,
    /// Downloads and the build cache of Gradle.
    Gradle,
    /// Evaluations and fetched sources of Nix.
    Nix,
}

impl RawKind {
    /// What the table of kinds says about it.
    pub(super) fn kind(self) -> &'static Kind {
        let name = match self {
            RawKind::Ccache => "ccache",
            RawKind::Sccache => "sccache",
            RawKind::Cargo => "cargo",
            RawKind::Go => "go",
            RawKind::Npm => "npm",
            RawKind::Pnpm => "pnpm",
            RawKind::Pip => "pip",
            RawKind::Uv => "uv",
            RawKind::Gradle => "gradle",
            RawKind::Nix => "nix",
        };
        kinds::named(name).expect("the table has every kind")
    }
}

#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawRole {
    /// Restores and saves.
    #[default]
    Writer,
    /// Only restores.
    Consumer,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawSave {
    /// When the command succeeded.
    #[default]
    Success,
    /// Whatever the command's exit status was, but not after an interruption.
    Always,
    /// Never.
    Never,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawVerifySave {
    /// Looked up; its size, its first and its last bytes are compared with what was sent.
    Ends,
    /// All of it is read, decompressed and compared with its digests.
    Full,
    /// Not at all.
    None,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum RawGenerations {
    /// Whether there are generations.
    Switch(bool),
    /// The size of archives that are saved as generations.
    From(String),
}

/// Content links: small files in the source tree that name objects by their hash.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Links {
    /// Globs relative to the workspace that match the links, such as `**/*.sha512`; a leading `!` excludes.
    #[schemars(with = "Vec<String>", length(min = 1))]
    pub files: Spanned<Vec<Text>>,
    /// Path of an object below the cache's directory.
    #[serde(default)]
    #[schemars(with = "String", extend("default" = OBJECT))]
    pub object: Option<Text>,
    /// URLs that single objects are fetched from, in order, with `{hash}`, `{ALGO}` and `{algo}`. Credentials come
    /// from the environment: `https://{env.USER}:{env.TOKEN}@data.example.org/{hash}`; they are sent as basic
    /// authentication and never shown. A mirror whose variables are not set is skipped.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub mirrors: Vec<Text>,
    /// Whether objects that are missing after a restore are fetched from mirrors before the build.
    #[serde(default)]
    #[schemars(extend("default" = "always"))]
    pub prefetch: RawPrefetch,
    /// Objects that are accepted without verification: CIDs of trees that neither a known profile nor a gateway can
    /// verify, such as `cid:bafybei…`.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub allow_unverified: Vec<Text>,
    /// What to do with objects that no link names, once the cache is complete and before it is saved.
    #[serde(default)]
    #[schemars(extend("default" = "keep"))]
    pub unwanted: RawUnwanted,
    /// Directories in the same layout where a build stores objects that it downloads itself: those that links name are
    /// verified and merged before a save.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub harvest: Vec<Text>,
    /// How thoroughly objects are verified after a restore and in a gate. Before a save, everything is hashed.
    #[serde(default)]
    #[schemars(extend("default" = "full"))]
    pub verify: Verify,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawPrefetch {
    /// Fetch them.
    #[default]
    Always,
    /// Fetch them if the cache holds others that links want: a partial hit is completed, a total miss is left to the build.
    Partial,
    /// Leave them to the build, or to `cachekeep fetch`.
    Never,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawUnwanted {
    /// Keep them.
    #[default]
    Keep,
    /// Remove them from the cache of a writer.
    Prune,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Verify {
    /// Every object is hashed.
    #[default]
    Full,
    /// Names and sizes must match the sentinel, and one object in twenty is hashed.
    Sample,
    /// Names and sizes must match the sentinel.
    Sentinel,
}

/// The release archive that fills an empty cache.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawSeed {
    /// A name for the contents of the archive, such as its release; a new name seeds again.
    #[schemars(with = "String", length(min = 1))]
    pub version: Text,
    /// Archives to try in order: `https://…`, `file:///…`, or a path relative to the workspace.
    #[schemars(with = "Vec<String>", length(min = 1))]
    pub from: Spanned<Vec<Text>>,
    /// The directory in the archive that becomes the cache's directory.
    #[serde(default)]
    #[schemars(with = "String")]
    pub subdir: Option<Text>,
    /// The MD5 digest of the archive.
    #[serde(default)]
    #[schemars(with = "HexDigest<32>")]
    pub md5: Option<Text>,
    /// The SHA-1 digest of the archive.
    #[serde(default)]
    #[schemars(with = "HexDigest<40>")]
    pub sha1: Option<Text>,
    /// The SHA-224 digest of the archive.
    #[serde(default)]
    #[schemars(with = "HexDigest<56>")]
    pub sha224: Option<Text>,
    /// The SHA-256 digest of the archive.
    #[serde(default)]
    #[schemars(with = "HexDigest<64>")]
    pub sha256: Option<Text>,
    /// The SHA-384 digest of the archive.
    #[serde(default)]
    #[schemars(with = "HexDigest<96>")]
    pub sha384: Option<Text>,
    /// The SHA-512 digest of the archive.
    #[serde(default)]
    #[schemars(with = "HexDigest<128>")]
    pub sha512: Option<Text>,
    /// The SHA3-224 digest of the archive.
    #[serde(default, rename = "sha3-224")]
    #[schemars(with = "HexDigest<56>")]
    pub sha3_224: Option<Text>,
    /// The SHA3-256 digest of the archive.
    #[serde(default, rename = "sha3-256")]
    #[schemars(with = "HexDigest<64>")]
    pub sha3_256: Option<Text>,
    /// The SHA3-384 digest of the archive.
    #[serde(default, rename = "sha3-384")]
    #[schemars(with = "HexDigest<96>")]
    pub sha3_384: Option<Text>,
    /// The SHA3-512 digest of the archive.
    #[serde(default, rename = "sha3-512")]
    #[schemars(with = "HexDigest<128>")]
    pub sha3_512: Option<Text>,
}

/// How a cache's directory is trimmed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(extend("minProperties" = 1))]
pub(super) struct RawTrim {
    /// The unit of removal.
    #[serde(default)]
    #[schemars(extend("default" = "files"))]
    pub units: Units,
    /// Maximum size of the cache as a whole, such as `5GB`, `10%` of its volume or `{env.CCACHE_SIZE}`; the least recently used
    /// units are removed first.
    #[serde(default)]
    #[schemars(with = "SizeLimit")]
    pub max_size: Option<Text>,
    /// Removes what was not used for this long.
    #[serde(default)]
    #[schemars(with = "Duration")]
    pub unused_for: Option<Text>,
    /// Keeps this many of the most recently used units, and removes all others.
    #[serde(default)]
    #[schemars(with = "u32", range(min = 1))]
    pub keep: Option<Spanned<i64>>,
    /// What tells when a unit was used.
    #[serde(default)]
    #[schemars(extend("default" = "modified"))]
    pub recency: RawRecency,
    /// `job`: removes what the job did not use, for tools that record each use.
    #[serde(default)]
    #[schemars(with = "RawEvict")]
    pub evict: Option<Spanned<RawEvict>>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawEvict {
    /// What the job did not use.
    Job,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Units {
    /// Single files.
    #[default]
    Files,
    /// What lies directly in a root: files, and directories with all that is in them.
    Children,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawRecency {
    /// When its contents last changed.
    #[default]
    Modified,
    /// When its contents were last read.
    Accessed,
    /// When it was created on this volume.
    Created,
}

/// Free space to keep on disks, and how to make it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Disk {
    /// Free space to keep on every volume that is written to: a size, or a share of the volume. By default the lesser of 5 % and
    /// 2 GiB.
    #[serde(default)]
    #[schemars(with = "AbsoluteOrPercent")]
    pub reserve: Option<Text>,
    /// What may be removed before a save where room is short, as far as needed: files and directories below the workspace or the
    /// temporary directory, and names such as `hosted:android` and `docker:images`.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub free: Vec<Text>,
}
