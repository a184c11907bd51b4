//! The table of kinds.
//!
//! Usual directories are those of the tools' own manuals; a variable that a job sets already says where a directory is.

use super::kind::{Kind, KindPath, Place, SizeVariable};
use crate::domain::names::CACHE_TAG;
use crate::domain::trim::Recency;

const fn all_of(place: &'static Place) -> KindPath {
    KindPath { exclude: false, place, below: "" }
}

const fn below(place: &'static Place, below: &'static str) -> KindPath {
    KindPath { exclude: false, place, below }
}

const fn without(place: &'static Place, below: &'static str) -> KindPath {
    KindPath { exclude: true, place, below }
}

/// A cache that is an ordinary directory.
const PLAIN: Kind = Kind {
    name: "",
    paths: &[],
    key: "",
    restore_keys: &[],
    export: &[],
    limit: None,
    recency: Recency::Modified,
    marks_use: false,
    counters: &[],
    kept: &[],
    trims_itself: false,
};

static CCACHE: Place = Place {
    id: "ccache",
    variables: &[("CCACHE_DIR", ""), ("XDG_CACHE_HOME", "ccache")],
    linux: "{home}/.cache/ccache",
    macos: "{home}/Library/Caches/ccache",
    windows: "{env.LOCALAPPDATA}/ccache",
};

static SCCACHE: Place = Place {
    id: "sccache",
    variables: &[("SCCACHE_DIR", "")],
    linux: "{home}/.cache/sccache",
    macos: "{home}/Library/Caches/Mozilla.sccache",
    windows: "{env.LOCALAPPDATA}/Mozilla/sccache/cache",
};

static CARGO_HOME: Place = Place {
    id: "cargo-home",
    variables: &[("CARGO_HOME", "")],
    linux: "{home}/.cargo",
    macos: "{home}/.cargo",
    windows: "{home}/.cargo",
};

static CARGO_TARGET: Place = Place {
    id: "cargo-target",
    variables: &[("CARGO_TARGET_DIR", "")],
    linux: "{workspace}/target",
    macos: "{workspace}/target",
    windows: "{workspace}/target",
};

static GO_BUILD: Place = Place {
    id: "go-build",
    variables: &[("GOCACHE", ""), ("XDG_CACHE_HOME", "go-build")],
    linux: "{home}/.cache/go-build",
    macos: "{home}/Library/Caches/go-build",
    windows: "{env.LOCALAPPDATA}/go-build",
};

static GO_MODULES: Place = Place {
    id: "go-modules",
    variables: &[("GOMODCACHE", ""), ("GOPATH", "pkg/mod")],
    linux: "{home}/go/pkg/mod",
    macos: "{home}/go/pkg/mod",
    windows: "{home}/go/pkg/mod",
};

static NPM: Place = Place {
    id: "npm",
    variables: &[("npm_config_cache", ""), ("NPM_CONFIG_CACHE", "")],
    linux: "{home}/.npm",
    macos: "{home}/.npm",
    windows: "{env.LOCALAPPDATA}/npm-cache",
};

static PNPM: Place = Place {
    id: "pnpm",
    variables: &[("npm_config_store_dir", ""), ("PNPM_HOME", "store"), ("XDG_DATA_HOME", "pnpm/store")],
    linux: "{home}/.local/share/pnpm/store",
    macos: "{home}/Library/pnpm/store",
    windows: "{env.LOCALAPPDATA}/pnpm/store",
};

static PIP: Place = Place {
    id: "pip",
    variables: &[("PIP_CACHE_DIR", ""), ("XDG_CACHE_HOME", "pip")],
    linux: "{home}/.cache/pip",
    macos: "{home}/Library/Caches/pip",
    windows: "{env.LOCALAPPDATA}/pip/Cache",
};

static UV: Place = Place {
    id: "uv",
    variables: &[("UV_CACHE_DIR", ""), ("XDG_CACHE_HOME", "uv")],
    linux: "{home}/.cache/uv",
    macos: "{home}/.cache/uv",
    windows: "{env.LOCALAPPDATA}/uv/cache",
};

static GRADLE: Place = Place {
    id: "gradle",
    variables: &[("GRADLE_USER_HOME", "")],
    linux: "{home}/.gradle",
    macos: "{home}/.gradle",
    windows: "{home}/.gradle",
};

static NIX: Place = Place {
    id: "nix",
    variables: &[("XDG_CACHE_HOME", "nix")],
    linux: "{home}/.cache/nix",
    macos: "{home}/.cache/nix",
    windows: "{home}/.cache/nix",
};

