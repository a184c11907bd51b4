//! Object layouts, mirrors and sources of seeds.

use crate::config::field::{Field, SECRET};
use crate::config::findings::{Findings, Text};
use crate::config::placeholders::template;
use crate::domain::digest::{Algorithm, CidCodec, ObjectId};
use crate::domain::secret::is_secret_name;
use crate::domain::template::{Piece, Placeholder, Template};
use crate::domain::url_user::user_of;

/// Checks the layout of objects: relative, inside the cache, and with the hash.
pub(in crate::config) fn object(text: &Text, findings: &mut Findings<'_>) -> Option<Template> {
    let layout = template(text, Field::Object, findings)?;
    let sample = layout.expand(|placeholder| Ok::<_, ()>(placeholder.to_string())).ok()?.text;
    let (message, hint) = if !layout.placeholders().any(|p| *p == Placeholder::Hash) {
        (format!("`{layout}` puts all objects at the same path"), "add `{hash}`, the hash of the object")
    } else if !stays_inside(&sample) {
        (
            format!("`{layout}` does not lie below the cache's directory"),
            "write a relative path with `/`, without `..`, such as `{ALGO}/{hash}`",
        )
    } else {
        return Some(layout);
    };
    findings.error(&text.span(), message).with_hint(hint);
    None
}

/// Checks a mirror of single objects.
pub(in crate::config) fn mirror(text: &Text, findings: &mut Findings<'_>) -> Option<Template> {
    let mirror = template(text, Field::Mirror, findings)?;
    if let Some(placeholder) = secret_beside_user(&mirror) {
        let place = findings.place_of(&text.span(), &placeholder.to_string());
        let (why, hint) = SECRET;
        findings.error(&place, format!("`{placeholder}` in a mirror {why}")).with_hint(hint);
        return None;
    }
    let (message, hint) = if let Some(refused) = refused_url(text.get_ref()) {
        refused
    } else if scheme(text.get_ref()).is_none() {
        (format!("the mirror `{mirror}` is not a URL"), "start it with `https://`")
    } else if !mirror.placeholders().any(|p| *p == Placeholder::Hash) {
        (format!("the mirror `{mirror}` has the same URL for every object"), "add `{hash}`")
    } else {
        return Some(mirror);
    };
    findings.error(&text.span(), message).with_hint(hint);
    None
}

/// A variable with the name of a secret that is not a part of the user or password of a mirror.
fn secret_beside_user(mirror: &Template) -> Option<&Placeholder> {
    let user = user_of(mirror);
    let is_user = |index: usize| user.iter().any(|part| part.piece == index);
    mirror.pieces().iter().enumerate().find_map(|(index, piece)| match piece {
        Piece::Placeholder(placeholder @ Placeholder::Env(name))
            if is_secret_name(name) && !is_user(index) =>
        {
            Some(placeholder)
        }
        _ => None,
    })
}

/// Checks an object that is accepted without verification. Only CIDs of trees qualify, since all others can be verified
/// by hashing.
pub(in crate::config) fn unverified(text: &Text, findings: &mut Findings<'_>) -> Option<ObjectId> {
    let written = text.get_ref().trim();
    let named = written.split_once(':').and_then(|(algorithm, hash)| {
        let algorithm = Algorithm::from_name(algorithm)?;
        Some(ObjectId::new(algorithm, hash).map_err(|error| error.to_string()))
    });
    let message = match named {
        None => format!("`{}` is not the name of an object", written.escape_debug()),
        Some(Err(error)) => format!("`{}` is not the name of an object: {error}", written.escape_debug()),
        Some(Ok(object)) => match object.cid() {
            Some((CidCodec::DagPb, _)) => return Some(object),
            _ => format!("`{object}` can always be verified by hashing its bytes"),
        },
    };
    findings
        .error(&text.span(), message)
        .with_hint("write the CID of a tree of blocks, such as `cid:bafybei…`");
    None
}

/// Checks a directory where a build stores objects: a path, not a glob.
pub(in crate::config) fn harvest(text: &Text, findings: &mut Findings<'_>) -> Option<Template> {
    let directory = template(text, Field::Harvest, findings)?;
    if text.get_ref().trim().is_empty() {
        findings
            .error(&text.span(), "a directory in `harvest` is empty")
            .with_hint("write a directory, or omit it");
        return None;
    }
    Some(directory)
}

