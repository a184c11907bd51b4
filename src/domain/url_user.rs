//! Where a template of a URL names its user and password, the one place where a configuration may use secrets.

use super::template::{Piece, Template};

/// A placeholder that is a part of the user or the password.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UserPart {
    /// Its index among the pieces of the template.
    pub piece: usize,
    /// A password, or all that there is: a user name alone is not a secret.
    pub is_secret: bool,
}

/// The placeholders between `://` and the `@` before the host.
pub(crate) fn user_of(template: &Template) -> Vec<UserPart> {
    // Each placeholder stands as one character that no URL has.
    let mut shape = String::new();
    let mut at = Vec::new();
    for (index, piece) in template.pieces().iter().enumerate() {
        match piece {
            Piece::Literal(literal) => shape.push_str(literal),
            Piece::Placeholder(_) => {
                at.push((shape.len(), index));
                shape.push('\0');
            }
        }
    }
    let Some(start) = shape.find("://").map(|at| at + 3) else { return Vec::new() };
    let authority = shape[start..].split(['/', '\\', '?', '#']).next().unwrap_or_default();
    let Some((user, _)) = authority.rsplit_once('@') else { return Vec::new() };
    let password = user.find(':').map_or(start, |colon| start + colon);
    let end = start + user.len();
    at.into_iter()
        .filter(|(offset, _)| (start..end).contains(offset))
        .map(|(offset, piece)| UserPart { piece, is_secret: offset >= password })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_passwords_are_told_from_hosts_and_paths() {
        let check = |text: &str, expect: &[(usize, bool)]| {
            let template = Template::parse(text).expect(text);
            let found: Vec<_> = user_of(&template).iter().map(|part| (part.piece, part.is_secret)).collect();
            assert_eq!(found, expect, "{text}");
        };
        check("https://{env.USER}:{env.TOKEN}@h.example/{hash}", &[(1, false), (3, true)]);
        check("https://{env.TOKEN}@h.example/{hash}", &[(1, true)]);
        check("https://ci:{env.A}{env.B}@{env.HOST}/{hash}", &[(1, true), (2, true)]);
        check("https://{env.HOST}/{hash}@x", &[]);
        check("https://h.example/{hash}?t={env.TOKEN}@", &[]);
        // URLs of the web take a backslash for a slash.
        check(r"https://h.example\{env.TOKEN}@x/{hash}", &[]);
        check("file://{workspace}/{hash}", &[]);
    }
}
