//! What may be removed for room: paths that the configuration names, and what images of hosted runners bring along.

use super::template::Template;

/// Something under `[disk] free`.
#[derive(Debug, Clone, PartialEq)]
pub enum Freeable {
    /// A file or directory below the workspace or the temporary directory.
    Path(Template),
    /// A row of [`KNOWN`].
    Known(&'static Known),
}

/// Something with a name of its own.
#[derive(Debug, PartialEq, Eq)]
pub struct Known {
    /// The name.
    pub name: &'static str,
    /// What it is, for the documentation.
    pub about: &'static str,
    /// How it is removed.
    pub what: What,
}

/// How something is removed.
#[derive(Debug, PartialEq, Eq)]
pub enum What {
    /// These directories, on hosted runners only: elsewhere they are the machine's own. A directory may begin with a variable.
    HostedDirectories(&'static [&'static str]),
    /// By this command of its own tool.
    Command(&'static [&'static str]),
}

/// What `[disk] free` may name, the cheapest to get back first.
pub const KNOWN: &[Known] = &[
    Known {
        name: "hosted:android",
        about: "the Android SDK of hosted runners",
        what: What::HostedDirectories(&["/usr/local/lib/android"]),
    },
    Known {
        name: "hosted:codeql",
        about: "CodeQL bundles of hosted runners",
        what: What::HostedDirectories(&["$RUNNER_TOOL_CACHE/CodeQL", "$AGENT_TOOLSDIRECTORY/CodeQL"]),
    },
    Known {
        name: "hosted:dotnet",
        about: ".NET SDKs of hosted runners",
        what: What::HostedDirectories(&["/usr/share/dotnet"]),
    },
    Known {
        name: "hosted:haskell",
        about: "GHC and its tools on hosted runners",
        what: What::HostedDirectories(&["/opt/ghc", "/usr/local/.ghcup"]),
    },
    Known {
        name: "hosted:swift",
        about: "the Swift toolchain of hosted runners",
        what: What::HostedDirectories(&["/usr/share/swift"]),
    },
    Known {
        name: "docker:images",
        about: "images that no container uses",
        what: What::Command(&["docker", "image", "prune", "--all", "--force"]),
    },
    Known {
        name: "docker:build-cache",
        about: "layers that builds left",
        what: What::Command(&["docker", "builder", "prune", "--all", "--force"]),
    },
];

impl Freeable {
    /// Its name, or the path as it was written.
    pub fn name(&self) -> String {
        match self {
            Freeable::Path(template) => template.source().to_owned(),
            Freeable::Known(known) => known.name.to_owned(),
        }
    }

    /// The place in the order of removal: what has a name is got back by a download or not needed at all, and a path must be
    /// built again.
    pub fn cost(&self) -> usize {
        match self {
            Freeable::Known(known) => KNOWN.iter().position(|row| row.name == known.name).unwrap_or(0),
            Freeable::Path(_) => KNOWN.len(),
        }
    }
}

/// Something that was removed for room, or is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freed {
    /// The path or the name.
    pub what: String,
    /// The bytes that the volume gained, or would.
    pub bytes: u64,
    /// Why it was not removed, or not all of it.
    pub blocked: Option<String>,
}
