//! Kinds of caches: what is known about the tools that keep them. One table says for each tool where its cache lies, which variables
//! place it, what its default key is, and what its trimming has to know.

mod cargo;
mod ccache;
mod kind;
mod table;

pub use cargo::CargoPackages;
pub use ccache::{ToolUse, ccache_use};
pub use kind::{Kind, KindPath, Place, SizeVariable};
pub use table::KINDS;

/// The kind with this name.
pub fn named(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::template::Template;
    use crate::domain::trim::Recency;

    #[test]
    fn the_table_is_sound() {
        let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
        assert_eq!(names, ["ccache", "sccache", "cargo", "go", "npm", "pnpm", "pip", "uv", "gradle", "nix"]);
        for kind in KINDS {
            let name = kind.name;
            for path in kind.paths {
                let place = path.place;
                for usual in [place.linux, place.macos, place.windows] {
                    let parsed = Template::parse(usual);
                    assert!(
                        parsed.is_ok() && usual.starts_with('{') && !usual.ends_with('/'),
                        "{name} {usual}"
                    );
                }
            }
            assert!(!kind.paths[0].exclude, "{name}");
            assert!(kind.key.starts_with("NAME-{os}-{arch}-"), "{name}");
            for text in kind.restore_keys {
                assert!(kind.key.starts_with(text) && text.ends_with('-'), "{name} {text}");
                assert!(Template::parse(text).is_ok(), "{name} {text}");
            }
            assert!(Template::parse(kind.key).is_ok(), "{name}");
            assert!(kind.export.iter().all(|(_, value)| Template::parse(value).is_ok()), "{name}");
            assert!(!kind.marks_use || kind.recency == Recency::Modified, "{name}");
        }
    }
}
