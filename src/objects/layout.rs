//! Where objects lie in a store: `{ALGO}/{hash}` and the like, read both ways.

use std::path::{Path, PathBuf};

use crate::domain::digest::{Algorithm, ObjectId};
use crate::domain::fault::Fault;
use crate::domain::template::{ExpandError, Placeholder, Template};

/// A template of paths, checked: it gives each object a path of its own below the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectLayout {
    pieces: Vec<LayoutPiece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum LayoutPiece {
    Literal(String),
    Upper,
    Lower,
    Hash,
}

/// The fault of a template that does not say where objects lie.
fn invalid(message: String) -> Fault {
    Fault::usage(message)
        .with_hint("write it like `{ALGO}/{hash}`, which is where CMake's ExternalData looks".to_owned())
}

impl ObjectLayout {
    /// Reads a template. It must be relative, with `/` between names, and hold `{hash}` and either `{ALGO}` or
    /// `{algo}`.
    pub fn new(template: &Template) -> Result<Self, Fault> {
        let source = template.source();
        let unsafe_path =
            |why: &str| invalid(format!("`{source}` is not a path below the store's root: {why}"));
        if template.source().chars().any(char::is_control) {
            return Err(unsafe_path("it has a control character"));
        }
        // Placeholders are filled with marks that no text before them can hold.
        let marked = template.expand(|placeholder| match placeholder {
            Placeholder::AlgorithmUpper => Ok("\u{1}".to_owned()),
            Placeholder::AlgorithmLower => Ok("\u{2}".to_owned()),
            Placeholder::Hash => Ok("\u{3}".to_owned()),
            _ => Err(()),
        });
        let text = match marked {
            Ok(expanded) => expanded.text,
            Err(ExpandError::Empty(placeholder) | ExpandError::Failed { placeholder, .. }) => {
                return Err(invalid(format!("`{source}`: objects have no {placeholder}")));
            }
        };
        let pieces = pieces_of(&text);
        let ambiguous =
            |lacks: &str| invalid(format!("`{source}` does not tell objects apart: it needs {lacks}"));
        if !pieces.contains(&LayoutPiece::Hash) {
            return Err(ambiguous("{hash}"));
        }
        if !pieces.contains(&LayoutPiece::Upper) && !pieces.contains(&LayoutPiece::Lower) {
            return Err(ambiguous("{ALGO}"));
        }
        if text.starts_with('/') {
            return Err(unsafe_path("it is absolute"));
        }
        if text.contains(['\\', ':']) {
            return Err(unsafe_path("`\\` and `:` mean different things on different systems"));
        }
        if text.split('/').any(|name| matches!(name, "" | "." | "..")) {
            return Err(unsafe_path("it has an empty name, `.` or `..`"));
        }
        Ok(ObjectLayout { pieces })
    }

    /// Where the object lies, relative to the root: its name filled into the template of the configuration.
    pub fn path_of(&self, object: &ObjectId) -> PathBuf {
        self.text_of(object).split('/').collect()
    }

    /// The object that lies at a path relative to the root: the inverse of [`path_of`](Self::path_of), case
    /// and all; `None` for every other path.
    pub fn object_at(&self, relative: &Path) -> Option<ObjectId> {
        let names: Option<Vec<&str>> = relative.iter().map(|name| name.to_str()).collect();
        let text = names?.join("/");
        Algorithm::all().find_map(|algorithm| {
            let object = ObjectId::new(algorithm, self.hash_in(&text, algorithm)?).ok()?;
            (self.text_of(&object) == text).then_some(object)
        })
    }

    fn text_of(&self, object: &ObjectId) -> String {
        self.pieces
            .iter()
            .map(|piece| match piece {
                LayoutPiece::Literal(text) => text.clone(),
                LayoutPiece::Upper => object.algorithm().directory().to_owned(),
                LayoutPiece::Lower => object.algorithm().directory().to_ascii_lowercase(),
                LayoutPiece::Hash => object.hash().to_owned(),
            })
            .collect()
    }

    /// The text where the first hash stands, if the path is as long as one of this algorithm can be.
    fn hash_in<'a>(&self, text: &'a str, algorithm: Algorithm) -> Option<&'a str> {
        let width = |piece: &LayoutPiece| match piece {
            LayoutPiece::Literal(text) => text.len(),
            LayoutPiece::Upper | LayoutPiece::Lower => algorithm.directory().len(),
            LayoutPiece::Hash => 0,
        };
        let fixed: usize = self.pieces.iter().map(width).sum();
        let hashes = self.pieces.iter().filter(|piece| **piece == LayoutPiece::Hash).count();
        let start: usize =
            self.pieces.iter().take_while(|piece| **piece != LayoutPiece::Hash).map(width).sum();
        let length = text.len().checked_sub(fixed)? / hashes;
        text.get(start..start + length)
    }
}

