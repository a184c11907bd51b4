//! Where objects lie and where they come from: layouts, mirrors, sources of seeds.

use crate::config::findings::{Findings, Text};
use crate::config::placeholders::{Field, template};
use crate::domain::digest::{Algorithm, CidCodec, ObjectId};
use crate::domain::template::{Placeholder, Template};

/// The layout of objects: relative, inside the cache, and with the hash.
pub(in crate::config) fn object(text: &Text, findings: &mut Findings<'_>) -> Option<Template> {
    let layout = template(text, Field::Object, findings)?;
    let sample = layout.expand(|placeholder| Ok::<_, ()>(placeholder.to_string())).ok()?.text;
    let (message, cure) = if !layout.placeholders().any(|p| *p == Placeholder::Hash) {
        (format!("`{layout}` puts all objects in one place"), "add `{hash}`: it names the object")
    } else if !stays_inside(&sample) {
        (
            format!("`{layout}` does not lie below the cache's folder"),
            "write a relative path with `/`, without `..`, such as `{ALGO}/{hash}`",
        )
    } else {
        return Some(layout);
    };
    findings.error(&text.span(), message).cure(cure);
    None
}

/// A mirror of single objects.
pub(in crate::config) fn mirror(text: &Text, findings: &mut Findings<'_>) -> Option<Template> {
    let mirror = template(text, Field::Mirror, findings)?;
    let (message, cure) = if let Some(refused) = refused_url(text.get_ref()) {
        refused
    } else if scheme(text.get_ref()).is_none() {
        (format!("the mirror `{mirror}` is no URL"), "start it with `https://`")
    } else if !mirror.placeholders().any(|p| *p == Placeholder::Hash) {
        (format!("the mirror `{mirror}` gives the same file for every object"), "add `{hash}`")
    } else {
        return Some(mirror);
    };
    findings.error(&text.span(), message).cure(cure);
    None
}

/// An object that is taken without proof: every kind that its own bytes prove needs no such leave.
pub(in crate::config) fn unverified(text: &Text, findings: &mut Findings<'_>) -> Option<ObjectId> {
    let written = text.get_ref().trim();
    let named = written.split_once(':').and_then(|(algorithm, hash)| {
        let algorithm = Algorithm::from_name(algorithm)?;
        Some(ObjectId::new(algorithm, hash).map_err(|error| error.to_string()))
    });
    let message = match named {
        None => format!("`{}` names no object", written.escape_debug()),
        Some(Err(error)) => format!("`{}` names no object: {error}", written.escape_debug()),
        Some(Ok(object)) => match object.cid() {
            Some((CidCodec::DagPb, _)) => return Some(object),
            _ => format!("`{object}` can always be verified: its bytes hash to its name or are not it"),
        },
    };
    findings.error(&text.span(), message).cure("name a CID of a tree of blocks, such as `cid:bafybei…`");
    None
}

/// A folder in which a build leaves objects: a path, not a glob.
pub(in crate::config) fn harvest(text: &Text, findings: &mut Findings<'_>) -> Option<Template> {
    let folder = template(text, Field::Harvest, findings)?;
    if text.get_ref().trim().is_empty() {
        findings.error(&text.span(), "a folder of `harvest` is empty").cure("name a folder, or leave it out");
        return None;
    }
    Some(folder)
}

/// An archive that seeds; `verified` tells whether a checksum or content links prove what it holds.
pub(in crate::config) fn seed(text: &Text, verified: bool, findings: &mut Findings<'_>) -> Option<Template> {
    let source = template(text, Field::Seed, findings)?;
    let written = text.get_ref().as_str();
    let remote = matches!(scheme(written), Some("http" | "https"));
    let (message, cure) = if let Some(refused) = refused_url(written) {
        refused
    } else if written.trim().is_empty() {
        ("the source of a seed is empty".to_owned(), "write `https://…`, `file:///…` or a path")
    } else if remote && !verified {
        (
            format!("nothing proves what `{source}` sends"),
            "add a checksum such as `sha256 = \"…\"` to the seed, or content links to the cache",
        )
    } else if scheme(written).is_none() && written.split(['/', '\\']).any(|part| part == "..") {
        (format!("`{source}` leaves the workspace"), "write a path below the workspace, or `file:///…`")
    } else if scheme(written).is_none() && written.starts_with('/') {
        (
            format!("`{source}` is absolute, and looks like a path below the workspace"),
            "put `file://` before it",
        )
    } else {
        return Some(source);
    };
    findings.error(&text.span(), message).cure(cure);
    None
}

/// The folder in an archive that becomes the cache's, without slashes at its ends.
pub(in crate::config) fn subdir(text: &Text, findings: &mut Findings<'_>) -> Option<String> {
    let folder = text.get_ref().trim_end_matches('/');
    let folder = folder.strip_prefix("./").unwrap_or(folder);
    if stays_inside(folder) {
        return Some(folder.to_owned());
    }
    findings
        .error(&text.span(), format!("`{}` is no folder in the archive", text.get_ref().escape_debug()))
        .cure("write a relative path with `/`, without `..`; leave `subdir` out for the archive's top");
    None
}

/// Whether a path with `/` is relative on every OS and has no odd components.
fn stays_inside(path: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    path.split('/').all(plain) && !path.contains(['\\', ':']) && !path.chars().any(char::is_control)
}

/// The scheme of a URL, if it is one that is known or looks like one.
fn scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once(':')?;
    let word = scheme.len() > 1 && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    (word && (rest.starts_with("//") || scheme == "file")).then_some(scheme)
}

/// Why a URL is not fetched from; `None` for paths.
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
            format!("`{text}` is not encrypted, so anyone on the way could change it"),
            "use `https://`; `http://` is for this machine only",
        )),
        other => Some((format!("`{other}://` is not supported"), "use `https://` or `file:///`")),
    }
}

/// Whether an authority with what follows it is this machine's own.
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
    fn only_this_machine_may_be_reached_unencrypted() {
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
    fn what_leaves_a_folder_on_any_system_is_refused() {
        for path in ["", "/a", "a//b", "../a", "a/..", "a/./b", "C:/a", "a\\..\\b", "a\nb"] {
            assert!(!stays_inside(path), "{path:?}");
        }
        assert!(stays_inside("InsightToolkit-5.4.5/.ExternalData"));
    }
}
