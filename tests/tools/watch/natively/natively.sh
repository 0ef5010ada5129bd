#!/usr/bin/env bash
# natively.sh SEGUE COUNTER PROGRAM...: programs do under `segue watch` what they do without it; each has a variable
# `watched`. And the command works with a small stack.
set -uo pipefail
. "$(dirname "$0")/../../../support/check.sh"
segue=$(realpath "$1")
counter=$(realpath "$2")
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if ! "$segue" doctor 2> "$work/err" | has 'syscall_user_dispatch  *yes'; then
  echo 'SKIP: no system calls are caught here'
  exit 77
fi

# CAP_IPC_LOCK (14): root in a container may lack it.
capabilities=$(sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status)
for program; do
  name=${program##*/}
  # The limit counts the library's addresses, too.
  if [ "$name" = locked ] && ((!(0x$capabilities >> 14 & 1))); then
    echo "SKIP: $name: without CAP_IPC_LOCK the limit for locked memory counts"
    continue
  fi
  "$program" > "$work/natively"
  native=$?
  timeout 60 "$segue" watch -o "$work/report" watched -- "$program" > "$work/out" 2> "$work/err"
  check "$name: its status" "$native 0" "$? $native"
  check "$name: what it prints" "" "$(diff "$work/natively" "$work/out" 2>&1; cat "$work/err")"
  # Its last line says how often it writes there.
  check "$name: the accesses" "$(tail -n 1 "$work/natively")" "$(grep -Ec ': (writes|updates) watched' "$work/report")"
done

# Of a program that needs none itself.
small() {
  status=0
  (ulimit -s 64 && timeout 60 "$segue" "$@") > "$work/out" 2> "$work/err" || status=$?
}
small watch --backtrace counter -- "$counter" 1
check "watch with a small stack" "3 -1 800 0 801" "$status $(cat "$work/out") $(grep -c '^ .*/' "$work/err")"
small watch --count counter -- "$counter" 1
check "counts with a small stack" "3 yes" "$status $(has '  counter ' < "$work/err" && echo yes)"
small explain "$counter:main"
check "explain with a small stack" "0 yes" "$status $(has ret < "$work/out" && echo yes)"
small explain -:main < "$counter"
check "explain with a small stack, from its input" "0" "$status"
small corpus build -o "$work/rows" "$counter"
check "corpus build with a small stack" "0" "$status"
small corpus check "$work/rows"
check "corpus check with a small stack" "0" "$status"
for words in doctor demo 'help watch' "patch --dry-run $counter" "run $counter 1"; do
  # shellcheck disable=SC2086
  small $words
  check "${words%% *} with a small stack" "yes" "$([ $status -le 3 ] && echo yes || echo "$status")"
done
check_end
