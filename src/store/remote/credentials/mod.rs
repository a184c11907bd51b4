//! What opens an object service, found in the environment.
//!
//! The order is that of each cloud's own tools. Nothing is asked of an instance's metadata service.

pub(super) mod aws;
pub(super) mod azure;
mod found;
pub(super) mod google;

use crate::domain::object_location::{ObjectLocation, ObjectService};
use crate::platform::Env;

pub use found::{FoundCredential, NoCredential};

/// What opens the service of a location.
pub struct ServiceAccess(pub(super) Service);

pub(super) enum Service {
    Azure(azure::AzureAccess),
    Aws(aws::AwsAccess),
    Google(google::GoogleAccess),
}

impl ServiceAccess {
    /// Finds what opens the service of a location; opens nothing.
    ///
    /// # Errors
    /// There is no credential, or it is incomplete.
    pub fn find(location: &ObjectLocation, env: &Env) -> Result<Self, NoCredential> {
        Ok(ServiceAccess(match &location.service {
            ObjectService::Azure { account } => Service::Azure(azure::find(env, account)?),
            ObjectService::S3 => Service::Aws(aws::find(env, &location.container)?),
            ObjectService::Gcs => Service::Google(google::find(env)?),
        }))
    }

    /// What was found, without its secrets.
    pub fn found(&self) -> FoundCredential {
        match &self.0 {
            Service::Azure(access) => access.found(),
            Service::Aws(access) => access.found(),
            Service::Google(access) => access.found(),
        }
    }
}
