//! One stage of a step while it runs: what its lines do, and what its programs see (`ExecutionContext`, `Handler`,
//! `TaskCommandExtension`).

use std::collections::BTreeMap;
use std::process::Command as Program;
use std::time::Instant;

use super::commands::{Command, Reading};
use super::job::Cancel;
use super::log::write_line;
use super::outcome::Stage;
use super::process::{Ended, Input, Wish, run};
use super::runner::Runner;
use super::status::Status;
use super::step::Step;
use super::variables::env_name;

/// How a stage ends other than well.
pub(super) enum Failure {
    Failed(String),
    Canceled,
    TimedOut,
    Skipped(String),
}

impl Failure {
    pub(super) fn failed<T>(why: impl Into<String>) -> Result<T, Failure> {
        Err(Failure::Failed(why.into()))
    }
}

/// A stage that runs.
pub(super) struct StageRun<'a> {
    pub step: &'a Step,
    pub stage: Stage,
    pub deadline: Option<Instant>,
    pub result: Option<Status>,
    /// What logging commands made of it.
    pub command_result: Option<Status>,
    pub issues: Vec<(String, String)>,
    /// Shared by the stages of one step, and by nothing else (`ExecutionContext.TaskVariables`).
    pub task_variables: &'a mut BTreeMap<String, String>,
    /// `outputVariables` of the task's definition.
    pub declared_outputs: Vec<String>,
    is_cancelled: bool,
}

impl<'a> StageRun<'a> {
    pub(super) fn new(
        step: &'a Step,
        stage: Stage,
        task_variables: &'a mut BTreeMap<String, String>,
    ) -> Self {
        StageRun {
            step,
            stage,
            deadline: None,
            result: None,
            command_result: None,
            issues: Vec::new(),
            task_variables,
            declared_outputs: Vec::new(),
            is_cancelled: false,
        }
    }

    pub(super) fn title(&self) -> String {
        match self.stage {
            Stage::Main => self.step.display_name.clone(),
            Stage::Post => format!("Post-job: {}", self.step.display_name),
        }
    }

    pub(super) fn is_of(&self, cancel: &Cancel) -> bool {
        self.step.name == cancel.step && self.stage == cancel.stage
    }
}

