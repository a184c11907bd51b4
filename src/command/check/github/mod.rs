//! What cannot work in a workflow of GitHub Actions, or will not do what was intended.

mod keys;
mod pairs;
mod rights;
mod saved;
mod scene;
mod steps;

pub(crate) use saved::SavedCaches;
pub(crate) use scene::ActionFacts;
use scene::Scene;

use super::problem::{Problem, Problems};
use crate::command::pipelines::workflow;
use crate::command::pipelines::yaml::Node;
use crate::domain::spec::Spec;

/// Checks a workflow; `None` if the document is not one. Without a usable configuration what depends on it is left out. `saved` is what
/// the workflows of the checkout save.
pub(super) fn check(
    root: &Node,
    spec: Option<&Spec>,
    action: &ActionFacts,
    saved: &SavedCaches,
) -> Option<Vec<Problem>> {
    let workflow = workflow::read(root)?;
    let mut problems = Problems::default();
    for job in &workflow.jobs {
        let scene = Scene { workflow: &workflow, job, spec, action, saved };
        let before = problems.0.len();
        steps::check_inputs(&scene, &mut problems);
        if problems.0.len() > before {
            continue;
        }
        steps::check(&scene, &mut problems);
        keys::check(&scene, &mut problems);
        rights::check(&scene, &mut problems);
        pairs::check(&scene, &mut problems);
    }
    Some(problems.0)
}
