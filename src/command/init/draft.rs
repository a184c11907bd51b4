//! Caches as they will stand in `cachekeep.toml`, and their names.

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// A cache that is to be declared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Draft {
    /// What it is called, unless another cache has the name.
    pub(super) name: String,
    /// The tool that keeps it.
    pub(super) kind: Option<&'static str>,
    /// Templates of its paths; those of the kind if empty.
    pub(super) paths: Vec<String>,
    /// The template of its key; that of the kind if empty.
    pub(super) key: String,
    /// Templates of its restore keys.
    pub(super) restore_keys: Vec<String>,
    /// Whether it is saved after a failure as well.
    pub(super) saves_always: bool,
    /// Upper bound for its size.
    pub(super) max_size: Option<String>,
    /// Globs of the content links that name what it holds; none if its key has other files or none.
    pub(super) links: Vec<String>,
    /// Whether the files in its key are content links, and what it holds may have other names than their hashes.
    pub(super) has_links_in_key: bool,
}

/// Where `ExternalData` of CMake looks for the object of a link, below the cache.
const OBJECT: &str = "{ALGO}/{hash}";

/// Paths by which tools are known: how they begin, and what a cache of them is called.
const TOOLS: [(&str, &str); 20] = [
    ("{home}/.npm", "npm"),
    ("{home}/.cache/pip", "pip"),
    ("{home}/Library/Caches/pip", "pip"),
    ("{home}/.cargo", "cargo"),
    ("target", "cargo"),
    ("{home}/.m2", "maven"),
    ("{home}/.gradle", "gradle"),
    ("{home}/go/pkg/mod", "go"),
    ("{home}/.cache/go-build", "go"),
    ("{home}/.nuget", "nuget"),
    ("{home}/.ccache", "ccache"),
    ("{home}/.cache/ccache", "ccache"),
    ("{workspace}/.ccache", "ccache"),
    (".ccache", "ccache"),
    ("{home}/.cache/sccache", "sccache"),
    ("{home}/.cache/uv", "uv"),
    ("{home}/.cache/yarn", "yarn"),
    ("{home}/.yarn", "yarn"),
    ("{home}/.cache/pre-commit", "pre-commit"),
    ("{home}/.local/share/pnpm", "pnpm"),
];

/// What a cache with these paths and this key is called.
pub(super) fn name_of(paths: &[String], key: &str) -> String {
    let tool = paths.iter().find_map(|path| {
        TOOLS.iter().find(|(start, _)| path == start || path.starts_with(&format!("{start}/")))
    });
    if let Some((_, name)) = tool {
        return (*name).to_owned();
    }
    let is_plain = |part: &&str| !part.is_empty() && !part.contains(['*', '?', '[', '{']);
    let last = paths.first().and_then(|path| path.split('/').rfind(is_plain)).unwrap_or_default();
    let name: String = last.trim_start_matches(['.', '!']).chars().map(plain).collect();
    let in_key = key.split(['{', '|', '/']).next().unwrap_or_default().trim_matches(['-', '_', '.']);
    match (name.is_empty(), in_key.is_empty()) {
        (false, _) => name,
        (true, false) => in_key.chars().map(plain).collect(),
        (true, true) => "cache".to_owned(),
    }
}

/// A character as a name may have it.
fn plain(c: char) -> char {
    if c.is_ascii_alphanumeric() || c == '_' { c.to_ascii_lowercase() } else { '-' }
}

/// The tool whose paths these are, with the paths that have to be named all the same.
pub(super) fn kind_of(paths: &[String]) -> Option<(&'static str, Vec<String>)> {
    const CCACHE: [&str; 4] = ["{home}/.ccache", "{home}/.cache/ccache", "{workspace}/.ccache", ".ccache"];
    let bare = |path: &str| path.trim_end_matches(['*', '/']).to_owned();
    if let [path] = paths
        && CCACHE.contains(&bare(path).as_str())
    {
        return Some(("ccache", vec![bare(path)]));
    }
    let is_target = |path: &String| ["target", "{workspace}/target"].contains(&bare(path).as_str());
    let is_home = |path: &String| path.starts_with("{home}/.cargo/");
    let is_cargo = paths.iter().any(is_target)
        && paths.iter().any(|path| path.starts_with("{home}/.cargo/registry"))
        && paths.iter().all(|path| is_target(path) || is_home(path));
    is_cargo.then(|| ("cargo", Vec::new()))
}

