//! Rules of the stores around the store: `fallback` and `front`.

use std::path::PathBuf;

use crate::config::file::File;
use crate::config::findings::{Findings, Text};
use crate::config::location::parse_store;
use crate::domain::spec::StoreLocation;

/// The fallback and the front of a file.
pub(in crate::config) fn layers(
    file: &File,
    findings: &mut Findings<'_>,
) -> (Option<StoreLocation>, Option<PathBuf>) {
    let store = file.store.as_ref().and_then(|text| parse_store(text.get_ref()).ok());
    let fallback = file.fallback.as_ref().and_then(|text| fallback(text, store.as_ref(), findings));
    let front = file.front.as_ref().and_then(|text| front(text, store.as_ref(), findings));
    if let (Some(StoreLocation::Directory(fallback)), Some(front), Some(text)) =
        (&fallback, &front, &file.front)
        && fallback == front
    {
        findings
            .error(&text.span(), "`front` and `fallback` are one directory")
            .with_hint("remove `fallback`: a front answers where the store does not");
    }
    (fallback, front)
}

fn fallback(
    text: &Text,
    store: Option<&StoreLocation>,
    findings: &mut Findings<'_>,
) -> Option<StoreLocation> {
    let location = parsed(text, findings)?;
    if location == StoreLocation::Auto {
        let finding = findings.error(&text.span(), "`auto` is not a fallback");
        finding.with_hint("name the store: `github`, a directory or an object service");
        return None;
    }
    if Some(&location) == store {
        let finding = findings.error(&text.span(), "`fallback` is the store itself");
        finding.with_hint("name another store, or remove `fallback`");
        return None;
    }
    Some(location)
}

fn front(text: &Text, store: Option<&StoreLocation>, findings: &mut Findings<'_>) -> Option<PathBuf> {
    let StoreLocation::Directory(path) = parsed(text, findings)? else {
        let finding = findings.error(&text.span(), "`front` is not a directory");
        finding.with_hint("write `file:///` and an absolute path on the machine of the job");
        return None;
    };
    if let Some(StoreLocation::Directory(_)) = store {
        let finding = findings.warning(&text.span(), "`front` has no effect: the store is a directory");
        finding.with_hint("remove `front`; it keeps copies of a store elsewhere");
    }
    Some(path)
}

fn parsed(text: &Text, findings: &mut Findings<'_>) -> Option<StoreLocation> {
    match parse_store(text.get_ref()) {
        Ok(location) => Some(location),
        Err((message, hint)) => {
            findings.error(&text.span(), message).with_hint(hint);
            None
        }
    }
}
