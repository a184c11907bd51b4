//! The inputs of the GitHub action: each becomes an argument of a command.
//!
//! `action.yml` hands every input over as a variable of the environment, `CACHEKEEP_INPUT_<NAME>`. No shell ever
//! sees a value: this file turns them into arguments, and what they mean is decided where all arguments are.
//! [`INPUTS`] is what `action.yml` and `docs/github-actions.md` are checked against.

use std::ffi::OsString;

use clap::Parser;
use clap::error::{ContextKind, ContextValue};

use super::args::Args;
pub use crate::command::check::rules::RULES;
pub use crate::command::wrapped::NESTED;
use crate::domain::fault::Fault;
use crate::platform::Env;

/// An input of the action.
pub struct ActionInput {
    /// Its name.
    pub name: &'static str,
    /// What it is when it is not given.
    pub default: &'static str,
    /// What it means.
    pub help: &'static str,
    /// How it becomes arguments.
    pub to: Argument,
}

/// How a value is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument {
    /// The command.
    Command,
    /// Its caches, separated by space or lines.
    Caches,
    /// An option with this value.
    Option(&'static str),
    /// The same for the commands that are named; with others the input is an error.
    OptionOf(&'static str, &'static [&'static str]),
    /// An option, given if the value is `true`, to the commands that are named.
    Flag(&'static str, &'static [&'static str]),
    /// The same option for each `NAME=VALUE`.
    Pairs(&'static str),
    /// Read by the action itself.
    Action,
}

/// Every input, in the order of the reference.
pub const INPUTS: &[ActionInput] = &[
    ActionInput {
        name: "mode",
        default: "restore",
        help: "`restore` (and seed what is missing), `seed`, `fetch`, `gate`, `trim`, `save`; `clean`, `delete`, `usage`, `disk`, \
               `doctor`, which `cachekeep` has as commands, too; or `install`: puts cachekeep on the \
               PATH and remembers `vars`, `role`, `allow-export`, `config`, `store` and `timeout` for the job; where only \
               actions/cache has a token, it also restores the caches in `cache`.",
        to: Argument::Command,
    },
    ActionInput {
        name: "cache",
        default: "",
        help: "The caches by their names in `cachekeep.toml`, separated by spaces or lines. All of them if empty.",
        to: Argument::Caches,
    },
    ActionInput {
        name: "path",
        default: "",
        help: "Without a `cachekeep.toml`: the paths and globs of one cache, one a line, as for actions/cache.",
        to: Argument::Option("path"),
    },
    ActionInput {
        name: "key",
        default: "",
        help: "Without a `cachekeep.toml`: its key.",
        to: Argument::Option("key"),
    },
    ActionInput {
        name: "restore-keys",
        default: "",
        help: "Without a `cachekeep.toml`: prefixes of keys to fall back to, one a line.",
        to: Argument::Option("restore-key"),
    },
    ActionInput {
        name: "per-os",
        default: "false",
        help: "Without a `cachekeep.toml`: keep the entries of each OS apart, as actions/cache does without `enableCrossOsArchive`.",
        to: Argument::Flag("per-os", &["restore", "seed", "fetch", "gate", "trim", "save"]),
    },
    ActionInput {
        name: "fail-on-cache-miss",
        default: "false",
        help: "Fail the step if a cache has no exact or partial hit.",
        to: Argument::Flag("fail-on-miss", &["restore"]),
    },
    ActionInput {
        name: "lookup-only",
        default: "false",
        help: "Only say which entry would be restored.",
        to: Argument::Flag("lookup-only", &["restore"]),
    },
    ActionInput {
        name: "exact",
        default: "false",
        help: "Restore only entries of the very keys: neither restore keys nor longer keys count.",
        to: Argument::Flag("exact", &["restore"]),
    },
    ActionInput {
        name: "required",
        default: "false",
        help: "Fail the step if a cache cannot be restored, seeded or saved; otherwise that is a warning.",
        to: Argument::Flag("required", &["restore", "seed", "fetch", "save"]),
    },
    ActionInput {
        name: "seed",
        default: "true",
        help: "After a restore, fill a cache from its seed if objects are missing.",
        to: Argument::Action,
    },
    ActionInput {
        name: "vars",
        default: "",
        help: "Values for `{var.NAME}`: `NAME=VALUE`, separated by spaces or lines.",
        to: Argument::Pairs("var"),
    },
    ActionInput {
        name: "role",
        default: "",
        help: "`writer` or `consumer`: whether this job saves. What `cachekeep.toml` says if empty; in a privileged event \
               nothing is saved without `writer`.",
        to: Argument::Option("role"),
    },
    ActionInput {
        name: "allow-export",
        default: "",
        help: "Variables that caches may export although they are dangerous, or although the event is privileged, \
               separated by spaces.",
        to: Argument::Option("allow-export"),
    },
    ActionInput {
        name: "config",
        default: "",
        help: "The configuration, if it is not `cachekeep.toml` in the workspace; its paths and globs count from its directory.",
        to: Argument::Option("config"),
    },
    ActionInput {
        name: "store",
        default: "",
        help: "Where entries live: `auto`, `github`, `file:///srv/ci-cache`, or an object service: `az://ACCOUNT/CONTAINER/PREFIX`, \
               `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`. What `cachekeep.toml` says if empty.",
        to: Argument::Option("store"),
    },
    ActionInput {
        name: "dry-run",
        default: "false",
        help: "With `clean`, `delete`, `trim`, or `disk` and `free`: only say what would be deleted or removed, and why.",
        to: Argument::Flag("dry-run", &["clean", "delete", "trim", "disk"]),
    },
    ActionInput {
        name: "pull-request",
        default: "",
        help: "With `clean`: the number of a pull request that was closed just now; only its entries are deleted.",
        to: Argument::OptionOf("pull-request", &["clean"]),
    },
    ActionInput {
        name: "key-prefix",
        default: "",
        help: "With `delete`: the beginning of the keys of the entries; `key` names a whole one.",
        to: Argument::OptionOf("prefix", &["delete"]),
    },
    ActionInput {
        name: "ref",
        default: "",
        help: "With `clean`, `delete` or `usage`: only entries of this ref or branch.",
        to: Argument::OptionOf("ref", &["clean", "delete", "usage"]),
    },
    ActionInput {
        name: "older-than",
        default: "",
        help: "With `delete`: entries that were saved at least so long ago: `30d`.",
        to: Argument::OptionOf("older-than", &["delete"]),
    },
    ActionInput {
        name: "unused-for",
        default: "",
        help: "With `delete`: entries that were neither saved nor restored for so long.",
        to: Argument::OptionOf("unused-for", &["delete"]),
    },
    ActionInput {
        name: "with-protected",
        default: "false",
        help: "With `delete`: delete what `protect` in `[clean]` keeps, too.",
        to: Argument::Flag("with-protected", &["delete"]),
    },
    ActionInput {
        name: "free",
        default: "false",
        help: "With `disk`: remove what `[disk] free` lists, as far as saves need the room.",
        to: Argument::Flag("free", &["disk"]),
    },
    ActionInput {
        name: "html",
        default: "",
        help: "With `usage`: a file for the page that shows where the bytes are.",
        to: Argument::OptionOf("html", &["usage"]),
    },
    ActionInput {
        name: "timeout",
        default: "",
        help: "Give up on a cache after this long: `90s`, `20m`. One hour if empty.",
        to: Argument::Option("timeout"),
    },
    ActionInput {
        name: "version",
        default: "",
        help: "Which cachekeep: the action's own release if empty, `source` builds it with cargo, `installed` \
               takes the one on PATH.",
        to: Argument::Action,
    },
];

/// What the action does: commands, and [`INSTALL`].
pub(super) const MODES: [&str; 12] = [
    "restore", "seed", "fetch", "gate", "trim", "save", "clean", "delete", "usage", "disk", "doctor", INSTALL,
];

/// The mode that prepares later steps of the job and works on no cache.
const INSTALL: &str = "install";

/// Modes that are not about single caches.
const WITHOUT_CACHES: [&str; 4] = ["clean", "delete", "usage", "doctor"];

/// An input's variable in the environment.
pub fn variable(name: &str) -> String {
    format!("CACHEKEEP_INPUT_{}", name.to_uppercase().replace('-', "_"))
}

/// An input's value.
pub fn value<'a>(env: &'a Env, input: &ActionInput) -> &'a str {
    value_of(env, input.name).unwrap_or(input.default)
}

/// The value of something that only the template for Azure Pipelines takes; `None` where it is empty.
pub(super) fn value_of<'a>(env: &'a Env, name: &str) -> Option<&'a str> {
    env.var(&variable(name)).map(str::trim).filter(|value| !value.is_empty())
}

/// Whether an input is `true`.
pub fn is_true(env: &Env, name: &str) -> Result<bool, Fault> {
    let input = INPUTS.iter().find(|input| input.name == name).expect("an input of the table");
    truth(input, value(env, input), str::to_owned)
}

fn truth(input: &ActionInput, value: &str, spelled: fn(&str) -> String) -> Result<bool, Fault> {
    match value.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        other => Err(Fault::usage(format!(
            "the input `{}` cannot be `{}`; it is true or false",
            spelled(input.name),
            other.escape_debug()
        ))),
    }
}

