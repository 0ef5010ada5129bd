#!/usr/bin/env bash
# watch.sh SEGUE COUNTER STRIPPED SPAWNED: `segue watch`, by what it prints of small programs
# (counter.c, spawned.c).
set -uo pipefail
. "$(dirname "$0")/../../support/check.sh"
segue=$1
counter=$2
stripped=$3
spawned=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# watch ARGUMENT...: output, report and status in $work/out, $work/err and $status.
watch() {
  status=0
  timeout 60 "$segue" watch "$@" > "$work/out" 2> "$work/err" || status=$?
}

# refuses TEXT ARGUMENT...
refuses() {
  local text=$1
  shift
  watch "$@"
  check "$text: refused" yes "$([ "$status" != 3 ] && echo yes)"
  check "$text: nothing was run" "" "$(cat "$work/out")"
  check "$text: said" yes "$(grep -qF -- "$text" "$work/err" && echo yes || cat "$work/err")"
}

watch counter -- "$counter"
check "the program's status" 3 "$status"
check "the program's output" "800 800 0" "$(cat "$work/out")"
check "a line for each access" 800 "$(grep -c ': updates counter (8 bytes): [0-9]* -> [0-9]*$' "$work/err")"
check "no other line" 800 "$(wc -l < "$work/err")"
check "each value once" 800 "$(sed 's/.* //' "$work/err" | sort -n | uniq | wc -l)"
check "function, file and line" yes "$(grep -q ' work+0x[0-9a-f]* (counter.c:[0-9]*): ' "$work/err" && echo yes)"
check "instruction" yes "$(grep -q ': lock .*\[' "$work/err" && echo yes)"
check "threads by number" 8 "$(sed -E 's,.*/([0-9]+) .*,\1,' "$work/err" | sort -u | wc -l)"

watch --if 'new < old' counter -- "$counter" 1
check "a condition" "1 800 -> -1" "$(wc -l < "$work/err") $(sed 's/.*: //' "$work/err")"
check "who it was" yes "$(grep -q ' reset' "$work/err" && echo yes)"

watch --read --write totals.requests 'totals.lines[1].load' 'totals.lines[0].bytes' -- "$counter"
check "parts, with their types" "writes totals.requests (4 bytes): 0 -> 1
reads totals.lines[1].load (8 bytes): 0
writes totals.lines[1].load (8 bytes): 0 -> 0.5
writes totals.lines[0].bytes (8 bytes): 0 -> 7" "$(sed -E 's/.*: (reads|writes) /\1 /' "$work/err")"
watch '*all' -- "$counter"
check "what a pointer leads to" "*all *all+8 *all+32" \
  "$(sed -E 's/.*: (reads|writes) ([^ ]*) .*/\2/' "$work/err" | sort -V | paste -sd' ')"

watch --count counter neighbours -- "$counter"
check "counts" "800 800 counter
800 800 neighbours" "$(awk '$1 == 800 { print $1, $2, $3 }' "$work/err" | sort)"
check "counted and not slowed" "800 800 0" "$(cat "$work/out")"

watch --json --limit 5 counter -- "$counter"
check "JSON lines" 5 "$(grep -c '^{"time":.*"target":"counter".*"old":"[0-9]*","new":"[0-9]*"}$' "$work/err")"
check "the program goes on" "800 800 0" "$(cat "$work/out")"
watch --change -o "$work/file" counter -- "$counter" 1 2
check "a file" 801 "$(grep -c 'counter (8 bytes)' "$work/file")"
check "nothing but that" "" "$(cat "$work/err")"
watch --follow --change -o "$work/file" counter -- "$counter" 1 2
check "and a child" "-1 -> 50" "$(tail -1 "$work/file" | sed 's/.*): //')"

address=$(nm "$stripped.full" | awk '$3 == "counter" { print $1 }')
watch --limit 2 "0x$address:8" -- "$stripped"
check "addresses" "0x$address:8 (8 bytes): 0x1 -> 0x2" "$(tail -1 "$work/err" | sed 's/.*updates //')"

watch --limit 1 counter -- env -i A=B "$counter"
check "what cannot be found" yes "$(grep -q "there is no variable 'counter'" "$work/err" && echo yes)"
watch --limit 1 counter -- "$counter" 1 2 3
check "the environment is the program's own" "-1 800 0
without" "$(cat "$work/out")"

watch --json --limit 100 counter -- "$counter" 1 2 3 4
check "a thread's name that is not UTF-8" "100 40000" \
  "$(grep -c '"thread_name":"caf\\\\xe9' "$work/err") $(cat "$work/out")"
watch --limit 100 counter -- "$counter" 1 2 3 4
check "and has a control character" "100 0" \
  "$(grep -cF " \$'caf\\xe9\\x1b[7m'/" "$work/err") $(grep -c "$(printf '\033')" "$work/err")"

watch --follow -o "$work/file" counter -- "$counter" 1 2 3 4 5 6
check "children that are killed" "3 killed" "$status $(cat "$work/out")"

check "and are there no more" "" "$(grep -v "could not be reported: the threads\? that made" "$work/err")"
mkfifo "$work/wait"
exec 9<> "$work/wait"
watch --follow -o "$work/file" counter -- "$counter" 1 2 3 4 5 6 7 < "$work/wait" 9>&-
check "a child that goes on" "3 1" "$status $(grep -c 'children that it made by fork go on' "$work/err")"
watch -o "$work/file" counter -- "$counter" 1 2 3 4 5 6 7 < "$work/wait" 9>&-
check "is not asked for" "3 " "$status $(cat "$work/err")"
exec 9>&-

