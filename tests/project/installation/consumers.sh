#!/usr/bin/env bash
# consumers.sh BUILD SOURCE: a program finds what an installation under DESTDIR holds by pkg-config and by CMake, links
# it shared and statically, in C and C++, and runs with it.
set -uo pipefail
. "$(dirname "$0")/../../support/check.sh"
build=$1 source=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
expected="42: 1 write to a protected page, and 1 read"

meson install -C "$build" --no-rebuild --quiet --destdir "$work/root" > "$work/log" 2>&1
check "installs" 0 "$?$(tail -3 "$work/log" | grep -v '^$' | grep -i error)"
pc=$(find "$work/root" -name segue.pc)
libraries=$(dirname "$(dirname "$pc")")
export LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

# The README's programs, as they are printed.
extract() {
    awk -v kind="$1" '$0 == "```" kind { on = 1; next } /^```$/ { on = 0 } on' "$source/README.md"
}
extract c > "$work/first.c"
extract cpp > "$work/first.cpp"
# What a program that is installed would be compiled for: without the tree's own headers and flags.
pkg() {
    PKG_CONFIG_SYSROOT_DIR=$work/root PKG_CONFIG_LIBDIR=$(dirname "$pc") pkg-config "$@" segue
}
# NAME COMMAND...: compiles to $work/NAME, and runs that.
builds() {
    local name=$1
    shift
    "$@" -o "$work/$name" > "$work/log" 2>&1
    check "$name: compiles" 0 "$?$(head -5 "$work/log")"
    check "$name: runs" "$expected" "$("$work/$name" 2>&1)"
}
read -ra flags <<< "$(pkg --cflags --libs)"
read -ra static <<< "$(pkg --cflags --static --libs | sed 's/-lsegue/-l:libsegue.a/')"
builds pkg-config-c cc "$work/first.c" "${flags[@]}"
builds pkg-config-static cc "$work/first.c" "${static[@]}"
check "the static program needs no libsegue.so" "" "$(readelf -d "$work/pkg-config-static" | grep 'NEEDED.*segue')"
if command -v c++ > /dev/null; then
    builds pkg-config-c++ c++ "$work/first.cpp" "${flags[@]}"
fi
check "pkg-config has the version" "$(sed -n "s/^  version: '\(.*\)',/\1/p" "$source/meson.build")" \
    "$(pkg --modversion)"
check "and knows the library to preload" yes "$([ -f "$(pkg --variable=sigchain)" ] ||
    [ -f "$work/root$(pkg --variable=sigchain)" ] && echo yes)"
"$work/pkg-config-c" > /dev/null 2>&1
check "which can be preloaded" "$expected" \
    "$(LD_PRELOAD=$libraries/segue/libsegue-sigchain.so "$work/pkg-config-c" 2>&1)"

# Moved as a whole, CMake's files still find the library beside them.
if command -v cmake > /dev/null; then
    mv "$work/root" "$work/moved"
    libraries=$work/moved${libraries#"$work/root"}
    export LD_LIBRARY_PATH=$libraries
    mkdir "$work/cmake"
    cat > "$work/cmake/CMakeLists.txt" << 'CMAKE'
cmake_minimum_required(VERSION 3.13)
project(consumer C)
find_package(Threads REQUIRED)
find_package(${NAME} ${VERSION} REQUIRED CONFIG NO_DEFAULT_PATH PATHS ${FOLDER})
add_executable(shared ../first.c)
target_link_libraries(shared Segue::segue)
add_executable(static ../first.c)
target_link_libraries(static Segue::static)
CMAKE
    configure() {
        rm -rf "$work/cmake/build"
        cmake -S "$work/cmake" -B "$work/cmake/build" -DNAME="$1" -DVERSION="$2" -DFOLDER="$libraries/cmake/segue" \
            > "$work/log" 2>&1
    }
    configure segue 9.0
    check "CMake: a later version than this is not there" yes \
        "$(tr -s '\n ' ' ' < "$work/log" | has 'compatible with requested version "9.0"' && echo yes ||
            cat "$work/log")"
    configure segue 0.2
    check "CMake: this version, in lower case" 0 "$?$(grep -A 4 Error "$work/log")"
    configure Segue 0.2
    check "CMake: and with a capital letter" 0 "$?$(grep -A 4 Error "$work/log")"
    cmake --build "$work/cmake/build" > "$work/log" 2>&1
    check "CMake: builds" 0 "$?$(tail -3 "$work/log" | grep -i error)"
    for kind in shared static; do
        check "CMake: $kind runs" "$expected" "$("$work/cmake/build/$kind" 2>&1)"
    done
else
    echo "SKIP: no cmake"
fi

check_end
