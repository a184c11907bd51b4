//! Sizes and spans of time as written in a configuration: `1.5G`, `2GiB`, `5%`, `90s`, `3d`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A number of bytes.
///
/// Parses `1500`, `1.5G`, `6.5GB`, `2GiB`, `300 kB`. As in `ccache` and in SI, `k M G T` are powers of
/// 1000, with or without `B`; `Ki Mi Gi Ti` are powers of 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteSize(pub u64);

/// A sum that is too large is the largest number there is.
impl std::iter::Sum for ByteSize {
    fn sum<I: Iterator<Item = Self>>(sizes: I) -> Self {
        ByteSize(sizes.map(|size| size.0).fold(0, u64::saturating_add))
    }
}

/// A number of bytes, or a share of a volume.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SizeOrShare {
    /// An absolute number of bytes.
    Bytes(ByteSize),
    /// Percent of the whole, 0 to 100.
    Percent(f64),
    /// The lesser of a share in percent and a number of bytes.
    Lesser(f64, ByteSize),
}

/// A span of time with a unit: `90s`, `15m`, `3h`, `3d`, `2w`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub Duration);

/// Why a text is not a size or a span.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnitError(String);

impl UnitError {
    fn unknown(text: &str, unit: &str, known: &str) -> Self {
        UnitError(format!("`{unit}` in `{text}` is not a unit; write one of {known}"))
    }

    fn out_of_range(text: &str) -> Self {
        UnitError(format!("`{text}` is out of range"))
    }
}

const SIZE_UNITS: &[(&str, u64)] = &[
    ("", 1),
    ("b", 1),
    ("k", 1_000),
    ("kb", 1_000),
    ("ki", 1 << 10),
    ("kib", 1 << 10),
    ("m", 1_000_000),
    ("mb", 1_000_000),
    ("mi", 1 << 20),
    ("mib", 1 << 20),
    ("g", 1_000_000_000),
    ("gb", 1_000_000_000),
    ("gi", 1 << 30),
    ("gib", 1 << 30),
    ("t", 1_000_000_000_000),
    ("tb", 1_000_000_000_000),
    ("ti", 1 << 40),
    ("tib", 1 << 40),
];

const SPAN_UNITS: &[(&str, u64)] = &[("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400), ("w", 604_800)];

/// Splits `6.5GB` into its number and its unit.
fn split(text: &str) -> Result<(f64, &str), UnitError> {
    let trimmed = text.trim();
    let end = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let number =
        trimmed[..end].parse().map_err(|_| UnitError(format!("`{text}` does not start with a number")))?;
    Ok((number, trimmed[end..].trim()))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "checked to lie within 0..=2^63 just before; fractions of a byte or second are irrelevant"
)]
fn scaled(text: &str, number: f64, factor: u64) -> Result<u64, UnitError> {
    let product = number * factor as f64;
    if product.is_finite() && (0.0..9.2e18).contains(&product) {
        Ok(product.round() as u64)
    } else {
        Err(UnitError::out_of_range(text))
    }
}

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, unit) = split(text)?;
        let wanted = unit.to_ascii_lowercase();
        let (_, factor) = SIZE_UNITS
            .iter()
            .find(|(name, _)| *name == wanted)
            .ok_or_else(|| UnitError::unknown(text, unit, "B, kB, MB, GB, TB, KiB, MiB, GiB, TiB"))?;
        scaled(text, number, *factor).map(ByteSize)
    }
}

impl FromStr for SizeOrShare {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, unit) = split(text)?;
        if unit != "%" {
            return text.parse().map(SizeOrShare::Bytes);
        }
        if (0.0..=100.0).contains(&number) {
            Ok(SizeOrShare::Percent(number))
        } else {
            Err(UnitError::out_of_range(text))
        }
    }
}

impl SizeOrShare {
    /// The number of bytes, taking a share as a percentage of `whole`.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of a volume need not be exact to the byte"
    )]
    pub fn of(self, whole: ByteSize) -> ByteSize {
        match self {
            SizeOrShare::Bytes(size) => size,
            SizeOrShare::Percent(percent) => ByteSize((whole.0 as f64 * percent / 100.0) as u64),
            SizeOrShare::Lesser(percent, bytes) => SizeOrShare::Percent(percent).of(whole).min(bytes),
        }
    }
}

