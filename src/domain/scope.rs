//! Scopes: the git refs that entries belong to, and which of them a job reads and writes.
//!
//! A store that several repositories use is divided into [`Section`]s, and a scope names its section: equal refs of two
//! repositories are different scopes.

use std::fmt;

use super::repository::RepositoryId;

/// The part of a store that an entry lies in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Section {
    /// The entries of the job's own repository.
    #[default]
    Own,
    /// The entries of caches that all repositories share.
    Shared,
    /// Entries that were saved before stores were divided. Which repository saved them is not known.
    Old,
    /// The entries of another repository.
    Other(RepositoryId),
}

impl Section {
    /// Its name in JSON documents; `None` for the job's own.
    pub fn name(&self) -> Option<&str> {
        match self {
            Section::Own => None,
            Section::Shared => Some("shared"),
            Section::Old => Some("old"),
            Section::Other(repository) => Some(repository.as_str()),
        }
    }

    /// The section with this name.
    pub fn of_name(name: Option<&str>) -> Option<Self> {
        match name {
            None => Some(Section::Own),
            Some("shared") => Some(Section::Shared),
            Some("old") => Some(Section::Old),
            Some(repository) => RepositoryId::parse(repository).map(Section::Other),
        }
    }
}

/// The git ref that an entry belongs to: `refs/heads/main`, `refs/pull/7/merge`; with the section of the store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    section: Section,
    name: String,
}

impl Scope {
    /// Creates a scope of the job's own repository from a full ref or a branch name; `None` if it is blank or not a name that git allows.
    pub fn new(name: &str) -> Option<Self> {
        let full = match name.trim() {
            "" => return None,
            full if full.starts_with("refs/") => full.to_owned(),
            branch => format!("refs/heads/{branch}"),
        };
        is_ref_name(&full).then_some(Scope { section: Section::Own, name: full })
    }

    /// The inverse of [`Display`](fmt::Display); `None` if the text is blank.
    pub fn parse(text: &str) -> Option<Self> {
        // Refs contain no spaces.
        let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
        let section = match rest {
            SHARED => Some(Section::Shared),
            OLD => Some(Section::Old),
            _ => rest.strip_prefix(OF).and_then(RepositoryId::parse).map(Section::Other),
        };
        match section {
            Some(section) => Scope::new(name).map(|scope| scope.within(section)),
            None => Scope::new(text),
        }
    }

    /// The same ref in another section.
    #[must_use]
    pub fn within(self, section: Section) -> Self {
        Scope { section, ..self }
    }

    /// The part of the store that its entries lie in.
    pub fn section(&self) -> &Section {
        &self.section
    }

    /// Whether it belongs to a pull request, or to a merge request of GitLab: no other ref reads entries of this scope.
    pub fn is_pull_request(&self) -> bool {
        ["refs/pull/", "refs/merge-requests/"].iter().any(|requests| self.name.starts_with(requests))
    }

    /// A placeholder scope for an entry that was found in one of `candidates`, when the service does not report
    /// which one. It reads `a or b`; refs contain no spaces, so it never equals a real scope. `None` without
    /// candidates.
    pub fn one_of(candidates: &[Scope]) -> Option<Self> {
        let names: Vec<&str> = candidates.iter().map(Scope::as_str).collect();
        (!names.is_empty()).then(|| Scope { section: Section::Own, name: names.join(" or ") })
    }

    /// Whether it is a single ref, as opposed to [`Scope::one_of`] several.
    pub fn is_certain(&self) -> bool {
        !self.name.contains(' ')
    }

    /// The full ref, without its section.
    pub fn as_str(&self) -> &str {
        &self.name
    }
}

const SHARED: &str = "(shared)";
const OLD: &str = "(old layout)";
const OF: &str = "of ";

/// Whether git allows this name of a ref (git-check-ref-format).
fn is_ref_name(name: &str) -> bool {
    let is_forbidden = |c: char| {
        c.is_control()
            || c.is_whitespace()
            || matches!(c, '~' | '^' | ':' | '?' | '*' | '[' | '\\' | '\u{2028}' | '\u{2029}')
    };
    let is_component = |part: &str| {
        let is_lock = part.as_bytes().ends_with(b".lock");
        !part.is_empty() && !part.starts_with('.') && !is_lock
    };
    name.split('/').all(is_component)
        && !name.ends_with('.')
        && !name.contains("..")
        && !name.contains("@{")
        && !name.contains(is_forbidden)
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.section {
            Section::Own => Ok(()),
            Section::Shared => write!(f, " {SHARED}"),
            Section::Old => write!(f, " {OLD}"),
            Section::Other(repository) => write!(f, " {OF}{repository}"),
        }
    }
}

/// The scopes that a job reads and writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The job's own scope, the only one that it writes.
    pub own: Scope,
    /// The scopes that it reads, in lookup order, without duplicates; its own scope comes first.
    pub readable: Vec<Scope>,
}

impl Access {
    /// The access of a job on the ref `own`: it reads its own scope, then the base of its pull request, then
    /// the default branch (GitHub, "Restrictions for accessing a cache").
    pub fn new(own: Scope, base: Option<Scope>, default: Option<Scope>) -> Self {
        let mut readable = vec![own.clone()];
        for scope in [base, default].into_iter().flatten() {
            if !readable.contains(&scope) {
                readable.push(scope);
            }
        }
        Access { own, readable }
    }

