//! Results of steps and jobs, conditions, cancels and timeouts.

use std::time::Duration;

use cachekeep_test_support::azure_agent::{Cancel, Job, JobResult, Stage, Status};

use super::pipeline;

fn statuses(job: &JobResult) -> Vec<(&str, Status)> {
    let main = job.steps.iter().filter(|step| step.stage == Stage::Main && step.name != "Checkout1");
    main.map(|step| (step.name.as_str(), step.status)).collect()
}

const FLOW: &str = "
steps:
  - { name: first, bash: FIRST }
  - { name: default, bash: 'echo \"[$AGENT_JOBSTATUS]\"' }
  - { name: failed, bash: 'true', condition: failed() }
  - { name: always, bash: 'echo \"{$AGENT_JOBSTATUS}\"', condition: always() }
  - { name: canceled, bash: 'true', condition: canceled() }
  - { name: either, bash: 'true', condition: succeededOrFailed() }
";

#[test]
fn conditions_follow_the_status_of_the_job() {
    use Status::{Failed, Skipped, Succeeded, SucceededWithIssues};
    let run = |first: &str| Job::new(&pipeline(&FLOW.replace("FIRST", first))).run();
    let job = run("'true'").expect(Succeeded);
    let rest = |job: &JobResult| statuses(job)[1..].iter().map(|(_, status)| *status).collect::<Vec<_>>();
    assert_eq!(rest(&job), [Succeeded, Skipped, Succeeded, Skipped, Succeeded]);
    let job = run("exit 3").expect(Failed);
    assert_eq!(rest(&job), [Skipped, Succeeded, Succeeded, Skipped, Succeeded]);
    assert!(job.log.contains("Bash exited with code '3'") && job.log.contains("{Failed}"), "{}", job.log);
    // A step that may fail leaves issues, and steps go on.
    let job = run("exit 3, continueOnError: true").expect(SucceededWithIssues);
    assert_eq!(job.step("first").status, SucceededWithIssues);
    assert_eq!(rest(&job), [Succeeded, Skipped, Succeeded, Skipped, Succeeded]);
    assert!(job.log.contains("[SucceededWithIssues]"), "{}", job.log);
}

#[test]
fn conditions_read_variables() {
    let text = "
steps:
  - bash: echo '##vso[task.setvariable variable=MODE]native'
  - { name: native, bash: 'true', condition: \"and(succeeded(), eq(variables['mode'], 'Native'))\" }
  - { name: wrapped, bash: 'true', condition: \"and(succeeded(), ne(variables.MODE, 'native'))\" }
  - { name: unset, bash: 'true', condition: \"eq(variables['nothing'], '')\" }
";
    let job = Job::new(&pipeline(text)).run().expect(Status::Succeeded);
    let found = statuses(&job)[1..].to_vec();
    assert_eq!(
        found,
        [("native", Status::Succeeded), ("wrapped", Status::Skipped), ("unset", Status::Succeeded)]
    );
}

#[test]
fn stages_after_the_job_run_last_first_with_the_checkout_at_the_end() {
    let text = "
steps:
  - { name: a, task: Cache@2, inputs: { key: k, path: p } }
  - { name: b, task: Cache@2, inputs: { key: k, path: p }, condition: \"eq('a', 'b')\" }
";
    let place = tempfile::tempdir().expect("a directory");
    let service = cachekeep_test_support::azure_agent::AzureCacheService::new(place.path());
    let job = Job::new(&pipeline(text)).service(&service).run();
    let post: Vec<&str> =
        job.steps.iter().filter(|step| step.stage == Stage::Post).map(|step| step.name.as_str()).collect();
    assert_eq!(post, ["b", "a", "Checkout1"]);
    // The stage is there although its step was skipped; the task itself sees that it did not run.
    assert!(job.post("b").log.contains("restore step did not run"), "{}", job.log);
}

#[test]
fn a_cancel_interrupts_and_then_terminates() {
    use Status::{Canceled, Skipped, Succeeded};
    let script = "trap 'echo interrupted' INT; trap 'echo terminated; exit 0' TERM; echo started; while :; do sleep 1 & wait; done";
    let text = FLOW.replace("FIRST", &format!("\"{script}\""));
    let job = Job::new(&pipeline(&text))
        .cancel(Cancel::on_line("first", "started"))
        .patience(Duration::from_millis(200), Duration::from_secs(60))
        .run()
        .expect(Canceled);
    // Whatever the script made of it, its step is cancelled.
    assert!(job.log.contains("started\ninterrupted\nterminated\n"), "{}", job.log);
    let after: Vec<Status> = statuses(&job).iter().map(|(_, status)| *status).collect();
    assert_eq!(after, [Canceled, Skipped, Skipped, Succeeded, Succeeded, Skipped]);
    assert!(job.log.contains("{Canceled}"), "{}", job.log);
}

#[test]
fn what_does_not_end_is_killed_with_all_that_it_started() {
    let text =
        "steps:\n  - { name: deaf, bash: \"trap '' INT TERM; echo started; while :; do sleep 60; done\" }\n";
    let job = Job::new(&pipeline(text))
        .cancel(Cancel::on_line("deaf", "started"))
        .patience(Duration::from_millis(50), Duration::from_millis(50))
        .run()
        .expect(Status::Canceled);
    assert_eq!(statuses(&job), [("deaf", Status::Canceled)]);
}

#[test]
fn a_step_whose_condition_holds_for_a_cancelled_job_goes_on() {
    let text =
        "steps:\n  - { name: kept, bash: 'echo started; sleep 0.1; echo done', condition: always() }\n";
    let job = Job::new(&pipeline(text)).cancel(Cancel::on_line("kept", "started")).run();
    let job = job.expect(Status::Canceled);
    assert_eq!(job.step("kept").status, Status::Succeeded);
    assert!(job.log.contains("\ndone\n"), "{}", job.log);
}

#[test]
fn after_the_time_of_a_cancel_nothing_runs() {
    let text = "steps:\n  - { name: kept, bash: 'echo started; sleep 60', condition: always() }\n  - { name: next, bash: 'true', condition: always() }\n";
    let job = Job::new(&pipeline(text))
        .cancel(Cancel::on_line("kept", "started"))
        .cancel_timeout(Duration::from_millis(200))
        .run();
    let job = job.expect(Status::Canceled);
    assert_eq!(statuses(&job), [("kept", Status::Canceled)]);
}

#[test]
fn a_step_that_takes_too_long_fails() {
    let text = "steps:\n  - { name: slow, bash: 'exec sleep 60', timeoutInMinutes: 1 }\n";
    let job = Job::new(&pipeline(text)).minute(Duration::from_millis(100)).run().expect(Status::Failed);
    assert!(job.step("slow").log.contains("The task has timed out."), "{}", job.log);
}
