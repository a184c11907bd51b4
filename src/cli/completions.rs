//! Completions for shells: words of the command line, and the names of the caches that are declared where it is typed.
//!
//! The scripts are those of `clap_complete`, which know no values of arguments; what asks `cachekeep complete` for the names is
//! put into them here.

use std::fmt::Write as _;

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::args::Args;
use crate::domain::spec::Spec;

/// What a shell runs for the names.
const NAMES: &str = "cachekeep complete 2>/dev/null";

/// The names of the declared caches, one a line.
pub(super) fn names(spec: &Spec) -> String {
    spec.caches.iter().flat_map(|cache| [cache.name.as_str(), "\n"]).collect()
}

/// The script for a shell.
pub(super) fn script(shell: Shell) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "cachekeep", &mut text);
    let text = String::from_utf8_lossy(&text).into_owned();
    match shell {
        Shell::Bash => bash(&text),
        Shell::Zsh => zsh(&text),
        Shell::Fish => fish(text),
        Shell::PowerShell => powershell(&text),
        _ => text,
    }
}

/// The commands that take names of caches.
fn commands() -> Vec<String> {
    let args = Args::command();
    let takes_names =
        |command: &&clap::Command| command.get_positionals().any(|argument| argument.get_id() == "caches");
    args.get_subcommands().filter(takes_names).map(|command| command.get_name().to_owned()).collect()
}

/// Puts the names among the words of each command.
fn bash(text: &str) -> String {
    let labels: Vec<String> =
        commands().iter().map(|name| format!("        cachekeep__subcmd__{name})")).collect();
    let mut is_behind_label = false;
    let mut script = String::new();
    for line in text.lines() {
        match line.strip_suffix('"').filter(|_| is_behind_label) {
            Some(words) => script.extend([words, " $(", NAMES, ")\""]),
            None => script.push_str(line),
        }
        script.push('\n');
        is_behind_label = labels.iter().any(|label| label == line);
    }
    script
}

/// Gives the argument for caches an action of its own.
fn zsh(text: &str) -> String {
    const FUNCTION: &str = "_cachekeep__caches() {\n    local -a names\n    names=(${(f)\"$(NAMES)\"})\n    _describe -t caches 'cache' names\n}\n\n";
    const END: &str = "if [ \"$funcstack[1]\" = \"_cachekeep\" ]";
    let is_caches = |line: &str| line.starts_with("'*::caches -- ");
    let lines = text.lines().map(|line| {
        if is_caches(line) { line.replace(":_default'", ":_cachekeep__caches'") } else { line.to_owned() }
    });
    let text = lines.map(|line| line + "\n").collect::<String>();
    text.replacen(END, &[&FUNCTION.replace("NAMES", NAMES), END].concat(), 1)
}

/// Adds a line for each command.
fn fish(mut text: String) -> String {
    for name in commands() {
        let condition = format!("__fish_cachekeep_using_subcommand {name}");
        _ = writeln!(text, "complete -c cachekeep -n \"{condition}\" -f -a \"({NAMES})\" -d 'Cache'");
    }
    text
}

/// Puts the names among the words of each command.
fn powershell(text: &str) -> String {
    let mut script = text.to_owned();
    for name in commands() {
        let label = format!("        'cachekeep;{name}' {{\n");
        let names = "            cachekeep complete 2>$null | ForEach-Object { [CompletionResult]::new($_, $_, [CompletionResultType]::ParameterValue, $_) }\n";
        script = script.replacen(&label, &[label.as_str(), names].concat(), 1);
    }
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_that_takes_caches_asks_for_their_names() {
        let commands = commands();
        assert!(commands.len() >= 13 && commands.contains(&"restore".to_owned()), "{commands:?}");
        for (shell, asks) in [
            (Shell::Bash, "$(cachekeep complete 2>/dev/null)"),
            (Shell::Zsh, ":_cachekeep__caches'"),
            (Shell::Fish, "\"(cachekeep complete 2>/dev/null)\""),
            (Shell::PowerShell, "cachekeep complete 2>$null"),
        ] {
            assert_eq!(script(shell).matches(asks).count(), commands.len(), "{shell}");
        }
        assert_eq!(script(Shell::Zsh).matches("_cachekeep__caches()").count(), 1);
    }
}
