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
        help: "`restore` (and seed what is missing), `seed`, `gate`, `save`, `clean`, `doctor`, or `install`: puts cachekeep on the \
               PATH and remembers `vars`, `role`, `allow-export`, `config`, `store` and `timeout` for the job.",
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
        to: Argument::Flag("per-os", &["restore", "seed", "gate", "save"]),
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
        name: "required",
        default: "false",
        help: "Fail the step if a cache cannot be restored, seeded or saved; otherwise that is a warning.",
        to: Argument::Flag("required", &["restore", "seed", "save"]),
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
        help: "The configuration, if it is not `cachekeep.toml` in the workspace.",
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
        help: "With `clean`: only say what would be deleted, and why.",
        to: Argument::Flag("dry-run", &["clean"]),
    },
    ActionInput {
        name: "pull-request",
        default: "",
        help: "With `clean`: the number of a pull request that was closed just now; only its entries are deleted.",
        to: Argument::Option("pull-request"),
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
pub(super) const MODES: [&str; 7] = ["restore", "seed", "gate", "save", "clean", "doctor", INSTALL];

/// The mode that prepares later steps of the job and works on no cache.
const INSTALL: &str = "install";

/// Modes that are not about single caches.
const WITHOUT_CACHES: [&str; 3] = ["clean", "doctor", INSTALL];

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

/// The arguments that the inputs in the environment stand for.
///
/// # Errors
/// An input has a value that it cannot have; it is named as `spelled` spells it.
pub fn arguments(env: &Env, spelled: fn(&str) -> String) -> Result<Args, Fault> {
    let mode = value(env, &INPUTS[0]);
    if !MODES.contains(&mode) {
        return Err(Fault::usage(format!(
            "the input `mode` cannot be `{}`; it is restore, seed, gate, save, clean, doctor or install",
            mode.escape_debug()
        )));
    }
    // Any command that takes the options which are remembered tells whether they can be used.
    let command = if mode == INSTALL { "key" } else { mode };
    let mut arguments: Vec<OsString> = vec!["cachekeep".into(), command.into()];
    let mut caches: Vec<OsString> = Vec::new();
    for input in INPUTS {
        let value = value(env, input);
        match input.to {
            Argument::Caches if !WITHOUT_CACHES.contains(&mode) => {
                caches.extend(value.split_whitespace().map(OsString::from));
            }
            Argument::Command | Argument::Action | Argument::Caches => {}
            Argument::Option(_) if value.is_empty() => {}
            Argument::Option(option) => arguments.push(format!("--{option}={value}").into()),
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
    Args::try_parse_from(arguments).map_err(|error| {
        let mut text = error.to_string();
        // The first line says it all, unless the value itself has lines.
        if let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue) {
            text = text.replacen(value.as_str(), &value.escape_debug().to_string(), 1);
        }
        let first = text.lines().next().unwrap_or_default();
        let first = with_inputs(first.strip_prefix("error: ").unwrap_or(first), spelled);
        Fault::usage(format!("an input cannot be used: {first}"))
    })
}

/// A message about arguments, with inputs in the place of options.
fn with_inputs(message: &str, spelled: fn(&str) -> String) -> String {
    let mut text = message.to_owned();
    for input in INPUTS {
        let (Argument::Option(option) | Argument::Flag(option, _) | Argument::Pairs(option)) = input.to
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
                Argument::Option("pull-request") => {
                    assert!(has(command.find_subcommand("clean").expect("a command"), "pull-request"));
                }
                Argument::Option(option) | Argument::Pairs(option) => {
                    assert!(has(&command, option), "{option}");
                }
                Argument::Flag(option, modes) => {
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
