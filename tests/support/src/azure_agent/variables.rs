//! The variables of a job (`Variables`, `VarUtil`).

use std::collections::{BTreeMap, BTreeSet};

/// Levels of variables within variables (`Variables.RecalculateExpanded`).
const MAX_DEPTH: usize = 50;

/// Variables by their names without regard to case, as they were set and as they are expanded.
#[derive(Debug, Clone, Default)]
pub(super) struct Variables {
    set: BTreeMap<String, Variable>,
    expanded: BTreeMap<String, Variable>,
}

#[derive(Debug, Clone)]
struct Variable {
    /// As it was spelt last.
    name: String,
    value: String,
    is_secret: bool,
    is_read_only: bool,
}

impl Variables {
    /// `Variables.Set`: what was a secret once stays one. The value is taken as it is; macros in it are expanded before the next
    /// step starts. Returns whether a variable was overwritten that is read-only.
    pub(super) fn set(&mut self, name: &str, value: &str, is_secret: bool, is_read_only: bool) -> bool {
        let key = name.to_lowercase();
        let before = self.expanded.get(&key);
        let was_read_only = before.is_some_and(|variable| variable.is_read_only);
        let variable = Variable {
            name: name.to_owned(),
            value: value.to_owned(),
            is_secret: is_secret || before.is_some_and(|variable| variable.is_secret),
            is_read_only: is_read_only || was_read_only,
        };
        self.expanded.insert(key.clone(), variable.clone());
        self.set.insert(key, variable);
        was_read_only
    }

    /// Sets a variable that every job has.
    pub(super) fn predefine(&mut self, name: &str, value: impl AsRef<str>) {
        self.set(name, value.as_ref(), false, false);
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.expanded.get(&name.to_lowercase()).map(|variable| variable.value.as_str())
    }

    /// Names and values, of secrets as well.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.expanded.values().map(|variable| (variable.name.as_str(), variable.value.as_str()))
    }

    pub(super) fn public(&self) -> impl Iterator<Item = (&str, &str)> {
        let is_public = |variable: &&Variable| !variable.is_secret;
        self.expanded
            .values()
            .filter(is_public)
            .map(|variable| (variable.name.as_str(), variable.value.as_str()))
    }

    pub(super) fn secrets(&self) -> impl Iterator<Item = (&str, &str)> {
        let is_secret = |variable: &&Variable| variable.is_secret;
        self.expanded
            .values()
            .filter(is_secret)
            .map(|variable| (variable.name.as_str(), variable.value.as_str()))
    }

    /// `Variables.RecalculateExpanded`, before each step: macros within values are replaced, as deep as they go. A variable
    /// that would contain itself keeps its macros, and a value that holds a secret becomes one.
    pub(super) fn recalculate(&mut self) {
        let mut expanded = BTreeMap::new();
        for (key, variable) in &self.set {
            let mut open = vec![key.clone()];
            let mut secrets = BTreeSet::new();
            let value = self.resolve(&variable.value, &mut open, &mut secrets);
            let mut variable =
                Variable { value: value.unwrap_or_else(|| variable.value.clone()), ..variable.clone() };
            variable.is_secret |= !secrets.is_empty();
            expanded.insert(key.clone(), variable);
        }
        self.expanded = expanded;
    }

    /// `None` for a cycle, or too many levels.
    fn resolve(&self, text: &str, open: &mut Vec<String>, secrets: &mut BTreeSet<String>) -> Option<String> {
        let mut is_cyclic = false;
        let made = replace_macros(text, |name| {
            let key = name.to_lowercase();
            let variable = self.set.get(&key)?;
            if open.contains(&key) || open.len() >= MAX_DEPTH {
                is_cyclic = true;
                return None;
            }
            open.push(key.clone());
            let value = self.resolve(&variable.value, open, secrets);
            open.pop();
            if variable.is_secret {
                secrets.insert(key);
            }
            is_cyclic |= value.is_none();
            value
        });
        (!is_cyclic).then_some(made)
    }

    /// Replaces macros in a text that the agent hands to a step: first by variables, then by the agent's own environment
    /// (`Variables.ExpandValues`, `VarUtil.ExpandEnvironmentVariables` in `TaskRunner.RunAsync`). Unknown ones stay.
    pub(super) fn expand(&self, text: &str, environment: &BTreeMap<String, String>) -> String {
        let expanded = replace_macros(text, |name| self.get(name).map(str::to_owned));
        replace_macros(&expanded, |name| environment.get(name).cloned())
    }
}

/// `VarUtil.ExpandValues`: what replaces a macro is not searched again; what is unknown stays, and is searched from its second
/// character on.
fn replace_macros(text: &str, mut value_of: impl FnMut(&str) -> Option<String>) -> String {
    let mut made = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("$(") {
        let Some(end) = rest[start..].find(')').map(|end| start + end) else { break };
        let name = &rest[start + 2..end];
        match value_of(name).filter(|_| !name.is_empty()) {
            Some(value) => {
                made.push_str(&rest[..start]);
                made.push_str(&value);
                rest = &rest[end + 1..];
            }
            None => {
                made.push_str(&rest[..=start]);
                rest = &rest[start + 1..];
            }
        }
    }
    made + rest
}

/// The name of a variable in the environment (`VarUtil.ConvertToEnvVariableFormat`).
pub(super) fn env_name(name: &str) -> String {
    name.replace(['.', ' '], "_").to_uppercase()
}
