//! A faithful fake of GitHub's API for caches, pull requests and refs, on this machine: pages, permissions,
//! limits, and faults. Its clock stands still, so that equal questions get equal answers.

mod graphql;
mod rest;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::capture;

/// What the token must be.
pub const TOKEN: &str = "ghs_fake_token";

/// The repository that there is.
pub const REPOSITORY: &str = "octo/hello";

/// A cache as GitHub keeps it.
#[derive(Debug, Clone)]
pub struct Cache {
    pub id: u64,
    pub git_ref: String,
    pub key: String,
    pub version: String,
    pub created_at: DateTime<Utc>,
    pub last_accessed_at: DateTime<Utc>,
    pub size: u64,
}

/// A pull request; open where it was never closed.
#[derive(Debug, Clone)]
pub struct Pull {
    pub closed_at: Option<DateTime<Utc>>,
    pub merged: bool,
    pub base: String,
}

/// An answer that is given instead of the true one.
#[derive(Debug, Clone)]
pub struct Fault {
    pub method: Method,
    /// Part of the path and query.
    pub path: String,
    /// How often.
    pub times: usize,
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

/// What happens to the caches once a request was answered.
pub type Twist = Box<dyn FnMut(&Method, &str, &mut World) + Send>;

/// Everything that the server knows, for tests to set and to look at.
pub struct World {
    pub now: DateTime<Utc>,
    pub caches: Vec<Cache>,
    pub pulls: BTreeMap<u64, Pull>,
    pub refs: BTreeSet<String>,
    pub default_branch: String,
    pub limit_gb: Option<u64>,
    /// Whether the token may list and delete.
    pub may_read: bool,
    pub may_delete: bool,
    /// Whether the token sees refs; if not, they are null, without an error.
    pub sees_refs: bool,
    /// Pull requests whose state is an error.
    pub broken_pulls: BTreeSet<u64>,
    pub faults: Vec<Fault>,
    pub twist: Option<Twist>,
    /// Requests that are left in this hour, and after which time there are more.
    pub remaining: u64,
    pub reset_after: Option<Duration>,
    /// So many deletions in a row meet the secondary limit, which asks for this pause.
    pub burst: Option<(usize, Duration)>,
    /// Deletions since the last pause, and when it ends.
    row: (usize, Option<Instant>),
    pub calls: Vec<(Method, String, Instant)>,
    pub refused: usize,
    next_id: u64,
}

/// A running server.
pub struct GitHubApi {
    world: Arc<Mutex<World>>,
    address: SocketAddr,
    /// The server stops when this is dropped; it may still finish what connections are kept for.
    _stop: tokio::sync::oneshot::Sender<()>,
}

impl World {
    fn new(now: DateTime<Utc>) -> Self {
        World {
            now,
            caches: Vec::new(),
            pulls: BTreeMap::new(),
            refs: BTreeSet::from(["refs/heads/main".to_owned()]),
            default_branch: "main".to_owned(),
            limit_gb: None,
            may_read: true,
            may_delete: true,
            sees_refs: true,
            broken_pulls: BTreeSet::new(),
            faults: Vec::new(),
            twist: None,
            remaining: 1_000,
            reset_after: None,
            burst: None,
            row: (0, None),
            calls: Vec::new(),
            refused: 0,
            next_id: 1,
        }
    }

    /// Saves a cache so many hours ago, last used so many hours ago. Returns its id.
    pub fn save(&mut self, git_ref: &str, key: &str, hours: (f64, f64), megabytes: u64) -> u64 {
        #[expect(clippy::cast_possible_truncation, reason = "hours of a test")]
        let ago = |hours: f64| self.now - TimeDelta::seconds((hours * 3_600.0) as i64);
        let cache = Cache {
            id: self.next_id,
            git_ref: git_ref.to_owned(),
            key: key.to_owned(),
            version: "5".repeat(64),
            created_at: ago(hours.0),
            last_accessed_at: ago(hours.1),
            size: megabytes * 1_000_000,
        };
        self.next_id += 1;
        let id = cache.id;
        self.caches.push(cache);
        id
    }

    /// Closes a pull request so many hours ago; `None` opens it.
    pub fn pull(&mut self, number: u64, closed_hours_ago: Option<f64>) {
        #[expect(clippy::cast_possible_truncation, reason = "hours of a test")]
        let closed_at = closed_hours_ago.map(|hours| self.now - TimeDelta::seconds((hours * 3_600.0) as i64));
        self.pulls
            .insert(number, Pull { closed_at, merged: number.is_multiple_of(2), base: "main".to_owned() });
    }

