//! Which entries a command is about: `--id`, `--key`, `--prefix`, `--ref`, age and size.

use std::io;

use super::args::{FilterArgs, TypedNames};
use super::site::Site;
use crate::command::context::Context;
use crate::domain::entry::EntryId;
use crate::domain::entry_filter::{EntryFilter, EntryQuery};
use crate::domain::fault::Fault;
use crate::domain::scope::Scope;
use crate::report::stderr::print_line;
use crate::store::StoreError;
use crate::threads::start;

/// The entries that were asked for.
pub(super) fn query(site: &Site<'_>, typed: &FilterArgs) -> Result<EntryQuery, Fault> {
    let FilterArgs { ids, prefix, older_than, unused_for, larger_than, smaller_than } = typed;
    Ok(EntryQuery {
        filter: EntryFilter {
            ids: ids.iter().cloned().map(EntryId).collect(),
            key: site.typed_names.key.clone(),
            key_prefix: prefix.clone(),
            scope: scope(&site.typed_names)?,
            at_least: *larger_than,
            at_most: *smaller_than,
            ..EntryFilter::default()
        },
        older_than: *older_than,
        unused_for: *unused_for,
    })
}

/// The scope that `--ref` names: a ref or a branch, with the section that `ls` prints after it.
pub(super) fn scope(typed: &TypedNames) -> Result<Option<Scope>, Fault> {
    let parse = |name: &String| {
        Scope::parse(name).ok_or_else(|| {
            Fault::usage(format!("`--ref`: `{name}` is not a branch or ref name that git allows"))
                .with_hint("name it as `cachekeep ls` prints it".to_owned())
        })
    };
    typed.git_ref.as_ref().map(parse).transpose()
}

/// Asks on the terminal; everything but `y` and `yes` is a no, and so is an interruption.
pub(super) fn confirm(ctx: &Context<'_>, question: &str) -> bool {
    print_line(&format!("{question} [y/N]"));
    let (send, receive) = tokio::sync::oneshot::channel();
    // A thread of its own, since a signal does not end a read from the terminal.
    let read = move || {
        let mut line = String::new();
        let answered = io::stdin().read_line(&mut line).is_ok();
        let _ = send.send(answered && matches!(line.trim(), "y" | "Y" | "yes"));
    };
    if start::detached("answer", read).is_err() {
        return false;
    }
    let answer = async { Ok::<bool, StoreError>(receive.await.unwrap_or(false)) };
    ctx.wait(&ctx.deadline(), answer).unwrap_or(false)
}
