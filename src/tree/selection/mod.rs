//! Which files below a root belong to a cache: its path rules, resolved into roots and verdicts.
//!
//! A rule is a path, or a glob below one. Its root is the longest prefix without wildcards, where a name that exists is
//! itself, brackets and braces included (`app/[slug]`); roots that are the same or lie below each other become one
//! selection. Rules apply in order and the last match wins, for
//! a path as for everything below it; a directory that is excluded is not entered unless a later rule takes
//! something inside.

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use globset::{GlobBuilder, GlobMatcher};

use super::leftovers;
use super::unnamed::Unnamed;
use crate::domain::fault::Fault;
use crate::domain::path_pattern::{self, BACKSLASH_ESCAPES};
use crate::objects::layout::ObjectLayout;

/// One line of a cache's paths, its placeholders expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PathRule {
    /// Whether it takes away what rules before it added.
    pub exclude: bool,
    /// The directory that a relative pattern counts from: any path, never read as a pattern.
    pub base: PathBuf,
    /// A path or glob. `/` separates on every OS, `\` on Windows as well.
    pub pattern: String,
}

/// Rules, resolved.
#[derive(Debug)]
pub(crate) struct Resolved {
    /// What they take: one selection for each root, in the order in which roots are first written.
    pub selections: Vec<Selection>,
    /// The rules that say something about each root, by their numbers.
    pub members: Vec<Vec<usize>>,
    /// The exclusions, in order.
    pub exclusions: Vec<Exclusion>,
}

/// Whether an exclusion has excluded anything.
#[derive(Debug, Clone)]
pub(crate) struct Exclusion(Arc<AtomicBool>);

impl Exclusion {
    /// Whether it excluded anything in the walks that were made so far.
    pub(crate) fn has_applied(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The refusal of a rule that is written wrong.
fn refused(message: impl Into<String>, hint: &str) -> Fault {
    Fault::usage(message).with_hint(hint.to_owned())
}

/// The hint for patterns in which a character was taken for a wildcard.
const BRACKETS: &str = "put characters that are meant literally into brackets: `[*]`";

/// Matches paths below a root that are left out of a cache.
#[derive(Clone)]
pub(crate) struct Filter(Arc<dyn Fn(&Path) -> bool + Send + Sync>);

impl Filter {
    /// A filter of what a function returns `true` for.
    pub(crate) fn new(matches: impl Fn(&Path) -> bool + Send + Sync + 'static) -> Self {
        Filter(Arc::new(matches))
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Filter")
    }
}

/// What is done with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It belongs to the cache.
    Take,
    /// Neither it nor anything below it does.
    Skip,
    /// A directory that only matters if something below it is taken.
    Descend,
}

/// The files below one root that belong to a cache.
#[derive(Debug, Clone)]
pub struct Selection {
    /// The directory that holds them.
    pub root: PathBuf,
    /// The path patterns that made it, as entries record them.
    written: Vec<String>,
    rules: Vec<SelectionRule>,
    excluded: Vec<PathBuf>,
    /// Set where leftovers are left out: files that are objects of this layout are never leftovers, whatever their names.
    objects: Option<ObjectLayout>,
    /// What only rules take that name it.
    unnamed: Unnamed,
    /// What is left out as soon as it is known; shared by all copies of the selection.
    filter: Arc<RwLock<Option<Filter>>>,
    /// Names of files that do not count.
    uncounted: &'static [&'static str],
}

#[derive(Debug, Clone)]
struct SelectionRule {
    exclude: bool,
    scope: RuleScope,
    /// The names in it that have no wildcards.
    names: Vec<String>,
    /// Set when it takes something away; shared with the same rule in other selections.
    applied: Arc<AtomicBool>,
}

#[derive(Debug, Clone)]
enum RuleScope {
    /// Everything below the root.
    Everything,
    /// What this path names, from the root, and all below.
    Literal(PathBuf),
    /// What a glob matches, from the root, and all below.
    Relative { glob: GlobMatcher, steps: Vec<Step> },
    /// What a glob matches that counts from a directory above the root; `below` is the root's path from there.
    Above { glob: GlobMatcher, below: PathBuf },
}

/// One component of a glob, to tell which directories can lead to a match.
#[derive(Debug, Clone)]
enum Step {
    One(GlobMatcher),
    Any,
}

impl Selection {
    /// Everything below a root.
    pub fn everything(root: impl Into<PathBuf>) -> Self {
        let rule = SelectionRule {
            exclude: false,
            scope: RuleScope::Everything,
            names: Vec::new(),
            applied: Arc::default(),
        };
        Selection::of(root.into(), vec![rule])
    }

