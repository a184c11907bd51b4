//! GitHub's cache service as a store, used by the job itself.
//!
//! The service decides what a lookup finds: it searches the scopes of the job's token in its own order, and does
//! not report in which one it found the entry. A job cannot list or delete entries; GitHub's REST API can, see
//! [`catalog`](super::catalog). An archive is an Azure block blob behind signed URLs. The version of the blob
//! (`ETag`) is the entry's id here, because upload and lookup both report it and a reader can insist on it.
//!
//! Asking for an upload URL reserves the name, and a reservation that is never finalized blocks the name for all
//! jobs. Therefore an upload asks as late as it can: when the first block is full, or at the commit.

use std::sync::Arc;

use async_trait::async_trait;
use futures::{FutureExt as _, StreamExt as _};

use crate::domain::entry::{Entry, LookupRequest};
use crate::domain::scope::Scope;
use crate::github::{Credentials, Right, ServiceError, ServiceErrorKind};
use crate::store::contract::{EntryStream, EntryWriter, NewEntry, Store};
use crate::store::error::{Access, StoreError, StoreErrorKind};
use crate::transport::http::client::ClientError;
use crate::transport::http::error::Cause;
use crate::transport::http::options::FetchOptions;
use crate::transport::ranges::{self, Resolve};

use super::connection::Connection;
use super::failure::{of_blob, of_service};
use super::options::GitHubOptions;
use super::writer::GitHubWriter;

/// GitHub's cache service. Clones share their connections.
#[derive(Clone)]
pub struct GitHubStore {
    connection: Arc<Connection>,
}

impl GitHubStore {
    /// The service that these credentials open. Sends nothing.
    pub fn new(credentials: Credentials, options: GitHubOptions) -> Result<Self, ClientError> {
        Ok(GitHubStore { connection: Arc::new(Connection::new(credentials, options)?) })
    }
}

#[async_trait]
impl Store for GitHubStore {
    fn location(&self) -> String {
        self.connection.location()
    }

    async fn lookup(&self, request: &LookupRequest) -> Result<Option<Entry>, StoreError> {
        let connection = &self.connection;
        let action = format!("look up `{}` at {}", request.key, connection.location());
        connection.permit(Right::Read, &action)?;
        let bounds = connection.bounds();
        let service = connection.service.until(bounds.deadline);
        let answered = service.look_up(&request.key, &request.restore_keys, &request.version).await;
        let Some(found) = answered.map_err(|error| of_service(&action, Access::Read, error))? else {
            return Ok(None);
        };
        // The service always matches prefixes as well.
        if request.exact && found.key != request.key {
            return Ok(None);
        }
        request.key.check_answer(&request.restore_keys, &found.key).map_err(|answer| {
            StoreError::new(StoreErrorKind::Unasked, format!("cannot {action}")).caused_by(answer)
        })?;
        let url = found.url.expose().map_err(|kind| not_a_url(&action, &connection.location(), kind))?;
        let facts = match connection.facts(&url, &bounds).await {
            Ok(facts) => facts,
            // Evicted since the lookup.
            Err(error) if matches!(error.cause, Cause::NotFound) => return Ok(None),
            Err(error) => return Err(of_blob(&action, Access::Read, error)),
        };
        let scope = connection.scope_of_found(request).ok_or_else(|| {
            let message = format!("cannot {action}: neither the token nor the request names a scope");
            StoreError::new(StoreErrorKind::Other, message)
        })?;
        let entry = connection.entry(scope, found.key, request.version.clone(), &facts);
        connection.remember(&entry, url);
        Ok(Some(entry))
    }

    async fn read(&self, entry: &Entry) -> Result<EntryStream, StoreError> {
        let connection = &self.connection;
        let action = format!("read entry `{}` at {}", entry.key, connection.location());
        connection.permit(Right::Read, &action)?;
        let bounds = connection.bounds();
        let vanished = || StoreError::new(StoreErrorKind::NotFound, format!("cannot {action}"));
        let resolve = resolver(Arc::clone(connection), entry.clone(), bounds.clone());
        let (url, facts) = match connection.reopen(entry, &bounds).await {
            Ok(Some(open)) => open,
            // This store did not look it up, or its URL has expired.
            Ok(None) => {
                let answered = connection.find_exact(&entry.key, &entry.version, &bounds).await;
                let signed = answered.map_err(|error| of_service(&action, Access::Read, error))?;
                let signed = signed.ok_or_else(vanished)?;
                let url = signed.expose().map_err(|kind| not_a_url(&action, &connection.location(), kind))?;
                let facts = connection.facts(&url, &bounds).await;
                let facts = facts.map_err(|error| of_blob(&action, Access::Read, error))?;
                (url, facts)
            }
            Err(error) => return Err(of_blob(&action, Access::Read, error)),
        };
        if facts.etag != entry.id.0 {
            return Err(vanished());
        }
        let ranges = &connection.options.ranges;
        let stream = ranges::stream(&connection.client, url, facts, resolve, ranges, bounds);
        let stream = stream.map_err(|error| of_blob(&action, Access::Read, error))?;
        Ok(stream.map(move |part| part.map_err(|error| of_blob(&action, Access::Read, error))).boxed())
    }

    async fn create(&self, new: NewEntry) -> Result<Box<dyn EntryWriter>, StoreError> {
        let connection = &self.connection;
        let action = format!("save `{}` at {}", new.key, connection.location());
        connection.permit(Right::Write, &action)?;
        if let Some(writable) = connection.credentials.scopes_with(Right::Write)
            && !writable.contains(&new.scope)
        {
            let names: Vec<&str> = writable.iter().map(Scope::as_str).collect();
            let why = format!("the job's token writes to {}, not to {}", names.join(", "), new.scope);
            let kind = StoreErrorKind::Denied(Access::Write);
            return Err(StoreError::new(kind, format!("cannot {action}: {why}")));
        }
        Ok(Box::new(GitHubWriter::new(Arc::clone(connection), new, action)))
    }

    /// The service records the uses of entries itself.
    async fn note_use(&self, _entry: &Entry) {}
}

fn not_a_url(action: &str, location: &str, kind: ServiceErrorKind) -> StoreError {
    of_service(action, Access::Read, ServiceError { address: location.to_owned(), kind })
}

/// Asks for a new URL of an entry; the reader checks by the version of the blob that it is still the same.
fn resolver(connection: Arc<Connection>, entry: Entry, bounds: FetchOptions) -> Resolve {
    Arc::new(move || {
        let (connection, entry, bounds) = (Arc::clone(&connection), entry.clone(), bounds.clone());
        async move {
            let protocol = |what: String| Cause::Protocol(what);
            match connection.find_exact(&entry.key, &entry.version, &bounds).await {
                Ok(Some(signed)) => signed.expose().map_err(|kind| protocol(kind.to_string())),
                Ok(None) => Err(Cause::NotFound),
                Err(ServiceError { kind: ServiceErrorKind::Transport(cause), .. }) => Err(cause),
                Err(ServiceError { kind: ServiceErrorKind::RateLimited(wait), .. }) => {
                    Err(Cause::RateLimited(wait))
                }
                Err(error) => Err(protocol(error.to_string())),
            }
        }
        .boxed()
    })
}
