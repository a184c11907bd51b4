//! How jobs with `cache` are moved.

use crate::command::init::draft::Draft;

/// How a job that keeps caches is moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::command::init) struct JobPlan {
    /// Which field of the file.
    pub(in crate::command::init) job: usize,
    pub(in crate::command::init) draft: Draft,
    /// Whether the job only restores.
    pub(in crate::command::init) is_consumer: bool,
}

impl JobPlan {
    /// What will be different, beside what holds for every cache.
    pub(in crate::command::init) fn differences() -> Vec<String> {
        vec![
            "an entry is never replaced: where the key did not change until now, it ends in the commit, and the newest entry is \
             restored"
                .to_owned(),
        ]
    }

    /// What is left to do in the pipelines.
    pub(in crate::command::init) fn to_do() -> Vec<String> {
        vec![
            "before you use the pipeline, name a store that outlives its jobs: `CACHEKEEP_STORE` in the settings of CI/CD, or \
             `store` in cachekeep.toml (docs/gitlab.md)"
                .to_owned(),
        ]
    }
}
