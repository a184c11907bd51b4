//! Deletion by hand: the entries that were asked for go, whatever the rules keep, but not from under a reader.

use std::sync::Arc;

use super::decide::distinct;
use super::elapsed::Elapsed;
use super::facts::Facts;
use super::parents::Parents;
use super::pattern::Pattern;
use super::plan::{Decision, Plan, Reason, Rule, Verdict};
use super::policy::Policy;
use crate::domain::entry::Entry;
use crate::domain::entry_filter::{EntryFilter, EntryQuery};
use crate::domain::thin;

/// What is to be deleted by hand.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// The entries.
    pub query: EntryQuery,
    /// Whether entries that the policy protects go, too.
    pub with_protected: bool,
}

/// An entry with what was collected about it so far.
struct Chosen {
    holds: Vec<Reason>,
    wants: Vec<Reason>,
}

impl Chosen {
    fn goes(&self) -> bool {
        self.holds.is_empty() && !self.wants.is_empty()
    }
}

impl Policy {
    /// Decides about every entry: those that were chosen are deleted, unless they are being read, or are protected, and with
    /// them the entries that take content from them. The rules of the policy delete nothing here.
    pub fn plan_choice(&self, choice: &Choice, facts: &Facts) -> Plan {
        let filter = choice.query.at(facts.now);
        let entries = distinct(&facts.entries);
        let mut found: Vec<Chosen> = (entries.iter())
            .map(|entry| Chosen {
                holds: self.holds_of(entry, choice, facts),
                wants: wants(&filter, entry, facts),
            })
            .collect();
        take_dependents_along(&mut found, &entries, &Parents::find(&entries, facts));
        let decide = |(entry, Chosen { holds, wants }): (&Entry, Chosen)| {
            let (verdict, reasons, despite) = match (wants.is_empty(), holds.is_empty()) {
                (true, _) => {
                    (Verdict::Keep, vec![Reason::new(Rule::NotChosen, "it was not asked for")], Vec::new())
                }
                (false, true) => (Verdict::Delete, wants, Vec::new()),
                (false, false) => (Verdict::Keep, holds, wants),
            };
            Decision {
                entry: entry.clone(),
                scope_state: facts.scope_state(&entry.scope),
                pattern: Pattern::of(&thin::saved_for(&entry.key), &self.patterns),
                verdict,
                reasons,
                despite,
                superseded_by: Arc::default(),
            }
        };
        let decisions = entries.into_iter().zip(found).map(decide).collect();
        Plan { now: facts.now, decisions, budget: None }
    }

    /// What keeps an entry that was chosen.
    fn holds_of(&self, entry: &Entry, choice: &Choice, facts: &Facts) -> Vec<Reason> {
        let mut holds = Vec::new();
        if !facts.listing_complete {
            let text = "the listing of entries is not complete";
            holds.push(Reason::new(Rule::IncompleteListing, text));
        }
        if let Some(glob) = self.protect.matching(&thin::saved_for(&entry.key), &entry.scope)
            && !choice.with_protected
        {
            holds.push(Reason::new(Rule::Protected, format!("protected by `{glob}`")));
        }
        if facts.leases.contains(&entry.id) {
            holds.push(Reason::new(Rule::Leased, "it is being read"));
        }
        holds
    }
}

/// No job can restore what takes content from a chosen entry, so it goes as well. If that may not go, the chosen entry stays.
fn take_dependents_along(found: &mut [Chosen], entries: &[&Entry], parents: &Parents) {
    let needed_by = |dependent: usize| {
        Reason::new(Rule::Needed, format!("needed by `{}`", thin::saved_for(&entries[dependent].key)))
    };
    let chosen: Vec<usize> = (0..found.len()).filter(|place| !found[*place].wants.is_empty()).collect();
    for place in &chosen {
        let held = parents.dependents[*place].iter().find(|dependent| !found[**dependent].holds.is_empty());
        if let Some(dependent) = held {
            let reason = needed_by(*dependent);
            found[*place].holds.push(reason);
        }
    }
    let mut along = Vec::new();
    for place in chosen.into_iter().filter(|place| found[*place].goes()).collect::<Vec<_>>() {
        let key = thin::saved_for(&entries[place].key);
        for dependent in &parents.dependents[place] {
            if found[*dependent].wants.is_empty() {
                let text = format!("`{key}`, which it takes content from, is deleted as well");
                found[*dependent].wants.push(Reason::new(Rule::ParentGone, text));
                along.push(*dependent);
            }
        }
    }
    // What was not asked for itself stays as long as others take content from it.
    for place in along {
        let stays = parents.dependents[place].iter().find(|dependent| found[**dependent].wants.is_empty());
        if let Some(dependent) = stays {
            let reason = needed_by(*dependent);
            found[place].holds.push(reason);
        }
    }
}

