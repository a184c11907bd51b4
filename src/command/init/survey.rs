//! The files of a checkout that may keep caches, and the caches in them.

use std::path::{Path, PathBuf};

use super::candidate::{Candidate, Refusal};
use super::found::{Found, Plan};
use super::{azure, github, gitlab};
use crate::command::pipelines::{find, yaml};
use crate::domain::finding::Location;
use crate::fs::read;

/// Upper bound for workflows and pipelines, in bytes.
const MAX_BYTES: u64 = 4 << 20;

/// A workflow or pipeline that keeps caches.
#[derive(Debug)]
pub(super) struct Surveyed {
    /// Relative to the checkout.
    pub(super) path: PathBuf,
    pub(super) text: String,
    /// Whether a byte order mark stands before the text.
    pub(super) has_mark: bool,
    pub(super) found: Vec<Found>,
}

/// The files with caches that other programs keep, sorted. What cannot be read is left out.
pub(super) fn survey(workspace: &Path) -> Vec<Surveyed> {
    let paths = find::files(workspace, &[find::ACTIONS]);
    paths
        .iter()
        .filter_map(|path| {
            // What a link leads to belongs to others.
            let bytes = read::read_regular(path, MAX_BYTES).ok()?;
            let text = String::from_utf8(bytes).ok()?;
            let (text, has_mark) = match text.strip_prefix('\u{feff}') {
                Some(text) => (text.to_owned(), true),
                None => (text, false),
            };
            let found = look(&text, path.ends_with(gitlab::FILE));
            let path = path.strip_prefix(workspace).unwrap_or(path).to_owned();
            (!found.is_empty()).then_some(Surveyed { path, text, has_mark, found })
        })
        .collect()
}

/// The caches in a text; that of GitLab CI is known by its name.
pub(super) fn look(text: &str, is_gitlab: bool) -> Vec<Found> {
    let Ok(Some(root)) = yaml::read(text) else { return Vec::new() };
    let mut found = if is_gitlab {
        all(gitlab::find(text, &root), Plan::GitLab)
    } else if let Some(found) = github::find(text, &root) {
        all(found, Plan::GitHub)
    } else {
        all(azure::find(text, &root), Plan::Azure)
    };
    let refusal = if root.has_alias() {
        Some(Refusal::new(
            "the file has YAML aliases, through which a change in one place is a change in others",
            "write what the aliases stand for, or change the steps by hand",
        ))
    } else if let Some(second) = yaml::second_document(text) {
        let refusal =
            Refusal::new("the file has several YAML documents", "put each document into a file of its own");
        Some(refusal.at(Some(second..second)))
    } else {
        None
    };
    if let Some(refusal) = refusal {
        for found in found.iter_mut().filter(|found| found.plan.is_ok()) {
            found.plan = Err(refusal.clone());
        }
    }
    found
}

fn all<P>(found: Vec<Candidate<P>>, plan: fn(P) -> Plan) -> Vec<Found> {
    found.into_iter().map(|found| found.with(plan)).collect()
}

impl Surveyed {
    /// Where a cache stands.
    pub(super) fn location(&self, found: &Found) -> Location {
        Location::of(&self.path, &self.text, &found.place)
    }
}
