//! Where the API is, and which repository is meant.

use std::fmt;

use reqwest::Url;

use crate::transport::http::address::{self, AddressError};

/// The API of github.com.
const PUBLIC: &str = "https://api.github.com";

/// A repository's owner and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// A user or an organization.
    pub owner: String,
    /// Its name there.
    pub name: String,
}

/// Where the API is, and for which repository it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The root of the REST API.
    pub api: Url,
    /// The GraphQL API.
    pub graphql: Url,
    /// The repository.
    pub repository: Repository,
}

/// Why an endpoint cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It is not `owner/name`.
    #[error("`{0}` is not a repository: write `owner/name`")]
    Repository(String),
    /// It is no URL.
    #[error("`{0}` is not a URL")]
    Url(String),
    /// A token must not be sent there.
    #[error("`{url}`: {why}")]
    Address {
        /// The URL.
        url: String,
        /// Why not.
        why: AddressError,
    },
}

impl Repository {
    /// Reads `owner/name`.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let fits = |part: &str| {
            let characters =
                part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
            characters && !part.is_empty() && part != "." && part != ".."
        };
        match text.split_once('/') {
            Some((owner, name)) if fits(owner) && fits(name) => {
                Ok(Repository { owner: owner.to_owned(), name: name.to_owned() })
            }
            _ => Err(EndpointError::Repository(text.to_owned())),
        }
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

impl Endpoint {
    /// The API at `api` (`GITHUB_API_URL`) and `graphql` (`GITHUB_GRAPHQL_URL`); github.com's if there is none.
    /// Where only the first is given, the second is found beside it, as GitHub Enterprise Server has it.
    pub fn new(
        api: Option<&str>,
        graphql: Option<&str>,
        repository: Repository,
    ) -> Result<Self, EndpointError> {
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

    /// The repository, with its server where that is not github.com.
    pub fn shown(&self) -> String {
        match self.api.host_str() {
            Some("api.github.com") | None => format!("GitHub's caches of {}", self.repository),
            Some(host) => format!("GitHub's caches of {} at {host}", self.repository),
        }
    }
}

fn url(text: &str) -> Result<Url, EndpointError> {
    let url = Url::parse(text).map_err(|_| EndpointError::Url(text.to_owned()))?;
    match address::check(&url) {
        Ok(()) => Ok(url),
        Err(why) => Err(EndpointError::Address { url: address::shown(&url), why }),
    }
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
    fn a_token_is_not_sent_where_anybody_could_read_it() {
        let repository = || Repository::parse("o/r").expect("a repository");
        assert!(Endpoint::new(Some("http://ghe.example.org/api/v3"), None, repository()).is_err());
        assert!(Endpoint::new(None, Some("ftp://x"), repository()).is_err());
        assert!(Endpoint::new(Some("nonsense"), None, repository()).is_err());
    }
}
