#!/usr/bin/env bash
# subproject.sh SOURCE: a meson project that has Segue as a subproject finds it by its name, builds the library alone,
# and runs with it.
set -uo pipefail
. "$(dirname "$0")/../../support/check.sh"
source=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir -p "$work/subprojects"
ln -s "$source" "$work/subprojects/segue"
cp "$source/examples/first.c" "$work"
cat > "$work/meson.build" <<'END'
project('parent', 'c', meson_version: '>=1.0')
segue = dependency('segue', fallback: 'segue', required: true)
executable('first', 'first.c', dependencies: segue)
END
# Only the fallback: an installed one would be another.
meson setup --wrap-mode=forcefallback "$work/build" "$work" > "$work/log" 2>&1
check "configures without an option" 0 $?
check "is found by its name" yes \
    "$(grep -q 'Dependency segue from subproject segue found: YES\|segue found: YES' "$work/log" && echo yes ||
        tail -5 "$work/log")"
targets=$(meson introspect --targets "$work/build" | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))')
check "builds no tests, tools, examples or benchmarks" yes \
    "$([ "$targets" -lt 15 ] && echo yes || echo "$targets targets")"
ninja -C "$work/build" > "$work/log" 2>&1
check "builds" 0 $?
check "runs" "42: 1 write to a protected page, and 1 read" "$("$work/build/first")"

check_end
