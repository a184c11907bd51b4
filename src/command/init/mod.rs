//! `init`: caches that other programs keep in workflows and pipelines, and a proposal that moves them.
//!
//! [`survey`] reads the files and asks the finder of each CI for caches, with a plan or a refusal for each. [`propose`] names the
//! caches, writes the configuration, changes the files by ranges of bytes, and has `check` read the result: what would have an
//! error is left alone. Nothing is written unless that was asked for, and then all files or none.

mod azure;
mod candidate;
mod draft;
mod edit;
mod found;
mod github;
mod gitlab;
mod input;
mod propose;
mod starter;
mod survey;
#[cfg(test)]
mod tests;
mod translate;

pub(crate) use input::InitInput;

use std::path::{Path, PathBuf};

use super::check::Configuration;
use crate::config;
use crate::domain::fault::Fault;
use crate::domain::proposal::{InitOutcome, ProposedFile};
use crate::fs::open::Links;
use crate::fs::{read, together};
use propose::{Changed, Proposal};

/// Upper bound for the configuration, in bytes.
const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// Finds caches that other programs keep, and proposes or writes files that move them.
///
/// # Errors
/// The configuration has errors, or the files cannot be written; then none is.
pub(crate) fn init(input: &InitInput<'_>) -> Result<InitOutcome, Fault> {
    let path = input.workspace.join(config::DISCOVERY);
    let existing = match input.configuration {
        Configuration::Absent => None,
        Configuration::Usable(..) => Some(read::text(&path, Links::Followed, MAX_CONFIG_BYTES)?),
        Configuration::Wrong(_) => {
            return Err(Fault::usage(format!(
                "`{}` has errors, and nothing can be added to it",
                config::DISCOVERY
            ))
            .with_hint("run `cachekeep check`, and correct what it finds".to_owned()));
        }
    };
    let files = survey::survey(input.workspace);
    let mut proposal = propose::propose(input, existing.as_deref(), files);
    if proposal.outcome.moved.is_empty() && proposal.outcome.left.is_empty() {
        start(input, existing.is_some(), &mut proposal);
    } else if existing.is_some()
        && proposal.changed.iter().any(|file| file.path == Path::new(config::DISCOVERY))
    {
        proposal
            .outcome
            .notes
            .insert(0, format!("`{}` is there: caches are added at its end", config::DISCOVERY));
    }
    if input.writes && !proposal.changed.is_empty() {
        write(input, &proposal.changed)?;
        proposal.outcome.is_written = true;
    }
    proposal.outcome.files = proposal.changed.iter().map(Changed::shown).collect();
    Ok(proposal.outcome)
}

/// What is proposed where no cache was found.
fn start(input: &InitInput<'_>, has_config: bool, proposal: &mut Proposal) {
    let notes = &mut proposal.outcome.notes;
    notes.push(format!("no cache of another program was found in `{}`", input.workspace.display()));
    if has_config {
        notes.push(format!("`{}` is there, and stays as it is", config::DISCOVERY));
    } else if input.starter {
        let text = starter::text(input.workspace);
        notes.extend(starter::NEXT.map(str::to_owned));
        proposal.changed.push(Changed {
            path: PathBuf::from(config::DISCOVERY),
            before: None,
            after: text,
            has_mark: false,
        });
    } else {
        notes.push(
            "`cachekeep init --starter` proposes a configuration for the lock files that are here".to_owned(),
        );
    }
}

/// Writes all files, or none. A file that has changed since it was read is not replaced.
fn write(input: &InitInput<'_>, changed: &[Changed]) -> Result<(), Fault> {
    let files: Vec<together::NewFile> = changed
        .iter()
        .map(|file| together::NewFile {
            path: input.workspace.join(&file.path),
            before: file.before.as_ref().map(|text| file.bytes(text)),
            after: file.bytes(&file.after),
        })
        .collect();
    together::write(&files, input.now)
}

impl Changed {
    fn bytes(&self, text: &str) -> Vec<u8> {
        let mark = if self.has_mark { "\u{feff}" } else { "" };
        [mark, text].concat().into_bytes()
    }

    fn shown(&self) -> ProposedFile {
        let name = self.path.to_string_lossy().replace('\\', "/");
        let (from, to) = (
            if self.before.is_some() { format!("a/{name}") } else { "/dev/null".to_owned() },
            format!("b/{name}"),
        );
        let before = self.before.as_deref().unwrap_or_default();
        let diff = similar::TextDiff::from_lines(before, self.after.as_str())
            .unified_diff()
            .context_radius(3)
            .header(&from, &to)
            .to_string();
        ProposedFile { path: self.path.clone(), is_new: self.before.is_none(), diff }
    }
}
