//! Converts raw structs to domain types. Invalid parts are reported and left out.

use std::collections::BTreeMap;

use toml::Spanned;

use super::clean;
use super::draft::{Draft, Placed};
use super::field::Field;
use super::file::{self, File};
use super::findings::{Findings, Text, placeless};
use super::kinds;
use super::lint;
use super::location::parse_store;
use super::placeholders::template;
use super::units::{size, size_limit, size_or_share, unit};
use crate::domain::digest::{Algorithm, ObjectId};
use crate::domain::freeable::{Freeable, KNOWN};
use crate::domain::kinds::Kind;
use crate::domain::spec::{
    CacheSpec, DiskPolicy, Generations, LinksSpec, PathPattern, Prefetch, Role, SavePolicy, SeedSpec, Spec,
    StoreLocation, Thoroughness, Unwanted, VerifySave,
};
use crate::domain::template::Template;
use crate::domain::trim::{Recency, TrimSpec, TrimUnits};
use crate::domain::unit::{ByteSize, SizeOrShare};

/// Converts a whole file. The result is incomplete if the findings contain an error.
pub(super) fn convert(file: File, findings: &mut Findings<'_>) -> Spec {
    let (fallback, front) = lint::layers::layers(&file, findings);
    let store = file.store.map_or(StoreLocation::Auto, |text| store(&text, findings));
    let quota = file.quota.and_then(|text| quota(&text, &store, findings));
    let disk = disk(file.disk, findings);
    let drafts: Vec<Draft> =
        file.cache.into_iter().filter_map(|(name, raw)| cache(&name, raw, findings)).collect();
    lint::across(&drafts, findings);
    let caches: Vec<CacheSpec> = drafts.into_iter().map(|draft| draft.spec).collect();
    Spec { store, fallback, front, quota, clean: clean::policy(file.clean, &caches, findings), caches, disk }
}

fn store(text: &Text, findings: &mut Findings<'_>) -> StoreLocation {
    match parse_store(text.get_ref()) {
        Ok(store) => store,
        Err((message, hint)) => {
            findings.error(&text.span(), message).with_hint(hint);
            StoreLocation::Auto
        }
    }
}

fn disk(raw: file::Disk, findings: &mut Findings<'_>) -> DiskPolicy {
    let usual = DiskPolicy::default();
    let reserve = raw.reserve.and_then(|text| size_or_share(&text, "%", findings)).unwrap_or(usual.reserve);
    let free = raw.free.iter().filter_map(|text| freeable(text, findings)).collect();
    DiskPolicy { reserve, free }
}

/// A name of the table, or a path.
fn freeable(text: &Text, findings: &mut Findings<'_>) -> Option<Freeable> {
    let written = text.get_ref();
    if let Some(known) = KNOWN.iter().find(|known| known.name == written) {
        return Some(Freeable::Known(known));
    }
    let is_name = written
        .split_once(':')
        .is_some_and(|(family, _)| KNOWN.iter().any(|known| known.name.split(':').next() == Some(family)));
    if is_name {
        let names: Vec<&str> = KNOWN.iter().map(|known| known.name).collect();
        findings
            .error(&text.span(), format!("`{written}` is not something that can be freed by name"))
            .with_hint(format!("write a path, or one of {}", names.join(", ")));
        return None;
    }
    if written.trim().is_empty() || written.contains(['*', '?', '[']) {
        findings
            .error(&text.span(), "`free` takes paths without wildcards")
            .with_hint("name a directory, such as `\"{workspace}/build\"`");
        return None;
    }
    template(text, Field::Free, findings).map(Freeable::Path)
}

