//! Keys and paths of GitLab's caches, as templates.

use crate::command::init::translate::glob;
use crate::command::pipelines::yaml::{Kind, Node};

/// Variables that a placeholder stands for.
const PLACEHOLDERS: [(&str, &str); 7] = [
    ("CI_COMMIT_REF_SLUG", "{ref}"),
    ("CI_COMMIT_REF_NAME", "{ref}"),
    ("CI_COMMIT_BRANCH", "{ref}"),
    ("CI_COMMIT_SHA", "{sha}"),
    ("CI_PIPELINE_ID", "{run-id}"),
    ("CI_PROJECT_DIR", "{workspace}"),
    ("HOME", "{home}"),
];

/// Placeholders of what changes with every commit.
const CHANGING: [&str; 3] = ["{files:", "{sha}", "{run-id}"];

/// The key and the restore keys of a cache.
///
/// # Errors
/// Why they cannot be said in templates.
pub(super) fn keys(cache: &Node) -> Result<(String, Vec<String>), String> {
    let mut restore_keys = Vec::new();
    let mut key = match cache.get("key") {
        None => "default".to_owned(),
        Some(node) => match &node.kind {
            Kind::Scalar(text) => text_of(text)?,
            Kind::Mapping(_) => of_files(node)?,
            Kind::Sequence(_) | Kind::Alias => return Err("its key is neither a text nor files".to_owned()),
        },
    };
    if !CHANGING.iter().any(|part| key.contains(part)) {
        restore_keys.push(format!("{key}-"));
        key.push_str("-{sha}");
    }
    for fallback in cache.get("fallback_keys").map_or(&[][..], Node::items).iter().filter_map(Node::text) {
        restore_keys.push(text_of(fallback)?);
    }
    Ok((key, restore_keys))
}

fn of_files(key: &Node) -> Result<String, String> {
    let mut globs = Vec::new();
    for file in key.get("files").map_or(&[][..], Node::items).iter().filter_map(Node::text) {
        globs.push(glob(file)?);
    }
    if globs.is_empty() {
        return Err("its key names no files".to_owned());
    }
    let prefix = match key.value("prefix") {
        Some(prefix) => format!("{}-", text_of(prefix.text)?),
        None => String::new(),
    };
    Ok(format!("{prefix}{{files:{}}}", globs.join(",")))
}

/// A path, as a template.
///
/// # Errors
/// Why it cannot be said in a template.
pub(super) fn path(text: &str) -> Result<String, String> {
    let template = text_of(text)?;
    Ok(template.trim_end_matches('/').to_owned())
}

/// A text with variables: `$NAME`, `${NAME}`.
fn text_of(text: &str) -> Result<String, String> {
    let mut template = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        template.push_str(&escaped(before));
        let (name, behind) = match after.strip_prefix('{') {
            Some(inner) => {
                inner.split_once('}').ok_or_else(|| format!("a variable in `{text}` has no end"))?
            }
            None => after.split_at(
                after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len()),
            ),
        };
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(format!("`{text}` has an expression that only GitLab knows"));
        }
        match PLACEHOLDERS.iter().find(|(variable, _)| *variable == name) {
            Some((_, placeholder)) => template.push_str(placeholder),
            None => template.extend(["{env.", name, "}"]),
        }
        rest = behind;
    }
    template.push_str(&escaped(rest));
    Ok(template)
}

fn escaped(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::pipelines::yaml;

    #[track_caller]
    fn check(cache: &str, key: &str, restore_keys: &[&str]) {
        let root = yaml::read(cache).expect("YAML").expect("a document");
        let (found, others) = keys(&root).expect(cache);
        assert_eq!(
            (found.as_str(), others.as_slice()),
            (key, restore_keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>().as_slice()),
            "{cache}"
        );
    }

    #[test]
    fn keys_become_templates_that_change() {
        check("paths: [a]", "default-{sha}", &["default-"]);
        check("key: $CI_COMMIT_REF_SLUG", "{ref}-{sha}", &["{ref}-"]);
        check("key: npm-${CI_COMMIT_SHA}", "npm-{sha}", &[]);
        check(
            "key: \"$CI_JOB_NAME\"\nfallback_keys: [all]",
            "{env.CI_JOB_NAME}-{sha}",
            &["{env.CI_JOB_NAME}-", "all"],
        );
        check(
            "key: { files: [a.lock, b.lock], prefix: $CI_JOB_NAME }",
            "{env.CI_JOB_NAME}-{files:a.lock,b.lock}",
            &[],
        );
    }

    #[test]
    fn paths_become_templates() {
        assert_eq!(path(".npm/").as_deref(), Ok(".npm"));
        assert_eq!(path("$CI_PROJECT_DIR/vendor").as_deref(), Ok("{workspace}/vendor"));
        assert_eq!(path("${GOPATH}/pkg").as_deref(), Ok("{env.GOPATH}/pkg"));
    }

    #[test]
    fn what_a_template_cannot_say_is_refused() {
        for cache in [
            "key: $[[ inputs.key ]]",
            "key: ${CI",
            "key: { files: [] }",
            "key: { files: [../x] }",
            "key: [a]",
        ] {
            let root = yaml::read(cache).expect("YAML").expect("a document");
            assert!(keys(&root).is_err(), "{cache}");
        }
    }
}
