//! What a row of the table says about a tool.

use crate::domain::trim::Recency;

/// A tool with a cache of its own.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its name in the configuration.
    pub name: &'static str,
    /// What belongs to the cache: paths, and exclusions from the paths before them.
    pub paths: &'static [KindPath],
    /// The key: a template in which `NAME` is the name of the cache.
    pub key: &'static str,
    /// The prefixes that match when no entry has the key.
    pub restore_keys: &'static [&'static str],
    /// Variables for the build, with templates of their values.
    pub export: &'static [(&'static str, &'static str)],
    /// The variable that limits the size of the cache while it is used, with the unit of its values.
    pub limit: Option<SizeVariable>,
    /// What tells when a file was used.
    pub recency: Recency,
    /// Whether the tool records each use of a file in its modification time, so that what a job did not use is known.
    pub marks_use: bool,
    /// Names of files in which the tool counts: they are never trimmed, and do not make a cache a changed one.
    pub counters: &'static [&'static str],
    /// Names of files that are never trimmed, beside the counters.
    pub kept: &'static [&'static str],
    /// Whether the tool trims its cache itself.
    pub trims_itself: bool,
}

/// A path that belongs to the cache of a tool.
#[derive(Debug, PartialEq, Eq)]
pub struct KindPath {
    /// Whether it is left out of the paths before it.
    pub exclude: bool,
    /// The directory of the tool.
    pub place: &'static Place,
    /// A path or glob below it.
    pub below: &'static str,
}

/// A directory of a tool.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    /// How entries record it, whatever machine it is on.
    pub id: &'static str,
    /// Variables that say where it is, each with what lies below the directory that it names; the first that is set counts.
    pub variables: &'static [(&'static str, &'static str)],
    /// The usual directory on Linux and other systems, as a template.
    pub linux: &'static str,
    /// The usual directory on macOS.
    pub macos: &'static str,
    /// The usual directory on Windows.
    pub windows: &'static str,
}

/// A variable with an upper bound for the size of a cache.
#[derive(Debug, PartialEq, Eq)]
pub struct SizeVariable {
    /// Its name.
    pub name: &'static str,
    /// What follows a number of kilobytes.
    pub kilobytes: &'static str,
}

impl Kind {
    /// Names of files that are never trimmed.
    pub fn never_trimmed(&self) -> Vec<&'static str> {
        [self.counters, self.kept].concat()
    }
}

impl Place {
    /// The usual directory on the system that this program was built for.
    pub fn usual(&self) -> &'static str {
        if cfg!(windows) {
            self.windows
        } else if cfg!(target_os = "macos") {
            self.macos
        } else {
            self.linux
        }
    }
}
