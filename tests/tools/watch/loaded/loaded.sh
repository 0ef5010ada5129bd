#!/usr/bin/env bash
# loaded.sh SEGUE LOADED FIRST SECOND MIDDLE LARGE: instructions of libraries that are unloaded by the time when `segue
# watch` names them, and of two that were at the same addresses, one after the other, or in two processes.
set -uo pipefail
. "$(dirname "$0")/../../../support/check.sh"
segue=$1
loaded=$2
first=$3
second=$4
middle=$5
large=$6
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
# Whether the second one was, in the run before.
is_same() {
  [ "$(cat "$work/out")" = same ] && echo 1 || echo 0
}
watch --count counter -- "$loaded" 1 "$first" "$second"
check "their sums" "$(is_same)" "$(lines 'at the same addresses, one after the other')"

# The middle one is over a part of the large one, which is then there again.
names() {
  grep -oE '(first|second)_touch\b' "$work/err" | tr '\n' ' '
}
pages() {
  sed -nE "s/.*\"site\":([0-9]+).*\"function\":\"$1_touch\".*/\1/p" "$work/err" | while read -r site; do
    echo $((site >> 12))
  done | sort -u
}
for _ in 1 2 3 4 5 6; do
  watch --json counter -- "$loaded" 2 "$large" "$middle"
  page=$(pages middle)
  [ -z "$page" ] || [ "$page" != "$(pages large)" ] || break
  page=
done
if [ -n "$page" ]; then
  check "a library over a part of another one" "0 large middle large middle " \
    "$status $(sed -nE 's/.*"function":"([a-z]*)_touch".*/\1/p' "$work/err" | tr '\n' ' ')"
else
  echo "SKIP a library over a part of another one: they are not at the same addresses"
fi

# A child's libraries are not its parent's.
watch counter -- "$loaded" child "$first" "$second"
check "a child that is not followed" "0 first_touch " "$status $(names)"
may='its children have had .* at the same addresses'
watch --follow counter -- "$loaded" child "$first" "$second"
check "a child" "0 first_touch second_touch first_touch 0" "$status $(names)$(lines "$may")"
watch --follow counter -- "$loaded" parent "$first" "$second"
if [ "$(cat "$work/out")" = same ]; then
  check "a child whose library its parent has replaced" "0 second_touch 1" \
    "$status $(names | cut -d' ' -f 1) $(lines "$may")"
else
  echo "SKIP a child whose library its parent has replaced: they are not at the same addresses"
fi

# More than there is room for.
watch -o "$work/report" counter -- "$loaded" 150 "$first" "$second"
check "code that is mapped too often" "0 $(is_same)" \
  "$status $(lines 'has mapped code more than 256 times')"
check "and each line is there" 300 "$(wc -l < "$work/report")"

# Its file is not there any more.
cp "$first" "$work/library.so"
watch --count counter -- "$loaded" -1 "$work/library.so"
check "a library that was deleted" "0 1" "$status $(lines '^ +0 +1  counter  \?: \?$')"
cp "$first" "$work/library.so"
watch -o "$work/mapped" counter -- "$loaded" deleted "$work/library.so" "$work/mapped"
check "a library that was deleted, and is still mapped" "0 1" \
  "$status $(grep -cE ' library\.so \(deleted\)\+0x[0-9a-f]+: \?: ' "$work/mapped")"
check_end
