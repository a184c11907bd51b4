//! Where a store lies in an object service.

use std::fmt;

/// A container or bucket of an object service, and the prefix of the names of a store's objects there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectLocation {
    /// The service.
    pub service: ObjectService,
    /// The container of an Azure storage account, or the bucket.
    pub container: String,
    /// What precedes the path of every object: names with slashes between them, or nothing.
    pub prefix: String,
}

/// A kind of object service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectService {
    /// Azure Blob Storage.
    Azure {
        /// The storage account.
        account: String,
    },
    /// Amazon S3, or a service with its interface.
    S3,
    /// Google Cloud Storage.
    Gcs,
}

impl fmt::Display for ObjectLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let container = &self.container;
        match &self.service {
            ObjectService::Azure { account } => write!(f, "az://{account}/{container}")?,
            ObjectService::S3 => write!(f, "s3://{container}")?,
            ObjectService::Gcs => write!(f, "gs://{container}")?,
        }
        if self.prefix.is_empty() { Ok(()) } else { write!(f, "/{}", self.prefix) }
    }
}
