//! Addresses: which URLs may be fetched, and how they are shown without what they keep secret.

use reqwest::Url;

/// The URL without user, password, query and fragment: signed URLs carry their signature in the query.
pub(crate) fn shown(url: &Url) -> String {
    let mut bare = url.clone();
    bare.set_query(None);
    bare.set_fragment(None);
    // These fail only for URLs that can carry neither.
    let _ = bare.set_username("");
    let _ = bare.set_password(None);
    bare.to_string()
}

/// Whether the host is this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}

/// Whether this is the metadata address of a machine or a container in a cloud, which speaks only `http`: a link-local
/// address, or Google's name for one.
pub(crate) fn is_metadata(url: &Url) -> bool {
    match url.host_str() {
        Some("metadata.google.internal") => true,
        Some(host) => host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_link_local()),
        None => false,
    }
}

/// Why a URL is not fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// `http:` to another machine: anybody between could change the bytes.
    #[error("http is only for this machine, use https")]
    Insecure,
    /// A redirect from `https:` to `http:`.
    #[error("refused to be redirected from https to http")]
    Downgrade,
    /// Neither `http:` nor `https:`.
    #[error("only https is fetched")]
    Scheme,
    /// More redirects than [`MAX_REDIRECTS`].
    #[error("more than {MAX_REDIRECTS} redirects")]
    TooManyRedirects,
}

/// Redirects that are followed for one request; `curl` and browsers allow more, no honest server needs it.
pub(crate) const MAX_REDIRECTS: usize = 10;

/// Checks a URL that is to be fetched.
pub(crate) fn check(url: &Url) -> Result<(), AddressError> {
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback(url) => Ok(()),
        "http" => Err(AddressError::Insecure),
        _ => Err(AddressError::Scheme),
    }
}

/// Checks the next hop of a redirect, after the URLs that led there.
pub(crate) fn check_redirect(previous: &[Url], next: &Url) -> Result<(), AddressError> {
    if previous.len() > MAX_REDIRECTS {
        return Err(AddressError::TooManyRedirects);
    }
    if next.scheme() == "http" && previous.iter().any(|url| url.scheme() == "https") {
        return Err(AddressError::Downgrade);
    }
    check(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect(text)
    }

    #[test]
    fn secrets_of_a_url_are_not_shown() {
        let shown = shown(&url("https://me:pass@host.example:8443/a/b.tgz?sig=hush&x=1#top"));
        assert_eq!(shown, "https://host.example:8443/a/b.tgz");
    }

    #[test]
    fn http_is_only_for_this_machine() {
        let check = |text: &str, expect| assert_eq!(check(&url(text)), expect, "{text}");
        check("https://example.org/x", Ok(()));
        check("http://127.0.0.1:8080/x", Ok(()));
        check("http://127.9.9.9/x", Ok(()));
        check("http://[::1]:80/x", Ok(()));
        check("http://localhost/x", Ok(()));
        check("http://example.org/x", Err(AddressError::Insecure));
        check("http://localhost.example.org/x", Err(AddressError::Insecure));
        check("http://10.0.0.1/x", Err(AddressError::Insecure));
        check("ftp://example.org/x", Err(AddressError::Scheme));
    }

    #[test]
    fn redirects_never_lead_down_to_http_nor_round_for_ever() {
        let check = |from: &str, to: &str, expect| {
            assert_eq!(check_redirect(&[url(from)], &url(to)), expect, "{from} -> {to}");
        };
        check("https://a.example/", "https://b.example/", Ok(()));
        check("http://localhost/", "http://127.0.0.1/", Ok(()));
        check("http://localhost/", "https://b.example/", Ok(()));
        check("https://a.example/", "http://a.example/", Err(AddressError::Downgrade));
        check("https://a.example/", "http://localhost/", Err(AddressError::Downgrade));
        check("http://localhost/", "http://a.example/", Err(AddressError::Insecure));
        check("https://a.example/", "file:///etc/passwd", Err(AddressError::Scheme));
        let many = vec![url("https://a.example/"); MAX_REDIRECTS + 1];
        let next = url("https://a.example/");
        assert_eq!(check_redirect(&many, &next), Err(AddressError::TooManyRedirects));
        assert_eq!(check_redirect(&many[1..], &next), Ok(()));
    }
}