    fn of(root: PathBuf, rules: Vec<SelectionRule>) -> Self {
        Selection {
            root,
            written: Vec::new(),
            rules,
            excluded: Vec::new(),
            objects: None,
            unnamed: Unnamed::default(),
            uncounted: &[],
            filter: Arc::default(),
        }
    }

    /// Notes the path patterns that made it, as entries record them.
    #[must_use]
    pub(crate) fn written_as(mut self, patterns: Vec<String>) -> Self {
        self.written = patterns;
        self
    }

    /// The path patterns that made it, as entries record them; none where there are none to record.
    pub(crate) fn written(&self) -> &[String] {
        &self.written
    }

    /// Leaves out one more path, relative to the root, with all below it; no rule brings it back.
    #[must_use]
    pub fn without(mut self, relative: impl Into<PathBuf>) -> Self {
        self.excluded.push(relative.into());
        self
    }

    /// Leaves out files with the names of [`leftovers`], but for objects of this layout.
    #[must_use]
    pub fn without_leftovers(mut self, objects: ObjectLayout) -> Self {
        self.objects = Some(objects);
        self
    }

    /// Leaves out repositories of the checkout and configurations, but for those that a rule names.
    #[must_use]
    pub(crate) fn guarding(mut self, unnamed: Unnamed) -> Self {
        self.unnamed = unnamed;
        self
    }

    /// Leaves out from now on what the filter matches; no rule brings it back.
    pub(crate) fn refine(&self, filter: Filter) {
        *self.filter.write().unwrap_or_else(PoisonError::into_inner) = Some(filter);
    }

    /// Whether a filter leaves out a path.
    fn is_filtered(&self, relative: &Path) -> bool {
        let filter = self.filter.read().unwrap_or_else(PoisonError::into_inner);
        filter.as_ref().is_some_and(|Filter(matches)| matches(relative))
    }

    /// Names files in which tools count: they belong to the cache, and do not make it a changed one.
    #[must_use]
    pub(crate) fn without_counting(mut self, names: &'static [&'static str]) -> Self {
        self.uncounted = names;
        self
    }

    /// Whether some names do not count.
    pub(crate) fn has_uncounted(&self) -> bool {
        !self.uncounted.is_empty()
    }

    /// Whether a file does not count.
    pub(crate) fn is_uncounted(&self, relative: &Path) -> bool {
        self.has_uncounted() && self.uncounted.iter().any(|name| relative.file_name() == Some(name.as_ref()))
    }

    /// Whether everything below the root is taken.
    pub(crate) fn is_everything(&self) -> bool {
        let is_plain =
            matches!(&self.rules[..], [SelectionRule { exclude: false, scope: RuleScope::Everything, .. }]);
        let has_filter = || self.filter.read().unwrap_or_else(PoisonError::into_inner).is_some();
        is_plain
            && self.excluded.is_empty()
            && self.objects.is_none()
            && self.unnamed.is_empty()
            && !has_filter()
    }

    /// Whether the root itself belongs to the cache, not only what patterns match below it.
    pub(crate) fn is_whole(&self) -> bool {
        self.verdict(Path::new(""), true) == Verdict::Take
    }

    /// What is done with a path, given relative to the root (the root itself is empty).
    pub fn verdict(&self, relative: &Path, is_dir: bool) -> Verdict {
        if self.excluded.iter().any(|path| relative.starts_with(path)) || self.is_filtered(relative) {
            return Verdict::Skip;
        }
        if let Some(objects) = self.objects.as_ref().filter(|_| !is_dir)
            && relative.file_name().and_then(|name| name.to_str()).is_some_and(leftovers::is_leftover)
            && objects.object_at(relative).is_none()
        {
            return Verdict::Skip;
        }
        for (index, rule) in self.rules.iter().enumerate().rev() {
            if !rule.scope.covers(relative) {
                continue;
            }
            if !rule.exclude {
                if self.is_unnamed_by(rule, relative) {
                    continue;
                }
                return Verdict::Take;
            }
            rule.applied.store(true, Ordering::Relaxed);
            return self.unless_entered(index + 1, relative, is_dir);
        }
        self.unless_entered(0, relative, is_dir)
    }

    /// `Skip`, or `Descend` for a directory in which a rule from this one on may take something.
    fn unless_entered(&self, first: usize, relative: &Path, is_dir: bool) -> Verdict {
        let enters = |rule: &SelectionRule| {
            !rule.exclude && rule.scope.enters(relative) && !self.is_unnamed_by(rule, relative)
        };
        if is_dir && self.rules[first..].iter().any(enters) { Verdict::Descend } else { Verdict::Skip }
    }

    /// Whether a path is part of a repository of the checkout, or a configuration, that this rule does not name: then it takes none of it.
    fn is_unnamed_by(&self, rule: &SelectionRule, relative: &Path) -> bool {
        let whole = matches!(rule.scope, RuleScope::Everything);
        self.unnamed
            .holds(relative, whole, |name| rule.names.iter().any(|named| name.eq_ignore_ascii_case(named)))
    }
}

