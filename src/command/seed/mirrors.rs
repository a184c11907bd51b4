//! The mirrors of a cache, with the credentials that the environment gives.
//!
//! A mirror may name `{env.NAME}` anywhere; before an `@` it is a user or a password, which is encoded so that no
//! character in it can lead the request elsewhere, masked in the log of the platform, and sent as basic
//! authentication. Messages show mirrors without it.

use crate::command::cache::{Cache, Sources, expand_one};
use crate::domain::event::Level;
use crate::domain::fault::Fault;
use crate::domain::secret::Secret;
use crate::domain::template::{Piece, Placeholder, Template};
use crate::domain::url_user::user_of;
use crate::report::failure;
use crate::transport::mirror::Mirror;
use std::fmt::Write as _;

/// The mirrors that can be used here, in order. The ones left out are reported with the reason.
pub(super) fn usable(cache: &Cache<'_>) -> Vec<Mirror> {
    let templates = cache.spec.links.iter().flat_map(|links| &links.mirrors);
    templates.filter_map(|template| usable_one(cache, template)).collect()
}

fn usable_one(cache: &Cache<'_>, template: &Template) -> Option<Mirror> {
    let ctx = cache.ctx;
    let leave_out = |reason: String| {
        let text = format!("the mirror {} is left out: {reason}", without_user(template.source()));
        ctx.report(Level::Warning, cache.name(), text);
    };
    let (text, secrets) = match expand(cache, template) {
        Ok(expanded) => expanded,
        Err(error) => {
            leave_out(failure::chain(&error));
            return None;
        }
    };
    for line in secrets.iter().filter_map(|secret| ctx.platform.mask(secret)) {
        ctx.command_line(line);
    }
    match Mirror::parse(&text, ctx.workspace) {
        Ok(mirror) => Some(mirror),
        Err(error) => {
            leave_out(failure::chain(&error));
            None
        }
    }
}

fn is_variable(piece: &Piece) -> bool {
    matches!(piece, Piece::Placeholder(Placeholder::Env(_)))
}

/// Fills in a mirror but for what stands for an object; gives the secrets in it.
fn expand(cache: &Cache<'_>, template: &Template) -> Result<(String, Vec<Secret>), Fault> {
    let user = user_of(template);
    if !cache.ctx.grants.may_send_credentials()
        && user.iter().any(|part| is_variable(&template.pieces()[part.piece]))
    {
        let event = cache.ctx.grants.trust.name();
        let message = format!("no credentials are sent in {event}, whose configuration may be a stranger's");
        return Err(Fault::denied(message));
    }
    let mut text = String::new();
    let mut secrets = Vec::new();
    for (index, piece) in template.pieces().iter().enumerate() {
        let placeholder = match piece {
            Piece::Literal(literal) => {
                text.push_str(literal);
                continue;
            }
            Piece::Placeholder(placeholder) => placeholder,
        };
        let is_of_object = matches!(
            placeholder,
            Placeholder::Hash | Placeholder::AlgorithmUpper | Placeholder::AlgorithmLower
        );
        if is_of_object {
            text.push_str(&placeholder.to_string());
            continue;
        }
        let alone = Template::parse(&placeholder.to_string()).expect("a placeholder is a template");
        let value = expand_one(cache.ctx, &alone, &Sources::default())?;
        match user.iter().find(|part| part.piece == index) {
            None => text.push_str(&value),
            Some(part) => {
                let encoded = percent_encoded(&value);
                text.push_str(&encoded);
                if part.is_secret {
                    if encoded != value {
                        secrets.push(Secret::new(encoded));
                    }
                    secrets.push(Secret::new(value));
                }
            }
        }
    }
    Ok((text, secrets))
}

/// The text of a mirror as it may be shown.
fn without_user(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let host = rest.find(['/', '?', '#']).map_or(rest.len(), |end| end);
    let (authority, path) = rest.split_at(host);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_of_a_secret_leads_elsewhere() {
        assert_eq!(percent_encoded("a/b@c:d?#%é"), "a%2Fb%40c%3Ad%3F%23%25%C3%A9");
        assert_eq!(percent_encoded("Az09-._~"), "Az09-._~");
    }

    #[test]
    fn a_mirror_is_named_without_its_user() {
        let shown = without_user("https://ci:{env.TOKEN}@h.example/a/{hash}?k={env.KEY}");
        assert_eq!(shown, "https://h.example/a/{hash}");
    }
}
