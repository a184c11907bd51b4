//! Templates: texts with placeholders, used for keys, paths and mirrors.

use std::fmt;

/// A placeholder in a template.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Placeholder {
    /// `{os}`: `linux`, `macos` or `windows`.
    Os,
    /// `{arch}`: `x64`, `arm64`…
    Arch,
    /// `{ref}`: the git ref of the job.
    Ref,
    /// `{sha}`: the commit of the job.
    Sha,
    /// `{run-id}`: the platform's identifier of this run.
    RunId,
    /// `{run-attempt}`: the number of the attempt at that run, from 1.
    RunAttempt,
    /// `{temp}`: the platform's directory for temporary files.
    Temp,
    /// `{workspace}`: the checkout.
    Workspace,
    /// `{home}`: the user's home directory.
    Home,
    /// `{path}`: the cache's first root.
    Path,
    /// `{env.NAME}`: a variable of the environment.
    Env(String),
    /// `{var.NAME}`: a variable given on the command line.
    Var(String),
    /// `{links}`: digest of the set of objects that the cache's content links name.
    Links,
    /// `{git:GLOBS}`: digest of the blob ids that git's index holds for these files.
    Git(Vec<String>),
    /// `{files:GLOBS}`: digest of the contents of these files, equal on every OS.
    Files(Vec<String>),
    /// `{hash-files:GLOBS}`: the digest that GitHub's `hashFiles` gives.
    HashFiles(Vec<String>),
    /// `{tool:NAME}`: the version that a program prints.
    Tool(String),
    /// `{hash}`: the hash of an object.
    Hash,
    /// `{ALGO}`: the directory of an object's algorithm, `SHA512`.
    AlgorithmUpper,
    /// `{algo}`: the same in lower case, `sha512`.
    AlgorithmLower,
}

/// The placeholders without an argument.
const WORDS: &[(&str, Placeholder)] = &[
    ("os", Placeholder::Os),
    ("arch", Placeholder::Arch),
    ("ref", Placeholder::Ref),
    ("sha", Placeholder::Sha),
    ("run-id", Placeholder::RunId),
    ("run-attempt", Placeholder::RunAttempt),
    ("temp", Placeholder::Temp),
    ("workspace", Placeholder::Workspace),
    ("home", Placeholder::Home),
    ("path", Placeholder::Path),
    ("links", Placeholder::Links),
    ("hash", Placeholder::Hash),
    ("ALGO", Placeholder::AlgorithmUpper),
    ("algo", Placeholder::AlgorithmLower),
];

impl Placeholder {
    fn parse(text: &str) -> Option<Self> {
        if let Some((_, word)) = WORDS.iter().find(|(name, _)| *name == text) {
            return Some(word.clone());
        }
        let named = |prefix: &str| text.strip_prefix(prefix).filter(|name| is_name(name)).map(str::to_owned);
        let globs = |prefix: &str| {
            let globs: Vec<String> =
                text.strip_prefix(prefix)?.split(',').map(|g| g.trim().to_owned()).collect();
            globs.iter().all(|g| !g.is_empty()).then_some(globs)
        };
        named("env.")
            .map(Placeholder::Env)
            .or_else(|| named("var.").map(Placeholder::Var))
            .or_else(|| globs("git:").map(Placeholder::Git))
            .or_else(|| globs("files:").map(Placeholder::Files))
            .or_else(|| globs("hash-files:").map(Placeholder::HashFiles))
            .or_else(|| {
                text.strip_prefix("tool:")
                    .filter(|name| is_program(name))
                    .map(str::to_owned)
                    .map(Placeholder::Tool)
            })
    }

    /// Every placeholder as it is written, for messages; arguments are shown as `NAME` or `GLOBS`.
    pub fn known() -> Vec<String> {
        let words = WORDS.iter().map(|(name, _)| format!("{{{name}}}"));
        let open =
            ["{env.NAME}", "{var.NAME}", "{git:GLOBS}", "{files:GLOBS}", "{hash-files:GLOBS}", "{tool:NAME}"];
        words.chain(open.map(str::to_owned)).collect()
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// Whether a text is the name of a program and not a path.
fn is_program(text: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"_-+.".contains(&b);
    text.bytes().all(is_allowed) && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
}

impl fmt::Display for Placeholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Placeholder::Env(name) => write!(f, "{{env.{name}}}"),
            Placeholder::Var(name) => write!(f, "{{var.{name}}}"),
            Placeholder::Git(globs) => write!(f, "{{git:{}}}", globs.join(",")),
            Placeholder::Files(globs) => write!(f, "{{files:{}}}", globs.join(",")),
            Placeholder::HashFiles(globs) => write!(f, "{{hash-files:{}}}", globs.join(",")),
            Placeholder::Tool(name) => write!(f, "{{tool:{name}}}"),
            word => {
                let (name, _) = WORDS.iter().find(|(_, w)| w == word).expect("the rest are words");
                write!(f, "{{{name}}}")
            }
        }
    }
}

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Piece {
    /// Literal text, with doubled braces already unescaped.
    Literal(String),
    /// A placeholder to be expanded.
    Placeholder(Placeholder),
}

/// A text with placeholders; `{{` and `}}` stand for braces.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Template {
    source: String,
    pieces: Vec<Piece>,
}