/// Whether the step only prepares later ones.
pub(super) fn is_install(env: &Env) -> bool {
    value(env, &INPUTS[0]) == INSTALL
}

/// Whether the step prepares later ones and names caches.
pub(super) fn installs_caches(env: &Env) -> bool {
    is_install(env) && value_of(env, "cache").is_some()
}

/// The arguments that the inputs in the environment stand for.
///
/// # Errors
/// An input has a value that it cannot have; it is named as `spelled` spells it.
pub fn arguments(env: &Env, spelled: fn(&str) -> String) -> Result<Args, Fault> {
    let mode = value(env, &INPUTS[0]);
    if !MODES.contains(&mode) {
        return Err(Fault::usage(format!(
            "the input `mode` cannot be `{}`; it is {} or {INSTALL}",
            mode.escape_debug(),
            MODES[..MODES.len() - 1].join(", ")
        )));
    }
    let command = match mode {
        INSTALL if installs_caches(env) => "restore",
        // Any command that takes the options which are remembered tells whether they can be used.
        INSTALL => "key",
        mode => mode,
    };
    if mode == INSTALL {
        refuse_inline(env)?;
    }
    let mut arguments: Vec<OsString> = vec!["cachekeep".into(), command.into()];
    let mut caches: Vec<OsString> = Vec::new();
    for input in INPUTS {
        let value = value(env, input);
        match input.to {
            Argument::Command | Argument::Action => {}
            Argument::Caches | Argument::Option(_) | Argument::OptionOf(..) if value.is_empty() => {}
            Argument::Caches if WITHOUT_CACHES.contains(&mode) => {
                return Err(out_of_place(input, spelled, mode, "modes that work on single caches"));
            }
            Argument::Caches => caches.extend(value.split_whitespace().map(OsString::from)),
            Argument::OptionOf(_, modes) if !modes.contains(&mode) => {
                return Err(out_of_place(input, spelled, mode, &modes.join(" or ")));
            }
            Argument::Option(option) | Argument::OptionOf(option, _) => {
                arguments.push(format!("--{option}={value}").into());
            }
            Argument::Flag(option, modes) => {
                if truth(input, value, spelled)? && modes.contains(&mode) {
                    arguments.push(format!("--{option}").into());
                }
            }
            Argument::Pairs(option) => {
                arguments.extend(pairs(value).into_iter().map(|pair| format!("--{option}={pair}").into()));
            }
        }
    }
    if !caches.is_empty() {
        arguments.push("--".into());
        arguments.extend(caches);
    }
    Args::try_parse_from(arguments).map_err(|error| unusable(&error, spelled))
}

