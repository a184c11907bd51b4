//! A pipeline or a template of steps: the file as it stands and the jobs in it.

use std::path::{Path, PathBuf};

use super::step::Step;
use super::template::{Repositories, expand_file, expand_text};
use super::value::Value;
use super::yaml::{Node, Refused};

/// What the server makes of a file: one job with its steps.
#[derive(Debug, Clone)]
pub struct Pipeline {
    pub(super) variables: Vec<(String, String)>,
    pub(super) steps: Vec<Step>,
    /// In minutes; the agent's default if it is not given.
    pub(super) cancel_timeout: Option<f64>,
}

/// How a file is to be expanded.
pub struct Loader {
    file: PathBuf,
    root: PathBuf,
    text: Option<String>,
    parameters: Vec<(String, Value)>,
    repositories: Repositories,
    job: Option<String>,
}

impl Pipeline {
    /// The only job of a file: a pipeline, or a template of steps with defaults for all parameters.
    pub fn load(file: &Path) -> Result<Self, Refused> {
        Pipeline::of(file).load()
    }

    /// A file that wants parameters, repositories or the name of a job.
    pub fn of(file: &Path) -> Loader {
        Loader {
            file: file.to_owned(),
            root: file.parent().unwrap_or(Path::new(".")).to_owned(),
            text: None,
            parameters: Vec::new(),
            repositories: Repositories::new(),
            job: None,
        }
    }

    /// A text that stands for a file in a directory, which templates are relative to.
    pub fn of_text(directory: &Path, text: &str) -> Loader {
        Loader { text: Some(text.to_owned()), ..Pipeline::of(&directory.join("azure-pipelines.yml")) }
    }

    /// The only job of a text.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        Pipeline::of_text(Path::new("."), text).load()
    }
}

impl Loader {
    /// Gives a parameter of the file a value, as the dialog of a run does.
    #[must_use]
    pub fn parameter(mut self, name: &str, value: &str) -> Self {
        self.parameters.push((name.to_owned(), Value::text(value)));
        self
    }

    /// The directory of the repository, for templates whose paths begin with `/`; the file's own if it is not given.
    #[must_use]
    pub fn root(mut self, root: &Path) -> Self {
        self.root = root.to_owned();
        self
    }

    /// Where the templates of another repository (`file@alias`) lie.
    #[must_use]
    pub fn repository(mut self, alias: &str, root: &Path) -> Self {
        self.repositories.insert(alias.to_owned(), root.to_owned());
        self
    }

    /// Which of several jobs is meant.
    #[must_use]
    pub fn job(mut self, name: &str) -> Self {
        self.job = Some(name.to_owned());
        self
    }

    /// Expands the file and reads the job.
    pub fn load(self) -> Result<Pipeline, Refused> {
        let (given, repositories) = (&self.parameters, &self.repositories);
        let document = match &self.text {
            Some(text) => expand_text(text, &self.file, &self.root, given, repositories)?,
            None => expand_file(&self.file, &self.root, given, repositories)?,
        };
        let mut pipeline = Pipeline { variables: Vec::new(), steps: Vec::new(), cancel_timeout: None };
        let mut jobs = None;
        for (name, value) in document.fields()? {
            match name {
                "name" | "trigger" | "pr" | "schedules" | "resources" | "pool" => {}
                "variables" => pipeline.variables.extend(variables(value)?),
                "steps" => pipeline.steps = Step::read_all(value)?,
                "jobs" => jobs = Some(value),
                other => {
                    return value.refuse(format!("the imitation does not know `{other}` of a pipeline"));
                }
            }
        }
        if let Some(jobs) = jobs {
            pipeline.read_job(choose(jobs, self.job.as_deref())?)?;
        }
        Ok(pipeline)
    }
}

impl Pipeline {
    fn read_job(&mut self, job: &Node) -> Result<(), Refused> {
        for (name, value) in job.fields()? {
            match name {
                "job" | "displayName" | "pool" | "dependsOn" | "timeoutInMinutes" => {}
                "variables" => self.variables.extend(variables(value)?),
                "steps" => self.steps = Step::read_all(value)?,
                "cancelTimeoutInMinutes" => {
                    let minutes = value.text()?.parse();
                    self.cancel_timeout = Some(minutes.or_else(|_| value.refuse("expected minutes"))?);
                }
                other => return value.refuse(format!("the imitation does not know `{other}` of a job")),
            }
        }
        Ok(())
    }
}

/// The job of a name, or the only one.
fn choose<'a>(jobs: &'a Node, wanted: Option<&str>) -> Result<&'a Node, Refused> {
    let items = jobs.items()?;
    let Some(wanted) = wanted else {
        return match items {
            [job] => Ok(job),
            _ => jobs.refuse(format!("there are {} jobs; say which", items.len())),
        };
    };
    for job in items {
        if job.get("job")?.map(Node::text).transpose()? == Some(wanted) {
            return Ok(job);
        }
    }
    jobs.refuse(format!("there is no job `{wanted}`"))
}

/// Variables as a mapping, or as a sequence of names and values.
fn variables(node: &Node) -> Result<Vec<(String, String)>, Refused> {
    if let Ok(fields) = node.fields() {
        return fields
            .into_iter()
            .map(|(name, value)| Ok((name.to_owned(), value.text()?.to_owned())))
            .collect();
    }
    let mut found = Vec::new();
    for item in node.items()? {
        let (mut name, mut text) = (None, None);
        for (field, value) in item.fields()? {
            match field {
                "name" => name = Some(value.text()?),
                "value" => text = Some(value.text()?),
                other => return value.refuse(format!("the imitation does not know `{other}` of a variable")),
            }
        }
        match (name, text) {
            (Some(name), Some(text)) => found.push((name.to_owned(), text.to_owned())),
            _ => return item.refuse("a variable has a name and a value"),
        }
    }
    Ok(found)
}
