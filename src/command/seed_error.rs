//! Why a seed was not merged.

use super::cache::CacheError;
use super::restore::RestoreError;
use crate::archive::release::ReleaseError;
use crate::domain::digest::HashError;
use crate::domain::hint::Hint;
use crate::fs::path_error::PathError;
use crate::fs::staging::StagingError;
use crate::objects::merge::MergeError;
use crate::objects::unixfs::DagError;
use crate::transport::http::client::ClientError;
use crate::transport::http::error::FetchError;
use crate::transport::source::SourceError;

/// Why a source did not serve.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The cache's links, paths or objects.
    #[error(transparent)]
    Cache(Box<CacheError>),
    /// The text names no source.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// HTTPS cannot be set up.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A gateway gave no usable blocks.
    #[error("{0}")]
    Gateway(String),
    /// A tree of blocks is not the object's, or not whole.
    #[error(transparent)]
    Tree(#[from] DagError),
    /// The bytes did not come.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The archive cannot be read.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// The checksum in the configuration is none.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The archive is not the one that the configuration means. Objects that proved to be what their names say
    /// were kept.
    #[error("{source_name}: the checksum is {found}, not {expected}")]
    Checksum {
        /// The archive.
        source_name: String,
        /// The digest in the configuration.
        expected: String,
        /// The digest of what was read.
        found: String,
    },
    /// An object could not be put into the cache.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// The tree could not be staged or published.
    #[error(transparent)]
    Staging(#[from] StagingError),
    /// What was staged could not be verified.
    #[error(transparent)]
    Publish(Box<RestoreError>),
    /// A file could not be written.
    #[error(transparent)]
    Disk(#[from] PathError),
}

impl Hint for SeedError {
    fn hint(&self) -> Option<String> {
        match self {
            SeedError::Cache(error) => error.hint(),
            SeedError::Fetch(error) => error.hint(),
            SeedError::Release(error) => error.hint(),
            SeedError::Merge(error) => error.hint(),
            SeedError::Staging(error) => error.hint(),
            SeedError::Disk(error) => error.hint(),
            SeedError::Publish(error) => error.hint(),
            SeedError::Checksum { .. } => {
                Some("check the digest in `[cache.….seed]` against the one its publisher gives".to_owned())
            }
            SeedError::Tree(error) => error.hint(),
            SeedError::Source(_) | SeedError::Client(_) | SeedError::Hash(_) | SeedError::Gateway(_) => None,
        }
    }
}

impl From<CacheError> for SeedError {
    fn from(error: CacheError) -> Self {
        SeedError::Cache(Box::new(error))
    }
}
