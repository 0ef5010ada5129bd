#!/bin/sh
# ar.sh ARGUMENT...: its archiver.
exec "$(dirname "$(readlink -f "$0")")/zig.sh" ar "$@"
