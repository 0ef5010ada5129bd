#!/bin/bash
# i386.sh BUILD [TEST...]: builds the library for Linux on i386 and runs its tests on this system's kernel. Then says
# which of the other tests are left out, and why (left_out.txt).
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
root=$(readlink -f "$here/../../..")
"$here/build.sh" "$1"
build=$(readlink -f "$1")/i386
shift
status=0
"$root/tests/support/run.sh" "$build" "$@" || status=1
grep -h '^states\|^differences' "$build/meson-logs/testlog.txt" || :
[ $# -gt 0 ] || "$here/../left_out.sh" "$root" i386 || status=1
exit $status
