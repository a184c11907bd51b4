//! What was typed.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand, ValueEnum};

use crate::command::restore::{LookedFor, RestoreOptions};
use crate::command::script::CommandLine;
use crate::domain::unit::{ByteSize, Span};

/// Keeps CI caches: restores, seeds, gates and saves them.
#[derive(Debug, Parser)]
#[command(name = "cachekeep", bin_name = "cachekeep", version, max_term_width = 100, after_help = AFTER_HELP)]
pub struct Args {
    /// Options of every command.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const AFTER_HELP: &str = "\
The caches are declared in `cachekeep.toml`, looked for in this directory and its parents. Without a \
file, --path and --key declare one cache.

Exit codes: 0 done, or a cache failed without --required; 1 failed and --required; 2 bad usage or \
configuration; 3 the gate found something missing; 4 nothing restored and --fail-on-miss; 5 a permission is missing; 128+N ended by \
signal N. `run` returns what its command returns.";

const RUN_HELP: &str = "\
Example: cachekeep run ccache externaldata -- cmake --build build; as the shell of a step of GitHub Actions: \
cachekeep run ccache --shell pwsh {0}";

const EXPLAIN_HELP: &str = "\
Example: cachekeep explain ccache; cachekeep explain --key npm-linux-0123 --restore-key npm-linux-

Exits with 0 when it could explain, whatever the verdict; 1 when the store cannot be read for now; 5 when a permission \
is missing.";

/// Options of every command.
#[derive(Debug, Clone, Default, ClapArgs)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct Common {
    /// The configuration [default: cachekeep.toml in this directory or a parent].
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "paths")]
    pub config: Option<PathBuf>,
    /// Where entries live: `auto`, `github`, `file:///srv/ci-cache`, `az://ACCOUNT/CONTAINER/PREFIX`, `s3://BUCKET/PREFIX` or
    /// `gs://BUCKET/PREFIX`.
    #[arg(long, global = true, value_name = "LOCATION")]
    pub store: Option<String>,
    /// The checkout that globs and `{workspace}` mean [default: the configuration's directory].
    #[arg(long, global = true, value_name = "DIR")]
    pub workspace: Option<PathBuf>,
    /// What `{temp}` means [default: the platform's directory for temporary files].
    #[arg(long, global = true, value_name = "DIR")]
    pub temp: Option<PathBuf>,
    /// A value for `{var.NAME}`; may be given several times.
    #[arg(long = "var", global = true, value_name = "NAME=VALUE")]
    pub vars: Vec<String>,
    /// Whether this job saves: overrides the role of every cache. In a privileged event only `--role writer` saves.
    #[arg(long, global = true, value_name = "ROLE")]
    pub role: Option<RoleArg>,
    /// How new entries are read back [default: `ends` where the store compares all that arrives with a checksum, else
    /// `full`].
    #[arg(long, global = true, value_name = "HOW")]
    pub verify_save: Option<VerifySaveArg>,
    /// Variables that caches may export although they are dangerous, or although the event is privileged; separated by
    /// spaces.
    #[arg(long, global = true, value_name = "NAMES")]
    pub allow_export: Vec<String>,
    /// The git ref of this job [default: what the platform or git says].
    #[arg(long = "ref", global = true, value_name = "REF", help_heading = "Scope")]
    pub git_ref: Option<String>,
    /// The branch a pull request is to be merged into; its entries are read too.
    #[arg(long, global = true, value_name = "REF", help_heading = "Scope")]
    pub base_ref: Option<String>,
    /// The default branch; its entries are read by everyone.
    #[arg(long, global = true, value_name = "REF", help_heading = "Scope")]
    pub default_ref: Option<String>,
    /// Without a configuration: a path or glob of the cache, `!` excludes; may be given several times.
    #[arg(
        long = "path",
        global = true,
        value_name = "PATH",
        help_heading = "One cache without a configuration"
    )]
    pub paths: Vec<String>,
    /// Without a configuration: the key.
    #[arg(long, global = true, value_name = "KEY", help_heading = "One cache without a configuration")]
    pub key: Option<String>,
    /// Without a configuration: a prefix to fall back to; may be given several times.
    #[arg(
        long = "restore-key",
        global = true,
        value_name = "PREFIX",
        help_heading = "One cache without a configuration"
    )]
    pub restore_keys: Vec<String>,
    /// Without a configuration: keep the entries of each OS apart, as actions/cache does unless told otherwise.
    #[arg(long, global = true, help_heading = "One cache without a configuration")]
    pub per_os: bool,
    /// Give up on a cache after this long: 90s, 20m [default: 1h].
    #[arg(long, global = true, value_name = "SPAN", help_heading = "Limits")]
    pub timeout: Option<Span>,
    /// Threads that pack, unpack and verify [default: one for each core].
    #[arg(long, global = true, value_name = "N", help_heading = "Limits", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: Option<u16>,
    /// Put the outcome on standard output as one JSON document.
    #[arg(long, global = true, help_heading = "Output")]
    pub json: bool,
    /// Only warnings and errors.
    #[arg(long, short, global = true, conflicts_with = "verbose", help_heading = "Output")]
    pub quiet: bool,
    /// Say how things are done, too.
    #[arg(long, short, global = true, help_heading = "Output")]
    pub verbose: bool,
    /// Whether to color: `NO_COLOR` is honored.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", help_heading = "Output")]
    pub color: ColorArg,
}