/// Why an entry is deleted; nothing if it was not chosen.
fn wants(filter: &EntryFilter, entry: &Entry, facts: &Facts) -> Vec<Reason> {
    if !filter.matches(entry) {
        return Vec::new();
    }
    let mut wants = vec![Reason::new(Rule::Chosen, format!("chosen by {}", filter.subjects()))];
    if filter.saved_before.is_some() {
        let age = Elapsed::between(entry.created_at, facts.now);
        wants.push(Reason::new(Rule::Old, format!("saved {age} ago")));
    }
    if filter.unused_since.is_some() {
        let idle = Elapsed::between(facts.last_use(entry), facts.now);
        wants.push(Reason::new(Rule::Unused, format!("unused for {idle}")));
    }
    wants
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::entry::EntryId;
    use crate::domain::retention::Protect;
    use crate::domain::retention::tests::{entry, facts, thin};
    use chrono::TimeDelta;

    fn choice(query: EntryQuery) -> Choice {
        Choice { query, with_protected: false }
    }

    fn of(filter: EntryFilter) -> EntryQuery {
        EntryQuery { filter, ..EntryQuery::default() }
    }

    fn going(plan: &Plan) -> Vec<&str> {
        plan.deletions().map(|decision| decision.entry.key.as_str()).collect()
    }

    #[test]
    fn what_was_chosen_goes_whatever_the_rules_keep() {
        let mut facts = facts();
        facts.entries = vec![entry("main", "a-1", 0.1, 5), entry("main", "b-1", 9.0, 5)];
        let prefix = EntryFilter { key_prefix: Some("a-".to_owned()), ..EntryFilter::default() };
        let policy = Policy { superseded: std::num::NonZeroUsize::new(1), ..Policy::unreachable() };
        let plan = policy.plan_choice(&choice(of(prefix)), &facts);
        assert_eq!(going(&plan), ["a-1"]);
        assert_eq!(plan.decisions[0].reasons, [Reason::new(Rule::Chosen, "chosen by prefix")]);
        assert_eq!(plan.decisions[1].reasons[0].rule, Rule::NotChosen);
    }

    #[test]
    fn what_is_read_or_protected_or_not_listed_completely_stays() {
        let mut facts = facts();
        facts.entries = vec![entry("main", "a-1", 1.0, 5), entry("main", "keep-1", 1.0, 5)];
        facts.leases.insert(facts.entries[0].id.clone());
        let policy = Policy { protect: Protect::new(["keep-*"]).expect("a glob"), ..Policy::default() };
        let all = choice(EntryQuery { older_than: "1h".parse().ok(), ..EntryQuery::default() });
        let plan = policy.plan_choice(&all, &facts);
        assert!(going(&plan).is_empty());
        let rules: Vec<Rule> = plan.decisions.iter().map(|decision| decision.reasons[0].rule).collect();
        assert_eq!(rules, [Rule::Leased, Rule::Protected]);
        assert_eq!(plan.blocked().len(), 2, "it says what blocks");
        facts.leases.clear();
        let plan = policy.plan_choice(&Choice { with_protected: true, ..all.clone() }, &facts);
        assert_eq!(going(&plan), ["a-1", "keep-1"]);
        facts.listing_complete = false;
        assert!(going(&policy.plan_choice(&all, &facts)).is_empty());
    }

    #[test]
    fn what_takes_content_from_a_chosen_entry_goes_with_it_or_keeps_it() {
        let mut facts = facts();
        let base = entry("main", "k-1", 9.0, 100);
        let next = thin("main", "k-2", 8.0, 5, &[&base]);
        let last = thin("main", "k-3", 7.0, 5, &[&base]);
        let other = thin("main", "k-4", 6.0, 5, &[&next]);
        facts.entries = vec![base, next, last, other];
        let by_key = choice(of(EntryFilter { key: Some("k-1".to_owned()), ..EntryFilter::default() }));
        let plan = Policy::default().plan_choice(&by_key, &facts);
        let rules: Vec<Rule> = plan.decisions.iter().map(|decision| decision.reasons[0].rule).collect();
        assert_eq!(rules, [Rule::Chosen, Rule::Needed, Rule::ParentGone, Rule::NotChosen]);
        let order: Vec<&str> = plan.deletions().map(|decision| decision.entry.id.0.as_str()).collect();
        assert_eq!(order, ["main k-3", "main k-1"]);
        facts.leases.insert(facts.entries[2].id.clone());
        let plan = Policy::default().plan_choice(&by_key, &facts);
        assert_eq!(plan.decisions[0].reasons, [Reason::new(Rule::Needed, "needed by `k-3`")]);
        assert!(going(&plan).is_empty(), "{plan:?}");
    }

    #[test]
    fn a_later_use_matters_only_where_use_was_asked_about() {
        let mut facts = facts();
        facts.entries = vec![entry("main", "a-1", 9.0, 5)];
        let by_id = EntryFilter { ids: [facts.entries[0].id.clone()].into(), ..EntryFilter::default() };
        let by_use = EntryQuery { unused_for: "7d".parse().ok(), ..EntryQuery::default() };
        let plans = [of(by_id), by_use].map(|query| Policy::default().plan_choice(&choice(query), &facts));
        facts.now += TimeDelta::hours(1);
        facts.entries[0].last_used_at = Some(facts.now);
        assert_eq!(plans[0].is_stale(&facts), None);
        assert!(plans[1].is_stale(&facts).is_some());
        facts.entries[0].id = EntryId("another".to_owned());
        assert_eq!(plans[1].is_stale(&facts), None, "it is gone");
    }
}
