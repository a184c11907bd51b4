//! The plan: one decision with its reasons for every entry, ready to be shown, saved or carried out.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};

use super::budget::BudgetOutcome;
use super::facts::ScopeState;
use super::pattern::Pattern;
use crate::domain::digest::Sha256Digest;
use crate::domain::entry::{Entry, EntryId};
use crate::domain::scope::Scope;
use crate::domain::unit::ByteSize;

/// What would be deleted and kept, and why. Equal facts and policy give equal plans, whatever the order of
/// the entries.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The time for which it was made.
    pub now: DateTime<Utc>,
    /// One per entry, by scope, key, version and id.
    pub decisions: Vec<Decision>,
    /// How the budget was met, where there is one.
    pub budget: Option<BudgetOutcome>,
}

/// What happens to an entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The entry, as it was when the plan was made.
    pub entry: Entry,
    /// The state of its scope, as it was when the plan was made.
    pub scope_state: ScopeState,
    /// What it is a generation of.
    pub pattern: Pattern,
    /// Whether it stays.
    pub verdict: Verdict,
    /// Why; never empty. Of an entry that goes every rule that says so; of one that stays all that keeps it.
    pub reasons: Vec<Reason>,
    /// Of an entry that stays: the rules that would have deleted it.
    pub despite: Vec<Reason>,
    /// Of a superseded entry: the newer generations that must be there for it to go.
    pub superseded_by: Vec<EntryId>,
}

/// Whether an entry stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It goes.
    Delete,
    /// It stays.
    Keep,
}

/// One sentence that names the rule and the facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The rule.
    pub rule: Rule,
    /// The sentence, lower case, without a full stop.
    pub text: String,
}

/// Why an entry goes or stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Goes: its pull request was closed.
    ClosedPullRequest,
    /// Goes: its branch, tag or merge-queue ref was deleted.
    DeletedRef,
    /// Goes: there are enough newer generations.
    Superseded,
    /// Goes: nobody has used it for long.
    Unused,
    /// Goes: it was saved long ago.
    Old,
    /// Goes: least recently used while the store is over its budget.
    Budget,
    /// Stays: the listing is not complete, so nothing is deleted.
    IncompleteListing,
    /// Stays: the plan is about one pull request, and it is not of that.
    OtherPullRequest,
    /// Stays: the state of its pull request or ref is not known.
    Unknown,
    /// Stays: a glob protects it.
    Protected,
    /// Stays: a live process is reading it.
    Leased,
    /// Stays: somebody needs its key.
    KeyInUse,
    /// Stays: newest generation on the default branch.
    Current,
    /// Stays: the newer generation is too small to replace it.
    Guarded,
    /// Stays: the default branch or an open pull request used it recently.
    RecentlyUsed,
    /// Stays: its pull request was closed or its ref deleted, but not long enough ago.
    Grace,
    /// Stays: among the newest generations that are to be kept.
    Generation,
    /// Stays: no rule asks for its deletion.
    NoRule,
}

const RULES: &[(Rule, &str)] = &[
    (Rule::ClosedPullRequest, "closed-pull-request"),
    (Rule::DeletedRef, "deleted-ref"),
    (Rule::Superseded, "superseded"),
    (Rule::Unused, "unused"),
    (Rule::Old, "old"),
    (Rule::Budget, "budget"),
    (Rule::IncompleteListing, "incomplete-listing"),
    (Rule::OtherPullRequest, "other-pull-request"),
    (Rule::Unknown, "unknown"),
    (Rule::Protected, "protected"),
    (Rule::Leased, "leased"),
    (Rule::KeyInUse, "key-in-use"),
    (Rule::Current, "current"),
    (Rule::Guarded, "guarded"),
    (Rule::RecentlyUsed, "recently-used"),
    (Rule::Grace, "grace"),
    (Rule::Generation, "generation"),
    (Rule::NoRule, "no-rule"),
];