/// Who saves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RoleArg {
    /// Restores and saves.
    Writer,
    /// Only restores.
    Consumer,
}

/// How new entries are read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum VerifySaveArg {
    /// Size, first and last bytes.
    Ends,
    /// All of it.
    Full,
    /// Not at all.
    None,
}

/// When to color.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ColorArg {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The caches to work on.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct Selected {
    /// Caches by name [default: all].
    #[arg(value_name = "CACHE")]
    pub caches: Vec<String>,
}

/// The steps of the GitHub action, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ActionStep {
    /// Does all of it, or says what actions/cache is to look for.
    Start,
    /// Shows actions/cache what it is to save.
    Stage,
    /// Makes caches of what actions/cache restored, or says what it saved.
    Finish,
}

/// The stages of the task for Azure Pipelines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TaskStage {
    /// Restores, when the step of the task runs.
    Main,
    /// Saves, after the last step of the job.
    Post,
}

/// GitHub's own limit.
const DELETIONS_PER_MINUTE: u32 = 180;

/// The store to look after.
#[derive(Debug, Clone, ClapArgs)]
pub struct StoreTarget {
    /// The repository whose caches GitHub keeps [default on GitHub Actions: the job's, unless `--store` is given].
    #[arg(long, value_name = "OWNER/NAME")]
    pub repository: Option<String>,
    /// Look at the entries of every repository that uses the store [default: this repository's].
    #[arg(long, conflicts_with = "repository")]
    pub all_repositories: bool,
    /// How many deletions a minute GitHub is asked for; its own limit is 180.
    #[arg(long, value_name = "N", default_value_t = DELETIONS_PER_MINUTE, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub deletions_per_minute: u32,
}

impl Default for StoreTarget {
    fn default() -> Self {
        StoreTarget { repository: None, all_repositories: false, deletions_per_minute: DELETIONS_PER_MINUTE }
    }
}

/// Which entries; `--key` and `--ref` choose as well. All that is given must hold.
#[derive(Debug, Clone, Default, ClapArgs)]
#[command(next_help_heading = "Entries (also --key KEY and --ref REF)")]
pub struct FilterArgs {
    /// With this id, as `ls --json` prints it; may be given several times.
    #[arg(long = "id", value_name = "ID")]
    pub ids: Vec<String>,
    /// With a key that starts with this.
    #[arg(long, value_name = "PREFIX")]
    pub prefix: Option<String>,
    /// Saved at least this long ago: 12h, 30d.
    #[arg(long, value_name = "SPAN")]
    pub older_than: Option<Span>,
    /// Neither saved nor restored for this long.
    #[arg(long, value_name = "SPAN")]
    pub unused_for: Option<Span>,
    /// Of at least this size: 500MB, 2GiB.
    #[arg(long, value_name = "SIZE")]
    pub larger_than: Option<ByteSize>,
    /// Of at most this size.
    #[arg(long, value_name = "SIZE")]
    pub smaller_than: Option<ByteSize>,
}

/// What a list of entries is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum SortBy {
    /// The next to be evicted first: least recently used.
    #[default]
    Used,
    /// Oldest first.
    Saved,
    /// Largest first.
    Size,
    /// By key.
    Key,
    /// By ref.
    Ref,
}

/// How `env` writes variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum EnvFormat {
    /// `export NAME='value'`, for POSIX shells.
    Sh,
    /// `$env:NAME = 'value'`, for PowerShell.
    #[value(name = "powershell")]
    PowerShell,
    /// `NAME=value`, one variable a line.
    Dotenv,
    /// One object of names and values.
    Json,
}

