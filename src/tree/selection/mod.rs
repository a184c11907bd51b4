//! Which files below a root belong to a cache: its path rules, resolved into roots and verdicts.
//!
//! A rule is a path, or a glob below one. Its root is the longest prefix without wildcards; roots that are
//! the same or lie below each other become one selection. Rules apply in order and the last match wins, for
//! a path as for everything below it; a directory that is excluded is not entered unless a later rule takes
//! something inside.

use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use super::leftovers;
use crate::domain::fault::Fault;
use crate::domain::path_pattern::{self, BACKSLASH_ESCAPES};
use crate::objects::layout::ObjectLayout;

/// One line of a cache's paths, its placeholders expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PathRule {
    /// Whether it takes away what rules before it added.
    pub exclude: bool,
    /// An absolute path or glob; an exclusion may be relative and then counts from every root.
    /// `/` separates on every OS, `\` on Windows as well.
    pub pattern: String,
}

/// The refusal of a rule that is written wrong.
fn refused(message: impl Into<String>, hint: &str) -> Fault {
    Fault::usage(message).with_hint(hint.to_owned())
}

/// The hint for patterns in which a character was taken for a wildcard.
const BRACKETS: &str = "put characters that are meant literally into brackets: `[*]`";

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
    rules: Vec<SelectionRule>,
    excluded: Vec<PathBuf>,
    /// Set where leftovers are left out: files that are objects of this layout are never leftovers, whatever their names.
    objects: Option<ObjectLayout>,
}

#[derive(Debug, Clone)]
struct SelectionRule {
    exclude: bool,
    scope: RuleScope,
}

#[derive(Debug, Clone)]
enum RuleScope {
    /// Everything below the root.
    Everything,
    /// What this path names, from the root, and all below.
    Literal(PathBuf),
    /// What a glob matches, from the root, and all below.
    Relative { glob: GlobMatcher, steps: Vec<Step> },
    /// What a glob over absolute paths matches: an exclusion that begins above the root.
    Absolute(GlobMatcher),
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
        let rule = SelectionRule { exclude: false, scope: RuleScope::Everything };
        Selection { root: root.into(), rules: vec![rule], excluded: Vec::new(), objects: None }
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

    /// What is done with a path, given relative to the root (the root itself is empty).
    pub fn verdict(&self, relative: &Path, is_dir: bool) -> Verdict {
        if self.excluded.iter().any(|path| relative.starts_with(path)) {
            return Verdict::Skip;
        }
        if let Some(objects) = self.objects.as_ref().filter(|_| !is_dir)
            && relative.file_name().and_then(|name| name.to_str()).is_some_and(leftovers::is_leftover)
            && objects.object_at(relative).is_none()
        {
            return Verdict::Skip;
        }
        for (index, rule) in self.rules.iter().enumerate().rev() {
            if !rule.scope.covers(&self.root, relative) {
                continue;
            }
            if !rule.exclude {
                return Verdict::Take;
            }
            return self.unless_entered(index + 1, relative, is_dir);
        }
        self.unless_entered(0, relative, is_dir)
    }

    /// `Skip`, or `Descend` for a directory in which a rule from this one on may take something.
    fn unless_entered(&self, first: usize, relative: &Path, is_dir: bool) -> Verdict {
        let enters = |rule: &SelectionRule| !rule.exclude && rule.scope.enters(relative);
        if is_dir && self.rules[first..].iter().any(enters) { Verdict::Descend } else { Verdict::Skip }
    }
}

impl RuleScope {
    /// Whether it matches the path or a directory above it.
    fn covers(&self, root: &Path, relative: &Path) -> bool {
        let above = || relative.ancestors().filter(|path| !path.as_os_str().is_empty());
        match self {
            RuleScope::Everything => true,
            RuleScope::Literal(path) => relative.starts_with(path),
            RuleScope::Relative { glob, .. } => above().any(|path| glob.is_match(path)),
            RuleScope::Absolute(glob) => above().any(|path| glob.is_match(root.join(path))),
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
            RuleScope::Absolute(_) => false,
        }
    }
}

/// Resolves rules into selections: one for each root, in the order in which roots are first written.
///
/// Touches no disk: whether a root exists and is a directory shows when it is walked.
pub(crate) fn resolve(rules: &[PathRule]) -> Result<Vec<Selection>, Fault> {
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
    roots
        .into_iter()
        .map(|root| {
            let scoped = rules.iter().zip(&parsed).filter_map(|(rule, pattern)| {
                let scope = pattern.scope_in(&root, rule).transpose()?;
                Some(scope.map(|scope| SelectionRule { exclude: rule.exclude, scope }))
            });
            let rules = scoped.collect::<Result<_, _>>()?;
            Ok(Selection { root: root.clone(), rules, excluded: Vec::new(), objects: None })
        })
        .collect()
}

/// A pattern cut where its wildcards begin.
struct PathGlob {
    /// The components before the first wildcard, with escapes undone.
    literal: PathBuf,
    /// The components from the first wildcard on.
    glob: Vec<String>,
}

impl PathGlob {
    fn parse(rule: &PathRule) -> Result<Self, Fault> {
        let text = path_pattern::with_slashes(&rule.pattern);
        let mut literal = PathBuf::new();
        let mut glob = Vec::new();
        if text.starts_with('/') {
            literal.push("/");
        }
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
                _ => glob.push(component.to_owned()),
            }
        }
        while glob.first().is_some_and(|component| component == "**") && glob.len() > 1 && glob[1] == "**" {
            glob.remove(0);
        }
        if !rule.exclude && glob == ["**"] {
            glob.clear();
        }
        Ok(PathGlob { literal, glob })
    }

    /// What the pattern means below this root; nothing if it lies elsewhere.
    fn scope_in(&self, root: &Path, rule: &PathRule) -> Result<Option<RuleScope>, Fault> {
        let relative = if self.literal.is_absolute() {
            match self.literal.strip_prefix(root) {
                Ok(relative) => relative,
                Err(_) if !rule.exclude => return Ok(None),
                Err(_) => return self.scope_from_above(root, rule),
            }
        } else {
            self.literal.as_path()
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
        if !root.starts_with(&self.literal) {
            return Ok(None);
        }
        if self.glob.is_empty() {
            return Ok(Some(RuleScope::Everything));
        }
        let mut components: Vec<String> = self.literal.components().map(escape).collect();
        components.extend(self.glob.iter().cloned());
        // The root directory is an empty component: one of its own on unix, behind the drive on Windows.
        let glob = components.join("/").replacen("//", "/", 1);
        compile(&glob, rule).map(|glob| Some(RuleScope::Absolute(glob)))
    }
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
