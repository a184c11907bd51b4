//! `Cache@2` (`PipelineCacheTaskPluginBase`, `RestorePipelineCacheV0`, `SavePipelineCacheV0`, `PipelineCacheServer`).

mod files;
mod fingerprint;
pub(super) mod service;
mod tar;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fingerprint::Fingerprint;
use service::{AzureCacheService, Found};

use super::outcome::Stage;
use super::runner::Runner;
use super::stage::{Failure, StageRun};
use super::status::Status;
use super::step::Action;

/// The task's name in YAML.
pub(super) const REFERENCE: &str = "Cache@2";

/// How the content of an entry is stored (`ContentFormat`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    SingleTar,
    Files,
}

impl Format {
    fn word(self) -> &'static str {
        match self {
            Format::SingleTar => "SingleTar",
            Format::Files => "Files",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Format::SingleTar, Format::Files].into_iter().find(|format| format.word().eq_ignore_ascii_case(word))
    }
}

/// Thirty-two hexadecimal digits that are not used twice.
pub(super) fn guid() -> String {
    use md5::Digest as _;
    use std::sync::atomic::{AtomicU64, Ordering};
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let unique =
        format!("{}-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed), now.as_nanos());
    data_encoding::HEXLOWER.encode(&md5::Md5::digest(unique))
}

/// The inputs of one stage.
struct Inputs {
    key: String,
    restore_keys: String,
    path: String,
    hit_variable: String,
}

/// What the task's own program sees: the agent's environment, `env:` and the prepended path, and no variables
/// (`AgentPluginHandler`). Its files for the time being lie where `TMPDIR` says (`Path.GetTempPath`).
struct Plugin {
    env: BTreeMap<String, String>,
    temp: PathBuf,
}

pub(super) fn run(runner: &mut Runner<'_>, running: &mut StageRun<'_>) -> Result<(), Failure> {
    let env = runner.with_agent_env(runner.step_env(running));
    let temp = env
        .get("TMPDIR")
        .filter(|path| !path.is_empty())
        .map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
    let plugin = Plugin { env, temp };
    match running.stage {
        Stage::Main => restore(runner, running, &plugin),
        Stage::Post => save(runner, running, &plugin),
    }
}

/// Inputs are expanded in each stage anew, so that a variable which a later step sets has its effect on the save.
fn inputs(runner: &Runner<'_>, running: &StageRun<'_>) -> Result<Inputs, Failure> {
    let Action::Task { inputs, .. } = &running.step.action else { unreachable!("only tasks are run here") };
    for (name, _) in inputs {
        let known = ["key", "restoreKeys", "path", "cacheHitVar"];
        assert!(
            known.contains(&name.as_str()),
            "the imitation of {REFERENCE} does not know the input `{name}`"
        );
    }
    let input = |name: &str| {
        let found = inputs.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| runner.expand(value)).unwrap_or_default()
    };
    let inputs = Inputs {
        key: input("key"),
        restore_keys: input("restoreKeys"),
        path: input("path"),
        hit_variable: input("cacheHitVar"),
    };
    for (name, value) in [("key", &inputs.key), ("path", &inputs.path)] {
        if value.is_empty() {
            return Failure::failed(format!("Input required: {name}"));
        }
    }
    Ok(inputs)
}

/// The salt of all keys (`AZP_CACHING_SALT`).
fn salt(runner: &Runner<'_>) -> String {
    runner.variables.get("AZP_CACHING_SALT").unwrap_or_default().to_owned()
}

fn resolve(runner: &mut Runner<'_>, key: &str) -> Result<Fingerprint, Failure> {
    let root = runner.places.sources.clone();
    let fingerprint = Fingerprint::resolve(key, &salt(runner), &root).map_err(Failure::Failed)?;
    runner.log.write(format!("Resolved to: {fingerprint}"));
    Ok(fingerprint)
}

fn service<'a>(runner: &Runner<'a>) -> &'a AzureCacheService {
    runner.job.service.expect("a job with Cache@2 wants a service")
}