/// How `check` writes what it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum CheckFormat {
    /// For people.
    Text,
    /// Annotations of a job of GitHub Actions, shown beside the lines.
    Github,
    /// One object; `--json` is short for it.
    Json,
    /// SARIF 2.1.0, for code scanning and editors.
    Sarif,
}

/// What is typed after `clean`.
#[derive(Debug, ClapArgs)]
pub struct CleanArgs {
    /// The store.
    #[command(flatten)]
    pub target: StoreTarget,
    /// Only entries of this pull request, which was closed just now: without grace.
    #[arg(long, value_name = "N")]
    pub pull_request: Option<u64>,
    /// Only say what would be deleted, and why.
    #[arg(long)]
    pub dry_run: bool,
    /// Save the plan.
    #[arg(long, value_name = "FILE")]
    pub plan_out: Option<PathBuf>,
    /// Carry out a plan that was saved earlier; refused when something in it has changed.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["pull_request", "dry_run", "plan_out"])]
    pub apply: Option<PathBuf>,
}

/// What is typed after `delete`.
#[derive(Debug, ClapArgs)]
pub struct DeleteArgs {
    /// The store.
    #[command(flatten)]
    pub target: StoreTarget,
    /// Which entries.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Delete entries that `[clean] protect` keeps, too.
    #[arg(long)]
    pub with_protected: bool,
    /// Only say what would be deleted, and why.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask.
    #[arg(long, short)]
    pub yes: bool,
}

