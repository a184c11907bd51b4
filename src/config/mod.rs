//! `cachekeep.toml`: parsed, validated and converted to domain types.
//!
//! The text is parsed into a TOML table with positions. [`shape`] validates it against the generated
//! [`mod@schema`] and removes invalid parts, serde deserializes the rest into the raw structs of [`mod@file`],
//! and [`convert`] and [`lint`] turn them into the domain's [`Spec`](crate::domain::spec::Spec). No step stops at its first error, so that
//! a run reports all problems of a file. Only a syntax error hides what comes after it.

mod clean;
mod convert;
mod draft;
mod error;
mod field;
mod file;
mod findings;
mod foreign;
mod inline;
pub(crate) mod kinds;
mod lint;
mod loaded;
mod location;
mod placeholders;
mod scalars;
mod schema;
mod shape;
mod similar;
mod syntax;
mod units;

use std::path::Path;

use serde::Deserialize as _;
use toml::de::DeTable;

pub(crate) use self::error::ConfigError;
pub(crate) use self::inline::inline;
pub(crate) use self::loaded::Loaded;
pub use self::schema::schema;
pub(crate) use self::similar::closest;

use self::findings::Findings;
use crate::domain::spec::StoreLocation;

/// File name of the configuration at the root of a repository.
pub(crate) const DISCOVERY: &str = "cachekeep.toml";

/// Parses and validates a configuration; `name` is the file name in messages.
///
/// # Errors
/// All findings, including warnings, in the order of the file.
pub fn parse(text: &str, name: &Path) -> Result<Loaded, ConfigError> {
    let mut findings = Findings::of_file(name, text);
    let table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => {
            let place = error.span().unwrap_or(0..0);
            let hint = syntax::hint(text, place.start);
            let finding = findings.error(&place, error.message());
            if let Some(hint) = hint {
                finding.with_hint(hint);
            }
            return Err(findings.into_error());
        }
    };
    let span = table.span();
    let mut table = table.into_inner();
    shape::check(&mut table, &schema(), &mut findings);
    let raw = toml::de::Deserializer::from(toml::Spanned::new(span, table));
    match file::File::deserialize(raw) {
        Ok(file) => {
            let spec = convert::convert(file, &mut findings);
            findings.into_result(spec)
        }
        // Not expected: the schema is generated from the same structs, so what it accepts can be deserialized.
        Err(error) => {
            findings.error(&error.span().unwrap_or(0..0), error.message());
            Err(findings.into_error())
        }
    }
}

/// Parses a store location from the command line or the environment.
///
/// # Errors
/// One sentence with the problem and its fix.
pub(crate) fn store_location(text: &str) -> Result<StoreLocation, String> {
    location::parse_store(text).map_err(|(message, hint)| format!("{message}; {hint}"))
}

#[cfg(test)]
mod tests;
