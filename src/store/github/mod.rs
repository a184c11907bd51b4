//! GitHub's caches: the cache service as a job sees it, and a repository's caches through GitHub's REST API.

pub mod catalog;
pub mod options;
pub mod store;

pub use catalog::GitHubCatalog;
pub use options::GitHubOptions;
pub use store::GitHubStore;