/// How `status` is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum StatusFormat {
    /// For people.
    Text,
    /// One JSON document.
    Json,
    /// Metrics as Prometheus reads them.
    #[value(name = "openmetrics")]
    OpenMetrics,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Restore, seed and gate; run a command; gate, trim and save. Returns what the command returns.
    #[command(after_help = RUN_HELP)]
    Run {
        /// The caches.
        #[command(flatten)]
        selected: Selected,
        /// Restore only entries of the very keys: neither restore keys nor longer keys count.
        #[arg(long)]
        exact: bool,
        /// Run a script with the flags and the file name that GitHub's runner gives `bash`, `sh`, `pwsh`, `powershell`, `cmd` or
        /// `python`.
        #[arg(long, num_args = 2, action = ArgAction::Set, value_names = ["SHELL", "SCRIPT"], conflicts_with = "command")]
        shell: Vec<OsString>,
        /// The command and its arguments.
        #[arg(last = true, required_unless_present = "shell", value_name = "CMD")]
        command: Vec<OsString>,
    },
    /// Find an entry for each cache and restore it.
    Restore {
        /// The caches.
        #[command(flatten)]
        selected: Selected,
        /// Only say which entry would be restored.
        #[arg(long)]
        lookup_only: bool,
        /// Only entries of the very keys count: neither restore keys nor longer keys.
        #[arg(long)]
        exact: bool,
        /// Where nothing else is found, restore entries of a store of our own that were saved before stores kept
        /// repositories apart. Which repository saved them is not known.
        #[arg(long)]
        adopt: bool,
        /// Exit with 4 when a cache has no exact or partial hit.
        #[arg(long)]
        fail_on_miss: bool,
        /// Exit with 1 when a lookup or a restore fails.
        #[arg(long)]
        required: bool,
    },
    /// Fill caches that lack objects from their seed archive and mirrors.
    Seed {
        /// The caches.
        #[command(flatten)]
        selected: Selected,
        /// Exit with 1 when a cache could not be seeded, or mirrors do not have all that links want.
        #[arg(long)]
        required: bool,
    },
    /// Fetch objects that links want and caches lack from their mirrors, each verified.
    Fetch {
        /// The caches.
        #[command(flatten)]
        selected: Selected,
        /// Exit with 1 when a cache still lacks objects that links want.
        #[arg(long)]
        required: bool,
    },
    /// Check that every object that content links want is present and verified. Exits with 3 if not.
    Gate {
        /// The caches.
        #[command(flatten)]
        selected: Selected,
    },
    /// Save each cache under its key, unless that is refused or needless.
    Save {
        /// The caches.
        #[command(flatten)]
        selected: Selected,
        /// Exit with 1 when the store does not hold the cache afterwards.
        #[arg(long)]
        required: bool,
        /// Save under the key of the tree as it is now, not under the one that this job's restore computed.
        #[arg(long)]
        recompute_key: bool,
    },
    /// Make local caches smaller by their `trim` policy, least recently used files first.
    Trim {
        /// The caches.
        #[command(flatten)]
        selected: Selected,
        /// Only say what would be removed.
        #[arg(long)]
        dry_run: bool,
    },
    /// Say how full the store, the local caches and their volumes are, what would be deleted next, and when the quota is reached.
    Status {
        /// The caches.
        #[command(flatten)]
        selected: Selected,
        /// How it is printed; `--json` is short for `json`.
        #[arg(long, value_enum, default_value_t = StatusFormat::Text)]
        format: StatusFormat,
        /// Write metrics in the format of `openmetrics` to a file, in one step, for the textfile collector of a node exporter.
        #[arg(long, value_name = "FILE")]
        textfile: Option<PathBuf>,
        /// Write a page for browsers to a file.
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
    },
    /// Say how full the volumes of the job are, what saves need there, and what `[disk] free` may remove for it.
    Disk {
        /// The caches.
        #[command(flatten)]
        selected: Selected,
        /// Remove what `[disk] free` lists, as far as saves need it.
        #[arg(long)]
        free: bool,
        /// Only say what `--free` would remove.
        #[arg(long, requires = "free")]
        dry_run: bool,
    },
    /// Run a command while a directory is leased, so that no trim removes anything in it. Returns what the command returns.
    #[command(after_help = "Example: cachekeep hold out/run-17 -- make -C out/run-17")]
    Hold {
        /// The directory: a unit of a cache, or one above or in it.
        #[arg(value_name = "DIR")]
        directory: PathBuf,
        /// The command and its arguments.
        #[arg(last = true, required = true, value_name = "CMD")]
        command: Vec<OsString>,
    },
    /// Print the keys and what went into them.
    #[command(
        after_help = "Example: cachekeep key --json > before.json; …; cachekeep key --diff before.json"
    )]
    Key {
        /// The caches.
        #[command(flatten)]
        selected: Selected,
        /// Say what differs from keys that `cachekeep key --json` printed earlier or elsewhere.
        #[arg(long, value_name = "FILE")]
        diff: Option<PathBuf>,
    },
    /// Print the variables that caches export.
    #[command(after_help = "Example: eval \"$(cachekeep env)\"")]
    Env {
        /// The caches.
        #[command(flatten)]
        selected: Selected,
        /// How they are written; `--json` is short for `json`.
        #[arg(long, value_enum, default_value_t = EnvFormat::Sh)]
        format: EnvFormat,
    },
    /// Check the configuration, and the GitHub workflows and Azure pipelines that use it, before they run. Exits with 1 when
    /// something in them cannot work.
    #[command(after_help = "Example: cachekeep check .github/workflows/ci.yml")]
    Check {
        /// Workflows and pipelines [default: YAML at the top of the checkout and in `.github/workflows`, `.azure-pipelines`,
        /// `.azure`, `.azuredevops`, `.pipelines`, `azure-pipelines` and `pipelines`].
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
        /// How findings are written.
        #[arg(long, value_enum, default_value_t = CheckFormat::Text)]
        format: CheckFormat,
    },
    /// Find the caches that workflows and pipelines keep with other programs, and propose files that move them, as a diff.
    #[command(
        after_help = "Example: cachekeep init | less; cachekeep init --write\n\nStandard error has what will be different, and what is \
        left alone and why."
    )]
    Init {
        /// Write the files: all of them, or none.
        #[arg(long)]
        write: bool,
        /// Where no cache is found, propose a `cachekeep.toml` with a cache for each tool whose lock file is at the top of the
        /// checkout.
        #[arg(long)]
        starter: bool,
    },
    /// Say what is reachable from here and what to do about it. Exits with 1 when something configured cannot work.
    Doctor {
        /// Ask the cache service, too.
        #[arg(long)]
        online: bool,
    },
    /// A step of the GitHub action: reads its inputs from the environment (docs/github-actions.md).
    #[command(hide = true)]
    Action {
        /// Which step.
        step: ActionStep,
    },
    /// A stage of the task for Azure Pipelines: reads its inputs from the environment (docs/azure-task.md).
    #[command(hide = true)]
    Task {
        /// Which stage.
        stage: TaskStage,
    },
    /// Delete entries of the store that the policy of `[clean]` does not keep; on GitHub those of a repository. With `--ref`,
    /// only entries of one ref.
    #[command(
        after_help = "Example: cachekeep clean --dry-run --plan-out plan.json; cachekeep clean --apply plan.json"
    )]
    Clean(CleanArgs),
    /// Delete entries that are named, whatever `[clean]` keeps; not those that are being read or protected. Asks on a terminal.
    #[command(
        after_help = "Example: cachekeep delete --ref refs/pull/7/merge; cachekeep delete --prefix ccache-v3- --dry-run"
    )]
    Delete(DeleteArgs),
    /// List the entries of the store, the next to be evicted first.
    #[command(after_help = "Example: cachekeep ls --prefix ccache- --ref main --sort size --limit 10")]
    Ls {
        /// List the files of this entry instead: its key, or its id as `--json` prints it.
        #[arg(value_name = "ENTRY")]
        entry: Option<String>,
        /// The store.
        #[command(flatten)]
        target: StoreTarget,
        /// Which entries.
        #[command(flatten)]
        filter: FilterArgs,
        /// What they are sorted by.
        #[arg(long, value_enum, value_name = "BY", default_value_t = SortBy::Used)]
        sort: SortBy,
        /// Sort the other way round.
        #[arg(long)]
        reverse: bool,
        /// List only the first N.
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Say where the bytes of the store went: by key pattern, ref, last use and reach. With `--ref`, those of one ref.
    Usage {
        /// The store.
        #[command(flatten)]
        target: StoreTarget,
        /// Write a page for the browser, too: pictures, tables, and what `clean` would delete.
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
    },
    /// Say why a cache misses, or hits: the nearest entries and the one field that differs.
    #[command(after_help = EXPLAIN_HELP)]
    Explain {
        /// The caches.
        #[command(flatten)]
        selected: Selected,
        /// The store.
        #[command(flatten)]
        target: StoreTarget,
        /// With `--key`: the version to look for [default: that of CACHE, or any].
        #[arg(long = "version", value_name = "VERSION")]
        layout: Option<String>,
        /// Compare the files here with those of the entry that a restore would take, by their contents.
        #[arg(long)]
        files: bool,
        /// Compare with keys that `cachekeep key --json` printed in the job that saved.
        #[arg(long, value_name = "FILE")]
        diff: Option<PathBuf>,
    },
    /// Complete or remove what killed processes left beside the targets of caches and in the store, as every command does before
    /// its work, and say what was found. Exits with 1 when something could not be recovered.
    Recover {
        /// The caches.
        #[command(flatten)]
        selected: Selected,
        /// Only say what would be done.
        #[arg(long)]
        dry_run: bool,
    },
    /// Have equal files in directories share their bytes, and say what that saved. No program should write there meanwhile; a file
    /// that changes is left alone.
    #[command(
        after_help = "Example: cachekeep dedup out/run-*; cachekeep dedup --hard-links /srv/read-only-trees"
    )]
    Dedup {
        /// The directories. Files are shared within them and among them, never through links.
        #[arg(value_name = "DIR", required = true)]
        directories: Vec<PathBuf>,
        /// Make equal files names of one file, where the volume has no reflinks. Only where nothing writes into files in place: a
        /// write to one would change all.
        #[arg(long)]
        hard_links: bool,
        /// Leave out files that are smaller.
        #[arg(long, value_name = "SIZE", default_value = "4KiB")]
        min_size: ByteSize,
        /// Only say what could be shared.
        #[arg(long)]
        dry_run: bool,
    },
    /// Print the JSON schema of the configuration.
    Schema,
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the names of the declared caches, one a line, for completions.
    #[command(hide = true)]
    Complete,
    /// Print the manual page, for `man`.
    Man,
}