impl Rule {
    /// Its name in documents, `closed-pull-request`.
    pub fn name(self) -> &'static str {
        RULES.iter().find(|(rule, _)| *rule == self).expect("every rule has a row").1
    }

    /// The rule of this [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        RULES.iter().find(|(_, known)| *known == name).map(|(rule, _)| *rule)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Reason {
    pub(super) fn new(rule: Rule, text: impl Into<String>) -> Self {
        Reason { rule, text: text.into() }
    }
}

/// So many entries of so many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amount {
    /// Entries.
    pub entries: usize,
    /// Their bytes together.
    pub bytes: ByteSize,
}

impl Amount {
    /// Adds an entry.
    pub fn add(&mut self, size: ByteSize) {
        self.entries += 1;
        self.bytes.0 = self.bytes.0.saturating_add(size.0);
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} in {} {}",
            self.bytes,
            self.entries,
            if self.entries == 1 { "entry" } else { "entries" }
        )
    }
}

/// What goes and what stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Balance {
    /// What goes.
    pub freed: Amount,
    /// What stays.
    pub kept: Amount,
}

impl Balance {
    fn add(&mut self, decision: &Decision) {
        match decision.verdict {
            Verdict::Delete => self.freed.add(decision.entry.size),
            Verdict::Keep => self.kept.add(decision.entry.size),
        }
    }
}

/// Sums over a plan.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Totals {
    /// Over all entries.
    pub all: Balance,
    /// By scope.
    pub by_ref: BTreeMap<Scope, Balance>,
    /// By key pattern.
    pub by_pattern: BTreeMap<String, Balance>,
    /// By the first reason.
    pub by_rule: BTreeMap<Rule, Amount>,
}

impl Plan {
    /// The entries that go, in the order of the plan.
    pub fn deletions(&self) -> impl Iterator<Item = &Decision> {
        self.decisions.iter().filter(|decision| decision.verdict == Verdict::Delete)
    }

    /// Sums by ref, by pattern and by rule.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for decision in &self.decisions {
            totals.all.add(decision);
            totals.by_ref.entry(decision.entry.scope.clone()).or_default().add(decision);
            totals.by_pattern.entry(decision.pattern.to_string()).or_default().add(decision);
            if let Some(first) = decision.reasons.first() {
                totals.by_rule.entry(first.rule).or_default().add(decision.entry.size);
            }
        }
        totals
    }

    /// What a rule would delete and may not go, by the weightiest reason.
    pub fn blocked(&self) -> BTreeMap<Rule, Amount> {
        let mut blocked: BTreeMap<Rule, Amount> = BTreeMap::new();
        for decision in self.decisions.iter().filter(|decision| !decision.despite.is_empty()) {
            if let Some(first) = decision.reasons.first() {
                blocked.entry(first.rule).or_default().add(decision.entry.size);
            }
        }
        blocked
    }

    /// SHA-256 over everything that the plan says: two plans share it exactly when they are equal.
    pub fn fingerprint(&self) -> Sha256Digest {
        let head = [format!("plan 1\t{}", instant(self.now)), format!("budget\t{:?}", self.budget)];
        Sha256Digest::of_lines(head.into_iter().chain(self.decisions.iter().map(Decision::canonical_line)))
    }
}

impl Decision {
    /// Everything about the decision on one line. Texts are quoted, so that no field can pass for two.
    fn canonical_line(&self) -> String {
        let Entry { id, scope, key, version, created_at, last_used_at, size } = &self.entry;
        let reasons = |reasons: &[Reason]| -> Vec<String> {
            reasons.iter().map(|reason| format!("{}: {:?}", reason.rule, reason.text)).collect()
        };
        format!(
            "{:?}\t{:?}\t{:?}\t{:?}\t{version}\t{}\t{}\t{}\t{:?}\t{:?}\t{}\t{:?}\t{:?}\t{:?}",
            self.verdict,
            id.0,
            scope.as_str(),
            key.as_str(),
            instant(*created_at),
            last_used_at.map_or_else(|| "never".to_owned(), instant),
            size.0,
            self.scope_state,
            self.pattern.as_str(),
            self.pattern.comes_back(),
            reasons(&self.reasons),
            reasons(&self.despite),
            self.superseded_by.iter().map(|id| id.0.as_str()).collect::<Vec<_>>(),
        )
    }
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Nanos, true)
}