/// Why a text is not a valid template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// An unmatched brace.
    #[error("unmatched `{brace}` at character {at}; write `{brace}{brace}` for a literal `{brace}`")]
    Unbalanced {
        /// The brace.
        brace: char,
        /// Its position in characters, from 1.
        at: usize,
    },
    /// Braces around something that is not a placeholder.
    #[error("`{{{0}}}` is not a placeholder")]
    Unknown(String),
}

/// Why a template could not be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError<E> {
    /// A placeholder expanded to the empty string, which would make distinct keys collide.
    #[error("{0} expands to nothing")]
    Empty(Placeholder),
    /// The value of a placeholder could not be determined.
    #[error("{placeholder} cannot be expanded: {source}")]
    Failed {
        /// The placeholder.
        placeholder: Placeholder,
        /// The cause.
        source: E,
    },
}

/// A template with its placeholders filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expanded {
    /// The whole text.
    pub text: String,
    /// The value of each placeholder, in order.
    pub parts: Vec<(Placeholder, String)>,
}

impl Template {
    /// Parses a template.
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = source.char_indices().peekable();
        while let Some((at, c)) = rest.next() {
            let unbalanced =
                |brace| TemplateError::Unbalanced { brace, at: source[..at].chars().count() + 1 };
            match c {
                '{' | '}' if rest.next_if(|(_, next)| *next == c).is_some() => literal.push(c),
                '{' => {
                    let end = source[at..].find('}').ok_or(unbalanced('{'))? + at;
                    let name = &source[at + 1..end];
                    let placeholder =
                        Placeholder::parse(name).ok_or_else(|| TemplateError::Unknown(name.to_owned()))?;
                    if !literal.is_empty() {
                        pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                    }
                    pieces.push(Piece::Placeholder(placeholder));
                    while rest.next_if(|(position, _)| *position <= end).is_some() {}
                }
                '}' => return Err(unbalanced('}')),
                other => literal.push(other),
            }
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Ok(Template { source: source.to_owned(), pieces })
    }

    /// The text as written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Its pieces in order; literals are never adjacent.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The placeholders in it, in order.
    pub fn placeholders(&self) -> impl Iterator<Item = &Placeholder> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Placeholder(placeholder) => Some(placeholder),
            Piece::Literal(_) => None,
        })
    }

    /// The literal text before the first placeholder.
    pub fn literal_prefix(&self) -> &str {
        match self.pieces.first() {
            Some(Piece::Literal(text)) => text,
            _ => "",
        }
    }

    /// Expands the placeholders: asks `value_of` for each of them, in their order, and returns the text and each placeholder with its value.
    /// An empty value is an error, so that keys never lose a part silently.
    pub fn expand<E>(
        &self,
        mut value_of: impl FnMut(&Placeholder) -> Result<String, E>,
    ) -> Result<Expanded, ExpandError<E>> {
        let mut expanded = Expanded { text: String::new(), parts: Vec::new() };
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => expanded.text.push_str(text),
                Piece::Placeholder(placeholder) => {
                    let value = value_of(placeholder)
                        .map_err(|source| ExpandError::Failed { placeholder: placeholder.clone(), source })?;
                    if value.is_empty() {
                        return Err(ExpandError::Empty(placeholder.clone()));
                    }
                    expanded.text.push_str(&value);
                    expanded.parts.push((placeholder.clone(), value));
                }
            }
        }
        Ok(expanded)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str) -> Result<String, ExpandError<&'static str>> {
        let template = Template::parse(text).expect(text);
        let expanded = template.expand(|placeholder| match placeholder {
            Placeholder::Os => Ok("linux".to_owned()),
            Placeholder::Var(name) => Ok(format!("<{name}>")),
            Placeholder::Git(globs) => Ok(globs.join("+")),
            Placeholder::Sha => Ok(String::new()),
            _ => Err("unknown here"),
        });
        expanded.map(|e| e.text)
    }

    #[test]
    fn placeholders_are_filled_in() {
        assert_eq!(expand("a-{os}-{var.variant}").as_deref(), Ok("a-linux-<variant>"));
        assert_eq!(expand("{git:**/*.cid, *.md5}").as_deref(), Ok("**/*.cid+*.md5"));
        assert_eq!(expand("{{x}}-ü{os}ü").as_deref(), Ok("{x}-ülinuxü"));
        assert_eq!(expand("").as_deref(), Ok(""));
    }

    #[test]
    fn an_empty_or_failed_expansion_is_an_error() {
        assert_eq!(expand("k-{sha}"), Err(ExpandError::Empty(Placeholder::Sha)));
        assert!(matches!(expand("k-{links}"), Err(ExpandError::Failed { .. })));
    }

    #[test]
    fn invalid_templates_are_rejected() {
        for text in [
            "{",
            "a}",
            "{os",
            "{nope}",
            "{}",
            "{env.}",
            "{env.A B}",
            "{git:}",
            "{git:a,,b}",
            "{ os }",
            "{tool:}",
            "{tool:bin/x}",
        ] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn placeholders_are_shown_as_they_are_written() {
        let text = "{os}{env.A}{var.b}{git:a,b}{files:c}{hash-files:!d}{ALGO}{algo}{run-id}{tool:g++-12}";
        let shown: String =
            Template::parse(text).expect(text).placeholders().map(ToString::to_string).collect();
        assert_eq!(shown, text);
    }
}
