//! Service connections: what a step of a task may log in with.

/// A connection to Azure by workload identity federation.
#[derive(Debug, Clone)]
pub struct ServiceConnection {
    /// Its GUID.
    pub id: String,
    /// The client's GUID.
    pub client_id: String,
    /// The tenant's GUID.
    pub tenant_id: String,
    /// The token that the service issues for a step.
    pub id_token: String,
    /// Whether `AzureCLI@2` cannot log in with it.
    pub login_fails: bool,
}

impl ServiceConnection {
    /// A connection whose token is a secret of the test.
    pub fn with_token(id_token: &str) -> Self {
        crate::capture::secret("oidc", id_token);
        ServiceConnection {
            id: "5f0c1a2b-0000-4000-8000-000000000001".to_owned(),
            client_id: "5f0c1a2b-0000-4000-8000-000000000002".to_owned(),
            tenant_id: "5f0c1a2b-0000-4000-8000-000000000003".to_owned(),
            id_token: id_token.to_owned(),
            login_fails: false,
        }
    }
}
