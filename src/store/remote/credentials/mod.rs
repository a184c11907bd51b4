//! What opens an object service, found in the environment.
//!
//! The order is that of each cloud's own tools; then come identities of the job, which are proven by an ID token
//! ([`id_token`]) that [`entra`], [`sts`] and [`federation`] exchange for a credential. [`renewal`] has each exchanged
//! again before it expires. The metadata address of a machine ([`instance`]) is asked last, and only where the user says so.

pub(super) mod aws;
pub(super) mod azure;
mod entra;
mod federation;
mod form;
mod found;
pub(super) mod google;
mod id_token;
mod instance;
pub(super) mod renewal;
mod sts;

use crate::domain::object_location::{ObjectLocation, ObjectService};
use crate::platform::Env;

pub use found::{FoundCredential, NoCredential};
use renewal::Expiry;
pub(crate) use renewal::Mask;

/// What opens the service of a location.
pub struct ServiceAccess {
    pub(super) service: Service,
    /// When the credential expires that was issued last.
    pub(super) expiry: Expiry,
    /// Hides the credentials that are issued.
    pub(super) mask: Mask,
}

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
        let service = match &location.service {
            ObjectService::Azure { account } => Service::Azure(azure::find(env, account)?),
            ObjectService::S3 => Service::Aws(aws::find(env, &location.container)?),
            ObjectService::Gcs => Service::Google(google::find(env)?),
        };
        Ok(ServiceAccess { service, expiry: Expiry::default(), mask: Mask::default() })
    }

    /// Has the credentials that are issued hidden.
    pub(crate) fn set_mask(&mut self, mask: Mask) {
        self.mask = mask;
    }

    /// What was found, without its secrets. A credential that is issued has a time when it expires once it was.
    pub fn found(&self) -> FoundCredential {
        let found = match &self.service {
            Service::Azure(access) => access.found(),
            Service::Aws(access) => access.found(),
            Service::Google(access) => access.found(),
        };
        FoundCredential { expires_at: self.expiry.get().or(found.expires_at), ..found }
    }
}
