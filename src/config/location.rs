//! Store locations: their forms in a configuration, on the command line and in the environment.

use std::path::PathBuf;

use crate::domain::object_location::{ObjectLocation, ObjectService};
use crate::domain::spec::StoreLocation;

const FORMS: &str = "write `auto`, `github`, `file:///` and an absolute path, `az://ACCOUNT/CONTAINER/PREFIX`, \
                     `s3://BUCKET/PREFIX` or `gs://BUCKET/PREFIX`";

const DIRECTORY_FORM: &str = "write `file:///` and an absolute path";

/// The host of an Azure storage account follows its name.
const AZURE_HOST: &str = ".blob.core.windows.net";

/// Parses a store location; the error is a message and a hint.
pub(super) fn parse_store(text: &str) -> Result<StoreLocation, (String, String)> {
    parse_on(text, cfg!(windows))
}

fn parse_on(text: &str, windows: bool) -> Result<StoreLocation, (String, String)> {
    if let Some(url) = url_of_windows_path(text) {
        let hint = format!("write `{url}`; directories are given as URLs");
        return Err((format!("`{text}` is not a store"), hint));
    }
    let no = |message: String| Err((message, DIRECTORY_FORM.to_owned()));
    if text == "auto" {
        return Ok(StoreLocation::Auto);
    }
    if text == "github" {
        return Ok(StoreLocation::GitHub);
    }
    let Some(rest) = text.strip_prefix("file:") else {
        return match text.split_once("://") {
            Some((scheme @ ("s3" | "az" | "gs" | "https"), rest)) => {
                parse_objects(scheme, rest).map(StoreLocation::Objects)
            }
            _ if text.starts_with('/') => Err((
                format!("`{text}` is not a store"),
                format!("write `file://{text}`; directories are given as URLs"),
            )),
            _ => Err((format!("`{text}` is not a store"), FORMS.to_owned())),
        };
    };
    let path = match rest.strip_prefix("//") {
        Some(absolute) if absolute.starts_with('/') => absolute,
        Some(named) if named.starts_with("localhost/") => &named["localhost".len()..],
        // A share of another machine, which Windows opens as it does a directory.
        Some(named) if windows && percent_decoded(named).is_some_and(|path| names_share(&path)) => {
            let path = percent_decoded(named).unwrap_or_default();
            return Ok(StoreLocation::Directory(PathBuf::from(format!(r"\\{}", path.replace('/', r"\")))));
        }
        Some(_) => {
            return no(format!("`{text}` has no absolute path: the part after `//` is a host name"));
        }
        None if rest.starts_with('/') => rest,
        None => {
            let path = rest.trim_start_matches("./");
            return Err((
                format!("`{text}` is relative, and jobs start in different directories"),
                format!("write `file:///` and an absolute path that ends in `{path}`"),
            ));
        }
    };
    if path.contains(['{', '}']) {
        return no(format!("`{text}` contains a placeholder, which is not allowed in a store"));
    }
    let Some(path) = percent_decoded(path) else {
        return no(undecodable(text));
    };
    if path.trim_matches('/').is_empty() || path.split('/').any(|part| part == "..") || path.contains('\0') {
        return no(format!("`{text}` is not a usable directory for a store"));
    }
    // `file:///C:/cache` is `C:/cache` on Windows, and an unusual but valid path elsewhere.
    let drive = windows && path.as_bytes().get(2) == Some(&b':');
    Ok(StoreLocation::Directory(PathBuf::from(if drive { &path[1..] } else { &path[..] })))
}

fn undecodable(text: &str) -> String {
    format!("`{text}` has a `%` that is not followed by two hexadecimal digits of UTF-8")
}

/// The URL of what was written as a path of Windows, with or without `file:` in front: `C:\x`, `file://C:\x`, `\\server\share\x`.
fn url_of_windows_path(text: &str) -> Option<String> {
    let written = text.strip_prefix("file:");
    let path = written.unwrap_or(text).replace('\\', "/");
    if let Some(share) = path.strip_prefix("//").filter(|share| text.starts_with('\\') && names_share(share))
    {
        return Some(format!("file://{share}"));
    }
    let local = path.trim_start_matches('/');
    let has_drive = matches!(local.as_bytes(), [drive, b':', b'/', ..] if drive.is_ascii_alphabetic());
    // With three slashes, and no backslash, it is the URL.
    let is_url = written.is_some_and(|rest| rest.starts_with("///") && !rest.contains('\\'));
    (has_drive && !is_url && (written.is_some() || path == local)).then(|| format!("file:///{local}"))
}

/// Whether a path after `//` begins with the names of a machine and a share, and leads nowhere else.
fn names_share(path: &str) -> bool {
    let parts: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    parts.len() >= 2
        && parts.iter().all(|part| !part.is_empty() && *part != "." && *part != "..")
        && !path.contains(['?', '\0', '{', '}', ':', '\\'])
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes().iter();
    while let Some(&byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(*rest.next()?).to_digit(16);
        bytes.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
    }
    String::from_utf8(bytes).ok()
}

/// Parses what follows `scheme://` in the location of an object service.
fn parse_objects(scheme: &str, rest: &str) -> Result<ObjectLocation, (String, String)> {
    // What follows a `?` may be a signature: it is not repeated.
    if let Some((bare, _)) = rest.split_once('?') {
        return Err((
            format!("the store at `{scheme}://{bare}` has a query, and a location contains no secret"),
            "remove it; a shared access signature belongs in AZURE_STORAGE_SAS_TOKEN".to_owned(),
        ));
    }
    let no = |message: String, hint: &str| Err((message, hint.to_owned()));
    let mut parts = rest.trim_end_matches('/').split('/');
    let first = parts.next().unwrap_or_default();
    let (service, container) = match scheme {
        "s3" => (ObjectService::S3, first),
        "gs" => (ObjectService::Gcs, first),
        _ => {
            let account = if scheme == "az" { Some(first) } else { first.strip_suffix(AZURE_HOST) };
            let Some(account) = account else {
                return no(
                    format!(
                        "`https://{rest}` is not a store: the host is not that of an Azure storage account"
                    ),
                    FORMS,
                );
            };
            let valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            if !(3..=24).contains(&account.len()) || !account.bytes().all(valid) {
                return no(
                    format!("`{account}` is not the name of an Azure storage account"),
                    "write `az://ACCOUNT/CONTAINER/PREFIX`; the account has 3 to 24 lower-case letters and digits",
                );
            }
            (ObjectService::Azure { account: account.to_owned() }, parts.next().unwrap_or_default())
        }
    };
    if container.is_empty() {
        return no(format!("`{scheme}://{rest}` names no container or bucket"), FORMS);
    }
    let valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte);
    if !(3..=63).contains(&container.len()) || !container.bytes().all(valid) || container.starts_with('.') {
        return no(
            format!("`{container}` in `{scheme}://{rest}` is not the name of a container or bucket"),
            "write 3 to 63 lower-case letters, digits, `-` and `.`",
        );
    }
    let prefix: Vec<&str> = parts.collect();
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let usable =
        |part: &&str| !part.is_empty() && !part.starts_with("..") && *part != "." && part.bytes().all(valid);
    if !prefix.iter().all(usable) {
        return no(
            format!("the prefix in `{scheme}://{rest}` is not usable"),
            "write letters, digits, `-`, `.` and `_` between slashes",
        );
    }
    Ok(ObjectLocation { service, container: container.to_owned(), prefix: prefix.join("/") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_windows_are_answered_with_their_url() {
        let check = |text: &str, url: &str| {
            for windows in [false, true] {
                let (message, hint) = parse_on(text, windows).expect_err(text);
                assert_eq!(message, format!("`{text}` is not a store"));
                assert!(hint.starts_with(&format!("write `{url}`")), "{text}: {hint}");
            }
        };
        check(r"C:\s", "file:///C:/s");
        check("d:/a/b", "file:///d:/a/b");
        check(r"file://C:\s", "file:///C:/s");
        check("file://C:/s", "file:///C:/s");
        check(r"file:///C:\s", "file:///C:/s");
        check(r"file:C:\s", "file:///C:/s");
        check(r"\\server\share\x", "file://server/share/x");
    }

    #[test]
    fn windows_has_drives_and_shares() {
        let check = |text: &str, windows: bool, expect: Option<&str>| {
            let found = parse_on(text, windows).ok();
            let expect = expect.map(|path| StoreLocation::Directory(PathBuf::from(path)));
            assert_eq!(found, expect, "{text} {windows}");
        };
        check("file:///C:/my%20cache", true, Some("C:/my cache"));
        check("file:///C:/cache", false, Some("/C:/cache"));
        check("file://server/share/x%20y", true, Some(r"\\server\share\x y"));
        check("file://server/share", false, None);
        for text in
            ["file://server", "file://server/", "file://server/share/../x", "file://./share", "file://a:b/c"]
        {
            check(text, true, None);
        }
    }
}
