#!/usr/bin/env bash
# sites.sh SEGUE READER FORBID: `segue watch` where there is no syscall user dispatch: a filter (forbid.c) answers by
# EINVAL, as a kernel before 5.11, or by EPERM or ENOSYS. Calls are caught all the same, by their sites.
set -uo pipefail
. "$(dirname "$0")/../../../support/check.sh"
segue=$1
reader=$2
forbid=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for error in 22 1 38; do
  status=0
  echo -n hello | timeout 60 "$forbid" "$error" "$segue" watch -o "$work/report" shared -- "$reader" \
    > "$work/out" 2> "$work/err" || status=$?
  check "$error: the program's status" 0 "$status"
  check "$error: its output" "5 hello" "$(cat "$work/out")"
  check "$error: nothing is complained of" "" "$(cat "$work/err")"
  check "$error: the call is seen" 1 "$(grep -c 'system call read: writes shared' "$work/report")"
  check "$error: so is the instruction" 1 "$(grep -c ' main+.*: writes shared+16 (8 bytes): 0 -> 0x5$' "$work/report")"
done
"$forbid" 22 "$segue" doctor > "$work/out" 2>&1
check "doctor" yes "$(grep -q 'call_sites  *yes  *used by' "$work/out" && echo yes || grep call_sites "$work/out")"
check_end
