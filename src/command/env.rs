//! `env`: the variables that caches export, as text that a shell, a dotenv reader or a program takes.
//!
//! Where a platform sets variables for later steps, `restore` and `run` have done that. This is for the lines of one
//! script, for platforms without such a way, and for laptops: `eval "$(cachekeep env)"`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::cache::Cache;
use super::context::Context;
use super::session;
use crate::domain::event::Level;
use crate::domain::fault::Fault;
use crate::domain::shown::Shown;
use crate::report::json;

/// How variables are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Syntax {
    /// `export NAME='value'`, for POSIX shells.
    Sh,
    /// `$env:NAME = 'value'`, for PowerShell.
    PowerShell,
    /// `NAME=value`, one variable a line.
    Dotenv,
    /// One object of names and values.
    Json,
}

/// The variables of every selected cache, by name; where two caches export one name, the later one wins.
///
/// # Errors
/// The configuration of a cache is wrong, a variable must be listed by the workflow, or a placeholder of its exports has no value.
pub(crate) fn run(ctx: &Context<'_>, format: Syntax) -> Result<String, Fault> {
    session::check_exports(ctx)?;
    let mut variables = BTreeMap::new();
    for spec in ctx.caches {
        let exports = Cache::open(ctx, spec).and_then(|cache| cache.exports());
        variables.extend(exports.map_err(|source| spec.named_in(source))?);
    }
    if format == Syntax::Json {
        return Ok(json::render(&variables));
    }
    let mut text = String::new();
    for (name, value) in &variables {
        if *Shown::lines(value) != **value {
            // Standard output is a log, too, and an altered value would be worse than none.
            let warning =
                format!("`{name}` is left out: its value contains a control character or a log command");
            ctx.report_about_job(Level::Warning, warning);
        } else if let Some(line) = line(format, name, value) {
            let _ = writeln!(text, "{line}");
        } else {
            let warning = format!("`{name}` is left out: dotenv files have one line for each variable");
            ctx.report_about_job(Level::Warning, warning);
        }
    }
    Ok(text)
}

/// One variable; `None` where the format cannot hold the value.
fn line(format: Syntax, name: &str, value: &str) -> Option<String> {
    match format {
        Syntax::Sh => Some(format!("export {name}='{}'", value.replace('\'', r"'\''"))),
        Syntax::PowerShell => Some(format!("$env:{name} = '{}'", value.replace('\'', "''"))),
        Syntax::Dotenv => (!value.contains(['\n', '\r'])).then(|| format!("{name}={value}")),
        Syntax::Json => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_cannot_be_left() {
        let check = |format, value, expect: Option<&str>| {
            assert_eq!(line(format, "N", value).as_deref(), expect, "{format:?}");
        };
        check(Syntax::Sh, "a b", Some("export N='a b'"));
        check(Syntax::Sh, "'; rm -rf ~; '", Some(r"export N=''\''; rm -rf ~; '\'''"));
        check(Syntax::Sh, "$(id)\n`id`", Some("export N='$(id)\n`id`'"));
        check(Syntax::PowerShell, "it's $x", Some("$env:N = 'it''s $x'"));
        check(Syntax::Dotenv, "a=b c", Some("N=a=b c"));
        check(Syntax::Dotenv, "a\nPATH=/evil", None);
    }
}
