#!/bin/bash
# windows.sh BUILD [TEST...]: builds the library for Windows on x86-64 and runs its tests under Wine. Then says which of
# the other tests are left out, and why (left_out.txt).
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
root=$(readlink -f "$here/../../..")
. "$here/../wine.sh"
"$here/build.sh" "$1"
build=$(readlink -f "$1")/windows
shift
wine_begin "$build-wine" || { echo "windows.sh: no program for Windows runs here (Debian: wine64)" >&2; exit 1; }
status=0
"$root/tests/support/run.sh" "$build" "$@" || status=1
grep -h '^states\|^differences' "$build/meson-logs/testlog.txt" || :
[ $# -gt 0 ] || "$here/../left_out.sh" "$root" windows || status=1
exit $status
