//! A cache that another program keeps, with a plan for it or a reason to leave it alone.

use std::ops::Range;

/// A cache that another program keeps.
#[derive(Debug, Clone)]
pub(super) struct Candidate<P> {
    /// What keeps it, such as `actions/cache@v4`.
    pub(super) keeper: String,
    /// Where that stands in the file.
    pub(super) place: Range<usize>,
    /// Its key as it was written.
    pub(super) was: Option<String>,
    /// Its paths as they were written, where steps that restore and steps that save belong together by them.
    pub(super) paths: Option<String>,
    /// How it is moved, or why it is left alone.
    pub(super) plan: Result<P, Refusal>,
}

impl<P> Candidate<P> {
    /// The same with another plan.
    pub(super) fn with<Q>(self, plan: impl Fn(P) -> Q) -> Candidate<Q> {
        let Candidate { keeper, place, was, paths, plan: old } = self;
        Candidate { keeper, place, was, paths, plan: old.map(plan) }
    }
}

/// Why a cache is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) reason: String,
    pub(super) hint: String,
    /// The part that cannot be said; the step if `None`.
    pub(super) place: Option<Range<usize>>,
}

impl Refusal {
    pub(super) fn new(reason: impl Into<String>, hint: impl Into<String>) -> Self {
        Refusal { reason: reason.into(), hint: hint.into(), place: None }
    }

    /// Names the part that cannot be said.
    pub(super) fn at(mut self, place: Option<Range<usize>>) -> Self {
        self.place = place;
        self
    }
}
