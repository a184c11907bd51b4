//! Reports tests that cannot run on this machine.

use std::io::Write;
use std::process::Command;

/// Says loudly that a test is skipped and why. Where nothing may be skipped (`CACHEKEEP_TEST_SKIP=never`, as
/// `.ci/run` sets it) that is a failure.
pub fn skip(test: &str, reason: &str) {
    assert!(
        std::env::var("CACHEKEEP_TEST_SKIP").as_deref() != Ok("never"),
        "{test} must not be skipped here: {reason}"
    );
    // Straight to standard error: the test harness swallows what the print macros write.
    let _ = writeln!(std::io::stderr(), "\nSKIPPED {test}: {reason}");
}

/// Whether a program is here and tells its version.
pub fn works(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}