impl RuleScope {
    /// Whether it matches the path or a directory above it.
    fn covers(&self, relative: &Path) -> bool {
        let above = || relative.ancestors().filter(|path| !path.as_os_str().is_empty());
        match self {
            RuleScope::Everything => true,
            RuleScope::Literal(path) => relative.starts_with(path),
            RuleScope::Relative { glob, .. } => above().any(|path| glob.is_match(path)),
            RuleScope::Above { glob, below } => above().any(|path| glob.is_match(below.join(path))),
        }
    }

    /// Whether it may match something below this directory.
    fn enters(&self, directory: &Path) -> bool {
        match self {
            RuleScope::Everything => true,
            RuleScope::Literal(path) => path.starts_with(directory),
            RuleScope::Relative { steps, .. } => {
                let mut steps = steps.iter();
                for component in directory.components() {
                    match steps.next() {
                        Some(Step::One(glob)) if glob.is_match(component.as_os_str()) => {}
                        Some(Step::Any) => return true,
                        Some(Step::One(_)) | None => return false,
                    }
                }
                steps.next().is_some()
            }
            RuleScope::Above { .. } => false,
        }
    }
}

/// Resolves rules. Looks only whether names with brackets or braces exist: whether a root is a directory shows when it
/// is walked.
pub(crate) fn resolve(rules: &[PathRule]) -> Result<Resolved, Fault> {
    let parsed = rules.iter().map(PathGlob::parse).collect::<Result<Vec<_>, _>>()?;
    let mut roots: Vec<PathBuf> = Vec::new();
    for (rule, pattern) in rules.iter().zip(&parsed) {
        if rule.exclude {
            continue;
        }
        if !pattern.literal.is_absolute() {
            return Err(refused(
                format!("path `{}` is not absolute", rule.pattern),
                "begin the path with `{workspace}`, `{temp}`, `{home}` or a root directory",
            ));
        }
        if pattern.literal.parent().is_none() && pattern.glob.is_empty() {
            return Err(refused(
                format!(
                    "`{}` is the root of a file system, and cannot be a cache",
                    pattern.literal.display()
                ),
                "name the directories that belong to the cache",
            ));
        }
        if pattern.literal.parent().is_none() {
            return Err(refused(
                format!("path `{}` has no directory before its first wildcard", rule.pattern),
                "name a directory before the first wildcard",
            ));
        }
        if roots.iter().any(|root| pattern.literal.starts_with(root)) {
            continue;
        }
        // A root above others takes the place of the first of them.
        let place = roots.iter().position(|root| root.starts_with(&pattern.literal));
        roots.retain(|root| !root.starts_with(&pattern.literal));
        roots.insert(place.unwrap_or(roots.len()), pattern.literal.clone());
    }
    if roots.is_empty() {
        return Err(refused("no path is included", "name at least one path without `!`"));
    }
    let applied: Vec<Arc<AtomicBool>> = rules.iter().map(|_| Arc::default()).collect();
    let selection = |root: PathBuf| {
        let all = rules.iter().zip(&parsed).zip(&applied).enumerate();
        let scoped = all.filter_map(|(index, ((rule, pattern), applied))| {
            let scope = pattern.scope_in(&root, rule).transpose()?;
            let applied = Arc::clone(applied);
            let names = pattern.names();
            Some(scope.map(|scope| (index, SelectionRule { exclude: rule.exclude, scope, names, applied })))
        });
        let (members, rules): (Vec<usize>, _) = scoped.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
        Ok((Selection::of(root.clone(), rules), members))
    };
    let selections = roots.into_iter().map(selection).collect::<Result<Vec<_>, Fault>>()?;
    let (selections, members) = selections.into_iter().unzip();
    let exclusions = rules.iter().zip(applied).filter(|(rule, _)| rule.exclude);
    let exclusions = exclusions.map(|(_, applied)| Exclusion(applied)).collect();
    Ok(Resolved { selections, members, exclusions })
}

/// A pattern cut where its wildcards begin.
struct PathGlob {
    /// The components before the first wildcard, with escapes undone.
    literal: PathBuf,
    /// How many of them were written, and not the directory that the rule counts from.
    written: usize,
    /// The components from the first wildcard on.
    glob: Vec<String>,
}

