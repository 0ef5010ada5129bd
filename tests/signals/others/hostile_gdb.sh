#!/bin/sh
# hostile_gdb.sh PROGRAM: under a gdb that passes SIGSEGV on, a program steps its faults: a breakpoint behind one is
# met, and the program ends as it should.
set -u
output=$(timeout 60 gdb -batch -nx -ex 'set debuginfod enabled off' -ex 'handle SIGSEGV nostop noprint pass' \
    -ex 'tbreak handler_load' -ex run -ex 'set $next = $pc + 3' -ex 'tbreak *$next' -ex continue \
    -ex 'printf "behind the fault: %d\n", $pc == $next' -ex continue --args "$1" --child vfork_child_faults 2>&1)
if echo "$output" | grep -q 'behind the fault: 1' && echo "$output" | grep -q 'exited with code 05'; then
    echo "2 passed, 0 failed"
else
    echo "$output"
    echo "0 passed, 2 failed"
    exit 1
fi
