//! Variables, macros, and what scripts see of them.

use cachekeep_test_support::azure_agent::{AzureCacheService, Event, Job, Status};

use super::pipeline;

#[test]
fn macros_are_expanded_when_a_step_starts_and_unknown_ones_stay() {
    let text = "
variables: { A: one, B: two $(A), LOOP: $(LOOP) }
steps:
  - bash: |
      echo '##vso[task.setvariable variable=A]three'
      echo '##vso[task.setvariable variable=c]$(A) $(D)'
      echo '[$(A)] [$(b)] [$(unknown)] [$(LOOP)]'
  - bash: echo '[$(A)] [$(B)] [$(C)]' \"[$FROM]\" \"[$A]\"
    env: { FROM: $(A)-$(OUTER) }
";
    let job = Job::new(&pipeline(text)).agent_env("OUTER", "outer").variable("D", "four").run();
    let job = job.expect(Status::Succeeded);
    assert!(job.log.contains("\n[one] [two one] [$(unknown)] [$(LOOP)]\n"), "{}", job.log);
    // A value with macros is expanded before the next step starts.
    assert!(job.log.contains("\n[three] [two three] [one four] [three-outer] [three]\n"), "{}", job.log);
}

#[test]
fn public_variables_are_in_the_environment_and_secrets_are_not() {
    let text = "
variables: { My.Var: public, CLASH: of the variable }
steps:
  - bash: |
      echo \"[$MY_VAR] [$TOKEN] [$MAPPED] [$CLASH] [$AGENT_JOBSTATUS] [$TF_BUILD]\"
      env | grep -c -e ^SECRET_ -e ^INPUT_ -e ^ENDPOINT_
      echo '##vso[task.setvariable variable=late;isSecret=true]late-secret-1'
      echo late-secret-1
      exit 0
    env: { MAPPED: $(TOKEN), CLASH: of the step }
  - bash: echo \"[$LATE] $(late)\"
";
    let job = Job::new(&pipeline(text)).secret("Token", "secret-of-the-run").run().expect(Status::Succeeded);
    assert!(job.log.contains("\n[public] [] [***] [of the variable] [Succeeded] [True]\n0\n"), "{}", job.log);
    assert!(job.log.contains("\n***\n") && job.log.contains("\n[] ***\n"), "{}", job.log);
    assert!(!job.log.contains("late-secret-1") && job.variable("late").is_none());
}

#[test]
fn events_have_their_variables() {
    let text = "
steps:
  - bash: |
      echo \"$BUILD_REASON $BUILD_SOURCEBRANCH $SYSTEM_PULLREQUEST_ISFORK [$SYSTEM_PULLREQUEST_TARGETBRANCH]\"
      echo \"$PWD = $BUILD_SOURCESDIRECTORY = $SYSTEM_DEFAULTWORKINGDIRECTORY\"
      test -d \"$AGENT_TEMPDIRECTORY\" -a -d \"$PIPELINE_WORKSPACE\" -a -d \"$AGENT_TOOLSDIRECTORY\"
";
    for (event, line) in [
        (Event::branch("refs/heads/topic"), "IndividualCI refs/heads/topic False []"),
        (Event::branch("refs/tags/v1"), "IndividualCI refs/tags/v1 False []"),
        (Event::pull_request(7), "PullRequest refs/pull/7/merge False [refs/heads/main]"),
        (Event::fork(8), "PullRequest refs/pull/8/merge True [refs/heads/main]"),
        (Event::Schedule("refs/heads/main".to_owned()), "Schedule refs/heads/main False []"),
    ] {
        let job = Job::new(&pipeline(text)).event(event).run().expect(Status::Succeeded);
        let sources = job.path("1/s").display().to_string();
        let place = format!("{sources} = {sources} = {sources}");
        assert!(job.log.contains(&format!("\n{line}\n{place}\n")), "{}", job.log);
    }
}

#[test]
fn macros_of_inputs_and_env_are_expanded_again_after_the_job() {
    let place = tempfile::tempdir().expect("a directory");
    let service = AzureCacheService::new(&place.path().join("service"));
    let text = "
variables: { KEY: first, DIRECTORY: a, TMP_OF_CACHE: missing }
steps:
  - bash: mkdir -p missing a b && echo text > b/file && pwd
  - task: Cache@2
    name: cache
    inputs: { key: '\"$(KEY)\"', path: $(DIRECTORY) }
    env: { TMPDIR: $(System.DefaultWorkingDirectory)/$(TMP_OF_CACHE) }
  - bash: |
      mkdir late
      echo '##vso[task.setvariable variable=KEY]second'
      echo '##vso[task.setvariable variable=DIRECTORY]b'
      echo '##vso[task.setvariable variable=TMP_OF_CACHE]late'
      rmdir missing
";
    let job = Job::new(&pipeline(text)).service(&service).run().expect(Status::Succeeded);
    let entries = service.entries();
    assert_eq!(
        entries.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>(),
        ["\"second\""],
        "{}",
        job.log
    );
    assert!(job.post("cache").log.contains("has changed in its resolved value"), "{}", job.log);
    let listed = std::process::Command::new("tar").arg("-tf").arg(&entries[0].content).output().expect("tar");
    assert!(String::from_utf8_lossy(&listed.stdout).contains("./file"));
}
