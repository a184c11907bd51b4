//! The steps of a job, one after the other (`JobExtension`, `StepsRunner`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::conditions::{Moment, holds};
use super::event::Places;
use super::job::Job;
use super::log::Log;
use super::outcome::{Issue, JobResult, Stage, StepResult};
use super::stage::{Failure, StageRun};
use super::status::Status;
use super::step::{Action, Step};
use super::variables::Variables;
use super::{azure_cli, cache, node_task, script};

/// `cancelTimeoutInMinutes` where a job does not give it (documentation).
const CANCEL_TIMEOUT: f64 = 5.0;

/// A job that runs.
pub(super) struct Runner<'a> {
    pub job: &'a Job<'a>,
    pub places: Places,
    pub variables: Variables,
    pub log: Log,
    pub status: Status,
    /// Directories of `task.prependpath`, in the order of the commands.
    pub prepended: Vec<String>,
    pub outputs: BTreeMap<String, String>,
    pub summaries: Vec<String>,
    pub progress: Vec<(String, String)>,
    pub groups: Vec<Pid>,
    cancelled_at: Option<Instant>,
    steps: Vec<StepResult>,
}

impl<'a> Runner<'a> {
    pub(super) fn new(job: &'a Job<'a>, places: Places, work: &Path) -> Self {
        let mut variables = Variables::default();
        places.predefine(&mut variables, work);
        job.event.predefine(&mut variables);
        for (name, value) in job.pipeline.variables.iter().chain(&job.variables) {
            variables.set(name, value, false, false);
        }
        let mut log = Log::default();
        let mut secrets = vec![("System.AccessToken".to_owned(), access_token())];
        // Forks get no secrets but the job's token unless the pipeline's settings say so (documentation of forks).
        if job.gets_secrets() {
            secrets.extend(job.secrets.iter().cloned());
        } else {
            variables.predefine("System.RestrictSecrets", "true");
        }
        for (name, value) in &secrets {
            variables.set(name, value, true, false);
            log.hide(value);
        }
        Runner {
            job,
            places,
            variables,
            log,
            status: Status::Succeeded,
            prepended: Vec::new(),
            outputs: BTreeMap::new(),
            summaries: Vec::new(),
            progress: Vec::new(),
            groups: Vec::new(),
            cancelled_at: None,
            steps: Vec::new(),
        }
    }

    pub(super) fn run(mut self, work: PathBuf, directory: Option<tempfile::TempDir>) -> JobResult {
        let steps = self.steps_to_run();
        let mut task_variables: Vec<BTreeMap<String, String>> = vec![BTreeMap::new(); steps.len()];
        // `JobExtension`: the stages after the job are a stack, so the last step's is the first. They are there although the
        // step itself was skipped, and all under the condition `always()`.
        let main = (0..steps.len()).map(|index| (index, Stage::Main));
        let post = (0..steps.len()).rev().map(|index| (index, Stage::Post));
        for (index, stage) in main.chain(post) {
            let step = &steps[index];
            if stage == Stage::Post && !self.has_post(step) {
                continue;
            }
            if self.is_out_of_time() {
                self.log.write("##[error]The job was cancelled and did not end in time.");
                break;
            }
            self.run_stage(step, stage, &mut task_variables[index]);
        }
        for group in &self.groups {
            let _ = kill_process_group(*group, Signal::KILL);
        }
        self.into_result(work, directory)
    }

    fn into_result(self, work: PathBuf, directory: Option<tempfile::TempDir>) -> JobResult {
        let log = self.log.since(0);
        crate::capture::log("agent", "azure", &log);
        for summary in &self.summaries {
            crate::capture::log("agent-summary", "azure", summary);
        }
        JobResult {
            status: self.status,
            log,
            steps: self.steps,
            variables: self
                .variables
                .public()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            outputs: self.outputs,
            summaries: self.summaries,
            progress: self.progress,
            work,
            _directory: directory,
        }
    }

    /// The steps, with the checkout that the server adds where a job has none (documentation of `checkout`).
    fn steps_to_run(&self) -> Vec<Step> {
        let mut steps = self.job.pipeline.steps.clone();
        if !steps.iter().any(|step| matches!(step.action, Action::Checkout)) {
            steps.insert(0, Step::checkout());
        }
        for step in &steps {
            if let Action::Task { reference, .. } = &step.action {
                let is_known = matches!(reference.as_str(), cache::REFERENCE | azure_cli::REFERENCE);
                assert!(
                    is_known || self.job.tasks.contains_key(reference),
                    "the imitation of the agent has no task `{reference}`"
                );
            }
        }
        steps
    }

    fn has_post(&self, step: &Step) -> bool {
        match &step.action {
            Action::Checkout => true,
            Action::Script { .. } => false,
            Action::Task { reference, .. } => match self.job.tasks.get(reference) {
                Some(folder) => node_task::has_post(folder),
                None => reference == cache::REFERENCE,
            },
        }
    }

