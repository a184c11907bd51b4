//! Logging commands.

use cachekeep_test_support::azure_agent::{Job, JobResult, Status};

use super::pipeline;

fn run(script: &str) -> JobResult {
    let script: String = script.lines().map(|line| format!("      {line}\n")).collect();
    let text = format!(
        "steps:\n  - name: step\n    bash: |\n{script}  - bash: echo next\n    condition: always()\n"
    );
    Job::new(&pipeline(&text)).run()
}

#[test]
fn escapes_are_undone_with_percent_signs_last() {
    let job = run(r"echo '##vso[task.setvariable variable=a%3Bb%5D]x%0Ay%0Dz%AZP250A%3B%5D'")
        .expect(Status::Succeeded);
    assert_eq!(job.variable("a;b]"), Some("x\ny\rz%0A;]"));
}

#[test]
fn a_command_may_begin_anywhere_in_a_line_of_either_stream() {
    let job = run("echo 'text ##vso[task.setvariable variable=a]1'\n\
                   echo '##VSO[task.setvariable variable=b]2'\n\
                   echo '##vso[task.setvariable variable=c]3' >&2\n\
                   printf 'x\\r##vso[task.setvariable variable=d]4\\r'\n\
                   echo '##vso[nothing'")
    .expect(Status::Succeeded);
    let set = ["a", "b", "c", "d"].map(|name| job.variable(name));
    assert_eq!(set, [Some("1"), None, Some("3"), Some("4")], "{}", job.log);
    assert!(!job.log.contains("text ##vso") && job.log.contains("not a legal command"), "{}", job.log);
}

#[test]
fn outputs_belong_to_their_step() {
    let job = run("echo '##vso[task.setvariable variable=out;isOutput=true]1'\n\
                   echo '##vso[task.setvariable variable=not; isOutput=true]2'")
    .expect(Status::Succeeded);
    assert_eq!(job.variable("step.out"), Some("1"));
    assert_eq!(job.outputs.get("step.out").map(String::as_str), Some("1"));
    assert_eq!(job.variable("out"), None);
    // The space belongs to the property's name, which is another one then.
    assert_eq!(job.variable("not"), Some("2"));
}

#[test]
fn paths_issues_progress_and_summaries() {
    let job = run("echo '##vso[task.prependpath]/opt/one'\n\
                   echo '##vso[task.prependpath]/opt/two'\n\
                   echo '##vso[task.logissue type=warning]careful'\n\
                   echo '##vso[task.logissue type=error]wrong'\n\
                   echo '##vso[task.setprogress value=50]half'\n\
                   echo '##[group]a group'\n\
                   echo 'a *summary*' > \"$AGENT_TEMPDIRECTORY/s.md\"\n\
                   echo \"##vso[task.uploadsummary]$AGENT_TEMPDIRECTORY/s.md\"\n\
                   echo '##vso[task.debug]not seen'")
    .expect(Status::Succeeded);
    let issues: Vec<_> = job.step("step").issues.iter().map(|i| (i.kind.as_str(), i.text.as_str())).collect();
    assert_eq!(issues, [("warning", "careful"), ("error", "wrong")]);
    assert!(job.log.contains("##[warning]careful\n##[error]wrong\n##[group]a group"), "{}", job.log);
    assert_eq!(job.summaries, ["a *summary*\n"]);
    assert_eq!(job.progress, [("step".to_owned(), "50 half".to_owned())]);
    assert!(!job.log.contains("not seen"));
    let text = "steps:\n  - bash: echo '##vso[task.prependpath]/opt/one'; echo '##vso[task.prependpath]/opt/two'\n  - bash: echo \"$PATH\"\n";
    let job = Job::new(&pipeline(text)).run().expect(Status::Succeeded);
    assert!(job.log.contains("\n/opt/two:/opt/one:"), "{}", job.log);
}

#[test]
fn a_command_that_cannot_be_obeyed_fails_the_step() {
    for line in [
        "##vso[task.nonsense]",
        "##vso[task.setvariable]x",
        "##vso[task.setvariable variable=s;isSecret=true]a%0Ab",
        "##vso[task.complete result=Fine]",
        "##vso[task.logissue type=notice]x",
        "##vso[task.uploadsummary]/nowhere.md",
        "##vso[task.setsecret]",
    ] {
        let job = run(&format!("echo '{line}'")).expect(Status::Failed);
        assert!(job.log.contains("Unable to process command"), "{}", job.log);
    }
    // Commands of an area that no agent knows are reported.
    let job = run("echo '##vso[cachekeep.nonsense]x'").expect(Status::Succeeded);
    assert!(job.log.contains("Can't find command extension for ##vso[cachekeep.command]"), "{}", job.log);
}

#[test]
fn complete_sets_the_result_and_an_exit_code_is_worse() {
    let job =
        run("echo '##vso[task.complete result=SucceededWithIssues;]'").expect(Status::SucceededWithIssues);
    assert_eq!(job.step("step").status, Status::SucceededWithIssues);
    run("echo '##vso[task.complete result=Succeeded]'; exit 3").expect(Status::Failed);
    run("echo '##vso[task.complete result=Failed]'; exit 0").expect(Status::Failed);
}

#[test]
fn secrets_are_masked_from_the_moment_they_are_known() {
    let job = run("echo before-hushhush\necho '##vso[task.setsecret]hushhush'\necho after-hushhush")
        .expect(Status::Succeeded);
    assert!(job.log.contains("before-hushhush\nafter-***"), "{}", job.log);
}
