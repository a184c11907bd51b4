//! The committed JSON schema is the one that the configuration's structs generate.
//!
//! `CACHEKEEP_BLESS=1 cargo test --test tidy schema` writes it anew.

use std::path::Path;

#[test]
fn the_committed_schema_is_the_generated_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("cachekeep.schema.json");
    let schema = cachekeep::parts::schema();
    if std::env::var_os("CACHEKEEP_BLESS").is_some_and(|value| value == "1") {
        let text = serde_json::to_string_pretty(&schema).expect("JSON has a text");
        std::fs::write(&path, text + "\n").expect("the schema can be written");
    }
    let committed = std::fs::read_to_string(&path).expect("cachekeep.schema.json is committed");
    let committed: serde_json::Value = serde_json::from_str(&committed).expect("it is JSON");
    assert!(
        committed == schema,
        "cachekeep.schema.json is stale; run `CACHEKEEP_BLESS=1 cargo test --test tidy schema`"
    );
}
