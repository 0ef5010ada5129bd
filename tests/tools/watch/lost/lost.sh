#!/usr/bin/env bash
# lost.sh SEGUE LOST: a record that was begun by a thread that was killed (lost.c): what came behind it is reported, and
# `segue watch` says that one is missing.
set -uo pipefail
. "$(dirname "$0")/../../../support/check.sh"
segue=$1
lost=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

status=0
timeout 60 "$segue" watch --follow -o "$work/report" counter -- "$lost" 2> "$work/err" || status=$?
check "the program's status" 0 "$status"
check "the writes before and behind it" "0 -> 1;1 -> 2" "$(sed 's/.*: //; s/0x//g' "$work/report" | paste -sd';')"
check "what is missing" \
  "segue watch: 1 access could not be reported: the thread that made it was killed meanwhile" "$(cat "$work/err")"
check_end
