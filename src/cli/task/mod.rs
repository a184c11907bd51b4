//! The stages of the task `Cachekeep@0` of Azure Pipelines: the first restores when the step runs, the last saves after the job.
//!
//! The agent gives each stage the inputs as variables, `INPUT_<NAME>`; here they become the inputs of the action, which
//! `inputs.rs` turns into arguments. It expands them anew for the last stage, where a step may have changed what they are
//! made of. So the first stage keeps its inputs in a variable of the task, and the last one works with those.

pub(super) mod work;

use std::collections::BTreeMap;

use super::args::{Args, TaskStage};
use super::inputs::{self, ActionInput, INPUTS, variable};
use crate::domain::fault::Fault;
use crate::platform::Env;
use crate::platform::azure_pipelines::json_without_macros;

/// Inputs of the action that a task has no use for: it restores and saves, with the program that it brings.
const NOT_OF_TASKS: [&str; 12] = [
    "per-os",
    "mode",
    "dry-run",
    "pull-request",
    "key-prefix",
    "ref",
    "older-than",
    "unused-for",
    "with-protected",
    "free",
    "html",
    "version",
];

/// The variable of the task that holds the inputs of its first stage.
const STATE: &str = "CACHEKEEP_INPUTS";

/// A stage, with what it needs beside its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Task {
    stage: TaskStage,
    /// What the first stage leaves for the last.
    kept: String,
}

/// What a stage is to do.
pub(super) enum TaskPlan {
    /// The command that these arguments stand for, in an environment with the inputs of an action.
    Run { args: Box<Args>, env: Env, task: Task },
    /// Nothing, for this reason.
    Nothing(String),
}

/// The inputs that the task shares with the action, with their names in the task.
pub fn shared_inputs() -> impl Iterator<Item = (String, &'static ActionInput)> {
    let of_tasks = INPUTS.iter().filter(|input| !NOT_OF_TASKS.contains(&input.name));
    of_tasks.map(|input| (camel_case(input.name), input))
}

/// The name of an output in the task: names there have no dashes.
pub fn output_name(name: &str) -> String {
    match name {
        "cache-primary-key" | "cache-matched-key" => camel_case(&name["cache-".len()..]),
        name => camel_case(name),
    }
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('-');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |made, word| {
        let (initial, rest) = word.split_at(1);
        made + &initial.to_uppercase() + rest
    })
}

/// What a stage is to do in this environment.
pub(super) fn plan(env: &Env, stage: TaskStage) -> Result<TaskPlan, Fault> {
    let saves = saves(env)?;
    let (inputs, mode) = match stage {
        TaskStage::Main => (given(env), "restore"),
        TaskStage::Post => {
            let nothing = |why: &str| Ok(TaskPlan::Nothing(format!("nothing is saved: {why}")));
            let Some(kept) = env.var(&format!("VSTS_TASKVARIABLE_{STATE}")) else {
                return nothing("the step of this task did not restore");
            };
            if env.var("AGENT_JOBSTATUS") == Some("Canceled") {
                return nothing("the job was canceled");
            }
            if !saves {
                return nothing("the input `save` is `never`");
            }
            let inputs = serde_json::from_str(kept);
            let unreadable =
                |_| Fault::usage(format!("the task variable {STATE} does not hold inputs of this task"));
            (inputs.map_err(unreadable)?, "save")
        }
    };
    let kept = json_without_macros(&serde_json::to_string(&inputs).expect("a map of texts"));
    let inputs = inputs.into_iter().map(|(name, value)| (variable(&name), value));
    let env = env.with(inputs.chain([(variable("mode"), mode.to_owned())]));
    let args = Box::new(inputs::arguments(&env, camel_case)?);
    Ok(TaskPlan::Run { args, env, task: Task { stage, kept } })
}

/// The inputs that are not empty, by their names in the action.
fn given(env: &Env) -> BTreeMap<String, String> {
    let value = |name: &str| env.var(&format!("INPUT_{}", name.to_uppercase())).map(str::to_owned);
    shared_inputs().filter_map(|(name, input)| Some((input.name.to_owned(), value(&name)?))).collect()
}

