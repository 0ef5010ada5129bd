#!/bin/bash
# build.sh BUILD: builds the library for Windows on x86-64 and its tests in BUILD/windows, with the decoder and cmocka
# from Debian's sources in BUILD/windows-libraries. What the compiler says is printed only if it fails.
set -euo pipefail
root=$(readlink -f "$(dirname "$0")/../../..")
mkdir -p "$1"
build=$(readlink -f "$1")/windows
libraries=$build-libraries
"$root/tests/platform/seam/libraries.sh" "$libraries" x86_64-w64-mingw32-gcc-win32
[ -f "$build/build.ninja" ] || {
    rm -rf "$build"
    meson setup "$build" "$root" --werror --cross-file "$root/platform/windows/x86_64.ini" \
        "-Dc_args=-isystem $libraries/include -DZYDIS_STATIC_BUILD -DZYCORE_STATIC_BUILD" \
        "-Dc_link_args=-L$libraries/lib -static" >"$build.setup.log" 2>&1 || { cat "$build.setup.log" >&2; exit 1; }
}
ninja -C "$build" >"$build.log" 2>&1 || { cat "$build.log" >&2; exit 1; }
