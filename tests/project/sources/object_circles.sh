#!/usr/bin/env bash
# object_circles.sh FOLDER...: in no folder of objects (meson's TARGET.p) do two objects, or more in a ring, call each
# other or use each other's data. Left out are the ways into segue-run, by which the kernel's calls reach all of it: the
# process's start, and the handler's entry.
set -uo pipefail
. "$(dirname "$0")/../../support/check.sh"
ways_in='run_start_start_|run_signals_entry_'

# "USER OWNER" for each object that uses a symbol of another.
edges() {
    nm -A "$1"/*.o 2> /dev/null | sed -E 's|^.*/([^/:]*)\.o:|\1 |' | grep -vE "^($ways_in)" | awk '
        $2 == "U" { uses[$1 " " $3]; next }
        $3 ~ /^[TDBRVCW]$/ { owner[$4] = $1 }
        END {
            for (use in uses) {
                split(use, part, " ")
                to = owner[part[2]]
                if (to != "" && to != part[1]) print part[1], to
            }
        }' | sort -u
}

for folder in "$@"; do
    found=$(edges "$folder")
    check "$(basename "$folder") has objects that use each other" yes "$([ -n "$found" ] && echo yes)"
    check "no circle in $(basename "$folder")" "" "$(echo "$found" | tsort 2>&1 > /dev/null)"
done
check_end
