#!/bin/sh
# run.sh MODE BUILD OPTION...: one shard of a sweep of one mode. These options mean the same in all modes that have
# them:
#
#     --shard I/N  --seed S  --coverage FILE  --reports N  --plant NAME
#     --rows FILE  --per-row N                  rows of corpus files
#     --states N                                so many states over all shards
#     --corpus FOLDER                           what a fuzzer keeps
#
# The exit status is 0, 1 if there was a difference, 77 if the mode cannot run here; else the program has died.
set -eu
mode=${1:?usage: run.sh MODE BUILD OPTION...}
build=${2:?usage: run.sh MODE BUILD OPTION...}
shift 2

die() {
    echo "run.sh: $*" >&2
    exit 2
}

# Rows are read from standard input, which may be compressed or not.
accesses() {
    rows=$(mktemp)
    trap 'rm -f "$rows"' EXIT
    count=$#
    while [ "$count" -gt 0 ]; do
        case $1 in
        --rows) xz -dcf "$2" >>"$rows" ;;
        --reports) ;;
        *) set -- "$@" "$1" "$2" ;;
        esac
        shift 2
        count=$((count - 2))
    done
    [ -s "$rows" ] || die "the mode accesses wants --rows"
    "$build/tests/decode/access_check" "$@" "$rows"
}

# The shard's part of the states, from a seed of its own, into its own corpus.
fuzz() {
    target=$1 seed=1 states=100000 shard=0/1 corpus=
    shift
    count=$#
    while [ "$count" -gt 0 ]; do
        case $1 in
        --seed) seed=$2 ;;
        --states) states=$2 ;;
        --shard) shard=$2 ;;
        --corpus) corpus=$2 ;;
        --reports) ;;
        --coverage | --plant) set -- "$@" "$1=$2" ;;
        *) die "the modes of the fuzzers have no $1" ;;
        esac
        shift 2
        count=$((count - 2))
    done
    [ -n "$corpus" ] || die "the modes of the fuzzers want --corpus"
    bin=$build/tests/fuzz/fuzz_$target/bin
    [ -x "$bin/$target" ] || die "there is no $bin/$target: make sweep-fuzzers"
    mkdir -p "$corpus/kept"
    number=${shard%/*} shards=${shard#*/}
    # What the target raises is for the library's own handlers.
    [ "$target" != step ] || set -- "$@" -max_len=23 -len_control=0 -timeout=0 -rss_limit_mb=0 \
        -handle_segv=0 -handle_bus=0 -handle_ill=0 -handle_fpe=0
    status=0
    began=$(date +%s.%N)
    "$bin/$target" -seed=$((seed * shards + number + 1)) -runs=$(((states + shards - 1) / shards)) \
        -error_exitcode=1 -print_final_stats=1 -dict="$bin/$target.dict" -artifact_prefix="$corpus/" "$@" \
        "$corpus/kept" "$bin/${target}_seeds" >"$corpus/log" 2>&1 || status=$?
    grep -aE -A 2 '^DIFFERENCE|: ABORTING|ERROR: ' "$corpus/log" || :
    awk -v seconds="$(echo "$began $(date +%s.%N)" | awk '{ printf "%.1f", $2 - $1 }')" '
        /stat::number_of_executed_units/ { states = $2 }
        match($0, / cov: [0-9]+/) { edges = substr($0, RSTART + 6, RLENGTH - 6) }
        match($0, / ft: [0-9]+/) { features = substr($0, RSTART + 5, RLENGTH - 5) }
        END {
            printf "states         %12d  (1 workers, %s s)\nedges          %12d\nfeatures       %12d\n",
                states, seconds, edges, features
        }' "$corpus/log"
    [ "$status" -le 1 ] || tail -n 5 "$corpus/log"
    return "$status"
}

case $mode in
differential) exec "$build/tests/differential/differential" --workers 1 "$@" ;;
plans) exec "$build/tests/differential/plan_agrees" "$@" ;;
bodies) exec "$build/tests/differential/test_hot_body" --step 32 "$@" ;;
accesses) accesses "$@" ;;
fuzz-decode) fuzz decode_accesses "$@" ;;
fuzz-step) fuzz step "$@" ;;
*) die "there is no mode $mode: differential, accesses, plans, bodies, fuzz-decode, fuzz-step" ;;
esac