/// The key that `explain` is asked about.
#[derive(Debug)]
pub struct TypedKey {
    /// The key.
    pub key: String,
    /// Prefixes to fall back to.
    pub restore_keys: Vec<String>,
}

/// A key and a ref that choose entries of a store.
#[derive(Debug, Default)]
pub struct TypedNames {
    /// The key.
    pub key: Option<String>,
    /// The ref.
    pub git_ref: Option<String>,
}

impl Args {
    /// Takes `--key` and `--ref` out of the options where they choose entries, and do not describe the job.
    pub fn take_names(&mut self) -> TypedNames {
        let by_key = matches!(self.command, Command::Delete(_) | Command::Ls { .. });
        let by_ref = by_key || matches!(self.command, Command::Clean(_) | Command::Usage { .. });
        TypedNames {
            key: self.common.key.take_if(|_| by_key && self.common.paths.is_empty()),
            git_ref: self.common.git_ref.take_if(|_| by_ref),
        }
    }

    /// Takes the key that `explain` is asked about out of the options, where it would declare a cache without paths.
    pub fn take_key(&mut self) -> Option<TypedKey> {
        if !matches!(self.command, Command::Explain { .. }) || !self.common.paths.is_empty() {
            return None;
        }
        let key = self.common.key.take()?;
        Some(TypedKey { key, restore_keys: std::mem::take(&mut self.common.restore_keys) })
    }
}