/// The quota of a store, where it may have one.
fn quota(text: &Text, store: &StoreLocation, findings: &mut Findings<'_>) -> Option<SizeOrShare> {
    let quota = size_or_share(text, "GB", findings)?;
    if quota.of(ByteSize(u64::MAX)) == ByteSize(0) {
        findings
            .error(&text.span(), "`quota` leaves no room for an entry")
            .with_hint("give it a size, or remove it where nothing is to be kept");
        return None;
    }
    match store {
        StoreLocation::GitHub => {
            findings
                .warning(&text.span(), "`quota` has no effect: GitHub keeps a budget of its own")
                .with_hint("write `budget` in `[clean]`, and run `cachekeep clean` every night");
        }
        StoreLocation::Objects(_) if !matches!(quota, SizeOrShare::Bytes(_)) => {
            findings
                .error(&text.span(), "a share is one of a volume, and an object service has none")
                .with_hint("write a size, such as `\"50GB\"`");
            return None;
        }
        _ => {}
    }
    Some(quota)
}

/// Converts one cache; `None` if its name or key is invalid, to avoid follow-up errors.
pub(super) fn cache(name: &Text, raw: file::RawCache, findings: &mut Findings<'_>) -> Option<Draft> {
    let named = lint::names::cache(name, findings);
    let field = Field::Key { links: raw.links.is_some() };
    let kind = raw.kind.as_ref().map(|kind| kind.get_ref().kind());
    let (key, restore_keys) = kinds::keys(name, kind, raw.key, raw.restore_keys)?;
    let key = lint::keys::key(&key, field, findings);
    let restore_keys = lint::keys::restore_keys(&restore_keys, field, key.as_ref(), findings);
    let paths = match kind {
        Some(kind) if raw.path.is_none() && raw.paths.is_none() => kinds::paths(kind, name.span()),
        _ => paths(name, raw.path, raw.paths, findings),
    };
    let has_links = raw.links.is_some();
    let links = raw.links.and_then(|links| self::links(links, findings));
    let seed = raw.seed.map(|seed| self::seed(seed, has_links, findings));
    let trim = raw.trim.and_then(|trim| self::trim(&trim, kind, findings));
    let mut export = BTreeMap::new();
    let mut exported = Vec::new();
    for (variable, value) in raw.export {
        let valid = lint::names::export(&variable, findings);
        if let (Some(value), true) = (template(&value, Field::Export, findings), valid) {
            exported.push(Placed { value: variable.get_ref().clone(), place: variable.span() });
            export.insert(variable.into_inner(), value);
        }
    }
    // Paths of a kind have places of their own.
    let has_own_paths = paths.iter().any(|path| path.value.place.is_none());
    let source_times =
        raw.mtime.is_some_and(|mtime| self::source_times(&mtime, kind, has_own_paths, findings));
    let kind_exports = kind.map(|kind| kinds::export(kind, trim.as_ref(), &mut export)).unwrap_or_default();
    let spec = CacheSpec {
        name: name.get_ref().clone(),
        kind,
        paths: paths.iter().map(|path| path.value.clone()).collect(),
        key: key.filter(|_| named)?,
        restore_keys,
        role: match raw.role {
            file::RawRole::Writer => Role::Writer,
            file::RawRole::Consumer => Role::Consumer,
        },
        save: match raw.save {
            file::RawSave::Success => SavePolicy::Success,
            file::RawSave::Always => SavePolicy::Always,
            file::RawSave::Never => SavePolicy::Never,
        },
        verify_save: raw.verify_save.map(|how| match how {
            file::RawVerifySave::Ends => VerifySave::Ends,
            file::RawVerifySave::Full => VerifySave::Full,
            file::RawVerifySave::None => VerifySave::None,
        }),
        generations: raw.generations.map_or(Generations::Usual, |raw| generations(&raw, findings)),
        export,
        kind_exports,
        links,
        seed,
        trim,
        shared: raw.shared,
        source_times,
    };
    Some(Draft { spec, name: name.span(), paths, export: exported })
}

