//! The format of archives: frames, manifest, digest, seek table and tar headers, as bytes.

pub(super) mod error;
pub(super) mod frame;
pub(super) mod manifest;
pub(super) mod seek_table;
mod skippable;
pub(super) mod tar_header;
pub(super) mod version;