native=$("$spawned")
watch --count --read --write attributes actions words -- "$spawned"
check "what is read with all signals blocked, and the program's own mask" "$native" "$(cat "$work/out")"
check "by the child, too" yes "$(grep -q ' attributes .*__spawni_child' "$work/err" && echo yes || cat "$work/err")"

# The program goes on without a reader of the report.
status=0
timeout 60 "$segue" watch counter -- "$counter" 1 2 3 4 2>&1 > "$work/out" | head -1 > "$work/err"
# What the program writes at its end; a loaded machine has its time.
wait_for_output() {
  for ((i = 0; i < 600; i++)); do [ -s "$work/out" ] && break || sleep 0.1; done
}
wait_for_output
check "a report into a closed pipe" "1 40000" "$(wc -l < "$work/err") $(cat "$work/out")"
status=0
(
  ulimit -S -f 1
  timeout 60 "$segue" watch -o "$work/file" counter -- "$counter" 1 2 3 4 > "$work/out" 2> "$work/err"
) || status=$?
check "a report that is too long" "1 40000" "$status $(cat "$work/out")"
check "is said" yes "$(grep -q 'could not be written: File too large' "$work/err" && echo yes || cat "$work/err")"
mkfifo "$work/fifo"
exec 9<> "$work/fifo"
"$segue" watch -o "$work/fifo" counter -- "$counter" 1 2 3 4 > "$work/out" 2> "$work/err" &
command=$!
# No one reads on: it comes to sleep in a write, and was not awake meanwhile. Then the program waits for places in the
# queue: it sleeps again and again.
switches() {
  sed -n 's/^voluntary_ctxt_switches:[[:space:]]*//p' "/proc/$1/status"
}
read -r line <&9
program=$(pgrep -P $command)
before=
while now=$(grep -E '^State|ctxt' /proc/$command/status); [[ $now != "$before" || $now != *sleeping* ]]; do
  before=$now
  sleep 0.2
done
before=$(switches "$program")
until [ "$(switches "$program")" -gt $((before + 10)) ]; do sleep 0.05; done
kill -KILL $command
wait $command 2> "$work/err"
wait_for_output
check "the command is killed" 40000 "$(cat "$work/out")"
exec 9>&-

refuses "the array has 2 elements" 'totals.lines[18446744073709551615].bytes' -- "$counter"
refuses "the array has 2 elements" 'totals.lines[1152921504606846976].bytes' -- "$counter"
refuses "did you mean counter?" countr -- "$counter"
refuses "there is no member 'request'" totals.request -- "$counter"
refuses "bit field" totals.is_open -- "$counter"
refuses "the array has 2 elements" 'totals.lines[2]' -- "$counter"
refuses "the array has 3 elements" 'grid[3]' -- "$counter"
refuses "the array has 2 elements" 'grid[1][2]' -- "$counter"
refuses "what is indexed is not an array" 'grid[1][1][0]' -- "$counter"
watch 'grid[1]' 'grid[2][0]' -- "$counter"
check "a row, and an element of another" "2 1 1" \
  "$(wc -l < "$work/err") $(grep -c ': writes grid\[1\]+4 (4 bytes): 0 -> 4$' "$work/err") $(
    grep -c ': writes grid\[2\]\[0\] (4 bytes): 0 -> 3$' "$work/err"
  )"
refuses "an index is a number" 'totals.lines[x]' -- "$counter"
refuses "it belongs to nothing with members" counter.x -- "$counter"
refuses "what is indexed is not an array" 'counter[0]' -- "$counter"
refuses "not a pointer" '*counter' -- "$counter"
refuses "'main' is a function" main -- "$counter"
refuses "'per_thread' is thread-local" per_thread -- "$counter"
refuses "'12' is not ADDRESS:SIZE" 12 -- "$counter"
refuses "no memory is mapped" 16:8 -- "$counter"
for range in 0:8 0xffffffffffffffff:8 0x100000000000000:1 0xfffffffffffff8:16; do
  refuses "$range: no program has memory there" "$range" -- "$counter"
done
# With five levels of paging a program may have memory there.
refuses "memory" 0x7ffffffff000:8 -- "$counter"
watch_little() {
  (ulimit -v 200000 && timeout 60 "$segue" watch counter -- "$counter") > "$work/out" 2> "$work/err"
  check "too few addresses" "1 1" "$? $(grep -c 'cannot be watched: .*(ulimit -v)' "$work/err")"
}
watch_little
refuses "of which SIZE is at least 1" 16:0 -- "$counter"
refuses "has not loaded a file 'libx.so'" libx.so:x -- "$counter"
refuses "the C library's own" libc.so.6:environ -- "$counter"
refuses "is it stripped?" counter -- "$stripped"
refuses "there is no such program" counter -- "$work/none"
refuses "cannot be run: Permission denied" counter -- "$(dirname "$0")/counter.c"
refuses "a program is missing" counter
refuses "a TARGET is missing" -- "$counter"
refuses "options come first" counter --json -- "$counter"
refuses "--if wants a comparison" --if 'new' counter -- "$counter"
refuses "--limit wants a number" --limit 0 counter -- "$counter"
refuses "counted without a look at its value" --count --if 'new > 1' counter -- "$counter"
refuses "cannot be written" -o "$work/none/file" counter -- "$counter"

check_end
