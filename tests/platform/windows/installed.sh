#!/bin/bash
# installed.sh BUILD CPU [WRAPPER...]: installs a build for Windows into a folder of its own, and builds a program with
# what is there, by pkg-config: with the DLL, whose import library it links, and with the static library. Both programs
# run, with the wrapper, from a folder with nothing beside them but the DLL.
set -euo pipefail
build=$1
case $2 in
x86_64) compiler=x86_64-w64-mingw32 ;;
i386) compiler=i686-w64-mingw32 ;;
esac
shift 2
wrapper=("$@")
root=$(readlink -f "$(dirname "$0")/../../..")
# Where the wrapper shows it.
work=$(mktemp -d "$build/installed.XXXXXX")
trap 'rm -rf "$work"' EXIT
passed=0 failed=0
# check WHAT COMMAND...
check() {
    what=$1
    shift
    if "$@" >"$work/log" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $what"
        cat "$work/log"
    fi
}
meson install -C "$build" --no-rebuild --destdir "$work/installed" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
dll=$(find "$work/installed" -name 'libsegue-*.dll')
for name in "$(basename "$dll")" libsegue.dll.a libsegue.a segue.pc segue.h windows.h; do
    check "$name is installed" test -n "$(find "$work/installed" -name "$name" -print -quit)"
done
PKG_CONFIG_LIBDIR=$(dirname "$(find "$work/installed" -name segue.pc)")
PKG_CONFIG_SYSROOT_DIR=$work/installed
export PKG_CONFIG_LIBDIR PKG_CONFIG_SYSROOT_DIR
read -ra flags <<<"$(pkg-config --cflags --libs segue)"
# The static library has a name of its own, and its program imports nothing.
read -ra static_flags <<<"$(pkg-config --cflags --libs --static segue |
    sed 's/-DSEGUE_SHARED//; s/-lsegue/-l:libsegue.a/')"
mkdir "$work/run"
cp "$dll" "$work/run"
example=$root/examples/own_handler_windows.c
check "a program links the import library" "$compiler-gcc-win32" -O2 -o "$work/run/program.exe" "$example" \
    "${flags[@]}"
imports() {
    "$compiler-objdump" -p "$1" | grep "DLL Name: $(basename "$dll")" >/dev/null
}
check "the program imports from the DLL" imports "$work/run/program.exe"
runs() {
    timeout 60 "${wrapper[@]}" "$1" | grep '^42 in a closed page' >/dev/null
}
check "the program runs with the DLL" runs "$work/run/program.exe"
check "a program links the static library" "$compiler-gcc-win32" -O2 -o "$work/run/static.exe" "$example" \
    "${static_flags[@]}" "-L$build-libraries/lib" -static
check "the static program runs" runs "$work/run/static.exe"
not() {
    ! "$@"
}
# In the DLL for i386 no address may be a handler of exceptions.
without_handlers() {
    characteristics=$("$compiler-objdump" -p "$dll" | awk '$1 == "DllCharacteristics" { print $2 }')
    [ $((0x$characteristics & 0x400)) -ne 0 ]
}
[ "$compiler" != i686-w64-mingw32 ] || check "the DLL has no handler of exceptions" without_handlers
check "the static program needs no DLL" not imports "$work/run/static.exe"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
