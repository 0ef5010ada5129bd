#!/bin/sh
# circles.sh SOURCE: no circle between the files of the library. A file is a header with the sources of its name,
# whatever their platform; each leads to the files whose headers it includes.
set -u
cd "$1" || exit 1
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT

# FROM TO, of each include of a file of the library's own. `relay_sysv_x86_64.c` and `relay_x86_64.S` are the file
# `relay`.
grep -n '^ *#include "' -r decode emulate patch ctx signals platform --include='*.[chS]' |
    awk -F'[:"]' '
        function file(path) {
            sub(/\.[chS]$/, "", path)
            while (sub(/_(linux|posix|generic|darwin|freebsd|windows|x86_64|i386|sysv|win64)$/, "", path)) { }
            return path
        }
        {
            to = $4
            if (to !~ /\//) {
                folder = $1
                sub(/[^\/]*$/, "", folder)
                to = folder to
            }
            if (file($1) != file(to))
                print file($1), file(to)
        }' | sort -u >"$scratch/edges"
[ -s "$scratch/edges" ] || { echo "no includes found"; exit 1; }

# A circle that stays has its reason here: the two files of the include that closes it, then the reason.
while read -r from to _; do
    grep -qx "$from $to" "$scratch/edges" || { echo "$from no longer includes $to: take it off the list"; exit 1; }
    grep -vx "$from $to" "$scratch/edges" >"$scratch/left"
    mv "$scratch/left" "$scratch/edges"
done <<'END'
ctx/layout ctx/guest/gate                       layout.c asserts the offsets that layout.h gives assembly
ctx/layout ctx/restore/landing                  the same
signals/threads/thread signals/threads/work     the thread's record points to its faults' areas, which keep its state
signals/threads/thread signals/regions/readers  a thread that ends forgets its tickets; a remover asks for theirs
signals/regions/readers signals/threads/work    it takes back the areas of faults that were left for good
signals/fault/question signals/threads/work     a policy's questions are kept in the fault's area
signals/fault/serve signals/threads/work        and so is what it serves with
END

if tsort "$scratch/edges" >/dev/null 2>"$scratch/loops"; then
    echo "[  PASSED  ] 1 test(s)."
else
    echo "files that include each other in a circle:"
    sed 's/^tsort: //' "$scratch/loops"
    exit 1
fi
