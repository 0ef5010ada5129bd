#!/bin/sh
# ctx_instrument.sh PROGRAM [TOOL...]: PROGRAM, run by the tool, ends well, and nothing but its own line is printed.
set -u
program=$1
shift
export ASAN_OPTIONS=detect_stack_use_after_return=1:detect_leaks=0
if [ $# -gt 0 ] && ! command -v "$1" >/dev/null 2>&1; then
    echo "SKIP: $1 is not installed"
    exit 77
fi
output=$("$@" "$program" 2>&1)
status=$?
# Valgrind 3.19 does not know every operation of DWARF's expressions: it says so of the shortcuts' rules
# (docs/facts.md), and unwinds without them.
output=$(echo "$output" | grep -v 'DWARF2 CFI reader: unhandled DW_OP_')
wanted="sum [0-9]+"
if [ "$status" -eq 0 ] && echo "$output" | grep -Eqx "$wanted" && [ "$(echo "$output" | wc -l)" -eq 1 ]; then
    echo "[  PASSED  ] 1 test(s)."
    exit 0
fi
echo "$output"
echo "status $status"
exit 1