impl Runner<'_> {
    /// A text of the step with macros replaced and without space around it, as inputs and `env:` are (`TaskRunner.RunAsync`,
    /// in each stage anew).
    pub(super) fn expand(&self, text: &str) -> String {
        self.variables.expand(text.trim(), &self.job.agent_env)
    }

    /// The step's `env:`.
    pub(super) fn step_env(&self, running: &StageRun<'_>) -> BTreeMap<String, String> {
        running.step.env.iter().map(|(name, value)| (name.clone(), self.expand(value))).collect()
    }

    /// What a script or a task sees beside its own: the agent's environment, `env:`, and the public variables, which win over
    /// `env:` (`Handler.AddVariablesToEnvironment`).
    pub(super) fn full_env(&self, running: &StageRun<'_>) -> BTreeMap<String, String> {
        let mut env = self.step_env(running);
        for (name, value) in self.variables.public() {
            if name.eq_ignore_ascii_case("Agent.JobStatus") {
                env.insert(name.to_owned(), value.to_owned());
            }
            env.insert(env_name(name), value.to_owned());
        }
        self.with_agent_env(env)
    }

    /// The agent's environment below, and the prepended path on top (`Handler.AddPrependPathToEnvironment`).
    pub(super) fn with_agent_env(&self, own: BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut env = self.job.agent_env.clone();
        env.extend(own);
        if !self.prepended.is_empty() {
            let base = self.variables.get("PATH").or(env.get("PATH").map(String::as_str)).unwrap_or_default();
            let mut parts: Vec<&str> = self.prepended.iter().rev().map(String::as_str).collect();
            parts.push(base);
            let path = parts.join(":");
            env.insert("PATH".to_owned(), path);
        }
        env
    }

    /// Runs a program of the stage. Its lines are the step's lines.
    pub(super) fn run_program(
        &mut self,
        running: &mut StageRun<'_>,
        program: &mut Program,
    ) -> Result<i32, Failure> {
        self.run_reading(running, program, None)
    }

    /// The same with something to read.
    pub(super) fn run_with_input(
        &mut self,
        running: &mut StageRun<'_>,
        program: &mut Program,
        input: impl std::io::Read + Send + 'static,
    ) -> Result<i32, Failure> {
        self.run_reading(running, program, Some(Box::new(input)))
    }

    fn run_reading(
        &mut self,
        running: &mut StageRun<'_>,
        program: &mut Program,
        input: Input,
    ) -> Result<i32, Failure> {
        let (deadline, patience) = (running.deadline, self.job.patience);
        let mut groups = Vec::new();
        let ended = run(program, input, deadline, patience, &mut groups, |line| {
            if let Some(line) = line {
                self.line(running, line);
            }
            self.wish(running)
        });
        self.groups.append(&mut groups);
        match ended {
            Ok(Ended::Exited(code)) => Ok(code),
            Ok(Ended::Canceled) => Err(Failure::Canceled),
            Ok(Ended::TimedOut) => Err(Failure::TimedOut),
            Err(error) => {
                Failure::failed(format!("cannot start {}: {error}", program.get_program().to_string_lossy()))
            }
        }
    }

    /// Whether the stage may go on.
    fn wish(&self, running: &StageRun<'_>) -> Wish {
        match (self.is_out_of_time(), running.is_cancelled) {
            (true, _) => Wish::Kill,
            (false, true) => Wish::Cancel,
            (false, false) => Wish::GoOn,
        }
    }

    /// A line that the stage printed.
    pub(super) fn line(&mut self, running: &mut StageRun<'_>, line: &str) {
        match Command::read(line) {
            Reading::Command(command) => {
                if let Err(why) = self.obey(running, &command) {
                    self.log
                        .write(format!("##[error]Unable to process command '{line}' successfully. {why}"));
                    running.command_result = Some(Status::Failed);
                }
            }
            reading => write_line(&mut self.log, line, &reading),
        }
        let cancel = self.job.cancel.as_ref().filter(|cancel| running.is_of(cancel));
        if cancel.and_then(|cancel| cancel.line.as_deref()).is_some_and(|text| line.contains(text)) {
            self.cancel();
            // `StepsRunner`: the step goes on if its condition holds for a cancelled job, as `always()` does.
            running.is_cancelled |= !self.condition_holds(running).unwrap_or(false);
        }
    }

    /// `TaskCommandExtension`. A command of another area is reported, an unknown one of `task` fails the step.
    fn obey(&mut self, running: &mut StageRun<'_>, command: &Command) -> Result<(), String> {
        if command.area != "task" {
            let known = ["artifact", "build", "codecoverage", "plugin", "release", "results", "telemetry"];
            assert!(
                !known.contains(&command.area.as_str()),
                "the imitation of the agent does not know commands of `{}`",
                command.area
            );
            self.log.write(format!(
                "##[warning]Can't find command extension for ##vso[{}.command].",
                command.area
            ));
            return Ok(());
        }
        match command.event.as_str() {
            "setvariable" => self.set_variable(running, command)?,
            "settaskvariable" => {
                let name = command.property("variable").ok_or("Required field 'variable' is missing")?;
                if command.is_true("isSecret") {
                    self.log.hide(&command.data);
                }
                running.task_variables.insert(env_name(name), command.data.clone());
            }
            "setsecret" if command.data.is_empty() => return Err("the secret is empty".to_owned()),
            "setsecret" => self.log.hide(&command.data),
            "prependpath" if command.data.is_empty() => return Err("the path is empty".to_owned()),
            "prependpath" => {
                self.prepended.retain(|known| *known != command.data);
                self.prepended.push(command.data.clone());
            }
            "logissue" | "issue" => self.log_issue(running, command)?,
            "complete" => {
                let word = command.property("result").unwrap_or_default();
                let status = Status::parse(word).ok_or("Command doesn't have valid result value.")?;
                running.result = Some(running.result.map_or(status, |result| result.merge(status)));
            }
            "uploadsummary" => {
                let summary = std::fs::read_to_string(&command.data)
                    .map_err(|error| format!("cannot upload the summary `{}`: {error}", command.data))?;
                self.summaries.push(self.log.masked(&summary));
            }
            "setprogress" => {
                let value = command.property("value").unwrap_or_default();
                value.parse::<u8>().map_err(|_| format!("`{value}` is not a progress"))?;
                self.progress.push((running.step.name.clone(), format!("{value} {}", command.data)));
            }
            // It is shown in runs with `system.debug` alone.
            "debug" => {}
            "logdetail" | "addattachment" | "uploadfile" | "setendpoint" => {
                panic!("the imitation of the agent does not know `task.{}`", command.event)
            }
            other => {
                return Err(format!(
                    "##vso[task.{other}] is not a recognized command for Task command extension."
                ));
            }
        }
        Ok(())
    }

    /// `TaskSetVariableCommand`, `ExecutionContext.SetVariable`.
    fn set_variable(&mut self, running: &StageRun<'_>, command: &Command) -> Result<(), String> {
        let name = command
            .property("variable")
            .ok_or("Required field 'variable' is missing in ##vso[task.setvariable] command.")?;
        let value = &command.data;
        let is_secret = command.is_true("isSecret");
        if is_secret && value.contains(['\r', '\n']) {
            return Err("Secrets cannot contain multiple lines".to_owned());
        }
        let is_declared = running.declared_outputs.iter().any(|known| known.eq_ignore_ascii_case(name));
        let is_output = command.is_true("isOutput") || is_declared;
        let full = if is_output { format!("{}.{name}", running.step.name) } else { name.to_owned() };
        let is_read_only = command.is_true("isOutput") || command.is_true("isReadOnly");
        if is_secret {
            self.log.hide(value);
        }
        if self.variables.set(&full, value, is_secret, is_read_only) {
            self.log.write(format!("##[warning]Overwriting readonly variable '{full}'. This behavior will be disabled in the future."));
        }
        if is_output && !is_secret {
            self.outputs.insert(full, value.clone());
        }
        Ok(())
    }

    fn log_issue(&mut self, running: &mut StageRun<'_>, command: &Command) -> Result<(), String> {
        let kind = command.property("type").unwrap_or_default().to_lowercase();
        if !matches!(kind.as_str(), "error" | "warning") {
            return Err(format!("issue type {kind} is not an expected issue type."));
        }
        self.log.write(format!("##[{kind}]{}", command.data));
        running.issues.push((kind, command.data.clone()));
        Ok(())
    }
}
