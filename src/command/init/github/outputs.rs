//! Who reads the outputs of a step.

use crate::command::pipelines::workflow::Job;

/// How the outputs of a step are read in its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readers {
    /// Not at all.
    None,
    /// `cache-hit` is compared with `true`.
    ComparedWithTrue,
    /// In another way, which needs the values that actions/cache gives.
    Others,
}

/// How the outputs of the step with this id are read.
pub(super) fn readers(job: &Job<'_>, id: &str) -> Readers {
    let start = format!("steps.{id}.outputs");
    let mut found = Readers::None;
    for text in job.texts() {
        for (at, _) in text.text.match_indices(&start) {
            let behind = &text.text[at + start.len()..];
            let is_negated = text.text[..at].trim_end().ends_with('!');
            if is_negated || !is_compared_with_true(behind) {
                return Readers::Others;
            }
            found = Readers::ComparedWithTrue;
        }
        if text.text.contains(&format!("steps['{id}']")) {
            return Readers::Others;
        }
    }
    found
}

fn is_compared_with_true(behind: &str) -> bool {
    let Some(rest) = behind.strip_prefix(".cache-hit") else { return false };
    let rest = rest.trim_start();
    let Some(value) = rest.strip_prefix("!=").or_else(|| rest.strip_prefix("==")) else { return false };
    value.trim_start().starts_with("'true'")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::pipelines::{workflow, yaml};

    #[track_caller]
    fn check(uses: &str, expected: Readers) {
        let text = format!("on: push\njobs:\n  a:\n    steps:\n      - {{ id: x, uses: a/b@v1 }}\n{uses}");
        let root = yaml::read(&text).expect("YAML").expect("a document");
        let workflow = workflow::read(&root).expect("a workflow");
        assert_eq!(readers(&workflow.jobs[0], "x"), expected, "{uses}");
    }

    #[test]
    fn only_a_comparison_with_true_is_the_same_everywhere() {
        use Readers::{ComparedWithTrue, None, Others};
        check("", None);
        check("      - if: steps.x.outcome == 'success'\n", None);
        check("      - if: steps.xy.outputs.cache-hit == ''\n", None);
        check("      - if: steps.x.outputs.cache-hit != 'true'\n", ComparedWithTrue);
        check("      - if: ${{ steps.x.outputs.cache-hit == 'true' && always() }}\n", ComparedWithTrue);
        check("      - if: steps.x.outputs.cache-hit == 'false'\n", Others);
        check("      - if: steps.x.outputs.cache-hit == ''\n", Others);
        check("      - if: ${{ !steps.x.outputs.cache-hit }}\n", Others);
        check("      - if: steps.x.outputs.cache-hit\n", Others);
        check("      - run: echo ${{ steps.x.outputs.cache-matched-key }}\n", Others);
        check("      - run: echo ${{ steps['x'].outputs.cache-hit }}\n", Others);
        check("    outputs:\n      hit: ${{ steps.x.outputs.cache-hit }}\n", Others);
    }
}
