#!/bin/bash
# build.sh BUILD CPU: builds the library for Windows on x86_64 or i386 and its tests in BUILD/windows-CPU, with the
# decoder and cmocka from Debian's sources in BUILD/windows-CPU-libraries. What the compiler says is printed only if it
# fails. WINE32=SYSTEM: programs for i386 run in a Debian for i386 in that folder (tests/platform/seam/wine32.sh).
set -euo pipefail
root=$(readlink -f "$(dirname "$0")/../../..")
mkdir -p "$1"
build=$(readlink -f "$1")/windows-$2
libraries=$build-libraries
case $2 in
x86_64) name=x86_64 ;;
i386) name=i686 ;;
esac
"$root/tests/platform/seam/libraries.sh" "$libraries" "$name-w64-mingw32-gcc-win32"
options=()
[ -z "${WINE32:-}" ] || {
    wrapper="['$root/tests/platform/seam/wine32.sh', 'run', '$WINE32', '$root']"
    printf '[binaries]\nexe_wrapper = %s\n[properties]\nwrapper = %s\n' "$wrapper" "$wrapper" >"$build.ini"
    options=(--cross-file "$build.ini")
}
[ -f "$build/build.ninja" ] || {
    rm -rf "$build"
    meson setup "$build" "$root" --werror --cross-file "$root/platform/windows/$name.ini" "${options[@]}" \
        "-Dc_args=-isystem $libraries/include -DZYDIS_STATIC_BUILD -DZYCORE_STATIC_BUILD" \
        "-Dc_link_args=-L$libraries/lib -static" >"$build.setup.log" 2>&1 || { cat "$build.setup.log" >&2; exit 1; }
}
ninja -C "$build" >"$build.log" 2>&1 || { cat "$build.log" >&2; exit 1; }
