//! The content links that the checkout has for a configuration.

use std::path::Path;

use tokio_util::sync::CancellationToken;

use crate::domain::finding::{Finding, Severity};
use crate::domain::spec::{CacheSpec, Spec};
use crate::inputs::globs::TreeGlob;
use crate::inputs::links;

/// Caches whose links cannot be read, and caches that no file of the checkout is a link of.
pub(super) fn check(workspace: &Path, spec: &Spec) -> Vec<Finding> {
    spec.caches.iter().filter_map(|cache| of_cache(workspace, cache)).collect()
}

fn of_cache(workspace: &Path, cache: &CacheSpec) -> Option<Finding> {
    let wanted_by = cache.links.as_ref()?;
    let globs = TreeGlob::new(&wanted_by.files).ok()?;
    let finding = |rule, severity, message, hint: String| {
        let location = wanted_by.place.clone();
        Some(Finding { rule, severity, message, hint: Some(hint), location })
    };
    match links::wanted_objects(workspace, &globs, &[], 0, &CancellationToken::new()) {
        Ok((wanted, _)) if !wanted.is_empty() => None,
        Ok(_) => finding(
            "links-without-file",
            Severity::Warning,
            format!(
                "no file of the checkout matches `{}`: `{}` wants nothing, and its gate always passes",
                wanted_by.files.join(", "),
                cache.name
            ),
            "correct `files`, which counts from the workspace, or check out what holds the links".to_owned(),
        ),
        Err(error) => {
            // The list of the error, in one line.
            let text = error.to_string().replacen(":\n  ", ": ", 1).replace("\n  ", "; ");
            let hint = error.hint().unwrap_or_else(|| "let this user read the checkout".to_owned());
            finding("malformed-link", Severity::Error, format!("`{}`: {text}", cache.name), hint)
        }
    }
}
