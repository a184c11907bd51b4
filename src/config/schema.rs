//! The JSON schema of `cachekeep.toml`, for editors and for [`shape`](super::shape).

use schemars::transform::{Transform, transform_subschemas};
use schemars::{Schema, generate::SchemaSettings};

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
