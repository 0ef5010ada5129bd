#!/bin/bash
# windows.sh BUILD CPU [TEST...]: builds the library for Windows on x86_64 or i386 and runs its tests under Wine. Then
# says which of the other tests are left out, and why (left_out.txt). WINE32=SYSTEM: as build.sh says.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
root=$(readlink -f "$here/../../..")
. "$here/../wine.sh"
"$here/build.sh" "$1" "$2"
build=$(readlink -f "$1")/windows-$2
shift 2
if [ -n "${WINE32:-}" ]; then
    wine32_begin "$root" "$WINE32"
else
    wine_begin "$build-wine"
fi || { echo "windows.sh: no program for Windows runs here (Debian: wine64)" >&2; exit 1; }
status=0
"$root/tests/support/run.sh" "$build" "$@" || status=1
grep -h '^states\|^differences' "$build/meson-logs/testlog.txt" || :
[ $# -gt 0 ] || "$here/../left_out.sh" "$root" windows || status=1
exit $status
