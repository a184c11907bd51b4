//! The parameters of `azure-task/restore.yml` and `azure-task/save.yml` that no command has, and the variables between their steps.

use std::path::PathBuf;

use super::inputs;
use crate::command::wrapped::NESTED;
use crate::command::wrapped::task::WrappedPlan;
use crate::domain::cache_task::TaskHit;
use crate::domain::fault::Fault;
use crate::platform::Env;
use crate::tree::plain_files::Metadata;

/// What the template's own parameters say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    /// What the names of its variables start with.
    pub(super) prefix: String,
    /// Which way archives go.
    pub(super) transport: Transport,
    /// What `Cache@2` keeps of a tree: its format.
    pub(super) metadata: Metadata,
    /// Where `Cache@2` is to write its archives.
    pub(super) staging: Option<PathBuf>,
}

/// Which way archives go between this machine and where they are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    /// To the store, or with `Cache@2` where there is none that this job can use.
    Auto,
    /// To the store.
    Native,
    /// With `Cache@2`.
    Wrapped,
}

impl Template {
    /// Reads the parameters, in a job of Azure Pipelines.
    pub(super) fn read(env: &Env) -> Result<Self, Fault> {
        let value = |input| inputs::value_of(env, input);
        let refused = |input: &str, value: &str, words: &str| {
            Fault::usage(format!(
                "the parameter `{input}` cannot be `{}`; it is {words}",
                value.escape_debug()
            ))
        };
        let prefix = value("prefix").unwrap_or("CACHEKEEP");
        let is_name = prefix.starts_with(|c: char| c.is_ascii_uppercase())
            && prefix.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
        if !is_name {
            return Err(refused(
                "prefix",
                prefix,
                "capital letters, digits and `_`, and starts with a letter",
            ));
        }
        Ok(Template {
            prefix: prefix.to_owned(),
            transport: match value("transport").unwrap_or("auto") {
                "auto" => Transport::Auto,
                "native" => Transport::Native,
                "wrapped" => Transport::Wrapped,
                other => return Err(refused("transport", other, "auto, native or wrapped")),
            },
            metadata: match value("format").unwrap_or("tar") {
                "tar" => Metadata::Kept,
                "files" => Metadata::Lost,
                other => return Err(refused("format", other, "tar or files")),
            },
            staging: value("staging-directory").map(|directory| env.current_dir.join(directory)),
        })
    }

    /// The name of a variable of this use.
    pub(super) fn variable(&self, name: &str) -> String {
        format!("{}_{name}", self.prefix)
    }

    /// What the first step planned, if the task is to move archives.
    pub(super) fn plan(&self, env: &Env) -> Option<WrappedPlan> {
        serde_json::from_str(env.var(&self.variable("PLAN"))?).ok()
    }

    /// What the task says about each slot.
    pub(super) fn hits(&self, env: &Env) -> Vec<Option<TaskHit>> {
        let hit = |slot| env.var(&self.variable(&format!("HIT_{slot}")))?.parse().ok();
        (0..NESTED).map(hit).collect()
    }
}
