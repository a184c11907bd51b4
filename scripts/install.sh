#!/usr/bin/env bash
# Finds or makes the cachekeep that belongs to this checkout of the action, and prints its path as the output `binary`.
#
# CACHEKEEP_INPUT_VERSION: empty for the release listed in release.sha256, else built from source where that has no
# archive for this machine; `source` to build in any case; `installed` for the one on PATH.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
wanted=${CACHEKEEP_INPUT_VERSION:-}
cache=${RUNNER_TOOL_CACHE:-${RUNNER_TEMP:-${TMPDIR:-/tmp}}}/cachekeep

fail() {
    # The message has nothing in it that came from outside.
    echo "::error title=cachekeep::$1" >&2
    exit 1
}

found() {
    printf 'binary=%s\n' "$1" >>"${GITHUB_OUTPUT:-/dev/stdout}"
    exit 0
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

sha256() {
    if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d ' ' -f 1
}

install_release() { # install_release SUM NAME URL: downloads, checks and unpacks an archive; keeps it for other jobs.
    local folder=$cache/$1 exe=cachekeep
    [ "${RUNNER_OS:-}" != Windows ] || exe=cachekeep.exe
    if [ ! -e "$folder/$exe" ]; then
        mkdir -p "$cache"
        temp=$(mktemp -d "$cache/new.XXXXXX")
        trap 'rm -rf "$temp"' EXIT
        curl --proto '=https' --tlsv1.2 -fsSL --retry 3 --max-time 300 -o "$temp/$2" "$3/$2" ||
            fail "cannot download $2"
        [ "$(sha256 "$temp/$2")" = "$1" ] || fail "$2 is not the archive that this release lists"
        tar -xzf "$temp/$2" -C "$temp" "$exe"
        rm -f "$temp/$2"
        # Whoever is first wins; both have the same bytes.
        mv "$temp" "$folder" 2>/dev/null || [ -e "$folder/$exe" ] || fail "cannot keep cachekeep in the tool cache"
    fi
    found "$folder/$exe"
}

if [ "$wanted" = installed ]; then
    found "$(command -v cachekeep || fail 'no cachekeep on PATH')"
elif [ -n "$wanted" ] && [ "$wanted" != source ]; then
    fail 'the input version is empty, source or installed'
fi

if [ -z "$wanted" ]; then
    target=$(target)
    base=$(sed -n 's/^# base //p' "$here/release.sha256")
    while read -r sum name; do
        [ -z "$target" ] || [[ $name != *-"$target".tar.gz ]] || install_release "$sum" "$name" "$base"
    done < <(grep -v '^#' "$here/release.sha256" || true)
fi

command -v cargo >/dev/null || fail 'no release for this machine and no cargo to build with: install Rust first'
cargo build --release --locked --manifest-path "$here/../Cargo.toml" --target-dir "$cache/build" >&2
# Another job may build another version at the same place: ours keeps its own.
mine=$(mktemp -d "${RUNNER_TEMP:-${TMPDIR:-/tmp}}/cachekeep-bin.XXXXXX")
built=$cache/build/release/cachekeep
[ -e "$built" ] || built=$built.exe
cp "$built" "$mine/"
found "$mine/${built##*/}"
