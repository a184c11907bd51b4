//! Repositories: whose entries a store keeps apart, and how a remote's address names one.

use std::fmt;

use super::digest::Sha256Digest;

/// The longest name in bytes: with every byte escaped it still fits into a path beside a scope and a key.
const MAX_LENGTH: usize = 400;

/// The host of repositories that only this machine has. No forge can have it.
const LOCAL: &str = "local";

/// Hosts that forges have for SSH where its port is closed, or for SSH alone, and the hosts that they stand for.
const SSH_HOSTS: &[(&str, &str)] = &[
    ("ssh.github.com", "github.com"),
    ("altssh.gitlab.com", "gitlab.com"),
    ("altssh.bitbucket.org", "bitbucket.org"),
    ("ssh.dev.azure.com", AZURE),
];

const AZURE: &str = "dev.azure.com";

/// Forges that ignore case in the names of repositories.
const CASELESS: &[&str] = &["github.com", "gitlab.com", "bitbucket.org", AZURE];

/// A repository: the host of its forge and its path there, `github.com/owner/name`; or `local/<digest>` for a
/// directory that has no remote. Never contains credentials.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepositoryId(String);

impl RepositoryId {
    /// The repository with this path at a host, as a forge names it: `owner/name`, with as many groups as there are.
    /// A port of the host is ignored, since SSH and HTTPS have different ones. `None` if that names no repository.
    pub fn hosted(host: &str, path: &str) -> Option<Self> {
        let host = host_of(host)?;
        let mut names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
        if let Some(last) = names.last_mut() {
            *last = last.strip_suffix(".git").filter(|rest| !rest.is_empty()).unwrap_or(last);
        }
        // `v3/organization/project/name` over SSH is `organization/project/_git/name` over HTTPS.
        if let (AZURE, ["v3", organization, project, name]) = (host.as_str(), names.as_slice()) {
            names = vec![*organization, *project, "_git", *name];
        }
        let mut path = names.join("/");
        if CASELESS.contains(&host.as_str()) {
            path = path.to_lowercase();
        }
        RepositoryId::parse(&format!("{host}/{path}")).filter(|_| host != LOCAL)
    }

    /// The repository at the address of a remote: `https://host/owner/name.git`, `ssh://git@host:22/owner/name` or
    /// `git@host:owner/name`. `None` for a path and for an address of another form.
    pub fn from_url(url: &str) -> Option<Self> {
        let url = url.trim();
        if let Some((scheme, rest)) = url.split_once("://") {
            let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
            if scheme.is_empty() || !scheme.bytes().all(is_scheme) || scheme.eq_ignore_ascii_case("file") {
                return None;
            }
            let (authority, path) = rest.split_once('/')?;
            // A query can hold a token.
            let path = path.split(['?', '#']).next().unwrap_or(path);
            return RepositoryId::hosted(authority, path);
        }
        let (authority, path) = scp_like(url)?;
        RepositoryId::hosted(authority, path)
    }

    /// The repository of a directory without a remote: its absolute path decides.
    pub fn local(directory: &str) -> Self {
        let digest = Sha256Digest::of(directory.as_bytes()).to_string();
        RepositoryId(format!("{LOCAL}/{digest:.32}"))
    }

    /// What all directories outside of checkouts are in a store that was named for them: nothing tells them apart, and
    /// builds that unpack their sources do so at another path each time.
    pub fn without_checkout() -> Self {
        RepositoryId(format!("{LOCAL}/no-checkout"))
    }

    /// The inverse of [`as_str`](Self::as_str): a host and at least one name.
    pub fn parse(text: &str) -> Option<Self> {
        let is_valid = text.len() <= MAX_LENGTH
            && text.contains('/')
            && text.split('/').all(|name| !name.is_empty())
            && !text.contains(char::is_control);
        is_valid.then(|| RepositoryId(text.to_owned()))
    }

    /// The host and the path, joined by `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host, and each name of the path. A name can be anything without `/` and control characters, `..` included.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }
}

impl fmt::Display for RepositoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The path in the address of a remote that is a directory; `None` if the address names a host.
pub fn path_of_remote(url: &str) -> Option<&str> {
    let url = url.trim();
    if let Some((scheme, rest)) = url.split_once("://") {
        let path = rest.strip_prefix("localhost").unwrap_or(rest);
        return (scheme.eq_ignore_ascii_case("file") && path.starts_with('/')).then_some(path);
    }
    let is_path = !url.is_empty() && scp_like(url).is_none() && !url.contains("::");
    is_path.then_some(url)
}

/// Host and path of `user@host:path`, as `ssh` and `scp` write it.
fn scp_like(url: &str) -> Option<(&str, &str)> {
    // The host can be in brackets: an IPv6 address, or a host with a port.
    let closed = url.find("]:").map(|at| at + 1).filter(|_| url.contains('['));
    let (authority, path) = url.split_at(closed.or_else(|| url.find(':'))?);
    let path = path.strip_prefix(':')?;
    // `./a:b` is a path, `C:\a` a path on Windows, and `ext::command` is not an address.
    let is_host = !authority.contains(['/', '\\']) && authority.chars().count() > 1 && !path.starts_with(':');
    is_host.then_some((authority, path))
}

