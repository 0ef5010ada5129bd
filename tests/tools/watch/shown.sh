#!/usr/bin/env bash
# shown.sh SEGUE CALLERS COUNTER [SHOP]: what `segue watch` shows beside lines: callers, a map, a table on a terminal;
# and names of C++.
set -uo pipefail
. "$(dirname "$0")/../../support/check.sh"
segue=$1
callers=$2
counter=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

watch() {
  status=0
  timeout 60 "$segue" watch "$@" > "$work/out" 2> "$work/err" || status=$?
}

# The functions of the callers of each line, in one line.
chains() {
  sed -E '/ by /!s/.* (writes|updates) .*/|/; s/^ *by ([A-Za-z_]*).*/\1/' "$work/err" | tr '\n' ' ' | sed 's/|/\n/g'
}

watch --backtrace shared -- "$callers" 2
check "the program's status and output" "5 87" "$status $(cat "$work/out")"
check "three accesses" 3 "$(grep -c 'shared (8 bytes)' "$work/err")"
check "callers" " middle middle middle outer work" "$(chains | sed -n 2p | sed -E 's/( work).*/\1/')"
check "callers of a system call" yes "$(chains | sed -n 3p | has 'by_a_call main' && echo yes || chains)"
check "callers behind a signal" yes "$(chains | sed -n 4p | has '^ on_signal __restore_rt' && echo yes || chains)"
line=$(grep -n 'return middle(depth) + 1' "$(dirname "$0")/callers.c" | cut -d: -f1)
check "the line of a call" yes "$(has " by outer+0x[0-9a-f]* (callers.c:$line)$" < "$work/err" && echo yes)"
watch --backtrace=2 --limit 1 shared -- "$callers" 40
check "as many as are wanted" 2 "$(grep -c '^ *by ' "$work/err")"
watch --backtrace=256 --limit 1 shared -- "$callers" 40
check "all of a deep chain" "41 1" "$(grep -c ' by middle' "$work/err") $(grep -c ' by work' "$work/err")"
watch --backtrace=256 --limit 1 shared -- "$callers" 200
check "as much as is kept of a deeper one" "0 yes" \
  "$(grep -c ' by work' "$work/err") $([ "$(grep -c ' by middle' "$work/err")" -gt 5 ] && echo yes)"