/// Every kind, in the order of the guide.
pub static KINDS: &[Kind] = &[
    Kind {
        name: "ccache",
        // Locks and unfinished files of running compilations.
        paths: &[all_of(&CCACHE), without(&CCACHE, "tmp"), without(&CCACHE, "**/*.lock")],
        // A compiler cache grows with every commit, and the nearest one serves.
        key: "NAME-{os}-{arch}-{sha}",
        restore_keys: &["NAME-{os}-{arch}-"],
        // A checkout at another place must hit; a compiler that was installed again has other times and the same contents.
        export: &[
            ("CCACHE_DIR", "{path}"),
            ("CCACHE_BASEDIR", "{workspace}"),
            ("CCACHE_COMPILERCHECK", "content"),
        ],
        limit: Some(SizeVariable { name: "CCACHE_MAXSIZE", kilobytes: "k" }),
        marks_use: true,
        counters: &["stats"],
        kept: &["ccache.conf", ".cleaned", CACHE_TAG],
        trims_itself: true,
        ..PLAIN
    },
    Kind {
        name: "sccache",
        paths: &[all_of(&SCCACHE)],
        key: "NAME-{os}-{arch}-{sha}",
        restore_keys: &["NAME-{os}-{arch}-"],
        export: &[("SCCACHE_DIR", "{path}")],
        limit: Some(SizeVariable { name: "SCCACHE_CACHE_SIZE", kilobytes: "K" }),
        marks_use: true,
        ..PLAIN
    },
    Kind {
        name: "cargo",
        // What cargo unpacks again from its downloads is left out, and so are checkouts that it makes from `git/db`.
        paths: &[
            below(&CARGO_HOME, "registry"),
            below(&CARGO_HOME, "git/db"),
            all_of(&CARGO_TARGET),
            without(&CARGO_HOME, "registry/src"),
            without(&CARGO_TARGET, "**/incremental"),
            without(&CARGO_TARGET, "**/.cargo-lock"),
        ],
        key: "NAME-{os}-{arch}-{tool:rustc}-{files:**/Cargo.lock,!target/**}",
        restore_keys: &["NAME-{os}-{arch}-{tool:rustc}-"],
        // State of incremental compilation is larger than what it saves in a fresh checkout.
        export: &[("CARGO_INCREMENTAL", "0")],
        ..PLAIN
    },
    Kind {
        name: "go",
        paths: &[all_of(&GO_BUILD), all_of(&GO_MODULES)],
        key: "NAME-{os}-{arch}-{tool:go}-{files:**/go.sum}",
        restore_keys: &["NAME-{os}-{arch}-{tool:go}-"],
        // Go trims what was not used for five days, and notes when it last did.
        kept: &["trim.txt"],
        ..PLAIN
    },
    Kind {
        name: "npm",
        paths: &[below(&NPM, "_cacache")],
        key: "NAME-{os}-{arch}-{files:**/package-lock.json,**/npm-shrinkwrap.json,!**/node_modules/**}",
        restore_keys: &["NAME-{os}-{arch}-"],
        ..PLAIN
    },
    Kind {
        name: "pnpm",
        paths: &[all_of(&PNPM)],
        key: "NAME-{os}-{arch}-{files:**/pnpm-lock.yaml,!**/node_modules/**}",
        restore_keys: &["NAME-{os}-{arch}-"],
        ..PLAIN
    },
    Kind {
        name: "pip",
        paths: &[all_of(&PIP)],
        key: "NAME-{os}-{arch}-{files:**/requirements*.txt,**/pyproject.toml,!**/site-packages/**}",
        restore_keys: &["NAME-{os}-{arch}-"],
        ..PLAIN
    },
    Kind {
        name: "uv",
        paths: &[all_of(&UV)],
        key: "NAME-{os}-{arch}-{files:**/uv.lock,!**/site-packages/**}",
        restore_keys: &["NAME-{os}-{arch}-"],
        ..PLAIN
    },
    Kind {
        name: "gradle",
        paths: &[
            below(&GRADLE, "caches"),
            below(&GRADLE, "wrapper"),
            without(&GRADLE, "caches/**/*.lock"),
            without(&GRADLE, "caches/*/plugin-resolution"),
        ],
        key: "NAME-{os}-{arch}-{files:**/*.gradle,**/*.gradle.kts,**/gradle-wrapper.properties,**/libs.versions.toml}",
        restore_keys: &["NAME-{os}-{arch}-"],
        ..PLAIN
    },
    Kind {
        name: "nix",
        // Evaluations and fetched sources; the store has a database that must agree with it.
        paths: &[all_of(&NIX)],
        key: "NAME-{os}-{arch}-{files:**/flake.lock}",
        restore_keys: &["NAME-{os}-{arch}-"],
        ..PLAIN
    },
];
