//! `cachekeep.toml`: read, converted to the domain, and checked.
//!
//! A text becomes a TOML table with positions, [`shape`] holds it against the generated [`mod@schema`] and
//! takes out what does not belong, serde reads the rest into the raw structs of [`mod@file`], and
//! [`convert`] and [`lint`] make the domain's [`Spec`] of them. No step stops at its first error: a
//! person sees all that is wrong with a file at once. Only a syntax error hides what comes after it.

mod clean;
mod convert;
mod error;
mod file;
mod findings;
mod inline;
pub mod lint;
mod placeholders;
mod schema;
mod shape;
mod similar;

use std::path::Path;

use serde::Deserialize as _;
use toml::de::DeTable;

pub use self::error::{ConfigError, Finding, Location, Severity};
pub use self::inline::inline;
pub use self::schema::schema;

use self::findings::Findings;
use crate::domain::spec::{Spec, StoreLocation};

/// The name under which a repository's root holds its configuration.
pub const DISCOVERY: &str = "cachekeep.toml";

/// A configuration without errors.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// What it declares.
    pub spec: Spec,
    /// What is allowed but hardly meant, in the order of the file.
    pub warnings: Vec<Finding>,
}

/// Reads the text of a configuration; `name` stands for it in messages.
///
/// # Errors
/// Holds everything that is wrong with the text, warnings included, in the order of the file.
pub fn parse(text: &str, name: &Path) -> Result<Loaded, ConfigError> {
    let mut findings = Findings::of_file(name, text);
    let table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => {
            findings.error(&error.span().unwrap_or(0..0), error.message());
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
        // The schema is made from the same structs, so whatever it lets through can be read.
        Err(error) => {
            findings.error(&error.span().unwrap_or(0..0), error.message());
            Err(findings.into_error())
        }
    }
}

/// Reads where entries live, as the command line and the environment give it.
///
/// # Errors
/// One sentence: what is wrong with the text, and what to write instead.
pub fn store_location(text: &str) -> Result<StoreLocation, String> {
    convert::parse_store(text).map_err(|(message, cure)| format!("{message}; {cure}"))
}

#[cfg(test)]
mod tests;