/// Checks the source of a seed; `verified` tells whether a checksum or content links verify its contents.
pub(in crate::config) fn seed(text: &Text, verified: bool, findings: &mut Findings<'_>) -> Option<Template> {
    let source = template(text, Field::Seed, findings)?;
    let written = text.get_ref().as_str();
    let remote = matches!(scheme(written), Some("http" | "https"));
    let (message, hint) = if let Some(refused) = refused_url(written) {
        refused
    } else if written.trim().is_empty() {
        ("the source of a seed is empty".to_owned(), "write `https://…`, `file:///…` or a path")
    } else if remote && !verified {
        (
            format!("the contents of `{source}` cannot be verified"),
            "add a checksum such as `sha256 = \"…\"` to the seed, or content links to the cache",
        )
    } else if scheme(written).is_none() && written.split(['/', '\\']).any(|part| part == "..") {
        (format!("`{source}` lies outside the workspace"), "write a path below the workspace, or `file:///…`")
    } else if scheme(written).is_none() && written.starts_with('/') {
        (format!("`{source}` is an absolute path, which is ambiguous here"), "prefix it with `file://`")
    } else {
        return Some(source);
    };
    findings.error(&text.span(), message).with_hint(hint);
    None
}

/// The directory in an archive that becomes the cache's, without trailing slashes.
pub(in crate::config) fn subdir(text: &Text, findings: &mut Findings<'_>) -> Option<String> {
    let directory = text.get_ref().trim_end_matches('/');
    let directory = directory.strip_prefix("./").unwrap_or(directory);
    if stays_inside(directory) {
        return Some(directory.to_owned());
    }
    findings
        .error(&text.span(), format!("`{}` is not a directory in the archive", text.get_ref().escape_debug()))
        .with_hint("write a relative path with `/`, without `..`; omit `subdir` for the top of the archive");
    None
}

/// Whether a path with `/` is relative on every OS, without empty, `.` and `..` components.
fn stays_inside(path: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    path.split('/').all(plain) && !path.contains(['\\', ':']) && !path.chars().any(char::is_control)
}

/// The scheme of a URL; `None` for paths.
fn scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once(':')?;
    let word = scheme.len() > 1 && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    (word && (rest.starts_with("//") || scheme == "file")).then_some(scheme)
}

/// Why a URL is refused, with its hint; `None` for allowed URLs and for paths.
fn refused_url(text: &str) -> Option<(String, &'static str)> {
    let scheme = scheme(text)?;
    let rest = &text[scheme.len() + 1..];
    match scheme {
        "https" => None,
        "file" if ["///", "//{", "//localhost/"].iter().any(|start| rest.starts_with(start)) => None,
        "file" => Some((
            format!("`{text}` is not absolute"),
            "write `file:///` and an absolute path, or a path below the workspace without `file:`",
        )),
        "http" if is_loopback(rest.trim_start_matches('/')) => None,
        "http" => Some((
            format!("`{text}` is not encrypted, so it can be modified in transit"),
            "use `https://`; `http://` is allowed only for this machine",
        )),
        other => Some((format!("`{other}://` is not supported"), "use `https://` or `file:///`")),
    }
}

/// Whether the authority at the start of `rest` is this machine.
fn is_loopback(rest: &str) -> bool {
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or("");
    let host = authority.rsplit('@').next().unwrap_or(authority);
    let host = match host.strip_prefix('[') {
        Some(address) => address.split(']').next().unwrap_or(""),
        None => host.split(':').next().unwrap_or(""),
    };
    let address: Option<std::net::IpAddr> = host.parse().ok();
    host.eq_ignore_ascii_case("localhost") || address.is_some_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_may_be_accessed_without_encryption() {
        let check = |url: &str, refused: bool| assert_eq!(refused_url(url).is_some(), refused, "{url}");
        check("http://localhost/x", false);
        check("http://127.0.0.1:8080/x", false);
        check("http://[::1]:8080/x", false);
        check("http://user:word@localhost:1/x", false);
        check("http://localhost.example.org/x", true);
        check("http://localhost@example.org/x", true);
        check("http://127.0.0.1.example.org", true);
        check("http://example.org/{hash}", true);
        check("http://{env.HOST}/{hash}", true);
        check("https://example.org/{hash}", false);
        check("file:///srv/x.tar", false);
        check("file://{workspace}/x.tar", false);
        check("file:x.tar", true);
        check("file://host/x.tar", true);
        check("ftp://example.org/x", true);
        check("seeds/x.tar", false);
        check("C:/seeds/x.tar", false);
    }

    #[test]
    fn paths_that_leave_the_directory_on_any_system_are_rejected() {
        for path in ["", "/a", "a//b", "../a", "a/..", "a/./b", "C:/a", "a\\..\\b", "a\nb"] {
            assert!(!stays_inside(path), "{path:?}");
        }
        assert!(stays_inside("InsightToolkit-5.4.5/.ExternalData"));
    }
}
