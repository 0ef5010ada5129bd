#!/bin/bash
# build.sh BUILD: builds the library for Linux on i386 and its tests, with -m32, in BUILD/i386. What the compiler says
# is printed only if it fails.
set -euo pipefail
root=$(readlink -f "$(dirname "$0")/../../..")
mkdir -p "$1"
build=$(readlink -f "$1")/i386
[ -f "$build/build.ninja" ] || {
    rm -rf "$build"
    meson setup "$build" "$root" --werror --cross-file "$root/platform/linux/i386.ini" >"$build.setup.log" 2>&1 ||
        { cat "$build.setup.log" >&2; exit 1; }
}
ninja -C "$build" >"$build.log" 2>&1 || { cat "$build.log" >&2; exit 1; }