/// `RestorePipelineCacheV0`.
fn restore(runner: &mut Runner<'_>, running: &mut StageRun<'_>, plugin: &Plugin) -> Result<(), Failure> {
    let inputs = inputs(runner, running)?;
    runner.log.write("Resolving key:");
    let key = resolve(runner, &inputs.key)?;
    running.task_variables.insert("RESTORE_STEP_RAN".to_owned(), "true".to_owned());
    running.task_variables.insert("RESTORE_STEP_RESOLVED_FINGERPRINT".to_owned(), key.to_string());
    let mut wanted = vec![key.clone()];
    for line in inputs.restore_keys.lines().map(str::trim).filter(|line| !line.is_empty()) {
        runner.log.write("Resolving restore key:");
        wanted.push(resolve(runner, line)?.prefix());
    }
    let scopes = runner.job.event.scopes(&runner.job.default_branch);
    let found = match service(runner).find(&runner.job.definition, &scopes, &wanted) {
        Ok(found) => found,
        // An error of the service is a miss.
        Err(_) => {
            runner.log.write("Failed to get cached item.");
            None
        }
    };
    let hit = match &found {
        None => {
            runner.log.write("There is a cache miss.");
            "false"
        }
        Some(found) => {
            runner.log.write(format!("Entry found at fingerprint: `{}`", found.fingerprint));
            runner.log.write(format!("Scope: {}", found.scope));
            download(runner, running, plugin, found, &inputs.path)?;
            runner.log.write("Cache restored.");
            if found.fingerprint == key { "true" } else { "inexact" }
        }
    };
    if !inputs.hit_variable.is_empty() {
        runner.variables.set(&inputs.hit_variable, hit, false, false);
    }
    Ok(())
}

/// A download that fails, fails the step, and what was unpacked stays there (`TarUtils.DownloadAndExtractTarAsync`).
fn download(
    runner: &mut Runner<'_>,
    running: &mut StageRun<'_>,
    plugin: &Plugin,
    found: &Found,
    path: &str,
) -> Result<(), Failure> {
    let path = runner.places.sources.join(path);
    let limit = service(runner).download_limit();
    match found.format {
        Format::SingleTar => tar::extract(runner, running, plugin, &found.content, &path, limit),
        Format::Files => files::copy(&found.content, &path, limit).map_err(Failure::Failed),
    }
}

/// `SavePipelineCacheV0` and `PipelineCacheServer.UploadAsync`, in their order.
fn save(runner: &mut Runner<'_>, running: &mut StageRun<'_>, plugin: &Plugin) -> Result<(), Failure> {
    if runner.status != Status::Succeeded {
        runner.log.write("Skipping because the job status was not 'Succeeded'.");
        return Ok(());
    }
    if running.task_variables.get("RESTORE_STEP_RAN").map(String::as_str) != Some("true") {
        runner.log.write("Skipping because restore step did not run.");
        return Ok(());
    }
    let inputs = inputs(runner, running)?;
    runner.log.write("Resolving key:");
    let key = resolve(runner, &inputs.key)?;
    let before = running.task_variables.get("RESTORE_STEP_RESOLVED_FINGERPRINT").cloned().unwrap_or_default();
    if before != key.to_string() {
        runner.log.write(format!(
            "##[warning]The given cache key has changed in its resolved value between restore and save steps;\noriginal key: {before}\nmodified key: {key}"
        ));
    }
    let service = service(runner);
    let own = vec![runner.job.event.source_branch()];
    match service.find(&runner.job.definition, &own, std::slice::from_ref(&key)) {
        Ok(Some(found)) => {
            runner.log.write(format!("Cache with fingerprint `{}` already exists.", found.fingerprint));
            return Ok(());
        }
        Ok(None) => {}
        Err(why) => return Failure::failed(why),
    }
    let path = runner.places.sources.join(&inputs.path);
    let (format, upload) = stage(runner, running, plugin, &path)?;
    // Three tries, and the archive stays where it is if they fail.
    let content = service.upload(&upload, format).map_err(Failure::Failed)?;
    if format == Format::SingleTar {
        let _ = std::fs::remove_file(&upload);
    }
    // An error here is printed, and `Saved item.` even so.
    if service.create(&runner.job.definition, &own[0], &key, format, &content).is_err() {
        runner.log.write("Failed to cache item.");
    }
    runner.log.write("Saved item.");
    Ok(())
}

/// What is uploaded: an archive of the directory, or the directory itself (`GetUploadPathAsync`).
fn stage(
    runner: &mut Runner<'_>,
    running: &mut StageRun<'_>,
    plugin: &Plugin,
    path: &Path,
) -> Result<(Format, PathBuf), Failure> {
    let word = runner.variables.get("AZP_CACHING_CONTENT_FORMAT").unwrap_or_default().trim().to_owned();
    let format = match Format::parse(&word) {
        _ if word.is_empty() => Format::SingleTar,
        Some(format) => format,
        None => return Failure::failed(format!("Requested value '{word}' was not found.")),
    };
    let upload = match format {
        Format::SingleTar => tar::create(runner, running, plugin, path)?,
        Format::Files if path.is_dir() => path.to_owned(),
        Format::Files => return Failure::failed(format!("Path does not exist: {}", path.display())),
    };
    Ok((format, upload))
}
