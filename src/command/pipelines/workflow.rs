//! A workflow of GitHub Actions as far as it is about caches.

use std::ops::Range;

use crate::command::pipelines::yaml::{Kind, Node, Value};
use crate::domain::trust::{GITHUB_EVENTS, Trust};

/// A workflow.
#[derive(Debug)]
pub(in crate::command) struct Workflow<'a> {
    pub(in crate::command) root: &'a Node,
    /// The names of its events; without `workflow_call`, whose events are those of the caller.
    pub(in crate::command) events: Vec<&'a str>,
    /// Whether other workflows call it.
    pub(in crate::command) is_called: bool,
    pub(in crate::command) jobs: Vec<Job<'a>>,
}

/// A job with steps.
#[derive(Debug)]
pub(in crate::command) struct Job<'a> {
    pub(in crate::command) name: &'a str,
    pub(in crate::command) node: &'a Node,
    pub(in crate::command) steps: Vec<Step<'a>>,
}

/// A step.
#[derive(Debug)]
pub(in crate::command) struct Step<'a> {
    pub(in crate::command) node: &'a Node,
    pub(in crate::command) kind: StepKind<'a>,
    /// What it uses, or the step itself.
    pub(in crate::command) place: Range<usize>,
}

/// What a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::command) enum StepKind<'a> {
    /// The action, with the mode that it is given.
    Ours(Mode<'a>),
    /// `actions/checkout`.
    Checkout,
    /// Another action, by its name without its version.
    Other(&'a str),
    /// A script.
    Script,
}

/// A mode of the action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::command) enum Mode<'a> {
    Restore,
    Save,
    Clean,
    /// Another one, or one that an expression gives.
    Other(&'a str),
}

/// What the token of a job may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::command) enum Right {
    None,
    /// The repository's settings or a caller decide.
    Unknown,
    Read,
    Write,
}

/// The workflow in a document; `None` if it is not one.
pub(in crate::command) fn read(root: &Node) -> Option<Workflow<'_>> {
    let jobs = root.get("jobs").filter(|jobs| matches!(jobs.kind, Kind::Mapping(_)))?;
    let on = root.get("on")?;
    let names: Vec<&str> = match &on.kind {
        Kind::Scalar(name) => vec![name],
        Kind::Sequence(items) => items.iter().filter_map(Node::text).collect(),
        Kind::Mapping(fields) => fields.iter().filter_map(|(key, _)| key.text()).collect(),
        Kind::Alias => Vec::new(),
    };
    let is_called = names.contains(&"workflow_call");
    let events = names.into_iter().filter(|name| *name != "workflow_call").collect();
    let jobs = jobs.fields().iter().map(|(name, node)| Job {
        name: name.text().unwrap_or_default(),
        node,
        steps: node.get("steps").map_or_else(Vec::new, |steps| steps.items().iter().map(step).collect()),
    });
    Some(Workflow { root, events, is_called, jobs: jobs.collect() })
}

fn step(node: &Node) -> Step<'_> {
    let uses = node.value("uses");
    let place = uses.as_ref().map_or_else(|| node.place.clone(), |uses| uses.place.clone());
    let kind = match uses.map(|uses| uses.text) {
        None => StepKind::Script,
        Some(uses) => {
            let name = without_version(uses);
            let mode = node.get("with").and_then(|with| with.value("mode")).map(|mode| mode.text);
            let is_this_repository = name == "./" && mode.is_some();
            match name {
                "actions/checkout" => StepKind::Checkout,
                _ if is_drop_in(name, "restore") => StepKind::Ours(Mode::Restore),
                _ if is_drop_in(name, "save") => StepKind::Ours(Mode::Save),
                _ if is_this_repository || is_ours(name) => StepKind::Ours(match mode.unwrap_or("restore") {
                    "restore" => Mode::Restore,
                    "save" => Mode::Save,
                    "clean" => Mode::Clean,
                    other => Mode::Other(other),
                }),
                _ => StepKind::Other(name),
            }
        }
    };
    Step { node, kind, place }
}

/// The name of an action: `owner/name` of `owner/name@v1`.
fn without_version(uses: &str) -> &str {
    uses.split_once('@').map_or(uses, |(name, _)| name)
}

/// Whether an action is cachekeep's or a fork of it.
fn is_ours(name: &str) -> bool {
    name.split_once('/').is_some_and(|(_, repository)| repository == "cachekeep")
}

/// Whether an action takes the place of one of actions/cache: `cachekeep/cachekeep/restore`.
fn is_drop_in(name: &str, part: &str) -> bool {
    name.rsplit_once('/').is_some_and(|(action, last)| last == part && is_ours(action))
}

impl<'a> Step<'a> {
    /// Whether it takes the place of a step of actions/cache, with its inputs.
    pub(in crate::command) fn is_drop_in(&self) -> bool {
        let name = self.node.value("uses").map_or("", |uses| without_version(uses.text));
        is_drop_in(name, "restore") || is_drop_in(name, "save")
    }

