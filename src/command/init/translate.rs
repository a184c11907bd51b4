//! Texts with expressions of GitHub Actions, as templates.
//!
//! What a template can say becomes a placeholder. What a step can pass on becomes `{var.NAME}`. Everything else is refused.

use std::collections::BTreeMap;

/// A template, and the values of `{var.NAME}` that it needs, as expressions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Translation {
    pub(super) template: String,
    pub(super) vars: BTreeMap<String, String>,
}

/// Expressions that a placeholder stands for.
const PLACEHOLDERS: [(&str, &str); 9] = [
    ("runner.os", "{os}"),
    ("runner.arch", "{arch}"),
    ("runner.temp", "{temp}"),
    ("github.workspace", "{workspace}"),
    ("github.sha", "{sha}"),
    ("github.run_id", "{run-id}"),
    ("github.run_attempt", "{run-attempt}"),
    ("github.ref", "{ref}"),
    ("github.ref_name", "{ref}"),
];

/// Contexts whose values a step can pass on.
const PASSED_ON: [&str; 6] = ["matrix", "inputs", "vars", "needs", "github", "strategy"];

impl Translation {
    /// Adds text that stands for itself.
    pub(super) fn literal(&mut self, text: &str) {
        self.template.push_str(&text.replace('{', "{{").replace('}', "}}"));
    }

    /// Adds what another template says.
    pub(super) fn append(&mut self, other: Translation) {
        self.template.push_str(&other.template);
        self.vars.extend(other.vars);
    }

    /// Adds a value that the step passes on.
    pub(super) fn variable(&mut self, name: &str, expression: String) {
        self.template.extend(["{var.", name, "}"]);
        self.vars.insert(name.to_owned(), expression);
    }
}

/// A key or restore key.
///
/// # Errors
/// Why it cannot be said in a template.
pub(super) fn key(text: &str) -> Result<Translation, String> {
    template(text)
}

/// One line of `path`.
///
/// # Errors
/// Why it cannot be said in a template.
pub(super) fn path(line: &str) -> Result<Translation, String> {
    let (mark, path) = line.strip_prefix('!').map_or(("", line), |path| ("!", path.trim_start()));
    let mut translated = Translation::default();
    translated.literal(mark);
    // On Windows, actions/cache takes both.
    let path = if path.starts_with("~\\") || path.chars().nth(1) == Some(':') {
        path.replace('\\', "/")
    } else {
        path.to_owned()
    };
    match path.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            translated.template.push_str("{home}");
            translated.append(template(rest)?);
        }
        _ => translated.append(template(path.strip_prefix("./").unwrap_or(&path))?),
    }
    Ok(translated)
}

