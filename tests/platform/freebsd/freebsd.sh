#!/bin/bash
# freebsd.sh BUILD CPU [TEST...]: builds the library for FreeBSD on x86_64 or i386, as a shared and as a static library,
# and runs its tests on Linux, under a loader (loader/loader.h says what that shows). Then says which of the other tests
# are left out, and why (left_out.txt).
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
root=$(readlink -f "$here/../../..")
"$here/build.sh" "$1" "$2"
build=$(readlink -f "$1")/freebsd-$2
shift 2
status=0
"$root/tests/support/run.sh" "$build" "$@" || status=1
[ $# -gt 0 ] || "$here/../left_out.sh" "$root" freebsd || status=1
exit $status
