//! Types of single values, for the schema only: strings with a pattern.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// Defines a type for the schema only: a string with a pattern.
macro_rules! pattern {
    ($(#[$doc:meta])* $name:ident, $pattern:expr, $examples:expr) => {
        $(#[$doc])*
        pub(super) struct $name;

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "examples": $examples })
            }
        }
    };
}

pattern!(
    /// A number of bytes.
    Size,
    r"^\s*[0-9]*\.?[0-9]+\s*([kKmMgGtT][iI]?)?[bB]?\s*$",
    ["500MB", "6.5GB", "2GiB"]
);
pattern!(
    /// A number of bytes, or a share of a volume.
    AbsoluteOrPercent,
    r"^\s*[0-9]*\.?[0-9]+\s*(([kKmMgGtT][iI]?)?[bB]?|%)\s*$",
    ["5%", "2GB"]
);
pattern!(
    /// A number of bytes, a share of a volume, or a text with placeholders that becomes one of these.
    SizeLimit,
    r"^\s*[0-9]*\.?[0-9]+\s*(([kKmMgGtT][iI]?)?[bB]?|%)\s*$|\{.+\}",
    ["5GB", "10%", "{env.CCACHE_SIZE}"]
);
pattern!(
    /// A span of time.
    Duration,
    r"^\s*[0-9]*\.?[0-9]+\s*[smhdw]\s*$",
    ["90s", "3d", "2w"]
);

/// A hexadecimal digest with a fixed number of digits.
pub(super) struct HexDigest<const DIGITS: usize>;

impl<const DIGITS: usize> JsonSchema for HexDigest<DIGITS> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("HexDigest{DIGITS}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": format!("^[0-9a-fA-F]{{{DIGITS}}}$") })
    }
}
