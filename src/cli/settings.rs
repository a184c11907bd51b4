//! What was typed, set in the environment and written in the file, made into what it means.
//!
//! One place decides who wins: the command line, then `CACHEKEEP_*` variables, then the file, then defaults.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::args::{Args, ColorArg, Common, RoleArg, VerifySaveArg};
use super::inputs;
use crate::config::{self, ConfigError};
use crate::domain::fault::Fault;
use crate::domain::finding::Finding;
use crate::domain::hint::Hint;
use crate::domain::scope::{Access, Scope};
use crate::domain::spec::{Role, Spec, StoreLocation, VerifySave};
use crate::domain::trust::Grants;
use crate::domain::unit::{Span, UnitError};
use crate::fs::open::Links;
use crate::fs::read;
use crate::platform::{self, Env, JobFacts, Platform};
use crate::report::{Log, LogOptions, Verbosity};

/// Upper bound for configuration files, in bytes.
const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// After this long a cache is given up: a job must never hang on an optimization.
const DEFAULT_TIMEOUT: Duration = Duration::from_hours(1);

/// What was asked for cannot mean anything.
#[derive(Debug, thiserror::Error)]
pub(super) enum SettingsError {
    /// There is no configuration and no cache on the command line.
    #[error("no `{}` in `{}` or above", config::DISCOVERY, .0.display())]
    NoConfig(PathBuf),
    /// The configuration that was named is a directory.
    #[error("`{}` is a directory; name the file: `{}`", .0.display(), .0.join(config::DISCOVERY).display())]
    IsDirectory(PathBuf),
    /// The configuration cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Fault),
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A value on the command line or in the environment is wrong.
    #[error("{origin}: {problem}")]
    Value {
        /// The flag or variable.
        origin: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A cache that is not declared.
    #[error("there is no cache `{name}`{}", listed(known))]
    UnknownCache {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// Half a cache on the command line.
    #[error("`--path` and `--key` declare a cache only together")]
    HalfInline,
}

fn listed(known: &[String]) -> String {
    if known.is_empty() { String::new() } else { format!("; there are: {}", known.join(", ")) }
}

impl Hint for SettingsError {
    fn hint(&self) -> Option<String> {
        match self {
            SettingsError::NoConfig(_) => Some(
                "run `cachekeep init`, which proposes one, name one with `--config`, or declare a cache with `--path` and `--key`"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// What a command works with.
#[derive(Debug)]
pub(super) struct Settings {
    /// The declared caches.
    pub spec: Spec,
    /// What the configuration says that is hardly meant.
    pub warnings: Vec<Finding>,
    /// The checkout.
    pub workspace: PathBuf,
    /// What `{temp}` means.
    pub temp: PathBuf,
    /// Values of `{var.NAME}`.
    pub variables: BTreeMap<String, String>,
    /// Who may read and write what.
    pub access: Access,
    /// The ref of the job, as far as it is known.
    pub git_ref: Option<String>,
    /// What the event and the workflow let the job do with its configuration.
    pub grants: Grants,
    /// After this long a cache is given up.
    pub timeout: Duration,
    /// Threads that pack, unpack and verify.
    pub workers: usize,
}

/// What is found before a command runs, whether or not the settings are usable.
pub(super) struct FoundSettings {
    /// The platform of the job.
    pub(super) platform: Arc<dyn Platform>,
    /// The log of the job.
    pub(super) log: Arc<Log>,
    /// The settings.
    pub(super) settings: Result<Settings, SettingsError>,
}

/// Where a configuration was found, before it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ConfigPlace {
    /// The file; none where the command line declares the cache.
    config: Option<PathBuf>,
    /// The directory that stands for the workspace.
    workspace: PathBuf,
}

/// A flag or, where it was not given, its variable; with the name it is called by in messages.
fn given<'a>(flag: Option<&'a str>, name: &str, env: &'a Env, variable: &str) -> Option<(String, &'a str)> {
    flag.map(|value| (format!("--{name}"), value))
        .or_else(|| env.var(variable).map(|value| (variable.to_owned(), value)))
}

fn value_error(origin: &str, problem: impl std::fmt::Display) -> SettingsError {
    SettingsError::Value { origin: origin.to_owned(), problem: problem.to_string() }
}

/// Finds the configuration, the platform, and what the settings are for a command that works on the selected caches, or, if
/// it does not need any, also without a configuration and on all that are declared.
pub(super) fn find(args: &Args, env: &Env, needs_caches: bool) -> FoundSettings {
    let (common, selected) = (&args.common, args.command.selected());
    let place =
        if needs_caches { ConfigPlace::find(common, env) } else { ConfigPlace::find_or_bare(common, env) };
    let workspace = place.as_ref().map_or(&env.current_dir, |place| &place.workspace);
    let (platform, log) = platform_and_log(common, env, workspace);
    let settings = place.and_then(|place| {
        let mut settings = Settings::new(common, env, place, platform.facts())?;
        settings.check(selected)?;
        if needs_caches {
            settings.select(selected);
        }
        Ok(settings)
    });
    FoundSettings { platform, log, settings }
}

/// The platform of a job in this workspace, and its log.
pub(super) fn platform_and_log(
    common: &Common,
    env: &Env,
    workspace: &Path,
) -> (Arc<dyn Platform>, Arc<Log>) {
    let platform = platform::detect(env, workspace);
    let log = Log::new(Arc::clone(&platform), log_options(common, env, platform.facts()));
    (platform, Arc::new(log))
}

impl ConfigPlace {
    /// The same for a command that works without a configuration, too.
    fn find_or_bare(common: &Common, env: &Env) -> Result<Self, SettingsError> {
        match ConfigPlace::find(common, env) {
            Err(SettingsError::NoConfig(directory)) => {
                Ok(ConfigPlace { config: None, workspace: workspace(common, env).unwrap_or(directory) })
            }
            other => other,
        }
    }

    /// Finds the configuration: named, or in the working directory and the directories above it.
    fn find(common: &Common, env: &Env) -> Result<Self, SettingsError> {
        let absolute = |path: &Path| env.current_dir.join(path);
        let named =
            common.config.clone().or_else(|| env.path("CACHEKEEP_CONFIG")).map(|path| absolute(&path));
        let inline = !common.paths.is_empty() || common.key.is_some();
        let config = if inline {
            None
        } else {
            let found = || {
                let candidates =
                    env.current_dir.ancestors().map(|directory| directory.join(config::DISCOVERY));
                candidates.into_iter().find(|path| read::is_file(path))
            };
            Some(named.or_else(found).ok_or_else(|| SettingsError::NoConfig(env.current_dir.clone()))?)
        };
        let beside = config.as_deref().and_then(Path::parent).unwrap_or(&env.current_dir);
        Ok(ConfigPlace { workspace: workspace(common, env).unwrap_or_else(|| beside.to_owned()), config })
    }
}

/// The workspace that was named.
fn workspace(common: &Common, env: &Env) -> Option<PathBuf> {
    let named = common.workspace.clone().or_else(|| env.path("CACHEKEEP_WORKSPACE"))?;
    Some(env.current_dir.join(named))
}

impl Settings {
    /// Reads what was found and puts it together with what was typed.
    fn new(common: &Common, env: &Env, place: ConfigPlace, facts: &JobFacts) -> Result<Self, SettingsError> {
        let config::Loaded { mut spec, warnings } = load(common, env, &place, &facts.os)?;
        if let Some((origin, location)) = given(common.store.as_deref(), "store", env, "CACHEKEEP_STORE") {
            spec.store = config::store_location(location).map_err(|problem| value_error(&origin, problem))?;
        }
        layers(&mut spec, env)?;
        let role = role(common, env)?;
        if let Some(role) = role {
            spec.caches.iter_mut().for_each(|cache| cache.role = role);
        }
        if let Some(how) = verify_save(common, env)? {
            spec.caches.iter_mut().for_each(|cache| cache.verify_save = Some(how));
        }
        let grants = Grants {
            trust: facts.trust.clone(),
            says_writer: role == Some(Role::Writer),
            allow_export: allowed_exports(common, env)?,
        };
        check_refs(common, env)?;
        let git_ref = given(common.git_ref.as_deref(), "ref", env, "CACHEKEEP_REF")
            .map(|(_, name)| name.to_owned())
            .or_else(|| facts.git_ref.clone());
        let temp = common.temp.clone().or_else(|| env.path("CACHEKEEP_TEMP"));
        Ok(Settings {
            spec,
            warnings,
            temp: temp.map_or_else(|| facts.temp.clone(), |path| env.current_dir.join(path)),
            workspace: place.workspace,
            variables: variables(common, env)?,
            access: access(common, env, facts, git_ref.clone()),
            git_ref,
            grants,
            timeout: timeout(common, env)?,
            workers: workers(common, env)?,
        })
    }

    /// Checks that every cache that was named is declared.
    fn check(&self, names: &[String]) -> Result<(), SettingsError> {
        let Some(unknown) = names.iter().find(|name| self.spec.cache(name).is_none()) else { return Ok(()) };
        let known = self.spec.caches.iter().map(|cache| cache.name.clone()).collect();
        Err(SettingsError::UnknownCache { name: unknown.clone(), known })
    }

    /// Keeps only the caches that were named; none named means all.
    fn select(&mut self, names: &[String]) {
        if !names.is_empty() {
            self.spec.caches.retain(|cache| names.contains(&cache.name));
        }
    }

    /// Whether entries live in a directory that does not outlive this job, for lack of a better place.
    pub(super) fn store_is_volatile(&self, facts: &JobFacts) -> bool {
        self.spec.store == StoreLocation::Auto && facts.is_ci && facts.store_dir.starts_with(&facts.temp)
    }
}

/// The fallback, the front and the quota that the environment names: what a machine keeps is its own affair.
fn layers(spec: &mut Spec, env: &Env) -> Result<(), SettingsError> {
    let location = |name: &str| {
        let parsed = |text| config::store_location(text).map_err(|problem| value_error(name, problem));
        env.var(name).map(parsed).transpose()
    };
    if let Some(fallback) = location("CACHEKEEP_FALLBACK")? {
        spec.fallback = Some(fallback);
    }
    match location("CACHEKEEP_FRONT")? {
        Some(StoreLocation::Directory(path)) => spec.front = Some(path),
        Some(_) => {
            let problem = "is not `file:///` and an absolute path".to_owned();
            return Err(value_error("CACHEKEEP_FRONT", problem));
        }
        None => {}
    }
    if let Some(text) = env.var("CACHEKEEP_QUOTA") {
        let quota =
            text.parse().map_err(|problem: UnitError| value_error("CACHEKEEP_QUOTA", problem.to_string()))?;
        spec.quota = Some(quota);
    }
    Ok(())
}

/// The file, or the cache that the command line declares.
fn load(common: &Common, env: &Env, place: &ConfigPlace, os: &str) -> Result<config::Loaded, SettingsError> {
    if let Some(path) = &place.config {
        let shown = path.strip_prefix(&env.current_dir).unwrap_or(path);
        if read::is_directory(path).unwrap_or(false) {
            return Err(SettingsError::IsDirectory(shown.to_owned()));
        }
        return Ok(config::parse(&read::text(path, Links::Followed, MAX_CONFIG_BYTES)?, shown)?);
    }
    match &common.key {
        // Only commands that need no configuration come here without one.
        None if common.paths.is_empty() => Ok(config::parse("", Path::new(config::DISCOVERY))?),
        Some(key) if !common.paths.is_empty() => {
            let os = common.per_os.then_some(os);
            Ok(config::inline(&common.paths.join("\n"), key, &common.restore_keys.join("\n"), os)?)
        }
        _ => Err(SettingsError::HalfInline),
    }
}

fn role(common: &Common, env: &Env) -> Result<Option<Role>, SettingsError> {
    let from_flag = common.role.map(|role| match role {
        RoleArg::Writer => Role::Writer,
        RoleArg::Consumer => Role::Consumer,
    });
    match (from_flag, env.var("CACHEKEEP_ROLE")) {
        (Some(role), _) => Ok(Some(role)),
        (None, None) => Ok(None),
        (None, Some("writer")) => Ok(Some(Role::Writer)),
        (None, Some("consumer")) => Ok(Some(Role::Consumer)),
        (None, Some(other)) => {
            Err(value_error("CACHEKEEP_ROLE", format!("`{other}` is neither `writer` nor `consumer`")))
        }
    }
}

fn verify_save(common: &Common, env: &Env) -> Result<Option<VerifySave>, SettingsError> {
    let from_flag = common.verify_save.map(|how| match how {
        VerifySaveArg::Ends => VerifySave::Ends,
        VerifySaveArg::Full => VerifySave::Full,
        VerifySaveArg::None => VerifySave::None,
    });
    match (from_flag, env.var("CACHEKEEP_VERIFY_SAVE")) {
        (Some(how), _) => Ok(Some(how)),
        (None, None) => Ok(None),
        (None, Some("ends")) => Ok(Some(VerifySave::Ends)),
        (None, Some("full")) => Ok(Some(VerifySave::Full)),
        (None, Some("none")) => Ok(Some(VerifySave::None)),
        (None, Some(other)) => {
            let problem = format!("`{other}` is not `ends`, `full` or `none`");
            Err(value_error("CACHEKEEP_VERIFY_SAVE", problem))
        }
    }
}

/// The names in `--allow-export`, or else in `CACHEKEEP_ALLOW_EXPORT`, separated by space; in upper case.
fn allowed_exports(common: &Common, env: &Env) -> Result<BTreeSet<String>, SettingsError> {
    let (origin, texts) = if common.allow_export.is_empty() {
        ("CACHEKEEP_ALLOW_EXPORT", vec![env.var("CACHEKEEP_ALLOW_EXPORT").unwrap_or_default()])
    } else {
        ("--allow-export", common.allow_export.iter().map(String::as_str).collect())
    };
    let is_name = |name: &str| {
        !name.starts_with(|c: char| c.is_ascii_digit())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    let mut names = BTreeSet::new();
    for name in texts.iter().flat_map(|text| text.split_whitespace()) {
        if !is_name(name) {
            let problem = "is not the name of a variable; separate names by spaces";
            return Err(value_error(origin, format!("`{}` {problem}", name.escape_debug())));
        }
        names.insert(name.to_ascii_uppercase());
    }
    Ok(names)
}

/// `NAME=VALUE` from `CACHEKEEP_VARS` (one a line or separated by space), overridden by `--var`.
fn variables(common: &Common, env: &Env) -> Result<BTreeMap<String, String>, SettingsError> {
    let in_env = inputs::pairs(env.var("CACHEKEEP_VARS").unwrap_or_default());
    let from_env = in_env.iter().map(|v| ("CACHEKEEP_VARS", v.as_str()));
    let from_flags = common.vars.iter().map(|v| ("--var", v.as_str()));
    let mut variables = BTreeMap::new();
    for (origin, text) in from_env.chain(from_flags) {
        let problem = || value_error(origin, format!("`{}` is not NAME=VALUE", text.escape_debug()));
        let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(problem)?;
        variables.insert(name.to_owned(), value.to_owned());
    }
    Ok(variables)
}

/// Refs that a user names must be names that git allows. Those of the platform may be missing as well.
fn check_refs(common: &Common, env: &Env) -> Result<(), SettingsError> {
    for (flag, name, variable) in [
        (&common.git_ref, "ref", "CACHEKEEP_REF"),
        (&common.base_ref, "base-ref", "CACHEKEEP_BASE_REF"),
        (&common.default_ref, "default-ref", "CACHEKEEP_DEFAULT_REF"),
    ] {
        if let Some((origin, text)) = given(flag.as_deref(), name, env, variable)
            && !text.trim().is_empty()
            && Scope::new(text).is_none()
        {
            let problem = format!("`{text}` is not a branch or ref name that git allows");
            return Err(value_error(&origin, problem));
        }
    }
    Ok(())
}

fn access(common: &Common, env: &Env, facts: &JobFacts, git_ref: Option<String>) -> Access {
    let pick = |flag: &Option<String>, name: &str, variable: &str, fact: &Option<String>| {
        given(flag.as_deref(), name, env, variable)
            .map(|(_, value)| value.to_owned())
            .or_else(|| fact.clone())
    };
    let facts = JobFacts {
        git_ref,
        base_ref: pick(&common.base_ref, "base-ref", "CACHEKEEP_BASE_REF", &facts.base_ref),
        default_ref: pick(&common.default_ref, "default-ref", "CACHEKEEP_DEFAULT_REF", &facts.default_ref),
        ..facts.clone()
    };
    facts.access()
}

fn timeout(common: &Common, env: &Env) -> Result<Duration, SettingsError> {
    match (common.timeout, env.var("CACHEKEEP_TIMEOUT")) {
        (Some(span), _) => Ok(span.0),
        (None, Some(text)) => {
            text.parse::<Span>().map(|span| span.0).map_err(|error| value_error("CACHEKEEP_TIMEOUT", error))
        }
        (None, None) => Ok(DEFAULT_TIMEOUT),
    }
}

fn workers(common: &Common, env: &Env) -> Result<usize, SettingsError> {
    let cores = || std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    match (common.workers, env.var("CACHEKEEP_WORKERS")) {
        (Some(count), _) => Ok(count.into()),
        (None, Some(text)) => match text.parse() {
            Ok(count @ 1..=256) => Ok(count),
            _ => Err(value_error("CACHEKEEP_WORKERS", format!("`{text}` is not a number from 1 to 256"))),
        },
        (None, None) => Ok(cores()),
    }
}

/// How the log looks: the platform, the terminal, `NO_COLOR` and the flags decide.
fn log_options(common: &Common, env: &Env, facts: &JobFacts) -> LogOptions {
    let verbosity =
        match (common.quiet, common.verbose || env.flag("RUNNER_DEBUG") || env.flag("SYSTEM_DEBUG")) {
            (true, _) => Verbosity::Quiet,
            (false, true) => Verbosity::Verbose,
            (false, false) => Verbosity::Normal,
        };
    let is_terminal = env.is_terminal && !facts.is_ci && env.var("TERM") != Some("dumb");
    LogOptions {
        verbosity,
        bars: is_terminal,
        color: match common.color {
            ColorArg::Always => true,
            ColorArg::Never => false,
            ColorArg::Auto => is_terminal && env.var("NO_COLOR").is_none(),
        },
    }
}
