//! Archives on the way in: frames become a tar stream, the stream becomes guarded entries for a visitor.

pub(super) mod buffer;
pub(super) mod composite;
pub(super) mod decode;
pub(super) mod entries;
pub(super) mod guard;
pub(super) mod limits;
pub(super) mod listing;
pub(super) mod scatter;
pub(super) mod tar_stream;
pub(super) mod verify;
