//! The JSON schema of `cachekeep.toml`, for editors and for [`shape`](super::shape).

use std::borrow::Cow;

use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};

use super::file::File;

/// The schema, draft 7: the one that TOML editors read.
pub fn schema() -> serde_json::Value {
    let mut settings = SchemaSettings::draft07();
    settings.inline_subschemas = true;
    settings.with_transform(WithoutNull).into_generator().into_root_schema_for::<File>().to_value()
}

/// Removes `null` defaults of optional fields, since TOML has no null.
#[derive(Debug, Clone)]
struct WithoutNull;

impl Transform for WithoutNull {
    fn transform(&mut self, schema: &mut Schema) {
        if schema.get("default").is_some_and(serde_json::Value::is_null) {
            schema.remove("default");
        }
        transform_subschemas(self, schema);
    }
}

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
