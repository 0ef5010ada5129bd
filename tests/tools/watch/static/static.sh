#!/usr/bin/env bash
# static.sh SEGUE STATIC STATIC_PIE FACTS FACTS_PIE POINTER WORDS: `segue watch` of programs that are linked
# statically: each access is reported once, with the right value, and the program finds what it finds natively.
set -uo pipefail
. "$(dirname "$0")/../../../support/check.sh"
segue=$(readlink -f "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# watch ARGUMENT...: output, report and status in $work/out, $work/err and $status.
watch() {
  status=0
  timeout 60 "$segue" watch "$@" > "$work/out" 2> "$work/err" || status=$?
}

for program in "$2" "$3"; do
  name=$(basename "$program")
  watch counter -- "$program"
  check "$name: status and output" "3 800 800 0" "$status $(cat "$work/out")"
  check "$name: a line for each access" 800 "$(grep -c ': updates counter (8 bytes): [^ ]* -> [^ ]*$' "$work/err")"
  check "$name: no other line" 800 "$(wc -l < "$work/err")"
  check "$name: each value once" 800 "$(sed 's/.* //' "$work/err" | sort | uniq | wc -l)"
  check "$name: threads by number" 8 "$(sed -E 's,.*/([0-9]+) .*,\1,' "$work/err" | sort -u | wc -l)"
  watch --count counter neighbours -- "$program"
  check "$name: counts" "800 800 counter 800 800 neighbours" \
    "$(awk '$1 == 800 { print $1, $2, $3 }' "$work/err" | sort | paste -sd' ')"
  watch --follow --change -o "$work/file" counter -- "$program" 1 2
  check "$name: a child" "802 0xffffffffffffffff -> 0x32" \
    "$(wc -l < "$work/file") $(tail -1 "$work/file" | sed 's/.*): //')"
  watch --limit 1 counter -- "$program" 1 2 3
  check "$name: the environment is its own" "-1 800 0 without" "$(paste -sd' ' "$work/out")"
  watch --follow -o "$work/file" counter -- "$program" 1 2 3 4 5 6
  check "$name: children that are killed" "3 killed" "$status $(cat "$work/out")"
done

for program in "$(readlink -f "$4")" "$(readlink -f "$5")"; do
  name=$(basename "$program")
  (cd "$work" && HOME=/somewhere timeout 60 "$program" one two > native)
  (cd "$work" && HOME=/somewhere timeout 60 "$segue" watch --follow -o file counter -- "$program" one two > out) \
    2> "$work/err"
  check "$name: status" 5 "$?"
  check "$name: what it finds" "$(cat "$work/native")" "$(cat "$work/out")"
  check "$name: nothing else is said" "" "$(cat "$work/err")"
  (cd "$work" && HOME=/somewhere timeout 60 "$program" one two > native)
  (cd "$work" && HOME=/somewhere timeout 60 "$segue" watch --backtrace -o stacks counter -- "$program" one two \
    > out 2> err)
  check "$name: the events' stacks are kept on a small stack" "$(cat "$work/native")" "$(cat "$work/out" "$work/err")"
  check "$name: each access, also of children" 424 "$(grep -c 'counter (8 bytes)' "$work/file")"
  check "$name: a child's" 2 "$(grep -c '0xf4240 -> 0xf4241$\|1000000 -> 1000001$' "$work/file")"
done

# The interpreter of a script is what is run.
printf '#!%s\n' "$2" > "$work/script"
chmod +x "$work/script"
watch --limit 1 counter -- "$work/script"
check "a script" "1 -1 800 0" "$(wc -l < "$work/err") $(cat "$work/out")"

watch counter -- "$7"
check "words that the kernel clears, and registers" "4 joined, 0 others, counter 4" "$(cat "$work/out")"

watch counter -- "$6"
check "another thread pointer ends it" 1 "$status"
check "which is said" yes \
  "$(grep -qF "its program header does not describe" "$work/err" && echo yes || cat "$work/err")"

watch heap:48 -- "$2"
check "heap blocks are refused" "1 yes" "$status $(grep -qF 'allocator cannot be seen' "$work/err" && echo yes)"
watch '*counter' -- "$2"
check "a number is no pointer" "" "$(cat "$work/out")"

check_end
