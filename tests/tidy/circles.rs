//! No circle of files lies within a room: files that need each other are one file, or want a third one.

use std::collections::{BTreeMap, BTreeSet};

use crate::assert_none;
use crate::sources::{product_code, rust_files, tokens};

/// How many imports of imports are followed.
const MAX_DEPTH: usize = 8;

type Path = Vec<String>;

/// What a file of `src` says about others.
#[derive(Debug, Default)]
struct Module {
    file: String,
    /// Names that it imports, and what they stand for.
    imports: BTreeMap<String, Path>,
    /// Modules all of whose names it imports.
    globs: Vec<Path>,
    /// What it uses, as it is written.
    used: Vec<Path>,
    /// Names of what it defines itself.
    defined: BTreeSet<String>,
}

/// The modules of the crate.
struct Modules(BTreeMap<Path, Module>);

/// The circles among files of one room, each sorted.
pub(crate) fn circles(files: &[(String, String)]) -> Vec<Vec<String>> {
    let modules = files.iter().filter_map(|(file, text)| {
        let path = file.strip_prefix("src/")?.strip_suffix(".rs")?;
        let parts = path.split('/').filter(|part| !["lib", "mod"].contains(part));
        Some((parts.map(str::to_owned).collect(), Module::read(file, &product_code(file, text))))
    });
    let edges = Modules(modules.collect()).edges();
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        edges.keys().map(|file| (file.as_str(), reach(&edges, file))).collect();
    let circle = |file: &str| -> Vec<String> {
        let others = reached[file].iter().filter(|other| reached[**other].contains(file));
        others.map(|other| (*other).to_owned()).collect()
    };
    let found: BTreeSet<_> =
        reached.keys().map(|file| circle(file)).filter(|circle| !circle.is_empty()).collect();
    found.into_iter().collect()
}

/// The files that a file needs, directly or through others.
fn reach<'a>(edges: &'a BTreeMap<String, BTreeSet<String>>, file: &str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut left: Vec<&String> = edges[file].iter().collect();
    while let Some(next) = left.pop() {
        if found.insert(next.as_str()) {
            left.extend(&edges[next]);
        }
    }
    found
}

impl Modules {
    /// The other files of the same room that each file uses.
    fn edges(&self) -> BTreeMap<String, BTreeSet<String>> {
        let used_by = |path: &Path, module: &Module| {
            let used = module.used.iter().filter_map(|used| self.find(path, used, 0));
            used.filter(|other| other.first() == path.first() && other != path)
                .map(|other| self.0[&other].file.clone())
                .collect()
        };
        self.0.iter().map(|(path, module)| (module.file.clone(), used_by(path, module))).collect()
    }

    /// The module that holds what is used; `None` for another crate, and for a module that is only named.
    fn find(&self, from: &[String], used: &[String], depth: usize) -> Option<Path> {
        if depth > MAX_DEPTH {
            return None;
        }
        let ups = used.iter().take_while(|name| *name == "super").count();
        let (mut module, mut rest) = match used.first()?.as_str() {
            "crate" => (Path::new(), &used[1..]),
            "self" => (from.to_vec(), &used[1..]),
            "super" => (from[..from.len().saturating_sub(ups)].to_vec(), &used[ups..]),
            name if self.child(from, name).is_some() => (from.to_vec(), used),
            name => {
                let import = self.0.get(from)?.imports.get(name)?;
                return self.find(from, &[import.as_slice(), &used[1..]].concat(), depth + 1);
            }
        };
        while let Some(child) = rest.first().and_then(|name| self.child(&module, name)) {
            module = child;
            rest = &rest[1..];
        }
        let (name, holder) = (rest.first()?, self.0.get(&module)?);
        if holder.defined.contains(name) {
            return Some(module);
        }
        if let Some(import) = holder.imports.get(name) {
            return self.find(&module, &[import.as_slice(), &rest[1..]].concat(), depth + 1);
        }
        let globbed = holder.globs.iter().find_map(|glob| {
            self.find(&module, &[glob.as_slice(), std::slice::from_ref(name)].concat(), depth + 1)
                .filter(|found| self.0[found].defined.contains(name))
        });
        Some(globbed.unwrap_or(module))
    }

    fn child(&self, module: &[String], name: &str) -> Option<Path> {
        let path = [module, &[name.to_owned()]].concat();
        self.0.contains_key(&path).then_some(path)
    }
}