fn template(text: &str) -> Result<Translation, String> {
    let mut translated = Translation::default();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${{") {
        let Some((inner, behind)) = after.split_once("}}") else {
            return Err("an expression in it has no end".to_owned());
        };
        translated.literal(before);
        expression(inner.trim(), &mut translated)?;
        rest = behind;
    }
    translated.literal(rest);
    Ok(translated)
}

fn expression(text: &str, translated: &mut Translation) -> Result<(), String> {
    let known = PLACEHOLDERS.iter().find(|(expression, _)| *expression == text);
    if let Some((_, placeholder)) = known {
        translated.template.push_str(placeholder);
        return Ok(());
    }
    if let Some(arguments) = text.strip_prefix("hashFiles(").and_then(|rest| rest.strip_suffix(')'))
        && !arguments.contains(['(', ')'])
    {
        let globs = globs_of(arguments)?;
        translated.template.extend(["{files:", &globs.join(","), "}"]);
        return Ok(());
    }
    let parts: Vec<&str> = text.split('.').collect();
    let is_path = parts.len() > 1 && parts.iter().all(|part| is_word(part));
    match parts[0] {
        _ if text.contains("||") || text.contains("&&") => {
            Err(format!("`{text}` chooses between values, and a template cannot"))
        }
        _ if text.contains('(') => Err(format!("`{text}` is computed by GitHub, and a template cannot")),
        "steps" => Err(format!("`{text}` is the output of a step, which a configuration does not know")),
        "secrets" => Err(format!("`{text}` is a secret, and keys are public")),
        "env" if is_path && parts.len() == 2 => {
            translated.template.extend(["{env.", parts[1], "}"]);
            Ok(())
        }
        context if is_path && PASSED_ON.contains(&context) => {
            let name = if context == "matrix" { parts[1..].join("-") } else { parts.join("-") };
            translated.variable(&name, format!("${{{{ {text} }}}}"));
            Ok(())
        }
        _ => Err(format!("`{text}` has no counterpart in a template")),
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// The globs of `hashFiles('a', 'b')`.
fn globs_of(arguments: &str) -> Result<Vec<String>, String> {
    let mut globs = Vec::new();
    for argument in arguments.split(',').map(str::trim) {
        let quoted = argument.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
        let Some(text) = quoted.filter(|text| !text.contains('\'')) else {
            return Err(format!("`hashFiles({arguments})` has an argument that only GitHub knows"));
        };
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            globs.push(glob(line)?);
        }
    }
    if globs.is_empty() { Err("`hashFiles()` names no file".to_owned()) } else { Ok(globs) }
}

/// A glob of `hashFiles` or of an input with paths of lock files, relative to the workspace.
///
/// # Errors
/// Why it cannot stand in a placeholder.
pub(super) fn glob(text: &str) -> Result<String, String> {
    let (mark, glob) = text.strip_prefix('!').map_or(("", text), |glob| ("!", glob));
    let glob = glob.strip_prefix("./").unwrap_or(glob);
    if glob.contains(['{', '}', ',', '\\', '$']) || glob.starts_with(['/', '~']) || glob.contains("..") {
        return Err(format!(
            "`{text}` cannot stand in a placeholder, whose globs are relative to the workspace"
        ));
    }
    Ok(format!("{mark}{glob}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(translated: &Result<Translation, String>, template: &str, vars: &[(&str, &str)]) {
        let vars = vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(translated, &Ok(Translation { template: template.to_owned(), vars }));
    }

    #[test]
    fn keys_become_templates() {
        check(
            &key("${{ runner.os }}-node-${{ hashFiles('**/package-lock.json', '!x/**') }}"),
            "{os}-node-{files:**/package-lock.json,!x/**}",
            &[],
        );
        check(
            &key("a{b}-${{matrix.config.name}}-${{ inputs.target }}-${{ env.V }}-${{ github.sha }}"),
            "a{{b}}-{var.config-name}-{var.inputs-target}-{env.V}-{sha}",
            &[("config-name", "${{ matrix.config.name }}"), ("inputs-target", "${{ inputs.target }}")],
        );
        check(&key("v1"), "v1", &[]);
    }

    #[test]
    fn paths_become_templates() {
        check(&path("~/.npm"), "{home}/.npm", &[]);
        check(&path("!~/.m2/repository/org/example"), "!{home}/.m2/repository/org/example", &[]);
        check(&path("~\\AppData\\Local\\pip\\Cache"), "{home}/AppData/Local/pip/Cache", &[]);
        check(&path("${{ runner.temp }}/x/*"), "{temp}/x/*", &[]);
        check(&path("./node_modules"), "node_modules", &[]);
        check(&path("~name/x"), "~name/x", &[]);
    }

    #[test]
    fn what_a_template_cannot_say_is_refused() {
        for (text, reason) in [
            ("${{ github.head_ref || github.ref }}", "chooses between values"),
            ("${{ matrix.a && 'b' }}", "chooses between values"),
            ("${{ format('{0}-x', runner.os) }}", "is computed by GitHub"),
            ("${{ toJSON(matrix) }}", "is computed by GitHub"),
            ("${{ steps.date.outputs.week }}", "is the output of a step"),
            ("${{ secrets.CACHE_VERSION }}", "is a secret"),
            ("${{ hashFiles(env.LOCK) }}", "has an argument that only GitHub knows"),
            ("${{ hashFiles(format('{0}', 'a')) }}", "is computed by GitHub"),
            ("${{ hashFiles('../x.lock') }}", "cannot stand in a placeholder"),
            ("${{ hashFiles('') }}", "names no file"),
            ("${{ runner.name }}", "has no counterpart"),
            ("${{ matrix['os'] }}", "has no counterpart"),
            ("${{ runner.os", "has no end"),
        ] {
            let refused = key(text).expect_err(text);
            assert!(refused.contains(reason), "{text}: {refused}");
        }
    }
}
