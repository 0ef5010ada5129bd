#!/bin/bash
# cc.sh ARGUMENT...: the compiler for FreeBSD: clang and lld, with the headers and the stub of its C library that
# build.sh has made. FREEBSD_TARGET: x86_64 or i386; FREEBSD_SYSTEM: where they are.
target=${FREEBSD_TARGET:-x86_64}
system=${FREEBSD_SYSTEM:?where build.sh has made the headers}
link=(-nostdlib -fuse-ld=lld "$system/libc.so.7")
for argument; do
    case $argument in
    -Wl,--version | -Wl,-v) link=(-fuse-ld=lld) ;;
    -c | -S | -E | -fsyntax-only | --version | -v | -dM | -print-*) link=() ;;
    esac
done
# Programs begin at main: there are no start files, the loader calls it.
[ ${#link[@]} = 0 ] || case " $* " in
*' -shared '*) ;;
*) link+=(-pie -Wl,-e,main) ;;
esac
exec clang --target="$target-unknown-freebsd14" -Wno-unused-command-line-argument -nostdlibinc \
    -isystem "$system/include" -fPIC "$@" "${link[@]}"
