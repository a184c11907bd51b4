//! How the store speaks to GitHub's cache service.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::event::Observer;
use crate::transport::blocks::BlockOptions;
use crate::transport::http::client::Timeouts;
use crate::transport::http::options::FetchOptions;
use crate::transport::ranges::RangeOptions;

/// Limits, sizes and the observer of connections to the service.
#[derive(Clone)]
pub struct GitHubOptions {
    /// Limits for the steps of one request.
    pub timeouts: Timeouts,
    /// Retries, clock and cancellation; its deadline bounds everything that the store does.
    pub fetch: FetchOptions,
    /// Upper bound for one lookup, one download or one upload, packing included.
    pub time_limit: Option<Duration>,
    /// The block size and concurrency of uploads.
    pub blocks: BlockOptions,
    /// The range size and concurrency of downloads.
    pub ranges: RangeOptions,
    /// Receives details and the warnings that no result carries, such as a reservation that was left behind.
    pub observer: Option<Arc<dyn Observer>>,
}

impl GitHubOptions {
    /// Default limits and sizes: an hour for one transfer, which is how long the URL of an upload is valid.
    pub fn new(fetch: FetchOptions) -> Self {
        GitHubOptions {
            timeouts: Timeouts::default(),
            fetch,
            time_limit: Some(Duration::from_hours(1)),
            blocks: BlockOptions::default(),
            ranges: RangeOptions::default(),
            observer: None,
        }
    }
}
