//! What the checkout has for a configuration: content links, and files that keys depend on.

use std::path::Path;

use tokio_util::sync::CancellationToken;

use crate::domain::finding::{Finding, Severity};
use crate::domain::spec::{CacheSpec, SavePolicy, Spec};
use crate::domain::template::Placeholder;
use crate::inputs::globs::TreeGlob;
use crate::inputs::links;

/// Caches whose links cannot be read, caches that no file of the checkout is a link of, and keys that depend on no file or on
/// nothing.
pub(super) fn check(workspace: &Path, spec: &Spec) -> Vec<Finding> {
    let of_cache = |cache| {
        let keys = files_of_key(workspace, cache);
        let of_key = frozen_key(cache).into_iter().chain(saved_for_good(cache));
        links_of(workspace, cache).into_iter().chain(keys).chain(of_key).collect::<Vec<_>>()
    };
    spec.caches.iter().flat_map(of_cache).collect()
}

fn warning(rule: &'static str, message: String, hint: &str) -> Finding {
    Finding { rule, severity: Severity::Warning, message, hint: Some(hint.to_owned()), location: None }
}

/// Globs in a key that match nothing: the key cannot be computed, and the cache is skipped.
fn files_of_key(workspace: &Path, cache: &CacheSpec) -> Vec<Finding> {
    let without_file = |placeholder: &Placeholder| {
        let Placeholder::Files(globs) = placeholder else { return None };
        let found = TreeGlob::new(globs).ok()?.files(workspace, &[], 0, &CancellationToken::new()).ok()?;
        let message = format!(
            "no file of the checkout matches `{placeholder}` in the key of `{}`: it is skipped",
            cache.name
        );
        found.files.is_empty().then(|| {
            warning(
                "key-without-file",
                message,
                "correct the glob, which counts from the workspace, or check out what it means",
            )
        })
    };
    cache.key.placeholders().filter_map(without_file).collect()
}

/// A key that stays the same while the cache changes, as builds change what has restore keys or is a tool's.
fn frozen_key(cache: &CacheSpec) -> Option<Finding> {
    let changes = |placeholder: &Placeholder| {
        !matches!(
            placeholder,
            Placeholder::Os
                | Placeholder::Arch
                | Placeholder::Workspace
                | Placeholder::Home
                | Placeholder::Temp
        )
    };
    let is_of_builds = cache.kind.is_some() || !cache.restore_keys.is_empty();
    if !is_of_builds || cache.links.is_some() || cache.key.placeholders().any(changes) {
        return None;
    }
    Some(warning(
        "frozen-key",
        format!(
            "the key of `{}` never changes, and an entry cannot be replaced: the first save is the last",
            cache.name
        ),
        "end the key with what changes, such as `{sha}` or `{files:…}`, and keep the rest as a restore key",
    ))
}

/// What a failed job left, under a key of which there is one entry.
fn saved_for_good(cache: &CacheSpec) -> Option<Finding> {
    // The gate keeps half of the objects of links from being saved.
    let is_half_saved =
        cache.save == SavePolicy::Always && !cache.has_key_of_each_run() && cache.links.is_none();
    is_half_saved.then(|| {
        warning(
            "always-under-one-key",
            format!(
                "`{}` is saved after a failure, too, and its key stays: what a failed job left is never replaced",
                cache.name
            ),
            "end the key with `{sha}` and keep the rest as a restore key, or save after success only",
        )
    })
}

fn links_of(workspace: &Path, cache: &CacheSpec) -> Option<Finding> {
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
