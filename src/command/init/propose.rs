//! From caches that were found to files that move them.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::azure::TaskPlan;
use super::candidate::Refusal;
use super::draft::{self, Draft};
use super::edit;
use super::found::{Found, Plan};
use super::gitlab::JobPlan;
use super::input::InitInput;
use super::starter::HEADING;
use super::survey::Surveyed;
use super::{azure, github, gitlab};
use crate::command::check::{self, Configuration};
use crate::command::pipelines::yaml;
use crate::config::{self, DISCOVERY};
use crate::domain::content_link::algorithm_of;
use crate::domain::finding::{Finding, Location, Severity};
use crate::domain::proposal::{InitOutcome, MovedCache};
use crate::domain::spec::Spec;
use crate::fs::read;
use crate::inputs::globs::{TreeFile, TreeGlob};
use crate::inputs::links;

/// Upper bound for the scripts of a build that are searched, in bytes.
const MAX_SCRIPT: u64 = 1 << 20;

/// A file before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Changed {
    /// Relative to the checkout.
    pub(super) path: PathBuf,
    /// `None` if there is none.
    pub(super) before: Option<String>,
    pub(super) after: String,
    /// Whether a byte order mark stands before the text.
    pub(super) has_mark: bool,
}

/// What is proposed, and the files that it changes.
#[derive(Debug, Default)]
pub(super) struct Proposal {
    pub(super) outcome: InitOutcome,
    pub(super) changed: Vec<Changed>,
}

/// Caches with their names.
type Names = Vec<(Draft, String)>;

/// Proposes files. Whatever has an error in the result is left alone, with what depends on it.
pub(super) fn propose(input: &InitInput<'_>, existing: Option<&str>, mut files: Vec<Surveyed>) -> Proposal {
    let taken: BTreeSet<String> = match input.configuration {
        Configuration::Usable(spec, _) => spec.caches.iter().map(|cache| cache.name.clone()).collect(),
        _ => BTreeSet::new(),
    };
    apart(&mut files);
    by_job(&mut files);
    save_alike(&mut files);
    each_found(&mut files, |found| refuse_draft(input.workspace, found));
    let is_external_data = OnceCell::new();
    let mentions = || *is_external_data.get_or_init(|| mentions_external_data(input.workspace));
    each_found(&mut files, |found| find_links(input.workspace, found, mentions));
    loop {
        together(&mut files);
        pair(&mut files);
        let names = names(&files, &taken);
        let Some(configuration) = configuration(existing, &names, &mut files) else { continue };
        let changed = change(&files, &names);
        let Some(wrong) = first_wrong(input, configuration.as_ref(), &files, &changed) else {
            return finish(existing, configuration, &files, &names, changed);
        };
        let (at, refusal) = wrong;
        refuse_all(&mut files[at].found, &refusal);
    }
}

/// Refuses every cache that was to be moved.
fn refuse_all(found: &mut [Found], refusal: &Refusal) {
    for found in found.iter_mut().filter(|found| found.plan.is_ok()) {
        found.plan = Err(refusal.clone());
    }
}

fn each_found(files: &mut [Surveyed], mut with: impl FnMut(&mut Found)) {
    files.iter_mut().flat_map(|file| &mut file.found).for_each(&mut with);
}

fn plans(files: &[Surveyed]) -> impl Iterator<Item = &Plan> {
    files.iter().flat_map(|file| &file.found).filter_map(|found| found.plan.as_ref().ok())
}

/// Puts the OS into keys whose entries have been apart by OS without it, unless all jobs run on one.
fn apart(files: &mut [Surveyed]) {
    let mut systems: BTreeSet<&str> = BTreeSet::new();
    let mut is_known = true;
    for plan in plans(files) {
        if let Plan::GitHub(plan) = plan
            && let Some(of_job) = plan.systems_apart()
        {
            is_known &= !of_job.is_empty();
            systems.extend(of_job);
        }
    }
    if is_known && systems.len() < 2 {
        return;
    }
    each_found(files, |found| {
        if let Ok(Plan::GitHub(plan)) = &mut found.plan
            && plan.systems_apart().is_some()
            && let Some(draft) = plan.draft.as_mut().filter(|draft| !draft.key.is_empty())
        {
            draft.by_os();
        }
    });
}

