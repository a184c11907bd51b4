//! A faithful fake of GitHub's cache service: entries are immutable, scopes come from the job's token, names
//! match as GitHub documents it, a reservation that is not finalized keeps its name, sizes are checked, and
//! signed URLs expire. Blobs lie in memory or in a real Azurite.

pub mod azurite;
pub mod blobs;
mod budget;
pub mod http;
mod methods;
pub mod signing;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use chrono::TimeDelta;

pub use crate::capture;
use azurite::Azurite;
pub use blobs::Checks;
use blobs::{Blobs, Facts};
use budget::Budget;
pub use budget::Uses;
pub use http::Fault;
use http::{Answer, Request, Server, Service};
use signing::{ACCOUNT, blob_signature, token};

const CONTAINER: &str = "actions-cache";

/// A kind of request, for faults and counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Point {
    Create,
    Finalize,
    Lookup,
    PutBlock,
    PutBlockList,
    Head,
    Get,
    Other,
}

impl Point {
    fn of(method: &str, path: &str, query: &str) -> Self {
        match (method, path.rsplit('/').next().unwrap_or_default()) {
            ("POST", "CreateCacheEntry") => Point::Create,
            ("POST", "FinalizeCacheEntryUpload") => Point::Finalize,
            ("POST", "GetCacheEntryDownloadURL") => Point::Lookup,
            ("PUT", _) if query.contains("comp=blocklist") => Point::PutBlockList,
            ("PUT", _) if query.contains("comp=block&") => Point::PutBlock,
            ("HEAD", _) => Point::Head,
            ("GET", _) => Point::Get,
            _ => Point::Other,
        }
    }
}

/// An entry, or the reservation of one.
#[derive(Debug, Clone)]
pub struct Kept {
    pub id: u64,
    pub scope: String,
    pub key: String,
    pub version: String,
    /// `container/name` of its blob.
    pub blob: String,
    /// Where its turn is in the order of creation; none before it is finalized.
    pub finalized: Option<u64>,
}

#[derive(Default)]
struct Shelf {
    count: u64,
    entries: Vec<Kept>,
    next_faults: HashMap<Point, VecDeque<Fault>>,
    all_faults: HashMap<Point, Fault>,
    requests: HashMap<Point, usize>,
    budget: Budget,
}

enum Storage {
    Memory(Blobs),
    Azurite(Azurite),
}

struct State {
    shelf: Mutex<Shelf>,
    storage: Storage,
    /// How long signed URLs for uploads and for downloads live, from the next one on.
    validity: Mutex<(TimeDelta, TimeDelta)>,
    /// How far the service's clock is ahead of this machine's.
    ahead: Mutex<TimeDelta>,
    port: Mutex<u16>,
}

/// A running service; it ends when dropped.
pub struct GitHubService {
    server: Server,
    state: Arc<State>,
}

impl GitHubService {
    /// A service whose blobs are in memory.
    pub fn start() -> Self {
        Self::with(Storage::Memory(Blobs::default()))
    }

    /// A service whose blobs are in a new Azurite; an error says why it does not start.
    pub fn start_with_azurite() -> Result<Self, String> {
        Ok(Self::with(Storage::Azurite(Azurite::start(CONTAINER)?)))
    }

    fn with(storage: Storage) -> Self {
        let state = Arc::new(State {
            shelf: Mutex::default(),
            storage,
            validity: Mutex::new((TimeDelta::hours(1), TimeDelta::minutes(10))),
            ahead: Mutex::new(TimeDelta::zero()),
            port: Mutex::default(),
        });
        let server = Server::start(Arc::clone(&state) as Arc<dyn Service>);
        *state.port.lock().expect("no panic") = server.port;
        GitHubService { server, state }
    }

