#!/bin/sh
# One shard of `segue corpus check`, as an array job of Slurm or as a job of GNU parallel (docs/corpus.md):
#
#     sbatch --wait --array=0-7 corpus/data/check-array.sh REPORTS FILE...
#     parallel SHARD={} SHARDS=8 corpus/data/check-array.sh REPORTS FILE... ::: 0 1 2 3 4 5 6 7
#
# The shard's report goes to REPORTS/SHARD.json. SEGUE and OPTIONS may name the command and further options. A shard whose
# rows are not all explained ends with status 0 all the same: it is `segue corpus merge` that judges.
set -eu
: "${SEGUE:=segue}"
shard=${SHARD:-${SLURM_ARRAY_TASK_ID:?not in an array job: set SHARD and SHARDS}}
shards=${SHARDS:-${SLURM_ARRAY_TASK_COUNT:?not in an array job: set SHARD and SHARDS}}
reports=${1:?usage: check-array.sh REPORTS FILE...}
shift
mkdir -p "$reports"
# shellcheck disable=SC2086
"$SEGUE" corpus check ${OPTIONS-} --shard "$shard/$shards" --jobs 1 --json "$reports/$shard.json" "$@" > /dev/null || {
  [ $? = 1 ] && [ -s "$reports/$shard.json" ]
}