/// Puts the job into keys whose entries have been apart by job, unless there is only one.
fn by_job(files: &mut [Surveyed]) {
    let jobs: BTreeSet<String> = plans(files)
        .filter_map(|plan| match plan {
            Plan::GitHub(plan) if plan.is_by_job() => Some(plan.job_name.clone()),
            _ => None,
        })
        .collect();
    if jobs.len() < 2 {
        return;
    }
    each_found(files, |found| {
        if let Ok(Plan::GitHub(plan)) = &mut found.plan
            && plan.is_by_job()
        {
            plan.by_job();
        }
    });
}

/// Has caches that differ only in when they are saved be one, which is saved always; steps have conditions of their own.
fn save_alike(files: &mut [Surveyed]) {
    let always = |draft: &Draft| Draft { saves_always: true, ..draft.clone() };
    let all: Vec<Draft> =
        plans(files).filter_map(Plan::draft).filter(|draft| draft.saves_always).cloned().collect();
    each_found(files, |found| {
        if let Ok(Plan::GitHub(plan)) = &mut found.plan
            && let Some(draft) = &mut plan.draft
            && all.contains(&always(draft))
        {
            draft.saves_always = true;
        }
    });
}

/// Refuses a cache that the configuration would not take, or whose key names no file.
fn refuse_draft(workspace: &Path, found: &mut Found) {
    let Some(draft) = found.plan.as_ref().ok().and_then(Plan::draft) else { return };
    if let Err(error) = config::parse(&draft.toml(&draft.name), Path::new(DISCOVERY)) {
        let first = error.errors().next();
        let reason = first.map_or_else(|| error.summary(), |finding| finding.message.clone());
        let hint = first.and_then(|finding| finding.hint.clone());
        found.plan = Err(Refusal::new(
            format!("cachekeep.toml cannot say it: {reason}"),
            hint.unwrap_or_else(|| "declare the cache by hand".to_owned()),
        ));
        return;
    }
    let missing = draft.globs().into_iter().find(|globs| !has_match(workspace, globs));
    if let Some(globs) = missing {
        let globs = globs.join(",");
        found.plan = Err(Refusal::new(
            format!("no file matches `{globs}`: `hashFiles` is empty then, and `{{files:{globs}}}` an error"),
            "commit the lock file first, or declare the cache with another key",
        ));
    }
}

/// Takes the files in a key for content links, where all of them are links, and the build stores what they name by its hash: a cache of
/// files with other names would never be complete.
fn find_links(workspace: &Path, found: &mut Found, is_external_data: impl Fn() -> bool) {
    let Some(draft) = found.plan.as_mut().ok().and_then(Plan::draft_mut) else { return };
    let is_link = |glob: &String| glob.starts_with('!') || algorithm_of(glob).is_some();
    let (globs, [path]) = (draft.globs(), draft.paths.as_slice()) else { return };
    let ([globs], None, false) = (globs.as_slice(), draft.kind, path.contains(['*', '?', '['])) else {
        return;
    };
    if !globs.iter().all(is_link) {
        return;
    }
    let never = CancellationToken::new();
    let wanted =
        TreeGlob::new(globs).and_then(|glob| links::wanted_objects(workspace, &glob, &[], 0, &never));
    if wanted.is_ok_and(|(wanted, _)| !wanted.is_empty()) {
        if is_external_data() {
            draft.of_links(globs.clone());
        } else {
            draft.has_links_in_key = true;
        }
    }
}

/// Whether the checkout uses `ExternalData` of `CMake`, whose stores name objects by their hashes.
fn mentions_external_data(workspace: &Path) -> bool {
    let never = CancellationToken::new();
    let scripts = TreeGlob::new(&["**/CMakeLists.txt", "**/*.cmake"])
        .and_then(|glob| glob.files(workspace, &[], 0, &never));
    let mentions = |file: &TreeFile| {
        let text = read::read_regular(&file.location, MAX_SCRIPT).unwrap_or_default();
        String::from_utf8_lossy(&text).contains("ExternalData")
    };
    scripts.is_ok_and(|found| found.files.iter().any(mentions))
}

fn has_match(workspace: &Path, globs: &[String]) -> bool {
    let never = CancellationToken::new();
    let found = TreeGlob::new(globs).and_then(|glob| glob.files(workspace, &[], 0, &never));
    found.is_ok_and(|found| !found.files.is_empty())
}

