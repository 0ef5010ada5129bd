#!/bin/sh
# unwind_gdb.sh PROGRAM: gdb steps through a function with hot sites, and stops in a policy: at each stop it shows the
# function, with the registers that the function has there. PROGRAM is unwind.cpp.
set -u
if ! command -v gdb >/dev/null 2>&1; then
    echo "SKIP: gdb is not installed"
    exit 77
fi
program=$1
passed=0 failed=0

commands=$(mktemp)
trap 'rm -f "$commands"' EXIT

# ARGUMENTS: gdb runs the program with these, by the commands on standard input, from where its sites are hot.
run_gdb() {
    cat >"$commands"
    timeout 100 gdb -nx -batch -ex 'set debuginfod enabled off' -ex 'set pagination off' \
        -ex 'handle SIGSEGV nostop noprint pass' -ex 'break now_hot' -ex run -x "$commands" \
        --args "$program" "$@" 2>&1
}

check() {
    if [ "$2" = "$3" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "$1: $2, not $3"
        echo "$output"
    fi
}

# Behind its first instructions RBX and RSP stay as they are.
steps=40
output=$(run_gdb once <<END
tbreak *sum_words
continue
stepi 5
set \$left = $steps
while \$left-- > 0
    stepi
    backtrace
    frame function sum_words
    printf "registers %lx %lx\n", \$rbx, \$rsp
end
END
)
check 'registers of the function' "$(echo "$output" | grep '^registers' | sort | uniq -c | sed 's/ registers.*//')" \
    "$(printf '%7d' $steps)"
in_bodies=$(echo "$output" | grep -c '^#0 .*<signal handler called>')
[ "$in_bodies" -gt 30 ]
check "$in_bodies stops in bodies: more than 30" $? 0
wrong=$(echo "$output" | awk '
    /^#/ { at = 0; if (/sum_words/) at = 1; if (/call_sum/) at = 2; if (/debugged/) at = 3; if (/ main /) at = 4
           if (at) { if (at != last + 1 && at != 1) wrong++; last = at % 4 } }
    END { print wrong + 0 }')
check 'frames out of order' "$wrong" 0
check 'frames of main' "$(echo "$output" | grep -c '^#[0-9]* .*\<main (')" $steps

output=$(printf '%s\n' 'break ask_debugger' continue backtrace | run_gdb once policy)
functions=$(echo "$output" |
    sed -n 's/^#[0-9]* .*\<\(ask_debugger\|sum_words\|call_sum\|debugged\|main\) (.*/\1/p' | tr '\n' ' ')
check 'frames of a policy' "$functions" 'ask_debugger sum_words call_sum debugged main '

echo "[  PASSED  ] $passed test(s)."
[ $failed -eq 0 ]
