#!/bin/sh
# Stands for a build: makes a thumbnail of every object in the store, unless there is one already.
set -eu
mkdir -p "$THUMBNAILS"
made=0
kept=0
for frame in "$FRAMES_STORE"/*/*; do
    thumbnail="$THUMBNAILS/$(basename "$frame").txt"
    if [ -f "$thumbnail" ]; then
        kept=$((kept + 1))
        continue
    fi
    # Every sixth pixel of every sixth row below the four lines of the header, dark or bright.
    awk 'NR > 4 && (NR - 4) % 6 == 0 { for (i = 6; i <= NF; i += 6) printf "%s", ($i > 96) ? "#" : "."; print "" }' "$frame" >"$thumbnail"
    made=$((made + 1))
done
echo "thumbnails: $made made, $kept kept"
