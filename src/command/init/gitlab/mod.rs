//! `cache:` in the jobs of GitLab CI, and the template that takes its place.

mod key;
mod plan;
mod rewrite;

pub(super) use plan::JobPlan;
pub(super) use rewrite::edits;

use super::candidate::{Candidate, Refusal};
use super::draft::{self, Draft};
use crate::command::pipelines::yaml::{Kind, Node};

/// The name of the file that begins a pipeline.
pub(super) const FILE: &str = ".gitlab-ci.yml";

/// Fields of a file that declare other things than jobs.
const NOT_JOBS: [&str; 10] = [
    "default",
    "include",
    "stages",
    "variables",
    "workflow",
    "image",
    "services",
    "before_script",
    "after_script",
    "spec",
];

/// What the template has as well, so that one of the two would be lost.
const IN_TEMPLATE: [&str; 3] = ["before_script", "after_script", "extends"];

/// The caches in a pipeline of GitLab.
pub(super) fn find(text: &str, root: &Node) -> Vec<Candidate<JobPlan>> {
    let mut found = Vec::new();
    for (at, (name, job)) in root.fields().iter().enumerate() {
        let name = name.text().unwrap_or_default();
        let shared = match name {
            "cache" => Some(job),
            "default" => job.get("cache"),
            _ => None,
        };
        if let Some(cache) = shared {
            found.push(shared_by_jobs(root, name, cache));
            continue;
        }
        let Some((key, cache)) = job.fields().iter().find(|(key, _)| key.text() == Some("cache")) else {
            continue;
        };
        if NOT_JOBS.contains(&name) {
            continue;
        }
        let refusal = refuse_job(text, root, name, job);
        for one in each(cache) {
            let plan = match &refusal {
                Some(refusal) => Err(refusal.clone()),
                None => plan(at, one),
            };
            let was = one.value("key").map(|key| key.text.to_owned());
            found.push(Candidate {
                keeper: format!("`cache` of `{name}`"),
                place: key.place.clone(),
                was,
                paths: None,
                plan,
            });
        }
    }
    all_of_a_job(&mut found);
    found
}

/// The caches of a job: one, or several in a list.
fn each(cache: &Node) -> Vec<&Node> {
    match &cache.kind {
        Kind::Sequence(items) => items.iter().collect(),
        Kind::Mapping(_) => vec![cache],
        Kind::Scalar(_) | Kind::Alias => Vec::new(),
    }
}

/// A cache that holds for every job.
fn shared_by_jobs(root: &Node, name: &str, cache: &Node) -> Candidate<JobPlan> {
    let place =
        root.fields().iter().find(|(key, _)| key.text() == Some(name)).map(|(key, _)| key.place.clone());
    Candidate {
        keeper: if name == "cache" {
            "`cache` of all jobs".to_owned()
        } else {
            "`cache` of `default`".to_owned()
        },
        place: place.unwrap_or(cache.place.clone()),
        was: None,
        paths: None,
        plan: Err(Refusal::new(
            "it holds for every job, and a template is extended by each",
            "let the jobs that use the cache extend `.cachekeep`",
        )),
    }
}

/// One `cache:` goes or stays as a whole.
fn all_of_a_job(found: &mut [Candidate<JobPlan>]) {
    let left: Vec<_> =
        found.iter().filter(|found| found.plan.is_err()).map(|found| found.place.clone()).collect();
    for found in found.iter_mut().filter(|found| found.plan.is_ok() && left.contains(&found.place)) {
        found.plan = Err(Refusal::new(
            "another cache of the job is left alone",
            "change the job by hand: docs/gitlab.md",
        ));
    }
}

/// Why a job cannot extend the template.
fn refuse_job(text: &str, root: &Node, name: &str, job: &Node) -> Option<Refusal> {
    let by_reference = "put `!reference [.cachekeep, before_script]` first into it: docs/gitlab.md";
    if name.starts_with('.') {
        let reason =
            "it is in a hidden job, and the jobs that extend it may have scripts of their own before it";
        return Some(Refusal::new(reason, by_reference));
    }
    let own = job.fields().iter().find(|(key, _)| key.text().is_some_and(|key| IN_TEMPLATE.contains(&key)));
    if let Some((field, _)) = own {
        let reason = format!("the job has `{}`, and so has the template", field.text().unwrap_or_default());
        return Some(Refusal::new(reason, by_reference).at(Some(field.place.clone())));
    }
    let default = root.get("default");
    let of_all = ["before_script", "after_script"]
        .into_iter()
        .find(|name| root.get(name).is_some() || default.is_some_and(|default| default.get(name).is_some()));
    if let Some(name) = of_all {
        let reason = format!("all jobs have a `{name}`, which that of the template would replace");
        return Some(Refusal::new(reason, by_reference));
    }
    let is_changeable = !job.is_flow(text)
        && job
            .get("variables")
            .is_none_or(|variables| !variables.is_flow(text) && !variables.fields().is_empty())
        && root.get("include").is_none_or(|include| !include.is_flow(text) && !include.items().is_empty());
    (!is_changeable).then(|| {
        Refusal::new(
            "the job is written in a way that cannot be changed without touching others",
            "write `include` as a list, and the fields of the job and of `variables` in lines of their own",
        )
    })
}

fn plan(job: usize, cache: &Node) -> Result<JobPlan, Refusal> {
    let by_hand = "declare the cache by hand: docs/gitlab.md";
    let at = |name: &str| cache.get(name).map(|value| value.place.clone());
    if cache.value("untracked").is_some_and(|value| value.text == "true") {
        let reason = "`untracked` keeps whatever git does not track, and a cache has paths";
        return Err(Refusal::new(reason, by_hand).at(at("untracked")));
    }
    let policy = cache.value("policy").map_or("pull-push", |policy| policy.text);
    if !["pull-push", "pull"].contains(&policy) {
        let reason = format!("the template has no policy `{policy}`");
        return Err(Refusal::new(reason, "run `cachekeep save` in the script of the job").at(at("policy")));
    }
    let when = cache.value("when").map_or("on_success", |when| when.text);
    if !["on_success", "always"].contains(&when) {
        return Err(Refusal::new(format!("the template does not save `{when}`"), by_hand).at(at("when")));
    }
    let mut draft = Draft { saves_always: when == "always", ..Draft::default() };
    for path in cache.get("paths").map_or(&[][..], Node::items).iter().filter_map(Node::text) {
        draft.paths.push(key::path(path).map_err(|reason| Refusal::new(reason, by_hand).at(at("paths")))?);
    }
    if draft.paths.is_empty() {
        return Err(Refusal::new("it has no paths", by_hand));
    }
    (draft.key, draft.restore_keys) =
        key::keys(cache).map_err(|reason| Refusal::new(reason, by_hand).at(at("key")))?;
    draft.name = draft::name_of(&draft.paths, &draft.key);
    if let Some((kind, paths)) = draft::kind_of(&draft.paths) {
        (draft.kind, draft.paths) = (Some(kind), paths);
    }
    Ok(JobPlan { job, draft, is_consumer: policy == "pull" })
}
