//! Plans as JSON, both ways: shown, saved, and read back to be carried out.
//!
//! The text of a plan is the same whether it is carried out or not, and what is read back is the plan that was
//! written: its fingerprint is compared.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::entry::{Entry, EntryId};
use crate::domain::fault::Fault;
use crate::domain::key::Key;
use crate::domain::retention::plan::Amount;
use crate::domain::retention::plan::BudgetOutcome;
use crate::domain::retention::{
    Decision, Pattern, Plan, PullRequestState, Reason, RefState, Rule, ScopeState, Verdict,
};
use crate::domain::scope::{Scope, Section};
use crate::domain::thin::{self, ThinKey};
use crate::domain::unit::ByteSize;
use crate::domain::version::Version;

/// The form of the document; a reader refuses others.
const FORMAT: u32 = 1;

/// A plan, as it is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct PlanDocument {
    format: u32,
    store: String,
    now: String,
    fingerprint: String,
    budget: Option<Budget>,
    entries: Vec<PlannedEntries>,
}

fn malformed(error: &serde_json::Error) -> Fault {
    Fault::usage(format!("not a plan: {error}"))
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Budget {
    target: u64,
    headroom: u64,
    before: u64,
    after: u64,
    blocked: BTreeMap<String, BlockedBy>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct BlockedBy {
    entries: usize,
    bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct PlannedEntries {
    verdict: String,
    id: String,
    r#ref: String,
    /// [`Section::name`] of the ref.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    section: Option<String>,
    key: String,
    /// The key under which a thin entry is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stored_key: Option<String>,
    version: String,
    created_at: String,
    last_used_at: Option<String>,
    size: u64,
    state: PlanState,
    pattern: String,
    key_comes_back: bool,
    reasons: Vec<Because>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    despite: Vec<Because>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    superseded_by: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Because {
    rule: String,
    text: String,
}

/// The state of a scope; what `what` does not need is absent.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct PlanState {
    what: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pull_request: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

impl PlanDocument {
    /// A plan for a store.
    pub(crate) fn of(plan: &Plan, store: &str) -> Self {
        PlanDocument {
            format: FORMAT,
            store: store.to_owned(),
            now: instant(plan.now),
            fingerprint: plan.fingerprint().to_string(),
            budget: plan.budget.as_ref().map(Budget::of),
            entries: plan.decisions.iter().map(PlannedEntries::of).collect(),
        }
    }

    /// Reads what [`render`](super::render) wrote.
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        #[derive(Deserialize)]
        struct PlanForm {
            format: u32,
        }
        let PlanForm { format } = serde_json::from_str(text).map_err(|error| malformed(&error))?;
        if format != FORMAT {
            return Err(Fault::usage(format!("a plan of form {format}, and this version reads {FORMAT}")));
        }
        serde_json::from_str(text).map_err(|error| malformed(&error))
    }

    /// The store that the plan is for.
    pub(crate) fn store(&self) -> &str {
        &self.store
    }

    /// The plan itself.
    pub(crate) fn plan(&self) -> Result<Plan, Fault> {
        let plan = Plan {
            now: time("now", &self.now)?,
            decisions: self.entries.iter().map(PlannedEntries::decision).collect::<Result<_, _>>()?,
            budget: self.budget.as_ref().map(Budget::outcome).transpose()?,
        };
        if plan.fingerprint().to_string() != self.fingerprint {
            return Err(Fault::usage(
                "the plan was changed after it was written: its fingerprint is another",
            ));
        }
        Ok(plan)
    }
}

fn field(field: &'static str, text: &str) -> Fault {
    Fault::usage(format!("not a plan: `{field}` cannot be `{text}`"))
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

fn time(name: &'static str, text: &str) -> Result<DateTime<Utc>, Fault> {
    DateTime::parse_from_rfc3339(text).map(|at| at.with_timezone(&Utc)).map_err(|_| field(name, text))
}

impl Budget {
    fn of(outcome: &BudgetOutcome) -> Self {
        let blocked = outcome.blocked.iter().map(|(rule, amount)| {
            (rule.name().to_owned(), BlockedBy { entries: amount.entries, bytes: amount.bytes.0 })
        });
        Budget {
            target: outcome.target.0,
            headroom: outcome.headroom.0,
            before: outcome.before.0,
            after: outcome.after.0,
            blocked: blocked.collect(),
        }
    }

    fn outcome(&self) -> Result<BudgetOutcome, Fault> {
        let blocked = self.blocked.iter().map(|(name, amount)| {
            let rule = Rule::from_name(name).ok_or_else(|| field("blocked", name))?;
            Ok((rule, Amount { entries: amount.entries, bytes: ByteSize(amount.bytes) }))
        });
        Ok(BudgetOutcome {
            target: ByteSize(self.target),
            headroom: ByteSize(self.headroom),
            before: ByteSize(self.before),
            after: ByteSize(self.after),
            blocked: blocked.collect::<Result<_, Fault>>()?,
        })
    }
}

impl PlannedEntries {
    fn of(decision: &Decision) -> Self {
        let because = |reasons: &[Reason]| {
            let each = reasons.iter();
            each.map(|reason| Because { rule: reason.rule.name().to_owned(), text: reason.text.clone() })
                .collect()
        };
        let entry = &decision.entry;
        PlannedEntries {
            verdict: match decision.verdict {
                Verdict::Delete => "delete",
                Verdict::Keep => "keep",
            }
            .to_owned(),
            id: entry.id.0.clone(),
            r#ref: entry.scope.as_str().to_owned(),
            section: entry.scope.section().name().map(str::to_owned),
            key: thin::saved_for(&entry.key).to_string(),
            stored_key: ThinKey::parse(&entry.key).map(|_| entry.key.to_string()),
            version: entry.version.to_string(),
            created_at: instant(entry.created_at),
            last_used_at: entry.last_used_at.map(instant),
            size: entry.size.0,
            state: PlanState::of(&decision.scope_state),
            pattern: decision.pattern.as_str().to_owned(),
            key_comes_back: decision.pattern.comes_back(),
            reasons: because(&decision.reasons),
            despite: because(&decision.despite),
            superseded_by: decision.superseded_by.iter().map(|id| id.0.clone()).collect(),
        }
    }

    fn scope(&self) -> Result<Scope, Fault> {
        let section = Section::of_name(self.section.as_deref())
            .ok_or_else(|| field("section", self.section.as_deref().unwrap_or_default()))?;
        let scope = Scope::new(&self.r#ref).ok_or_else(|| field("ref", &self.r#ref))?;
        Ok(scope.within(section))
    }

    fn decision(&self) -> Result<Decision, Fault> {
        let reasons = |each: &[Because]| {
            let each = each.iter().map(|because| {
                let rule = Rule::from_name(&because.rule).ok_or_else(|| field("rule", &because.rule))?;
                Ok(Reason { rule, text: because.text.clone() })
            });
            each.collect::<Result<Vec<_>, Fault>>()
        };
        let key = self.stored_key.as_ref().unwrap_or(&self.key);
        Ok(Decision {
            entry: Entry {
                id: EntryId(self.id.clone()),
                scope: self.scope()?,
                key: Key::new(key.clone()).map_err(|_| field("key", key))?,
                version: Version::parse(&self.version).ok_or_else(|| field("version", &self.version))?,
                created_at: time("created-at", &self.created_at)?,
                last_used_at: self.last_used_at.as_deref().map(|at| time("last-used-at", at)).transpose()?,
                size: ByteSize(self.size),
            },
            scope_state: self.state.scope_state()?,
            pattern: Pattern::from_parts(self.pattern.clone(), self.key_comes_back),
            verdict: match self.verdict.as_str() {
                "delete" => Verdict::Delete,
                "keep" => Verdict::Keep,
                other => return Err(field("verdict", other)),
            },
            reasons: reasons(&self.reasons)?,
            despite: reasons(&self.despite)?,
            superseded_by: self.superseded_by.iter().cloned().map(EntryId).collect(),
        })
    }
}

impl PlanState {
    fn of(state: &ScopeState) -> Self {
        let named = |what: &str| PlanState { what: what.to_owned(), ..PlanState::default() };
        match state {
            ScopeState::DefaultBranch => named("default-branch"),
            ScopeState::PullRequest { number, state } => {
                let (what, at, why) = match state {
                    PullRequestState::Open => ("open", None, None),
                    PullRequestState::Closed { at } => ("closed", Some(instant(*at)), None),
                    PullRequestState::Unknown { why } => ("unknown", None, Some(why.clone())),
                    PullRequestState::Untracked => ("untracked", None, None),
                };
                PlanState { what: what.to_owned(), pull_request: Some(*number), at, why }
            }
            ScopeState::Ref(state) => match state {
                RefState::Exists => named("exists"),
                RefState::DeletedOrAbsent { since } => {
                    PlanState { at: since.map(instant), ..named("deleted") }
                }
                RefState::Unknown { why } => PlanState { why: Some(why.clone()), ..named("unknown") },
                RefState::Untracked => named("untracked"),
            },
        }
    }

    fn scope_state(&self) -> Result<ScopeState, Fault> {
        let at = || self.at.as_deref().map(|at| time("at", at)).transpose();
        let why = || self.why.clone().ok_or_else(|| field("why", ""));
        Ok(match (self.pull_request, self.what.as_str()) {
            (None, "default-branch") => ScopeState::DefaultBranch,
            (Some(number), what) => {
                let state = match what {
                    "open" => PullRequestState::Open,
                    "closed" => PullRequestState::Closed { at: at()?.ok_or_else(|| field("at", ""))? },
                    "unknown" => PullRequestState::Unknown { why: why()? },
                    "untracked" => PullRequestState::Untracked,
                    other => return Err(field("what", other)),
                };
                ScopeState::PullRequest { number, state }
            }
            (None, "exists") => ScopeState::Ref(RefState::Exists),
            (None, "deleted") => ScopeState::Ref(RefState::DeletedOrAbsent { since: at()? }),
            (None, "unknown") => ScopeState::Ref(RefState::Unknown { why: why()? }),
            (None, "untracked") => ScopeState::Ref(RefState::Untracked),
            (None, other) => return Err(field("what", other)),
        })
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::domain::retention::{Facts, Policy};
    use crate::report::json;

    /// A plan with every state and budget.
    fn plan() -> Plan {
        let now: DateTime<Utc> = "2026-11-20T12:00:00.123456789Z".parse().expect("a time");
        let scope = |name: &str| Scope::new(name).expect(name);
        let mut facts = Facts::new(scope("main"), now);
        let unknown = || "GitHub says \"no\"".to_owned();
        facts.pull_requests = BTreeMap::from([
            (1, PullRequestState::Open),
            (2, PullRequestState::Closed { at: now - TimeDelta::days(9) }),
            (3, PullRequestState::Unknown { why: unknown() }),
            (4, PullRequestState::Untracked),
        ]);
        facts.refs = BTreeMap::from([
            (scope("a"), RefState::Exists),
            (scope("b"), RefState::DeletedOrAbsent { since: Some(now - TimeDelta::days(5)) }),
            (scope("c"), RefState::DeletedOrAbsent { since: None }),
            (scope("d"), RefState::Unknown { why: unknown() }),
            (scope("e"), RefState::Untracked),
        ]);
        let names = ["main", "a", "b", "c", "d", "e"].map(str::to_owned);
        let pulls = (1..=4).map(|number| format!("refs/pull/{number}/merge"));
        for name in names.into_iter().chain(pulls) {
            for day in 10..13 {
                facts.entries.push(Entry {
                    id: EntryId(format!("{name}-{day}")),
                    scope: scope(&name),
                    key: Key::new(format!("ü-2026-11-{day}{}", if day == 12 { "~t1.aaaaaaaa" } else { "" }))
                        .expect("a key"),
                    version: Version::of_roots(["x"]),
                    created_at: now - TimeDelta::days(20 - day),
                    last_used_at: (day != 11).then(|| now - TimeDelta::hours(19 - day)),
                    size: ByteSize(1_000),
                });
            }
        }
        facts.limit = Some(ByteSize(20_000));
        let superseded = std::num::NonZeroUsize::new(1);
        Policy { superseded, budget: Some(ByteSize(7_000)), ..Policy::unreachable() }.plan(&facts)
    }

    #[test]
    fn what_is_written_is_read_back() {
        let plan = plan();
        let text = json::render(&PlanDocument::of(&plan, "file:///store"));
        let document = PlanDocument::parse(&text).expect("a plan");
        assert_eq!(document.store(), "file:///store");
        assert_eq!(document.plan().expect("the plan"), plan);
        assert_eq!(json::render(&document), text);
    }

    #[test]
    fn what_was_changed_is_refused() {
        let text = json::render(&PlanDocument::of(&plan(), "s"));
        let check = |from: &str, to: &str| {
            assert!(text.contains(from), "{from}");
            let read = PlanDocument::parse(&text.replacen(from, to, 1)).and_then(|document| document.plan());
            assert!(read.is_err(), "{from} became {to}");
        };
        check("\"delete\"", "\"keep\"");
        check("\"keep\"", "\"perhaps\"");
        check("\"size\": 1000", "\"size\": 999");
        check("\"format\": 1", "\"format\": 7");
        check("\"closed\"", "\"open\"");
        check("\"superseded\"", "\"no-such-rule\"");
        check("2026-11-20T12:00:00.123456789Z", "yesterday");
        check("\"store\"", "\"stores\"");
    }
}