impl Draft {
    /// Keeps the entries of each OS apart.
    pub(super) fn by_os(&mut self) {
        self.key.insert_str(0, "{os}-");
        self.restore_keys.iter_mut().for_each(|key| key.insert_str(0, "{os}-"));
    }

    /// Puts more into the key of the kind `cargo`, in front.
    pub(super) fn of_cargo(&mut self, more: &str) {
        let start = match self.restore_keys.first() {
            Some(start) => start.replacen("cargo-", &format!("cargo-{more}"), 1),
            None => format!("cargo-{more}{{os}}-{{arch}}-{{tool:rustc}}-"),
        };
        self.key = format!("{start}{{files:**/Cargo.lock,!target/**}}");
        self.restore_keys = vec![start];
    }

    /// Makes the cache one of content links: `{links}` takes the place of these globs in its keys.
    pub(super) fn of_links(&mut self, globs: Vec<String>) {
        let part = format!("{{files:{}}}", globs.join(","));
        self.key = self.key.replace(&part, "{links}");
        self.restore_keys.iter_mut().for_each(|key| *key = key.replace(&part, "{links}"));
        self.links = globs;
    }

    /// The globs whose files must be there, as the key names them.
    pub(super) fn globs(&self) -> Vec<Vec<String>> {
        let kind = self.kind.and_then(crate::domain::kinds::named).map_or("", |kind| kind.key);
        let mut rest = if self.key.is_empty() { kind } else { &self.key };
        let mut found = Vec::new();
        while let Some((_, after)) = rest.split_once("{files:") {
            let (globs, behind) = after.split_once('}').unwrap_or((after, ""));
            found.push(globs.split(',').map(str::to_owned).collect());
            rest = behind;
        }
        found
    }

    /// The table of the cache.
    pub(super) fn toml(&self, name: &str) -> String {
        let list = |texts: &[String]| {
            let quoted: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
            format!("[{}]", quoted.join(", "))
        };
        let mut fields: Vec<(&str, String)> = Vec::new();
        fields.extend(self.kind.map(|kind| ("kind", quoted(kind))));
        match self.paths.as_slice() {
            [] => {}
            [path] if !path.starts_with('!') => fields.push(("path", quoted(path))),
            paths => fields.push(("paths", list(paths))),
        }
        if !self.key.is_empty() {
            fields.push(("key", quoted(&self.key)));
        }
        if !self.restore_keys.is_empty() {
            fields.push(("restore-keys", list(&self.restore_keys)));
        }
        if self.saves_always {
            fields.push(("save", quoted("always")));
        }
        fields.extend(
            self.max_size.as_ref().map(|size| ("trim", format!("{{ max-size = {} }}", quoted(size)))),
        );
        let width = fields.iter().map(|(field, _)| field.len()).max().unwrap_or_default();
        let mut text = format!("[cache.{}]\n", bare_or_quoted(name));
        for (field, value) in fields {
            _ = writeln!(text, "{field:width$} = {value}");
        }
        if !self.links.is_empty() {
            let (name, files) = (bare_or_quoted(name), list(&self.links));
            _ = write!(text, "\n[cache.{name}.links]\nfiles  = {files}\nobject = {}\n", quoted(OBJECT));
        }
        text
    }
}

