#!/bin/sh
# bench_hot.sh PROGRAM: bench/hot prints each of its ratios as a number, or why this machine cannot have it. No time is
# asserted.
set -u
program=$1
passed=0 failed=0
printed=$("$program" --quick --rounds 1 2>/dev/null)
status=$?
if [ "$status" -eq 0 ]; then
    passed=$((passed + 1))
else
    failed=$((failed + 1))
    echo "FAILED: status $status, after:"
    printf '%s\n' "$printed"
fi
for name in hot_lua_over_plain hot_sqlite_over_plain hot_python_over_plain hot_lua_count_over_plain \
    hot_sqlite_count_over_plain hot_lua_policy_over_plain hot_sqlite_policy_over_plain hot_python_policy_over_plain \
    hot_lua_first_over_plain hot_sqlite_first_over_plain hot_sqlite_over_nulgrind hot_inside_over_native \
    hot_outside_over_native hot_dependent_over_native hot_constant_over_native hot_weak_table_over_stepped \
    hot_lua_faults_per_thousand hot_sqlite_faults_per_thousand hot_faults_per_thousand; do
    if printf '%s\n' "$printed" | grep -Eq "^(RATIO $name [0-9]+\.[0-9]{3}|SKIP $name .+)\$"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: no figure and no reason for $name:"
        printf '%s\n' "$printed" | grep " $name "
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
