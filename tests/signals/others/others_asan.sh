#!/bin/sh
# others_asan.sh REPORTS PROGRAM: a program under a sanitizer, with handle_segv 0, 1 and 2: its region is stepped, and a
# fault in no region ends as it does without Segue. REPORTS: whether the sanitizer is one that reports it.
set -u
. "$(dirname "$0")/../../support/check.sh"
reports=$1 program=$2
for handle in 0 1 2; do
    options=handle_segv=$handle:detect_leaks=0
    with=$(ASAN_OPTIONS=$options UBSAN_OPTIONS=$options timeout 20 "$program" 2>&1)
    with_status=$?
    without=$(ASAN_OPTIONS=$options UBSAN_OPTIONS=$options timeout 20 "$program" without 2>&1)
    check "handle_segv=$handle: ends" "$?" "$with_status"
    check "handle_segv=$handle: steps" "$(echo "$with" | head -1)" 1025
    told=$(echo "$with" | grep -c 'ERROR: .*: SEGV on unknown address 0x000012345678')
    check "handle_segv=$handle: reports" "$told" \
        "$(echo "$without" | grep -c 'ERROR: .*: SEGV on unknown address 0x000012345678')"
    if [ "$reports" = true ] && [ "$handle" != 0 ]; then
        check "handle_segv=$handle: reports once" 1 "$told"
    fi
done
check_end
