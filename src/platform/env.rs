//! The environment, read once.

#![expect(clippy::disallowed_methods, reason = "this is the one file that reads the environment")]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;

use crate::domain::secret::is_secret_name;

/// A snapshot of the environment of the process.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Env {
    variables: BTreeMap<String, OsString>,
    /// Whether names in another case name the same variable. Where they do, the map has them in upper case.
    ignores_case: bool,
    /// The working directory; the last that was known if it no longer exists.
    pub current_dir: PathBuf,
    /// Whether the working directory no longer exists: an earlier step removed it.
    pub current_dir_is_gone: bool,
    /// The operating system's directory for temporary files.
    pub temp_dir: PathBuf,
    /// Whether standard error is a terminal.
    pub is_terminal: bool,
    /// How many columns standard output has, where it is a terminal.
    pub columns: Option<usize>,
    /// Whether a person can be asked: standard input and standard error are a terminal.
    pub can_ask: bool,
}

impl Env {
    /// Captures the environment of this process.
    pub fn capture() -> Self {
        let known = std::env::current_dir().ok();
        let last_known = || std::env::var_os("PWD").map(PathBuf::from).filter(|path| path.is_absolute());
        let variables =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        Env {
            current_dir_is_gone: known.is_none(),
            current_dir: known.or_else(last_known).unwrap_or_else(std::env::temp_dir),
            temp_dir: temp_dir(),
            is_terminal: std::io::stderr().is_terminal(),
            columns: console::Term::stdout().size_checked().map(|(_, columns)| columns.into()),
            can_ask: std::io::stderr().is_terminal() && std::io::stdin().is_terminal(),
            ..Env::from_variables(variables, cfg!(windows))
        }
    }

    /// An environment with the given variables, for tests and embedding.
    pub fn of<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value.into()));
        Env::from_variables(variables, cfg!(windows))
    }

    /// The same environment with further variables.
    pub(crate) fn with(&self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut env = self.clone();
        for (name, value) in variables {
            env.variables.insert(folded(&name, env.ignores_case).into_owned(), value.into());
        }
        env
    }

    fn from_variables(variables: impl Iterator<Item = (String, OsString)>, ignores_case: bool) -> Self {
        let variables = variables.map(|(name, value)| (folded(&name, ignores_case).into_owned(), value));
        Env { variables: variables.collect(), ignores_case, ..Env::default() }
    }

    fn get(&self, name: &str) -> Option<&OsString> {
        self.variables.get(folded(name, self.ignores_case).as_ref())
    }

    /// The value of a variable; `None` if it is not set, empty or not Unicode.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.get(name)?.to_str().filter(|value| !value.is_empty())
    }

    /// The value of a variable as a path; `None` if it is not set or empty.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.get(name).filter(|value| !value.is_empty()).map(PathBuf::from)
    }

    /// Whether a variable is `true` (in common spellings) or `1`.
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.var(name), Some("true" | "True" | "TRUE" | "1"))
    }
}

/// Names of variables that programs are not given which this one starts for its own questions: those of secrets, and where the
/// agent of Azure Pipelines keeps service connections.
pub(crate) fn secret_names() -> impl Iterator<Item = OsString> {
    std::env::vars_os().map(|(name, _)| name).filter(|name| {
        let name = name.to_string_lossy();
        is_secret_name(&name) || name.starts_with("ENDPOINT_")
    })
}

/// The operating system's directory for temporary files. An empty `TMPDIR` counts as none.
fn temp_dir() -> PathBuf {
    let directory = std::env::temp_dir();
    if directory.as_os_str().is_empty() { PathBuf::from("/tmp") } else { directory }
}

/// The name of a variable as the map has it.
fn folded(name: &str, ignores_case: bool) -> Cow<'_, str> {
    if ignores_case { Cow::Owned(name.to_uppercase()) } else { Cow::Borrowed(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_another_case_name_the_same_variable_on_windows_alone() {
        let variables = || [("Path".to_owned(), OsString::from("x"))].into_iter();
        let windows = Env::from_variables(variables(), true);
        let with = windows.with([("PATH".to_owned(), "y".to_owned())]);
        for name in ["Path", "PATH", "path"] {
            assert_eq!(windows.var(name), Some("x"), "{name}");
            assert_eq!(with.var(name), Some("y"), "{name}");
        }
        let unix = Env::from_variables(variables(), false);
        assert_eq!((unix.var("Path"), unix.var("PATH")), (Some("x"), None));
    }
}
