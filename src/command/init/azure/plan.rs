//! How steps with `Cache@2` are moved.

use std::collections::BTreeMap;

use crate::command::init::draft::Draft;
use crate::command::pipelines::yaml::{Kind, Node};

/// The release whose templates are used.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How a step that keeps a cache is moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::command::init) struct TaskPlan {
    /// Which list of steps of the file.
    pub(in crate::command::init) list: usize,
    /// Which step of the list.
    pub(in crate::command::init) step: usize,
    pub(in crate::command::init) draft: Draft,
    /// Values of `{var.NAME}`.
    pub(in crate::command::init) vars: BTreeMap<String, String>,
}

impl TaskPlan {
    /// What will be different, beside what holds for every cache.
    pub(in crate::command::init) fn differences() -> Vec<String> {
        vec![
            "`restore.yml` stands in the place of the first cache of the job, for all of them, and `save.yml` at its end".to_owned(),
            "with a store of your own it is saved at once; else `Cache@2` moves it, after the last step of the job".to_owned(),
        ]
    }

    /// What is left to do in the pipelines.
    pub(in crate::command::init) fn to_do() -> Vec<String> {
        vec![format!(
            "before you use the pipelines, paste the lines of release.sha256 of v{} into `sums`, and name your service connection \
             to GitHub in `endpoint`",
            VERSION
        )]
    }
}

/// Every list of steps, in the order of the file.
pub(super) fn lists(root: &Node) -> Vec<&Node> {
    fn walk<'a>(node: &'a Node, found: &mut Vec<&'a Node>) {
        match &node.kind {
            Kind::Mapping(fields) => {
                for (key, value) in fields {
                    if key.text() == Some("steps") {
                        found.push(value);
                    } else {
                        walk(value, found);
                    }
                }
            }
            Kind::Sequence(items) => items.iter().for_each(|item| walk(item, found)),
            Kind::Scalar(_) | Kind::Alias => {}
        }
    }
    let mut found = Vec::new();
    walk(root, &mut found);
    found
}
