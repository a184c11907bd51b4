//! Fields that hold templates, and the placeholders that are refused in each.

use crate::domain::secret::is_secret_name;
use crate::domain::template::Placeholder;

/// A field that holds a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// `key`, and each of `restore-keys`; `links` tells whether the cache declares content links.
    Key { links: bool },
    /// `path`, and each of `paths`.
    Path,
    /// A value of `export`.
    Export,
    /// `links.object`.
    Object,
    /// One of `links.mirrors`.
    Mirror,
    /// One of `links.harvest`.
    Harvest,
    /// One of `seed.from`.
    Seed,
    /// `trim.max-size`.
    Size,
    /// One of `disk.free`.
    Free,
}

/// Why a variable with the name of a secret is not expanded, and the hint.
pub(super) const SECRET: (&str, &str) = (
    "would show a secret: variables with such names are only expanded as the user and password of a mirror",
    "use a variable with another name, or pass a value that may be known with `--var` and use `{var.NAME}`",
);

impl Field {
    /// The field as messages name it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Field::Key { .. } => "a key",
            Field::Path => "a path",
            Field::Export => "an exported variable",
            Field::Object => "`object`",
            Field::Mirror => "a mirror",
            Field::Harvest => "a directory of `harvest`",
            Field::Seed => "the source of a seed",
            Field::Size => "a size",
            Field::Free => "a path of `free`",
        }
    }

    /// Why the placeholder is not allowed here: the predicate of the message, and the hint.
    pub(super) fn refuse(self, placeholder: &Placeholder) -> Option<(&'static str, &'static str)> {
        use Placeholder as P;
        let in_key = matches!(self, Field::Key { .. });
        match placeholder {
            // A mirror may have secrets as its user and password, which `lint::sources` checks.
            P::Env(name) if self != Field::Mirror && is_secret_name(name) => Some(SECRET),
            P::Temp | P::Workspace | P::Home | P::Path if in_key => Some((
                "differs between machines, so other machines would never find the entry",
                "remove it: an entry can be restored to any directory",
            )),
            P::Links if self == (Field::Key { links: false }) => Some((
                "needs content links, which the cache does not declare",
                "add a `links` table with `files = [\"**/*.sha512\"]`, or use `{files:GLOBS}`",
            )),
            P::Hash | P::AlgorithmUpper | P::AlgorithmLower
                if !matches!(self, Field::Object | Field::Mirror) =>
            {
                Some((
                    "stands for a part of an object's name",
                    "use it in `links.object` and `links.mirrors`",
                ))
            }
            P::Hash | P::AlgorithmUpper | P::AlgorithmLower => None,
            _ if self == Field::Object => Some((
                "would make the layout differ between jobs",
                "use only `{hash}`, `{ALGO}` and `{algo}`",
            )),
            P::Links | P::Git(_) | P::Files(_) | P::HashFiles(_) if !in_key => {
                Some(("stands for a digest of files", "use it in `key` and `restore-keys`"))
            }
            P::Tool(_) if !in_key => {
                Some(("stands for the version of a program", "use it in `key` and `restore-keys`"))
            }
            P::Path if self != Field::Export => {
                Some(("stands for the cache's directory", "use it in the values of `export`"))
            }
            _ => None,
        }
    }
}