    /// `ACTIONS_RESULTS_URL`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.server.port)
    }

    /// `ACTIONS_RUNTIME_TOKEN` of a job with these scopes and permission bits (1 read, 2 write).
    pub fn token(scopes: &[(&str, u8)]) -> String {
        token(scopes)
    }

    /// The storage knows these checksums of blocks from now on. Only for blobs in memory.
    pub fn set_checks(&self, checks: Checks) {
        match &self.state.storage {
            Storage::Memory(blobs) => blobs.set_checks(checks),
            Storage::Azurite(_) => panic!("only the checks of blobs in memory can be set"),
        }
    }

    /// From now on entries are evicted when those that can be restored are larger than this: what was used least lately first.
    pub fn set_budget(&self, bytes: u64, uses: Uses) {
        self.shelf().budget.limit(bytes, uses);
    }

    /// How many entries were evicted.
    pub fn evicted(&self) -> usize {
        self.shelf().budget.evicted
    }

    /// The next requests of this kind fail like this, one after the other.
    pub fn fail_next(&self, point: Point, faults: impl IntoIterator<Item = Fault>) {
        self.shelf().next_faults.entry(point).or_default().extend(faults);
    }

    /// Every request of this kind fails like this, once those of [`Self::fail_next`] are used up.
    pub fn fail_always(&self, point: Point, fault: Fault) {
        self.shelf().all_faults.insert(point, fault);
    }

    /// Removes all faults.
    pub fn heal(&self) {
        let mut held = self.shelf();
        held.next_faults.clear();
        held.all_faults.clear();
    }

    /// How long signed URLs live that are given from now on; less than nothing is possible.
    pub fn sign_for(&self, uploads: TimeDelta, downloads: TimeDelta) {
        *self.state.validity.lock().expect("no panic") = (uploads, downloads);
    }

    /// Time passes for blobs in memory: what was signed for less has expired.
    pub fn pass(&self, time: TimeDelta) {
        *self.state.ahead.lock().expect("no panic") += time;
    }

    /// How many requests of this kind there were.
    pub fn count(&self, point: Point) -> usize {
        self.shelf().requests.get(&point).copied().unwrap_or(0)
    }

    /// Entries that can be restored, oldest first, and what is known of their blobs.
    pub fn entries(&self) -> Vec<(Kept, Facts)> {
        let mut entries: Vec<Kept> =
            self.shelf().entries.iter().filter(|kept| kept.finalized.is_some()).cloned().collect();
        entries.sort_by_key(|kept| kept.finalized);
        let with_facts = |kept: Kept| self.state.storage.facts(&kept.blob).map(|facts| (kept, facts));
        entries.into_iter().filter_map(with_facts).collect()
    }

    /// Signed URLs of a blob without an entry: one to write it, one to read it.
    pub fn blob_urls(&self, name: &str) -> (String, String) {
        let blob = format!("{CONTAINER}/{name}");
        (self.state.signed_url(&blob, true), self.state.signed_url(&blob, false))
    }

    /// The bytes of a blob without an entry; `None` if there is none.
    pub fn blob_size(&self, name: &str) -> Option<u64> {
        Some(self.state.storage.facts(&format!("{CONTAINER}/{name}"))?.size)
    }

    /// Removes a blob without an entry.
    pub fn remove_blob(&self, name: &str) {
        self.state.storage.remove(&format!("{CONTAINER}/{name}"));
    }

    /// Names that are reserved and not finalized.
    pub fn reservations(&self) -> usize {
        self.shelf().entries.iter().filter(|kept| kept.finalized.is_none()).count()
    }

    /// Deletes an entry, as the REST API does or an eviction; returns whether it was there.
    pub fn delete(&self, etag: &str) -> bool {
        let found = self.entries().into_iter().find(|(_, facts)| facts.etag == etag);
        let Some((kept, _)) = found else { return false };
        self.shelf().entries.retain(|other| other.id != kept.id);
        self.state.storage.remove(&kept.blob);
        true
    }

    /// Overwrites the blob of the only entry without a request.
    pub fn replace_blob(&self, bytes: &[u8]) {
        let (kept, _) = self.entries().pop().expect("an entry");
        match &self.state.storage {
            Storage::Memory(blobs) => blobs.replace(&kept.blob, bytes),
            Storage::Azurite(_) => panic!("only blobs in memory can be replaced"),
        }
    }

    /// The service is gone: nothing is accepted and nothing answered.
    pub fn vanish(&self) {
        self.server.stop();
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.state.shelf.lock().expect("no panic while it is held")
    }
}

impl Storage {
    fn facts(&self, path: &str) -> Option<Facts> {
        match self {
            Storage::Memory(blobs) => blobs.facts(path),
            Storage::Azurite(azurite) => azurite.facts(path),
        }
    }

    fn remove(&self, path: &str) {
        match self {
            Storage::Memory(blobs) => blobs.remove(path),
            Storage::Azurite(azurite) => azurite.remove(path),
        }
    }
}

impl State {
    fn signed_url(&self, blob: &str, upload: bool) -> String {
        let (uploads, downloads) = *self.validity.lock().expect("no panic");
        let ahead = *self.ahead.lock().expect("no panic");
        let port = match &self.storage {
            Storage::Memory(_) => *self.port.lock().expect("no panic"),
            Storage::Azurite(azurite) => azurite.port,
        };
        let signature = if upload {
            blob_signature(blob, "cw", ahead + uploads)
        } else {
            blob_signature(blob, "r", ahead + downloads)
        };
        format!("http://127.0.0.1:{port}/{ACCOUNT}/{blob}?{signature}")
    }
}

impl Service for State {
    fn fault(&self, method: &str, path: &str, query: &str) -> Fault {
        let point = Point::of(method, path, query);
        let mut held = self.shelf.lock().expect("no panic while it is held");
        *held.requests.entry(point).or_default() += 1;
        let next = held.next_faults.get_mut(&point).and_then(VecDeque::pop_front);
        next.or_else(|| held.all_faults.get(&point).cloned()).unwrap_or(Fault::None)
    }

    fn answer(&self, request: &Request) -> Answer {
        if let Some(method) = request.path.strip_prefix("/twirp/github.actions.results.api.v1.CacheService/")
        {
            return self.call(method, request);
        }
        let blob = request.path.strip_prefix(&format!("/{ACCOUNT}/"));
        match (&self.storage, blob) {
            (Storage::Memory(blobs), Some(path)) => {
                self.shelf.lock().expect("no panic while it is held").note_download(path);
                blobs.answer(path, request, signing::now() + *self.ahead.lock().expect("no panic"))
            }
            _ => Answer::of(404),
        }
    }
}