/// Keeps steps together that restore and save one cache: all are moved in the same way, or none is.
fn together(files: &mut [Surveyed]) {
    let all: Vec<Found> = files.iter().flat_map(|file| file.found.clone()).collect();
    let github = |found: &Found| match &found.plan {
        Ok(Plan::GitHub(plan)) => Some(plan.clone()),
        _ => None,
    };
    let is_half = |found: &Found| {
        github(found).map_or_else(
            || found.keeper.contains("/restore@") || found.keeper.contains("/save@"),
            |plan| plan.is_half(),
        )
    };
    each_found(files, |found| {
        let Some(paths) = &found.paths else { return };
        let related = || all.iter().filter(|other| other.paths.as_ref() == Some(paths));
        if !related().any(is_half) {
            return;
        }
        let Ok(Plan::GitHub(plan)) = &mut found.plan else { return };
        if related().any(|other| other.plan.is_err()) {
            found.plan = Err(Refusal::new(
                "another step that restores or saves these paths is left alone",
                "move both by hand, to `cachekeep/cachekeep/restore@v1` and `…/save@v1`",
            ));
        } else if related().filter_map(github).any(|plan| plan.is_drop_in()) {
            plan.drop_in("another step that restores or saves these paths keeps its inputs");
        }
    });
}

/// Gives steps that save the draft of the restore with the same paths and key.
fn pair(files: &mut [Surveyed]) {
    let restored: Vec<Draft> = plans(files)
        .filter_map(|plan| match plan {
            Plan::GitHub(plan) if plan.restores() => plan.draft.clone(),
            _ => None,
        })
        .collect();
    each_found(files, |found| {
        if let Ok(Plan::GitHub(plan)) = &mut found.plan {
            plan.pair(&restored);
        }
    });
}

fn names(files: &[Surveyed], taken: &BTreeSet<String>) -> Names {
    let drafts: Vec<&Draft> = plans(files).filter_map(Plan::draft).collect();
    draft::named(&drafts, taken)
}

fn name_of<'a>(names: &'a Names, plan: &Plan) -> Option<&'a str> {
    let draft = plan.draft()?;
    names.iter().find(|(other, _)| other == draft).map(|(_, name)| name.as_str())
}

/// The configuration that declares these caches, with its declarations; the inner `None` if there is none to declare. Where it
/// would have an error, the caches that the last one comes from keep their inputs or are refused, and the outer value is `None`.
#[expect(
    clippy::option_option,
    reason = "one says that something was refused, the other that nothing is declared"
)]
fn configuration(
    existing: Option<&str>,
    names: &Names,
    files: &mut [Surveyed],
) -> Option<Option<(String, Spec)>> {
    let Some((last, _)) = names.last() else { return Some(None) };
    let mut text = existing.map_or_else(|| HEADING.to_owned(), str::to_owned);
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for (draft, name) in names {
        text.push('\n');
        text.push_str(&draft.toml(name));
    }
    match config::parse(&text, Path::new(DISCOVERY)) {
        Ok(loaded) => Some(Some((text, loaded.spec))),
        Err(error) => {
            let reason =
                error.errors().next().map_or_else(|| error.summary(), |finding| finding.message.clone());
            let refusal = Refusal::new(
                format!("it clashes with another cache in cachekeep.toml: {reason}"),
                "declare it by hand",
            );
            each_found(files, |found| {
                if found.plan.as_ref().ok().and_then(Plan::draft) != Some(last) {
                    return;
                }
                match &mut found.plan {
                    // With its own inputs, it needs no declaration.
                    Ok(Plan::GitHub(plan)) if found.paths.is_some() => {
                        plan.drop_in("cachekeep.toml declares another cache of this directory");
                    }
                    plan => *plan = Err(refusal.clone()),
                }
            });
            None
        }
    }
}

/// The text of each file after its changes; `None` if nothing in it changes.
fn change(files: &[Surveyed], names: &Names) -> Vec<Option<String>> {
    let change = |file: &Surveyed| {
        let root = yaml::read(&file.text).ok().flatten()?;
        let (mut github, mut azure, mut gitlab) = (Vec::new(), Vec::new(), Vec::new());
        for plan in file.found.iter().filter_map(|found| found.plan.as_ref().ok()) {
            match plan {
                Plan::GitHub(step) => github.push((step, name_of(names, plan))),
                Plan::Azure(task) => azure.push((task, name_of(names, plan)?)),
                Plan::GitLab(job) => gitlab.push((job, name_of(names, plan)?)),
            }
        }
        if github.is_empty() && azure.is_empty() && gitlab.is_empty() {
            return None;
        }
        let edits = [
            github::edits(&file.text, &root, &github),
            azure::edits(&file.text, &root, &azure),
            gitlab::edits(&file.text, &root, &gitlab),
        ];
        edit::apply(&file.text, edits.concat())
    };
    files.iter().map(change).collect()
}

