#!/bin/sh
# cc.sh ARGUMENT...: the compiler for macOS on x86-64. Meson does not know zig's linker, which takes the options of
# Apple's: this answers as that does.
case " $* " in
*' -Wl,--version '*)
    echo 'ld: unknown option: --version' >&2
    exit 1
    ;;
*' -Wl,-v '*)
    echo '@(#)PROGRAM:ld  PROJECT:ld64-0' >&2
    exit 1
    ;;
esac
exec "$(dirname "$(readlink -f "$0")")/zig.sh" cc -target x86_64-macos.11.0 -fno-sanitize=all "$@"
