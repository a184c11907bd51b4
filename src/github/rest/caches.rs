//! The caches of a repository: complete listings, deletion by id, usage and limits.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use octocrab::models::actions::{ActionsCacheItem, ActionsCacheList, RepoActionsCacheUsage};
use serde::Deserialize;

use super::Rest;
use super::error::{ApiError, ApiErrorKind, line};
use crate::domain::digest::Sha256Digest;
use crate::domain::entry::{Entry, EntryId};
use crate::domain::key::Key;
use crate::domain::retention::plan::Amount;
use crate::domain::scope::Scope;
use crate::domain::unit::ByteSize;
use crate::domain::version::Version;

/// Maximum number of caches per page (GitHub).
const PER_PAGE: u8 = 100;

/// Maximum number of listings until two consecutive ones agree.
const LISTINGS: usize = 6;

/// The storage limit of every repository unless configured (GitHub, "Usage limits and eviction policy").
const FREE: ByteSize = ByteSize(10_000_000_000);

/// A listing of the caches of a repository.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CacheListing {
    /// The caches.
    pub entries: Vec<Entry>,
    /// Why the listing may be incomplete, if it may.
    pub incomplete: Option<String>,
    /// Caches with invalid fields: id and reason.
    pub odd: Vec<(i64, String)>,
    /// The time of the server when the listing was made.
    pub at: Option<DateTime<Utc>>,
}

/// One pass over all pages.
struct ListPass {
    items: BTreeMap<i64, ActionsCacheItem>,
    total: i64,
}

#[derive(Deserialize)]
struct StorageLimit {
    max_cache_size_gb: u64,
}

#[derive(Deserialize)]
struct RepositoryFacts {
    default_branch: String,
}

impl Rest {
    /// Lists all caches, or those of some refs.
    ///
    /// A deletion while pages are read moves later caches to earlier pages, where they are missed. So the caches are
    /// listed until two consecutive listings agree with each other and with the total that GitHub states.
    pub async fn list(&self, refs: &[Scope]) -> Result<CacheListing, ApiError> {
        let mut previous: Option<ListPass> = None;
        let mut why = String::new();
        for _ in 0..LISTINGS {
            let pass = self.pass(refs).await?;
            let stated = i64::try_from(pass.items.len()).is_ok_and(|count| count == pass.total);
            let agrees =
                previous.as_ref().is_some_and(|previous| previous.items.keys().eq(pass.items.keys()));
            if stated && agrees {
                return Ok(self.listing(pass, None));
            }
            why = if stated {
                "caches were added or deleted while they were listed".to_owned()
            } else {
                format!("GitHub states {} caches and lists {}", pass.total, pass.items.len())
            };
            previous = Some(pass);
        }
        let last = previous.expect("there was at least one pass");
        Ok(self.listing(last, Some(why)))
    }

