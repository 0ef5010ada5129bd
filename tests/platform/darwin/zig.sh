#!/bin/sh
# zig.sh ARGUMENT...: zig, as tools/deps.sh has unpacked it, with its caches in build-deps.
root=$(dirname "$(readlink -f "$0")")/../../..
export ZIG_GLOBAL_CACHE_DIR="$root/build-deps/zig-cache" ZIG_LOCAL_CACHE_DIR="$root/build-deps/zig-cache"
exec "$root/build-deps/zig/zig" "$@"
