#!/usr/bin/env bash
# run_calls.sh SOURCE: docs/run.md lists the system calls of tools/run/syscalls/calls.inc, each under what the host
# does.
set -uo pipefail
. "$(dirname "$0")/../support/check.sh"
cd "$1" || exit 1
table=tools/run/syscalls/calls.inc page=docs/run.md

# The calls of the table whose service is one of `does`, `leads` or `none`, sorted.
of_table() {
    awk -F'[(), ]+' -v wanted="$1" '
        /^CALL\(/ {
            kind = $5 == "NULL" ? "none" : $5 ~ /(^|_)lead(_|$)/ ? "leads" : "does"
            if (kind == wanted) print $2
        }' "$table" | sort
}
# The calls in the row of the page's table that begins so, sorted.
of_page() {
    grep -F "| $1 |" "$page" | cut -d'|' -f3 | grep -oE '`[a-z0-9_]+`' | tr -d '`' | sort
}

rows=$(grep -c '^CALL(' "$table")
check "the table has rows" yes "$([ "$rows" -ge 40 ] && echo yes)"
check "no call has two rows" "" "$(grep -oE '^CALL\([a-z0-9_]+' "$table" | sort | uniq -d)"
check "each row is of one kind" "$rows" "$({ of_table does; of_table leads; of_table none; } | wc -l)"
check "the host emulates" "$(of_table does)" "$(of_page 'emulates the call')"
check "another argument" "$(of_table leads)" "$(of_page 'passes it on with another argument')"
check "something before" "$(of_table none)" "$(of_page 'prepares for it, and passes it on unchanged')"

check_end
