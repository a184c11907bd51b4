//! The plan: a decision with its reasons for every entry, to be shown, saved or applied.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};

use super::facts::ScopeState;
use super::parents::Parents;
use super::pattern::Pattern;
use crate::domain::digest::Sha256Digest;
use crate::domain::entry::{Entry, EntryId};
use crate::domain::scope::Scope;
use crate::domain::unit::{ByteSize, counted};

/// What is deleted and kept, and why. Equal facts and policies give equal plans, independent of the order of the
/// entries.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The time of the facts that it was made from.
    pub now: DateTime<Utc>,
    /// One per entry, sorted by scope, key, version and id.
    pub decisions: Vec<Decision>,
    /// The outcome of the budget rule, if the policy has a budget.
    pub budget: Option<BudgetOutcome>,
}

/// The decision about an entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The entry, as it was when the plan was made.
    pub entry: Entry,
    /// The state of its scope, as it was when the plan was made.
    pub scope_state: ScopeState,
    /// The key pattern that it is a generation of.
    pub pattern: Pattern,
    /// Whether it is deleted or kept.
    pub verdict: Verdict,
    /// Why; never empty. For a deleted entry every rule that deletes it, for a kept one everything that keeps it.
    pub reasons: Vec<Reason>,
    /// For a kept entry, the rules that would have deleted it.
    pub despite: Vec<Reason>,
    /// For a superseded entry, the newer generations that must exist when it is deleted.
    pub superseded_by: Arc<[EntryId]>,
}

/// Whether an entry is deleted or kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It is deleted.
    Delete,
    /// It is kept.
    Keep,
}

/// One reason: the rule and a sentence with the facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The rule.
    pub rule: Rule,
    /// The sentence, lower case, without a full stop.
    pub text: String,
}

/// The rule behind a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Deleted: an entry that it takes content from is gone, or goes as well.
    ParentGone,
    /// Deleted: its pull request was closed.
    ClosedPullRequest,
    /// Deleted: its branch, tag or merge-queue ref was deleted.
    DeletedRef,
    /// Deleted: there are enough newer generations.
    Superseded,
    /// Deleted: it has not been used for too long.
    Unused,
    /// Deleted: it was saved too long ago.
    Old,
    /// Deleted: least recently used while the store is over its budget.
    Budget,
    /// Deleted: it was asked for by hand.
    Chosen,
    /// Kept: the listing is not complete, so nothing is deleted.
    IncompleteListing,
    /// Kept: the plan covers a single pull request that the entry does not belong to.
    OtherPullRequest,
    /// Kept: the plan covers a single ref that the entry does not belong to.
    OtherRef,
    /// Kept: a deletion by hand did not ask for it.
    NotChosen,
    /// Kept: the state of its pull request or ref is not known.
    Unknown,
    /// Kept: a glob protects it.
    Protected,
    /// Kept: a live process is reading it.
    Leased,
    /// Kept: an entry that stays takes content from it.
    Needed,
    /// Kept: a reader needs its key.
    KeyInUse,
    /// Kept: newest generation on the default branch.
    Current,
    /// Kept: the newer generation is too small to replace it.
    Guarded,
    /// Kept: the default branch or an open pull request used it recently.
    RecentlyUsed,
    /// Kept: its pull request was closed or its ref deleted, but the grace period has not passed.
    Grace,
    /// Kept: among the newest generations that the policy keeps.
    Generation,
    /// Kept: no rule deletes it.
    NoRule,
}

const RULES: &[(Rule, &str)] = &[
    (Rule::ParentGone, "parent-gone"),
    (Rule::ClosedPullRequest, "closed-pull-request"),
    (Rule::DeletedRef, "deleted-ref"),
    (Rule::Superseded, "superseded"),
    (Rule::Unused, "unused"),
    (Rule::Old, "old"),
    (Rule::Budget, "budget"),
    (Rule::Chosen, "chosen"),
    (Rule::IncompleteListing, "incomplete-listing"),
    (Rule::OtherPullRequest, "other-pull-request"),
    (Rule::OtherRef, "other-ref"),
    (Rule::NotChosen, "not-chosen"),
    (Rule::Unknown, "unknown"),
    (Rule::Protected, "protected"),
    (Rule::Leased, "leased"),
    (Rule::Needed, "needed"),
    (Rule::KeyInUse, "key-in-use"),
    (Rule::Current, "current"),
    (Rule::Guarded, "guarded"),
    (Rule::RecentlyUsed, "recently-used"),
    (Rule::Grace, "grace"),
    (Rule::Generation, "generation"),
    (Rule::NoRule, "no-rule"),
];

impl Rule {
    /// Its name in JSON documents, such as `closed-pull-request`.
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

/// A number of entries and their total size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amount {
    /// Number of entries.
    pub entries: usize,
    /// Their total size.
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
        write!(f, "{} in {}", self.bytes, counted(self.entries, "entry"))
    }
}

/// Amounts that are deleted and kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Balance {
    /// Deleted entries.
    pub freed: Amount,
    /// Kept entries.
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
    /// The deletions in the order in which they are made: entries before those that they take content from, so that one that
    /// is interrupted leaves none without them; otherwise in the order of the plan.
    pub fn deletions(&self) -> impl Iterator<Item = &Decision> {
        let going: Vec<&Decision> =
            self.decisions.iter().filter(|decision| decision.verdict == Verdict::Delete).collect();
        let entries: Vec<&Entry> = going.iter().map(|decision| &decision.entry).collect();
        let order = Parents::among(&entries).dependents_first();
        order.into_iter().map(move |place| going[place])
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

    /// Kept entries that a rule would have deleted, by the most important reason that keeps them.
    pub fn blocked(&self) -> BTreeMap<Rule, Amount> {
        let mut blocked: BTreeMap<Rule, Amount> = BTreeMap::new();
        for decision in self.decisions.iter().filter(|decision| !decision.despite.is_empty()) {
            if let Some(first) = decision.reasons.first() {
                blocked.entry(first.rule).or_default().add(decision.entry.size);
            }
        }
        blocked
    }

    /// SHA-256 over all fields of the plan: equal exactly for equal plans.
    pub fn fingerprint(&self) -> Sha256Digest {
        let head = [format!("plan 1\t{}", instant(self.now)), format!("budget\t{:?}", self.budget)];
        Sha256Digest::of_lines(head.into_iter().chain(self.decisions.iter().map(Decision::canonical_line)))
    }
}

impl Decision {
    /// All fields of the decision on one line. Texts are quoted, so that the encoding is unambiguous.
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

/// How a plan meets its budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetOutcome {
    /// Target size of the store: the budget, or less if the next save needs the room.
    pub target: ByteSize,
    /// Room left for the next save below the store's limit.
    pub headroom: ByteSize,
    /// Size of the entries that the other rules keep.
    pub before: ByteSize,
    /// Size of the entries that are kept.
    pub after: ByteSize,
    /// If `after` exceeds `target`: the entries that may not be deleted, by reason.
    pub blocked: BTreeMap<Rule, Amount>,
}

impl BudgetOutcome {
    /// Whether the store fits.
    pub fn is_met(&self) -> bool {
        self.after <= self.target
    }
}

impl fmt::Display for BudgetOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_met() {
            return write!(f, "{} kept, within {}", self.after, self.target);
        }
        write!(f, "{} kept, over {}; may not be deleted: ", self.after, self.target)?;
        for (index, (rule, amount)) in self.blocked.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{amount} ({rule})")?;
        }
        Ok(())
    }
}
