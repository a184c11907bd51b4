//! A configuration without a file: one cache from the command line or from the inputs of a step.

use std::collections::BTreeMap;

use toml::Spanned;

use super::draft::Draft;
use super::error::ConfigError;
use super::field::Field;
use super::findings::{Findings, Text, placeless};
use super::loaded::Loaded;
use super::placeholders::suggestion;
use super::{clean, convert, file, foreign, lint};
use crate::domain::digest::Sha256Digest;
use crate::domain::spec::{CacheSpec, DiskPolicy, Spec, StoreLocation};
use crate::domain::template::{Template, TemplateError};

/// The name of the cache if its paths yield none.
const NAME: &str = "default";

/// Maximum length of a name; longer ones are truncated and get a digest.
const MAX_NAME: usize = 60;

/// The cache declared by inputs as of actions/cache: `path` and `restore_keys` hold one item per line.
///
/// Its name, and so its directory in archives, is made of the last components of its paths. It is the same on every OS
/// and differs for different paths, so that a short restore key does not match another cache. With `per_os` that OS is part of it,
/// so that entries of another are not found.
///
/// Blank lines, and in `path` those that start with `#`, are skipped. Placeholders are expanded; a text without one is
/// literal, with a warning if its braces look like a misspelled placeholder. What actions/cache accepts is at most a
/// warning here, since the inputs were probably written for it.
pub(crate) fn inline(
    path: &str,
    key: &str,
    restore_keys: &str,
    per_os: Option<&str>,
) -> Result<Loaded, ConfigError> {
    let mut findings = Findings::of_inputs("the configuration in `path`, `key` and `restore-keys`");
    let kept = lines(path).filter(|line| !line.starts_with('#'));
    let paths: Vec<Text> = kept.map(|line| text(line, ["[{{]", "[}}]"], &mut findings)).collect();
    let raw = file::RawCache {
        path: None,
        // The error for an empty list names `paths`, which is not an input.
        paths: (!paths.is_empty()).then(|| Spanned::new(0..0, paths)),
        kind: None,
        key: Some(text(key.trim(), BRACES, &mut findings)),
        restore_keys: lines(restore_keys).map(|line| text(line, BRACES, &mut findings)).collect(),
        role: file::RawRole::default(),
        save: file::RawSave::default(),
        verify_save: None,
        generations: None,
        export: BTreeMap::new(),
        links: None,
        seed: None,
        trim: None,
        shared: false,
        mtime: None,
    };
    let name = per_os.map_or_else(|| name_of(path), |os| format!("{}-{os}", name_of(path)));
    let draft = convert::cache(&placeless(name), raw, &mut findings);
    let drafts: Vec<Draft> = draft.into_iter().collect();
    lint::across(&drafts, &mut findings);
    let caches: Vec<CacheSpec> = drafts.into_iter().map(|draft| draft.spec).collect();
    let spec = Spec {
        store: StoreLocation::Auto,
        fallback: None,
        front: None,
        quota: None,
        clean: clean::policy(None, &caches, &mut findings),
        caches,
        disk: DiskPolicy::default(),
    };
    findings.into_result(spec)
}

/// A name for a cache of these paths: `~/.cargo/registry` is `registry`.
fn name_of(path: &str) -> String {
    let included = lines(path).filter(|line| !line.starts_with(['#', '!']));
    let names: Vec<String> = included.filter_map(last_component).collect();
    let name = names.join("-");
    match name.len() {
        0 => NAME.to_owned(),
        1..=MAX_NAME => name,
        _ => format!("{}-{:.8}", &name[..MAX_NAME], Sha256Digest::of(name.as_bytes()).to_string()),
    }
}

/// The last component of a path without wildcards and placeholders, with characters that a name may have.
fn last_component(path: &str) -> Option<String> {
    let is_literal =
        |part: &&str| !part.contains(['*', '?', '[', '{']) && !matches!(*part, "" | "." | ".." | "~");
    let part = path.split(['/', '\\']).rfind(is_literal)?;
    let allowed = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
    let name: String = part.chars().map(allowed).collect();
    let name = name.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    (!name.is_empty()).then(|| name.to_owned())
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

/// Literal braces in a template. In a path they need brackets as well, since they would be glob alternatives once the
/// template is expanded.
const BRACES: [&str; 2] = ["{{", "}}"];

/// The text itself if it is a template with placeholders, otherwise with its braces escaped.
fn text(line: &str, [open, close]: [&str; 2], findings: &mut Findings<'_>) -> Text {
    let parsed = Template::parse(line);
    if parsed.as_ref().is_ok_and(|template| template.placeholders().next().is_some()) {
        return placeless(line);
    }
    if let Some(found) =
        foreign::find(line, Field::Path, true).filter(|found| found.written.starts_with("${{"))
    {
        let message = format!("`{}` is {}: `{line}` is used literally", found.written, found.kind);
        findings.warning(&(0..0), message).with_hint(found.hint);
    }
    if let Err(TemplateError::Unknown(name)) = parsed {
        let message = format!("`{{{name}}}` is not a placeholder: `{line}` is used literally");
        findings.warning(&(0..0), message).with_hint(suggestion(&name));
    }
    let escape = |c| match c {
        '{' => open.to_owned(),
        '}' => close.to_owned(),
        other => String::from(other),
    };
    placeless(line.chars().map(escape).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_without_a_name_is_named_after_its_directories() {
        let check = |path: &str, name: &str| assert_eq!(name_of(path), name, "{path}");
        check("~/.cargo/registry", "registry");
        check("/home/runner/work/_temp/ExternalData", "ExternalData");
        check("D:\\a\\_temp\\ExternalData", "ExternalData");
        check("{temp}/ccache/**", "ccache");
        check("~/.npm\n# a remark\nnode_modules\n!node_modules/.cache", "npm-node_modules");
        check("{temp}", "default");
        check("über/größe", "gr--e");
        assert_eq!(name_of(&"a/long-directory-name\n".repeat(9)).len(), MAX_NAME + 9);
    }
}