/// The first file that has an error after its changes and had not before, with the reason to leave it alone.
fn first_wrong(
    input: &InitInput<'_>,
    configuration: Option<&(String, Spec)>,
    files: &[Surveyed],
    changed: &[Option<String>],
) -> Option<(usize, Refusal)> {
    let spec = match input.configuration {
        Configuration::Usable(spec, _) => Some(spec),
        _ => None,
    };
    let spec = configuration.map(|(_, spec)| spec).or(spec);
    let errors = |path: &Path, text: &str| check::errors_in(text, path, spec, input.action);
    let is_moved = |file: &Surveyed| file.found.iter().any(|found| found.plan.is_ok());
    files.iter().zip(changed).enumerate().find_map(|(at, (file, after))| {
        let Some(after) = after else {
            let reason = "the changes of its steps overlap";
            return is_moved(file).then(|| (at, Refusal::new(reason, "move it by hand")));
        };
        let before = errors(&file.path, &file.text);
        let new = errors(&file.path, after).into_iter().find(|finding| {
            !before.iter().any(|old| (old.rule, &old.message) == (finding.rule, &finding.message))
        })?;
        let hint = new.hint.unwrap_or_else(|| "move it by hand".to_owned());
        Some((at, Refusal::new(format!("`cachekeep check` would find an error: {}", new.message), hint)))
    })
}

fn finish(
    existing: Option<&str>,
    configuration: Option<(String, Spec)>,
    files: &[Surveyed],
    names: &Names,
    changed: Vec<Option<String>>,
) -> Proposal {
    let mut proposal = Proposal::default();
    if let Some((text, _)) = configuration {
        let before = existing.map(str::to_owned);
        proposal.changed.push(Changed {
            path: PathBuf::from(DISCOVERY),
            before,
            after: text,
            has_mark: false,
        });
    }
    for (file, after) in files.iter().zip(changed) {
        if let Some(after) = after {
            let before = Some(file.text.clone());
            proposal.changed.push(Changed {
                path: file.path.clone(),
                before,
                after,
                has_mark: file.has_mark,
            });
        }
        for found in &file.found {
            match &found.plan {
                Ok(plan) => proposal.outcome.moved.push(moved(file, found, plan, name_of(names, plan))),
                Err(refusal) => proposal.outcome.left.push(left(file, found, refusal)),
            }
        }
    }
    if !proposal.outcome.moved.is_empty() {
        proposal.outcome.notes = notes(files);
    }
    proposal
}

fn moved(file: &Surveyed, found: &Found, plan: &Plan, name: Option<&str>) -> MovedCache {
    let mut differences = Vec::new();
    if let Some(draft) = plan.draft() {
        differences.extend(about_key(found.was.as_deref(), draft, plan));
    }
    differences.extend(plan.differences());
    MovedCache {
        name: name.map(str::to_owned),
        keeper: found.keeper.clone(),
        location: file.location(found),
        differences,
    }
}

/// What is different about the key, and about what is kept.
fn about_key(was: Option<&str>, draft: &Draft, plan: &Plan) -> Vec<String> {
    let mut found = Vec::new();
    let kind = draft.kind.and_then(crate::domain::kinds::named);
    let key = match kind {
        Some(kind) if draft.key.is_empty() => kind.key.replace("NAME", &draft.name),
        _ => draft.key.clone(),
    };
    match was {
        Some(was) => found.push(format!("the key is `{key}`, in the place of `{was}`")),
        None => found.push(format!("the key is `{key}`")),
    }
    if key.contains("{files:") {
        found.push(
            "`{files:…}` is equal on every OS, and an error where no file matches: the cache is skipped then"
                .to_owned(),
        );
    }
    let has_several_systems = matches!(plan, Plan::GitHub(step) if step.systems.len() > 1);
    found.extend(about_os(was, draft, has_several_systems));
    found.extend(about_links(draft));
    if let Some(kind) = kind {
        let variables: Vec<String> = kind.export.iter().map(|(name, _)| format!("`{name}`")).collect();
        if !variables.is_empty() {
            found.push(format!(
                "`kind = \"{}\"` sets {} for the steps behind the restore",
                kind.name,
                variables.join(", ")
            ));
        }
        if kind.name == "cargo" {
            found.push(
                "what is built of the workspace's own packages and `~/.cargo/bin` are left out".to_owned(),
            );
        }
    }
    found
}