watch --backtrace --json --limit 1 shared -- "$callers" 1
check "callers as JSON" yes "$(has '"callers":\["middle+0x[^"]*","middle+0x[^"]*","outer+0x[^"]*","work' < "$work/err" \
  && echo yes || cat "$work/err")"
watch --backtrace=0 shared -- "$callers"
check "no callers" "2 1" "$status $(grep -c -- '--backtrace wants a number of callers from 1 to 256' "$work/err")"

# A program of one thread, which sleeps most of the time. It has a minute; once it handles SIGUSR1 (10), it is there.
if can_attach '--backtrace with --pid'; then
  "$callers" 1 600 > "$work/out" &
  running=$!
  until [ "/proc/$running/exe" -ef "$callers" ] && grep -q '^SigCgt:.*[2367abef]..$' "/proc/$running/status"; do
    sleep 0.05
  done
  status=0
  timeout 60 "$segue" watch --backtrace --limit 1 --pid "$running" shared 2> "$work/err" || status=$?
  kill "$running"
  check "callers in a program that runs already" "0  main" "$status $(chains | sed -n 2p | sed -E 's/^( main).*/\1/')"
fi

# named TARGET...: what is accessed, and the values, of a program of C++.
named() {
  "$segue" watch "$@" -- "$shop" 2>&1 | sed -E 's/.*(writes|updates) //; s/^segue watch: //'
}
shop=${4:-}
if [ -n "$shop" ]; then
  check "in a namespace" "shop::counter (4 bytes): 0 -> 1" "$(named shop::counter)"
  check "without it" "counter (4 bytes): 0 -> 1" "$(named counter)"
  check "mangled" "_ZN4shop7counterE (4 bytes): 0 -> 1" "$(named _ZN4shop7counterE)"
  check "of a class" "cart::total (8 bytes): 0 -> 5" "$(named cart::total)"
  check "a part" "shop::stats.served (8 bytes): 0 -> 2" "$(named shop::stats.served)"
  check "without a name's namespace" "hidden (4 bytes): 0 -> 3" "$(named hidden)"
  check "in a function" "calls (4 bytes): 0 -> 4" "$(named calls)"
  check "one of two" "bank::account (4 bytes): 0 -> 1" "$(named bank::account)"
  check "two" "'account' is several variables" "$(named account | cut -d: -f1)"
  check "near" "there is no variable 'conter'; did you mean counter?" "$(named conter)"
  watch counter -- "$shop"
  check "functions" "shop::cart::add+" "$(sed -E 's/.*(shop::cart::add.).*/\1/' "$work/err")"
fi

if command -v gnuplot > "$work/where"; then
  watch --heat "$work/map.png" counter neighbours -- "$counter"
  check "a map" "3 PNG " "$status $(head -c 4 "$work/map.png" | tail -c 3) $(cat "$work/err")"
  check "of the size that is said" "1200 800" "$(od -An -j16 -N8 -tu1 "$work/map.png" | awk '{
    print ($1 * 256 + $2) * 65536 + $3 * 256 + $4, ($5 * 256 + $6) * 65536 + $7 * 256 + $8 }')"
  watch --heat "$work/none.png" totals.is -- "$counter"
  check "no map of nothing" "1 no" "$status $([ -e "$work/none.png" ] && echo yes || echo no)"
  # Nothing is accessed.
  watch --heat "$work/empty.png" --thread nobody counter -- "$counter"
  check "an empty map" "3 PNG" "$status $(head -c 4 "$work/empty.png" | tail -c 3)"
fi
mkdir "$work/bin"
status=0
PATH="$work/bin" "$segue" watch --heat "$work/map2.png" counter -- "$counter" > "$work/out" 2> "$work/err" || status=$?
check "without gnuplot" "1 1 no" \
  "$status $(grep -c 'install gnuplot-nox' "$work/err") $([ -e "$work/map2.png" ] && echo yes || echo no)"
watch --heat "$work/none/map.png" counter -- "$counter"
check "a map that cannot be written" "1 0" "$status $(wc -l < "$work/out")"

# A terminal of 24 lines. The program takes more than a second, and writes elsewhere.
terminal() {
  status=0
  TERM=xterm timeout 60 script -qec "stty rows 24 cols 60; $*" "$work/typed" > "$work/shown" < /dev/null || status=$?
}
if command -v script > "$work/where"; then
  unset NO_COLOR
  terminal "'$segue' watch --count shared -- '$callers' 1 12 > '$work/out'"
  escape=$(printf '\033') return=$(printf '\r')
  check "drawn in the same place" yes "$(has "$escape\\[[0-9]F$escape\\[J" < "$work/shown" && echo yes)"
  check "with a bold heading" yes "$(has "$escape\\[1m *reads" < "$work/shown" && echo yes)"
  check "cut at the edge" yes "$(grep -E '^.{60}$' "$work/shown" | has -E "^ +[0-9]+ [^$escape]*$return$" && echo yes)"
  check "once at the end" 1 "$(grep -c 'shared  leaf.*: add.*\], r' "$work/shown")"
  NO_COLOR=1 terminal "'$segue' watch --count shared -- '$callers' 1 12 > '$work/out'"
  check "without colours" "0 yes" \
    "$(grep -c "$escape\\[1m" "$work/shown") $(has 'reads' < "$work/shown" && echo yes)"
  terminal "'$segue' watch --count shared -- '$callers' 1 12"
  check "not where the program writes" 0 "$(grep -c "$escape" "$work/shown")"
  terminal "TERM=dumb '$segue' watch --count shared -- '$callers' 1 12 > '$work/out'"
  check "not on a terminal without a cursor" 0 "$(grep -c "$escape" "$work/shown")"
fi

check_end
