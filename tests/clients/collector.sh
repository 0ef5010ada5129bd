#!/bin/sh
# collector.sh COLLECTOR WITHOUT_BARRIER: 8 mutators of examples/collector find every object as they left it, with and
# without moves; and a collector whose barrier logs nothing is found out.
set -u
. "$(dirname "$0")/../support/check.sh"
for seed in 1 2; do
    for move in '' --move; do
        # shellcheck disable=SC2086
        check "seed $seed $move" 'none lost, none stale' "$("$1" $move 8 50000 $seed 2>&1 | sed -n 's/.*checked: //p')"
    done
done
found=0
for seed in 1 2 3 4 5; do
    "$2" 8 100000 $seed >/dev/null 2>&1 || found=1
    [ $found = 0 ] || break
done
check 'without a barrier objects are lost' 1 $found
check_end
