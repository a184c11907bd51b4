//! Tasks of extensions: a folder with a `task.json` and scripts for node (`TaskManager`, `TaskRunner`, `NodeHandler`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::azure_cli::NOT_IN_FORKS;
use super::outcome::Stage;
use super::runner::Runner;
use super::stage::{Failure, StageRun};
use super::step::Action;
use super::variables::env_name;

/// Handlers that run on every system, the preferred one first (`ExecutionData`: the lowest priority wins).
const HANDLERS: [&str; 5] = ["Node24", "Node20_1", "Node16", "Node10", "Node"];

/// Whether the task has a stage after the job.
pub(super) fn has_post(folder: &Path) -> bool {
    definition(folder).get("postjobexecution").is_some()
}

fn definition(folder: &Path) -> Value {
    let file = folder.join("task.json");
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let definition: Value =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    for field in ["restrictions", "prejobexecution", "demands"] {
        assert!(
            definition.get(field).is_none(),
            "the imitation of the agent does not know `{field}` of a task"
        );
    }
    definition
}

fn texts<'a>(value: &'a Value, list: &str) -> Vec<&'a Value> {
    value.get(list).and_then(Value::as_array).into_iter().flatten().collect()
}

fn field<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn run(runner: &mut Runner<'_>, running: &mut StageRun<'_>) -> Result<(), Failure> {
    let Action::Task { reference, inputs } = &running.step.action else {
        unreachable!("only tasks are run here")
    };
    let folder = runner.job.tasks[reference].clone();
    let definition = definition(&folder);
    let script = script(&folder, &definition, running.stage)?;
    let mut env = runner.full_env(running);
    add_inputs(runner, &definition, inputs, &mut env)?;
    // Task variables and secrets are added for tasks alone, not for the scripts of users.
    for (name, value) in runner.variables.secrets() {
        env.insert(format!("SECRET_{}", env_name(name)), value.to_owned());
    }
    for (name, value) in running.task_variables.iter() {
        env.insert(format!("VSTS_TASKVARIABLE_{name}"), value.clone());
    }
    add_system_endpoint(runner, &mut env);
    running.declared_outputs = texts(&definition, "outputVariables")
        .into_iter()
        .map(|output| field(output, "name").to_owned())
        .collect();
    let mut program = Command::new(&runner.job.node);
    // No arguments but the script; the directory is `System.DefaultWorkingDirectory`.
    program.arg(&script).env_clear().envs(env).current_dir(&runner.places.sources);
    match runner.run_program(running, &mut program)? {
        0 => Ok(()),
        code => Failure::failed(format!("Exit code {code} returned from process: node {}", script.display())),
    }
}

/// The script of a stage. `$(currentDirectory)` is replaced in the main stage alone (`TaskManager.Load`).
fn script(folder: &Path, definition: &Value, stage: Stage) -> Result<PathBuf, Failure> {
    let stages = match stage {
        Stage::Main => definition.get("execution"),
        Stage::Post => definition.get("postjobexecution"),
    };
    let handler = HANDLERS.iter().find_map(|handler| stages?.get(handler));
    let Some(handler) = handler else {
        return Failure::failed(
            "A supported task execution handler was not found. This task is not compatible with your current operating system.",
        );
    };
    let mut target = field(handler, "target").to_owned();
    if stage == Stage::Main {
        target = target.replace("$(currentDirectory)", &folder.display().to_string());
    }
    let script = folder.join(target);
    if script.is_file() {
        Ok(script)
    } else {
        Failure::failed(format!("File not found: '{}'", script.display()))
    }
}

/// `INPUT_*`, and what belongs to the service connections that inputs name (`Handler.AddInputsToEnvironment`).
fn add_inputs(
    runner: &Runner<'_>,
    definition: &Value,
    given: &[(String, String)],
    env: &mut BTreeMap<String, String>,
) -> Result<(), Failure> {
    let inputs = texts(definition, "inputs");
    let is_named = |input: &&Value, name: &str| {
        let aliases = texts(input, "aliases");
        field(input, "name").eq_ignore_ascii_case(name)
            || aliases
                .iter()
                .any(|alias| alias.as_str().is_some_and(|alias| alias.eq_ignore_ascii_case(name)))
    };
    for (name, _) in given {
        assert!(inputs.iter().any(|input| is_named(input, name)), "the task has no input `{name}`");
    }
    for input in inputs {
        let value = given.iter().find(|(name, _)| is_named(&input, name)).map(|(_, value)| value.as_str());
        let mut value = runner.expand(value.unwrap_or_else(|| field(input, "defaultValue")));
        if field(input, "type").to_lowercase().starts_with("connectedservice:") && !value.is_empty() {
            // In forks without secrets the whole step is skipped (`TaskRunner.RunAsync`).
            if !runner.job.gets_secrets() {
                return Err(Failure::Skipped(NOT_IN_FORKS.to_owned()));
            }
            let Some(connection) = runner.job.connections.get(&value) else {
                panic!("the job has no service connection `{value}`")
            };
            let id = &connection.id;
            env.insert(format!("ENDPOINT_AUTH_SCHEME_{id}"), "WorkloadIdentityFederation".to_owned());
            let parameter = |name: &str| format!("ENDPOINT_AUTH_PARAMETER_{id}_{name}");
            env.insert(parameter("SERVICEPRINCIPALID"), connection.client_id.clone());
            env.insert(parameter("TENANTID"), connection.tenant_id.clone());
            // The server hands the agent the connection's identifier.
            value.clone_from(id);
        }
        env.insert(format!("INPUT_{}", env_name(field(input, "name"))), value);
    }
    Ok(())
}

/// The job's own connection, with its token (`Handler.AddEndpointsToEnvironment`).
fn add_system_endpoint(runner: &Runner<'_>, env: &mut BTreeMap<String, String>) {
    let variable = |name: &str| runner.variables.get(name).unwrap_or_default().to_owned();
    env.insert("ENDPOINT_URL_SYSTEMVSSCONNECTION".to_owned(), variable("System.CollectionUri"));
    env.insert("ENDPOINT_AUTH_SCHEME_SYSTEMVSSCONNECTION".to_owned(), "OAuth".to_owned());
    env.insert(
        "ENDPOINT_AUTH_PARAMETER_SYSTEMVSSCONNECTION_ACCESSTOKEN".to_owned(),
        variable("System.AccessToken"),
    );
}
