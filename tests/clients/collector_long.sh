#!/bin/sh
# collector_long.sh COLLECTOR I/N: the I-th of N parts of some ten minutes of the collector's stress. Every second run
# moves objects, every third has one processor. Ends at the first run that fails, and prints how to repeat it.
set -eu
collector=$1
seed=${2%/*}
parts=${2#*/}
runs=48
while [ "$seed" -lt "$runs" ]; do
    set -- "$collector" 8 600000 $((seed + 100))
    [ $((seed % 2)) = 0 ] || set -- "$collector" --move 8 600000 $((seed + 100))
    [ $((seed % 3)) != 0 ] || set -- taskset -c 0 "$@"
    "$@" || {
        echo "collector_long.sh: failed: $*" >&2
        exit 1
    }
    seed=$((seed + parts))
done