fn pieces_of(marked: &str) -> Vec<LayoutPiece> {
    let mut pieces = Vec::new();
    for c in marked.chars() {
        match (c, pieces.last_mut()) {
            ('\u{1}', _) => pieces.push(LayoutPiece::Upper),
            ('\u{2}', _) => pieces.push(LayoutPiece::Lower),
            ('\u{3}', _) => pieces.push(LayoutPiece::Hash),
            (c, Some(LayoutPiece::Literal(text))) => text.push(c),
            (c, _) => pieces.push(LayoutPiece::Literal(c.to_string())),
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CID: &str = "bafkreif2pall7dybz7vecqka3zo24irdwabwdi4wc55jznaq75q7eaavvu";

    fn layout(template: &str) -> Result<ObjectLayout, Fault> {
        ObjectLayout::new(&Template::parse(template).expect(template))
    }

    fn object(algorithm: Algorithm) -> ObjectId {
        let digits = match algorithm {
            Algorithm::Cid => return ObjectId::new(algorithm, CID).expect("a CID"),
            Algorithm::Md5 => 32,
            Algorithm::Sha1 => 40,
            Algorithm::Sha224 | Algorithm::Sha3_224 => 56,
            Algorithm::Sha256 | Algorithm::Sha3_256 => 64,
            Algorithm::Sha384 | Algorithm::Sha3_384 => 96,
            Algorithm::Sha512 | Algorithm::Sha3_512 => 128,
        };
        ObjectId::new(algorithm, &"0f".repeat(digits / 2)).expect("a hash")
    }

    #[test]
    fn paths_and_objects_are_each_others_inverse() {
        for template in [
            "{ALGO}/{hash}",
            "x/{algo}/{hash}.bin",
            "{hash}/{ALGO}-{hash}",
            "{algo}{hash}",
            "ü-{ALGO}_{hash}",
        ] {
            let layout = layout(template).expect(template);
            for algorithm in Algorithm::all() {
                let object = object(algorithm);
                let path = layout.path_of(&object);
                assert_eq!(layout.object_at(&path), Some(object), "{template}: {}", path.display());
            }
        }
        let path = layout("{ALGO}/{hash}").expect("a layout").path_of(&object(Algorithm::Sha3_256));
        assert_eq!(path, PathBuf::from(format!("SHA3_256/{}", "0f".repeat(32))));
    }

    #[test]
    fn other_paths_are_no_objects() {
        let layout = layout("{ALGO}/{hash}").expect("a layout");
        let md5 = "0f".repeat(16);
        for path in [
            String::new(),
            format!("md5/{md5}"),
            format!("MD5/{}", md5.to_uppercase()),
            format!("MD5/{md5}.part"),
            format!("MD5/{md5}/x"),
            format!("x/MD5/{md5}"),
            format!("SHA1/{md5}"),
            "MD5".to_owned(),
            format!("MD5/ü{}", &md5[..30]),
        ] {
            assert_eq!(layout.object_at(Path::new(&path)), None, "{path}");
        }
    }

    #[test]
    fn templates_that_tell_no_place_are_refused() {
        for (template, why) in [
            ("{ALGO}", "needs {hash}"),
            ("{hash}", "needs {ALGO}"),
            ("{os}/{ALGO}/{hash}", "no {os}"),
            ("/{ALGO}/{hash}", "absolute"),
            ("../{ALGO}/{hash}", "`..`"),
            ("{ALGO}//{hash}", "empty name"),
            ("{ALGO}/{hash}/", "empty name"),
            ("c:{ALGO}/{hash}", "`:`"),
            ("{ALGO}\\{hash}", "`\\`"),
            ("\u{1}{ALGO}/{hash}", "control"),
        ] {
            let error = layout(template).expect_err(template).to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_path_is_read_that_would_not_be_written(path in "[A-Za-z0-9_./-]{0,80}|(MD5|SHA1|CID)/[0-9a-f]{32,40}") {
            let layout = layout("{ALGO}/{hash}").expect("a layout");
            if let Some(object) = layout.object_at(Path::new(&path)) {
                prop_assert_eq!(layout.path_of(&object), Path::new(&path));
            }
        }
    }
}