impl FromStr for Span {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, unit) = split(text)?;
        if unit.is_empty() {
            let text = text.trim();
            return Err(UnitError(format!("`{text}` has no unit: write `{text}d` (one of s, m, h, d, w)")));
        }
        let known = SPAN_UNITS.iter().find(|(name, _)| *name == unit);
        let (_, factor) = known.ok_or_else(|| UnitError::unknown(text, unit, "s, m, h, d, w"))?;
        scaled(text, number, *factor).map(|seconds| Span(Duration::from_secs(seconds)))
    }
}

/// A number of things: `1 file`, `2 files`, `0 entries`.
pub fn counted(number: impl TryInto<u64>, thing: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    format!("{number} {}", noun(number == 1, thing))
}

/// The word for one thing or for several: `entry` or `entries`, `branch` or `branches`, `file` or `files`.
pub fn noun(is_one: bool, thing: &str) -> String {
    match thing.strip_suffix('y') {
        _ if is_one => thing.to_owned(),
        Some(stem) => format!("{stem}ies"),
        None if thing.ends_with("ch") => format!("{thing}es"),
        None => format!("{thing}s"),
    }
}

impl fmt::Display for ByteSize {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut value = self.0 as f64;
        if value < 1000.0 {
            return write!(f, "{} B", self.0);
        }
        for unit in ["kB", "MB", "GB", "TB"] {
            value /= 1000.0;
            if value < 999.95 || unit == "TB" {
                return if value < 10.0 {
                    write!(f, "{value:.2} {unit}")
                } else {
                    write!(f, "{value:.1} {unit}")
                };
            }
        }
        unreachable!("the last unit always returns")
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (unit, factor) = SPAN_UNITS
            .iter()
            .rev()
            .find(|(_, factor)| seconds >= *factor && seconds.is_multiple_of(*factor))
            .unwrap_or(&SPAN_UNITS[0]);
        write!(f, "{}{unit}", seconds / factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_parse_with_decimal_and_binary_units() {
        let check = |text: &str, bytes: u64| assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        check("0", 0);
        check("1500", 1500);
        check("1.5G", 1_500_000_000);
        check("6.5GB", 6_500_000_000);
        check("2GiB", 2 << 30);
        check("300 kB", 300_000);
        check("64Mi", 64 << 20);
    }

    #[test]
    fn invalid_sizes_are_rejected() {
        for text in ["", "GB", "-1", "1.2.3", "5 parsecs", "1e9", "99999999T", "."] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }

    #[test]
    fn shares_are_of_the_whole() {
        let share: SizeOrShare = "5%".parse().expect("a share");
        assert_eq!(share.of(ByteSize(1_000)), ByteSize(50));
        assert!("101%".parse::<SizeOrShare>().is_err());
        assert_eq!("2k".parse(), Ok(SizeOrShare::Bytes(ByteSize(2_000))));
    }

    #[test]
    fn spans_round_trip_through_their_shortest_form() {
        for (text, shown) in [("90s", "90s"), ("3d", "3d"), ("14d", "2w"), ("24h", "1d"), ("0s", "0s")] {
            assert_eq!(text.parse::<Span>().expect(text).to_string(), shown);
        }
        assert!("3 days".parse::<Span>().is_err());
        let error = "7".parse::<Span>().expect_err("no unit").to_string();
        assert_eq!(error, "`7` has no unit: write `7d` (one of s, m, h, d, w)");
    }

    #[test]
    fn one_thing_is_not_several() {
        assert_eq!(counted(1_u64, "file"), "1 file");
        assert_eq!(counted(0_usize, "file"), "0 files");
        assert_eq!(counted(12_u32, "entry"), "12 entries");
        assert_eq!(counted(1_i32, "entry"), "1 entry");
        assert_eq!(counted(2_u8, "deleted branch"), "2 deleted branches");
    }

    #[test]
    fn sizes_are_shown_with_three_digits() {
        assert_eq!(ByteSize(999).to_string(), "999 B");
        assert_eq!(ByteSize(1_234).to_string(), "1.23 kB");
        assert_eq!(ByteSize(999_990).to_string(), "1.00 MB");
        assert_eq!(ByteSize(2_400_000_000).to_string(), "2.40 GB");
    }
}
