#!/bin/sh
# reduce.sh MODE BUILD STATUS LOG FOLDER OPTION...: reduces each difference that LOG reports, of a run with that exit
# status and those options, to the smallest input that still shows it, in a file of FOLDER:
#
#     a row          alone, without prefixes that do not matter, in the fewest states
#     random states  the one batch, and then its row if that shows it
#     an input       of a fuzzer, as short as its -minimize_crash makes it
#     a death        the smallest part of the rows in which the program dies
set -eu
here=$(dirname "$(readlink -f "$0")")
mode=$1 build=$2 status=$3 log=$4 folder=$5
shift 5
mkdir -p "$folder"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The options that make the difference, if it was planted; and the shard.
planted='' injected='' shard=0/1 corpus=''
for option; do
    case ${previous:-} in
    --plant) planted="--plant $option" ;;
    --inject) injected="--inject $option" ;;
    --shard) shard=$option ;;
    --corpus) corpus=$option ;;
    esac
    previous=$option
done

# OPTION...: whether there is a difference, in $work/run.
differs() {
    # shellcheck disable=SC2086 # options
    ! "$here/run.sh" "$mode" "$build" "$@" $planted --reports 1 >"$work/run" 2>&1 && grep -q '^DIFFERENCE' "$work/run"
}
# BYTES STATES: whether the instruction alone differs in so many states.
row_differs() {
    echo "$1" | tr -d ' ' >"$work/row"
    differs --rows "$work/row" --per-row "$2"
}

# BYTES: its smallest form; false if the row alone shows nothing.
reduce_row() {
    bytes=${1% } states=1
    while ! row_differs "$bytes" "$states"; do
        states=$((states * 4))
        [ "$states" -le 4096 ] || return 1
    done
    # Without its first byte it may be the same instruction, without a prefix.
    while [ "${bytes#* }" != "$bytes" ] && row_differs "${bytes#* }" "$states"; do
        bytes=${bytes#* }
    done
    row_differs "$bytes" "$states" || :
    {
        echo "repeat: echo $bytes | tr -d ' ' >row;" \
            "run.sh $mode BUILD --rows row --per-row $states${planted:+ $planted}"
        if [ "$mode" = differential ]; then
            sed -n '/^DIFFERENCE/,/^states/p' "$work/run" | sed '/^states/d; s/; repeat it with.*//'
        else
            grep -A 1 '^DIFFERENCE' "$work/run"
        fi
    } >"$folder/$mode-$(echo "$bytes" | tr -d ' ').txt"
}

# Each differential's difference is in a batch, whose first one is taken.
reduce_batches() {
    sed -n 's/.*repeat it with: differential \(--.*\)/\1/p' "$log" | sort -u |
        while read -r again; do
            # shellcheck disable=SC2086 # options
            "$here/run.sh" differential "$build" $again $planted $injected --reports 1 >"$work/batch" 2>&1 || :
            bytes=$(bytes_of "$work/batch" | head -n 1)
            # What was injected is in the batch alone.
            if [ -n "$bytes" ] && [ -z "$injected" ] && reduce_row "$bytes"; then
                continue
            fi
            file=$folder/$mode-$(echo "${bytes:-$again}" | tr -cd 'a-z0-9').txt
            seen=$log
            [ -z "$bytes" ] || seen=$work/batch
            echo "repeat: differential $again${planted:+ $planted}${injected:+ $injected}" >"$file"
            sed -n '/^DIFFERENCE/,/^states/p' "$seen" | sed '/^states/d' >>"$file"
        done
}

# The instructions that a log has differences of.
bytes_of() {
    sed -n 's/^  \(\([0-9a-f][0-9a-f] \)*[0-9a-f][0-9a-f]\) : .*/\1/p' "$1" | awk '!seen[$0]++'
}

reduce_rows() {
    bytes_of "$log" | while read -r found; do
        reduce_row "$found" || {
            # It depends on what is around it: what was seen is kept.
            echo "repeat: run.sh $mode BUILD $* $planted"
            grep -B 1 -A 1 "^  $found : " "$log"
        } >"$folder/$mode-$(echo "$found" | tr -d ' ').txt"
    done
}

reduce_inputs() {
    target=step
    [ "$mode" = fuzz-step ] || target=decode_accesses
    bin=$build/tests/fuzz/fuzz_$target/bin/$target
    set -- ${planted:+"--plant=${planted#--plant }"}
    [ "$target" != step ] || set -- "$@" -handle_segv=0 -handle_bus=0 -handle_ill=0 -handle_fpe=0
    for input in "$corpus"/crash-* "$corpus"/timeout-* "$corpus"/oom-*; do
        [ -f "$input" ] || continue
        cp "$input" "$work/input"
        "$bin" -minimize_crash=1 -runs=2000 -max_total_time=60 -exact_artifact_path="$work/smaller" "$@" \
            "$work/input" >"$work/run" 2>&1 || :
        [ ! -s "$work/smaller" ] || cp "$work/smaller" "$work/input"
        digits=$(od -An -v -tx1 "$work/input" | tr -d ' \n')
        {
            echo "repeat: echo $digits | xxd -r -p >input; $target input${planted:+ $planted}"
            "$bin" "$@" "$work/input" 2>&1 | grep -aE '^DIFFERENCE|^  [a-z]+ window|ERROR: |SUMMARY' || :
        } >"$folder/$mode-$digits.txt"
    done
}

# A program that dies names no row: half of its rows in which it still dies, and half of those.
reduce_death() {
    number=${shard%/*} shards=${shard#*/}
    dies() {
        code=0
        "$here/run.sh" "$mode" "$build" "$@" >"$work/run" 2>&1 || code=$?
        [ "$code" -gt 2 ] && [ "$code" -ne 77 ]
    }
    while [ "$shards" -lt 16777216 ]; do
        if dies "$@" --shard "$number/$((2 * shards))"; then
            :
        elif dies "$@" --shard "$((number + shards))/$((2 * shards))"; then
            number=$((number + shards))
        else
            break
        fi
        shards=$((2 * shards))
    done
    {
        echo "repeat: run.sh $mode BUILD $* --shard $number/$shards"
        echo "DIFFERENCE: the program ended with status $status"
        tail -n 5 "$log"
    } >"$folder/$mode-shard-$number-of-$shards.txt"
}

case $mode in
fuzz-*) reduce_inputs ;;
differential) reduce_batches ;;
*)
    if [ "$status" -eq 1 ]; then
        reduce_rows "$@"
    else
        reduce_death "$@"
    fi
    ;;
esac
