#!/bin/sh
# sigsegv.sh THEIRS OURS: programs for GNU libsigsegv end and print alike with that library and with ours in its place.
set -u
. "$(dirname "$0")/../support/check.sh"
theirs=$("$1") ours=$("$2")
check 'cases' 7 "$(printf '%s\n' "$ours" | grep -c '^status')"
check 'what they print' "$theirs" "$ours"
check_end
