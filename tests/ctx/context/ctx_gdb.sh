#!/bin/sh
# ctx_gdb.sh PROGRAM: gdb walks from a context inside a context out to main. PROGRAM is
# tests/ctx/context/ctx_context.c, in whose test entry_returns_to_whoever_swapped_last a context is swapped to by
# another one.
set -u
if ! command -v gdb >/dev/null 2>&1; then
    echo "SKIP: gdb is not installed"
    exit 77
fi
output=$(gdb -nx -batch -ex 'set debuginfod enabled off' -ex 'handle SIGSEGV SIGUSR1 nostop noprint pass' \
    -ex 'break note_ten' -ex run -ex backtrace "$1" 2>&1)
functions='note_ten swap_to_other entry_returns_to_whoever_swapped_last main'
pattern=$(echo "$functions" | sed 's/ /\\|/g')
frames=$(echo "$output" | sed -n "s/^#[0-9]* .*\\b\\($pattern\\) (.*/\\1/p" | tr '\n' ' ')
if [ "$frames" = "$functions " ]; then
    echo "[  PASSED  ] 1 test(s)."
    exit 0
fi
echo "$output"
echo "met: $frames"
exit 1
