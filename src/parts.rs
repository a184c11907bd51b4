//! Parts of private rooms: for the binary, for embedders of a store or of archives, for benchmarks and tests.

pub use crate::config::{parse, schema};
pub use crate::fs::time::instant;
pub use crate::github::cache_service::{CacheService, Reservation};
pub use crate::github::credentials::Credentials;
pub use crate::github::rest::Rest;
pub use crate::github::rest::endpoint::{Endpoint, Repository};
pub use crate::github::rest::exchange::RestOptions;
pub use crate::github::rest::pace::Pace;
pub use crate::inputs::hash_files::hash_files;
pub use crate::objects::hash::ObjectHasher;
pub use crate::objects::inventory::inventory;
pub use crate::objects::layout::ObjectLayout;
pub use crate::objects::unixfs;
pub use crate::platform::Env;
pub use crate::report::markdown::clean as clean_summary;
pub use crate::report::outputs::OUTPUTS;
pub use crate::transport::blocks::BlockOptions;
pub use crate::transport::http::client::{Client, Timeouts};
pub use crate::transport::http::options::FetchOptions;
pub use crate::transport::http::retry::{Clock, RetryPolicy};
pub use crate::transport::ranges::RangeOptions;
pub use crate::tree::selection::Selection;
pub use crate::tree::walk::{Item, ItemKind, Walk};