/// What clap says about arguments, in the words of inputs.
fn unusable(error: &clap::Error, spelled: fn(&str) -> String) -> Fault {
    let mut text = error.to_string();
    // The first line says it all, unless the value itself has lines.
    if let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue) {
        text = text.replacen(value.as_str(), &value.escape_debug().to_string(), 1);
    }
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let listed = lines.next().filter(|_| first.ends_with(':')).map_or_else(String::new, |line| {
        // What is missing stands below.
        format!(" '{}'", line.trim())
    });
    let first = format!("{}{listed}", first.strip_prefix("error: ").unwrap_or(first));
    Fault::usage(format!("an input cannot be used: {}", with_inputs(&first, spelled)))
}

/// Refuses inputs that declare a cache, which later steps would not know.
fn refuse_inline(env: &Env) -> Result<(), Fault> {
    match ["path", "key", "restore-keys"].into_iter().find(|name| value_of(env, name).is_some()) {
        None => Ok(()),
        Some(name) => Err(Fault::usage(format!(
            "later steps do not know what the input `{name}` of `mode: install` says"
        ))
        .with_hint("declare the cache in cachekeep.toml".to_owned())),
    }
}

/// The error of an input that has no effect in a mode.
fn out_of_place(input: &ActionInput, spelled: fn(&str) -> String, mode: &str, place: &str) -> Fault {
    let name = spelled(input.name);
    Fault::usage(format!("the input `{name}` has no effect with `mode: {mode}`: it is for {place}"))
        .with_hint(format!("remove `{name}` from the step"))
}

