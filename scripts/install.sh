#!/usr/bin/env bash
# Finds or makes the cachekeep that belongs to this checkout of the action, and prints its path as the output `binary`.
#
# CACHEKEEP_INPUT_VERSION: empty for the release listed in release.sha256, else built from source where that has no
# archive for this machine; `source` to build in any case; `installed` for the one on PATH.
#
# The workspace and the tool cache are data here: nothing in the workspace is a program or a setting of this script, and
# the tool cache holds archives, whose checksums are compared before each use. Programs are unpacked, and built, below
# the job's own temporary directory.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
wanted=${CACHEKEEP_INPUT_VERSION:-}
list=$here/release.sha256

# Upper bound for an archive of a release, in bytes.
max_archive=268435456

# Variables that reach the build: where programs, toolchains and temporary files are, and how to reach the network.
# Tokens do not, and neither do cargo's and rustc's variables, which can name programs.
passed=' PATH HOME USER LOGNAME LANG LC_ALL TMPDIR TMP TEMP CARGO_HOME RUSTUP_HOME HTTP_PROXY HTTPS_PROXY ALL_PROXY
 NO_PROXY SSL_CERT_FILE SSL_CERT_DIR SYSTEMROOT SYSTEMDRIVE WINDIR COMSPEC PATHEXT USERPROFILE APPDATA LOCALAPPDATA
 PROGRAMDATA PROGRAMFILES PROGRAMFILES(X86) PROGRAMW6432 COMMONPROGRAMFILES COMMONPROGRAMFILES(X86) INCLUDE LIB
 LIBPATH VCINSTALLDIR WINDOWSSDKDIR SDKROOT DEVELOPER_DIR MSYSTEM '

fail() {
    # The message has nothing in it that came from outside.
    echo "::error title=cachekeep::$1" >&2
    exit 1
}

found() {
    printf 'binary=%s\n' "$1" >>"${GITHUB_OUTPUT:-/dev/stdout}"
    exit 0
}

posix() { # A path in the form that tar and mktemp take on every system.
    if command -v cygpath >/dev/null; then cygpath -u "$1"; else printf '%s\n' "$1"; fi
}

resolved() { # The directory without links; fails if there is none.
    (cd -- "$1" 2>/dev/null && pwd -P)
}

