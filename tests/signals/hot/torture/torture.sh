#!/bin/sh
# torture.sh BUILD I/N: the I-th of N parts of an hour of torture of hot sites. Every third run has one processor, every
# third two. Ends at the first run that fails, and prints how to repeat it.
set -eu
build=$1
part=${2%/*}
parts=${2#*/}
runs=240
torture=$build/tests/signals/hot/torture
seed=$part
while [ "$seed" -lt "$runs" ]; do
    case $((seed % 3)) in
    0) processors='taskset -c 0' ;;
    1) processors='taskset -c 0,1' ;;
    *) processors= ;;
    esac
    set -- $processors "$torture/hot_torture" --seed "$seed" --pieces 5000 --rounds 6 --seconds 200 \
        "$torture/libtorture_replaced_1.so" "$torture/libtorture_replaced_2.so"
    "$@" || {
        echo "torture.sh: failed: $*" >&2
        exit 1
    }
    seed=$((seed + parts))
done