    /// The same refs in another section.
    #[must_use]
    pub fn within(&self, section: &Section) -> Self {
        let move_to = |scope: &Scope| scope.clone().within(section.clone());
        Access { own: move_to(&self.own), readable: self.readable.iter().map(move_to).collect() }
    }

    /// Restricts the job to the scopes that its token can write: unless its own scope is among them, the first one
    /// becomes its own. An empty list changes nothing, since the job then writes nowhere.
    #[must_use]
    pub fn writing_to(self, writable: &[Scope]) -> Self {
        match writable.first() {
            Some(first) if !writable.contains(&self.own) => {
                let others = self.readable.into_iter().filter(|scope| scope != first);
                Access {
                    own: first.clone(),
                    readable: std::iter::once(first.clone()).chain(others).collect(),
                }
            }
            _ => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(name: &str) -> Scope {
        Scope::new(name).expect(name)
    }

    #[test]
    fn a_pull_request_reads_itself_then_its_base_then_the_default_branch() {
        let access = Access::new(scope("refs/pull/7/merge"), Some(scope("release")), Some(scope("main")));
        let names: Vec<&str> = access.readable.iter().map(Scope::as_str).collect();
        assert_eq!(names, ["refs/pull/7/merge", "refs/heads/release", "refs/heads/main"]);
    }

    #[test]
    fn what_a_job_may_write_to_is_its_own_scope() {
        let job = || Access::new(scope("main"), None, Some(scope("main")));
        let check = |writable: &[&str], own: &str, readable: &[&str]| {
            let writable: Vec<Scope> = writable.iter().map(|name| scope(name)).collect();
            let access = job().writing_to(&writable);
            let names: Vec<&str> = access.readable.iter().map(Scope::as_str).collect();
            assert_eq!((access.own.as_str(), names), (own, readable.to_vec()), "{writable:?}");
        };
        check(&[], "refs/heads/main", &["refs/heads/main"]);
        check(&["refs/pull/7/merge", "main"], "refs/heads/main", &["refs/heads/main"]);
        check(&["refs/pull/7/merge"], "refs/pull/7/merge", &["refs/pull/7/merge", "refs/heads/main"]);
    }

    #[test]
    fn a_scope_is_a_name_that_git_allows() {
        for name in ["main", "a/b", "größe", "user@host", "v1.0", "refs/pull/7/merge", " main ", "a.lock.b"]
        {
            assert!(Scope::new(name).is_some(), "{name:?}");
        }
        for name in [
            "",
            " ",
            "a b",
            "a..b",
            "a~1",
            "a^",
            "x::set-output",
            "x ##[error]y",
            "x##vso[task]",
            "a\nb",
            "a\u{1b}b",
            "a\u{85}b",
            "a\u{2028}b",
            "a?",
            "a*",
            "a\\b",
            "a//b",
            "/a",
            "a/",
            "a.",
            ".a",
            "a/.b",
            "a.lock",
            "a.lock/b",
            "a@{1}",
            "refs/",
        ] {
            assert_eq!(Scope::new(name), None, "{name:?}");
        }
    }

    #[test]
    fn one_of_several_scopes_equals_neither() {
        let either = Scope::one_of(&[scope("topic"), scope("main")]).expect("candidates");
        assert_eq!(either.as_str(), "refs/heads/topic or refs/heads/main");
        assert!(!either.is_certain() && scope("main").is_certain());
        assert_eq!(Scope::one_of(&[scope("main")]), Some(scope("main")));
        assert_eq!(Scope::one_of(&[]), None);
    }

    #[test]
    fn equal_refs_of_two_sections_are_two_scopes_that_are_written_apart() {
        let other = RepositoryId::parse("github.com/o/r").expect("a repository");
        let sections = [Section::Own, Section::Shared, Section::Old, Section::Other(other)];
        let scopes: Vec<Scope> =
            sections.iter().map(|section| scope("main").within(section.clone())).collect();
        let texts: Vec<String> = scopes.iter().map(Scope::to_string).collect();
        assert_eq!(
            texts,
            [
                "refs/heads/main",
                "refs/heads/main (shared)",
                "refs/heads/main (old layout)",
                "refs/heads/main of github.com/o/r",
            ]
        );
        for (at, (scope, section)) in scopes.iter().zip(&sections).enumerate() {
            assert_eq!(Scope::parse(&texts[at]).as_ref(), Some(scope));
            assert_eq!(Section::of_name(section.name()).as_ref(), Some(section));
            assert_eq!(scopes.iter().filter(|other| *other == scope).count(), 1);
            assert_eq!(scope.as_str(), "refs/heads/main");
        }
        assert_eq!(Section::of_name(Some("nothing")), None);
    }

    #[test]
    fn an_access_moves_to_another_section_as_a_whole() {
        let job = Access::new(scope("refs/pull/7/merge"), None, Some(scope("main")));
        let shared = job.within(&Section::Shared);
        assert_eq!(shared.own, scope("refs/pull/7/merge").within(Section::Shared));
        assert!(shared.readable.iter().all(|scope| *scope.section() == Section::Shared));
        assert_eq!(shared.within(&Section::Own), job);
    }

    #[test]
    fn the_default_branch_reads_only_itself() {
        let access = Access::new(scope("main"), None, Some(scope("refs/heads/main")));
        assert_eq!(access.readable, [scope("main")]);
    }
}
