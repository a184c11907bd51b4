//! Keys and paths of `Cache@2`, as templates.
//!
//! Microsoft, "Pipeline caching": a key has segments between `|`. One in quotes is text, one that looks like a path names files, and
//! everything else is text as well.

use crate::command::init::translate::{Translation, glob};

/// Variables that a placeholder stands for in a key.
const IN_KEYS: [(&str, &str); 7] = [
    ("agent.os", "{os}"),
    ("agent.osarchitecture", "{arch}"),
    ("build.sourceversion", "{sha}"),
    ("build.buildid", "{run-id}"),
    ("build.sourcebranch", "{ref}"),
    ("build.sourcebranchname", "{ref}"),
    ("system.jobattempt", "{run-attempt}"),
];

/// Variables that a placeholder stands for in a path.
const IN_PATHS: [(&str, &str); 5] = [
    ("build.sourcesdirectory", "{workspace}"),
    ("build.repository.localpath", "{workspace}"),
    ("system.defaultworkingdirectory", "{workspace}"),
    ("agent.tempdirectory", "{temp}"),
    ("home", "{home}"),
];

/// A key or restore key.
///
/// # Errors
/// Why it cannot be said in a template.
pub(super) fn key(text: &str) -> Result<Translation, String> {
    each_part(text, |_| {})?;
    let mut translated = Translation::default();
    for (at, segment) in text.split('|').map(str::trim).enumerate() {
        if at > 0 {
            translated.literal("-");
        }
        let quoted = segment.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        if let Some(text) = quoted {
            text_of(text, &mut translated)?;
        } else if is_path(segment) {
            let globs: Vec<String> =
                segment.split(',').map(|path| glob(below_sources(path.trim()))).collect::<Result<_, _>>()?;
            translated.template.extend(["{files:", &globs.join(","), "}"]);
        } else {
            text_of(segment, &mut translated)?;
        }
    }
    Ok(translated)
}

/// A path, as a template.
///
/// # Errors
/// Why it cannot be said in a template.
pub(super) fn path(text: &str) -> Result<String, String> {
    let mut template = String::new();
    each_part(&text.replace('\\', "/"), |part| {
        match part {
            Part::Text(text) => template.push_str(&text.replace('{', "{{").replace('}', "}}")),
            Part::Variable(name) => match placeholder(&IN_PATHS, name) {
                Some(placeholder) => template.push_str(placeholder),
                // The agent gives a step its variables in capital letters.
                None => template.extend(["{env.", &name.to_ascii_uppercase().replace('.', "_"), "}"]),
            },
        }
    })?;
    Ok(match template.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("{{home}}{rest}"),
        _ => template,
    })
}

fn below_sources(path: &str) -> &str {
    ["$(Build.SourcesDirectory)/", "$(System.DefaultWorkingDirectory)/"]
        .iter()
        .find_map(|start| path.strip_prefix(start))
        .unwrap_or(path)
}

/// Whether the task takes a segment for paths of files, once its variables have values.
fn is_path(segment: &str) -> bool {
    segment.split(',').all(|part| {
        let mut text = String::new();
        let mut rest = part.trim();
        while let Some((before, after)) = rest.split_once("$(") {
            text.push_str(before);
            text.push('x');
            rest = after.split_once(')').map_or("", |(_, behind)| behind);
        }
        text.push_str(rest);
        !text.ends_with('.') && text.contains(['.', '/', '\\', '*']) && !text.contains(['"', '<', '>', ' '])
    })
}

fn text_of(text: &str, translated: &mut Translation) -> Result<(), String> {
    each_part(text, |part| match part {
        Part::Text(text) => translated.literal(text),
        Part::Variable(name) => match placeholder(&IN_KEYS, name) {
            Some(placeholder) => translated.template.push_str(placeholder),
            None => translated.variable(&name.replace('.', "-"), format!("$({name})")),
        },
    })
}

fn placeholder(known: &[(&str, &'static str)], name: &str) -> Option<&'static str> {
    known
        .iter()
        .find(|(variable, _)| name.eq_ignore_ascii_case(variable))
        .map(|(_, placeholder)| *placeholder)
}

/// A part of a text with variables.
enum Part<'a> {
    Text(&'a str),
    Variable(&'a str),
}

fn each_part<'a>(text: &'a str, mut with: impl FnMut(Part<'a>)) -> Result<(), String> {
    if text.contains("${{") || text.contains("$[") {
        return Err(format!("`{text}` has an expression of the template language"));
    }
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("$(") {
        let Some((name, behind)) = after.split_once(')') else {
            return Err(format!("a variable in `{text}` has no end"));
        };
        let is_name = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.');
        if name.is_empty() || !is_name {
            return Err(format!("`$({name})` is not the name of a variable"));
        }
        with(Part::Text(before));
        with(Part::Variable(name));
        rest = behind;
    }
    with(Part::Text(rest));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, template: &str, vars: &[(&str, &str)]) {
        let vars = vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(key(text), Ok(Translation { template: template.to_owned(), vars }), "{text}");
    }

    #[test]
    fn segments_become_templates() {
        check("npm | \"$(Agent.OS)\" | package-lock.json", "npm-{os}-{files:package-lock.json}", &[]);
        check(
            "\"pip\" | $(Agent.OS) | **/requirements.txt, !x/**",
            "pip-{os}-{files:**/requirements.txt,!x/**}",
            &[],
        );
        check("pip | **/requirements.txt,!x/**", "pip-{files:**/requirements.txt,!x/**}", &[]);
        check("\"v1.2\" | $(Build.SourcesDirectory)/go.sum", "v1.2-{files:go.sum}", &[]);
        check(
            "ccache | $(imageName) | $(Build.SourceVersion)",
            "ccache-{var.imageName}-{sha}",
            &[("imageName", "$(imageName)")],
        );
        check("\"a{b}\" | $(My.Image)", "a{{b}}-{var.My-Image}", &[("My-Image", "$(My.Image)")]);
    }

    #[test]
    fn paths_become_templates() {
        for (text, template) in [
            ("$(Pipeline.Workspace)/.npm", "{env.PIPELINE_WORKSPACE}/.npm"),
            ("$(npm_config_cache)", "{env.NPM_CONFIG_CACHE}"),
            ("$(System.DefaultWorkingDirectory)\\packages", "{workspace}/packages"),
            ("~/.m2/repository", "{home}/.m2/repository"),
        ] {
            assert_eq!(path(text).as_deref(), Ok(template), "{text}");
        }
    }

    #[test]
    fn what_a_template_cannot_say_is_refused() {
        for (text, reason) in [
            ("a | ${{ parameters.x }}", "an expression of the template language"),
            ("a | $[variables.x]", "an expression of the template language"),
            ("a | $(x", "has no end"),
            ("a | \"$(git rev-parse HEAD)\"", "is not the name of a variable"),
            ("a | /etc/os-release", "cannot stand in a placeholder"),
            ("a | $(Agent.TempDirectory)/x.lock", "cannot stand in a placeholder"),
        ] {
            let refused = key(text).expect_err(text);
            assert!(refused.contains(reason), "{text}: {refused}");
        }
    }
}