fn bare_or_quoted(name: &str) -> String {
    let is_bare = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if is_bare { name.to_owned() } else { quoted(name) }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => _ = write!(quoted, "\\u{:04X}", u32::from(c)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Different caches among drafts, each with its name. `taken` has the names of caches that are declared already.
pub(super) fn named(drafts: &[&Draft], taken: &BTreeSet<String>) -> Vec<(Draft, String)> {
    let mut different: Vec<&Draft> = Vec::new();
    for draft in drafts {
        if !different.contains(draft) {
            different.push(draft);
        }
    }
    // Names that differ only in case are refused.
    let mut taken: BTreeSet<String> = taken.iter().map(|name| name.to_lowercase()).collect();
    different
        .into_iter()
        .map(|draft| {
            let numbered = (2..).map(|number| format!("{}-{number}", draft.name));
            let name = std::iter::once(draft.name.clone())
                .chain(numbered)
                .find(|name| taken.insert(name.to_lowercase()))
                .expect("numbers do not end");
            (draft.clone(), name)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(paths: &[&str]) -> Vec<String> {
        paths.iter().map(|path| (*path).to_owned()).collect()
    }

    #[test]
    fn names_come_from_tools_and_directories() {
        for (paths, name) in [
            (&["{home}/.npm"][..], "npm"),
            (&["{home}/.cargo/registry", "target"], "cargo"),
            (&["{temp}/models/*"], "models"),
            (&["**/node_modules"], "node_modules"),
            (&["{temp}/Big Data"], "big-data"),
            (&["{temp}"], "cache"),
            (&["targets"], "targets"),
        ] {
            assert_eq!(name_of(&texts(paths), "{os}-x"), name, "{paths:?}");
        }
        assert_eq!(name_of(&texts(&["{env.PACKAGES}"]), "My.deps-v1-{os}"), "my-deps-v1");
    }

    #[test]
    fn tools_are_known_by_all_their_paths() {
        assert_eq!(kind_of(&texts(&[".ccache/"])), Some(("ccache", texts(&[".ccache"]))));
        assert_eq!(
            kind_of(&texts(&["{home}/.cargo/registry/", "{home}/.cargo/git/db/", "target/"])),
            Some(("cargo", vec![]))
        );
        for paths in [
            &["target"][..],
            &["{home}/.cargo/registry"],
            &["{home}/.cargo/registry", "target", "x"],
            &[".ccache", "x"],
        ] {
            assert_eq!(kind_of(&texts(paths)), None, "{paths:?}");
        }
    }

    #[test]
    fn equal_caches_are_one_and_others_get_names_of_their_own() {
        let draft =
            |name: &str, key: &str| Draft { name: name.to_owned(), key: key.to_owned(), ..Draft::default() };
        let drafts = [draft("npm", "a"), draft("npm", "a"), draft("npm", "b"), draft("go", "a")];
        let found = named(&drafts.each_ref(), &BTreeSet::from(["NPM".to_owned()]));
        let names: Vec<&str> = found.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, ["npm-2", "npm-3", "go"]);
    }

    #[test]
    fn content_links_are_a_table_of_their_own() {
        let globs = texts(&["**/*.sha512", "!build/**"]);
        let key = "data-{files:**/*.sha512,!build/**}";
        let mut draft = Draft { paths: texts(&["{temp}/x"]), key: key.to_owned(), ..Draft::default() };
        assert_eq!(draft.globs(), std::slice::from_ref(&globs));
        draft.of_links(globs);
        assert!(draft.globs().is_empty());
        assert_eq!(
            draft.toml("data"),
            "[cache.data]\npath = \"{temp}/x\"\nkey  = \"data-{links}\"\n\n[cache.data.links]\n\
             files  = [\"**/*.sha512\", \"!build/**\"]\nobject = \"{ALGO}/{hash}\"\n"
        );
    }

    #[test]
    fn a_table_is_aligned_and_quoted() {
        let draft = Draft {
            paths: texts(&["{home}/a\"b", "!x"]),
            key: "k-{sha}".to_owned(),
            restore_keys: texts(&["k-"]),
            saves_always: true,
            max_size: Some("500MB".to_owned()),
            ..Draft::default()
        };
        assert_eq!(
            draft.toml("a.b"),
            "[cache.\"a.b\"]\npaths        = [\"{home}/a\\\"b\", \"!x\"]\nkey          = \"k-{sha}\"\nrestore-keys = [\"k-\"]\n\
             save         = \"always\"\ntrim         = { max-size = \"500MB\" }\n"
        );
    }
}