impl PathGlob {
    fn parse(rule: &PathRule) -> Result<Self, Fault> {
        let text = path_pattern::with_slashes(&rule.pattern);
        let has_drive = cfg!(windows) && text.as_bytes().get(1) == Some(&b':');
        let mut literal = match text.starts_with('/') {
            true => PathBuf::from("/"),
            false if has_drive => PathBuf::new(),
            false => rule.base.clone(),
        };
        let mut glob = Vec::new();
        let base = literal.components().count();
        for component in text.split('/').filter(|component| !matches!(*component, "" | ".")) {
            match path_pattern::literal(component) {
                Some(plain) if glob.is_empty() && plain == ".." => {
                    literal.pop();
                }
                Some(plain) if glob.is_empty() => push(&mut literal, &plain),
                Some(plain) if plain == ".." => {
                    return Err(refused(
                        format!("path `{}` has `..` behind a wildcard", rule.pattern),
                        BRACKETS,
                    ));
                }
                _ if glob.is_empty() && exists(&literal, component) => literal.push(component),
                _ => glob.push(component.to_owned()),
            }
        }
        while glob.first().is_some_and(|component| component == "**") && glob.len() > 1 && glob[1] == "**" {
            glob.remove(0);
        }
        if !rule.exclude && glob == ["**"] {
            glob.clear();
        }
        let written = literal.components().count().saturating_sub(base);
        Ok(PathGlob { literal, written, glob })
    }

    /// The names in it that have no wildcards, as they were written.
    fn names(&self) -> Vec<String> {
        let literal = self.literal.components().rev().take(self.written);
        let literal = literal.map(|part| part.as_os_str().to_string_lossy().into_owned());
        literal.chain(self.glob.iter().filter_map(|part| path_pattern::literal(part))).collect()
    }

    /// What the pattern means below this root; nothing if it lies elsewhere.
    fn scope_in(&self, root: &Path, rule: &PathRule) -> Result<Option<RuleScope>, Fault> {
        let relative = match self.literal.strip_prefix(root) {
            Ok(relative) => relative,
            Err(_) if !rule.exclude => return Ok(None),
            Err(_) => return self.scope_from_above(root, rule),
        };
        if self.glob.is_empty() {
            let whole = relative.as_os_str().is_empty();
            return Ok(Some(if whole {
                RuleScope::Everything
            } else {
                RuleScope::Literal(relative.to_owned())
            }));
        }
        let mut components: Vec<String> = relative.components().map(escape).collect();
        components.extend(self.glob.iter().cloned());
        let glob = compile(&components.join("/"), rule)?;
        Ok(Some(RuleScope::Relative { glob, steps: steps(&components, rule)? }))
    }

    /// What an exclusion that begins outside the root takes away from it.
    fn scope_from_above(&self, root: &Path, rule: &PathRule) -> Result<Option<RuleScope>, Fault> {
        let Ok(below) = root.strip_prefix(&self.literal) else { return Ok(None) };
        if self.glob.is_empty() {
            return Ok(Some(RuleScope::Everything));
        }
        let glob = compile(&self.glob.join("/"), rule)?;
        Ok(Some(RuleScope::Above { glob, below: below.to_owned() }))
    }
}

/// Whether a component with brackets or braces is the name of something: then it stands for that alone.
fn exists(directory: &Path, component: &str) -> bool {
    let has_class = component.contains(['[', ']', '{', '}']) && !component.contains(['*', '?', '\\']);
    has_class && directory.join(component).symlink_metadata().is_ok()
}

/// Pushes a component; on Windows a drive (`C:`) is kept absolute.
fn push(path: &mut PathBuf, component: &str) {
    if cfg!(windows) && path.as_os_str().is_empty() && component.ends_with(':') {
        path.push(format!("{component}\\"));
    } else {
        path.push(component);
    }
}

/// A component of a path as a glob that matches it alone.
fn escape(component: Component<'_>) -> String {
    match component {
        Component::RootDir => String::new(),
        other => globset::escape(&other.as_os_str().to_string_lossy()),
    }
}

fn compile(glob: &str, rule: &PathRule) -> Result<GlobMatcher, Fault> {
    GlobBuilder::new(glob)
        .literal_separator(true)
        .backslash_escape(BACKSLASH_ESCAPES)
        .case_insensitive(cfg!(windows))
        .build()
        .map(|glob| glob.compile_matcher())
        .map_err(|error| refused(format!("path `{}` is not a glob: {error}", rule.pattern), BRACKETS))
}

/// The components of a glob; from one that cannot stand alone on, anything may lead to a match.
fn steps(components: &[String], rule: &PathRule) -> Result<Vec<Step>, Fault> {
    let mut steps = Vec::new();
    for component in components {
        // Braces may hold separators: `{a/b,c}`.
        if component == "**" || component.contains(['{', '}']) {
            steps.push(Step::Any);
            break;
        }
        steps.push(Step::One(compile(component, rule)?));
    }
    Ok(steps)
}

#[cfg(all(test, unix))]
mod tests;
