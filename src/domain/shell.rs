//! The shells that GitHub's runner knows by name: how it starts them, and what it makes of a script for them.
//!
//! The source is `ScriptHandlerHelpers.cs` of actions/runner. A step whose `shell:` names another program gets its script in a file
//! without an ending, and as it was written.

/// A shell that the runner knows by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shell {
    /// `bash`.
    Bash,
    /// `sh`.
    Sh,
    /// PowerShell 6 and later.
    Pwsh,
    /// Windows PowerShell.
    #[expect(clippy::enum_variant_names, reason = "PowerShell is its name")]
    PowerShell,
    /// The command prompt of Windows.
    Cmd,
    /// `python`.
    Python,
}

/// Every shell, in the order of messages.
pub(crate) const SHELLS: [Shell; 6] =
    [Shell::Bash, Shell::Sh, Shell::Pwsh, Shell::PowerShell, Shell::Cmd, Shell::Python];

/// Stops PowerShell at the first error.
const STOP: &str = "$ErrorActionPreference = 'stop'";

/// Makes the exit code of the last program that of PowerShell.
const EXIT: &str = r"if ((Test-Path -LiteralPath variable:\LASTEXITCODE)) { exit $LASTEXITCODE }";

/// What ends a line of a script on this system.
const LINE_END: &str = if cfg!(windows) { "\r\n" } else { "\n" };

impl Shell {
    /// The shell of this name, in upper or lower case.
    pub(crate) fn named(name: &str) -> Option<Self> {
        SHELLS.into_iter().find(|shell| shell.program().eq_ignore_ascii_case(name))
    }

    /// The program, which is its name.
    pub(crate) fn program(self) -> &'static str {
        match self {
            Shell::Bash => "bash",
            Shell::Sh => "sh",
            Shell::Pwsh => "pwsh",
            Shell::PowerShell => "powershell",
            Shell::Cmd => "cmd",
            Shell::Python => "python",
        }
    }

    /// The name of a file with a script for it.
    pub(crate) fn script_name(self) -> &'static str {
        match self {
            Shell::Bash | Shell::Sh => "script.sh",
            Shell::Pwsh | Shell::PowerShell => "script.ps1",
            Shell::Cmd => "script.cmd",
            Shell::Python => "script.py",
        }
    }

    /// The script with what the runner puts around it.
    pub(crate) fn script(self, written: &[u8]) -> Vec<u8> {
        let line = |text: &str| format!("{text}{LINE_END}").into_bytes();
        match self {
            Shell::Bash | Shell::Sh | Shell::Python => written.to_vec(),
            Shell::Cmd => [&line("@echo off"), written].concat(),
            Shell::Pwsh | Shell::PowerShell => {
                [&line(STOP), written, LINE_END.as_bytes(), EXIT.as_bytes()].concat()
            }
        }
    }

    /// The arguments before the one that names the script, and that one where it is an argument like others.
    pub(crate) fn arguments(self, path: &str) -> Vec<String> {
        let flags: &[&str] = match self {
            Shell::Bash => &["--noprofile", "--norc", "-e", "-o", "pipefail"],
            Shell::Sh => &["-e"],
            Shell::Pwsh | Shell::PowerShell => &["-command"],
            Shell::Cmd => &["/D", "/E:ON", "/V:OFF", "/S", "/C"],
            Shell::Python => &[],
        };
        let script = match self {
            Shell::Bash | Shell::Sh | Shell::Python => Some(path.to_owned()),
            Shell::Pwsh | Shell::PowerShell => Some(format!(". '{}'", quoted(path))),
            Shell::Cmd => None,
        };
        flags.iter().map(|flag| (*flag).to_owned()).chain(script).collect()
    }

    /// The end of the command line as the program reads it, where it has rules of its own for quotes: `cmd` removes the first and the
    /// last one.
    pub(crate) fn tail(self, path: &str) -> Option<String> {
        (self == Shell::Cmd).then(|| format!("\"CALL \"{path}\"\""))
    }
}

/// A text within single quotes of PowerShell, which takes typographic ones for the same and reads two as one.
fn quoted(text: &str) -> String {
    let is_quote = |c: char| matches!(c, '\'' | '\u{2018}'..='\u{201b}');
    text.chars().flat_map(|c| std::iter::repeat_n(c, if is_quote(c) { 2 } else { 1 })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shell_is_started_as_the_runner_starts_it() {
        for (shell, words, tail) in [
            ("bash", "--noprofile --norc -e -o pipefail /t/x", None),
            ("sh", "-e /t/x", None),
            ("pwsh", "-command . '/t/x'", None),
            ("powershell", "-command . '/t/x'", None),
            ("cmd", "/D /E:ON /V:OFF /S /C", Some("\"CALL \"/t/x\"\"")),
            ("python", "/t/x", None),
        ] {
            let known = Shell::named(shell).expect("a shell");
            assert_eq!(known.program(), shell);
            assert_eq!(known.arguments("/t/x").join(" "), words, "{shell}");
            assert_eq!(known.tail("/t/x").as_deref(), tail, "{shell}");
        }
        assert_eq!(Shell::named("PowerShell"), Some(Shell::PowerShell));
        assert_eq!(Shell::named("zsh"), None);
        assert_eq!(Shell::named("pwsh.exe"), None);
        let quoted = Shell::Pwsh.arguments("/it's/a’b");
        assert_eq!(quoted, ["-command", ". '/it''s/a’’b'"]);
    }

    #[test]
    fn a_script_gets_what_the_runner_puts_around_it() {
        let text = |shell: Shell| String::from_utf8(shell.script(b"a\nb")).expect("text").replace('\r', "");
        for shell in [Shell::Bash, Shell::Sh, Shell::Python] {
            assert_eq!(text(shell), "a\nb");
        }
        assert_eq!(text(Shell::Cmd), "@echo off\na\nb");
        let powershell = "$ErrorActionPreference = 'stop'\na\nb\n\
                          if ((Test-Path -LiteralPath variable:\\LASTEXITCODE)) { exit $LASTEXITCODE }";
        assert_eq!(text(Shell::Pwsh), powershell);
        assert_eq!(text(Shell::PowerShell), powershell);
        // Bytes that are not text stay as they are.
        assert_eq!(Shell::Python.script(b"\xff"), b"\xff");
    }
}
