#!/bin/sh
# reduce.sh DIFFERENTIAL LOG FOLDER OPTION...: reduces each difference that LOG reports to the smallest input that still
# shows it, in a file of FOLDER that is named for its instruction: the one batch, then the instruction alone, without
# prefixes that do not matter, in the fewest states.
set -eu
differential=$1 log=$2 folder=$3
shift 3
mkdir -p "$folder"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The options of the sweep that make the difference, if it was planted.
planted=
while [ $# -gt 0 ]; do
    [ "$1" != --inject ] || planted="--inject $2"
    shift
done

# BYTES STATES: whether the instruction alone differs in so many states.
differs() {
    echo "$1" | tr -d ' ' >"$work/row"
    ! "$differential" --workers 1 --rows "$work/row" --per-row "$2" --reports 1 >"$work/alone" 2>&1 &&
        grep -q '^DIFFERENCE' "$work/alone"
}

sed -n 's/.*repeat it with: differential \(--.*\)/\1/p' "$log" | sort -u | while read -r again; do
    # shellcheck disable=SC2086 # options
    "$differential" $again $planted --workers 1 --reports 1 >"$work/batch" 2>&1 || :
    bytes=$(sed -n 's/^  \(\([0-9a-f][0-9a-f] \)*[0-9a-f][0-9a-f]\) : .*/\1/p' "$work/batch" | head -1)
    if [ -z "$bytes" ]; then
        # It depends on more than its batch: what was seen is kept.
        file=$folder/$(echo "$again" | tr -cd 'a-z0-9-').txt
        { echo "does not repeat: differential $again $planted"; cat "$log"; } >"$file"
        continue
    fi
    file=$folder/$(echo "$bytes" | tr -d ' ').txt
    # What was planted is in the batch alone.
    states=${planted:+4097}
    : "${states:=1}"
    while [ "$states" -le 4096 ] && ! differs "$bytes" "$states"; do
        states=$((states * 4))
    done
    if [ "$states" -le 4096 ]; then
        # Without its first byte it may be the same instruction, without a prefix.
        while [ "${bytes#* }" != "$bytes" ] && differs "${bytes#* }" "$states"; do
            bytes=${bytes#* }
        done
        differs "$bytes" "$states" || :
        { echo "repeat: echo $bytes | tr -d ' ' >row; differential --rows row --per-row $states"; cat "$work/alone"; }
    else
        echo "repeat: differential $again $planted"
        sed -n '/^DIFFERENCE/,/^states/p' "$work/batch" | sed '$d'
    fi >"$file"
done
