#!/bin/bash
# build.sh BUILD CPU: builds the library for FreeBSD and its tests, with clang and lld, in BUILD/freebsd-CPU; CPU is
# x86_64 or i386. What the compiler says is printed only if it fails. FreeBSD's headers and C library are not at hand:
# freebsd.h stands for the headers, and of the library the linker gets a stub, with the names that the loader knows.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
root=$(readlink -f "$here/../../..")
cpu=$2
mkdir -p "$1"
build=$(readlink -f "$1")/freebsd-$cpu
export FREEBSD_TARGET=$cpu FREEBSD_SYSTEM=$build.system
native=(cc -O1 -g -Wall -Wextra -Werror -std=gnu17 -ftls-model=local-exec -iquote "$root")
[ "$cpu" = x86_64 ] || native+=(-m32 -msse2)

mkdir -p "$FREEBSD_SYSTEM/include"
while read -r header; do
    case $header in '#'*) continue ;; esac
    mkdir -p "$(dirname "$FREEBSD_SYSTEM/include/$header")"
    echo "#include \"$here/freebsd.h\"" >"$FREEBSD_SYSTEM/include/$header"
done <"$here/headers.txt"
"${native[@]}" "$here"/loader/*.c "$here/loader/entry_$cpu.S" "$here"/../ports/{files,numbers}.c \
    "$here/../ports/jumps_$cpu.S" -o "$FREEBSD_SYSTEM/loader" -rdynamic -Wl,--no-as-needed -lpthread -ldl -lm
"$FREEBSD_SYSTEM/loader" --names | while read -r kind name; do
    echo ".globl $name; .type $name, @$kind; .size $name, 8; $name: .quad 0"
done >"$FREEBSD_SYSTEM/libc.S"
clang --target="$cpu-unknown-freebsd14" -fuse-ld=lld -nostdlib -shared -Wl,-soname,libc.so.7 \
    "$FREEBSD_SYSTEM/libc.S" -o "$FREEBSD_SYSTEM/libc.so.7"

"$here/../seam/libraries.sh" "$build.libraries" "$here/cc.sh" ar
[ -f "$build/build.ninja" ] || {
    rm -rf "$build"
    cat >"$build.ini" <<END
[binaries]
c = '$here/cc.sh'
exe_wrapper = ['$FREEBSD_SYSTEM/loader']
END
    # Meson links without a source to learn about the linker, and leaves a file where it is run.
    cd "$1"
    meson setup "$build" "$root" --werror --cross-file "$root/platform/freebsd/$cpu.ini" --cross-file "$build.ini" \
        "-Dc_args=-isystem$build.libraries/include -DZYDIS_STATIC_BUILD -DZYCORE_STATIC_BUILD" \
        "-Dc_link_args=-L$build.libraries/lib" >"$build.setup.log" 2>&1 || { cat "$build.setup.log" >&2; exit 1; }
}
ninja -C "$build" >"$build.log" 2>&1 || { cat "$build.log" >&2; exit 1; }
