#!/usr/bin/env bash
# loaded.sh SEGUE LOADED FIRST SECOND: instructions of libraries that are unloaded by the time when `segue watch` names
# them, and of two that were at the same addresses, one after the other.
set -uo pipefail
. "$(dirname "$0")/../../../support/check.sh"
segue=$1
loaded=$2
first=$3
second=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

watch() {
  status=0
  timeout 60 "$segue" watch "$@" > "$work/out" 2> "$work/err" || status=$?
}

lines() {
  grep -cE "$1" "$work/err"
}

count='^ +0 +3  counter  first_touch(\+0x[0-9a-f]+)? \(library.c:[0-9]+\): mov'
watch --count --write counter -- "$loaded" 3 "$first"
check "counts of a library that was unloaded" "0 1 0" "$status $(lines "$count") $(lines '\?')"
watch counter -- "$loaded" 300 "$first"
check "lines" "0 300 300" "$status $(lines ' first_touch\b') $(lines '')"

# The second one is where the first one was.
watch counter -- "$loaded" 20 "$first" "$second"
check "two libraries, by turns" "0 20 20 40" \
  "$status $(lines ' first_touch\b') $(lines ' second_touch\b') $(lines '')"
check "in this order" "" \
  "$(grep -oE '(first|second)_touch' "$work/err" | paste -d' ' - - | grep -v '^first_touch second_touch$')"
same=$(cat "$work/out")
watch --count counter -- "$loaded" 1 "$first" "$second"
check "their sums" "$([ "$same" = same ] && echo 1 || echo 0)" "$(lines 'at the same addresses, one after the other')"

# More than there is room for.
watch -o "$work/report" counter -- "$loaded" 150 "$first" "$second"
check "code that is mapped too often" "0 $([ "$same" = same ] && echo 1 || echo 0)" \
  "$status $(lines 'has mapped code more than 256 times')"
check "and each line is there" 300 "$(wc -l < "$work/report")"

# Its file is not there any more.
cp "$first" "$work/library.so"
watch --count counter -- "$loaded" -1 "$work/library.so"
check "a library that was deleted" "0 1" "$status $(lines '^ +0 +1  counter  \?: \?$')"
check_end
