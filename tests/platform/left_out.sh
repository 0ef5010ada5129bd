#!/bin/bash
# left_out.sh SOURCE SYSTEM: names the folders and files of tests that are not run on a system, each with its
# reason, and fails if tests/platform/SYSTEM/left_out.txt does not speak of one.
set -euo pipefail
cd "$1"
system=$2
list=tests/platform/$system/left_out.txt
run=$(sed -n "s/^  '\([a-z/_0-9]*\)': \[.*/tests\/\1.c/p" tests/platform/$system/meson.build)
unknown=0
while read -r file; do
    grep -qxF "$file" <<<"$run" && continue
    grep -q main "$file" || continue
    reason=$(awk -v file="$file" '
        /^(#|$)/ { next }
        index(file, "tests/" $1) == 1 && length($1) > length(best) { best = $1; $1 = ""; reason = $0 }
        END { print reason }' "$list")
    [ -n "$reason" ] || { echo "left_out.sh: $list does not say why $file is not run on $system"; unknown=1; continue; }
    printf 'SKIP:%s\t %s\n' "$reason" "${file#tests/}"
done < <(find tests/{api,ctx,decode,differential,emulate,patch,platform,signals} -name '*.c' \
    ! -path 'tests/platform/i386/*' ! -path 'tests/platform/windows/*' \
    ! -path 'tests/platform/darwin/*' ! -path 'tests/platform/freebsd/*' \
    ! -path 'tests/platform/ports/*' ! -path 'tests/platform/states/*' |
    sort) >"${TMPDIR:-/tmp}/left_out.$$"
sort "${TMPDIR:-/tmp}/left_out.$$" | awk -F'\t' '
    /^SKIP/ { count[$1]++; names[$1] = names[$1] $2; next }
    { print }
    END { for (reason in count) print reason ": " count[reason] " programs:" names[reason] }' | fold -s -w 118
rm -f "${TMPDIR:-/tmp}/left_out.$$"
exit $unknown