in_workspace() { # Whether a directory is the workspace or below it.
    [ -n "$workspace" ] || return 1
    case $(resolved "$1" || true)/ in
    "$workspace"/*) return 0 ;;
    *) return 1 ;;
    esac
}

safe_path() { # PATH without directories of the workspace and without relative ones.
    local entry result='' entries
    IFS=: read -r -d '' -a entries < <(printf '%s:\0' "$PATH") || true
    for entry in ${entries[@]+"${entries[@]}"}; do
        if [[ $entry == /* ]] && ! in_workspace "$entry"; then result=$result${result:+:}$entry; fi
    done
    printf '%s\n' "$result"
}

target() { # The Rust target of this machine.
    case "${RUNNER_OS:-$(uname -s)}/${RUNNER_ARCH:-$(uname -m)}" in
    Linux/X64 | Linux/x86_64) echo x86_64-unknown-linux-musl ;;
    Linux/ARM64 | Linux/aarch64) echo aarch64-unknown-linux-musl ;;
    macOS/X64 | Darwin/x86_64) echo x86_64-apple-darwin ;;
    macOS/ARM64 | Darwin/arm64) echo aarch64-apple-darwin ;;
    Windows/X64) echo x86_64-pc-windows-msvc ;;
    Windows/ARM64) echo aarch64-pc-windows-msvc ;;
    esac
}

sha256() { # Of standard input: the programs would mark a path with backslashes in their output.
    if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -d ' ' -f 1
}

keep() { # keep ARCHIVE KEPT: puts a checked archive into the tool cache. Where that fails the next job downloads again.
    local new
    if ! mkdir -p "${2%/*}" || ! new=$(mktemp "${2%/*}/new.XXXXXX"); then return 0; fi
    # What lies there is damaged, or `install_release` would have used it.
    if ! { cp "$1" "$new" && rm -rf "$2" && mv "$new" "$2"; }; then rm -f "$new"; fi
}

install_release() { # install_release SUM NAME URL: unpacks the archive, from the tool cache or downloaded, into a directory of this step.
    local kept=$cache/archives/$1.tar.gz exe=cachekeep mine
    [ "${RUNNER_OS:-}" != Windows ] || exe=cachekeep.exe
    mine=$(mktemp -d "$temp/cachekeep.XXXXXX")
    mkdir "$mine/bin"
    # The copy is checked and unpacked: another process may change what lies in the tool cache.
    if [ -f "$kept" ] && [ ! -L "$kept" ]; then
        head -c "$max_archive" "$kept" >"$mine/archive" 2>/dev/null || true
    fi
    if [ ! -e "$mine/archive" ] || [ "$(sha256 <"$mine/archive")" != "$1" ]; then
        curl -q --proto '=https' --tlsv1.2 -fsSL --retry 3 --max-time 300 -o "$mine/archive" "$3/$2" ||
            fail "cannot download $2"
        [ "$(sha256 <"$mine/archive")" = "$1" ] || fail "$2 is not the archive that this release lists"
        keep "$mine/archive" "$kept" 2>/dev/null
    fi
    # tar would take a path with a colon for another machine's, and read the backslashes of one behind -C.
    (cd -- "$mine/bin" && tar -xz -f - "$exe") <"$mine/archive" || fail "$2 cannot be unpacked"
    rm -f "$mine/archive"
    if [ ! -f "$mine/bin/$exe" ] || [ -L "$mine/bin/$exe" ]; then fail "$2 holds no program"; fi
    chmod +x "$mine/bin/$exe"
    found "$mine/bin/$exe"
}

target_directory() { # The directory of this source's build: steps of one job share it, other jobs and commits do not.
    local commit directory
    commit=$(cd "$here/.." && find Cargo.toml Cargo.lock src -type f -print | LC_ALL=C sort |
        while IFS= read -r file; do printf '%s\n' "$file" && cat -- "$file"; done | sha256)
    directory=$temp/cachekeep-build-$commit
    # Without a runner, the directory of temporary files is shared by all users of the machine.
    if [ -z "${RUNNER_TEMP:-}" ] || { ! mkdir -m 700 "$directory" 2>/dev/null &&
        { [ ! -d "$directory" ] || [ -L "$directory" ] || [ ! -O "$directory" ]; }; }; then
        directory=$(mktemp -d "$temp/cachekeep-build.XXXXXX")
    fi
    printf '%s\n' "$directory"
}

build() { # Builds from source. Cargo and rustup look for settings from the working directory upwards: there are none at the root.
    local name directory built removed=()
    while IFS= read -r name; do
        case $passed in
        *[[:space:]]"$(printf '%s' "$name" | tr '[:lower:]' '[:upper:]')"[[:space:]]*) ;;
        *) removed+=(-u "$name") ;;
        esac
    done < <(awk 'BEGIN { for (name in ENVIRON) if (name != "") print name }')
    for name in CARGO_HOME RUSTUP_HOME; do
        if [ -n "${!name:-}" ] && in_workspace "${!name}"; then removed+=(-u "$name"); fi
    done
    directory=$(target_directory)
    (cd / && env -u OLDPWD ${removed[@]+"${removed[@]}"} cargo build --release --locked --manifest-path "$here/../Cargo.toml" \
        --target-dir "$directory" >&2) || fail 'cargo cannot build cachekeep: its messages are above'
    built=$directory/release/cachekeep
    [ -e "$built" ] || built=$built.exe
    [ -e "$built" ] || fail 'cargo built no program'
    found "$built"
}

workspace=$(resolved "${GITHUB_WORKSPACE:-.}" || true)
# Outside of a job this may be the home directory, whose programs are the user's own.
case $(resolved "${HOME:-/}" || true)/ in
"$workspace"/*) [ -n "${GITHUB_WORKSPACE:-}" ] || workspace= ;;
esac

if [ "$wanted" = installed ]; then
    binary=$(type -P cachekeep) ||
        fail 'the input version is installed, and no cachekeep is on PATH: install it in an earlier step, or leave version empty'
    found "$binary"
elif [ -n "$wanted" ] && [ "$wanted" != source ]; then
    fail 'the input version is empty, source or installed'
fi

PATH=$(safe_path)
export PATH
temp=$(posix "${RUNNER_TEMP:-${TMPDIR:-/tmp}}")
cache=$(posix "${RUNNER_TOOL_CACHE:-$temp}")/cachekeep

if [ -z "$wanted" ]; then
    [ -f "$list" ] || fail 'the checkout of the action has no scripts/release.sha256'
    target=$(target)
    base=$(sed -n 's/^# base //p' "$list")
    while read -r sum name; do
        if [ -z "$target" ] || [[ $name != *-"$target".tar.gz ]]; then continue; fi
        if [[ ! $sum =~ ^[0-9a-f]{64}$ ]] || [ -z "$base" ]; then fail 'scripts/release.sha256 is not a list of a release'; fi
        install_release "$sum" "$name" "$base"
    done < <(grep -v '^#' "$list" || true)
fi

command -v cargo >/dev/null || fail 'no release for this machine and no cargo to build with: install Rust first'
build