impl Module {
    fn read(file: &str, code: &str) -> Self {
        let mut module = Module { file: file.to_owned(), ..Module::default() };
        let mut words = BTreeSet::new();
        let mut public = Vec::new();
        let tokens = tokens(code);
        let mut at = 0;
        while at < tokens.len() {
            let before = at.checked_sub(1).map_or("", |before| tokens[before]);
            if tokens[at] == "use" && before != "<" {
                let is_public = ["pub", ")"].contains(&before);
                let mut leaves = Vec::new();
                at = use_tree(&tokens, at + 1, &[], &mut leaves);
                for (name, path) in leaves {
                    public.extend(is_public.then(|| name.clone()));
                    module.import(name, path, is_public);
                }
                continue;
            }
            if ["struct", "enum", "fn", "trait", "type", "const", "static"].contains(&before) {
                module.defined.insert(tokens[at].to_owned());
            }
            let path = path_at(&tokens, at);
            words.extend(path.first().cloned());
            at += (path.len() * 2).saturating_sub(1).max(1);
            module.used.extend((path.len() > 1).then_some(path));
        }
        // What it only passes on it does not use.
        let used = public.into_iter().filter(|name| words.contains(name));
        module.used.extend(used.filter_map(|name| module.imports.get(&name).cloned()).collect::<Vec<_>>());
        module
    }

    fn import(&mut self, name: String, mut path: Path, is_public: bool) {
        if name == "*" {
            path.pop();
            self.globs.push(path);
            return;
        }
        self.used.extend((!is_public).then(|| path.clone()));
        self.imports.insert(name, path);
    }
}

/// The path that begins here: words with `::` between them.
fn path_at(tokens: &[&str], at: usize) -> Path {
    let is_word = |at: usize| {
        tokens.get(at).is_some_and(|token| token.starts_with(|c: char| c.is_alphabetic() || c == '_'))
    };
    let mut path = Path::new();
    let mut next = at;
    while is_word(next) && (path.is_empty() || tokens[next - 1] == "::") {
        path.push(tokens[next].to_owned());
        next += if tokens.get(next + 1) == Some(&"::") { 2 } else { 1 };
    }
    path
}

/// Reads one branch of a `use`: the names that it brings, with their paths. Returns where it ends.
fn use_tree(tokens: &[&str], mut at: usize, above: &[String], found: &mut Vec<(String, Path)>) -> usize {
    let mut path = above.to_vec();
    while let Some(token) = tokens.get(at) {
        match *token {
            "::" => at += 1,
            "{" => {
                at += 1;
                while tokens.get(at).is_some_and(|token| *token != "}") {
                    at = use_tree(tokens, at, &path, found);
                    at += usize::from(tokens.get(at) == Some(&","));
                }
                return at + 1;
            }
            ";" | "," | "}" => break,
            "as" => {
                found.push((tokens.get(at + 1).copied().unwrap_or_default().to_owned(), path));
                return at + 2;
            }
            "self" if !path.is_empty() => at += 1,
            word => {
                path.push(word.to_owned());
                at += 1;
            }
        }
    }
    found.extend(path.last().cloned().map(|name| (name, path)));
    at
}

#[test]
fn files_of_a_room_need_each_other_in_one_direction() {
    let circles = circles(&rust_files()).into_iter().map(|circle| circle.join(", "));
    assert_none("these files need each other", &circles.collect::<Vec<_>>());
}

fn circles_of(files: &[(&str, &str)]) -> Vec<Vec<String>> {
    circles(&files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect::<Vec<_>>())
}

#[test]
fn a_circle_is_found_however_it_is_written() {
    let pair = ["src/a/b.rs", "src/a/c.rs"];
    for (b, c) in [
        ("use crate::a::c::C;", "use super::b::{self, B};\nfn c() -> b::B {}"),
        ("fn b() { super::c::c() }", "fn c() { crate::a::b::b() }"),
        ("use super::{c as other, d};\nfn b() { other::c() }", "use crate::a::{d::D, b::B};"),
        // Through what `mod.rs` passes on.
        ("use super::C;", "use crate::a::b::B;"),
        ("use super::*;\nfn b() { super::G }", "use crate::a::b::B;"),
    ] {
        let files = [
            ("src/a/mod.rs", "pub use c::C;\npub use c::*;\n"),
            (pair[0], b),
            (pair[1], &*format!("{c}\npub struct C;\npub struct G;")),
            ("src/a/d.rs", "pub struct D;"),
        ];
        assert_eq!(circles_of(&files), [pair], "{b} {c}");
    }
    let with_parent = [("src/a/mod.rs", "use b::B;\nstruct A;"), ("src/a/b.rs", "use super::A;")];
    assert_eq!(circles_of(&with_parent), [["src/a/b.rs", "src/a/mod.rs"]]);
}

#[test]
fn what_is_no_circle_is_not_found() {
    let one_way = [
        ("src/a/mod.rs", "//! [`b`] and its parts.\npub use b::B;\nmod b;\npub struct A;"),
        ("src/a/b.rs", "use super::{A, c};\n// super::d::D\nfn b() { c::c(\"super::d::D\") }"),
        ("src/a/c.rs", "fn c() {}\n#[cfg(test)]\nmod tests {\n    use super::super::b::B;\n}"),
        ("src/a/d.rs", "use super::b::B;"),
        ("src/a/tests.rs", "use super::b::B;"),
        // Other rooms have a rule of their own.
        ("src/e.rs", "use crate::a::A;"),
    ];
    assert_eq!(circles_of(&one_way), Vec::<Vec<String>>::new());
}
