//! What people see: the whole text of every message, and what a sound file means.

use std::path::Path;

use super::*;

#[test]
#[ignore]
fn scratch() {
    let text = std::include_str!("/tmp/config-scratch.toml");
    match parse(text, Path::new("cachekeep.toml")) {
        Ok(l) => panic!("{l:#?}"),
        Err(e) => panic!("{e}"),
    }
}
#[test]
#[ignore]
fn dump() {
    panic!("{}", serde_json::to_string_pretty(&schema()).unwrap());
}
