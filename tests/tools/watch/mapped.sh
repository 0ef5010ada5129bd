#!/usr/bin/env bash
# mapped.sh SEGUE MAPPED: `segue watch` of memory whose mappings the program changes (mapped.c).
set -uo pipefail
. "$(dirname "$0")/../../support/check.sh"
segue=$1
mapped=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

run() {
  status=0
  timeout 60 "$segue" watch -o "$work/report" "$@" -- "$mapped" > "$work/out" 2> "$work/err" || status=$?
}

if ! "$segue" doctor 2> "$work/err" | has 'syscall_user_dispatch  *yes'; then
  echo 'SKIP: no system calls are caught here'
  exit 77
fi

run area
check "the program's status" "0 done" "$status $(cat "$work/err")"
sed -E 's/.*: (writes|moves|ends) /\1 /; s/ to 0x[0-9a-f]*$//' "$work/report" > "$work/seen"
check "each access and each change" "" "$(diff "$work/out" "$work/seen" 2>&1)"
check "which calls" "mremap munmap mmap mprotect" \
  "$(sed -nE 's/.*: system call ([a-z]*): (moves|ends).*/\1/p' "$work/report" | paste -sd' ')"

run --json --limit 1 area
check "JSON" "0 1" "$status $(grep -c . "$work/report")"
run --json area
check "changes as JSON" "1 3" \
  "$(grep -c '"access":"moves","to":' "$work/report") $(grep -c '"access":"ends the watch of"' "$work/report")"

run --count area
check "counts" "0 4" "$status $(grep -c 'system call' "$work/report")"
check_end
