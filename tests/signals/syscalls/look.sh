#!/bin/sh
# look.sh LIBRARY: what a detour calls before a system call uses general registers alone: the program's vector registers
# live across system calls.
set -u
passed=0 failed=0
for name in calls_look_at is_plain calls_is_own calls_has_row calls_visit calls_refused_pointers peek_plainly \
    space_has_region space_part region_at region_gap region_count table_find table_gap; do
    code=$(objdump -d --no-show-raw-insn --disassemble="$name" "$1" | grep '^ ')
    if [ -z "$code" ]; then
        # Inlined into its caller.
        [ "$name" != calls_look_at ] && continue
        failed=$((failed + 1))
        echo "$name is not in $1"
    elif echo "$code" | grep -q '%[xyz]mm\|%mm[0-7]\|%st\|%k[0-7]'; then
        failed=$((failed + 1))
        echo "$name uses vector registers"
    else
        passed=$((passed + 1))
    fi
done
called=$(objdump -d --no-show-raw-insn --disassemble=calls_visit "$1" |
    sed -n 's/.*call  *[0-9a-f]* <\([a-z_]*\)[.@>].*/\1/p' | sort -u)
for name in $called; do
    if objdump -d --no-show-raw-insn --disassemble="$name" "$1" | grep -q '%[xyz]mm'; then
        failed=$((failed + 1))
        echo "calls_visit calls $name, which uses vector registers"
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -ge 5 ]