    /// `StepsRunner.RunAsync` for one step.
    fn run_stage(&mut self, step: &Step, stage: Stage, task_variables: &mut BTreeMap<String, String>) {
        let mark = self.log.mark();
        self.variables.set("Agent.JobStatus", &self.status.to_string(), false, false);
        self.variables.recalculate();
        let mut running = StageRun::new(step, stage, task_variables);
        if self.job.cancel.as_ref().is_some_and(|cancel| cancel.line.is_none() && running.is_of(cancel)) {
            self.cancel();
        }
        match self.condition_holds(&running) {
            Ok(true) => self.run_action(&mut running),
            Ok(false) => {
                self.log.write(format!("Skipping step due to condition evaluation: {}", running.title()));
                running.result = Some(Status::Skipped);
            }
            Err(why) => {
                self.log.write(format!("##[error]{why}"));
                running.result = Some(Status::Failed);
            }
        }
        let status = running.result.unwrap_or(Status::Succeeded);
        // Only these two change the job's status; a cancel changed it when it came.
        if matches!(status, Status::SucceededWithIssues | Status::Failed) {
            self.set_status(self.status.merge(status));
        }
        self.steps.push(StepResult {
            name: step.name.clone(),
            display_name: running.title(),
            stage,
            status,
            log: self.log.since(mark),
            issues: running
                .issues
                .iter()
                .map(|(kind, text)| Issue { kind: kind.clone(), text: self.log.masked(text) })
                .collect(),
        });
    }

    /// Whether the stage is to run, by the job's status now.
    pub(super) fn condition_holds(&self, running: &StageRun<'_>) -> Result<bool, String> {
        if running.stage == Stage::Post {
            return Ok(true);
        }
        let moment = Moment { status: self.status, variables: &self.variables };
        holds(running.step.condition.as_ref(), &moment)
    }

    /// `StepsRunner.RunStepAsync`.
    fn run_action(&mut self, running: &mut StageRun<'_>) {
        self.log.write(format!("##[section]Starting: {}", running.title()));
        running.deadline =
            running.step.timeout.map(|minutes| Instant::now() + self.job.minute.mul_f64(minutes));
        let done = match &running.step.action {
            Action::Script { .. } => script::run(self, running),
            Action::Checkout => Ok(()),
            Action::Task { reference, .. } => match reference.as_str() {
                cache::REFERENCE => cache::run(self, running),
                azure_cli::REFERENCE => azure_cli::run(self, running),
                _ => node_task::run(self, running),
            },
        };
        if let Err(failure) = done {
            let status = match failure {
                Failure::Failed(why) => {
                    self.log.write(format!("##[error]{why}"));
                    Status::Failed
                }
                Failure::TimedOut => {
                    self.log.write("##[error]The task has timed out.");
                    Status::Failed
                }
                Failure::Canceled => {
                    self.log.write("##[error]The operation was canceled.");
                    Status::Canceled
                }
                Failure::Skipped(why) => {
                    self.log.write(why);
                    Status::Skipped
                }
            };
            running.result = Some(status);
        }
        // What logging commands made of the step comes on top.
        if let Some(command_result) = running.command_result {
            running.result =
                Some(running.result.map_or(command_result, |result| result.merge(command_result)));
        }
        if running.result == Some(Status::Failed) && running.step.continue_on_error {
            running.result = Some(Status::SucceededWithIssues);
        }
        self.log.write(format!("##[section]Finishing: {}", running.title()));
    }

    /// A user cancels the job, which has that status at once.
    pub(super) fn cancel(&mut self) {
        self.cancelled_at.get_or_insert_with(Instant::now);
        self.set_status(Status::Canceled);
    }

    /// Whether the time after a cancel is over [?].
    pub(super) fn is_out_of_time(&self) -> bool {
        let minutes = self.job.pipeline.cancel_timeout.unwrap_or(CANCEL_TIMEOUT);
        let timeout = self.job.cancel_timeout.unwrap_or(Duration::from_secs(60).mul_f64(minutes));
        self.cancelled_at.is_some_and(|at| at.elapsed() >= timeout)
    }

    fn set_status(&mut self, status: Status) {
        self.status = status;
        self.variables.set("Agent.JobStatus", &status.to_string(), false, false);
    }
}

impl Job<'_> {
    /// Whether the run gets the secrets of its pipeline.
    pub(super) fn gets_secrets(&self) -> bool {
        self.forks_get_secrets || !self.event.is_fork()
    }
}

/// The job's token, another one in each job.
fn access_token() -> String {
    let token = format!("job-token-{}", super::cache::guid());
    crate::capture::secret("azure-job", &token);
    token
}
