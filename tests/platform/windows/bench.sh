#!/bin/bash
# bench.sh BUILD [ROUNDS [FAULTS]]: builds for Windows on x86-64, and measures under Wine what a fault costs
# (bench/windows/fault.c).
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
. "$here/../wine.sh"
"$here/build.sh" "$1" x86_64
build=$(readlink -f "$1")/windows-x86_64
shift
wine_begin "$build-wine" || { echo "bench.sh: no program for Windows runs here (Debian: wine64)" >&2; exit 1; }
wine "$build/tests/platform/windows/fault.exe" "$@"
