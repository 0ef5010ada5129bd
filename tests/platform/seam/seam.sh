#!/bin/bash
# seam.sh BUILD [TARGET...]: for x86_64-windows, x86-windows and x86-linux compiles what is above the platform seam and
# runs the tests of decode: programs for Windows under Wine, those for i386 as they are. Prints a line for each target.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
root=$(readlink -f "$here/../../..")
mkdir -p "$1/seam"
work=$(readlink -f "$1/seam")
shift
[ $# -gt 0 ] || set -- x86_64-windows x86-windows x86-linux

die() {
    echo "seam.sh: $*" >&2
    exit 2
}

. "$here/../wine.sh"
# Whether programs for a target run here. Wine for i386 is a package of its own.
runs() {
    case $1 in
    x86_64-windows) wine_begin "$work/wine" ;;
    x86-windows) wine_begin "$work/wine" && [ -x /usr/lib/wine/wine ] ;;
    *) ;;
    esac
}

status=0
for target; do
    options=()
    suites=()
    case $target in
    x86_64-windows) cross=windows/x86_64 compiler=x86_64-w64-mingw32-gcc-win32 ;;
    x86-windows) cross=windows/i686 compiler=i686-w64-mingw32-gcc-win32 ;;
    x86-linux) cross=linux/i386 compiler= ;;
    *) die "there is no target $target; there are x86_64-windows, x86-windows and x86-linux" ;;
    esac
    if [ -n "$compiler" ]; then
        libraries=$work/libraries-$target
        "$here/libraries.sh" "$libraries" "$compiler"
        options=("-Dc_args=-I$libraries/include -DZYDIS_STATIC_BUILD -DZYCORE_STATIC_BUILD"
            "-Dc_link_args=-L$libraries/lib -static")
    fi
    build=$work/$target
    [ -f "$build/build.ninja" ] || {
        rm -rf "$build"
        meson setup "$build" "$root" --werror --cross-file "$root/platform/$cross.ini" -Dseam=true "${options[@]}" \
            >"$work/$target.setup.log" 2>&1 || { cat "$work/$target.setup.log" >&2; exit 1; }
    }
    ninja -C "$build" >"$work/$target.log" 2>&1 || { cat "$work/$target.log" >&2; exit 1; }
    runs "$target" || {
        echo "SKIP: tests of $target: its programs do not run here" \
            "(Debian: wine64, wine32)"
        suites=(--suite platform)
    }
    printf '%s: ' "$target"
    failed=0
    "$root/tests/support/run.sh" "$build" "${suites[@]}" >"$work/$target.log" 2>&1 || failed=1
    tail -n 1 "$work/$target.log"
    grep -hE ' files compile for ' "$build/meson-logs/testlog.txt" || :
    [ "$failed" = 0 ] || { cat "$work/$target.log"; status=1; }
done
exit $status