fn generations(raw: &Spanned<file::RawGenerations>, findings: &mut Findings<'_>) -> Generations {
    match raw.get_ref() {
        file::RawGenerations::Switch(false) => Generations::Off,
        file::RawGenerations::Switch(true) => Generations::From(Generations::USUAL_SIZE),
        file::RawGenerations::From(text) => {
            let text = Spanned::new(raw.span(), text.clone());
            size(&text, findings).map_or(Generations::Off, Generations::From)
        }
    }
}

fn paths(
    cache: &Text,
    one: Option<Text>,
    several: Option<Spanned<Vec<Text>>>,
    findings: &mut Findings<'_>,
) -> Vec<Placed<PathPattern>> {
    let texts = match (one, several) {
        (Some(one), None) => vec![one],
        (None, Some(several)) if several.get_ref().is_empty() => {
            findings
                .error(&several.span(), "`paths` is empty")
                .with_hint("add at least one directory or glob");
            return Vec::new();
        }
        (None, Some(several)) => several.into_inner(),
        (Some(one), Some(_)) => {
            findings
                .error(&one.span(), format!("the cache `{}` has both `path` and `paths`", cache.get_ref()))
                .with_hint("move `path` into the list of `paths`");
            return Vec::new();
        }
        // The shape check reports this for files, so this case occurs for inputs only.
        (None, None) => {
            findings
                .error(&cache.span(), "`path` is empty")
                .with_hint("add at least one directory or glob, one per line");
            return Vec::new();
        }
    };
    lint::paths::patterns(&texts, findings)
}

/// Whether sources get the times that a cache was built with.
fn source_times(
    mtime: &Spanned<file::RawMtime>,
    kind: Option<&Kind>,
    has_own_paths: bool,
    findings: &mut Findings<'_>,
) -> bool {
    if kind.is_none_or(|kind| kind.name != "cargo") {
        findings
            .error(
                &mtime.span(),
                "`mtime` is for caches of `kind = \"cargo\"`: other builds do not go by the times of sources",
            )
            .with_hint("remove it, or set `kind = \"cargo\"`");
    } else if has_own_paths {
        findings.warning(&mtime.span(), "`mtime` has no effect on a cache with paths of its own").with_hint(
            "leave out `path` and `paths`: `kind = \"cargo\"` knows where the target directory is",
        );
    }
    *mtime.get_ref() == file::RawMtime::Content
}

fn links(raw: file::Links, findings: &mut Findings<'_>) -> Option<LinksSpec> {
    let files = lint::globs::link_files(&raw.files, findings);
    let place = findings.location(&raw.files.span());
    let object = raw.object.unwrap_or_else(|| placeless(file::OBJECT));
    let object = lint::sources::object(&object, findings);
    let mirrors: Vec<Template> =
        raw.mirrors.iter().filter_map(|mirror| lint::sources::mirror(mirror, findings)).collect();
    let allowed = raw.allow_unverified.iter().filter_map(|name| lint::sources::unverified(name, findings));
    let allow_unverified = allowed.collect();
    let harvest =
        raw.harvest.iter().filter_map(|directory| lint::sources::harvest(directory, findings)).collect();
    let prefetch = match raw.prefetch {
        file::RawPrefetch::Always => Prefetch::Always,
        file::RawPrefetch::Partial => Prefetch::Partial,
        file::RawPrefetch::Never => Prefetch::Never,
    };
    let unwanted = match raw.unwanted {
        file::RawUnwanted::Keep => Unwanted::Keep,
        file::RawUnwanted::Prune => Unwanted::Prune,
    };
    let verify = match raw.verify {
        file::Verify::Full => Thoroughness::Full,
        file::Verify::Sample => Thoroughness::Sample,
        file::Verify::Sentinel => Thoroughness::Sentinel,
    };
    Some(LinksSpec {
        files,
        place,
        object: object?,
        mirrors,
        prefetch,
        allow_unverified,
        unwanted,
        harvest,
        verify,
    })
}

