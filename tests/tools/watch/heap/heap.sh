#!/usr/bin/env bash
# heap.sh SEGUE PARTS TOO_MANY BLOCKS OWN [MADE]: blocks of the heap under `segue watch`, by size and by function: as
# many accesses as the program itself counts (blocks.c, made.cpp). PARTS and TOO_MANY: parts.c, at the limit and beyond.
set -uo pipefail
. "$(dirname "$0")/../../../support/check.sh"
segue=$1
parts=$2
too_many=$3
blocks=$4
own=$5
made=${6:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# watch ARGUMENT...: output, report and status in $work/out, $work/err and $status.
watch() {
  status=0
  timeout 60 "$segue" watch "$@" > "$work/out" 2> "$work/err" || status=$?
}

shows() {
  grep -q -e "$1" "$work/err" && echo yes
}

# said KIND: what the program has counted.
said() {
  sed -n "s/^$1 //p" "$work/out"
}

# The lines of the program's own accesses, and not the C library's to what it has allocated for itself.
own_lines() {
  grep -cE " (touch|touch_freed|grow_lists|fork_child)(\+0x[0-9a-f]+)? \(blocks.c:" "$work/err"
}

sum_of_counts() {
  grep -E " (touch|touch_freed|grow_lists|fork_child)(\+0x[0-9a-f]+)? \(blocks.c:" "$work/err" |
    awk '{ sum += $1 + $2 } END { print sum + 0 }'
}

native=$("$blocks")
watch --read --write heap:48 -- "$blocks"
check "the program's output" "$native" "$(cat "$work/out")"
check "its status" 0 "$status"
check "by size: each access once" "$(said 48)" "$(own_lines)"
check "with its block" "$(own_lines)" \
  "$(grep -cE ': (reads|writes) block [0-9]+(\+[0-9]+)? \(8 bytes of 48, allocated by ' "$work/err")"
check "and who has allocated it" yes "$(shows ', allocated by xmalloc+0x[0-9a-f]* (blocks.c:[0-9]*)): ')"
check "in threads" yes "$([ "$(sed -E 's,.*/([0-9]+) touch.*,\1,' "$work/err" | sort -u | wc -l)" -ge 5 ] && echo yes)"

watch --read --write --follow --json heap:48 -- "$blocks" freed
check "with the child's" $(($(said 48) + $(said child))) \
  "$(grep -cE '"where":"(touch|touch_freed|grow_lists|fork_child).*"target":"heap:48"' "$work/err")"
check "a freed block's place waits" right "$(tail -n 1 "$work/out")"
check "freed blocks" "$(said freed)" "$(grep -c '"block_state":"freed"' "$work/err")"
check "JSON" yes "$(shows '"block":[0-9]*,"block_address":[0-9]*,"block_size":48,"allocated_by":"xmalloc')"
watch --read heap:48 -- "$blocks" freed
check "are named" 1 "$(grep -c ': reads freed block [0-9]*+24 (8 bytes of 48, ' "$work/err")"
watch --count --read --write heap:48 -- "$blocks"
check "counted, with the child's" $(($(said 48) + $(said child))) "$(sum_of_counts)"
check "the program's output" "$native" "$(cat "$work/out")"

for kind in node:make_node list:make_list jump:make_by_jump; do
  watch --read --write "heap@${kind#*:}" -- "$blocks"
  check "by ${kind#*:}: each access once" "$(said "${kind%:*}")" "$(own_lines)"
  check "by ${kind#*:}: who" "$(own_lines)" "$(grep -c ", allocated by ${kind#*:}+" "$work/err")"
done
watch --read --write heap:56-57 heap@make_list -- "$blocks"
check "several targets" "yes yes" \
  "$(shows ' of 56, allocated by ') $(shows ' of 100000, allocated by make_list')"
watch --write --if 'new == 3' --limit 5 --backtrace heap:48 -- "$blocks"
check "a condition" 5 "$(grep -c ': writes block .* -> 0x3$' "$work/err")"
check "callers" yes "$(shows ' by work+0x')"
check "the program's output" "$native" "$(cat "$work/out")"

watch heap:48 -- "$blocks" freed twice
check "a block that is freed twice" 134 "$status"
check "is said" yes "$(shows 'a block that was watched is freed twice')"

watch heap:1073741824 -- "$blocks" huge1
check "a block that is too large" "0 yes" "$status $(shows ': 1 block is not watched: it is of 1 GiB or more')"
watch heap:1073741824 -- "$blocks" huge2
check "two of them" "0 yes" "$status $(shows ': 2 blocks are not watched: they are of 1 GiB or more')"

if [ -n "$made" ]; then
  watch --read --write heap@shop::Cart::make -- "$made"
  check "operator new" "$(cut -d' ' -f1 "$work/out")" "$(wc -l < "$work/err")"
  check "is its caller's" "$(wc -l < "$work/err")" "$(grep -c ' of 56, allocated by shop::Cart::make+' "$work/err")"
  watch heap@make_inlined -- "$made"
  check "an inlined function" 1 "$(grep -c ': writes block 1+32 (8 bytes of 40, allocated by main+' "$work/err")"
fi

# refuses TEXT ARGUMENT...
refuses() {
  local text=$1
  shift
  watch "$@"
  check "$text: refused" 1 "$((status != 0))"
  check "$text: nothing was run" "" "$(cat "$work/out")"
  check "$text: said" yes "$(grep -qF -- "$text" "$work/err" && echo yes || cat "$work/err")"
}

refuses "'heap:0' is not heap:SIZE" heap:0 -- "$blocks"
refuses "'heap:abc' is not heap:SIZE" heap:abc -- "$blocks"
refuses "'heap:48-40' is not heap:SIZE" heap:48-40 -- "$blocks"
refuses "heap@make_nod: there is no function 'make_nod'; did you mean make_node?" heap@make_nod -- "$blocks"
refuses "heap@: the name of a function is missing" heap@ -- "$blocks"
refuses "the program has not loaded a file 'libx.so'" heap@libx.so:make -- "$blocks"
refuses "did you mean heap:SIZE or heap@FUNCTION" heap -- "$blocks"
refuses "the functions of heap@FUNCTION have more than 4096 parts in all; ask for fewer" heap@make -- "$too_many"
watch heap@make -- "$parts"
check "a function of 4096 parts" "0 1" "$status $(grep -c ' main+.*: writes block 1 ' "$work/err")"
refuses "exclude --pid" --pid $$ heap:48
refuses "exclude --heat" --heat "$work/map.png" heap:48 -- "$blocks"
refuses "it has an allocator of its own" heap:48 -- "$own"

# A program waits for input: what it has done is in the file, for whoever reads along.
mkfifo "$work/in"
timeout 60 "$segue" watch -o "$work/report" heap:131072-140000 -- cat < "$work/in" > "$work/out" 2> "$work/err" &
exec 7> "$work/in"
echo word >&7
for _ in {1..500}; do
  [ -s "$work/report" ] && break
  sleep 0.1
done
check "the report while the program waits" yes "$([ -s "$work/report" ] && echo yes)"
exec 7>&-
wait $!
check "the program that waited" "0 word" "$? $(cat "$work/out")"

check_end
