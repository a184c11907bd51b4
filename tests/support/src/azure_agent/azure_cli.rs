//! A stand-in for `AzureCLI@2`: it logs in with a service connection and runs a script (`azureclitask.ts`).

use super::runner::Runner;
use super::script::run_text;
use super::stage::{Failure, StageRun};
use super::step::Action;

/// The task's name in YAML.
pub(super) const REFERENCE: &str = "AzureCLI@2";

/// Why a step with a service connection is skipped (`TaskRunner.RunAsync`).
pub(super) const NOT_IN_FORKS: &str = "References service endpoint. PRs from repository forks are not allowed to access secrets in the pipeline.";

pub(super) fn run(runner: &mut Runner<'_>, running: &mut StageRun<'_>) -> Result<(), Failure> {
    let Action::Task { inputs, .. } = &running.step.action else { unreachable!("only tasks are run here") };
    let mut connection = String::new();
    let mut script = String::new();
    let mut directory = None;
    let mut adds_principal = false;
    for (name, value) in inputs {
        let value = runner.expand(value);
        match (name.as_str(), value.as_str()) {
            ("azureSubscription" | "connectedServiceNameARM", _) => connection = value,
            ("inlineScript", _) => script = value,
            ("workingDirectory" | "cwd", _) => directory = Some(value),
            ("addSpnToEnvironment", value) => adds_principal = value.eq_ignore_ascii_case("true"),
            ("scriptType", "bash") | ("scriptLocation", "inlineScript") | ("visibleAzLogin", _) => {}
            (other, value) => panic!("the stand-in for {REFERENCE} does not know `{other}: {value}`"),
        }
    }
    if !runner.job.gets_secrets() {
        return Err(Failure::Skipped(NOT_IN_FORKS.to_owned()));
    }
    let Some(connection) = runner.job.connections.get(&connection).cloned() else {
        panic!("the job has no service connection `{connection}`")
    };
    if connection.login_fails {
        return Failure::failed("Azure login failed");
    }
    runner.log.hide(&connection.id_token);
    let mut env = vec![
        ("AZURESUBSCRIPTION_SERVICE_CONNECTION_ID".to_owned(), connection.id.clone()),
        ("AZURESUBSCRIPTION_CLIENT_ID".to_owned(), connection.client_id.clone()),
        ("AZURESUBSCRIPTION_TENANT_ID".to_owned(), connection.tenant_id.clone()),
    ];
    if adds_principal {
        env.push(("servicePrincipalId".to_owned(), connection.client_id));
        env.push(("tenantId".to_owned(), connection.tenant_id));
        env.push(("idToken".to_owned(), connection.id_token));
    }
    run_text(runner, running, &script, directory.as_deref(), false, env)
}