fn seed(raw: file::RawSeed, links: bool, findings: &mut Findings<'_>) -> SeedSpec {
    let digests = [
        (Algorithm::Md5, raw.md5),
        (Algorithm::Sha1, raw.sha1),
        (Algorithm::Sha224, raw.sha224),
        (Algorithm::Sha256, raw.sha256),
        (Algorithm::Sha384, raw.sha384),
        (Algorithm::Sha512, raw.sha512),
        (Algorithm::Sha3_224, raw.sha3_224),
        (Algorithm::Sha3_256, raw.sha3_256),
        (Algorithm::Sha3_384, raw.sha3_384),
        (Algorithm::Sha3_512, raw.sha3_512),
    ];
    let mut given = digests.into_iter().filter_map(|(algorithm, digest)| Some((algorithm, digest?)));
    let checksum = given.next();
    for (algorithm, digest) in given {
        findings
            .error(&digest.span(), format!("the seed has more than one checksum: `{algorithm}`"))
            .with_hint("keep the strongest one");
    }
    let verified = checksum.is_some() || links;
    let checksum = checksum.and_then(|(algorithm, digest)| self::checksum(algorithm, &digest, findings));
    let version = raw.version.get_ref().trim();
    if version.is_empty() || version.chars().any(char::is_control) {
        findings
            .error(&raw.version.span(), "the version of a seed must be one line of text")
            .with_hint("write a name for its contents, such as the release `5.4.5`");
    }
    if raw.from.get_ref().is_empty() {
        findings.error(&raw.from.span(), "`from` is empty").with_hint("add at least one archive");
    }
    let sources = raw.from.get_ref().iter();
    let from = sources.filter_map(|source| lint::sources::seed(source, verified, findings)).collect();
    let subdir = raw.subdir.and_then(|subdir| lint::sources::subdir(&subdir, findings));
    SeedSpec { version: version.to_owned(), from, checksum, subdir }
}

fn checksum(algorithm: Algorithm, digest: &Text, findings: &mut Findings<'_>) -> Option<(Algorithm, String)> {
    let lower = digest.get_ref().trim().to_ascii_lowercase();
    match ObjectId::new(algorithm, &lower) {
        Ok(_) => Some((algorithm, lower)),
        Err(error) => {
            findings
                .error(&digest.span(), format!("not a checksum: {error}"))
                .with_hint(format!("copy it from the release's list of checksums or from `{algorithm}sum`"));
            None
        }
    }
}

fn trim(raw: &Spanned<file::RawTrim>, kind: Option<&Kind>, findings: &mut Findings<'_>) -> Option<TrimSpec> {
    let file::RawTrim { units, max_size, unused_for, keep, recency, evict } = raw.get_ref();
    if let Some(evict) = evict.as_ref().filter(|_| !kind.is_some_and(|kind| kind.marks_use)) {
        findings
            .error(&evict.span(), "`evict = \"job\"` needs a tool that records each use of a file")
            .with_hint("use it with `kind = \"ccache\"` or `\"sccache\"`; elsewhere use `unused-for`");
        return None;
    }
    if max_size.is_none() && unused_for.is_none() && keep.is_none() && evict.is_none() {
        findings
            .error(&raw.span(), "`trim` sets no limit")
            .with_hint("add `max-size = \"5GB\"`, `unused-for = \"5d\"`, `keep = 3` or several of them");
        return None;
    }
    Some(TrimSpec {
        units: match units {
            file::Units::Files => TrimUnits::Files,
            file::Units::Children => TrimUnits::Children,
        },
        max_size: max_size.as_ref().and_then(|text| size_limit(text, findings)),
        unused_for: unused_for.as_ref().and_then(|text| unit(text, findings)),
        keep: keep.as_ref().and_then(|number| clean::keep(number, "the cache would be empty", findings)),
        recency: match recency {
            file::RawRecency::Modified => Recency::Modified,
            file::RawRecency::Accessed => Recency::Accessed,
            file::RawRecency::Created => Recency::Created,
        },
        unused_by_job: evict.is_some(),
    })
}
