#!/usr/bin/env bash
# Prints the failure table of README.md: every message in it comes from running the failure.
#
#     cargo build && sudo docs/failures.sh target/debug/cachekeep
#
# Needs root on Linux, for full volumes and a user who may not read.
set -euo pipefail
binary=$(realpath "$1")
place=$(mktemp -d)
trap 'umount "$place"/full "$place"/small 2>/dev/null || true; rm -rf "$place"' EXIT
mkdir -p "$place"/{src/out,home,full,small,store,readonly}
cd "$place/src"
as_nobody=(setpriv --reuid 65534 --clear-groups)

config() { printf '[cache.out]\npath = "{workspace}/out"\nkey  = "out-v1"\n%s' "${1:-}" >cachekeep.toml; }
ck() { env -i PATH="$PATH" HOME="$place/home" "$binary" "$@"; }
row() { # row WHAT COMMAND…: one line of the table
    local what=$1 text
    shift
    text=$("$@" 2>&1 || true)
    text=${text//"$place"/…}
    text=${text//|/\\|}
    printf '| %s | <pre>%s</pre> |\n' "$what" "$(sed -E 's/cachekeep-[0-9]+-[0-9a-f]{16}/cachekeep-TOKEN/g; s/</\&lt;/g' <<<"$text" | sed ':a;N;$!ba;s/\n/<br>/g')"
}
damage() { printf '\xff' | dd of="$(find "$place/store" -name '*.tar.zst' | head -n 1)" bs=1 seek=300 conv=notrunc status=none; }

head -c 1000 /dev/urandom >out/file
printf '[cache.out\n' >cachekeep.toml
row 'bad TOML' ck save
config $'restore-key = ["out-"]\n'
row 'unknown field' ck save
config
mv out gone
row 'missing path' ck save
mv gone out
chmod 000 out/file
chown -R 65534 "$place"
chmod 755 "$place" "$place/src"
row 'unreadable file' "${as_nobody[@]}" env -i PATH="$PATH" HOME="$place/home" "$binary" save
chmod 644 out/file
chown root "$place/readonly"
row 'no permission' "${as_nobody[@]}" env -i PATH="$PATH" HOME="$place/home" "$binary" --store "file://$place/readonly" save
mount -t tmpfs -o size=1m none "$place/full"
head -c 3000000 /dev/urandom >out/big
row 'full disk while saving' ck --store "file://$place/full" save
ck --store "file://$place/store" save 2>/dev/null
mount -t tmpfs -o size=2m none "$place/small"
mv out kept
ln -s "$place/small" out
row 'full disk before restoring' ck --store "file://$place/store" restore
rm out
mv kept out
damage
row 'corrupted entry' ck --store "file://$place/store" restore
