#!/bin/sh
# task.sh DIFFERENTIAL OUT OPTION...: one shard of a sweep, as an array task of Slurm or as a job of GNU parallel
# (docs/sweep.md):
#
#     sbatch --array=0-99 --requeue tools/sweep/task.sh build/tests/differential/differential OUT --rows FILE
#     parallel SHARD={} SHARDS=8 tools/sweep/task.sh build/tests/differential/differential OUT ... ::: 0 1 2 3 4 5 6 7
#
# What it prints goes to OUT/SHARD.log, complete or absent. A task that is started again does nothing if its shard is
# done; over rows, it goes on where it was. Differences are not the task's failure: it reduces each (reduce.sh) and ends
# with status 0, and merge.py judges. PLANT=SHARD:WHAT spoils a result in that shard, to see that it is noticed.
set -eu
# sbatch runs a copy of this file.
here=${SWEEP_FOLDER:-$(dirname "$(readlink -f "$0")")}
differential=${1:?usage: task.sh DIFFERENTIAL OUT OPTION...}
out=${2:?usage: task.sh DIFFERENTIAL OUT OPTION...}
shift 2
shard=${SHARD:-${SLURM_ARRAY_TASK_ID:?not in an array job: set SHARD and SHARDS}}
shards=${SHARDS:-${SLURM_ARRAY_TASK_COUNT:?not in an array job: set SHARD and SHARDS}}
: "${PLANT:=}"
mkdir -p "$out"
[ ! -f "$out/$shard.log" ] || exit 0
echo "$(date +%s) $(uname -n)" >>"$out/$shard.starts"

case " $* " in
*' --rows '*) set -- "$@" --progress "$out/$shard.progress" ;;
esac
if [ "${PLANT%%:*}" = "$shard" ]; then
    set -- "$@" --inject "${PLANT#*:}"
fi
status=0
"$differential" --workers 1 --shard "$shard/$shards" "$@" >"$out/$shard.part" 2>&1 || status=$?
case $status in
0) ;;
1) "$here/reduce.sh" "$differential" "$out/$shard.part" "$out/differences" "$@" ;;
*) exit "$status" ;;
esac
grep -m 1 '^model name' /proc/cpuinfo | sed 's/^model name[^:]*: /processor      /' >>"$out/$shard.part"
mv "$out/$shard.part" "$out/$shard.log"