/// Whether the input `save` lets the task save. It is that of the stage, so that a step can decide.
fn saves(env: &Env) -> Result<bool, Fault> {
    match env.var("INPUT_SAVE").map(str::trim) {
        None | Some("" | "auto") => Ok(true),
        Some("never") => Ok(false),
        Some(other) => Err(Fault::usage(format!(
            "the input `save` cannot be `{}`; it is auto or never",
            other.escape_debug()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Command;
    use crate::cli::inputs::is_true;

    fn planned(stage: TaskStage, variables: &[(&str, &str)]) -> Result<(Args, Env, String), String> {
        match plan(&Env::of(variables.iter().copied()), stage) {
            Ok(TaskPlan::Run { args, env, task }) => Ok((*args, env, task.kept)),
            Ok(TaskPlan::Nothing(why)) => Err(why),
            Err(fault) => Err(fault.to_string()),
        }
    }

    #[test]
    fn inputs_become_those_of_the_action() {
        let (args, env, state) = planned(
            TaskStage::Main,
            &[
                ("INPUT_CACHE", "a b"),
                ("INPUT_FAILONCACHEMISS", "true"),
                ("INPUT_RESTOREKEYS", ""),
                ("INPUT_VARS", "x=$(id)"),
                ("INPUT_SEED", "false"),
                ("INPUT_VERSION", "installed"),
            ],
        )
        .expect("a plan");
        assert!(matches!(&args.command, Command::Restore { fail_on_miss: true, required: false, .. }));
        assert_eq!(args.command.selected(), ["a", "b"]);
        assert_eq!(args.common.vars, ["x=$(id)"]);
        assert_eq!(is_true(&env, "seed").ok(), Some(false));
        assert_eq!(
            state,
            r#"{"cache":"a b","fail-on-cache-miss":"true","seed":"false","vars":"x=\u0024(id)"}"#
        );
    }

    #[test]
    fn the_last_stage_works_with_the_inputs_of_the_first() {
        let state = r#"{"cache":"a","required":"true"}"#;
        let post = |more: &[(&'static str, &'static str)]| {
            let first = [("VSTS_TASKVARIABLE_CACHEKEEP_INPUTS", state), ("INPUT_CACHE", "changed")];
            planned(TaskStage::Post, &[&first, more].concat()).map(|(args, ..)| args)
        };
        for status in ["Succeeded", "SucceededWithIssues", "Failed"] {
            let args = post(&[("AGENT_JOBSTATUS", status), ("INPUT_SAVE", "auto")]).expect("a plan");
            assert!(matches!(&args.command, Command::Save { required: true, recompute_key: false, .. }));
            assert_eq!(args.command.selected(), ["a"]);
        }
        let refused = |more: &[(&'static str, &'static str)]| post(more).expect_err("refused");
        assert_eq!(refused(&[("AGENT_JOBSTATUS", "Canceled")]), "nothing is saved: the job was canceled");
        assert_eq!(refused(&[("INPUT_SAVE", "never")]), "nothing is saved: the input `save` is `never`");
        assert!(refused(&[("INPUT_SAVE", "always")]).contains("auto or never"));
        let without = planned(TaskStage::Post, &[]).expect_err("refused");
        assert_eq!(without, "nothing is saved: the step of this task did not restore");
        let wrong = planned(TaskStage::Main, &[("INPUT_FAILONCACHEMISS", "maybe")]).expect_err("refused");
        assert_eq!(wrong, "the input `failOnCacheMiss` cannot be `maybe`; it is true or false");
        let broken = planned(TaskStage::Post, &[("VSTS_TASKVARIABLE_CACHEKEEP_INPUTS", "[]")]);
        assert!(broken.expect_err("refused").contains("CACHEKEEP_INPUTS"));
    }

    #[test]
    fn names_have_no_dashes() {
        let names: Vec<String> = shared_inputs().map(|(name, _)| name).collect();
        assert!(names.contains(&"restoreKeys".to_owned()) && names.contains(&"failOnCacheMiss".to_owned()));
        assert!(!names.contains(&"mode".to_owned()));
        assert_eq!(
            ["cache-hit", "cache-primary-key", "cache-matched-key", "missing-count", "json"].map(output_name),
            ["cacheHit", "primaryKey", "matchedKey", "missingCount", "json"]
        );
    }
}
