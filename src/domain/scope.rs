//! Scopes: the git refs that entries belong to, and which of them a job reads and writes.

use std::fmt;

/// The git ref that an entry belongs to: `refs/heads/main`, `refs/pull/7/merge`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(String);

impl Scope {
    /// Creates a scope from a full ref or a branch name; `None` if it is blank.
    pub fn new(name: &str) -> Option<Self> {
        match name.trim() {
            "" => None,
            full if full.starts_with("refs/") => Some(Scope(full.to_owned())),
            branch => Some(Scope(format!("refs/heads/{branch}"))),
        }
    }

    /// Whether it belongs to a pull request, or to a merge request of GitLab: no other ref reads entries of this scope.
    pub fn is_pull_request(&self) -> bool {
        ["refs/pull/", "refs/merge-requests/"].iter().any(|requests| self.0.starts_with(requests))
    }

    /// A placeholder scope for an entry that was found in one of `candidates`, when the service does not report
    /// which one. It reads `a or b`; refs contain no spaces, so it never equals a real scope. `None` without
    /// candidates.
    pub fn one_of(candidates: &[Scope]) -> Option<Self> {
        let names: Vec<&str> = candidates.iter().map(Scope::as_str).collect();
        (!names.is_empty()).then(|| Scope(names.join(" or ")))
    }

    /// Whether it is a single ref, as opposed to [`Scope::one_of`] several.
    pub fn is_certain(&self) -> bool {
        !self.0.contains(' ')
    }

    /// The full ref.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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
    fn one_of_several_scopes_equals_neither() {
        let either = Scope::one_of(&[scope("topic"), scope("main")]).expect("candidates");
        assert_eq!(either.as_str(), "refs/heads/topic or refs/heads/main");
        assert!(!either.is_certain() && scope("main").is_certain());
        assert_eq!(Scope::one_of(&[scope("main")]), Some(scope("main")));
        assert_eq!(Scope::one_of(&[]), None);
    }

    #[test]
    fn the_default_branch_reads_only_itself() {
        let access = Access::new(scope("main"), None, Some(scope("refs/heads/main")));
        assert_eq!(access.readable, [scope("main")]);
    }
}
