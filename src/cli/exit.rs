//! Exit codes: constants that scripts may rely on.

use std::process::ExitCode;

use crate::domain::fault::Fault;
use crate::domain::hint::Class;
use crate::domain::outcome::Child;

/// Everything asked for was done, or a cache failed and the build goes on without it.
pub const OK: Exit = Exit(0);

/// A cache failed and the user asked for it (`--required`), or the command itself could not work.
pub const FAILED: Exit = Exit(1);

/// Bad usage or a bad configuration: nothing was touched.
pub const USAGE: Exit = Exit(2);

/// The gate is not satisfied: objects are missing or unproven.
pub const INCOMPLETE: Exit = Exit(3);

/// Nothing was restored and the user asked for it (`--fail-on-miss`).
pub const MISS: Exit = Exit(4);

/// A right is missing: the token may not list or delete entries.
pub const NOT_PERMITTED: Exit = Exit(5);

/// The command of `run` exists but cannot be executed (POSIX shells' convention).
pub const NOT_EXECUTABLE: Exit = Exit(126);

/// The command of `run` was not found (POSIX shells' convention).
pub const NOT_FOUND: Exit = Exit(127);

/// Added to the number of the signal that ended the process or the command of `run`.
pub const SIGNAL_BASE: i32 = 128;

/// What the process returns: a byte, but for the codes of commands on Windows, which have 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit(pub i32);

impl Exit {
    /// The exit of a process that a signal ended.
    pub fn by_signal(signal: i32) -> Self {
        Exit(SIGNAL_BASE + signal)
    }

    /// The exit of the command of `run`.
    pub fn of_child(child: Child) -> Self {
        match child {
            Child::Returned(code) => Exit(code),
            Child::Signaled(signal) => Exit::by_signal(signal),
            Child::NotFound => NOT_FOUND,
            Child::NotExecutable => NOT_EXECUTABLE,
        }
    }

    /// The exit of a command that did not come to an outcome.
    pub fn of_fault(fault: &Fault) -> Self {
        match fault.class() {
            Class::Usage => USAGE,
            Class::Denied => NOT_PERMITTED,
            Class::Environment | Class::Cancelled => FAILED,
        }
    }

    /// The graver of two exits: the first one that is not [`OK`].
    #[must_use]
    pub fn or(self, other: Exit) -> Exit {
        if self == OK { other } else { self }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        // A code beyond a byte is not to become 0 by losing bits.
        ExitCode::from(u8::try_from(exit.0).unwrap_or(u8::MAX))
    }
}

/// The codes with their meanings, for help texts and the reference.
pub const DOCUMENTED: &[(Exit, &str)] = &[
    (OK, "done; or a cache failed without `--required`"),
    (FAILED, "a cache failed and `--required` was given, or the command could not work"),
    (USAGE, "bad usage or configuration; nothing was touched"),
    (INCOMPLETE, "the gate found objects missing or unproven"),
    (MISS, "nothing was restored and `--fail-on-miss` was given"),
    (NOT_PERMITTED, "clean, ls, usage, explain: a permission is missing"),
    (NOT_EXECUTABLE, "run: the command cannot be executed"),
    (NOT_FOUND, "run: the command was not found"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_counts() {
        assert_eq!(OK.or(MISS).or(FAILED), MISS);
        assert_eq!(OK.or(OK), OK);
        assert_eq!(Exit::by_signal(15), Exit(143));
    }

    #[test]
    fn the_code_of_a_command_is_kept_whole_and_a_failure_stays_one() {
        for code in [0, 7, 255, 256, 65_536, -1_073_741_819] {
            assert_eq!(Exit::of_child(Child::Returned(code)), Exit(code));
        }
        assert_eq!(ExitCode::from(Exit(256)), ExitCode::from(255));
    }
}