    /// An input that is not empty.
    pub(in crate::command) fn input(&self, name: &str) -> Option<Value<'a>> {
        self.node.get("with")?.value(name)
    }

    /// The lines of an input that are not empty.
    pub(in crate::command) fn lines(&self, name: &str) -> Vec<&'a str> {
        let text = self.input(name).map_or("", |value| value.text);
        text.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
    }

    /// Where a finding about an input is shown: there, or at the step if it is not given.
    pub(in crate::command) fn place_of(&self, name: &str) -> Range<usize> {
        self.input(name).map_or_else(|| self.place.clone(), |value| value.place)
    }

    /// Whether it is the action in this mode.
    pub(in crate::command) fn is(&self, mode: Mode<'_>) -> bool {
        self.kind == StepKind::Ours(mode)
    }

    /// Whether it is the action.
    pub(in crate::command) fn is_ours(&self) -> bool {
        matches!(self.kind, StepKind::Ours(_))
    }

    /// Its condition, without `${{ }}`.
    pub(in crate::command) fn condition(&self) -> Option<Value<'a>> {
        self.node.value("if")
    }

    /// Its script.
    pub(in crate::command) fn script(&self) -> &'a str {
        self.node.get("run").and_then(Node::text).unwrap_or_default()
    }
}

impl<'a> Workflow<'a> {
    /// Whether an event is one that people without write access start, with the repository's rights.
    pub(in crate::command) fn is_privileged(event: &str) -> bool {
        Trust::of_event(GITHUB_EVENTS, Some(event)).is_privileged
    }

    /// The privileged events.
    pub(in crate::command) fn privileged(&self) -> impl Iterator<Item = &'a str> {
        self.events.iter().copied().filter(|event| Self::is_privileged(event))
    }

    /// Whether every event is privileged. A caller's events are not known.
    pub(in crate::command) fn is_only_privileged(&self) -> bool {
        !self.is_called
            && !self.events.is_empty()
            && self.events.iter().all(|event| Self::is_privileged(event))
    }

    /// Whether it runs for pull requests alone.
    pub(in crate::command) fn is_only_pull_request(&self) -> bool {
        !self.is_called && self.events == ["pull_request"]
    }

    /// What the token of a job may do.
    pub(in crate::command) fn right(&self, job: &Job<'_>, name: &str) -> Right {
        let Some(permissions) = job.node.get("permissions").or_else(|| self.root.get("permissions")) else {
            // No default gives `id-token`.
            return if name == "id-token" && !self.is_called { Right::None } else { Right::Unknown };
        };
        let of_all = permissions.text();
        let word = of_all.or_else(|| permissions.get(name).and_then(Node::text));
        match word {
            Some("write" | "write-all") => Right::Write,
            Some("read-all") if name == "id-token" => Right::None,
            Some("read" | "read-all") => Right::Read,
            _ => Right::None,
        }
    }

    /// The value of a variable that a step sees.
    pub(in crate::command) fn env(&self, job: &Job<'a>, step: &Step<'a>, name: &str) -> Option<Value<'a>> {
        [step.node, job.node, self.root].into_iter().find_map(|node| node.get("env")?.value(name))
    }

    /// `cache-mode` of a job.
    pub(in crate::command) fn cache_mode(&self, job: &Job<'a>) -> Option<Value<'a>> {
        job.node.value("cache-mode").or_else(|| self.root.value("cache-mode"))
    }
}

impl<'a> Job<'a> {
    /// How many jobs the matrix makes; `None` if an expression decides.
    pub(in crate::command) fn lanes(&self) -> Option<u64> {
        let Some(matrix) = self.node.get("strategy").and_then(|strategy| strategy.get("matrix")) else {
            return Some(1);
        };
        if !matches!(matrix.kind, Kind::Mapping(_)) {
            return None;
        }
        let list = |node: &Node| match &node.kind {
            Kind::Sequence(items) => Some(items.len() as u64),
            _ => None,
        };
        let (mut product, mut dimensions) = (1u64, 0);
        for (key, value) in matrix.fields() {
            if matches!(key.text(), Some("include" | "exclude")) {
                continue;
            }
            product = product.saturating_mul(list(value)?);
            dimensions += 1;
        }
        let count = |name| matrix.get(name).map_or(Some(0), list);
        let (included, excluded) = (count("include")?, count("exclude")?);
        Some(if dimensions == 0 { included.max(1) } else { product.saturating_sub(excluded).max(1) })
    }

    /// The systems that the job runs on, as far as the labels of GitHub's runners tell.
    pub(in crate::command) fn systems(&self) -> Vec<&'static str> {
        let mut texts = Vec::new();
        let matrix = self.node.get("strategy").and_then(|strategy| strategy.get("matrix"));
        for node in [self.node.get("runs-on"), matrix].into_iter().flatten() {
            node.texts(&mut texts);
        }
        let runs_on = self.node.value("runs-on");
        let by_matrix = runs_on.as_ref().is_some_and(|runs_on| runs_on.text.contains("matrix."));
        let labels = [("ubuntu-", "linux"), ("macos-", "macos"), ("windows-", "windows")];
        let is_used =
            |value: &&Value<'_>| by_matrix || runs_on.as_ref().is_some_and(|on| on.text == value.text);
        let of = |label: &str| texts.iter().filter(is_used).any(|value| value.text.starts_with(label));
        labels.into_iter().filter(|(label, _)| of(label)).map(|(_, system)| system).collect()
    }

    /// Every text of the job.
    pub(in crate::command) fn texts(&self) -> Vec<Value<'a>> {
        let mut texts = Vec::new();
        self.node.texts(&mut texts);
        texts
    }
}
