//! A cache from inputs, without a file.

use proptest::prelude::*;

use super::lines;
use crate::config::{Loaded, inline};
use crate::domain::template::Template;

#[test]
fn inputs_of_actions_cache_need_no_file() {
    let check = |path, key, restore| match inline(path, key, restore, None) {
        Ok(Loaded { spec, warnings }) => {
            let cache = &spec.caches[0];
            let expand = |template: &Template| {
                template.expand(|p| Ok::<_, ()>(format!("<{p}>"))).map(|e| e.text).expect("expands")
            };
            let paths: Vec<String> = cache
                .paths
                .iter()
                .map(|path| format!("{}{}", if path.exclude { "!" } else { "" }, expand(&path.pattern)))
                .collect();
            let restore: Vec<String> = cache.restore_keys.iter().map(expand).collect();
            let head = format!("{} {paths:?} {} {restore:?}", cache.name, expand(&cache.key));
            if warnings.is_empty() { head } else { format!("{head}\n{}", lines(&warnings)) }
        }
        Err(error) => format!("{}\n{}", error.summary(), lines(&error.findings)),
    };
    insta::assert_snapshot!([
        check("~/.cargo\n\n  target  \n# note\n! target/tmp\n", " deps-{os} ", "deps-\nd-{os}-\n"),
        check("a{b\nx{y}z", "k-{", "k-}"),
        check("a", "k-{oss}", ""),
        check("a", "deps-", ""),
        check("a", "k-${{ x }}", ""),
        check("", "", ""),
        check("a", "k,{temp}", ""),
    ]
    .join("\n"), @r#"
cargo-target ["<{home}>/.cargo", "target", "!target/tmp"] deps-<{os}> ["deps-", "d-<{os}>-"]
- warning: the restore key `d-{os}-` never matches an entry of this cache | start it like the key: it must be a prefix of keys
default ["a[{]b", "x[{]y[}]z"] k-{ ["k-}"]
- warning: `{y}` is not a placeholder: `x{y}z` is used literally | known placeholders: {os} {arch} {ref} {sha} {run-id} {run-attempt} {temp} {workspace} {home} {path} {links} {hash} {ALGO} {algo} {env.NAME} {var.NAME} {git:GLOBS} {files:GLOBS} {hash-files:GLOBS} {tool:NAME}; write `{{` or `}}` for a literal brace
- warning: the restore key `k-}}` never matches an entry of this cache | start it like the key: it must be a prefix of keys
a ["a"] k-{oss} []
- warning: `{oss}` is not a placeholder: `k-{oss}` is used literally | did you mean `{os}`? write `{{` and `}}` for literal braces
a ["a"] deps- []
- warning: the key `deps-` ends in `-`, so its last part seems to be missing | add the last part or remove the separator; only restore keys may end in one
a ["a"] k-${{ x }} []
- warning: `${{ x }}` is a GitHub Actions expression: `k-${{ x }}` is used literally | use a placeholder such as `{os}` or `{temp}`, or pass the value with `--var` and use `{var.NAME}`
the configuration in `path`, `key` and `restore-keys` has 2 errors
- error: the key is empty | write text and placeholders, such as `deps-v1-{os}`
- error: `path` is empty | add at least one directory or glob, one per line
the configuration in `path`, `key` and `restore-keys` has an error
- error: `{temp}` in a key differs between machines, so other machines would never find the entry | remove it: an entry can be restored to any directory
"#);
}

proptest! {
    #[test]
    fn no_input_makes_it_panic(path in "\\PC{0,20}", key in "\\PC{0,20}", restore in "\\PC{0,20}") {
        let _ = inline(&path, &key, &restore, None);
    }

    #[test]
    fn braces_that_are_no_placeholder_stand_for_themselves(key in "[a-z][{}a-z]{0,8}[a-z]") {
        prop_assume!(!["{os}", "{arch}", "{ref}", "{sha}", "{temp}", "{home}", "{path}", "{links}", "{hash}", "{algo}"].iter().any(|word| key.contains(word)));
        let loaded = inline("a", &key, "", None).expect("a key");
        let expanded = loaded.spec.caches[0].key.expand(|_| Err(())).expect("it has no placeholder");
        prop_assert_eq!(expanded.text, key);
    }
}
