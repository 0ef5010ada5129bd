#!/bin/bash
# build.sh BUILD: builds the library for macOS on x86-64 and its tests, with zig, in BUILD/darwin. What the compiler
# says is printed only if it fails.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
root=$(readlink -f "$here/../../..")
mkdir -p "$1"
build=$(readlink -f "$1")/darwin
libraries=$build.libraries
"$here/../seam/libraries.sh" "$libraries" "$here/cc.sh" "$here/ar.sh"
[ -f "$build/build.ninja" ] || {
    rm -rf "$build"
    cat >"$build.ini" <<END
[binaries]
c = '$here/cc.sh'
ar = '$here/ar.sh'
exe_wrapper = ['$here/run.sh', '$build/tests/platform/darwin/loader']
END
    # The compiler leaves a file where it is run.
    cd "$1"
    meson setup "$build" "$root" --werror --cross-file "$root/platform/darwin/x86_64.ini" --cross-file "$build.ini" \
        "-Dc_args=-isystem$libraries/include -DZYDIS_STATIC_BUILD -DZYCORE_STATIC_BUILD" \
        "-Dc_link_args=-L$libraries/lib" >"$build.setup.log" 2>&1 || { cat "$build.setup.log" >&2; exit 1; }
}
ninja -C "$build" >"$build.log" 2>&1 || { cat "$build.log" >&2; exit 1; }
