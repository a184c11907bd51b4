//! Pull requests of forks: no secrets, no service connections.

use cachekeep_test_support::azure_agent::{Event, Job, ServiceConnection, Status};

use super::pipeline;

const TEXT: &str = "
steps:
  - bash: echo \"[$TOKEN] [$JOB_TOKEN]\"
    env: { TOKEN: $(MY_TOKEN), JOB_TOKEN: $(System.AccessToken) }
  - task: AzureCLI@2
    name: login
    inputs:
      azureSubscription: storage
      scriptType: bash
      scriptLocation: inlineScript
      addSpnToEnvironment: true
      inlineScript: echo \"$AZURESUBSCRIPTION_CLIENT_ID $servicePrincipalId $idToken\"
  - name: after
    bash: 'true'
";

#[test]
fn steps_with_a_service_connection_are_skipped_in_forks() {
    let pipeline = pipeline(TEXT);
    let job = |event: Event| {
        Job::new(&pipeline)
            .event(event)
            .secret("MY_TOKEN", "token-of-the-pipeline")
            .connection("storage", ServiceConnection::with_token("token-of-the-connection"))
    };
    let own = job(Event::pull_request(1)).run().expect(Status::Succeeded);
    assert!(own.log.contains("\n[***] [***]\n"), "{}", own.log);
    let client = "5f0c1a2b-0000-4000-8000-000000000002";
    assert!(own.step("login").log.contains(&format!("{client} {client} ***")), "{}", own.log);
    let fork = job(Event::fork(2)).run().expect(Status::Succeeded);
    assert!(fork.log.contains("\n[$(MY_TOKEN)] [***]\n"), "{}", fork.log);
    assert_eq!(fork.step("login").status, Status::Skipped, "{}", fork.log);
    assert_eq!(fork.step("after").status, Status::Succeeded);
    let trusted = job(Event::fork(2)).forks_get_secrets().run().expect(Status::Succeeded);
    assert_eq!(trusted.step("login").status, Status::Succeeded);
}

#[test]
fn a_login_that_fails_fails_its_step() {
    let pipeline = pipeline(TEXT);
    let connection =
        ServiceConnection { login_fails: true, ..ServiceConnection::with_token("token-of-the-connection") };
    let job = Job::new(&pipeline).connection("storage", connection).run().expect(Status::Failed);
    assert_eq!(job.step("login").status, Status::Failed);
    assert_eq!(job.step("after").status, Status::Skipped);
}