    /// Deletes a cache by its id. Returns whether it still existed.
    pub async fn delete(&self, id: &EntryId) -> Result<bool, ApiError> {
        let route = self.route(&format!("actions/caches/{}", id.0));
        let Ok(number) = id.0.parse() else {
            let kind = ApiErrorKind::Malformed(format!("`{id}` is not the id of a cache"));
            return Err(ApiError { address: super::join(&self.endpoint.api, &route).to_string(), kind });
        };
        let repository = &self.endpoint.repository;
        let deleted =
            self.octocrab.actions().delete_repo_cache(&repository.owner, &repository.name, number).await;
        match deleted.map_err(|error| self.failed(&route, error)) {
            Ok(()) => Ok(true),
            Err(ApiError { kind: ApiErrorKind::NotFound, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The usage that GitHub reports, which it updates every few minutes.
    pub async fn usage(&self) -> Result<Amount, ApiError> {
        let repository = &self.endpoint.repository;
        let usage = self.octocrab.actions().get_repo_cache_usage(&repository.owner, &repository.name).await;
        let usage: RepoActionsCacheUsage =
            usage.map_err(|error| self.failed(&self.route("actions/cache/usage"), error))?;
        Ok(Amount {
            entries: usize::try_from(usage.active_caches_count).unwrap_or(0),
            bytes: ByteSize(u64::try_from(usage.active_caches_size_in_bytes).unwrap_or(0)),
        })
    }

    /// The size at which GitHub starts to evict: the configured limit, or else the default of every repository.
    pub async fn storage_limit(&self) -> Result<ByteSize, ApiError> {
        let route = self.route("actions/cache/storage-limit");
        let limit = self.octocrab.get::<StorageLimit, _, ()>(&route, None).await;
        match limit.map_err(|error| self.failed(&route, error)) {
            Ok(limit) => Ok(ByteSize(limit.max_cache_size_gb.saturating_mul(1_000_000_000))),
            Err(error) => match error.kind {
                // Servers without this setting answer 402 or 404; a missing permission must not prevent cleaning.
                ApiErrorKind::NotFound
                | ApiErrorKind::Denied { .. }
                | ApiErrorKind::Refused { status: 402, .. }
                | ApiErrorKind::Malformed(_) => Ok(FREE),
                _ => Err(error),
            },
        }
    }

    /// The default branch.
    pub async fn default_branch(&self) -> Result<Scope, ApiError> {
        let route = format!("/repos/{}", self.endpoint.repository);
        let facts = self.octocrab.get::<RepositoryFacts, _, ()>(&route, None).await;
        let name = facts.map_err(|error| self.failed(&route, error))?.default_branch;
        Scope::new(&format!("refs/heads/{name}")).filter(|_| !name.is_empty()).ok_or_else(|| {
            let kind = ApiErrorKind::Malformed("the repository has no default branch".to_owned());
            ApiError { address: super::join(&self.endpoint.api, &route).to_string(), kind }
        })
    }

    fn route(&self, below: &str) -> String {
        format!("/repos/{}/{below}", self.endpoint.repository)
    }

    async fn pass(&self, refs: &[Scope]) -> Result<ListPass, ApiError> {
        let mut whole = ListPass { items: BTreeMap::new(), total: 0 };
        let filters: Vec<Option<&Scope>> =
            if refs.is_empty() { vec![None] } else { refs.iter().map(Some).collect() };
        for filter in filters {
            let mut total = 0;
            let mut found = 0;
            for page in 1.. {
                let list = self.page(filter, page).await?;
                let count = list.actions_caches.len();
                total = list.total_count;
                found += count;
                whole.items.extend(list.actions_caches.into_iter().map(|item| (item.id, item)));
                // A page may be shorter than requested, so only an empty page or the total marks the end.
                if count == 0 || i64::try_from(found).is_ok_and(|found| found >= total) {
                    break;
                }
            }
            whole.total += total;
        }
        Ok(whole)
    }

    async fn page(&self, filter: Option<&Scope>, page: u32) -> Result<ActionsCacheList, ApiError> {
        let repository = &self.endpoint.repository;
        let actions = self.octocrab.actions();
        let list = actions.list_repo_caches(&repository.owner, &repository.name);
        // Oldest first, so that caches saved in the meantime are appended and do not shift pages.
        let list = list.sort("created_at").direction("asc").per_page(PER_PAGE).page(page);
        let list = match filter {
            Some(scope) => list.r#ref(scope.as_str()),
            None => list,
        };
        list.send().await.map_err(|error| self.failed(&self.route("actions/caches"), error))
    }

    fn listing(&self, pass: ListPass, incomplete: Option<String>) -> CacheListing {
        let mut listing =
            CacheListing { incomplete, at: self.exchange.server_time(), ..CacheListing::default() };
        for (id, item) in pass.items {
            match entry(item) {
                Ok(entry) => listing.entries.push(entry),
                Err(why) => listing.odd.push((id, why)),
            }
        }
        listing
    }
}

fn entry(item: ActionsCacheItem) -> Result<Entry, String> {
    let key = Key::new(item.key).map_err(|error| line(&error.to_string()))?;
    let scope =
        item.r#ref.as_deref().and_then(Scope::new).ok_or_else(|| format!("`{key}` has no valid ref"))?;
    // Versions of other clients need not be SHA-256. They are only compared for equality, so hash them.
    let version = Version::parse(&item.version)
        .or_else(|| Version::parse(&Sha256Digest::of(item.version.as_bytes()).to_string()))
        .expect("a SHA-256 has 64 digits");
    Ok(Entry {
        id: EntryId(item.id.to_string()),
        scope,
        key,
        version,
        created_at: item.created_at,
        last_used_at: Some(item.last_accessed_at),
        size: ByteSize(u64::try_from(item.size_in_bytes).unwrap_or(0)),
    })
}
