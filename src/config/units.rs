//! Sizes and spans of time in a configuration.

use std::str::FromStr;

use super::field::Field;
use super::findings::{Findings, Text};
use super::placeholders::template;
use crate::domain::trim::SizeLimit;
use crate::domain::unit::{ByteSize, SizeOrShare, UnitError};

/// A size without a unit that is smaller than this is probably meant in another unit.
const PLAUSIBLE_BYTES: u64 = 1_000_000;

/// A size or a span of time; an invalid one is reported.
pub(super) fn unit<T: FromStr<Err = UnitError>>(text: &Text, findings: &mut Findings<'_>) -> Option<T> {
    match text.get_ref().parse() {
        Ok(value) => Some(value),
        Err(error) => {
            findings.error(&text.span(), error.to_string());
            None
        }
    }
}

/// A number of bytes. A small one without a unit is warned of.
pub(super) fn size(text: &Text, findings: &mut Findings<'_>) -> Option<ByteSize> {
    let size: ByteSize = unit(text, findings)?;
    warn_of_missing_unit(text, size, "GB", findings);
    Some(size)
}

/// A number of bytes or a share of a volume. A small number without a unit is warned of; `usual` is the one
/// that is probably meant.
pub(super) fn size_or_share(text: &Text, usual: &str, findings: &mut Findings<'_>) -> Option<SizeOrShare> {
    let size: SizeOrShare = unit(text, findings)?;
    if let SizeOrShare::Bytes(bytes) = size {
        warn_of_missing_unit(text, bytes, usual, findings);
    }
    Some(size)
}

/// An upper bound for a size: a number of bytes, a share of a volume, or a template that becomes one of these.
pub(super) fn size_limit(text: &Text, findings: &mut Findings<'_>) -> Option<SizeLimit> {
    let written = text.get_ref();
    if !written.contains(['{', '}', '$']) && written.matches('%').count() < 2 {
        return size_or_share(text, "GB", findings).map(SizeLimit::Fixed);
    }
    template(text, Field::Size, findings).map(SizeLimit::Expanded)
}

fn warn_of_missing_unit(text: &Text, size: ByteSize, unit: &str, findings: &mut Findings<'_>) {
    let written = text.get_ref().trim();
    let bare = written.ends_with(|c: char| c.is_ascii_digit());
    if bare && (1..PLAUSIBLE_BYTES).contains(&size.0) {
        findings
            .warning(&text.span(), format!("`{written}` has no unit, so it means {size}"))
            .with_hint(format!("write a unit, such as `\"{written}{unit}\"`"));
    }
}