/// A message about arguments, with inputs in the place of options.
fn with_inputs(message: &str, spelled: fn(&str) -> String) -> String {
    let mut text = message.to_owned();
    for input in INPUTS {
        let (Argument::Option(option)
        | Argument::OptionOf(option, _)
        | Argument::Flag(option, _)
        | Argument::Pairs(option)) = input.to
        else {
            continue;
        };
        for start in [format!("'--{option} <"), format!("'--{option}'")] {
            if let Some((before, rest)) = text.split_once(&start) {
                let rest = if start.ends_with('<') {
                    rest.split_once('\'').map_or("", |(_, rest)| rest)
                } else {
                    rest
                };
                text = format!("{before}`{}`{rest}", spelled(input.name));
            }
        }
    }
    text
}

/// `NAME=VALUE` pairs, one or more a line. A word that begins no pair continues the value before it, so that
/// values may have spaces in them.
pub(super) fn pairs(text: &str) -> Vec<String> {
    let begins = |word: &str| {
        let name = word.split_once('=').map_or("", |(name, _)| name);
        !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    let mut pairs: Vec<String> = Vec::new();
    for line in text.lines() {
        let before = pairs.len();
        for word in line.split_whitespace() {
            if pairs.len() > before && !begins(word) {
                let pair = pairs.last_mut().expect("one was pushed for this line");
                pair.push(' ');
                pair.push_str(word);
            } else {
                pairs.push(word.to_owned());
            }
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::args::Command;

    fn parsed(inputs: &[(&str, &str)]) -> Result<Args, Fault> {
        let named: Vec<(String, &str)> =
            inputs.iter().map(|(name, value)| (variable(name), *value)).collect();
        arguments(&Env::of(named.iter().map(|(name, value)| (name.as_str(), *value))), str::to_owned)
    }

    #[test]
    fn inputs_become_arguments_and_nothing_else() {
        let args = parsed(&[
            ("mode", "restore"),
            ("cache", "externaldata\n ccache"),
            ("vars", "variant=Ubuntu 24.04 other=2\nthird=$(id)"),
            ("lookup-only", "True"),
            ("role", "consumer"),
        ])
        .expect("arguments");
        assert_eq!(args.command.selected(), ["externaldata", "ccache"]);
        assert!(matches!(args.command, Command::Restore { lookup_only: true, required: false, .. }));
        assert_eq!(args.common.vars, ["variant=Ubuntu 24.04", "other=2", "third=$(id)"]);
    }

    #[test]
    fn each_mode_is_a_command_with_its_own_inputs() {
        let command = |inputs: &[(&str, &str)]| parsed(inputs).expect("arguments");
        let args = command(&[("mode", "delete"), ("key-prefix", "a-"), ("ref", "main"), ("dry-run", "true")]);
        let Command::Delete(delete) = &args.command else { panic!("another command") };
        assert_eq!(
            (delete.filter.prefix.as_deref(), delete.dry_run, delete.with_protected),
            (Some("a-"), true, false)
        );
        assert_eq!(args.common.git_ref.as_deref(), Some("main"));
        let args = command(&[("mode", "trim"), ("cache", "a"), ("dry-run", "true")]);
        assert!(matches!(&args.command, Command::Trim { dry_run: true, .. }));
        assert_eq!(args.command.selected(), ["a"]);
        let args = command(&[("mode", "disk"), ("free", "true")]);
        assert!(matches!(&args.command, Command::Disk { free: true, dry_run: false, .. }));
        let args = command(&[("mode", "usage"), ("html", "usage.html")]);
        assert!(matches!(&args.command, Command::Usage { html: Some(_), .. }));
        let args = command(&[("mode", "fetch"), ("required", "true")]);
        assert!(matches!(&args.command, Command::Fetch { required: true, .. }));
        let args = command(&[("mode", "install"), ("cache", "a b")]);
        assert!(matches!(&args.command, Command::Restore { .. }));
        assert_eq!(args.command.selected(), ["a", "b"]);
    }

    #[test]
    fn values_that_look_like_options_are_values() {
        let args = parsed(&[("key", "--store=file:///x"), ("path", "-- a\n!b"), ("mode", "save")]);
        let args = args.expect("arguments");
        assert_eq!(args.common.key.as_deref(), Some("--store=file:///x"));
        assert_eq!(args.common.paths, ["-- a\n!b"]);
        assert_eq!(args.common.store, None);
        let args = parsed(&[("cache", "--required -h")]).expect("arguments");
        assert_eq!(args.command.selected(), ["--required", "-h"]);
    }

    #[test]
    fn wrong_words_are_told_by_their_input() {
        let said = |inputs: &[(&str, &str)]| parsed(inputs).expect_err("refused").to_string();
        assert!(said(&[("mode", "sav\n::error")]).contains("`sav\\n::error`"));
        assert!(said(&[("required", "yes")]).contains("`required` cannot be `yes`"));
        assert!(
            said(&[("role", "boss")]).contains("invalid value 'boss' for `role`"),
            "{}",
            said(&[("role", "boss")])
        );
        assert!(said(&[("timeout", "soon")]).contains("timeout"));
        let lines = said(&[("mode", "clean"), ("pull-request", "7\n::error::x\n\n8")]);
        assert!(lines.contains("'7\\n::error::x\\n\\n8' for `pull-request`"), "{lines}");
        let lost = said(&[("mode", "restore"), ("ref", "main")]);
        assert_eq!(
            lost,
            "the input `ref` has no effect with `mode: restore`: it is for clean or delete or usage"
        );
        assert!(
            said(&[("mode", "usage"), ("cache", "a")]).contains("`cache` has no effect with `mode: usage`")
        );
        assert!(said(&[("mode", "install"), ("key", "k")]).contains("`key` of `mode: install`"));
        assert!(said(&[("mode", "disk"), ("dry-run", "true")]).contains("free"));
        // One of the two would be ignored.
        let both = said(&[("config", "ci/cachekeep.toml"), ("path", "out"), ("key", "k")]);
        assert!(both.contains("`config`") && both.contains("`path`"), "{both}");
    }

    #[test]
    fn every_input_stands_for_an_argument_that_exists() {
        let command = Args::command();
        let has =
            |command: &clap::Command, option| command.get_arguments().any(|a| a.get_long() == Some(option));
        for input in INPUTS {
            match input.to {
                Argument::Option(option) | Argument::Pairs(option) => {
                    assert!(has(&command, option), "{option}");
                }
                Argument::OptionOf(option, modes) | Argument::Flag(option, modes) => {
                    for mode in modes {
                        let mode = command.find_subcommand(mode).expect("a command");
                        assert!(has(mode, option) || has(&command, option), "{option}");
                    }
                }
                Argument::Command => MODES.iter().for_each(|mode| {
                    let is_command = *mode == INSTALL || command.find_subcommand(mode).is_some();
                    assert!(is_command && input.help.contains(mode), "{mode}");
                }),
                Argument::Caches | Argument::Action => {}
            }
        }
    }
}
