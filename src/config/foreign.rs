//! Expressions of other systems. Configurations are often copied from a workflow or a script, whose expressions would
//! be constants here.

use super::field::Field;
use crate::domain::secret::is_secret_name;

/// Variables of other systems, and the placeholders that have the same meaning. `.` and `-` are written as `_`, so
/// that `runner.os`, `RUNNER_OS` and `Agent.OS` of Azure Pipelines are found.
const REPLACEMENTS: &[(&str, &[&str])] = &[
    ("{os}", &["RUNNER_OS", "AGENT_OS", "OSTYPE", "MATRIX_OS"]),
    ("{arch}", &["RUNNER_ARCH", "AGENT_OSARCHITECTURE"]),
    (
        "{ref}",
        &[
            "GITHUB_REF",
            "GITHUB_REF_NAME",
            "BUILD_SOURCEBRANCH",
            "BUILD_SOURCEBRANCHNAME",
            "CI_COMMIT_REF_NAME",
            "CI_COMMIT_REF_SLUG",
            "CI_COMMIT_BRANCH",
        ],
    ),
    ("{sha}", &["GITHUB_SHA", "BUILD_SOURCEVERSION", "CI_COMMIT_SHA"]),
    ("{run-id}", &["GITHUB_RUN_ID", "BUILD_BUILDID", "CI_PIPELINE_ID"]),
    ("{run-attempt}", &["GITHUB_RUN_ATTEMPT", "SYSTEM_JOBATTEMPT"]),
    ("{temp}", &["RUNNER_TEMP", "AGENT_TEMPDIRECTORY", "TMPDIR", "TEMP", "TMP"]),
    (
        "{workspace}",
        &[
            "GITHUB_WORKSPACE",
            "BUILD_SOURCESDIRECTORY",
            "SYSTEM_DEFAULTWORKINGDIRECTORY",
            "CI_PROJECT_DIR",
            "PWD",
        ],
    ),
    ("{home}", &["HOME", "USERPROFILE"]),
];

/// Placeholders that a variable of the same name can mean.
const OF_JOBS: [&str; 9] = ["os", "arch", "ref", "sha", "run-id", "run-attempt", "temp", "workspace", "home"];

/// An expression of another system, as found in a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Foreign<'a> {
    /// The expression as written.
    pub(super) written: &'a str,
    /// What it is, such as `a GitHub Actions expression`.
    pub(super) kind: &'static str,
    /// What to write instead.
    pub(super) hint: String,
}

/// The placeholder with the meaning of a variable of another system.
pub(super) fn replacement(name: &str) -> Option<&'static str> {
    let plain = name.trim().to_ascii_uppercase().replace(['.', '-'], "_");
    REPLACEMENTS
        .iter()
        .find(|(_, names)| names.contains(&plain.as_str()))
        .map(|(placeholder, _)| *placeholder)
}

/// The first expression of another system in a text. GitHub's are looked for only if `expressions` is set: it expands
/// those of a step before anything starts, so that what is left in an input is meant literally.
pub(super) fn find(text: &str, field: Field, expressions: bool) -> Option<Foreign<'_>> {
    text.char_indices().find_map(|(at, c)| {
        let rest = &text[at..];
        match c {
            '$' if expressions && rest.starts_with("${{") => Some(github(rest)),
            '$' => shell(&text[..at], rest, field),
            '%' => windows(rest, field),
            _ => None,
        }
    })
}

fn github(rest: &str) -> Foreign<'_> {
    let end = rest.find("}}").map_or(rest.len(), |end| end + 2);
    let written = &rest[..end];
    let inner = written.trim_start_matches("${{").trim_end_matches("}}").trim();
    let hint = match (replacement(inner), inner.split_once('.')) {
        (Some(placeholder), _) => format!("write `{placeholder}`"),
        _ if inner.starts_with("hashFiles") => {
            "write `{files:GLOBS}`, or `{hash-files:GLOBS}` for the digest that GitHub computes".to_owned()
        }
        (_, Some(("env", name))) if is_name(name) && !is_secret_name(name) => format!("write `{{env.{name}}}`"),
        _ => "use a placeholder such as `{os}` or `{temp}`, or pass the value with `--var` and use `{var.NAME}`"
            .to_owned(),
    };
    Foreign { written, kind: "a GitHub Actions expression", hint }
}