impl Command {
    /// How a restore is done.
    pub(super) fn restore_options(&self) -> RestoreOptions {
        match self {
            Command::Restore { lookup_only, exact, adopt, .. } => RestoreOptions {
                lookup_only: *lookup_only,
                looked_for: LookedFor::of_flag(*exact),
                adopt: *adopt,
            },
            Command::Run { exact, .. } => {
                RestoreOptions { looked_for: LookedFor::of_flag(*exact), ..RestoreOptions::default() }
            }
            _ => RestoreOptions::default(),
        }
    }

    /// Whether it looks at the entries of every repository.
    pub fn all_repositories(&self) -> bool {
        match self {
            Command::Clean(CleanArgs { target, .. })
            | Command::Delete(DeleteArgs { target, .. })
            | Command::Ls { target, .. }
            | Command::Usage { target, .. }
            | Command::Explain { target, .. } => target.all_repositories,
            _ => false,
        }
    }

    /// The command that `run` is to run.
    pub(crate) fn child(&self) -> Option<CommandLine> {
        match self {
            Command::Run { shell, command, .. } => Some(match shell.as_slice() {
                [shell, script] => CommandLine::Script {
                    shell: shell.to_string_lossy().into_owned(),
                    path: PathBuf::from(script),
                },
                _ => CommandLine::Words(command.clone()),
            }),
            _ => None,
        }
    }

    /// The caches that were named; none means all.
    pub fn selected(&self) -> &[String] {
        match self {
            Command::Run { selected, .. }
            | Command::Restore { selected, .. }
            | Command::Seed { selected, .. }
            | Command::Fetch { selected, .. }
            | Command::Gate { selected }
            | Command::Save { selected, .. }
            | Command::Trim { selected, .. }
            | Command::Disk { selected, .. }
            | Command::Status { selected, .. }
            | Command::Key { selected, .. }
            | Command::Env { selected, .. }
            | Command::Recover { selected, .. }
            | Command::Explain { selected, .. } => &selected.caches,
            Command::Clean(_)
            | Command::Delete(_)
            | Command::Ls { .. }
            | Command::Usage { .. }
            | Command::Doctor { .. }
            | Command::Check { .. }
            | Command::Init { .. }
            | Command::Dedup { .. }
            | Command::Hold { .. }
            | Command::Action { .. }
            | Command::Task { .. }
            | Command::Schema
            | Command::Completions { .. }
            | Command::Complete
            | Command::Man => &[],
        }
    }

    /// The command's name.
    pub fn name(&self) -> &'static str {
        match self {
            Command::Run { .. } => "run",
            Command::Restore { .. } => "restore",
            Command::Seed { .. } => "seed",
            Command::Fetch { .. } => "fetch",
            Command::Gate { .. } => "gate",
            Command::Save { .. } => "save",
            Command::Trim { .. } => "trim",
            Command::Disk { .. } => "disk",
            Command::Status { .. } => "status",
            Command::Hold { .. } => "hold",
            Command::Key { .. } => "key",
            Command::Env { .. } => "env",
            Command::Check { .. } => "check",
            Command::Init { .. } => "init",
            Command::Doctor { .. } => "doctor",
            Command::Action { .. } => "action",
            Command::Task { .. } => "task",
            Command::Clean(_) => "clean",
            Command::Delete(_) => "delete",
            Command::Ls { .. } => "ls",
            Command::Usage { .. } => "usage",
            Command::Explain { .. } => "explain",
            Command::Recover { .. } => "recover",
            Command::Dedup { .. } => "dedup",
            Command::Schema => "schema",
            Command::Completions { .. } => "completions",
            Command::Complete => "complete",
            Command::Man => "man",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_words_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn what_follows_the_dashes_is_the_command() {
        let args =
            Args::try_parse_from(["cachekeep", "run", "a", "b", "--json", "--", "make", "--json", "-j2"]);
        let args = args.expect("it parses");
        assert!(args.common.json);
        assert_eq!(args.command.selected(), ["a", "b"]);
        let Command::Run { command, .. } = args.command else { panic!("not run") };
        assert_eq!(command, ["make", "--json", "-j2"]);
    }
}
