//! Mirrors: fetching many objects, each by its hash, from servers of which some are dead, slow or wrong.
//!
//! [`health`] judges the mirrors, and [`MirrorFetch`] spreads
//! the work. Nothing is trusted here: what comes is handed to the caller, who verifies and keeps it.

mod attempt;
mod fetch;
pub(crate) mod health;

use std::fmt;
use std::path::{Path, PathBuf};

use reqwest::Url;

pub(crate) use fetch::{FetchReport, MirrorFetch, MirrorSettings, Refusal};

use super::source::{Source, SourceError};
use crate::domain::digest::{Algorithm, ObjectId};

/// Where objects can be had, by their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mirror {
    template: String,
    workspace: PathBuf,
}

/// In which form a gateway is asked for a CID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GatewayForm {
    /// The block that it names, as it is.
    Block,
    /// That block and all below it, as a CAR in depth-first order.
    Car,
}

impl GatewayForm {
    fn format(self) -> &'static str {
        match self {
            GatewayForm::Block => "raw",
            GatewayForm::Car => "car",
        }
    }

    /// What `Accept` must say, for gateways that do not look at the URL.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            GatewayForm::Block => "application/vnd.ipld.raw",
            GatewayForm::Car => "application/vnd.ipld.car; version=1; order=dfs; dups=y",
        }
    }
}

/// Why a text is not a mirror.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MirrorError {
    /// Without the hash every object would be the same file.
    #[error("a mirror needs `{{hash}}` in its URL")]
    NoHash,
    /// A placeholder that is not known.
    #[error("a mirror's URL has `{{hash}}`, `{{ALGO}}` and `{{algo}}`, not `{{{0}}}`")]
    UnknownPlaceholder(String),
    /// The filled-in template is not a source.
    #[error(transparent)]
    Source(#[from] SourceError),
}

impl Mirror {
    /// Reads a source ([`Source::parse`]) with `{hash}`, and `{ALGO}` or `{algo}` for the algorithm as stores
    /// and as links spell it.
    pub(crate) fn parse(text: &str, workspace: &Path) -> Result<Self, MirrorError> {
        let mirror = Mirror { template: text.trim().to_owned(), workspace: workspace.to_owned() };
        if !text.contains("{hash}") {
            return Err(MirrorError::NoHash);
        }
        let rest = mirror.template.replace("{hash}", "").replace("{ALGO}", "").replace("{algo}", "");
        if let Some((name, _)) = rest.split_once('{').and_then(|(_, rest)| rest.split_once('}')) {
            return Err(MirrorError::UnknownPlaceholder(name.to_owned()));
        }
        mirror.expand(Algorithm::Md5, &"0".repeat(32))?;
        Ok(mirror)
    }

    /// Where this mirror has an object: its URL with the object's name filled in.
    pub(crate) fn source(&self, object: &ObjectId) -> Result<Source, SourceError> {
        self.expand(object.algorithm(), object.hash())
    }

    /// Whether it looks like an IPFS gateway, which also has single blocks and whole trees of them: `/ipfs/{hash}` in
    /// its path, or `{hash}.ipfs.` in its host.
    pub(crate) fn is_gateway(&self) -> bool {
        let bare = self.template.split(['?', '#']).next().unwrap_or_default();
        bare.ends_with("/ipfs/{hash}") || bare.contains("/ipfs/{hash}/") || bare.contains("//{hash}.ipfs.")
    }

    /// Where a gateway has a CID in this form ("Trustless Gateway Specification").
    pub(crate) fn gateway_url(&self, cid: &ObjectId, form: GatewayForm) -> Option<Url> {
        let Ok(Source::Http(mut url)) = self.source(cid) else { return None };
        url.query_pairs_mut().append_pair("format", form.format());
        Some(url)
    }

    fn expand(&self, algorithm: Algorithm, hash: &str) -> Result<Source, SourceError> {
        let text = self.template.replace("{hash}", hash).replace("{algo}", algorithm.name());
        Source::parse(&text.replace("{ALGO}", algorithm.directory()), &self.workspace)
    }
}

impl fmt::Display for Mirror {
    /// The template without user and query.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bare = self.template.split(['?', '#']).next().unwrap_or_default();
        match bare.split_once("://") {
            Some((scheme, rest)) => {
                let (host, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
                let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
                write!(f, "{scheme}://{host}{path}")
            }
            None => f.write_str(bare),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_become_the_object() {
        let object = ObjectId::new(Algorithm::Sha3_256, &"a".repeat(64)).expect("a hash");
        let mirror =
            Mirror::parse("https://h.example/{ALGO}/{algo}/{hash}", Path::new("/w")).expect("a mirror");
        let expect = format!("https://h.example/SHA3_256/sha3-256/{}", "a".repeat(64));
        assert_eq!(mirror.source(&object).expect("a source").to_string(), expect);
    }

    #[test]
    fn gateways_are_known_by_their_paths_and_asked_for_blocks() {
        let mirror = |text: &str| Mirror::parse(text, Path::new("/w")).expect(text);
        assert!(mirror("https://{hash}.ipfs.example.org/").is_gateway());
        assert!(!mirror("https://example.org/{ALGO}/{hash}").is_gateway());
        let gateway = mirror("https://example.org/ipfs/{hash}?token=x");
        assert!(gateway.is_gateway());
        let cid =
            ObjectId::new(Algorithm::Cid, "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o").expect("a CID");
        let url = gateway.gateway_url(&cid, GatewayForm::Block).expect("a URL");
        assert_eq!(url.query(), Some("token=x&format=raw"));
        assert_eq!(mirror("file:///C:/ipfs/{hash}").gateway_url(&cid, GatewayForm::Car), None);
    }

    #[test]
    fn malformed_mirrors_are_refused() {
        let parse = |text: &str| Mirror::parse(text, Path::new("/w")).expect_err(text);
        assert_eq!(parse("https://h.example/"), MirrorError::NoHash);
        assert_eq!(parse("https://h.example/{Hash}/{hash}"), MirrorError::UnknownPlaceholder("Hash".into()));
        assert!(matches!(parse("http://h.example/{hash}"), MirrorError::Source(_)));
        assert!(matches!(parse("../{hash}"), MirrorError::Source(_)));
    }

    #[test]
    fn a_mirror_is_shown_without_its_secrets() {
        let text = "https://user:hush@h.example/{ALGO}/{hash}?sig=hush";
        let mirror = Mirror::parse(text, Path::new("/w")).expect("a mirror");
        assert_eq!(mirror.to_string(), "https://h.example/{ALGO}/{hash}");
    }
}

#[cfg(test)]
mod fault_tests;