/// The host in `user:password@host:port`, in lower case.
fn host_of(authority: &str) -> Option<String> {
    let host = authority.rsplit('@').next().unwrap_or(authority);
    let host = match host.strip_prefix('[').and_then(|bracketed| bracketed.split_once(']')) {
        // `[::1]:22` is an address and a port, `[host:22]` is the same for a name.
        Some((inner, _)) if inner.matches(':').count() > 1 => inner,
        Some((inner, _)) => inner.split(':').next().unwrap_or(inner),
        None => host.split(':').next().unwrap_or(host),
    };
    let host = host.trim_end_matches('.').to_lowercase();
    let known =
        SSH_HOSTS.iter().find(|(ssh, _)| *ssh == host).map(|(_, stands_for)| (*stands_for).to_owned());
    Some(known.unwrap_or(host)).filter(|host| !host.is_empty() && !host.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> Option<String> {
        RepositoryId::from_url(url).map(|id| id.to_string())
    }

    #[test]
    fn every_spelling_of_an_address_names_the_same_repository() {
        for url in [
            "https://github.com/owner/name",
            "https://github.com/owner/name.git",
            "https://github.com/owner/name/",
            "https://github.com/owner/name.git/",
            "https://GitHub.com/Owner/Name.git",
            "https://github.com:443/owner/name",
            "https://github.com./owner/name",
            "https://user@github.com/owner/name",
            "https://x-access-token:ghs_secret@github.com/owner/name.git",
            "https://github.com//owner//name",
            "https://github.com/owner/name?access_token=secret#x",
            "http://github.com/owner/name",
            "git://github.com/owner/name.git",
            "git+ssh://git@github.com/owner/name.git",
            "ssh://git@github.com/owner/name.git",
            "ssh://git@github.com:22/owner/name.git",
            "ssh://git@ssh.github.com:443/owner/name.git",
            "git@github.com:owner/name.git",
            "git@github.com:/owner/name.git",
            "github.com:owner/name",
            "git@[github.com:22]:owner/name.git",
            "  https://github.com/owner/name\n",
        ] {
            assert_eq!(of(url).as_deref(), Some("github.com/owner/name"), "{url}");
        }
    }

    #[test]
    fn groups_case_and_odd_names_are_kept() {
        for (url, expect) in [
            ("https://gitlab.example.org/a/b/c/d.git", "gitlab.example.org/a/b/c/d"),
            ("ssh://git@gitlab.example.org:2222/a/b.git", "gitlab.example.org/a/b"),
            ("git@git.example.org:Team/Tool.git", "git.example.org/Team/Tool"),
            ("https://[2001:db8::1]:8443/a/b", "2001:db8::1/a/b"),
            ("git@[::1]:a/b", "::1/a/b"),
            ("https://host.example/.git", "host.example/.git"),
            ("https://host.example/a/.git", "host.example/a/.git"),
            ("https://host.example/a/../b", "host.example/a/../b"),
            ("https://host.example/größe/名前", "host.example/größe/名前"),
            ("user@host.example:~/srv/x.git", "host.example/~/srv/x"),
            ("https://dev.azure.com/Org/My%20Project/_git/Repo", "dev.azure.com/org/my%20project/_git/repo"),
            ("git@ssh.dev.azure.com:v3/Org/My%20Project/Repo", "dev.azure.com/org/my%20project/_git/repo"),
        ] {
            assert_eq!(of(url).as_deref(), Some(expect), "{url}");
        }
    }

    #[test]
    fn what_names_no_repository_of_a_forge_is_refused() {
        let long = format!("https://host.example/{}", "a".repeat(MAX_LENGTH));
        for url in [
            "",
            "https://",
            "https://host.example",
            "https://host.example/",
            "https:///owner/name",
            "https://:443/owner/name",
            "https://user@/owner/name",
            "file:///srv/git/x.git",
            "FILE:///srv/git/x.git",
            "/srv/git/x.git",
            "../x.git",
            "./a:b",
            "name",
            "C:\\git\\x",
            "C:/git/x",
            "ext::sh -c id",
            "codecommit::eu-west-1://name",
            "git@host.example:",
            ":owner/name",
            "https://host.example/a\u{1b}[0m/b",
            "https://local/0123456789abcdef",
            "local:x",
            &long,
        ] {
            assert_eq!(of(url), None, "{url:?}");
        }
    }

    #[test]
    fn remotes_that_are_directories_have_a_path() {
        for (url, path) in [
            ("/srv/git/x.git", Some("/srv/git/x.git")),
            ("../x.git", Some("../x.git")),
            ("file:///srv/git/x.git", Some("/srv/git/x.git")),
            ("file://localhost/srv/x", Some("/srv/x")),
            ("./a:b", Some("./a:b")),
            ("C:/git/x", Some("C:/git/x")),
            ("https://host.example/a/b", None),
            ("git@host.example:a/b", None),
            ("ext::sh -c id", None),
            ("", None),
        ] {
            assert_eq!(path_of_remote(url), path, "{url}");
        }
    }

    #[test]
    fn a_directory_is_a_repository_of_its_own() {
        let (one, other) = (RepositoryId::local("/home/a/x"), RepositoryId::local("/home/a/y"));
        assert_ne!(one, other);
        assert_eq!(one, RepositoryId::local("/home/a/x"));
        assert_eq!(one.as_str().len(), "local/".len() + 32);
        assert_eq!(RepositoryId::parse(one.as_str()), Some(one));
    }

    #[test]
    fn a_forge_names_host_and_path() {
        let hosted = |host: &str, path: &str| RepositoryId::hosted(host, path).map(|id| id.to_string());
        assert_eq!(hosted("gitlab.com", "Group/Sub/Tool").as_deref(), Some("gitlab.com/group/sub/tool"));
        assert_eq!(hosted("git.example.org:8443", "a/b").as_deref(), Some("git.example.org/a/b"));
        for (host, path) in [("", "a/b"), ("h", ""), ("h", "/"), ("h/x", "a"), ("h", "a\u{0}b")] {
            assert_eq!(hosted(host, path), None, "{host} {path:?}");
        }
    }
}
