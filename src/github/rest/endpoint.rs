//! The endpoint: URLs of the API, and the repository.

use std::fmt;

use reqwest::Url;

use crate::domain::fault::Fault;
use crate::transport::http::address;

/// The API of github.com.
const PUBLIC: &str = "https://api.github.com";

/// The owner and name of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// A user or an organization.
    pub owner: String,
    /// Its name there.
    pub name: String,
}

/// URLs of the API, and the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The base URL of the REST API.
    pub api: Url,
    /// The URL of the GraphQL API.
    pub graphql: Url,
    /// The repository.
    pub repository: Repository,
}

impl Repository {
    /// Parses `owner/name`.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let fits = |part: &str| {
            let characters =
                part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
            characters && !part.is_empty() && part != "." && part != ".."
        };
        match text.split_once('/') {
            Some((owner, name)) if fits(owner) && fits(name) => {
                Ok(Repository { owner: owner.to_owned(), name: name.to_owned() })
            }
            _ => Err(Fault::usage(format!("`{text}` is not a repository: write `owner/name`"))),
        }
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

impl Endpoint {
    /// The endpoint at `api` (`GITHUB_API_URL`) and `graphql` (`GITHUB_GRAPHQL_URL`), by default that of github.com. If
    /// only `api` is given, the GraphQL URL is derived from it as on GitHub Enterprise Server.
    pub fn new(api: Option<&str>, graphql: Option<&str>, repository: Repository) -> Result<Self, Fault> {
        let api = url(api.unwrap_or(PUBLIC))?;
        let graphql = if let Some(graphql) = graphql {
            url(graphql)?
        } else {
            let mut beside = api.clone();
            let path = api.path().trim_end_matches('/');
            beside.set_path(&format!("{}/graphql", path.strip_suffix("/v3").unwrap_or(path)));
            beside
        };
        Ok(Endpoint { api, graphql, repository })
    }

    /// Human-readable location, with the server unless it is github.com.
    pub fn shown(&self) -> String {
        match self.api.host_str() {
            Some("api.github.com") | None => format!("GitHub's caches of {}", self.repository),
            Some(host) => format!("GitHub's caches of {} at {host}", self.repository),
        }
    }
}

fn url(text: &str) -> Result<Url, Fault> {
    let url = Url::parse(text).map_err(|_| Fault::usage(format!("`{text}` is not a URL")))?;
    match address::check(&url) {
        Ok(()) => Ok(url),
        Err(why) => Err(Fault::usage(format!("`{}`: {why}", address::shown(&url)))),
    }
}

/// Appends a path and query to a URL, whether or not it ends with a slash.
pub(super) fn join(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    url.set_path(&format!("{}/{}", base.path().trim_end_matches('/'), path.trim_start_matches('/')));
    url.set_query(query);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_an_owner_and_a_name() {
        let parsed = Repository::parse("octo-org/hello_world.rs").expect("a repository");
        assert_eq!(parsed.to_string(), "octo-org/hello_world.rs");
        for text in ["", "name", "/name", "owner/", "a/b/c", "a/..", "a b/c", "a/b?c", "a/b%2f"] {
            assert!(Repository::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn graphql_lies_beside_the_api() {
        let check = |api: Option<&str>, expect: &str| {
            let repository = Repository::parse("o/r").expect("a repository");
            let endpoint = Endpoint::new(api, None, repository).expect("an endpoint");
            assert_eq!(endpoint.graphql.as_str(), expect);
        };
        check(None, "https://api.github.com/graphql");
        check(Some("https://ghe.example.org/api/v3"), "https://ghe.example.org/api/graphql");
        check(Some("http://127.0.0.1:1/"), "http://127.0.0.1:1/graphql");
    }

    #[test]
    fn a_token_is_not_sent_without_encryption() {
        let repository = || Repository::parse("o/r").expect("a repository");
        assert!(Endpoint::new(Some("http://ghe.example.org/api/v3"), None, repository()).is_err());
        assert!(Endpoint::new(None, Some("ftp://x"), repository()).is_err());
        assert!(Endpoint::new(Some("nonsense"), None, repository()).is_err());
    }
}
