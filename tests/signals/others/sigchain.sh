#!/bin/sh
# sigchain.sh PROGRAM SIGCHAIN HOST GO: a program that knows nothing of Segue ends and prints alike with a library
# preloaded that protects its memory by Segue, behind libsegue-sigchain.so, and without. SIGBUS is Segue's or left to
# the program. So does GO, which goes by the C library in part only.
set -u
program=$1 sigchain=$2 host=$3 go=$4
passed=0 failed=0
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
# A hang is a failure.
check() {
    way=$1
    shift
    timeout 10 "$program" "$way" >"$directory/without" 2>&1
    without=$?
    timeout 10 env LD_PRELOAD="$sigchain $host" "$@" "$program" "$way" >"$directory/with" 2>&1
    with=$?
    timeout 10 env LD_PRELOAD="$sigchain" "$program" "$way" >"$directory/alone" 2>&1
    alone=$?
    if [ "$with" -eq "$without" ] && [ "$alone" -eq "$without" ] && [ -s "$directory/with" ] &&
        diff "$directory/without" "$directory/with" && diff "$directory/without" "$directory/alone"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $way $*: ends with $with, alone $alone, without $without"
    fi
}
for name in read_back take_faults block handle_others fault_while_blocked inherit begin_blocked use_stack; do
    check "$name"
    check "$name" HOST_LEAVES_SIGBUS=1
done
# What it is there for: without it the program blocks SIGSEGV for true, and dies of its own memory.
timeout 10 env LD_PRELOAD="$host" "$program" handle_others >"$directory/with" 2>&1
if [ $? -eq 139 ]; then
    passed=$((passed + 1))
else
    failed=$((failed + 1))
    echo "FAILED: the program lives without libsegue-sigchain.so"
fi
program=$go
check as_go
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