/// `$(NAME)`, `$[…]`, `${NAME}` and `$NAME`. The last is only a variable where it begins a word, since `$` is a valid
/// character of file names and URLs.
fn shell<'a>(before: &str, rest: &'a str, field: Field) -> Option<Foreign<'a>> {
    const AZURE: &str = "a variable of Azure Pipelines or a command of a shell";
    const SHELL: &str = "a variable of a shell";
    let enclosed = |open: char, close: char, kind| {
        let inner = rest.strip_prefix('$')?.strip_prefix(open)?;
        let name = &inner[..inner.find(close)?];
        let written = &rest[..name.len() + 3];
        Some(Foreign { written, kind, hint: instead_of(name) })
    };
    if rest.starts_with("${{") {
        return None;
    }
    let found = enclosed('(', ')', AZURE)
        .or_else(|| enclosed('[', ']', "an expression of Azure Pipelines"))
        .or_else(|| enclosed('{', '}', SHELL));
    if found.is_some() {
        return found;
    }
    let begins = !before.ends_with(|c: char| c.is_alphanumeric() || c == '\\' || c == '[');
    let end =
        rest[1..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(rest.len(), |end| end + 1);
    let name = &rest[1..end];
    let applies = match field {
        Field::Key { .. } | Field::Path | Field::Harvest | Field::Size | Field::Free => begins,
        // `$ORIGIN` and its like are meant for the program that reads the variable.
        Field::Export => replacement(name).is_some(),
        Field::Object | Field::Mirror | Field::Seed => false,
    };
    (applies && is_variable(name)).then(|| Foreign {
        written: &rest[..end],
        kind: SHELL,
        hint: instead_of(name),
    })
}

/// `%NAME%`, which is also a part of an encoded URL.
fn windows(rest: &str, field: Field) -> Option<Foreign<'_>> {
    let name = &rest[1..=rest[1..].find('%')?];
    let applies = matches!(field, Field::Key { .. } | Field::Path | Field::Harvest | Field::Size);
    (applies && is_variable(name)).then(|| Foreign {
        written: &rest[..name.len() + 2],
        kind: "a variable of Windows",
        hint: instead_of(name),
    })
}

/// What to write instead of a variable.
fn instead_of(name: &str) -> String {
    let name = name.strip_prefix("variables.").unwrap_or(name);
    let variable = name.to_ascii_uppercase().replace('.', "_");
    match replacement(name) {
        Some(placeholder) => format!("write `{placeholder}`"),
        // Others stand for an object or a directory, and are not what a variable of that name means.
        None if OF_JOBS.contains(&name) => format!("write `{{{name}}}`"),
        // What Azure Pipelines calls `My.Name` is `MY_NAME` in the environment.
        None if name.contains('.') && is_variable(&variable) && !is_secret_name(&variable) => {
            format!("write `{{env.{variable}}}`")
        }
        None if is_variable(name) && !is_secret_name(name) => format!("write `{{env.{name}}}`"),
        None => "pass the value with `--var` and use `{var.NAME}`".to_owned(),
    }
}

fn is_variable(name: &str) -> bool {
    is_name(name) && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Field = Field::Key { links: false };

    #[track_caller]
    fn check(field: Field, text: &str, expected: Option<(&str, &str)>) {
        let found = find(text, field, true);
        let found = found.as_ref().map(|found| (found.written, found.hint.as_str()));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn expressions_of_other_systems_have_a_replacement() {
        check(KEY, "a-$(Agent.OS)-b", Some(("$(Agent.OS)", "write `{os}`")));
        check(KEY, "$(hash)", Some(("$(hash)", "write `{env.hash}`")));
        check(KEY, "$(My.Image)", Some(("$(My.Image)", "write `{env.MY_IMAGE}`")));
        check(
            KEY,
            "$(git rev-parse HEAD)",
            Some(("$(git rev-parse HEAD)", "pass the value with `--var` and use `{var.NAME}`")),
        );
        check(KEY, "$CI_COMMIT_REF_SLUG-npm", Some(("$CI_COMMIT_REF_SLUG", "write `{ref}`")));
        check(KEY, "a-${IMAGE}", Some(("${IMAGE}", "write `{env.IMAGE}`")));
        check(KEY, "a-${os}", Some(("${os}", "write `{os}`")));
        check(KEY, "$[variables.x]", Some(("$[variables.x]", "write `{env.x}`")));
        check(KEY, "${{ runner.os }}-x", Some(("${{ runner.os }}", "write `{os}`")));
        check(KEY, "${{ env.IMAGE }}", Some(("${{ env.IMAGE }}", "write `{env.IMAGE}`")));
        check(
            KEY,
            "$DEPLOY_TOKEN",
            Some(("$DEPLOY_TOKEN", "pass the value with `--var` and use `{var.NAME}`")),
        );
        check(Field::Path, "$HOME/.npm", Some(("$HOME", "write `{home}`")));
        check(Field::Path, "%LOCALAPPDATA%\\npm", Some(("%LOCALAPPDATA%", "write `{env.LOCALAPPDATA}`")));
        check(Field::Export, "$HOME/.ccache", Some(("$HOME", "write `{home}`")));
    }

    #[test]
    fn other_uses_of_these_characters_are_meant() {
        for (field, text) in [
            (KEY, "a$b"),
            (KEY, "cost-5$"),
            (KEY, "50%-of-100%"),
            (Field::Path, "classes/Outer$Inner.class"),
            (Field::Path, "[$]cache"),
            (Field::Path, "\\$cache"),
            (Field::Export, "-Wl,-rpath,$ORIGIN"),
            (Field::Mirror, "https://example.org/$web/%AB%CD/{hash}"),
            (Field::Seed, "https://example.org/$web/%AB%CD.tar"),
        ] {
            check(field, text, None);
        }
        assert_eq!(find("${{ runner.os }}", KEY, false), None, "an input, which GitHub has expanded");
    }
}