/// What the OS in a key is good for.
fn about_os(was: Option<&str>, draft: &Draft, has_several_systems: bool) -> Option<String> {
    let said_os = |was: &str| was.contains("runner.os") || was.to_ascii_lowercase().contains("agent.os");
    let text = if draft.key.starts_with("{os}-") && was.is_some_and(|was| !said_os(was)) {
        "`{os}-` begins the keys because actions/cache keeps the entries of each OS apart by itself: remove it if the files are \
         equal on all of them"
    } else if has_several_systems && draft.kind.is_none() && draft.key.contains("{os}") {
        "an entry serves every OS: remove `{os}` from the keys if the files are equal on all of them"
    } else {
        return None;
    };
    Some(text.to_owned())
}

/// What it means that a cache has content links.
fn about_links(draft: &Draft) -> Vec<String> {
    if draft.has_links_in_key {
        return vec![
            "the files in its key are content links: where the cache names its files by these hashes, `[cache.NAME.links]` verifies \
             them and fetches what is missing (docs/guide.md, \"Content links, seeds, and the gate\")"
                .to_owned(),
        ];
    }
    if draft.links.is_empty() {
        return Vec::new();
    }
    vec![
        "`{links}` stands for the objects that the content links name: a renamed or repeated link does not change it".to_owned(),
        "the objects are verified, and the cache is saved only if all are there: correct `object` if a build looks for them \
         elsewhere than CMake's ExternalData does; `mirrors` fetches what is missing"
            .to_owned(),
        "pull requests restore it and do not save it".to_owned(),
    ]
}

fn left(file: &Surveyed, found: &Found, refusal: &Refusal) -> Finding {
    Finding {
        rule: "init-left-alone",
        severity: Severity::Warning,
        message: format!("{} is left alone: {}", found.keeper, refusal.reason),
        hint: Some(refusal.hint.clone()),
        location: Some(Location::of(&file.path, &file.text, refusal.place.as_ref().unwrap_or(&found.place))),
    }
}

/// What `id-token: write` would change for a workflow that does not have it.
fn about_token(file: &Surveyed) -> Option<String> {
    let steps: Vec<_> = file
        .found
        .iter()
        .filter_map(|found| match &found.plan {
            Ok(Plan::GitHub(step)) => Some((found, step)),
            _ => None,
        })
        .collect();
    if steps.is_empty() || file.text.contains("id-token: write") {
        return None;
    }
    let in_home = |found: &Found, draft: Option<&Draft>| {
        let is_of_kind = draft.is_some_and(|draft| draft.kind.is_some() && draft.paths.is_empty());
        is_of_kind
            || found.paths.as_ref().is_some_and(|paths| paths.lines().any(|path| path.starts_with('~')))
    };
    let is_needed = steps
        .iter()
        .any(|(found, step)| step.systems.contains(&"windows") && in_home(found, step.draft.as_ref()));
    let name = file.path.display();
    Some(if is_needed {
        format!(
            "add `permissions: {{ contents: read, id-token: write }}` to {name}, with what else its jobs need: without it \
             actions/cache moves the archives, which cannot reach the home directory of Windows runners"
        )
    } else {
        format!(
            "add `permissions: {{ contents: read, id-token: write }}` to {name}, with what else its jobs need: without it \
             actions/cache moves the archives, and stages them on disk (docs/github-actions.md, \"Two transports\")"
        )
    })
}

/// What holds for all caches that are moved, and what is left to do.
fn notes(files: &[Surveyed]) -> Vec<String> {
    let mut notes = vec![
        "the first run misses and saves: entries of the other program are not read, and the service evicts them \
         after seven days without use"
            .to_owned(),
        "entries belong to the ref of their job, as before: a pull request reads its own and those of the branches it is \
         merged into"
            .to_owned(),
    ];
    notes.extend(files.iter().filter_map(about_token));
    if plans(files).any(|plan| matches!(plan, Plan::Azure(_))) {
        notes.extend(TaskPlan::to_do());
    }
    if plans(files).any(|plan| matches!(plan, Plan::GitLab(_))) {
        notes.extend(JobPlan::to_do());
    }
    notes
}