    /// The ids of all caches.
    pub fn ids(&self) -> BTreeSet<String> {
        self.caches.iter().map(|cache| cache.id.to_string()).collect()
    }

    /// How many requests of this method there were.
    pub fn count(&self, method: &Method) -> usize {
        self.calls.iter().filter(|(called, _, _)| called == method).count()
    }
}

impl GitHubApi {
    /// Starts a server whose clock stands at `now`.
    pub fn start(now: DateTime<Utc>) -> Self {
        capture::secret("api-token", TOKEN);
        let world = Arc::new(Mutex::new(World::new(now)));
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::clone(&world);
        let serve = async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            let router = Router::new().fallback(answer).with_state(shared);
            let ended = async { drop(stopped.await) };
            axum::serve(listener, router).with_graceful_shutdown(ended).await.expect("it serves");
        };
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a runtime");
            runtime.block_on(serve);
        });
        drop(thread);
        GitHubApi { world, address, _stop: stop }
    }

    /// The root of the API.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What the server knows.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer before it is sent.
struct Answer {
    status: StatusCode,
    headers: Vec<(&'static str, String)>,
    body: Value,
}

impl Answer {
    fn of(status: u16, body: Value) -> Self {
        Answer { status: StatusCode::from_u16(status).expect("a status"), headers: Vec::new(), body }
    }

    fn message(status: u16, message: &str) -> Self {
        Answer::of(status, json!({ "message": message, "documentation_url": "https://docs.github.com/rest" }))
    }
}

async fn answer(
    Shared(world): Shared<Arc<Mutex<World>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<axum::body::Body> {
    let mut world = world.lock().unwrap_or_else(PoisonError::into_inner);
    let path = uri.to_string();
    world.calls.push((method.clone(), path.clone(), Instant::now()));
    let answer = respond(&mut world, &method, &uri, &headers, &body);
    if let Some(mut twist) = world.twist.take() {
        twist(&method, &path, &mut world);
        world.twist.get_or_insert(twist);
    }
    let mut response = Response::builder()
        .status(answer.status)
        .header("content-type", "application/json; charset=utf-8")
        .header("date", world.now.format("%a, %d %b %Y %H:%M:%S GMT").to_string())
        .header("x-ratelimit-limit", "1000");
    if !answer.headers.iter().any(|(name, _)| *name == "x-ratelimit-remaining") {
        response = response.header("x-ratelimit-remaining", world.remaining.to_string());
    }
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    let body = if answer.body.is_null() { String::new() } else { answer.body.to_string() };
    response.body(body.into()).expect("a response")
}

fn respond(world: &mut World, method: &Method, uri: &Uri, headers: &HeaderMap, body: &Bytes) -> Answer {
    if headers.get("authorization").is_none_or(|value| value != &format!("Bearer {TOKEN}")) {
        return Answer::message(401, "Bad credentials");
    }
    if headers.get("user-agent").is_none() {
        return Answer::message(403, "Request forbidden by administrative rules.");
    }
    let path = uri.to_string();
    let is_hit =
        |fault: &&mut Fault| fault.times > 0 && fault.method == *method && path.contains(&fault.path);
    if let Some(fault) = world.faults.iter_mut().find(is_hit) {
        fault.times -= 1;
        let body = serde_json::from_str(&fault.body).unwrap_or_else(|_| json!({ "message": fault.body }));
        return Answer { headers: fault.headers.clone(), ..Answer::of(fault.status, body) };
    }
    if world.remaining == 0 {
        return hour_is_used_up(world);
    }
    world.remaining -= 1;
    if uri.path() == "/graphql" {
        return graphql::answer(world, body);
    }
    rest::answer(world, method, uri)
}

/// The primary limit. The server's clock goes on to the reset, so that the next request is allowed.
fn hour_is_used_up(world: &mut World) -> Answer {
    world.refused += 1;
    let reset =
        world.now.timestamp() + world.reset_after.map_or(3_600, |after| after.as_secs().cast_signed());
    if world.reset_after.is_some() {
        world.remaining = 1_000;
    }
    let message = "API rate limit exceeded for installation.";
    let headers = vec![("x-ratelimit-reset", reset.to_string()), ("x-ratelimit-remaining", "0".to_owned())];
    Answer { headers, ..Answer::message(403, message) }
}
