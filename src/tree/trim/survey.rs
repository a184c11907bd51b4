//! What could be trimmed: units with their sizes and times of use.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use crate::domain::names::CACHE_TAG;
use crate::domain::sentinel::SENTINEL_FILE;
use crate::domain::trim::{Recency, TrimUnit, TrimUnits};
use crate::domain::unit::ByteSize;
use crate::fs::lease::holder::{self, Holder};
use crate::fs::time;
use crate::tree::selection::Selection;
use crate::tree::size::allocated;
use crate::tree::walk::{FileIdentity, Item, ItemKind, Walk, WalkError, place_of};

/// What to look for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SurveyOptions<'a> {
    /// The units.
    pub units: TrimUnits,
    /// What tells when a unit was used.
    pub recency: Recency,
    /// Names of files that are never trimmed and that no limit counts: a tool needs them, whatever else is there.
    pub never: &'a [&'a str],
    /// The present.
    pub now: DateTime<Utc>,
}

/// What could be trimmed.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// The units of all roots.
    pub units: Vec<TrimUnit>,
    /// The bytes of the whole cache, those of files with several names counted once.
    pub total: ByteSize,
    /// Directories in which killed processes left something.
    pub leftovers: Vec<PathBuf>,
    /// Whether the volume does not keep the time that the recency asks for, and another one was taken.
    pub lacks_times: bool,
}

/// Surveys a cache. Roots that do not exist hold nothing, unless none exists.
pub(crate) fn survey(selections: &[Selection], options: &SurveyOptions<'_>) -> Result<Survey, WalkError> {
    let mut surveyor = Surveyor { options, survey: Survey::default(), files: HashMap::new() };
    let mut missing = None;
    let mut found = false;
    for (root, selection) in selections.iter().enumerate() {
        match surveyor.walk(root, selection) {
            Ok(()) => found = true,
            Err(error @ WalkError::Missing(_)) => drop(missing.get_or_insert(error)),
            Err(error) => return Err(error),
        }
    }
    match missing {
        Some(error) if !found => Err(error),
        _ => Ok(surveyor.finish()),
    }
}

struct Surveyor<'a> {
    options: &'a SurveyOptions<'a>,
    survey: Survey,
    /// Files that have several names.
    files: HashMap<(u64, u64), SharedFile>,
}

/// A file with several names.
struct SharedFile {
    bytes: u64,
    /// Names found in the cache so far.
    found: u64,
    /// Names that it has.
    names: u64,
    /// The unit that all of them are in; `None` if they are in several, or in none.
    unit: Option<usize>,
}

