//! Rules of a configuration beyond its shape: across caches here, for single fields in the modules below.

pub(super) mod globs;
pub(super) mod keys;
pub(super) mod layers;
pub(super) mod names;
pub(super) mod paths;
pub(super) mod sources;

use std::collections::BTreeMap;

use super::draft::Draft;
use super::findings::Findings;

/// The rules across caches.
pub(super) fn across(drafts: &[Draft], findings: &mut Findings<'_>) {
    let mut ordered: Vec<&Draft> = drafts.iter().collect();
    ordered.sort_by_key(|draft| draft.name.start);
    let mut names: BTreeMap<String, &str> = BTreeMap::new();
    let mut variables: BTreeMap<String, &str> = BTreeMap::new();
    for draft in ordered.iter().copied() {
        let name = draft.spec.name.as_str();
        if let Some(other) = names.insert(name.to_lowercase(), name) {
            findings
                .error(&draft.name, format!("the caches `{other}` and `{name}` differ only in case"))
                .with_hint("rename one: on macOS and Windows they would share a directory");
        }
        for variable in &draft.export {
            if let Some(other) = variables.insert(variable.value.to_lowercase(), name) {
                findings
                    .error(&variable.place, format!("`{}` is already exported by `{other}`", variable.value))
                    .with_hint("export it from one cache only");
            }
        }
    }
    paths::overlaps(&ordered, findings);
}
