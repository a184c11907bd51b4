//! The format of archives: frames, manifest, list, digest, seek table and tar headers, as bytes.

pub(super) mod columns;
pub(super) mod error;
pub(super) mod frame;
pub(super) mod list;
pub(super) mod list_frame;
pub(super) mod manifest;
pub(super) mod seek_table;
pub(super) mod skippable;
pub(super) mod tar_header;
pub(super) mod version;