impl Surveyor<'_> {
    fn walk(&mut self, root: usize, selection: &Selection) -> Result<(), WalkError> {
        let mut walk = Walk::new(selection);
        let mut children = Children::default();
        let first = self.survey.units.len();
        for item in walk.by_ref() {
            let item = item?;
            if item.relative.as_os_str().is_empty() && item.kind == ItemKind::Directory {
                continue;
            }
            let path = place_of(&selection.root, &item.relative);
            let metadata = match fs::symlink_metadata(&path) {
                Ok(metadata) => metadata,
                // Another process removed it meanwhile: there is nothing left to trim.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => return Err(WalkError::Unreadable { action: "look at", path, source }),
            };
            self.add(root, item, &metadata, &mut children);
        }
        let held = self.held(selection, walk.temporary());
        for unit in &mut self.survey.units[first..] {
            unit.held = held_by(&held, unit, &selection.root, self.options.units).map(ToString::to_string);
        }
        Ok(())
    }

    /// Counts an item, as a unit or as a part of one.
    fn add(&mut self, root: usize, item: Item, metadata: &Metadata, children: &mut Children) {
        let is_named = |name: &&str| item.relative.file_name() == Some(name.as_ref());
        if self.options.units == TrimUnits::Files && self.options.never.iter().any(is_named) {
            return;
        }
        let is_file = item.kind == ItemKind::File;
        let bytes = if is_file { allocated(metadata) } else { 0 };
        let used_at = self.used_at(metadata);
        let identity = item.identity.filter(|identity| identity.names > 1);
        let unit = match self.options.units {
            _ if self.is_never_trimmed(&item) => None,
            TrimUnits::Files if !is_file => return,
            TrimUnits::Files => match identity.and_then(|identity| self.files.get(&key(identity))?.unit) {
                Some(unit) => {
                    self.survey.units[unit].also.push((root, item.relative));
                    Some(unit)
                }
                None => Some(self.push(root, item.relative, used_at)),
            },
            TrimUnits::Children => {
                let (unit, is_first) = children.unit_of(&item.relative, self.survey.units.len());
                if is_first {
                    let first = item.relative.components().next();
                    let path = first.map(|name| PathBuf::from(name.as_os_str())).unwrap_or_default();
                    self.push(root, path, used_at);
                }
                let is_part = !is_first && self.options.recency != Recency::Created;
                if is_part && !matches!(item.kind, ItemKind::Directory) {
                    children.note(unit, used_at, &mut self.survey.units[unit]);
                }
                Some(unit)
            }
        };
        if let Some(unit) = unit.filter(|_| is_file) {
            self.survey.units[unit].files += 1;
        }
        self.count(bytes, identity, unit);
    }

    /// Counts the bytes of a file.
    fn count(&mut self, bytes: u64, identity: Option<FileIdentity>, unit: Option<usize>) {
        let Some(identity) = identity else {
            self.survey.total.0 += bytes;
            if let Some(unit) = unit {
                self.survey.units[unit].frees += bytes;
            }
            return;
        };
        let fresh = SharedFile { bytes, found: 0, names: identity.names, unit };
        let file = self.files.entry(key(identity)).or_insert(fresh);
        file.found += 1;
        if file.unit != unit {
            for unit in [file.unit.take(), unit].into_iter().flatten() {
                self.survey.units[unit].is_shared = true;
            }
        }
    }

    fn push(&mut self, root: usize, path: PathBuf, used_at: DateTime<Utc>) -> usize {
        self.survey.units.push(TrimUnit {
            root,
            path,
            also: Vec::new(),
            files: 0,
            frees: 0,
            is_shared: false,
            used_at,
            held: None,
        });
        self.survey.units.len() - 1
    }

    /// Names of files whose removal would mislead the programs that read them.
    fn is_never_trimmed(&self, item: &Item) -> bool {
        let Some(name) = item.relative.file_name() else { return false };
        let is_in_root = item.relative.components().count() == 1;
        let is_ours = name == CACHE_TAG || (is_in_root && name == SENTINEL_FILE);
        is_ours && (is_in_root || self.options.units == TrimUnits::Files)
    }

    /// When something was used; where the volume does not keep that time, when it was last changed.
    fn used_at(&mut self, metadata: &Metadata) -> DateTime<Utc> {
        let asked = match self.options.recency {
            Recency::Modified => metadata.modified(),
            Recency::Accessed => metadata.accessed(),
            Recency::Created => metadata.created(),
        };
        let taken = asked.or_else(|_| {
            self.survey.lacks_times = true;
            metadata.modified()
        });
        taken.map_or(DateTime::UNIX_EPOCH, time::instant)
    }

    /// Directories that live processes hold: those in the root, or the root itself.
    fn held(&mut self, selection: &Selection, temporary: &[PathBuf]) -> Vec<(PathBuf, Holder)> {
        let now = self.options.now;
        let found: Vec<PathBuf> = temporary.iter().map(|path| selection.root.join(path)).collect();
        let mut held = holder::held_directories(&found, now);
        let dead = found.iter().filter(|path| holder::holder_of(path, now).is_none());
        self.survey.leftovers.extend(dead.filter_map(|path| path.parent().map(Path::to_owned)));
        let above = selection.root.ancestors().skip(1);
        let above = above.filter_map(|path| Some((path.to_owned(), holder::holder_of_directory(path, now)?)));
        held.extend(above);
        held
    }

    fn finish(mut self) -> Survey {
        for file in self.files.into_values() {
            self.survey.total.0 += file.bytes;
            let Some(unit) = file.unit else { continue };
            let unit = &mut self.survey.units[unit];
            if file.found == file.names {
                unit.frees += file.bytes;
            } else {
                unit.is_shared = true;
            }
        }
        self.survey
    }
}

fn key(identity: FileIdentity) -> (u64, u64) {
    (identity.device, identity.inode)
}

/// Who holds a unit: a lease on it or above it, and of a directory also one inside.
fn held_by<'a>(
    held: &'a [(PathBuf, Holder)],
    unit: &TrimUnit,
    root: &Path,
    units: TrimUnits,
) -> Option<&'a Holder> {
    let path = root.join(&unit.path);
    let is_of = |directory: &Path| {
        path.starts_with(directory) || (units == TrimUnits::Children && directory.starts_with(&path))
    };
    held.iter().find(|(directory, _)| is_of(directory)).map(|(_, holder)| holder)
}

/// The units of one root, by the name of what lies directly in it.
#[derive(Default)]
struct Children {
    known: BTreeMap<PathBuf, usize>,
    /// Units whose time is that of something in them.
    by_content: BTreeSet<usize>,
}

impl Children {
    /// The unit that a path belongs to, which is `next` if the path is the first one of it.
    fn unit_of(&mut self, relative: &Path, next: usize) -> (usize, bool) {
        let first = relative.components().next().map(|name| PathBuf::from(name.as_os_str()));
        let unit = *self.known.entry(first.unwrap_or_default()).or_insert(next);
        (unit, unit == next)
    }

    /// Takes the time of a part: the latest counts, and that of the directory itself only if nothing is in it.
    fn note(&mut self, number: usize, used_at: DateTime<Utc>, unit: &mut TrimUnit) {
        let is_first = self.by_content.insert(number);
        unit.used_at = if is_first { used_at } else { unit.used_at.max(used_at) };
    }
}
