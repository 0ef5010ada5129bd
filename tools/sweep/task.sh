#!/bin/sh
# task.sh [--mode MODE] [--pieces N] BUILD OUT OPTION...: one shard of a sweep, as an array task of Slurm or as a job of
# GNU parallel (docs/sweep.md):
#
#     sbatch --array=0-99 --requeue tools/sweep/task.sh build OUT --rows FILE
#     parallel SHARD={} SHARDS=8 tools/sweep/task.sh --mode plans build OUT --rows FILE ::: 0 1 2 3 4 5 6 7
#
# Modes, and their options: run.sh. A shard is done in N pieces, each a shard by itself: of shard I of S, those with the
# numbers I, I + S, I + 2 S ... of S * N. What a piece prints goes to OUT/NUMBER.log, complete or absent. A task that is
# started again does the pieces that are not done; the differential over rows goes on within one. Differences are not
# the task's failure: it reduces each (reduce.sh) and ends with status 0, and merge.py judges. PLANT='SHARD:OPTION...'
# spoils a result in that shard, to see that it is noticed.
set -eu
# sbatch runs a copy of this file.
here=${SWEEP_FOLDER:-$(dirname "$(readlink -f "$0")")}
usage='usage: task.sh [--mode MODE] [--pieces N] BUILD OUT OPTION...'
mode=differential pieces=1
while :; do
    case ${1:?$usage} in
    --mode) mode=$2 ;;
    --pieces) pieces=$2 ;;
    *) break ;;
    esac
    shift 2
done
build=$1
out=${2:?$usage}
shift 2
shard=${SHARD:-${SLURM_ARRAY_TASK_ID:?not in an array job: set SHARD and SHARDS}}
shards=${SHARDS:-${SLURM_ARRAY_TASK_COUNT:?not in an array job: set SHARD and SHARDS}}
: "${PLANT:=}"
mkdir -p "$out"
echo "$mode $((shards * pieces))" >"$out/sweep.$shard"
mv "$out/sweep.$shard" "$out/sweep"

is_done() {
    piece=0
    while [ "$piece" -lt "$pieces" ]; do
        [ -f "$out/$((shard + piece * shards)).log" ] || return 1
        piece=$((piece + 1))
    done
}
! is_done || exit 0
echo "$(date +%s) $(uname -n)" >>"$out/$shard.starts"

# What each piece has of its own.
case "$mode:  $* " in
'differential: '*' --rows '*) own=--progress ;;
fuzz-*) own=--corpus ;;
*) own= ;;
esac
if [ "${PLANT%%:*}" = "$shard" ]; then
    # shellcheck disable=SC2086 # options
    set -- "$@" ${PLANT#*:}
fi

do_piece() {
    number=$1
    shift
    part=$out/$number.part status=0
    set -- "$@" --shard "$number/$((shards * pieces))" --coverage "$out/$number.coverage" \
        ${own:+"$own" "$out/$number.${own#--}"}
    "$here/run.sh" "$mode" "$build" "$@" >"$part" 2>&1 || status=$?
    case $status in
    0) ;;
    2 | 77)
        cat "$part" >&2
        exit "$status"
        ;;
    *) "$here/reduce.sh" "$mode" "$build" "$status" "$part" "$out/differences" "$@" ;;
    esac
    grep -m 1 '^model name' /proc/cpuinfo | sed 's/^model name[^:]*: /processor      /' >>"$part"
    mv "$part" "$out/$number.log"
}

piece=0
while [ "$piece" -lt "$pieces" ]; do
    number=$((shard + piece * shards))
    [ -f "$out/$number.log" ] || do_piece "$number" "$@"
    piece=$((piece + 1))
done
